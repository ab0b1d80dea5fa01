/*
 * json_scan — one validating pass over a body that finds the places of wanted members.
 *
 * Nothing is built and nothing is copied: a hit is where the raw value stands, so it can
 * be read, or spliced, in place. The pass refuses what RFC 8259 refuses, invalid UTF-8, and
 * depth over LIMIT_JSON_DEPTH (a response: LIMIT_JSON_DEPTH_RESPONSE).
 *
 * An object that holds a wanted member is one that a gate reads, and must have one reading
 * (security.md: two parsers must not read two models from one body). Refused in it: a name that
 * stands twice, or twice but for the case of letters; one that equals a wanted name but for
 * case; one with a NUL or half of a surrogate pair; too many members, or too long a name
 * (limits.h). Everywhere else these pass, as RFC 8259 allows them and they are only relayed.
 *
 * Fails    ERR_INVALID with *problem filled (what and at which byte); hits are then void.
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

enum json_type {
    JSON_SCAN_ABSENT,
    JSON_SCAN_NULL,
    JSON_SCAN_FALSE,
    JSON_SCAN_TRUE,
    JSON_SCAN_NUMBER,
    JSON_SCAN_STRING,
    JSON_SCAN_ARRAY,
    JSON_SCAN_OBJECT,
};

/* Members only, in ASCII, joined by dots: "model", "stream_options.include_usage", "params._meta".
 * A wanted path's parents are read too. Paths must be distinct; at most JSON_SCAN_WANTS. */
#define JSON_SCAN_WANTS 32

struct json_hit {
    enum json_type type;
    struct slice raw;    /* the value as it stands: strings with their quotes */
    struct slice member; /* from the name's quote to the value's end; for removal */
};

struct json_scan_problem {
    size_t at;      /* byte offset */
    char text[160]; /* "duplicate member \"model\"": one sentence */
};

/* root: type of the whole body (hits exist only under an object) */
MUST_USE enum err json_scan(struct slice body, const char *const *wants, size_t n,
                            struct json_hit *hits, enum json_type *root,
                            struct json_scan_problem *problem);

/* The same for what an upstream says, which may nest deeper than what clients may. */
MUST_USE enum err json_scan_response(struct slice body, const char *const *wants, size_t n,
                                     struct json_hit *hits, enum json_type *root,
                                     struct json_scan_problem *problem);

/* The same for the end of a body: rest goes from the name of a member of its root to the body's
 * last byte. What stands before it is not looked at. */
MUST_USE enum err json_scan_rest(struct slice rest, const char *const *wants, size_t n,
                                 struct json_hit *hits, struct json_scan_problem *problem);

/* Unescapes a string hit into out (cap >= raw.len is always enough). ERR_INVALID: not a string;
 * ERR_PROTOCOL: one that not all readers read alike, with a NUL or half of a surrogate pair. */
MUST_USE enum err json_scan_text(const struct json_hit *hit, char *out, size_t cap,
                                 struct slice *ret);
/* An integer without fraction or exponent, in range. */
MUST_USE enum err json_scan_u64(const struct json_hit *hit, uint64_t *ret);
/* Walks the members of an object hit: *name as it is written, without its quotes. */
bool json_scan_member(struct slice *rest, struct slice *name, struct json_hit *ret);
/* Walks an array hit: *rest starts as hit->raw; false at its end. The body was validated. */
bool json_scan_item(struct slice *rest, struct json_hit *ret);
