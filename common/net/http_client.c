/*
 * http_client — the client: starts calls, keeps the memory of ended ones for reuse, and ends all of
 * them in http_client_free. Then one call's state machine: its request on the way out, its response
 * on the way in, its connection, its deadlines, its one end.
 *
 *   RESOLVING ─▶ CONNECTING ─▶ SENT ─▶ HEAD ─▶ BODY ─▶ ENDED
 *
 * A kept connection starts at SENT; where it died unread, the call goes from SENT back to
 * RESOLVING. move_to is the one function that changes the state.
 *
 * The owner may close the call inside any callback; nothing but `released` and `depth` may be
 * looked at afterwards, and the memory goes only at the end of the turn.
 */
#include "common/net/http_client.h"

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/http1_write.h"
#include "common/net/pool.h"

#define US_PER_MS 1000u

struct http_client {
    struct loop *loop;
    struct resolver *resolver;
    struct tls_context *tls; /* held; NULL: no https without one in the call */
    struct pool *pool;
    struct list running;
    struct list spare;
    size_t spare_count;
    size_t call_count;     /* started and not yet closed */
    bool freed;            /* goes with its last call */
    struct http_head head; /* of the response that has just come; lent for on_head */
};

struct http_call {
    struct http_client *client;
    struct list link; /* running, or spare */
    struct pool_conn *conn;
    struct http_call_events events;
    void *arg;
    enum http_call_state state;
    enum err failing; /* to be reported at the end of the turn */
    struct loop_task soon;
    struct timer timer;
    uint64_t ends_us;
    unsigned connect_ms, first_byte_ms, gap_ms;

    /* the request */
    struct url url;          /* only tls and port; the host is the connection's */
    struct tls_context *tls; /* held */
    struct egress_rule rule;
    bool own_credential;
    const struct stream_proxy *proxy; /* lent */
    struct buf out; /* the head; streamed: and what is gathered for the turn's end */
    struct slice body[HTTP_CALL_PIECES]; /* lent */
    uint64_t left;                       /* streamed: of a known length */
    size_t pending_seen;
    bool streamed, chunked, request_ended, is_head;
    bool upgrade; /* it is asked for; once it came, the call is a streamed one */
    bool wants_drain;
    bool touched; /* bytes of this request were given to a connection */
    bool reused, retried;

    /* the response */
    bool released; /* http_call_close was called: no callback any more */
    bool paused, stalled, eof;
    enum err lost; /* how the connection ended while reading the response was paused */
    unsigned interims;
    unsigned depth;
    size_t scanned;
    struct buf rest; /* read ahead while paused; or a part of the head */
    struct http1_body walk;
    bool keep_alive; /* the response's head lets the connection live on */
};

/* no connection stands yet */
static inline bool http_call_is_dialling(const struct http_call *k)
{
    return k->state == HTTP_CALL_RESOLVING || k->state == HTTP_CALL_CONNECTING;
}

/* for the head of the response */
static inline bool http_call_is_waiting(const struct http_call *k)
{
    return k->state == HTTP_CALL_SENT || k->state == HTTP_CALL_HEAD;
}

static const struct stream_events http_call_stream_events;
static enum err http_call_dial(struct http_call *k);
static void http_call_fail_soon(struct http_call *k, enum err why);
static void http_call_fail(struct http_call *k, enum err why);
static void http_call_leave(struct http_call *k); /* ENDED: nothing runs any more */
static void http_call_on_timer(struct timer *t);
static void http_call_on_soon(struct loop_task *t);

static enum err http_call_compose(struct http_call *k, const struct http_call_spec *spec);
static enum err http_call_send(struct http_call *k); /* a whole request, or a streamed head */

/* ---- the client ---- */

enum err http_client_new(struct loop *l, struct resolver *r, struct tls_context *tls,
                         struct http_client **ret)
{
    struct http_client *c = mem_zalloc(sizeof *c);
    if (!c)
        return ERR_NOMEM;
    enum err e = pool_new(l, &c->pool);
    if (e) {
        mem_free(c);
        return e;
    }
    c->loop = l;
    c->resolver = r;
    c->tls = tls ? tls_hold(tls) : NULL;
    list_init(&c->running);
    list_init(&c->spare);
    *ret = c;
    return ERR_OK;
}

