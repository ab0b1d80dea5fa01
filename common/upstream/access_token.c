/*
 * access_token — entries found by the digest of their account; the assertion; the fetch.
 */
#include "common/upstream/access_token.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/json_out.h"
#include "common/base/mem.h"
#include "common/net/loop.h"

#define ACCOUNT_MAX (20 * 1024)  /* of a service account's JSON */
#define RESPONSE_MAX (16 * 1024) /* of a token endpoint */
#define TOKEN_MAX 4096
#define LIFE_MAX_S (7 * 86400) /* of a token; more is no token's */
#define FETCH_MS 10000
#define LIFE_S 3600 /* of an assertion: the most that Google takes */
#define AHEAD_S 300 /* a token is fetched anew so long before its end, or a quarter of its life */
#define FAILED_MS 2000 /* for which a failed fetch is not tried again */
#define SIGNATURE_MAX 1024

enum token_state { TOKEN_EMPTY, TOKEN_FETCHING, TOKEN_READY, TOKEN_RENEWING, TOKEN_FAILED };

struct entry {
    struct list link; /* the one that was used last is first */
    struct access_tokens *tokens;
    struct digest key;
    enum token_state state;
    struct secret *token;
    uint64_t ends_us;   /* of the token, by the monotonic clock */
    uint64_t renews_us; /* when it is fetched anew */
    uint64_t failed_us; /* when the last fetch failed */
    enum err why;
    struct http_call *call;
    unsigned status;
    struct buf assertion, response;
    struct list waiting;
    void *owner; /* of the fetch's rule */
    void (*drop)(void *owner);
};

struct access_tokens {
    struct http_client *client;
    struct list entries;
    size_t count;
};

struct access_tokens *access_tokens_new(struct http_client *client)
{
    struct access_tokens *t = mem_zalloc(sizeof(*t));
    if (!t)
        return NULL;
    t->client = client;
    list_init(&t->entries);
    return t;
}

static void wipe(struct buf *b)
{
    if (b->data)
        secret_wipe(b->data, b->cap);
    buf_fini(b);
}

static void end_fetch(struct entry *e)
{
    http_call_close(&e->call);
    wipe(&e->response);
    wipe(&e->assertion);
    if (e->owner)
        e->drop(e->owner);
    e->owner = NULL;
}

static void destroy(struct entry *e)
{
    MUST(list_empty(&e->waiting));
    end_fetch(e);
    list_remove(&e->link);
    e->tokens->count--;
    secret_drop(e->token);
    mem_free(e);
}

void access_tokens_free(struct access_tokens *t)
{
    if (!t)
        return;
    while (!list_empty(&t->entries))
        destroy(LIST_ITEM(t->entries.next, struct entry, link));
    mem_free(t);
}

/* ---- the one function that changes the state ---- */

static void move(struct entry *e, enum token_state to)
{
    static const unsigned legal[] = {
        [TOKEN_EMPTY] = 1u << TOKEN_FETCHING,
        [TOKEN_FETCHING] = 1u << TOKEN_READY | 1u << TOKEN_FAILED,
        [TOKEN_READY] = 1u << TOKEN_RENEWING | 1u << TOKEN_EMPTY,
        [TOKEN_RENEWING] = 1u << TOKEN_READY | 1u << TOKEN_EMPTY,
        [TOKEN_FAILED] = 1u << TOKEN_EMPTY,
    };
    MUST(legal[e->state] & (1u << to));
    e->state = to;
}

static void tell_waiting(struct entry *e, enum err why)
{
    struct list *it;
    while ((it = list_take_first(&e->waiting))) {
        struct access_token_wait *w = LIST_ITEM(it, struct access_token_wait, link);
        list_init(&w->link);
        w->fn(w, why);
    }
}

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

/* ---- the fetch ---- */

