/*
 * ai_request — what the gate, its filters and the providers need to know of a client's body.
 *
 * The dialect of the path reads it by one validating scan and keeps the places of members, so that
 * the same body can go upstream with only those bytes changed that must be.
 *
 * Owns     nothing: places lie in the body, other texts in the request's arena.
 * Threads  any.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/json_scan.h"

#define AI_HITS 16 /* members of a body that a dialect wants to know the place of */

struct ai_request {
    struct json_hit hits[AI_HITS]; /* which is which is the dialect's own enum */
    struct slice model;
    bool stream;
    bool wants_usage;        /* the client wants the stream's usage for itself */
    uint64_t choices;        /* alternatives that the model shall write */
    uint64_t output_ceiling; /* tokens the client allows for each; 0: it named none */
    struct slice session_id, prompt_cache_key; /* SLICE_NONE: absent */
    bool hosted_tools; /* the provider works, and bills, on its own account */
    const char *param; /* the member that a refusal is about; NULL: the body */
};

/* What of a body is changed for one target. */
struct ai_changes {
    struct slice model;
    uint64_t output_limit; /* put in where the body names none; 0: nothing is put in */
};

/* A body in pieces: what is changed is the arena's, all else lies in the client's body. */
#define AI_REQUEST_PIECES 5
