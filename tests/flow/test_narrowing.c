/*
 * narrowing — after a version that takes a right or a limit away nothing is admitted, and nothing
 * goes on, that the new version would not admit; giving it back admits it again.
 *
 * Each kind of change is a row; each is tried after calls that have spent money and used limits,
 * and with a stream open.
 */
#include <stdio.h>

#include "common/base/clock.h"
#include "tests/kit/flow/mcp_upstream.h"

#define CHAT "/v1/chat/completions"
#define HELLO                                                                                      \
    "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\","                    \
    "\"content\":\"hello\"}]}"
#define STREAM "{\"model\":\"small\",\"max_tokens\":100,\"stream\":true,\"messages\":[]}"
#define CHUNK "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}}"
#define TASK "x-gatehouse-task: night\r\n"
#define EMPTY ((money)-1) /* the kit's value for an empty budget */
#define CALLS 3           /* before the change */

static const struct flow_policy wide = {
    .keys = {{.name = "alice",
              .agent = "one",
              .tasks = {"night"},
              .budget = 10 * MONEY_DOLLAR,
              .rpm = 1000,
              .parallel = 10}},
    .teams = {{.name = "team", .budget = 20 * MONEY_DOLLAR}, {.name = "other", .models = {"none"}}},
    .agents = {{.name = "one", .team = "team"}},
    .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
    .services = {{.name = "crm", .upstream = 1}},
    .grants = {{.agent = "one", .task = "night", .models = {"small"}},
               {.agent = "one", .task = "night", .service = "crm"}},
    .tasks = {"night"},
};

static void revoke_key(struct flow_policy *p)
{
    p->keys[0].revoked = true;
}
static void block_key(struct flow_policy *p)
{
    p->keys[0].blocked = true;
}
static void block_agent(struct flow_policy *p)
{
    p->blocks[0] = (struct flow_block){"agent", "a_one"};
}
static void block_team(struct flow_policy *p)
{
    p->blocks[0] = (struct flow_block){"team", "t_team"};
}
static void expire(struct flow_policy *p)
{
    p->keys[0].expires_at_us = clock_wall_us() - 1;
}
static void remove_agent(struct flow_policy *p)
{
    p->agents[0] = (struct flow_agent){0};
}
static void remove_grants(struct flow_policy *p)
{
    p->grants[0] = p->grants[1] = (struct flow_grant){0};
}
static void list_other_models(struct flow_policy *p)
{
    p->keys[0].models[0] = "another";
}
static void list_no_models(struct flow_policy *p)
{
    p->keys[0].models[0] = "";
}
static void move_agent(struct flow_policy *p)
{
    p->agents[0].team = "other";
    p->grants[0] = p->grants[1];
    p->grants[1] = (struct flow_grant){0};
}
static void take_task(struct flow_policy *p)
{
    p->keys[0].tasks[0] = "";
}
static void remove_model(struct flow_policy *p)
{
    p->models[0].name = "another";
}
static void move_model(struct flow_policy *p)
{
    p->models[0].upstreams[0] = 2;
}
static void take_price(struct flow_policy *p)
{
    p->models[0].no_price = true;
}
static void empty_budget(struct flow_policy *p)
{
    p->keys[0].budget = EMPTY;
}
static void lower_budget(struct flow_policy *p)
{
    p->keys[0].budget = CALLS * 40000 + 1000; /* what was spent, and less than a call more */
}
static void empty_team_budget(struct flow_policy *p)
{
    p->teams[0].budget = EMPTY;
}
static void lower_rate(struct flow_policy *p)
{
    p->keys[0].rpm = 1;
}
static void lower_parallel(struct flow_policy *p)
{
    p->keys[0].parallel = 1;
}

enum what_goes_on { CUT, GOES_ON };

