/*
 * publish — sends each view its deltas, and the newest version in heartbeats: every 25 ms for half
 * a second after a change, else every 450 ms.
 *
 * A delta of at most LIMIT_BUS_DELTA is sent whole; of a larger one only the version, and the
 * planes fetch. Heartbeats have a thread of their own: a database that hangs must not delay
 * them, because planes would take the control plane as lost.
 *
 * The image changes under the same lock that heartbeats take, so no plane receives a version
 * before its delta.
 *
 * A plane whose hello named other features than it was admitted with receives the pushes of another
 * view: its connection is cut, and it reconnects to its own view.
 *
 * Owns     its thread.
 * Threads  publish_delta from the follower's.
 */
#pragma once

#include "common/base/money.h"
#include "common/wire/bus.h"
#include "controlplane/policy/image.h"
#include "controlplane/policy/rollout.h"
#include "proto/channel.pb-c.h"

struct publish;
struct bus_hub;

MUST_USE enum err publish_start(struct image *im, struct rollout *r, struct publish **ret);
/* Sets the hub that messages are sent through; NULL: none any longer. */
void publish_to(struct publish *p, struct bus_hub *hub);
/* The database cannot be reached, or can be again: the next heartbeat has the new state. */
void publish_away(struct publish *p, bool away);
/* Makes heartbeats quick for a while: they have, or had, something new. */
void publish_hurry(struct publish *p);
/* Makes it the newest version and sends it to all planes. */
MUST_USE enum err publish_delta(struct publish *p, const struct image_delta *d);
/* A plane is to hand back money of this account (Push.recalls): sent to its pool with the next
 * heartbeat. Beyond a few dozen between two heartbeats they are dropped; the plane that is short
 * of money repeats its request. */
void publish_recall(struct publish *p, struct slice plane_id, struct slice account, money short_of);
/* A question for this plane, or hints for the other planes of its pool: sent at once, and lost
 * where a plane is not there. */
MUST_USE enum err publish_question(struct publish *p, struct slice plane_id,
                                   Gatehouse__ExplainQuestion *question);
void publish_hints(struct publish *p, struct slice plane_id, Gatehouse__HealthHint **hints,
                   size_t count);
void publish_stop(struct publish **p); /* NULL inside is fine */
