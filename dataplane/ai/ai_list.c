/*
 * ai_list — the query, the pages of the owner's things, and what their providers say of each.
 */
#include "dataplane/ai/ai_list.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/policy/kept_list.h"
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"
#include "dataplane/ai/ai_token.h"
#include "dataplane/ai/dialect/openai_stored.h"

#define LIMIT_USUAL 20
#define LIMIT_ASKED 10000       /* OpenAI takes as much for files; a page has KEPT_LIST_MAX */
#define LOOKS_MAX 200           /* things that are read for one page */
#define OBJECT_MAX (256 * 1024) /* of a thing as its provider describes it */
#define PATIENCE_MS 12000       /* longer than a request of the bus may take */

enum list_state { LIST_ASKING, LIST_LOOKING, LIST_AUTHORIZING, LIST_OVER };

struct ai_list {
    enum list_state state;
    const char *kind;         /* "file", "batch" */
    struct kept_list *page;   /* NULL: it is away to be filled, or none is needed */
    struct kept_list *asked;  /* the same, while it is away: not touched but for its arg */
    size_t at;                /* in the page: the thing that is read */
    struct kept_object after; /* the last thing that was looked at */
    unsigned limit;
    bool ascending;
    struct slice purpose; /* empty: any */
    unsigned shown, looks;
    bool more;
    struct ai_account account; /* of the thing that is read */
    struct slice first, last;  /* ids as they are shown */
};

static void look_on(struct ai_call *c);

static void move(struct ai_list *l, enum list_state to)
{
#define TO(state) (1u << LIST_##state)
    static const unsigned legal[] = {
        [LIST_ASKING] = TO(LOOKING) | TO(OVER),
        [LIST_LOOKING] = TO(ASKING) | TO(AUTHORIZING) | TO(OVER),
        [LIST_AUTHORIZING] = TO(LOOKING) | TO(OVER),
        [LIST_OVER] = 0,
    };
#undef TO
    MUST(legal[l->state] & (1u << to));
    l->state = to;
}

static void drop_page(struct ai_list *l)
{
    mem_free(l->page);
    l->page = NULL;
    if (l->asked)
        l->asked->arg = NULL;
    l->asked = NULL;
}

static void finish(struct ai_call *c, const struct request_end *end)
{
    drop_page(c->list);
    timer_cancel(&c->patience);
    access_token_cancel(&c->token_wait);
    access_token_drop(c->token);
    c->token = NULL;
    if (c->list->state != LIST_OVER)
        move(c->list, LIST_OVER);
    ai_call_move(c, AI_CALL_OVER);
    request_finish(c->rq, end);
    buf_shelf_give(&c->rq->env->shelf, &c->gathered);
}

static void refuse(struct ai_call *c, enum refusal_id id, struct slice detail)
{
    unsigned after = id == REFUSAL_LIST_AWAY ? 1
                     : c->exchange           ? exchange_retry_after_s(c->exchange)
                                             : 0;
    exchange_close(&c->exchange, OUTCOME_ERROR, SLICE("refused"));
    request_refuse(c->rq, id, detail);
    c->rq->refusal.retry_after_s = after;
    finish(c, &(struct request_end){.outcome = refusal_row(id)->status < 500 ? OUTCOME_REFUSED
                                                                             : OUTCOME_ERROR});
}

/* ---- the query ---- */

static bool copy_text(char *to, size_t max, struct slice text)
{
    if (text.len >= max)
        return false;
    *slice_put(to, text) = '\0';
    return true;
}

/* NULL: the member is as it may be. */
static const char *read_member(struct ai_call *c, struct slice name, struct slice text)
{
    struct ai_list *l = c->list;
    struct ai_account account;
    struct slice id;
    uint64_t n;
    if (slice_eq(name, SLICE("limit"))) {
        if (slice_u64(text, &n) || n == 0 || n > LIMIT_ASKED)
            return "limit must be a number from 1 to 10000";
        l->limit = n < KEPT_LIST_MAX ? (unsigned)n : KEPT_LIST_MAX;
    } else if (slice_eq(name, SLICE("order"))) {
        l->ascending = slice_eq(text, SLICE("asc"));
        if (!l->ascending && !slice_eq(text, SLICE("desc")))
            return "order must be asc or desc";
    } else if (slice_eq(name, SLICE("purpose"))) {
        l->purpose = text;
    } else if (slice_eq(name, SLICE("after"))) {
        if (openai_unmark_id(&c->marker, text, &id, &account) ||
            !copy_text(l->after.id, sizeof(l->after.id), id) ||
            !copy_text(l->after.account, sizeof(l->after.account),
                       slice_of(account.text, AI_ACCOUNT_LEN)))
            return "after must be the id of a thing that was listed";
    }
    return NULL;
}