static void free_call(struct http_call *k)
{
    buf_fini(&k->out);
    buf_fini(&k->rest);
    mem_free(k);
}

static void free_client(struct http_client *c)
{
    struct list *link;
    while ((link = list_take_first(&c->spare)))
        free_call(LIST_ITEM(link, struct http_call, link));
    tls_drop(c->tls);
    mem_free(c);
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    while (!list_empty(&c->running))
        http_call_fail(LIST_ITEM(c->running.next, struct http_call, link), ERR_CANCELLED);
    pool_free(c->pool);
    c->freed = true;
    if (c->call_count == 0)
        free_client(c);
}

size_t http_client_idle(const struct http_client *c)
{
    return pool_idle(c->pool);
}

struct loop *http_client_loop(const struct http_client *c)
{
    return c->loop;
}

/* Last in, first out: the one whose memory is still in the cache. */
static struct http_call *take_spare(struct http_client *c)
{
    if (!list_empty(&c->spare)) {
        c->spare_count--;
        struct list *first = list_take_first(&c->spare);
        return LIST_ITEM(first, struct http_call, link);
    }
    struct http_call *k = mem_zalloc(sizeof *k);
    if (!k)
        return NULL;
    k->client = c;
    list_init(&k->link);
    buf_init(&k->out, LIMIT_STREAM_OUT + LIMIT_HTTP_HEAD);
    buf_init(&k->rest, LIMIT_HTTP_REST);
    loop_task_init(&k->soon, http_call_on_soon);
    timer_init(&k->timer, c->loop, http_call_on_timer);
    return k;
}

static void empty(struct buf *b)
{
    if (b->cap > LIMIT_HTTP_COALESCE + 1024) /* kept for the next call, unless it is large */
        buf_fini(b);
    else
        buf_clear(b);
}

static void give_spare(struct http_client *c, struct http_call *k)
{
    tls_drop(k->tls);
    k->tls = NULL;
    if (c->freed || c->spare_count >= LIMIT_HTTP_SPARE) {
        free_call(k);
        return;
    }
    empty(&k->out);
    empty(&k->rest);
    c->spare_count++;
    list_push_first(&c->spare, &k->link);
}

static unsigned or_default(unsigned ms, unsigned usual)
{
    return ms ? ms : usual;
}

static void reset(struct http_call *k, const struct http_call_spec *spec,
                  const struct http_call_events *events, void *arg)
{
    k->events = *events;
    k->arg = arg;
    k->state = HTTP_CALL_RESOLVING;
    k->failing = k->lost = ERR_OK;
    k->conn = NULL;
    k->url = spec->url;
    k->url.host = k->url.path = k->url.query = SLICE_NONE; /* lent: not ours to keep */
    k->rule = spec->rule;
    k->own_credential = spec->own_credential;
    k->proxy = spec->proxy;
    k->connect_ms = or_default(spec->connect_ms, LIMIT_CONNECT_MS);
    k->first_byte_ms = or_default(spec->first_byte_ms, LIMIT_FIRST_BYTE_MS);
    k->gap_ms = or_default(spec->gap_ms, LIMIT_GAP_MS);
    k->ends_us = loop_now_us(k->client->loop) +
                 (uint64_t)or_default(spec->total_ms, LIMIT_CALL_MS) * US_PER_MS;
    k->pending_seen = k->scanned = 0;
    k->interims = k->depth = 0;
    k->wants_drain = k->touched = k->reused = k->retried = false;
    k->released = k->paused = k->stalled = k->eof = false;
}

static enum err pick_tls(struct http_call *k, const struct http_call_spec *spec)
{
    if (!spec->url.tls)
        return ERR_OK;
    struct tls_context *tls = spec->tls ? spec->tls : k->client->tls;
    if (!tls)
        return ERR_INVALID; /* https, and nothing to verify the upstream by */
    k->tls = tls_hold(tls);
    return ERR_OK;
}

static uint64_t proxy_id(const struct http_call *k)
{
    return k->proxy ? k->proxy->id : 0;
}

static enum err connect_fresh(struct http_call *k, const struct http_call_spec *spec)
{
    enum err e = pool_conn_new(k->client->pool, &spec->url, k->tls, proxy_id(k), &k->conn);
    return e ? e : http_call_dial(k);
}

