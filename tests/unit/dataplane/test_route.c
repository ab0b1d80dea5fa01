/* route — the strategies as pure functions: of health, paces, costs and a random number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "dataplane/ai/route/ai_strategy.h"
#include "dataplane/ai/route/route_cost.h"

#define MOST 10
#define PICKS 100000

static struct policy_target targets[MOST];
static struct route_choice choices[MOST];

static int set_up(void **state)
{
    (void)state;
    memset(targets, 0, sizeof(targets));
    memset(choices, 0, sizeof(choices));
    for (size_t i = 0; i < MOST; i++) {
        choices[i].target = &targets[i];
        choices[i].cost = ROUTE_COST_UNKNOWN;
    }
    return 0;
}

/* SplitMix64: the same picks in each run */
static uint32_t dice(void *arg)
{
    uint64_t *at = arg, x = *at += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(x >> 32);
}

static uint64_t seed;

static struct route_view view_of(size_t n)
{
    return (struct route_view){.choices = choices, .count = n, .dice = dice, .arg = &seed};
}

static size_t first(enum strategy s, const struct route_view *v)
{
    size_t order[MOST];
    bool seen[MOST] = {false};
    size_t n = route_strategy(s)->order(v, order, MOST);
    assert_int_equal(n, v->count);
    for (size_t i = 0; i < n; i++) {
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
    }
    return order[0];
}

/* How often each was the first of so many picks. */
static void count(enum strategy s, const struct route_view *v, size_t picks, size_t hits[MOST])
{
    memset(hits, 0, MOST * sizeof(hits[0]));
    for (size_t i = 0; i < picks; i++)
        hits[first(s, v)]++;
}

static void every_strategy_gives_each_choice_once_and_no_more_than_asked_for(void **state)
{
    (void)state;
    for (int s = 0; s < STRATEGY_COUNT; s++) {
        for (size_t n = 0; n <= MOST; n++) {
            struct route_view v = view_of(n);
            size_t order[MOST + 1] = {0};
            for (size_t max = 0; max <= MOST; max++) {
                order[max] = 99;
                size_t got = route_strategy(s)->order(&v, order, max);
                assert_int_equal(got, n < max ? n : max);
                assert_int_equal(order[max], 99);
            }
            if (n)
                first(s, &v);
        }
    }
}

static void weights_hold_within_a_percent_over_100000_picks(void **state)
{
    const uint32_t weights[MOST] = {1, 2, 3, 4, 0, 10, 20, 30, 20, 10};
    size_t hits[MOST];
    (void)state;
    for (size_t i = 0; i < MOST; i++)
        targets[i].weight = weights[i];
    struct route_view v = view_of(MOST);
    count(STRATEGY_WEIGHTED, &v, PICKS, hits);
    for (size_t i = 0; i < MOST; i++)
        assert_in_range(hits[i] + PICKS / 100, weights[i] * (PICKS / 100),
                        weights[i] * (PICKS / 100) + 2 * PICKS / 100);
}

static void a_sticky_caller_has_one_order_and_the_shares_of_callers_are_the_weights(void **state)
{
    size_t hits[4] = {0}, moved = 0;
    (void)state;
    for (size_t i = 0; i < 4; i++)
        targets[i].weight = (uint32_t)i + 1;
    for (uint64_t caller = 1; caller <= PICKS; caller++) {
        for (size_t i = 0; i < 4; i++)
            choices[i].affinity = route_affinity(caller, i + 77);
        struct route_view v = view_of(4);
        v.sticky = true;
        v.dice = NULL; /* no dice are rolled */
        size_t at = first(STRATEGY_WEIGHTED, &v);
        assert_int_equal(first(STRATEGY_WEIGHTED, &v), at);
        hits[at]++;
        v.count = 3; /* the last one goes: only its own callers move */
        size_t now = first(STRATEGY_WEIGHTED, &v);
        if (at != 3)
            assert_int_equal(now, at);
        else
            moved++;
    }
    assert_int_equal(moved, hits[3]);
    for (size_t i = 0; i < 4; i++)
        assert_in_range(hits[i] + PICKS / 100, (i + 1) * (PICKS / 10),
                        (i + 1) * (PICKS / 10) + 2 * PICKS / 100);
}

