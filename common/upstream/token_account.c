/*
 * token_account — a service account of Google, whose JSON has a private key: a JWT signed with
 * RS256 is exchanged for a bearer token (RFC 7523, section 2.1).
 */
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/json_out.h"
#include "common/upstream/token_fetch.h"

#define ACCOUNT_MAX (20 * 1024) /* of a service account's JSON */
#define LIFE_S 3600             /* of an assertion: the most that Google takes */
#define SIGNATURE_MAX 1024

/* ---- the assertion: header.claims.signature, each in base64url ---- */

static enum err append_base64url(struct buf *out, struct slice bytes)
{
    char *to;
    enum err e = buf_room(out, 4 * ((bytes.len + 2) / 3) + 1, &to);
    if (!e)
        buf_commit(out, digest_base64url(bytes, to));
    return e;
}

static enum err write_claims(const json_t *account, struct slice scope, struct buf *out)
{
    struct json_out o = {.to = out};
    uint64_t now = (uint64_t)(clock_wall_us() / 1000000);
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "iss", json_text(account, "client_email"));
    json_out_text(&o, "scope", scope);
    json_out_text(&o, "aud", json_text(account, "token_uri"));
    json_out_u64(&o, "iat", now);
    json_out_u64(&o, "exp", now + LIFE_S);
    json_out_end(&o, '}');
    return o.e;
}

static enum err write_header(const json_t *account, struct buf *out)
{
    struct json_out o = {.to = out};
    struct slice id = json_text(account, "private_key_id");
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "alg", SLICE("RS256"));
    json_out_text(&o, "typ", SLICE("JWT"));
    if (id.len)
        json_out_text(&o, "kid", id);
    json_out_end(&o, '}');
    return o.e;
}

static EVP_PKEY *read_key(struct slice pem)
{
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
    BIO_free(in);
    if (key && EVP_PKEY_base_id(key) != EVP_PKEY_RSA) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

static enum err sign(EVP_PKEY *key, struct buf *out)
{
    uint8_t signature[SIGNATURE_MAX];
    size_t len = sizeof(signature);
    struct slice text = buf_slice(out);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool signed_ = c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
                   EVP_DigestSign(c, signature, &len, (const uint8_t *)text.ptr, text.len) == 1;
    EVP_MD_CTX_free(c);
    if (!signed_)
        return ERR_INVALID;
    enum err e = buf_append(out, SLICE("."));
    return e ? e : append_base64url(out, slice_of(signature, len));
}

static enum err write_assertion(const json_t *account, struct slice scope, struct buf *out)
{
    struct buf part;
    EVP_PKEY *key = read_key(json_text(account, "private_key"));
    enum err e = key ? ERR_OK : ERR_INVALID;
    buf_init(&part, 4096);
    if (!e)
        e = write_header(account, &part);
    if (!e)
        e = append_base64url(out, buf_slice(&part));
    buf_clear(&part);
    if (!e)
        e = buf_append(out, SLICE("."));
    if (!e)
        e = write_claims(account, scope, &part);
    if (!e)
        e = append_base64url(out, buf_slice(&part));
    if (!e)
        e = sign(key, out);
    buf_fini(&part);
    EVP_PKEY_free(key);
    return e;
}

/* ---- the request ---- */

/* The account's text is read for this moment only. */
static enum err read_account(const struct secret *account, json_t **ret)
{
    struct json_problem problem;
    struct slice text = account ? secret_reveal(account) : SLICE("");
    if (text.len > ACCOUNT_MAX || json_read(text, ret, &problem))
        return ERR_INVALID;
    bool whole = json_text(*ret, "client_email").len && json_text(*ret, "private_key").len &&
                 json_text(*ret, "token_uri").len;
    return whole ? ERR_OK : ERR_INVALID;
}

static enum err write_request(struct token_fetch *f, const json_t *account)
{
    struct buf assertion;
    struct slice uri = json_text(account, "token_uri");
    enum err e = token_fetch_text(f, &uri, 1, &f->url);
    buf_init(&assertion, ACCOUNT_MAX);
    if (!e)
        e = write_assertion(account, f->spec->scope, &assertion);
    token_fetch_form(f);
    if (!e)
        e = token_fetch_field(f, "grant_type",
                              SLICE("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    if (!e)
        e = token_fetch_field(f, "assertion", buf_slice(&assertion));
    if (assertion.data)
        secret_wipe(assertion.data, assertion.cap);
    buf_fini(&assertion);
    return e;
}

static enum err ask(struct token_fetch *f)
{
    json_t *account = NULL;
    struct url u;
    enum err e = read_account(f->spec->account, &account);
    if (!e)
        e = write_request(f, account);
    json_decref(account);
    if (!e && !url_parse(f->url, &u) && !u.path.len)
        f->path = SLICE("/");
    return e == ERR_INVALID
               ? token_fetch_fail(f, e, "it is no service account's JSON with an RSA key")
               : e;
}

static bool is_whole(const struct token_source *s, struct slice region, bool has_secret)
{
    (void)s;
    (void)region;
    return has_secret;
}

const struct token_kind token_kind_account = {
    .name = {"service_account", 15},
    .asks = "the token endpoint",
    .ask = ask,
    .take = token_fetch_bearer,
    .is_whole = is_whole,
};
