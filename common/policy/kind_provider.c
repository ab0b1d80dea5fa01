/* kind_provider — a model provider: its address and its credentials. */
#include "common/base/service_words.h"
#include "common/policy/kind.h"

#define URL_MAX (64 * 1024)

/* The region of a credential is a part of its host's name, so it is a label and nothing else. */
static bool is_label(struct slice region)
{
    for (size_t i = 0; i < region.len; i++) {
        char c = region.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return region.len > 0;
}

/* Addresses of the provider: one, or one for each credential's region. */
static enum err read_addresses(struct kind_decoding *d, struct policy_provider *p)
{
    p->regional = slice_search(p->base_url, SLICE(SERVICE_REGION)) >= 0;
    enum err e = p->regional ? ERR_OK : url_parse(p->base_url, &p->url);
    for (size_t i = 0; i < p->credential_count && !e; i++) {
        struct policy_credential *c = &p->credentials[i];
        c->url = p->url;
        if (!p->regional)
            continue;
        if (!is_label(c->region))
            return ERR_INVALID;
        /* as if there were nothing but "{region}" */
        size_t size = p->base_url.len * (1 + c->region.len / strlen(SERVICE_REGION) + 1);
        char *room = size <= URL_MAX ? arena_alloc(d->arena, size) : NULL;
        if (!room)
            return size <= URL_MAX ? ERR_NOMEM : ERR_INVALID;
        e = url_parse(url_in_region(p->base_url, c->region, room, size), &c->url);
        if (i == 0)
            p->url = c->url;
    }
    return e;
}

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
                                       .access_key_id = kind_text(d, c->access_key_id),
                                       .session_token = kind_secret(d, &c->session_token),
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

/* Whose prices it has: those of the service whose quirks it has, else of the dialect's owner. A
 * name that no catalogue has is none. */
static struct slice catalogue_of(const struct policy_provider *p)
{
    if (p->quirks.len)
        return p->quirks;
    if (slice_eq(p->dialect, SLICE("vertex")))
        return SLICE("gemini");
    return slice_eq(p->dialect, SLICE("ollama")) ? SLICE("") : p->dialect;
}

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Provider *m = d->message->provider;
    struct policy_provider *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    p->dialect = kind_text(d, m->dialect);
    p->quirks = kind_text(d, m->quirks);
    p->api_version = kind_text(d, m->api_version);
    p->catalogue = catalogue_of(p);
    p->base_url = kind_text(d, m->base_url);
    read_credentials(d, m, p);
    read_headers(d, m, p);
    p->timeouts = kind_timeouts(m->timeouts);
    if (m->has_bills_cancelled)
        p->bills_cancelled = m->bills_cancelled ? POLICY_YES : POLICY_NO;
    p->allowed_count = m->n_allow_cidrs;
    if (kind_networks(d, m->allow_cidrs, m->n_allow_cidrs, &p->allowed) != ERR_OK)
        return ERR_INVALID;
    return d->short_of_memory ? ERR_NOMEM : read_addresses(d, p);
}

const struct policy_kind kind_provider = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_PROVIDER,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER,
    .decode = decode,
    .has_secrets = true,
};
