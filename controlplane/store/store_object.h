/*
 * store_object — rows of any noun: every table has the same columns (id, org_id, name, revision,
 * times, spec), so one set of statements serves them all.
 *
 * Owns     an object's spec; object_fini drops it.
 * Fails    as tx.h; ERR_NOT_FOUND; ERR_EXHAUSTED: several have this name.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/json.h"
#include "controlplane/domain/noun.h"
#include "controlplane/store/tx.h"

#define OBJECT_NAME_MAX 132
#define OBJECT_RESERVED_DAYS 30 /* a deleted name cannot be used again within this time */

struct object {
    char id[ID_MAX];
    char org_id[ID_MAX];
    char name[OBJECT_NAME_MAX];
    uint64_t revision;
    int64_t created_us;
    int64_t updated_us;
    json_t *spec; /* the normal form, references as ids */
};

void object_fini(struct object *o);
#define OBJECT_AUTO __attribute__((cleanup(object_fini)))

/* By id, else by name. lock: FOR UPDATE. */
MUST_USE enum err store_object_get(struct tx *tx, const struct noun *n, struct slice id_or_name,
                                   bool lock, struct object *ret);

/* A page in order of creation, behind (after_us, after_id). */
struct object_page {
    int64_t after_us;
    struct slice after_id; /* SLICE_NONE: from the start */
    size_t limit;
    struct slice name; /* SLICE_NONE: any */
    json_t *match;     /* members that spec must contain; NULL: any */
    /* spec[field] is `id`; or has none, and the object of `table` that spec[via] names has it */
    struct {
        const char *field, *via, *table; /* field NULL: any */
        char id[ID_MAX];
    } through;
};
/* *ret: new array of `found` objects (mem_array), at most limit + 1: one more than asked for
 * means that there is a next page. Free with store_object_page_free. */
MUST_USE enum err store_object_page(struct tx *tx, const struct noun *n,
                                    const struct object_page *page, struct object **ret,
                                    size_t *found);
void store_object_page_free(struct object *rows, size_t found);

/* o: id, org_id, name, spec; fills revision and times. */
MUST_USE enum err store_object_insert(struct tx *tx, const struct noun *n, struct object *o);
/* o: id, name, spec; fills revision and updated_us. */
MUST_USE enum err store_object_update(struct tx *tx, const struct noun *n, struct object *o);
MUST_USE enum err store_object_delete(struct tx *tx, const struct noun *n, const char *id);
/* Whether an object other than `except`, not revoked, has this name. */
MUST_USE enum err store_object_name_live(struct tx *tx, const struct noun *n, struct slice name,
                                         const char *except, bool *ret);
/* Whether an object other than `except`, live or deleted within the reserve, has this name. */
MUST_USE enum err store_object_name_taken(struct tx *tx, const struct noun *n, struct slice name,
                                          const char *except, bool *ret_living, bool *ret_taken);

/* {"id":"name",…} for an array of ids; deleted ones included */
MUST_USE enum err store_object_names(struct tx *tx, const json_t *ids, json_t **ret);

/* References: replaces all links from this object by those of its spec. */
MUST_USE enum err store_links_put(struct tx *tx, const struct noun *n, const struct object *o);
MUST_USE enum err store_links_drop(struct tx *tx, const char *from_id);
/* How many objects of the noun stand above this one, each referring to the next; cut at `most`. */
MUST_USE enum err store_links_height(struct tx *tx, const struct noun *n, struct slice id,
                                     unsigned most, unsigned *ret);
/* *ret: new array of ids that refer to `to_id`, at most 10 */
MUST_USE enum err store_links_to(struct tx *tx, const char *to_id, json_t **ret);
