/*
 * front — the thread, the listener, and the list of connections.
 */
#include "controlplane/api/front.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/api/front_link.h"

#define SOURCES_LEAST 4 /* so many it takes to fill all places */
#define LEAVING 512     /* connections beside those that stand, on their way out */

static const struct log_ctx front_log = {.component = "front"};

struct front {
    struct loop *loop;
    struct listener *listener;
    struct front_link_house house;
    struct list links;
    size_t count, max;
    void (*on_count)(void *arg, size_t connections);
    _Atomic size_t shown; /* count, for other threads */
    pthread_t thread;
    bool running;
};

static void set_count(struct front *g, size_t count)
{
    g->count = count;
    g->shown = count;
    g->on_count(g->house.arg, count);
}

static void on_gone(void *arg, struct front_link *l)
{
    struct front *g = arg;
    list_remove(&l->node);
    set_count(g, g->count - 1);
}

/* It has waited for something once more: those before it in the list have for longer. */
static void on_idle(void *arg, struct front_link *l)
{
    struct front *g = arg;
    list_remove(&l->node);
    list_push(&g->links, &l->node);
}

static bool is_same_host(const union sockaddr_any *a, const union sockaddr_any *b)
{
    union sockaddr_any x = address_fold(a), y = address_fold(b);
    if (x.sa.sa_family != y.sa.sa_family)
        return false;
    if (x.sa.sa_family == AF_INET)
        return x.in.sin_addr.s_addr == y.in.sin_addr.s_addr;
    /* a household has a /64 of its own */
    return memcmp(&x.in6.sin6_addr, &y.in6.sin6_addr, 8) == 0;
}

struct census {
    size_t standing, unserved; /* the latter: of this source */
    struct front_link *oldest, *oldest_of_source;
};

static struct census count_links(struct front *g, const union sockaddr_any *peer)
{
    struct census c = {0};
    LIST_EACH(&g->links, it)
    {
        struct front_link *l = CONTAINER_OF(it, struct front_link, node);
        if (front_link_is_leaving(l))
            continue;
        c.standing++;
        if (front_link_is_served(l))
            continue;
        if (c.oldest == NULL)
            c.oldest = l;
        if (!is_same_host(&l->peer, peer))
            continue;
        c.unserved++;
        if (c.oldest_of_source == NULL)
            c.oldest_of_source = l;
    }
    return c;
}

/* False: nobody can go. */
static bool make_room(struct front *g, const union sockaddr_any *peer)
{
    struct census c = count_links(g, peer);
    size_t share = g->max > SOURCES_LEAST ? g->max / SOURCES_LEAST : 1;
    struct front_link *goes = c.unserved >= share    ? c.oldest_of_source
                              : c.standing >= g->max ? c.oldest
                                                     : NULL;
    if (goes != NULL)
        front_link_evict(goes);
    return goes != NULL || c.standing < g->max;
}

static void on_accept(void *arg, int fd)
{
    struct front *g = arg;
    struct front_link *l = NULL;
    union sockaddr_any peer = {.sa = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof(peer);
    if (g->count >= g->max + LEAVING || getpeername(fd, &peer.sa, &len) != 0) {
        close(fd); /* so many are being told 503 already */
        return;
    }
    bool doomed = !make_room(g, &peer);
    if (front_link_new(&g->house, fd, &peer, doomed, &l) != ERR_OK)
        return;
    list_push(&g->links, &l->node);
    set_count(g, g->count + 1);
}

/* Listeners share their port between workers (SO_REUSEPORT), so a second control plane would
 * not be refused: a bind without it tells whether anybody is there. */
static enum err check_free(const union sockaddr_any *at)
{
    int one = 1;
    socklen_t len = at->sa.sa_family == AF_INET6 ? sizeof(at->in6) : sizeof(at->in);
    int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bool is_free = bind(fd, &at->sa, len) == 0;
    close(fd);
    return is_free ? ERR_OK : ERR_EXISTS;
}

static enum err open_tls(struct front *g, const struct front_config *c)
{
    if (c->cert_file == NULL || *c->cert_file == '\0')
        return ERR_OK;
    const struct tls_server_config config = {.cert_file = c->cert_file, .key_file = c->key_file};
    return tls_server_new(&config, &g->house.tls);
}

static void *run(void *arg)
{
    struct front *g = arg;
    pthread_setname_np(pthread_self(), "admin-front");
    loop_run(g->loop);
    return NULL;
}

enum err front_start(const struct front_config *c, struct front **ret)
{
    struct front *g = mem_zalloc(sizeof(*g));
    if (g == NULL)
        return ERR_NOMEM;
    list_init(&g->links);
    g->max = c->connections_max;
    g->on_count = c->on_count;
    enum err e = check_free(&c->at);
    if (e == ERR_OK)
        e = open_tls(g, c);
    if (e == ERR_OK)
        e = loop_new(&g->loop);
    g->house.loop = g->loop;
    g->house.serve = c->serve;
    g->house.arg = c->arg;
    g->house.head_ms = c->head_ms > 0 ? c->head_ms : LIMIT_HEAD_MS;
    g->house.body_gap_ms = c->body_gap_ms > 0 ? c->body_gap_ms : LIMIT_BODY_GAP_MS;
    g->house.keepalive_ms = LIMIT_KEEPALIVE_MS;
    g->house.on_gone = on_gone;
    g->house.on_idle = on_idle;
    g->house.house_arg = g;
    if (e == ERR_OK)
        e = listener_open(g->loop, &c->at, on_accept, g, &g->listener);
    if (e == ERR_OK)
        e = pthread_create(&g->thread, NULL, run, g) == 0 ? ERR_OK : ERR_EXHAUSTED;
    g->running = e == ERR_OK;
    if (e != ERR_OK) {
        front_stop(&g);
        return e;
    }
    *ret = g;
    return ERR_OK;
}

enum err front_reload(struct front *g)
{
    return g->house.tls != NULL ? tls_reload(g->house.tls) : ERR_OK;
}

static void quiesce(void *arg)
{
    struct front *g = arg;
    listener_close(&g->listener);
}

void front_quiesce(struct front *g)
{
    if (loop_post(g->loop, quiesce, g) != ERR_OK)
        log_warn(&front_log, "quiesce_failed", "connections=%zu", front_connections(g));
}

size_t front_connections(const struct front *g)
{
    return g->shown;
}

static void cut_all(struct front *g)
{
    listener_close(&g->listener);
    while (!list_empty(&g->links)) {
        struct front_link *l = CONTAINER_OF(g->links.next, struct front_link, node);
        list_remove(&l->node);
        front_link_free(l);
    }
    set_count(g, 0);
}

static void stop(void *arg)
{
    struct front *g = arg;
    cut_all(g);
    loop_stop(g->loop);
}

void front_stop(struct front **front)
{
    struct front *g = *front;
    *front = NULL;
    if (g == NULL)
        return;
    if (g->running) {
        MUST(loop_post(g->loop, stop, g) == ERR_OK);
        pthread_join(g->thread, NULL);
    } else if (g->loop != NULL) {
        cut_all(g);
    }
    if (g->loop != NULL)
        loop_free(g->loop);
    tls_drop(g->house.tls);
    mem_free(g);
}
