/*
 * filter_signature — a request that its client signed with AWS Signature Version 4, at a gate that
 * takes such.
 *
 * filter_authenticate verifies what can be verified by the head alone: all of it where the head has
 * the body's SHA-256. Where it has none, the body must be short, and sent as it is, and is read
 * first. This filter stands behind filter_body and verifies the rest, before anything is read in
 * the body.
 */
#pragma once

#include "common/request/aws_signature.h"
#include "common/request/request.h"

struct signature_state {
    bool is_signed;
    struct aws_claim claim;
};

/* The key that the signature claims, and is verified for as far as the head goes; NULL: none. */
const struct policy_key *signature_key(struct request *rq, struct slice authorization);
