/*
 * ai_explain — which targets a call is sent to, in which order, and why: in the call's span, and of
 * a body that is sent nowhere.
 *
 * Both tell the same: the targets in the order in which they are tried, with what the strategy
 * compared them by, and those that were left out, each with the rule that did so (route_rule).
 * Neither tells a prompt or a secret.
 *
 * Threads  any that may read the endpoints.
 */
#pragma once

#include "common/base/buf.h"
#include "common/request/request.h"
#include "dataplane/ai/candidates.h"

/* The call's own, into its span. Nothing where there was nothing to choose from and nothing to
 * leave out. */
void ai_explain_note(struct request *rq, const struct policy_model *m, const struct candidate *list,
                     size_t count, const struct candidates_trace *t);

#define AI_EXPLAIN_EXCLUDED 64 /* that are told */

/* A call that is not made. Ids are the policy's; empty: the call is of none. */
struct ai_explain_ask {
    const struct snapshot *policy;
    struct endpoint_table *endpoints; /* of one worker; NULL: nothing is known of upstreams */
    struct slice org_id, model;       /* the model's name */
    struct slice team_id, agent_id, key_id;
    struct slice path;            /* that it is sent to; empty: /v1/chat/completions */
    const struct http_head *head; /* for conditions; NULL: no header */
    struct slice body;            /* JSON */
    struct slice session;         /* for models that are sticky; empty: the principal */
    uint64_t now_us;              /* monotonic */
    int64_t wall_us;
};

/* Appends {"strategy","targets":[{"provider","model","credential","region","score","unit","why"}],
 * "excluded":[{"provider","model","why"}],"refusal"}; `refusal` is the code that the call would
 * get, where it has no target. ERR_NOT_FOUND: there is no such model. ERR_INVALID: the path, or the
 * body, with *why filled. */
MUST_USE enum err ai_explain(const struct ai_explain_ask *ask, struct arena *arena, struct buf *out,
                             struct slice *why);
