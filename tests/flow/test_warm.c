/* warm — a worker that has served a request serves the next ones without the heap. */
#include <stdio.h>

#include "common/base/mem.h"
#include "common/journal/journal_private.h"
#include "tests/kit/flow/flow.h"

#define RESPONSE "{\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}}"
#define WARM_UP 20 /* the pools of client, server and kit have their size by then */

static const struct flow_policy all_filters = {
    .keys = {{.name = "alice",
              .agent = "one",
              .models = {"small"},
              .budget = 1000 * MONEY_DOLLAR,
              .rpm = 1000000,
              .parallel = 10}},
    .teams = {{.name = "team", .budget = 1000 * MONEY_DOLLAR}},
    .agents = {{.name = "one", .team = "team"}},
    .models = {{.name = "small", .target_model = "other", .upstreams = {0}, .upstream_count = 1}},
};

static size_t write_request(struct flow *k, const char *json, char *out, size_t cap)
{
    return (size_t)snprintf(out, cap,
                            "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\n"
                            "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                            "x-gatehouse-session: demo\r\nContent-Length: %zu\r\n\r\n%s",
                            flow_secret(k, "alice"), strlen(json), json);
}

static void ship(struct flow *k)
{
    uint64_t sequence;
    struct slice packed;
    while (journal_next(k->journal, &k->journal_at, &sequence, &packed))
        journal_commit(k->journal, k->journal_at, sequence);
}

static void ask_again(struct flow *k, struct flow_client *c, const char *text)
{
    client_begins_anew(c);
    client_adds(c, text);
    WAIT(k, c->whole);
    assert_int_equal(c->head.status, 200);
    WAIT(k, k->env.request_count == 0);
    flow_turn(k);
    ship(k);
}

/* A slice is leased for the first call's worst case, which is enough for many small ones:
 * waiting for a slice is a request's one use of the heap. */
static struct flow_client *lease_a_large_slice(struct flow *k, bool stream)
{
    char text[2048];
    write_request(k,
                  stream ? "{\"model\":\"small\",\"stream\":true,\"max_tokens\":10000000,"
                           "\"messages\":[]}"
                         : "{\"model\":\"small\",\"max_tokens\":10000000,\"messages\":[]}",
                  text, sizeof(text));
    struct flow_client *c = client_says(k, text);
    expect_status(c, 200);
    return c;
}

static void expect_no_heap(struct flow *k, const char *json)
{
    char text[2048];
    mem_fail_after(0);
    k->upstreams[0].forgets = true;
    struct flow_client *c = lease_a_large_slice(k, strstr(json, "\"stream\":true") != NULL);
    write_request(k, json, text, sizeof(text));
    for (int i = 0; i < WARM_UP; i++)
        ask_again(k, c, text);
    for (int i = 0; i < WARM_UP; i++) {
        mem_fail_after(1);
        ask_again(k, c, text);
        assert_false(mem_failed());
        mem_fail_after(0);
    }
}

FLOW(a_plain_call_through_all_gates_touches_no_heap)
{
    policy_says(k, &all_filters);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_no_heap(k, "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[]}");
}

FLOW(a_streamed_call_touches_no_heap)
{
    policy_says(k, &all_filters);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0,
                   "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n");
    upstream_sends(k, 0,
                   "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,"
                   "\"completion_tokens\":3}}\n\n");
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);
    expect_no_heap(k, "{\"model\":\"small\",\"stream\":true,\"max_tokens\":100,\"messages\":[]}");
}

static void in_one_region(Gatehouse__Team *t)
{
    static char *regions[] = {"eu"};
    t->n_regions = 1;
    t->regions = regions;
}

static void by_cost_and_session(Gatehouse__Model *m)
{
    static char *sees[] = {"vision"};
    m->strategy = "lowest_cost";
    m->sticky = "session";
    m->targets[0]->provider_id = m->targets[0]->model = NULL;
    m->targets[0]->target_model_id = "m_inner";
    m->targets[1]->region = "us";
    m->targets[2]->region = "eu";
    m->targets[2]->has_capabilities_set = m->targets[2]->capabilities_set = true;
    m->targets[2]->n_capabilities = 1;
    m->targets[2]->capabilities = sees;
}

static void by_wait(Gatehouse__Model *m)
{
    m->strategy = "least_in_flight";
    m->sticky = "principal";
    for (size_t i = 0; i < m->n_targets; i++)
        m->targets[i]->region = "eu";
}

FLOW(a_call_that_chooses_among_targets_touches_no_heap)
{
    struct flow_policy p = all_filters;
    p.teams[0].also = in_one_region;
    p.models[0].upstreams[1] = 1;
    p.models[0].upstreams[2] = 2;
    p.models[0].upstream_count = 3;
    p.models[0].also = by_cost_and_session;
    p.models[1] = p.models[0];
    p.models[1].name = "inner";
    p.models[1].also = by_wait;
    policy_says(k, &p);
    for (size_t i = 0; i < 3; i++) {
        upstream_answers(k, i, 200, RESPONSE);
        k->upstreams[i].forgets = true;
    }
    expect_no_heap(k, "{\"model\":\"small\",\"max_tokens\":100,\"tools\":[{}],\"messages\":[]}");
}

FLOW(a_refusal_touches_no_heap)
{
    struct flow_policy p = all_filters;
    char text[1024];
    mem_fail_after(0);
    policy_says(k, &p);
    write_request(k, "{\"model\":\"unknown\",\"messages\":[]}", text, sizeof(text));
    struct flow_client *c = client_says(k, text);
    expect_status(c, 404);
    for (int i = 0; i < 2 * WARM_UP; i++) {
        client_begins_anew(c);
        if (i >= WARM_UP)
            mem_fail_after(1);
        client_adds(c, text);
        WAIT(k, c->whole);
        assert_int_equal(c->head.status, 404);
        assert_false(mem_failed());
        mem_fail_after(0);
        ship(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_plain_call_through_all_gates_touches_no_heap),
        SCENARIO(a_streamed_call_touches_no_heap),
        SCENARIO(a_call_that_chooses_among_targets_touches_no_heap),
        SCENARIO(a_refusal_touches_no_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
