/*
 * object_hook — the rows.
 */
#include "controlplane/api/object_hook.h"

#include "controlplane/api/api_dataplanes.h"
#include "controlplane/api/api_grants.h"
#include "controlplane/api/api_keys.h"
#include "controlplane/api/api_servers.h"
#include "controlplane/domain/nouns.h"

static const struct object_hook hooks[] = {
    {.noun = &noun_key,
     .before_insert = api_keys_make,
     .once = {"key", "access_key_id", "secret_access_key"}},
    {.noun = &noun_dataplane,
     .after_insert = api_dataplanes_token,
     .once = {"enrolment_token", "enrolment_expires_at"}},
    {.noun = &noun_grant, .show = api_grants_show, .shows_written = true},
    {.noun = &noun_mcp_server, .after_delete = api_servers_forget, .show = api_servers_show},
};

const struct object_hook *object_hook_find(const struct noun *n)
{
    for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
        if (hooks[i].noun == n)
            return &hooks[i];
    return NULL;
}
