/*
 * fuzz_ai_streams — what a model says, in whatever order its pieces come, is written as a stream of
 * a dialect, and a provider that speaks the same protocol reads the same of it: its text, its
 * reasoning, its calls with their arguments, why it ended, and its usage.
 *
 * The input is a program: a byte says which block is added to and by how much. A call's arguments
 * are a JSON object, whose pieces may be cut anywhere and come between those of other calls.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/provider/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS 4
#define STEPS 200
#define TEXT_BLOCK 0
#define REASONING_BLOCK 1
#define FIRST_CALL 2

static const struct {
    const struct ai_dialect *dialect;
    const struct ai_provider *provider;
    bool ends;          /* by an event of its own, and not only by the end of the stream */
    bool counts_writes; /* to a cache, apart from the rest of the prompt */
} pairs[] = {
    {&dialect_openai_chat, &provider_openai, true, true},
    {&dialect_anthropic_messages, &provider_anthropic, true, true},
    {&dialect_gemini, &provider_gemini, false, false},
};

/* of every width that UTF-8 has, and what JSON escapes */
static const char *const words[] = {"a",  "\"", "\\", "{", "}", "[", "]", "\n",
                                    "\t", "é",  "北", "𝄞", " ", ":", ",", "0"};
/* what a call's arguments are; cut into pieces by the input */
static const char *const arguments[CALLS] = {"{}", "{\"x\":1}", "{\"x\":\"}\\\"{[\",\"y\":[{},[]]}",
                                             "{\"a\":{\"b\":{\"c\":\"\\\\\"}}}"};

