/*
 * feature — names and bits belong together, and an unknown name is no feature.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire/feature.h"

static void each_feature_is_read_from_its_own_name(void **state)
{
    (void)state;
    feature_set all = FEATURES_NONE;
    for (unsigned f = 0; f < FEATURES; f++) {
        assert_int_equal(feature_parse(slice_str(feature_name(f))), FEATURE_BIT(f));
        all |= FEATURE_BIT(f);
    }
    assert_int_equal(all, FEATURES_ALL);
    assert_null(feature_name(FEATURES));
    assert_true(FEATURES <= 64);
}

static void an_unknown_name_counts_for_nothing(void **state)
{
    (void)state;
    assert_int_equal(feature_parse(SLICE("feature.of.another.century")), FEATURES_NONE);
    assert_int_equal(feature_parse(SLICE("")), FEATURES_NONE);
    assert_int_equal(feature_parse(SLICE_NONE), FEATURES_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_feature_is_read_from_its_own_name),
        cmocka_unit_test(an_unknown_name_counts_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
