/*
 * tunnel — the thread: one epoll, edge-triggered, for every pair of this end.
 *
 * It copies bytes and knows nothing of messages.
 */
#include "common/wire/tunnel_private.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

#define EVENTS_PER_ROUND 128
#define BACKLOG 256
#define KEEPALIVE_IDLE_S 5 /* with two probes of 2 s a silent dead host is known after 9 s */
#define KEEPALIVE_GAP_S 2
#define KEEPALIVE_PROBES 2

enum err tunnel_watch(struct tunnel *t, int fd, unsigned events, void *owner)
{
    struct epoll_event ev = {.events = events, .data.ptr = owner};
    return epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &ev) ? ERR_IO : ERR_OK;
}

static void set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof(value)); /* an old kernel does without */
}

void tunnel_tune(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_GAP_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, LIMIT_TUNNEL_DEAD_MS);
}

bool tunnel_is_own_process(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == getpid();
}

unsigned tunnel_local_address(const char *name, struct sockaddr_un *ret)
{
    size_t len = strnlen(name, TUNNEL_NAME_MAX - 1);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path + 1, name, len);
    return (unsigned)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
}

/* ---- the thread ---- */

static void take_cuts(struct tunnel *t)
{
    struct list cuts;
    list_init(&cuts);
    pthread_mutex_lock(&t->lock);
    bool all = t->cut_all;
    t->cut_all = false;
    struct list *link;
    while ((link = list_take_first(&t->cuts)))
        list_push(&cuts, link);
    pthread_mutex_unlock(&t->lock);
    if (all)
        LIST_EACH(&t->pairs, it)
    pair_close(LIST_ITEM(it, struct pair, link), NULL);
    while ((link = list_take_first(&cuts))) {
        struct cut *c = LIST_ITEM(link, struct cut, link);
        LIST_EACH(&t->pairs, it)
        {
            struct pair *p = LIST_ITEM(it, struct pair, link);
            if (strcmp(p->plane, c->plane) == 0)
                pair_close(p, NULL);
        }
        mem_free(c);
    }
}

static void on_wake(struct tunnel *t)
{
    uint64_t count;
    if (read(t->wake, &count, sizeof(count)) == sizeof(count))
        take_cuts(t);
}

static void on_event(struct tunnel *t, void *owner)
{
    if (owner == &t->wake) {
        on_wake(t);
    } else if (owner == &t->listen) {
        if (t->serves)
            serve_accept(t);
        else
            dial_accept(t);
    } else {
        struct pair *p = owner;
        if (p->state == PAIR_JOINED)
            pair_pump(p);
        else if (p->state == PAIR_LEAVING)
            pair_leave_step(p);
        else if (p->state != PAIR_DEAD && t->serves)
            serve_step(p);
        else if (p->state != PAIR_DEAD)
            dial_step(p);
    }
}

static void free_dead(struct tunnel *t)
{
    struct list *link;
    while ((link = list_take_first(&t->dead)))
        pair_free(LIST_ITEM(link, struct pair, link));
}

static void close_late(struct tunnel *t, uint64_t now)
{
    LIST_EACH(&t->timed, it)
    {
        struct pair *p = LIST_ITEM(it, struct pair, timed);
        if (p->deadline_us > now)
            continue;
        if (p->state == PAIR_LEAVING)
            pair_leave_late(p);
        else
            pair_close(p, p->state == PAIR_JOINED ? NULL : "took too long");
    }
}

static void do_due(struct tunnel *t)
{
    uint64_t now = clock_mono_us();
    close_late(t, now);
    if (t->leaving)
        return;
    if (t->serves && t->deaf && t->hear_at_us <= now) {
        t->deaf = tunnel_watch(t, t->listen, EPOLLIN, &t->listen) != ERR_OK;
        t->hear_at_us = now + 1000000; /* where even that failed */
    }
    if (!t->serves && !t->dialled && t->dial_at_us <= now)
        dial_start(t);
}

static int wait_ms(const struct tunnel *t)
{
    uint64_t first = UINT64_MAX, now = clock_mono_us();
    if (!list_empty(&t->again))
        return 0;
    LIST_EACH(&t->timed, it)
    {
        const struct pair *p = LIST_ITEM(it, struct pair, timed);
        if (p->deadline_us < first)
            first = p->deadline_us;
    }
    if (t->serves && t->deaf && !t->leaving && t->hear_at_us < first)
        first = t->hear_at_us;
    if (!t->serves && !t->dialled && !t->leaving && t->dial_at_us < first)
        first = t->dial_at_us;
    if (first == UINT64_MAX)
        return -1;
    return first <= now ? 0 : (int)((first - now + 999) / 1000);
}

