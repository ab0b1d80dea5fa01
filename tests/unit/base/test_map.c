/* map: names to values, whatever the names. */
#include "common/base/map.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/base/unit.h"

#define NAMES 5000

static char names[NAMES][16];

static struct slice name(size_t i)
{
    return slice_of(names[i], (size_t)snprintf(names[i], sizeof(names[i]), "key-%zu", i));
}

UNIT(what_is_put_is_found_and_what_is_removed_is_not)
{
    struct map *m = map_new();
    for (size_t i = 0; i < NAMES; i++)
        assert_int_equal(map_put(m, name(i), names[i], NULL), ERR_OK);
    assert_int_equal(map_size(m), NAMES);
    for (size_t i = 0; i < NAMES; i += 2)
        assert_ptr_equal(map_remove(m, name(i)), names[i]);
    for (size_t i = 0; i < NAMES; i++)
        assert_ptr_equal(map_find(m, name(i)), i % 2 ? names[i] : NULL);
    assert_int_equal(map_size(m), NAMES / 2);
    assert_null(map_remove(m, SLICE("never there")));
    map_free(m);
    map_free(NULL);
}

UNIT(an_empty_map_finds_nothing)
{
    struct map *m = map_new();
    size_t at = 0;
    struct slice key;
    void *value;
    assert_null(map_find(m, SLICE("x")));
    assert_null(map_remove(m, SLICE("x")));
    assert_false(map_each(m, &at, &key, &value));
    assert_int_equal(map_size(m), 0);
    map_free(m);
}

UNIT(a_second_put_replaces_and_hands_back_the_first)
{
    struct map *m = map_new();
    int a, b;
    void *old = &b;
    assert_int_equal(map_put(m, SLICE("k"), &a, &old), ERR_OK);
    assert_null(old);
    char second_key[] = "k";
    assert_int_equal(map_put(m, slice_str(second_key), &b, &old), ERR_OK);
    assert_ptr_equal(old, &a);
    assert_ptr_equal(map_find(m, SLICE("k")), &b);
    assert_int_equal(map_size(m), 1);
    size_t at = 0;
    struct slice key;
    void *value;
    assert_true(map_each(m, &at, &key, &value));
    assert_ptr_equal(key.ptr, second_key); /* the old key may be freed with the old value */
    map_free(m);
}

UNIT(the_empty_name_and_names_with_nul_are_names)
{
    struct map *m = map_new();
    int a, b, c;
    assert_int_equal(map_put(m, SLICE(""), &a, NULL), ERR_OK);
    assert_int_equal(map_put(m, slice_of("x\0y", 3), &b, NULL), ERR_OK);
    assert_int_equal(map_put(m, slice_of("x\0z", 3), &c, NULL), ERR_OK);
    assert_ptr_equal(map_find(m, SLICE_NONE), &a);
    assert_ptr_equal(map_find(m, slice_of("x\0y", 3)), &b);
    assert_ptr_equal(map_find(m, slice_of("x\0z", 3)), &c);
    assert_null(map_find(m, SLICE("x")));
    map_free(m);
}

UNIT(a_walk_sees_each_entry_once_and_may_remove_it)
{
    struct map *m = map_new();
    for (size_t i = 0; i < NAMES; i++)
        assert_int_equal(map_put(m, name(i), names[i], NULL), ERR_OK);
    size_t at = 0, seen = 0;
    struct slice key;
    void *value;
    while (map_each(m, &at, &key, &value)) {
        assert_ptr_equal(value, key.ptr);
        assert_ptr_equal(map_remove(m, key), value);
        seen++;
    }
    assert_int_equal(seen, NAMES);
    assert_int_equal(map_size(m), 0);
    map_free(m);
}

UNIT(coming_and_going_for_ever_does_not_grow_the_table)
{
    struct map *m = map_new();
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(map_put(m, name(i), names[i], NULL), ERR_OK);
    for (size_t i = 10; i < NAMES; i++) {
        assert_int_equal(map_put(m, name(i), names[i], NULL), ERR_OK);
        assert_ptr_equal(map_remove(m, name(i - 10)), names[i - 10]);
    }
    /* a table of thousands would be walked for thousands of steps */
    size_t at = 0;
    struct slice key;
    void *value;
    while (map_each(m, &at, &key, &value))
        assert_true(at <= 64);
    assert_int_equal(map_size(m), 10);
    map_free(m);
}

UNIT(it_agrees_with_a_plain_array_on_random_work)
{
    struct map *m = map_new();
    bool there[200] = {false};
    size_t count = 0;
    srand(7);
    for (int step = 0; step < 100000; step++) {
        size_t i = (size_t)rand() % ARRAY_LEN(there);
        switch (rand() % 3) {
        case 0:
            assert_int_equal(map_put(m, name(i), names[i], NULL), ERR_OK);
            count += !there[i];
            there[i] = true;
            break;
        case 1:
            assert_ptr_equal(map_remove(m, name(i)), there[i] ? names[i] : NULL);
            count -= there[i];
            there[i] = false;
            break;
        default:
            assert_ptr_equal(map_find(m, name(i)), there[i] ? names[i] : NULL);
        }
        assert_int_equal(map_size(m), count);
    }
    map_free(m);
}

UNIT(the_hash_depends_on_every_byte)
{
    char text[40];
    memset(text, 'x', sizeof(text));
    for (size_t len = 1; len < sizeof(text); len++) {
        uint64_t plain = map_hash(slice_of(text, len));
        assert_true(plain != map_hash(slice_of(text, len - 1)));
        for (size_t i = 0; i < len; i++) {
            text[i] = 'y';
            assert_true(plain != map_hash(slice_of(text, len)));
            text[i] = 'x';
        }
        assert_true(plain == map_hash(slice_of(text, len)));
    }
}

static enum err use_once(void)
{
    struct map *m = map_new();
    if (!m)
        return ERR_NOMEM;
    enum err e = ERR_OK;
    size_t put = 0;
    while (put < 100 && !e) {
        e = map_put(m, name(put), names[put], NULL);
        put += !e;
    }
    /* a failed put leaves the map as it was */
    assert_int_equal(map_size(m), put);
    for (size_t i = 0; i < put; i++)
        assert_ptr_equal(map_find(m, name(i)), names[i]);
    map_free(m);
    return e;
}

UNIT(every_allocation_may_fail)
{
    EACH_ALLOCATION_FAILS(use_once());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_found_and_what_is_removed_is_not),
        cmocka_unit_test(an_empty_map_finds_nothing),
        cmocka_unit_test(a_second_put_replaces_and_hands_back_the_first),
        cmocka_unit_test(the_empty_name_and_names_with_nul_are_names),
        cmocka_unit_test(a_walk_sees_each_entry_once_and_may_remove_it),
        cmocka_unit_test(coming_and_going_for_ever_does_not_grow_the_table),
        cmocka_unit_test(it_agrees_with_a_plain_array_on_random_work),
        cmocka_unit_test(the_hash_depends_on_every_byte),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
