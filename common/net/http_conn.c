/*
 * http_conn — a client's connection and the exchange on it: a head becomes a request, its body goes
 * to the caller that reads it, and at the end the connection is kept, read empty, or finished.
 *
 * What the exchange has no use for yet waits in `rest`; while that is long the stream is paused.
 * It is never paused for less, since a paused stream does not notice a client that hangs up.
 *
 * Of a response, small pieces that are written in one turn are sent by one system call; a large
 * piece goes to the stream at once, together with what was gathered before it.
 */
#include "common/net/http_server_private.h"

#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/http1_write.h"

static void flush_response(struct http_exchange *x);
static bool response_is_out(struct http_exchange *x); /* ended, and all of it is the stream's */

/* ---- the exchange ---- */

static void init_exchange(struct http_exchange *x, struct http_conn *c)
{
    x->conn = c;
    x->events = (struct http_exchange_events){0};
    x->user = NULL;
    x->body_max = c->server->config.body_max;
    x->body_got = 0;
    x->bound = x->reading = x->paused = x->begun = x->ended = x->upgraded = false;
    x->bodiless = x->chunked = x->wants_drain = false;
    x->keep = x->head->keep_alive;
    x->expects = x->head->expect_continue;
    pace_stop(&x->pace);
    x->left = UINT64_MAX;
    http1_body_init(&x->body, HTTP1_REQUEST, x->head, x->head->method);
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
    struct http_head *head = &c->server->head;
    enum err e = http1_head_parse(HTTP1_REQUEST, buf_slice(&x->head_bytes), head, &problem);
    bool (*hostless)(const struct http_head *head) = c->server->config.serves_without_host;
    if (e && !(hostless && http1_head_lacks_host(head, &problem) && hostless(head))) {
        http_server_give_spare(c->server, x);
        http_conn_refuse(c, problem.status, problem.text, ERR_PROTOCOL);
        return NULL;
    }
    if (http_exchange_keep_head(x, head)) {
        http_server_give_spare(c->server, x);
        http_conn_refuse(c, 503, "out of memory", ERR_NOMEM);
        return NULL;
    }
    return x;
}

static bool open_exchange(struct http_conn *c, struct slice *bytes)
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

static bool waits_for_body(const struct http_exchange *x)
{
    return x && x->reading && !x->paused && !x->body_done;
}

static bool is_too_big(const struct http_exchange *x)
{
    return x->body_got > x->body_max ||
           (x->body.kind == HTTP1_BODY_LENGTH && x->head->length > x->body_max);
}

/* The client waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1). */
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