static enum err connect_call(struct http_call *k, const struct http_call_spec *spec)
{
    k->conn =
        spec->fresh ? NULL : pool_take(k->client->pool, &spec->url, k->tls, proxy_id(k), &k->rule);
    if (!k->conn)
        return connect_fresh(k, spec);
    k->reused = true;
    k->state = HTTP_CALL_SENT;
    stream_adopt(k->conn->stream, &http_call_stream_events, k);
    enum err e = http_call_send(k);
    if (e == ERR_CLOSED) { /* closed already, and nothing was sent */
        pool_drop(&k->conn);
        k->reused = false;
        k->state = HTTP_CALL_RESOLVING;
        return connect_fresh(k, spec);
    }
    return e;
}

enum err http_call_start(struct http_client *c, const struct http_call_spec *spec,
                         const struct http_call_events *events, void *arg, struct http_call **ret)
{
    struct http_call *k = take_spare(c);
    if (!k)
        return ERR_NOMEM;
    reset(k, spec, events, arg);
    enum err e = pick_tls(k, spec);
    if (!e)
        e = http_call_compose(k, spec);
    if (!e)
        e = connect_call(k, spec);
    bool told_here = e == ERR_NOMEM || e == ERR_INVALID || e == ERR_EXHAUSTED || e == ERR_TOO_BIG;
    if (e && told_here) {
        timer_cancel(&k->timer);
        loop_task_cancel(&k->soon);
        pool_drop(&k->conn);
        give_spare(c, k);
        return e;
    }
    c->call_count++;
    list_push(&c->running, &k->link);
    if (e)
        http_call_fail_soon(k, e);
    *ret = k;
    return ERR_OK;
}

static void recycle(void *arg)
{
    struct http_call *k = arg;
    struct http_client *c = k->client;
    c->call_count--;
    give_spare(c, k);
    if (c->freed && c->call_count == 0)
        free_client(c);
}

/* The memory goes at the end of the turn: the owner may be inside one of the call's own events. */
void http_call_close(struct http_call **at)
{
    struct http_call *k = *at;
    *at = NULL;
    if (!k)
        return;
    k->released = true;
    loop_task_cancel(&k->soon);
    if (k->state != HTTP_CALL_ENDED)
        http_call_leave(k);
    pool_drop(&k->conn);
    loop_retire(k->client->loop, recycle, k);
}

/* ---- a call ---- */

#define TO(state) (1u << HTTP_CALL_##state)
static const unsigned moves[] = {
    [HTTP_CALL_RESOLVING] = TO(CONNECTING) | TO(ENDED),
    [HTTP_CALL_CONNECTING] = TO(SENT) | TO(ENDED),
    [HTTP_CALL_SENT] = TO(RESOLVING) | TO(HEAD) | TO(ENDED),
    [HTTP_CALL_HEAD] = TO(BODY) | TO(ENDED),
    [HTTP_CALL_BODY] = TO(ENDED),
};
#undef TO

static void move_to(struct http_call *k, enum http_call_state to)
{
    MUST((size_t)k->state < ARRAY_LEN(moves) && moves[k->state] & 1u << to);
    k->state = to;
    if (to != HTTP_CALL_ENDED && k->events.on_state)
        k->events.on_state(k->arg, to);
}

enum http_call_state http_call_state(const struct http_call *k)
{
    return k->state;
}

static void kick(struct http_call *k);
static void watch(struct http_call *k, unsigned ms); /* the next deadline */
static void finish(struct http_call *k);             /* the response is whole */

/* ---- the request, on its way out ---- */

static const struct slice last_chunk = SLICE("0\r\n\r\n");

/* These four headers say where a message goes and where it ends, so the caller may not set them. */
static bool is_ours(struct slice name)
{
    switch (name.len) {
    case 4:
        return slice_ieq(name, SLICE("host"));
    case 10:
        return slice_ieq(name, SLICE("connection"));
    case 14:
        return slice_ieq(name, SLICE("content-length"));
    case 17:
        return slice_ieq(name, SLICE("transfer-encoding"));
    default:
        return false;
    }
}

static bool expects_body(struct slice method)
{
    return slice_eq(method, SLICE("POST")) || slice_eq(method, SLICE("PUT")) ||
           slice_eq(method, SLICE("PATCH"));
}

