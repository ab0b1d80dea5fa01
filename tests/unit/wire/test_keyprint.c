/* What a virtual key looks like, and what is caught before any database is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/wire/keyprint.h"
#include "common/wire/policy_digest.h"

static void a_new_key_has_the_shape_it_promises(void **state)
{
    (void)state;
    char key[KEYPRINT_KEY_LEN + 1];
    for (int round = 0; round < 200; round++) {
        keyprint_make(key);
        assert_int_equal(strlen(key), 65);
        assert_memory_equal(key, "gh-", 3);
        assert_int_equal(key[15], '-');
        assert_int_equal(strspn(key + 3, "abcdefghijklmnopqrstuvwxyz0123456789"), 12);
        assert_int_equal(strspn(key + 16, "abcdefghijklmnopqrstuvwxyz0123456789"
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
                         49);
        assert_true(keyprint_is_ours(slice_str(key)));
    }
}

static void no_two_keys_are_alike(void **state)
{
    (void)state;
    char a[KEYPRINT_KEY_LEN + 1], b[KEYPRINT_KEY_LEN + 1];
    keyprint_make(a);
    keyprint_make(b);
    assert_memory_not_equal(a + 3, b + 3, 12);
    assert_memory_not_equal(a + 16, b + 16, 43);
}

static void every_letter_is_drawn_equally_often(void **state)
{
    (void)state;
    unsigned seen[256] = {0};
    char key[KEYPRINT_KEY_LEN + 1];
    for (int round = 0; round < 2000; round++) {
        keyprint_make(key);
        for (int i = 16; i < 16 + 43; i++)
            seen[(unsigned char)key[i]]++;
    }
    /* 86,000 letters of 62: 1,387 each, standard deviation 37; a plain modulo would give
     * some letters 1,680 */
    for (const char *c = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"; *c; c++)
        assert_in_range(seen[(unsigned char)*c], 1387 - 222, 1387 + 222);
}

static void any_single_wrong_letter_is_noticed(void **state)
{
    (void)state;
    char key[KEYPRINT_KEY_LEN + 1];
    keyprint_make(key);
    for (size_t i = 0; i < KEYPRINT_KEY_LEN; i++) {
        char before = key[i];
        key[i] = before == '7' ? '8' : '7';
        assert_false(keyprint_is_ours(slice_str(key)));
        key[i] = before;
    }
    assert_true(keyprint_is_ours(slice_str(key)));
}

static void two_letters_that_changed_places_are_noticed(void **state)
{
    (void)state;
    char key[KEYPRINT_KEY_LEN + 1];
    keyprint_make(key);
    for (size_t i = 3; i + 1 < KEYPRINT_KEY_LEN; i++) {
        if (key[i] == key[i + 1])
            continue;
        char left = key[i];
        key[i] = key[i + 1];
        key[i + 1] = left;
        assert_false(keyprint_is_ours(slice_str(key)));
        key[i + 1] = key[i];
        key[i] = left;
    }
}

static void other_texts_are_not_keys_of_the_gateway(void **state)
{
    (void)state;
    char key[KEYPRINT_KEY_LEN + 2];
    keyprint_make(key);
    assert_false(keyprint_is_ours(SLICE_NONE));
    assert_false(keyprint_is_ours(SLICE("")));
    assert_false(keyprint_is_ours(SLICE("sk-proj-0123456789")));
    assert_false(keyprint_is_ours(slice_of(key, KEYPRINT_KEY_LEN - 1)));
    key[KEYPRINT_KEY_LEN] = 'x';
    assert_false(keyprint_is_ours(slice_of(key, KEYPRINT_KEY_LEN + 1)));
    key[20] = '\0';
    assert_false(keyprint_is_ours(slice_of(key, KEYPRINT_KEY_LEN)));
}

static void the_checksum_of_a_known_key_never_changes(void **state)
{
    (void)state;
    /* keys that were handed out must stay valid: computed once, outside of this program */
    char known[] = "gh-abcdefghijkl-"
                   "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
                   "vw8Ste";
    assert_true(keyprint_is_ours(slice_str(known)));
    assert_true(slice_eq(keyprint_public_part(slice_str(known)), SLICE("abcdefghijkl")));
}

static void the_installation_key_decides_the_digest(void **state)
{
    (void)state;
    struct digest one, two, plain;
    struct slice key = SLICE("gh-abcdefghijkl-something");
    keyprint_hmac(SLICE("first"), key, &one);
    keyprint_hmac(SLICE("second"), key, &two);
    keyprint_sha256(key, &plain);
    assert_memory_not_equal(&one, &two, sizeof(one));
    assert_memory_not_equal(&one, &plain, sizeof(one));
    struct digest wanted;
    digest_hmac(SLICE("first"), key, &wanted);
    assert_memory_equal(&one, &wanted, sizeof(one));
    struct digest_hmac_key first;
    digest_hmac_ready(SLICE("first"), &first);
    keyprint_hmac_by(&first, key, &wanted);
    assert_memory_equal(&one, &wanted, sizeof(one));
    digest_sha256(key, &wanted);
    assert_memory_equal(&plain, &wanted, sizeof(plain));
}

static void each_field_of_a_policy_row_changes_its_digest(void **state)
{
    (void)state;
    struct digest base, other;
    policy_digest_row(5, SLICE("key_1"), 7, &base);
    policy_digest_row(6, SLICE("key_1"), 7, &other);
    assert_memory_not_equal(&base, &other, sizeof(base));
    policy_digest_row(5, SLICE("key_2"), 7, &other);
    assert_memory_not_equal(&base, &other, sizeof(base));
    policy_digest_row(5, SLICE("key_1"), 8, &other);
    assert_memory_not_equal(&base, &other, sizeof(base));
    policy_digest_row(5, SLICE("key_1"), 7ull << 32, &other);
    assert_memory_not_equal(&base, &other, sizeof(base));
    policy_digest_row(5, SLICE("key_1"), 7, &other);
    assert_memory_equal(&base, &other, sizeof(base));
}

static void the_order_of_changes_does_not_matter_to_the_sum(void **state)
{
    (void)state;
    struct digest a, b, one = {{0}}, two = {{0}};
    policy_digest_row(5, SLICE("a"), 1, &a);
    policy_digest_row(5, SLICE("b"), 1, &b);
    digest_add(&one, &a);
    digest_add(&one, &b);
    digest_add(&two, &b);
    digest_add(&two, &a);
    assert_memory_equal(&one, &two, sizeof(one));
    digest_sub(&one, &b);
    assert_memory_equal(&one, &a, sizeof(one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_key_has_the_shape_it_promises),
        cmocka_unit_test(no_two_keys_are_alike),
        cmocka_unit_test(every_letter_is_drawn_equally_often),
        cmocka_unit_test(any_single_wrong_letter_is_noticed),
        cmocka_unit_test(two_letters_that_changed_places_are_noticed),
        cmocka_unit_test(other_texts_are_not_keys_of_the_gateway),
        cmocka_unit_test(the_checksum_of_a_known_key_never_changes),
        cmocka_unit_test(the_installation_key_decides_the_digest),
        cmocka_unit_test(each_field_of_a_policy_row_changes_its_digest),
        cmocka_unit_test(the_order_of_changes_does_not_matter_to_the_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
