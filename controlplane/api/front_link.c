/*
 * front_link — bytes from the client are judged, then passed on; bytes back are passed on.
 *
 * A refusal waits for the answers that are due: the library is told that no more requests
 * come, finishes, closes, and only then the refusal goes out and the connection ends.
 */
#include "controlplane/api/front_link.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define LINGER_MS 5000 /* for the client to read the last answer and close */

static const struct log_ctx front_log = {.component = "front"};

static void on_retired(void *arg)
{
    mem_free(arg);
}

void front_link_free(struct front_link *l)
{
    struct loop *loop = l->house->loop;
    timer_cancel(&l->slow);
    stream_close(&l->client);
    stream_close(&l->inner);
    buf_fini(&l->in);
    /* a callback of this turn may still stand in it */
    loop_retire(loop, on_retired, l);
}

static void end(struct front_link *l)
{
    l->house->on_gone(l->house->house_arg, l);
    front_link_free(l);
}

/* ---- refusing ---- */

static void send_refusal(struct front_link *l)
{
    char body[256], head[256];
    int n = snprintf(body, sizeof(body),
                     "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,"
                     "\"code\":\"malformed_request\",\"detail\":\"%s\"}",
                     http1_reason(l->status), l->status, l->why);
    int h = snprintf(head, sizeof(head),
                     "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\n"
                     "Content-Length: %d\r\nConnection: close\r\n\r\n",
                     l->status, http1_reason(l->status), n);
    struct slice parts[] = {slice_of(head, (size_t)h), slice_of(body, (size_t)n)};
    if (stream_write(l->client, parts, 2) != ERR_OK) {
        end(l);
        return;
    }
    stream_finish(l->client);
}

static void refuse(struct front_link *l, unsigned status, const char *why)
{
    if (l->refused)
        return;
    log_debug(&front_log, "request_refused", "status=%u why=%s", status, why);
    l->refused = true;
    l->status = status;
    l->why = why;
    timer_cancel(&l->slow);
    buf_clear(&l->in);
    stream_finish(l->inner);
}

static void on_slow(struct timer *t)
{
    struct front_link *l = CONTAINER_OF(t, struct front_link, slow);
    if (l->inner_done)
        end(l);
    else
        refuse(l, 408, "the request took too long");
}

/* ---- client to library ---- */

static enum err pass_in(struct front_link *l, struct slice bytes)
{
    if (bytes.len == 0)
        return ERR_OK;
    enum err e = stream_write(l->inner, &bytes, 1);
    if (e == ERR_OK && stream_pending(l->inner) > LIMIT_STREAM_HIGH)
        stream_pause(l->client);
    return e;
}

/* A head at the front of l->in. ERR_AGAIN: not whole; ERR_CANCELLED: refused. */
static enum err take_head(struct front_link *l)
{
    static _Thread_local struct http_head head; /* too large for a stack; one loop, one thread */
    struct http1_problem problem = {400, "malformed request"};
    size_t len = 0;
    enum err e = http1_head(HTTP1_REQUEST, buf_slice(&l->in), &head, &len, &problem);
    if (e == ERR_INVALID) {
        refuse(l, problem.status, problem.text);
        return ERR_CANCELLED;
    }
    if (e != ERR_OK)
        return e;
    http1_body_init(&l->body, HTTP1_REQUEST, &head, head.method);
    e = pass_in(l, slice_first(buf_slice(&l->in), len));
    buf_eat(&l->in, len);
    l->in_body = l->body.kind != HTTP1_BODY_NONE;
    timer_cancel(&l->slow);
    return e;
}

/* Passes on what of l->in belongs to the body, framing included. ERR_AGAIN: more is to come. */
static enum err take_body(struct front_link *l)
{
    struct slice left = buf_slice(&l->in), piece;
    struct http1_problem problem = {400, "malformed body"};
    bool ended = false;
    enum err e = ERR_OK;
    while (e == ERR_OK && !ended)
        e = http1_body_next(&l->body, &left, &piece, &ended, &problem);
    if (e == ERR_INVALID) {
        refuse(l, problem.status, problem.text);
        return ERR_CANCELLED;
    }
    if (e != ERR_OK && e != ERR_AGAIN)
        return e;
    size_t used = l->in.len - left.len;
    enum err passed = pass_in(l, slice_first(buf_slice(&l->in), used));
    buf_eat(&l->in, used);
    l->in_body = !ended;
    return passed != ERR_OK ? passed : ended ? ERR_OK : ERR_AGAIN;
}

