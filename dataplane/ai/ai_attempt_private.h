/*
 * ai_attempt_private — what ai_attempt.c and ai_attempt_error.c share.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

/* ai_attempt.c */
const struct candidate *ai_attempt_current(const struct ai_call *c);
bool ai_attempt_may_try_another(const struct ai_call *c);
/* Ends the attempt, and records how. */
void ai_attempt_close(struct ai_call *c, enum request_outcome end, struct slice code);
/* Ends the attempt, and goes on to the next target where there is one; else the request is refused.
 */
void ai_attempt_fail(struct ai_call *c, enum refusal_id id, struct slice code, struct slice detail);
void ai_attempt_fall_back(struct ai_call *c);
/* Ends the request with a body. own_body: it is ours, in the client's dialect. */
void ai_attempt_finish_with(struct ai_call *c, enum request_outcome end, bool own_body,
                            struct slice body);
void ai_attempt_note_wait(struct ai_call *c, unsigned after_s);
void ai_attempt_mark_credential(struct ai_call *c, const struct policy_credential *used);

/* ai_attempt_error.c; each ends the attempt */
/* The body of a status other than 200 has come, or as much of it as was waited for. */
void ai_attempt_take_error(struct ai_call *c);
/* 200, and an error inside (dialects.md 2.10, 26): it costs nothing, unless it reports usage. */
void ai_attempt_failed_by_body(struct ai_call *c);
/* A body that is no response of a model: the prompt may have been read. */
void ai_attempt_failed_by_form(struct ai_call *c, struct slice code, struct slice detail);
/* The same, and what it cost is noted. */
void ai_attempt_no_response(struct ai_call *c, struct slice code, struct slice detail);
/* There was no response, or it broke off before any of it had reached the client. */
void ai_attempt_lost(struct ai_call *c, const struct exchange_failure *f);
