/* upstream_opening — the machine, its waiters, and the end of what it opened. */
#include "mcp-gateway/upstream_opening.h"

#include <limits.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "mcp-gateway/mcp_exchange.h"
#include "mcp-gateway/mcp_message.h"
#include "mcp-gateway/mcp_response.h"
#include "mcp-gateway/revision.h"
#include "mcp-gateway/session_directory.h"

#define HELLO_ID 1 /* the session's requests go on from it; 0 is nothing to some servers */
#define TOTAL_MS (2 * LIMIT_MCP_OPEN_MS)

enum opening_state { OPENING_GREETING, OPENING_CONFIRMING, OPENING_RESTORING, OPENING_SETTLED };

struct upstream_opening {
    struct list link; /* in the worker's */
    struct mcp_worker *worker;
    struct client_session *session; /* held */
    struct upstream_session *upstream;
    const struct policy_server *server;
    const struct snapshot *policy; /* held */
    struct mcp_exchange *exchange;
    struct arena *arena; /* of texts that are sent */
    struct timer deadline;
    enum opening_state state;
    bool leaves_confirming; /* to the client */
    bool confirms_only;     /* the session was greeted before */
    bool again;             /* a second initialize, in a revision that the server named */
    struct slice version;   /* that initialize names, where it is not the client's */
    struct upstream_ref ref;
    size_t restored;
    char trace_id[33], span_id[17], request_id[40];
    struct slice via;
    struct log_ctx log;
};

/* The one function that changes the state. */
static void move(struct upstream_opening *o, enum opening_state to)
{
    MUST(to > o->state || (to == o->state && to == OPENING_RESTORING));
    o->state = to;
}

static struct mcp_exchange_spec post_spec(const struct upstream_opening *o)
{
    return (struct mcp_exchange_spec){.server = o->server,
                                      .policy = o->policy,
                                      .method = SLICE("POST"),
                                      .upstream_id = o->ref.upstream_id,
                                      .version = o->ref.version,
                                      .via = o->via,
                                      .trace_id = o->trace_id[0] ? o->trace_id : NULL,
                                      .span_id = o->span_id,
                                      .log = &o->log,
                                      .silence_ms = LIMIT_MCP_OPEN_MS};
}

/* ---- its end ---- */

static void destroy(void *arg)
{
    struct upstream_opening *o = arg;
    arena_free(o->arena);
    mem_free(o);
}

static bool is_wanted(const struct upstream_opening *o)
{
    return atomic_load(&o->session->refs) > 1 && !session_directory_is_ended(o->session);
}

/* A session that is not wanted, or that failed half open, must not stay open at the server. */
static void end_unwanted(struct upstream_opening *o, bool failed)
{
    struct upstream_ref ref;
    const char *id = o->exchange ? o->exchange->upstream_id : NULL;
    if (!failed && !is_wanted(o)) {
        if (upstream_session_end(o->upstream, o->arena, &ref))
            mcp_exchange_end_session(o->worker, o->policy, o->server, ref.upstream_id, ref.version);
    } else if (failed && o->ref.upstream_id.len) {
        mcp_exchange_end_session(o->worker, o->policy, o->server, o->ref.upstream_id,
                                 o->ref.version);
    } else if (failed && id) {
        mcp_exchange_end_session(o->worker, o->policy, o->server, slice_str(id), SLICE_NONE);
    }
}

static void release(struct upstream_opening *o)
{
    if (o->exchange && o->exchange->status == 200)
        mcp_exchange_release(&o->exchange); /* its last bytes make the connection fit for more */
    mcp_exchange_drop(&o->exchange);
    timer_cancel(&o->deadline);
    list_remove(&o->link);
    snapshot_drop(o->policy);
    client_session_drop(o->session);
    loop_retire(o->worker->env->loop, destroy, o);
}

static void settle(struct upstream_opening *o, const struct upstream_failure *failure, bool greeted)
{
    struct mcp_worker_set waiting;
    bool reopened = !failure && !o->confirms_only && o->ref.generation > 1;
    upstream_session_settle(o->upstream, greeted, failure, &waiting);
    end_unwanted(o, failure != NULL && !greeted);
    move(o, OPENING_SETTLED);
    waiting.bits[o->worker->slot / 64] &= ~(UINT64_C(1) << (o->worker->slot % 64));
    mcp_worker_tell(&waiting, o->session, MCP_EVENT_SETTLED, 0);
    if (reopened)
        mcp_worker_tell(NULL, o->session, MCP_EVENT_REOPENED, o->ref.generation);
    upstream_opening_settled(o->worker, o->session);
    release(o);
}

