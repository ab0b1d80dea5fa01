/* gemini_request — each row is a chat request of OpenAI's dialect and what of it goes to Gemini. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "dataplane/ai/dialect/gemini_body.h"
#include "dataplane/ai/provider/gemini_request.h"

#define USER "{\"role\":\"user\",\"content\":\"hello\"}"
#define TOOL                                                                                       \
    "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":{"   \
    "\"type\":\"object\",\"properties\":{\"a\":{\"const\":1}},\"$schema\":\"x\"}}}"
#define CALL(id, arguments)                                                                        \
    "{\"id\":\"" id                                                                                \
    "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"" arguments "\"}}"

static const struct ai_endpoint chat_endpoint = {.kind = AI_CHAT, .dialect = &dialect_openai_chat};

struct translated {
    struct arena *a;
    struct ai_chat chat;
    struct ai_outgoing o;
    struct buf body;
    enum err e;
};

static void translate(struct translated *t, const char *model, const char *body)
{
    memset(t, 0, sizeof(*t));
    t->a = arena_new(4096, 1 << 20);
    t->chat.arena = t->a;
    buf_init(&t->body, 1 << 20);
    const struct ai_incoming in = {
        .body = slice_str(body), .endpoint = &chat_endpoint, .arena = t->a};
    if (dialect_openai_chat.parse(&in, &t->chat))
        fail_msg("%s\nnot parsed: %s: %.*s", body, t->chat.param, SLICE_ARG(t->chat.why));
    t->o.endpoint = &chat_endpoint;
    t->o.chat = &t->chat;
    t->o.arena = t->a;
    t->o.changes.model = slice_str(model);
    t->o.translated = &t->body;
    t->e = gemini_write_request(&t->o, &(struct gemini_service){.call_ids = true});
}

static void drop(struct translated *t)
{
    ai_chat_fini(&t->chat);
    buf_fini(&t->body);
    arena_free(t->a);
}

static json_t *read_json(struct slice text)
{
    struct json_problem problem;
    json_t *tree = NULL;
    if (json_read(text, &tree, &problem))
        fail_msg("%.*s: %s", SLICE_ARG(text), problem.text);
    return tree;
}

/* A member of a member: "generationConfig.topP". */
static const json_t *member(const json_t *tree, const char *path)
{
    char name[64];
    const char *dot = strchr(path, '.');
    if (!dot)
        return json_object_get(tree, path);
    snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
    return member(json_object_get(tree, name), dot + 1);
}

static const struct ai_endpoint gemini_endpoint = {.kind = AI_CHAT,
                                                   .dialect = &dialect_gemini,
                                                   .path = {"/v1beta/models/", 15},
                                                   .prefix = true,
                                                   .suffix = {":generateContent", 16}};

/* "none" has no word there: the lowest effort takes its place, and is read as that. Otherwise
 * what was written is read by the dialect of the same protocol, and written again as it was. */
static void expect_same_again(const struct translated *t, const char *chat)
{
    struct ai_chat again = {.arena = t->a};
    struct ai_outgoing o = {.endpoint = &gemini_endpoint, .chat = &again, .arena = t->a};
    struct buf body;
    const struct ai_incoming in = {.body = buf_slice(&t->body),
                                   .path = SLICE("/v1beta/models/m:generateContent"),
                                   .endpoint = &gemini_endpoint,
                                   .arena = t->a};
    if (t->chat.effort == AI_EFFORT_NONE)
        return;
    buf_init(&body, 1 << 20);
    o.changes.model = t->o.changes.model;
    o.translated = &body;
    if (gemini_parse_generate(&in, &again))
        fail_msg("%s\nnot read: %s: %.*s", chat, again.param, SLICE_ARG(again.why));
    enum err e = gemini_write_request(&o, &(struct gemini_service){.call_ids = true});
    if (e || !slice_eq(buf_slice(&body), buf_slice(&t->body)))
        fail_msg("%s\nwritten %.*s\nagain   %.*s", chat, SLICE_ARG(buf_slice(&t->body)),
                 SLICE_ARG(buf_slice(&body)));
    ai_chat_fini(&again);
    buf_fini(&body);
}

