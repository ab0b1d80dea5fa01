/* bedrock_request — each row is a chat request of OpenAI's dialect and what of it goes to Bedrock;
 * and what a client of Bedrock says, read and told again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "dataplane/ai/provider/bedrock_request.h"

#define USER "{\"role\":\"user\",\"content\":\"hello\"}"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]}]"
#define TOOL                                                                                       \
    "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":{"   \
    "\"type\":\"object\"}}}"
#define SPEC(more)                                                                                 \
    "{\"toolSpec\":{\"name\":\"f\"," more "\"inputSchema\":{\"json\":{\"type\":\"object\"}}}}"
#define SPEC_BARE                                                                                  \
    "{\"toolSpec\":{\"name\":\"f\",\"inputSchema\":{\"json\":{\"type\":\"object\","                \
    "\"properties\":{}}}}}"
#define CALL(id, arguments)                                                                        \
    "{\"id\":\"" id                                                                                \
    "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"" arguments "\"}}"
#define USE(id, input) "{\"toolUse\":{\"toolUseId\":\"" id "\",\"name\":\"f\",\"input\":" input "}}"
#define RESULT(id, text)                                                                           \
    "{\"toolResult\":{\"toolUseId\":\"" id "\",\"content\":[{\"text\":\"" text "\"}]}}"
#define NOTHING "\"additionalModelRequestFields\":{}"
#define NOVA "us.amazon.nova-pro-v1:0"
#define SONNET "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
#define OPUS "us.anthropic.claude-opus-5-5-v1:0"
#define OSS "openai.gpt-oss-120b-1:0"

static const struct ai_endpoint chat_endpoint = {.kind = AI_CHAT, .dialect = &dialect_openai_chat};
static const struct ai_endpoint converse_endpoint = {.kind = AI_CHAT,
                                                     .path = {"/model/", 7},
                                                     .prefix = true,
                                                     .suffix = {"/converse", 9},
                                                     .dialect = &dialect_bedrock_converse};

struct translated {
    struct arena *a;
    struct ai_chat chat;
    struct ai_outgoing o;
    struct buf body;
    enum err e;
};

static void translate(struct translated *t, const struct ai_endpoint *e, const char *model,
                      const char *body)
{
    memset(t, 0, sizeof(*t));
    t->a = arena_new(4096, 1 << 20);
    t->chat.arena = t->a;
    buf_init(&t->body, 1 << 20);
    const struct ai_incoming in = {
        .body = slice_str(body), .path = SLICE("/model/m/converse"), .endpoint = e, .arena = t->a};
    if (e->dialect->parse(&in, &t->chat))
        fail_msg("%s\nnot parsed: %s: %.*s", body, t->chat.param, SLICE_ARG(t->chat.why));
    t->o.endpoint = e;
    t->o.chat = &t->chat;
    t->o.arena = t->a;
    t->o.changes.model = slice_str(model);
    t->o.translated = &t->body;
    t->e = bedrock_write_body(&t->o);
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
        fail_msg("not JSON: %.*s: %s", SLICE_ARG(text), problem.text);
    return tree;
}

/* clang-format off */
static const struct {
    const char *model, *body, *want, *notice;
} rows[] = {
    {NOVA, "{\"messages\":[" USER "]}", "{\"inferenceConfig\":{}," HELLO "," NOTHING "}", ""},
    {NOVA,
     "{\"messages\":[{\"role\":\"system\",\"content\":\"be kind\"}," USER
     "],\"max_tokens\":7,\"temperature\":1.5,\"top_p\":0.5,\"stop\":[\"x\",\" \"],\"seed\":1}",
     "{\"inferenceConfig\":{\"maxTokens\":7,\"temperature\":1,\"topP\":0.5,\"stopSequences\":[\"x\"]},\"system\":[{\"text\":\"be kind\"}]," HELLO "," NOTHING "}",
     "temperature above 1, stop of white space, seed"},
    /* Claude takes temperature or top_p, and says by a field which sequence it stopped at
     */
    {SONNET, "{\"messages\":[" USER "],\"temperature\":0.5,\"top_p\":0.5,\"stop\":\"x\"}",
     "{\"inferenceConfig\":{\"temperature\":0.5,\"stopSequences\":[\"x\"]}," HELLO "," NOTHING
     ",\"additionalModelResponseFieldPaths\":[\"/delta/stop_sequence\"]}",
     "top_p"},
    {OPUS, "{\"messages\":[" USER "],\"temperature\":0.5}",
     "{\"inferenceConfig\":{}," HELLO "," NOTHING "}", "temperature"},
    {OSS, "{\"messages\":[" USER "],\"temperature\":0.5,\"reasoning_effort\":\"high\"}",
     "{\"inferenceConfig\":{}," HELLO
     ",\"additionalModelRequestFields\":{\"reasoning_effort\":\"high\"}}",
     "temperature"},
    {SONNET, "{\"messages\":[" USER "],\"reasoning_effort\":\"low\",\"max_tokens\":100}",
     "{\"inferenceConfig\":{\"maxTokens\":1124}," HELLO
     ",\"additionalModelRequestFields\":{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}}",
     ""},
    {"amazon.nova-2-lite-v1:0", "{\"messages\":[" USER "],\"reasoning_effort\":\"medium\"}",
     "{\"inferenceConfig\":{}," HELLO ",\"additionalModelRequestFields\":{\"reasoningConfig\":{\"type\":\"enabled\",\"maxReasoningEffort\":\"medium\"}}}",
     ""},
    /* tools, and parallel results merged into one turn of the user, before its text */
    {NOVA, "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[" CALL("a", "{\\\"x\\\":1}") "," CALL("b:1", "") "]},{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\"},{\"role\":\"tool\",\"tool_call_id\":\"b:1\",\"content\":\"\"}," USER "],\"tools\":[" TOOL
                                                   "],\"tool_choice\":\"required\"}", "{\"inferenceConfig\":{},\"toolConfig\":{\"tools\":[" SPEC("\"description\":\"d\",") "],\"toolChoice\":{\"any\":{}}},\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]},{\"role\":\"assistant\",\"content\":[" USE("a", "{\"x\":1}") "," USE("toolu_ffbaf31912cd9294", "{}") "]},{\"role\":\"user\",\"content\":[" RESULT("a", "1") "," RESULT("toolu_ffbaf31912cd9294", "(empty)") ",{\"text\":\"hello\"}]}]," NOTHING "}", ""},
    /* a history of tools wants them defined */
    {NOVA, "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL("a", "{}") "]},{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\"}]}", "{\"inferenceConfig\":{},\"toolConfig\":{\"tools\":[" SPEC_BARE "]},\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]},{\"role\":\"assistant\",\"content\":[" USE("a", "{}") "]},{\"role\":\"user\",\"content\":[" RESULT("a", "1") "]}]," NOTHING "}",
     ""},
    /* "none" has no word: the tools are left out */
    {NOVA, "{\"messages\":[" USER "],\"tools\":[" TOOL "],\"tool_choice\":\"none\"}",
     "{\"inferenceConfig\":{}," HELLO "," NOTHING "}", ""},
    {SONNET, "{\"messages\":[" USER "],\"tools\":[" TOOL "],\"parallel_tool_calls\":false}", "{\"inferenceConfig\":{},\"toolConfig\":{\"tools\":[" SPEC("\"description\":\"d\",") "]}," HELLO ",\"additionalModelRequestFields\":{\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}}}",
     ""},
    {NOVA, "{\"messages\":[" USER "],\"tools\":[" TOOL "],\"parallel_tool_calls\":false}", "{\"inferenceConfig\":{},\"toolConfig\":{\"tools\":[" SPEC("\"description\":\"d\",") "]}," HELLO "," NOTHING "}",
     "parallel_tool_calls"},
    {NOVA,
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,aGk=\"}},{\"type\":\"file\",\"file\":{\"filename\":\"a b.pdf\",\"file_data\":\"data:application/pdf;base64,aGk=\"}}]}]}",
     "{\"inferenceConfig\":{},\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"see\"},{\"image\":{\"format\":\"png\",\"source\":{\"bytes\":\"aGk=\"}}},{\"document\":{\"format\":\"pdf\",\"name\":\"a-b-pdf-1\",\"source\":{\"bytes\":\"aGk=\"}}}]}]," NOTHING "}",
     ""},
    {NOVA,
     "{\"messages\":[" USER "],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":\"object\"}}}}",
     "{\"inferenceConfig\":{}," HELLO "," NOTHING ",\"outputConfig\":{\"textFormat\":{\"type\":\"json_schema\",\"structure\":{\"jsonSchema\":{\"schema\":\"{\\\"type\\\":\\\"object\\\"}\",\"name\":\"n\"}}}}}",
     ""},
    {SONNET,
     "{\"messages\":[" USER "],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":\"object\"}}}}",
     "{\"inferenceConfig\":{}," HELLO ",\"additionalModelRequestFields\":{\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\",\"additionalProperties\":false}}}}}",
     ""},
    {NOVA, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"hi\"}," USER "]}",
     "{\"inferenceConfig\":{},\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Please continue.\"}]},{\"role\":\"assistant\",\"content\":[{\"text\":\"hi\"}]},{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]}]," NOTHING "}",
     ""},
    {NOVA, "{\"messages\":[" USER "," USER "],\"user\":\"a b\",\"service_tier\":\"flex\"}",
     "{\"inferenceConfig\":{},\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"},{\"text\":\"hello\"}]}]," NOTHING ",\"requestMetadata\":{\"user\":\"a b\"},\"serviceTier\":{\"type\":\"flex\"}}",
     ""},
};

