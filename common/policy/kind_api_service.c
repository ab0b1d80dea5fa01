/* kind_api_service — a company API: its address, its credential, its routes. */
#include "common/policy/kind.h"

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__ApiService *m = d->message->api_service;
    struct policy_service *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    p->base_url = kind_text(d, m->base_url);
    p->credential_header = kind_text(d, m->credential_header);
    p->credential = kind_secret(d, &m->credential_secret);
    p->route_count = m->n_routes;
    p->routes = kind_routes(d, m->routes, m->n_routes);
    p->set_cookie = m->set_cookie;
    p->allowed_count = m->n_allow_cidrs;
    if (kind_networks(d, m->allow_cidrs, m->n_allow_cidrs, &p->allowed) != ERR_OK)
        return ERR_INVALID;
    return url_parse(p->base_url, &p->url);
}

const struct policy_kind kind_api_service = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_API_SERVICE,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_API_SERVICE,
    .decode = decode,
    .named = true,
    .has_secrets = true,
};