struct telling {
    const uint8_t *data;
    size_t size;
    struct ai_writer writer;
    const struct ai_dialect *dialect;
    struct ai_assembly *said, *read;
    struct buf stream;
    size_t begun, told[CALLS]; /* calls, and bytes of each one's arguments */
    struct ai_decoder decoder;
    const struct ai_provider *provider;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void tell(struct telling *t, struct ai_event e)
{
    must(!ai_assembly_add(t->said, &e), "said");
    if (e.kind != AI_USAGE) /* the stream keeps it for the end */
        must(!t->dialect->write_event(&t->writer, &e, &t->stream), "written");
}

static void begin_call(struct telling *t)
{
    char id[16];
    if (t->begun == CALLS)
        return;
    snprintf(id, sizeof(id), "call_%zu", t->begun);
    tell(t, (struct ai_event){.kind = AI_TOOL_START,
                              .block = FIRST_CALL + (unsigned)t->begun,
                              .id = slice_str(id),
                              .name = SLICE("f")});
    t->begun++;
}

static void add_arguments(struct telling *t, size_t call, size_t most)
{
    struct slice rest = slice_from(slice_str(arguments[call]), t->told[call]);
    struct slice piece = slice_first(rest, most);
    if (!piece.len)
        return;
    t->told[call] += piece.len;
    tell(t, (struct ai_event){
                .kind = AI_TOOL_ARGUMENTS, .block = FIRST_CALL + (unsigned)call, .text = piece});
}

static void step(struct telling *t, uint8_t op)
{
    struct slice word = slice_str(words[op >> 4]);
    switch (op & 7) {
    case 0:
    case 1:
        tell(t, (struct ai_event){.kind = AI_TEXT, .block = TEXT_BLOCK, .text = word});
        break;
    case 2:
        tell(t, (struct ai_event){.kind = AI_REASONING, .block = REASONING_BLOCK, .text = word});
        break;
    case 3:
        begin_call(t);
        break;
    default:
        if (t->begun)
            add_arguments(t, (op >> 3) % t->begun, 1 + (op >> 6));
        break;
    }
}

static void say(struct telling *t)
{
    struct ai_usage usage = AI_USAGE_NONE;
    usage.fresh = 10;
    usage.cache_read = 20;
    usage.cache_write = 5;
    usage.output = 7;
    usage.reasoning = 3;
    tell(t, (struct ai_event){.kind = AI_START, .id = SLICE("m_1"), .name = SLICE("m")});
    for (size_t i = 0; i < t->size && i < STEPS; i++)
        step(t, t->data[i]);
    for (size_t i = 0; i < t->begun; i++)
        add_arguments(t, i, SIZE_MAX);
    for (unsigned i = 0; i < t->begun; i++)
        tell(t, (struct ai_event){.kind = AI_TOOL_END, .block = FIRST_CALL + i});
    tell(t, (struct ai_event){.kind = AI_FINISH,
                              .finish = t->begun ? AI_FINISH_TOOLS : AI_FINISH_LENGTH});
    tell(t, (struct ai_event){.kind = AI_USAGE, .usage = usage});
    must(ai_usage_count(&usage, &t->writer.usage) == AI_COUNTED_ALL, "counted");
    tell(t, (struct ai_event){.kind = AI_END});
}

static bool read_event(void *arg, const struct sse_event *e)
{
    struct telling *t = arg;
    must(!t->provider->decode(&t->decoder, e, ai_assembly_add, t->read), "read");
    return true;
}

static void read_back(struct telling *t)
{
    struct sse_reader r;
    sse_reader_init(&r);
    sse_reader_limit(&r, 1 << 24);
    must(!sse_reader_feed(&r, buf_slice(&t->stream), read_event, t), "events");
    must(sse_reader_rest(&r).len == 0, "all of it is events");
    sse_reader_fini(&r);
}

/* The words of all blocks of a kind, one behind the other. */
static void gather(const struct ai_assembly *a, enum ai_event_kind kind, struct buf *out)
{
    const struct ai_choice *c = &a->choices[0];
    const struct ai_block *b;
    size_t at = 0;
    while ((b = ai_choice_next(c, kind, &at))) {
        must(!buf_append(out, buf_slice(&b->id)) && !buf_append(out, buf_slice(&b->name)) &&
                 !buf_append(out, buf_slice(&b->text)),
             "room");
        must(kind != AI_TOOL_START || !buf_append(out, SLICE("\n")), "room");
    }
}

static void compare(const struct telling *t, enum ai_event_kind kind, const char *what)
{
    struct buf said, read;
    buf_init(&said, 1 << 20);
    buf_init(&read, 1 << 20);
    gather(t->said, kind, &said);
    gather(t->read, kind, &read);
    if (!slice_eq(buf_slice(&said), buf_slice(&read))) {
        fprintf(stderr, "%s: %s\n%.*s\n-- read as --\n%.*s\n-- of --\n%.*s\n", t->dialect->name,
                what, SLICE_ARG(buf_slice(&said)), SLICE_ARG(buf_slice(&read)),
                SLICE_ARG(buf_slice(&t->stream)));
        abort();
    }
    buf_fini(&said);
    buf_fini(&read);
}

static void compare_all(const struct telling *t, bool ends, bool counts_writes)
{
    struct token_count said, read;
    compare(t, AI_TEXT, "text");
    compare(t, AI_REASONING, "reasoning");
    compare(t, AI_TOOL_START, "calls");
    must(t->said->choices[0].finish == t->read->choices[0].finish, "why it ended");
    must(t->read->ended || !ends, "its end");
    must(ai_usage_count(&t->said->usage, &said) == AI_COUNTED_ALL, "usage said");
    must(ai_usage_count(&t->read->usage, &read) == AI_COUNTED_ALL, "usage read");
    if (!counts_writes)
        said.cache_write = 0;
    must(memcmp(&said, &read, sizeof(said)) == 0, "usage");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct arena *a = arena_new(4096, 1 << 22);
        struct telling t = {
            .data = data,
            .size = size,
            .writer = {.choices = 1,
                       .wants_usage = true,
                       .arena = a,
                       .id = SLICE("\"m_1\""),
                       .model = SLICE("\"m\""),
                       .created = SLICE("1")},
            .dialect = pairs[i].dialect,
            .provider = pairs[i].provider,
            .said = ai_assembly_new(),
            .read = ai_assembly_new(),
            .decoder = {.arena = a},
        };
        must(t.said && t.read, "memory");
        t.writer.whole = t.said;
        buf_init(&t.stream, 1 << 22);
        say(&t);
        read_back(&t);
        compare_all(&t, pairs[i].ends, pairs[i].counts_writes);
        buf_fini(&t.stream);
        ai_assembly_free(t.said);
        ai_assembly_free(t.read);
        arena_free(a);
    }
    return 0;
}
