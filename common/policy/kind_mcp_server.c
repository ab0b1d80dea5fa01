/* kind_mcp_server — a tool server: its address and its credential. */
#include "common/policy/kind.h"

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__McpServer *m = d->message->mcp_server;
    struct policy_server *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    p->url_text = kind_text(d, m->url);
    p->credential_header = kind_text(d, m->credential_header);
    p->credential = kind_secret(d, &m->credential_secret);
    p->allowed_count = m->n_allow_cidrs;
    if (kind_networks(d, m->allow_cidrs, m->n_allow_cidrs, &p->allowed) != ERR_OK)
        return ERR_INVALID;
    return url_parse(p->url_text, &p->url);
}

const struct policy_kind kind_mcp_server = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_MCP_SERVER,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_MCP_SERVER,
    .decode = decode,
    .named = true,
    .has_secrets = true,
};
