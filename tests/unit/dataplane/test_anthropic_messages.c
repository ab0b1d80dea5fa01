/* anthropic_messages — what the strictest client of Anthropic's streams accepts, whatever order a
 * provider says things in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/net/sse.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/ai_mark.h"
#include "dataplane/ai/dialect/dialect.h"

/* ---- a client: every frame is read, and must stand where the API lets it stand ---- */

#define BLOCKS 8

struct reading {
    const char *row;
    bool started, stopped, failed, delta_seen;
    int open; /* index of the open block; -1: none */
    size_t blocks;
    char type[BLOCKS][32], text[BLOCKS][256], signature[BLOCKS][64], id[BLOCKS][64];
    char message_id[64], stop_reason[32], stop_sequence[32];
    json_int_t input, cache_read, cache_write, output, start_input;
};

static void check(const struct reading *r, bool holds, const char *what, struct slice frame)
{
    if (!holds)
        fail_msg("%s: %s in %.*s", r->row, what, SLICE_ARG(frame));
}

static void put(char *to, size_t size, struct slice text)
{
    size_t n = strlen(to);
    assert_true(n + text.len < size);
    if (text.len)
        memcpy(to + n, text.ptr, text.len);
    to[n + text.len] = 0;
}

static json_int_t count_in(const json_t *usage, const char *name)
{
    const json_t *v = json_object_get(usage, name);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static void on_start(struct reading *r, const json_t *tree, struct slice frame)
{
    const json_t *m = json_object_get(tree, "message");
    check(r, !r->started, "a second message_start", frame);
    r->started = true;
    check(r, slice_eq(json_text(m, "type"), SLICE("message")), "no message", frame);
    check(r, slice_eq(json_text(m, "role"), SLICE("assistant")), "no role", frame);
    check(r, json_text(m, "id").len > 0 && json_text(m, "model").ptr, "no id or model", frame);
    check(r, json_array_size(json_object_get(m, "content")) == 0, "content", frame);
    check(r, json_is_null(json_object_get(m, "stop_reason")), "a stop reason", frame);
    put(r->message_id, sizeof(r->message_id), json_text(m, "id"));
    r->start_input = count_in(json_object_get(m, "usage"), "input_tokens");
    count_in(json_object_get(m, "usage"), "output_tokens");
}

static void on_block_start(struct reading *r, const json_t *tree, struct slice frame)
{
    const json_t *block = json_object_get(tree, "content_block");
    struct slice type = json_text(block, "type");
    check(r, r->started && !r->delta_seen && r->open < 0, "a block before the other's end", frame);
    r->open = (int)json_integer_value(json_object_get(tree, "index"));
    check(r, (size_t)r->open == r->blocks && r->blocks < BLOCKS, "its index", frame);
    r->blocks++;
    put(r->type[r->open], sizeof(r->type[0]), type);
    put(r->id[r->open], sizeof(r->id[0]), json_text(block, "id"));
    check(r, !json_object_get(block, "citations"), "citations", frame);
    if (slice_eq(type, SLICE("tool_use")))
        check(r, json_is_object(json_object_get(block, "input")) && json_text(block, "name").len,
              "input or name", frame);
    else if (slice_eq(type, SLICE("redacted_thinking")))
        put(r->text[r->open], sizeof(r->text[0]), json_text(block, "data"));
    else
        check(r, json_text(block, slice_eq(type, SLICE("text")) ? "text" : "thinking").ptr != NULL,
              "its text", frame);
}

static void on_delta(struct reading *r, const json_t *tree, struct slice frame)
{
    static const struct {
        const char *type, *member, *block;
    } rows[] = {{"text_delta", "text", "text"},
                {"thinking_delta", "thinking", "thinking"},
                {"signature_delta", "signature", "thinking"},
                {"input_json_delta", "partial_json", "tool_use"}};
    const json_t *delta = json_object_get(tree, "delta");
    check(r, r->open >= 0 && json_integer_value(json_object_get(tree, "index")) == r->open,
          "a delta of no open block", frame);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!slice_eq(json_text(delta, "type"), slice_str(rows[i].type)))
            continue;
        check(r, strcmp(r->type[r->open], rows[i].block) == 0, "a delta of another kind", frame);
        bool seal = rows[i].member[0] == 's';
        put(seal ? r->signature[r->open] : r->text[r->open], seal ? 64 : 256,
            json_text(delta, rows[i].member));
        return;
    }
    check(r, false, "an unknown delta", frame);
}