static uint64_t length_of(const struct slice pieces[static HTTP_CALL_PIECES])
{
    uint64_t length = 0;
    for (size_t i = 0; i < HTTP_CALL_PIECES; i++)
        length += pieces[i].len;
    return length;
}

static struct slice framing_line(struct http_call *k, const struct http_call_spec *spec, char *line)
{
    if (spec->upgrade)
        return SLICE("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    if (k->chunked)
        return SLICE("Transfer-Encoding: chunked\r\n");
    uint64_t length = spec->streamed ? spec->body_length : length_of(spec->body);
    if (length == 0 && !expects_body(spec->method))
        return slice_of("", 0);
    return http1_length_line(length, line);
}

static bool is_host(struct slice host)
{
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] <= ' ' || host.ptr[i] >= 0x7f || host.ptr[i] == '/')
            return false;
    return host.len > 0;
}

static enum err check_spec(const struct http_call_spec *spec)
{
    if (!is_host(spec->url.host) || spec->path.len == 0 || spec->path.ptr[0] != '/')
        return ERR_INVALID;
    for (size_t i = 0; i < spec->header_count; i++)
        if (is_ours(spec->headers[i].name))
            return ERR_INVALID;
    return http1_check_request(spec->method, spec->path);
}

static struct slice port_text(const struct url *url, char out[static 8])
{
    char digits[HTTP1_LENGTH_LINE];
    uint16_t usual = url->tls ? 443 : 80;
    if (url->port == usual)
        return slice_of("", 0);
    const size_t skip = sizeof "Content-Length: " - 1;
    struct slice number = slice_from(http1_length_line(url->port, digits), skip);
    out[0] = ':';
    memcpy(out + 1, number.ptr, number.len - 2);
    return slice_of(out, number.len - 1);
}

static enum err http_call_compose(struct http_call *k, const struct http_call_spec *spec)
{
    enum err e = check_spec(spec);
    if (e)
        return e;
    k->streamed = spec->streamed;
    k->chunked = spec->streamed && spec->body_length == UINT64_MAX;
    k->left = spec->body_length;
    k->request_ended = !spec->streamed;
    k->upgrade = spec->upgrade;
    if (!spec->streamed)
        memcpy(k->body, spec->body, sizeof(k->body));
    k->is_head = slice_eq(spec->method, SLICE("HEAD"));

    char line[HTTP1_LENGTH_LINE], port[8];
    bool literal6 = slice_find(spec->url.host, ':') >= 0;
    struct slice framing = framing_line(k, spec, line);
    const struct slice ready[] = {
        spec->method,
        SLICE(" "),
        spec->path,
        SLICE(" HTTP/1.1\r\nHost: "),
        literal6 ? SLICE("[") : slice_of("", 0),
        spec->url.host,
        literal6 ? SLICE("]") : slice_of("", 0),
        port_text(&spec->url, port),
        SLICE("\r\n"),
        framing,
    };
    return http1_write_head(&k->out, ready, ARRAY_LEN(ready), spec->headers, spec->header_count);
}

/* A request that is sent whole keeps its head in `out`: a fresh connection may need it again. */
static enum err http_call_send(struct http_call *k)
{
    if (k->streamed) {
        loop_soon(k->client->loop, &k->soon); /* with what is written until then */
        return ERR_OK;
    }
    struct slice parts[1 + HTTP_CALL_PIECES];
    size_t n = 0;
    parts[n++] = buf_slice(&k->out);
    for (size_t i = 0; i < HTTP_CALL_PIECES; i++)
        if (k->body[i].len)
            parts[n++] = k->body[i];
    enum err e = stream_write(k->conn->stream, parts, n);
    if (!e)
        k->touched = true;
    k->pending_seen = stream_pending(k->conn->stream);
    watch(k, k->pending_seen ? k->gap_ms : k->first_byte_ms);
    return e;
}

bool http_call_is_sent(const struct http_call *k)
{
    if (http_call_is_dialling(k) || !k->request_ended || (k->streamed && k->out.len))
        return false;
    return k->conn && k->conn->stream && stream_pending(k->conn->stream) == 0;
}

bool http_call_has_sent(const struct http_call *k)
{
    return k->touched;
}

