/*
 * ai_hedge — a second attempt beside a first one that is late (`hedge_after_ms` of a model).
 *
 * The call has two exchanges under way until one of them has a head of status 200, which is the
 * call's from then on; the other one is let go, and billed as a request that was taken back. The
 * rival's target is the next of the list. Money is reserved for it first; there is no rival where
 * that cannot be had, or where a token of its account would have to be waited for.
 *
 * The rival's state lies in c->rival; ai_hedge_swap puts it in the place of the first one's, so
 * that every other function works on either alike.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

static inline bool ai_hedge_is_on(const struct ai_call *c)
{
    return c->rival.exchange != NULL;
}

/* Milliseconds after which a second attempt may begin; 0: none will. */
unsigned ai_hedge_after(const struct ai_call *c);
/* SENT: begins it, where it can. */
void ai_hedge_begin(struct ai_call *c, const struct exchange_events *events);
void ai_hedge_swap(struct ai_call *c);
/* It is let go, and its target with it. code: in the trace. */
void ai_hedge_drop(struct ai_call *c, enum request_outcome end, struct slice code);