static const char *read_query(struct ai_call *c)
{
    struct slice one, rest = c->rq->query;
    const char *wrong = NULL;
    while (!wrong && rest.len && slice_split(&rest, '&', &one)) {
        ptrdiff_t at = slice_find(one, '=');
        struct slice text =
            at < 0 ? SLICE("") : ai_unescape(c->rq->arena, slice_from(one, (size_t)at + 1));
        if (text.ptr)
            wrong = read_member(c, at < 0 ? one : slice_first(one, (size_t)at), text);
    }
    return wrong;
}

/* ---- the whole ---- */

static void finish_listed(struct ai_call *c)
{
    const struct http_header type = {SLICE("content-type"), SLICE("application/json")};
    struct ai_list *l = c->list;
    enum err e = buf_append(&c->gathered, SLICE("]"));
    if (!e && l->first.len)
        e = buf_printf(&c->gathered, ",\"first_id\":\"%.*s\",\"last_id\":\"%.*s\"",
                       SLICE_ARG(l->first), SLICE_ARG(l->last));
    if (!e)
        e = buf_printf(&c->gathered, ",\"has_more\":%s}", l->more ? "true" : "false");
    if (e) {
        refuse(c, REFUSAL_NO_CAPACITY, SLICE_NONE);
        return;
    }
    finish(c, &(struct request_end){.outcome = OUTCOME_OK,
                                    .status = 200,
                                    .headers = &type,
                                    .header_count = 1,
                                    .body = buf_slice(&c->gathered)});
}

/* ---- a page of the owner's ---- */

static void take_page(struct ai_call *c)
{
    struct ai_list *l = c->list;
    timer_cancel(&c->patience);
    if (l->page->error == ERR_NOT_FOUND)
        refuse(c, REFUSAL_OBJECT_UNKNOWN, SLICE_NONE);
    else if (l->page->error == ERR_NOMEM)
        refuse(c, REFUSAL_NO_CAPACITY, SLICE_NONE);
    else if (l->page->error)
        refuse(c, REFUSAL_LIST_AWAY,
               l->page->error == ERR_PROTOCOL ? SLICE("its control plane knows no lists")
                                              : SLICE("its control plane is away"));
    else {
        move(l, LIST_LOOKING);
        l->at = 0;
        l->more = l->page->more;
        look_on(c);
    }
}

/* A call that has ended needs it no more. */
static void on_page(struct kept_list *page)
{
    struct ai_call *c = page->arg;
    if (!c) {
        mem_free(page);
        return;
    }
    c->list->asked = NULL;
    c->list->page = page;
    take_page(c);
}

/* In the state ASKING. */
static void ask(struct ai_call *c)
{
    struct ai_list *l = c->list;
    struct request_env *env = c->rq->env;
    struct kept_list *page = l->page ? l->page : mem_zalloc(sizeof(*page));
    l->page = NULL;
    if (!page || !env->ask_kept) {
        mem_free(page);
        refuse(c, page ? REFUSAL_LIST_AWAY : REFUSAL_NO_CAPACITY, SLICE_NONE);
        return;
    }
    bool fits = copy_text(page->owner, sizeof(page->owner), ai_objects_owner(c->rq)) &&
                copy_text(page->kind, sizeof(page->kind), slice_str(l->kind));
    MUST(fits); /* ids and kinds are short */
    page->after = l->after;
    page->ascending = l->ascending;
    page->limit = l->limit - l->shown;
    page->worker = env->worker;
    page->done = on_page;
    page->arg = c;
    l->asked = page;
    timer_start(&c->patience, PATIENCE_MS);
    env->ask_kept(env->ask_kept_arg, page);
}

void ai_list_on_patience(struct ai_call *c)
{
    if (c->list->state == LIST_ASKING)
        refuse(c, REFUSAL_LIST_AWAY, SLICE("its control plane gave no reply"));
}

/* ---- one thing at its provider ---- */

static struct kept_object *current(struct ai_list *l)
{
    return &l->page->objects[l->at];
}

static void pass_on(struct ai_call *c)
{
    struct ai_list *l = c->list;
    exchange_close(&c->exchange, OUTCOME_OK, SLICE_NONE);
    l->after = *current(l);
    l->at++;
    look_on(c);
}

