/*
 * api_rollout — the registry's picture, as it is this moment.
 */
#include "controlplane/api/api_rollout.h"

#include "controlplane/policy/rollout.h"

enum err api_rollout_get(struct call *c)
{
    if (!c->app->rollout)
        return call_problem(c, 503, "no_channel", "the channel is not running");
    json_t *t = rollout_json(c->app->rollout, slice_str(c->actor.org_id));
    return t ? call_answer(c, 200, &t) : ERR_NOMEM;
}
