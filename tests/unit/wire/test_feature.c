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
    char *listed[FEATURE_BITS];
    feature_set all = FEATURES_NONE;
    size_t count = 0;
    for (unsigned f = 0; f < FEATURE_BITS; f++) {
        if (!feature_name(f))
            continue;
        assert_int_equal(feature_parse(slice_str(feature_name(f))), FEATURE_BIT(f));
        all |= FEATURE_BIT(f);
        count++;
    }
    assert_int_equal(all & (FEATURE_BIT(FEATURE_KINDS_FROM) - 1), FEATURES_ROWS);
    assert_int_equal(feature_names(all, listed), count);
    assert_string_equal(listed[count - 1], "kind.43");
    assert_null(feature_name(FEATURE_BITS));
}

static void a_kind_beyond_revision_1_is_a_feature_of_its_own_name(void **state)
{
    (void)state;
    assert_int_equal(feature_of_kind(FEATURE_KIND_FIRST - 1), FEATURES_NONE);
    for (int kind = FEATURE_KIND_FIRST; kind <= FEATURE_KIND_LAST; kind++) {
        char name[32];
        snprintf(name, sizeof(name), "kind.%d", kind);
        assert_int_equal(feature_parse(slice_str(name)), feature_of_kind(kind));
    }
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
        cmocka_unit_test(a_kind_beyond_revision_1_is_a_feature_of_its_own_name),
        cmocka_unit_test(an_unknown_name_counts_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
