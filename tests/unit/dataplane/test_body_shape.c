/* body_shape — each row is a body before and after; and the same in the normal form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/ai/dialect/body_shape.h"

static struct slice drops[] = {{"a", 1}, {"b", 1}, {"seed", 4}};

struct shaped {
    struct arena *arena;
    struct buf body, spare;
    struct body_shaping s;
    enum err e;
};

static void shape(struct shaped *t, const struct policy_model *m, const struct body_words *w,
                  const char *body)
{
    t->arena = arena_new(4096, 1 << 20);
    buf_init(&t->body, 1 << 16);
    buf_init(&t->spare, 1 << 16);
    assert_int_equal(buf_append(&t->body, slice_str(body)), ERR_OK);
    t->s = (struct body_shaping){
        .model = m, .words = w, .arena = t->arena, .body = &t->body, .spare = &t->spare};
    t->e = body_shape(&t->s);
}

static void fini(struct shaped *t)
{
    buf_fini(&t->body);
    buf_fini(&t->spare);
    arena_free(t->arena);
}

static void a_member_goes_with_its_comma(void **state)
{
    static const struct {
        const char *before, *after;
        size_t dropped;
    } rows[] = {
        {"{\"a\":1}", "{}", 1},
        {"{ \"a\" : {\"b\":1} }", "{  }", 1},
        {"{\"a\":1,\"x\":2}", "{\"x\":2}", 1},
        {"{\"x\":2,\"a\":1}", "{\"x\":2}", 1},
        {"{\"x\":2 , \"a\":1 }", "{\"x\":2  }", 1},
        {"{\"a\":1,\"b\":[1,2],\"x\":2}", "{\"x\":2}", 2},
        {"{\"x\":2,\"a\":1,\"b\":[1,2]}", "{\"x\":2}", 2},
        {"{\"b\":1,\"x\":\",\\\"a\\\":1\",\"a\":\"}\"}", "{\"x\":\",\\\"a\\\":1\"}", 2},
        {"{\"x\":{\"a\":1}}", "{\"x\":{\"a\":1}}", 0},
        {"{\"\\u0061\":1,\"x\":2}", "{\"x\":2}", 1},
    };
    const struct policy_model m = {.drop = drops, .drop_count = ARRAY_LEN(drops)};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shaped t;
        shape(&t, &m, &words_openai_chat, rows[i].before);
        if (t.e || !slice_eq(buf_slice(&t.body), slice_str(rows[i].after)) ||
            t.s.dropped_count != rows[i].dropped)
            fail_msg("row %zu: %.*s", i, SLICE_ARG(buf_slice(&t.body)));
        fini(&t);
    }
}

static void a_parameter_is_found_by_every_spelling(void **state)
{
    static const struct {
        const struct body_words *words;
        const char *before, *after;
    } rows[] = {
        {&words_gemini, "{\"x\":1,\"generationConfig\":{\"top_p\":1,\"seed\":2}}",
         "{\"x\":1,\"generationConfig\":{\"top_p\":0.5}}"},
        {&words_gemini, "{\"x\":1,\"generation_config\":{\"seed\":2,\"topP\":1}}",
         "{\"x\":1,\"generation_config\":{\"topP\":0.5}}"},
        {&words_gemini, "{\"x\":1,\"generation_config\":null}",
         "{\"x\":1,\"generation_config\":{\"topP\":0.5}}"},
        {&words_gemini, "{\"x\":1,\"generationConfig\":{ }}",
         "{\"x\":1,\"generationConfig\":{\"topP\":0.5 }}"},
        {&words_gemini, "{}", "{\"generationConfig\":{\"topP\":0.5}}"},
        {&words_cohere, "{\"p\":1}\n", "{\"p\":0.5}\n"},
        {&words_cohere, "{}\n", "{\"p\":0.5}\n"},
        {&words_bedrock, "{\"inferenceConfig\":[]}", "{\"inferenceConfig\":[]}"},
        {&words_openai_chat, "{\"top_p\":null}", "{\"top_p\":0.5}"},
        {NULL, "{\"top_p\":1}", "{\"top_p\":1}"},
    };
    struct policy_parameters forced = {
        .of = {[POLICY_TOP_P] = {.json = SLICE("0.5"), .number = 0.5}}};
    const struct policy_model m = {
        .overrides = &forced, .drop = drops, .drop_count = ARRAY_LEN(drops)};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shaped t;
        shape(&t, &m, rows[i].words, rows[i].before);
        if (t.e || !slice_eq(buf_slice(&t.body), slice_str(rows[i].after)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(buf_slice(&t.body)));
        fini(&t);
    }
}

/* after NULL: it is refused */
static void no_spelling_gets_around_a_system_prompt(void **state)
{
    static const struct {
        const struct body_words *words;
        const char *before, *after;
    } rows[] = {
        {&words_gemini, "{\"systemInstruction\":{\"parts\":null}}",
         "{\"systemInstruction\":{\"parts\":[{\"text\":\"S\"}]}}"},
        {&words_gemini,
         "{\"systemInstruction\":{\"parts\":[{\"text\":\"x\"}]},\"system_instruction\":null}",
         "{\"systemInstruction\":{\"parts\":[{\"text\":\"S\"},{\"text\":\"x\"}]},"
         "\"system_instruction\":null}"},
        {&words_gemini, "{\"systemInstruction\":null,\"system_instruction\":{}}",
         "{\"systemInstruction\":null,\"system_instruction\":{\"parts\":[{\"text\":\"S\"}]}}"},
        {&words_gemini, "{\"system_instruction\":null}",
         "{\"system_instruction\":{\"parts\":[{\"text\":\"S\"}]}}"},
        {&words_gemini, "{\"systemInstruction\":{},\"system_instruction\":{}}", NULL},
        {&words_gemini, "{\"systemInstruction\":\"x\"}", NULL},
        {&words_gemini, "{\"systemInstruction\":{\"parts\":\"x\"}}", NULL},
        {&words_openai_responses, "{\"instructions\":[\"x\"]}", NULL},
        {&words_openai_responses, "{\"instructions\":null}", "{\"instructions\":\"S\"}"},
        {&words_anthropic, "{\"system\":{\"type\":\"text\"}}", NULL},
        {&words_openai_chat, "{\"messages\":{}}", NULL},
    };
    const struct policy_model m = {.system_prompt = SLICE("S")};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shaped t;
        shape(&t, &m, rows[i].words, rows[i].before);
        if (!rows[i].after ? t.e != ERR_INVALID || !t.s.why.len
                           : t.e || !slice_eq(buf_slice(&t.body), slice_str(rows[i].after)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(buf_slice(&t.body)));
        fini(&t);
    }
}