static bool pump_body(struct http_conn *c, struct slice *bytes)
{
    struct http_exchange *x = c->x;
    struct http1_problem problem;
    struct slice piece;
    bool ended;
    if (!waits_for_body(x))
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
        if (c->state == CONN_EXCHANGE && !x->upgraded)
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

static bool discard_body(struct http_conn *c, struct slice *bytes)
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

/* What is left of an unwanted body; reading a little is cheaper than a new connection. */
static bool is_small_rest(const struct http_exchange *x)
{
    if (x->expects) /* it may never come: the client still waits for `100 Continue` */
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

static void conn_exchange_gone(struct http_conn *c)
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
    return x->head;
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

/* ---- the connection: bytes in, deadlines, the end of the turn ---- */

static void advance(struct http_conn *c, struct slice *bytes)
{
    bool moved = true;
    while (moved) {
        switch (c->state) {
        case CONN_HEAD:
            /* a slow reader gets no further responses until it has read most of the earlier ones */
            moved = stream_pending(c->stream) <= LIMIT_STREAM_LOW && open_exchange(c, bytes);
            break;
        case CONN_EXCHANGE:
            flush_response(c->x);
            if (c->state == CONN_EXCHANGE && response_is_out(c->x))
                conn_exchange_gone(c);
            else if (c->state == CONN_EXCHANGE)
                moved = pump_body(c, bytes);
            break;
        case CONN_DISCARD:
            moved = discard_body(c, bytes);
            break;
        case CONN_LINGER:
        case CONN_CLOSED:
            *bytes = slice_from(*bytes, bytes->len);
            moved = false;
            break;
        }
    }
}

/* Pauses while much is read ahead; a head in the making has its own ceiling. */
static void throttle(struct http_conn *c)
{
    bool stall = c->rest.len >= (c->state == CONN_HEAD ? LIMIT_STREAM_HIGH : LIMIT_STREAM_LOW);
    if (stall == c->stalled || c->state == CONN_CLOSED)
        return;
    c->stalled = stall;
    if (stall)
        stream_pause(c->stream);
    else
        stream_resume(c->stream);
}

static void drop_rest(struct http_conn *c, size_t used)
{
    buf_eat(&c->rest, used);
    if (c->rest.len == 0 && c->rest.cap > LIMIT_HTTP_COALESCE)
        buf_fini(&c->rest);
}

/* Everything that may move goes as far as it can; then there is no callback until the next event.
 */
static void settle(struct http_conn *c, struct slice fresh)
{
    c->depth++;
    if (c->rest.len == 0) {
        advance(c, &fresh);
        if (fresh.len && buf_append(&c->rest, fresh) != ERR_OK)
            http_conn_close(c, ERR_NOMEM);
    } else if (buf_append(&c->rest, fresh) != ERR_OK) {
        http_conn_close(c, ERR_TOO_BIG);
    } else {
        struct slice bytes = buf_slice(&c->rest);
        advance(c, &bytes);
        drop_rest(c, c->rest.len - bytes.len);
    }
    c->depth--;
    throttle(c);
}

static void on_soon(struct loop_task *t)
{
    struct http_conn *c = CONTAINER_OF(t, struct http_conn, soon);
    if (c->state != CONN_CLOSED)
        settle(c, SLICE_NONE);
    if (c->state != CONN_CLOSED)
        return;
    if (c->x)
        http_exchange_gone(c, c->why);
    loop_task_cancel(&c->soon);
    buf_fini(&c->rest);
    http_server_forget(c->server, c);
    mem_free(c);
}

void http_conn_kick(struct http_conn *c)
{
    if (c->depth == 0)
        loop_soon(c->server->loop, &c->soon);
}

void http_conn_close(struct http_conn *c, enum err why)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    c->why = why;
    timer_cancel(&c->timer);
    if (c->stream)
        stream_close(&c->stream);
    loop_soon(c->server->loop, &c->soon);
}

/* ---- the client's reading ---- */

/* True: the client has taken all, or enough of it in the time it had. */
static bool is_reading(struct http_conn *c)
{
    size_t pending = stream_pending(c->stream);
    if (pending == 0) {
        pace_stop(&c->pace);
        return true;
    }
    return pace_is_kept(&c->pace, loop_now_us(c->server->loop), c->server->config.body_gap_ms,
                        c->given - pending);
}

enum err http_conn_write(struct http_conn *c, const struct slice *parts, size_t n)
{
    if (c->pace.running && stream_pending(c->stream) == 0)
        pace_stop(&c->pace); /* it took all of the last ones, at some time since */
    enum err e = stream_write(c->stream, parts, n);
    if (e)
        return e;
    for (size_t i = 0; i < n; i++)
        c->given += parts[i].len;
    if (stream_pending(c->stream) == 0)
        return ERR_OK;
    if (!is_reading(c))
        http_conn_close(c, ERR_TIMEOUT); /* each further write would put the timer off */
    else
        timer_start(&c->timer, c->server->config.body_gap_ms);
    return ERR_OK;
}

void http_conn_idle(struct http_conn *c)
{
    const struct http_server_config *config = &c->server->config;
    bool unread = stream_pending(c->stream) > 0;
    if (!unread)
        pace_stop(&c->pace);
    timer_start(&c->timer, unread ? config->body_gap_ms : config->keepalive_ms);
}

/* What the client still sends is read away as long as it comes, within LIMIT_HTTP_LINGER_TOTAL_MS.
 */
static void linger_on(struct http_conn *c)
{
    uint64_t now = loop_now_us(c->server->loop);
    uint64_t left_ms = c->linger_us > now ? (c->linger_us - now) / 1000 : 0;
    timer_start(&c->timer, left_ms < LIMIT_HTTP_LINGER_MS ? left_ms : LIMIT_HTTP_LINGER_MS);
}

/* Closing with unread bytes in the kernel would reset the connection and take the response with it
 * (RFC 9112 section 9.6): so the FIN says that no more comes from here, and what the client still
 * sends is read away until it has closed. A client that reads its response only behind its whole
 * request, as Node's does, needs time for that and no ceiling in bytes. */
void http_conn_finish(struct http_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->eof && stream_pending(c->stream) == 0) {
        http_conn_close(c, ERR_CLOSED);
        return;
    }
    c->state = CONN_LINGER;
    c->linger_us = loop_now_us(c->server->loop) + LIMIT_HTTP_LINGER_TOTAL_MS * 1000ull;
    if (!is_reading(c)) {
        http_conn_close(c, ERR_TIMEOUT);
        return;
    }
    stream_finish(c->stream);
    if (c->pace.running)
        timer_start(&c->timer, c->server->config.body_gap_ms);
    else
        linger_on(c);
}

