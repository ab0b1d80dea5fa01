/*
 * admin_connection — from the client to the library.
 *
 * A refusal closes the library's side at once, because no response is due from it, and then the
 * client's, lingering so that the client can read it.
 */
#include "controlplane/api/admin_connection_private.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/http1_write.h"
#include "controlplane/api/admin_problem.h"

#define HEAD_MARGIN 1024 /* our own lines in a head for the library */
#define LINGER_MS 5000   /* for the client to read the last response and close */
/* Bytes of an unwanted body that are read while lingering. Closing with unread bytes would reset
 * the connection (RFC 9112 section 9.6), and the client would lose the response. */
#define LINGER_MOST (8u * 1024 * 1024)

static const struct log_ctx admin_listener_log = {.component = "admin_listener"};

static void on_retired(void *arg)
{
    mem_free(arg);
}

void admin_connection_free(struct admin_connection *l)
{
    struct loop *loop = l->context->loop;
    timer_cancel(&l->slow);
    stream_close(&l->client);
    stream_close(&l->inner);
    buf_fini(&l->in);
    buf_fini(&l->head);
    buf_fini(&l->out);
    /* a callback of this loop turn may still use it: freed at the end of the turn */
    loop_retire(loop, on_retired, l);
}

void admin_connection_cut(struct admin_connection *l)
{
    l->context->on_gone(l->context->gone_arg, l);
    admin_connection_free(l);
}

/* ---- refusing ---- */

static const char *code_of(unsigned status)
{
    enum problem_id id = status == 413   ? PROBLEM_TOO_LARGE
                         : status >= 500 ? PROBLEM_BUSY
                                         : PROBLEM_MALFORMED_REQUEST;
    return problem_row(id)->code;
}

static void send_refusal(struct admin_connection *l)
{
    char body[256], head[256];
    int n = snprintf(body, sizeof(body),
                     "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,"
                     "\"code\":\"%s\",\"detail\":\"%s\"}",
                     http1_reason(l->status), l->status, code_of(l->status), l->why);
    int h = snprintf(head, sizeof(head),
                     "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\n"
                     "Content-Length: %d\r\n%sConnection: close\r\n\r\n",
                     l->status, http1_reason(l->status), n,
                     l->status == 503 ? "Retry-After: 1\r\n" : "");
    struct slice parts[] = {slice_of(head, (size_t)h), slice_of(body, (size_t)n)};
    if (stream_write(l->client, parts, 2) != ERR_OK) {
        admin_connection_cut(l);
        return;
    }
    stream_finish(l->client);
}

/* The library's end is closed, or was never opened. */
void admin_connection_inner_ended(struct admin_connection *l)
{
    if (l->inner_done)
        return;
    l->inner_done = true;
    buf_clear(&l->in);
    stream_resume(l->client);
    timer_start(&l->slow, LINGER_MS);
    if (l->refused)
        send_refusal(l);
    else
        stream_finish(l->client);
}

void admin_connection_refuse(struct admin_connection *l, unsigned status, const char *why)
{
    if (l->refused || l->inner_done)
        return;
    log_debug(&admin_listener_log, "request_refused", "status=%u why=%s", status, why);
    l->refused = true;
    l->status = status;
    l->why = why;
    stream_close(&l->inner); /* no response is due from it: one request at a time */
    admin_connection_inner_ended(l);
}

/* ---- deadlines ---- */

/* True: the client reads what it is given, or has read it. */
bool admin_connection_reads(struct admin_connection *l)
{
    size_t pending = stream_pending(l->client);
    if (pending == 0) {
        pace_stop(&l->reader_pace);
        return true;
    }
    return pace_is_kept(&l->reader_pace, loop_now_us(l->context->loop), l->context->body_gap_ms,
                        l->given - pending);
}

