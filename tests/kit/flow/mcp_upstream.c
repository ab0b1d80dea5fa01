/* mcp_upstream — a server over http_server, and its table of rules. */
#include "tests/kit/flow/mcp_upstream.h"

#include <stdio.h>

#include "common/base/json_scan.h"
#include "tests/kit/flow/flow_private.h"

#define BODY_MAX (32u * 1024 * 1024)
#define JSON "application/json"

#define HELLO                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"protocolVersion\":\"2025-06-18\","              \
    "\"capabilities\":{\"tools\":{\"listChanged\":true},\"prompts\":{}},"                          \
    "\"serverInfo\":{\"name\":\"fake\",\"version\":\"1\"},\"instructions\":\"be kind\"}}"
#define NOTHING "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{}}"

static void copy_header(const struct http_head *h, const char *name, char *out, size_t size)
{
    snprintf(out, size, "%.*s", SLICE_ARG(http_head_find(h, slice_str(name))));
}

/* `$ID` filled in */
static void fill(struct buf *out, const char *body, const char *id)
{
    struct slice rest = slice_str(body);
    ptrdiff_t at;
    while ((at = slice_search(rest, SLICE("$ID"))) >= 0) {
        assert_int_equal(buf_append(out, slice_first(rest, (size_t)at)), ERR_OK);
        assert_int_equal(buf_append(out, slice_str(id)), ERR_OK);
        rest = slice_from(rest, (size_t)at + 3);
    }
    assert_int_equal(buf_append(out, rest), ERR_OK);
}

static void respond(struct mcp_heard *h, const struct mcp_rule *r)
{
    struct http_header headers[3];
    char session[32];
    size_t n = 0;
    struct buf out;
    buf_init(&out, BODY_MAX);
    if (r->body)
        fill(&out, r->body, h->id);
    if (r->type)
        headers[n++] = (struct http_header){SLICE("content-type"), slice_str(r->type)};
    if (r->retry_after)
        headers[n++] = (struct http_header){SLICE("retry-after"), slice_str(r->retry_after)};
    if (strcmp(h->what, "initialize") == 0 && r->status == 200) {
        snprintf(session, sizeof(session), "up-%u", ++h->home->sessions);
        headers[n++] = (struct http_header){SLICE("mcp-session-id"), slice_str(session)};
    }
    h->answered = true;
    assert_int_equal(http_response(h->x, r->status, headers, n, buf_slice(&out)), ERR_OK);
    buf_fini(&out);
}

static struct mcp_rule rule_for(struct mcp_upstream *u, const char *what)
{
    for (size_t i = u->rule_count; i > 0; i--) {
        struct mcp_rule *r = &u->rules[i - 1];
        if (strcmp(r->on, what) != 0 || r->spent)
            continue;
        r->spent = r->once;
        return *r;
    }
    if (strcmp(what, "initialize") == 0)
        return (struct mcp_rule){.on = what, .status = 200, .type = JSON, .body = HELLO};
    if (strncmp(what, "notifications/", 14) == 0 || strcmp(what, "response") == 0)
        return (struct mcp_rule){.on = what, .status = 202};
    if (strcmp(what, "GET") == 0)
        return (struct mcp_rule){.on = what, .status = 405};
    if (strcmp(what, "DELETE") == 0)
        return (struct mcp_rule){.on = what, .status = 200};
    return (struct mcp_rule){.on = what, .status = 200, .type = JSON, .body = NOTHING};
}

static void read_message(struct mcp_heard *h)
{
    static const char *const wants[] = {"id", "method"};
    struct json_hit hit[2];
    enum json_type root;
    char method[60];
    struct slice text = SLICE("response");
    assert_int_equal(json_scan(buf_slice(&h->body), wants, 2, hit, &root, NULL), ERR_OK);
    if (hit[1].type == JSON_SCAN_STRING)
        assert_int_equal(json_scan_text(&hit[1], method, sizeof(method), &text), ERR_OK);
    snprintf(h->what, sizeof(h->what), "%.*s", SLICE_ARG(text));
    snprintf(h->id, sizeof(h->id), "%.*s", SLICE_ARG(hit[0].raw));
}

static void follow_script(struct mcp_heard *h)
{
    if (h->body.len)
        read_message(h);
    const struct mcp_rule r = rule_for(h->home, h->what);
    if (!r.hangs)
        respond(h, &r);
}

static void on_body(void *user, struct slice data)
{
    SPARED;
    struct mcp_heard *h = user;
    assert_int_equal(buf_append(&h->body, data), ERR_OK);
}

static void on_body_end(void *user)
{
    SPARED;
    follow_script(user);
}

static void on_gone(void *user, enum err why UNUSED)
{
    SPARED;
    struct mcp_heard *h = user;
    h->cut = !h->answered;
    h->x = NULL;
}