static void on_block_stop(struct reading *r, const json_t *tree, struct slice frame)
{
    check(r, r->open >= 0 && json_integer_value(json_object_get(tree, "index")) == r->open,
          "the end of no open block", frame);
    r->open = -1;
}

static void on_message_delta(struct reading *r, const json_t *tree, struct slice frame)
{
    const json_t *delta = json_object_get(tree, "delta"), *usage = json_object_get(tree, "usage");
    check(r, r->started && r->open < 0 && !r->delta_seen, "a message_delta too soon", frame);
    r->delta_seen = true;
    put(r->stop_reason, sizeof(r->stop_reason), json_text(delta, "stop_reason"));
    put(r->stop_sequence, sizeof(r->stop_sequence), json_text(delta, "stop_sequence"));
    r->input = count_in(usage, "input_tokens");
    r->cache_read = count_in(usage, "cache_read_input_tokens");
    r->cache_write = count_in(usage, "cache_creation_input_tokens");
    r->output = count_in(usage, "output_tokens");
}

static void on_message_stop(struct reading *r, const json_t *tree, struct slice frame)
{
    (void)tree;
    check(r, r->delta_seen && !r->stopped, "a message_stop too soon", frame);
    r->stopped = true;
}

static void on_error(struct reading *r, const json_t *tree, struct slice frame)
{
    const json_t *error = json_object_get(tree, "error");
    check(r, json_text(error, "type").len && json_text(error, "message").len, "no error", frame);
    r->failed = true;
}

