/* question_id — both ids, a space between them. */
#include "mcp-gateway/question_id.h"

#include "common/base/digest.h"

static const struct slice purpose = {"mcp-question", 12};

enum err question_id_seal(const struct seal *s, const struct question_place *at,
                          struct slice original, struct slice upstream_id, char *out,
                          struct slice *ret)
{
    char plain[QUESTION_ID_PLAIN];
    uint8_t sealed[QUESTION_ID_SEALED];
    size_t len = original.len + 1 + upstream_id.len, sealed_len;
    if (original.len >= sizeof(plain) || len > sizeof(plain) || slice_find(upstream_id, ' ') >= 0)
        return ERR_TOO_BIG;
    if (original.len)
        memcpy(plain, original.ptr, original.len);
    plain[original.len] = ' ';
    if (upstream_id.len)
        memcpy(plain + original.len + 1, upstream_id.ptr, upstream_id.len);
    enum err e =
        seal_close(s, purpose, at->org_id, at->sid, slice_of(plain, len), sealed, &sealed_len);
    if (!e)
        *ret = slice_of(out, digest_base64url(slice_of(sealed, sealed_len), out));
    return e;
}

enum err question_id_open(const struct seal *s, const struct question_place *at, struct slice text,
                          char *plain, struct slice *original, struct slice *upstream_id)
{
    uint8_t sealed[QUESTION_ID_SEALED];
    size_t sealed_len, len;
    if (digest_unbase64url(text, sealed, sizeof(sealed), &sealed_len) ||
        sealed_len < SEAL_OVERHEAD ||
        seal_open(s, purpose, at->org_id, at->sid, slice_of(sealed, sealed_len), (uint8_t *)plain,
                  &len))
        return ERR_INVALID;
    /* an upstream's session id has no space; the id before it may have some */
    size_t space = len;
    while (space > 0 && plain[space - 1] != ' ')
        space--;
    if (space == 0)
        return ERR_INVALID;
    *original = slice_of(plain, space - 1);
    *upstream_id = slice_of(plain + space, len - space);
    return ERR_OK;
}
