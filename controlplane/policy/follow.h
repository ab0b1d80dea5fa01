/*
 * follow — keeps the image at the database's newest version.
 *
 * A connection of its own (the direct URL) listens for `gatehouse_policy`, and looks once a
 * second in any case: a notification may be lost, a pooler may not pass it on. Each look is one
 * repeatable-read transaction: version, log, rows, and which planes there are. A lost database
 * is waited for; the image stays as it is.
 *
 * Owns     its thread and connection.
 * Threads  own.
 */
#pragma once

#include "common/base/seal.h"
#include "controlplane/policy/publish.h"
#include "controlplane/store/db.h"

struct follow;

struct follow_config {
    const char *direct_url;
    const struct seal *seal;
    struct image *image;
    struct rollout *rollout;
    struct publish *publish;
    void (*on_removed)(void *arg, struct slice plane_id); /* a plane was removed; own thread */
    void *arg;
};

/* Returns when the image holds the whole policy, or with why it cannot. */
MUST_USE enum err follow_start(const struct follow_config *c, struct follow **ret);
void follow_stop(struct follow **f); /* NULL inside is fine */