static void expect(const char *model, const char *chat, const char *path, const char *json)
{
    struct translated t;
    translate(&t, model, chat);
    if (t.e)
        fail_msg("%s\nrefused: %.*s", chat, SLICE_ARG(t.o.why));
    expect_same_again(&t, chat);
    JSON_AUTO json_t *body = read_json(buf_slice(&t.body));
    JSON_AUTO json_t *wanted = json[0] ? read_json(slice_str(json)) : NULL;
    const json_t *got = member(body, path);
    if (wanted ? !got || !json_equal(got, wanted) : got != NULL)
        fail_msg("%s\n%.*s\n%s is not %s", chat, SLICE_ARG(buf_slice(&t.body)), path, json);
    drop(&t);
}

static void members_have_their_counterparts(void **state)
{
    static const struct {
        const char *model, *more, *path, *json;
    } rows[] = {
        {"gemini-2.5-flash", "", "generationConfig", "{}"},
        {"gemini-2.5-flash", ",\"max_tokens\":5", "generationConfig.maxOutputTokens", "5"},
        {"gemini-2.5-flash", ",\"temperature\":1.5,\"top_p\":0.5", "generationConfig",
         "{\"temperature\":1.5,\"topP\":0.5}"},
        {"gemini-2.5-flash", ",\"seed\":12345678901", "generationConfig.seed", "12345678901"},
        {"gemini-3-flash", ",\"presence_penalty\":0.5", "generationConfig.presencePenalty", "0.5"},
        {"gemini-2.5-flash", ",\"presence_penalty\":0.5", "generationConfig.presencePenalty", ""},
        {"gemini-3-flash", ",\"stop\":\"x\"", "generationConfig.stopSequences", "[\"x\"]"},
        {"gemini-3-flash", ",\"n\":2", "generationConfig.candidateCount", "2"},
        {"gemini-3-flash", ",\"reasoning_effort\":\"none\"", "generationConfig.thinkingConfig",
         "{\"thinkingLevel\":\"MINIMAL\"}"},
        {"gemini-3-flash", ",\"reasoning_effort\":\"medium\"", "generationConfig.thinkingConfig",
         "{\"thinkingLevel\":\"MEDIUM\",\"includeThoughts\":true}"},
        {"gemini-3-pro", ",\"reasoning_effort\":\"minimal\"", "generationConfig.thinkingConfig",
         "{\"thinkingLevel\":\"LOW\",\"includeThoughts\":true}"},
        {"gemini-3-pro", ",\"reasoning_effort\":\"medium\"", "generationConfig.thinkingConfig",
         "{\"thinkingLevel\":\"HIGH\",\"includeThoughts\":true}"},
        {"gemini-2.5-flash", ",\"reasoning_effort\":\"none\"", "generationConfig.thinkingConfig",
         "{\"thinkingBudget\":0}"},
        {"gemini-2.5-pro", ",\"reasoning_effort\":\"none\"", "generationConfig.thinkingConfig",
         "{\"thinkingBudget\":128}"},
        {"gemini-2.5-pro", ",\"reasoning_effort\":\"max\"", "generationConfig.thinkingConfig",
         "{\"thinkingBudget\":32768,\"includeThoughts\":true}"},
        {"gemini-2.5-flash", ",\"reasoning_effort\":\"high\"", "generationConfig.thinkingConfig",
         "{\"thinkingBudget\":24576,\"includeThoughts\":true}"},
        {"gemini-2.0-flash", ",\"reasoning_effort\":\"high\"", "generationConfig.thinkingConfig",
         ""},
        {"gemini-3-flash", ",\"response_format\":{\"type\":\"json_object\"}",
         "generationConfig.responseMimeType", "\"application/json\""},
        {"gemini-3-flash",
         ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"schema\":{\"$schema\":\"x\",\"type\":\"object\",\"properties\":{\"const\":{"
         "\"const\":\"a\"},\"list\":{\"anyOf\":[{\"const\":2}],\"default\":{\"const\":3}}}}}}",
         "generationConfig.responseJsonSchema",
         "{\"type\":\"object\",\"properties\":{\"const\":{\"enum\":[\"a\"]},\"list\":{\"anyOf\":["
         "{\"enum\":[2]}],\"default\":{\"const\":3}}}}"},
        {"gemini-3-flash", ",\"service_tier\":\"flex\"", "serviceTier", "\"flex\""},
        {"gemini-3-flash",
         ",\"tools\":[" TOOL ",{\"type\":\"function\",\"function\":{\"name\":"
         "\"g\"}}]",
         "tools",
         "[{\"functionDeclarations\":[{\"name\":\"f\",\"description\":\"d\","
         "\"parametersJsonSchema\":{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1]}}}},"
         "{\"name\":\"g\"}]}]"},
        {"gemini-3-flash", ",\"tools\":[" TOOL "]", "toolConfig", ""},
        {"gemini-3-flash", ",\"tools\":[" TOOL "],\"tool_choice\":\"auto\"", "toolConfig",
         "{\"functionCallingConfig\":{\"mode\":\"AUTO\"}}"},
        {"gemini-3-flash", ",\"tools\":[" TOOL "],\"tool_choice\":\"none\"", "toolConfig",
         "{\"functionCallingConfig\":{\"mode\":\"NONE\"}}"},
        {"gemini-3-flash", ",\"tools\":[" TOOL "],\"tool_choice\":\"required\"", "toolConfig",
         "{\"functionCallingConfig\":{\"mode\":\"ANY\"}}"},
        {"gemini-3-flash",
         ",\"tools\":[" TOOL "],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
         "\"f\"}}",
         "toolConfig",
         "{\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}}"},
        {"gemini-3-flash",
         ",\"tools\":[" TOOL ",{\"type\":\"function\",\"function\":{\"name\":\"g\"}}],"
         "\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\","
         "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}}",
         "tools", "[{\"functionDeclarations\":[{\"name\":\"g\"}]}]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char chat[4096];
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":[" USER "]%s}", rows[i].more);
        expect(rows[i].model, chat, rows[i].path, rows[i].json);
    }
}

