/* openai_completions — bodies read, spliced and parsed; text that goes on as chunks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "dataplane/ai/ai_assembly.h"

#define MEMORY (1 << 20)

static const struct ai_dialect *const d = &dialect_openai_completions;

static void prompts_have_their_choices_and_their_bounds(void **state)
{
    static const struct {
        const char *body;
        uint64_t choices, ceiling;
        const char *said; /* turns, then what is left out (~) or binds (!) */
    } rows[] = {
        {"{\"model\":\"m\",\"prompt\":\"a\"}", 1, 16, "a"},
        {"{\"model\":\"m\",\"prompt\":[\"a\"],\"max_tokens\":5,\"n\":2}", 2, 5, "a"},
        {"{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"n\":2,\"best_of\":3}", 6, 16,
         "a b !prompt !best_of"},
        {"{\"model\":\"m\",\"prompt\":[1,2,3]}", 1, 16, "!prompt"},
        {"{\"model\":\"m\",\"prompt\":[[1,2],[3]]}", 2, 16, "!prompt !prompt !prompt"},
        {"{\"model\":\"m\",\"prompt\":\"a\",\"echo\":true,\"suffix\":\"s\",\"logprobs\":3}", 1, 16,
         "a !echo !suffix !logprobs"},
        {"{\"model\":\"m\",\"prompt\":\"a\",\"tools\":[{}],\"response_format\":{\"type\":"
         "\"json_object\"},\"reasoning_effort\":\"low\",\"verbosity\":\"low\"}",
         1, 16, "a !tools !response_format !reasoning_effort ~verbosity"},
        {"{\"model\":\"m\",\"prompt\":\"a\",\"echo\":false,\"suffix\":null,\"logit_bias\":{},"
         "\"other\":1}",
         1, 16, "a ~other"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_new(8192, MEMORY);
        const struct ai_incoming in = {.body = slice_str(rows[i].body), .arena = a};
        struct ai_request r = {0};
        struct ai_chat c = {.arena = a, .choices = 1};
        struct slice detail;
        struct buf out;
        buf_init(&out, MEMORY);
        if (d->read(&in, &r, &detail) || d->parse(&in, &c))
            fail_msg("%s", rows[i].body);
        for (const struct ai_turn *t = c.first; t; t = t->next)
            assert_int_equal(buf_printf(&out, " %.*s", SLICE_ARG(t->parts.first->text)), ERR_OK);
        for (const struct ai_other *o = c.others; o; o = o->next)
            assert_int_equal(buf_printf(&out, " %s%s", o->binds ? "!" : "~", o->name), ERR_OK);
        if (r.choices != rows[i].choices || r.output_ceiling != rows[i].ceiling ||
            !slice_eq(slice_from(buf_slice(&out), 1), slice_str(rows[i].said)))
            fail_msg("%s\n%d choices of %d:%.*s", rows[i].body, (int)r.choices,
                     (int)r.output_ceiling, SLICE_ARG(buf_slice(&out)));
        ai_chat_fini(&c);
        buf_fini(&out);
        arena_free(a);
    }
}