void http_conn_refuse(struct http_conn *c, unsigned status, const char *text, enum err why)
{
    bool begun = c->x && c->x->begun;
    if (begun) {
        http_conn_close(c, why);
        return;
    }
    char body[256], head[512];
    int body_len = snprintf(body, sizeof body, "{\"status\":%u,\"title\":\"%s\",\"detail\":\"%s\"}",
                            status, http1_reason(status), text);
    int head_len =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %u %s\r\n%.*sContent-Type: application/problem+json\r\n"
                 "Content-Length: %d\r\nConnection: close\r\n\r\n",
                 status, http1_reason(status), SLICE_ARG(http_server_fixed(c->server)), body_len);
    const struct slice parts[] = {slice_of(head, (size_t)head_len),
                                  slice_of(body, (size_t)body_len)};
    if (http_conn_write(c, parts, ARRAY_LEN(parts)) != ERR_OK) {
        http_conn_close(c, why);
        return;
    }
    http_conn_finish(c);
    if (c->x)
        http_exchange_gone(c, why);
}

/* ---- deadlines ---- */

/* True: the deadline depends on the pending bytes alone. A slow client has time as long as it
 * reads. */
static bool is_about_pending(struct http_conn *c)
{
    bool pending = stream_pending(c->stream) > 0;
    if (pending && is_reading(c))
        timer_start(&c->timer, c->server->config.body_gap_ms);
    else if (pending)
        http_conn_close(c, ERR_TIMEOUT);
    return pending;
}

static void on_exchange_timer(struct http_conn *c)
{
    if (!is_about_pending(c) && waits_for_body(c->x) && !c->x->upgraded)
        http_conn_refuse(c, 408, "the body stopped coming", ERR_TIMEOUT);
}

static void on_head_timer(struct http_conn *c)
{
    if (is_about_pending(c))
        return;
    if (c->head_begun) {
        http_conn_refuse(c, 408, "the head did not come in time", ERR_TIMEOUT);
    } else if (c->pace.running) { /* idle only since the last bytes were read */
        pace_stop(&c->pace);
        http_conn_idle(c);
    } else {
        http_conn_finish(c);
    }
}

static void on_linger_timer(struct http_conn *c)
{
    if (is_about_pending(c))
        return;
    if (!c->pace.running) {
        http_conn_close(c, ERR_TIMEOUT);
        return;
    }
    pace_stop(&c->pace);
    linger_on(c);
}

static void on_timer(struct timer *t)
{
    struct http_conn *c = CONTAINER_OF(t, struct http_conn, timer);
    c->depth++;
    switch (c->state) {
    case CONN_HEAD:
        on_head_timer(c);
        break;
    case CONN_EXCHANGE:
        on_exchange_timer(c);
        break;
    case CONN_LINGER:
        on_linger_timer(c);
        break;
    default:
        http_conn_close(c, ERR_TIMEOUT);
        break;
    }
    c->depth--;
}

/* ---- the stream's events ---- */

static void on_open(void *arg)
{
    (void)arg; /* the client sends first */
}

static void on_data(void *arg, struct slice data)
{
    struct http_conn *c = arg;
    if (c->state == CONN_LINGER) {
        if (!c->pace.running)
            linger_on(c);
        return;
    }
    settle(c, data);
}

/* A client that has closed its sending side counts as gone: a killed client looks the same, and an
 * upstream call without a client costs money. */
static void on_eof(void *arg)
{
    struct http_conn *c = arg;
    c->eof = true;
    bool answered = c->state == CONN_LINGER || c->state == CONN_HEAD ||
                    (c->state == CONN_EXCHANGE && c->x->ended);
    if (!answered || stream_pending(c->stream) == 0)
        http_conn_close(c, ERR_CLOSED);
    else if (c->state == CONN_HEAD)
        http_conn_finish(c);
}

static void on_drain(void *arg)
{
    struct http_conn *c = arg;
    settle(c, SLICE_NONE);
    struct http_exchange *x = c->x;
    if (c->state != CONN_EXCHANGE || !x || !x->wants_drain)
        return;
    if (stream_pending(c->stream) > LIMIT_STREAM_LOW) /* filled again, so another event follows */
        return;
    x->wants_drain = false;
    c->depth++;
    if (x->events.on_drain)
        x->events.on_drain(x->user);
    c->depth--;
    settle(c, SLICE_NONE);
}