/* A server that is busy may hear the client's `initialized` again; a session that it does not
 * confirm for another reason is lost. */
static void fail_with(struct upstream_opening *o, const struct upstream_failure *f)
{
    settle(o, f, o->confirms_only && f->status == 429);
}

static void fail(struct upstream_opening *o, enum err why)
{
    struct upstream_failure f = {.why = why};
    if (o->exchange && o->exchange->call)
        mcp_exchange_failed(o->exchange, why);
    fail_with(o, &f);
}

static void fail_by_status(struct upstream_opening *o)
{
    const struct mcp_exchange *x = o->exchange;
    struct upstream_failure f = {
        .why = ERR_DENIED, .status = x->status, .retry_after_s = x->retry_after_s};
    upstream_said(buf_slice(&x->response), f.text, sizeof(f.text));
    mcp_exchange_refused(o->exchange);
    fail_with(o, &f);
}

static void on_deadline(struct timer *t)
{
    fail(CONTAINER_OF(t, struct upstream_opening, deadline), ERR_TIMEOUT);
}

/* ---- one message after the other ---- */

static enum err send_message(struct upstream_opening *o, const struct mcp_exchange_events *events,
                             struct slice message)
{
    const struct mcp_exchange_spec spec = post_spec(o);
    enum err e = message.ptr ? ERR_OK : ERR_NOMEM;
    mcp_exchange_drop(&o->exchange);
    if (!e && !(o->exchange = mcp_exchange_new(o->worker)))
        e = ERR_NOMEM;
    if (!e)
        e = buf_append(&o->exchange->message, message);
    return e ? e : mcp_exchange_start(&o->exchange, &spec, events, o);
}

static void on_fail(void *arg, enum err why, enum http_call_phase phase)
{
    (void)phase;
    fail(arg, why);
}

static void on_piece_ignored(void *arg, const struct mcp_piece *p)
{
    (void)arg;
    (void)p;
}

static void on_end_ignored(void *arg)
{
    (void)arg; /* its head said all there is to know */
}

/* ---- what a lost session had ---- */

static void restore_next(struct upstream_opening *o);

static void on_restored(void *arg)
{
    struct upstream_opening *o = arg;
    if (o->exchange->status >= 300)
        log_warn(&o->log, "mcp_session_not_restored", "server=%.*s step=%zu status=%u",
                 SLICE_ARG(o->server->o.name), o->restored, o->exchange->status);
    mcp_exchange_release(&o->exchange);
    restore_next(o);
}

static const struct mcp_exchange_events restore_events = {.on_head = on_restored,
                                                          .on_piece = on_piece_ignored,
                                                          .on_end = on_end_ignored,
                                                          .on_fail = on_fail};

static void restore_next(struct upstream_opening *o)
{
    const char *method;
    struct slice params;
    move(o, OPENING_RESTORING);
    if (!upstream_session_restore(o->upstream, o->restored++, o->arena, &method, &params)) {
        settle(o, NULL, false);
        return;
    }
    enum err e = send_message(o, &restore_events,
                              arena_printf(o->arena,
                                           "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\","
                                           "\"params\":%.*s}",
                                           (unsigned long long)client_session_number(o->session),
                                           method, SLICE_ARG(params)));
    if (e)
        fail(o, e);
}

/* ---- initialized ---- */

static void on_confirmed(void *arg)
{
    struct upstream_opening *o = arg;
    if (o->exchange->status >= 300) {
        fail_by_status(o);
        return;
    }
    mcp_exchange_release(&o->exchange);
    if (o->ref.generation > 1 && !o->confirms_only)
        restore_next(o);
    else
        settle(o, NULL, false);
}

static const struct mcp_exchange_events confirm_events = {.on_head = on_confirmed,
                                                          .on_piece = on_piece_ignored,
                                                          .on_end = on_end_ignored,
                                                          .on_fail = on_fail};

static enum err send_initialized(struct upstream_opening *o)
{
    return send_message(o, &confirm_events,
                        SLICE("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"));
}