/* A head has a deadline as a whole, a body one for each gap in it; between requests the library
 * counts. */
static void watch(struct front_link *l)
{
    if (l->in_body)
        timer_start(&l->slow, LIMIT_BODY_GAP_MS);
    else if (l->in.len == 0)
        timer_cancel(&l->slow);
    else if (!timer_is_running(&l->slow))
        timer_start(&l->slow, LIMIT_HEAD_MS);
}

static void judge(struct front_link *l)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && l->in.len > 0)
        e = l->in_body ? take_body(l) : take_head(l);
    if (e == ERR_CANCELLED)
        return;
    if (e != ERR_OK && e != ERR_AGAIN)
        end(l);
    else
        watch(l);
}

static void on_client_data(void *arg, struct slice data)
{
    struct front_link *l = arg;
    if (l->refused || l->inner_done)
        return;
    enum err e = buf_append(&l->in, data);
    if (e == ERR_TOO_BIG)
        refuse(l, 431, "too much at once");
    else if (e != ERR_OK)
        end(l);
    else
        judge(l);
}

static void on_client_eof(void *arg)
{
    struct front_link *l = arg;
    if (l->inner != NULL && !l->refused)
        stream_finish(l->inner);
}

static void on_client_drain(void *arg)
{
    struct front_link *l = arg;
    if (l->inner != NULL)
        stream_resume(l->inner);
}

static void on_client_close(void *arg, enum err why)
{
    (void)why;
    end(arg);
}

/* ---- library to client ---- */

static void on_inner_data(void *arg, struct slice data)
{
    struct front_link *l = arg;
    if (stream_write(l->client, &data, 1) != ERR_OK) {
        end(l);
        return;
    }
    if (stream_pending(l->client) > LIMIT_STREAM_HIGH)
        stream_pause(l->inner);
}

static void inner_ended(struct front_link *l)
{
    if (l->inner_done)
        return;
    l->inner_done = true;
    timer_start(&l->slow, LINGER_MS);
    if (l->refused)
        send_refusal(l);
    else
        stream_finish(l->client);
}

static void on_inner_eof(void *arg)
{
    struct front_link *l = arg;
    stream_finish(l->inner);
    inner_ended(l);
}

static void on_inner_drain(void *arg)
{
    struct front_link *l = arg;
    if (!l->refused)
        stream_resume(l->client);
}

static void on_inner_close(void *arg, enum err why)
{
    (void)why;
    inner_ended(arg);
}

/* At the end of the turn that made the pair: only then it takes bytes. */
static void on_inner_open(void *arg)
{
    struct front_link *l = arg;
    stream_resume(l->client);
}

static const struct stream_events inner_events = {
    .on_open = on_inner_open,
    .on_data = on_inner_data,
    .on_eof = on_inner_eof,
    .on_drain = on_inner_drain,
    .on_close = on_inner_close,
};

/* ---- birth ---- */

/* Only now, with TLS done: a handshake that never ends costs the library nothing. */
static void on_client_open(void *arg)
{
    struct front_link *l = arg;
    union sockaddr_any peer = {.sa = {.sa_family = AF_UNSPEC}};
    int pair[2];
    if (address_parse(stream_peer(l->client), &peer) != ERR_OK ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        end(l);
        return;
    }
    enum err e = stream_accept(l->house->loop, pair[0], NULL, &inner_events, l, &l->inner);
    if (e != ERR_OK) {
        close(pair[1]);
        end(l);
        return;
    }
    stream_pause(l->client);
    l->house->serve(l->house->arg, pair[1], &peer);
}

static const struct stream_events client_events = {
    .on_open = on_client_open,
    .on_data = on_client_data,
    .on_eof = on_client_eof,
    .on_drain = on_client_drain,
    .on_close = on_client_close,
};

enum err front_link_new(const struct front_link_house *house, int fd, struct front_link **ret)
{
    struct front_link *l = mem_zalloc(sizeof(*l));
    if (l == NULL) {
        close(fd);
        return ERR_NOMEM;
    }
    l->house = house;
    list_init(&l->node);
    /* one whole head, or a piece of body as large as a stream reads at once */
    buf_init(&l->in, LIMIT_HTTP_HEAD + LIMIT_STREAM_OUT);
    timer_init(&l->slow, house->loop, on_slow);
    enum err e = stream_accept(house->loop, fd, house->tls, &client_events, l, &l->client);
    if (e != ERR_OK) {
        mem_free(l);
        return e;
    }
    *ret = l;
    return ERR_OK;
}
