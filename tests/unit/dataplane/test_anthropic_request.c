/* anthropic_request — each row is a chat request and what of it goes to Anthropic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/ai/dialect/openai_parse.h"
#include "dataplane/ai/provider/anthropic_request.h"

#define USER "{\"role\":\"user\",\"content\":\"hello\"}"

static json_t *read_json(const char *text)
{
    struct json_problem problem;
    json_t *tree = NULL;
    if (json_read(slice_str(text), &tree, &problem))
        fail_msg("%s: %s", text, problem.text);
    return tree;
}

struct anthropic_result {
    json_t *body;
    const char *param;
    struct slice notice, why;
};

static void drop_chat(void *chat)
{
    ai_chat_fini(chat);
}

/* A body of OpenAI's chat as the provider is sent it. */
static enum err translate(const char *model, const char *text, struct arena *a,
                          struct anthropic_result *ret)
{
    static struct ai_outgoing o;
    static struct buf body;
    static const struct ai_endpoint endpoint = {.kind = AI_CHAT, .dialect = &dialect_openai_chat};
    struct ai_chat *chat = arena_zalloc(a, sizeof(*chat));
    assert_int_equal(arena_adopt(a, chat, drop_chat), ERR_OK);
    chat->arena = a;
    const struct ai_incoming in = {.body = slice_str(text), .arena = a};
    struct json_problem problem;
    buf_init(&body, 1 << 20);
    o = (struct ai_outgoing){.endpoint = &endpoint,
                             .chat = chat,
                             .changes = {.model = slice_str(model)},
                             .arena = a,
                             .translated = &body};
    *ret = (struct anthropic_result){0};
    enum err e = openai_parse_chat(&in, chat);
    ret->param = chat->param;
    ret->why = chat->why;
    if (!e) {
        e = anthropic_write_body(&o, &(struct anthropic_wrapping){0});
        *ret = (struct anthropic_result){.param = o.param, .why = o.why, .notice = o.notice};
    }
    if (!e && json_read(buf_slice(&body), &ret->body, &problem))
        fail_msg("%s\n%.*s", problem.text, SLICE_ARG(buf_slice(&body)));
    buf_fini(&body);
    return e;
}

/* One member of the translated body; "" where it is absent. */
static void expect(const char *model, const char *chat, const char *member, const char *json)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct anthropic_result r = {0};
    if (translate(model, chat, a, &r))
        fail_msg("%s\nrefused: %.*s", chat, SLICE_ARG(r.why));
    JSON_AUTO json_t *wanted = json[0] ? read_json(json) : NULL;
    const json_t *got = json_object_get(r.body, member);
    bool same = wanted ? got && json_equal(got, wanted) : !got;
    if (!same) {
        char *text = got ? json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        fail_msg("%s\n%s is %s\nexpected %s", chat, member, text ? text : "absent", json);
    }
    json_decref(r.body);
    arena_free(a);
}

