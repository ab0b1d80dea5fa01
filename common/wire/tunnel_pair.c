/* tunnel_pair — one TLS connection and one local connection, and the bytes between them. */
#include <errno.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/wire/tunnel_private.h"

/* Turns of both flows before other pairs get theirs: 1 MiB each way. */
#define TURNS_PER_ROUND 16

struct pair *pair_new(struct tunnel *t, int remote)
{
    struct pair *p = mem_zalloc(sizeof(*p));
    if (!p) {
        close(remote);
        return NULL;
    }
    p->tunnel = t;
    p->remote = remote;
    p->local = -1;
    p->in.data = mem_alloc(LIMIT_TUNNEL_PIECE);
    p->out.data = mem_alloc(LIMIT_TUNNEL_PIECE);
    p->ssl = tls_open(t->tls);
    list_init(&p->timed);
    list_init(&p->again);
    list_init(&p->link);
    list_init(&p->stranger);
    if (!p->in.data || !p->out.data || !p->ssl || SSL_set_fd(p->ssl, remote) != 1) {
        close(remote);
        pair_free(p);
        return NULL;
    }
    SSL_set_mode(p->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                             SSL_MODE_RELEASE_BUFFERS);
    SSL_set_options(p->ssl, SSL_OP_CLEANSE_PLAINTEXT);
    SSL_set_min_proto_version(p->ssl, TLS1_3_VERSION);
    list_push(&t->pairs, &p->link);
    t->count++;
    return p;
}

void pair_free(struct pair *p)
{
    list_remove(&p->link);
    SSL_free(p->ssl);
    mem_free(p->in.data);
    mem_free(p->out.data);
    mem_free(p);
}

void pair_deadline(struct pair *p, unsigned ms)
{
    list_remove(&p->timed);
    if (ms == 0)
        return;
    p->deadline_us = clock_mono_us() + ms * 1000ull;
    list_push(&p->tunnel->timed, &p->timed);
}

static void close_remote(struct pair *p)
{
    if (p->state == PAIR_JOINED) {
        ERR_clear_error();
        SSL_shutdown(p->ssl); /* tells the peer that the end was intended, if it can be written */
    }
    close(p->remote);
    p->remote = -1;
}

/* Descriptors go now; the memory goes when no event of this round can name it any more. */
void pair_end(struct pair *p)
{
    struct tunnel *t = p->tunnel;
    if (p->local >= 0)
        close(p->local);
    p->state = PAIR_DEAD;
    list_remove(&p->timed);
    list_remove(&p->again);
    list_remove(&p->link);
    list_push(&t->dead, &p->link);
    t->count--;
}

/*
 * ---- leaving: how a local NNG connection is ended when its remote side is gone ----
 *
 * NNG 1.5.2 must learn of an end by reading it. Where a pipe is closed for any other reason (a
 * write that fails, nng_pipe_close, nng_close) while a message is half received or half sent, that
 * transfer never ends, and with it stops NNG's only reaper: nothing is closed or dialled again in
 * this process. So what NNG still sends is read and thrown away until it is silent; then NNG reads
 * the end of its input and closes, and only then the socket is closed here.
 */
#define QUIET_MS 10       /* silent for so long, nothing is half sent */
#define LOUD_US 300000ull /* a publisher may never be silent: then without */
#define CLOSE_MS                                                                                   \
    5000 /* to read the end: until a handler has finished and there is space to read               \
          */

/* false: NNG has closed */
static bool discard(struct pair *p, bool *any)
{
    for (;;) {
        ssize_t n = recv(p->local, p->out.data, LIMIT_TUNNEL_PIECE, 0);
        if (n > 0)
            *any = true;
        else if (n < 0 && errno == EAGAIN)
            return true;
        else if (n == 0 || errno != EINTR)
            return false;
    }
}

void pair_leave_step(struct pair *p)
{
    bool any = false;
    if (!discard(p, &any))
        pair_end(p);
    else if (any && !p->said_end && clock_mono_us() - p->left_us < LOUD_US)
        pair_deadline(p, QUIET_MS);
}

static void pair_leave(struct pair *p)
{
    list_remove(&p->again);
    p->state = PAIR_LEAVING;
    p->left_us = clock_mono_us();
    pair_deadline(p, QUIET_MS);
    pair_leave_step(p);
}

void pair_leave_late(struct pair *p)
{
    if (p->said_end) {
        pair_end(p);
        return;
    }
    p->said_end = true;
    shutdown(p->local, SHUT_WR);
    pair_deadline(p, CLOSE_MS);
    pair_leave_step(p);
}

void pair_close(struct pair *p, const char *why)
{
    if (p->state == PAIR_DEAD || p->state == PAIR_LEAVING)
        return;
    if (p->tunnel->serves)
        serve_closed(p, why);
    else
        dial_closed(p, why);
    close_remote(p);
    if (p->local >= 0)
        pair_leave(p);
    else
        pair_end(p);
}

