/* kind_provider — a model provider: its address and its credentials. */
#include "common/base/digest.h"
#include "common/base/service_words.h"
#include "common/net/tls.h"
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

static void drop_ceiling(void *guest)
{
    ceiling_drop(guest);
}

/* The credential of this id in the revision before; NULL: there is none. */
static const struct policy_credential *credential_before(const struct kind_decoding *d,
                                                         struct slice id)
{
    const struct policy_provider *old =
        d->old ? (const struct policy_provider *)(const void *)d->old->policy : NULL;
    for (size_t i = 0; old && i < old->credential_count; i++)
        if (slice_eq(old->credentials[i].id, id))
            return &old->credentials[i];
    return NULL;
}

/* What was taken of a minute stays taken when the provider is changed. */
static struct ceiling *ceiling_from(struct kind_decoding *d, struct slice id,
                                    struct ceiling_limits limits)
{
    const struct policy_credential *before = credential_before(d, id);
    struct ceiling *c = before ? ceiling_hold(before->ceiling) : ceiling_new();
    if (!c || arena_adopt(d->arena, c, drop_ceiling) != ERR_OK) {
        d->short_of_memory = true;
        return NULL;
    }
    if (ceiling_configure(c, limits))
        d->short_of_memory = true;
    return c;
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
                                       .weight = kind_weight(c->has_weight, c->weight),
                                       .rpm = c->rpm,
                                       .tpm = c->tpm};
        p->credentials[i].ceiling =
            ceiling_from(d, p->credentials[i].id, (struct ceiling_limits){c->rpm, c->tpm});
    }
}

/* ---- credentials that are had from a source ---- */

static struct slice revealed(const struct secret *s)
{
    return s ? secret_reveal(s) : SLICE_NONE;
}

static enum err read_source(struct kind_decoding *d, const Gatehouse__CredentialSource *m,
                            struct policy_credential *c)
{
    struct token_source *s = m ? kind_rows(d, 1, sizeof(*s)) : NULL;
    if (!s)
        return m ? ERR_NOMEM : ERR_OK;
    *s = (struct token_source){.kind = token_kind_named(slice_str(m->type ? m->type : "")),
                               .url = kind_text(d, m->url),
                               .role = kind_text(d, m->role),
                               .session_name = kind_text(d, m->session_name),
                               .token_file = kind_text(d, m->token_file),
                               .token_url = kind_text(d, m->token_url),
                               .token_field = kind_text(d, m->token_field),
                               .audience = kind_text(d, m->audience),
                               .subject_token_type = kind_text(d, m->subject_token_type),
                               .impersonation_url = kind_text(d, m->impersonation_url),
                               .service_account = kind_text(d, m->service_account),
                               .project = kind_text(d, m->project),
                               .tenant = kind_text(d, m->tenant),
                               .client_id = kind_text(d, m->client_id),
                               .scope = kind_text(d, m->scope)};
    c->source = s;
    s->signs = s->kind && token_kind_signs(s->kind);
    if (d->short_of_memory)
        return ERR_NOMEM;
    return s->kind && token_source_is_whole(s, c->region, c->secret) ? ERR_OK : ERR_INVALID;
}

/* Of one account of one provider: what another revision of it leaves as it is keeps its token. */
static void make_token_key(const struct kind_decoding *d, struct policy_credential *c)
{
    static const struct token_source none = {0};
    const struct token_source *s = c->source ? c->source : &none;
    const struct slice parts[] = {
        slice_str(d->message->id ? d->message->id : ""),
        c->id,
        c->region,
        revealed(c->secret),
        s->kind ? token_kind_name(s->kind) : SLICE(""),
        s->url,
        s->role,
        s->session_name,
        s->token_file,
        s->token_url,
        s->token_field,
        s->audience,
        s->subject_token_type,
        s->impersonation_url,
        s->service_account,
        s->tenant,
        s->client_id,
        s->scope,
    };
    digest_sha256_parts(parts, ARRAY_LEN(parts), &c->token_key);
}

static enum err read_sources(struct kind_decoding *d, const Gatehouse__Provider *m,
                             struct policy_provider *p)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < p->credential_count && !e; i++) {
        e = read_source(d, m->credentials[i]->source, &p->credentials[i]);
        make_token_key(d, &p->credentials[i]);
    }
    return e;
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

/* ---- the way to it: its own TLS, a proxy ---- */

static void drop_tls(void *guest)
{
    tls_drop(guest);
}

