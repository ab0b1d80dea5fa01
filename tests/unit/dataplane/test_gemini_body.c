/* gemini_body — what clients of Gemini's dialect send: the limit that is put in, and what is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/ai/dialect/gemini_body.h"

#define C "\"contents\":[]"

static const struct ai_endpoint generate = {.kind = AI_CHAT,
                                            .path = {"/v1beta/models/", 15},
                                            .prefix = true,
                                            .suffix = {":generateContent", 16}};

static struct ai_incoming incoming(struct arena *a, const char *body)
{
    return (struct ai_incoming){.body = slice_str(body),
                                .path = SLICE("/v1beta/models/org%2Fg:generateContent"),
                                .endpoint = &generate,
                                .arena = a};
}

static void a_limit_is_put_in_where_the_body_names_none(void **state)
{
    static const struct {
        const char *body, *expected;
    } rows[] = {
        {"{" C "}", "{\"generationConfig\":{\"maxOutputTokens\":7}," C "}"},
        {"{" C ",\"generationConfig\":{ }}",
         "{" C ",\"generationConfig\":{\"maxOutputTokens\":7 }}"},
        {"{" C ",\"generation_config\":{\"topK\":1}}",
         "{" C ",\"generation_config\":{\"maxOutputTokens\":7,\"topK\":1}}"},
        {"{" C ",\"generationConfig\":null}",
         "{" C ",\"generationConfig\":{\"maxOutputTokens\":7}}"},
        {"{" C ",\"generationConfig\":{\"max_output_tokens\":null}}",
         "{" C ",\"generationConfig\":{\"max_output_tokens\":7}}"},
        {"{" C ",\"generationConfig\":{\"maxOutputTokens\":\"9\"}}",
         "{" C ",\"generationConfig\":{\"maxOutputTokens\":\"9\"}}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct arena *a = arena_new(4096, 1 << 20);
        struct ai_request r = {0};
        struct slice detail, pieces[AI_REQUEST_PIECES];
        struct buf out;
        struct ai_incoming in = incoming(a, rows[i].body);
        const struct ai_changes changes = {.output_limit = 7};
        buf_init(&out, 4096);
        if (gemini_read_generate(&in, &r, &detail))
            fail_msg("%s: %.*s", rows[i].body, SLICE_ARG(detail));
        assert_true(slice_eq(r.model, SLICE("org/g")));
        assert_int_equal(gemini_splice_generate(&r, in.body, &changes, a, pieces), ERR_OK);
        for (size_t j = 0; j < AI_REQUEST_PIECES; j++)
            assert_int_equal(buf_append(&out, pieces[j]), ERR_OK);
        if (!slice_eq(buf_slice(&out), slice_str(rows[i].expected)))
            fail_msg("%.*s is not %s", SLICE_ARG(buf_slice(&out)), rows[i].expected);
        buf_fini(&out);
        arena_free(a);
    }
}

static void what_cannot_be_read_is_refused(void **state)
{
    static const struct {
        const char *body, *why;
    } rows[] = {
        {"[]", "the body must be a JSON object"},
        {"{}", "contents must be a list"},
        {"{" C ",\"generationConfig\":{},\"generation_config\":{}}",
         "generationConfig: a member is spelt in two ways"},
        {"{" C ",\"generationConfig\":{\"maxOutputTokens\":0}}",
         "generationConfig.maxOutputTokens must be a positive number"},
        {"{" C ",\"generationConfig\":{\"candidateCount\":9}}",
         "generationConfig.candidateCount must be a number from 1 to 8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct arena *a = arena_new(4096, 1 << 20);
        struct ai_request r = {0};
        struct slice detail = SLICE_NONE;
        struct ai_incoming in = incoming(a, rows[i].body);
        if (gemini_read_generate(&in, &r, &detail) != ERR_INVALID ||
            !slice_eq(detail, slice_str(rows[i].why)))
            fail_msg("%s: %.*s", rows[i].body, SLICE_ARG(detail));
        arena_free(a);
    }
}

static void parse(struct arena *a, const char *body, struct ai_chat *chat, enum err expected)
{
    struct ai_incoming in = incoming(a, body);
    *chat = (struct ai_chat){.arena = a};
    enum err e = gemini_parse_generate(&in, chat);
    if (e != expected)
        fail_msg("%s: %d %s: %.*s", body, e, chat->param, SLICE_ARG(chat->why));
}

static void responses_find_their_calls_by_name_and_order(void **state)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct ai_chat c;
    (void)state;
    parse(
        a,
        "{\"contents\":[{\"parts\":[{\"text\":\"q\"}]},{\"role\":\"model\",\"parts\":["
        "{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}},\"thoughtSignature\":\"s\"},"
        "{\"functionCall\":{\"name\":\"g\"}},{\"functionCall\":{\"name\":\"f\",\"id\":\"own\"}}]},"
        "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"g\",\"response\":{"
        "\"output\":\"of g\"}}},{\"functionResponse\":{\"name\":\"f\",\"response\":{\"error\":"
        "\"bad\"}}},{\"functionResponse\":{\"id\":\"own\",\"name\":\"f\",\"response\":{\"x\":1}}}"
        "]}]}",
        &c, ERR_OK);
    const struct ai_part *call = c.first->next->parts.first;
    const struct ai_part *result = c.last->parts.first;
    assert_true(slice_eq(call->text, SLICE("{\"a\":1}")));
    assert_true(slice_eq(call->signature, SLICE("s")));
    assert_true(slice_eq(result->id, call->next->id));
    assert_true(slice_eq(result->inner->first->text, SLICE("of g")));
    assert_true(slice_eq(result->next->id, call->id));
    assert_true(result->next->is_error);
    assert_true(slice_eq(result->next->next->id, SLICE("own")));
    assert_true(slice_eq(result->next->next->inner->first->text, SLICE("{\"x\":1}")));
    ai_chat_fini(&c);
    parse(a,
          "{\"contents\":[{\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{}}}]}]}",
          &c, ERR_INVALID);
    ai_chat_fini(&c);
    arena_free(a);
}

static void both_spellings_are_read(void **state)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct ai_chat c;
    (void)state;
    parse(a,
          "{" C ",\"system_instruction\":{\"parts\":{\"text\":\"s\"}},\"generation_config\":{"
          "\"max_output_tokens\":\"5\",\"stop_sequences\":[\"a\"],\"response_mime_type\":"
          "\"application/json\",\"thinking_config\":{\"thinking_budget\":0}},\"tool_config\":{"
          "\"function_calling_config\":{\"mode\":\"ANY\",\"allowed_function_names\":[\"f\"]}},"
          "\"safety_settings\":[{}]}",
          &c, ERR_OK);
    assert_int_equal(c.first->role, AI_SYSTEM);
    assert_int_equal(c.output_limit, 5);
    assert_true(slice_eq(c.stops->text, SLICE("a")));
    assert_int_equal(c.format, AI_FORMAT_JSON);
    assert_int_equal(c.effort, AI_EFFORT_NONE);
    assert_int_equal(c.choosing, AI_CHOOSE_ONE);
    assert_true(slice_eq(c.chosen, SLICE("f")));
    assert_string_equal(c.others->name, "safety_settings");
    assert_false(c.others->binds);
    ai_chat_fini(&c);
    arena_free(a);
}

static void schemas_of_openapi_become_json_schema(void **state)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct ai_chat c;
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    parse(a,
          "{" C ",\"generationConfig\":{\"responseSchema\":{\"type\":\"OBJECT\",\"properties\":{"
          "\"type\":{\"type\":\"ARRAY\",\"minItems\":\"1\",\"items\":{\"type\":\"STRING\","
          "\"nullable\":true}}},\"propertyOrdering\":[\"type\"]}}}",
          &c, ERR_OK);
    assert_int_equal(json_write_sorted(c.format_schema, &out), ERR_OK);
    if (!slice_eq(buf_slice(&out),
                  SLICE("{\"properties\":{\"type\":{\"items\":{\"type\":[\"string\",\"null\"]},"
                        "\"minItems\":1,\"type\":\"array\"}},\"type\":\"object\"}")))
        fail_msg("%.*s", SLICE_ARG(buf_slice(&out)));
    buf_fini(&out);
    ai_chat_fini(&c);
    arena_free(a);
}

static void what_only_gemini_has_is_named(void **state)
{
    static const struct {
        const char *more, *name;
        bool binds;
    } rows[] = {
        {",\"tools\":[{\"googleSearch\":{\"x\":1}}]", "tools", true},
        {",\"cachedContent\":\"c\"", "cachedContent", true},
        {",\"generationConfig\":{\"responseLogprobs\":true}", "responseLogprobs", true},
        {",\"generationConfig\":{\"responseModalities\":[\"IMAGE\"]}", "responseModalities", true},
        {",\"generationConfig\":{\"mediaResolution\":\"HIGH\"}", "mediaResolution", false},
        {",\"labels\":{\"a\":\"b\"}", "labels", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct arena *a = arena_new(4096, 1 << 20);
        struct ai_chat c;
        char body[256];
        snprintf(body, sizeof(body), "{" C "%s}", rows[i].more);
        parse(a, body, &c, ERR_OK);
        if (!c.others || strcmp(c.others->name, rows[i].name) != 0 ||
            c.others->binds != rows[i].binds)
            fail_msg("%s", body);
        ai_chat_fini(&c);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_is_put_in_where_the_body_names_none),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(responses_find_their_calls_by_name_and_order),
        cmocka_unit_test(both_spellings_are_read),
        cmocka_unit_test(schemas_of_openapi_become_json_schema),
        cmocka_unit_test(what_only_gemini_has_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
