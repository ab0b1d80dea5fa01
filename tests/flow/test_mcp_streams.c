/* mcp_streams — event streams, what a server asks, cancellation, and what a lost session is given
 * back. */
#include <stdio.h>

#include "common/base/seal.h"
#include "mcp-gateway/mcp_worker.h"
#include "mcp-gateway/session_id.h"
#include "tests/kit/flow/mcp_upstream.h"

#define PATH "/mcp/tools"
#define JSON "application/json"
#define HELLO(capabilities)                                                                        \
    "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"method\":\"initialize\",\"params\":{"                     \
    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":" capabilities ","                        \
    "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}"
#define INITIALIZED "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define LIST "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"method\":\"tools/list\"}"
#define ECHO                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"method\":\"tools/call\",\"params\":{\"name\":\"echo\"}}"
#define CHANGED "\"method\":\"notifications/tools/list_changed\""

static struct mcp_upstream up;

static struct flow_policy policy(void)
{
    return (struct flow_policy){
        .keys = {{.name = "alice", .agent = "bot"}, {.name = "bob", .agent = "rob"}},
        .agents = {{.name = "bot", .team = "team"}, {.name = "rob", .team = "team"}},
        .teams = {{.name = "team"}},
        .servers = {{.name = "tools", .port = up.port}},
        .grants = {{.agent = "bot", .server = "tools", .tools = {"echo"}},
                   {.agent = "rob", .server = "tools", .tools = {"*"}}},
    };
}

static void begin(struct flow *k)
{
    mcp_upstream_open(k, &up);
    struct flow_policy p = policy();
    policy_says(k, &p);
}

/* Headers that name a session of this key, opened and confirmed. */
static char *open_session(struct flow *k, const char *key, const char *hello)
{
    static char headers[900];
    struct flow_client *c = client_posts(k, key, PATH, NULL, hello);
    expect_status(c, 200);
    snprintf(headers, sizeof(headers), "Mcp-Session-Id: %.*s\r\n",
             SLICE_ARG(client_header(c, "mcp-session-id")));
    expect_status(client_posts(k, key, PATH, headers, INITIALIZED), 202);
    return headers;
}

static struct flow_client *open_stream(struct flow *k, const char *key, const char *session)
{
    char headers[1000];
    snprintf(headers, sizeof(headers), "%sAccept: text/event-stream\r\n", session);
    return client_asks(k, "GET", key, PATH, headers);
}

static struct flow_client *call(struct flow *k, const char *key, const char *session,
                                struct mcp_heard **h)
{
    size_t before = mcp_upstream_count(&up, "tools/call", NULL);
    mcp_upstream_hangs_on(&up, "tools/call");
    struct flow_client *c = client_posts(k, key, PATH, session, ECHO);
    WAIT(k, mcp_upstream_count(&up, "tools/call", h) == before + 1);
    return c;
}

static bool has(const struct buf *b, const char *text)
{
    return slice_search(buf_slice(b), slice_str(text)) >= 0;
}

/* of a response in HTTP 200, once it is whole */
static void expect_part(struct flow_client *c, const char *text)
{
    expect_status(c, 200);
    expect_body_has(c, text);
}

#define HEARS(k, c, text) WAIT(k, has(&(c)->body, text))

/* The id of the question on a client's stream, with its quotes. */
static void question_id(const struct flow_client *c, const char *method, char *out, size_t size)
{
    struct slice body = buf_slice(&c->body);
    ptrdiff_t at = slice_search(body, slice_str(method));
    assert_true(at > 0);
    struct slice before = slice_first(body, (size_t)at);
    ptrdiff_t from = -1, next;
    size_t base = 0;
    while ((next = slice_search(slice_from(before, base), SLICE("\"id\":"))) >= 0) {
        from = (ptrdiff_t)base + next + 5;
        base = (size_t)from;
    }
    assert_true(from > 0);
    struct slice rest = slice_from(body, (size_t)from);
    ptrdiff_t end = slice_find(rest, ',');
    snprintf(out, size, "%.*s", (int)end, rest.ptr);
}

