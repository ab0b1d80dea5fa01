/*
 * publish — tells every pool what changed, and 40 times a second what the newest version is.
 *
 * A delta of at most LIMIT_BUS_DELTA is sent whole; of a larger one only the version, and the
 * planes fetch. Heartbeats have a thread of their own: a database that hangs must not make
 * planes think the control plane is gone.
 *
 * Image and word change together: publish_delta applies under the same lock that heartbeats
 * take, so no plane hears of a version before its delta.
 *
 * Owns     its thread.
 * Threads  publish_delta from the follower's.
 */
#pragma once

#include "common/wire/bus.h"
#include "controlplane/policy/image.h"
#include "controlplane/policy/rollout.h"

struct publish;

MUST_USE enum err publish_start(struct image *im, struct rollout *r, struct publish **ret);
/* From here on there is somebody to tell. */
void publish_to(struct publish *p, struct bus_hub *hub);
/* Makes it the newest version and tells everybody. */
MUST_USE enum err publish_delta(struct publish *p, const struct image_delta *d);
void publish_stop(struct publish **p); /* NULL inside is fine */
