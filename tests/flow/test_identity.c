/* identity — the principal of a call, its session and task, and what it may use. */
#include <stdio.h>

#include "common/base/clock.h"
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"small\",\"messages\":[]}"
#define RESPONSE "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}"
#define SMALL                                                                                      \
    {                                                                                              \
        .name = "small", .upstreams = {0}, .upstream_count = 1                                     \
    }
#define LARGE                                                                                      \
    {                                                                                              \
        .name = "vendor/large", .upstreams = {0}, .upstream_count = 1                              \
    }

static const struct flow_policy two_agents = {
    .keys = {{.name = "alice", .agent = "one", .models = {"small"}},
             {.name = "bob", .agent = "two", .models = {"small"}},
             {.name = "carol", .agent = "one", .models = {"small"}}},
    .teams = {{.name = "team"}},
    .agents = {{.name = "one", .team = "team"}, {.name = "two", .team = "team"}},
    .models = {SMALL},
};

static struct flow_client *ask(struct flow *k, const char *key, const char *headers)
{
    if (!k->upstreams[0].step_count)
        upstream_answers(k, 0, 200, RESPONSE);
    return client_posts(k, key, CHAT, headers, HELLO);
}

FLOW(without_a_credential_nothing_is_read_but_the_head)
{
    policy_says(k, &two_agents);
    struct flow_client *c =
        client_says(k, "POST " CHAT " HTTP/1.1\r\nHost: g\r\nContent-Length: 1000000\r\n\r\n{");
    expect_status(c, 401);
    expect_code(c, "missing_credential");
}

FLOW(each_credential_header_is_read_and_bearer_ignored)
{
    static const char *const names[] = {"authorization",  "x-api-key",         "Api-Key",
                                        "X-Goog-Api-Key", "x-litellm-api-key", "x-bf-vk"};
    policy_says(k, &two_agents);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char line[160];
        snprintf(line, sizeof(line), "%s: %s%s\r\n", names[i], i % 2 ? "" : "Bearer ",
                 flow_secret(k, "alice"));
        expect_status(ask(k, NULL, line), 200);
    }
}

FLOW(an_unknown_key_is_a_401_in_the_dialect)
{
    policy_says(k, &two_agents);
    struct flow_client *c = ask(k, "nobody", NULL);
    expect_status(c, 401);
    expect_code(c, "invalid_api_key");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(two_credentials_of_different_principals_are_ambiguous)
{
    char line[120];
    policy_says(k, &two_agents);
    snprintf(line, sizeof(line), "x-api-key: %s\r\n", flow_secret(k, "bob"));
    struct flow_client *c = ask(k, "alice", line);
    expect_status(c, 401);
    expect_code(c, "ambiguous_credential");
}

FLOW(an_unknown_gateway_key_makes_another_ambiguous)
{
    char line[120];
    policy_says(k, &two_agents);
    snprintf(line, sizeof(line), "x-api-key: %s\r\n", flow_secret(k, "stranger"));
    struct flow_client *c = ask(k, "alice", line);
    expect_status(c, 401);
    expect_code(c, "ambiguous_credential");
}

FLOW(the_same_key_twice_and_a_placeholder_beside_it_are_fine_and_stay_here)
{
    char line[200];
    policy_says(k, &two_agents);
    snprintf(line, sizeof(line), "x-api-key: %s\r\napi-key: sk-placeholder\r\nCookie: a=b\r\n",
             flow_secret(k, "alice"));
    expect_status(ask(k, "alice", line), 200);
    const struct upstream_call *u = &k->upstreams[0].calls[0];
    assert_null(upstream_heard(u, "x-api-key").ptr);
    assert_null(upstream_heard(u, "api-key").ptr);
    assert_null(upstream_heard(u, "cookie").ptr);
    assert_true(slice_eq(upstream_heard(u, "authorization"),
                         SLICE("Bearer sk-upstream-secret-of-provider-0")));
    assert_true(slice_search(buf_slice(&u->bytes), slice_str(flow_secret(k, "alice"))) < 0);
}

FLOW(revoked_blocked_and_expired_keys_are_refused)
{
    struct flow_policy p = {
        .keys = {{.name = "revoked", .models = {"small"}, .revoked = true},
                 {.name = "blocked", .models = {"small"}, .blocked = true},
                 {.name = "expired", .models = {"small"}, .expires_at_us = 1000},
                 {.name = "later",
                  .models = {"small"},
                  .expires_at_us = clock_wall_us() + 3600000000}},
        .models = {SMALL},
    };
    policy_says(k, &p);
    expect_status(ask(k, "revoked", NULL), 401);
    expect_status(ask(k, "blocked", NULL), 401);
    expect_status(ask(k, "expired", NULL), 401);
    expect_status(ask(k, "later", NULL), 200);
}

FLOW(a_block_of_key_agent_or_team_is_a_401)
{
    static const struct flow_block blocks[] = {
        {"key", "k_alice"}, {"agent", "a_one"}, {"team", "t_team"}};
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        struct flow_policy p = two_agents;
        p.blocks[0] = blocks[i];
        policy_says(k, &p);
        expect_status(ask(k, "alice", NULL), 401);
    }
}

