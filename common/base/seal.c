/*
 * seal — AES-256-GCM with a key of its own for each purpose, scope and day.
 */
#include "common/base/seal.h"

#include <openssl/evp.h>
#include <pthread.h>

#include "common/base/civil.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/secret.h"

#define FORMAT 1
#define DAY_AT 1
#define NONCE_AT 5
#define NONCE_LEN 12
#define TEXT_AT (NONCE_AT + NONCE_LEN)
#define TAG_LEN 16
#define KEY_LEN 32

struct seal {
    struct secret *master;
};

static EVP_CIPHER *gcm;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    MUST(gcm);
}

struct seal *seal_new(struct slice master)
{
    if (master.len != SEAL_MASTER_LEN)
        return NULL;
    struct seal *s = mem_zalloc(sizeof(*s));
    if (!s)
        return NULL;
    s->master = secret_new(master);
    if (!s->master) {
        mem_free(s);
        return NULL;
    }
    pthread_once(&once, prepare);
    return s;
}

void seal_free(struct seal *s)
{
    if (!s)
        return;
    secret_drop(s->master);
    mem_free(s);
}

/* What is authenticated beside the text: the head, and digests of fixed length, so that no two
 * lists of parts look alike. */
static void describe(struct slice purpose, struct slice scope, struct slice aad,
                     const uint8_t head[static NONCE_AT], struct digest *ret)
{
    struct slice parts[] = {SLICE("gatehouse seal 1"), slice_of(head, NONCE_AT), purpose, scope,
                            aad};
    digest_sha256_parts(parts, ARRAY_LEN(parts), ret);
}

static void derive(const struct seal *s, struct slice purpose, struct slice scope,
                   const uint8_t head[static NONCE_AT], uint8_t key[static KEY_LEN])
{
    struct digest info;
    describe(purpose, scope, SLICE_NONE, head, &info);
    digest_hkdf(secret_reveal(s->master), SLICE("gatehouse seal key"),
                slice_of(info.bytes, DIGEST_LEN), key, KEY_LEN);
}

enum way { OPEN, CLOSE };

/* one run of the cipher over the text; the tag is written when closing, checked when opening */
static bool run(enum way way, const uint8_t *key, const uint8_t *nonce, const struct digest *aad,
                struct slice in, uint8_t *out, uint8_t *tag)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int len = 0;
    bool ok =
        c && in.len <= INT32_MAX && EVP_CipherInit_ex2(c, gcm, key, nonce, way, NULL) == 1 &&
        EVP_CipherUpdate(c, NULL, &len, aad->bytes, DIGEST_LEN) == 1 &&
        (in.len == 0 || EVP_CipherUpdate(c, out, &len, (const uint8_t *)in.ptr, (int)in.len) == 1);
    if (ok && way == OPEN)
        ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1;
    uint8_t none[1];
    ok = ok && EVP_CipherFinal_ex(c, in.len ? out + in.len : none, &len) == 1;
    if (ok && way == CLOSE)
        ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok;
}

static void write_head(uint8_t *out)
{
    uint32_t day = (uint32_t)civil_day_of(clock_wall_us());
    out[0] = FORMAT;
    for (int i = 0; i < 4; i++)
        out[DAY_AT + i] = (uint8_t)(day >> (24 - 8 * i));
}

enum err seal_close(const struct seal *s, struct slice purpose, struct slice scope,
                    struct slice aad, struct slice plain, uint8_t *out, size_t *ret_len)
{
    uint8_t key[KEY_LEN];
    struct digest about;
    write_head(out);
    digest_random(out + NONCE_AT, NONCE_LEN);
    derive(s, purpose, scope, out, key);
    describe(purpose, scope, aad, out, &about);
    bool ok =
        run(CLOSE, key, out + NONCE_AT, &about, plain, out + TEXT_AT, out + TEXT_AT + plain.len);
    secret_wipe(key, sizeof(key));
    if (!ok)
        return ERR_NOMEM;
    *ret_len = plain.len + SEAL_OVERHEAD;
    return ERR_OK;
}

enum err seal_open(const struct seal *s, struct slice purpose, struct slice scope, struct slice aad,
                   struct slice sealed, uint8_t *out, size_t *ret_len)
{
    if (sealed.len < SEAL_OVERHEAD || sealed.ptr[0] != FORMAT)
        return ERR_INVALID;
    const uint8_t *in = (const uint8_t *)sealed.ptr;
    size_t len = sealed.len - SEAL_OVERHEAD;
    uint8_t key[KEY_LEN], tag[TAG_LEN];
    struct digest about;
    derive(s, purpose, scope, in, key);
    describe(purpose, scope, aad, in, &about);
    memcpy(tag, in + TEXT_AT + len, TAG_LEN);
    bool ok = run(OPEN, key, in + NONCE_AT, &about, slice_of(in + TEXT_AT, len), out, tag);
    secret_wipe(key, sizeof(key));
    if (!ok) {
        /* GCM decrypts before it checks the tag: what fails must not be used */
        secret_wipe(out, len);
        return ERR_INVALID;
    }
    *ret_len = len;
    return ERR_OK;
}
