/*
 * store_session — what the spans of a session add up to.
 *
 * A batch is added up per session first and then put in one statement, ordered by id, so that
 * two batches never wait for each other in a circle.
 *
 * Owns     its rows until session_sheet_fini.
 * Fails    as db.h; ERR_NOMEM from session_sheet_add.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/map.h"
#include "controlplane/store/store_span.h"

struct session_row;

struct session_sheet {
    struct map *by_id;
};

MUST_USE enum err session_sheet_init(struct session_sheet *s);
void session_sheet_fini(struct session_sheet *s);
/* A call's span; one without a session is left out. org: the plane's. A session of another org is
 * left as it is. */
MUST_USE enum err session_sheet_add(struct session_sheet *s, const Gatehouse__Span *call,
                                    struct slice org);
MUST_USE enum err session_sheet_put(struct tx *tx, struct session_sheet *s);

/* Sessions whose last span ended before that are over; *ret: how many. */
MUST_USE enum err store_sessions_end(struct tx *tx, int64_t before, size_t *ret);