static void on_close(void *arg, enum err why)
{
    http_conn_close(arg, why ? why : ERR_CLOSED);
}

enum err http_conn_new(struct http_server *s, int fd)
{
    static const struct stream_events events = {.on_open = on_open,
                                                .on_data = on_data,
                                                .on_eof = on_eof,
                                                .on_drain = on_drain,
                                                .on_close = on_close};
    struct http_conn *c = mem_zalloc(sizeof *c);
    struct stream *stream = NULL;
    /* the descriptor is the stream's also on failure */
    enum err e = stream_accept(s->loop, fd, s->config.tls, &events, c, &stream);
    if (!c && stream)
        stream_close(&stream);
    if (!c || e) {
        mem_free(c);
        return e ? e : ERR_NOMEM;
    }
    c->server = s;
    c->stream = stream;
    buf_init(&c->rest, LIMIT_HTTP_REST);
    timer_init(&c->timer, s->loop, on_timer);
    loop_task_init(&c->soon, on_soon);
    list_push(&s->conns, &c->link);
    s->conn_count++;
    timer_start(&c->timer, s->config.head_ms); /* the TLS handshake is part of it */
    return ERR_OK;
}

/* ---- the response ---- */

static const struct slice last_chunk = SLICE("0\r\n\r\n");

static bool is_dead(const struct http_exchange *x)
{
    return x->conn->state == CONN_CLOSED;
}

/* Gathered bytes go as far as the stream's ceiling lets them; the rest waits for its drain. */
static void flush_response(struct http_exchange *x)
{
    struct http_conn *c = x->conn;
    while (x->out.len && !is_dead(x)) {
        size_t pending = stream_pending(c->stream);
        size_t room = pending < LIMIT_STREAM_OUT ? LIMIT_STREAM_OUT - pending : 0;
        if (room == 0)
            return;
        struct slice piece = slice_first(buf_slice(&x->out), room);
        enum err e = http_conn_write(c, &piece, 1);
        if (e == ERR_TOO_BIG)
            return;
        if (e) {
            http_conn_close(c, e);
            return;
        }
        buf_eat(&x->out, piece.len);
    }
}

static bool response_is_out(struct http_exchange *x)
{
    return x->ended && x->out.len == 0;
}

/* A body that will not be read to its end: the client should know before it sends on. */
static bool leaves_much(const struct http_exchange *x)
{
    return !x->reading &&
           (x->expects || (x->body.kind == HTTP1_BODY_LENGTH && x->body.left > LIMIT_HTTP_DISCARD));
}