static void what_is_not_one_is_refused(void **state)
{
    static const struct {
        const char *body, *param;
    } rows[] = {
        {"{\"model\":\"m\"}", "prompt"},
        {"{\"model\":\"m\",\"prompt\":7}", "prompt"},
        {"{\"prompt\":\"a\"}", "model"},
        {"{\"model\":\"m\",\"prompt\":\"a\",\"n\":0}", "n"},
        {"{\"model\":\"m\",\"prompt\":\"a\",\"stream\":1}", "stream"},
        {"{\"model\":\"m\",\"prompt\":\"a\",\"stream_options\":[]}", "stream_options"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_new(8192, MEMORY);
        const struct ai_incoming in = {.body = slice_str(rows[i].body), .arena = a};
        struct ai_request r = {0};
        struct slice detail;
        if (d->read(&in, &r, &detail) != ERR_INVALID || strcmp(r.param, rows[i].param) != 0)
            fail_msg("%s: %s", rows[i].body, r.param);
        arena_free(a);
    }
}

static void the_splice_asks_streams_for_their_usage(void **state)
{
    static const struct {
        const char *body, *expected;
    } rows[] = {
        {"{\"model\":\"m\",\"prompt\":\"a\"}", "{\"model\":\"x\",\"prompt\":\"a\"}"},
        {"{\"model\":\"m\",\"prompt\":\"a\",\"stream\":true}",
         "{\"stream_options\":{\"include_usage\":true},\"model\":\"x\",\"prompt\":\"a\","
         "\"stream\":true}"},
        {"{\"stream\":true,\"stream_options\":{\"a\":1},\"model\":\"m\",\"prompt\":\"a\"}",
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true,\"a\":1},\"model\":\"x\","
         "\"prompt\":\"a\"}"},
        {"{\"stream\":true,\"stream_options\":{ },\"model\":\"m\",\"prompt\":\"a\"}",
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true },\"model\":\"x\","
         "\"prompt\":\"a\"}"},
        {"{\"stream\":true,\"stream_options\":null,\"model\":\"m\",\"prompt\":\"a\"}",
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"model\":\"x\","
         "\"prompt\":\"a\"}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_new(8192, MEMORY);
        const struct ai_incoming in = {.body = slice_str(rows[i].body), .arena = a};
        const struct ai_changes changes = {.model = SLICE("x")};
        struct slice pieces[AI_REQUEST_PIECES], detail;
        struct ai_request r = {0};
        struct buf out;
        buf_init(&out, MEMORY);
        assert_int_equal(d->read(&in, &r, &detail), ERR_OK);
        assert_int_equal(d->splice(&r, in.body, &changes, a, pieces), ERR_OK);
        for (size_t j = 0; j < AI_REQUEST_PIECES; j++)
            assert_int_equal(buf_append(&out, pieces[j]), ERR_OK);
        if (!slice_eq(buf_slice(&out), slice_str(rows[i].expected)))
            fail_msg("\n%.*s\nexpected\n%s", SLICE_ARG(buf_slice(&out)), rows[i].expected);
        buf_fini(&out);
        arena_free(a);
    }
}

static void text_goes_on_in_chunks_and_ends_once(void **state)
{
    struct ai_writer w = {.id = SLICE("\"i\""),
                          .model = SLICE("\"m\""),
                          .created = SLICE("5"),
                          .choices = 1,
                          .wants_usage = true,
                          .usage = {.input = 1, .output = 2}};
    const struct ai_event said[] = {{.kind = AI_START},
                                    {.kind = AI_REASONING, .text = SLICE("hm")},
                                    {.kind = AI_TEXT, .text = SLICE("a\"b")},
                                    {.kind = AI_FINISH, .finish = AI_FINISH_LENGTH},
                                    {.kind = AI_END}};
    struct buf out;
    (void)state;
    buf_init(&out, MEMORY);
    for (size_t i = 0; i < ARRAY_LEN(said); i++)
        assert_int_equal(d->write_event(&w, &said[i], &out), ERR_OK);
#define CHUNK                                                                                      \
    "data: {\"id\":\"i\",\"object\":\"text_completion\",\"created\":5,\"model\":\"m\","            \
    "\"choices\":["
    struct slice expected = SLICE(
        CHUNK
        "{\"text\":\"a\\\"b\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHUNK
        "{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n" CHUNK
        "],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,"
        "\"prompt_tokens_details\":{\"cached_tokens\":0},\"completion_tokens_details\":{"
        "\"reasoning_tokens\":0}}}\n\ndata: [DONE]\n\n");
    if (!slice_eq(buf_slice(&out), expected))
        fail_msg("\n%.*s\nexpected\n%.*s", SLICE_ARG(buf_slice(&out)), SLICE_ARG(expected));
    buf_fini(&out);
}

static void several_blocks_are_one_text(void **state)
{
    struct ai_assembly *whole = ai_assembly_new();
    const struct ai_event said[] = {{.kind = AI_START, .id = SLICE("i"), .name = SLICE("m")},
                                    {.kind = AI_TEXT, .text = SLICE("a\"")},
                                    {.kind = AI_REASONING, .block = 1, .text = SLICE("hm")},
                                    {.kind = AI_TEXT, .block = 2, .text = SLICE("b")},
                                    {.kind = AI_FINISH, .finish = AI_FINISH_STOP}};
    struct json_problem problem;
    struct buf out;
    (void)state;
    buf_init(&out, MEMORY);
    for (size_t i = 0; i < ARRAY_LEN(said); i++)
        assert_int_equal(ai_assembly_add(whole, &said[i]), ERR_OK);
    assert_int_equal(d->write_whole(whole, &out), ERR_OK);
    JSON_AUTO json_t *got = NULL;
    if (json_read(buf_slice(&out), &got, &problem))
        fail_msg("%s: %.*s", problem.text, SLICE_ARG(buf_slice(&out)));
    const json_t *choice = json_array_get(json_object_get(got, "choices"), 0);
    assert_true(slice_eq(json_text(choice, "text"), SLICE("a\"b")));
    assert_true(slice_eq(json_text(choice, "finish_reason"), SLICE("stop")));
    ai_assembly_free(whole);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_have_their_choices_and_their_bounds),
        cmocka_unit_test(what_is_not_one_is_refused),
        cmocka_unit_test(the_splice_asks_streams_for_their_usage),
        cmocka_unit_test(text_goes_on_in_chunks_and_ends_once),
        cmocka_unit_test(several_blocks_are_one_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