static void confirm(struct upstream_opening *o)
{
    move(o, OPENING_CONFIRMING);
    enum err e = send_initialized(o);
    if (e)
        fail(o, e);
}

/* ---- initialize ---- */

static enum err note_opened(struct upstream_opening *o, const struct mcp_response *a)
{
    char text[32];
    struct slice version;
    const char *id = o->exchange->upstream_id;
    if (a->version.raw.len > sizeof(text) ||
        json_scan_text(&a->version, text, sizeof(text), &version) ||
        !mcp_revision_has_handshake(version))
        return ERR_PROTOCOL;
    enum err e =
        upstream_session_opened(o->upstream, o->server, id ? slice_str(id) : SLICE_NONE, version);
    o->ref =
        (struct upstream_ref){.generation = o->upstream->generation,
                              .version = arena_copy(o->arena, version),
                              .upstream_id = id ? arena_copy(o->arena, slice_str(id)) : SLICE_NONE};
    if (!e && (!o->ref.version.ptr || (id && !o->ref.upstream_id.ptr)))
        e = ERR_NOMEM;
    return e;
}

/* Waiters of the client's own initialize pass it on. */
static void hand_out(struct upstream_opening *o, struct slice text)
{
    LIST_EACH(&o->worker->waiting, it)
    {
        struct upstream_waiter *w = LIST_ITEM(it, struct upstream_waiter, link);
        if (w->session == o->session && w->greets)
            w->greeting = arena_copy(w->arena, text);
    }
}

static void take_response(struct upstream_opening *o, const struct mcp_response *a)
{
    struct upstream_failure f = {.why = ERR_NOT_FOUND};
    if (a->kind != MCP_RESPONSE_RESULT) {
        upstream_said(a->text, f.text, sizeof(f.text));
        fail_with(o, &f);
        return;
    }
    enum err e = note_opened(o, a);
    if (e) {
        fail(o, e);
        return;
    }
    hand_out(o, a->text);
    if (o->leaves_confirming)
        settle(o, NULL, true);
    else {
        mcp_exchange_release(&o->exchange);
        confirm(o);
    }
}

static void greet(struct upstream_opening *o);

/* A 400 that names revisions: once more, in the newest of them that is spoken here too. */
static bool try_other_revision(struct upstream_opening *o, struct slice body)
{
    struct slice sent =
        o->version.ptr ? o->version
                       : mcp_revision_of_hello(slice_of(o->session->hello, o->session->hello_len));
    struct slice named = mcp_revision_named_in(body, sent);
    if (o->again || o->exchange->status != 400 || !named.ptr)
        return false;
    o->again = true;
    o->version = named;
    greet(o);
    return true;
}

static void on_greeting_head(void *arg)
{
    struct upstream_opening *o = arg;
    const struct mcp_exchange *x = o->exchange;
    if (x->status == 200 ? !x->is_json && !x->is_stream : !x->is_json) {
        if (x->status == 200)
            fail(o, ERR_PROTOCOL);
        else
            fail_by_status(o);
    }
}

static void on_greeting_piece(void *arg, const struct mcp_piece *p)
{
    struct upstream_opening *o = arg;
    struct mcp_response a;
    if (!p->message.ptr)
        return;
    if (o->exchange->status != 200) {
        if (!try_other_revision(o, p->message))
            fail_by_status(o);
    } else if (mcp_response_read(p->message, &a)) {
        fail(o, ERR_PROTOCOL);
    } else if (mcp_response_is_to(&a, HELLO_ID)) {
        take_response(o, &a);
    }
}

static void on_greeting_end(void *arg)
{
    struct upstream_opening *o = arg;
    if (o->exchange->status != 200)
        fail_by_status(o);
    else
        fail(o, ERR_PROTOCOL); /* it ended, and nothing in it was the response */
}

static const struct mcp_exchange_events greeting_events = {.on_head = on_greeting_head,
                                                           .on_piece = on_greeting_piece,
                                                           .on_end = on_greeting_end,
                                                           .on_fail = on_fail};

