/* route — a model's targets by what is known of them, and by what a call's team, headers, metadata
 * and needs allow; and what its span tells of that. */
#include <stdio.h>

#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"smart\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define STREAM                                                                                     \
    "{\"model\":\"smart\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}" \
    "]}"
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}"
#define CHUNK "data: {\"choices\":[{\"delta\":{\"content\":\"one two\"}}]}\n\n"
#define LAST                                                                                       \
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],"                              \
    "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n"

/* A policy with one key, its team, and the model "smart" over two upstreams. */
static struct flow_policy two(void (*model)(Gatehouse__Model *m), void (*team)(Gatehouse__Team *t))
{
    return (struct flow_policy){
        .keys = {{.name = "alice", .team = "sales", .models = {"smart"}}},
        .teams = {{.name = "sales", .models = {"smart"}, .also = team}},
        .models = {{.name = "smart",
                    .target_model = "x",
                    .upstreams = {0, 1},
                    .upstream_count = 2,
                    .also = model}},
    };
}

static void answer_both(struct flow *k)
{
    upstream_answers(k, 0, 200, RESPONSE);
    upstream_answers(k, 1, 200, RESPONSE);
}

static void expect_provider(struct flow_client *c, const char *provider)
{
    expect_status(c, 200);
    struct slice said = client_header(c, "x-gatehouse-provider");
    if (!slice_eq(said, slice_str(provider)))
        fail_msg("%.*s, not %s", SLICE_ARG(said), provider);
}

static void expect_event(struct flow *k, const char *text)
{
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_int_equal(r->span->n_events, 1);
    assert_string_equal(r->span->events[0]->name, "route");
    assert_true(r->span->events[0]->at_us >= r->span->started_at_us);
    if (!strstr(r->span->events[0]->detail, text))
        fail_msg("no \"%s\" in \"%s\"", text, r->span->events[0]->detail);
    flow_record_free(r);
}

/* ---- by what is known of targets ---- */

static void by_latency(Gatehouse__Model *m)
{
    m->strategy = "lowest_latency";
}

static void stream_slowly(struct flow *k, size_t i, unsigned ms)
{
    upstream_opens_stream(k, i);
    upstream_rests(k, i, ms);
    upstream_sends(k, i, CHUNK);
    upstream_sends(k, i, LAST);
    upstream_ends_stream(k, i);
}

FLOW(streams_go_to_the_target_whose_first_content_came_soonest)
{
    struct flow_policy p = two(by_latency, NULL);
    policy_says(k, &p);
    stream_slowly(k, 0, 400);
    stream_slowly(k, 1, 0);
    k->upstreams[0].forgets = k->upstreams[1].forgets = true;
    unsigned fast = 0;
    for (int i = 0; i < 16; i++) {
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
        expect_status(c, 200);
        WAIT(k, k->env.request_count == 0);
        fast += slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-1"));
        client_is_forgotten(c);
    }
    /* until both were measured, and one call of 64, they are alike */
    assert_in_range(fast, 8, 16);
}

static unsigned limited_calls;

static void first_is_limited(struct upstream *u, const struct upstream_call *c, struct buf *out)
{
    bool is_second = slice_search(upstream_heard(c, "authorization"), SLICE("sk-second")) >= 0;
    (void)u;
    limited_calls += !is_second;
    if (is_second)
        upstream_reply(out, 200, "", RESPONSE);
    else
        upstream_reply(out, 429, "retry-after: 30\r\n", "{\"error\":{\"message\":\"slow\"}}");
}

FLOW(a_credential_at_its_limit_is_passed_over_by_the_calls_that_follow)
{
    struct flow_policy p = two(NULL, NULL);
    p.providers[0].second_secret = "sk-second-credential";
    p.providers[0].second_shares = true;
    p.models[0].upstream_count = 1;
    policy_says(k, &p);
    k->upstreams[0].reply = first_is_limited;
    limited_calls = 0;
    for (int i = 0; i < 20; i++) { /* drawn by half of them, if it were not cooling */
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
        WAIT(k, c->whole);
        client_is_forgotten(c);
    }
    assert_in_range(limited_calls, 0, 1);
}

