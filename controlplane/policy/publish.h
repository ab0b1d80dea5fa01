/*
 * publish — tells every view what changed in it, and the newest version in heartbeats: every 25 ms
 * for half a second after something happened, else every 450 ms.
 *
 * A delta of at most LIMIT_BUS_DELTA is sent whole; of a larger one only the version, and the
 * planes fetch. Heartbeats have a thread of their own: a database that hangs must not make
 * planes think the control plane is gone.
 *
 * The image changes under the same lock that heartbeats take, so no plane hears of a version
 * before its delta.
 *
 * A plane whose hello named other features than it was admitted with receives the pushes of another
 * view: its connection is cut, and it comes back to its own.
 *
 * Owns     its thread.
 * Threads  publish_delta from the follower's.
 */
#pragma once

#include "common/base/money.h"
#include "common/wire/bus.h"
#include "controlplane/policy/image.h"
#include "controlplane/policy/rollout.h"

struct publish;
struct bus_hub;

MUST_USE enum err publish_start(struct image *im, struct rollout *r, struct publish **ret);
/* From here on there are planes to tell; NULL: no longer. */
void publish_to(struct publish *p, struct bus_hub *hub);
/* The database cannot be reached, or can be again: planes are told with the next heartbeat. */
void publish_away(struct publish *p, bool away);
/* Something is about to be told by heartbeats, or was: they come quickly for a while. */
void publish_hurry(struct publish *p);
/* Makes it the newest version and tells all planes. */
MUST_USE enum err publish_delta(struct publish *p, const struct image_delta *d);
/* A plane is to hand back money of this account (Push.recalls): its pool is told with the next
 * heartbeat. Beyond a few dozen between two heartbeats they are dropped; the plane that is short
 * asks again. */
void publish_recall(struct publish *p, struct slice plane_id, struct slice account, money short_of);
void publish_stop(struct publish **p); /* NULL inside is fine */