/* clang-format on */
static void a_request_is_told_in_converses_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct translated t;
        translate(&t, &chat_endpoint, rows[i].model, rows[i].body);
        if (t.e)
            fail_msg("row %zu: %s: %.*s", i, t.o.param, SLICE_ARG(t.o.why));
        JSON_AUTO json_t *got = read_json(t.o.pieces[0]);
        JSON_AUTO json_t *want = read_json(slice_str(rows[i].want));
        if (!json_equal(got, want))
            fail_msg("row %zu: %.*s\nis not\n%s", i, SLICE_ARG(t.o.pieces[0]), rows[i].want);
        if (!slice_eq(t.o.notice, slice_str(rows[i].notice)))
            fail_msg("row %zu: notice %.*s", i, SLICE_ARG(t.o.notice));
        drop(&t);
    }
}

static const struct {
    const char *model, *body, *param;
} refused[] = {
    {NOVA, "{\"messages\":[" USER "],\"n\":2}", "n"},
    {NOVA, "{\"messages\":[" USER "],\"logit_bias\":{\"1\":2}}", "logit_bias"},
    {OSS, "{\"messages\":[" USER "],\"stop\":\"x\"}", "stop"},
    {OPUS, "{\"messages\":[" USER "],\"tools\":[" TOOL "],\"tool_choice\":\"required\"}",
     "tool_choice"},
    {NOVA,
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
     "\"url\":\"https://a.example/b.png\"}}]}]}",
     "messages"},
    {NOVA, "{\"messages\":[{\"role\":\"user\",\"content\":\"  \"}]}", "messages"},
    {NOVA,
     "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL(
         "a", "no") "]},{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\"}]}",
     "messages"},
    {NOVA,
     "{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL(
         "a",
         "{}") "]},{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\"}],\"tools\":[" TOOL
               "],\"tool_choice\":\"none\"}",
     "tool_choice"},
};

