/* Server-sent events: found in any cut, passed on byte for byte, written so that they read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/sse.h"

struct heard {
    struct buf text; /* event|id|data; */
    struct buf raw;
    size_t count;
    size_t stop_after;
};

static bool hear(void *arg, const struct sse_event *e)
{
    struct heard *h = arg;
    assert_int_equal(buf_append(&h->raw, e->raw), ERR_OK);
    if (e->has_data)
        assert_int_equal(buf_printf(&h->text, "%.*s|%.*s|%.*s;", SLICE_ARG(e->event),
                                    SLICE_ARG(e->id), SLICE_ARG(e->data)),
                         ERR_OK);
    return ++h->count != h->stop_after;
}

static void heard_init(struct heard *h)
{
    *h = (struct heard){0};
    buf_init(&h->text, 8u << 20);
    buf_init(&h->raw, 8u << 20);
}

static void heard_fini(struct heard *h)
{
    buf_fini(&h->text);
    buf_fini(&h->raw);
}

static const struct {
    struct slice bytes;
    const char *heard;
    size_t rest;
} rows[] = {
    {SLICE("data: a\n\n"), "||a;", 0},
    {SLICE("data: a\r\n\r\n"), "||a;", 0},
    {SLICE("data: a\r\r"), "||a;", 0},
    {SLICE("data: a\r\r\ndata: b\n\r\n"), "||a;||b;", 0},
    {SLICE("data: a\n\rdata: b\r\n\n"), "||a;||b;", 0},
    {SLICE("event: e\nid: 7\ndata: a\ndata: b\ndata:c\n\n"), "e|7|a\nb\nc;", 0},
    {SLICE("data\n\n"), "||;", 0},
    {SLICE("data:\ndata:\n\n"), "||\n;", 0},
    {SLICE("data:  two\n\n"), "|| two;", 0},
    {SLICE(": ping\n\n"), "", 0},
    {SLICE("\n\n\ndata: a\n\n"), "||a;", 0},
    {SLICE("\xEF\xBB\xBF"
           "data: a\n\n"),
     "||a;", 0},
    {SLICE("data: a\n\n\xEF\xBB\xBF"
           "data: b\n\n"),
     "||a;", 0},
    {SLICE("\xEF\xBB\xBF\ndata: a\n\n"), "||a;", 0},
    {SLICE("unknown: x\nretry: 5\ndata: a\n\n"), "||a;", 0},
    {SLICE("id: a\0b\ndata: x\n\n"), "||x;", 0},
    {SLICE("DATA: a\n\n"), "", 0},
    {SLICE("data : a\n\n"), "", 0},
    {SLICE("data: a:b\n\n"), "||a:b;", 0},
    {SLICE("data: a\n\ndata: b\n"), "||a;", 8},
    {SLICE("data: a\n\ndata: b"), "||a;", 7},
    {SLICE("event: x\n\ndata: a\n\n"), "||a;", 0},
    {SLICE("data: [DONE]\n\n"), "||[DONE];", 0},
};

static void events_are_the_same_in_any_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t cut = 1; cut <= rows[i].bytes.len; cut++) {
            struct sse_reader r;
            struct heard h;
            sse_reader_init(&r);
            heard_init(&h);
            for (struct slice left = rows[i].bytes; left.len; left = slice_from(left, cut)) {
                struct slice piece = slice_first(left, cut);
                char *copy = malloc(piece.len); /* of exact size, for ASan */
                memcpy(copy, piece.ptr, piece.len);
                assert_int_equal(sse_reader_feed(&r, slice_of(copy, piece.len), hear, &h), ERR_OK);
                free(copy);
            }
            if (!slice_eq(buf_slice(&h.text), slice_str(rows[i].heard)))
                fail_msg("row %zu cut at %zu: %.*s", i, cut, SLICE_ARG(buf_slice(&h.text)));
            /* an LF that was cut from its CR waits for the next event */
            struct slice rest = sse_reader_rest(&r);
            if (!slice_eq(rest, SLICE("\n")))
                assert_int_equal(rest.len, rows[i].rest);
            assert_int_equal(buf_append(&h.raw, rest), ERR_OK);
            assert_true(slice_eq(buf_slice(&h.raw), rows[i].bytes));
            heard_fini(&h);
            sse_reader_fini(&r);
        }
    }
}

static void a_callback_that_stops_is_not_called_again(void **state)
{
    (void)state;
    struct sse_reader r;
    struct heard h;
    sse_reader_init(&r);
    heard_init(&h);
    h.stop_after = 2;
    assert_int_equal(sse_reader_feed(&r, SLICE("data: a\n\ndata: b\n\ndata: c\n\n"), hear, &h),
                     ERR_CANCELLED);
    assert_int_equal(h.count, 2);
    heard_fini(&h);
    sse_reader_fini(&r);
}

static void an_event_beyond_its_ceiling_is_refused_in_one_piece_and_in_many(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        struct sse_reader r;
        struct heard h;
        size_t len = LIMIT_SSE_EVENT + 16;
        char *big = malloc(len);
        memset(big, 'a', len);
        memcpy(big, "data: ", 6);
        memcpy(big + len - 2, "\n\n", 2);
        sse_reader_init(&r);
        heard_init(&h);
        enum err e = ERR_OK;
        size_t step = whole ? len : 4096;
        for (size_t at = 0; at < len && !e; at += step)
            e = sse_reader_feed(&r, slice_first(slice_of(big + at, len - at), step), hear, &h);
        assert_int_equal(e, ERR_TOO_BIG);
        assert_int_equal(h.count, 0);
        heard_fini(&h);
        sse_reader_fini(&r);
        free(big);
    }
}

