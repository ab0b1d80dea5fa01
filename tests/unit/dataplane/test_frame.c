/*
 * What a dialect writes for words is what it wrote for the last ones, around other words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/ai/ai_frame.h"

static const struct {
    const char *name;
    const struct ai_dialect *dialect;
    bool arguments; /* of calls are written alike too */
} rows[] = {
    {"chat completions", &dialect_openai_chat, true},
    {"completions", &dialect_openai_completions, false},
    {"messages", &dialect_anthropic_messages, false},
    {"generateContent", &dialect_gemini, false},
    {"its array", &dialect_gemini_array, false},
    {"Cohere's chat", &dialect_cohere_chat, true},
};

struct writing {
    const struct ai_dialect *dialect;
    struct ai_writer writer;
    struct ai_frame frame;
    struct buf out;
};

static void begin(struct writing *w, const struct ai_dialect *d)
{
    *w = (struct writing){.dialect = d,
                          .writer = {.choices = 1,
                                     .id = SLICE("\"m_1\""),
                                     .model = SLICE("\"a model of words\""),
                                     .created = SLICE("1")}};
    buf_init(&w->out, 1 << 16);
    assert_int_equal(d->write_event(&w->writer, &(struct ai_event){.kind = AI_START}, &w->out),
                     ERR_OK);
}

static void keep(struct writing *w, struct ai_event e)
{
    w->writer.words = (struct ai_words){0};
    assert_int_equal(w->dialect->write_event(&w->writer, &e, &w->out), ERR_OK);
    ai_frame_keep(&w->frame, &e, &w->writer, &w->out);
}

/* Both ways, one behind the other. */
static void expect_alike(struct writing *w, const char *name, struct ai_event e)
{
    struct buf framed;
    buf_init(&framed, 1 << 16);
    if (!ai_frame_fits(&w->frame, &e))
        fail_msg("%s: it is not kept", name);
    assert_int_equal(ai_frame_write(&w->frame, &e, &framed), ERR_OK);
    size_t from = w->out.len;
    assert_int_equal(w->dialect->write_event(&w->writer, &e, &w->out), ERR_OK);
    if (!slice_eq(slice_from(buf_slice(&w->out), from), buf_slice(&framed)))
        fail_msg("%s: \"%.*s\", not \"%.*s\"", name, SLICE_ARG(buf_slice(&framed)),
                 SLICE_ARG(slice_from(buf_slice(&w->out), from)));
    buf_fini(&framed);
}

static void words_are_written_as_the_dialect_writes_them(void **state)
{
    (void)state;
    static const char *const words[] = {
        "x", "text", "a model of words", "a \"quote\"\n", "\x7f", "\xc3\xbc\xc2\x85", "\xff",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct writing w;
        begin(&w, rows[i].dialect);
        keep(&w, (struct ai_event){.kind = AI_TEXT, .block = 1, .text = SLICE("words")});
        for (size_t j = 0; j < ARRAY_LEN(words); j++)
            expect_alike(
                &w, rows[i].name,
                (struct ai_event){.kind = AI_TEXT, .block = 1, .text = slice_str(words[j])});
        buf_fini(&w.out);
    }
}

static void pieces_of_arguments_are_written_alike_where_nothing_follows_them(void **state)
{
    (void)state;
    struct ai_event e = {.kind = AI_TOOL_ARGUMENTS, .block = 2, .text = SLICE("{")};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct writing w;
        begin(&w, rows[i].dialect);
        keep(&w, (struct ai_event){
                     .kind = AI_TOOL_START, .block = 2, .id = SLICE("call_1"), .name = SLICE("f")});
        e.text = SLICE("{");
        keep(&w, e);
        e.text = SLICE("\"a\":1}");
        if (rows[i].arguments)
            expect_alike(&w, rows[i].name, e);
        else
            assert_false(ai_frame_fits(&w.frame, &e));
        buf_fini(&w.out);
    }
}

/* What opened the block is no part of it. */
static void what_is_kept_is_of_one_block_and_of_words_alone(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct ai_event event;
    } others[] = {
        {"another block", {.kind = AI_TEXT, .block = 2, .text = {"x", 1}}},
        {"another choice", {.kind = AI_TEXT, .block = 1, .choice = 1, .text = {"x", 1}}},
        {"another kind", {.kind = AI_REFUSAL, .block = 1, .text = {"x", 1}}},
        {"no words", {.kind = AI_TEXT, .block = 1}},
        {"a signature", {.kind = AI_TEXT, .block = 1, .text = {"x", 1}, .signature = {"s", 1}}},
        {"bytes as they came", {.kind = AI_TEXT, .block = 1, .text = {"x", 1}, .raw = {"r", 1}}},
    };
    const struct ai_event words = {.kind = AI_TEXT, .block = 1, .text = SLICE("x")};
    struct writing w;
    begin(&w, &dialect_anthropic_messages);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        keep(&w, words);
        assert_true(ai_frame_fits(&w.frame, &words));
        if (ai_frame_fits(&w.frame, &others[i].event))
            fail_msg("%s fits", others[i].name);
    }
    keep(&w, (struct ai_event){.kind = AI_BLOCK_END, .block = 1});
    assert_false(ai_frame_fits(&w.frame, &words));
    buf_fini(&w.out);
}

/* A model's name may be of any length. */
static void what_is_too_long_is_not_kept(void **state)
{
    (void)state;
    char name[AI_FRAME_MAX + 2];
    struct writing w;
    const struct ai_event words = {.kind = AI_TEXT, .block = 1, .text = SLICE("x")};
    memset(name, 'm', sizeof(name));
    name[0] = name[sizeof(name) - 1] = '"';
    begin(&w, &dialect_openai_chat);
    w.writer.model = slice_of(name, sizeof(name));
    keep(&w, words);
    assert_false(ai_frame_fits(&w.frame, &words));
    buf_fini(&w.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_written_as_the_dialect_writes_them),
        cmocka_unit_test(pieces_of_arguments_are_written_alike_where_nothing_follows_them),
        cmocka_unit_test(what_is_kept_is_of_one_block_and_of_words_alone),
        cmocka_unit_test(what_is_too_long_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
