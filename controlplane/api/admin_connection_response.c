/*
 * admin_connection_response — from the library to the client: responses of the API are passed on
 * unchanged, and read along to know where each ends and whether the body may come.
 */
#include "common/base/log.h"
#include "controlplane/api/admin_connection_private.h"

static const struct log_ctx connection_log = {.component = "admin_listener"};

static enum err pass_out(struct admin_connection *l, size_t used)
{
    struct slice bytes = slice_first(buf_slice(&l->out), used);
    enum err e = used > 0 ? stream_write(l->client, &bytes, 1) : ERR_OK;
    buf_eat(&l->out, used);
    l->given += used;
    return e;
}

/* "100 Continue" from the library: the body may be read. It is passed on only where the client
 * sent Expect (RFC 9110 section 10.1.1). */
static enum err accept_body(struct admin_connection *l, size_t len)
{
    enum err e = ERR_OK;
    if (l->expects)
        e = pass_out(l, len);
    else
        buf_eat(&l->out, len);
    if (l->phase == ADMIN_WAIT)
        l->phase = ADMIN_BODY;
    return e;
}

/* A response that the library makes up itself repeats parts of the request, in HTML, and must not
 * reach a client. Every response of the API has this header (mhd_exchange.c). */
static bool is_own_response(const struct http_head *head)
{
    return http_head_find(head, SLICE("x-content-type-options")).ptr != NULL;
}

/* ERR_AGAIN: not whole; ERR_CANCELLED: refused. */
static enum err take_response_head(struct admin_connection *l)
{
    static _Thread_local struct http_head head;
    struct http1_problem problem;
    size_t len = 0;
    enum err e = http1_head(HTTP1_ANSWER, buf_slice(&l->out), &head, &len, &problem);
    if (e != ERR_OK)
        return e;
    if (head.status < 200)
        return accept_body(l, len);
    if (!is_own_response(&head)) {
        log_warn(&connection_log, "library_responded", "status=%u", head.status);
        admin_connection_refuse(l, head.status < 500 ? 400 : 500, "the request could not be read");
        return ERR_CANCELLED;
    }
    http1_body_init(&l->response, HTTP1_ANSWER, &head, slice_str(l->method));
    l->in_response = true;
    l->last = l->phase != ADMIN_RESPONSE;
    if (l->last) {
        timer_cancel(&l->slow);
        buf_clear(&l->in);
        stream_resume(l->client);
    }
    return pass_out(l, len);
}

/* The next request may go; one after a refused body may not. */
static void request_over(struct admin_connection *l)
{
    l->in_response = false;
    if (l->last) {
        stream_finish(l->inner);
        return;
    }
    l->phase = ADMIN_HEAD;
    l->begun = false;
    timer_start(&l->slow, l->context->keepalive_ms);
    l->context->on_idle(l->context->gone_arg, l);
}

static enum err take_response_body(struct admin_connection *l)
{
    struct slice left = buf_slice(&l->out), piece;
    struct http1_problem problem;
    bool ended = l->response.kind == HTTP1_BODY_NONE;
    enum err e = ERR_OK;
    while (e == ERR_OK && !ended)
        e = http1_body_next(&l->response, &left, &piece, &ended, &problem);
    if (e != ERR_OK && e != ERR_AGAIN)
        return e;
    enum err passed = pass_out(l, l->out.len - left.len);
    if (ended)
        request_over(l);
    return passed != ERR_OK ? passed : ended ? ERR_OK : ERR_AGAIN;
}

/* True: the connection is open and takes requests. */
static bool give(struct admin_connection *l)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && (l->out.len > 0 || l->in_response))
        e = l->in_response ? take_response_body(l) : take_response_head(l);
    if (e == ERR_CANCELLED)
        return false;
    if ((e != ERR_OK && e != ERR_AGAIN) || !admin_connection_reads(l)) {
        admin_connection_cut(l);
        return false;
    }
    if (stream_is_full(l->client))
        stream_pause(l->inner);
    if (stream_pending(l->client) > 0)
        timer_start(&l->slow, l->context->body_gap_ms);
    return true;
}

static void on_inner_data(void *arg, struct slice data)
{
    struct admin_connection *l = arg;
    if (l->refused)
        return;
    if (buf_append(&l->out, data) != ERR_OK)
        admin_connection_cut(l);
    else if (give(l))
        admin_connection_process(l);
}

static void on_inner_eof(void *arg)
{
    struct admin_connection *l = arg;
    stream_finish(l->inner);
    admin_connection_inner_ended(l);
}

static void on_inner_drain(void *arg)
{
    struct admin_connection *l = arg;
    if (!l->refused)
        admin_connection_throttle(l);
}

static void on_inner_close(void *arg, enum err why)
{
    (void)why;
    admin_connection_inner_ended(arg);
}

/* At the end of the turn that made the pair: only then it takes bytes. */
static void on_inner_open(void *arg)
{
    struct admin_connection *l = arg;
    stream_resume(l->client);
}

const struct stream_events admin_connection_inner_events = {
    .on_open = on_inner_open,
    .on_data = on_inner_data,
    .on_eof = on_inner_eof,
    .on_drain = on_inner_drain,
    .on_close = on_inner_close,
};