static void each_failing_allocation_is_reported(void **state)
{
    (void)state;
    bool failed = true;
    for (size_t n = 1; failed && n < 20; n++) {
        struct sse_reader r;
        struct heard h;
        sse_reader_init(&r);
        heard_init(&h);
        char *room; /* the test's own memory does not count */
        assert_int_equal(buf_room(&h.text, 4096, &room), ERR_OK);
        assert_int_equal(buf_room(&h.raw, 4096, &room), ERR_OK);
        mem_fail_after(n);
        enum err e = sse_reader_feed(&r, SLICE("data: a\nda"), hear, &h);
        if (!e)
            e = sse_reader_feed(&r, SLICE("ta: b\ndata: c\n\n"), hear, &h);
        failed = mem_failed();
        mem_fail_after(0);
        assert_int_equal(e, failed ? ERR_NOMEM : ERR_OK);
        assert_int_equal(h.count, failed ? 0 : 1);
        heard_fini(&h);
        sse_reader_fini(&r);
    }
    assert_false(failed);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    static const struct {
        struct slice event, id, data;
        const char *text;
        const char *heard;
    } w[] = {
        {SLICE(""), SLICE(""), SLICE("a"), "data: a\n\n", "||a;"},
        {SLICE("e"), SLICE("1"), SLICE("a\nb"), "event: e\nid: 1\ndata: a\ndata: b\n\n",
         "e|1|a\nb;"},
        {SLICE(""), SLICE(""), SLICE(""), "data: \n\n", "||;"},
        {SLICE(""), SLICE(""), SLICE("a\n"), "data: a\ndata: \n\n", "||a\n;"},
        {SLICE(""), SLICE(""), SLICE("a\r\nevent: x\rb"), "data: a\ndata: event: x\ndata: b\n\n",
         "||a\nevent: x\nb;"},
    };
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        struct buf out;
        struct sse_reader r;
        struct heard h;
        buf_init(&out, 4096);
        sse_reader_init(&r);
        heard_init(&h);
        assert_int_equal(sse_write(&out, w[i].event, w[i].id, w[i].data), ERR_OK);
        assert_true(slice_eq(buf_slice(&out), slice_str(w[i].text)));
        assert_int_equal(sse_reader_feed(&r, buf_slice(&out), hear, &h), ERR_OK);
        assert_true(slice_eq(buf_slice(&h.text), slice_str(w[i].heard)));
        heard_fini(&h);
        sse_reader_fini(&r);
        buf_fini(&out);
    }
}

static void names_with_line_ends_are_not_written(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 16);
    assert_int_equal(sse_write(&out, SLICE("a\nb"), SLICE(""), SLICE("x")), ERR_INVALID);
    assert_int_equal(sse_write(&out, SLICE(""), SLICE("a\rb"), SLICE("x")), ERR_INVALID);
    assert_int_equal(sse_write(&out, SLICE(""), SLICE("a\0"), SLICE("x")), ERR_INVALID);
    assert_int_equal(sse_write(&out, SLICE("e"), SLICE(""), SLICE("0123456789")), ERR_TOO_BIG);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void events_that_arrive_together_leave_as_one_piece(void **state)
{
    (void)state;
    char bytes[] = "data: a\n\n: ping\n\ndata: b\n\ndata: c\n\n";
    const struct slice all = slice_of(bytes, sizeof(bytes) - 1);
    struct slice rest = all, run = SLICE_NONE;
    struct sse_event e;
    struct sse_reader r;
    sse_reader_init(&r);
    while (!sse_reader_next(&r, &rest, &e))
        sse_run_join(&run, e.raw);
    assert_ptr_equal(run.ptr, all.ptr);
    assert_int_equal(run.len, all.len);

    /* one is left out, as usage that was not asked for: what follows moves up */
    run = SLICE_NONE;
    for (rest = all; !sse_reader_next(&r, &rest, &e);)
        if (e.has_data && !slice_eq(e.data, SLICE("b")))
            sse_run_join(&run, e.raw);
    assert_true(slice_eq(run, SLICE("data: a\n\ndata: c\n\n")));
    sse_reader_fini(&r);
}

/* What a caller takes off the bytes by itself, between two events, is not missed. */
static void between_events_the_reader_holds_nothing(void **state)
{
    (void)state;
    struct sse_event e;
    struct sse_reader r;
    struct slice bytes = SLICE("data: a\n\ndata: b\n\nda"), more = SLICE("ta: c\r\n\r");
    sse_reader_init(&r);
    assert_true(sse_reader_is_between(&r));
    assert_int_equal(sse_reader_next(&r, &bytes, &e), ERR_OK);
    assert_true(sse_reader_is_between(&r));
    bytes = slice_from(bytes, 9); /* "data: b" */
    assert_int_equal(sse_reader_next(&r, &bytes, &e), ERR_AGAIN);
    assert_false(sse_reader_is_between(&r)); /* inside one */
    assert_int_equal(sse_reader_next(&r, &more, &e), ERR_OK);
    assert_true(slice_eq(e.data, SLICE("c")));
    assert_int_equal(sse_reader_rest(&r).len, 0);
    assert_false(sse_reader_is_between(&r)); /* an LF that follows belongs to this one */
    more = SLICE("\n");
    assert_int_equal(sse_reader_next(&r, &more, &e), ERR_AGAIN);
    sse_reader_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_the_same_in_any_cut),
        cmocka_unit_test(events_that_arrive_together_leave_as_one_piece),
        cmocka_unit_test(between_events_the_reader_holds_nothing),
        cmocka_unit_test(a_callback_that_stops_is_not_called_again),
        cmocka_unit_test(an_event_beyond_its_ceiling_is_refused_in_one_piece_and_in_many),
        cmocka_unit_test(each_failing_allocation_is_reported),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(names_with_line_ends_are_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
