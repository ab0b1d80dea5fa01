/* money: exact in, exact out, one rounding. */
#include "common/base/money.h"

#include "tests/unit/base/unit.h"

UNIT(amounts_are_read_exactly)
{
    static const struct {
        const char *text;
        money want;
    } rows[] = {
        {"0", 0},
        {"0.0", 0},
        {"0.15", 150000000},
        {"1", MONEY_DOLLAR},
        {"1.000000001", MONEY_DOLLAR + 1},
        {"0.000000001", 1},
        {"1e-3", 1000000},
        {"1.5E+2", 150 * MONEY_DOLLAR},
        {"1e-9", 1},
        {"0e99", 0},
        {"9223372036.854775806", INT64_MAX - 1},
        {"9223372036", 9223372036 * MONEY_DOLLAR},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        money got = -1;
        if (money_parse(slice_str(rows[i].text), &got) || got != rows[i].want)
            fail_msg("%s became %lld", rows[i].text, (long long)got);
    }
}

UNIT(what_is_no_amount_is_refused)
{
    static const char *const rows[] = {
        "",
        ".",
        ".5",
        "5.",
        "-1",
        "+1",
        "-0",
        "01",
        "00.5",
        "1e",
        "1e+",
        "e5",
        "1.5.",
        "0.0000000001",
        "1.0000000000",
        "1e-10",
        "1 ",
        " 1",
        "1,5",
        "$1",
        "0x1",
        "NaN",
        "inf",
        "1e99",
        "1e999999999999999999999",
        "9223372036.854775808",
        "9223372037",
        "99999999999999999999",
        "0.1e-9",
        "1e10",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        money got = 77;
        if (money_parse(slice_str(rows[i]), &got) != ERR_INVALID)
            fail_msg("%s became %lld", rows[i], (long long)got);
        assert_int_equal(got, 77);
    }
    money got;
    assert_int_equal(money_parse(slice_of("1\0", 2), &got), ERR_INVALID);
}

UNIT(prices_have_six_decimals)
{
    price got;
    char text[MONEY_TEXT_MAX];
    assert_int_equal(money_parse_price(SLICE("0.15"), &got), ERR_OK);
    assert_int_equal(got, 150000);
    expect_text(money_format_price(got, text), "0.15");
    assert_int_equal(money_parse_price(SLICE("0.000001"), &got), ERR_OK);
    assert_int_equal(got, 1);
    expect_text(money_format_price(got, text), "0.000001");
    assert_int_equal(money_parse_price(SLICE("0.0000001"), &got), ERR_INVALID);
    assert_int_equal(money_parse_price(SLICE("-1"), &got), ERR_INVALID);
    expect_text(money_format_price(30000000, text), "30");
    expect_text(money_format_price(0, text), "0");
    expect_text(money_format_price(2500000, text), "2.5");
    expect_text(money_format_price(INT64_MAX, text), "9223372036854.775807");
}

UNIT(amounts_are_shown_with_nine_decimals)
{
    char text[MONEY_TEXT_MAX];
    expect_text(money_format(0, text), "0.000000000");
    expect_text(money_format(123000, text), "0.000123000");
    expect_text(money_format(-1, text), "-0.000000001");
    expect_text(money_format(INT64_MAX, text), "9223372036.854775807");
    expect_text(money_format(INT64_MIN, text), "-9223372036.854775808");
}

static money cost(struct price_list prices, struct token_count tokens)
{
    money got = -1;
    assert_int_equal(money_cost(&prices, &tokens, &got), ERR_OK);
    return got;
}

static const struct price_list plain = {150000,     600000,     PRICE_NONE, PRICE_NONE,
                                        PRICE_NONE, PRICE_NONE, PRICE_NONE, PRICE_NONE};

UNIT(a_call_costs_its_tokens_times_their_prices)
{
    /* 1000 x $0.15/M + 500 x $0.60/M = $0.00045 */
    assert_int_equal(cost(plain, (struct token_count){.input = 1000, .output = 500}), 450000);
    /* reasoning is part of output and not paid twice */
    assert_int_equal(
        cost(plain, (struct token_count){.input = 1000, .output = 500, .reasoning = 400}), 450000);
    assert_int_equal(cost(plain, (struct token_count){0}), 0);
}

UNIT(cached_tokens_cost_their_own_price_where_they_have_one)
{
    struct token_count tokens = {.input = 1000, .cache_read = 600, .cache_write = 100};
    struct price_list prices = PRICE_LIST_NONE;
    prices.input = 1000000;
    prices.output = 0;
    prices.cache_read = 100000;
    prices.cache_write = 1250000;
    /* 300 x 1.0 + 600 x 0.1 + 100 x 1.25 = 485 micro-dollars */
    assert_int_equal(cost(prices, tokens), 485000);
    prices.cache_read = prices.cache_write = PRICE_NONE;
    assert_int_equal(cost(prices, tokens), 1000000);
    prices.cache_read = 0; /* free is not the same as unknown */
    assert_int_equal(cost(prices, tokens), 400000);
}

UNIT(more_cached_than_all_tokens_is_not_a_refund)
{
    struct token_count odd = {.input = 10, .cache_read = 1000};
    assert_int_equal(cost(plain, odd), 150000);
}

