/*
 * object — one policy object as it came from the control plane, decoded once, counted.
 *
 * Private to common/policy: others see the typed structs of snapshot.h.
 *
 * Owns     an arena with the object, its texts and its packed form; secrets, an account, a meter.
 * Fails    ERR_INVALID where a member cannot be read, ERR_NOMEM.
 * Threads  immutable once made; counted with atomics.
 */
#pragma once

#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/policy/snapshot.h"
#include "common/scope/registry.h"
#include "proto/policy.pb-c.h"

struct object {
    atomic_uint refs;
    struct arena *arena;
    struct policy_object *policy; /* the typed struct; its first member */
    struct slice scoped;          /* "org/name"; empty where the kind is not found by name */
    struct slice subject;         /* grants: agent or team; blocks: "kind:id" */
    struct slice packed;          /* the message as received, for the disk */
    struct digest row;            /* this object's part of the policy's digest */
};

/* old: the previous revision, whose meter is carried over; may be NULL */
MUST_USE enum err object_new(const Gatehouse__PolicyObject *message, const struct object *old,
                             struct registry *registry, struct object **ret);
void object_hold(void *object);
void object_drop(void *object);
