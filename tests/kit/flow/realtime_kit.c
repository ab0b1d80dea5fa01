/*
 * realtime_kit — WebSockets over the flow's loop, by the same library as the gateway's; the tests
 * in tests/e2e meet another one.
 */
#include "tests/kit/flow/realtime_kit.h"

#include "common/base/mem.h"
#include "tests/kit/flow/flow_private.h"

/* ---- either end ---- */

static void init(struct realtime_kit *t, struct realtime_end *e)
{
    *e = (struct realtime_end){.kit = t};
    buf_init(&e->bytes, LIMIT_HTTP_REST);
    buf_init(&e->head, LIMIT_HTTP_HEAD);
    buf_init(&e->body, LIMIT_HTTP_HEAD);
}

static void fini(struct realtime_end *e)
{
    websocket_free(&e->websocket);
    if (e->stream)
        stream_close(&e->stream);
    for (size_t i = 0; i < e->heard_count; i++)
        mem_free(e->heard[i]);
    buf_fini(&e->bytes);
    buf_fini(&e->head);
    buf_fini(&e->body);
}

static void on_message(void *arg, struct slice text)
{
    struct realtime_end *e = arg;
    size_t spared = mem_fail_pause();
    if (e->heard_count < REALTIME_HEARD)
        e->heard[e->heard_count++] = mem_strndup(text.ptr, text.len);
    mem_fail_resume(spared);
}

static void on_fed(void *arg)
{
    struct realtime_end *e = arg;
    if (e->stream)
        stream_resume(e->stream);
    if (e->x)
        http_exchange_resume(e->x);
}

static void on_close(void *arg, unsigned code, struct slice reason)
{
    struct realtime_end *e = arg;
    e->closed = true;
    e->code = code;
    snprintf(e->reason, sizeof(e->reason), "%.*s", SLICE_ARG(reason));
    websocket_free(&e->websocket);
    if (e->stream)
        stream_finish(e->stream);
    if (e->x)
        http_response_end(e->x);
}

void realtime_says(struct realtime_end *e, const char *event)
{
    assert_non_null(e->websocket);
    assert_int_equal(websocket_send(e->websocket, slice_str(event)), ERR_OK);
}

void realtime_closes(struct realtime_end *e, unsigned code, const char *reason)
{
    assert_non_null(e->websocket);
    websocket_close(e->websocket, code, reason);
}

void realtime_cuts(struct realtime_end *e)
{
    websocket_free(&e->websocket);
    if (e->stream)
        stream_close(&e->stream);
    if (e->x)
        http_response_abort(e->x);
}

size_t realtime_heard(const struct realtime_end *e, const char *text)
{
    for (size_t i = 0; i < e->heard_count; i++)
        if (strstr(e->heard[i], text))
            return i + 1;
    return 0;
}

struct slice realtime_header(const struct realtime_end *e, const char *name)
{
    static struct http_head head;
    struct http1_problem problem;
    enum http1_kind kind = e->x || !e->request ? HTTP1_REQUEST : HTTP1_ANSWER;
    if (http1_head_parse(kind, buf_slice(&e->head), &head, &problem))
        return SLICE_NONE;
    return http_head_find(&head, slice_str(name));
}

/* ---- the client ---- */

static void client_on_head(void *arg, const struct http_head *head)
{
    struct realtime_end *e = arg;
    struct buf out;
    buf_init(&out, LIMIT_HTTP_HEAD);
    assert_int_equal(buf_printf(&out,
                                "GET %s HTTP/1.1\r\nHost: gatehouse\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: %.*s\r\n%s\r\n",
                                e->target,
                                SLICE_ARG(http_head_find(head, SLICE("sec-websocket-key"))),
                                e->request),
                     ERR_OK);
    struct slice all = buf_slice(&out);
    assert_int_equal(stream_write(e->stream, &all, 1), ERR_OK);
    buf_fini(&out);
}

