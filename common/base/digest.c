/*
 * digest — SHA-256 and what is built on it.
 *
 * OpenSSL's plain functions: the same code as behind EVP, with the processor's SHA instructions,
 * but EVP takes as long to set a context up as it takes to hash a key. OpenSSL 3 calls them
 * deprecated.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/base/digest.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

static void start(SHA256_CTX *c)
{
    MUST(SHA256_Init(c) == 1);
}

static void feed(SHA256_CTX *c, const void *data, size_t len)
{
    if (len)
        MUST(SHA256_Update(c, data, len) == 1);
}

static void finish(SHA256_CTX *c, struct digest *ret)
{
    MUST(SHA256_Final(ret->bytes, c) == 1);
}

void digest_sha256(struct slice data, struct digest *ret)
{
    SHA256_CTX c;
    start(&c);
    feed(&c, data.ptr, data.len);
    finish(&c, ret);
}

void digest_sha256_pieces(const struct slice *pieces, size_t n, struct digest *ret)
{
    SHA256_CTX c;
    start(&c);
    for (size_t i = 0; i < n; i++)
        feed(&c, pieces[i].ptr, pieces[i].len);
    finish(&c, ret);
}

void digest_sha256_parts(const struct slice *parts, size_t n, struct digest *ret)
{
    SHA256_CTX c;
    start(&c);
    for (size_t i = 0; i < n; i++) {
        uint8_t len[8];
        for (int b = 0; b < 8; b++)
            len[b] = (uint8_t)((uint64_t)parts[i].len >> (8 * b));
        feed(&c, len, sizeof(len));
        feed(&c, parts[i].ptr, parts[i].len);
    }
    finish(&c, ret);
}

/* What is left of a hash once it has taken the key's block, each byte turned by `with`. */
static void take_key(struct slice key, uint8_t with, uint32_t ret[static DIGEST_LEN / 4])
{
    uint8_t block[SHA256_CBLOCK];
    memset(block, with, sizeof(block));
    for (size_t i = 0; i < key.len; i++)
        block[i] ^= (uint8_t)key.ptr[i];
    SHA256_CTX c;
    start(&c);
    feed(&c, block, sizeof(block));
    memcpy(ret, c.h, sizeof(c.h));
    explicit_bzero(block, sizeof(block));
    explicit_bzero(&c, sizeof(c));
}

/* Goes on where take_key ended. */
static void start_keyed(SHA256_CTX *c, const uint32_t taken[static DIGEST_LEN / 4])
{
    start(c);
    memcpy(c->h, taken, sizeof(c->h));
    c->Nl = SHA256_CBLOCK * 8; /* bits so far */
}

/* RFC 2104 */
void digest_hmac_ready(struct slice key, struct digest_hmac_key *ret)
{
    struct digest short_key;
    if (key.len > SHA256_CBLOCK) {
        digest_sha256(key, &short_key);
        key = slice_of(short_key.bytes, DIGEST_LEN);
    }
    take_key(key, 0x36, ret->inner);
    take_key(key, 0x5C, ret->outer);
    explicit_bzero(&short_key, sizeof(short_key));
}

/* over up to three pieces, so that HKDF needs no copy */
static void hmac_pieces(const struct digest_hmac_key *key, const struct slice *pieces, size_t n,
                        struct digest *ret)
{
    struct digest inner;
    SHA256_CTX c;
    start_keyed(&c, key->inner);
    for (size_t i = 0; i < n; i++)
        feed(&c, pieces[i].ptr, pieces[i].len);
    finish(&c, &inner);
    start_keyed(&c, key->outer);
    feed(&c, inner.bytes, DIGEST_LEN);
    finish(&c, ret);
    explicit_bzero(&inner, sizeof(inner));
    explicit_bzero(&c, sizeof(c)); /* a keyed state is as good as the key */
}

void digest_hmac_by(const struct digest_hmac_key *key, struct slice data, struct digest *ret)
{
    hmac_pieces(key, &data, 1, ret);
}

void digest_hmac(struct slice key, struct slice data, struct digest *ret)
{
    struct digest_hmac_key ready;
    digest_hmac_ready(key, &ready);
    digest_hmac_by(&ready, data, ret);
    explicit_bzero(&ready, sizeof(ready));
}

void digest_hkdf(struct slice ikm, struct slice salt, struct slice info, uint8_t *out, size_t len)
{
    MUST(len <= 255 * DIGEST_LEN);
    struct digest prk, block;
    struct digest_hmac_key key;
    digest_hmac(salt, ikm, &prk); /* an absent salt is a key of zeros: HMAC pads it to that */
    digest_hmac_ready(slice_of(prk.bytes, DIGEST_LEN), &key);
    size_t done = 0;
    for (uint8_t counter = 1; done < len; counter++) {
        struct slice pieces[] = {slice_of(block.bytes, counter > 1 ? DIGEST_LEN : 0), info,
                                 slice_of(&counter, 1)};
        hmac_pieces(&key, pieces, 3, &block);
        size_t take = len - done < DIGEST_LEN ? len - done : DIGEST_LEN;
        memcpy(out + done, block.bytes, take);
        done += take;
    }
    OPENSSL_cleanse(&prk, sizeof(prk));
    OPENSSL_cleanse(&key, sizeof(key));
    OPENSSL_cleanse(&block, sizeof(block));
}

bool digest_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

void digest_add(struct digest *sum, const struct digest *part)
{
    unsigned carry = 0;
    for (size_t i = 0; i < DIGEST_LEN; i++) {
        carry += (unsigned)sum->bytes[i] + part->bytes[i];
        sum->bytes[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

void digest_sub(struct digest *sum, const struct digest *part)
{
    unsigned borrow = 0;
    for (size_t i = 0; i < DIGEST_LEN; i++) {
        unsigned value = 256u + sum->bytes[i] - part->bytes[i] - borrow;
        sum->bytes[i] = (uint8_t)value;
        borrow = value < 256;
    }
}