static const struct row {
    const char *name;
    void (*change)(struct flow_policy *p);
    unsigned status; /* of the next call; 0: it goes to another upstream */
    const char *code;
    enum what_goes_on
        stream; /* under way; a budget that was reserved in, and a limit, let it go on */
} rows[] = {
    {"revoke the key", revoke_key, 401, "invalid_api_key", CUT},
    {"block the key", block_key, 401, "invalid_api_key", CUT},
    {"block the agent", block_agent, 401, "invalid_api_key", CUT},
    {"block the team", block_team, 401, "invalid_api_key", CUT},
    {"let the key expire", expire, 401, "invalid_api_key", CUT},
    {"remove the agent", remove_agent, 401, "invalid_api_key", CUT},
    {"remove the grants", remove_grants, 404, "model_not_found", CUT},
    {"list other models", list_other_models, 404, "model_not_found", CUT},
    {"list no models", list_no_models, 404, "model_not_found", CUT},
    {"move the agent", move_agent, 404, "model_not_found", CUT},
    {"take the task away", take_task, 403, "task_not_allowed", CUT},
    {"remove the model", remove_model, 404, "model_not_found", CUT},
    {"move the model to another provider", move_model, 0, NULL, CUT},
    {"take the price away", take_price, 400, "unbounded_cost", GOES_ON},
    {"empty the budget", empty_budget, 429, "budget_exceeded", GOES_ON},
    {"lower the budget", lower_budget, 429, "budget_exceeded", GOES_ON},
    {"empty the team's budget", empty_team_budget, 429, "budget_exceeded", GOES_ON},
    {"lower the rate", lower_rate, 429, "rate_limit_exceeded", GOES_ON},
    {"lower the parallel calls", lower_parallel, 429, "parallel_limit_exceeded", GOES_ON},
};

static void forget(struct flow *k, struct flow_client *c)
{
    k->client_count--; /* the next one may have its place */
    if (c->stream)
        stream_close(&c->stream);
    buf_fini(&c->got);
    buf_fini(&c->body);
    buf_fini(&c->head_bytes);
}

static void expect_refused(struct flow *k, const struct row *row, const char *when)
{
    size_t before = k->upstreams[0].call_count;
    struct flow_client *c = client_posts(k, "alice", CHAT, TASK, HELLO);
    if (row->status == 0) {
        size_t elsewhere = k->upstreams[2].call_count;
        upstream_answers(k, 2, 200, RESPONSE);
        expect_status(c, 200);
        assert_int_equal(k->upstreams[2].call_count, elsewhere + 1);
    } else {
        uint64_t began = flow_now_ms();
        while (!c->whole && !c->closed && flow_now_ms() < began + FLOW_WAIT_MS)
            flow_turn(k);
        if (!c->has_head || c->head.status != row->status ||
            slice_search(buf_slice(&c->body), slice_str(row->code)) < 0)
            fail_msg("%s, %s: %u %.*s", row->name, when, c->head.status,
                     SLICE_ARG(buf_slice(&c->body)));
    }
    if (k->upstreams[0].call_count != before)
        fail_msg("%s, %s: the upstream was called", row->name, when);
    forget(k, c);
}

static void call_once(struct flow *k)
{
    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *c = client_posts(k, "alice", CHAT, TASK, HELLO);
    expect_status(c, 200);
    forget(k, c);
}

static struct flow_client *open_stream(struct flow *k)
{
    upstream_forget_script(k, 0);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK);
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, TASK, STREAM);
    WAIT(k, c->has_head && c->body.len);
    return c;
}

static void try_row(struct flow *k, const struct row *row)
{
    struct flow_policy narrow = wide;
    row->change(&narrow);
    policy_says(k, &wide);
    for (int i = 0; i < CALLS; i++)
        call_once(k);
    struct flow_client *c = open_stream(k);
    size_t last = k->upstreams[0].call_count - 1;
    policy_says(k, &narrow);
    if (row->stream == CUT)
        WAIT(k, c->whole && k->upstreams[0].calls[last].cut);
    else if (k->upstreams[0].calls[last].cut || c->whole)
        fail_msg("%s: a stream was cut", row->name);
    struct flow_client *kept = c;
    expect_refused(k, row, "with a stream open");
    client_hangs_up(kept);
    WAIT(k, k->env.request_count == 0);
    if (row->change != lower_parallel) /* there is none now */
        expect_refused(k, row, "alone");
    forget(k, kept);
}