static enum err read_tls(struct kind_decoding *d, const Gatehouse__ProviderTls *m,
                         struct policy_provider *p)
{
    const char *why;
    if (!m)
        return ERR_OK;
    const struct secret *key = kind_secret(d, &m->secret);
    const struct tls_client_pem pem = {.ca = slice_str(m->ca ? m->ca : ""),
                                       .cert = slice_str(m->certificate ? m->certificate : ""),
                                       .key = revealed(key)};
    enum err e = d->short_of_memory ? ERR_NOMEM : tls_client_from_pem(&pem, &p->tls, &why);
    if (!e && arena_adopt(d->arena, p->tls, drop_tls) != ERR_OK)
        e = ERR_NOMEM;
    return e;
}

static void wipe_text(void *guest)
{
    secret_wipe(guest, strlen(guest));
}

/* "Basic …" (RFC 7617), in memory that is wiped with the object. */
static enum err basic_authorization(struct kind_decoding *d, const Gatehouse__ProviderProxy *m,
                                    struct slice *ret)
{
    const char *name = m->username ? m->username : "";
    struct slice password = revealed(kind_secret(d, &m->secret));
    size_t len = strlen(name) + 1 + password.len;
    char *plain = arena_alloc(d->arena, len + 1), *out = NULL;
    if (plain && !d->short_of_memory)
        out = arena_zalloc(d->arena, 6 + (len + 2) / 3 * 4 + 1);
    if (!out)
        return ERR_NOMEM;
    slice_put(slice_put(slice_put(plain, slice_str(name)), SLICE(":")), password);
    memcpy(out, "Basic ", 6);
    digest_base64(slice_of(plain, len), out + 6);
    secret_wipe(plain, len);
    *ret = slice_str(out);
    return arena_adopt(d->arena, out, wipe_text);
}

/* The first bytes of a digest over what tells one proxy from another. */
static uint64_t proxy_id(const struct stream_proxy *x)
{
    const struct slice parts[] = {x->host, slice_of((const char *)&x->port, sizeof(x->port)),
                                  x->authorization};
    struct digest sum;
    uint64_t id;
    digest_sha256_parts(parts, ARRAY_LEN(parts), &sum);
    memcpy(&id, sum.bytes, sizeof(id));
    return id ? id : 1;
}

static enum err read_proxy(struct kind_decoding *d, const Gatehouse__ProviderProxy *m,
                           struct policy_provider *p)
{
    struct url url;
    if (!m)
        return ERR_OK;
    struct stream_proxy *x = kind_rows(d, 1, sizeof(*x));
    struct slice text = kind_text(d, m->url);
    if (d->short_of_memory)
        return ERR_NOMEM;
    if (url_parse(text, &url) != ERR_OK || url.tls)
        return ERR_INVALID;
    x->host = url.host;
    x->port = url.port;
    enum err e =
        m->username || m->secret.len ? basic_authorization(d, m, &x->authorization) : ERR_OK;
    x->id = proxy_id(x);
    p->proxy = x;
    return e;
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

/* A promise that this plane does not know helps no team here. */
static void read_resilience(struct kind_decoding *d, const Gatehouse__Provider *m,
                            struct policy_provider *p)
{
    (void)kind_data_policy(m->data_policy, m->n_data_policy, &p->data_policy);
    p->breaker_failures = m->breaker_failures;
    p->breaker_open_ms = m->breaker_open_ms;
    p->retry_budget_permille =
        m->has_retry_budget_permille ? m->retry_budget_permille : POLICY_RETRY_BUDGET_PERMILLE;
    p->health_check_interval_s = m->health_check_path ? m->health_check_interval_s : 0;
    p->health_check_path = kind_text(d, m->health_check_path);
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
    p->catalogue_id = kind_text(d, m->catalogue_id);
    p->base_url = kind_text(d, m->base_url);
    read_credentials(d, m, p);
    read_headers(d, m, p);
    p->timeouts = kind_timeouts(m->timeouts);
    read_resilience(d, m, p);
    if (m->has_bills_cancelled)
        p->bills_cancelled = m->bills_cancelled ? POLICY_YES : POLICY_NO;
    p->allowed_count = m->n_allow_cidrs;
    if (kind_networks(d, m->allow_cidrs, m->n_allow_cidrs, &p->allowed) != ERR_OK)
        return ERR_INVALID;
    enum err e = d->short_of_memory ? ERR_NOMEM : read_addresses(d, p);
    if (!e)
        e = read_sources(d, m, p);
    if (!e)
        e = read_tls(d, m->tls, p);
    return e ? e : read_proxy(d, m->proxy, p);
}

const struct policy_kind kind_provider = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_PROVIDER,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER,
    .decode = decode,
    .named = true,
    .has_secrets = true,
};
