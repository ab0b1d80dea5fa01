/* catalogue — a model without a price of its own costs what its target's vendor asks. */
#include "tests/kit/flow/flow.h"

#include "common/journal/journal_private.h"

#define CHAT "/v1/chat/completions"
#define HELLO                                                                                      \
    "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\","                    \
    "\"content\":\"hello\"}]}"
#define RESPONSE(prompt)                                                                           \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":" prompt ",\"completion_tokens\":10}}"

static const char *const two_names[] = {"dear-2026-01-01", "cheap"};

static struct flow_policy catalogue(money budget)
{
    return (struct flow_policy){
        .keys = {{.name = "alice", .models = {"small"}, .budget = budget}},
        .models = {{.name = "small",
                    .target_models = two_names,
                    .upstreams = {0, 1},
                    .upstream_count = 2,
                    .no_price = true}},
        .prices = {{.pattern = "dear-####-##-##", .input = 10, .output = 20},
                   {.pattern = "cheap*", .input = 1, .output = 2, .above = 30, .input_above = 4}},
    };
}

static money cost_of(struct flow *k)
{
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_true(r->span->cost_known);
    money cost = r->span->cost_nano;
    flow_record_free(r);
    return cost;
}

FLOW(a_target_costs_what_its_vendor_asks)
{
    struct flow_policy p = catalogue(0);
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE("20"));
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(cost_of(k), 20 * 10000 + 10 * 20000);
}

FLOW(the_target_that_responds_in_anothers_place_costs_its_own_price)
{
    struct flow_policy p = catalogue(0);
    policy_says(k, &p);
    upstream_answers(k, 0, 500, "{}");
    upstream_answers(k, 1, 200, RESPONSE("20"));
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(cost_of(k), 20 * 1000 + 10 * 2000);
}

FLOW(an_attempt_that_failed_and_reports_usage_costs_its_own_targets_price)
{
    struct flow_policy p = catalogue(MONEY_DOLLAR);
    policy_says(k, &p);
    upstream_answers(k, 0, 500,
                     "{\"error\":{\"message\":\"late\"},"
                     "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":0}}");
    upstream_answers(k, 1, 200, RESPONSE("20"));
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(cost_of(k), 20 * 10000 + 20 * 1000 + 10 * 2000);
}

static money cost_under(struct flow *k, const struct flow_policy *p)
{
    policy_says(k, p);
    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200, RESPONSE("20"));
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    return cost_of(k);
}

/* A team's price, a model's, a provider's, a vendor's: the first there is. */
FLOW(administrators_override_prices_of_a_provider_a_model_or_a_team)
{
    struct flow_policy p = catalogue(0);
    p.keys[0].team = "research";
    p.teams[0] = (struct flow_team){.name = "research", .models = {"small"}};
    p.own_prices[0] = (struct flow_price){.pattern = "dear*", .input = 3, .output = 5};
    assert_int_equal(cost_under(k, &p), 20 * 10000 + 10 * 20000);

    p.providers[0].own_prices = true;
    assert_int_equal(cost_under(k, &p), 20 * 3000 + 10 * 5000);

    p.own_prices[0].pattern = "other"; /* it lists another model alone */
    assert_int_equal(cost_under(k, &p), 20 * 10000 + 10 * 20000);

    p.own_prices[0].pattern = "dear*";
    p.models[0].no_price = false; /* 1 and 2 dollars */
    assert_int_equal(cost_under(k, &p), 20 * 1000 + 10 * 2000);

    p.teams[0].own_prices = true;
    assert_int_equal(cost_under(k, &p), 20 * 3000 + 10 * 5000);
}

FLOW(a_longer_prompt_costs_the_price_of_its_tier)
{
    struct flow_policy p = catalogue(MONEY_DOLLAR);
    policy_says(k, &p);
    upstream_answers(k, 0, 500, "{}");
    upstream_answers(k, 1, 200, RESPONSE("31"));
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(cost_of(k), 31 * 4000 + 10 * 2000);
}

/* The prompt may be billed by both targets, at the tier that its bytes may reach; the output by
 * one, at the dearest. */
FLOW(the_worst_case_is_reserved_at_each_targets_own_price)
{
    const money worst = (money)flow_prompt_tokens(HELLO) * (10000 + 4000) + 100 * 20000;
    struct flow_policy p = catalogue(worst);
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE("20"));
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);

    p = catalogue(worst - 1 + 20 * 10000 + 10 * 20000);
    policy_says(k, &p);
    c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 429);
    expect_code(c, "budget_exceeded");
}

FLOW(a_model_that_no_catalogue_knows_is_refused_under_a_budget)
{
    struct flow_policy p = catalogue(MONEY_DOLLAR);
    p.prices[1].pattern = "cheaper*";
    policy_says(k, &p);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 400);
    expect_code(c, "unbounded_cost");
    expect_body_has(c, "the price of the model is not known");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

#define CLAUDES "anthropic-version: 2023-06-01\r\n"

/* Of several targets the shortest counts, and one that is not known leaves it open. */
FLOW(a_list_of_models_says_how_long_a_prompt_every_target_takes)
{
    struct flow_policy p = catalogue(0);
    p.prices[0].context = 200000;
    p.prices[1].context = 128000;
    policy_says(k, &p);
    struct flow_client *c = client_asks(k, "GET", "alice", "/v1/models/small", CLAUDES);
    expect_status(c, 200);
    expect_body_has(c, "\"max_input_tokens\":128000");

    p.prices[1].context = 0;
    policy_says(k, &p);
    c = client_asks(k, "GET", "alice", "/v1/models/small", CLAUDES);
    expect_status(c, 200);
    expect_body_has(c, "\"max_input_tokens\":null");
}

static void says_its_own(Gatehouse__Model *m)
{
    m->targets[1]->has_context_tokens = true;
    m->targets[1]->context_tokens = 64000;
}

static void is_the_other(Gatehouse__Model *m)
{
    m->targets[0]->provider_id = m->targets[0]->model = NULL;
    m->targets[0]->target_model_id = "m_small";
}

FLOW(a_targets_own_length_comes_first_and_counts_through_a_model_within_a_model)
{
    struct flow_policy p = catalogue(0);
    p.prices[0].context = 200000;
    p.models[0].also = says_its_own;
    p.models[1] = (struct flow_model){
        .name = "outer", .upstreams = {0}, .upstream_count = 1, .also = is_the_other};
    p.keys[0].models[0] = "*";
    p.keys[0].models[1] = NULL;
    policy_says(k, &p);
    struct flow_client *c = client_asks(k, "GET", "alice", "/v1/models/outer", CLAUDES);
    expect_status(c, 200);
    expect_body_has(c, "\"max_input_tokens\":64000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_target_costs_what_its_vendor_asks),
        SCENARIO(a_targets_own_length_comes_first_and_counts_through_a_model_within_a_model),
        SCENARIO(the_target_that_responds_in_anothers_place_costs_its_own_price),
        SCENARIO(an_attempt_that_failed_and_reports_usage_costs_its_own_targets_price),
        SCENARIO(administrators_override_prices_of_a_provider_a_model_or_a_team),
        SCENARIO(a_longer_prompt_costs_the_price_of_its_tier),
        SCENARIO(the_worst_case_is_reserved_at_each_targets_own_price),
        SCENARIO(a_model_that_no_catalogue_knows_is_refused_under_a_budget),
        SCENARIO(a_list_of_models_says_how_long_a_prompt_every_target_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
