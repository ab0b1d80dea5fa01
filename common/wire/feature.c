/* feature — the names in order. */
#include "common/wire/feature.h"

static const char *const names[] = {
#define FEATURE_ROW(name, text) [FEATURE_##name] = text,
    FEATURE_TABLE(FEATURE_ROW)
#undef FEATURE_ROW
};

const char *feature_name(unsigned f)
{
    return f < ARRAY_LEN(names) ? names[f] : NULL;
}

feature_set feature_parse(struct slice name)
{
    for (unsigned f = 0; f < ARRAY_LEN(names); f++)
        if (slice_eq(name, slice_str(names[f])))
            return FEATURE_BIT(f);
    return FEATURES_NONE;
}
