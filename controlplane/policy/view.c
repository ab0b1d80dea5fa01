/* view — comparing and naming. */
#include "controlplane/policy/view.h"

#include <stdio.h>
#include <string.h>

bool view_same(const struct view_key *a, const struct view_key *b)
{
    return a->features == b->features && strcmp(a->pool, b->pool) == 0 &&
           strcmp(a->org, b->org) == 0;
}

void view_channel(const struct view_key *key, char out[static VIEW_CHANNEL_MAX])
{
    if (key->features == FEATURES_NONE)
        snprintf(out, VIEW_CHANNEL_MAX, "%s", key->pool);
    else
        snprintf(out, VIEW_CHANNEL_MAX, "%s+%llx", key->pool, (unsigned long long)key->features);
}