static enum err send_initialize(struct upstream_opening *o)
{
    struct slice hello = slice_of(o->session->hello, o->session->hello_len);
    struct slice ours = mcp_revision_of_hello(hello);
    o->ref = (struct upstream_ref){0};
    if (o->version.ptr && ours.ptr) { /* ours stands in quotes, and is written anew */
        struct slice before = slice_first(hello, (size_t)(ours.ptr - hello.ptr));
        struct slice behind = slice_from(hello, before.len + ours.len);
        hello = arena_printf(o->arena, "%.*s%.*s%.*s", SLICE_ARG(before), SLICE_ARG(o->version),
                             SLICE_ARG(behind));
    }
    if (!hello.ptr)
        return ERR_NOMEM;
    return send_message(o, &greeting_events,
                        arena_printf(o->arena,
                                     "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"initialize\","
                                     "\"params\":%.*s}",
                                     HELLO_ID, SLICE_ARG(hello)));
}

static void greet(struct upstream_opening *o)
{
    enum err e = send_initialize(o);
    if (e)
        fail(o, e);
}

/* ---- its beginning ---- */

static struct upstream_opening *create(const struct upstream_waiter *w)
{
    struct upstream_opening *o = mem_zalloc(sizeof(*o));
    if (!o)
        return NULL;
    o->arena = arena_new(2 * LIMIT_MCP_HELLO, 64 * LIMIT_MCP_HELLO);
    if (!o->arena) {
        mem_free(o);
        return NULL;
    }
    o->worker = w->worker;
    o->session = client_session_hold(w->session);
    o->upstream = w->upstream;
    o->server = w->server;
    o->policy = snapshot_hold(w->policy);
    o->leaves_confirming = w->greets;
    snprintf(o->trace_id, sizeof(o->trace_id), "%s", w->trace_id ? w->trace_id : "");
    snprintf(o->span_id, sizeof(o->span_id), "%s", w->span_id ? w->span_id : "");
    snprintf(o->request_id, sizeof(o->request_id), "%.*s", SLICE_ARG(w->log->request_id));
    o->via = arena_copy(o->arena, w->via);
    o->log = (struct log_ctx){w->log->component, slice_str(o->request_id), SLICE_NONE};
    timer_init(&o->deadline, w->worker->env->loop, on_deadline);
    timer_start(&o->deadline, TOTAL_MS);
    list_push(&w->worker->openings, &o->link);
    return o;
}

/* On failure nothing is under way, and the other workers' waiters are told. */
static enum err begin(struct upstream_waiter *w, enum upstream_turn turn)
{
    struct mcp_worker_set waiting;
    struct upstream_opening *o = create(w);
    enum err e = o ? ERR_OK : ERR_NOMEM;
    if (!e && turn == UPSTREAM_GREET) {
        e = send_initialize(o);
    } else if (!e) {
        move(o, OPENING_CONFIRMING);
        o->confirms_only = true;
        o->ref = (struct upstream_ref){.generation = w->ref.generation,
                                       .version = arena_copy(o->arena, w->ref.version),
                                       .upstream_id = arena_copy(o->arena, w->ref.upstream_id)};
        e = send_initialized(o);
    }
    if (!e)
        return ERR_OK;
    w->failure = (struct upstream_failure){.why = e};
    upstream_session_settle(w->upstream, false, &w->failure, &waiting);
    mcp_worker_tell(&waiting, w->session, MCP_EVENT_SETTLED, 0);
    if (o)
        release(o);
    return e;
}

/* ---- the waiters ---- */

static enum err look(struct upstream_waiter *w)
{
    const struct upstream_need need = {.server_revision = w->server->o.revision,
                                       .worker = w->worker->slot,
                                       .greeted_suffices = !w->confirms,
                                       .failures = &w->failures,
                                       .arena = w->arena};
    enum upstream_turn turn = upstream_session_enter(w->upstream, &need, &w->ref, &w->failure);
    switch (turn) {
    case UPSTREAM_USE:
        return ERR_OK;
    case UPSTREAM_FAIL:
        return w->failure.why;
    case UPSTREAM_NOMEM:
        w->failure = (struct upstream_failure){.why = ERR_NOMEM};
        return ERR_NOMEM;
    case UPSTREAM_GREET:
    case UPSTREAM_CONFIRM: {
        enum err e = begin(w, turn);
        return e ? e : ERR_AGAIN;
    }
    case UPSTREAM_WAIT:
        return ERR_AGAIN;
    }
    MUST(false);
}

