/*
 * access_token — entries found by the digest of their account; the steps of a fetch.
 */
#include "common/upstream/access_token.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/loop.h"
#include "common/upstream/token_fetch.h"
#include "common/upstream/upstream_log.h"

#define FETCH_MS 10000 /* for each step */
#define STEPS_MAX 4
#define AHEAD_S 300 /* a token is fetched anew so long before its end, or a quarter of its life */
#define FAILED_MS 2000     /* for which a failed fetch is not tried again; doubles with each */
#define FAILED_DOUBLINGS 5 /* a minute at most */
#define FRESH_US 30000000  /* a refused token that is younger is not fetched anew */
#define PROVIDER_ID_MAX 128

enum token_state { TOKEN_EMPTY, TOKEN_FETCHING, TOKEN_READY, TOKEN_RENEWING, TOKEN_FAILED };

struct entry {
    struct list link; /* the one that was used last is first */
    struct access_tokens *tokens;
    struct digest key;
    char provider_id[PROVIDER_ID_MAX];
    enum token_state state;
    struct access_token *token;
    uint64_t made_us;   /* when the token came, by the monotonic clock */
    uint64_t ends_us;   /* when it ends */
    uint64_t renews_us; /* when it is fetched anew */
    uint64_t failed_us; /* when the last fetch failed; 0: it did not */
    unsigned failures;  /* in a row */
    enum err why;
    char why_text[TOKEN_WHY_MAX];
    struct http_call *call;
    struct access_token_spec spec; /* of the fetch under way */
    struct token_fetch *fetch;
    struct list waiting;
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

static void free_fetch(struct token_fetch *f)
{
    wipe(&f->response);
    wipe(&f->text);
    access_token_drop(f->made);
    mem_free(f);
}

static void end_fetch(struct entry *e)
{
    http_call_close(&e->call);
    if (!e->fetch)
        return;
    free_fetch(e->fetch);
    e->fetch = NULL;
    e->spec.drop(e->spec.owner);
}

static void destroy(struct entry *e)
{
    MUST(list_empty(&e->waiting));
    end_fetch(e);
    list_remove(&e->link);
    e->tokens->count--;
    access_token_drop(e->token);
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

/* What is told may ask for another account, and e may leave to make space for it. */
static void tell_waiting(struct entry *e, enum err why)
{
    struct list told, *it;
    list_init(&told);
    while ((it = list_take_first(&e->waiting)))
        list_push(&told, it);
    while ((it = list_take_first(&told))) {
        struct access_token_wait *w = LIST_ITEM(it, struct access_token_wait, link);
        list_init(&w->link);
        w->fn(w, why);
    }
}

/* ---- the end of a fetch ---- */

static const struct token_kind *kind_of(const struct access_token_spec *spec)
{
    return spec->source ? spec->source->kind : &token_kind_account;
}

static void take_made(struct entry *e)
{
    uint64_t life_us = e->fetch->life_s * 1000000, ahead_us = (uint64_t)AHEAD_S * 1000000;
    access_token_drop(e->token);
    e->token = e->fetch->made;
    e->fetch->made = NULL;
    e->made_us = clock_mono_us();
    e->ends_us = e->made_us + life_us;
    e->renews_us = e->ends_us - (ahead_us < life_us / 4 ? ahead_us : life_us / 4);
    e->failed_us = 0;
    e->failures = 0;
}

static void note_failure(struct entry *e, const struct access_token_spec *spec, enum err why,
                         struct slice words)
{
    static const struct log_ctx log = {.component = "upstream"};
    struct slice text = words.len ? words : upstream_why(why);
    text = slice_first(text, sizeof(e->why_text) - 1);
    memcpy(e->why_text, text.ptr, text.len);
    e->why_text[text.len] = '\0';
    e->why = why;
    e->failed_us = clock_mono_us();
    e->failures++;
    log_warn(&log, "credential_source_failed", "upstream=%.*s credential=%.*s source=%.*s why=%s",
             SLICE_ARG(spec->upstream), SLICE_ARG(spec->credential), SLICE_ARG(kind_of(spec)->name),
             e->why_text);
}

/* The old token is good for as long as it lasts. */
static void finish(struct entry *e, enum err why)
{
    bool renewing = e->state == TOKEN_RENEWING;
    if (why)
        note_failure(e, &e->spec, why, slice_str(e->fetch->why));
    else
        take_made(e);
    end_fetch(e);
    if (!why || (renewing && e->ends_us > clock_mono_us())) {
        move(e, TOKEN_READY);
        tell_waiting(e, ERR_OK);
        return;
    }
    if (renewing) {
        move(e, TOKEN_EMPTY);
        move(e, TOKEN_FETCHING);
    }
    move(e, TOKEN_FAILED);
    tell_waiting(e, why);
}

/* ---- the steps of a fetch ---- */

static void on_head(void *arg, const struct http_head *head)
{
    struct token_fetch *f = ((struct entry *)arg)->fetch;
    f->status = head->status;
    f->flavored = slice_eq(http_head_find(head, SLICE("metadata-flavor")), SLICE("Google"));
}

static void on_body(void *arg, struct slice data)
{
    struct entry *e = arg;
    if (buf_append(&e->fetch->response, data))
        finish(e, token_fetch_fail(e->fetch, ERR_TOO_BIG, "its response is too long"));
}

static enum err ask(struct entry *e);

/* What it refuses, no other request mends: the account is wrong. */
static enum err refused(struct token_fetch *f, const struct token_kind *kind)
{
    char room[64];
    struct slice word = token_fetch_error_word(buf_slice(&f->response), room);
    const char *open = word.len ? " (" : "", *close = word.len ? ")" : "";
    if (f->status < 400)
        return token_fetch_fail(f, ERR_PROTOCOL, "%s answered with status %u", kind->asks,
                                f->status);
    return f->status < 500 ? token_fetch_fail(f, ERR_DENIED, "%s refused it with status %u%s%.*s%s",
                                              kind->asks, f->status, open, SLICE_ARG(word), close)
                           : token_fetch_fail(f, ERR_CLOSED, "%s failed with status %u%s%.*s%s",
                                              kind->asks, f->status, open, SLICE_ARG(word), close);
}

static enum err take(struct token_fetch *f, const struct token_kind *kind)
{
    if (f->status != 200)
        return refused(f, kind);
    enum err e = kind->take(f);
    if (e && e != ERR_AGAIN && !f->why[0])
        return token_fetch_fail(f, e, "%s gave a response that is none of its kind", kind->asks);
    return e;
}

static void on_end(void *arg)
{
    struct entry *e = arg;
    enum err err = take(e->fetch, kind_of(&e->spec));
    if (err == ERR_AGAIN) {
        http_call_close(&e->call);
        e->fetch->step++;
        err = ask(e);
        if (!err)
            return;
    }
    finish(e, err);
}

static void on_error(void *arg, enum err why, enum http_call_phase phase)
{
    struct entry *e = arg;
    struct slice words = upstream_why(why);
    (void)phase;
    finish(e, token_fetch_fail(e->fetch, why, "%s could not be reached: %.*s",
                               kind_of(&e->spec)->asks, SLICE_ARG(words)));
}

static enum err start_call(struct entry *e)
{
    static const struct http_call_events events = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};
    struct token_fetch *f = e->fetch;
    bool local = kind_of(&e->spec)->local;
    struct http_call_spec call = {.method = f->method,
                                  .headers = f->headers,
                                  .header_count = f->header_count,
                                  .rule = e->spec.rule,
                                  .tls = e->spec.tls,
                                  .proxy = local ? NULL : e->spec.proxy,
                                  .own_credential = local,
                                  .total_ms = FETCH_MS};
    if (url_parse(f->url, &call.url))
        return token_fetch_fail(f, ERR_INVALID, "its address cannot be read");
    struct slice pieces[] = {call.url.path, f->path, call.url.query.len ? SLICE("?") : SLICE(""),
                             call.url.query};
    enum err err = token_fetch_text(f, pieces, ARRAY_LEN(pieces), &call.path);
    if (err)
        return err;
    if (!call.path.len || call.path.ptr[0] == '?')
        return token_fetch_fail(f, ERR_INVALID, "its address has no path");
    call.body[0] = f->body; /* lent until the response's head */
    return http_call_start(e->tokens->client, &call, &events, e, &e->call);
}

static enum err ask(struct entry *e)
{
    struct token_fetch *f = e->fetch;
    if (f->step >= STEPS_MAX)
        return ERR_PROTOCOL;
    buf_clear(&f->response);
    f->status = 0;
    f->flavored = false;
    f->header_count = 0;
    f->path = f->body = SLICE("");
    f->method = SLICE("GET");
    token_fetch_header(f, SLICE("accept"), SLICE("application/json"));
    token_fetch_header(f, SLICE("user-agent"), SLICE("gatehouse"));
    enum err err = kind_of(&e->spec)->ask(f);
    return err ? err : start_call(e);
}

/* The memory is had at once, so that no copy of a secret stays behind where it grew. */
static struct token_fetch *new_fetch(const struct access_token_spec *spec)
{
    char *room;
    struct token_fetch *f = mem_zalloc(sizeof(*f));
    if (!f)
        return NULL;
    f->spec = spec;
    f->source = spec->source;
    buf_init(&f->text, TOKEN_FETCH_TEXT);
    buf_init(&f->response, TOKEN_FETCH_RESPONSE);
    if (!buf_room(&f->text, TOKEN_FETCH_TEXT, &room) &&
        !buf_room(&f->response, TOKEN_FETCH_RESPONSE, &room))
        return f;
    free_fetch(f);
    return NULL;
}

static enum err start_fetch(struct entry *e, const struct access_token_spec *spec)
{
    e->spec = *spec;
    e->fetch = new_fetch(&e->spec);
    if (!e->fetch)
        return ERR_NOMEM;
    spec->hold(spec->owner);
    enum err err = ask(e);
    if (!err)
        return ERR_OK;
    note_failure(e, spec, err, slice_str(e->fetch->why));
    end_fetch(e);
    return err;
}

/* ---- entries ---- */

static struct entry *find(const struct access_tokens *t, const struct digest *key)
{
    for (struct list *it = t->entries.next; it != &t->entries; it = it->next) {
        struct entry *e = LIST_ITEM(it, struct entry, link);
        if (memcmp(e->key.bytes, key->bytes, sizeof(key->bytes)) == 0)
            return e;
    }
    return NULL;
}

/* The entry that was used longest ago leaves, unless it is fetched. */
static bool make_space(struct access_tokens *t)
{
    for (struct list *it = t->entries.prev; it != &t->entries; it = it->prev) {
        struct entry *e = LIST_ITEM(it, struct entry, link);
        if (e->call || !list_empty(&e->waiting))
            continue;
        destroy(e);
        return true;
    }
    return false;
}

static enum err add(struct access_tokens *t, const struct access_token_spec *spec,
                    struct entry **ret)
{
    if (spec->provider_id.len >= PROVIDER_ID_MAX)
        return ERR_TOO_BIG;
    if (t->count >= ACCESS_TOKENS_MAX && !make_space(t))
        return ERR_EXHAUSTED;
    struct entry *e = mem_zalloc(sizeof(*e));
    if (!e)
        return ERR_NOMEM;
    e->tokens = t;
    e->key = spec->key;
    slice_put(e->provider_id, spec->provider_id);
    list_init(&e->waiting);
    list_push_first(&t->entries, &e->link);
    t->count++;
    *ret = e;
    return ERR_OK;
}

static bool was_tried_lately(const struct entry *e)
{
    unsigned doublings = e->failures > FAILED_DOUBLINGS ? FAILED_DOUBLINGS : e->failures;
    uint64_t ms = (uint64_t)FAILED_MS << (doublings ? doublings - 1 : 0);
    return e->failed_us && clock_mono_us() - e->failed_us < ms * 1000;
}

/* A token that has not long to go is fetched anew; that this may fail does no harm yet. */
static void renew_ahead(struct entry *e, const struct access_token_spec *spec)
{
    if (e->state != TOKEN_READY || clock_mono_us() < e->renews_us || was_tried_lately(e))
        return;
    move(e, TOKEN_RENEWING);
    if (start_fetch(e, spec))
        move(e, TOKEN_READY);
}

static enum err fetch(struct entry *e, const struct access_token_spec *spec)
{
    move(e, TOKEN_FETCHING);
    enum err err = start_fetch(e, spec);
    if (err) {
        e->why = err;
        e->failed_us = clock_mono_us();
        move(e, TOKEN_FAILED);
    }
    return err;
}

enum err access_token_get(struct access_tokens *t, const struct access_token_spec *spec,
                          struct access_token_wait *w, struct access_token **ret)
{
    struct entry *e = find(t, &spec->key);
    enum err err = e ? ERR_OK : add(t, spec, &e);
    if (err)
        return err;
    list_remove(&e->link);
    list_push_first(&t->entries, &e->link);
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
        *ret = access_token_hold(e->token);
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

struct slice access_token_why(const struct access_tokens *t, const struct digest *key)
{
    const struct entry *e = find(t, key);
    return e ? slice_str(e->why_text) : SLICE("");
}

void access_token_doubt(struct access_tokens *t, const struct digest *key)
{
    struct entry *e = find(t, key);
    uint64_t now_us = clock_mono_us();
    if (e && e->state == TOKEN_READY && now_us - e->made_us > FRESH_US)
        e->renews_us = now_us;
}

void access_tokens_keep(struct access_tokens *t,
                        bool (*has)(const void *arg, struct slice provider_id,
                                    const struct digest *key),
                        const void *arg)
{
    struct list gone;
    list_init(&gone);
    for (struct list *it = t->entries.next, *next; it != &t->entries; it = next) {
        struct entry *e = LIST_ITEM(it, struct entry, link);
        next = it->next;
        if (has(arg, slice_str(e->provider_id), &e->key))
            continue;
        list_remove(&e->link);
        list_push(&gone, &e->link);
    }
    while (!list_empty(&gone)) { /* what is told may ask for others, not for these */
        struct entry *e = LIST_ITEM(gone.next, struct entry, link);
        end_fetch(e);
        tell_waiting(e, ERR_CANCELLED);
        destroy(e);
    }
}
