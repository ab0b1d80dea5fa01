/* keyprint — drawing keys without bias, and finding typing errors without a database. */
#include "common/wire/keyprint.h"

#include "common/base/secret.h"

#define PREFIX "gh-"
#define PREFIX_LEN 3
#define RANDOM_LEN 43  /* log2(62^43) = 256.03 bits */
#define CHECKSUM_LEN 6 /* one typing error in 5.7e10 goes unseen */
#define BODY_LEN (KEYPRINT_KEY_LEN - CHECKSUM_LEN)
#define SECRET_AT (PREFIX_LEN + KEYPRINT_PUBLIC_LEN + 1)

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
#define PUBLIC_LETTERS 36 /* the alphabet's first: no capitals in what people read aloud */
#define SECRET_LETTERS 62

/* A byte is used only below the largest multiple of `letters`: every letter is equally likely. */
static void draw(char *out, size_t len, unsigned letters)
{
    unsigned limit = 256 - 256 % letters;
    uint8_t random[64];
    for (size_t done = 0; done < len;) {
        digest_random(random, sizeof(random));
        for (size_t i = 0; i < sizeof(random) && done < len; i++)
            if (random[i] < limit)
                out[done++] = alphabet[random[i] % letters];
    }
    explicit_bzero(random, sizeof(random));
}

static void checksum(struct slice body, char out[static CHECKSUM_LEN + 1])
{
    struct digest d;
    digest_sha256(body, &d);
    digest_base62(slice_of(d.bytes, sizeof(d.bytes)), CHECKSUM_LEN, out);
}

void keyprint_make(char out[static KEYPRINT_KEY_LEN + 1])
{
    memcpy(out, PREFIX, PREFIX_LEN);
    draw(out + PREFIX_LEN, KEYPRINT_PUBLIC_LEN, PUBLIC_LETTERS);
    out[SECRET_AT - 1] = '-';
    draw(out + SECRET_AT, RANDOM_LEN, SECRET_LETTERS);
    checksum(slice_of(out, BODY_LEN), out + BODY_LEN);
}

static bool is_public_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_secret_letter(char c)
{
    return is_public_letter(c) || (c >= 'A' && c <= 'Z');
}

static bool has_shape(struct slice text)
{
    if (text.len != KEYPRINT_KEY_LEN || !slice_starts(text, SLICE(PREFIX)) ||
        text.ptr[SECRET_AT - 1] != '-')
        return false;
    for (size_t i = PREFIX_LEN; i < SECRET_AT - 1; i++)
        if (!is_public_letter(text.ptr[i]))
            return false;
    for (size_t i = SECRET_AT; i < KEYPRINT_KEY_LEN; i++)
        if (!is_secret_letter(text.ptr[i]))
            return false;
    return true;
}

bool keyprint_is_ours(struct slice text)
{
    if (!has_shape(text))
        return false;
    char expected[CHECKSUM_LEN + 1];
    checksum(slice_first(text, BODY_LEN), expected);
    return memcmp(expected, text.ptr + BODY_LEN, CHECKSUM_LEN) == 0;
}

struct slice keyprint_public_part(struct slice key)
{
    MUST(keyprint_is_ours(key));
    return slice_of(key.ptr + PREFIX_LEN, KEYPRINT_PUBLIC_LEN);
}

void keyprint_hmac(struct slice installation_key, struct slice key, struct digest *ret)
{
    digest_hmac(installation_key, key, ret);
}

void keyprint_hmac_by(const struct digest_hmac_key *installation_key, struct slice key,
                      struct digest *ret)
{
    digest_hmac_by(installation_key, key, ret);
}

void keyprint_sha256(struct slice key, struct digest *ret)
{
    digest_sha256(key, ret);
}

void keyprint_aws_secret(struct slice installation_key, const struct digest *digest,
                         char out[static KEYPRINT_AWS_SECRET_LEN + 1])
{
    char text[4 * ((DIGEST_LEN + 2) / 3) + 1];
    struct digest own, secret;
    digest_hmac(installation_key, SLICE("secret access keys of virtual keys"), &own);
    digest_hmac(slice_of(own.bytes, DIGEST_LEN), slice_of(digest->bytes, DIGEST_LEN), &secret);
    digest_base64url(slice_of(secret.bytes, DIGEST_LEN), text);
    memcpy(out, text, KEYPRINT_AWS_SECRET_LEN + 1);
    secret_wipe(&own, sizeof(own));
    secret_wipe(&secret, sizeof(secret));
    secret_wipe(text, sizeof(text));
}
