/* ticket — a fixed part, then the ids, each behind its length. */
#include "mcp-gateway/ticket.h"

#include "common/base/digest.h"

#define FORM 1
#define FIXED (1 + MCP_SID_LEN + MCP_PLANE_LEN + MCP_CAPS_LEN + 1 + 8 + 8 + MCP_LABEL_LEN)
#define IDS 4
#define PLAIN_MAX (FIXED + IDS * (1 + MCP_TICKET_ID))
/* the longest text whose sealed bytes could be ours */
#define SEALED_MAX (LIMIT_SEALED_ID / 4 * 3)
#define AAD_MAX 1024

static const struct slice purpose = {"mcp-session", 11};

/* Ids and canonical paths hold no NUL, so one parts them. */
static enum err bind(const struct mcp_bearer *who, char room[static AAD_MAX], struct slice *ret)
{
    const struct slice parts[] = {who->key_id, who->agent_id, who->path};
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].len >= AAD_MAX - len)
            return ERR_TOO_BIG;
        if (parts[i].len)
            memcpy(room + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
        room[len++] = '\0';
    }
    *ret = slice_of(room, len);
    return ERR_OK;
}

static uint8_t *put(uint8_t *p, const void *from, size_t len)
{
    if (len)
        memcpy(p, from, len);
    return p + len;
}

static uint8_t *put_i64(uint8_t *p, int64_t n)
{
    for (int i = 0; i < 8; i++)
        *p++ = (uint8_t)((uint64_t)n >> (56 - 8 * i));
    return p;
}

static int64_t get_i64(const uint8_t *p)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n = n << 8 | p[i];
    return (int64_t)n;
}

static enum err write_plain(const struct mcp_ticket *t, uint8_t out[static PLAIN_MAX], size_t *ret)
{
    const struct slice ids[IDS] = {t->key_id, t->agent_id, t->server_id, t->task_id};
    uint8_t *p = out;
    *p++ = FORM;
    p = put(p, t->sid, sizeof(t->sid));
    p = put(p, t->plane, sizeof(t->plane));
    p = put(p, t->caps, sizeof(t->caps));
    *p++ = t->revision;
    p = put_i64(p, t->born_s);
    p = put_i64(p, t->ends_s);
    p = put(p, t->label, sizeof(t->label));
    for (size_t i = 0; i < IDS; i++) {
        if (ids[i].len > MCP_TICKET_ID)
            return ERR_TOO_BIG;
        *p++ = (uint8_t)ids[i].len;
        p = put(p, ids[i].ptr, ids[i].len);
    }
    *ret = (size_t)(p - out);
    return ERR_OK;
}

enum err mcp_ticket_seal(const struct seal *s, const struct mcp_bearer *who,
                         const struct mcp_ticket *t, char *out, struct slice *ret)
{
    uint8_t plain[PLAIN_MAX], sealed[PLAIN_MAX + SEAL_OVERHEAD];
    char room[AAD_MAX];
    struct slice aad;
    size_t len, sealed_len;
    enum err e = bind(who, room, &aad);
    if (!e)
        e = write_plain(t, plain, &len);
    if (!e && len + SEAL_OVERHEAD > SEALED_MAX)
        e = ERR_TOO_BIG;
    if (!e)
        e = seal_close(s, purpose, who->org_id, aad, slice_of(plain, len), sealed, &sealed_len);
    if (e)
        return e;
    *ret = slice_of(out, digest_base64url(slice_of(sealed, sealed_len), out));
    return ERR_OK;
}

static enum err read_ids(struct mcp_ticket *t, size_t len)
{
    struct slice *const ids[IDS] = {&t->key_id, &t->agent_id, &t->server_id, &t->task_id};
    size_t at = FIXED;
    for (size_t i = 0; i < IDS; i++) {
        size_t n = at < len ? (uint8_t)t->room[at] : SIZE_MAX;
        if (n > MCP_TICKET_ID || at + 1 + n > len)
            return ERR_INVALID;
        *ids[i] = slice_of(t->room + at + 1, n);
        at += 1 + n;
    }
    return at == len ? ERR_OK : ERR_INVALID;
}

static enum err read_plain(struct mcp_ticket *t, size_t len)
{
    const uint8_t *p = (const uint8_t *)t->room;
    if (len < FIXED || *p++ != FORM)
        return ERR_INVALID;
    memcpy(t->sid, p, sizeof(t->sid));
    p += sizeof(t->sid);
    memcpy(t->plane, p, sizeof(t->plane));
    p += sizeof(t->plane);
    memcpy(t->caps, p, sizeof(t->caps));
    p += sizeof(t->caps);
    t->revision = *p++;
    t->born_s = get_i64(p);
    t->ends_s = get_i64(p + 8);
    memcpy(t->label, p + 16, sizeof(t->label));
    return read_ids(t, len);
}

enum err mcp_ticket_open(const struct seal *s, const struct mcp_bearer *who, struct slice text,
                         int64_t now_s, struct mcp_ticket *ret)
{
    uint8_t sealed[SEALED_MAX];
    char room[AAD_MAX];
    struct slice aad;
    size_t sealed_len, len;
    if (text.len > LIMIT_SEALED_ID || bind(who, room, &aad) ||
        digest_unbase64url(text, sealed, sizeof(sealed), &sealed_len))
        return ERR_INVALID;
    if (seal_open(s, purpose, who->org_id, aad, slice_of(sealed, sealed_len), (uint8_t *)ret->room,
                  &len))
        return ERR_INVALID;
    if (read_plain(ret, len) || ret->ends_s <= now_s)
        return ERR_INVALID;
    bool same = slice_eq(ret->key_id, who->key_id) && slice_eq(ret->agent_id, who->agent_id);
    return same ? ERR_OK : ERR_INVALID;
}
