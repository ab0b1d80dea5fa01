/* usage — what the provider counted, and what we estimate where it did not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "dataplane/ai/ai_usage.h"
#include "dataplane/ai/provider/openai.h"

static void feed(struct ai_meter *m, struct slice chunk)
{
    ai_meter_add(m, openai_words_in_chunk(chunk));
}

static void whole(struct ai_meter *m, struct slice response)
{
    m->bytes += openai_words_in_response(response);
}

static void openais_counts_are_converted(void **state)
{
    struct usage_look look;
    (void)state;
    assert_int_equal(usage_read(SLICE("{\"choices\":[{}],\"usage\":{\"prompt_tokens\":100,"
                                      "\"completion_tokens\":50,\"total_tokens\":150,"
                                      "\"prompt_tokens_details\":{\"cached_tokens\":40,"
                                      "\"cache_write_tokens\":10},"
                                      "\"completion_tokens_details\":{\"reasoning_tokens\":30}}}"),
                                &look),
                     ERR_OK);
    assert_true(look.has_usage);
    assert_false(look.only_usage);
    assert_int_equal(look.tokens.input, 100);
    assert_int_equal(look.tokens.cache_read, 40);
    assert_int_equal(look.tokens.cache_write, 10);
    assert_int_equal(look.tokens.output, 50);
    assert_int_equal(look.tokens.reasoning, 30);
}

static void audio_is_told_apart_as_far_as_the_whole_goes(void **state)
{
    struct usage_look look;
    (void)state;
    assert_int_equal(usage_read(SLICE("{\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":50,"
                                      "\"prompt_tokens_details\":{\"cached_tokens\":40,"
                                      "\"audio_tokens\":20},"
                                      "\"completion_tokens_details\":{\"audio_tokens\":60}}}"),
                                &look),
                     ERR_OK);
    assert_int_equal(look.tokens.audio_input, 20);
    assert_int_equal(look.tokens.audio_output, 50);
}

static void parts_of_a_report_are_within_what_they_are_parts_of(void **state)
{
    struct ai_usage u = AI_USAGE_NONE;
    struct token_count n;
    (void)state;
    u.fresh = 10;
    u.cache_write = 30;
    u.cache_write_long = 50;
    u.audio_input = 90;
    u.output = 20;
    u.audio_output = 15;
    u.image_output = 15;
    assert_int_equal(ai_usage_count(&u, &n), AI_COUNTED_ALL);
    assert_int_equal(n.input, 40);
    assert_int_equal(n.cache_write_long, 30);
    assert_int_equal(n.audio_input, 10);
    assert_int_equal(n.audio_output + n.image_output, 20);
}

/* The same for every provider that is decoded. */
static void a_member_that_is_no_count_is_not_believed(void **state)
{
    static const struct {
        const char *value;
        uint64_t count;
    } rows[] = {{"1200", 1200},        {"1200.0", 1200},
                {"1.2e3", 1200},       {"0", 0},
                {"-1", AI_UNSAID},     {"1.5", AI_UNSAID},
                {"1e18", AI_UNSAID},   {"null", AI_UNSAID},
                {"\"12\"", AI_UNSAID}, {"true", AI_UNSAID},
                {"[1]", AI_UNSAID},    {"1000000000000000000", AI_UNSAID}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[64];
        JSON_AUTO json_t *tree = NULL;
        struct json_problem problem;
        snprintf(text, sizeof(text), "{\"n\":%s}", rows[i].value);
        assert_int_equal(json_read(slice_str(text), &tree, &problem), ERR_OK);
        if (ai_usage_member(tree, "n") != rows[i].count)
            fail_msg("%s", rows[i].value);
    }
    assert_true(ai_usage_member(NULL, "n") == AI_UNSAID);
}

