/*
 * rollout — the register of planes: which may connect, and reuse of the places of removed planes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "controlplane/policy/rollout.h"

static enum err put(struct rollout *r, unsigned n, bool removed, bool *cut)
{
    struct rollout_plane p = {.removed = removed, .pool = "pool_1", .org = "org_1"};
    snprintf(p.id, sizeof(p.id), "dp_%u", n);
    snprintf(p.name, sizeof(p.name), "plane-%u", n);
    return rollout_put(r, &p, cut);
}

static void only_known_planes_that_are_not_removed_are_admitted(void **state)
{
    (void)state;
    struct rollout *r = rollout_new();
    char pool[VIEW_CHANNEL_MAX];
    bool cut;
    assert_false(rollout_admit(r, SLICE("dp_1"), pool));
    assert_int_equal(put(r, 1, false, &cut), ERR_OK);
    assert_false(cut);
    assert_true(rollout_admit(r, SLICE("dp_1"), pool));
    assert_string_equal(pool, "pool_1");
    assert_int_equal(put(r, 1, true, &cut), ERR_OK);
    assert_true(cut);
    assert_int_equal(put(r, 1, true, &cut), ERR_OK);
    assert_false(cut); /* once */
    assert_false(rollout_admit(r, SLICE("dp_1"), pool));
    rollout_free(r);
}

static void a_full_register_takes_new_planes_in_the_place_of_removed_ones(void **state)
{
    (void)state;
    struct rollout *r = rollout_new();
    char pool[VIEW_CHANNEL_MAX];
    bool cut;
    for (unsigned i = 0; i < LIMIT_DATAPLANES; i++)
        assert_int_equal(put(r, i, false, &cut), ERR_OK);
    assert_int_equal(put(r, LIMIT_DATAPLANES, false, &cut), ERR_TOO_BIG);
    assert_int_equal(put(r, 7, true, &cut), ERR_OK);
    assert_int_equal(put(r, LIMIT_DATAPLANES, false, &cut), ERR_OK);
    assert_true(rollout_admit(r, SLICE("dp_4096"), pool));
    assert_false(rollout_admit(r, SLICE("dp_7"), pool));
    assert_true(rollout_admit(r, SLICE("dp_8"), pool));
    rollout_free(r);
}

static void each_view_is_told_once(void **state)
{
    (void)state;
    struct rollout *r = rollout_new();
    struct view_key key;
    bool cut;
    size_t at = 0;
    assert_false(rollout_each_view(r, &at, &key));
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(put(r, i, i == 0, &cut), ERR_OK);
    rollout_hello(r, SLICE("dp_3"), 1, SLICE(""), FEATURES_ROWS);
    at = 0;
    assert_true(rollout_each_view(r, &at, &key));
    assert_string_equal(key.pool, "pool_1");
    assert_int_equal(key.features, FEATURES_NONE);
    assert_true(rollout_each_view(r, &at, &key));
    assert_string_equal(key.pool, "pool_1");
    assert_int_equal(key.features, FEATURES_ROWS);
    assert_false(rollout_each_view(r, &at, &key));
    rollout_free(r);
}

static void a_plane_that_names_other_features_moves_to_another_view(void **state)
{
    (void)state;
    struct rollout *r = rollout_new();
    char before[VIEW_CHANNEL_MAX], after[VIEW_CHANNEL_MAX], id[ID_MAX];
    bool cut;
    assert_int_equal(put(r, 1, false, &cut), ERR_OK);
    assert_true(rollout_admit(r, SLICE("dp_1"), before));
    rollout_hello(r, SLICE("dp_1"), 1, SLICE(""), FEATURES_NONE);
    assert_false(rollout_take_moved(r, id));
    rollout_hello(r, SLICE("dp_1"), 1, SLICE(""), FEATURES_ROWS);
    assert_true(rollout_take_moved(r, id));
    assert_string_equal(id, "dp_1");
    assert_false(rollout_take_moved(r, id)); /* once */
    assert_true(rollout_admit(r, SLICE("dp_1"), after));
    assert_string_not_equal(before, after);
    rollout_free(r);
}

static void a_write_does_not_wait_for_planes_that_are_not_connected(void **state)
{
    (void)state;
    struct rollout *r = rollout_new();
    struct buf behind;
    bool cut;
    buf_init(&behind, 256);
    assert_int_equal(put(r, 1, false, &cut), ERR_OK);
    rollout_newest(r, "line_1", 9);
    assert_int_equal(rollout_wait(r, 9, 5000, &behind), ERR_OK);
    assert_int_equal(behind.len, 0);
    buf_fini(&behind);
    rollout_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_known_planes_that_are_not_removed_are_admitted),
        cmocka_unit_test(a_full_register_takes_new_planes_in_the_place_of_removed_ones),
        cmocka_unit_test(each_view_is_told_once),
        cmocka_unit_test(a_plane_that_names_other_features_moves_to_another_view),
        cmocka_unit_test(a_write_does_not_wait_for_planes_that_are_not_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