static enum err read_token(struct entry *e)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    if (json_read(buf_slice(&e->response), &tree, &problem))
        return ERR_PROTOCOL;
    struct slice text = json_text(tree, "access_token");
    json_int_t life = json_integer_value(json_object_get(tree, "expires_in"));
    if (!text.len || text.len > TOKEN_MAX || life <= 0 || life > LIFE_MAX_S)
        return ERR_PROTOCOL;
    struct secret *token = secret_new(text);
    if (!token)
        return ERR_NOMEM;
    secret_drop(e->token);
    e->token = token;
    uint64_t life_us = (uint64_t)life * 1000000, ahead_us = (uint64_t)AHEAD_S * 1000000;
    e->ends_us = clock_mono_us() + life_us;
    e->renews_us = e->ends_us - (ahead_us < life_us / 4 ? ahead_us : life_us / 4);
    return ERR_OK;
}

/* The old token is good for as long as it lasts. */
static void finish(struct entry *e, enum err why)
{
    end_fetch(e);
    bool renewing = e->state == TOKEN_RENEWING;
    if (!why || (renewing && e->ends_us > clock_mono_us())) {
        move(e, TOKEN_READY);
        e->failed_us = why ? clock_mono_us() : 0;
        tell_waiting(e, ERR_OK);
        return;
    }
    if (renewing) {
        move(e, TOKEN_EMPTY);
        move(e, TOKEN_FETCHING);
    }
    move(e, TOKEN_FAILED);
    e->why = why;
    e->failed_us = clock_mono_us();
    tell_waiting(e, why);
}

static void on_head(void *arg, const struct http_head *head)
{
    ((struct entry *)arg)->status = head->status;
}

static void on_body(void *arg, struct slice data)
{
    struct entry *e = arg;
    if (buf_append(&e->response, data))
        finish(e, ERR_TOO_BIG);
}

/* What the endpoint refuses, no other request mends: the account is wrong. */
static void on_end(void *arg)
{
    struct entry *e = arg;
    finish(e, e->status == 200 ? read_token(e) : e->status < 500 ? ERR_DENIED : ERR_CLOSED);
}

static void on_error(void *arg, enum err why, enum http_call_phase phase)
{
    (void)phase;
    finish(arg, why);
}

static enum err start_call(struct entry *e, const struct access_token_spec *spec,
                           const json_t *account)
{
    static const struct http_call_events events = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};
    static const struct http_header headers[] = {
        {{"content-type", 12}, {"application/x-www-form-urlencoded", 33}},
        {{"accept", 6}, {"application/json", 16}},
        {{"user-agent", 10}, {"gatehouse", 9}}};
    struct http_call_spec call = {.method = SLICE("POST"),
                                  .headers = headers,
                                  .header_count = ARRAY_LEN(headers),
                                  .rule = spec->rule,
                                  .tls = spec->tls,
                                  .proxy = spec->proxy,
                                  .total_ms = FETCH_MS};
    enum err err = url_parse(json_text(account, "token_uri"), &call.url);
    if (err)
        return ERR_INVALID;
    call.path = call.url.path.len ? call.url.path : SLICE("/");
    call.body[0] = SLICE("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
                         "&assertion=");
    call.body[1] = buf_slice(&e->assertion); /* lent until the response's head */
    return http_call_start(e->tokens->client, &call, &events, e, &e->call);
}

/* The account's text is read for this moment only. */
static enum err read_account(const struct secret *account, json_t **ret)
{
    struct json_problem problem;
    struct slice text = secret_reveal(account);
    if (text.len > ACCOUNT_MAX || json_read(text, ret, &problem))
        return ERR_INVALID;
    bool whole = json_text(*ret, "client_email").len && json_text(*ret, "private_key").len &&
                 json_text(*ret, "token_uri").len;
    return whole ? ERR_OK : ERR_INVALID;
}

static enum err start_fetch(struct entry *e, const struct access_token_spec *spec)
{
    json_t *account = NULL;
    enum err err = read_account(spec->account, &account);
    buf_init(&e->response, RESPONSE_MAX);
    buf_init(&e->assertion, RESPONSE_MAX);
    e->status = 0;
    if (!err)
        err = write_assertion(account, spec->scope, &e->assertion);
    if (!err)
        err = start_call(e, spec, account);
    json_decref(account);
    if (err) {
        end_fetch(e);
        return err;
    }
    spec->hold(spec->owner);
    e->owner = spec->owner;
    e->drop = spec->drop;
    return ERR_OK;
}

