/*
 * principal — who calls: a key, its agent, its team.
 *
 * Owns     nothing: the three are the policy's.
 * Threads  any.
 */
#pragma once

#include "common/policy/snapshot.h"

struct principal {
    const struct policy_key *key;
    const struct policy_agent *agent; /* NULL: the key is its own principal */
    const struct policy_team *team;   /* NULL only if the policy lacks it */
};

/* The scopes that a principal's calls fall under. */
void principal_scopes(const struct principal *principal, struct scope_list *ret);
/* decisions.md: may they assume this task, by the key's list or, where it has none, the agent's? */
bool principal_may_assume(const struct principal *principal, struct slice task_id);