static void on_slow(struct timer *t)
{
    struct admin_connection *l = CONTAINER_OF(t, struct admin_connection, slow);
    bool unread = stream_pending(l->client) > 0;
    if (unread && !l->refused && admin_connection_reads(l))
        timer_start(&l->slow, l->context->body_gap_ms);
    else if (unread || l->inner_done || l->inner == NULL || l->refused || l->in_response)
        admin_connection_cut(l);
    else if (l->phase == ADMIN_WAIT || l->phase == ADMIN_RESPONSE)
        admin_connection_refuse(l, 503, "there was no response in time");
    else if (l->phase == ADMIN_BODY)
        admin_connection_refuse(l, 408, "the body stopped coming");
    else if (l->phase == ADMIN_HEAD && l->begun)
        admin_connection_refuse(l, 408, "the head did not come in time");
    else if (l->phase == ADMIN_HEAD)
        stream_finish(l->inner); /* idle: the library closes, and so do we */
}

/* ---- client to library ---- */

/* Paused while what it sends has no place to go. */
void admin_connection_throttle(struct admin_connection *l)
{
    if (admin_connection_is_leaving(l))
        return;
    bool held = l->phase == ADMIN_WAIT || l->phase == ADMIN_RESPONSE;
    bool stall = (held && l->in.len >= LIMIT_STREAM_LOW) ||
                 stream_pending(l->inner) > (l->stalled ? LIMIT_STREAM_LOW : LIMIT_STREAM_HIGH);
    if (stall == l->stalled)
        return;
    l->stalled = stall;
    if (stall)
        stream_pause(l->client);
    else
        stream_resume(l->client);
}

/* The library gets none of these as they came: framing and connection are our own. */
static bool is_passed_on(struct slice name)
{
    static const char *const ours[] = {"connection",
                                       "keep-alive",
                                       "proxy-connection",
                                       "transfer-encoding",
                                       "content-length",
                                       "expect",
                                       "te",
                                       "trailer",
                                       "upgrade"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (slice_ieq(name, slice_str(ours[i])))
            return false;
    }
    return true;
}

/* The head as the library gets it: HTTP/1.1, one Host, our framing, and an Expect where a body
 * follows. */
static enum err write_head(struct admin_connection *l, const struct http_head *head)
{
    struct http_header passed[LIMIT_HTTP_HEADERS];
    char length[HTTP1_LENGTH_LINE];
    struct slice ready[8];
    size_t n = 0, count = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        if (is_passed_on(head->headers[i].name))
            passed[count++] = head->headers[i];
    }
    ready[n++] = head->method;
    ready[n++] = SLICE(" ");
    ready[n++] = head->target;
    ready[n++] = SLICE(" HTTP/1.1\r\n");
    if (!http_head_find(head, SLICE("host")).ptr) /* HTTP/1.0 may leave it out */
        ready[n++] = SLICE("Host: localhost\r\n");
    if (!head->keep_alive)
        ready[n++] = SLICE("Connection: close\r\n");
    if (l->body.kind == HTTP1_BODY_LENGTH)
        ready[n++] = http1_length_line(head->length, length);
    else if (l->body.kind == HTTP1_BODY_CHUNKED)
        ready[n++] = SLICE("Transfer-Encoding: chunked\r\n");
    if (l->body.kind != HTTP1_BODY_NONE)
        ready[n++] = SLICE("Expect: 100-continue\r\n");
    buf_clear(&l->head);
    return http1_write_head(&l->head, ready, n, passed, count);
}

static enum err pass_head(struct admin_connection *l, const struct http_head *head)
{
    enum err e = write_head(l, head);
    if (e != ERR_OK)
        return e;
    l->expects = head->expect_continue;
    l->phase = l->body.kind == HTTP1_BODY_NONE ? ADMIN_RESPONSE : ADMIN_WAIT;
    timer_start(&l->slow, l->context->response_ms);
    struct slice all = buf_slice(&l->head);
    return stream_write(l->inner, &all, 1);
}

