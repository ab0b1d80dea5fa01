/* tokens — the same counts as the encoder that the ranks come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "dataplane/ai/tokens/tokens.h"

#define VECTORS                                                                                    \
    "tests/unit/dataplane/ai/tokens.txt" /* a line each: the count, and the text as JSON */

static int open_tables(void **state)
{
    (void)state;
    return tokens_open();
}

static int close_tables(void **state)
{
    (void)state;
    tokens_close();
    return 0;
}

static void texts_have_the_counts_of_the_reference(void **state)
{
    (void)state;
    char line[8192];
    size_t lines = 0;
    FILE *f = fopen(VECTORS, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        char *text = NULL;
        JSON_AUTO json_t *list = NULL;
        struct json_problem problem;
        char wrapped[8200];
        unsigned long want = strtoul(line, &text, 10);
        line[strcspn(line, "\n")] = '\0';
        snprintf(wrapped, sizeof(wrapped), "[%s]", text + 1);
        assert_int_equal(json_read(slice_str(wrapped), &list, &problem), ERR_OK);
        const json_t *s = json_array_get(list, 0);
        uint64_t got = tokens_count(slice_of(json_string_value(s), json_string_length(s)));
        if (got != want)
            fail_msg("%lu tokens, counted as %lu: %s", want, (unsigned long)got, text + 1);
        lines++;
    }
    fclose(f);
    assert_true(lines > 70);
}

static void a_text_beyond_the_exact_part_is_as_dense_as_its_beginning(void **state)
{
    (void)state;
    const size_t times = 3 * TOKENS_EXACT / 8;
    char *text = mem_alloc(times * 8);
    assert_non_null(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * 8, "hello a ", 8);
    uint64_t part = tokens_count(slice_of(text, TOKENS_EXACT));
    assert_int_equal(tokens_count(slice_of(text, times * 8)), 3 * part);
    mem_free(text);
}

/* The worst for merging pair by pair, and what is no UTF-8. */
static void long_runs_and_broken_bytes_are_counted(void **state)
{
    (void)state;
    static char run[TOKENS_EXACT];
    memset(run, 'a', sizeof(run));
    uint64_t n = tokens_count(slice_of(run, sizeof(run)));
    assert_true(n >= sizeof(run) / 16 && n < sizeof(run));
    memset(run, 0xff, sizeof(run));
    assert_true(tokens_count(slice_of(run, 100)) > 0);
    assert_int_equal(tokens_count(SLICE("")), 0);
    assert_true(tokens_count(SLICE("caf\xc3")) > 0);
}

static void other_families_make_more_of_the_same_text(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        uint64_t tokens;
    } rows[] = {{"gpt-4o", 100},
                {"claude-sonnet-4-5", 115},
                {"claude-opus-4-8", 145},
                {"claude-opus-5-5", 145},
                {"gemini-2.5-pro", 105},
                {"llama-3.3-70b", 115},
                {"us.anthropic.claude-3-5-sonnet-20241022-v2:0", 115}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (tokens_of_model(slice_str(rows[i].model), 100) != rows[i].tokens)
            fail_msg("%s", rows[i].model);
}

/* It comes near what is reported, stays within its bounds, forgets what is long ago, and believes
 * nothing that no tokenizer explains. */
static void a_familys_factor_follows_what_providers_count(void **state)
{
    (void)state;
    struct slice model = SLICE("qwen-max"), other = SLICE("some-model");
    static const struct {
        uint64_t count, reported, of_1000;
    } rows[] = {
        {1000, 1300, 1300},
        {1000, 1000, 1000},
        {100, 350, 2300}, /* the double of 1.15 */
        {1000, 300, 575}, /* the half */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t n = 0; n < 200; n++)
            tokens_learn(model, rows[i].count, rows[i].reported);
        uint64_t got = tokens_of_model(model, 1000);
        if (got + 2 < rows[i].of_1000 || got > rows[i].of_1000 + 2)
            fail_msg("row %zu: %llu", i, (unsigned long long)got);
    }
    assert_int_equal(tokens_of_model(other, 1000), 1000);
    tokens_forget();
    tokens_learn(model, 1000, 1150 + 160);
    assert_in_range(tokens_of_model(model, 1000), 1159, 1161); /* a sixteenth */
    tokens_forget();
    tokens_learn(model, TOKENS_LEARN_LEAST - 1, 100);
    tokens_learn(model, 1000, 4001);
    tokens_learn(model, 1000, 249);
    assert_int_equal(tokens_of_model(model, 1000), 1150);
}

static void a_family_is_compared_once_in_a_while(void **state)
{
    (void)state;
    const uint64_t pause = TOKENS_LEARN_MS * 1000u, asks = TOKENS_ASK_MS * 1000u, now = 10 * pause;
    struct slice model = SLICE("qwen-max"), other = SLICE("grok-4");
    tokens_forget();
    assert_true(tokens_may_learn(model, now));
    assert_false(tokens_may_learn(other, now + asks - 1)); /* not so soon */
    assert_true(tokens_may_learn(other, now + asks));
    assert_false(tokens_may_learn(model, now + pause - 1));
    assert_true(tokens_may_learn(model, now + 2 * pause));
    tokens_forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_the_counts_of_the_reference),
        cmocka_unit_test(a_text_beyond_the_exact_part_is_as_dense_as_its_beginning),
        cmocka_unit_test(long_runs_and_broken_bytes_are_counted),
        cmocka_unit_test(other_families_make_more_of_the_same_text),
        cmocka_unit_test(a_familys_factor_follows_what_providers_count),
        cmocka_unit_test(a_family_is_compared_once_in_a_while),
    };
    return cmocka_run_group_tests(tests, open_tables, close_tables);
}
