/*
 * policy_object — one policy object as it came from the control plane, decoded once, counted.
 *
 * An object that this plane cannot take (its kind, a feature it needs, or a member is not
 * understood) is made all the same, as a refused one: it counts in the policy's digest, is kept on
 * disk for a later build of this program, and no finder returns it. What depends on it is denied.
 *
 * Private to common/policy: others see the typed structs of snapshot.h.
 *
 * Owns     an arena with the object, its texts and its packed form; secrets, an account, a meter.
 * Fails    ERR_INVALID where it has no kind or id, ERR_NOMEM.
 * Threads  immutable once made; counted with atomics.
 */
#pragma once

#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/policy/snapshot.h"
#include "common/scope/registry.h"
#include "proto/policy.pb-c.h"

struct policy_kind;

struct object {
    atomic_uint refs;
    struct arena *arena;
    const struct policy_kind *kind; /* NULL: refused */
    enum policy_refusal refusal;    /* why; POLICY_TAKEN otherwise */
    struct policy_object *policy;   /* the typed struct; its first member */
    struct slice scoped;            /* "org/name"; empty where the kind is not found by name */
    struct slice lookup;            /* keys: the digest; empty: none */
    struct slice subject;           /* grants: agent or team; blocks: "kind:id"; empty: none */
    struct slice packed;            /* the message as received, for the disk */
    struct digest row;              /* this object's part of the policy's digest */
};

/* old: the previous revision, whose meter is carried over; may be NULL */
MUST_USE enum err object_new(const Gatehouse__PolicyObject *message, const struct object *old,
                             struct registry *registry, struct object **ret);
void object_hold(void *object);
void object_drop(void *object);
/* The key under which a refused object is kept: no two objects of a policy share one. */
#define OBJECT_REFUSED_KEY_MAX 256
struct slice object_refused_key(int kind, struct slice id, char out[static OBJECT_REFUSED_KEY_MAX]);