/* Reads a head at the start of l->in. ERR_AGAIN: not whole; ERR_CANCELLED: refused. */
static enum err take_head(struct admin_connection *l)
{
    static _Thread_local struct http_head head; /* too large for a stack; one loop, one thread */
    struct http1_problem problem = {400, "malformed request"};
    size_t len = 0;
    enum err e = http1_head(HTTP1_REQUEST, buf_slice(&l->in), &head, &len, &problem);
    if (e == ERR_INVALID) {
        admin_connection_refuse(l, problem.status, problem.text);
        return ERR_CANCELLED;
    }
    if (e != ERR_OK)
        return e;
    http1_body_init(&l->body, HTTP1_REQUEST, &head, head.method);
    snprintf(l->method, sizeof(l->method), "%.*s", SLICE_ARG(head.method));
    l->body_got = 0;
    pace_stop(&l->body_pace);
    e = pass_head(l, &head);
    buf_eat(&l->in, len);
    return e;
}

static enum err pass_piece(struct admin_connection *l, struct slice piece)
{
    char line[HTTP1_CHUNK_LINE];
    struct slice parts[HTTP1_PIECE_PARTS];
    if (!piece.len) /* a chunk of no bytes would end the body */
        return ERR_OK;
    size_t n = http1_piece_parts(l->body.kind == HTTP1_BODY_CHUNKED, piece, line, parts);
    return stream_write(l->inner, parts, n);
}

static enum err end_body(struct admin_connection *l)
{
    const struct slice last = SLICE("0\r\n\r\n");
    l->phase = ADMIN_RESPONSE;
    timer_start(&l->slow, l->context->response_ms);
    return l->body.kind == HTTP1_BODY_CHUNKED ? stream_write(l->inner, &last, 1) : ERR_OK;
}

/* Passes on the content of what l->in holds of the body. ERR_AGAIN: more is to come;
 * ERR_CANCELLED: refused. */
static enum err take_body(struct admin_connection *l)
{
    struct slice left = buf_slice(&l->in), piece;
    struct http1_problem problem = {400, "malformed body"};
    bool ended = false;
    enum err e = ERR_OK;
    while (e == ERR_OK && !ended) {
        e = http1_body_next(&l->body, &left, &piece, &ended, &problem);
        if (e != ERR_OK)
            break;
        l->body_got += piece.len;
        if (l->body_got > LIMIT_ADMIN_BODY) {
            admin_connection_refuse(l, 413, "a body has at most 1048576 bytes");
            return ERR_CANCELLED;
        }
        e = pass_piece(l, piece);
    }
    if (e == ERR_INVALID) {
        admin_connection_refuse(l, problem.status, problem.text);
        return ERR_CANCELLED;
    }
    buf_eat(&l->in, l->in.len - left.len);
    return e == ERR_OK ? end_body(l) : e;
}

/* A head has one deadline, the first one's from accept; a body one for each gap in it, and a
 * pace. */
static void watch(struct admin_connection *l)
{
    if (l->phase == ADMIN_BODY) {
        if (pace_is_kept(&l->body_pace, loop_now_us(l->context->loop), l->context->body_gap_ms,
                         l->body_got))
            timer_start(&l->slow, l->context->body_gap_ms);
        else
            admin_connection_refuse(l, 408, "the body came too slowly");
    } else if (l->phase == ADMIN_HEAD && l->in.len > 0 && !l->begun) {
        l->begun = true;
        timer_start(&l->slow, l->context->head_ms);
    }
}

void admin_connection_process(struct admin_connection *l)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && l->in.len > 0 && !l->last)
        e = l->phase == ADMIN_HEAD   ? take_head(l)
            : l->phase == ADMIN_BODY ? take_body(l)
                                     : ERR_AGAIN;
    if (e == ERR_CANCELLED)
        return;
    if (e != ERR_OK && e != ERR_AGAIN) {
        admin_connection_cut(l);
        return;
    }
    watch(l);
    if (l->eof && l->phase == ADMIN_BODY && !l->refused && !l->last)
        admin_connection_refuse(l, 400,
                                "the body ended early"); /* the library would wait for the rest */
    else if (l->eof && l->phase == ADMIN_HEAD && !l->refused)
        stream_finish(l->inner);
    admin_connection_throttle(l);
}

