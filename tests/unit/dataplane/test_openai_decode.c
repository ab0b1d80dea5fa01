/* openai_decode — each row is what a server streams and what it says, event by event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/provider/openai.h"
#include "dataplane/ai/provider/openai_names.h"

#define CHUNK(delta, finish)                                                                       \
    "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{" delta              \
    "},\"finish_reason\":" finish "}]}\n\n"
#define SAY(delta) CHUNK(delta, "null")
#define CALLS(calls) SAY("\"tool_calls\":[" calls "]")
#define DONE "data: [DONE]\n\n"
#define FINISH(reason) CHUNK("", "\"" reason "\"")

struct hearing {
    struct ai_decoder d;
    struct buf said;
    unsigned blocks[64]; /* the provider's numbers, in the order in which they came */
    unsigned count;
};

static unsigned number_of(struct hearing *h, unsigned block)
{
    for (unsigned i = 0; i < h->count; i++)
        if (h->blocks[i] == block)
            return i;
    assert_true(h->count < ARRAY_LEN(h->blocks));
    h->blocks[h->count] = block;
    return h->count++;
}

static void put(struct hearing *h, const char *word, unsigned number, struct slice text)
{
    assert_int_equal(
        buf_printf(&h->said, "%s%s%u(%.*s)", h->said.len ? " " : "", word, number, SLICE_ARG(text)),
        ERR_OK);
}

static void put_word(struct hearing *h, const char *word)
{
    assert_int_equal(buf_printf(&h->said, "%s%s", h->said.len ? " " : "", word), ERR_OK);
}

static enum err hear(void *arg, const struct ai_event *e)
{
    static const char *const finishes[] = {[AI_FINISH_STOP] = "stop",
                                           [AI_FINISH_LENGTH] = "length",
                                           [AI_FINISH_TOOLS] = "tools",
                                           [AI_FINISH_FILTER] = "filter"};
    struct hearing *h = arg;
    switch (e->kind) {
    case AI_TEXT:
        put(h, "text", number_of(h, e->block), e->text);
        break;
    case AI_REASONING:
        put(h,
            e->signature.len ? "sign"
            : e->id.len      ? "redacted"
                             : "think",
            number_of(h, e->block),
            e->signature.len ? e->signature
            : e->id.len      ? e->id
                             : e->text);
        break;
    case AI_REFUSAL:
        put(h, "refusal", number_of(h, e->block), e->text);
        break;
    case AI_TOOL_START:
        put(h, slice_starts(e->id, SLICE("call_")) ? "made" : "call", number_of(h, e->block),
            e->name);
        break;
    case AI_TOOL_ARGUMENTS:
        put(h, "args", number_of(h, e->block), e->text);
        break;
    case AI_TOOL_END:
        put(h, "end", number_of(h, e->block), SLICE(""));
        break;
    case AI_FINISH:
        put_word(h, finishes[e->finish]);
        break;
    case AI_USAGE:
        put(h, "usage", (unsigned)e->usage.output, SLICE(""));
        break;
    case AI_ERROR:
        put(h, "error", e->verdict, e->text);
        break;
    case AI_END:
        put_word(h, "over");
        break;
    case AI_START:
    case AI_CITATION:
    case AI_MEDIA:
    case AI_BLOCK_END:
    case AI_OTHER:
        break;
    }
    return ERR_OK;
}

static bool decode(void *arg, const struct sse_event *e)
{
    struct hearing *h = arg;
    assert_int_equal(openai_decode(&h->d, e, hear, h), ERR_OK);
    return true;
}

static void expect(const char *stream, const char *said, const struct ai_chat *chat)
{
    struct hearing h = {.d = {.arena = arena_new(4096, 1 << 20), .chat = chat}};
    struct sse_reader r;
    buf_init(&h.said, 1 << 20);
    sse_reader_init(&r);
    assert_int_equal(sse_reader_feed(&r, slice_str(stream), decode, &h), ERR_OK);
    if (!slice_eq(buf_slice(&h.said), slice_str(said)))
        fail_msg("%s\nsays     %.*s\nexpected %s", stream, SLICE_ARG(buf_slice(&h.said)), said);
    sse_reader_fini(&r);
    buf_fini(&h.said);
    arena_free(h.d.arena);
}