/* What services that speak the protocol mean by it, in the normal form. */
static void usage_forms_become_one(void **state)
{
    static const struct {
        const char *json;
        uint64_t input, read, output, reasoning;
    } rows[] = {
        /* xAI: the total holds reasoning beside the completion */
        {"{\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10,\"total_tokens\":140,"
         "\"completion_tokens_details\":{\"reasoning_tokens\":30}}}",
         100, 0, 40, 30},
        /* OpenAI: inside */
        {"{\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":40,\"total_tokens\":140,"
         "\"completion_tokens_details\":{\"reasoning_tokens\":30}}}",
         100, 0, 40, 30},
        /* more reasoning than output cannot be a part of it */
        {"{\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10,"
         "\"completion_tokens_details\":{\"reasoning_tokens\":30}}}",
         100, 0, 40, 30},
        /* Moonshot */
        {"{\"choices\":[{\"index\":0,\"delta\":{},\"usage\":{\"prompt_tokens\":7,"
         "\"completion_tokens\":3}}]}",
         7, 0, 3, 0},
        /* Groq */
        {"{\"choices\":[],\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":7,"
         "\"completion_tokens\":3}}}",
         7, 0, 3, 0},
        /* no more is read from a cache than there is */
        {"{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":1,\"prompt_tokens_details\":{"
         "\"cached_tokens\":50}}}",
         10, 10, 1, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct usage_look look;
        assert_int_equal(usage_read(slice_str(rows[i].json), &look), ERR_OK);
        if (!look.has_usage || look.tokens.input != rows[i].input ||
            look.tokens.cache_read != rows[i].read || look.tokens.output != rows[i].output ||
            look.tokens.reasoning != rows[i].reasoning)
            fail_msg("row %zu", i);
    }
}

static void the_extra_chunk_is_told_from_content_with_usage(void **state)
{
    struct usage_look look;
    (void)state;
    assert_int_equal(usage_read(SLICE("{\"choices\":[ ],\"usage\":{\"prompt_tokens\":1,"
                                      "\"completion_tokens\":2}}"),
                                &look),
                     ERR_OK);
    assert_true(look.has_usage && look.only_usage);
    /* Azure's first chunk: no choices, and no usage either (dialects.md 1.7) */
    assert_int_equal(usage_read(SLICE("{\"choices\":[],\"prompt_filter_results\":[]}"), &look),
                     ERR_OK);
    assert_false(look.has_usage);
    assert_int_equal(usage_read(SLICE("{\"choices\":[],\"usage\":null}"), &look), ERR_OK);
    assert_false(look.has_usage);
}

static void expect_counts(const char *in, const char *out, uint64_t input, uint64_t output)
{
    char json[256];
    struct usage_look look, response;
    snprintf(json, sizeof(json),
             "{\"choices\":[],\"usage\":{\"prompt_tokens\":%s,\"completion_tokens\":%s}}", in, out);
    assert_int_equal(usage_read(slice_str(json), &look), ERR_OK);
    assert_int_equal(usage_read_response(slice_str(json), &response), ERR_OK);
    assert_true(look.has_usage && look.has_prompt && response.has_usage);
    assert_int_equal(look.tokens.input, input);
    assert_int_equal(look.tokens.output, output);
    assert_memory_equal(&response.tokens, &look.tokens, sizeof(look.tokens));
}

static void counts_are_read_also_where_a_language_has_no_integers(void **state)
{
    (void)state;
    expect_counts("1200.0", "1e3", 1200, 1000);
    expect_counts("1.2e3", "5E+1", 1200, 50);
    expect_counts("1200e-2", "0.0", 12, 0);
    expect_counts("100000000", "0", 100000000, 0);
}

static void what_cannot_be_a_count_is_not_believed(void **state)
{
    static const char *const never[] = {"-5",
                                        "-5.0",
                                        "5.5",
                                        "1e-3",
                                        "100000001",
                                        "1e30",
                                        "1e999999999999",
                                        "9223372036854775808",
                                        "18446744073709551615",
                                        "1000000000000000000000000000000",
                                        "\"5\"",
                                        "true",
                                        "{}"};
    char json[256];
    struct usage_look look;
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(never); i++) {
        const char *bad = never[i / 2];
        snprintf(json, sizeof(json),
                 "{\"choices\":[],\"usage\":{\"prompt_tokens\":%s,\"completion_tokens\":%s}}",
                 i % 2 ? bad : "5", i % 2 ? "5" : bad);
        for (int whole = 0; whole < 2; whole++) {
            struct slice s = slice_str(json);
            assert_int_equal(whole ? usage_read_response(s, &look) : usage_read(s, &look), ERR_OK);
            assert_false(look.has_usage || look.has_prompt);
            assert_true(look.only_usage); /* still not for a client that did not request it */
            assert_int_equal(look.tokens.input + look.tokens.output, 0);
        }
    }
}