static void members_have_their_counterparts(void **state)
{
    static const struct {
        const char *model, *more, *member, *json;
    } rows[] = {
        {"claude-sonnet-4-5", "", "max_tokens", "64000"},
        {"unheard-of", "", "max_tokens", "4096"},
        {"unheard-of", ",\"max_tokens\":9999", "max_tokens", "9999"},
        {"claude-sonnet-4-5", ",\"max_tokens\":128000", "max_tokens", "64000"},
        {"claude-sonnet-4-5", ",\"max_tokens\":5,\"max_completion_tokens\":7", "max_tokens", "7"},
        {"claude-sonnet-4-5", ",\"temperature\":1.5", "temperature", "1"},
        {"claude-sonnet-4-5", ",\"temperature\":0.5,\"top_p\":0.5", "top_p", ""},
        {"claude-opus-4-7", ",\"temperature\":1", "temperature", ""},
        {"claude-sonnet-4-5", ",\"stop\":\"x\"", "stop_sequences", "[\"x\"]"},
        {"claude-sonnet-4-5", ",\"stop\":[\"x\",\" \"]", "stop_sequences", "[\"x\"]"},
        {"claude-sonnet-4-5", ",\"user\":\"u-1\"", "metadata", "{\"user_id\":\"u-1\"}"},
        {"claude-sonnet-4-5", ",\"user\":\"+49 170 1234567\"", "metadata", ""},
        {"claude-sonnet-4-5", ",\"service_tier\":\"default\"", "service_tier", "\"standard_only\""},
        {"claude-opus-4-7", ",\"reasoning_effort\":\"minimal\"", "thinking",
         "{\"type\":\"adaptive\",\"display\":\"summarized\"}"},
        {"claude-opus-4-7", ",\"reasoning_effort\":\"minimal\"", "output_config",
         "{\"effort\":\"low\"}"},
        {"claude-sonnet-4-5", ",\"reasoning_effort\":\"high\",\"max_tokens\":10", "thinking",
         "{\"type\":\"enabled\",\"budget_tokens\":4096}"},
        {"claude-sonnet-4-5", ",\"reasoning_effort\":\"high\",\"max_tokens\":10", "max_tokens",
         "4106"},
        {"claude-sonnet-4-5",
         ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"schema\":{\"type\":\"object\",\"properties\":{}}}}",
         "output_config",
         "{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\","
         "\"properties\":{},\"additionalProperties\":false}}}"},
        {"claude-sonnet-4-5",
         ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
         "\"parallel_tool_calls\":false",
         "tool_choice", "{\"type\":\"auto\",\"disable_parallel_tool_use\":true}"},
        {"claude-sonnet-4-5",
         ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
         "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
         "tool_choice", "{\"type\":\"tool\",\"name\":\"f\"}"},
        {"claude-sonnet-4-5", ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]",
         "tools", "[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}]"},
        {"claude-sonnet-4-5", ",\"seed\":null,\"n\":1,\"logprobs\":false", "seed", ""},
    };
    char chat[1024];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":[" USER "]%s}", rows[i].more);
        expect(rows[i].model, chat, rows[i].member, rows[i].json);
    }
}

static void messages_become_turns(void **state)
{
    static const struct {
        const char *messages, *member, *json;
    } rows[] = {
        {"{\"role\":\"system\",\"content\":\"a\"}," USER ",{\"role\":\"developer\",\"content\":"
         "[{\"type\":\"text\",\"text\":\"b\"}]}",
         "system", "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]"},
        {"{\"role\":\"system\",\"content\":\"\"}," USER, "system", ""},
        {USER "," USER, "messages",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"},"
         "{\"type\":\"text\",\"text\":\"hello\"}]}]"},
        {USER ",{\"role\":\"assistant\",\"content\":\" \\n\"}," USER, "messages",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"},"
         "{\"type\":\"text\",\"text\":\"hello\"}]}]"},
        {USER ",{\"role\":\"assistant\",\"content\":\"\"}," USER, "messages",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"},"
         "{\"type\":\"text\",\"text\":\"hello\"}]}]"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:image/png;base64,AAAA\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"https://x.test/a.png\"}}]}",
         "messages",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\","
         "\"media_type\":\"image/png\",\"data\":\"AAAA\"}},{\"type\":\"image\",\"source\":{"
         "\"type\":\"url\",\"url\":\"https://x.test/a.png\"}}]}]"},
        /* parallel results in one turn, before its text; ids that the API takes */
        {USER ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":"
              "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}},{\"id\":\"b\","
              "\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":"
              "\"{\\\"x\\\":1}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\"},"
              "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"2\"}," USER,
         "messages",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]},{\"role\":"
         "\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","
         "\"input\":{}},{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"g\",\"input\":{\"x\":1}}]},"
         "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\","
         "\"content\":[{\"type\":\"text\",\"text\":\"1\"}]},{\"type\":\"tool_result\","
         "\"tool_use_id\":\"b\",\"content\":[{\"type\":\"text\",\"text\":\"2\"}]},{\"type\":"
         "\"text\",\"text\":\"hello\"}]}]"},
        /* the history's tools are defined */
        {USER ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\","
              "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
              "\"tool_call_id\":\"a\",\"content\":\"1\"}",
         "tools", "[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}]"},
        /* signed thinking goes back first, unsigned not at all */
        {USER ",{\"role\":\"assistant\",\"content\":\"b\",\"reasoning_content\":\"a\","
              "\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":\"s\"},"
              "{\"type\":\"thinking\",\"thinking\":\"c\"}]}," USER,
         "messages",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]},{\"role\":"
         "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":"
         "\"s\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"user\",\"content\":[{\"type\":"
         "\"text\",\"text\":\"hello\"}]}]"},
    };
    char chat[4096];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":[%s]}", rows[i].messages);
        expect("claude-sonnet-4-5", chat, rows[i].member, rows[i].json);
    }
}