/* For how long the upstream may say nothing once it has all that was written: its response is
 * waited for longer than the next piece of one that has begun, as after an upgrade. */
static unsigned silence_ms(const struct http_call *k)
{
    return http_call_is_waiting(k) ? k->first_byte_ms : k->gap_ms;
}

static bool is_open(const struct http_call *k)
{
    return k->state != HTTP_CALL_ENDED && !k->failing && k->conn && k->conn->stream &&
           stream_is_open(k->conn->stream);
}

/* Streamed bodies only. A failing write does not end the call: the response may have arrived
 * already, and the read that follows decides. */
static void flush(struct http_call *k)
{
    while (k->streamed && k->out.len && is_open(k)) {
        size_t pending = stream_pending(k->conn->stream);
        size_t room = pending < LIMIT_STREAM_OUT ? LIMIT_STREAM_OUT - pending : 0;
        if (room == 0)
            return;
        struct slice piece = slice_first(buf_slice(&k->out), room);
        if (stream_write(k->conn->stream, &piece, 1) != ERR_OK)
            return;
        k->touched = true;
        buf_eat(&k->out, piece.len);
        k->pending_seen = stream_pending(k->conn->stream);
        watch(k, k->pending_seen ? k->gap_ms : silence_ms(k));
    }
}

static enum err send_now(struct http_call *k, struct slice data)
{
    char line[HTTP1_CHUNK_LINE];
    struct slice parts[1 + HTTP1_PIECE_PARTS];
    size_t n = 0;
    if (k->out.len)
        parts[n++] = buf_slice(&k->out);
    n += http1_piece_parts(k->chunked, data, line, parts + n);
    enum err e = stream_write(k->conn->stream, parts, n);
    if (e)
        return e;
    buf_clear(&k->out);
    k->touched = true;
    k->pending_seen = stream_pending(k->conn->stream);
    watch(k, k->pending_seen ? k->gap_ms : silence_ms(k));
    return ERR_OK;
}

/* Until the connection stands everything is gathered, up to the stream's ceiling. */
static enum err take_piece(struct http_call *k, struct slice data)
{
    size_t gathered = k->out.len + data.len;
    if (!is_open(k)) {
        if (!http_call_is_dialling(k))
            return ERR_CLOSED;
        return gathered <= LIMIT_STREAM_OUT ? http1_append_piece(&k->out, k->chunked, data)
                                            : ERR_TOO_BIG;
    }
    if (gathered > LIMIT_HTTP_COALESCE)
        return send_now(k, data);
    enum err e = http1_append_piece(&k->out, k->chunked, data);
    kick(k);
    return e;
}

enum err http_call_write(struct http_call *k, struct slice data)
{
    if (k->state == HTTP_CALL_ENDED || k->failing)
        return ERR_CLOSED;
    if (!k->streamed || k->request_ended || (!k->chunked && data.len > k->left))
        return ERR_INVALID;
    if (data.len == 0)
        return ERR_OK;
    enum err e = take_piece(k, data);
    if (e == ERR_TOO_BIG || http_call_pending(k) > LIMIT_STREAM_LOW)
        k->wants_drain = true;
    if (!e && !k->chunked)
        k->left -= data.len;
    return e;
}

bool http_call_is_full(const struct http_call *k)
{
    return http_call_pending(k) > LIMIT_STREAM_HIGH;
}

size_t http_call_pending(const struct http_call *k)
{
    size_t inside = k->conn && k->conn->stream ? stream_pending(k->conn->stream) : 0;
    return inside + (k->streamed ? k->out.len : 0);
}

void http_call_write_end(struct http_call *k)
{
    if (k->state == HTTP_CALL_ENDED || k->failing || !k->streamed || k->request_ended)
        return;
    bool broken = k->chunked ? buf_append(&k->out, last_chunk) != ERR_OK : k->left > 0;
    k->request_ended = true;
    if (broken) { /* the upstream would wait for what was promised */
        http_call_fail_soon(k, ERR_INVALID);
        return;
    }
    kick(k);
}

/* ---- the response, on its way in: heads, the interim ones skipped, and bodies ---- */

