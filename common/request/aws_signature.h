/*
 * aws_signature — requests that their client signed with AWS Signature Version 4: read, and
 * verified.
 *
 * A virtual key has an access key id, its own id, and a secret access key that follows from its
 * digest and the installation's key (keyprint_aws_secret), so that a plane can verify without
 * storing either key or secret. As AWS does, a request is good for five minutes around its date,
 * and again in them.
 *
 * What must be signed: the host, the date, every x-amz and x-gatehouse header (task and session of
 * the call), and the body by its SHA-256, which may stand in x-amz-content-sha256. UNSIGNED-PAYLOAD
 * is not taken. The path is signed encoded once more (all services but S3); a request with a query
 * is not taken, since no path that clients of Bedrock sign has one.
 *
 * Owns     nothing; texts are the head's.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/digest.h"
#include "common/net/http1.h"

#define AWS_SCHEME "AWS4-HMAC-SHA256"

struct aws_claim {
    struct slice key_id, day, region, service; /* of its scope */
    struct slice date;                         /* x-amz-date */
    struct slice names;                        /* signed headers, joined by ";" */
    struct slice signature;                    /* hexadecimal */
    struct slice body;                         /* x-amz-content-sha256; empty: not said */
};

bool aws_is_signed(struct slice authorization);
/* ERR_INVALID: it is no signature, or does not sign what it must, or is of another time. */
MUST_USE enum err aws_claim_read(const struct http_head *h, struct slice authorization,
                                 int64_t now_us, struct aws_claim *ret);
/* Is it the signature of that head, and of a body with that SHA-256 in hexadecimal, by that secret?
 */
bool aws_claim_is_true(const struct aws_claim *c, const struct http_head *h, struct slice body,
                       struct slice secret);