const char *pair_tls_reason(const struct pair *p)
{
    long verdict = SSL_get_verify_result(p->ssl);
    if (verdict != X509_V_OK)
        return X509_verify_cert_error_string(verdict);
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason ? reason : "connection lost";
}

/* false: it would block, or has ended */
static bool read_remote(struct pair *p)
{
    struct flow *f = &p->in;
    ERR_clear_error();
    int n = SSL_read(p->ssl, f->data + f->len, (int)(LIMIT_TUNNEL_PIECE - f->len));
    if (n > 0) {
        f->len += (size_t)n;
        return true;
    }
    int e = SSL_get_error(p->ssl, n);
    if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
        f->ended = true;
    return false;
}

static bool read_local(struct pair *p)
{
    struct flow *f = &p->out;
    ssize_t n = recv(p->local, f->data + f->len, LIMIT_TUNNEL_PIECE - f->len, 0);
    if (n > 0) {
        f->len += (size_t)n;
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        f->ended = true;
    return n < 0 && errno == EINTR;
}

/* What has gone is not kept: pushes and snapshots hold secrets. */
static void taken(struct flow *f, size_t n)
{
    secret_wipe(f->data + f->at, n);
    f->at += n;
    if (f->at == f->len)
        f->at = f->len = 0;
}

#define LOCAL_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* A local socket reports that it can be written each time its reader has read: only where one waits
 * for it, or every message would wake this thread twice. */
static void ask_for_room(struct pair *p, bool ask)
{
    struct epoll_event ev = {.events = LOCAL_EVENTS | (ask ? EPOLLOUT : 0), .data.ptr = p};
    if (p->asks_for_space == ask)
        return;
    p->asks_for_space = ask;
    if (epoll_ctl(p->tunnel->epoll, EPOLL_CTL_MOD, p->local, &ev) != 0)
        pair_close(p, "out of memory");
}

/* false: the pair is closed */
static bool write_local(struct pair *p, bool *moved)
{
    struct flow *f = &p->in;
    ssize_t n = send(p->local, f->data + f->at, f->len - f->at, MSG_NOSIGNAL);
    if (n > 0) {
        taken(f, (size_t)n);
        *moved = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        pair_close(p, NULL);
        return false;
    }
    ask_for_room(p, n < 0 || (p->asks_for_space && f->len > 0));
    return p->state == PAIR_JOINED;
}

static bool write_remote(struct pair *p, bool *moved)
{
    struct flow *f = &p->out;
    ERR_clear_error();
    int n = SSL_write(p->ssl, f->data + f->at, (int)(f->len - f->at));
    if (n > 0) {
        taken(f, (size_t)n);
        *moved = true;
        return true;
    }
    int e = SSL_get_error(p->ssl, n);
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
        return true;
    pair_close(p, "connection lost");
    return false;
}

/* Fills an empty flow from its source until a piece is full or the source has no more. */
static bool fill(struct pair *p, struct flow *f, bool (*read)(struct pair *p))
{
    if (f->len > 0 || f->ended)
        return false;
    while (f->len < LIMIT_TUNNEL_PIECE && !f->ended && read(p))
        ;
    return f->len > 0;
}

/* One side has ended: the other gets what is on the way, and no longer than the linger. */
static bool ended(struct pair *p)
{
    bool in_done = p->in.ended && p->in.len == 0;
    bool out_done = p->out.ended && p->out.len == 0;
    if (in_done || out_done) {
        pair_close(p, in_done ? "connection lost" : NULL);
        return true;
    }
    if ((p->in.ended || p->out.ended) && list_empty(&p->timed))
        pair_deadline(p, LIMIT_TUNNEL_LINGER_MS);
    return false;
}

/* One turn of both flows. false: the pair is closed. */
static bool turn(struct pair *p, bool *moved)
{
    *moved = fill(p, &p->in, read_remote);
    if (p->local >= 0) {
        if (fill(p, &p->out, read_local))
            *moved = true;
        if (p->in.len > 0 && !write_local(p, moved))
            return false;
    }
    if (p->out.len > 0 && !write_remote(p, moved))
        return false;
    return !ended(p);
}

void pair_pump(struct pair *p)
{
    list_remove(&p->again);
    for (int i = 0; i < TURNS_PER_ROUND; i++) {
        bool moved = false;
        if (!turn(p, &moved) || !moved)
            return;
    }
    list_push(&p->tunnel->again, &p->again);
}

void pair_join(struct pair *p, int local)
{
    p->local = local;
    p->state = PAIR_JOINED;
    pair_deadline(p, 0);
    if (tunnel_watch(p->tunnel, local, LOCAL_EVENTS, p))
        pair_close(p, "out of memory");
    else
        pair_pump(p);
}
