/* lister — one exchange after the other, until the list is whole. */
#include "mcp-gateway/lister.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/upstream/upstream_log.h"
#include "mcp-gateway/listing.h"
#include "mcp-gateway/mcp_exchange.h"
#include "mcp-gateway/mcp_worker.h"
#include "mcp-gateway/revision.h"

#define HELLO_ID 1

struct lister {
    struct mcp_worker *worker;
    const struct snapshot *policy;
    const struct policy_server *server;
    struct tool_list *list;
    struct mcp_exchange *exchange;
    struct timer deadline;
    const char *step; /* what is under way, for the error */
    uint64_t number;  /* of the last request */
    char upstream_id[LIMIT_MCP_UPSTREAM_ID + 1];
    char version[16];
    struct digest cursors[LIMIT_LIST_PAGES]; /* each page's own: a list may not run in a circle */
    size_t pages;
    void (*done)(void *arg, struct tool_list **list);
    void *arg;
};

static void destroy(struct lister *s)
{
    timer_cancel(&s->deadline);
    mcp_exchange_drop(&s->exchange);
    snapshot_drop(s->policy);
    mem_free(s);
}

/* A client that is being freed takes no more calls. */
static void finish(struct lister *s, bool may_call)
{
    struct tool_list *list = s->list;
    void (*done)(void *arg, struct tool_list **ret) = s->done;
    void *arg = s->arg;
    mcp_exchange_drop(&s->exchange);
    if (s->upstream_id[0] && may_call)
        mcp_exchange_end_session(s->worker, s->policy, s->server, slice_str(s->upstream_id),
                                 slice_str(s->version));
    destroy(s);
    done(arg, &list);
}

static void fail(struct lister *s, const char *why)
{
    tool_list_fail(s->list, "%s: %s", s->step, why);
    finish(s, true);
}

static void fail_by(struct lister *s, enum err why)
{
    struct slice text = upstream_why(why);
    tool_list_fail(s->list, "%s: %.*s", s->step, SLICE_ARG(text));
    finish(s, why != ERR_CANCELLED);
}

static void fail_by_status(struct lister *s)
{
    tool_list_fail(s->list, "%s: it answered with status %u", s->step, s->exchange->status);
    finish(s, true);
}

static void on_deadline(struct timer *t)
{
    fail(CONTAINER_OF(t, struct lister, deadline), "it was not done after a minute");
}

/* ---- one exchange ---- */

/* The leg before is dropped: a server may keep its stream open behind the answer. */
static enum err say(struct lister *s, const char *step, const struct mcp_exchange_events *events,
                    const char *fmt, ...) PRINTF(4, 5);

static enum err say(struct lister *s, const char *step, const struct mcp_exchange_events *events,
                    const char *fmt, ...)
{
    const struct mcp_exchange_spec spec = {.server = s->server,
                                           .policy = s->policy,
                                           .method = SLICE("POST"),
                                           .upstream_id = slice_str(s->upstream_id),
                                           .version = slice_str(s->version),
                                           .silence_ms = LIMIT_MCP_OPEN_MS};
    char text[LIMIT_LIST_CURSOR + 256];
    va_list args;
    struct mcp_exchange *leg = mcp_exchange_new(s->worker);
    if (!leg)
        return ERR_NOMEM;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    enum err e = len > 0 && (size_t)len < sizeof(text)
                     ? buf_append(&leg->message, slice_of(text, (size_t)len))
                     : ERR_TOO_BIG;
    mcp_exchange_drop(&s->exchange);
    s->step = step;
    s->exchange = leg;
    return e ? e : mcp_exchange_start(&s->exchange, &spec, events, s);
}

static void on_head(void *arg)
{
    struct lister *s = arg;
    if (s->exchange->status != 200)
        fail_by_status(s);
    else if (!s->exchange->is_json && !s->exchange->is_stream)
        fail(s, "it responded with neither JSON nor an event stream");
}

static void on_end(void *arg)
{
    fail(arg, "its stream ended without the response");
}

static void on_fail(void *arg, enum err why, enum http_call_phase phase)
{
    (void)phase;
    fail_by(arg, why);
}

/* The response to the last request; false: it was something else, or the lister is over. */
static bool read_response(struct lister *s, const struct mcp_piece *p, struct mcp_response *a)
{
    if (!p->message.ptr)
        return false;
    if (mcp_response_read(p->message, a)) {
        fail(s, "it sent a message that cannot be read");
        return false;
    }
    if (!mcp_response_is_to(a, s->number))
        return false;
    if (a->kind == MCP_RESPONSE_RESULT)
        return true;
    bool code = a->code.type == JSON_SCAN_NUMBER && a->code.raw.len <= 16;
    tool_list_fail(s->list, "%s: it answered with the error %.*s", s->step,
                   SLICE_ARG(code ? a->code.raw : SLICE("without a code")));
    finish(s, true);
    return false;
}

/* ---- tools/list ---- */

static void on_page(void *arg, const struct mcp_piece *p);

