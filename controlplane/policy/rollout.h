/*
 * rollout — the data planes: pool and features of each, the version it applies, the time of its
 * last message.
 *
 * Filled from the database by the follower (which planes exist, in which pool), and by the
 * channel (what they report). It decides whether the tunnel admits a plane, and serves
 * `?wait=applied`, and GET /rollout.
 *
 * The channel knows whether a plane is connected (rollout_ask_presence). ?wait=applied does not
 * wait for one that is not connected.
 *
 * Owns     its rows.
 * Fails    ERR_TOO_BIG above LIMIT_DATAPLANES that are not removed, ERR_NOMEM.
 * Threads  any; nothing here blocks but rollout_wait.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/json.h"
#include "controlplane/policy/image.h"

#define ROLLOUT_TEXT_MAX 64

struct rollout;

struct rollout_plane {
    char id[ID_MAX];
    char org[ID_MAX];
    char name[ROLLOUT_TEXT_MAX];
    char pool[ID_MAX]; /* its id: orgs may use the same name */
    char pool_name[ROLLOUT_TEXT_MAX];
    bool removed;
    /* what it reported */
    feature_set features; /* in its last hello */
    char lineage[ROLLOUT_TEXT_MAX];
    char build[ROLLOUT_TEXT_MAX];
    uint64_t version;
    uint64_t epoch;
    int64_t heard_at; /* wall; 0: never */
    uint32_t refused; /* objects that it could not take */
    bool changed;     /* changed since rollout_take_changed */
    bool moved;       /* its features changed: it receives the old view until it reconnects */
};

MUST_USE struct rollout *rollout_new(void);
void rollout_free(struct rollout *r); /* NULL is fine; no thread may be in rollout_wait */

/* Name, pool and removal as the database has them; what the plane reported is used only for a
 * plane not known yet. *ret_cut: it was known and has just been removed. */
MUST_USE enum err rollout_put(struct rollout *r, const struct rollout_plane *row, bool *ret_cut);
/* Whether it is known and not removed. If so, channel is the PUB socket of its view. */
bool rollout_admit(struct rollout *r, struct slice id, char channel[static VIEW_CHANNEL_MAX]);
void rollout_view(const struct rollout_plane *p, struct view_key *ret);
/* A copy; false: unknown. */
bool rollout_find(struct rollout *r, struct slice id, struct rollout_plane *ret);
/* Every view that has a plane, one after another: *at starts at 0. false: no more. */
bool rollout_each_view(struct rollout *r, size_t *at, struct view_key *ret);

struct rollout_counts {
    size_t connected, away;
    uint64_t version; /* the newest */
    uint64_t lag;     /* versions that the connected plane furthest behind lacks */
    size_t refusing;  /* planes that could not take some object */
};
void rollout_counts(struct rollout *r, struct rollout_counts *ret);

/* Tells which planes are connected; called under the rollout's lock, must not block. */
void rollout_ask_presence(struct rollout *r, bool (*is_here)(void *arg, struct slice id),
                          void *arg);
/* Whether it is connected to this control plane now. */
bool rollout_is_here(struct rollout *r, struct slice id);
/* A plane of the org with these features that is connected now: the one of this name or id, or
 * where that is SLICE_NONE the first. false: there is none. */
bool rollout_pick(struct rollout *r, struct slice org, struct slice name, feature_set features,
                  struct rollout_plane *ret);
void rollout_heard(struct rollout *r, struct slice id, int64_t wall_us);
void rollout_hello(struct rollout *r, struct slice id, uint64_t epoch, struct slice build,
                   feature_set features);
/* Reports, once each, a plane whose features differ from those it was admitted with. */
bool rollout_take_moved(struct rollout *r, char id[static ID_MAX]);
void rollout_applied(struct rollout *r, struct slice id, struct slice lineage, uint64_t version);
void rollout_refused(struct rollout *r, struct slice id, uint32_t objects);

/* The newest version there is. It wakes no waiter: planes apply it first. */
void rollout_newest(struct rollout *r, const char *lineage, uint64_t version);
/* Waits until every connected plane of any pool applies `version`. ERR_OK: all do. ERR_TIMEOUT:
 * behind receives the names of those that do not, comma-separated. */
MUST_USE enum err rollout_wait(struct rollout *r, uint64_t version, unsigned ms,
                               struct buf *behind);
/* The image that planes are given, which knows what is withheld from them. */
void rollout_ask_image(struct rollout *r, struct image *im);
/* {"version","lineage","dataplanes":[…]} of one org; NULL: out of memory. */
MUST_USE json_t *rollout_json(struct rollout *r, struct slice org);
/* The next row that changed since it was last taken; *at starts at 0. */
bool rollout_take_changed(struct rollout *r, size_t *at, struct rollout_plane *ret);