static void ids_of_other_providers_become_the_same_again(void **state)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct anthropic_result r = {0};
    (void)state;
    const char *chat =
        "{\"model\":\"m\",\"messages\":[" USER
        ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"functions.f:0\",\"type\":\"function\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
        "\"tool_call_id\":\"functions.f:0\",\"content\":\"1\"}]}";
    assert_int_equal(translate("claude-sonnet-4-5", chat, a, &r), ERR_OK);
    const json_t *messages = json_object_get(r.body, "messages");
    const json_t *call = json_array_get(json_object_get(json_array_get(messages, 1), "content"), 0);
    const json_t *result =
        json_array_get(json_object_get(json_array_get(messages, 2), "content"), 0);
    assert_true(slice_starts(json_text(call, "id"), SLICE("toolu_")));
    assert_true(slice_eq(json_text(call, "id"), json_text(result, "tool_use_id")));
    json_decref(r.body);
    arena_free(a);
}

static void what_would_change_its_meaning_is_refused_by_name(void **state)
{
    static const struct {
        const char *model, *more, *param;
    } rows[] = {
        {"claude-sonnet-4-5", ",\"n\":2", "n"},
        {"claude-sonnet-4-5", ",\"logit_bias\":{\"1\":2}", "logit_bias"},
        {"claude-sonnet-4-5", ",\"logprobs\":true", "logprobs"},
        {"claude-sonnet-4-5", ",\"modalities\":[\"text\",\"audio\"]", "modalities"},
        {"claude-sonnet-4-5", ",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}]",
         "tools"},
        {"claude-opus-5-5",
         ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
         "\"tool_choice\":\"required\"",
         "tool_choice"},
        {"unheard-of",
         ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"schema\":{\"type\":\"object\"}}}",
         "response_format"},
    };
    static const char *const messages[] = {
        "{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{}}]}",
        "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
        "\"http://x.test/a.png\"}}]}",
        "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
        "\"data:image/tiff;base64,AA\"}}]}",
        "{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}]}",
        USER ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\","
             "\"function\":{\"name\":\"f\",\"arguments\":\"{x\"}}]}",
        "{\"role\":\"oracle\",\"content\":\"a\"}",
        "{\"role\":\"user\",\"content\":\"\"}",
        USER ",{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":{\"a\":1}}]}",
        USER ",{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\",\"refusal\":7}]}",
    };
    char chat[1024];
    struct anthropic_result r;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_new(4096, 1 << 20);
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":[" USER "]%s}", rows[i].more);
        if (translate(rows[i].model, chat, a, &r) != ERR_INVALID)
            fail_msg("taken: %s", chat);
        assert_string_equal(r.param, rows[i].param);
        assert_true(r.why.len > 0);
        arena_free(a);
    }
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        struct arena *a = arena_new(4096, 1 << 20);
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":[%s]}", messages[i]);
        if (translate("claude-sonnet-4-5", chat, a, &r) != ERR_INVALID)
            fail_msg("taken: %s", chat);
        assert_string_equal(r.param, "messages");
        arena_free(a);
    }
}

static void what_is_left_out_is_named(void **state)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct anthropic_result r = {0};
    (void)state;
    assert_int_equal(translate("claude-opus-4-7",
                               "{\"model\":\"m\",\"messages\":[" USER
                               "],\"seed\":1,\"store\":false,\"metadata\":{\"a\":\"b\"},"
                               "\"temperature\":0.2,\"vendor_option\":\"x\"}",
                               a, &r),
                     ERR_OK);
    assert_true(slice_eq(r.notice, SLICE("temperature, seed, metadata, vendor_option")));
    json_decref(r.body);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_have_their_counterparts),
        cmocka_unit_test(messages_become_turns),
        cmocka_unit_test(ids_of_other_providers_become_the_same_again),
        cmocka_unit_test(what_would_change_its_meaning_is_refused_by_name),
        cmocka_unit_test(what_is_left_out_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