static void of_two_drawn_the_one_with_less_under_way_is_taken(void **state)
{
    size_t hits[MOST];
    (void)state;
    for (size_t i = 0; i < 4; i++)
        choices[i].health = (struct endpoint_health){.latency_us = 1000, .in_flight = 5};
    choices[2].health.in_flight = 0;
    choices[3].health.latency_us = 9000;
    struct route_view v = view_of(4);
    count(STRATEGY_LEAST_IN_FLIGHT, &v, PICKS, hits);
    assert_int_equal(hits[3], 0);                    /* the slow one wins against none */
    assert_in_range(hits[2], 49000, 51000);          /* drawn in half of all pairs, and wins each */
    assert_in_range(hits[0], 23000, 27000);          /* the others share the rest */
    choices[3].health = (struct endpoint_health){0}; /* not measured: as fast as the fastest */
    count(STRATEGY_LEAST_IN_FLIGHT, &v, PICKS, hits);
    assert_true(hits[3] > 20000);
    choices[3].health.in_flight = 100; /* until its calls pile up */
    count(STRATEGY_LEAST_IN_FLIGHT, &v, PICKS, hits);
    assert_int_equal(hits[3], 0);
    v.count = 2;
    choices[0].health.in_flight = 6;
    count(STRATEGY_LEAST_IN_FLIGHT, &v, 1000, hits);
    assert_int_equal(hits[1], 1000);
}

static void streams_go_where_their_first_token_comes_soonest_and_some_look_around(void **state)
{
    size_t hits[MOST];
    (void)state;
    for (size_t i = 0; i < 4; i++)
        choices[i].pace =
            (struct endpoint_pace){.first_us = 100000 * (i + 1), .whole_us = 100000 * (4 - i)};
    struct route_view v = view_of(4);
    v.streams = true;
    count(STRATEGY_LOWEST_LATENCY, &v, PICKS, hits);
    assert_in_range(hits[0], PICKS * 96 / 100, PICKS * 99 / 100);
    for (size_t i = 1; i < 4; i++)
        assert_in_range(hits[i], PICKS / ROUTE_EXPLORED / 5, PICKS / ROUTE_EXPLORED / 3);
    v.streams = false; /* plain calls are measured by themselves */
    count(STRATEGY_LOWEST_LATENCY, &v, PICKS, hits);
    assert_true(hits[3] > PICKS * 96 / 100);
    choices[2].pace.whole_us = 105000; /* as good as 100000 */
    choices[0].pace.whole_us = 0;      /* not measured: as the fastest */
    count(STRATEGY_LOWEST_LATENCY, &v, PICKS, hits);
    assert_in_range(hits[0], PICKS * 31 / 100, PICKS * 36 / 100);
    assert_in_range(hits[2], PICKS * 31 / 100, PICKS * 36 / 100);
    v.sticky = true; /* of those that are as good, always the same one */
    for (size_t i = 0; i < 4; i++)
        choices[i].affinity = i;
    count(STRATEGY_LOWEST_LATENCY, &v, 1000, hits);
    assert_int_equal(hits[3], 1000);
}

static void the_fastest_writer_comes_first(void **state)
{
    size_t hits[MOST];
    (void)state;
    for (size_t i = 0; i < 3; i++)
        choices[i].pace.speed = 50000 * (i + 1);
    struct route_view v = view_of(3);
    count(STRATEGY_HIGHEST_THROUGHPUT, &v, PICKS, hits);
    assert_true(hits[2] > PICKS * 96 / 100);
    choices[0].pace.speed = 0; /* not measured: as the fastest */
    count(STRATEGY_HIGHEST_THROUGHPUT, &v, PICKS, hits);
    assert_in_range(hits[0], PICKS * 47 / 100, PICKS * 53 / 100);
}

