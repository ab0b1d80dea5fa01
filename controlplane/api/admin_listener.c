/*
 * admin_listener — the thread, the listener, and the list of connections.
 */
#include "controlplane/api/admin_listener.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/api/admin_connection.h"

#define SOURCES_LEAST 4   /* the fewest sources that can fill all places */
#define LINGERING_MAX 512 /* lingering connections, beside the open ones */

static const struct log_ctx admin_listener_log = {.component = "admin_listener"};

struct admin_listener {
    struct loop *loop;
    struct listener *listener;
    struct admin_connection_context context;
    struct list links;
    size_t count, max;
    void (*on_count)(void *arg, size_t connections);
    _Atomic size_t shown; /* count, for other threads */
    pthread_t thread;
    bool running;
};

static void set_count(struct admin_listener *g, size_t count)
{
    g->count = count;
    g->shown = count;
    g->on_count(g->context.arg, count);
}

static void on_gone(void *arg, struct admin_connection *l)
{
    struct admin_listener *g = arg;
    list_remove(&l->node);
    set_count(g, g->count - 1);
}

/* It begins to wait: it goes to the end of the list, which is ordered by the start of the wait. */
static void on_idle(void *arg, struct admin_connection *l)
{
    struct admin_listener *g = arg;
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
    /* one site has a /64 (RFC 6177) */
    return memcmp(&x.in6.sin6_addr, &y.in6.sin6_addr, 8) == 0;
}

/* Connections are counted in two groups: open ones, and lingering ones, whose last response is
 * written and which wait for the client to read it. */
struct connection_counts {
    size_t open, open_of_source, lingering, lingering_of_source;
    /* evictable: open, and not waiting for the library */
    struct admin_connection *oldest, *oldest_of_source;
    struct admin_connection *oldest_lingering, *oldest_lingering_of_source;
};

static void note_oldest(struct admin_connection **oldest, struct admin_connection *l)
{
    if (*oldest == NULL)
        *oldest = l;
}

static void count_lingering(struct connection_counts *c, struct admin_connection *l, bool of_source)
{
    c->lingering++;
    note_oldest(&c->oldest_lingering, l);
    if (!of_source)
        return;
    c->lingering_of_source++;
    note_oldest(&c->oldest_lingering_of_source, l);
}

static void count_open(struct connection_counts *c, struct admin_connection *l, bool of_source)
{
    c->open++;
    c->open_of_source += of_source;
    if (admin_connection_is_served(l))
        return;
    note_oldest(&c->oldest, l);
    if (of_source)
        note_oldest(&c->oldest_of_source, l);
}

static struct connection_counts count_links(struct admin_listener *g,
                                            const union sockaddr_any *peer)
{
    struct connection_counts c = {0};
    LIST_EACH(&g->links, it)
    {
        struct admin_connection *l = CONTAINER_OF(it, struct admin_connection, node);
        bool of_source = is_same_host(&l->peer, peer);
        if (admin_connection_is_leaving(l))
            count_lingering(&c, l, of_source);
        else
            count_open(&c, l, of_source);
    }
    return c;
}

/* Ends the oldest lingering connection where one source, or all sources, have too many of them:
 * they must not take places from new connections. */
static void limit_lingering(const struct connection_counts *c)
{
    if (c->lingering_of_source >= LINGERING_MAX / SOURCES_LEAST)
        admin_connection_cut(c->oldest_lingering_of_source);
    else if (c->lingering >= LINGERING_MAX)
        admin_connection_cut(c->oldest_lingering);
}

/* False: no connection can be evicted, and the new one gets a 503. */
static bool evict_for(struct admin_listener *g, const union sockaddr_any *peer)
{
    struct connection_counts c = count_links(g, peer);
    size_t share = g->max > SOURCES_LEAST ? g->max / SOURCES_LEAST : 1;
    bool share_is_full = c.open_of_source >= share;
    struct admin_connection *evicted = share_is_full      ? c.oldest_of_source
                                       : c.open >= g->max ? c.oldest
                                                          : NULL;
    limit_lingering(&c);
    if (evicted != NULL)
        admin_connection_evict(evicted);
    return evicted != NULL || (!share_is_full && c.open < g->max);
}