static void nothing_is_admitted_that_the_new_version_would_not_admit(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct flow *k = flow_open();
        try_row(k, &rows[i]);
        flow_close(k);
    }
}

/* ---- the same of a company API ---- */

static void remove_service(struct flow_policy *p)
{
    p->services[0].name = "erp";
}
static void move_service(struct flow_policy *p)
{
    p->services[0].base = "/elsewhere";
}
static void narrow_service(struct flow_policy *p)
{
    p->services[0].routes[0] = (struct flow_route){.path = "/other"};
}
static void narrow_grant(struct flow_policy *p)
{
    p->grants[1].routes[0] = (struct flow_route){.path = "/other"};
}

static const struct {
    const char *name;
    void (*change)(struct flow_policy *p);
} of_services[] = {
    {"revoke the key", revoke_key},
    {"remove the grants", remove_grants},
    {"remove the service", remove_service},
    {"move the service", move_service},
    {"narrow the service's routes", narrow_service},
    {"narrow the grant's routes", narrow_grant},
};

static void a_call_of_a_service_is_cut_by_what_would_not_let_it_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(of_services); i++) {
        struct flow *k = flow_open();
        struct flow_policy narrow = wide;
        of_services[i].change(&narrow);
        policy_says(k, &wide);
        upstream_hangs(k, 1);
        struct flow_client *c = client_asks(k, "GET", "alice", "/api/crm/x", TASK);
        WAIT(k, k->upstreams[1].call_count == 1);
        policy_says(k, &narrow);
        WAIT(k, c->whole && k->upstreams[1].calls[0].cut);
        if (c->head.status < 400)
            fail_msg("%s: %u", of_services[i].name, c->head.status);
        flow_close(k);
    }
}

/* ---- the same of a tool server ---- */

#define MCP "/mcp/tools"
#define INITIALIZE                                                                                 \
    "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"method\":\"initialize\",\"params\":{"                     \
    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"                                      \
    "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}"
#define INITIALIZED "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define ECHO                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"method\":\"tools/call\",\"params\":{\"name\":\"echo\"}}"

static struct mcp_upstream tools;

static struct flow_policy wide_with_tools(void)
{
    struct flow_policy p = wide;
    p.servers[0] = (struct flow_server){.name = "tools", .port = tools.port};
    p.grants[2] =
        (struct flow_grant){.agent = "one", .task = "night", .server = "tools", .tools = {"echo"}};
    return p;
}

static void remove_tool_grant(struct flow_policy *p)
{
    p->grants[2] = (struct flow_grant){0};
}
static void grant_another_tool(struct flow_policy *p)
{
    p->grants[2].tools[0] = "other";
}
static void grant_on_another_task(struct flow_policy *p)
{
    p->tasks[1] = "day";
    p->grants[2].task = "day";
}
static void remove_server(struct flow_policy *p)
{
    p->servers[0].name = "others";
}
static void move_server(struct flow_policy *p)
{
    p->servers[0].port = 9; /* refused by the system */
}
static void give_the_agent_another_team(struct flow_policy *p)
{
    p->agents[0].team = "other";
    p->grants[2].agent = NULL;
    p->grants[2].team = "team";
}

static const struct tool_row {
    const char *name;
    void (*change)(struct flow_policy *p);
    const char *code; /* of the next call */
    enum what_goes_on stream;
} of_tools[] = {
    {"revoke the key", revoke_key, "invalid_api_key", CUT},
    {"block the key", block_key, "invalid_api_key", CUT},
    {"block the agent", block_agent, "invalid_api_key", CUT},
    {"block the team", block_team, "invalid_api_key", CUT},
    {"let the key expire", expire, "invalid_api_key", CUT},
    {"remove the agent", remove_agent, "invalid_api_key", CUT},
    {"take the task away", take_task, "task_not_allowed", CUT},
    {"remove the grant", remove_tool_grant, "server_not_found", CUT},
    {"grant it on another task", grant_on_another_task, "server_not_found", CUT},
    {"grant another tool", grant_another_tool, "Unknown tool", GOES_ON},
    {"remove the server", remove_server, "server_not_found", CUT},
    {"move the server", move_server, "", CUT},
    {"give the agent another team", give_the_agent_another_team, "server_not_found", CUT},
};