static void client_on_bytes(void *arg, struct slice bytes)
{
    struct realtime_end *e = arg;
    if (!e->stream || !stream_is_open(e->stream))
        return;
    (void)!stream_write(e->stream, &bytes, 1);
    if (stream_is_full(e->stream))
        websocket_stall(e->websocket);
}

static void stream_on_drain(void *arg)
{
    struct realtime_end *e = arg;
    if (e->websocket)
        websocket_flow(e->websocket);
}

static void stream_on_open(void *arg)
{
    static const struct websocket_events events = {.on_head = client_on_head,
                                                   .on_bytes = client_on_bytes,
                                                   .on_message = on_message,
                                                   .on_fed = on_fed,
                                                   .on_close = on_close};
    struct realtime_end *e = arg;
    assert_int_equal(websocket_dial(e->kit->websockets, &events, e, &e->websocket), ERR_OK);
}

static void take_response(struct realtime_end *e)
{
    static struct http_head head;
    struct http1_problem problem;
    size_t len;
    if (http1_head(HTTP1_ANSWER, buf_slice(&e->bytes), &head, &len, &problem))
        return;
    assert_int_equal(buf_append(&e->head, slice_first(buf_slice(&e->bytes), len)), ERR_OK);
    e->status = head.status;
    if (e->status == 101)
        assert_int_equal(
            websocket_opened(e->websocket, http_head_find(&head, SLICE("sec-websocket-accept"))),
            ERR_OK);
    buf_eat(&e->bytes, len);
}

static void stream_on_data(void *arg, struct slice data)
{
    struct realtime_end *e = arg;
    assert_int_equal(buf_append(&e->bytes, data), ERR_OK);
    if (!e->status)
        take_response(e);
    if (!e->status)
        return;
    if (e->status == 101 && e->websocket)
        assert_int_equal(websocket_feed(e->websocket, buf_slice(&e->bytes)), ERR_OK);
    if (e->websocket && !websocket_is_fed(e->websocket))
        stream_pause(e->stream);
    if (e->status != 101)
        assert_int_equal(buf_append(&e->body, buf_slice(&e->bytes)), ERR_OK);
    buf_clear(&e->bytes);
}

static void stream_on_close(void *arg, enum err why)
{
    struct realtime_end *e = arg;
    (void)why;
    e->gone = true;
    if (!e->websocket)
        return;
    websocket_finish(e->websocket);
    websocket_flow(e->websocket);
}

struct realtime_end *realtime_client(struct realtime_kit *t, const char *target, const char *key,
                                     const char *headers)
{
    static const struct stream_events events = {.on_open = stream_on_open,
                                                .on_data = stream_on_data,
                                                .on_drain = stream_on_drain,
                                                .on_close = stream_on_close};
    static char lines[REALTIME_ENDS][1024];
    assert_true(t->client_count < REALTIME_ENDS);
    struct realtime_end *e = &t->clients[t->client_count];
    init(t, e);
    e->target = target;
    snprintf(lines[t->client_count], sizeof(lines[0]), "%s%s%s%s",
             key ? "Authorization: Bearer " : "", key ? flow_secret(t->flow, key) : "",
             key ? "\r\n" : "", headers ? headers : "");
    e->request = lines[t->client_count++];
    struct cidr loopback;
    assert_int_equal(cidr_parse(SLICE("127.0.0.0/8"), &loopback), ERR_OK);
    const struct egress_rule rule = {&loopback, 1};
    const struct stream_target to = {.resolver = t->flow->resolver,
                                     .host = SLICE("127.0.0.1"),
                                     .port = t->flow->port,
                                     .rule = &rule,
                                     .connect_ms = FLOW_WAIT_MS};
    assert_int_equal(stream_connect(t->flow->loop, &to, &events, e, &e->stream), ERR_OK);
    return e;
}

/* ---- the upstream ---- */

