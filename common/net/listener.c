/* listener — accepts a bounded number of connections per wake-up and hands their descriptors over.
 *
 * libuv 1.44 has no REUSEPORT, and its own accept wants a handle first: the socket is ours. */
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/mem.h"
#include "common/net/loop_private.h"
#include "common/net/stream.h"

/* Connections waiting in the kernel; it caps the figure by net.core.somaxconn itself. */
#define BACKLOG 4096
/* One wake-up accepts at most this many, so that a flood does not starve open connections. */
#define HELPING 64
/* Out of descriptors: some become free only when others are closed, and the poll would spin until
 * then. */
#define REST_MS 50

struct listener {
    uv_poll_t poll;
    struct timer rest;
    struct loop *loop;
    int fd;
    uint16_t port;
    void (*on_accept)(void *arg, int fd);
    void *arg;
    bool closed;
};

static void on_ready(uv_poll_t *h, int status, int events);

static void rest(struct listener *l)
{
    uv_poll_stop(&l->poll);
    timer_start(&l->rest, REST_MS);
}

static void on_rested(struct timer *t)
{
    struct listener *l = CONTAINER_OF(t, struct listener, rest);
    uv_poll_start(&l->poll, UV_READABLE, on_ready);
}

/* Errors of the one connection that was to be accepted; accept(2), "Error handling". */
static bool is_passing(int e)
{
    return e == ECONNABORTED || e == EINTR || e == EPROTO || e == ENETDOWN || e == ENOPROTOOPT ||
           e == EHOSTDOWN || e == ENONET || e == EHOSTUNREACH || e == EOPNOTSUPP ||
           e == ENETUNREACH || e == EPERM;
}

static void on_ready(uv_poll_t *h, int status, int events)
{
    struct listener *l = h->data;
    (void)status, (void)events;
    for (int i = 0; i < HELPING && !l->closed; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            l->on_accept(l->arg, fd);
        else if (errno == EAGAIN)
            return;
        else if (!is_passing(errno)) {
            rest(l);
            return;
        }
    }
}

/* Accepted sockets inherit TCP_NODELAY on Linux, which saves a call for each of them. */
static int open_socket(const union sockaddr_any *at)
{
    const int on = 1;
    socklen_t len = at->sa.sa_family == AF_INET6 ? sizeof(at->in6) : sizeof(at->in);
    int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) || bind(fd, &at->sa, len) ||
        listen(fd, BACKLOG)) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static uint16_t port_of(int fd)
{
    union sockaddr_any a = {0};
    socklen_t len = sizeof(a);
    return getsockname(fd, &a.sa, &len) == 0 ? address_port(&a) : 0;
}

static enum err why(int e)
{
    if (e == EADDRINUSE)
        return ERR_EXISTS;
    return e == EACCES || e == EPERM ? ERR_DENIED : ERR_IO;
}

enum err listener_open(struct loop *loop, const union sockaddr_any *at,
                       void (*on_accept)(void *arg, int fd), void *arg, struct listener **ret)
{
    struct listener *l = mem_zalloc(sizeof(*l));
    if (!l)
        return ERR_NOMEM;
    l->fd = open_socket(at);
    if (l->fd < 0) {
        enum err e = why(errno);
        mem_free(l);
        return e;
    }
    if (uv_poll_init(&loop->uv, &l->poll, l->fd)) {
        close(l->fd);
        mem_free(l);
        return ERR_IO;
    }
    l->poll.data = l;
    l->loop = loop;
    l->on_accept = on_accept;
    l->arg = arg;
    l->port = port_of(l->fd);
    timer_init(&l->rest, loop, on_rested);
    uv_poll_start(&l->poll, UV_READABLE, on_ready);
    *ret = l;
    return ERR_OK;
}

static void on_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

void listener_close(struct listener **p)
{
    struct listener *l = *p;
    *p = NULL;
    if (!l)
        return;
    l->closed = true;
    timer_cancel(&l->rest);
    uv_poll_stop(&l->poll);
    close(l->fd);
    uv_close((uv_handle_t *)&l->poll, on_closed);
}

uint16_t listener_port(const struct listener *l)
{
    return l->port;
}