/* False: it was the head of an interim response, which is skipped, or the call has failed. */
static bool take_head(struct http_call *k, struct slice bytes)
{
    struct http1_problem problem;
    struct http_head *head = &k->client->head;
    enum err e = http1_head_parse(HTTP1_ANSWER, bytes, head, &problem) ? ERR_PROTOCOL : ERR_OK;
    bool interim = !e && head->status < 200 && !(k->upgrade && head->status == 101);
    /* 101 would hand the connection to a protocol that was not requested */
    if (interim && (head->status == 101 || ++k->interims > LIMIT_HTTP_INTERIM))
        e = ERR_PROTOCOL;
    if (e)
        http_call_fail(k, e);
    return !e && !interim;
}

/* No request and no response have an end from here on but that of the connection. */
static void hand_over(struct http_call *k)
{
    buf_clear(&k->out);
    k->streamed = true;
    k->chunked = k->request_ended = k->keep_alive = false;
    k->left = UINT64_MAX;
    k->walk.kind = HTTP1_BODY_TO_CLOSE;
}

static bool read_head(struct http_call *k, struct slice *bytes)
{
    struct http1_problem problem;
    size_t len = 0;
    if (bytes->len == 0)
        return false;
    if (k->state == HTTP_CALL_SENT)
        move_to(k, HTTP_CALL_HEAD);
    enum err e = http1_head_end(HTTP1_ANSWER, *bytes, &k->scanned, &len, &problem);
    if (e == ERR_AGAIN) {
        watch(k, k->gap_ms);
        return false;
    }
    k->scanned = 0;
    if (e) {
        http_call_fail(k, ERR_PROTOCOL);
        return true;
    }
    struct slice head = slice_first(*bytes, len);
    *bytes = slice_from(*bytes, len);
    if (!take_head(k, head))
        return true;
    memset(k->body, 0, sizeof(k->body)); /* what was lent goes back now */
    const struct http_head *h = &k->client->head;
    http1_body_init(&k->walk, HTTP1_ANSWER, h, k->is_head ? SLICE("HEAD") : SLICE("GET"));
    k->keep_alive = h->keep_alive;
    if (h->status == 101)
        hand_over(k);
    move_to(k, HTTP_CALL_BODY);
    k->events.on_head(k->arg, h);
    return true;
}

static bool read_body(struct http_call *k, struct slice *bytes)
{
    struct http1_problem problem;
    struct slice piece;
    bool ended;
    if (k->paused)
        return false;
    enum err e = http1_body_next(&k->walk, bytes, &piece, &ended, &problem);
    if (e == ERR_AGAIN && k->eof) {
        if (k->walk.kind == HTTP1_BODY_TO_CLOSE && !k->lost)
            finish(k);
        else
            http_call_fail(k, k->lost ? k->lost : ERR_CLOSED);
        return true;
    }
    if (e == ERR_AGAIN) {
        watch(k, k->gap_ms);
        return false;
    }
    if (e) {
        http_call_fail(k, ERR_PROTOCOL);
        return true;
    }
    if (piece.len) {
        http1_body_join(&k->walk, bytes, &piece);
        k->events.on_body(k->arg, piece);
    }
    if (ended && !k->released && k->state == HTTP_CALL_BODY) {
        if (bytes->len)
            k->eof = true; /* it sent more than the response: the connection is not kept */
        finish(k);
    }
    return true;
}

/* ---- its life ---- */

static void advance(struct http_call *k, struct slice *bytes)
{
    bool moved = true;
    while (moved && !k->released) {
        switch (k->state) {
        case HTTP_CALL_RESOLVING:
        case HTTP_CALL_CONNECTING:
            moved = false;
            break;
        case HTTP_CALL_SENT:
        case HTTP_CALL_HEAD:
            moved = read_head(k, bytes);
            break;
        case HTTP_CALL_BODY:
            moved = read_body(k, bytes);
            break;
        case HTTP_CALL_ENDED:
            *bytes = slice_from(*bytes, bytes->len);
            moved = false;
            break;
        }
    }
}

static void throttle(struct http_call *k)
{
    bool stall = k->paused && k->rest.len >= LIMIT_STREAM_LOW;
    if (k->released || k->state == HTTP_CALL_ENDED || stall == k->stalled || !k->conn)
        return;
    k->stalled = stall;
    if (stall)
        stream_pause(k->conn->stream);
    else
        stream_resume(k->conn->stream);
}

