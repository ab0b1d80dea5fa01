/*
 * token_gcp — tokens of Google's workload identity: of the metadata server, and of an account
 * outside, whose token is exchanged at Google's STS (RFC 8693).
 *
 * https://cloud.google.com/compute/docs/metadata/querying-metadata
 * https://google.aip.dev/auth/4117
 */
#include "common/base/json_out.h"
#include "common/upstream/token_fetch.h"

#define STS "https://sts.googleapis.com/v1/token"
#define GRANT "urn:ietf:params:oauth:grant-type:token-exchange"
#define TOKEN_TYPE "urn:ietf:params:oauth:token-type:"

/* ---- the metadata server ---- */

static enum err ask_metadata(struct token_fetch *f)
{
    struct slice name = f->source->service_account;
    f->url = f->source->url;
    token_fetch_header(f, SLICE("metadata-flavor"), SLICE("Google"));
    return token_fetch_text(
        f,
        (struct slice[]){SLICE("/computeMetadata/v1/instance/service-accounts/"),
                         name.len ? name : SLICE("default"), SLICE("/token")},
        3, &f->path);
}

/* Without its header the response is of something else. */
static enum err take_metadata(struct token_fetch *f)
{
    return f->flavored
               ? token_fetch_bearer(f)
               : token_fetch_fail(f, ERR_PROTOCOL, "what answered is no metadata server of Google");
}

static bool is_metadata(const struct token_source *s, struct slice region, bool has_secret)
{
    (void)region;
    (void)has_secret;
    return s->url.len > 0;
}

const struct token_kind token_kind_gcp_metadata = {
    .name = {"gcp_metadata", 12},
    .asks = "the metadata server",
    .local = true,
    .ask = ask_metadata,
    .take = take_metadata,
    .is_whole = is_metadata,
};

/* ---- an account outside ---- */

enum { EXTERNAL_SUBJECT, EXTERNAL_EXCHANGE, EXTERNAL_IMPERSONATE };

static unsigned external_step(const struct token_fetch *f)
{
    return f->step + (f->source->token_url.len ? 0 : 1);
}

static enum err ask_exchange(struct token_fetch *f)
{
    const struct token_source *s = f->source;
    enum err e = s->token_url.len ? ERR_OK : token_fetch_proof(f, &f->held);
    struct slice type = s->subject_token_type.len ? s->subject_token_type : SLICE(TOKEN_TYPE "jwt");
    f->url = s->url.len ? s->url : SLICE(STS);
    token_fetch_form(f);
    const struct {
        const char *name;
        struct slice value;
    } fields[] = {
        {"grant_type", SLICE(GRANT)}, {"audience", s->audience},
        {"scope", f->spec->scope},    {"requested_token_type", SLICE(TOKEN_TYPE "access_token")},
        {"subject_token_type", type}, {"subject_token", f->held}};
    for (size_t i = 0; i < ARRAY_LEN(fields) && !e; i++)
        e = token_fetch_field(f, fields[i].name, fields[i].value);
    return e;
}

static enum err ask_impersonation(struct token_fetch *f)
{
    struct slice bearer;
    enum err e = token_fetch_text(f, (struct slice[]){SLICE("Bearer "), f->held}, 2, &bearer);
    if (e)
        return e;
    f->url = f->source->impersonation_url;
    f->method = SLICE("POST");
    token_fetch_header(f, SLICE("authorization"), bearer);
    token_fetch_header(f, SLICE("content-type"), SLICE("application/json"));
    return token_fetch_text(f,
                            (struct slice[]){SLICE("{\"scope\":[\""), f->spec->scope,
                                             SLICE("\"],\"lifetime\":\"3600s\"}")},
                            3, &f->body);
}

static enum err ask_external(struct token_fetch *f)
{
    switch (external_step(f)) {
    case EXTERNAL_SUBJECT:
        f->url = f->source->token_url;
        return ERR_OK;
    case EXTERNAL_EXCHANGE:
        return ask_exchange(f);
    default:
        return ask_impersonation(f);
    }
}

/* The token of the exchange proves the account to the next step. */
static enum err take_exchange(struct token_fetch *f)
{
    enum err e = token_fetch_bearer(f);
    if (e || !f->source->impersonation_url.len)
        return e;
    struct slice token = secret_reveal(f->made->secret);
    e = token_fetch_text(f, &token, 1, &f->held);
    access_token_drop(f->made);
    f->made = NULL;
    return e ? e : ERR_AGAIN;
}

static enum err take_impersonation(struct token_fetch *f)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    if (json_read(buf_slice(&f->response), &tree, &problem))
        return ERR_PROTOCOL;
    enum err e = token_fetch_ends(f, json_text(tree, "expireTime"));
    return e ? e : token_fetch_made(f, SLICE(""), json_text(tree, "accessToken"), SLICE(""));
}

static enum err take_external(struct token_fetch *f)
{
    enum err e;
    switch (external_step(f)) {
    case EXTERNAL_SUBJECT:
        e = token_fetch_member(f, buf_slice(&f->response), f->source->token_field, &f->held);
        if (!e) /* the next response takes the place of this one */
            e = token_fetch_text(f, &(struct slice){f->held.ptr, f->held.len}, 1, &f->held);
        return e ? e : ERR_AGAIN;
    case EXTERNAL_EXCHANGE:
        return take_exchange(f);
    default:
        return take_impersonation(f);
    }
}

static bool is_external(const struct token_source *s, struct slice region, bool has_secret)
{
    (void)region;
    return s->audience.len && (s->token_url.len || s->token_file.len || has_secret);
}

const struct token_kind token_kind_gcp_external_account = {
    .name = {"gcp_external_account", 20},
    .asks = "the token exchange",
    .ask = ask_external,
    .take = take_external,
    .is_whole = is_external,
};