static void the_cheapest_comes_first_and_what_has_no_price_last(void **state)
{
    size_t order[MOST];
    (void)state;
    const money costs[] = {ROUTE_COST_UNKNOWN, 1001, 0, 1000};
    for (size_t i = 0; i < 4; i++)
        choices[i].cost = costs[i];
    struct route_view v = view_of(4);
    assert_int_equal(route_strategy(STRATEGY_LOWEST_COST)->order(&v, order, MOST), 4);
    const size_t expected[] = {2, 3, 1, 0};
    assert_memory_equal(order, expected, sizeof(expected));
}

/* ---- the cheapest of three for one call ---- */

/* dollars per million tokens; tiers: another price above 200,000 tokens */
struct priced {
    double input, output, cached; /* cached 0: as input */
    double long_input, long_output;
    unsigned cached_permille;
    uint64_t usual_output;
};

struct cost_case {
    const char *name;
    uint64_t prompt, ceiling;
    bool embeds;
    struct priced at[3];
    size_t cheapest;
};

#define PLAIN(in, out)                                                                             \
    {                                                                                              \
        in, out, 0, 0, 0, 0, 0                                                                     \
    }
#define TIERED(in, out, long_in, long_out)                                                         \
    {                                                                                              \
        in, out, 0, long_in, long_out, 0, 0                                                        \
    }
#define CACHED(in, out, read, permille)                                                            \
    {                                                                                              \
        in, out, read, 0, 0, permille, 0                                                           \
    }
#define USUAL(in, out, tokens)                                                                     \
    {                                                                                              \
        in, out, 0, 0, 0, 0, tokens                                                                \
    }

static const struct cost_case cost_cases[] = {
    {"plain prices", 1000, 0, false, {PLAIN(3, 15), PLAIN(0.15, 0.6), PLAIN(1, 4)}, 1},
    {"a long prompt: input decides",
     100000,
     0,
     false,
     {PLAIN(0.5, 20), PLAIN(1, 2), PLAIN(2, 1)},
     0},
    {"a short prompt: output decides", 10, 0, false, {PLAIN(0.5, 20), PLAIN(1, 2), PLAIN(2, 1)}, 2},
    {"the client's ceiling shortens the output",
     1000,
     1,
     false,
     {PLAIN(1, 100), PLAIN(2, 1), PLAIN(3, 1)},
     0},
    {"a ceiling above the guess changes nothing",
     1000,
     90000,
     false,
     {PLAIN(1, 9), PLAIN(2, 8), PLAIN(9, 9)},
     0},
    {"a model that writes much is the dearer one",
     1000,
     0,
     false,
     {USUAL(1, 5, 20000), USUAL(1, 10, 300), USUAL(1, 9, 5000)},
     1},
    {"a ceiling makes them equal again",
     1000,
     100,
     false,
     {USUAL(1, 5, 20000), USUAL(1, 10, 300), USUAL(1, 9, 5000)},
     0},
    {"cached prompts at a tenth",
     50000,
     100,
     false,
     {PLAIN(2, 10), CACHED(3, 10, 0.3, 900), PLAIN(2.5, 10)},
     1},
    {"a cache that is not hit is no bargain",
     50000,
     100,
     false,
     {PLAIN(2, 10), CACHED(3, 10, 0.3, 0), PLAIN(2.5, 10)},
     0},
    {"half of it cached",
     50000,
     100,
     false,
     {PLAIN(2, 10), CACHED(3, 10, 0.3, 500), PLAIN(2.5, 10)},
     1},
    {"a third of it cached is too little",
     50000,
     100,
     false,
     {PLAIN(2, 10), CACHED(3, 10, 0.3, 333), PLAIN(2.5, 10)},
     0},
    {"a cache without a price of its own",
     50000,
     1,
     false,
     {PLAIN(2, 9), CACHED(3, 9, 0, 999), PLAIN(4, 9)},
     0},
    {"all of it cached, and free",
     50000,
     1,
     false,
     {PLAIN(0.1, 1), CACHED(5, 1, 0.00001, 1000), PLAIN(1, 1)},
     1},
    {"below the tier", 199999, 100, false, {TIERED(1, 4, 9, 9), PLAIN(2, 4), PLAIN(3, 4)}, 0},
    {"at the tier's own number",
     200000,
     100,
     false,
     {TIERED(1, 4, 9, 9), PLAIN(2, 4), PLAIN(3, 4)},
     0},
    {"above the tier all of it costs more",
     200001,
     100,
     false,
     {TIERED(1, 4, 9, 9), PLAIN(2, 4), PLAIN(3, 4)},
     1},
    {"the tier of output",
     300000,
     8000,
     false,
     {TIERED(1, 1, 1, 900), PLAIN(2, 4), PLAIN(3, 4)},
     1},
    {"embeddings write nothing",
     5000,
     0,
     true,
     {PLAIN(0.13, -1), PLAIN(0.02, 99), PLAIN(0.1, -1)},
     1},
    {"embeddings without a price of output",
     5000,
     0,
     true,
     {PLAIN(0.13, -1), PLAIN(0.2, 0), PLAIN(0.1, -1)},
     2},
    {"what has no price is never the cheapest",
     10,
     1,
     false,
     {PLAIN(-1, -1), PLAIN(9, 9), PLAIN(8, 8)},
     2},
    {"a free model", 1000, 0, false, {PLAIN(0.01, 0.01), PLAIN(0, 0), PLAIN(5, 5)}, 1},
};