static const struct http_exchange_events exchange_events = {
    .on_body = on_body, .on_body_end = on_body_end, .on_gone = on_gone};

static void on_request(void *arg, struct http_exchange *x)
{
    SPARED;
    struct mcp_upstream *u = arg;
    const struct http_head *head = http_exchange_head(x);
    assert_true(u->heard_count < MCP_HEARD);
    struct mcp_heard *h = &u->heard[u->heard_count++];
    *h = (struct mcp_heard){.home = u, .x = x};
    buf_init(&h->body, BODY_MAX);
    snprintf(h->what, sizeof(h->what), "%.*s", SLICE_ARG(head->method));
    copy_header(head, "mcp-session-id", h->session, sizeof(h->session));
    h->session_len = http_head_find(head, SLICE("mcp-session-id")).len;
    copy_header(head, "last-event-id", h->last_event_id, sizeof(h->last_event_id));
    copy_header(head, "mcp-protocol-version", h->version, sizeof(h->version));
    copy_header(head, "x-upstream-key", h->secret, sizeof(h->secret));
    copy_header(head, "traceparent", h->traceparent, sizeof(h->traceparent));
    copy_header(head, "authorization", h->authorization, sizeof(h->authorization));
    http_exchange_bind(x, &exchange_events, h);
    if (head->has_length && head->length > 0)
        http_exchange_read(x, BODY_MAX);
    else
        follow_script(h);
}

static const struct http_server_events server_events = {.on_request = on_request};

void mcp_upstream_open(struct flow *k, struct mcp_upstream *u)
{
    const struct http_server_config c = {.body_max = BODY_MAX,
                                         .head_ms = FLOW_WAIT_MS,
                                         .body_gap_ms = FLOW_WAIT_MS,
                                         .keepalive_ms = FLOW_WAIT_MS,
                                         .connections_max = 64};
    union sockaddr_any at;
    *u = (struct mcp_upstream){.flow = k};
    assert_int_equal(address_parse(SLICE("127.0.0.1:0"), &at), ERR_OK);
    assert_int_equal(http_server_new(k->loop, &c, &server_events, u, &u->server), ERR_OK);
    assert_int_equal(http_server_listen(u->server, &at), ERR_OK);
    u->port = http_server_port(u->server);
}

void mcp_upstream_for_alice(struct flow *k, struct mcp_upstream *u)
{
    mcp_upstream_open(k, u);
    const struct flow_policy p = {
        .keys = {{.name = "alice", .agent = "bot"}},
        .agents = {{.name = "bot", .team = "team"}},
        .teams = {{.name = "team"}},
        .servers = {{.name = "tools", .port = u->port}},
        .grants = {{.agent = "bot", .server = "tools", .tools = {"*"}}},
    };
    policy_says(k, &p);
}

void mcp_upstream_close(struct mcp_upstream *u)
{
    http_server_free(u->server);
    for (size_t i = 0; i < u->heard_count; i++)
        buf_fini(&u->heard[i].body);
}

static void add(struct mcp_upstream *u, struct mcp_rule r)
{
    assert_true(u->rule_count < MCP_RULES);
    u->rules[u->rule_count++] = r;
}

void mcp_upstream_on(struct mcp_upstream *u, const char *on, unsigned status, const char *type,
                     const char *body)
{
    add(u, (struct mcp_rule){.on = on, .status = status, .type = type, .body = body});
}

void mcp_upstream_once(struct mcp_upstream *u, const char *on, unsigned status, const char *type,
                       const char *body)
{
    add(u, (struct mcp_rule){.on = on, .status = status, .type = type, .body = body, .once = true});
}

void mcp_upstream_hangs_on(struct mcp_upstream *u, const char *on)
{
    add(u, (struct mcp_rule){.on = on, .hangs = true});
}

size_t mcp_upstream_count(const struct mcp_upstream *u, const char *what, struct mcp_heard **last)
{
    size_t n = 0;
    for (size_t i = 0; i < u->heard_count; i++) {
        if (strcmp(u->heard[i].what, what) != 0)
            continue;
        n++;
        if (last)
            *last = (struct mcp_heard *)(uintptr_t)&u->heard[i];
    }
    return n;
}

void mcp_upstream_begins(struct mcp_heard *h)
{
    const struct http_header type = {SLICE("content-type"), SLICE("text/event-stream")};
    assert_int_equal(http_response_begin(h->x, 200, &type, 1, UINT64_MAX), ERR_OK);
}

void mcp_upstream_tells(struct mcp_heard *h, const char *events)
{
    struct buf out;
    buf_init(&out, BODY_MAX);
    fill(&out, events, h->id);
    assert_int_equal(http_response_write(h->x, buf_slice(&out)), ERR_OK);
    buf_fini(&out);
}

void mcp_upstream_ends(struct mcp_heard *h)
{
    h->answered = true;
    http_response_end(h->x);
}
