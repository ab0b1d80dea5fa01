/* filter_signature — the claim in the head, and the body that it is about. */
#include "common/request/filter_signature.h"

#include "common/base/clock.h"
#include "common/request/request_private.h"
#include "common/wire/keyprint.h"

#define UNSAID_BODY_MAX (8 * 1024 * 1024) /* of a body whose SHA-256 the head does not have */

static bool is_true(const struct request *rq, const struct policy_key *key,
                    const struct signature_state *s, struct slice body)
{
    char secret[KEYPRINT_AWS_SECRET_LEN + 1];
    struct slice installation = snapshot_key_hmac(rq->policy);
    if (!installation.len)
        return false;
    keyprint_aws_secret(installation, &key->digest, secret);
    bool good =
        aws_claim_is_true(&s->claim, rq->head, body, slice_of(secret, KEYPRINT_AWS_SECRET_LEN));
    secret_wipe(secret, sizeof(secret));
    return good;
}

/* As it is sent, and as it lies in memory: nothing is unpacked before the sender is known. */
static bool is_short(const struct http_head *h)
{
    return !h->chunked && (!h->has_length || h->length <= UNSAID_BODY_MAX) &&
           !http_head_find(h, SLICE("content-encoding")).ptr;
}

const struct policy_key *signature_key(struct request *rq, struct slice authorization)
{
    struct signature_state *s = filter_state(rq, &filter_signature);
    if (!s || aws_claim_read(rq->head, authorization, clock_wall_us(), &s->claim))
        return NULL;
    const struct policy_key *key = snapshot_key(rq->policy, s->claim.key_id);
    struct slice body = s->claim.body;
    if (!key || (body.len ? !is_true(rq, key, s, body) : !is_short(rq->head)))
        return NULL;
    s->is_signed = true;
    return key;
}

static enum filter_result on_request(struct request *rq)
{
    const struct signature_state *s = filter_state(rq, &filter_signature);
    char hex[DIGEST_HEX_MAX];
    struct digest d;
    if (!s->is_signed)
        return FILTER_PASS;
    digest_sha256(buf_slice(&rq->body), &d);
    digest_hex(slice_of(d.bytes, DIGEST_LEN), hex);
    struct slice body = slice_str(hex);
    bool good =
        s->claim.body.len ? digest_equal(s->claim.body, body) : is_true(rq, rq->who.key, s, body);
    if (good)
        return FILTER_PASS;
    request_refuse(rq, REFUSAL_BAD_CREDENTIAL, SLICE_NONE);
    return FILTER_REFUSE;
}

const struct filter filter_signature = {.name = "signature",
                                        .slot = FILTER_SIGNATURE,
                                        .state_size = sizeof(struct signature_state),
                                        .on_request = on_request};
