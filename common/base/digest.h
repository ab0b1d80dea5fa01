/*
 * digest — hashes, random bytes, comparison in constant time, and the encodings of bytes as text.
 *
 * OpenSSL underneath. Random comes from the kernel and never fails (a failure is a bug).
 *
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

#define DIGEST_LEN 32
#define DIGEST_HEX_MAX (2 * DIGEST_LEN + 1)

struct digest {
    uint8_t bytes[DIGEST_LEN];
};

void digest_sha256(struct slice data, struct digest *ret);
/* over the concatenation of n parts, each preceded by its length as 8 bytes little-endian */
void digest_sha256_parts(const struct slice *parts, size_t n, struct digest *ret);
void digest_sha256_pieces(const struct slice *pieces, size_t n, struct digest *ret); /* joined */
void digest_hmac(struct slice key, struct slice data, struct digest *ret); /* HMAC-SHA256 */
/* A key made ready for many texts: of the HMAC of a short one, half is about the key alone. It is
 * as good as the key, and to be kept like one. */
struct digest_hmac_key {
    uint32_t inner[DIGEST_LEN / 4], outer[DIGEST_LEN / 4];
};
void digest_hmac_ready(struct slice key, struct digest_hmac_key *ret);
void digest_hmac_by(const struct digest_hmac_key *key, struct slice data, struct digest *ret);
/* HKDF-SHA256 (RFC 5869); len <= 255 * 32 */
void digest_hkdf(struct slice ikm, struct slice salt, struct slice info, uint8_t *out, size_t len);
bool digest_equal(struct slice a, struct slice b); /* constant time for equal lengths */
/* sum modulo 2^256, little-endian: the running digest of a whole policy */
void digest_add(struct digest *sum, const struct digest *part);
void digest_sub(struct digest *sum, const struct digest *part);

void digest_random(void *out, size_t len);

/* Encoders write a NUL behind; out must hold the given size. Decoders: ERR_INVALID on any other
 * character, on wrong padding bits, or where out is too small. */
size_t digest_hex(struct slice in, char *out); /* 2*len+1 */
MUST_USE enum err digest_unhex(struct slice in, uint8_t *out, size_t cap, size_t *ret_len);
/* RFC 4648, section 4, padded; out: 4*((len+2)/3)+1 */
size_t digest_base64(struct slice in, char *out);
MUST_USE enum err digest_unbase64(struct slice in, uint8_t *out, size_t cap, size_t *ret_len);
size_t digest_base64url(struct slice in, char *out); /* 4*((len+2)/3)+1, unpadded */
MUST_USE enum err digest_unbase64url(struct slice in, uint8_t *out, size_t cap, size_t *ret_len);
/* the first `chars` base62 characters [0-9A-Za-z] of in, read as one big-endian number modulo
 * 62^chars; writes chars+1 */
void digest_base62(struct slice in, size_t chars, char *out);