static void messages_become_turns(void **state)
{
    static const struct {
        const char *model, *messages, *path, *json;
    } rows[] = {
        {"gemini-3-flash",
         "{\"role\":\"system\",\"content\":\"one\"}," USER
         ",{\"role\":\"developer\",\"content\":\"two\"}",
         "systemInstruction", "{\"parts\":[{\"text\":\"one\"},{\"text\":\"two\"}]}"},
        {"gemini-3-flash", USER "," USER ",{\"role\":\"assistant\",\"content\":\"\"}," USER,
         "contents",
         "[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"},{\"text\":\"hello\"},{\"text\":"
         "\"hello\"}]}]"},
        {"gemini-3-flash", USER ",{\"role\":\"assistant\",\"content\":\"hi\"}", "contents",
         "[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]},{\"role\":\"model\",\"parts\":[{"
         "\"text\":\"hi\"}]}]"},
        {"gemini-3-flash",
         "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:image/png;base64,AAAA\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"https://a/b.png\"}},{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"BBBB\","
         "\"format\":\"wav\"}},{\"type\":\"file\",\"file\":{\"file_data\":"
         "\"data:application/pdf;base64,CCCC\",\"filename\":\"c.pdf\"}}]}",
         "contents",
         "[{\"role\":\"user\",\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":"
         "\"AAAA\"}},{\"fileData\":{\"fileUri\":\"https://a/b.png\"}},{\"inlineData\":{"
         "\"mimeType\":\"audio/wav\",\"data\":\"BBBB\"}},{\"inlineData\":{\"mimeType\":"
         "\"application/pdf\",\"data\":\"CCCC\"}}]}]"},
        /* parallel calls: the first alone has the sentinel, and names are looked up by id */
        {"gemini-3-flash",
         USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL("c1", "{\\\"x\\\":1}") "," CALL(
             "c2", "") "]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"one\"},"
                       "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"two\"}," USER,
         "contents",
         "[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]},{\"role\":\"model\",\"parts\":[{"
         "\"functionCall\":{\"id\":\"c1\",\"name\":\"f\",\"args\":{\"x\":1}},"
         "\"thoughtSignature\":\"skip_thought_signature_validator\"},{\"functionCall\":{\"id\":"
         "\"c2\",\"name\":\"f\",\"args\":{}}}]},{\"role\":\"user\",\"parts\":[{"
         "\"functionResponse\":{\"id\":\"c1\",\"name\":\"f\",\"response\":{\"output\":\"one\"}}},{"
         "\"functionResponse\":{\"id\":\"c2\",\"name\":\"f\",\"response\":{\"output\":\"two\"}}},{"
         "\"text\":\"hello\"}]}]"},
        /* a signature that the client kept goes back, and no other call of the turn needs one */
        {"gemini-3-flash",
         USER ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\","
              "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"},\"extra_content\":{\"google\":{"
              "\"thought_signature\":\"c2ln\"}}}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\","
              "\"content\":\"one\"}",
         "contents",
         "[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]},{\"role\":\"model\",\"parts\":[{"
         "\"functionCall\":{\"id\":\"c1\",\"name\":\"f\",\"args\":{}},\"thoughtSignature\":"
         "\"c2ln\"}"
         "]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":\"c1\",\"name\":\"f\","
         "\"response\":{\"output\":\"one\"}}}]}]"},
        {"gemini-2.5-flash",
         USER ",{\"role\":\"assistant\",\"content\":\"so\",\"tool_calls\":[" CALL(
             "c1", "{}") "]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"one\"}",
         "contents",
         "[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]},{\"role\":\"model\",\"parts\":[{"
         "\"text\":\"so\"},{\"functionCall\":{\"id\":\"c1\",\"name\":\"f\",\"args\":{}}}]},{"
         "\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":\"c1\",\"name\":\"f\","
         "\"response\":{\"output\":\"one\"}}}]}]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char chat[4096];
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":[%s]}", rows[i].messages);
        expect(rows[i].model, chat, rows[i].path, rows[i].json);
    }
}

