/*
 * questions — what is asked of a data plane and answered by it: which targets a call would be sent
 * to. The question is pushed, the answer comes back as a request of that plane.
 *
 * A question waits on the thread of the admin request that has it. One that is not answered in time
 * is forgotten, and a late answer with it.
 *
 * Owns     the answers that wait to be taken.
 * Fails    ERR_TIMEOUT: no answer came; ERR_EXHAUSTED: QUESTIONS_MOST wait already; else as
 *          `push`.
 * Threads  any.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "proto/channel.pb-c.h"

#define QUESTIONS_MOST 16

struct questions;

/* push sends a question on its way to the plane; lent. */
MUST_USE struct questions *questions_new(enum err (*push)(void *arg, struct slice plane_id,
                                                          Gatehouse__ExplainQuestion *question),
                                         void *arg);
void questions_free(struct questions *q); /* NULL is fine; no thread may be in questions_ask */

enum answer_kind { ANSWER_GIVEN, ANSWER_UNKNOWN_MODEL, ANSWER_PROBLEM };

/* Asks the plane, whose id and number are filled in here, and waits. *ret_kind says what was
 * appended: the answer's JSON, or a sentence. */
MUST_USE enum err questions_ask(struct questions *q, struct slice plane_id,
                                Gatehouse__ExplainQuestion *question, unsigned ms,
                                enum answer_kind *ret_kind, struct buf *ret);
/* An answer that no question waits for, or of another plane than was asked, is dropped. */
void questions_answer(struct questions *q, struct slice plane_id, const Gatehouse__Explained *m);
