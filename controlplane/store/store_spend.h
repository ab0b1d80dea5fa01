/*
 * store_spend — what calls cost, kept as sums from the moment they are taken in.
 *
 * A batch's calls are added up in memory by hour and by everything that spend is grouped by, and go
 * into spend_hours in one statement of the transaction that takes their spans in: the sums are
 * exact at every moment. A query reads whole hours; where a bound lies inside
 * an hour, that hour's part is read from its spans. Spend by session is read from the sessions'
 * own sums, and from spans for those sessions alone that cross a bound.
 *
 * Owns     a sheet's rows until spend_sheet_fini.
 * Fails    as db.h; ERR_NOMEM from spend_sheet_add.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/json.h"
#include "common/base/map.h"
#include "controlplane/store/tx.h"
#include "proto/usage.pb-c.h"

/* ---- taking in ---- */

struct spend_sheet {
    struct map *by_key;
    struct buf key; /* scratch */
};

MUST_USE enum err spend_sheet_init(struct spend_sheet *s);
void spend_sheet_fini(struct spend_sheet *s);
/* A span that is no call is left out. org: the plane's. */
MUST_USE enum err spend_sheet_add(struct spend_sheet *s, const Gatehouse__Span *call,
                                  struct slice org);
MUST_USE enum err spend_sheet_put(struct tx *tx, struct spend_sheet *s);

/* ---- reading ---- */

#define SPEND_GROUPS "team|key|agent|task|model|provider|server|tool|service|gate|session"
#define SPEND_BUCKETS "hour|day|month"
#define SPEND_FILTERS 10 /* of spend_filter_name */

struct spend_question {
    struct slice org;    /* the transaction's */
    struct slice group;  /* one of SPEND_GROUPS */
    struct slice bucket; /* one of SPEND_BUCKETS; SLICE_NONE: one row for the whole time */
    int64_t from, to;    /* calls that began within [from, to); to 0: until now */
    struct slice filters[SPEND_FILTERS]; /* SLICE_NONE: any */
};

/* "team", "key", …; NULL behind the last one. Those of objects take an id or a name. */
const char *spend_filter_name(size_t i);
/* Dearest first, or, in buckets, the newest bucket first. ERR_INVALID: no such group, or sessions
 * asked for by what a session has no sums of. *ret: new array. */
MUST_USE enum err store_spend(struct tx *tx, const struct spend_question *q, json_t **ret);
