/* rights — what ends a right ends what runs under it, with the dialect's error, and nothing else.
 */
#include "common/base/clock.h"
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define STREAM "{\"model\":\"small\",\"stream\":true,\"messages\":[]}"
#define CHUNK "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"

static const struct flow_policy granted = {
    .keys = {{.name = "alice", .agent = "one", .tasks = {"night"}},
             {.name = "bob", .agent = "two", .models = {"small"}}},
    .teams = {{.name = "team"}, {.name = "other", .models = {"none"}}},
    .agents = {{.name = "one", .team = "team"}, {.name = "two", .team = "team"}},
    .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
    .services = {{.name = "crm", .upstream = 1}},
    .grants = {{.agent = "one", .task = "night", .models = {"small"}},
               {.agent = "one", .task = "night", .service = "crm"}},
    .tasks = {"night"},
};

static struct flow_client *stream_of(struct flow *k, const char *key, const char *headers)
{
    upstream_forget_script(k, 0);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK);
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, key, CHAT, headers, STREAM);
    WAIT(k, c->has_head && c->body.len);
    return c;
}

static void revoke_key(struct flow_policy *p)
{
    p->keys[0].revoked = true;
}
static void remove_key(struct flow_policy *p)
{
    p->keys[0] = (struct flow_key){0};
    p->keys[0] = p->keys[1];
    p->keys[1] = (struct flow_key){0};
}
static void remove_agent(struct flow_policy *p)
{
    p->agents[0] = p->agents[1];
    p->agents[1] = (struct flow_agent){0};
}
static void remove_grant(struct flow_policy *p)
{
    p->grants[0] = p->grants[1];
    p->grants[1] = (struct flow_grant){0};
}
static void narrow_key(struct flow_policy *p)
{
    p->keys[0].models[0] = "another";
}
static void narrow_team(struct flow_policy *p)
{
    p->teams[0].models[0] = "another";
    p->grants[0].models[0] = "another";
}
static void move_agent(struct flow_policy *p)
{
    p->agents[0].team = "other";
    p->grants[0].models[0] = "another";
}
static void take_task(struct flow_policy *p)
{
    p->keys[0].tasks[0] = "";
}
static void remove_task(struct flow_policy *p)
{
    p->tasks[0] = NULL;
    p->keys[0].tasks[0] = "";
    p->grants[0] = p->grants[1] = (struct flow_grant){0};
}
static void remove_model(struct flow_policy *p)
{
    p->models[0].name = "another";
}
static void block_team(struct flow_policy *p)
{
    p->blocks[0] = (struct flow_block){"team", "t_team"};
}

static const struct {
    const char *name;
    void (*change)(struct flow_policy *p);
    const char *code;
} endings[] = {
    {"revoke", revoke_key, "invalid_api_key"},
    {"remove the key", remove_key, "invalid_api_key"},
    {"remove the agent", remove_agent, "invalid_api_key"},
    {"remove the grant", remove_grant, "model_not_found"},
    {"narrow the key's models", narrow_key, "model_not_found"},
    {"narrow the team's models", narrow_team, "model_not_found"},
    {"move the agent", move_agent, "model_not_found"},
    {"take the task from the key", take_task, "task_not_allowed"},
    {"remove the task", remove_task, "task_not_allowed"},
    {"remove the model", remove_model, "model_not_found"},
    {"block the team", block_team, "invalid_api_key"},
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

FLOW(a_stream_ends_with_the_dialects_error_whatever_ends_its_right)
{
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        struct flow_policy p = granted;
        policy_says(k, &granted);
        struct flow_client *c = stream_of(k, "alice", "x-gatehouse-task: night\r\n");
        endings[i].change(&p);
        policy_says(k, &p);
        uint64_t began = flow_now_ms();
        while (!c->whole && !c->closed && flow_now_ms() < began + FLOW_WAIT_MS)
            flow_turn(k);
        char code[64];
        snprintf(code, sizeof(code), "\"code\":\"%s\"}}\n\n", endings[i].code);
        if (!c->whole || slice_search(buf_slice(&c->body), slice_str(code)) < 0)
            fail_msg("%s: whole %d, body %.*s", endings[i].name, c->whole,
                     SLICE_ARG(buf_slice(&c->body)));
        size_t last = k->upstreams[0].call_count - 1;
        WAIT(k, k->upstreams[0].calls[last].cut);
        Gatehouse__JournalRecord *r = flow_record(k);
        if (strcmp(r->span->code, endings[i].code) != 0 ||
            strcmp(r->attempts[0]->code, "revoked") != 0)
            fail_msg("%s: recorded as %s", endings[i].name, r->span->code);
        flow_record_free(r);
        forget(k, c);
    }
}

