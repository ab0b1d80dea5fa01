/*
 * An event that is like the one before it is glanced at as the provider would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "dataplane/ai/ai_likeness.h"

#define FRONT "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
#define BACK "\"},\"finish_reason\":null}],\"usage\":null}\n\n"

static struct sse_event read_event(struct slice raw)
{
    struct slice data = slice_from(slice_first(raw, raw.len - 2), sizeof("data: ") - 1);
    return (struct sse_event){.raw = raw, .data = data, .has_data = true};
}

static struct ai_glance glance(const struct sse_event *e)
{
    struct ai_glance g;
    provider_openai.glance(e->data, false, &g);
    return g;
}

static void remember(struct ai_likeness *l, struct slice raw)
{
    struct sse_event e = read_event(raw);
    struct ai_glance g = glance(&e);
    ai_likeness_remember(l, &e, &g, NULL);
}

static void an_event_with_other_words_says_the_same(void **state)
{
    (void)state;
    static const char *const rows[] = {
        FRONT "x" BACK,
        FRONT " and a longer text, in which: usage, error, null" BACK,
        FRONT "Gr\xc3\xbc\xc3\x9f"
              "e \xe4\xbd\xa0\xe5\xa5\xbd" BACK,
        FRONT "usage" BACK,
        FRONT "error" BACK,
        FRONT "finish_reason" BACK,
        FRONT "0123456789abcdef" BACK,
    };
    struct ai_likeness l = {0};
    remember(&l, SLICE(FRONT "Hello" BACK));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice raw = slice_str(rows[i]);
        struct sse_event e = read_event(raw);
        struct ai_glance g = glance(&e);
        struct ai_alike a = ai_likeness_match(&l, raw);
        if (a.len != raw.len || a.words.len != g.words || !slice_eq(a.unasked, g.unasked) ||
            a.unasked.ptr != g.unasked.ptr)
            fail_msg("row %zu is not what the provider says it is", i);
        assert_false(g.ends || g.fails || g.finishes || g.opens || g.has_usage || g.usage_alone);
    }
}

static void what_is_not_like_it_is_left_to_the_provider(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *bytes;
    } rows[] = {
        {"no words", FRONT BACK},
        {"an escape", FRONT "a\\nb" BACK},
        {"an escaped quote", FRONT "a\\\"b" BACK},
        {"another member", FRONT "a\",\"x\":\"b" BACK},
        {"a line end in the words", FRONT "a\nb" BACK},
        {"two of them", FRONT "a\rb" BACK},
        {"another id", "data: {\"id\":\"c2\",\"choices\":[{\"index\":0,\"delta\":{"
                       "\"content\":\"a" BACK},
        {"an end", FRONT "a\"},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"},
        {"a cut", FRONT "abc"},
        {"a cut behind the words", FRONT "abc\"},\"finish_reason\":null}],\"us"},
        {"a cut in the empty line", FRONT "abc\"},\"finish_reason\":null}],"
                                          "\"usage\":null}\n"},
        {"a second line of data", FRONT "abc\"},\"finish_reason\":null}],"
                                        "\"usage\":null}\ndata: x\n\n"},
        {"nothing", ""},
    };
    struct ai_likeness l = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        remember(&l, SLICE(FRONT "Hello" BACK));
        if (ai_likeness_match(&l, slice_str(rows[i].bytes)).len)
            fail_msg("%s is taken for like it", rows[i].name);
    }
}

static void events_that_say_more_than_words_are_not_remembered(void **state)
{
    (void)state;
    static const char *const rows[] = {
        FRONT "a\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\",\"refusal\":\"b\"}}]}\n\n",
        "data: [DONE]\n\n",
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    };
    struct ai_likeness l = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        remember(&l, SLICE(FRONT "Hello" BACK));
        assert_true(l.before > 0);
        remember(&l, slice_str(rows[i]));
        if (l.before)
            fail_msg("row %zu is remembered", i);
    }
}

/* Escapes come in the middle of a text whose other events are alike. */
static void words_of_another_form_leave_what_was_remembered(void **state)
{
    (void)state;
    static const char *const rows[] = {
        FRONT "a\\nb" BACK,
        "data: {\"usage\":null,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ai_likeness l = {0};
        remember(&l, slice_str(rows[i]));
        assert_int_equal(l.before, 0);
        remember(&l, SLICE(FRONT "Hello" BACK));
        remember(&l, slice_str(rows[i]));
        assert_true(ai_likeness_match(&l, SLICE(FRONT "x" BACK)).len > 0);
    }
}

/* ---- where events are decoded ---- */

#define DELTA(index, type, member, text)                                                           \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":" index         \
    ",\"delta\":{\"type\":\"" type "\",\"" member "\":\"" text "\"}}\n\n"
