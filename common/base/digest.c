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

/* The bytes of the key, each turned by `with`; a key is at most a block long. */
static void start_keyed(SHA256_CTX *c, struct slice key, uint8_t with)
{
    uint8_t block[SHA256_CBLOCK];
    memset(block, with, sizeof(block));
    for (size_t i = 0; i < key.len; i++)
        block[i] ^= (uint8_t)key.ptr[i];
    start(c);
    feed(c, block, sizeof(block));
    explicit_bzero(block, sizeof(block));
}

/* RFC 2104 over up to three pieces, so that HKDF needs no copy */
static void hmac_pieces(struct slice key, const struct slice *pieces, size_t n, struct digest *ret)
{
    struct digest short_key, inner;
    if (key.len > SHA256_CBLOCK) {
        digest_sha256(key, &short_key);
        key = slice_of(short_key.bytes, DIGEST_LEN);
    }
    SHA256_CTX c;
    start_keyed(&c, key, 0x36);
    for (size_t i = 0; i < n; i++)
        feed(&c, pieces[i].ptr, pieces[i].len);
    finish(&c, &inner);
    start_keyed(&c, key, 0x5C);
    feed(&c, inner.bytes, DIGEST_LEN);
    finish(&c, ret);
    explicit_bzero(&short_key, sizeof(short_key));
    explicit_bzero(&inner, sizeof(inner));
    explicit_bzero(&c, sizeof(c)); /* a keyed state is as good as the key */
}

void digest_hmac(struct slice key, struct slice data, struct digest *ret)
{
    hmac_pieces(key, &data, 1, ret);
}

void digest_hkdf(struct slice ikm, struct slice salt, struct slice info, uint8_t *out, size_t len)
{
    MUST(len <= 255 * DIGEST_LEN);
    struct digest prk, block;
    digest_hmac(salt, ikm, &prk); /* an absent salt is a key of zeros: HMAC pads it to that */
    size_t done = 0;
    for (uint8_t counter = 1; done < len; counter++) {
        struct slice pieces[] = {slice_of(block.bytes, counter > 1 ? DIGEST_LEN : 0), info,
                                 slice_of(&counter, 1)};
        hmac_pieces(slice_of(prk.bytes, DIGEST_LEN), pieces, 3, &block);
        size_t take = len - done < DIGEST_LEN ? len - done : DIGEST_LEN;
        memcpy(out + done, block.bytes, take);
        done += take;
    }
    OPENSSL_cleanse(&prk, sizeof(prk));
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
