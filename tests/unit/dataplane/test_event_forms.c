/* event_forms — an event that is read in place says what it says where it is read as a tree, which
 * a member that no form knows makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "dataplane/ai/provider/provider.h"

static const char *const anthropic[] = {
    "{\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"word \\\"\\u00e9\\ud834\\udd1e\\n\"}}",
    "{ \"delta\" : { \"text\" : \"w\", \"type\" : \"text_delta\" }, \"index\" : 0, \"type\" : "
    "\"content_block_delta\" }   ",
    "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"thinking_delta\","
    "\"thinking\":\"hm\"}}",
    "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"signature_delta\","
    "\"signature\":\"c2ln\"}}",
    "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\","
    "\"partial_json\":\"{\\\"a\"}}",
    "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"\"}"
    "}",
    "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "null}"
    "}",
    "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"new_delta\",\"text\":"
    "\"x\"}"
    "}",
    "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":null}",
    "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}",
    "{\"type\":\"content_block_delta\",\"index\":\"2\",\"delta\":{\"type\":\"text_delta\","
    "\"text\":\"x\"}}",
    "{\"type\":\"ping\"}",
};

#define CHUNK(delta, rest)                                                                         \
    "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","            \
    "\"choices\":[{\"index\":0,\"delta\":{" delta "},\"logprobs\":null," rest "}],\"usage\":null}"
#define SAYS(delta) CHUNK(delta, "\"finish_reason\":null")

static const char *const openai[] = {
    SAYS("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null"),
    SAYS("\"content\":\"word \\\"\\u00e9\\n\""),
    SAYS("\"content\":null,\"reasoning_content\":\"hm\""),
    SAYS("\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":{"
         "\"name\":\"f\",\"arguments\":\"\"}}]"),
    SAYS("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}]"),
    SAYS("\"tool_calls\":[{\"function\":{\"arguments\":\"1}\"}}]"),
    SAYS("\"tool_calls\":[{\"index\":1,\"id\":\"call_2\",\"function\":{\"name\":\"g\","
         "\"arguments\":\"{}\"}},{\"index\":0,\"function\":{\"arguments\":\" \"}}]"),
    SAYS("\"tool_calls\":[{\"index\":5,\"function\":null}]"),
    SAYS("\"reasoning\":\"so\",\"reasoning_content\":null"),
    SAYS("\"refusal\":\"no\""),
    SAYS("\"content\":[{\"type\":\"text\",\"text\":\"a list\"}]"),
    SAYS(""),
    "{\"id\":\"c\",\"choices\":[{\"index\":1,\"delta\":{\"content\":\"one\"}}]}",
    "{\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"none\"}}]}",
    "{\"id\":\"c\",\"choices\":[{\"index\":\"1\",\"delta\":{\"content\":\"a text\"}}]}",
    "{\"choices\":[{\"index\":0,\"delta\":null}]}",
    "{\"choices\":[]}",
    CHUNK("\"content\":\"end\"", "\"finish_reason\":\"length\""),
    "{\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}",
    "{\"object\":\"error\",\"message\":\"m\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}",
};

#define PART(part, rest)                                                                           \
    "{\"candidates\":[{\"content\":{\"parts\":[{" part "}],\"role\":\"model\"}" rest "}],"         \
    "\"usageMetadata\":{\"promptTokenCount\":4,\"candidatesTokenCount\":2,\"totalTokenCount\":9,"  \
    "\"thoughtsTokenCount\":3,\"promptTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":4}]" \
    "},"                                                                                           \
    "\"modelVersion\":\"gemini\",\"responseId\":\"r1\"}"

static const char *const gemini[] = {
    PART("\"text\":\"word\"", ",\"index\":0"),
    PART("\"text\":\"\\u00e9\\n\"", ""),
    PART("\"text\":\"hm\",\"thought\":true", ",\"index\":0"),
    PART("\"text\":\"\",\"thought\":true,\"thoughtSignature\":\"c2ln\"", ",\"index\":0"),
    PART("\"text\":\"x\",\"thought\":false,\"thoughtSignature\":\"c2ln\"", ",\"index\":1"),
    PART("\"text\":\"\"", ",\"index\":0"),
    PART("\"text\":null", ",\"index\":0"),
    PART("\"text\":\"x\"", ",\"index\":null"),
    PART("\"text\":\"x\"},{\"text\":\"y\"", ",\"index\":0"),
    PART("\"functionCall\":{\"id\":\"c\",\"name\":\"f\",\"args\":{}}", ",\"index\":0"),
    "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}],\"usageMetadata\":{"
    "\"candidatesTokensDetails\":[{\"modality\":\"IMAGE\",\"tokenCount\":7}]}}",
    "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}],\"usageMetadata\":{"
    "\"candidatesTokensDetails\":[{\"modality\":\"\\u0049MAGE\",\"tokenCount\":7}]}}",
    "{\"candidates\":[],\"usageMetadata\":null}",
    PART("\"text\":\"end\"", ",\"finishReason\":\"STOP\",\"index\":0"),
};

#define MESSAGE(content, rest)                                                                     \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\","          \
    "\"content\":[" content "],\"stop_reason\":\"end_turn\",\"stop_sequence\":null," rest "}"
#define USAGE                                                                                      \
    "\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":3,"                             \
    "\"cache_read_input_tokens\":2,\"cache_creation\":{\"ephemeral_5m_input_tokens\":1,"           \
    "\"ephemeral_1h_input_tokens\":2},\"output_tokens\":7,\"service_tier\":\"standard\"}"

static const char *const messages[] = {
    MESSAGE("{\"type\":\"text\",\"text\":\"words\"}", USAGE),
    MESSAGE("{\"type\":\"text\",\"text\":\"w \\\"\\u00e9\\ud834\\udd1e\\n\",\"citations\":null}",
            USAGE),
    MESSAGE("{\"text\":\"\",\"type\":\"text\"}", "\"usage\":null"),
    MESSAGE("{\"type\":\"text\",\"text\":\"x\"}",
            "\"usage\":{\"input_tokens\":-1,\"output_tokens\":1e1}"),
    MESSAGE("{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"c2ln\"}", USAGE),
    MESSAGE("{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}", USAGE),
    MESSAGE("{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}}", USAGE),
    MESSAGE("", USAGE),
};

/* These are refused, in whichever way. */
static const char *const broken[] = {
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"a\",\"text\":\"b\"}}",
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"\\ud834\"}}",
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"\xFF\"}}",
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"a\"}",
};

