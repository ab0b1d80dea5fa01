/* buf_shelf — what one buffer leaves, the next takes, the last first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/buf_shelf.h"

#define CEILING (1024 * 1024)

static const char *filled(struct buf *b, size_t len)
{
    static char bytes[CEILING];
    buf_init(b, CEILING);
    assert_int_equal(buf_append(b, slice_of(bytes, len)), ERR_OK);
    return b->data;
}

static void the_last_piece_kept_is_the_first_one_taken(void **state)
{
    (void)state;
    struct buf_shelf s = {0};
    struct buf one, two, b;
    const char *first = filled(&one, 10), *last = filled(&two, 10);
    buf_shelf_give(&s, &one);
    buf_shelf_give(&s, &two);
    assert_null(one.data);
    assert_int_equal(one.len, 0);
    buf_init(&b, CEILING);
    buf_shelf_take(&s, &b);
    assert_ptr_equal(b.data, last);
    assert_int_equal(b.len, 0);
    buf_shelf_take(&s, &b); /* it has some already */
    assert_ptr_equal(b.data, last);
    buf_shelf_take(&s, &one);
    assert_ptr_equal(one.data, first);
    buf_shelf_take(&s, &two);
    assert_null(two.data);
    assert_int_equal(buf_append(&two, SLICE("grows as ever")), ERR_OK);
    buf_fini(&one);
    buf_fini(&two);
    buf_fini(&b);
    buf_shelf_fini(&s);
}

static void large_ones_and_those_that_find_no_place_are_freed(void **state)
{
    (void)state;
    struct buf_shelf s = {0};
    struct buf b;
    filled(&b, BUF_SHELF_PIECE + 1);
    buf_shelf_give(&s, &b);
    assert_int_equal(s.count, 0);
    assert_null(b.data);
    for (int i = 0; i < BUF_SHELF_PLACES + 3; i++) {
        filled(&b, 10);
        buf_shelf_give(&s, &b);
    }
    assert_int_equal(s.count, BUF_SHELF_PLACES);
    buf_init(&b, CEILING);
    buf_shelf_give(&s, &b); /* it had nothing */
    assert_int_equal(s.count, BUF_SHELF_PLACES);
    buf_shelf_fini(&s);
    assert_int_equal(s.count, 0);
}

static void no_buffer_gets_more_than_its_ceiling(void **state)
{
    (void)state;
    struct buf_shelf s = {0};
    struct buf big, small;
    filled(&big, 5000);
    buf_shelf_give(&s, &big);
    buf_init(&small, 1000);
    buf_shelf_take(&s, &small);
    assert_null(small.data);
    assert_int_equal(s.count, 1);
    buf_shelf_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_piece_kept_is_the_first_one_taken),
        cmocka_unit_test(large_ones_and_those_that_find_no_place_are_freed),
        cmocka_unit_test(no_buffer_gets_more_than_its_ceiling),
    };
    return cmocka_run_group_tests_name("buf_shelf", tests, NULL, NULL);
}
