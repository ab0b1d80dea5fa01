/* Exchanges: a head becomes a request, its body goes to whom asked for it, and at the end the
 * connection is kept, read empty, or finished. */
#include <stdio.h>

#include "common/base/limits.h"
#include "common/net/http_conn.h"

static void init_exchange(struct http_exchange *x, struct http_conn *c)
{
    x->conn = c;
    x->events = (struct http_exchange_events){0};
    x->user = NULL;
    x->body_max = c->server->config.body_max;
    x->body_got = 0;
    x->bound = x->reading = x->paused = x->begun = x->ended = false;
    x->bodiless = x->chunked = x->wants_drain = false;
    x->keep = x->head.keep_alive;
    x->expects = x->head.expect_continue;
    pace_stop(&x->pace);
    x->left = UINT64_MAX;
    http1_body_init(&x->body, HTTP1_REQUEST, &x->head, x->head.method);
    x->body_done = false;
}

/* The head moves to a place of its own, since what is lent goes with the callback. */
static struct http_exchange *read_head(struct http_conn *c, struct slice bytes)
{
    struct http1_problem problem;
    struct http_exchange *x = http_server_take_spare(c->server);
    if (!x || buf_append(&x->head_bytes, bytes) != ERR_OK) {
        if (x)
            http_server_give_spare(c->server, x);
        http_conn_refuse(c, 503, "out of memory", ERR_NOMEM);
        return NULL;
    }
    enum err e = http1_head_parse(HTTP1_REQUEST, buf_slice(&x->head_bytes), &x->head, &problem);
    bool (*hostless)(const struct http_head *head) = c->server->config.serves_without_host;
    if (e && !(hostless && http1_head_lacks_host(&x->head, &problem) && hostless(&x->head))) {
        http_server_give_spare(c->server, x);
        http_conn_refuse(c, problem.status, problem.text, ERR_PROTOCOL);
        return NULL;
    }
    return x;
}

bool http_exchange_open(struct http_conn *c, struct slice *bytes)
{
    struct http1_problem problem;
    size_t len = 0;
    if (bytes->len == 0)
        return false;
    enum err e = http1_head_end(HTTP1_REQUEST, *bytes, &c->scanned, &len, &problem);
    if (e == ERR_AGAIN) {
        if (!c->head_begun)
            timer_start(&c->timer, c->server->config.head_ms);
        c->head_begun = true;
        return false;
    }
    c->scanned = 0;
    c->head_begun = false;
    if (e) {
        http_conn_refuse(c, problem.status, problem.text, ERR_PROTOCOL);
        return true;
    }
    struct http_exchange *x = read_head(c, slice_first(*bytes, len));
    if (!x)
        return true;
    *bytes = slice_from(*bytes, len);
    init_exchange(x, c);
    c->x = x;
    c->state = CONN_EXCHANGE;
    c->server->events.on_request(c->server->arg, x);
    MUST(c->x != x || x->bound || c->state == CONN_CLOSED);
    return true;
}

void http_exchange_bind(struct http_exchange *x, const struct http_exchange_events *events,
                        void *user)
{
    x->events = *events;
    x->user = user;
    x->bound = true;
}

bool http_exchange_is_waiting(const struct http_exchange *x)
{
    return x && x->reading && !x->paused && !x->body_done;
}

static bool is_too_big(const struct http_exchange *x)
{
    return x->body_got > x->body_max ||
           (x->body.kind == HTTP1_BODY_LENGTH && x->head.length > x->body_max);
}

/* The client waits for a word before it sends its body: RFC 9110 section 10.1.1. */
static void send_continue(struct http_conn *c)
{
    const struct slice word = SLICE("HTTP/1.1 100 Continue\r\n\r\n");
    c->x->expects = false;
    if (!c->x->begun && http_conn_write(c, &word, 1) != ERR_OK)
        http_conn_close(c, ERR_CLOSED);
}

/* More is to come, in time: not only the next piece, but enough of them. */
static void await_body(struct http_conn *c)
{
    unsigned gap_ms = c->server->config.body_gap_ms;
    if (pace_is_kept(&c->x->pace, loop_now_us(c->server->loop), gap_ms, c->x->body_got))
        timer_start(&c->timer, gap_ms);
    else
        http_conn_refuse(c, 408, "the body came too slowly", ERR_TIMEOUT);
}