/* A worker remembers the principals of credentials (common/request/key_memo.h), for one policy. */
FLOW(a_key_that_was_served_is_refused_by_the_policy_that_blocks_it)
{
    struct flow_policy p = two_agents;
    policy_says(k, &p);
    expect_status(ask(k, "alice", NULL), 200);
    expect_status(ask(k, "alice", NULL), 200);
    p.blocks[0] = (struct flow_block){"agent", "a_one"};
    policy_says(k, &p);
    expect_status(ask(k, "alice", NULL), 401);
    expect_status(ask(k, "bob", NULL), 200);
    p.blocks[0] = (struct flow_block){0};
    policy_says(k, &p);
    expect_status(ask(k, "alice", NULL), 200);
}

FLOW(a_key_that_was_served_is_refused_once_it_expires)
{
    struct flow_policy p = two_agents;
    p.keys[0].expires_at_us = clock_wall_us() + 300 * 1000;
    policy_says(k, &p);
    if (ask(k, "alice", NULL)->head.status == 200) /* else the machine took all of that time */
        expect_status(ask(k, "alice", NULL), 200);
    WAIT(k, clock_wall_us() >= p.keys[0].expires_at_us);
    expect_status(ask(k, "alice", NULL), 401);
}

FLOW(a_key_that_differs_in_one_letter_from_one_that_was_served_is_unknown)
{
    char line[200];
    policy_says(k, &two_agents);
    expect_status(ask(k, "alice", NULL), 200);
    size_t len = (size_t)snprintf(line, sizeof(line), "x-api-key: %s", flow_secret(k, "alice"));
    for (size_t i = 0; i < 3; i++) { /* of the public part, the random one, the checksum */
        const size_t places[] = {len - 60, len - 20, len - 1};
        char was = line[places[i]];
        line[places[i]] = was == 'a' ? 'b' : 'a';
        memcpy(line + len, "\r\n", 3);
        expect_status(ask(k, NULL, line), 401);
        line[places[i]] = was;
    }
    memcpy(line + len, "\r\n", 3);
    expect_status(ask(k, NULL, line), 200);
}

FLOW(a_placeholder_beside_a_key_that_was_served_does_not_become_a_key)
{
    char line[200];
    policy_says(k, &two_agents);
    snprintf(line, sizeof(line), "x-api-key: sk-placeholder\r\napi-key: %s\r\n",
             flow_secret(k, "alice"));
    expect_status(ask(k, NULL, line), 200);
    snprintf(line, sizeof(line), "x-api-key: %s\r\napi-key: sk-placeholder\r\n",
             flow_secret(k, "alice"));
    expect_status(ask(k, NULL, line), 200);
    expect_status(ask(k, NULL, "api-key: sk-placeholder\r\n"), 401);
    expect_status(ask(k, NULL, "x-api-key: sk-placeholder\r\n"), 401);
}

FLOW(an_agent_this_plane_was_not_given_is_denied)
{
    struct flow_policy p = two_agents;
    p.agents[0] = (struct flow_agent){0};
    policy_says(k, &p);
    expect_status(ask(k, "alice", NULL), 401);
}

FLOW(a_stream_of_a_principal_that_is_blocked_ends_with_the_dialects_error)
{
    struct flow_policy p = two_agents;
    policy_says(k, &two_agents);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL,
                                         "{\"model\":\"small\",\"stream\":true,\"messages\":[]}");
    WAIT(k, c->has_head && c->body.len);

    p.blocks[0] = (struct flow_block){"agent", "a_one"};
    policy_says(k, &p);

    WAIT(k, c->whole && k->upstreams[0].calls[0].cut);
    assert_true(slice_search(buf_slice(&c->body),
                             SLICE("data: {\"error\":{\"message\":\"The credential is unknown, "
                                   "expired or revoked.\"")) > 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "cancelled");
    assert_string_equal(r->span->code, "invalid_api_key");
    assert_string_equal(r->attempts[0]->code, "revoked");
    flow_record_free(r);
}