static void a_response_that_writes_nothing_needs_no_second_count(void **state)
{
    struct usage_look look;
    (void)state;
    assert_int_equal(usage_read(SLICE("{\"usage\":{\"prompt_tokens\":7}}"), &look), ERR_OK);
    assert_true(look.has_prompt && !look.has_usage);
    assert_int_equal(look.tokens.input, 7);
    assert_int_equal(usage_read(SLICE("{\"usage\":{\"completion_tokens\":7}}"), &look), ERR_OK);
    assert_false(look.has_prompt || look.has_usage);
}

static const char *const responses[] = {
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],\"usage\":{\"prompt_tokens\":7,"
    "\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":3},"
    "\"completion_tokens_details\":{\"reasoning_tokens\":1}}}",
    "{ \"choices\" : [ ] ,\n \"usage\"\n :\t{ \"prompt_tokens\" : 8 } ,\n"
    " \"service_tier\" : \"default\" , \"x\" : { \"y\" : { } } }\n",
    "{\"usage\":{\"prompt_tokens\":9},\"choices\":[{\"a\":{},\"b\":{},\"c\":{},\"d\":{},\"e\":{},"
    "\"f\":{},\"g\":{},\"h\":{}}]}",
    "{\"usage\":{\"prompt_tokens\":10},\"choices\":[{\"message\":{\"content\":"
    "\"\\\"usage\\\":{\\\"prompt_tokens\\\":99}\"}}]}",
    "{\"usage\":{\"prompt_tokens\":11},\"choices\":[{\"usage\":{\"prompt_tokens\":99}}]}",
    "{\"usage\":{\"prompt_tokens\":12},\"last\":{\"usage\":{\"prompt_tokens\":99}}}",
    "{\"choices\":[{}], \"usage\" : {\"prompt_tokens\": 13,\n\"completion_tokens\":50 "
    ",\"total_tokens\":63,"
    "\"prompt_tokens_details\":{\"cached_tokens\":1,\"audio_tokens\":2,\"cache_write_tokens\":3},"
    "\"completion_tokens_details\":{\"audio_tokens\":4,\"reasoning_tokens\":0,"
    "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}} }\n",
    "{\"usage\":{},\"error\":{\"message\":\"no\"}}",
    "{\"usage\":null,\"error\":\"no\"}",
    "{\"usage\":[{\"usage\":{\"prompt_tokens\":99}}]}",
    "{\"error\":{\"usage\":{\"prompt_tokens\":99}}}",
    "{}",
};

static void expect_same_look(struct slice json)
{
    struct usage_look whole = {0}, response = {0};
    enum err e = usage_read(json, &whole);
    if (e) /* what is broken before the usage may be read all the same */
        return;
    assert_int_equal(usage_read_response(json, &response), ERR_OK);
    assert_int_equal(response.has_usage, whole.has_usage);
    assert_int_equal(response.has_prompt, whole.has_prompt);
    assert_memory_equal(&response.tokens, &whole.tokens, sizeof(whole.tokens));
    if (!whole.has_prompt)
        assert_int_equal(response.has_error, whole.has_error);
}

static void a_response_read_from_its_end_gives_the_same_result_as_all_of_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        struct slice json = slice_str(responses[i]);
        struct usage_look look;
        expect_same_look(json);
        assert_int_equal(usage_read(json, &look), ERR_OK); /* so that each was compared */
        assert_int_equal(look.tokens.input, i < 7 ? 7 + i : 0);
    }
}

/* Bytes left out, or turned into others: where the whole is still read, both say the same. */
static void a_damaged_response_is_never_read_as_another(void **state)
{
    static const char others[] = "{}[]\":, \\1";
    char copy[512];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        size_t len = strlen(responses[i]);
        for (size_t at = 0; at < len; at++) {
            memcpy(copy, responses[i], at);
            memcpy(copy + at, responses[i] + at + 1, len - at - 1);
            expect_same_look(slice_of(copy, len - 1));
            memcpy(copy, responses[i], len);
            for (size_t c = 0; c < sizeof(others) - 1; c++) {
                copy[at] = others[c];
                expect_same_look(slice_of(copy, len));
            }
        }
    }
}

