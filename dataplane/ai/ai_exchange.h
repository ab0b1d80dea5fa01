/*
 * ai_exchange — one target after the other, until one responds; and its response on the way to the
 * client.
 *
 * Falls back only while the client has not seen a byte: on connect errors, timeouts, 429, 5xx and
 * where our own credential was refused. What the last target said is what the client hears; but
 * where one of them only asked to wait, that is told, as it is what a client can act on.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

void ai_exchange_start(struct ai_call *c);
void ai_exchange_cancel(struct ai_call *c);                  /* gate.cancel */
void ai_exchange_on_reserved(struct ai_call *c, enum err e); /* gate.on_reserved */
void ai_exchange_on_drain(struct ai_call *c);
void ai_exchange_on_linger(struct ai_call *c); /* its timer */
void ai_exchange_drop(struct ai_call *c);      /* lets go of the upstream, at once */
