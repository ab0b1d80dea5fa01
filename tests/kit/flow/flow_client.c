/*
 * flow_client — raw bytes to the listener, and what came back.
 */
#include <stdio.h>

#include "common/base/json.h"
#include "tests/kit/flow/flow_private.h"

#define GOT_MAX (256u * 1024 * 1024)

static void read_head(struct flow_client *c)
{
    struct http1_problem problem;
    size_t len = 0;
    if (http1_head(HTTP1_ANSWER, buf_slice(&c->got), &c->head, &len, &problem) != ERR_OK)
        return;
    assert_int_equal(buf_append(&c->head_bytes, slice_first(buf_slice(&c->got), len)), ERR_OK);
    assert_int_equal(http1_head_parse(HTTP1_ANSWER, buf_slice(&c->head_bytes), &c->head, &problem),
                     ERR_OK);
    http1_body_init(&c->walk, HTTP1_ANSWER, &c->head,
                    c->asked_head ? SLICE("HEAD") : SLICE("POST"));
    c->read = len;
    c->has_head = true;
}

static void read_answer(struct flow_client *c)
{
    struct http1_problem problem;
    struct slice piece;
    bool ended = false;
    if (!c->has_head)
        read_head(c);
    if (!c->has_head || c->whole)
        return;
    struct slice bytes = slice_from(buf_slice(&c->got), c->read);
    while (!ended && http1_body_next(&c->walk, &bytes, &piece, &ended, &problem) == ERR_OK)
        assert_int_equal(buf_append(&c->body, piece), ERR_OK);
    c->read = c->got.len - bytes.len;
    c->whole = ended || (c->closed && c->walk.kind == HTTP1_BODY_TO_CLOSE);
}

static void on_open(void *arg)
{
    ((struct flow_client *)arg)->open = true;
}

static void on_data(void *arg, struct slice data)
{
    SPARED;
    struct flow_client *c = arg;
    assert_int_equal(buf_append(&c->got, data), ERR_OK);
    read_answer(c);
}

static void on_close(void *arg, enum err why UNUSED)
{
    SPARED;
    struct flow_client *c = arg;
    c->closed = true;
    read_answer(c);
}

static void on_eof(void *arg)
{
    on_close(arg, ERR_OK);
}

static void on_drain(void *arg)
{
    SPARED;
    static const char piece[16 * 1024];
    struct flow_client *c = arg;
    while (c->upload > 0) {
        struct slice part = slice_first(slice_of(piece, sizeof(piece)), c->upload);
        if (stream_write(c->stream, &part, 1) != ERR_OK)
            return; /* the connection takes no more, or is closed: on_close follows */
        c->upload -= part.len;
    }
}

static const struct stream_events events = {.on_open = on_open,
                                            .on_data = on_data,
                                            .on_eof = on_eof,
                                            .on_drain = on_drain,
                                            .on_close = on_close};

static struct flow_client *dial(struct flow *k)
{
    struct cidr loopback;
    assert_true(k->client_count < FLOW_CLIENTS);
    struct flow_client *c = &k->clients[k->client_count++];
    *c = (struct flow_client){.flow = k};
    buf_init(&c->got, GOT_MAX);
    buf_init(&c->body, GOT_MAX);
    buf_init(&c->head_bytes, GOT_MAX);
    assert_int_equal(cidr_parse(SLICE("127.0.0.0/8"), &loopback), ERR_OK);
    const struct egress_rule rule = {&loopback, 1};
    const struct stream_target target = {.resolver = k->resolver,
                                         .host = SLICE("127.0.0.1"),
                                         .port = k->port,
                                         .rule = &rule,
                                         .connect_ms = FLOW_WAIT_MS};
    assert_int_equal(stream_connect(k->loop, &target, &events, c, &c->stream), ERR_OK);
    WAIT(k, c->open);
    return c;
}

void flow_client_close(struct flow_client *c)
{
    if (c->stream)
        stream_close(&c->stream);
    buf_fini(&c->got);
    buf_fini(&c->body);
    buf_fini(&c->head_bytes);
}

struct flow_client *client_sends(struct flow *k, const char *bytes, size_t len)
{
    struct flow_client *c = dial(k);
    struct slice part = slice_of(bytes, len);
    assert_int_equal(stream_write(c->stream, &part, 1), ERR_OK);
    return c;
}

