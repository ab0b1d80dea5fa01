/*
 * snapshot_private — what a snapshot is made of; for common/policy and its tests only.
 */
#pragma once

#include "common/policy/policy_object.h"
#include "common/policy/trie.h"

#define SNAPSHOT_KINDS 32 /* ObjectKind numbers below this have tables; kind_table.c checks it */
#define LINEAGE_MAX 40

/* All grants of one subject, or all blocks of one: found by the subject. */
struct group {
    atomic_uint refs;
    size_t count;
    struct object *items[]; /* held; at least one, whose subject names the group */
};

struct snapshot {
    atomic_uint refs;
    char lineage[LINEAGE_MAX];
    size_t lineage_len;
    uint64_t version;
    uint64_t serial; /* of this process; no two snapshots have the same */
    struct digest digest;
    /* Each by kind; an object stands in those tables for which it has a key (policy_object.h). */
    struct trie by_id[SNAPSHOT_KINDS];
    struct trie by_name[SNAPSHOT_KINDS];    /* scoped: "org/name" */
    struct trie by_lookup[SNAPSHOT_KINDS];  /* lookup */
    struct trie by_subject[SNAPSHOT_KINDS]; /* groups, by subject */
    struct trie refused;                    /* by object_refused_key */
    struct secret *key_hmac;
    struct secret *key_ready; /* a struct digest_hmac_key of it */
    struct secret *session_seal;
};

extern const struct trie_ops trie_by_id, trie_by_name, trie_by_lookup, trie_groups;

/* Visits every object of the policy. fn false: stops. */
bool snapshot_each_object(const struct snapshot *s, bool (*fn)(void *arg, const struct object *o),
                          void *arg);
