/*
 * view — which part of the policy a data plane is given: the objects that its pool serves, less
 * those that need a feature it lacks. Planes of one view share a digest, snapshots and a PUB
 * socket.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/id.h"
#include "common/wire/feature.h"

#define VIEW_CHANNEL_MAX 64 /* of bus_hub's pool names */

struct view_key {
    char org[ID_MAX];
    char pool[ID_MAX]; /* its id: orgs may use the same name */
    feature_set features;
};

bool view_same(const struct view_key *a, const struct view_key *b);
/* The name of the view's PUB socket: the pool's id, and the features of planes that have any. */
void view_channel(const struct view_key *key, char out[static VIEW_CHANNEL_MAX]);
