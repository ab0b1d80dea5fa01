/* compress — what goes in comes out, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/compress.h"
#include "common/base/digest.h"

#define CEILING (1024 * 1024)

static struct buf packed, back;

static int set_up(void **state)
{
    (void)state;
    buf_init(&packed, CEILING);
    buf_init(&back, CEILING);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_fini(&packed);
    buf_fini(&back);
    return 0;
}

static void expect_round_trip(struct slice in)
{
    buf_clear(&packed);
    buf_clear(&back);
    assert_int_equal(compress_block(in, &packed), ERR_OK);
    assert_int_equal(decompress_block(buf_slice(&packed), in.len, &back), ERR_OK);
    assert_int_equal(back.len, in.len);
    assert_memory_equal(buf_slice(&back).ptr, in.ptr, in.len);
}

static void blocks_come_back_as_they_were(void **state)
{
    (void)state;
    static char same[100000], chance[50000];
    memset(same, 'a', sizeof(same));
    digest_random(chance, sizeof(chance));
    expect_round_trip(SLICE(""));
    expect_round_trip(SLICE("x"));
    expect_round_trip(slice_of(chance, sizeof(chance)));
    assert_true(packed.len >=
                sizeof(chance)); /* chance is not made shorter, and still comes back */
    expect_round_trip(slice_of(same, sizeof(same)));
    assert_true(packed.len < sizeof(same) / 100);
}

static void a_block_of_another_length_is_refused(void **state)
{
    (void)state;
    const struct slice in = SLICE("abcabcabcabcabcabcabcabcabcabcabcabc");
    assert_int_equal(compress_block(in, &packed), ERR_OK);
    struct slice block = buf_slice(&packed);
    assert_int_equal(buf_append(&back, SLICE("before")), ERR_OK);
    assert_int_equal(decompress_block(block, in.len - 1, &back), ERR_INVALID);
    assert_int_equal(decompress_block(block, in.len + 1, &back), ERR_INVALID);
    assert_int_equal(decompress_block(slice_first(block, block.len - 1), in.len, &back),
                     ERR_INVALID);
    assert_int_equal(decompress_block(SLICE(""), in.len, &back), ERR_INVALID);
    assert_int_equal(decompress_block(SLICE("\xff\xff\xff\xff\xff\xff"), in.len, &back),
                     ERR_INVALID);
    assert_true(slice_eq(buf_slice(&back), SLICE("before")));
}

static void the_ceiling_holds(void **state)
{
    (void)state;
    static char same[CEILING];
    assert_int_equal(compress_block(slice_of(same, sizeof(same)), &packed), ERR_TOO_BIG);
    assert_int_equal(compress_block(slice_of(same, sizeof(same) / 2), &packed), ERR_OK);
    assert_int_equal(decompress_block(buf_slice(&packed), CEILING + 1, &back), ERR_TOO_BIG);
    assert_int_equal(decompress_block(buf_slice(&packed), SIZE_MAX, &back), ERR_TOO_BIG);
    assert_int_equal(back.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks_come_back_as_they_were, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_block_of_another_length_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_ceiling_holds, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}