static char *open_session(struct flow *k)
{
    static char headers[900];
    struct flow_client *c = client_posts(k, "alice", MCP, TASK, INITIALIZE);
    expect_status(c, 200);
    snprintf(headers, sizeof(headers), TASK "Mcp-Session-Id: %.*s\r\n",
             SLICE_ARG(client_header(c, "mcp-session-id")));
    expect_status(client_posts(k, "alice", MCP, headers, INITIALIZED), 202);
    return headers;
}

static void expect_tool_refused(struct flow *k, const struct tool_row *row, const char *session)
{
    size_t before = mcp_upstream_count(&tools, "tools/call", NULL);
    struct flow_client *c = client_posts(k, "alice", MCP, session, ECHO);
    WAIT(k, c->whole || c->closed);
    if (!c->has_head || slice_search(buf_slice(&c->body), slice_str(row->code)) < 0 ||
        (c->head.status == 200 && slice_search(buf_slice(&c->body), SLICE("rror\":")) < 0))
        fail_msg("%s: %u %.*s", row->name, c->head.status, SLICE_ARG(buf_slice(&c->body)));
    if (mcp_upstream_count(&tools, "tools/call", NULL) != before)
        fail_msg("%s: the server was called", row->name);
}

static void try_tool_row(struct flow *k, const struct tool_row *row)
{
    char headers[1000];
    struct mcp_heard *h;
    mcp_upstream_open(k, &tools);
    struct flow_policy p = wide_with_tools();
    policy_says(k, &p);
    char *session = open_session(k);
    snprintf(headers, sizeof(headers), "%sAccept: text/event-stream\r\n", session);
    struct flow_client *stream = client_asks(k, "GET", "alice", MCP, headers);
    WAIT(k, stream->has_head);
    mcp_upstream_hangs_on(&tools, "tools/call");
    struct flow_client *c = client_posts(k, "alice", MCP, session, ECHO);
    WAIT(k, mcp_upstream_count(&tools, "tools/call", &h) == 1);
    row->change(&p);
    uint64_t began = flow_now_ms();
    policy_says(k, &p);
    while (!(c->whole && h->cut && (stream->whole || row->stream == GOES_ON)) &&
           flow_now_ms() < began + FLOW_WAIT_MS)
        flow_turn(k);
    if (!c->whole || !h->cut)
        fail_msg("%s: a call goes on", row->name);
    if (stream->whole != (row->stream == CUT))
        fail_msg("%s: of the event stream", row->name);
    if (stream->whole && slice_search(buf_slice(&stream->body), SLICE("event: error")) < 0)
        fail_msg("%s: the event stream ended without a word", row->name);
    expect_tool_refused(k, row, session);
    mcp_upstream_close(&tools);
}

static void no_tool_is_called_that_the_new_version_would_not_admit(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(of_tools); i++) {
        struct flow *k = flow_open();
        try_tool_row(k, &of_tools[i]);
        flow_close(k);
    }
}

static void what_did_not_change_for_it_ends_nothing(void **state)
{
    (void)state;
    struct flow *k = flow_open();
    struct flow_policy p = wide;
    policy_says(k, &wide);
    struct flow_client *c = open_stream(k);
    p.keys[0].budget = 30 * MONEY_DOLLAR;
    p.keys[0].rpm = 2000;
    p.models[1] = (struct flow_model){.name = "new", .upstreams = {0}, .upstream_count = 1};
    p.services[0].base = "/elsewhere";
    policy_says(k, &p);
    for (int i = 0; i < 10; i++)
        flow_turn(k);
    assert_false(c->whole || c->closed);
    assert_false(k->upstreams[0].calls[0].cut);
    flow_close(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_admitted_that_the_new_version_would_not_admit),
        cmocka_unit_test(a_call_of_a_service_is_cut_by_what_would_not_let_it_in),
        cmocka_unit_test(no_tool_is_called_that_the_new_version_would_not_admit),
        cmocka_unit_test(what_did_not_change_for_it_ends_nothing),
    };
    return cmocka_run_group_tests_name("narrowing", tests, NULL, NULL);
}