static void a_response_that_is_not_json_has_no_usage(void **state)
{
    struct usage_look look;
    (void)state;
    assert_int_equal(usage_read_response(SLICE(""), &look), ERR_INVALID);
    assert_int_equal(usage_read_response(SLICE("<html>{</html>"), &look), ERR_INVALID);
    assert_int_equal(usage_read_response(SLICE("{\"usage\":{\"prompt_tokens\":1}"), &look),
                     ERR_INVALID);
    assert_int_equal(usage_read_response(SLICE("{\"usage\":{\"prompt_tokens\":01}}"), &look),
                     ERR_INVALID);
    assert_int_equal(usage_read_response(SLICE("{\"usage\":{\"prompt_tokens\":1,"
                                               "\"total_tokens\":3,\"prompt_tokens\":2}}"),
                                         &look),
                     ERR_INVALID);
    assert_int_equal(usage_read_response(SLICE(":{"), &look), ERR_INVALID);
    assert_int_equal(usage_read_response(SLICE("{"), &look), ERR_INVALID);
}

static void expect_without_null(const char *chunk, const char *rest)
{
    struct slice all = slice_str(chunk), null;
    char got[256];
    assert_true(usage_find_null(all, &null));
    size_t at = (size_t)(null.ptr - all.ptr);
    struct slice behind = slice_from(all, at + null.len);
    snprintf(got, sizeof(got), "%.*s%.*s", SLICE_ARG(slice_first(all, at)), SLICE_ARG(behind));
    assert_string_equal(got, rest);
}

static void a_null_of_usage_is_found_with_one_comma(void **state)
{
    struct slice null;
    (void)state;
    expect_without_null("{\"a\":1,\"usage\":null}", "{\"a\":1}");
    expect_without_null("{\"a\":1 , \"usage\" : null }", "{\"a\":1  }");
    expect_without_null("{\"usage\":null,\"a\":1}", "{\"a\":1}");
    expect_without_null("{\"a\":1,\"usage\":null , \"b\":2}", "{\"a\":1,\"b\":2}");
    expect_without_null("{\"usage\":null}", "{}");
    assert_true(usage_find_null(SLICE("{\"a\":1,\"usage\":null}"), &null));
    assert_true(slice_eq(null, SLICE(",\"usage\":null")));
    assert_false(usage_find_null(SLICE("{\"usage\":1,\"usage\":null}"), &null));
    assert_false(usage_find_null(SLICE("[{\"a\":1,\"usage\":null}"), &null));
    assert_false(usage_find_null(SLICE("{\"usage\":{\"prompt_tokens\":1}}"), &null));
    assert_false(usage_find_null(SLICE("{\"delta\":{\"usage\":null}}"), &null));
    assert_false(usage_find_null(SLICE("{\"a\":\"\\\"usage\\\":null\"}"), &null));
    assert_false(usage_find_null(SLICE("{\"usage\":null,\"usage\":null}"), &null));
    assert_false(usage_find_null(SLICE("{\"usage\":null"), &null));
    assert_false(usage_find_null(SLICE("[]"), &null));
}

static void an_error_inside_is_seen(void **state)
{
    struct usage_look look;
    (void)state;
    assert_int_equal(usage_read(SLICE("{\"error\":{\"message\":\"x\"}}"), &look), ERR_OK);
    assert_true(look.has_error);
    assert_int_equal(usage_read(SLICE("{\"error\":null}"), &look), ERR_OK);
    assert_false(look.has_error);
    assert_int_equal(usage_read(SLICE("not json"), &look), ERR_INVALID);
}

static void a_stream_is_metered_by_the_words_in_it(void **state)
{
    struct ai_meter m = {0};
    (void)state;
    feed(&m, SLICE("{\"id\":\"long-identifier\",\"choices\":[{\"delta\":{\"role\":"
                   "\"assistant\",\"content\":\"0123456789\"},\"logprobs\":"
                   "{\"content\":[{\"token\":\"0123456789\"}]},"
                   "\"finish_reason\":\"stop\"}],\"system_fingerprint\":\"fp_1\"}"));
    assert_int_equal(m.pieces, 1);
    assert_int_equal(m.bytes, 10);
    assert_int_equal(ai_meter_tokens(&m), 3);
    feed(&m, SLICE("{\"choices\":[],\"usage\":{}}"));
    feed(&m, SLICE("{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}"));
    feed(&m, SLICE("{\"choices\":[{\"delta\":{\"content\":null},\"id\":\"x\"}]}"));
    assert_int_equal(m.pieces, 1);
    assert_int_equal(m.bytes, 10);
}