static void settle(struct http_call *k, struct slice fresh)
{
    k->depth++;
    if (k->rest.len == 0) {
        advance(k, &fresh);
        if (!k->released && fresh.len && buf_append(&k->rest, fresh) != ERR_OK)
            http_call_fail(k, ERR_NOMEM);
    } else if (buf_append(&k->rest, fresh) != ERR_OK) {
        http_call_fail(k, ERR_TOO_BIG);
    } else {
        struct slice bytes = buf_slice(&k->rest);
        advance(k, &bytes);
        if (!k->released)
            buf_eat(&k->rest, k->rest.len - bytes.len);
    }
    k->depth--;
    throttle(k);
}

static void kick(struct http_call *k)
{
    if (k->depth == 0)
        loop_soon(k->client->loop, &k->soon);
}

static void http_call_fail_soon(struct http_call *k, enum err why)
{
    k->failing = why;
    loop_soon(k->client->loop, &k->soon);
}

static void watch(struct http_call *k, unsigned ms)
{
    uint64_t now = loop_now_us(k->client->loop);
    uint64_t left = k->ends_us > now ? (k->ends_us - now) / US_PER_MS : 0;
    timer_start(&k->timer, left < ms ? left : ms);
}

void http_call_pause(struct http_call *k)
{
    k->paused = true;
}

void http_call_resume(struct http_call *k)
{
    if (!k->paused)
        return;
    k->paused = false;
    if (k->state != HTTP_CALL_ENDED)
        kick(k);
}

/* ---- ends ---- */

static enum http_call_phase phase_of(const struct http_call *k)
{
    if (k->state == HTTP_CALL_BODY)
        return HTTP_PHASE_BODY;
    if (k->state == HTTP_CALL_RESOLVING)
        return HTTP_PHASE_RESOLVE;
    if (k->state == HTTP_CALL_CONNECTING || (!k->touched && !k->reused))
        return HTTP_PHASE_CONNECT;
    return http_call_is_sent(k) ? HTTP_PHASE_FIRST_BYTE : HTTP_PHASE_SEND;
}

static void http_call_leave(struct http_call *k)
{
    move_to(k, HTTP_CALL_ENDED);
    k->failing = ERR_OK;
    memset(k->body, 0, sizeof(k->body));
    timer_cancel(&k->timer);
    list_remove(&k->link);
}

static void http_call_fail(struct http_call *k, enum err why)
{
    if (k->state == HTTP_CALL_ENDED || k->released)
        return;
    enum http_call_phase phase = phase_of(k);
    http_call_leave(k);
    pool_drop(&k->conn);
    k->events.on_error(k->arg, why, phase);
}

/* Kept only where both sides agree on where the response and the request ended. */
static bool is_reusable(const struct http_call *k)
{
    return k->keep_alive && !k->eof && k->walk.kind != HTTP1_BODY_TO_CLOSE &&
           http_call_is_sent(k) && stream_is_open(k->conn->stream);
}

static void finish(struct http_call *k)
{
    bool keep = is_reusable(k);
    http_call_leave(k);
    if (keep) {
        if (k->stalled)
            stream_resume(k->conn->stream);
        pool_give(&k->conn);
    } else {
        pool_drop(&k->conn);
    }
    k->events.on_end(k->arg);
}

static enum err http_call_dial(struct http_call *k)
{
    const struct stream_target target = {
        .resolver = k->client->resolver,
        .host = pool_conn_host(k->conn),
        .port = k->url.port,
        .tls = k->tls,
        .rule = &k->rule,
        .own_credential = k->own_credential,
        .proxy = k->proxy,
        .connect_ms = k->connect_ms,
    };
    k->reused = false;
    watch(k, UINT32_MAX); /* the stream keeps connect_ms; here only the whole call's */
    return stream_connect(k->client->loop, &target, &http_call_stream_events, k, &k->conn->stream);
}

/* A kept connection died, and not one byte of a response had come: the server closed it while the
 * request was on its way, and did not read it. What was streamed is no longer here to be sent. */
static bool may_retry(const struct http_call *k)
{
    bool unread = k->state == HTTP_CALL_SENT && k->rest.len == 0 && k->interims == 0;
    return k->reused && !k->retried && unread && !(k->streamed && k->touched);
}