static void on_accept(void *arg, int fd)
{
    struct admin_listener *g = arg;
    struct admin_connection *l = NULL;
    union sockaddr_any peer = {.sa = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof(peer);
    if (getpeername(fd, &peer.sa, &len) != 0) {
        close(fd);
        return;
    }
    bool rejected = !evict_for(g, &peer);
    if (admin_connection_new(&g->context, fd, &peer, rejected, &l) != ERR_OK)
        return;
    list_push(&g->links, &l->node);
    set_count(g, g->count + 1);
}

/* Listeners share their port between workers (SO_REUSEPORT), so a second control plane would
 * not be refused: a bind without it tells whether the port is taken. */
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

static enum err open_tls(struct admin_listener *g, const struct admin_listener_config *c)
{
    if (c->cert_file == NULL || *c->cert_file == '\0')
        return ERR_OK;
    const struct tls_server_config config = {.cert_file = c->cert_file, .key_file = c->key_file};
    return tls_server_new(&config, &g->context.tls);
}

static void *run(void *arg)
{
    struct admin_listener *g = arg;
    pthread_setname_np(pthread_self(), "admin-listener");
    loop_run(g->loop);
    return NULL;
}

enum err admin_listener_start(const struct admin_listener_config *c, struct admin_listener **ret)
{
    struct admin_listener *g = mem_zalloc(sizeof(*g));
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
    g->context.loop = g->loop;
    g->context.serve = c->serve;
    g->context.arg = c->arg;
    g->context.head_ms = c->head_ms > 0 ? c->head_ms : LIMIT_HEAD_MS;
    g->context.body_gap_ms = c->body_gap_ms > 0 ? c->body_gap_ms : LIMIT_BODY_GAP_MS;
    g->context.response_ms = c->response_ms > 0 ? c->response_ms : LIMIT_ADMIN_RESPONSE_MS;
    g->context.keepalive_ms = LIMIT_KEEPALIVE_MS;
    g->context.on_gone = on_gone;
    g->context.on_idle = on_idle;
    g->context.gone_arg = g;
    if (e == ERR_OK)
        e = listener_open(g->loop, &c->at, on_accept, g, &g->listener);
    if (e == ERR_OK)
        e = pthread_create(&g->thread, NULL, run, g) == 0 ? ERR_OK : ERR_EXHAUSTED;
    g->running = e == ERR_OK;
    if (e != ERR_OK) {
        admin_listener_stop(&g);
        return e;
    }
    *ret = g;
    return ERR_OK;
}

enum err admin_listener_reload(struct admin_listener *g)
{
    return g->context.tls != NULL ? tls_reload(g->context.tls) : ERR_OK;
}

static void quiesce(void *arg)
{
    struct admin_listener *g = arg;
    listener_close(&g->listener);
}

void admin_listener_quiesce(struct admin_listener *g)
{
    if (loop_post(g->loop, quiesce, g) != ERR_OK)
        log_warn(&admin_listener_log, "quiesce_failed", "connections=%zu",
                 admin_listener_connections(g));
}

size_t admin_listener_connections(const struct admin_listener *g)
{
    return g->shown;
}

static void cut_all(struct admin_listener *g)
{
    listener_close(&g->listener);
    while (!list_empty(&g->links)) {
        struct admin_connection *l = CONTAINER_OF(g->links.next, struct admin_connection, node);
        list_remove(&l->node);
        admin_connection_free(l);
    }
    set_count(g, 0);
}

static void stop(void *arg)
{
    struct admin_listener *g = arg;
    cut_all(g);
    loop_stop(g->loop);
}

void admin_listener_stop(struct admin_listener **listener)
{
    struct admin_listener *g = *listener;
    *listener = NULL;
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
    tls_drop(g->context.tls);
    mem_free(g);
}