static void reasoning_and_arguments_are_words_and_names_are_not(void **state)
{
    struct ai_meter m = {0};
    (void)state;
    feed(&m, SLICE("{\"choices\":[{\"delta\":{\"reasoning_content\":\"12345\"}}]}"));
    assert_int_equal(m.bytes, 5);
    feed(&m, SLICE("{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":"
                   "\"call_1\",\"type\":\"function\",\"function\":{\"name\":"
                   "\"weather\",\"arguments\":\"{\\\"a\\\":1}\"}}]}}]}"));
    assert_int_equal(m.bytes, 14);
    feed(&m, SLICE("{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":"
                   "\"123\"}]}}]}"));
    assert_int_equal(m.bytes, 17);
    assert_int_equal(m.pieces, 3);
}

static void a_plain_response_is_metered_without_its_envelope(void **state)
{
    struct ai_meter m = {0};
    (void)state;
    whole(&m, SLICE("{\"id\":\"c1\",\"content\":\"not this\",\"choices\" : [ {\"index\":0,"
                    "\"message\" : {\"role\":\"assistant\",\"content\" : \"01234567\"},"
                    "\"finish_reason\":\"stop\"},{\"message\":{\"content\":\"8\"}}]}"));
    assert_int_equal(m.bytes, 9);
    assert_int_equal(ai_meter_tokens(&m), 3);
    whole(&m, SLICE("{\"error\":{\"message\":\"no\"}}"));
    assert_int_equal(m.bytes, 9);
}

static void every_piece_is_one_token_at_least(void **state)
{
    struct ai_meter m = {0};
    (void)state;
    for (int i = 0; i < 10; i++)
        feed(&m, SLICE("{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}"));
    assert_int_equal(ai_meter_tokens(&m), 10);
}

static void escapes_and_broken_texts_do_not_lead_it_astray(void **state)
{
    struct ai_meter m = {0};
    (void)state;
    feed(&m, SLICE("{\"delta\":{\"content\":\"a\\\"b\\\\\"}}"));
    assert_int_equal(m.bytes, 6);
    feed(&m, SLICE("{\"delta\":{\"content\":\"never ends\\"));
    assert_int_equal(m.bytes, 17);
    feed(&m, SLICE("{\"delta\":\""));
    feed(&m, SLICE("\"delta\""));
    feed(&m, SLICE("{\"delta\":{\"content\":\""));
    assert_int_equal(m.bytes, 17);
    assert_int_equal(m.pieces, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openais_counts_are_converted),
        cmocka_unit_test(audio_is_told_apart_as_far_as_the_whole_goes),
        cmocka_unit_test(parts_of_a_report_are_within_what_they_are_parts_of),
        cmocka_unit_test(a_member_that_is_no_count_is_not_believed),
        cmocka_unit_test(usage_forms_become_one),
        cmocka_unit_test(the_extra_chunk_is_told_from_content_with_usage),
        cmocka_unit_test(counts_are_read_also_where_a_language_has_no_integers),
        cmocka_unit_test(what_cannot_be_a_count_is_not_believed),
        cmocka_unit_test(a_response_that_writes_nothing_needs_no_second_count),
        cmocka_unit_test(a_response_read_from_its_end_gives_the_same_result_as_all_of_it),
        cmocka_unit_test(a_damaged_response_is_never_read_as_another),
        cmocka_unit_test(a_response_that_is_not_json_has_no_usage),
        cmocka_unit_test(a_null_of_usage_is_found_with_one_comma),
        cmocka_unit_test(an_error_inside_is_seen),
        cmocka_unit_test(a_stream_is_metered_by_the_words_in_it),
        cmocka_unit_test(reasoning_and_arguments_are_words_and_names_are_not),
        cmocka_unit_test(a_plain_response_is_metered_without_its_envelope),
        cmocka_unit_test(every_piece_is_one_token_at_least),
        cmocka_unit_test(escapes_and_broken_texts_do_not_lead_it_astray),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