FLOW(what_is_under_way_when_the_plane_ends_is_drained)
{
    policy_says(k, &two_agents);
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[0].call_count == 1);
    k->env.stopping = true;
    client_listener_close(&k->listener);
    WAIT(k, c->closed);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "cancelled");
    assert_string_equal(r->span->code, "drained");
    assert_string_equal(r->attempts[0]->code, "drained");
    flow_record_free(r);
}

FLOW(a_call_that_waits_for_its_upstream_is_refused_when_blocked)
{
    struct flow_policy p = two_agents;
    policy_says(k, &two_agents);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, "{\"choices\":[]}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[0].call_count == 1);
    p.keys[0].revoked = true;
    policy_says(k, &p);
    expect_status(c, 401);
    upstream_goes(k, 0);
    WAIT(k, k->env.request_count == 0);
}

FLOW(the_same_label_of_two_principals_is_two_sessions_and_of_one_is_one)
{
    policy_says(k, &two_agents);
    struct flow_client *a = ask(k, "alice", "x-gatehouse-session: demo\r\n");
    struct flow_client *b = ask(k, "bob", "x-gatehouse-session: demo\r\n");
    struct flow_client *same = ask(k, "carol", "x-session-id: demo\r\n");
    expect_status(a, 200);
    expect_status(b, 200);
    expect_status(same, 200);
    struct slice of_a = client_header(a, "x-gatehouse-session");
    assert_false(slice_eq(of_a, client_header(b, "x-gatehouse-session")));
    /* carol's key is of alice's agent: a session belongs to the agent */
    assert_true(slice_eq(of_a, client_header(same, "x-gatehouse-session")));
}

FLOW(a_session_id_sent_back_is_that_session_for_its_owner_only)
{
    char line[80];
    policy_says(k, &two_agents);
    struct flow_client *first = ask(k, "alice", "x-gatehouse-session: demo\r\n");
    expect_status(first, 200);
    struct slice id = client_header(first, "x-gatehouse-session");
    snprintf(line, sizeof(line), "x-gatehouse-session: %.*s\r\n", SLICE_ARG(id));
    struct flow_client *again = ask(k, "alice", line);
    struct flow_client *other = ask(k, "bob", line);
    expect_status(again, 200);
    expect_status(other, 200);
    assert_true(slice_eq(client_header(again, "x-gatehouse-session"), id));
    assert_false(slice_eq(client_header(other, "x-gatehouse-session"), id));
}

FLOW(an_invalid_label_of_our_own_header_is_a_400)
{
    policy_says(k, &two_agents);
    struct flow_client *c = ask(k, "alice", "x-gatehouse-session: a b\r\n");
    expect_status(c, 400);
    expect_body_has(c, "x-gatehouse-session must be");
}

static void expect_named(struct flow *k, const char *headers, const char *json, const char *by,
                         const char *external)
{
    if (!k->upstreams[0].step_count)
        upstream_answers(k, 0, 200, RESPONSE);
    expect_status(client_posts(k, "alice", CHAT, headers, json), 200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->named_by, by);
    if (external)
        assert_string_equal(r->span->external_id, external);
    else
        assert_null(r->span->external_id);
    flow_record_free(r);
}

FLOW(the_session_is_named_by_the_first_of_the_list)
{
    static const char body[] =
        "{\"model\":\"small\",\"metadata\":{\"session_id\":\"m\"},\"messages\":[]}";
    policy_says(k, &two_agents);
    expect_named(k, "session_id: s\r\nx-gatehouse-session: x\r\n", body, "x-gatehouse-session",
                 "x");
    expect_named(k, "baggage: a=b, session.id=bag;p=1\r\n", body, "baggage", "bag");
    expect_named(k, NULL, body, "metadata.session_id", "m");
    expect_named(k, NULL, "{\"model\":\"small\",\"prompt_cache_key\":\"p\",\"messages\":[]}",
                 "prompt_cache_key", "p");
    expect_named(k, NULL,
                 "{\"model\":\"small\",\"prompt_cache_key\":\"not a label\",\"messages\":[]}",
                 "prompt_cache_key", "sha256:750b4248042bf70e505b5de1e6a9c2bf");
    expect_named(k, NULL, HELLO, "hour", NULL);
}