static void what_cannot_be_told_names_its_member(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct translated t;
        translate(&t, &chat_endpoint, refused[i].model, refused[i].body);
        if (t.e != ERR_INVALID || !t.o.param || strcmp(t.o.param, refused[i].param) != 0)
            fail_msg("row %zu: %s, %s", i, err_name(t.e), t.o.param ? t.o.param : "-");
        drop(&t);
    }
}

/* What a client of Converse says comes out as it went in, through the normal form. */
static const char *const same[] = {
    "{\"inferenceConfig\":{\"maxTokens\":5,\"temperature\":0.5,\"stopSequences\":[\"x\"]},"
    "\"system\":[{\"text\":\"be kind\"},{\"cachePoint\":{\"type\":\"default\"}}],"
    "\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"},{\"image\":{"
    "\"format\":\"png\",\"source\":{\"bytes\":\"aGk=\"}}},{\"cachePoint\":{\"type\":\"default\"}}]}"
    "],"
    "\"additionalModelRequestFields\":{}}",
    "{\"inferenceConfig\":{},\"toolConfig\":{\"tools\":[" SPEC(
        "\"description\":\"d\",") "],\"toolChoice\":{\"tool\":{\"name\":\"f\"}}},\"messages\":[{"
                                  "\"role\":\"user\",\"content\":[{"
                                  "\"text\":\"hello\"}]},{\"role\":\"assistant\",\"content\":[{"
                                  "\"reasoningContent\":{"
                                  "\"reasoningText\":{\"text\":\"hm\",\"signature\":\"s\"}}},{"
                                  "\"reasoningContent\":{"
                                  "\"redactedContent\":\"eHg=\"}}," USE(
                                      "a",
                                      "{\"x\":[1,{\"y\":null}]}") "]},{\"role\":\"user\","
                                                                  "\"content\":[{\"toolResult\":{"
                                                                  "\"toolUseId\":\"a\",\"content\":"
                                                                  "[{\"text\":\"no\"}],"
                                                                  "\"status\":\"error\"}},{"
                                                                  "\"text\":\"go "
                                                                  "on\"}]}],"
                                                                  "\"additionalModelRequestFields\""
                                                                  ":{}}",
    "{\"inferenceConfig\":{}," HELLO "," NOTHING ",\"outputConfig\":{\"textFormat\":{"
    "\"type\":\"json_schema\",\"structure\":{\"jsonSchema\":{\"schema\":"
    "\"{\\\"type\\\":\\\"object\\\"}\",\"name\":\"n\"}}}},\"requestMetadata\":{\"user\":\"u\"},"
    "\"serviceTier\":{\"type\":\"priority\"}}",
};

static void converse_read_and_told_again_is_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct translated t;
        translate(&t, &converse_endpoint, NOVA, same[i]);
        if (t.e)
            fail_msg("row %zu: %s: %.*s", i, t.o.param, SLICE_ARG(t.o.why));
        JSON_AUTO json_t *got = read_json(t.o.pieces[0]);
        JSON_AUTO json_t *want = read_json(slice_str(same[i]));
        if (!json_equal(got, want))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(t.o.pieces[0]));
        drop(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_told_in_converses_words),
        cmocka_unit_test(what_cannot_be_told_names_its_member),
        cmocka_unit_test(converse_read_and_told_again_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