/* ---- cancellation ---- */

FLOW(a_cancelled_call_ends_its_stream_and_frees_its_slot)
{
    struct mcp_heard *h, *note;
    begin(k);
    struct flow_policy p = policy();
    p.keys[0].parallel = 1;
    policy_says(k, &p);
    char *session = open_session(k, "alice", HELLO("{}"));
    struct flow_client *c = call(k, "alice", session, &h);
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, ": still there\n\n");
    WAIT(k, c->has_head);
    expect_status(client_posts(k, "alice", PATH, session,
                               "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                               "\"params\":{\"requestId\":\"c\"}}"),
                  202);
    expect_status(c, 200);
    assert_true(c->whole);
    assert_false(has(&c->body, "\"id\":\"c\"")); /* a cancelled request has no response */
    assert_int_equal(mcp_upstream_count(&up, "notifications/cancelled", &note), 1);
    WAIT(k, h->x == NULL);
    mcp_upstream_on(&up, "tools/call", 200, JSON, "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{}}");
    c = client_posts(k, "alice", PATH, session, ECHO);
    expect_part(c, "\"result\":{}"); /* the slot and the id are free */
    mcp_upstream_close(&up);
}

/* ---- what a server asks ---- */

FLOW(a_lone_call_answers_what_its_server_asks_at_once)
{
    struct mcp_heard *h, *response;
    begin(k);
    struct flow_client *c = call(k, "alice", NULL, &h);
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, "data: {\"jsonrpc\":\"2.0\",\"id\":\"p1\",\"method\":\"ping\"}\n\n");
    WAIT(k, mcp_upstream_count(&up, "response", &response) == 1);
    assert_true(has(&response->body, "\"id\":\"p1\",\"result\":{}"));
    mcp_upstream_tells(
        h, "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"elicitation/create\"}\n\n");
    WAIT(k, mcp_upstream_count(&up, "response", &response) == 2);
    assert_true(has(&response->body, "\"id\":7,\"error\":{\"code\":-32601"));
    assert_string_equal(response->session, "up-1");
    mcp_upstream_tells(h, "data: {\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{}}\n\n");
    mcp_upstream_ends(h);
    expect_part(c, "\"id\":\"c\",\"result\":{}");
    assert_false(has(&c->body, "elicitation"));
    mcp_upstream_close(&up);
}

FLOW(comments_do_not_prolong_a_call)
{
    struct mcp_heard *h;
    begin(k);
    mcp_worker_of(&k->env)->call_ms = 300;
    struct flow_client *c = call(k, "alice", NULL, &h);
    mcp_upstream_begins(h);
    uint64_t until = flow_now_ms() + 5000;
    while (!c->whole && flow_now_ms() < until) {
        if (h->x && flow_now_ms() % 20 == 0)
            mcp_upstream_tells(h, ": ping\n\n");
        flow_turn(k);
    }
    expect_part(c, "\"isError\":true");
    expect_body_has(c, "did not respond in time");
    assert_int_equal(mcp_upstream_count(&up, "notifications/cancelled", NULL), 1);
    mcp_upstream_close(&up);
}

