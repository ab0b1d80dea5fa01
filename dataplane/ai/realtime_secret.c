/*
 * realtime_secret — sealed, opened, and put in the place of a provider's.
 */
#include "dataplane/ai/realtime_secret.h"

#include "common/base/json_scan.h"
#include "common/base/seal.h"
#include "common/base/secret.h"

#define FORM 1
#define TEXTS 3
#define PLAIN_MAX (REALTIME_SECRET_MAX / 4 * 3 - SEAL_OVERHEAD - 8)
#define SEALED_MAX (REALTIME_SECRET_MAX / 4 * 3)
#define NUMBER 8
#define FIXED (1 + AI_ACCOUNT_LEN + NUMBER + DIGEST_LEN)

static const struct slice sign = {"ek_gh", 5};
static const struct slice purpose = {"realtime client secret", 22};

bool realtime_secret_is_ours(struct slice text)
{
    return text.len > sign.len && text.len <= REALTIME_SECRET_MAX && slice_starts(text, sign);
}

static uint8_t *put(uint8_t *to, const void *from, size_t len)
{
    memcpy(to, from, len);
    return to + len;
}

static enum err write_plain(const struct realtime_secret *s, uint8_t out[static PLAIN_MAX],
                            size_t *ret)
{
    const struct slice texts[TEXTS] = {s->key_id, s->model, s->upstream};
    size_t len = FIXED;
    for (size_t i = 0; i < TEXTS; i++) {
        len += 1 + texts[i].len;
        if (!texts[i].len || texts[i].len > UINT8_MAX || len > PLAIN_MAX)
            return ERR_TOO_BIG;
    }
    uint8_t *p = out;
    *p++ = FORM;
    p = put(p, s->account.text, AI_ACCOUNT_LEN);
    for (int shift = 56; shift >= 0; shift -= 8)
        *p++ = (uint8_t)((uint64_t)s->expires_at_s >> shift);
    p = put(p, s->key_digest.bytes, DIGEST_LEN);
    for (size_t i = 0; i < TEXTS; i++) {
        *p++ = (uint8_t)texts[i].len;
        p = put(p, texts[i].ptr, texts[i].len);
    }
    *ret = (size_t)(p - out);
    return ERR_OK;
}

/* The installation's master, for as long as one secret takes. NULL: there is none yet. */
static struct seal *seal_of(const struct snapshot *policy)
{
    struct slice master = snapshot_session_seal(policy);
    return master.len ? seal_new(master) : NULL;
}

enum err realtime_secret_seal(const struct snapshot *policy, const struct realtime_secret *s,
                              char out[static REALTIME_SECRET_MAX], struct slice *ret)
{
    uint8_t plain[PLAIN_MAX], sealed[PLAIN_MAX + SEAL_OVERHEAD];
    size_t len, sealed_len;
    struct seal *seal = seal_of(policy);
    enum err e = seal ? write_plain(s, plain, &len) : ERR_NOMEM;
    if (!e)
        e = seal_close(seal, purpose, SLICE(""), SLICE(""), slice_of(plain, len), sealed,
                       &sealed_len);
    seal_free(seal);
    secret_wipe(plain, sizeof(plain));
    if (e)
        return e;
    char *to = slice_put(out, sign);
    *ret = slice_of(out, sign.len + digest_base64url(slice_of(sealed, sealed_len), to));
    return ERR_OK;
}

