/* tunnel_dial — the data plane's end: dials until it is in, and joins the local NNG dialler. */
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/wire/tunnel_private.h"

#define SERVER_NAME "control-plane"
#define BACKOFF_FIRST_MS 50u
#define BACKOFF_LAST_MS 1000u
#define BACKOFF_STEPS 5u /* 50 ms doubled so often passes a second */

/* Half of the pause is random, so that planes which lost the same control plane do not dial at
 * once. */
static uint64_t backoff_us(unsigned failures)
{
    unsigned ms = BACKOFF_FIRST_MS << (failures < BACKOFF_STEPS ? failures : BACKOFF_STEPS);
    uint32_t chance;
    if (ms > BACKOFF_LAST_MS)
        ms = BACKOFF_LAST_MS;
    digest_random(&chance, sizeof(chance));
    return ms * 500ull + chance % (ms * 500u);
}

static void later(struct tunnel *t)
{
    if (t->removed) {
        t->dial_at_us = UINT64_MAX;
        return;
    }
    t->dial_at_us = clock_mono_us() + backoff_us(t->failures);
    t->failures++;
}

static void say_down(struct tunnel *t, const char *why)
{
    if (t->said_down)
        return;
    log_warn(NULL, "tunnel_down", "host=%s port=%u reason=%s", t->host, (unsigned)t->dial.port,
             why ? why : "closed");
    t->said_down = true;
}

static void set_up(struct tunnel *t, bool up)
{
    if (t->up == up)
        return;
    t->up = up;
    if (t->dial.on_state)
        t->dial.on_state(t->dial.arg, up);
}

void dial_closed(struct pair *p, const char *why)
{
    struct tunnel *t = p->tunnel;
    t->dialled = NULL;
    if (atomic_load(&t->stop))
        return;
    say_down(t, why);
    set_up(t, false);
    later(t);
}

/* The check of the name is of the certificate's, not of where we dialled. */
static bool prepare_tls(SSL *ssl)
{
    SSL_set_connect_state(ssl);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS);
    return SSL_set1_host(ssl, SERVER_NAME) == 1 && SSL_set_tlsext_host_name(ssl, SERVER_NAME) == 1;
}

static void dial_address(struct tunnel *t, const struct sockaddr *at, socklen_t len)
{
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || (connect(fd, at, len) && errno != EINPROGRESS)) {
        say_down(t, "connection refused");
        later(t);
        if (fd >= 0)
            close(fd);
        return;
    }
    tunnel_tune(fd);
    struct pair *p = pair_new(t, fd);
    if (!p) {
        later(t);
        return;
    }
    t->dialled = p;
    p->state = PAIR_CONNECTING;
    pair_deadline(p, LIMIT_TUNNEL_HANDSHAKE_MS);
    if (!prepare_tls(p->ssl) || tunnel_watch(t, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, p))
        pair_close(p, "out of memory");
}

/* A name is asked for anew each time, on this thread: nothing else here waits for it. The
 * addresses of a name take turns. */
void dial_start(struct tunnel *t)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    snprintf(port, sizeof(port), "%u", (unsigned)t->dial.port);
    if (getaddrinfo(t->host, port, &hints, &found) || !found) {
        say_down(t, "name could not be resolved");
        later(t);
        return;
    }
    unsigned count = 0;
    for (struct addrinfo *a = found; a; a = a->ai_next)
        count++;
    struct addrinfo *a = found;
    for (unsigned skip = t->failures % count; skip > 0; skip--)
        a = a->ai_next;
    dial_address(t, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(found);
}

static bool is_alive(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static void join_parked(struct tunnel *t)
{
    struct pair *p = t->dialled;
    if (!p || p->state != PAIR_WAITING || t->parked < 0)
        return;
    int fd = t->parked;
    t->parked = -1;
    if (is_alive(fd))
        pair_join(p, fd);
    else
        close(fd);
}

/* There is one NNG dialler; its newest connection is the one it still holds. */
void dial_accept(struct tunnel *t)
{
    int fd;
    while ((fd = accept4(t->listen, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (!tunnel_is_own_process(fd)) {
            log_warn(NULL, "tunnel_stranger", "reason=%s", "another process dialled our socket");
            close(fd);
            continue;
        }
        if (t->parked >= 0)
            close(t->parked);
        t->parked = fd;
    }
    join_parked(t);
}

static void on_greeting(struct pair *p)
{
    struct tunnel *t = p->tunnel;
    char byte = 0;
    ERR_clear_error();
    int n = SSL_read(p->ssl, &byte, 1);
    if (n != 1) {
        int e = SSL_get_error(p->ssl, n);
        if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
            pair_close(p, e == SSL_ERROR_ZERO_RETURN ? "not admitted" : pair_tls_reason(p));
        return;
    }
    if (byte == TUNNEL_REMOVED) {
        t->removed = true;
        pair_close(p, "removed from the control plane");
        if (t->dial.on_removed)
            t->dial.on_removed(t->dial.arg);
        return;
    }
    if (byte != TUNNEL_GREETING) {
        pair_close(p, "the other end speaks another revision");
        return;
    }
    p->state = PAIR_WAITING;
    pair_deadline(p, 0);
    log_info(NULL, "tunnel_up", "host=%s port=%u", t->host, (unsigned)t->dial.port);
    t->failures = 0;
    t->said_down = false;
    set_up(t, true);
    dial_accept(t); /* also what came while the pair was not there to be told */
    if (p->state == PAIR_WAITING)
        pair_pump(p);
}

static void on_handshake(struct pair *p)
{
    ERR_clear_error();
    int done = SSL_do_handshake(p->ssl);
    if (done == 1) {
        p->state = PAIR_GREETING;
        on_greeting(p);
        return;
    }
    int e = SSL_get_error(p->ssl, done);
    if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
        pair_close(p, pair_tls_reason(p));
}

static void on_connect(struct pair *p)
{
    int error = 0;
    socklen_t len = sizeof(error);
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof(peer);
    getsockopt(p->remote, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        pair_close(p, "connection refused");
    } else if (getpeername(p->remote, (struct sockaddr *)&peer, &peer_len) == 0) {
        p->state = PAIR_HANDSHAKE;
        on_handshake(p);
    }
}

void dial_step(struct pair *p)
{
    if (p->state == PAIR_CONNECTING)
        on_connect(p);
    else if (p->state == PAIR_HANDSHAKE)
        on_handshake(p);
    else if (p->state == PAIR_GREETING)
        on_greeting(p);
    else
        pair_pump(p); /* waiting: what comes early is kept, an end is seen */
}