FLOW(a_question_reaches_a_client_that_declared_it_and_its_response_the_server)
{
    struct mcp_heard *h, *response;
    char id[700], json[1000];
    begin(k);
    char *session = open_session(k, "alice", HELLO("{\"elicitation\":{}}"));
    struct flow_client *c = call(k, "alice", session, &h);
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"elicitation/create\","
                          "\"params\":{\"message\":\"m\"}}\n\n");
    HEARS(k, c, "elicitation/create");
    question_id(c, "\"method\":\"elicitation/create\"", id, sizeof(id));
    assert_true(strlen(id) > 20); /* the gateway's, not the server's */

    snprintf(json, sizeof(json),
             "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"action\":\"accept\"}}", id);
    char mine[900];
    snprintf(mine, sizeof(mine), "%s", session);
    char *bobs = open_session(k, "bob", HELLO("{\"elicitation\":{}}"));
    struct flow_client *wrong = client_posts(k, "bob", PATH, bobs, json);
    expect_status(wrong, 400); /* another session was not asked this */
    expect_status(client_posts(k, "alice", PATH, mine,
                               "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"action\":\"accept\"}}"),
                  400);
    assert_int_equal(mcp_upstream_count(&up, "response", NULL), 0);
    expect_status(client_posts(k, "alice", PATH, mine, json), 202);
    assert_int_equal(mcp_upstream_count(&up, "response", &response), 1);
    assert_true(has(&response->body, "\"id\":0,\"result\":{\"action\":\"accept\"}"));
    assert_string_equal(response->session, "up-1");

    mcp_upstream_tells(h, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"elicitation/create\","
                          "\"params\":{\"mode\":\"url\"}}\n\n");
    WAIT(k, mcp_upstream_count(&up, "response", &response) == 2);
    assert_true(has(&response->body, "\"id\":1,\"error\":{\"code\":-32602")); /* undeclared mode */
    mcp_upstream_tells(h, "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"roots/list\"}\n\n");
    WAIT(k, mcp_upstream_count(&up, "response", &response) == 3);
    assert_true(has(&response->body, "\"id\":2,\"error\":{\"code\":-32601"));
    assert_false(has(&c->body, "roots/list"));
    mcp_upstream_close(&up);
}

FLOW(a_server_takes_a_question_back_by_the_id_that_the_client_knows)
{
    struct mcp_heard *h;
    char id[700], want[800];
    begin(k);
    char *session = open_session(k, "alice", HELLO("{\"sampling\":{}}"));
    struct flow_client *c = call(k, "alice", session, &h);
    mcp_upstream_begins(h);
    mcp_upstream_tells(
        h, "data: {\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"sampling/createMessage\"}\n\n");
    HEARS(k, c, "sampling/createMessage");
    question_id(c, "\"method\":\"sampling/createMessage\"", id, sizeof(id));
    mcp_upstream_tells(h, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                          "\"params\":{\"requestId\":5}}\n\n");
    snprintf(want, sizeof(want), "\"params\":{\"requestId\":%s}", id);
    HEARS(k, c, want);
    mcp_upstream_close(&up);
}

/* ---- event streams ---- */

FLOW(a_narrow_key_is_notified_of_its_own_tools_only)
{
    static const char *const keys[] = {"alice", "bob"};
    struct mcp_heard *h;
    begin(k);
    mcp_upstream_hangs_on(&up, "GET");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char *session = open_session(k, keys[i], HELLO("{}"));
        struct flow_client *c = open_stream(k, keys[i], session);
        WAIT(k, mcp_upstream_count(&up, "GET", &h) == i + 1);
        mcp_upstream_begins(h);
        mcp_upstream_tells(h, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/"
                              "updated\",\"params\":{\"uri\":\"x:1\"}}\n\n");
        mcp_upstream_tells(h, "data: {\"jsonrpc\":\"2.0\"," CHANGED "}\n\n");
        HEARS(k, c, CHANGED);
        assert_int_equal(has(&c->body, "resources/updated"), i == 1);
    }
    mcp_upstream_close(&up);
}

