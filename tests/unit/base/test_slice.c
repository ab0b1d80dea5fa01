/* slice: comparing, searching, cutting, reading numbers. */
#include "common/base/slice.h"

#include "common/base/err.h"
#include "tests/unit/base/unit.h"

UNIT(slices_compare_by_bytes_and_length)
{
    assert_true(slice_eq(SLICE("abc"), SLICE("abc")));
    assert_false(slice_eq(SLICE("abc"), SLICE("abC")));
    assert_false(slice_eq(SLICE("abc"), SLICE("ab")));
    assert_true(slice_eq(SLICE(""), SLICE_NONE));
    assert_true(slice_ieq(SLICE("Content-Type"), SLICE("content-tYPE")));
    assert_false(slice_ieq(SLICE("a["), SLICE("a{"))); /* 0x20 apart, and no letters */
    assert_false(slice_ieq(SLICE("a@"), SLICE("a`")));
    assert_false(slice_ieq(SLICE("\xC4"), SLICE("\xE4")));
    assert_int_equal(slice_cmp(SLICE("a"), SLICE("b")), -1);
    assert_int_equal(slice_cmp(SLICE("b"), SLICE("a")), 1);
    assert_int_equal(slice_cmp(SLICE("a"), SLICE("ab")), -1);
    assert_int_equal(slice_cmp(SLICE("ab"), SLICE("a")), 1);
    assert_int_equal(slice_cmp(SLICE_NONE, SLICE("")), 0);
    assert_int_equal(slice_cmp(SLICE("\x80"), SLICE("a")), 1); /* bytes, not signed chars */
}

UNIT(both_ends_can_be_asked_for)
{
    assert_true(slice_starts(SLICE("/v1/models"), SLICE("/v1/")));
    assert_false(slice_starts(SLICE("/v1"), SLICE("/v1/")));
    assert_true(slice_starts(SLICE(""), SLICE("")));
    assert_true(slice_ends(SLICE("a.json"), SLICE(".json")));
    assert_false(slice_ends(SLICE("json"), SLICE(".json")));
}

UNIT(bytes_and_words_are_found_where_they_first_stand)
{
    assert_int_equal(slice_find(SLICE("a=b=c"), '='), 1);
    assert_int_equal(slice_find(SLICE("abc"), '='), -1);
    assert_int_equal(slice_find(SLICE_NONE, '='), -1);
    assert_int_equal(slice_search(SLICE("one two two"), SLICE("two")), 4);
    assert_int_equal(slice_search(SLICE("tw"), SLICE("two")), -1);
    assert_int_equal(slice_search(SLICE("x"), SLICE("")), 0);
    assert_int_equal(slice_search(slice_of("a\0b", 3), slice_of("\0b", 2)), 1);
}

UNIT(blanks_are_trimmed_at_both_ends_only)
{
    expect_text(slice_trim(SLICE(" \t a b \t")), "a b");
    expect_text(slice_trim(SLICE(" \t ")), "");
    expect_text(slice_trim(SLICE("\na\r")), "\na\r");
    expect_text(slice_trim(SLICE_NONE), "");
}

UNIT(a_split_yields_every_piece_the_empty_ones_too)
{
    static const char *const want[] = {"a", "", "b", ""};
    struct slice rest = SLICE("a,,b,"), piece;
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(slice_split(&rest, ',', &piece));
        expect_text(piece, want[i]);
    }
    assert_false(slice_split(&rest, ',', &piece));
    rest = SLICE("");
    assert_true(slice_split(&rest, ',', &piece));
    assert_false(slice_split(&rest, ',', &piece));
    rest = SLICE_NONE;
    assert_false(slice_split(&rest, ',', &piece));
}

UNIT(cuts_beyond_the_end_are_empty)
{
    expect_text(slice_from(SLICE("abc"), 1), "bc");
    expect_text(slice_from(SLICE("abc"), 9), "");
    expect_text(slice_first(SLICE("abc"), 2), "ab");
    expect_text(slice_first(SLICE("abc"), 9), "abc");
}

