/* stream_write — the kernel first; what it does not take waits, bounded, in two buffers: one that
 * libuv holds and must not move, and one that grows behind it. */
#include <errno.h>
#include <sys/socket.h>

#include "common/base/limits.h"
#include "common/net/stream_private.h"

/* A head, its values and a body are fewer; more parts go in several calls. */
#define PARTS_PER_CALL 8

static void start_flying(struct stream *s);

size_t stream_pending(const struct stream *s)
{
    size_t inside = s->flying.len ? uv_stream_get_write_queue_size((uv_stream_t *)&s->tcp) : 0;
    return inside + s->waiting.len;
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