FLOW(a_changed_grant_is_notified_on_the_event_stream_and_a_removed_one_ends_it)
{
    begin(k);
    char *session = open_session(k, "alice", HELLO("{}"));
    struct flow_client *c = open_stream(k, "alice", session); /* the server has none: 405 */
    WAIT(k, c->has_head);
    assert_int_equal(c->head.status, 200);
    struct flow_policy p = policy();
    p.teams[0].models[0] = "m"; /* no model of alice */
    policy_says(k, &p);
    p.grants[0].tools[1] = "other";
    policy_says(k, &p);
    HEARS(k, c, CHANGED);
    struct slice heard = buf_slice(&c->body);
    ptrdiff_t at = slice_search(heard, SLICE(CHANGED));
    assert_true(slice_search(slice_from(heard, (size_t)at + 1), SLICE(CHANGED)) < 0);
    p.grants[0] = p.grants[1];
    p.grants[1] = (struct flow_grant){0};
    policy_says(k, &p);
    WAIT(k, c->whole);
    expect_body_has(c, "event: error\ndata: {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":");
    expect_body_has(c, "\"code\":\"server_not_found\"");
    mcp_upstream_close(&up);
}

FLOW(delete_ends_what_runs_in_the_session)
{
    struct mcp_heard *h;
    begin(k);
    char *session = open_session(k, "alice", HELLO("{}"));
    struct flow_client *stream = open_stream(k, "alice", session);
    WAIT(k, stream->has_head);
    struct flow_client *c = call(k, "alice", session, &h);
    expect_status(client_asks(k, "DELETE", "alice", PATH, session), 204);
    WAIT(k, stream->whole && h->x == NULL);
    expect_status(c, 404);
    expect_body_has(c, "\"code\":\"session_not_found\"");
    mcp_upstream_close(&up);
}

FLOW(a_session_has_so_many_event_streams)
{
    struct flow_client *c;
    begin(k);
    char *session = open_session(k, "alice", HELLO("{}"));
    for (size_t i = 0; i < LIMIT_MCP_STREAMS; i++) {
        c = open_stream(k, "alice", session);
        WAIT(k, c->has_head);
        assert_int_equal(c->head.status, 200);
    }
    size_t before = up.heard_count;
    expect_status(open_stream(k, "alice", session), 429);
    assert_int_equal(up.heard_count, before);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == LIMIT_MCP_STREAMS - 1);
    c = open_stream(k, "alice", session);
    WAIT(k, c->has_head);
    assert_int_equal(c->head.status, 200);
    mcp_upstream_close(&up);
}

FLOW(a_key_of_few_parallel_calls_has_few_event_streams_over_all_its_sessions)
{
    char *session = NULL;
    begin(k);
    struct flow_policy p = policy();
    p.keys[0].parallel = 1;
    policy_says(k, &p);
    for (size_t i = 0; i < LIMIT_MCP_STREAMS; i++) {
        session = open_session(k, "alice", HELLO("{}"));
        struct flow_client *c = open_stream(k, "alice", session);
        WAIT(k, c->has_head);
        assert_int_equal(c->head.status, 200);
    }
    session = open_session(k, "alice", HELLO("{}"));
    struct flow_client *c = open_stream(k, "alice", session);
    expect_status(c, 429);
    expect_body_has(c, "\"code\":\"parallel_limit_exceeded\"");
    mcp_upstream_close(&up);
}

FLOW(notifications_count_and_those_beyond_the_rate_go_no_further)
{
    begin(k);
    char *session = open_session(k, "alice", HELLO("{}"));
    struct flow_policy p = policy();
    p.keys[0].rpm = 3;
    policy_says(k, &p);
    for (size_t i = 0; i < 10; i++)
        expect_status(client_posts(k, "alice", PATH, session,
                                   "{\"jsonrpc\":\"2.0\",\"method\":"
                                   "\"notifications/roots/list_changed\"}"),
                      202);
    assert_int_equal(mcp_upstream_count(&up, "notifications/roots/list_changed", NULL), 3);
    for (size_t i = 0; i < 10; i++)
        expect_status(client_posts(k, "alice", PATH, session, INITIALIZED), 202);
    assert_int_equal(mcp_upstream_count(&up, "notifications/initialized", NULL), 1);
    mcp_upstream_close(&up);
}

/* ---- a lost session ---- */

