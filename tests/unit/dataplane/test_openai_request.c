/* openai_request — each row is a chat request and what of it goes to a service like OpenAI's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/ai/dialect/openai_parse.h"
#include "dataplane/ai/provider/openai_request.h"

#define USER "{\"role\":\"user\",\"content\":\"hello\"}"
#define TOOL                                                                                       \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":"     \
    "\"object\",\"properties\":{\"x\":{\"type\":\"string\"}}}}}]"

static void drop_chat(void *chat)
{
    ai_chat_fini(chat);
}

struct result {
    struct arena *arena;
    enum err e;
    json_t *body;
    struct ai_outgoing o;
    struct buf text;
};

static const struct openai_service *service(const char *quirks)
{
    if (strcmp(quirks, "mistral") == 0)
        return &openai_service_mistral;
    struct policy_provider p = {.quirks = slice_str(quirks)};
    if (strcmp(quirks, "openai") == 0)
        p = (struct policy_provider){.url = {.host = SLICE("api.openai.com")}};
    return openai_service_of(&p);
}

static void translate(const char *quirks, const char *model, const char *text, struct result *ret)
{
    static const struct ai_endpoint endpoint = {.kind = AI_CHAT, .dialect = &dialect_openai_chat};
    struct json_problem problem;
    *ret = (struct result){.arena = arena_new(4096, 1 << 22)};
    struct ai_chat *chat = arena_zalloc(ret->arena, sizeof(*chat));
    assert_int_equal(arena_adopt(ret->arena, chat, drop_chat), ERR_OK);
    chat->arena = ret->arena;
    const struct ai_incoming in = {.body = slice_str(text), .arena = ret->arena};
    if (openai_parse_chat(&in, chat))
        fail_msg("%s\nnot read: %.*s", text, SLICE_ARG(chat->why));
    buf_init(&ret->text, 1 << 22);
    ret->o = (struct ai_outgoing){.endpoint = &endpoint,
                                  .chat = chat,
                                  .changes = {.model = slice_str(model)},
                                  .arena = ret->arena,
                                  .translated = &ret->text};
    ret->e = openai_write_body(&ret->o, service(quirks));
    if (!ret->e && json_read(buf_slice(&ret->text), &ret->body, &problem))
        fail_msg("%s\n%.*s", problem.text, SLICE_ARG(buf_slice(&ret->text)));
}

static void drop(struct result *r)
{
    json_decref(r->body);
    buf_fini(&r->text);
    arena_free(r->arena);
}

static void expect(const char *quirks, const char *model, const char *chat, const char *member,
                   const char *json)
{
    struct result r;
    struct json_problem problem;
    JSON_AUTO json_t *wanted = NULL;
    translate(quirks, model, chat, &r);
    if (r.e)
        fail_msg("%s\nrefused by %s: %.*s", chat, quirks, SLICE_ARG(r.o.why));
    if (json[0] && json_read(slice_str(json), &wanted, &problem))
        fail_msg("%s: %s", json, problem.text);
    const json_t *got = json_object_get(r.body, member);
    if (wanted ? !got || !json_equal(got, wanted) : got != NULL) {
        char *text = got ? json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        fail_msg("%s, %s: %s\n%s is %s\nexpected %s", quirks, model, chat, member,
                 text ? text : "absent", json);
    }
    drop(&r);
}

static void members_are_told_as_each_service_and_model_takes_them(void **state)
{
    static const struct {
        const char *quirks, *model, *more, *member, *json;
    } rows[] = {
        {"openai", "gpt-4o", ",\"max_tokens\":5", "max_completion_tokens", "5"},
        {"openai", "gpt-4o", ",\"max_tokens\":5", "max_tokens", ""},
        {"vllm", "m", ",\"max_completion_tokens\":5", "max_tokens", "5"},
        {"openai", "gpt-4o", ",\"temperature\":0.5", "temperature", "0.5"},
        {"openai", "gpt-5", ",\"temperature\":0.5", "temperature", ""},
        {"openai", "gpt-5.2", ",\"temperature\":0.5,\"reasoning_effort\":\"none\"", "temperature",
         "0.5"},
        {"openai", "o3-mini", ",\"top_p\":0.5", "top_p", ""},
        {"openai", "gpt-4o", ",\"top_k\":5", "top_k", ""},
        {"vllm", "m", ",\"top_k\":5", "top_k", "5"},
        {"mistral", "m", ",\"seed\":7", "random_seed", "7"},
        {"mistral", "m", ",\"seed\":7", "seed", ""},
        {"openai", "gpt-4o", ",\"seed\":7", "seed", "7"},
        {"openai", "gpt-4o", ",\"stop\":\"x\"", "stop", "[\"x\"]"},
        {"openai", "o3", ",\"stop\":\"x\"", "stop", ""},
        {"openai", "gpt-5", ",\"reasoning_effort\":\"none\"", "reasoning_effort", "\"minimal\""},
        {"openai", "gpt-5.2", ",\"reasoning_effort\":\"max\"", "reasoning_effort", "\"xhigh\""},
        {"openai", "o3", ",\"reasoning_effort\":\"xhigh\"", "reasoning_effort", "\"high\""},
        {"openai", "gpt-4o", ",\"reasoning_effort\":\"high\"", "reasoning_effort", ""},
        {"openai", "gpt-5", ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":20000}",
         "reasoning_effort", "\"high\""},
        {"openrouter", "m", ",\"reasoning_effort\":\"high\"", "reasoning", "{\"effort\":\"high\"}"},
        {"openrouter", "m", ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}",
         "reasoning", "{\"max_tokens\":2000}"},
        {"deepseek", "m", ",\"reasoning_effort\":\"none\"", "thinking", "{\"type\":\"disabled\"}"},
        {"vllm", "m", ",\"reasoning_effort\":\"none\"", "chat_template_kwargs",
         "{\"enable_thinking\":false}"},
        {"openai", "gpt-4o", ",\"stream\":true", "stream_options", "{\"include_usage\":true}"},
        {"mistral", "m", ",\"stream\":true", "stream_options", ""},
        {"openai", "gpt-4o", ",\"service_tier\":\"flex\"", "service_tier", "\"flex\""},
        {"groq", "m", ",\"service_tier\":\"flex\"", "service_tier", ""},
        {"openai", "gpt-4o", ",\"verbosity\":\"low\"", "verbosity", ""},
        {"openai", "gpt-5", ",\"verbosity\":\"low\"", "verbosity", "\"low\""},
        {"openai", "gpt-4o", ",\"n\":2", "n", "2"},
        {"openai", "gpt-4o", ",\"response_format\":{\"type\":\"json_object\"}", "response_format",
         "{\"type\":\"json_object\"}"},
        {"openai", "gpt-4o",
         ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"strict\":true,\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
         "\"string\"}}}}}",
         "response_format",
         "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"strict\":true,\"schema\":{"
         "\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"],"
         "\"additionalProperties\":false}}}"},
        {"openai", "gpt-4o",
         ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"strict\":true,\"schema\":{\"type\":\"object\",\"additionalProperties\":{\"type\":"
         "\"string\"}}}}",
         "response_format",
         "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":"
         "\"object\",\"additionalProperties\":{\"type\":\"string\"}}}}"},
        {"openai", "gpt-4o", "," TOOL ",\"tool_choice\":\"required\"", "tool_choice",
         "\"required\""},
        {"mistral", "m", "," TOOL ",\"tool_choice\":\"required\"", "tool_choice", "\"any\""},
        {"openai", "gpt-4o", "," TOOL ",\"parallel_tool_calls\":false", "parallel_tool_calls",
         "false"},
        {"deepseek", "m", "," TOOL ",\"parallel_tool_calls\":false", "parallel_tool_calls", ""},
        {"openai", "gpt-4o", ",\"parallel_tool_calls\":false", "parallel_tool_calls", ""},
        {"openai", "gpt-4o",
         "," TOOL ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
         "tool_choice", "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"},
        {"vllm", "m",
         "," TOOL ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":"
         "\"required\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}}",
         "tool_choice", "\"required\""},
        {"openai", "gpt-4o", ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]",
         "tools",
         "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":"
         "\"object\",\"properties\":{}}}}]"},
    };
    char chat[2048];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":[" USER "]%s}", rows[i].more);
        expect(rows[i].quirks, rows[i].model, chat, rows[i].member, rows[i].json);
    }
}

#define CALL(id)                                                                                   \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"" id "\",\"type\":"        \
    "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}"
#define RESULT(id) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"1\"}"

static void messages_are_told_as_each_service_takes_them(void **state)
{
    static const struct {
        const char *quirks, *messages, *json;
    } rows[] = {
        {"openai", "{\"role\":\"developer\",\"content\":\"a\"}," USER,
         "[{\"role\":\"system\",\"content\":\"a\"}," USER "]"},
        {"openai",
         "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
         "\"text\":\"b\"}]}",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
         "\"text\":\"b\"}]}]"},
        {"openai", USER "," CALL("a") "," RESULT("a"), "[" USER "," CALL("a") "," RESULT("a") "]"},
        {"mistral", USER "," CALL("a") "," RESULT("a"),
         "[" USER "," CALL("COUtnvw1b") ",{\"role\":\"tool\",\"tool_call_id\":\"COUtnvw1b\","
                                        "\"name\":\"f\",\"content\":\"1\"}]"},
        {"mistral", USER "," CALL("abc123DEF") "," RESULT("abc123DEF"),
         "[" USER "," CALL("abc123DEF") ",{\"role\":\"tool\",\"tool_call_id\":\"abc123DEF\","
                                        "\"name\":\"f\",\"content\":\"1\"}]"},
        {"openai", USER ",{\"role\":\"assistant\",\"content\":\"\"}," USER, "[" USER "," USER "]"},
        {"openai", USER ",{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}," USER,
         "[" USER ",{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}," USER "]"},
        {"vllm", USER ",{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}," USER,
         "[" USER ",{\"role\":\"assistant\",\"content\":\"no\"}," USER "]"},
        {"deepseek", USER ",{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"b\"}",
         "[" USER ",{\"role\":\"assistant\",\"reasoning_content\":\"b\",\"content\":\"a\"}]"},
        {"openai", USER ",{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"b\"}",
         "[" USER ",{\"role\":\"assistant\",\"content\":\"a\"}]"},
        {"openai",
         "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:image/png;base64,AA==\",\"detail\":\"low\"}}]}",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:image/png;base64,AA==\",\"detail\":\"low\"}}]}]"},
        {"openai",
         "{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\","
         "\"file_data\":\"data:application/pdf;base64,AA==\"}}]}",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\","
         "\"file_data\":\"data:application/pdf;base64,AA==\"}}]}]"},
        {"openai",
         "{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{\"data\":"
         "\"AA==\",\"format\":\"mp3\"}}]}",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{\"data\":"
         "\"AA==\",\"format\":\"mp3\"}}]}]"},
        {"openrouter",
         "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{"
         "\"type\":\"ephemeral\"}}]}",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{"
         "\"type\":\"ephemeral\"}}]}]"},
        /* a tool's message holds text only */
        {"openai",
         USER "," CALL("a") ",{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":[{\"type\":"
                            "\"text\",\"text\":\"see\"},{\"type\":\"image_url\",\"image_url\":{"
                            "\"url\":\"https://x.test/a.png\"}}]}",
         "[" USER "," CALL("a") ",{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"see\"},{"
                                "\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
                                "\"image_url\":{\"url\":\"https://x.test/a.png\"}}]}]"},
    };
    char chat[4096];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":[%s]}", rows[i].messages);
        expect(rows[i].quirks, "gpt-4o", chat, "messages", rows[i].json);
    }
    /* marks of a cache: only newer models of OpenAI's own know them */
