/* kind_table — every noun that this plane knows. */
#include "common/policy/kind.h"
#include "common/policy/snapshot_private.h"

static const struct policy_kind *const kinds[] = {
    &kind_settings,    /* installation key, master of sealed session ids */
    &kind_team,        /* models, budget */
    &kind_agent,       /* team, tasks, models */
    &kind_task,        /* a name */
    &kind_key,         /* digest, owner, models, tasks, budget, limits, expiry */
    &kind_provider,    /* address, credentials */
    &kind_model,       /* targets, prices */
    &kind_mcp_server,  /* address, credential */
    &kind_api_service, /* address, credential, routes */
    &kind_grant,       /* agent or team to server, service or models */
    &kind_block,       /* what may do nothing at all */
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
        MUST(kind > 0 && kind < SNAPSHOT_KINDS); /* a row without tables is a mistake of ours */
        return kinds[i];
    }
    return NULL;
}