static void what_cannot_be_told_is_refused_and_named(void **state)
{
    static const struct {
        const char *model, *rest, *param, *why;
    } rows[] = {
        {"gemini-3-flash", "[" USER "],\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"]", "stop",
         "more than 5 stop sequences"},
        {"gemini-3-flash", "[" USER "],\"n\":9", "n", "more than 8 choices"},
        {"gemini-3-flash", "[" USER "],\"n\":2,\"stream\":true,\"tools\":[" TOOL "]", "n",
         "more than one choice in a stream with tools"},
        {"gemini-3-flash", "[" USER "],\"logit_bias\":{\"1\":1}", "logit_bias", "logit_bias"},
        {"gemini-3-flash", "[" USER "],\"tool_choice\":\"required\"", "tool_choice",
         "a choice among no tools"},
        {"gemini-2.5-flash",
         "[" USER "],\"tools\":[" TOOL "],\"response_format\":{\"type\":\"json_object\"}",
         "response_format", "an output format together with tools"},
        {"gemini-3-flash", "[{\"role\":\"user\",\"content\":\"\"}]", "messages",
         "no message of the user with any content"},
        {"gemini-3-flash",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"http://a/b.png\"}}]}]",
         "messages", "content must be inline in base64, or an https: or gs: URL"},
        {"gemini-3-flash",
         "[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL("c1", "[1]") "]}]", "messages",
         "the arguments of the tool call c1 are no JSON object"},
        {"gemini-3-flash",
         "[" USER ",{\"role\":\"tool\",\"tool_call_id\":\"c9\",\"content\":\"\"}]", "messages",
         "the result of the tool call c9, which no turn made"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char chat[4096];
        struct translated t;
        snprintf(chat, sizeof(chat), "{\"model\":\"m\",\"messages\":%s}", rows[i].rest);
        translate(&t, rows[i].model, chat);
        if (t.e != ERR_INVALID || strcmp(t.o.param, rows[i].param) != 0 ||
            !slice_eq(t.o.why, slice_str(rows[i].why)))
            fail_msg("%s\n%d %s: %.*s", chat, t.e, t.o.param, SLICE_ARG(t.o.why));
        drop(&t);
    }
}

static void what_may_be_dropped_is_named_in_the_notice(void **state)
{
    struct translated t;
    (void)state;
    translate(&t, "gemini-2.5-pro",
              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"name\":\"bob\",\"content\":"
              "\"hi\"}],\"user\":\"u\",\"frequency_penalty\":1,\"reasoning_effort\":\"none\","
              "\"parallel_tool_calls\":false,\"tools\":[" TOOL "],\"store\":true,"
              "\"verbosity\":\"low\"}");
    assert_int_equal(t.e, ERR_OK);
    static const char *const named[] = {"name",
                                        "user",
                                        "frequency_penalty",
                                        "store",
                                        "parallel_tool_calls",
                                        "verbosity",
                                        "reasoning_effort"};
    for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++)
        if (slice_search(t.o.notice, slice_str(named[i])) < 0)
            fail_msg("%s is not in %.*s", named[i], SLICE_ARG(t.o.notice));
    drop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_have_their_counterparts),
        cmocka_unit_test(messages_become_turns),
        cmocka_unit_test(what_cannot_be_told_is_refused_and_named),
        cmocka_unit_test(what_may_be_dropped_is_named_in_the_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