#define MARKED(mark)                                                                               \
    "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"," mark "}]}]"
    static const char *const marks[][2] = {
        {MARKED("\"cache_control\":{\"type\":\"ephemeral\"}"),
         MARKED("\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}")},
        {MARKED("\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}"),
         MARKED("\"prompt_cache_breakpoint\":{\"mode\":\"explicit\",\"ttl\":\"12h\"}")},
    };
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":%s}", marks[i][0]);
        expect("openai", "gpt-5.2", chat, "messages", marks[i][1]);
        expect("openai", "gpt-4o", chat, "messages", "[{\"role\":\"user\",\"content\":\"a\"}]");
        struct result r;
        translate("openai", "gpt-4o", chat, &r);
        assert_true(slice_eq(r.o.notice, SLICE("cache_control")));
        drop(&r);
    }
}

static void what_a_service_cannot_be_told_is_refused_by_name(void **state)
{
    static const struct {
        const char *quirks, *messages, *more, *param;
    } rows[] = {
        {"groq", USER, ",\"n\":2", "n"},
        {"openai", USER, ",\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\"]", "stop"},
        {"deepseek", USER,
         ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"schema\":{}}}",
         "response_format"},
        {"mistral", USER, ",\"logit_bias\":{\"1\":2}", "logit_bias"},
        {"openai", USER, ",\"tool_choice\":\"required\"", "tool_choice"},
        {"deepseek",
         "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"https://x.test/a.png\"}}]}",
         "", "messages"},
        {"openai",
         "{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}]}", "",
         "messages"},
        {"openai", "{\"role\":\"user\",\"content\":\"\"}", "", "messages"},
    };
    char chat[1024];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct result r;
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":[%s]%s}", rows[i].messages,
                 rows[i].more);
        translate(rows[i].quirks, "gpt-4o", chat, &r);
        if (r.e != ERR_INVALID)
            fail_msg("taken by %s: %s", rows[i].quirks, chat);
        assert_string_equal(r.o.param, rows[i].param);
        assert_true(r.o.why.len > 0);
        drop(&r);
    }
}

static void what_is_left_out_is_named(void **state)
{
    struct result r;
    (void)state;
    translate("openai", "o3",
              "{\"model\":\"m\",\"messages\":[" USER "],\"temperature\":0.2,\"top_k\":3,\"stop\":"
              "\"x\",\"verbosity\":\"low\",\"vendor_option\":\"x\",\"store\":false}",
              &r);
    assert_int_equal(r.e, ERR_OK);
    if (!slice_eq(r.o.notice, SLICE("temperature, top_k, stop, verbosity, vendor_option")))
        fail_msg("%.*s", SLICE_ARG(r.o.notice));
    drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_told_as_each_service_and_model_takes_them),
        cmocka_unit_test(messages_are_told_as_each_service_takes_them),
        cmocka_unit_test(what_a_service_cannot_be_told_is_refused_by_name),
        cmocka_unit_test(what_is_left_out_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