static void on_client_data(void *arg, struct slice data)
{
    struct admin_connection *l = arg;
    if (l->refused || l->inner_done || l->last) {
        l->dropped += data.len;
        if (l->dropped > LINGER_MOST)
            admin_connection_cut(l);
        return;
    }
    enum err e = buf_append(&l->in, data);
    if (e == ERR_TOO_BIG)
        admin_connection_refuse(l, 431, "too much at once");
    else if (e != ERR_OK)
        admin_connection_cut(l);
    else
        admin_connection_process(l);
}

static void on_client_eof(void *arg)
{
    struct admin_connection *l = arg;
    l->eof = true;
    if (l->inner != NULL && !l->refused && !l->inner_done)
        admin_connection_process(l);
}

static void on_client_drain(void *arg)
{
    struct admin_connection *l = arg;
    if (l->inner != NULL)
        stream_resume(l->inner);
}

static void on_client_close(void *arg, enum err why)
{
    (void)why;
    admin_connection_cut(arg);
}

/* ---- opening, and evicting ---- */

/* The pair is made after the TLS handshake, so that a handshake that never ends costs the library
 * nothing. */
static void on_client_open(void *arg)
{
    struct admin_connection *l = arg;
    int pair[2];
    if (l->refused) {
        admin_connection_inner_ended(l);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        admin_connection_cut(l);
        return;
    }
    enum err e = stream_accept(l->context->loop, pair[0], NULL, &admin_connection_inner_events, l,
                               &l->inner);
    if (e != ERR_OK) {
        close(pair[1]);
        admin_connection_cut(l);
        return;
    }
    stream_pause(l->client);
    l->context->serve(l->context->arg, pair[1], &l->peer);
}

static const struct stream_events client_events = {
    .on_open = on_client_open,
    .on_data = on_client_data,
    .on_eof = on_client_eof,
    .on_drain = on_client_drain,
    .on_close = on_client_close,
};

#define BUSY "too many connections at once: try again"

enum err admin_connection_new(const struct admin_connection_context *context, int fd,
                              const union sockaddr_any *peer, bool rejected,
                              struct admin_connection **ret)
{
    struct admin_connection *l = mem_zalloc(sizeof(*l));
    if (l == NULL) {
        close(fd);
        return ERR_NOMEM;
    }
    l->context = context;
    l->peer = *peer;
    l->refused = rejected;
    l->status = 503;
    l->why = BUSY;
    list_init(&l->node);
    /* one whole head, or a piece of body as large as a stream reads at once */
    buf_init(&l->in, LIMIT_HTTP_HEAD + LIMIT_STREAM_OUT);
    buf_init(&l->head, LIMIT_HTTP_HEAD + HEAD_MARGIN);
    buf_init(&l->out, LIMIT_HTTP_HEAD + LIMIT_STREAM_OUT);
    timer_init(&l->slow, context->loop, on_slow);
    enum err e = stream_accept(context->loop, fd, context->tls, &client_events, l, &l->client);
    if (e != ERR_OK) {
        mem_free(l);
        return e;
    }
    l->begun = true; /* the handshake is part of it */
    timer_start(&l->slow, context->head_ms);
    *ret = l;
    return ERR_OK;
}

bool admin_connection_is_served(const struct admin_connection *l)
{
    return l->phase == ADMIN_RESPONSE && stream_pending(l->client) == 0;
}

bool admin_connection_is_leaving(const struct admin_connection *l)
{
    return l->refused || l->inner_done || l->last;
}

void admin_connection_evict(struct admin_connection *l)
{
    if (l->inner == NULL || l->in_response) {
        admin_connection_cut(l);
    } else if (l->phase == ADMIN_HEAD && !l->begun) {
        l->last = true; /* no request has begun: it gets no response */
        stream_finish(l->inner);
    } else {
        admin_connection_refuse(l, 503, BUSY);
    }
}
