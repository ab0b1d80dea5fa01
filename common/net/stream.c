/*
 * stream — the states of a stream: made by accept or dial, read, paused, failed once, freed when
 * its handle is closed and its owner has let it go.
 *
 * Writing: the kernel first; what it does not take waits, bounded, in two buffers: one that libuv
 * holds and must not move, and one that grows behind it.
 */
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

/* ---- writing ---- */

/* A head, its values and a body are fewer; more parts go in several calls. */
#define PARTS_PER_CALL 8

static void start_flying(struct stream *s);

size_t stream_pending(const struct stream *s)
{
    size_t inside = s->flying.len ? uv_stream_get_write_queue_size((uv_stream_t *)&s->tcp) : 0;
    return inside + s->waiting.len;
}

bool stream_is_full(const struct stream *s)
{
    return stream_pending(s) > LIMIT_STREAM_HIGH;
}

/* What the peer sent before it went away can still be read, and says more than our failure:
 * the end of that is the end of the stream. Where nothing reads, it ends here. */
static void give_up_writing(struct stream *s)
{
    s->broken = true;
    buf_fini(&s->waiting);
    if (!s->reading || s->paused)
        stream_fail_soon(s, ERR_CLOSED);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct stream *s = req->data;
    (void)status; /* it was gone already: the read that follows says why */
    if (s->state == STREAM_DEAD)
        return;
    s->fin_sent = true;
    if (s->eof)
        stream_fail(s, ERR_OK);
}

static void send_fin(struct stream *s)
{
    if (s->broken || s->flying.len > 0)
        return; /* on_written comes back here */
    s->shutdown.data = s;
    if (uv_shutdown(&s->shutdown, (uv_stream_t *)&s->tcp, on_shutdown))
        give_up_writing(s);
}

static void on_written(uv_write_t *req, int status)
{
    struct stream *s = req->data;
    if (s->state == STREAM_DEAD)
        return;
    buf_clear(&s->flying);
    if (status < 0) {
        give_up_writing(s);
        return;
    }
    size_t left = s->waiting.len;
    if (left > 0) {
        start_flying(s);
    } else {
        buf_fini(&s->flying); /* a stream at rest keeps no memory for writing */
        buf_fini(&s->waiting);
        if (s->finishing)
            send_fin(s);
    }
    if (s->want_drain && left <= LIMIT_STREAM_LOW) {
        s->want_drain = false;
        if (s->events->on_drain)
            s->events->on_drain(s->arg);
    }
}

static void start_flying(struct stream *s)
{
    struct buf keep = s->flying;
    s->flying = s->waiting;
    s->waiting = keep;
    struct slice all = buf_slice(&s->flying);
    uv_buf_t piece = {.base = (char *)all.ptr, .len = all.len};
    s->write.data = s;
    if (uv_write(&s->write, (uv_stream_t *)&s->tcp, &piece, 1, on_written)) {
        buf_fini(&s->flying);
        give_up_writing(s);
    }
}

/* Bytes the kernel has already taken cannot be taken back: without memory for the rest the stream
 * is lost. */
static enum err keep_rest(struct stream *s, const struct slice *parts, size_t n, size_t skip)
{
    for (size_t i = 0; i < n; i++) {
        struct slice rest = slice_from(parts[i], skip);
        skip -= parts[i].len - rest.len;
        enum err e = buf_append(&s->waiting, rest);
        if (e) {
            give_up_writing(s);
            stream_fail_soon(s, e);
            return e;
        }
    }
    if (s->flying.len == 0)
        start_flying(s);
    if (stream_pending(s) > LIMIT_STREAM_LOW)
        s->want_drain = true;
    return s->broken ? ERR_CLOSED : ERR_OK;
}

/* Not by uv_try_write: its writev is slower, since it passes the kernel's file layer, and a single
 * piece needs no list. Nothing of this stream's waits in libuv now. */
static ssize_t try_send(struct stream *s, struct msghdr *m)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&s->tcp, &fd))
        return -1;
    for (;;) {
        ssize_t taken = m->msg_iovlen == 1
                            ? send(fd, m->msg_iov->iov_base, m->msg_iov->iov_len, MSG_NOSIGNAL)
                            : sendmsg(fd, m, MSG_NOSIGNAL);
        if (taken >= 0)
            return taken;
        if (errno == EAGAIN || errno == ENOBUFS)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

/* A head and a small body: for the kernel a list costs more than copying so much costs us. */
#define JOINED_MAX 4096
_Static_assert(JOINED_MAX <= LOOP_RECORD_MAX, "they are joined where TLS gathers its records");

static struct iovec join(struct stream *s, const struct slice *parts, size_t n, size_t total)
{
    char *start = s->loop->scratch->gather, *to = start;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len)
            memcpy(to, parts[i].ptr, parts[i].len);
        to += parts[i].len;
    }
    return (struct iovec){.iov_base = start, .iov_len = total};
}

static ssize_t try_parts(struct stream *s, const struct slice *parts, size_t n, size_t *total)
{
    struct iovec list[PARTS_PER_CALL];
    struct msghdr m = {.msg_iov = list, .msg_iovlen = n};
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        list[i] = (struct iovec){.iov_base = (char *)parts[i].ptr, .iov_len = parts[i].len};
        *total += parts[i].len;
    }
    if (n > 1 && *total <= JOINED_MAX) {
        list[0] = join(s, parts, n, *total);
        m.msg_iovlen = 1;
    }
    return *total ? try_send(s, &m) : 0;
}

enum err stream_send(struct stream *s, const struct slice *parts, size_t n)
{
    while (n > 0 && s->flying.len == 0) {
        size_t total, count = n < PARTS_PER_CALL ? n : PARTS_PER_CALL;
        ssize_t taken = try_parts(s, parts, count, &total);
        if (taken < 0) {
            give_up_writing(s);
            return ERR_CLOSED;
        }
        if ((size_t)taken < total)
            return keep_rest(s, parts, n, (size_t)taken);
        parts += count;
        n -= count;
    }
    return n > 0 ? keep_rest(s, parts, n, 0) : ERR_OK;
}

enum err stream_write(struct stream *s, const struct slice *parts, size_t n)
{
    size_t total = 0, pending = stream_pending(s);
    if (!stream_is_open(s) || s->finishing || s->announce)
        return ERR_CLOSED;
    for (size_t i = 0; i < n; i++)
        total += parts[i].len;
    if (total > LIMIT_STREAM_PIECE)
        return ERR_TOO_BIG;
    if (pending > 0 && pending + total > LIMIT_STREAM_OUT) {
        s->want_drain = true;
        return ERR_TOO_BIG;
    }
    return s->tls ? stream_tls_write(s, parts, n) : stream_send(s, parts, n);
}

void stream_finish(struct stream *s)
{
    if (!stream_is_open(s) || s->finishing)
        return;
    s->finishing = true;
    if (s->tls)
        stream_tls_finish(s);
    send_fin(s);
}