static price price_in(double dollars)
{
    return dollars < 0 ? PRICE_NONE : (price)(dollars * 1e6 + 0.5);
}

static void the_cheapest_of_three_in_twenty_cases(void **state)
{
    (void)state;
    assert_true(ARRAY_LEN(cost_cases) >= 20);
    for (size_t i = 0; i < ARRAY_LEN(cost_cases); i++) {
        const struct cost_case *c = &cost_cases[i];
        const struct route_need need = {
            .prompt = c->prompt, .output_ceiling = c->ceiling, .writes = !c->embeds};
        for (size_t k = 0; k < 3; k++) {
            const struct priced *p = &c->at[k];
            struct price_sheet sheet = {.base = PRICE_LIST_NONE};
            sheet.base.input = price_in(p->input);
            sheet.base.output = price_in(p->output);
            sheet.base.cache_read = p->cached ? price_in(p->cached) : PRICE_NONE;
            if (p->long_input) {
                sheet.tiers[0] = (struct price_tier){.above = 200000, .prices = sheet.base};
                sheet.tiers[0].prices.input = price_in(p->long_input);
                sheet.tiers[0].prices.output = price_in(p->long_output);
                sheet.tier_count = 1;
            }
            const struct endpoint_pace pace = {.cached_permille = p->cached_permille,
                                               .output = p->usual_output};
            money cost;
            choices[k].cost = route_cost(&sheet, &need, &pace, &cost) ? ROUTE_COST_UNKNOWN : cost;
        }
        struct route_view v = view_of(3);
        size_t got = first(STRATEGY_LOWEST_COST, &v);
        if (got != c->cheapest)
            fail_msg("%s: the first is %zu, not %zu (%lld %lld %lld)", c->name, got, c->cheapest,
                     (long long)choices[0].cost, (long long)choices[1].cost,
                     (long long)choices[2].cost);
    }
}

#define CASE(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_strategy_gives_each_choice_once_and_no_more_than_asked_for),
        CASE(weights_hold_within_a_percent_over_100000_picks),
        CASE(a_sticky_caller_has_one_order_and_the_shares_of_callers_are_the_weights),
        CASE(of_two_drawn_the_one_with_less_under_way_is_taken),
        CASE(streams_go_where_their_first_token_comes_soonest_and_some_look_around),
        CASE(the_fastest_writer_comes_first),
        CASE(the_cheapest_comes_first_and_what_has_no_price_last),
        CASE(the_cheapest_of_three_in_twenty_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
