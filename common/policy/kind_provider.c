/* kind_provider — a model provider: its address and its credentials. */
#include "common/policy/kind.h"

static void read_credentials(struct kind_decoding *d, const Gatehouse__Provider *m,
                             struct policy_provider *p)
{
    p->credential_count = m->n_credentials;
    p->credentials = kind_rows(d, m->n_credentials, sizeof(*p->credentials));
    for (size_t i = 0; p->credentials && i < m->n_credentials; i++) {
        const Gatehouse__Credential *c = m->credentials[i];
        p->credentials[i] =
            (struct policy_credential){.id = kind_text(d, c->id),
                                       .name = kind_text(d, c->name),
                                       .region = kind_text(d, c->region),
                                       .secret = kind_secret(d, &c->secret),
                                       .weight = kind_weight(c->has_weight, c->weight)};
    }
}

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Provider *m = d->message->provider;
    struct policy_provider *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    p->dialect = kind_text(d, m->dialect);
    p->base_url = kind_text(d, m->base_url);
    read_credentials(d, m, p);
    p->allowed_count = m->n_allow_cidrs;
    if (kind_networks(d, m->allow_cidrs, m->n_allow_cidrs, &p->allowed) != ERR_OK)
        return ERR_INVALID;
    return url_parse(p->base_url, &p->url);
}

const struct policy_kind kind_provider = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_PROVIDER,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER,
    .decode = decode,
    .has_secrets = true,
};
