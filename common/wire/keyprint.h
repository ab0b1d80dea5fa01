/*
 * keyprint — how a virtual key is made, checked for typing errors, and turned into the digest
 * that both planes compare.
 *
 * `gh-` + 12 of [a-z0-9] (public part) + `-` + 43 random of [A-Za-z0-9] + 6 checksum characters
 * over all before them. Stored is HMAC-SHA256(installation key, whole key); imported keys may be
 * plain SHA-256 of the key.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/digest.h"
#include "common/base/slice.h"

#define KEYPRINT_PUBLIC_LEN 12
#define KEYPRINT_KEY_LEN (3 + 12 + 1 + 49)

void keyprint_make(char out[static KEYPRINT_KEY_LEN + 1]);
bool keyprint_is_ours(struct slice text);            /* shape and checksum */
struct slice keyprint_public_part(struct slice key); /* MUST be a key of Gatehouse */
void keyprint_hmac(struct slice installation_key, struct slice key, struct digest *ret);
void keyprint_hmac_by(const struct digest_hmac_key *installation_key, struct slice key,
                      struct digest *ret);
void keyprint_sha256(struct slice key, struct digest *ret);

/* The secret access key of a virtual key, with which clients of AWS's APIs sign; it goes with the
 * digest, so another text of the key has another. The access key id is the key's own id. */
#define KEYPRINT_AWS_SECRET_LEN 43
void keyprint_aws_secret(struct slice installation_key, const struct digest *digest,
                         char out[static KEYPRINT_AWS_SECRET_LEN + 1]);
