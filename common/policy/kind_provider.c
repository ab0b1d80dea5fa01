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

static void read_headers(struct kind_decoding *d, const Gatehouse__Provider *m,
                         struct policy_provider *p)
{
    p->header_count = m->n_headers;
    p->headers = kind_rows(d, m->n_headers, sizeof(*p->headers));
    for (size_t i = 0; p->headers && i < m->n_headers; i++)
        p->headers[i] = (struct policy_header){kind_text(d, m->headers[i]->name),
                                               kind_text(d, m->headers[i]->value)};
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
    read_headers(d, m, p);
    p->timeouts = kind_timeouts(m->timeouts);
    if (m->has_bills_cancelled)
        p->bills_cancelled = m->bills_cancelled ? POLICY_YES : POLICY_NO;
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