static void end_wait(struct upstream_waiter *w, enum err e)
{
    timer_cancel(&w->deadline);
    list_remove(&w->link);
    w->done(w, e);
}

static void on_wait_over(struct timer *t)
{
    struct upstream_waiter *w = CONTAINER_OF(t, struct upstream_waiter, deadline);
    w->failure = (struct upstream_failure){.why = ERR_TIMEOUT};
    end_wait(w, ERR_TIMEOUT);
}

enum err upstream_waiter_start(struct upstream_waiter *w)
{
    w->failures = UINT_MAX;
    w->greeting = SLICE_NONE;
    w->upstream = client_session_upstream(w->session, w->server->o.id);
    if (!w->upstream) {
        w->failure = (struct upstream_failure){.why = ERR_NOMEM};
        return ERR_NOMEM;
    }
    enum err e = look(w);
    if (e != ERR_AGAIN)
        return e;
    if (!w->deadline.loop)
        timer_init(&w->deadline, w->worker->env->loop, on_wait_over);
    timer_start(&w->deadline, TOTAL_MS);
    list_push(&w->worker->waiting, &w->link);
    return ERR_AGAIN;
}

void upstream_waiter_cancel(struct upstream_waiter *w)
{
    if (!w->link.next)
        return;
    timer_cancel(&w->deadline);
    list_remove(&w->link);
}

/* They are set apart first: what one does may end another. */
void upstream_opening_settled(struct mcp_worker *m, struct client_session *session)
{
    struct list found;
    struct list *it;
    list_init(&found);
    LIST_EACH(&m->waiting, at)
    {
        if (LIST_ITEM(at, struct upstream_waiter, link)->session != session)
            continue;
        list_remove(at);
        list_push(&found, at);
    }
    while ((it = list_take_first(&found))) {
        struct upstream_waiter *w = LIST_ITEM(it, struct upstream_waiter, link);
        enum err e = look(w);
        if (e == ERR_AGAIN)
            list_push(&m->waiting, &w->link);
        else
            end_wait(w, e);
    }
}

/* ---- the end of a session ---- */

void upstream_opening_lost(struct upstream_waiter *w)
{
    if (upstream_session_lost(w->upstream, w->ref.generation))
        log_warn(w->log, "mcp_session_lost", "server=%.*s", SLICE_ARG(w->server->o.name));
}

/* Another revision may be another host, which this session is no business of. */
static void end_one(struct mcp_worker *m, const struct snapshot *policy, struct upstream_session *u,
                    struct arena *a)
{
    struct upstream_ref ref;
    if (!upstream_session_end(u, a, &ref))
        return;
    const struct policy_server *server = snapshot_server_named(policy, ref.org_id, ref.server_name);
    if (server && server->o.revision == ref.server_revision)
        mcp_exchange_end_session(m, policy, server, ref.upstream_id, ref.version);
}

void upstream_opening_end_all(struct mcp_worker *m, const struct snapshot *policy,
                              struct client_session *session, struct arena *a)
{
    struct upstream_session *all[LIMIT_MCP_UPSTREAMS];
    size_t n = client_session_upstreams(session, all, ARRAY_LEN(all));
    for (size_t i = 0; i < n; i++)
        end_one(m, policy, all[i], a);
}

/* ---- what a server says beside the protocol ---- */

void upstream_said(struct slice body, char *out, size_t size)
{
    static const char *const wants[] = {"error.message", "error_description", "message", "error"};
    struct json_hit hit[ARRAY_LEN(wants)];
    enum json_type root;
    char text[1024];
    struct slice said = SLICE_NONE;
    out[0] = '\0';
    if (!body.len || json_scan_response(body, wants, ARRAY_LEN(wants), hit, &root, NULL))
        return;
    for (size_t i = 0; i < ARRAY_LEN(wants) && !said.ptr; i++)
        if (hit[i].type == JSON_SCAN_STRING && hit[i].raw.len <= sizeof(text) &&
            json_scan_text(&hit[i], text, sizeof(text), &said))
            said = SLICE_NONE;
    size_t n = 0;
    for (size_t i = 0; i < said.len && n + 1 < size; i++) {
        unsigned char c = (unsigned char)said.ptr[i];
        if (c >= 0x80 && n + 4 >= size)
            break; /* no half character at the end */
        out[n++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    out[n] = '\0';
}