FLOW(a_target_that_is_cooling_is_tried_last)
{
    struct flow_policy p = two(NULL, NULL);
    policy_says(k, &p);
    upstream_answers_with(k, 0, 429, "retry-after: 30\r\n", "{\"error\":{\"message\":\"slow\"}}");
    upstream_answers(k, 1, 200, RESPONSE);
    expect_provider(client_posts(k, "alice", CHAT, NULL, HELLO), "provider-1");
    assert_int_equal(k->upstreams[0].call_count, 1);
    flow_record_free(flow_record(k));
    expect_provider(client_posts(k, "alice", CHAT, NULL, HELLO), "provider-1");
    assert_int_equal(k->upstreams[0].call_count, 1);
    expect_event(k, "strategy=fallback order=provider-1/x@main,provider-0/x@main(cooling)");
}

/* ---- residency ---- */

static void in_eu(Gatehouse__Team *t)
{
    static char *regions[] = {"eu"};
    t->n_regions = 1;
    t->regions = regions;
}

static void demands_no_training(Gatehouse__Team *t)
{
    static char *demands[] = {"no_training"};
    t->n_data_policy = 1;
    t->data_policy = demands;
}

static void second_in_eu(Gatehouse__Model *m)
{
    m->targets[0]->region = "us";
    m->targets[1]->region = "eu";
}

static void none_in_eu(Gatehouse__Model *m)
{
    m->targets[0]->region = "us";
}

static void promises_no_training(Gatehouse__Provider *p)
{
    static char *promises[] = {"no_training"};
    p->n_data_policy = 1;
    p->data_policy = promises;
}

FLOW(a_teams_calls_go_to_its_regions_alone)
{
    struct flow_policy p = two(second_in_eu, in_eu);
    policy_says(k, &p);
    answer_both(k);
    expect_provider(client_posts(k, "alice", CHAT, NULL, HELLO), "provider-1");
    expect_event(k, "order=provider-1/x@main excluded=provider-0/x(region)");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_call_that_no_region_of_its_team_can_serve_is_refused)
{
    struct flow_policy p = two(none_in_eu, in_eu);
    policy_says(k, &p);
    answer_both(k);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 403);
    expect_code(c, "region_not_allowed");
    p.models[0].upstream_count = 1; /* nor where there is but one */
    policy_says(k, &p);
    c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 403);
    expect_code(c, "region_not_allowed");
    assert_int_equal(k->upstreams[0].call_count + k->upstreams[1].call_count, 0);
}