static enum err spell(void *arg, const struct ai_event *e)
{
    const uint64_t *u = (const uint64_t *)&e->usage;
    enum err err = buf_printf(arg, "%d %u %u <%.*s> <%.*s> <%.*s> <%.*s> %d", e->kind, e->choice,
                              e->block, SLICE_ARG(e->text), SLICE_ARG(e->id), SLICE_ARG(e->name),
                              SLICE_ARG(e->signature), e->finish);
    for (size_t i = 0; !err && i < sizeof(e->usage) / sizeof(*u); i++)
        err = buf_printf(arg, " %lld", (long long)u[i]);
    return err ? err : buf_append(arg, SLICE("\n"));
}

static enum err decode(const struct ai_provider *p, struct ai_decoder *d, const char *text,
                       struct buf *out)
{
    const struct sse_event e = {.data = slice_str(text), .has_data = true};
    return p->decode(d, &e, spell, out);
}

static enum err decode_whole(const struct ai_provider *p, struct ai_decoder *d, const char *text,
                             struct buf *out)
{
    *d = (struct ai_decoder){.arena = d->arena};
    return p->decode_whole(d, slice_str(text), spell, out);
}

typedef enum err decode_fn(const struct ai_provider *p, struct ai_decoder *d, const char *text,
                           struct buf *out);

static void compare(const struct ai_provider *p, decode_fn *read, const char *const *texts,
                    size_t n)
{
    struct arena *arena = arena_new(4096, 1 << 20);
    struct ai_decoder in_place = {.in_tool = true, .arena = arena}, by_tree = in_place;
    char more[1024];
    struct buf a, b;
    buf_init(&a, 1 << 16);
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < n; i++) {
        snprintf(more, sizeof(more), "{\"~\":0,%s", strchr(texts[i], '{') + 1);
        assert_int_equal(read(p, &in_place, texts[i], &a), ERR_OK);
        assert_int_equal(read(p, &by_tree, more, &b), ERR_OK);
        if (!slice_eq(buf_slice(&a), buf_slice(&b)))
            fail_msg("%s: %.*s\nas a tree: %.*s", texts[i], SLICE_ARG(buf_slice(&a)),
                     SLICE_ARG(buf_slice(&b)));
        buf_clear(&a);
        buf_clear(&b);
    }
    buf_fini(&a);
    buf_fini(&b);
    arena_free(arena);
}

static void events_say_the_same_in_place_and_as_a_tree(void **state)
{
    (void)state;
    compare(&provider_anthropic, decode, anthropic, ARRAY_LEN(anthropic));
    compare(&provider_openai, decode, openai, ARRAY_LEN(openai));
    compare(&provider_gemini, decode, gemini, ARRAY_LEN(gemini));
}

static void messages_say_the_same_in_place_and_as_a_tree(void **state)
{
    (void)state;
    compare(&provider_anthropic, decode_whole, messages, ARRAY_LEN(messages));
}

static void a_broken_event_is_refused(void **state)
{
    struct ai_decoder d = {0};
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        assert_int_equal(decode(&provider_anthropic, &d, broken[i], &out), ERR_PROTOCOL);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void expect_no_heap(const struct ai_provider *p, decode_fn *read, const char *const *texts,
                           size_t n)
{
    struct arena *arena = arena_new(4096, 1 << 20);
    struct ai_decoder d = {.in_tool = true, .arena = arena};
    struct buf out;
    char *room;
    buf_init(&out, 1 << 16);
    assert_int_equal(buf_room(&out, 1 << 15, &room), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        mem_fail_after(1);
        assert_int_equal(read(p, &d, texts[i], &out), ERR_OK);
        assert_false(mem_failed());
        mem_fail_after(0);
    }
    buf_fini(&out);
    arena_free(arena);
}

/* The first events of each are the usual ones. */
static void usual_events_are_read_without_the_heap(void **state)
{
    (void)state;
    expect_no_heap(&provider_anthropic, decode, anthropic, 5);
    expect_no_heap(&provider_openai, decode, openai, 6);
    expect_no_heap(&provider_gemini, decode, gemini, 6);
    expect_no_heap(&provider_anthropic, decode_whole, messages, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_say_the_same_in_place_and_as_a_tree),
        cmocka_unit_test(messages_say_the_same_in_place_and_as_a_tree),
        cmocka_unit_test(a_broken_event_is_refused),
        cmocka_unit_test(usual_events_are_read_without_the_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
