/*
 * api_rollout — the state of the rollout at this moment, as JSON.
 */
#include "controlplane/api/api_rollout.h"

#include "controlplane/policy/rollout.h"

enum err api_rollout_get(struct call *c)
{
    if (!c->app->rollout)
        return call_problem(c, PROBLEM_NO_CHANNEL, "the channel is not running");
    json_t *t = rollout_json(c->app->rollout, slice_str(c->actor.org_id));
    return t ? call_respond(c, 200, &t) : ERR_NOMEM;
}