FLOW(a_session_that_is_opened_again_is_as_the_lost_one_was)
{
    struct mcp_heard *h;
    begin(k);
    char *session = open_session(k, "bob", HELLO("{}"));
    expect_status(client_posts(k, "bob", PATH, session,
                               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logging/setLevel\","
                               "\"params\":{\"level\":\"debug\"}}"),
                  200);
    expect_status(client_posts(k, "bob", PATH, session,
                               "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"resources/subscribe\","
                               "\"params\":{\"uri\":\"x:1\"}}"),
                  200);
    mcp_upstream_hangs_on(&up, "GET");
    struct flow_client *stream = open_stream(k, "bob", session);
    WAIT(k, mcp_upstream_count(&up, "GET", &h) == 1);
    mcp_upstream_begins(h);
    WAIT(k, stream->has_head);

    mcp_upstream_once(&up, "tools/call", 404, NULL, NULL);
    struct flow_client *c = client_posts(k, "bob", PATH, session, ECHO);
    expect_part(c, "\"result\":{}");
    assert_int_equal(mcp_upstream_count(&up, "logging/setLevel", &h), 2);
    assert_string_equal(h->session, "up-2");
    assert_true(has(&h->body, "\"level\":\"debug\""));
    assert_int_equal(mcp_upstream_count(&up, "resources/subscribe", &h), 2);
    assert_string_equal(h->session, "up-2");
    assert_true(has(&h->body, "\"uri\":\"x:1\""));
    WAIT(k, mcp_upstream_count(&up, "GET", &h) == 2);
    assert_string_equal(h->session, "up-2");
    HEARS(k, stream, CHANGED);
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n");
    HEARS(k, stream, "notifications/message");
    assert_false(stream->whole);
    mcp_upstream_close(&up);
}

FLOW(an_event_stream_that_breaks_upstream_attaches_anew_where_it_was)
{
    struct mcp_heard *h;
    begin(k);
    char *session = open_session(k, "alice", HELLO("{}"));
    mcp_upstream_hangs_on(&up, "GET");
    struct flow_client *stream = open_stream(k, "alice", session);
    WAIT(k, mcp_upstream_count(&up, "GET", &h) == 1);
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, "id: 41\ndata: {\"jsonrpc\":\"2.0\"," CHANGED "}\n\n");
    HEARS(k, stream, "id: 41");
    http_response_abort(h->x);
    WAIT(k, mcp_upstream_count(&up, "GET", &h) == 2);
    assert_string_equal(h->last_event_id, "41");
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, "id: 42\ndata: {\"jsonrpc\":\"2.0\"," CHANGED "}\n\n");
    HEARS(k, stream, "id: 42");
    mcp_upstream_close(&up);
}

FLOW(a_stream_that_is_resumed_once_more_is_taken_from_the_earlier_response)
{
    struct mcp_heard *h;
    char headers[1100];
    begin(k);
    snprintf(headers, sizeof(headers), "%sLast-Event-ID: 5\r\n",
             open_session(k, "alice", HELLO("{}")));
    mcp_upstream_hangs_on(&up, "GET");
    struct flow_client *first = open_stream(k, "alice", headers);
    WAIT(k, mcp_upstream_count(&up, "GET", &h) == 1);
    mcp_upstream_begins(h);
    WAIT(k, first->has_head);
    mcp_upstream_once(&up, "GET", 409, NULL, NULL);
    struct flow_client *second = open_stream(k, "alice", headers);
    WAIT(k, mcp_upstream_count(&up, "GET", &h) == 3);
    assert_true(first->whole);
    assert_string_equal(h->last_event_id, "5");
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, "id: 6\ndata: {\"jsonrpc\":\"2.0\"," CHANGED "}\n\n");
    HEARS(k, second, "id: 6");
    mcp_upstream_ends(h);
    expect_status(second, 200);
    mcp_upstream_close(&up);
}

/* ---- a session of another plane ---- */

/* An id as another plane of this installation would have sealed it. */
static void foreign_id(struct flow *k, const char *upstream_id, char *headers, size_t size)
{
    char text[LIMIT_SEALED_ID + 1];
    struct slice out;
    struct seal *seal = seal_new(snapshot_session_seal(k->policy));
    const struct policy_server *server = snapshot_server_named(
        k->policy, snapshot_key(k->policy, SLICE("k_alice"))->o.org_id, SLICE("tools"));
    assert_non_null(server);
    const struct mcp_bearer alice = {.org_id = server->o.org_id,
                                     .key_id = SLICE("k_alice"),
                                     .agent_id = SLICE("a_bot"),
                                     .path = SLICE(PATH)};
    struct mcp_session_id id = {.sid = {9, 9, 9, (uint8_t)upstream_id[0]},
                                .revision = 1,
                                .declared = 1,
                                .ends_s = INT64_MAX,
                                .label = "s_abcdefghijklmnopqrstu",
                                .server_id = server->o.id,
                                .server_revision = server->o.revision,
                                .upstream_revision = upstream_id[0] == '-' ? MCP_NO_UPSTREAM : 0,
                                .upstream_id = slice_str(upstream_id)};
    assert_non_null(seal);
    assert_int_equal(mcp_session_id_seal(seal, &alice, &id, text, &out), ERR_OK);
    seal_free(seal);
    snprintf(headers, size, "Mcp-Session-Id: %.*s\r\n", SLICE_ARG(out));
}

