/*
 * response_shape — what is only read (sessions, spans, spend, audit, …) as rows: each member of a
 * response with its type. The OpenAPI document's schemas come from them; the tests hold them
 * against real responses (tests/e2e/document.test.mjs).
 *
 * Owns     nothing; constant.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json.h"
#include "common/base/slice.h"

enum shape_type {
    SHAPE_TEXT,
    SHAPE_INT,
    SHAPE_BOOL,
    SHAPE_MONEY, /* dollars, a string with nine decimals */
    SHAPE_TIME,  /* RFC 3339, UTC */
    SHAPE_OBJECT,
    SHAPE_ANY,
};

enum shape_flags {
    SHAPE_ALWAYS = 1 << 0, /* else: absent where it does not apply */
    SHAPE_NULL = 1 << 1,
    SHAPE_LIST = 1 << 2, /* an array of the type */
};

struct shape_member {
    const char *name; /* NULL: the row behind the last one */
    enum shape_type type;
    unsigned flags;
    const char *words; /* of a text: one of these, divided by "|" */
    const char *help;
    const struct shape_member *members; /* of an object */
};

struct response_shape {
    const char *name; /* in OpenAPI's components */
    const char *help;
    const struct shape_member *members;
};

const struct response_shape *response_shapes(size_t *ret_count);
/* JSON Schema; a new tree */
json_t *response_shape_schema(const struct response_shape *s);
/* "a|b|c" as a list of words; a new tree */
json_t *response_shape_words(struct slice words);
