/*
 * ai_send — the request to one target: the provider builds it, the exchange sends it.
 *
 * Beside what the provider's protocol says, it has what the policy says of the target: headers of
 * the provider and the model, deadlines, the account's credential; and what the client says of its
 * patience (dialects.md 1.8).
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

/* How long the client says it waits, and a moment: SDKs do (dialects.md 1.8). 0: it does not say.
 */
unsigned ai_send_patience_ms(const struct http_head *h);

/* Why the request cannot be told a provider. */
struct ai_untold {
    const char *param;
    struct slice why; /* empty: it can */
};

/* When the call must have ended, by the monotonic clock: as the client says, or its model; the
 * sooner of the two. UINT64_MAX: neither does. A provider's own deadline is each attempt's. */
uint64_t ai_send_deadline(const struct ai_call *c);

/* Could it be sent there now: is the breaker closed or due for a probe, and no wait named? */
bool ai_send_may(const struct ai_call *c, const struct candidate *target);

/* How long its first byte is waited for. */
unsigned ai_send_first_byte_ms(const struct ai_call *c, const struct policy_provider *p);

/* Begins the record of an attempt: c->attempt, and c->provider with what follows from it. */
void ai_send_begin(struct ai_call *c, const struct candidate *target);

/* The call's own version of the policy listed the target. A newer one may have come while the call
 * waited for its turn, for money or a token, or tried others; no request is cut by a change of what
 * it has not used yet. So what is sent goes by the newest: does that forbid it? */
bool ai_send_is_forbidden(const struct ai_call *c, const struct candidate *target);

/* Uses c->provider and c->attempt; sets c->exchange and c->notice. ERR_INVALID with *untold filled:
 * the provider has no words for the request. ERR_CONFLICT: ai_send_is_forbidden. Else as
 * exchange_start. */
MUST_USE enum err ai_send(struct ai_call *c, const struct candidate *target,
                          const struct exchange_events *events, struct ai_untold *untold);