static struct slice connection_line(struct http_exchange *x)
{
    if (x->upgraded)
        return SLICE("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    if (!x->keep)
        return SLICE("Connection: close\r\n");
    return x->head->version == HTTP_10 ? SLICE("Connection: keep-alive\r\n") : slice_of("", 0);
}

static struct slice framing_line(struct http_exchange *x, unsigned status, uint64_t length,
                                 char *line)
{
    if (status == 101 || status == 204 || (status == 304 && length == UINT64_MAX))
        return slice_of("", 0);
    if (length != UINT64_MAX)
        return http1_length_line(length, line);
    if (x->head->version == HTTP_11) {
        x->chunked = true;
        return SLICE("Transfer-Encoding: chunked\r\n");
    }
    x->keep = false; /* HTTP/1.0: the end of the connection is the end of the body */
    return slice_of("", 0);
}

static enum err write_head(struct http_exchange *x, unsigned status,
                           const struct http_header *headers, size_t n, uint64_t length)
{
    char line[HTTP1_LENGTH_LINE], digits[4];
    x->chunked = false;
    x->keep = x->head->keep_alive && !x->conn->server->draining && !x->conn->eof &&
              !leaves_much(x) && !x->upgraded;
    struct slice framing = framing_line(x, status, length, line);
    const struct slice ready[] = {
        SLICE("HTTP/1.1 "), http1_status_digits(status, digits), slice_str(http1_reason(status)),
        SLICE("\r\n"),      http_server_fixed(x->conn->server),  framing,
        connection_line(x),
    };
    return http1_write_head(&x->out, ready, ARRAY_LEN(ready), headers, n);
}

/* What the client sends from here on is no request: all of it is the body's, and has no end. */
static void upgrade(struct http_exchange *x)
{
    x->upgraded = x->reading = true;
    x->body_done = false;
    x->body.kind = HTTP1_BODY_TO_CLOSE;
    x->body_max = UINT64_MAX;
    timer_cancel(&x->conn->timer);
}

/* out holds the head afterwards; nothing is sent yet */
static enum err begin(struct http_exchange *x, unsigned status, const struct http_header *headers,
                      size_t n, uint64_t length)
{
    if (is_dead(x))
        return ERR_CLOSED;
    if (x->begun || (status < 200 && status != 101) || status > 599)
        return ERR_INVALID;
    if (status == 101)
        upgrade(x);
    enum err e = write_head(x, status, headers, n, length);
    if (e)
        return e;
    x->begun = true;
    x->left = length;
    x->bodiless = status == 204 || status == 304 || slice_eq(x->head->method, SLICE("HEAD"));
    return ERR_OK;
}

enum err http_response_begin(struct http_exchange *x, unsigned status,
                             const struct http_header *headers, size_t n, uint64_t length)
{
    enum err e = begin(x, status, headers, n, length);
    if (!e)
        http_conn_kick(x->conn); /* leaves at the end of the turn, with what is written by then */
    return e;
}

static enum err send_now(struct http_exchange *x, struct slice data)
{
    char line[HTTP1_CHUNK_LINE];
    struct slice parts[1 + HTTP1_PIECE_PARTS];
    size_t n = 0;
    if (x->out.len)
        parts[n++] = buf_slice(&x->out);
    n += http1_piece_parts(x->chunked, data, line, parts + n);
    enum err e = http_conn_write(x->conn, parts, n);
    if (!e)
        buf_clear(&x->out);
    return e;
}

enum err http_response_write(struct http_exchange *x, struct slice data)
{
    if (is_dead(x))
        return ERR_CLOSED;
    if (!x->begun || x->ended || (x->left != UINT64_MAX && data.len > x->left && !x->bodiless))
        return ERR_INVALID;
    if (x->bodiless || data.len == 0)
        return ERR_OK;
    size_t waiting = stream_pending(x->conn->stream);
    size_t gathered = x->out.len + data.len;
    bool small = gathered <= LIMIT_HTTP_COALESCE && waiting + gathered <= LIMIT_STREAM_HIGH;
    enum err e = small ? http1_append_piece(&x->out, x->chunked, data) : send_now(x, data);
    if (e == ERR_TOO_BIG || waiting + gathered > LIMIT_STREAM_HIGH)
        x->wants_drain = true;
    if (e)
        return e;
    if (x->left != UINT64_MAX)
        x->left -= data.len;
    if (small)
        http_conn_kick(x->conn);
    return ERR_OK;
}

/* It is what a write made of its bytes that counts, with the lines of chunks: a write that ended
 * just below the mark may have brought no drain. */
bool http_response_is_full(struct http_exchange *x)
{
    if (http_response_pending(x) <= LIMIT_STREAM_HIGH)
        return false;
    x->wants_drain = true;
    return true;
}

size_t http_response_pending(const struct http_exchange *x)
{
    return is_dead(x) ? 0 : stream_pending(x->conn->stream) + x->out.len;
}

/* A response shorter than its Content-Length would make the client wait: the connection is cut. */
static bool is_short(const struct http_exchange *x)
{
    return !x->begun || (!x->bodiless && x->left != UINT64_MAX && x->left > 0);
}

void http_response_end(struct http_exchange *x)
{
    if (is_dead(x) || x->ended)
        return;
    bool broken =
        is_short(x) || (x->chunked && !x->bodiless && buf_append(&x->out, last_chunk) != ERR_OK);
    if (broken) {
        http_conn_close(x->conn, ERR_CANCELLED);
        return;
    }
    x->ended = true;
    flush_response(x);
    http_conn_kick(x->conn);
}

void http_response_abort(struct http_exchange *x)
{
    http_conn_close(x->conn, ERR_CANCELLED);
}

enum err http_response(struct http_exchange *x, unsigned status, const struct http_header *headers,
                       size_t n, struct slice body)
{
    enum err e = begin(x, status, headers, n, body.len);
    if (e)
        return e;
    if (body.len && !x->bodiless) {
        e = send_now(x, body);
        if (e == ERR_TOO_BIG) /* behind earlier responses that the client has not read yet */
            e = buf_append(&x->out, body);
        if (e) {
            http_conn_close(x->conn, e);
            return e;
        }
        x->left = 0;
    }
    http_response_end(x);
    return ERR_OK;
}