static void pump_again(struct tunnel *t)
{
    struct list round;
    list_init(&round);
    struct list *link;
    while ((link = list_take_first(&t->again)))
        list_push(&round, link);
    while ((link = list_take_first(&round)))
        pair_pump(LIST_ITEM(link, struct pair, again));
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Nothing is accepted any more, and every pair is closed. */
static void leave(struct tunnel *t)
{
    t->leaving = true;
    close_fd(&t->listen);
    close_fd(&t->parked);
    LIST_EACH(&t->pairs, it)
    {
        pair_close(LIST_ITEM(it, struct pair, link), NULL);
    }
}

static void *run(void *arg)
{
    struct tunnel *t = arg;
    struct epoll_event events[EVENTS_PER_ROUND];
    pthread_setname_np(pthread_self(), t->serves ? "gh-tunnel-serve" : "gh-tunnel-dial");
    while (!t->leaving || !list_empty(&t->pairs)) {
        int n = epoll_wait(t->epoll, events, EVENTS_PER_ROUND, wait_ms(t));
        for (int i = 0; i < n; i++)
            on_event(t, events[i].data.ptr);
        pump_again(t);
        do_due(t);
        if (atomic_load(&t->stop) && !t->leaving)
            leave(t);
        free_dead(t);
    }
    return NULL;
}

/* ---- from outside ---- */

static void tunnel_free(struct tunnel *t)
{
    struct list *link;
    while ((link = list_take_first(&t->cuts)))
        mem_free(LIST_ITEM(link, struct cut, link));
    close_fd(&t->listen);
    close_fd(&t->parked);
    close_fd(&t->wake);
    close_fd(&t->epoll);
    if (t->tls)
        tls_drop(t->tls);
    pthread_mutex_destroy(&t->lock);
    mem_free(t->host);
    mem_free(t);
}

static struct tunnel *tunnel_new(struct tls_context *tls)
{
    struct tunnel *t = mem_zalloc(sizeof(*t));
    if (!t)
        return NULL;
    list_init(&t->pairs);
    list_init(&t->timed);
    list_init(&t->again);
    list_init(&t->dead);
    list_init(&t->cuts);
    list_init(&t->strangers);
    pthread_mutex_init(&t->lock, NULL);
    t->tls = tls_hold(tls);
    t->listen = t->parked = -1;
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (t->epoll >= 0 && t->wake >= 0 && tunnel_watch(t, t->wake, EPOLLIN, &t->wake) == ERR_OK)
        return t;
    tunnel_free(t);
    return NULL;
}

static enum err listen_at(struct tunnel *t, int family, const void *at, socklen_t len)
{
    t->listen = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (t->listen < 0)
        return ERR_IO;
    if (family != AF_UNIX)
        set_option(t->listen, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(t->listen, at, len) || listen(t->listen, BACKLOG))
        return errno == EADDRINUSE ? ERR_EXISTS : ERR_IO;
    return ERR_OK;
}

static void read_port(struct tunnel *t)
{
    union sockaddr_any at = {0};
    socklen_t len = sizeof(at);
    if (getsockname(t->listen, &at.sa, &len) == 0)
        t->port = ntohs(at.sa.sa_family == AF_INET6 ? at.in6.sin6_port : at.in.sin_port);
}

/* The thread takes no signals: they are the program's to handle, and a broken pipe is an error. */
static enum err start_thread(struct tunnel *t)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? ERR_NOMEM : ERR_OK;
}

enum err tunnel_serve(const struct tunnel_serve_config *c, struct tunnel **ret)
{
    struct tunnel *t = tunnel_new(c->tls);
    if (!t)
        return ERR_NOMEM;
    t->serves = true;
    t->serve = *c;
    bool six = c->at.sa.sa_family == AF_INET6;
    enum err e =
        listen_at(t, c->at.sa.sa_family, &c->at, six ? sizeof(c->at.in6) : sizeof(c->at.in));
    if (!e)
        e = tunnel_watch(t, t->listen, EPOLLIN, &t->listen);
    if (!e) {
        read_port(t);
        e = start_thread(t);
    }
    if (e)
        tunnel_free(t);
    else
        *ret = t;
    return e;
}

static enum err listen_locally(struct tunnel *t, struct slice name)
{
    char text[TUNNEL_NAME_MAX];
    struct sockaddr_un at;
    if (name.len == 0 || name.len >= sizeof(text))
        return ERR_INVALID;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    enum err e = listen_at(t, AF_UNIX, &at, tunnel_local_address(text, &at));
    return e ? e : tunnel_watch(t, t->listen, EPOLLIN | EPOLLET, &t->listen);
}

enum err tunnel_dial(const struct tunnel_dial_config *c, struct tunnel **ret)
{
    struct tunnel *t = tunnel_new(c->tls);
    if (!t)
        return ERR_NOMEM;
    t->dial = *c;
    t->port = c->port;
    t->host = mem_strndup(c->host.ptr, c->host.len);
    enum err e = t->host ? listen_locally(t, c->local) : ERR_NOMEM;
    if (!e)
        e = start_thread(t);
    if (e)
        tunnel_free(t);
    else
        *ret = t;
    return e;
}

static void wake(struct tunnel *t)
{
    uint64_t one = 1;
    (void)!write(t->wake, &one, sizeof(one)); /* fails only where a wake-up is already due */
}

void tunnel_cut(struct tunnel *t, struct slice plane_id)
{
    struct cut *c = mem_zalloc(sizeof(*c));
    if (plane_id.len > TUNNEL_PLANE_MAX) { /* no plane of that name was ever admitted */
        mem_free(c);
        return;
    }
    if (c)
        memcpy(c->plane, plane_id.ptr, plane_id.len);
    pthread_mutex_lock(&t->lock);
    if (c)
        list_push(&t->cuts, &c->link);
    else
        t->cut_all = true; /* all come back but the one that may not */
    pthread_mutex_unlock(&t->lock);
    wake(t);
}

uint16_t tunnel_port(const struct tunnel *t)
{
    return t->port;
}

void tunnel_stop(struct tunnel **t)
{
    if (!*t)
        return;
    atomic_store(&(*t)->stop, true);
    wake(*t);
    pthread_join((*t)->thread, NULL);
    tunnel_free(*t);
    *t = NULL;
}