UNIT(numbers_are_digits_in_range)
{
    uint64_t u = 7;
    int64_t i = 7;
    assert_int_equal(slice_u64(SLICE("0"), &u), ERR_OK);
    assert_int_equal(u, 0);
    assert_int_equal(slice_u64(SLICE("18446744073709551615"), &u), ERR_OK);
    assert_true(u == UINT64_MAX);
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x1",
                                      "18446744073709551616",
                                      "99999999999999999999999"};
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        u = 7;
        assert_int_equal(slice_u64(slice_str(bad[k]), &u), ERR_INVALID);
        assert_int_equal(u, 7);
    }
    assert_int_equal(slice_i64(SLICE("-9223372036854775808"), &i), ERR_OK);
    assert_true(i == INT64_MIN);
    assert_int_equal(slice_i64(SLICE("9223372036854775807"), &i), ERR_OK);
    assert_true(i == INT64_MAX);
    assert_int_equal(slice_i64(SLICE("-0"), &i), ERR_OK);
    assert_int_equal(i, 0);
    assert_int_equal(slice_i64(SLICE("9223372036854775808"), &i), ERR_INVALID);
    assert_int_equal(slice_i64(SLICE("-9223372036854775809"), &i), ERR_INVALID);
    assert_int_equal(slice_i64(SLICE("--1"), &i), ERR_INVALID);
    assert_int_equal(slice_i64(SLICE("-"), &i), ERR_INVALID);
}

UNIT(every_error_has_a_name_and_a_sentence)
{
    assert_string_equal(err_name(ERR_OK), "ok");
    assert_string_equal(err_name(ERR_TOO_BIG), "too_big");
    assert_string_equal(err_text(ERR_CONFLICT), "changed by another writer");
    for (int e = ERR_OK; e <= ERR_DATABASE; e++)
        assert_true(strlen(err_name((enum err)e)) > 0 && strlen(err_text((enum err)e)) > 0);
}

UNIT(memory_is_counted_and_can_be_made_to_fail)
{
    ptrdiff_t before = mem_alive();
    mem_fail_after(2);
    char *first = mem_alloc(10);
    assert_non_null(first);
    assert_false(mem_failed());
    assert_null(mem_alloc(10));
    assert_true(mem_failed());
    char *third = mem_strdup("third"); /* only the n-th fails */
    assert_string_equal(third, "third");
    mem_fail_after(1);
    assert_null(mem_realloc(first, 1000)); /* and the old piece stays */
    mem_fail_after(0);
    memset(first, 'x', 10);
    first = mem_realloc(first, 1000);
    assert_int_equal(mem_alive(), before + 2);
    mem_free(first);
    mem_free(third);
    mem_free(NULL);
    assert_int_equal(mem_alive(), before);
}

UNIT(sizes_beyond_reason_are_refused)
{
    volatile size_t huge = SIZE_MAX; /* hidden from the compiler, which warns about it */
    assert_null(mem_alloc(huge));
    assert_null(mem_zalloc(huge));
    assert_null(mem_array(huge / 2, 4)); /* the product wraps */
    assert_null(mem_strndup("x", huge));
    void *nothing = mem_alloc(0);
    assert_non_null(nothing);
    mem_free(nothing);
    unsigned char *zeros = mem_array(10, 10);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    mem_free(zeros);
}

static void any_length_is_put_whole_and_not_a_byte_more(void **state)
{
    (void)state;
    char from[100], to[102];
    for (size_t i = 0; i < sizeof(from); i++)
        from[i] = (char)('0' + i);
    for (size_t n = 0; n <= sizeof(from); n++) {
        memset(to, '!', sizeof(to));
        assert_ptr_equal(slice_put(to + 1, slice_of(from, n)), to + 1 + n);
        assert_memory_equal(to + 1, from, n);
        assert_true(to[0] == '!' && to[1 + n] == '!');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_length_is_put_whole_and_not_a_byte_more),
        cmocka_unit_test(slices_compare_by_bytes_and_length),
        cmocka_unit_test(both_ends_can_be_asked_for),
        cmocka_unit_test(bytes_and_words_are_found_where_they_first_stand),
        cmocka_unit_test(blanks_are_trimmed_at_both_ends_only),
        cmocka_unit_test(a_split_yields_every_piece_the_empty_ones_too),
        cmocka_unit_test(cuts_beyond_the_end_are_empty),
        cmocka_unit_test(numbers_are_digits_in_range),
        cmocka_unit_test(every_error_has_a_name_and_a_sentence),
        cmocka_unit_test(memory_is_counted_and_can_be_made_to_fail),
        cmocka_unit_test(sizes_beyond_reason_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