static const struct mcp_exchange_events page_events = {
    .on_head = on_head, .on_piece = on_page, .on_end = on_end, .on_fail = on_fail};

static void ask_page(struct lister *s, struct slice cursor)
{
    enum err e =
        say(s, "tools/list", &page_events,
            "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"tools/list\",\"params\":{%s%.*s}}",
            (unsigned long long)++s->number, cursor.len ? "\"cursor\":" : "", SLICE_ARG(cursor));
    if (e)
        fail_by(s, e);
}

static bool is_new_cursor(struct lister *s, struct slice cursor)
{
    struct digest d;
    digest_sha256(cursor, &d);
    for (size_t i = 0; i < s->pages; i++)
        if (memcmp(&s->cursors[i], &d, sizeof(d)) == 0)
            return false;
    s->cursors[s->pages++] = d;
    return true;
}

static void on_page(void *arg, const struct mcp_piece *p)
{
    struct lister *s = arg;
    struct mcp_response a;
    struct slice cursor;
    if (!read_response(s, p, &a))
        return;
    enum err e = mcp_listing_page(&a, s->list, &cursor);
    if (e == ERR_PROTOCOL)
        fail(s, "its result is no list of tools");
    else if (e == ERR_TOO_BIG)
        fail(s, "its list is longer than we read");
    else if (e)
        fail_by(s, e);
    else if (!cursor.ptr)
        finish(s, true);
    else if (s->pages == LIMIT_LIST_PAGES)
        fail(s, "its list has more pages than we read");
    else if (!is_new_cursor(s, cursor))
        fail(s, "its cursors run in a circle");
    else
        ask_page(s, cursor);
}

/* ---- initialized ---- */

static void on_noted(void *arg)
{
    struct lister *s = arg;
    if (s->exchange->status >= 300)
        fail_by_status(s);
    else {
        mcp_exchange_release(&s->exchange);
        ask_page(s, SLICE(""));
    }
}

static void on_note_piece(void *arg, const struct mcp_piece *p)
{
    (void)arg;
    (void)p;
}

static void on_note_end(void *arg)
{
    (void)arg; /* its head said all there is to know */
}

static const struct mcp_exchange_events note_events = {
    .on_head = on_noted, .on_piece = on_note_piece, .on_end = on_note_end, .on_fail = on_fail};

/* ---- initialize ---- */

static bool take_version(struct lister *s, const struct mcp_response *a)
{
    char buffer[32];
    struct slice version;
    if (a->version.raw.len > sizeof(buffer) ||
        json_scan_text(&a->version, buffer, sizeof(buffer), &version) ||
        !mcp_revision_has_handshake(version))
        return false;
    snprintf(s->version, sizeof(s->version), "%.*s", SLICE_ARG(version));
    snprintf(s->upstream_id, sizeof(s->upstream_id), "%s", s->exchange->upstream_id);
    return true;
}

static void on_hello(void *arg, const struct mcp_piece *p)
{
    struct lister *s = arg;
    struct mcp_response a;
    if (!read_response(s, p, &a))
        return;
    if (!take_version(s, &a)) {
        fail(s, "it chose a revision that the gateway does not speak");
        return;
    }
    if (a.cap_tools.type != JSON_SCAN_OBJECT) {
        finish(s, true); /* it says that it has none, and no client would ask */
        return;
    }
    enum err e = say(s, "initialized", &note_events, "%s",
                     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    if (e)
        fail_by(s, e);
}

static const struct mcp_exchange_events hello_events = {
    .on_head = on_head, .on_piece = on_hello, .on_end = on_end, .on_fail = on_fail};

static enum err begin(struct lister *s)
{
    s->number = HELLO_ID;
    timer_start(&s->deadline, LIMIT_LIST_MS);
    return say(s, "initialize", &hello_events, "%s",
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
               "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
               "\"clientInfo\":{\"name\":\"gatehouse\",\"version\":\"1\"}}}");
}

enum err mcp_lister_start(struct request_env *env, struct tool_list **list,
                          void (*done)(void *arg, struct tool_list **list), void *arg)
{
    const struct tool_order *o = &(*list)->order;
    const struct policy_server *server =
        env->policy ? snapshot_server_named(env->policy, slice_str(o->org_id), slice_str(o->name))
                    : NULL;
    if (!server || !slice_eq(server->o.id, slice_str(o->server_id)))
        return ERR_NOT_FOUND;
    struct mcp_worker *worker = mcp_worker_of(env);
    struct lister *s = worker ? mem_zalloc(sizeof(*s)) : NULL;
    if (!s)
        return ERR_NOMEM;
    *s = (struct lister){.worker = worker,
                         .policy = snapshot_hold(env->policy),
                         .server = server,
                         .list = *list,
                         .done = done,
                         .arg = arg};
    timer_init(&s->deadline, env->loop, on_deadline);
    enum err e = begin(s);
    if (e) {
        destroy(s);
        return e;
    }
    (*list)->order.revision = server->o.revision;
    *list = NULL;
    return ERR_OK;
}