static bool has_purpose(struct slice body, struct slice wanted)
{
    static const char *const wants[] = {"purpose"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    char text[64];
    struct slice purpose;
    return !json_scan_response(body, wants, 1, &hit, &root, &problem) &&
           hit.type == JSON_SCAN_STRING && !json_scan_text(&hit, text, sizeof(text), &purpose) &&
           slice_eq(purpose, wanted);
}

static struct slice shown_id(struct ai_call *c)
{
    char mark[AI_MARK_LEN];
    struct slice id = slice_str(current(c->list)->id);
    if (!ai_mark_write(&c->marker, &c->list->account, id, mark))
        return SLICE_NONE;
    return arena_printf(c->rq->arena, "%.*s%.*s", SLICE_ARG(id), AI_MARK_LEN, mark);
}

static enum err show(struct ai_call *c, struct slice body)
{
    struct ai_list *l = c->list;
    const struct ai_context to = {
        .request = &c->request, .marker = &c->marker, .account = l->account, .stored = true};
    struct slice id = shown_id(c);
    enum err e = id.ptr ? ERR_OK : ERR_NOMEM;
    if (!e && l->shown)
        e = buf_append(&c->gathered, SLICE(","));
    if (!e)
        e = openai_stored_mark_body(&to, body, &c->gathered);
    l->first = l->shown ? l->first : id;
    l->last = id;
    l->shown++;
    return e;
}

static bool is_object(struct slice body)
{
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan_response(body, NULL, 0, NULL, &root, &problem) && root == JSON_SCAN_OBJECT;
}

static void take_object(struct ai_call *c)
{
    struct ai_list *l = c->list;
    struct slice body = buf_slice(&c->translated);
    if (c->status == 404) {
        ai_objects_note_gone(c, l->kind, &l->account, slice_str(current(l)->id));
    } else if (c->status == 429) {
        refuse(c, REFUSAL_UPSTREAM_BUSY, SLICE("the list was not read to its end"));
        return;
    } else if (c->status != 200 || !is_object(body)) {
        refuse(c, REFUSAL_UPSTREAM,
               arena_printf(c->rq->arena, "it was asked for a %s, and responded with status %u",
                            l->kind, c->status));
        return;
    } else if (!l->purpose.len || has_purpose(body, l->purpose)) {
        ai_objects_note(c, &l->account, body, true);
        if (show(c, body)) {
            refuse(c, REFUSAL_NO_CAPACITY, SLICE_NONE);
            return;
        }
    }
    pass_on(c);
}

static void on_head(void *arg, const struct http_head *head)
{
    struct ai_call *c = arg;
    c->status = head->status;
    buf_clear(&c->translated);
    if (c->status >= 500 || c->status == 401 || c->status == 403)
        exchange_log_status(c->exchange);
}

static void on_body(void *arg, struct slice data)
{
    struct ai_call *c = arg;
    if (c->status != 200)
        return;
    if (c->translated.len + data.len > OBJECT_MAX || buf_append(&c->translated, data))
        refuse(c, REFUSAL_UPSTREAM, SLICE("what it says of one thing is larger than allowed here"));
}

static void on_end(void *arg)
{
    take_object(arg);
}

static void on_fail(void *arg, const struct exchange_failure *f)
{
    refuse(arg, f->why == ERR_TIMEOUT ? REFUSAL_UPSTREAM_TIMEOUT : REFUSAL_UPSTREAM, f->text);
}

static const struct exchange_events events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_fail = on_fail};

static enum err start_exchange(struct ai_call *c, const struct ai_outgoing *o)
{
    const struct policy_provider *p = o->target;
    const struct policy_timeouts *t = &p->timeouts;
    const struct exchange_spec spec = {
        .upstream = p->o.name,
        .target_id = p->o.id,
        .credential_id = o->account ? o->account->id : SLICE_NONE,
        .region = o->account ? o->account->region : SLICE_NONE,
        .revision = p->o.revision,
        .credential = (struct secret *)(uintptr_t)o->credential,
        .log = &c->rq->log,
        .waited_us = &c->rq->record.upstream_us,
        .call = {.method = SLICE("GET"),
                 .url = *o->url,
                 .path = o->path,
                 .headers = o->headers,
                 .header_count = o->header_count,
                 .rule = {p->allowed, p->allowed_count},
                 .tls = p->tls,
                 .proxy = p->proxy,
                 .connect_ms = t->connect_ms,
                 .first_byte_ms = t->first_byte_ms,
                 .gap_ms = t->between_ms,
                 .total_ms = t->total_ms},
    };
    return exchange_start(&c->rq->env->upstreams, &spec, &events, c, &c->exchange);
}

static void add_policys(struct ai_outgoing *o)
{
    for (size_t i = 0; i < o->target->header_count && o->header_count < AI_SEND_HEADERS; i++)
        ai_outgoing_add(o, o->target->headers[i].name, o->target->headers[i].value);
}

