/*
 * provider — the table, and what building a request has in common.
 */
#include "dataplane/ai/provider/provider.h"

#include "common/base/secret.h"

static const struct ai_provider *const providers[] = {
    &provider_openai,
};

const struct ai_provider *ai_provider_named(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(providers); i++)
        if (slice_eq(providers[i]->name, name))
            return providers[i];
    return NULL;
}

void ai_outgoing_add(struct ai_outgoing *o, struct slice name, struct slice value)
{
    MUST(o->header_count < AI_SEND_HEADERS);
    o->headers[o->header_count++] = (struct http_header){name, value};
}

enum err ai_outgoing_sign(struct ai_outgoing *o, struct slice name, struct slice scheme)
{
    if (!o->credential)
        return ERR_OK;
    struct slice s = secret_reveal(o->credential);
    if (scheme.len + s.len > sizeof(o->secret))
        return ERR_TOO_BIG;
    slice_put(slice_put(o->secret, scheme), s);
    o->secret_len = scheme.len + s.len;
    ai_outgoing_add(o, name, slice_of(o->secret, o->secret_len));
    return ERR_OK;
}

enum err ai_outgoing_path(struct ai_outgoing *o, struct slice rest)
{
    struct slice base = o->target->url.path;
    char *out = arena_alloc(o->arena, base.len + rest.len);
    if (!out)
        return ERR_NOMEM;
    slice_put(slice_put(out, base), rest);
    o->path = slice_of(out, base.len + rest.len);
    return ERR_OK;
}