static void calls_are_told_apart_however_their_pieces_come(void **state)
{
    static const struct {
        const char *stream, *said;
    } rows[] = {
        /* as OpenAI does */
        {CALLS("{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
               "\"arguments\":\"\"}}") CALLS("{\"index\":0,\"function\":{\"arguments\":\"{}\"}}")
             FINISH("tool_calls") DONE,
         "call0(f) args0({}) end0() tools over"},
        /* between each other, without ids (bifrost#1829) */
        {CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
               "\"{\\\"x\\\":\"}}")
             CALLS("{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":"
                   "\"{\\\"y\\\":\"}}") CALLS("{\"index\":0,\"function\":{\"arguments\":\"1}\"}}")
                 CALLS("{\"index\":1,\"function\":{\"arguments\":\"2}\"}}") FINISH("tool_calls"),
         "call0(f) args0({\"x\":) call1(g) args1({\"y\":) args0(1}) args1(2}) end0() end1() tools"},
        /* all under one index, with ids */
        {CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
             CALLS("{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
                 FINISH("tool_calls"),
         "call0(f) args0({}) call1(f) args1({}) end0() end1() tools"},
        /* all under one index, without ids */
        {CALLS("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}")
             CALLS("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":2}\"}}")
                 FINISH("stop"),
         "made0(f) args0({\"x\":1}) made1(f) args1({\"x\":2}) end0() end1() tools"},
        /* begun again with each piece */
        {CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
               "\"{\\\"x\\\":\"}}")
             CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"1}\"}}")
                 FINISH("tool_calls"),
         "call0(f) args0({\"x\":) args0(1}) end0() tools"},
        /* without an index: by the id, then the last */
        {CALLS("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
             CALLS("{\"function\":{\"arguments\":\"}\"}}")
                 CALLS("{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{\"}}")
                     CALLS("{\"id\":\"a\",\"function\":{\"arguments\":\" \"}}") CALLS(
                         "{\"id\":\"b\",\"function\":{\"arguments\":\"}\"}}") FINISH("tool_calls"),
         "call0(f) args0({) args0(}) call1(g) args1({) args0( ) args1(}) end0() end1() tools"},
        /* two in one chunk, without an index or ids: by their place */
        {CALLS("{\"function\":{\"name\":\"f\",\"arguments\":\"{\"}},{\"function\":{\"name\":\"g\","
               "\"arguments\":\"{\"}}")
             CALLS("{\"function\":{\"arguments\":\"}\"}},{\"function\":{\"arguments\":\"}\"}}")
                 FINISH("tool_calls"),
         "made0(f) args0({) made1(g) args1({) args0(}) args1(}) end0() end1() tools"},
        /* an index that was never begun */
        {CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
             CALLS("{\"index\":1,\"function\":{\"arguments\":\"}\"}}") FINISH("tool_calls"),
         "call0(f) args0({) args0(}) end0() tools"},
        /* arguments that never come are an empty object */
        {CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}")
             FINISH("tool_calls"),
         "call0(f) args0({}) end0() tools"},
        /* arguments as an object; the older form of a call */
        {CALLS("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}")
             FINISH("stop"),
         "call0(f) args0({\"x\":1}) end0() tools"},
        {SAY("\"function_call\":{\"name\":\"f\",\"arguments\":\"{\"}")
             SAY("\"function_call\":{\"arguments\":\"}\"}") FINISH("function_call"),
         "made0(f) args0({) args0(}) end0() tools"},
        /* Mistral: whole, and with the finish in one chunk */
        {CHUNK("\"content\":\"\",\"tool_calls\":[{\"id\":\"abc123def\",\"function\":{\"name\":"
               "\"f\",\"arguments\":\"{}\"},\"index\":0}]",
               "\"tool_calls\""),
         "call0(f) args0({}) end0() tools"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(rows[i].stream, rows[i].said, NULL);
}