static enum err retry(struct http_call *k)
{
    struct pool_conn *fresh;
    struct url url = k->url;
    url.host = pool_conn_host(k->conn);
    enum err e = pool_conn_new(k->client->pool, &url, k->tls, k->proxy ? k->proxy->id : 0, &fresh);
    if (e)
        return e;
    pool_drop(&k->conn);
    k->conn = fresh;
    k->retried = true;
    k->stalled = k->touched = k->eof = false;
    move_to(k, HTTP_CALL_RESOLVING);
    return http_call_dial(k);
}

/* Its connection is gone. */
static void lost(struct http_call *k, enum err why)
{
    if (k->state == HTTP_CALL_ENDED || k->released)
        return;
    if (may_retry(k)) {
        why = retry(k);
        if (!why)
            return;
    }
    http_call_fail(k, why);
}

/* ---- deadlines ---- */

/* Not the upstream's silence: the owner reads no further, or has not sent all of its body. */
static bool is_owners_turn(const struct http_call *k)
{
    return http_call_is_dialling(k) || (k->state == HTTP_CALL_BODY && k->paused) ||
           (http_call_is_waiting(k) && !k->request_ended);
}

static void http_call_on_timer(struct timer *t)
{
    struct http_call *k = CONTAINER_OF(t, struct http_call, timer);
    size_t pending = http_call_is_dialling(k) ? 0 : stream_pending(k->conn->stream);
    size_t seen = k->pending_seen;
    bool over = loop_now_us(k->client->loop) >= k->ends_us;
    k->pending_seen = pending;
    if (over || (pending && pending == seen))
        http_call_fail(k, ERR_TIMEOUT);
    else if (pending)
        watch(k, k->gap_ms); /* slow, but taking it */
    else if (is_owners_turn(k))
        watch(k, k->gap_ms);
    else if (seen && http_call_is_waiting(k))
        watch(k, k->first_byte_ms); /* all is sent since */
    else
        http_call_fail(k, ERR_TIMEOUT);
}

/* ---- events ---- */

/* It was filled again meanwhile, so another event follows. */
static void tell_drain(struct http_call *k)
{
    if (!k->wants_drain || http_call_is_dialling(k) || http_call_pending(k) > LIMIT_STREAM_LOW)
        return;
    k->wants_drain = false;
    if (k->events.on_drain)
        k->events.on_drain(k->arg);
}

static void http_call_on_soon(struct loop_task *t)
{
    struct http_call *k = CONTAINER_OF(t, struct http_call, soon);
    if (k->failing) {
        http_call_fail(k, k->failing);
        return;
    }
    flush(k);
    settle(k, SLICE_NONE);
    if (!k->released && k->state != HTTP_CALL_ENDED)
        tell_drain(k);
}

static void on_resolved(void *arg)
{
    move_to(arg, HTTP_CALL_CONNECTING);
}

static void on_open(void *arg)
{
    struct http_call *k = arg;
    move_to(k, HTTP_CALL_SENT);
    if (http_call_send(k) != ERR_OK)
        kick(k); /* the read that follows gives the reason */
}

static void on_data(void *arg, struct slice data)
{
    settle(arg, data);
}

/* The last bytes may still wait behind a pause: then the end waits with them. */
static void on_eof(void *arg)
{
    struct http_call *k = arg;
    k->eof = true;
    if (k->state == HTTP_CALL_BODY)
        settle(k, SLICE_NONE);
    else
        lost(k, ERR_CLOSED);
}

static void on_close(void *arg, enum err why)
{
    struct http_call *k = arg;
    if (http_call_is_dialling(k) || !k->paused || k->rest.len == 0) {
        lost(k, why ? why : ERR_CLOSED);
        return;
    }
    k->eof = true; /* reported when the rest is read; it may be whole */
    k->lost = why ? why : ERR_CLOSED;
}

static void on_drain(void *arg)
{
    struct http_call *k = arg;
    if (k->state == HTTP_CALL_ENDED)
        return;
    flush(k);
    if (http_call_is_sent(k) && http_call_is_waiting(k))
        watch(k, k->first_byte_ms);
    tell_drain(k);
}

static const struct stream_events http_call_stream_events = {
    .on_resolved = on_resolved,
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_close = on_close,
};
