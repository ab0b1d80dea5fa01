/*
 * ai_list — GET /v1/files and /v1/batches: what the principal has at providers.
 *
 *   ASKING ─▶ LOOKING ⇄ AUTHORIZING ─▶ OVER
 *     ▲──────────┘
 *
 * A provider lists all that an account has, and does not say whose it is. So the list is of what
 * calls of this owner have made or seen, as the control plane keeps it (common/policy/kept_list.h),
 * in the order of its making. Each thing of the page is then read at its provider, one after the
 * other: the list shows it as it is now, and what is there no more is left out, and noted. ASKING:
 * a page of the owner's is awaited. LOOKING: its next thing is read. AUTHORIZING: the thing's
 * account waits for a token. A thing whose account the principal can use no more is not shown.
 *
 * A page of nothing but what is gone is followed by the next, since SDKs take an empty one for the
 * end. What a call did is listed as soon as its record has come in, about a second later.
 *
 * Owns     its list while it is here; lies in the request's arena.
 * Threads  its worker's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

void ai_list_start(struct ai_call *c);
void ai_list_cancel(struct ai_call *c);      /* the client left, or its right ended */
void ai_list_on_patience(struct ai_call *c); /* no reply came */
void ai_list_leave(struct ai_call *c);       /* the call goes back to its spares */
