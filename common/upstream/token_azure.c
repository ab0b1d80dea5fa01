/*
 * token_azure — tokens of Entra ID by client credentials (RFC 6749, section 4.4): a client secret,
 * or an assertion that a workload was given in a file (RFC 7523, section 2.2).
 *
 * https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
 */
#include "common/upstream/token_fetch.h"

#define SCOPE "https://cognitiveservices.azure.com/.default"
#define ASSERTION "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

static enum err ask(struct token_fetch *f)
{
    const struct token_source *s = f->source;
    const struct slice own[] = {SLICE("https://login.microsoftonline.com/"), s->tenant,
                                SLICE("/oauth2/v2.0/token")};
    struct slice proof;
    enum err e = token_fetch_proof(f, &proof);
    f->url = s->url;
    if (!e && !s->url.len)
        e = token_fetch_text(f, own, ARRAY_LEN(own), &f->url);
    token_fetch_form(f);
    if (!e)
        e = token_fetch_field(f, "grant_type", SLICE("client_credentials"));
    if (!e)
        e = token_fetch_field(f, "client_id", s->client_id);
    if (!e)
        e = token_fetch_field(f, "scope", s->scope.len ? s->scope : SLICE(SCOPE));
    if (!e && s->token_file.len)
        e = token_fetch_field(f, "client_assertion_type", SLICE(ASSERTION));
    if (!e)
        e = token_fetch_field(f, s->token_file.len ? "client_assertion" : "client_secret", proof);
    return e;
}

static bool is_whole(const struct token_source *s, struct slice region, bool has_secret)
{
    (void)region;
    return s->client_id.len && (s->url.len || s->tenant.len) && (s->token_file.len || has_secret);
}

const struct token_kind token_kind_azure_client = {
    .name = {"azure_client", 12},
    .asks = "the token endpoint",
    .ask = ask,
    .take = token_fetch_bearer,
    .is_whole = is_whole,
};