static bool read_frame(void *arg, const struct sse_event *e)
{
    static const struct {
        const char *name;
        void (*take)(struct reading *r, const json_t *tree, struct slice frame);
    } rows[] = {{"message_start", on_start},
                {"content_block_start", on_block_start},
                {"content_block_delta", on_delta},
                {"content_block_stop", on_block_stop},
                {"message_delta", on_message_delta},
                {"message_stop", on_message_stop},
                {"error", on_error}};
    struct reading *r = arg;
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    check(r, !r->stopped && !r->failed, "a frame behind the end", e->raw);
    check(r, e->has_data && !json_read(e->data, &tree, &problem), "no JSON", e->raw);
    check(r, slice_eq(e->event, json_text(tree, "type")), "the event is not the type", e->raw);
    if (slice_eq(e->event, SLICE("ping")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (slice_eq(e->event, slice_str(rows[i].name))) {
            rows[i].take(r, tree, e->raw);
            return true;
        }
    }
    check(r, false, "an unknown event", e->raw);
    return true;
}

static void read_stream(const char *row, struct slice bytes, struct reading *ret)
{
    struct sse_reader reader;
    *ret = (struct reading){.row = row, .open = -1};
    sse_reader_init(&reader);
    sse_reader_limit(&reader, 1 << 20);
    assert_int_equal(sse_reader_feed(&reader, bytes, read_frame, ret), ERR_OK);
    assert_int_equal(sse_reader_rest(&reader).len, 0);
    sse_reader_fini(&reader);
}

static json_t *whole_of(const struct ai_event *events);
static const json_t *block_of(const json_t *tree, size_t i);

/* ---- a provider ---- */

#define TEXT(b, t)                                                                                 \
    {                                                                                              \
        .kind = AI_TEXT, .block = (b), .text = { t, sizeof(t) - 1 }                                \
    }
#define TOOL(b, i, n)                                                                              \
    {                                                                                              \
        .kind = AI_TOOL_START, .block = (b), .id = {i, sizeof(i) - 1}, .name = {                   \
            n,                                                                                     \
            sizeof(n) - 1                                                                          \
        }                                                                                          \
    }
#define ARGS(b, t)                                                                                 \
    {                                                                                              \
        .kind = AI_TOOL_ARGUMENTS, .block = (b), .text = { t, sizeof(t) - 1 }                      \
    }
#define THINK(b, t, s)                                                                             \
    {                                                                                              \
        .kind = AI_REASONING, .block = (b), .text = {t, sizeof(t) - 1}, .signature = {             \
            s,                                                                                     \
            sizeof(s) - 1                                                                          \
        }                                                                                          \
    }
#define REDACTED(b, d)                                                                             \
    {                                                                                              \
        .kind = AI_REASONING, .block = (b), .id = { d, sizeof(d) - 1 }                             \
    }
#define FINISH(f)                                                                                  \
    {                                                                                              \
        .kind = AI_FINISH, .finish = AI_FINISH_##f                                                 \
    }
#define EVENTS 16

struct run {
    struct arena *arena;
    struct ai_writer writer;
    struct buf out;
};

static void run_open(struct run *r)
{
    r->arena = arena_new(4096, 1 << 20);
    r->writer = (struct ai_writer){.choices = 1, .wants_usage = true, .arena = r->arena};
    r->writer.usage =
        (struct token_count){.input = 100, .cache_read = 60, .cache_write = 15, .output = 7};
    buf_init(&r->out, 1 << 20);
}

static void run_close(struct run *r)
{
    buf_fini(&r->out);
    arena_free(r->arena);
}

/* up to the first event of kind START behind the first, which stands for nothing */
static void write_all(struct run *r, const struct ai_event *events)
{
    for (size_t i = 0; i < EVENTS && (events[i].kind != AI_START || i == 0); i++)
        assert_int_equal(dialect_anthropic_messages.write_event(&r->writer, &events[i], &r->out),
                         ERR_OK);
}

static void any_order_becomes_blocks_one_after_the_other(void **state)
{
    static const struct {
        const char *row;
        struct ai_event events[EVENTS];
        const char *types[4], *texts[4], *stop;
    } rows[] = {
        {"text",
         {{0}, TEXT(0, "hel"), TEXT(0, "lo"), FINISH(STOP)},
         {"text"},
         {"hello"},
         "end_turn"},
        {"nothing at all", {{0}, FINISH(STOP)}, {0}, {0}, "end_turn"},
        {"cut at its limit", {{0}, TEXT(0, "a"), FINISH(LENGTH)}, {"text"}, {"a"}, "max_tokens"},
        {"filtered", {{0}, TEXT(0, "a"), FINISH(FILTER)}, {"text"}, {"a"}, "refusal"},
        {"a refusal is text and a reason",
         {{0}, {.kind = AI_REFUSAL, .text = {"no", 2}}, FINISH(STOP)},
         {"text"},
         {"no"},
         "refusal"},
        {"one call",
         {{0}, TOOL(1, "c1", "f"), ARGS(1, "{\"x\""), ARGS(1, ":1}"), FINISH(TOOLS)},
         {"tool_use"},
         {"{\"x\":1}"},
         "tool_use"},
        {"a call without arguments",
         {{0}, TOOL(1, "c1", "f"), FINISH(TOOLS)},
         {"tool_use"},
         {""},
         "tool_use"},
        {"a call that its provider ends as a stop",
         {{0}, TOOL(1, "c1", "f"), ARGS(1, "{}"), FINISH(STOP)},
         {"tool_use"},
         {"{}"},
         "tool_use"},
        /* bifrost#1829, praxis/ai#266 */
        {"two calls, their pieces in turn",
         {{0},
          TOOL(1, "c1", "f"),
          ARGS(1, "{\"x\":"),
          TOOL(2, "c2", "g"),
          ARGS(2, "{\"y\":"),
          ARGS(1, "1}"),
          ARGS(2, "2}"),
          FINISH(TOOLS)},
         {"tool_use", "tool_use"},
         {"{\"x\":1}", "{\"y\":2}"},
         "tool_use"},
        {"two calls begun before either has arguments",
         {{0},
          TOOL(1, "c1", "f"),
          TOOL(2, "c2", "g"),
          ARGS(2, "{\"y\":2}"),
          ARGS(1, "{\"x\":1}"),
          FINISH(TOOLS)},
         {"tool_use", "tool_use"},
         {"{\"x\":1}", "{\"y\":2}"},
         "tool_use"},
        {"three calls, one of them never whole",
         {{0},
          TOOL(1, "c1", "f"),
          ARGS(1, "{\"x\":\"}"),
          TOOL(2, "c2", "g"),
          ARGS(2, "{}"),
          TOOL(3, "c3", "h"),
          ARGS(3, "[{}]"),
          FINISH(LENGTH)},
         {"tool_use", "tool_use", "tool_use"},
         {"{\"x\":\"}", "{}", "[{}]"},
         "max_tokens"},
        {"brackets and quotes in strings",
         {{0},
          TOOL(1, "c1", "f"),
          ARGS(1, "{\"x\":\"}\\\""),
          TOOL(2, "c2", "g"),
          ARGS(1, "{\"}"),
          ARGS(2, "{}"),
          FINISH(TOOLS)},
         {"tool_use", "tool_use"},
         {"{\"x\":\"}\\\"{\"}", "{}"},
         "tool_use"},
        {"text behind a call that is not whole",
         {{0}, TOOL(1, "c1", "f"), ARGS(1, "{"), TEXT(0, "hm"), ARGS(1, "}"), FINISH(TOOLS)},
         {"tool_use", "text"},
         {"{}", "hm"},
         "tool_use"},
        {"blanks behind a call that has ended",
         {{0}, TOOL(1, "c1", "f"), ARGS(1, "{}"), TEXT(0, "a"), ARGS(1, " \t"), FINISH(TOOLS)},
         {"tool_use", "text"},
         {"{}", "a"},
         "tool_use"},
        {"thinking, sealed, then text",
         {{0},
          THINK(0, "h", ""),
          THINK(0, "m", ""),
          THINK(0, "", "seal"),
          TEXT(1, "a"),
          FINISH(STOP)},
         {"thinking", "text"},
         {"hm", "a"},
         "end_turn"},
        {"thinking that only its provider reads, twice",
         {{0}, REDACTED(0, "xyz"), REDACTED(1, "abc"), TEXT(2, "a"), FINISH(STOP)},
         {"redacted_thinking", "redacted_thinking", "text"},
         {"xyz", "abc", "a"},
         "end_turn"},
        {"all of it in one number",
         {{0}, THINK(0, "hm", ""), TEXT(0, "a"), TOOL(0, "c", "f"), ARGS(0, "{}"), FINISH(TOOLS)},
         {"thinking", "text", "tool_use"},
         {"hm", "a", "{}"},
         "tool_use"},
        {"ends of blocks as Anthropic says them",
         {{0},
          TEXT(0, "a"),
          {.kind = AI_BLOCK_END, .block = 0},
          TEXT(1, "b"),
          {.kind = AI_BLOCK_END, .block = 1},
          TOOL(2, "c", "f"),
          {.kind = AI_TOOL_END, .block = 2},
          FINISH(TOOLS)},
         {"text", "text", "tool_use"},
         {"a", "b", ""},
         "tool_use"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct run r;
        struct reading got;
        run_open(&r);
        write_all(&r, rows[i].events);
        const struct ai_event end = {.kind = AI_END};
        assert_int_equal(dialect_anthropic_messages.write_event(&r.writer, &end, &r.out), ERR_OK);
        read_stream(rows[i].row, buf_slice(&r.out), &got);
        check(&got, got.stopped, "no end", buf_slice(&r.out));
        for (size_t b = 0; b < 4; b++) {
            bool same = rows[i].types[b] ? b < got.blocks && !strcmp(got.type[b], rows[i].types[b])
                                         : b >= got.blocks;
            check(&got, same, "other blocks", buf_slice(&r.out));
            check(&got, !rows[i].types[b] || !strcmp(got.text[b], rows[i].texts[b]), "other text",
                  buf_slice(&r.out));
        }
        check(&got, !strcmp(got.stop_reason, rows[i].stop), got.stop_reason, buf_slice(&r.out));
        assert_int_equal(got.input, 25);
        assert_int_equal(got.start_input, 25);
        assert_int_equal(got.cache_read, 60);
        assert_int_equal(got.cache_write, 15);
        assert_int_equal(got.output, 7);
        run_close(&r);
    }
}

static void a_signature_and_a_stop_sequence_are_carried(void **state)
{
    static const struct ai_event events[EVENTS] = {
        {.kind = AI_START},
        THINK(0, "hm", ""),
        THINK(0, "", "seal"),
        TEXT(1, "a"),
        {.kind = AI_FINISH, .finish = AI_FINISH_STOP, .text = {"END", 3}},
        {.kind = AI_END}};
    struct run r;
    struct reading got;
    (void)state;
    run_open(&r);
    write_all(&r, events);
    read_stream("seal", buf_slice(&r.out), &got);
    assert_string_equal(got.signature[0], "seal");
    assert_string_equal(got.stop_reason, "stop_sequence");
    assert_string_equal(got.stop_sequence, "END");
    run_close(&r);
}

static void what_only_its_maker_reads_is_marked_as_the_makers(void **state)
{
    static const struct ai_event events[EVENTS] = {{.kind = AI_START},
                                                   THINK(0, "hm", ""),
                                                   THINK(0, "", "c2ln"),
                                                   REDACTED(1, "ZGF0YQ"),
                                                   TEXT(2, "a")};
    struct ai_marker marker = {.ready = true, .owner = SLICE("alice")};
    struct ai_account account, found;
    struct slice value;
    struct run r;
    struct reading got;
    (void)state;
    digest_hmac_ready(SLICE("0123456789abcdef0123456789abcdef"), &marker.key);
    ai_account_of(SLICE("gemini"), SLICE("main"), &account);
    run_open(&r);
    r.writer.to = (struct ai_context){.marker = &marker, .account = account};
    write_all(&r, events);
    read_stream("marks", buf_slice(&r.out), &got);
    assert_true(ai_mark_read(&marker, slice_str(got.signature[0]), &value, &found));
    assert_true(slice_eq(value, SLICE("c2ln")) && ai_account_eq(&found, &account));
    assert_true(ai_mark_read(&marker, slice_str(got.text[1]), &value, &found));
    assert_true(slice_eq(value, SLICE("ZGF0YQ")));
    run_close(&r);
}

/* dialects.md 2.10, 11: what other providers call their calls. */
static void ids_of_calls_are_ones_that_anthropic_takes(void **state)
{
    static const struct ai_event events[EVENTS] = {
        {.kind = AI_START}, TOOL(1, "functions.f:0|x", "f"),
        ARGS(1, "{}"),      TOOL(2, "", "g"),
        ARGS(2, "{}"),      FINISH(TOOLS)};
    struct run r;
    struct reading got;
    (void)state;
    run_open(&r);
    write_all(&r, events);
    const struct ai_event end = {.kind = AI_END};
    assert_int_equal(dialect_anthropic_messages.write_event(&r.writer, &end, &r.out), ERR_OK);
    read_stream("ids of calls", buf_slice(&r.out), &got);
    assert_string_equal(got.id[0], "functions_f_0_x");
    assert_true(strncmp(got.id[1], "toolu_", 6) == 0);
    run_close(&r);
    JSON_AUTO json_t *tree = whole_of(events);
    assert_true(slice_eq(json_text(block_of(tree, 0), "id"), SLICE("functions_f_0_x")));
}

/* Where a filter listens to a stream of this dialect's own. */
static void events_that_came_in_this_dialect_are_written_anew(void **state)
{
    static const struct ai_event events[EVENTS] = {
        {.kind = AI_START},
        {.kind = AI_TEXT, .text = {"a", 1}, .raw = {"event: content_block_delta\n\n", 28}},
        FINISH(STOP),
        {.kind = AI_END, .raw = {"event: message_stop\n\n", 21}}};
    struct run r;
    struct reading got;
    (void)state;
    run_open(&r);
    write_all(&r, events);
    read_stream("raw", buf_slice(&r.out), &got);
    assert_true(got.stopped && got.blocks == 1);
    assert_string_equal(got.text[0], "a");
    run_close(&r);
}

static void ids_are_the_providers_or_unique(void **state)
{
    struct reading first, second, named;
    struct run r;
    (void)state;
    const struct ai_event start = {.kind = AI_START};
    struct reading *all[] = {&first, &second, &named};
    for (size_t i = 0; i < 3; i++) {
        run_open(&r);
        r.writer.id = i == 2 ? SLICE("\"chatcmpl-1\"") : SLICE_NONE;
        assert_int_equal(dialect_anthropic_messages.write_event(&r.writer, &start, &r.out), ERR_OK);
        read_stream("ids", buf_slice(&r.out), all[i]);
        run_close(&r);
    }
    assert_string_equal(named.message_id, "chatcmpl-1");
    assert_true(strncmp(first.message_id, "msg_", 4) == 0);
    assert_string_not_equal(first.message_id, second.message_id);
}

static void what_follows_a_call_that_was_ended_is_an_error(void **state)
{
    static const struct ai_event events[EVENTS] = {
        {.kind = AI_START}, TOOL(1, "c", "f"), ARGS(1, "{}"), TEXT(0, "a")};
    const struct ai_event late = ARGS(1, "{\"x\":1}");
    struct run r;
    (void)state;
    run_open(&r);
    write_all(&r, events);
    assert_int_equal(dialect_anthropic_messages.write_event(&r.writer, &late, &r.out),
                     ERR_PROTOCOL);
    run_close(&r);
}

/* At each place of a stream: the block that is open ends, what is held comes, and there is one end.
 */
static void a_stream_ends_at_its_limit_wherever_it_is(void **state)
{
    static const struct ai_event events[] = {
        {.kind = AI_START}, THINK(0, "hm", ""), TEXT(1, "a"),  TOOL(2, "c", "f"),
        ARGS(2, "{\"x\":"), TOOL(3, "d", "g"),  ARGS(3, "{}"), ARGS(2, "1}")};
    (void)state;
    for (size_t n = 0; n <= ARRAY_LEN(events); n++) {
        const struct token_count so_far = {.input = 9, .output = 3};
        struct run r;
        struct reading got;
        run_open(&r);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(dialect_anthropic_messages.write_event(&r.writer, &events[i], &r.out),
                             ERR_OK);
        assert_int_equal(dialect_anthropic_messages.write_length_stop(&r.writer, &so_far, &r.out),
                         ERR_OK);
        assert_int_equal(buf_append(&r.out, dialect_anthropic_messages.stream_end), ERR_OK);
        read_stream("limit", buf_slice(&r.out), &got);
        assert_true(got.stopped);
        assert_string_equal(got.stop_reason, "max_tokens");
        assert_int_equal(got.output, 3);
        run_close(&r);
    }
}

/* What the provider wrote went out as it came; only its end is ours. */
static void a_relayed_stream_ends_at_its_limit(void **state)
{
    static const struct ai_event events[] = {
        {.kind = AI_START}, TEXT(0, "a"), {.kind = AI_BLOCK_END}, TEXT(1, "b")};
    const char *sent =
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\","
        "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":[],"
        "\"stop_reason\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
        "\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,"
        "\"delta\":{\"type\":\"text_delta\",\"text\":\"b\"}}\n\n";
    const struct token_count so_far = {.input = 9, .output = 3};
    struct run r;
    struct reading got;
    (void)state;
    run_open(&r);
    assert_int_equal(buf_append(&r.out, slice_str(sent)), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        dialect_anthropic_messages.note_event(&r.writer, &events[i]);
    assert_int_equal(dialect_anthropic_messages.write_length_stop(&r.writer, &so_far, &r.out),
                     ERR_OK);
    assert_int_equal(buf_append(&r.out, dialect_anthropic_messages.stream_end), ERR_OK);
    read_stream("relayed", buf_slice(&r.out), &got);
    assert_true(got.stopped);
    assert_int_equal(got.blocks, 2);
    run_close(&r);
}

static void an_error_is_the_last_event(void **state)
{
    static const struct ai_event events[EVENTS] = {
        {.kind = AI_START},
        TEXT(0, "a"),
        {.kind = AI_ERROR, .text = {"Overloaded", 10}, .name = {"overloaded_error", 16}}};
    struct run r;
    struct reading got;
    (void)state;
    run_open(&r);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(dialect_anthropic_messages.write_event(&r.writer, &events[i], &r.out),
                         ERR_OK);
    read_stream("error", buf_slice(&r.out), &got);
    assert_true(got.failed && !got.stopped);
    run_close(&r);
}

/* ---- a whole response ---- */

static json_t *whole_of(const struct ai_event *events)
{
    struct ai_assembly *a = ai_assembly_new();
    struct json_problem problem;
    json_t *tree = NULL;
    struct buf out;
    assert_non_null(a);
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < EVENTS && (events[i].kind != AI_START || i == 0); i++)
        assert_int_equal(ai_assembly_add(a, &events[i]), ERR_OK);
    assert_int_equal(dialect_anthropic_messages.write_whole(a, &out), ERR_OK);
    if (json_read(buf_slice(&out), &tree, &problem))
        fail_msg("no JSON: %.*s", SLICE_ARG(buf_slice(&out)));
    buf_fini(&out);
    ai_assembly_free(a);
    return tree;
}

static const json_t *block_of(const json_t *tree, size_t i)
{
    return json_array_get(json_object_get(tree, "content"), i);
}

static void a_whole_response_has_its_blocks_in_order(void **state)
{
    static const struct ai_event events[EVENTS] = {
        {.kind = AI_START, .id = {"msg_1", 5}, .name = {"m", 1}},
        THINK(0, "hm", "seal"),
        REDACTED(1, "xyz"),
        TEXT(2, "hi"),
        TOOL(3, "c1", "f"),
        ARGS(3, "{\"x\":1}"),
        TOOL(4, "c2", "g"),
        {.kind = AI_USAGE,
         .usage = {.prompt = AI_UNSAID,
                   .fresh = 10,
                   .cache_read = 85,
                   .cache_write = 5,
                   .cache_write_long = 2,
                   .output = 50,
                   .reasoning = AI_UNSAID,
                   .total = AI_UNSAID}},
        FINISH(TOOLS)};
    (void)state;
    JSON_AUTO json_t *tree = whole_of(events);
    const json_t *usage = json_object_get(tree, "usage");
    assert_true(slice_eq(json_text(tree, "type"), SLICE("message")));
    assert_true(slice_eq(json_text(tree, "id"), SLICE("msg_1")));
    assert_int_equal(json_array_size(json_object_get(tree, "content")), 5);
    assert_true(slice_eq(json_text(block_of(tree, 0), "signature"), SLICE("seal")));
    assert_true(slice_eq(json_text(block_of(tree, 1), "data"), SLICE("xyz")));
    assert_true(slice_eq(json_text(block_of(tree, 2), "text"), SLICE("hi")));
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(block_of(tree, 3), "input"), "x")), 1);
    assert_int_equal(json_object_size(json_object_get(block_of(tree, 4), "input")), 0);
    assert_true(slice_eq(json_text(tree, "stop_reason"), SLICE("tool_use")));
    assert_true(json_is_null(json_object_get(tree, "stop_sequence")));
    assert_int_equal(json_integer_value(json_object_get(usage, "input_tokens")), 10);
    assert_int_equal(json_integer_value(json_object_get(usage, "cache_read_input_tokens")), 85);
    assert_int_equal(json_integer_value(json_object_get(usage, "cache_creation_input_tokens")), 5);
    assert_int_equal(json_integer_value(json_object_get(usage, "output_tokens")), 50);
    const json_t *creation = json_object_get(usage, "cache_creation");
    assert_int_equal(json_integer_value(json_object_get(creation, "ephemeral_5m_input_tokens")), 3);
    assert_int_equal(json_integer_value(json_object_get(creation, "ephemeral_1h_input_tokens")), 2);
}

