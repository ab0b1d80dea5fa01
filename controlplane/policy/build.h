/*
 * build — a stored document as the message that data planes read.
 *
 * One builder serves every noun: it walks the noun's field rows beside the descriptor that
 * protobuf-c generated from proto/policy.proto, so the .proto and the rows are all there is to
 * write. A row finds its field in the message by name:
 *
 *   its own name; of a reference also <name>_id; of a time <name>_us; of money <x>_usd -> <x>_nano;
 *   of a price <x>_per_mtok -> <x>; of a share <name>_permille; `wire` of the row, where the names
 *   differ otherwise
 *   an object without a field of its own: its members are the message's fields <object>_<member>
 *
 * and its value by the two types: money and times become integers, lists of names a NameList,
 * hexadecimal text bytes, an object of texts a list of messages with `name` and `value`, a sealed
 * secret its opened bytes. Beside the rows a message may have
 * `org_id`, `name`, `created_at_us` (of the object's row in the database), `account` (of a budget:
 * "<noun>:<id>") and `<list>_set` (whether the list was given). The body in PolicyObject is the
 * member of the noun's name, with "_" for "-".
 *
 * Owns     what a message points to lives in the builder until builder_reset, which also
 *          wipes the secrets that were opened for it.
 * Fails    ERR_INVALID: the stored document does not fit; ERR_TOO_BIG; else what `open` said.
 * Threads  one builder at a time; the bindings are made once, under pthread_once.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/json.h"
#include "controlplane/domain/noun.h"
#include "proto/policy.pb-c.h"

#define BUILDER_SECRETS 128 /* above the credentials of one provider */

struct builder {
    /* Appends the opened secret; ERR_NOT_FOUND: there is none, and the field stays absent. */
    enum err (*open)(void *arg, const char *owner, const char *slot, struct buf *plain);
    void *arg;
    struct arena *arena;
    ProtobufCBinaryData secrets[BUILDER_SECRETS]; /* in the arena, to be wiped */
    size_t secret_count;
};

struct build_row {
    const char *id, *org, *name;
    int64_t created_at; /* microseconds */
    const json_t *spec; /* normal form (domain/field.h) */
};

MUST_USE enum err builder_init(struct builder *b,
                               enum err (*open)(void *arg, const char *owner, const char *slot,
                                                struct buf *plain),
                               void *arg);
void builder_reset(struct builder *b);
void builder_fini(struct builder *b);
/* Copies a secret into the arena, to be wiped with the others. */
MUST_USE enum err builder_keep(struct builder *b, struct slice plain, ProtobufCBinaryData *ret);

/* Sets kind, id and body of m, and leaves the rest. The message points into the row, its tree and
 * the builder. n->kind is not 0. */
MUST_USE enum err build_object(struct builder *b, const struct noun *n, const struct build_row *row,
                               Gatehouse__PolicyObject *m);

/* The first row that reaches no field and does not say so (FIELD_LOCAL and its like), or the first
 * field that no row fills; NULL: there is none. For tests. */
const char *build_gap(const struct noun *n);