static void a_member_that_two_readers_read_differently_is_refused(void **state)
{
    static const char *const rows[] = {"{\"seed\":1,\"seed\":2}", "{\"Seed\":1}", "[1]"};
    const struct policy_model m = {.drop = drops, .drop_count = ARRAY_LEN(drops)};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shaped t;
        shape(&t, &m, &words_openai_chat, rows[i]);
        if (t.e != ERR_INVALID || !t.s.why.len)
            fail_msg("row %zu", i);
        fini(&t);
    }
}

static void a_body_that_would_be_too_large_is_refused(void **state)
{
    static char prompt[1 << 16];
    struct shaped t;
    memset(prompt, 'x', sizeof(prompt));
    const struct policy_model m = {.system_prompt = slice_of(prompt, sizeof(prompt))};
    (void)state;
    shape(&t, &m, &words_anthropic, "{\"messages\":[]}");
    assert_int_equal(t.e, ERR_TOO_BIG);
    fini(&t);
}

static void the_normal_form_is_told_the_same(void **state)
{
    static struct slice ends[] = {{"END", 3}};
    struct policy_parameters
        forced = {.of = {[POLICY_TOP_P] = {.json = SLICE("0.5"), .number = 0.5},
                         [POLICY_STOP] = {.json = SLICE("[\"END\"]")},
                         [POLICY_SERVICE_TIER] = {.json = SLICE("\"flex\""),
                                                  .word = SLICE("flex")}},
                  .stops = ends,
                  .stop_count = 1},
        usual = {
            .of = {[POLICY_TOP_P] = {.json = SLICE("0.9"), .number = 0.9},
                   [POLICY_TOP_K] = {.json = SLICE("5"), .number = 5},
                   [POLICY_MAX_TOKENS] = {.json = SLICE("7"), .number = 7},
                   [POLICY_REASONING_EFFORT] = {.json = SLICE("\"xhigh\""), .word = SLICE("xhigh")},
                   [POLICY_VERBOSITY] = {.json = SLICE("\"low\""), .word = SLICE("low")}}};
    const struct policy_model m = {.overrides = &forced, .defaults = &usual};
    struct arena *a = arena_new(4096, 1 << 16);
    struct ai_chat c = {.arena = a, .top_p = {true, 1}, .top_k = {true, 3}};
    (void)state;
    assert_int_equal(ai_chat_add_stop(&c, SLICE("x")), ERR_OK);
    assert_int_equal(body_shape_chat(&m, &c), ERR_OK);
    assert_true(c.top_p.value == 0.5);
    assert_true(c.top_k.value == 3);
    assert_int_equal(c.output_limit, 7);
    assert_int_equal(c.effort, AI_EFFORT_XHIGH);
    assert_int_equal(c.tier, AI_TIER_FLEX);
    assert_true(slice_eq(c.verbosity, SLICE("low")));
    assert_true(slice_eq(c.stops->text, SLICE("END")) && !c.stops->next);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_goes_with_its_comma),
        cmocka_unit_test(a_parameter_is_found_by_every_spelling),
        cmocka_unit_test(no_spelling_gets_around_a_system_prompt),
        cmocka_unit_test(a_member_that_two_readers_read_differently_is_refused),
        cmocka_unit_test(a_body_that_would_be_too_large_is_refused),
        cmocka_unit_test(the_normal_form_is_told_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