#define SAYS(text) DELTA("0", "text_delta", "text", text)

struct decoded {
    size_t count;
    struct ai_event first;
};

static enum err note(void *arg, const struct ai_event *e)
{
    struct decoded *d = arg;
    if (d->count++ == 0)
        d->first = *e;
    return ERR_OK;
}

static void decode(struct ai_likeness *l, struct slice raw)
{
    struct sse_event e = read_event(raw);
    ptrdiff_t at = slice_search(raw, SLICE("data: "));
    struct ai_decoder d = {0};
    struct decoded said = {0};
    struct ai_glance g = {0};
    e.data = slice_from(slice_first(raw, raw.len - 2), (size_t)at + 6);
    assert_int_equal(provider_anthropic.decode(&d, &e, note, &said), ERR_OK);
    if (said.count == 1 && ai_event_is_words(&said.first)) {
        g.text = said.first.text;
        g.words = g.text.len;
    }
    ai_likeness_remember(l, &e, &g, &said.first);
}

static void a_decoded_event_tells_what_the_next_one_says(void **state)
{
    (void)state;
    struct ai_likeness l = {0};
    decode(&l, SLICE(SAYS("Hello")));
    struct ai_alike a = ai_likeness_match(&l, SLICE(SAYS(" wörld, text_delta")));
    assert_int_equal(a.len, sizeof(SAYS(" wörld, text_delta")) - 1);
    assert_true(slice_eq(a.words, SLICE(" wörld, text_delta")));
    assert_int_equal(l.kind, AI_TEXT);
    assert_false(a.plain);
    assert_true(ai_likeness_match(&l, SLICE(SAYS("plain"))).plain);
    assert_false(ai_likeness_match(&l, SLICE(SAYS("a\x7f"))).plain); /* we escape it */
    decode(&l, SLICE(SAYS("a\\tb")));
    assert_true(ai_likeness_match(&l, SLICE(SAYS("x"))).len > 0);
    assert_int_equal(ai_likeness_match(&l, SLICE(SAYS("\xff"))).len, 0);
    assert_int_equal(
        ai_likeness_match(&l, SLICE(DELTA("1", "text_delta", "text", "another block"))).len, 0);
}

/* The words of another block stand elsewhere in what is written. */
static void another_block_is_forgotten_with_what_was_before_it(void **state)
{
    (void)state;
    static const char *const rows[] = {
        DELTA("1", "text_delta", "text", "a\\nb"),
        DELTA("0", "thinking_delta", "thinking", "a\\nb"),
        DELTA("0", "signature_delta", "signature", "c2ln"),
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ai_likeness l = {0};
        decode(&l, SLICE(SAYS("Hello")));
        decode(&l, slice_str(rows[i]));
        if (ai_likeness_match(&l, SLICE(SAYS("x"))).len)
            fail_msg("row %zu leaves what was before", i);
    }
}

/* Of an event that came in another form than one line and an empty one, nothing is known. */
static void an_event_of_another_form_is_not_remembered(void **state)
{
    (void)state;
    const struct slice raw = SLICE(FRONT "Hello" BACK);
    struct sse_event e = read_event(raw);
    struct ai_glance g = glance(&e);
    char crlf[sizeof(FRONT "Hello" BACK) + 8], long_front[AI_LIKENESS_MAX + 64];
    struct ai_likeness l = {0};

    memcpy(crlf, raw.ptr, raw.len - 2);
    memcpy(crlf + raw.len - 2, "\r\n\r\n", 4);
    e.raw = slice_of(crlf, raw.len + 2);
    e.data = slice_of(crlf + 6, raw.len - 8);
    g = glance(&e);
    ai_likeness_remember(&l, &e, &g, NULL);
    assert_int_equal(l.before, 0);

    e = read_event(raw); /* its data lies elsewhere */
    e.data = slice_of(crlf + 6, raw.len - 8);
    g = glance(&e);
    ai_likeness_remember(&l, &e, &g, NULL);
    assert_int_equal(l.before, 0);

    int n = snprintf(long_front, sizeof(long_front),
                     "data: {\"id\":\"%0*d\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
                     AI_LIKENESS_MAX, 0);
    remember(&l, slice_of(long_front, (size_t)n));
    assert_int_equal(l.before, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_with_other_words_says_the_same),
        cmocka_unit_test(what_is_not_like_it_is_left_to_the_provider),
        cmocka_unit_test(events_that_say_more_than_words_are_not_remembered),
        cmocka_unit_test(an_event_of_another_form_is_not_remembered),
        cmocka_unit_test(words_of_another_form_leave_what_was_remembered),
        cmocka_unit_test(a_decoded_event_tells_what_the_next_one_says),
        cmocka_unit_test(another_block_is_forgotten_with_what_was_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