FLOW(what_changes_elsewhere_ends_nothing)
{
    struct flow_policy p = granted;
    policy_says(k, &granted);
    struct flow_client *c = stream_of(k, "bob", NULL);
    p.keys[0].revoked = true;
    p.grants[0] = p.grants[1] = (struct flow_grant){0};
    p.models[1] = (struct flow_model){.name = "new", .upstreams = {0}, .upstream_count = 1};
    policy_says(k, &p);
    upstream_goes(k, 0);
    for (int i = 0; i < 5; i++)
        flow_turn(k);
    assert_int_equal(k->env.request_count, 1);
    assert_false(c->whole || c->closed);
}

FLOW(a_stream_ends_when_its_key_expires)
{
    struct flow_policy p = granted;
    p.keys[1].expires_at_us = clock_wall_us() + 300 * 1000;
    policy_says(k, &p);
    struct flow_client *c = stream_of(k, "bob", NULL);
    WAIT(k, c->whole);
    expect_body_has(c, "\"code\":\"invalid_api_key\"");
    assert_true(clock_wall_us() >= p.keys[1].expires_at_us);
}

FLOW(a_body_that_arrives_after_its_right_ended_is_refused)
{
    struct flow_policy p = granted;
    char head[400];
    policy_says(k, &granted);
    snprintf(head, sizeof(head),
             "POST " CHAT " HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer %s\r\n"
             "Content-Length: %zu\r\n\r\n",
             flow_secret(k, "bob"), strlen(STREAM));
    struct flow_client *c = client_says(k, head);
    WAIT(k, k->env.request_count == 1);
    p.keys[1].models[0] = "another";
    policy_says(k, &p);
    assert_int_equal(k->env.request_count, 1); /* its body may name what is still granted */
    client_adds(c, STREAM);
    expect_status(c, 404);
    expect_code(c, "model_not_found");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_call_of_a_service_that_is_not_granted_any_more_is_refused_or_cut)
{
    struct flow_policy p = granted;
    policy_says(k, &granted);
    upstream_hangs(k, 1);
    struct flow_client *c =
        client_asks(k, "GET", "alice", "/api/crm/x", "x-gatehouse-task: night\r\n");
    WAIT(k, k->upstreams[1].call_count == 1);
    p.grants[1] = (struct flow_grant){0};
    policy_says(k, &p);
    expect_status(c, 404);
    expect_code(c, "service_not_found");
    WAIT(k, k->upstreams[1].calls[0].cut);
}

FLOW(a_plane_that_ends_reports_the_calls_it_cuts)
{
    policy_says(k, &granted);
    struct flow_client *stream = stream_of(k, "bob", NULL);
    struct flow_client *call =
        client_asks(k, "GET", "alice", "/api/crm/x", "x-gatehouse-task: night\r\n");
    upstream_hangs(k, 1);
    WAIT(k, k->upstreams[1].call_count == 1);
    assert_int_equal(request_cut_drained(&k->env), 2);
    client_listener_close(&k->listener);
    expect_status(call, 503);
    expect_code(call, "drained");
    WAIT(k, stream->whole);
    expect_body_has(stream, "\"code\":\"drained\"");
    for (int i = 0; i < 2; i++) {
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_string_equal(r->span->code, "drained");
        assert_string_equal(r->attempts[0]->code, "drained");
        flow_record_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_stream_ends_with_the_dialects_error_whatever_ends_its_right),
        SCENARIO(what_changes_elsewhere_ends_nothing),
        SCENARIO(a_stream_ends_when_its_key_expires),
        SCENARIO(a_body_that_arrives_after_its_right_ended_is_refused),
        SCENARIO(a_plane_that_ends_reports_the_calls_it_cuts),
        SCENARIO(a_call_of_a_service_that_is_not_granted_any_more_is_refused_or_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