static void texts_are_blocks_in_their_order(void **state)
{
    static const struct {
        const char *stream, *said;
    } rows[] = {
        {SAY("\"role\":\"assistant\",\"content\":\"\"") SAY("\"content\":\"a\"")
             SAY("\"content\":\"b\"") FINISH("stop") DONE,
         "text0(a) text0(b) stop over"},
        {SAY("\"reasoning_content\":\"a\"") SAY("\"reasoning_content\":\"\",\"content\":\"b\"")
             SAY("\"content\":\"c\"") FINISH("length"),
         "think0(a) text1(b) text1(c) length"},
        {SAY("\"reasoning\":\"a\",\"content\":null") SAY("\"content\":\"b\"") FINISH("stop"),
         "think0(a) text1(b) stop"},
        {SAY("\"content\":\"a\"")
             CALLS("{\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
                 SAY("\"content\":\"b\"") FINISH("tool_calls"),
         "text0(a) call1(f) args1({}) text2(b) end1() tools"},
        {SAY("\"refusal\":\"no\"") FINISH("stop"), "refusal0(no) stop"},
        /* all at once, usage too (dialects.md 2.10, 1) */
        {"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"a\","
         "\"content\":\"b\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,"
         "\"completion_tokens\":2,\"total_tokens\":5}}\n\n",
         "think0(a) text1(b) stop usage2()"},
        {SAY("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"a\"}]"
             "}]") SAY("\"content\":[{\"type\":\"text\",\"text\":\"b\"}]") FINISH("model_length"),
         "think0(a) text1(b) length"},
        {SAY("\"reasoning_content\":\"a\"") SAY(
             "\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":"
             "\"s\"}]") SAY("\"thinking_blocks\":[{\"type\":\"redacted_thinking\",\"data\":\"d\"}]")
             FINISH("stop"),
         "think0(a) sign0(s) redacted0(d) stop"},
        /* Azure: what its filters say before and behind */
        {"data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\","
         "\"prompt_filter_results\":[]}\n\n" SAY("\"content\":\"a\"")
             FINISH("stop") "data: {\"id\":\"\",\"choices\":[{\"index\":0,\"finish_reason\":null,"
                            "\"content_filter_results\":{}}]}\n\n" DONE,
         "text0(a) stop over"},
        {FINISH("content_filter"), "filter"},
        {": OPENROUTER PROCESSING\r\n\r\ndata:{\"choices\":[{\"index\":0,\"delta\":{\"content\":"
         "\"a\"}}]}\r\n\r\ndata: \n\n",
         "text0(a)"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(rows[i].stream, rows[i].said, NULL);
}

#define DETAIL(more) "\"reasoning_details\":[{" more "}]"
#define TEXT_DETAIL "\"type\":\"reasoning.text\",\"index\":0,\"format\":\"x\""
/* {"type":"reasoning.text","index":0,"format":"x","signature":"s"} */
#define TEXT_SEAL                                                                                  \
    "eyJ0eXBlIjoicmVhc29uaW5nLnRleHQiLCJpbmRleCI6MCwiZm9ybWF0IjoieCIsInNpZ25hdHVyZSI6InMifQ=="
/* {"type":"reasoning.encrypted","data":"d","id":"r"} */
#define DATA_SEAL "eyJ0eXBlIjoicmVhc29uaW5nLmVuY3J5cHRlZCIsImRhdGEiOiJkIiwiaWQiOiJyIn0="

static void details_of_reasoning_are_blocks_with_their_seals(void **state)
{
    static const struct {
        const char *stream, *said;
    } rows[] = {
        /* the words stand twice, and are told once */
        {SAY("\"reasoning\":\"a\"," DETAIL(TEXT_DETAIL ",\"text\":\"a\""))
             SAY("\"reasoning\":\"b\"," DETAIL(TEXT_DETAIL ",\"text\":\"b\",\"signature\":null"))
                 SAY("\"reasoning\":null," DETAIL(TEXT_DETAIL ",\"signature\":\"s\""))
                     SAY("\"content\":\"c\"") FINISH("stop"),
         "think0(a) think0(b) sign0(" TEXT_SEAL ") text1(c) stop"},
        /* a summary, and what it sums up; both under one index */
        {SAY("\"reasoning\":\"a\"," DETAIL(
             "\"type\":\"reasoning.summary\",\"summary\":\"a\",\"index\":0"))
             SAY(DETAIL("\"type\":\"reasoning.encrypted\",\"data\":\"d\",\"id\":\"r\""))
                 SAY(DETAIL("\"type\":\"reasoning.encrypted\",\"data\":\"d\",\"id\":\"r\""))
                     FINISH("stop"),
         "think0(a) redacted1(" DATA_SEAL ") redacted2(" DATA_SEAL ") stop"},
        /* the next index is the next block */
        {SAY(DETAIL("\"type\":\"reasoning.text\",\"text\":\"a\",\"index\":0"))
             SAY(DETAIL("\"type\":\"reasoning.text\",\"text\":\"b\",\"index\":1")) FINISH("stop"),
         "think0(a) think1(b) stop"},
        /* none that says anything: the words alone */
        {SAY("\"reasoning\":\"a\",\"reasoning_details\":[]")
             SAY("\"reasoning\":\"b\"," DETAIL("\"type\":\"reasoning.new\",\"text\":\"x\""))
                 FINISH("stop"),
         "think0(a) think0(b) stop"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(rows[i].stream, rows[i].said, NULL);
}

static void errors_in_a_stream_say_what_they_mean(void **state)
{
    static const struct {
        const char *error;
        enum ai_verdict verdict;
    } rows[] = {
        {"{\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"code\":null}}", AI_RETRY},
        {"{\"error\":{\"message\":\"m\",\"code\":429}}", AI_LIMITED},
        {"{\"error\":{\"message\":\"m\",\"code\":\"429\"}}", AI_LIMITED},
        {"{\"error\":{\"message\":\"m\",\"code\":400}}", AI_FATAL},
        {"{\"error\":{\"message\":\"m\",\"code\":\"context_length_exceeded\"}}", AI_TOO_LONG},
        {"{\"error\":{\"message\":\"m\",\"code\":\"insufficient_quota\"}}", AI_CREDENTIAL_BAD},
        {"{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"param\":null,"
         "\"code\":400}",
         AI_FATAL},
        {"{\"error\":\"m\"}", AI_RETRY},
    };
    char stream[512], said[64];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(stream, sizeof(stream), "data: %s\n\n", rows[i].error);
        snprintf(said, sizeof(said), "error%u(m)", (unsigned)rows[i].verdict);
        expect(stream, said, NULL);
    }
    expect(SAY("\"content\":\"a\"") FINISH("error"),
           "text0(a) error1(it could not complete its response)", NULL);
}

static void names_that_were_told_shorter_come_back_whole(void **state)
{
    char name[101], text[OPENAI_NAME_MAX], stream[512], said[512];
    struct arena *a = arena_new(4096, 1 << 20);
    struct ai_chat chat = {.arena = a};
    (void)state;
    memset(name, 'n', 100);
    name[100] = '\0';
    assert_non_null(ai_chat_add_function(&chat, slice_str(name)));
    assert_non_null(ai_chat_add_function(&chat, SLICE("a.b")));
    struct slice told = openai_function_name(slice_str(name), text);
    assert_int_equal(told.len, OPENAI_NAME_MAX);
    snprintf(
        stream, sizeof(stream),
        CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"%.*s\",\"arguments\":\"{}\"}}"),
        SLICE_ARG(told));
    snprintf(said, sizeof(said), "call0(%s) args0({})", name);
    expect(stream, said, &chat);
    told = openai_function_name(SLICE("a.b"), text);
    snprintf(
        stream, sizeof(stream),
        CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"%.*s\",\"arguments\":\"{}\"}}"),
        SLICE_ARG(told));
    expect(stream, "call0(a.b) args0({})", &chat);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_told_apart_however_their_pieces_come),
        cmocka_unit_test(texts_are_blocks_in_their_order),
        cmocka_unit_test(details_of_reasoning_are_blocks_with_their_seals),
        cmocka_unit_test(errors_in_a_stream_say_what_they_mean),
        cmocka_unit_test(names_that_were_told_shorter_come_back_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