bool http_exchange_pump(struct http_conn *c, struct slice *bytes)
{
    struct http_exchange *x = c->x;
    struct http1_problem problem;
    struct slice piece;
    bool ended;
    if (!http_exchange_is_waiting(x))
        return false;
    if (is_too_big(x)) {
        char text[64];
        snprintf(text, sizeof(text), "the body is larger than %llu bytes",
                 (unsigned long long)x->body_max);
        http_conn_refuse(c, 413, text, ERR_TOO_BIG);
        return true;
    }
    enum err e = http1_body_next(&x->body, bytes, &piece, &ended, &problem);
    if (e == ERR_INVALID) {
        http_conn_refuse(c, problem.status, problem.text, ERR_PROTOCOL);
        return true;
    }
    if (e == ERR_AGAIN) {
        if (x->expects)
            send_continue(c);
        if (c->state == CONN_EXCHANGE)
            await_body(c);
        return false;
    }
    x->expects = false;
    x->body_got += piece.len;
    x->body_done = ended;
    if (is_too_big(x)) {
        x->body_done = false;
        return true; /* the next round refuses */
    }
    if (piece.len && x->events.on_body)
        x->events.on_body(x->user, piece);
    bool still = c->x == x && c->state == CONN_EXCHANGE;
    if (ended && still && x->events.on_body_end)
        x->events.on_body_end(x->user);
    return true;
}

bool http_exchange_discard(struct http_conn *c, struct slice *bytes)
{
    struct http_exchange *x = c->x;
    struct http1_problem problem;
    struct slice piece;
    bool ended;
    size_t before = bytes->len;
    enum err e = http1_body_next(&x->body, bytes, &piece, &ended, &problem);
    c->discarded += before - bytes->len;
    if (e == ERR_AGAIN && c->discarded <= LIMIT_HTTP_DISCARD)
        return false;
    if (e || c->discarded > LIMIT_HTTP_DISCARD) {
        http_server_give_spare(c->server, x);
        c->x = NULL;
        http_conn_finish(c);
        return true;
    }
    if (ended) {
        http_server_give_spare(c->server, x);
        c->x = NULL;
        c->state = CONN_HEAD;
        http_conn_idle(c);
    }
    return true;
}

/* What is left of a body that nobody wants; reading a little is cheaper than a new connection. */
static bool is_small_rest(const struct http_exchange *x)
{
    if (x->expects) /* it may never come: the client still waits for a word */
        return false;
    return x->body.kind == HTTP1_BODY_CHUNKED || x->body.left <= LIMIT_HTTP_DISCARD;
}

static void tell(struct http_exchange *x, enum err why)
{
    void (*on_gone)(void *user, enum err why) = x->events.on_gone;
    x->events = (struct http_exchange_events){0}; /* once, whatever happens inside */
    if (on_gone)
        on_gone(x->user, why);
}

void http_exchange_gone(struct http_conn *c, enum err why)
{
    struct http_exchange *x = c->x;
    c->x = NULL;
    tell(x, why);
    http_server_give_spare(c->server, x);
}

void http_exchange_close(struct http_conn *c)
{
    struct http_exchange *x = c->x;
    struct http_server *s = c->server;
    bool whole = x->body_done || x->body.kind == HTTP1_BODY_NONE;
    tell(x, ERR_OK);
    if (c->state == CONN_CLOSED) /* inside, the server was closed */
        return;
    bool keep = x->keep && !s->draining && !c->eof && (whole || is_small_rest(x));
    if (keep && !whole) {
        c->state = CONN_DISCARD; /* its body's state is still needed */
        c->discarded = 0;
        timer_start(&c->timer, s->config.body_gap_ms);
        return;
    }
    c->x = NULL;
    http_server_give_spare(s, x);
    if (!keep) {
        http_conn_finish(c);
        return;
    }
    c->state = CONN_HEAD;
    http_conn_idle(c);
}

const struct http_head *http_exchange_head(const struct http_exchange *x)
{
    return &x->head;
}

struct slice http_exchange_peer(const struct http_exchange *x)
{
    return x->conn->stream ? stream_peer(x->conn->stream) : slice_of("", 0);
}

void http_exchange_read(struct http_exchange *x, uint64_t max)
{
    if (x->reading)
        return;
    x->reading = true;
    if (max)
        x->body_max = max;
    http_conn_kick(x->conn);
}

void http_exchange_pause(struct http_exchange *x)
{
    x->paused = true;
    pace_stop(&x->pace);
}

void http_exchange_resume(struct http_exchange *x)
{
    if (!x->paused)
        return;
    x->paused = false;
    http_conn_kick(x->conn);
}
