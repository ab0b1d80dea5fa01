/*
 * build — one function per kind of policy object: its row in, its message's body out.
 *
 * Owns     what a message points to lives in the builder until builder_reset, which also
 *          wipes the secrets that were opened for it.
 * Fails    ERR_INVALID or ERR_NOT_FOUND: the stored object cannot be built; as db.h otherwise.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/json.h"
#include "common/base/seal.h"
#include "controlplane/store/tx.h"
#include "proto/policy.pb-c.h"

#define BUILDER_SECRETS 64 /* above the credentials of one provider */

struct builder {
    struct tx *tx;
    const struct seal *seal;
    struct arena *arena;
    ProtobufCBinaryData secrets[BUILDER_SECRETS]; /* in the arena, to be wiped */
    size_t secret_count;
};

struct build_row {
    const char *id, *org, *name;
    int64_t created_at; /* microseconds */
    const json_t *spec;
};

MUST_USE enum err builder_init(struct builder *b, struct tx *tx, const struct seal *seal);
void builder_reset(struct builder *b);
void builder_fini(struct builder *b);
/* A value of the installation, opened. */
MUST_USE enum err builder_installation(struct builder *b, const char *name,
                                       ProtobufCBinaryData *ret, uint64_t *ret_revision);

/* Sets the body of m; the tree stays the row's. */
typedef enum err build_fn(struct builder *b, const struct build_row *row,
                          Gatehouse__PolicyObject *m);

build_fn build_team, build_agent, build_task, build_key, build_provider, build_model,
    build_mcp_server, build_api_service, build_grant, build_block;
