/* feature — the names in order. */
#include "common/wire/feature.h"

_Static_assert(FEATURES <= FEATURE_KINDS_FROM, "the upper half belongs to kinds");

#define KINDS(a, b, c, d) "kind." #a, "kind." #b, "kind." #c, "kind." #d

static const char *const names[FEATURE_BITS] = {
#define FEATURE_ROW(name, text) [FEATURE_##name] = text,
    FEATURE_TABLE(FEATURE_ROW)
#undef FEATURE_ROW
        [FEATURE_KINDS_FROM] = KINDS(12, 13, 14, 15),
    KINDS(16, 17, 18, 19),
    KINDS(20, 21, 22, 23),
    KINDS(24, 25, 26, 27),
    KINDS(28, 29, 30, 31),
    KINDS(32, 33, 34, 35),
    KINDS(36, 37, 38, 39),
    KINDS(40, 41, 42, 43),
};

const char *feature_name(unsigned f)
{
    return f < FEATURE_BITS ? names[f] : NULL;
}

feature_set feature_parse(struct slice name)
{
    for (unsigned f = 0; f < FEATURE_BITS; f++)
        if (names[f] && slice_eq(name, slice_str(names[f])))
            return FEATURE_BIT(f);
    return FEATURES_NONE;
}

feature_set feature_of_kind(int kind)
{
    if (kind < FEATURE_KIND_FIRST)
        return FEATURES_NONE;
    MUST(kind <= FEATURE_KIND_LAST);
    return FEATURE_BIT(FEATURE_KINDS_FROM + kind - FEATURE_KIND_FIRST);
}

size_t feature_names(feature_set set, char *ret[static FEATURE_BITS])
{
    size_t count = 0;
    for (unsigned f = 0; f < FEATURE_BITS; f++)
        if ((set & FEATURE_BIT(f)) != 0 && names[f])
            ret[count++] = (char *)(uintptr_t)names[f];
    return count;
}