static void upstream_on_head(void *arg, const struct http_head *head)
{
    struct realtime_end *e = arg;
    const struct http_header accept = {SLICE("Sec-WebSocket-Accept"),
                                       http_head_find(head, SLICE("sec-websocket-accept"))};
    assert_int_equal(http_response_begin(e->x, 101, &accept, 1, UINT64_MAX), ERR_OK);
}

static void upstream_on_bytes(void *arg, struct slice bytes)
{
    struct realtime_end *e = arg;
    if (e->x)
        (void)!http_response_write(e->x, bytes);
}

static void exchange_on_body(void *user, struct slice piece)
{
    struct realtime_end *e = user;
    if (!e->websocket)
        return;
    assert_int_equal(websocket_feed(e->websocket, piece), ERR_OK);
    if (!websocket_is_fed(e->websocket))
        http_exchange_pause(e->x);
}

static void exchange_on_gone(void *user, enum err why)
{
    struct realtime_end *e = user;
    (void)why;
    e->gone = true;
    e->x = NULL;
    if (e->websocket)
        websocket_finish(e->websocket);
}

static void keep_head(struct realtime_end *e, const struct http_head *h)
{
    assert_int_equal(
        buf_printf(&e->head, "%.*s %.*s HTTP/1.1\r\n", SLICE_ARG(h->method), SLICE_ARG(h->target)),
        ERR_OK);
    for (size_t i = 0; i < h->header_count; i++)
        assert_int_equal(buf_printf(&e->head, "%.*s: %.*s\r\n", SLICE_ARG(h->headers[i].name),
                                    SLICE_ARG(h->headers[i].value)),
                         ERR_OK);
    assert_int_equal(buf_append(&e->head, SLICE("\r\n")), ERR_OK);
}

static void on_request(void *arg, struct http_exchange *x)
{
    static const struct http_exchange_events exchange = {.on_body = exchange_on_body,
                                                         .on_gone = exchange_on_gone};
    static const struct websocket_events events = {.on_head = upstream_on_head,
                                                   .on_bytes = upstream_on_bytes,
                                                   .on_message = on_message,
                                                   .on_fed = on_fed,
                                                   .on_close = on_close};
    struct realtime_kit *t = arg;
    const struct http_head *head = http_exchange_head(x);
    assert_true(t->upstream_count < REALTIME_ENDS);
    struct realtime_end *e = &t->upstreams[t->upstream_count++];
    init(t, e);
    http_exchange_bind(x, &exchange, e);
    e->x = x;
    keep_head(e, head);
    if (t->refuses) {
        const struct http_header type = {SLICE("content-type"), SLICE("application/json")};
        assert_int_equal(http_response(x, t->refuses, &type, 1, slice_str(t->refusal)), ERR_OK);
        return;
    }
    assert_int_equal(websocket_accept(t->websockets,
                                      http_head_find(head, SLICE("sec-websocket-key")), false,
                                      &events, e, &e->websocket),
                     ERR_OK);
}

void realtime_kit_open(struct flow *k, struct realtime_kit *t)
{
    const struct http_server_config config = {0};
    const struct http_server_events events = {.on_request = on_request};
    union sockaddr_any at;
    memset(t, 0, sizeof(*t));
    t->flow = k;
    assert_int_equal(websockets_new(k->loop, &t->websockets), ERR_OK);
    assert_int_equal(address_parse(SLICE("127.0.0.1:0"), &at), ERR_OK);
    assert_int_equal(http_server_new(k->loop, &config, &events, t, &t->server), ERR_OK);
    assert_int_equal(http_server_listen(t->server, &at), ERR_OK);
    k->upstreams[0].port = http_server_port(t->server);
}

void realtime_kit_close(struct realtime_kit *t)
{
    for (size_t i = 0; i < t->client_count; i++)
        fini(&t->clients[i]);
    WAIT(t->flow, t->flow->env.request_count == 0);
    http_server_free(t->server);
    for (size_t i = 0; i < t->upstream_count; i++)
        fini(&t->upstreams[i]);
    websockets_free(t->websockets);
}
