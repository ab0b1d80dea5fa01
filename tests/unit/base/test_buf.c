/* buf: grows at the end, is consumed at the front, never passes its ceiling. */
#include "common/base/buf.h"

#include <stdlib.h>

#include "tests/unit/base/unit.h"

UNIT(what_is_appended_is_there_and_what_is_consumed_is_gone)
{
    struct buf b;
    buf_init(&b, 1000);
    expect_text(buf_slice(&b), "");
    assert_int_equal(buf_append(&b, SLICE("hello ")), ERR_OK);
    assert_int_equal(buf_printf(&b, "%s %d", "world", 7), ERR_OK);
    expect_text(buf_slice(&b), "hello world 7");
    buf_eat(&b, 6);
    expect_text(buf_slice(&b), "world 7");
    buf_eat(&b, 7);
    expect_text(buf_slice(&b), "");
    buf_fini(&b);
    assert_int_equal(buf_append(&b, SLICE("again")), ERR_OK);
    expect_text(buf_slice(&b), "again");
    buf_fini(&b);
}

UNIT(the_ceiling_is_exact_and_a_refusal_changes_nothing)
{
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_append(&b, SLICE("12345678")), ERR_OK);
    assert_int_equal(buf_append(&b, SLICE("abc")), ERR_TOO_BIG);
    assert_int_equal(buf_printf(&b, "%s", "abc"), ERR_TOO_BIG);
    assert_int_equal(buf_json_string(&b, SLICE("a")), ERR_TOO_BIG);
    char *room;
    assert_int_equal(buf_room(&b, 3, &room), ERR_TOO_BIG);
    assert_int_equal(buf_room(&b, SIZE_MAX, &room), ERR_TOO_BIG);
    expect_text(buf_slice(&b), "12345678");
    assert_int_equal(buf_printf(&b, "%s", "9"), ERR_OK);
    assert_int_equal(buf_printf(&b, "%s", "0"), ERR_OK); /* no room for its NUL, and none needed */
    expect_text(buf_slice(&b), "1234567890");
    buf_eat(&b, 4);
    assert_int_equal(buf_append(&b, SLICE("abcd")), ERR_OK);
    expect_text(buf_slice(&b), "567890abcd");
    buf_fini(&b);
}

UNIT(reserved_space_is_written_and_then_committed)
{
    struct buf b;
    buf_init(&b, 100000);
    for (int i = 0; i < 1000; i++) {
        char *room;
        assert_int_equal(buf_room(&b, 64, &room), ERR_OK);
        memset(room, 'a' + i % 26, 64); /* all of it, though less is kept */
        buf_commit(&b, 10);
    }
    assert_int_equal(b.len, 10000);
    for (size_t i = 0; i < b.len; i++)
        assert_int_equal(buf_slice(&b).ptr[i], 'a' + (int)(i / 10) % 26);
    buf_fini(&b);
}

UNIT(a_stream_through_a_small_buffer_keeps_its_order)
{
    struct buf b;
    uint32_t in = 0, out = 0;
    buf_init(&b, 512);
    srand(1);
    while (out < 20000) {
        for (int i = rand() % 20; i; i--) {
            if (buf_append(&b, slice_of(&in, sizeof(in))) == ERR_OK)
                in++;
        }
        for (int i = rand() % 20; i && b.len; i--) {
            uint32_t got;
            memcpy(&got, buf_slice(&b).ptr, sizeof(got));
            assert_int_equal(got, out++);
            buf_eat(&b, sizeof(got));
        }
    }
    assert_true(b.cap <= 512);
    buf_fini(&b);
}

UNIT(small_reads_do_not_move_the_whole_content_each_time)
{
    /* 4 MB through a buffer that always holds 100 KB: were each turn a move, 20 GB would be */
    struct buf b;
    buf_init(&b, 1 << 20);
    char *room;
    assert_int_equal(buf_room(&b, 100000, &room), ERR_OK);
    memset(room, 'x', 100000);
    buf_commit(&b, 100000);
    size_t moves = 0;
    const char *before = buf_slice(&b).ptr;
    for (int i = 0; i < 200000; i++) {
        buf_eat(&b, 20);
        assert_int_equal(buf_append(&b, SLICE("01234567890123456789")), ERR_OK);
        moves += buf_slice(&b).ptr != before + 20;
        before = buf_slice(&b).ptr;
    }
    assert_true(moves < 100);
    buf_fini(&b);
}

UNIT(json_strings_are_escaped_and_always_valid)
{
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_json_string(&b, slice_of("a\"b\\c\n\r\t\b\f\0\x1f\x7f/", 14)), ERR_OK);
    expect_text(buf_slice(&b), "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0000\\u001f\\u007f/\"");
    buf_clear(&b);
    assert_int_equal(buf_json_string(&b, SLICE("\xC3\xA9\xF0\x9F\x98\x80")), ERR_OK);
    expect_text(buf_slice(&b), "\"\xC3\xA9\xF0\x9F\x98\x80\"");
    buf_clear(&b);
    assert_int_equal(buf_json_string(&b, SLICE("\xC2\x9B[\xFF\xC3")), ERR_OK);
    expect_text(buf_slice(&b), "\"\\u009b[\xEF\xBF\xBD\xEF\xBF\xBD\"");
    buf_clear(&b);
    assert_int_equal(buf_json_string(&b, SLICE_NONE), ERR_OK);
    expect_text(buf_slice(&b), "\"\"");
    buf_fini(&b);
}

UNIT(a_json_string_that_does_not_fit_leaves_nothing_behind)
{
    struct buf b;
    buf_init(&b, 12);
    assert_int_equal(buf_append(&b, SLICE("kept")), ERR_OK);
    assert_int_equal(buf_json_string(&b, SLICE("abc\x01")), ERR_TOO_BIG);
    expect_text(buf_slice(&b), "kept");
    buf_fini(&b);
}

static enum err use_once(void)
{
    struct buf b;
    buf_init(&b, 10000);
    static char long_text[1000];
    memset(long_text, 'x', sizeof(long_text));
    enum err e = buf_append(&b, SLICE("first"));
    if (!e)
        e = buf_printf(&b, "%.1000s", long_text);
    if (!e)
        e = buf_json_string(&b, slice_of(long_text, sizeof(long_text)));
    buf_fini(&b);
    return e;
}

UNIT(every_allocation_may_fail)
{
    EACH_ALLOCATION_FAILS(use_once());
    struct buf b;
    buf_init(&b, 10000);
    assert_int_equal(buf_append(&b, SLICE("kept")), ERR_OK);
    mem_fail_after(1);
    char *room;
    assert_int_equal(buf_room(&b, 5000, &room), ERR_NOMEM);
    mem_fail_after(0);
    expect_text(buf_slice(&b), "kept");
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_there_and_what_is_consumed_is_gone),
        cmocka_unit_test(the_ceiling_is_exact_and_a_refusal_changes_nothing),
        cmocka_unit_test(reserved_space_is_written_and_then_committed),
        cmocka_unit_test(a_stream_through_a_small_buffer_keeps_its_order),
        cmocka_unit_test(small_reads_do_not_move_the_whole_content_each_time),
        cmocka_unit_test(json_strings_are_escaped_and_always_valid),
        cmocka_unit_test(a_json_string_that_does_not_fit_leaves_nothing_behind),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
