/*
 * digest — SHA-256 and what is built on it.
 *
 * The algorithm is fetched once and each thread keeps one context, because OpenSSL 3 takes
 * longer to look an algorithm up and to allocate than to hash a key.
 */
#include "common/base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

#define SHA256_BLOCK 64

static EVP_MD *sha256;
static pthread_key_t context_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local EVP_MD_CTX *own_context;

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static void prepare(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    MUST(sha256);
    MUST(pthread_key_create(&context_key, free_context) == 0);
}

static EVP_MD_CTX *start(void)
{
    if (!own_context) {
        pthread_once(&once, prepare);
        own_context = EVP_MD_CTX_new();
        MUST(own_context);
        MUST(pthread_setspecific(context_key, own_context) == 0);
    }
    MUST(EVP_DigestInit_ex2(own_context, sha256, NULL) == 1);
    return own_context;
}

static void feed(EVP_MD_CTX *c, const void *data, size_t len)
{
    if (len)
        MUST(EVP_DigestUpdate(c, data, len) == 1);
}

static void finish(EVP_MD_CTX *c, struct digest *ret)
{
    unsigned len = 0;
    MUST(EVP_DigestFinal_ex(c, ret->bytes, &len) == 1 && len == DIGEST_LEN);
}

void digest_sha256(struct slice data, struct digest *ret)
{
    EVP_MD_CTX *c = start();
    feed(c, data.ptr, data.len);
    finish(c, ret);
}

void digest_sha256_parts(const struct slice *parts, size_t n, struct digest *ret)
{
    EVP_MD_CTX *c = start();
    for (size_t i = 0; i < n; i++) {
        uint8_t len[8];
        for (int b = 0; b < 8; b++)
            len[b] = (uint8_t)((uint64_t)parts[i].len >> (8 * b));
        feed(c, len, sizeof(len));
        feed(c, parts[i].ptr, parts[i].len);
    }
    finish(c, ret);
}

/* RFC 2104 over up to three pieces, so that HKDF needs no copy */
static void hmac_pieces(struct slice key, const struct slice *pieces, size_t n, struct digest *ret)
{
    uint8_t block[SHA256_BLOCK] = {0};
    struct digest inner;
    if (key.len > sizeof(block)) {
        digest_sha256(key, &inner);
        memcpy(block, inner.bytes, DIGEST_LEN);
    } else if (key.len) {
        memcpy(block, key.ptr, key.len);
    }
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36;
    EVP_MD_CTX *c = start();
    feed(c, block, sizeof(block));
    for (size_t i = 0; i < n; i++)
        feed(c, pieces[i].ptr, pieces[i].len);
    finish(c, &inner);

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36 ^ 0x5C;
    c = start();
    feed(c, block, sizeof(block));
    feed(c, inner.bytes, DIGEST_LEN);
    finish(c, ret);
    OPENSSL_cleanse(block, sizeof(block));
    OPENSSL_cleanse(&inner, sizeof(inner));
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
