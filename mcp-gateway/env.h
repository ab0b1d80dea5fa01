/*
 * env — what the tool gate keeps for one worker: its legs, its key to session ids, its place in
 * the plane's directory.
 *
 * Born when a worker first needs it; mcp_fini ends it.
 *
 * Threads  its worker's.
 */
#pragma once

#include "common/base/digest.h"
#include "common/base/seal.h"
#include "common/request/request.h"

struct mcp_changes;

struct mcp_env {
    struct list link; /* in env->gate_spare[GATE_TOOL] */
    struct request_env *env;
    struct list legs;
    size_t orphans; /* legs nobody listens to */
    uint64_t swept_us;
    struct mcp_changes *changes; /* NULL: nobody is told */
    struct seal *seal;
    struct digest master; /* of what the seal was made from */
};

/* NULL: out of memory */
struct mcp_env *mcp_env_of(struct request_env *env);
/* NULL: the policy has no master yet, or no memory */
const struct seal *mcp_env_seal(struct mcp_env *m, const struct snapshot *policy);
