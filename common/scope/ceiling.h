/*
 * ceiling — how many requests and tokens a minute one credential of a provider may be sent.
 *
 * All workers of a plane share one ceiling for each credential. Four things bind, and the longest
 * wait counts:
 *   the policy's own numbers (rpm, tpm), or this plane's leased share of them,
 *   what the provider says is left, in the headers of its responses,
 *   the time that a 429 named,
 *   calls that wait already: one that does not wait is not let in before them.
 *
 * The numbers hold in every 60 seconds, not on average: what was taken is remembered in slots of
 * half a second until all of a slot lies a minute and a half second back: requests take differently
 * long to their provider. A tenth of a minute's requests (a quarter
 * of its tokens) may come at once, what follows is spaced evenly (GCRA), so that a full minute is
 * not followed by an empty one.
 *
 * A share is leased: it is good until its time, and then the plane goes on with its floor, which
 * the control plane keeps free for planes that it does not hear. A ceiling that was never told a
 * share has the policy's numbers for itself.
 *
 * What a provider says is kept for each model, since most providers count so. A response tells what
 * was left when its request was counted: what was sent after that is taken off again, and an older
 * response is not believed after a younger one.
 *
 * Owns     itself, counted; policy objects of several versions may point to one.
 * Fails    ERR_EXHAUSTED, and when to come back; ERR_NOMEM.
 * Threads  any; a mutex inside, held for some hundred instructions. No order with other locks: none
 *          is taken while it is held.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/slice.h"

struct ceiling;

struct ceiling_limits { /* a minute; 0: none */
    uint32_t rpm, tpm;
};

struct ceiling_share {
    struct ceiling_limits now;   /* until then */
    struct ceiling_limits floor; /* afterwards; where the policy says none, neither says any */
    uint64_t until_us;
};

/* A request that was let in. Ended by ceiling_settle. */
struct ceiling_permit {
    uint64_t taken_us;
    uint64_t tokens;   /* as estimated */
    uint64_t sequence; /* of the ceiling's requests */
    uint64_t tokens_before;
};

/* What a provider said of one of its own limits. */
struct ceiling_left {
    bool is_said;
    bool is_gradual; /* it refills all the time, as a bucket does; else all at once */
    uint64_t limit;  /* 0: not said */
    uint64_t remaining;
    uint64_t reset_us; /* from now, until it is whole again; 0: not said */
};

struct ceiling_state {            /* for metrics and health */
    struct ceiling_limits limits; /* of the policy */
    struct ceiling_limits share;  /* that bind now */
    uint64_t requests, tokens;    /* taken in the last minute */
    unsigned waiting, in_flight;
    uint64_t cool_us; /* from now, by a 429 of its own; 0: it does not cool */
    bool is_told;     /* what a provider said of it is known: the tightest of its models */
    uint64_t remaining_requests, remaining_tokens; /* UINT64_MAX: it did not say */
};

MUST_USE struct ceiling *ceiling_new(void);
struct ceiling *ceiling_hold(struct ceiling *c);
void ceiling_drop(struct ceiling *c); /* NULL is fine */

/* The policy's numbers. ERR_NOMEM: they are as before. */
MUST_USE enum err ceiling_configure(struct ceiling *c, struct ceiling_limits limits);
struct ceiling_limits ceiling_limits(struct ceiling *c);
void ceiling_lease(struct ceiling *c, const struct ceiling_share *share);

/* May a request of so many tokens for this model be sent now? `waits`: its caller is one of those
 * that wait, and comes before others. ERR_EXHAUSTED: *wait_us says when to ask again, at least 1. A
 * request of more tokens than a minute has is let in alone. */
MUST_USE enum err ceiling_take(struct ceiling *c, struct slice model, uint64_t tokens, bool waits,
                               uint64_t now_us, struct ceiling_permit *ret, uint64_t *wait_us);
/* Would it be let in? 0: yes; else about how long it would wait, behind those that do. */
uint64_t ceiling_wait(struct ceiling *c, struct slice model, uint64_t tokens, uint64_t now_us);
/* What it came to: `tokens` used in the place of the estimate. */
void ceiling_settle(struct ceiling *c, const struct ceiling_permit *p, uint64_t tokens,
                    uint64_t now_us);
/* It was not sent after all, and does not count. */
void ceiling_return(struct ceiling *c, const struct ceiling_permit *p, uint64_t now_us);
/* How many callers wait for it. */
void ceiling_add_waiting(struct ceiling *c, int by);

/* What the response of this request said. */
void ceiling_tell(struct ceiling *c, const struct ceiling_permit *p, struct slice model,
                  const struct ceiling_left *requests, const struct ceiling_left *tokens,
                  uint64_t now_us);
/* Nothing is sent for so long: a 429. The longest wait counts. */
void ceiling_cool(struct ceiling *c, uint64_t for_us, uint64_t now_us);
/* The same by what another plane found, which is no finding of this one; 0: that is over. */
void ceiling_hint(struct ceiling *c, uint64_t for_us, uint64_t now_us);

void ceiling_look(struct ceiling *c, uint64_t now_us, struct ceiling_state *ret);
