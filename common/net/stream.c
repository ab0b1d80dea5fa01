/* stream — the states of a stream: made by accept or dial, read, paused, failed once, freed when
 * its handle is closed and its owner has let it go. */
#include "common/net/stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/stream_private.h"

static void free_memory(void *arg)
{
    struct stream *s = arg;
    tls_session_free(s->tls);
    stream_tunnel_free(s);
    buf_fini(&s->flying);
    buf_fini(&s->waiting);
    mem_free(s);
}

void stream_on_handle_closed(uv_handle_t *h)
{
    struct stream *s = h->data;
    s->has_handle = false;
    if (s->owner_gone)
        free_memory(s);
    else if (s->state == STREAM_DIALING)
        stream_dial_step(s);
}

static void shut(struct stream *s)
{
    s->state = STREAM_DEAD;
    s->reading = false;
    loop_task_cancel(&s->task);
    timer_cancel(&s->deadline);
    stream_dial_cancel(s);
    if (s->has_handle && !uv_is_closing((uv_handle_t *)&s->tcp))
        uv_close((uv_handle_t *)&s->tcp, stream_on_handle_closed);
}

void stream_fail(struct stream *s, enum err why)
{
    if (s->state == STREAM_DEAD)
        return;
    shut(s);
    s->events->on_close(s->arg, why);
}

void stream_fail_soon(struct stream *s, enum err why)
{
    if (s->state == STREAM_DEAD || s->why)
        return;
    s->why = why;
    loop_soon(s->loop, &s->task);
}

static void on_task(struct loop_task *t)
{
    struct stream *s = LIST_ITEM(t, struct stream, task);
    if (s->why)
        stream_fail(s, s->why);
    else if (s->state == STREAM_DIALING)
        stream_dial_step(s);
    else if (s->announce)
        stream_opened(s);
    else if (s->tls)
        stream_tls_deliver(s);
}

static void on_deadline(struct timer *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, deadline);
    if (s->state == STREAM_DIALING)
        stream_dial_late(s);
    else
        stream_fail(s, ERR_TIMEOUT);
}

enum err stream_new(struct loop *l, const struct stream_events *events, void *arg,
                    struct stream **ret)
{
    struct stream *s = mem_zalloc(sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    s->loop = l;
    s->events = events;
    s->arg = arg;
    loop_task_init(&s->task, on_task);
    timer_init(&s->deadline, l, on_deadline);
    /* one large piece may wait whole, and what was waiting before it */
    buf_init(&s->flying, LIMIT_STREAM_PIECE + LIMIT_STREAM_OUT);
    buf_init(&s->waiting, LIMIT_STREAM_PIECE + LIMIT_STREAM_OUT);
    *ret = s;
    return ERR_OK;
}

/* reading */

/* Nothing unread precedes the hang-up: it is reported even to a paused owner, which would otherwise
 * work on without a peer. */
static void look_for_hangup(struct stream *s)
{
    char c;
    uv_os_fd_t fd;
    const bool unread = s->tls && tls_session_has_input(s->tls);
    if (unread || uv_fileno((uv_handle_t *)&s->tcp, &fd))
        return;
    ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
    const bool failed = n < 0 && errno != EAGAIN && errno != EINTR;
    if (n == 0 && !s->tls)
        stream_ended(s);
    else if (n == 0 || failed)
        stream_fail(s, ERR_CLOSED);
}

static bool is_held(const struct stream *s)
{
    return s->paused && s->state == STREAM_OPEN;
}

static void stop_reading(struct stream *s)
{
    uv_read_stop((uv_stream_t *)&s->tcp);
    s->reading = false;
}

/* A full buffer's worth is rarely all; but other streams wait for their turn. */
#define READS_PER_TURN 8

static void take_bytes(struct stream *s)
{
    char *to = s->loop->scratch->read;
    uv_os_fd_t fd;
    MUST(uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0);
    for (int i = 0; i < READS_PER_TURN && s->reading && !is_held(s); i++) {
        ssize_t n = recv(fd, to, LOOP_READ_MAX, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return; /* libuv calls again when there is something */
        if (n <= 0) {
            stop_reading(s);
            if (s->state == STREAM_TUNNELLING)
                stream_fail(s, ERR_CONNECT);
            else if (n == 0 && !s->tls)
                stream_ended(s);
            else /* TLS: without close_notify the response may have been cut short */
                stream_fail(s, s->state == STREAM_SHAKING ? ERR_TLS : ERR_CLOSED);
            return;
        }
        struct slice data = slice_of(to, (size_t)n);
        if (s->state == STREAM_TUNNELLING)
            stream_tunnel_input(s, data);
        else if (s->tls)
            stream_tls_input(s, data);
        else
            s->events->on_data(s->arg, data);
        if (data.len < LOOP_READ_MAX)
            return;
    }
}

/* libuv only tells that there is something: it is given no memory, and says ENOBUFS before it would
 * read. Its own read(2) is slower than recv, since it passes the kernel's file layer, as its writev
 * does; and pausing costs nothing until bytes come. */
static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
    (void)h;
    (void)hint;
    *ret = uv_buf_init(NULL, 0);
}

static void on_readable(uv_stream_t *h, ssize_t n, const uv_buf_t *none)
{
    struct stream *s = h->data;
    (void)none;
    MUST(n == UV_ENOBUFS);
    if (!is_held(s)) {
        take_bytes(s);
        return;
    }
    stop_reading(s);
    look_for_hangup(s);
}

void stream_read_on(struct stream *s)
{
    if (s->state == STREAM_DEAD || s->eof || s->reading || is_held(s))
        return;
    s->reading = uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_readable) == 0;
    if (!s->reading)
        stream_fail_soon(s, ERR_IO);
}

