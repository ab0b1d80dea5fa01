/* session_id — a fixed part, then texts, each behind its length. */
#include "mcp-gateway/session_id.h"

#include "common/base/digest.h"

#define FORM 2 /* form 1 named the plane that opened the session, and was good there only */
#define FIXED (1 + MCP_SID_LEN + 1 + 4 + 8 + 8 + MCP_LABEL_LEN + 8 + 1)
#define REQUIRED 2 /* server and task */
#define TEXTS 5
#define UPSTREAM 2 /* the upstream session's id */
/* the longest text whose sealed bytes could be ours */
#define SEALED_MAX (LIMIT_SEALED_ID / 4 * 3)
#define PLAIN_MAX (SEALED_MAX - SEAL_OVERHEAD)
#define AAD_MAX 1024

static const struct slice purpose = {"mcp-session", 11};

/* Ids and canonical paths hold no NUL, so one parts them. */
static enum err bind(const struct mcp_bearer *bearer, char out[static AAD_MAX], struct slice *ret)
{
    const struct slice parts[] = {bearer->key_id, bearer->agent_id, bearer->path};
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].len >= AAD_MAX - len)
            return ERR_TOO_BIG;
        if (parts[i].len)
            memcpy(out + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
        out[len++] = '\0';
    }
    *ret = slice_of(out, len);
    return ERR_OK;
}

static uint8_t *put(uint8_t *p, const void *from, size_t len)
{
    if (len)
        memcpy(p, from, len);
    return p + len;
}

static uint8_t *put_number(uint8_t *p, uint64_t n, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        *p++ = (uint8_t)(n >> (8 * i));
    return p;
}

static uint64_t get_number(const uint8_t *p, int bytes)
{
    uint64_t n = 0;
    for (int i = 0; i < bytes; i++)
        n = n << 8 | p[i];
    return n;
}

/* A text of what is optional is left out where it does not fit, and so is none of the required. */
static enum err write_plain(const struct mcp_session_id *id, uint8_t out[static PLAIN_MAX],
                            size_t *ret)
{
    const struct slice texts[TEXTS] = {id->server_id, id->task_id, id->upstream_id,
                                       id->capabilities, id->client_info};
    uint8_t *p = out;
    *p++ = FORM;
    p = put(p, id->sid, sizeof(id->sid));
    *p++ = id->revision;
    p = put_number(p, id->declared, 4);
    p = put_number(p, (uint64_t)id->born_s, 8);
    p = put_number(p, (uint64_t)id->ends_s, 8);
    p = put(p, id->label, sizeof(id->label));
    p = put_number(p, id->server_revision, 8);
    uint8_t *upstream_revision = p++;
    *upstream_revision = id->upstream_revision;
    for (size_t i = 0; i < TEXTS; i++) {
        size_t left = PLAIN_MAX - (size_t)(p - out) - (TEXTS - i);
        bool fits = i < REQUIRED ? texts[i].len <= MCP_POLICY_ID
                                 : texts[i].len <= left && texts[i].len <= UINT8_MAX;
        if (!fits && i < REQUIRED)
            return ERR_TOO_BIG;
        if (!fits && i == UPSTREAM)
            *upstream_revision = MCP_NO_UPSTREAM;
        *p++ = fits ? (uint8_t)texts[i].len : 0;
        if (fits)
            p = put(p, texts[i].ptr, texts[i].len);
    }
    *ret = (size_t)(p - out);
    return ERR_OK;
}

enum err mcp_session_id_seal(const struct seal *s, const struct mcp_bearer *bearer,
                             const struct mcp_session_id *id, char *out, struct slice *ret)
{
    uint8_t plain[PLAIN_MAX], sealed[PLAIN_MAX + SEAL_OVERHEAD];
    char parts[AAD_MAX];
    struct slice aad;
    size_t len, sealed_len;
    enum err e = bind(bearer, parts, &aad);
    if (!e)
        e = write_plain(id, plain, &len);
    if (!e)
        e = seal_close(s, purpose, bearer->org_id, aad, slice_of(plain, len), sealed, &sealed_len);
    if (e)
        return e;
    *ret = slice_of(out, digest_base64url(slice_of(sealed, sealed_len), out));
    return ERR_OK;
}

static enum err read_texts(struct mcp_session_id *id, size_t len)
{
    struct slice *const texts[TEXTS] = {&id->server_id, &id->task_id, &id->upstream_id,
                                        &id->capabilities, &id->client_info};
    size_t at = FIXED;
    for (size_t i = 0; i < TEXTS; i++) {
        size_t n = at < len ? (uint8_t)id->storage[at] : SIZE_MAX;
        if (n == SIZE_MAX || n > len - at - 1)
            return ERR_INVALID;
        *texts[i] = slice_of(id->storage + at + 1, n);
        at += 1 + n;
    }
    return at == len ? ERR_OK : ERR_INVALID;
}

static enum err read_plain(struct mcp_session_id *id, size_t len)
{
    const uint8_t *p = (const uint8_t *)id->storage;
    if (len < FIXED || *p++ != FORM)
        return ERR_INVALID;
    memcpy(id->sid, p, sizeof(id->sid));
    p += sizeof(id->sid);
    id->revision = *p++;
    id->declared = (uint32_t)get_number(p, 4);
    id->born_s = (int64_t)get_number(p + 4, 8);
    id->ends_s = (int64_t)get_number(p + 12, 8);
    memcpy(id->label, p + 20, sizeof(id->label));
    id->server_revision = get_number(p + 20 + MCP_LABEL_LEN, 8);
    id->upstream_revision = p[28 + MCP_LABEL_LEN];
    return read_texts(id, len);
}

enum err mcp_session_id_open(const struct seal *s, const struct mcp_bearer *bearer,
                             struct slice text, int64_t now_s, struct mcp_session_id *ret)
{
    uint8_t sealed[SEALED_MAX];
    char parts[AAD_MAX];
    struct slice aad;
    size_t sealed_len, len;
    if (text.len > LIMIT_SEALED_ID || bind(bearer, parts, &aad) ||
        digest_unbase64url(text, sealed, sizeof(sealed), &sealed_len))
        return ERR_INVALID;
    if (seal_open(s, purpose, bearer->org_id, aad, slice_of(sealed, sealed_len),
                  (uint8_t *)ret->storage, &len))
        return ERR_INVALID;
    return read_plain(ret, len) || ret->ends_s <= now_s ? ERR_INVALID : ERR_OK;
}
