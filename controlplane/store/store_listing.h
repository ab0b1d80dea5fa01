/*
 * store_listing — when a server's tools are to be listed, by which plane, and the last outcome.
 *
 * A listing is due when its server was never tried at its present revision, when a
 * request for one is not served yet, or when its time has come. The plane that has the order holds
 * it for a while, so that it is ordered once; a hold of an absent plane does not count.
 *
 * Fails    as tx.h; ERR_NOT_FOUND: no such server.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/json.h"
#include "controlplane/store/store_object.h"
#include "controlplane/store/tx.h"

#define LISTING_POOLS_MAX 2112 /* 64 ids */

struct listing_due {
    char server[ID_MAX], org[ID_MAX], name[OBJECT_NAME_MAX];
    uint64_t revision, ask;
    char held_by[ID_MAX]; /* "": no plane */
    bool every_pool;
    char pools[LISTING_POOLS_MAX]; /* ids divided by commas: pools whose planes are given the server
                                    */
};

/* The longest waiting first; held ones among them. */
MUST_USE enum err store_listings_due(struct tx *tx, int64_t now_us, size_t cap,
                                     struct listing_due *ret, size_t *found);
/* every_pool and pools of one server; "" where it is switched off */
MUST_USE enum err store_listing_pools(struct tx *tx, struct slice server, struct listing_due *ret);
MUST_USE enum err store_listing_hold(struct tx *tx, struct slice server, struct slice plane,
                                     int64_t until_us);
/* Asks for a listing. hurry: a person waits, and the pause behind the last one does not hold. */
MUST_USE enum err store_listing_ask(struct tx *tx, struct slice server, bool hurry,
                                    uint64_t *ret_ask);

struct listing_state {
    char org[ID_MAX], name[OBJECT_NAME_MAX];
    uint64_t revision; /* of the server now */
    bool listed;       /* once at least */
    bool each;         /* approve: each */
    uint64_t answered;
    unsigned failures;
    char held_by[ID_MAX]; /* "": by no plane */
};

/* Locks the listing: reports of one server come one at a time. */
MUST_USE enum err store_listing_lock(struct tx *tx, struct slice server, struct listing_state *ret);

/* How a try ended. */
struct listing_end {
    struct slice server, plane, error; /* error SLICE_NONE: it is listed */
    uint64_t revision, ask;
    uint32_t tools, left_out;
    unsigned failures;               /* in a row, with this one */
    int64_t at_us, due_us, pause_us; /* pause: not before, unless a person asks */
};
MUST_USE enum err store_listing_end(struct tx *tx, const struct listing_end *end);

/* Whether the request has its outcome; error is copied, "" where there is none. */
MUST_USE enum err store_listing_outcome(struct tx *tx, struct slice server, uint64_t ask,
                                        bool *ret_done, char *error, size_t cap);
/* {"mcp_…":{"last_listed_at":…}} for an array of ids */
MUST_USE enum err store_listing_views(struct tx *tx, const json_t *ids, json_t **ret);