UNIT(parts_of_a_prompt_and_a_response_cost_their_own_prices)
{
    const struct token_count tokens = {.input = 1000,
                                       .cache_read = 100,
                                       .cache_write = 300,
                                       .cache_write_long = 200,
                                       .audio_input = 50,
                                       .output = 400,
                                       .audio_output = 100,
                                       .image_output = 200};
    struct price_list prices = {.input = 1000,
                                .output = 10000,
                                .cache_read = 100,
                                .cache_write = 1250,
                                .cache_write_long = 2000,
                                .audio_input = 32000,
                                .audio_output = 64000,
                                .image_output = 40000};
    /* 550 x 1 + 100 x 0.1 + 100 x 1.25 + 200 x 2 + 50 x 32, 100 x 10 + 100 x 64 + 200 x 40 */
    assert_int_equal(cost(prices, tokens), 550 + 10 + 125 + 400 + 1600 + 1000 + 6400 + 8000);
    prices.cache_write_long = prices.audio_input = prices.audio_output = prices.image_output =
        PRICE_NONE;
    assert_int_equal(cost(prices, tokens), 600 + 10 + 125 + 250 + 4000);
}

UNIT(a_longer_prompt_moves_all_of_the_call_to_another_tier)
{
    struct price_sheet s = {.base = PRICE_LIST_NONE, .tier_count = 1};
    struct token_count tokens = {.input = 271999, .output = 100};
    s.base.input = 2500000;
    s.base.output = 15000000;
    s.tiers[0] = (struct price_tier){.above = 271999, .prices = PRICE_LIST_NONE};
    s.tiers[0].prices.input = 5000000;
    s.tiers[0].prices.output = 22500000;
    assert_int_equal(cost(*price_for(&s, tokens.input), tokens), 271999 * 2500 + 100 * 15000);
    tokens.input++;
    assert_int_equal(cost(*price_for(&s, tokens.input), tokens), 272000 * 5000l + 100 * 22500);
}

UNIT(the_sum_is_rounded_half_up_once)
{
    struct price_list pico = PRICE_LIST_NONE;
    pico.input = pico.output = 1;
    assert_int_equal(cost(pico, (struct token_count){.input = 499}), 0);
    assert_int_equal(cost(pico, (struct token_count){.input = 500}), 1);
    assert_int_equal(cost(pico, (struct token_count){.input = 1499}), 1);
    assert_int_equal(cost(pico, (struct token_count){.input = 1500}), 2);
    /* each part alone would round to nothing */
    assert_int_equal(cost(pico, (struct token_count){.input = 300, .output = 300}), 1);
}

UNIT(without_a_price_there_is_no_cost)
{
    money got = 5;
    struct token_count tokens = {.input = 1, .output = 1};
    struct price_list no_input = PRICE_LIST_NONE, no_output = PRICE_LIST_NONE;
    no_input.output = no_output.input = 1;
    assert_int_equal(money_cost(&no_input, &tokens, &got), ERR_NOT_FOUND);
    assert_int_equal(money_cost(&no_output, &tokens, &got), ERR_NOT_FOUND);
    assert_int_equal(got, 5);
}

UNIT(huge_counts_saturate_and_never_wrap)
{
    struct price_list dear = PRICE_LIST_NONE;
    dear.input = dear.output = dear.cache_read = dear.cache_write = INT64_MAX;
    struct token_count many = {.input = UINT64_MAX,
                               .cache_read = UINT64_MAX,
                               .cache_write = UINT64_MAX,
                               .output = UINT64_MAX};
    assert_int_equal(cost(dear, many), INT64_MAX);
    /* the largest that still fits, and one token more */
    struct price_list dollar = PRICE_LIST_NONE;
    dollar.input = 1000;
    dollar.output = 0;
    assert_int_equal(cost(dollar, (struct token_count){.input = INT64_MAX}), INT64_MAX);
    assert_int_equal(cost(dollar, (struct token_count){.input = INT64_MAX - 1}), INT64_MAX - 1);
    assert_int_equal(cost(dollar, (struct token_count){.input = UINT64_MAX}), INT64_MAX);
}

UNIT(sums_saturate_in_both_directions)
{
    assert_int_equal(money_add(1, 2), 3);
    assert_int_equal(money_add(INT64_MAX, 1), INT64_MAX);
    assert_int_equal(money_add(INT64_MIN, -1), INT64_MIN);
    assert_int_equal(money_add(INT64_MAX, INT64_MIN), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amounts_are_read_exactly),
        cmocka_unit_test(what_is_no_amount_is_refused),
        cmocka_unit_test(prices_have_six_decimals),
        cmocka_unit_test(amounts_are_shown_with_nine_decimals),
        cmocka_unit_test(a_call_costs_its_tokens_times_their_prices),
        cmocka_unit_test(cached_tokens_cost_their_own_price_where_they_have_one),
        cmocka_unit_test(more_cached_than_all_tokens_is_not_a_refund),
        cmocka_unit_test(parts_of_a_prompt_and_a_response_cost_their_own_prices),
        cmocka_unit_test(a_longer_prompt_moves_all_of_the_call_to_another_tier),
        cmocka_unit_test(the_sum_is_rounded_half_up_once),
        cmocka_unit_test(without_a_price_there_is_no_cost),
        cmocka_unit_test(huge_counts_saturate_and_never_wrap),
        cmocka_unit_test(sums_saturate_in_both_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