struct flow_client *client_says(struct flow *k, const char *bytes)
{
    return client_sends(k, bytes, strlen(bytes));
}

void client_adds(struct flow_client *c, const char *bytes)
{
    struct slice part = slice_str(bytes);
    assert_int_equal(stream_write(c->stream, &part, 1), ERR_OK);
}

static struct flow_client *send_request(struct flow *k, const char *method, const char *key,
                                        const char *path, const char *headers, const char *json)
{
    struct buf out;
    buf_init(&out, GOT_MAX);
    assert_int_equal(buf_printf(&out, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path),
                     ERR_OK);
    if (key)
        assert_int_equal(buf_printf(&out, "Authorization: Bearer %s\r\n", flow_secret(k, key)),
                         ERR_OK);
    if (headers)
        assert_int_equal(buf_append(&out, slice_str(headers)), ERR_OK);
    if (json)
        assert_int_equal(buf_printf(&out,
                                    "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                                    strlen(json)),
                         ERR_OK);
    assert_int_equal(buf_append(&out, SLICE("\r\n")), ERR_OK);
    if (json)
        assert_int_equal(buf_append(&out, slice_str(json)), ERR_OK);
    struct flow_client *c = client_sends(k, out.data + out.off, out.len);
    buf_fini(&out);
    return c;
}

struct flow_client *client_posts(struct flow *k, const char *key, const char *path,
                                 const char *headers, const char *json)
{
    return send_request(k, "POST", key, path, headers, json);
}

struct flow_client *client_gets(struct flow *k, const char *key, const char *path)
{
    return send_request(k, "GET", key, path, NULL, NULL);
}

struct flow_client *client_asks(struct flow *k, const char *method, const char *key,
                                const char *path, const char *headers)
{
    struct flow_client *c = send_request(k, method, key, path, headers, NULL);
    c->asked_head = strcmp(method, "HEAD") == 0;
    return c;
}

void client_uploads(struct flow_client *c, size_t len)
{
    c->upload = len;
    on_drain(c);
}

void client_begins_anew(struct flow_client *c)
{
    buf_clear(&c->got);
    buf_clear(&c->head_bytes);
    buf_clear(&c->body);
    c->has_head = c->whole = false;
    c->read = 0;
}

void client_hangs_up(struct flow_client *c)
{
    stream_close(&c->stream);
}

void client_is_forgotten(struct flow_client *c)
{
    assert_ptr_equal(c, &c->flow->clients[c->flow->client_count - 1]);
    c->flow->client_count--;
    flow_client_close(c);
}

void client_stops_reading(struct flow_client *c)
{
    stream_pause(c->stream);
}

void client_reads_on(struct flow_client *c)
{
    stream_resume(c->stream);
}

struct slice client_header(const struct flow_client *c, const char *name)
{
    assert_true(c->has_head);
    return http_head_find(&c->head, slice_str(name));
}

/* ---- what is expected ---- */

void expect_status(struct flow_client *c, unsigned status)
{
    WAIT(c->flow, c->whole || c->closed);
    if (!c->has_head)
        fail_msg("no response came, expected %u", status);
    if (c->head.status != status)
        fail_msg("status %u, expected %u: %.*s", c->head.status, status,
                 SLICE_ARG(buf_slice(&c->body)));
}

void expect_code(struct flow_client *c, const char *code)
{
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    WAIT(c->flow, c->whole || c->closed);
    if (json_read(buf_slice(&c->body), &tree, &problem))
        fail_msg("no JSON: %.*s", SLICE_ARG(buf_slice(&c->body)));
    json_t *error = json_object_get(tree, "error");
    struct slice got = json_text(error ? error : tree, "code");
    if (!got.ptr) /* Anthropic's place for it */
        got = json_text(json_object_get(error, "details"), "error_code");
    if (!slice_eq(got, slice_str(code)))
        fail_msg("code %.*s, expected %s", SLICE_ARG(got), code);
}

void expect_body(struct flow_client *c, const char *text)
{
    struct slice got = buf_slice(&c->body);
    if (!slice_eq(got, slice_str(text)))
        fail_msg("body\n%.*s\nexpected\n%s", SLICE_ARG(got), text);
}

void expect_body_has(struct flow_client *c, const char *text)
{
    struct slice got = buf_slice(&c->body);
    if (slice_search(got, slice_str(text)) < 0)
        fail_msg("body\n%.*s\nhas no\n%s", SLICE_ARG(got), text);
}
