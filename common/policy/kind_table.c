/* kind_table — every noun that this plane knows. */
#include "common/policy/kind.h"
#include "common/policy/snapshot_private.h"

static const struct policy_kind *const kinds[] = {
#define POLICY_KIND_ROW(name) &kind_##name,
    POLICY_KIND_TABLE(POLICY_KIND_ROW)
#undef POLICY_KIND_ROW
};

feature_set policy_kind_features(void)
{
    feature_set features = FEATURES_NONE;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        features |= feature_of_kind((int)kinds[i]->kind);
    return features;
}

const struct policy_kind *policy_kind_find(int kind)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if ((int)kinds[i]->kind != kind)
            continue;
        MUST(kind > 0 && kind < SNAPSHOT_KINDS); /* a row without tables is a bug */
        return kinds[i];
    }
    return NULL;
}
