/*
 * aws_sign — AWS Signature Version 4 of one request, in its Authorization header.
 *
 * The host (with a port that is not the scheme's own), the content type, the time and the session
 * token are signed, and the body by its SHA-256. The path is the one on the wire, percent-encoded;
 * all services but S3 sign it encoded once more (AWS IAM User Guide, "Create a signed AWS API
 * request").
 *
 * Owns     nothing; the texts are the arena's. They hold no secret but the signature.
 * Fails    ERR_NOMEM; ERR_TOO_BIG: the secret is longer than any.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/digest.h"

struct aws_signing {
    struct slice method, host, path, query; /* query: in canonical form already; may be empty */
    struct slice content_type;              /* empty: there is none, and none is signed */
    const struct slice *body;               /* pieces */
    size_t body_count;
    struct slice access_key_id, secret, session_token; /* the token may be empty */
    struct slice region, service;
    int64_t at_us; /* wall clock */
};

struct aws_signature {
    struct slice authorization, date; /* of x-amz-date */
};

MUST_USE enum err aws_sign(const struct aws_signing *s, struct arena *a, struct aws_signature *ret);

/* A name as one segment of a path: all but unreserved characters percent-encoded (RFC 3986).
 * SLICE_NONE: no memory. */
struct slice aws_path_segment(struct slice name, struct arena *a);