FLOW(a_foreign_label_that_is_invalid_here_is_recorded_as_its_hash)
{
    char line[400];
    policy_says(k, &two_agents);
    expect_named(k, "session_id: user/42 | eve@example.org\r\n", HELLO, "session_id",
                 "sha256:108e27a126dd539f2faf0e4f6b8df7d7");
    snprintf(line, sizeof(line), "helicone-session-id: %0300d\r\n", 7);
    expect_named(k, line, HELLO, "helicone-session-id", "sha256:b8091716730038f34bb96087f092b940");
    expect_named(k, "x-session-id:\r\n", HELLO, "hour", NULL); /* empty: as if absent */
    expect_named(k, NULL,
                 "{\"model\":\"small\",\"metadata\":{\"session_id\":\"a/b\"},\"messages\":[]}",
                 "metadata.session_id", "sha256:c14cddc033f64b9dea80ea675cf280a0");
}

FLOW(a_traceparent_sets_trace_and_parent_and_goes_on_upstream)
{
    policy_says(k, &two_agents);
    expect_status(
        ask(k, "alice", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"),
        200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(r->span->parent, "b7ad6b7169203331");
    struct slice up = upstream_heard(&k->upstreams[0].calls[0], "traceparent");
    assert_true(slice_starts(up, SLICE("00-0af7651916cd43dd8448eb211c80319c-")));
    assert_true(slice_search(up, slice_str(r->attempts[0]->id)) > 0);
    flow_record_free(r);
}

FLOW(a_trace_names_the_session_only_where_the_agent_wants_it)
{
    struct flow_policy p = two_agents;
    p.agents[0].session_from_trace = true;
    policy_says(k, &p);
    expect_status(
        ask(k, "alice", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"),
        200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->named_by, "traceparent");
    assert_string_equal(r->span->external_id, "0af7651916cd43dd8448eb211c80319c");
    flow_record_free(r);
}

FLOW(a_blocked_session_is_unknown)
{
    struct flow_policy p = two_agents;
    char id[SESSION_ID_LEN + 1];
    policy_says(k, &two_agents);
    struct flow_client *c = ask(k, "alice", "x-gatehouse-session: demo\r\n");
    expect_status(c, 200);
    snprintf(id, sizeof(id), "%.*s", SLICE_ARG(client_header(c, "x-gatehouse-session")));
    p.blocks[0] = (struct flow_block){"session", id};
    policy_says(k, &p);
    expect_status(ask(k, "alice", "x-gatehouse-session: demo\r\n"), 404);
    expect_status(ask(k, "alice", "x-gatehouse-session: other\r\n"), 200);
}

FLOW(a_task_is_chosen_among_those_the_credential_lists)
{
    struct flow_policy p = {
        .keys = {{.name = "alice", .agent = "one", .models = {"small"}, .tasks = {"triage"}},
                 {.name = "bob", .agent = "one", .models = {"small"}}},
        .agents = {{.name = "one", .tasks = {"review"}}},
        .models = {SMALL},
        .tasks = {"triage", "review"},
    };
    policy_says(k, &p);
    expect_status(ask(k, "alice", "x-gatehouse-task: triage\r\n"), 200);
    expect_status(ask(k, "alice", "x-gatehouse-task: review\r\n"), 403);
    expect_status(ask(k, "bob", "x-gatehouse-task: review\r\n"), 200);
    struct flow_client *c = ask(k, "bob", "x-gatehouse-task: nonsense\r\n");
    expect_status(c, 403);
    expect_code(c, "task_not_allowed");
}

static void expect_model(struct flow *k, const char *key, const char *headers, const char *model,
                         unsigned status)
{
    char body[128];
    if (!k->upstreams[0].step_count)
        upstream_answers(k, 0, 200, RESPONSE);
    snprintf(body, sizeof(body), "{\"model\":\"%s\",\"messages\":[]}", model);
    struct flow_client *c = client_posts(k, key, CHAT, headers, body);
    expect_status(c, status);
    if (status == 404)
        expect_code(c, "model_not_found");
}

FLOW(a_keys_list_of_models_binds_it_and_denied_looks_like_unknown)
{
    struct flow_policy p = {
        .keys = {{.name = "exact", .models = {"small"}},
                 {.name = "prefix", .models = {"vendor/*"}},
                 {.name = "none", .models = {""}}},
        .models = {SMALL, LARGE},
    };
    policy_says(k, &p);
    expect_model(k, "exact", NULL, "small", 200);
    expect_model(k, "exact", NULL, "vendor/large", 404);
    expect_model(k, "exact", NULL, "nonsense", 404);
    expect_model(k, "prefix", NULL, "vendor/large", 200);
    expect_model(k, "prefix", NULL, "small", 404);
    expect_model(k, "none", NULL, "small", 404);
}

FLOW(a_key_without_a_list_has_what_its_team_or_a_grant_gives)
{
    struct flow_policy p = {
        .keys = {{.name = "alice", .agent = "one"},
                 {.name = "star", .agent = "one", .models = {"*"}}},
        .teams = {{.name = "team", .models = {"small"}}},
        .agents = {{.name = "one", .team = "team", .tasks = {"triage"}}},
        .models = {SMALL, LARGE},
        .grants = {{.agent = "one", .task = "triage", .models = {"vendor/*"}}},
        .tasks = {"triage"},
    };
    policy_says(k, &p);
    expect_model(k, "alice", NULL, "small", 200);
    expect_model(k, "star", NULL, "vendor/large", 404); /* a star is all the team may use */
    expect_model(k, "alice", NULL, "vendor/large", 404);
    expect_model(k, "alice", "x-gatehouse-task: triage\r\n", "vendor/large", 200);
}

FLOW(models_lists_what_the_caller_may_use_and_nothing_else)
{
    struct flow_policy p = {
        .keys = {{.name = "alice", .models = {"vendor/*"}}},
        .models = {SMALL, LARGE},
    };
    policy_says(k, &p);
    struct flow_client *list = client_gets(k, "alice", "/v1/models");
    struct flow_client *one = client_gets(k, "alice", "/v1/models/vendor/large");
    struct flow_client *other = client_gets(k, "alice", "/v1/models/small");
    expect_status(list, 200);
    expect_body(list,
                "{\"object\":\"list\",\"data\":[{\"id\":\"vendor/large\",\"object\":\"model\","
                "\"created\":0,\"owned_by\":\"gatehouse\"}]}");
    expect_status(one, 200);
    expect_status(other, 404);
    expect_code(other, "model_not_found");
}

FLOW(without_policy_the_plane_refuses_with_the_reason)
{
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 503);
    expect_code(c, "no_policy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(without_a_credential_nothing_is_read_but_the_head),
        SCENARIO(each_credential_header_is_read_and_bearer_ignored),
        SCENARIO(an_unknown_key_is_a_401_in_the_dialect),
        SCENARIO(two_credentials_of_different_principals_are_ambiguous),
        SCENARIO(an_unknown_gateway_key_makes_another_ambiguous),
        SCENARIO(the_same_key_twice_and_a_placeholder_beside_it_are_fine_and_stay_here),
        SCENARIO(revoked_blocked_and_expired_keys_are_refused),
        SCENARIO(a_block_of_key_agent_or_team_is_a_401),
        SCENARIO(a_key_that_was_served_is_refused_by_the_policy_that_blocks_it),
        SCENARIO(a_key_that_was_served_is_refused_once_it_expires),
        SCENARIO(a_key_that_differs_in_one_letter_from_one_that_was_served_is_unknown),
        SCENARIO(a_placeholder_beside_a_key_that_was_served_does_not_become_a_key),
        SCENARIO(an_agent_this_plane_was_not_given_is_denied),
        SCENARIO(a_stream_of_a_principal_that_is_blocked_ends_with_the_dialects_error),
        SCENARIO(what_is_under_way_when_the_plane_ends_is_drained),
        SCENARIO(a_call_that_waits_for_its_upstream_is_refused_when_blocked),
        SCENARIO(the_same_label_of_two_principals_is_two_sessions_and_of_one_is_one),
        SCENARIO(a_session_id_sent_back_is_that_session_for_its_owner_only),
        SCENARIO(an_invalid_label_of_our_own_header_is_a_400),
        SCENARIO(the_session_is_named_by_the_first_of_the_list),
        SCENARIO(a_foreign_label_that_is_invalid_here_is_recorded_as_its_hash),
        SCENARIO(a_traceparent_sets_trace_and_parent_and_goes_on_upstream),
        SCENARIO(a_trace_names_the_session_only_where_the_agent_wants_it),
        SCENARIO(a_blocked_session_is_unknown),
        SCENARIO(a_task_is_chosen_among_those_the_credential_lists),
        SCENARIO(a_keys_list_of_models_binds_it_and_denied_looks_like_unknown),
        SCENARIO(a_key_without_a_list_has_what_its_team_or_a_grant_gives),
        SCENARIO(models_lists_what_the_caller_may_use_and_nothing_else),
        SCENARIO(without_policy_the_plane_refuses_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