/* ---- entries ---- */

static struct entry *find(struct access_tokens *t, const struct digest *key)
{
    for (struct list *it = t->entries.next; it != &t->entries; it = it->next) {
        struct entry *e = LIST_ITEM(it, struct entry, link);
        if (memcmp(e->key.bytes, key->bytes, sizeof(key->bytes)) != 0)
            continue;
        list_remove(&e->link);
        list_push_first(&t->entries, &e->link);
        return e;
    }
    return NULL;
}

/* The entry that was used longest ago leaves, unless it is fetched. */
static bool make_space(struct access_tokens *t)
{
    for (struct list *it = t->entries.prev; it != &t->entries; it = it->prev) {
        struct entry *e = LIST_ITEM(it, struct entry, link);
        if (e->call)
            continue;
        destroy(e);
        return true;
    }
    return false;
}

static enum err add(struct access_tokens *t, const struct digest *key, struct entry **ret)
{
    if (t->count >= ACCESS_TOKENS_MAX && !make_space(t))
        return ERR_EXHAUSTED;
    struct entry *e = mem_zalloc(sizeof(*e));
    if (!e)
        return ERR_NOMEM;
    e->tokens = t;
    e->key = *key;
    list_init(&e->waiting);
    list_push_first(&t->entries, &e->link);
    t->count++;
    *ret = e;
    return ERR_OK;
}

static bool was_tried_lately(const struct entry *e)
{
    return e->failed_us && clock_mono_us() - e->failed_us < (uint64_t)FAILED_MS * 1000;
}

/* A token that has not long to go is fetched anew; that this may fail does no harm yet. */
static void renew_ahead(struct entry *e, const struct access_token_spec *spec)
{
    if (e->state != TOKEN_READY || clock_mono_us() < e->renews_us || was_tried_lately(e))
        return;
    move(e, TOKEN_RENEWING);
    enum err err = start_fetch(e, spec);
    if (err) {
        move(e, TOKEN_READY);
        e->failed_us = clock_mono_us();
    }
}

static enum err fetch(struct entry *e, const struct access_token_spec *spec)
{
    enum err err = start_fetch(e, spec);
    move(e, TOKEN_FETCHING);
    if (!err)
        return ERR_OK;
    move(e, TOKEN_FAILED);
    e->why = err;
    e->failed_us = clock_mono_us();
    return err;
}

enum err access_token_get(struct access_tokens *t, const struct access_token_spec *spec,
                          struct access_token_wait *w, struct secret **ret)
{
    struct digest key;
    const struct slice parts[] = {secret_reveal(spec->account), spec->scope};
    digest_sha256_parts(parts, ARRAY_LEN(parts), &key);
    struct entry *e = find(t, &key);
    enum err err = e ? ERR_OK : add(t, &key, &e);
    if (err)
        return err;
    if (e->state == TOKEN_FAILED) {
        if (was_tried_lately(e))
            return e->why;
        move(e, TOKEN_EMPTY);
    }
    if (e->state == TOKEN_READY && e->ends_us <= clock_mono_us())
        move(e, TOKEN_EMPTY);
    if (e->state == TOKEN_EMPTY && (err = fetch(e, spec)))
        return err;
    renew_ahead(e, spec);
    bool good =
        e->state == TOKEN_READY || (e->state == TOKEN_RENEWING && e->ends_us > clock_mono_us());
    if (good) {
        *ret = secret_hold(e->token);
        return ERR_OK;
    }
    list_init(&w->link);
    list_push(&e->waiting, &w->link);
    return ERR_AGAIN;
}

void access_token_cancel(struct access_token_wait *w)
{
    if (w->link.next && !list_empty(&w->link))
        list_remove(&w->link);
    list_init(&w->link);
}
