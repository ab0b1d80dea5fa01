/*
 * anthropic_request — an OpenAI chat request as Anthropic's Messages API takes it (dialects.md 2).
 *
 * What the API has no word for and what may be left out is left out and named; what may not is
 * refused with the member that it is about.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/json.h"

struct anthropic_order {
    const json_t *chat;    /* the client's body */
    struct slice model;    /* the target's name for it */
    uint64_t output_limit; /* where the client names none; 0: the model's own maximum */
    struct arena *arena;
};

struct anthropic_result {
    json_t *body;        /* the caller's to drop */
    struct slice notice; /* members left out, "seed, user"; empty: none */
    const char *param;   /* ERR_INVALID: the member that cannot be told, and why */
    struct slice why;
};

/* ERR_INVALID, ERR_NOMEM */
MUST_USE enum err anthropic_translate(const struct anthropic_order *o,
                                      struct anthropic_result *ret);
