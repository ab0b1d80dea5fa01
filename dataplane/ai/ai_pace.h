/*
 * ai_pace — the ceilings of a call's targets (common/scope/ceiling.h): which credential is taken,
 * whether the call waits, and what its response says of them.
 *
 * A call goes at once where one of its target's credentials has room. Where none has, it waits in
 * its provider's line, in the share of its team; a wait of more than LIMIT_PACE_STAY_MS is avoided
 * where another of its targets has room. It is refused, with 429 and the time, where the wait would
 * not end before its deadline: LIMIT_PACE_WAIT_MS, or earlier where the client says so.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

/* Of the current target, whose credential it may change, and whose place in the list of candidates
 * it may give to a later one. ERR_AGAIN: it waits, and `go_on` follows, with ERR_OK or
 * ERR_EXHAUSTED. ERR_EXHAUSTED: this target does not get the call; where no later one can,
 * c->failure says why. */
MUST_USE enum err ai_pace_enter(struct ai_call *c, void (*go_on)(struct ai_call *c, enum err e));
/* The same at once, or not at all. false: none of its credentials has room. */
MUST_USE bool ai_pace_take(struct ai_call *c);
/* The head of the attempt's response. */
void ai_pace_head(struct ai_call *c, const struct http_head *head);
/* Its body says that the credential is at its limit. after_s: as it says; 0: it does not. */
void ai_pace_limited(struct ai_call *c, unsigned after_s);
/* Before the attempt's exchange is closed, and wherever the call ends: what was taken is settled,
 * or handed back where nothing was sent; a wait ends. Harmless where there is nothing to end. */
void ai_pace_close(struct ai_call *c);