FLOW(a_session_of_another_plane_goes_on_here_in_its_upstream_session)
{
    char session[700];
    struct mcp_heard *h;
    begin(k);
    foreign_id(k, "theirs", session, sizeof(session));
    expect_status(client_posts(k, "bob", PATH, session, LIST), 404); /* not that of bob */
    expect_part(client_posts(k, "alice", PATH, session, LIST), "\"result\":{}");
    assert_int_equal(mcp_upstream_count(&up, "initialize", NULL), 0);
    mcp_upstream_count(&up, "tools/list", &h);
    assert_string_equal(h->session, "theirs");
    assert_string_equal(h->version, "2025-06-18");
    assert_true(strlen(h->id) > 6); /* far from what the other plane counts to */

    mcp_upstream_once(&up, "tools/call", 404, NULL, NULL);
    expect_part(client_posts(k, "alice", PATH, session, ECHO), "\"result\":{}");
    mcp_upstream_count(&up, "initialize", &h);
    assert_true(has(&h->body, "\"capabilities\":{\"sampling\":{}}"));
    mcp_upstream_count(&up, "tools/call", &h);
    assert_string_equal(h->session, "up-1");

    expect_status(client_asks(k, "DELETE", "alice", PATH, session), 204);
    expect_status(client_posts(k, "alice", PATH, session, LIST), 404);
    mcp_upstream_close(&up);
}

FLOW(a_session_of_another_plane_whose_upstream_session_is_not_known_opens_its_own)
{
    char session[700];
    struct mcp_heard *h;
    begin(k);
    foreign_id(k, "-", session, sizeof(session));
    expect_part(client_posts(k, "alice", PATH, session, ECHO), "\"result\":{}");
    assert_int_equal(mcp_upstream_count(&up, "initialize", NULL), 1);
    assert_int_equal(mcp_upstream_count(&up, "notifications/initialized", NULL), 1);
    mcp_upstream_count(&up, "tools/call", &h);
    assert_string_equal(h->session, "up-1");
    mcp_upstream_close(&up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_cancelled_call_ends_its_stream_and_frees_its_slot),
        SCENARIO(a_lone_call_answers_what_its_server_asks_at_once),
        SCENARIO(comments_do_not_prolong_a_call),
        SCENARIO(a_question_reaches_a_client_that_declared_it_and_its_response_the_server),
        SCENARIO(a_server_takes_a_question_back_by_the_id_that_the_client_knows),
        SCENARIO(a_narrow_key_is_notified_of_its_own_tools_only),
        SCENARIO(a_changed_grant_is_notified_on_the_event_stream_and_a_removed_one_ends_it),
        SCENARIO(delete_ends_what_runs_in_the_session),
        SCENARIO(a_session_has_so_many_event_streams),
        SCENARIO(a_key_of_few_parallel_calls_has_few_event_streams_over_all_its_sessions),
        SCENARIO(notifications_count_and_those_beyond_the_rate_go_no_further),
        SCENARIO(a_session_that_is_opened_again_is_as_the_lost_one_was),
        SCENARIO(an_event_stream_that_breaks_upstream_attaches_anew_where_it_was),
        SCENARIO(a_stream_that_is_resumed_once_more_is_taken_from_the_earlier_response),
        SCENARIO(a_session_of_another_plane_goes_on_here_in_its_upstream_session),
        SCENARIO(a_session_of_another_plane_whose_upstream_session_is_not_known_opens_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