static void arguments_that_are_no_object_are_kept_under_a_name(void **state)
{
    static const struct ai_event events[EVENTS] = {
        {.kind = AI_START, .id = {"m", 1}}, TOOL(3, "c1", "f"), ARGS(3, "{\"x\":"), FINISH(LENGTH)};
    (void)state;
    JSON_AUTO json_t *tree = whole_of(events);
    assert_true(slice_eq(json_text(json_object_get(block_of(tree, 0), "input"), "unparsed"),
                         SLICE("{\"x\":")));
}

/* ---- errors ---- */

static void each_status_has_the_apis_own_word(void **state)
{
    static const struct {
        unsigned status;
        const char *type;
    } rows[] = {{400, "invalid_request_error"},
                {401, "authentication_error"},
                {402, "billing_error"},
                {403, "permission_error"},
                {404, "not_found_error"},
                {405, "invalid_request_error"},
                {413, "request_too_large"},
                {415, "invalid_request_error"},
                {429, "rate_limit_error"},
                {500, "api_error"},
                {502, "api_error"},
                {503, "overloaded_error"},
                {504, "timeout_error"},
                {529, "overloaded_error"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct ai_error e = {.status = rows[i].status,
                                   .type = SLICE("insufficient_quota"),
                                   .message = SLICE("it \"failed\""),
                                   .code = SLICE("some_code"),
                                   .param = SLICE("model"),
                                   .request_id = SLICE("req_1")};
        struct json_problem problem;
        JSON_AUTO json_t *tree = NULL;
        struct buf out;
        buf_init(&out, 4096);
        assert_int_equal(dialect_anthropic_messages.write_error(&out, &e), ERR_OK);
        assert_true(dialect_anthropic_messages.is_error(buf_slice(&out)));
        assert_int_equal(json_read(buf_slice(&out), &tree, &problem), ERR_OK);
        const json_t *error = json_object_get(tree, "error");
        if (!slice_eq(json_text(error, "type"), slice_str(rows[i].type)))
            fail_msg("%u: %.*s", rows[i].status, SLICE_ARG(json_text(error, "type")));
        assert_true(slice_eq(json_text(error, "message"), SLICE("it \"failed\"")));
        assert_true(slice_eq(json_text(json_object_get(error, "details"), "error_code"),
                             SLICE("some_code")));
        assert_true(slice_eq(json_text(tree, "request_id"), SLICE("req_1")));
        buf_fini(&out);
    }
    assert_false(dialect_anthropic_messages.is_error(SLICE("{\"error\":{\"message\":\"x\"}}")));
    assert_false(dialect_anthropic_messages.is_error(SLICE("<html>")));
}

static void a_ping_is_a_frame_of_its_own(void **state)
{
    struct reading got;
    (void)state;
    read_stream("ping", dialect_anthropic_messages.keep_alive, &got);
    assert_false(got.started || got.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_becomes_blocks_one_after_the_other),
        cmocka_unit_test(a_signature_and_a_stop_sequence_are_carried),
        cmocka_unit_test(what_only_its_maker_reads_is_marked_as_the_makers),
        cmocka_unit_test(ids_of_calls_are_ones_that_anthropic_takes),
        cmocka_unit_test(events_that_came_in_this_dialect_are_written_anew),
        cmocka_unit_test(ids_are_the_providers_or_unique),
        cmocka_unit_test(what_follows_a_call_that_was_ended_is_an_error),
        cmocka_unit_test(a_stream_ends_at_its_limit_wherever_it_is),
        cmocka_unit_test(a_relayed_stream_ends_at_its_limit),
        cmocka_unit_test(an_error_is_the_last_event),
        cmocka_unit_test(a_whole_response_has_its_blocks_in_order),
        cmocka_unit_test(arguments_that_are_no_object_are_kept_under_a_name),
        cmocka_unit_test(each_status_has_the_apis_own_word),
        cmocka_unit_test(a_ping_is_a_frame_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