void stream_ended(struct stream *s)
{
    if (s->eof || s->state == STREAM_DEAD)
        return;
    s->eof = true;
    if (s->reading)
        stop_reading(s);
    if (!s->broken && s->fin_sent)
        stream_fail(s, ERR_OK);
    else if (!s->broken && s->events->on_eof)
        s->events->on_eof(s->arg);
    else
        stream_fail(s, ERR_CLOSED);
}

void stream_pause(struct stream *s)
{
    s->paused = true;
    if (s->broken) /* the end would have been read, and now will not be */
        stream_fail_soon(s, ERR_CLOSED);
}

void stream_resume(struct stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    if (s->state != STREAM_OPEN || s->announce)
        return;
    if (s->tls && tls_session_has_input(s->tls))
        loop_soon(s->loop, &s->task);
    else
        stream_read_on(s);
}

/* opening */

void stream_opened(struct stream *s)
{
    s->announce = false;
    s->state = STREAM_OPEN;
    timer_cancel(&s->deadline);
    s->events->on_open(s->arg);
    stream_read_on(s);
}

static void learn_peer(struct stream *s)
{
    union sockaddr_any a;
    int len = sizeof(a);
    if (uv_tcp_getpeername(&s->tcp, &a.sa, &len) == 0)
        address_format(&a, s->peer);
}

void stream_connected(struct stream *s)
{
    learn_peer(s);
    if (s->tunnel) {
        s->state = STREAM_TUNNELLING;
        stream_read_on(s);
        stream_tunnel_ask(s);
    } else {
        stream_reached(s);
    }
}

void stream_reached(struct stream *s)
{
    if (!s->tls) {
        stream_opened(s);
        return;
    }
    s->state = STREAM_SHAKING;
    stream_read_on(s);
    stream_tls_shake(s);
}

static enum err open_accepted(struct stream *s, int fd, struct tls_context *tls)
{
    enum err e = tls ? tls_session_new(tls, SLICE_NONE, &s->tls) : ERR_OK;
    if (!e && uv_tcp_init(&s->loop->uv, &s->tcp))
        e = ERR_IO;
    if (e) {
        close(fd);
        return e;
    }
    s->has_handle = true;
    s->tcp.data = s;
    if (uv_tcp_open(&s->tcp, fd)) {
        close(fd);
        return ERR_IO;
    }
    learn_peer(s);
    return ERR_OK;
}

enum err stream_accept(struct loop *l, int fd, struct tls_context *tls,
                       const struct stream_events *events, void *arg, struct stream **ret)
{
    struct stream *s;
    enum err e = stream_new(l, events, arg, &s);
    if (e) {
        close(fd);
        return e;
    }
    e = open_accepted(s, fd, tls);
    if (e) {
        stream_close(&s);
        return e;
    }
    if (tls) {
        s->state = STREAM_SHAKING;
        timer_start(&s->deadline, LIMIT_HEAD_MS);
        stream_read_on(s);
    } else { /* on_open comes at the end of this turn, reading starts behind it */
        s->state = STREAM_OPEN;
        s->announce = true;
        loop_soon(l, &s->task);
    }
    *ret = s;
    return ERR_OK;
}

void stream_close(struct stream **p)
{
    struct stream *s = *p;
    *p = NULL;
    if (!s)
        return;
    s->owner_gone = true;
    shut(s);
    if (!s->has_handle)
        loop_retire(s->loop, free_memory, s);
}

void stream_adopt(struct stream *s, const struct stream_events *events, void *arg)
{
    s->events = events;
    s->arg = arg;
}

bool stream_is_open(const struct stream *s)
{
    return s->state == STREAM_OPEN && !s->broken && !s->why;
}

struct slice stream_peer(const struct stream *s)
{
    return slice_str(s->peer);
}
