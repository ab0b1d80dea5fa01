/*
 * json — trees by jansson, which no other file uses, read strictly and written compactly.
 *
 * Reading refuses duplicate members, depth over LIMIT_JSON_DEPTH, bytes after the end and
 * invalid UTF-8. The getters say what was wrong in words fit for a problem+json.
 *
 * Owns     trees are jansson's counted values; `json_t` is used by name.
 * Fails    ERR_INVALID with *err filled.
 * Threads  a tree belongs to one thread at a time.
 */
#pragma once

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct json_problem {
    char text[160]; /* one sentence, no user data beyond member names */
};

MUST_USE enum err json_read(struct slice text, json_t **ret, struct json_problem *problem);
MUST_USE enum err json_write(const json_t *tree, struct buf *out);        /* compact, appended */
MUST_USE enum err json_write_sorted(const json_t *tree, struct buf *out); /* members by name */

/* the text of a string member; SLICE_NONE where absent, null or no string */
struct slice json_text(const json_t *object, const char *name);
/* a JSON string from a slice; "" where it is SLICE_NONE */
json_t *json_from(struct slice s);
/* sets name to s, unless s.ptr is NULL */
void json_set_text(json_t *object, const char *name, struct slice s);

#define JSON_REAL_MAX 40
/* the shortest decimal that reads back as the same double; returns its length */
size_t json_real_text(double value, char out[static JSON_REAL_MAX]);

static inline void json_cleanup(json_t **tree)
{
    json_decref(*tree);
}
/* straight-line code: JSON_AUTO json_t *tree = NULL; */
#define JSON_AUTO __attribute__((cleanup(json_cleanup)))