static enum err read_plain(struct realtime_secret *s, size_t len)
{
    struct slice *const texts[TEXTS] = {&s->key_id, &s->model, &s->upstream};
    const uint8_t *p = (const uint8_t *)s->storage;
    size_t at = FIXED;
    uint64_t end = 0;
    if (len < at || p[0] != FORM)
        return ERR_INVALID;
    memcpy(s->account.text, p + 1, AI_ACCOUNT_LEN);
    s->account.text[AI_ACCOUNT_LEN] = '\0';
    for (size_t i = 0; i < NUMBER; i++)
        end = end << 8 | p[1 + AI_ACCOUNT_LEN + i];
    s->expires_at_s = (int64_t)end;
    memcpy(s->key_digest.bytes, p + FIXED - DIGEST_LEN, DIGEST_LEN);
    for (size_t i = 0; i < TEXTS; i++) {
        size_t n = at < len ? p[at] : SIZE_MAX;
        if (n == SIZE_MAX || n > len - at - 1)
            return ERR_INVALID;
        *texts[i] = slice_of(s->storage + at + 1, n);
        at += 1 + n;
    }
    return at == len ? ERR_OK : ERR_INVALID;
}

enum err realtime_secret_open(const struct snapshot *policy, struct slice text, int64_t now_s,
                              struct realtime_secret *ret)
{
    uint8_t sealed[SEALED_MAX];
    size_t sealed_len, len;
    if (!realtime_secret_is_ours(text) ||
        digest_unbase64url(slice_from(text, sign.len), sealed, sizeof(sealed), &sealed_len) ||
        sealed_len <= SEAL_OVERHEAD)
        return ERR_INVALID;
    struct seal *seal = seal_of(policy);
    enum err e = seal ? seal_open(seal, purpose, SLICE(""), SLICE(""), slice_of(sealed, sealed_len),
                                  (uint8_t *)ret->storage, &len)
                      : ERR_INVALID;
    seal_free(seal);
    if (e)
        return ERR_INVALID;
    return read_plain(ret, len) || ret->expires_at_s <= now_s ? ERR_INVALID : ERR_OK;
}

/* ---- a provider's response ---- */

enum { VALUE, VALUE_BEFORE, VALUE_INSIDE, END, END_BEFORE, HITS };

static const char *const wants[HITS] = {
    [VALUE] = "value",
    [VALUE_BEFORE] = "client_secret.value",
    [VALUE_INSIDE] = "session.client_secret.value",
    [END] = "expires_at",
    [END_BEFORE] = "client_secret.expires_at",
};

static enum err read_response(struct slice body, struct json_hit hits[static HITS],
                              struct realtime_secret *s)
{
    struct json_scan_problem problem;
    enum json_type root;
    uint64_t end;
    if (json_scan_response(body, wants, HITS, hits, &root, &problem))
        return ERR_PROTOCOL;
    bool final = hits[VALUE].type == JSON_SCAN_STRING;
    const struct json_hit *value = &hits[final ? VALUE : VALUE_BEFORE];
    if (value->raw.len > UINT8_MAX ||
        json_scan_text(value, s->storage, sizeof(s->storage), &s->upstream) ||
        json_scan_u64(&hits[final ? END : END_BEFORE], &end) || end > INT64_MAX)
        return ERR_PROTOCOL;
    s->expires_at_s = (int64_t)end;
    /* written with escapes it would not be found again */
    for (size_t i = VALUE; i <= VALUE_INSIDE; i++)
        if (hits[i].type == JSON_SCAN_STRING && hits[i].raw.len != s->upstream.len + 2)
            return ERR_PROTOCOL;
    return s->upstream.len >= 8 ? ERR_OK : ERR_PROTOCOL;
}

enum err realtime_secret_replace(const struct snapshot *policy, struct realtime_secret *s,
                                 struct slice body, struct buf *out)
{
    char ours[REALTIME_SECRET_MAX];
    struct json_hit hits[HITS];
    struct slice sealed, rest = body;
    enum err e = read_response(body, hits, s);
    if (!e)
        e = realtime_secret_seal(policy, s, ours, &sealed);
    /* wherever it stands, the provider's own does not go on */
    for (ptrdiff_t at; !e && (at = slice_search(rest, s->upstream)) >= 0;) {
        e = buf_append(out, slice_first(rest, (size_t)at));
        if (!e)
            e = buf_append(out, sealed);
        rest = slice_from(rest, (size_t)at + s->upstream.len);
    }
    return e ? e : buf_append(out, rest);
}