FLOW(a_credential_in_another_region_is_not_tried_after_one_that_was_refused)
{
    struct flow_policy p = two(NULL, in_eu);
    p.providers[0].region = "eu";
    p.providers[0].second_secret = "sk-second-credential"; /* of no region */
    p.models[0].upstream_count = 1;
    policy_says(k, &p);
    upstream_answers(k, 0, 401, "{\"error\":{\"message\":\"bad key\"}}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, c->whole);
    assert_true(c->head.status >= 500);
    assert_int_equal(k->upstreams[0].call_count, 1);
}

static void one_call_a_minute_in_eu(Gatehouse__Provider *p)
{
    p->credentials[0]->region = "eu";
    p->credentials[0]->has_rpm = true;
    p->credentials[0]->rpm = 1;
    p->credentials[1]->region = "us";
}

FLOW(a_credential_in_another_region_is_not_taken_for_its_room)
{
    struct flow_policy p = two(NULL, in_eu);
    p.providers[0].second_secret = "sk-second-credential";
    p.providers[0].second_shares = true;
    p.providers[0].also = one_call_a_minute_in_eu;
    p.models[0].upstream_count = 1;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    for (int i = 0; i < 4; i++) {
        struct flow_client *c = client_posts(k, "alice", CHAT, "x-stainless-timeout: 2\r\n", HELLO);
        WAIT(k, c->whole);
        assert_int_equal(c->head.status, i ? 429 : 200);
    }
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(a_team_that_demands_no_training_gets_what_promises_it)
{
    struct flow_policy p = two(NULL, demands_no_training);
    p.providers[1].also = promises_no_training;
    policy_says(k, &p);
    answer_both(k);
    expect_provider(client_posts(k, "alice", CHAT, NULL, HELLO), "provider-1");
    p.providers[1].also = NULL;
    policy_says(k, &p);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 403);
    expect_code(c, "data_policy_not_met");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_stream_is_cut_when_its_region_is_taken_from_its_team)
{
    struct flow_policy p = two(second_in_eu, in_eu);
    policy_says(k, &p);
    upstream_opens_stream(k, 1);
    upstream_sends(k, 1, CHUNK);
    upstream_hangs(k, 1);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    WAIT(k, c->body.len > 0);
    p = two(none_in_eu, in_eu);
    policy_says(k, &p);
    WAIT(k, k->env.request_count == 0);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

/* ---- conditions, needs, prices ---- */

static void gold_goes_second(Gatehouse__Model *m)
{
    static Gatehouse__Pair tier = {.base = PROTOBUF_C_MESSAGE_INIT(&gatehouse__pair__descriptor),
                                   .name = "x-tier",
                                   .value = "gold"};
    static Gatehouse__Pair customer = {.base =
                                           PROTOBUF_C_MESSAGE_INIT(&gatehouse__pair__descriptor),
                                       .name = "customer.id",
                                       .value = "7"};
    static Gatehouse__Pair *headers[] = {&tier}, *metadata[] = {&customer};
    static Gatehouse__When gold, acme;
    gatehouse__when__init(&gold);
    gatehouse__when__init(&acme);
    gold.n_headers = 1;
    gold.headers = headers;
    acme.n_metadata = 1;
    acme.metadata = metadata;
    m->targets[0]->when = &gold;
    m->targets[1]->when = &acme;
}

FLOW(a_target_is_tried_where_its_condition_holds)
{
    struct flow_policy p = two(gold_goes_second, NULL);
    policy_says(k, &p);
    answer_both(k);
    expect_provider(client_posts(k, "alice", CHAT, "x-tier: gold\r\n", HELLO), "provider-0");
    expect_provider(
        client_posts(k, "alice", CHAT, NULL,
                     "{\"model\":\"smart\",\"metadata\":{\"a\":1,\"customer.id\":\"7\"},"
                     "\"messages\":[]}"),
        "provider-1");
    struct flow_client *c = client_posts(k, "alice", CHAT, "x-tier: silver\r\n", HELLO);
    expect_status(c, 503);
    expect_body_has(c, "conditions of its targets do not hold");
}

static void first_is_blind(Gatehouse__Model *m)
{
    static char *tools[] = {"tools"}, *all[] = {"tools", "vision", "json_schema"};
    m->targets[0]->has_capabilities_set = m->targets[1]->has_capabilities_set = true;
    m->targets[0]->capabilities_set = m->targets[1]->capabilities_set = true;
    m->targets[0]->n_capabilities = 1;
    m->targets[0]->capabilities = tools;
    m->targets[1]->n_capabilities = 3;
    m->targets[1]->capabilities = all;
}

#define IMAGE                                                                                      \
    "{\"model\":\"smart\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","  \
    "\"image_url\":{\"url\":\"https://a.test/i.png\"}}]}]}"
#define SCHEMA                                                                                     \
    "{\"model\":\"smart\",\"messages\":[],\"response_format\":{\"type\":\"json_schema\","          \
    "\"json_schema\":{\"name\":\"a\",\"schema\":{}}}}"
#define TOOLS                                                                                      \
    "{\"model\":\"smart\",\"messages\":[],\"tools\":[{\"type\":\"function\",\"function\":{"        \
    "\"name\":\"f\"}}]}"
#define AUDIO                                                                                      \
    "{\"model\":\"smart\",\"messages\":[],\"modalities\":[\"text\",\"audio\"],\"audio\":{"         \
    "\"voice\":\"alloy\",\"format\":\"wav\"}}"

FLOW(a_call_goes_to_a_target_that_has_the_capability_it_needs)
{
    struct flow_policy p = two(first_is_blind, NULL);
    policy_says(k, &p);
    answer_both(k);
    expect_provider(client_posts(k, "alice", CHAT, NULL, HELLO), "provider-0");
    flow_record_free(flow_record(k));
    expect_provider(client_posts(k, "alice", CHAT, NULL, IMAGE), "provider-1");
    expect_event(k, "excluded=provider-0/x(capability)");
    expect_provider(client_posts(k, "alice", CHAT, NULL, SCHEMA), "provider-1");
    expect_provider(client_posts(k, "alice", CHAT, NULL, TOOLS), "provider-0");
    /* what none of them has, the provider itself refuses, or not */
    expect_provider(client_posts(k, "alice", CHAT, NULL, AUDIO), "provider-0");
}

static void first_is_short(Gatehouse__Model *m)
{
    m->targets[0]->has_context_tokens = m->targets[0]->has_max_output_tokens = true;
    m->targets[0]->context_tokens = 200;
    m->targets[0]->max_output_tokens = 1000;
}

FLOW(a_prompt_goes_where_it_fits_and_so_does_the_output)
{
    char body[4096], text[3000];
    struct flow_policy p = two(first_is_short, NULL);
    policy_says(k, &p);
    answer_both(k);
    expect_provider(client_posts(k, "alice", CHAT, NULL, HELLO), "provider-0");
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    snprintf(body, sizeof(body),
             "{\"model\":\"smart\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", text);
    expect_provider(client_posts(k, "alice", CHAT, NULL, body), "provider-1");
    expect_provider(client_posts(k, "alice", CHAT, NULL,
                                 "{\"model\":\"smart\",\"max_tokens\":2000,\"messages\":[]}"),
                    "provider-1");
}

static void cheap_alone(Gatehouse__Model *m)
{
    m->targets[0]->model = "dear";
    m->targets[1]->model = "cheap";
    m->price = NULL;
    m->has_max_price_input = true;
    m->max_price_input = 3000000;
}

static void cheapest(Gatehouse__Model *m)
{
    cheap_alone(m);
    m->has_max_price_input = false;
    m->strategy = "lowest_cost";
}

FLOW(what_is_dearer_than_the_ceiling_is_not_tried_and_the_cheapest_is_tried_first)
{
    struct flow_policy p = two(cheap_alone, NULL);
    p.prices[0] = (struct flow_price){.pattern = "dear", .input = 10, .output = 10};
    p.prices[1] = (struct flow_price){.pattern = "cheap", .input = 2, .output = 4};
    policy_says(k, &p);
    answer_both(k);
    expect_provider(client_posts(k, "alice", CHAT, NULL, HELLO), "provider-1");
    expect_event(k, "excluded=provider-0/dear(price)");
    p.models[0].also = cheapest;
    policy_says(k, &p);
    expect_provider(client_posts(k, "alice", CHAT, NULL, HELLO), "provider-1");
    expect_event(k, "strategy=lowest_cost order=provider-1/cheap@main:");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

/* ---- models within models, and callers that stay ---- */

static void inner_first(Gatehouse__Model *m)
{
    m->targets[0]->provider_id = m->targets[0]->model = NULL;
    m->targets[0]->target_model_id = "m_inner";
}

FLOW(a_target_that_is_a_model_is_replaced_by_its_targets)
{
    struct flow_policy p = two(inner_first, NULL);
    p.models[0].upstreams[1] = 0;
    p.models[1] = (struct flow_model){
        .name = "inner", .target_model = "y", .upstreams = {1, 2}, .upstream_count = 2};
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    upstream_answers(k, 1, 500, "{\"error\":{\"message\":\"broken\"}}");
    upstream_answers(k, 2, 500, "{\"error\":{\"message\":\"broken\"}}");
    /* "inner" itself is not granted to the key: only what leads through "smart" is */
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_provider(c, "provider-0");
    assert_true(slice_eq(client_header(c, "x-gatehouse-attempts"), SLICE("3")));
    expect_event(k, "order=provider-1/y@main,provider-2/y@main,provider-0/x@main");
}

/* The client's model has not changed, and leads nowhere else by itself. */
FLOW(a_stream_is_cut_when_the_model_within_leads_elsewhere)
{
    struct flow_policy p = two(inner_first, NULL);
    p.models[0].upstreams[1] = 0;
    p.models[1] = (struct flow_model){
        .name = "inner", .target_model = "y", .upstreams = {1}, .upstream_count = 1};
    policy_says(k, &p);
    upstream_opens_stream(k, 1);
    upstream_sends(k, 1, CHUNK);
    upstream_hangs(k, 1);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    WAIT(k, c->body.len > 0);
    p.models[1].upstreams[0] = 2;
    policy_says_of_model(k, &p, 1);
    WAIT(k, k->env.request_count == 0);
}

static void cheap_within(Gatehouse__Model *m)
{
    inner_first(m);
    m->price = NULL;
    m->targets[1]->model = "cheap";
    m->has_max_price_input = true;
    m->max_price_input = 3000000;
}

/* A model behind which there is a dearer target has no ceiling of its own. */
FLOW(a_price_ceiling_holds_for_the_models_within)
{
    struct flow_policy p = two(cheap_within, NULL);
    p.models[0].upstreams[1] = 0;
    p.models[1] = (struct flow_model){.name = "inner",
                                      .target_models = (const char *const[]){"dear", "cheap"},
                                      .upstreams = {1, 2},
                                      .upstream_count = 2,
                                      .no_price = true};
    p.prices[0] = (struct flow_price){.pattern = "dear", .input = 10, .output = 10};
    p.prices[1] = (struct flow_price){.pattern = "cheap", .input = 2, .output = 4};
    policy_says(k, &p);
    answer_both(k);
    upstream_answers(k, 2, 200, RESPONSE);
    expect_provider(client_posts(k, "alice", CHAT, NULL, HELLO), "provider-2");
    p.models[1].upstream_count = 1;
    policy_says(k, &p);
    expect_provider(client_posts(k, "alice", CHAT, NULL, HELLO), "provider-0");
    assert_int_equal(k->upstreams[1].call_count, 0);
}

static void sticky_halves(Gatehouse__Model *m)
{
    m->sticky = "session";
}

FLOW(a_session_stays_with_its_target_and_sessions_share_by_weight)
{
    static const uint32_t weights[] = {1, 1};
    unsigned hits[2] = {0};
    struct flow_policy p = two(sticky_halves, NULL);
    p.models[0].weights = weights;
    policy_says(k, &p);
    answer_both(k);
    k->upstreams[0].forgets = k->upstreams[1].forgets = true;
    for (int session = 0; session < 40; session++) {
        char header[64];
        struct slice first = SLICE_NONE;
        char name[32];
        snprintf(header, sizeof(header), "x-gatehouse-session: s%d\r\n", session);
        for (int i = 0; i < 3; i++) {
            struct flow_client *c = client_posts(k, "alice", CHAT, header, HELLO);
            expect_status(c, 200);
            struct slice said = client_header(c, "x-gatehouse-provider");
            if (!i) {
                memcpy(name, said.ptr, said.len);
                first = slice_of(name, said.len);
                hits[said.ptr[said.len - 1] - '0']++;
            }
            assert_true(slice_eq(said, first));
            client_is_forgotten(c);
        }
    }
    assert_int_equal(hits[0] + hits[1], 40);
    assert_in_range(hits[0], 8, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(streams_go_to_the_target_whose_first_content_came_soonest),
        SCENARIO(a_credential_at_its_limit_is_passed_over_by_the_calls_that_follow),
        SCENARIO(a_target_that_is_cooling_is_tried_last),
        SCENARIO(a_teams_calls_go_to_its_regions_alone),
        SCENARIO(a_call_that_no_region_of_its_team_can_serve_is_refused),
        SCENARIO(a_credential_in_another_region_is_not_tried_after_one_that_was_refused),
        SCENARIO(a_credential_in_another_region_is_not_taken_for_its_room),
        SCENARIO(a_team_that_demands_no_training_gets_what_promises_it),
        SCENARIO(a_stream_is_cut_when_its_region_is_taken_from_its_team),
        SCENARIO(a_target_is_tried_where_its_condition_holds),
        SCENARIO(a_call_goes_to_a_target_that_has_the_capability_it_needs),
        SCENARIO(a_prompt_goes_where_it_fits_and_so_does_the_output),
        SCENARIO(what_is_dearer_than_the_ceiling_is_not_tried_and_the_cheapest_is_tried_first),
        SCENARIO(a_target_that_is_a_model_is_replaced_by_its_targets),
        SCENARIO(a_stream_is_cut_when_the_model_within_leads_elsewhere),
        SCENARIO(a_price_ceiling_holds_for_the_models_within),
        SCENARIO(a_session_stays_with_its_target_and_sessions_share_by_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