static enum err read_object(struct ai_call *c)
{
    const struct candidate *t = &c->candidates[0];
    char trace[TRACE_HEADER_LEN + 1];
    struct ai_outgoing *o = arena_zalloc(c->rq->arena, sizeof(*o));
    if (!o)
        return ERR_NOMEM;
    o->endpoint = c->endpoint;
    o->request = &c->request;
    o->client_head = c->rq->head;
    o->target = t->provider;
    o->account = t->credential;
    o->url = t->credential ? &t->credential->url : &t->provider->url;
    o->credential = c->token ? c->token->secret : t->credential ? t->credential->secret : NULL;
    o->given = c->token;
    o->changes.model = t->model;
    o->traceparent = trace_header(c->rq->record.trace_id, c->rq->record.span_id, trace);
    o->arena = c->rq->arena;
    o->translated = &c->translated;
    enum err e = c->provider->build(o);
    ai_outgoing_add(o, SLICE("via"), forward_via(c->rq->head));
    add_policys(o);
    if (!e)
        e = start_exchange(c, o);
    secret_wipe(o->secret, o->secret_len);
    return e;
}

static void on_token(struct access_token_wait *w, enum err e);

/* ERR_AGAIN: on_token follows. */
static enum err take_token(struct ai_call *c)
{
    const struct candidate *t = &c->candidates[0];
    access_token_cancel(&c->token_wait);
    access_token_drop(c->token);
    c->token = NULL;
    c->token_wait.fn = on_token;
    return ai_token_take(c->rq, c->provider, t->provider, t->credential, &c->token_wait, &c->token);
}

static void read_by(struct ai_call *c, enum err token)
{
    enum err e = token ? token : read_object(c);
    if (!e)
        return;
    refuse(c, e == ERR_NOMEM || e == ERR_EXHAUSTED ? REFUSAL_NO_CAPACITY : REFUSAL_UPSTREAM,
           token ? ai_token_why(c->rq, c->candidates[0].credential, e) : upstream_why(e));
}

static void on_token(struct access_token_wait *w, enum err e)
{
    struct ai_call *c = CONTAINER_OF(w, struct ai_call, token_wait);
    move(c->list, LIST_LOOKING);
    if (!e)
        e = take_token(c);
    read_by(c, e == ERR_AGAIN ? ERR_PROTOCOL : e); /* one that ends at once is of no use */
}

/* false: the principal can use its account no more. */
static bool find_account(struct ai_call *c)
{
    struct ai_list *l = c->list;
    const struct kept_object *o = current(l);
    l->account = (struct ai_account){.text = ""};
    snprintf(l->account.text, sizeof(l->account.text), "%s", o->account);
    c->request.stays = l->account;
    c->request.object = slice_str(o->id);
    if (ai_objects_find(c))
        return false;
    c->provider = ai_provider_for(c->candidates[0].provider, c->endpoint, c->candidates[0].model);
    return c->provider != NULL;
}

/* The next thing; or the next page, where this one is through; or the end. In the state LOOKING.
 * What is skipped is many rows at most, so it loops. */
static void look_on(struct ai_call *c)
{
    struct ai_list *l = c->list;
    for (;; l->at++) {
        bool through = l->at == l->page->count;
        bool full = l->shown == l->limit || l->looks == LOOKS_MAX;
        if (full || (through && !l->more)) {
            l->more = l->more || !through;
            finish_listed(c);
            return;
        }
        if (through) {
            move(l, LIST_ASKING);
            ask(c);
            return;
        }
        l->looks++;
        if (find_account(c))
            break;
        l->after = *current(l);
    }
    enum err e = take_token(c);
    if (e == ERR_AGAIN)
        move(l, LIST_AUTHORIZING);
    else
        read_by(c, e);
}

/* ---- begun, and called off ---- */

void ai_list_start(struct ai_call *c)
{
    const char *wrong;
    struct ai_list *l = arena_zalloc(c->rq->arena, sizeof(*l));
    if (!l) {
        request_refuse(c->rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        request_finish_as(c->rq, OUTCOME_REFUSED);
        return;
    }
    *l =
        (struct ai_list){.kind = slice_eq(c->endpoint->path, SLICE("/v1/files")) ? "file" : "batch",
                         .limit = LIMIT_USUAL};
    c->list = l;
    c->endpoint = ai_endpoint_item(c->endpoint);
    c->request.kept = true;
    ai_call_make_marker(c);
    wrong = read_query(c);
    if (wrong) {
        refuse(c, REFUSAL_BAD_REQUEST, slice_str(wrong));
        return;
    }
    buf_shelf_take(&c->rq->env->shelf, &c->gathered);
    if (buf_append(&c->gathered, SLICE("{\"object\":\"list\",\"data\":[")))
        refuse(c, REFUSAL_NO_CAPACITY, SLICE_NONE);
    else
        ask(c);
}

void ai_list_cancel(struct ai_call *c)
{
    exchange_close(&c->exchange, OUTCOME_CANCELLED, request_cut_code(c->rq));
    finish(c, &(struct request_end){.outcome = OUTCOME_CANCELLED});
}

void ai_list_leave(struct ai_call *c)
{
    if (c->list)
        drop_page(c->list);
    c->list = NULL;
}
