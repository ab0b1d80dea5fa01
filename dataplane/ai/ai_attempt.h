/*
 * ai_attempt — one target after the other, until one responds.
 *
 * Another target takes a failed one's place while the client has not seen a byte: on connect
 * errors, timeouts, 402, 408, 429, 5xx, a credential that was not taken (then another credential of
 * the same provider first), and a response that is none (ai_response). What the last target said is
 * what the client hears, in its own dialect; but where one of them was only at its limit, that is
 * told, as it is what a client can act on. A body that streams (ai_upload.h) goes to another target
 * only as long as all of it is kept.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"
#include "dataplane/ai/ai_upload.h"

void ai_attempt_start(struct ai_call *c);
void ai_attempt_cancel(struct ai_call *c);                  /* gate.cancel */
void ai_attempt_on_reserved(struct ai_call *c, enum err e); /* gate.on_reserved */
void ai_attempt_on_drain(struct ai_call *c);
void ai_attempt_on_upload(struct ai_call *c, enum ai_upload_result r); /* of a piece, or the end */
void ai_attempt_on_patience(struct ai_call *c);                        /* its timers */
void ai_attempt_on_beat(struct ai_call *c);
void ai_attempt_on_late(struct ai_call *c);
