/*
 * channel — the requests of data planes: one Request in, one Reply out.
 *
 * The plane is known from its certificate. Every handler is idempotent beyond the hub's memory of
 * the last ones: a plane that repeats itself to a restarted control plane changes nothing twice.
 * A refusal is a stable word in Reply.error: unreadable, unknown_plane, protocol, invalid,
 * not_ready, database, denied, internal.
 *
 * Owns     nothing; its parts are lent.
 * Threads  any number of the hub's.
 */
#pragma once

#include "controlplane/channel/enrolment.h"
#include "controlplane/channel/health_board.h"
#include "controlplane/channel/questions.h"
#include "controlplane/ingest/ingest.h"
#include "controlplane/policy/image.h"
#include "controlplane/policy/publish.h"
#include "controlplane/policy/rollout.h"

struct channel {
    struct db *db;
    struct image *image;
    struct rollout *rollout;
    struct enrolment *enrolment;
    struct publish *publish; /* NULL: recalls are not sent (tests) */
    struct ingest *ingest;
    struct health_board *health;
    struct questions *questions;
};

void channel_handle(const struct channel *c, struct slice plane_id, struct slice request,
                    struct buf *reply);
