/*
 * bus_hub — the control plane's end: admits planes and publishes to pools.
 *
 * Each plane has a REP socket of its own, so a plane that does not read its replies delays no
 * other, and a PUB listener of its own on its pool's socket. The sender of a message is known from
 * the socket the tunnel joined it to, never from what it says.
 */
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <signal.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/wire/bus_hub_private.h"

#define THREADS_MAX 64

/* ---- pools ---- */

static struct pool *find_pool(struct bus_hub *h, struct slice name)
{
    LIST_EACH(&h->pools, it)
    {
        struct pool *p = LIST_ITEM(it, struct pool, link);
        if (slice_eq(slice_str(p->name), name))
            return p;
    }
    return NULL;
}

static int open_pub(struct pool *p)
{
    int rv = nng_pub0_open(&p->pub);
    if (!rv)
        rv = nng_socket_set_int(p->pub, NNG_OPT_SENDBUF, LIMIT_BUS_QUEUE);
    if (!rv)
        rv = nng_socket_set_size(p->pub, NNG_OPT_RECVMAXSZ, BUS_RECV_MAX);
    if (!rv)
        rv = bus_pipes_watch(&p->pipes, p->pub);
    return rv;
}

static void pool_free(struct pool *p)
{
    bus_pipes_shut(&p->pipes, BUS_PIPES_ALL);
    nng_close(p->pub);
    bus_pipes_fini(&p->pipes);
    mem_free(p);
}

static struct pool *get_pool(struct bus_hub *h, const char *name)
{
    struct pool *p = find_pool(h, slice_str(name));
    if (p)
        return p;
    p = mem_zalloc(sizeof(*p));
    if (!p)
        return NULL;
    memcpy(p->name, name, strnlen(name, sizeof(p->name) - 1));
    bus_pipes_init(&p->pipes, NULL, NULL);
    if (open_pub(p)) {
        pool_free(p);
        return NULL;
    }
    list_push(&h->pools, &p->link);
    return p;
}

/* ---- planes ---- */

static struct hub_plane *find_plane(struct bus_hub *h, struct slice id)
{
    LIST_EACH(&h->planes, it)
    {
        struct hub_plane *p = LIST_ITEM(it, struct hub_plane, link);
        if (slice_eq(slice_str(p->id), id))
            return p;
    }
    return NULL;
}

static void plane_free(struct hub_plane *p)
{
    for (size_t i = 0; i < ARRAY_LEN(p->contexts); i++)
        bus_context_close(&p->contexts[i]);
    bus_replies_fini(&p->replies);
    bus_pipes_fini(&p->rep_pipes);
    mem_free(p);
}

/* Its sockets go at once; its memory when no thread works for it. Not locked. */
static void plane_shut(struct hub_plane *p)
{
    if (p->pool) {
        bus_pipes_shut(&p->pool->pipes, nng_listener_id(p->push));
        nng_listener_close(p->push);
    }
    bus_pipes_shut(&p->rep_pipes, BUS_PIPES_ALL);
    nng_close(p->rep);
}

static int open_rep(struct hub_plane *p)
{
    char url[BUS_URL_MAX];
    bus_name("hub-request", slice_str(p->id), p->request_name);
    bus_url(p->request_name, url);
    int rv = nng_rep0_open(&p->rep);
    if (!rv)
        rv = nng_socket_set_size(p->rep, NNG_OPT_RECVMAXSZ, BUS_RECV_MAX);
    if (!rv)
        rv = bus_pipes_watch(&p->rep_pipes, p->rep);
    if (!rv)
        rv = nng_listen(p->rep, url, NULL, 0);
    return rv;
}

static struct hub_plane *plane_new(struct bus_hub *h, struct slice id)
{
    struct hub_plane *p = id.len < sizeof(p->id) ? mem_zalloc(sizeof(*p)) : NULL;
    if (!p)
        return NULL;
    p->hub = h;
    memcpy(p->id, id.ptr, id.len);
    bus_replies_init(&p->replies);
    bus_pipes_init(&p->rep_pipes, NULL, NULL);
    enum err e = bus_err(open_rep(p));
    for (size_t i = 0; !e && i < ARRAY_LEN(p->contexts); i++)
        e = bus_context_open(&p->contexts[i], p);
    if (e) {
        nng_close(p->rep);
        plane_free(p);
        return NULL;
    }
    list_push(&h->planes, &p->link);
    for (size_t i = 0; i < ARRAY_LEN(p->contexts); i++)
        bus_context_listen(&p->contexts[i]);
    return p;
}

static bool plane_hear(struct bus_hub *h, struct hub_plane *p, const char *pool_name)
{
    struct pool *pool = get_pool(h, pool_name);
    char url[BUS_URL_MAX];
    if (!pool)
        return false;
    bus_name("hub-push", slice_str(p->id), p->push_name);
    bus_url(p->push_name, url);
    if (nng_listen(pool->pub, url, &p->push, 0))
        return false;
    p->pool = pool;
    return true;
}

/* The plane cannot be found any more; its requests that wait for a thread are dropped. Locked. */
static void plane_retire(struct hub_plane *p)
{
    p->closed = true;
    for (size_t i = 0; i < ARRAY_LEN(p->contexts); i++)
        list_remove(&p->contexts[i].job);
    list_remove(&p->link);
}

/* Closing waits for the tunnel, whose thread calls this: another thread does it. Locked. */
static void plane_leave(struct bus_hub *h, struct hub_plane *p)
{
    plane_retire(p);
    list_push(&h->leaving, &p->link);
    pthread_cond_signal(&h->work);
}

static bool admit_locked(struct bus_hub *h, struct slice id, const char *pool, bool push,
                         char local[static TUNNEL_NAME_MAX])
{
    struct hub_plane *p = find_plane(h, id);
    if (p && p->pool && strcmp(p->pool->name, pool) != 0) {
        plane_leave(h, p); /* it was moved: what it heard of the old pool ends first */
        p = NULL;
    }
    if (!p)
        p = plane_new(h, id);
    if (!p || (!p->pool && !plane_hear(h, p, pool)))
        return false;
    memcpy(local, push ? p->push_name : p->request_name, TUNNEL_NAME_MAX);
    return true;
}

static bool admit(struct bus_hub *h, struct slice id, bool push, char local[static TUNNEL_NAME_MAX])
{
    char pool[BUS_POOL_MAX] = "";
    if (!h->config.admit(h->config.arg, id, pool))
        return false;
    pthread_mutex_lock(&h->lock);
    bool ok = admit_locked(h, id, pool, push, local);
    pthread_mutex_unlock(&h->lock);
    if (!ok)
        log_error(NULL, "bus_admit_failed", "plane=%.*s", SLICE_ARG(id));
    return ok;
}

static bool admit_push(void *arg, struct slice id, char local[static TUNNEL_NAME_MAX])
{
    return admit(arg, id, true, local);
}

static bool admit_request(void *arg, struct slice id, char local[static TUNNEL_NAME_MAX])
{
    return admit(arg, id, false, local);
}

static bool is_removed(void *arg, struct slice id)
{
    struct bus_hub *h = arg;
    return h->config.removed && h->config.removed(h->config.arg, id);
}

void hub_close_plane(struct bus_hub *h)
{
    struct list dead;
    list_init(&dead);
    pthread_mutex_lock(&h->lock);
    LIST_EACH(&h->closing, it)
    {
        if (LIST_ITEM(it, struct hub_plane, link)->running > 0)
            continue;
        list_remove(it);
        list_push(&dead, it);
    }
    pthread_mutex_unlock(&h->lock);
    struct list *link;
    while ((link = list_take_first(&dead)))
        plane_free(LIST_ITEM(link, struct hub_plane, link));
}

/* Not locked. Hangs up, waits until NNG has noticed, and closes. */
void hub_shut(struct bus_hub *h, struct hub_plane *p)
{
    tunnel_cut(h->push_tunnel, slice_str(p->id));
    tunnel_cut(h->request_tunnel, slice_str(p->id));
    plane_shut(p);
    pthread_mutex_lock(&h->lock);
    list_push(&h->closing, &p->link);
    pthread_mutex_unlock(&h->lock);
    hub_close_plane(h);
}

void bus_hub_cut(struct bus_hub *h, struct slice plane_id)
{
    pthread_mutex_lock(&h->lock);
    struct hub_plane *p = find_plane(h, plane_id);
    if (p)
        plane_retire(p);
    pthread_mutex_unlock(&h->lock);
    if (p)
        hub_shut(h, p);
}

bool bus_hub_is_connected(struct bus_hub *h, struct slice plane_id)
{
    unsigned came = 0;
    pthread_mutex_lock(&h->lock);
    struct hub_plane *p = find_plane(h, plane_id);
    bool up = p && bus_pipes_any(&p->rep_pipes, &came);
    pthread_mutex_unlock(&h->lock);
    return up;
}

/* ---- publishing ---- */

enum err bus_hub_publish(struct bus_hub *h, struct slice pool, struct slice message)
{
    nng_msg *msg = NULL;
    if (message.len > LIMIT_BUS_MESSAGE)
        return ERR_TOO_BIG;
    pthread_mutex_lock(&h->lock);
    struct pool *p = find_pool(h, pool);
    pthread_mutex_unlock(&h->lock);
    if (!p) /* no plane of it was ever here */
        return ERR_OK;
    if (nng_msg_alloc(&msg, message.len))
        return ERR_NOMEM;
    if (message.len)
        memcpy(nng_msg_body(msg), message.ptr, message.len);
    int rv = nng_sendmsg(p->pub, msg, NNG_FLAG_NONBLOCK);
    if (rv)
        nng_msg_free(msg);
    return bus_err(rv);
}

uint16_t bus_hub_push_port(const struct bus_hub *h)
{
    return tunnel_port(h->push_tunnel);
}

uint16_t bus_hub_request_port(const struct bus_hub *h)
{
    return tunnel_port(h->request_tunnel);
}

/* ---- open and close ---- */

static enum err start_threads(struct bus_hub *h)
{
    size_t count = h->config.threads < 1 ? 1 : h->config.threads;
    sigset_t all, before;
    if (count > THREADS_MAX)
        count = THREADS_MAX;
    h->threads = mem_array(count, sizeof(*h->threads));
    if (!h->threads)
        return ERR_NOMEM;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (h->started < count &&
           pthread_create(&h->threads[h->started], NULL, bus_context_run, h) == 0)
        h->started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return h->started == count ? ERR_OK : ERR_NOMEM;
}

static enum err start_tunnels(struct bus_hub *h)
{
    struct tunnel_serve_config c = {.at = h->config.push_at,
                                    .tls = h->config.tls,
                                    .admit = admit_push,
                                    .removed = is_removed,
                                    .arg = h};
    enum err e = tunnel_serve(&c, &h->push_tunnel);
    if (e)
        return e;
    c.at = h->config.request_at;
    c.admit = admit_request;
    return tunnel_serve(&c, &h->request_tunnel);
}

enum err bus_hub_open(const struct bus_hub_config *c, struct bus_hub **ret)
{
    struct bus_hub *h = mem_zalloc(sizeof(*h));
    if (!h)
        return ERR_NOMEM;
    h->config = *c;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->work, NULL);
    list_init(&h->planes);
    list_init(&h->closing);
    list_init(&h->leaving);
    list_init(&h->pools);
    list_init(&h->jobs);
    enum err e = start_threads(h);
    if (!e)
        e = start_tunnels(h);
    if (e)
        bus_hub_close(&h);
    else
        *ret = h;
    return e;
}

static void stop_threads(struct bus_hub *h)
{
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_broadcast(&h->work);
    pthread_mutex_unlock(&h->lock);
    while (h->started > 0)
        pthread_join(h->threads[--h->started], NULL);
    mem_free(h->threads);
}

/* Only this thread and those of NNG are left. */
static void close_planes(struct bus_hub *h)
{
    struct list *link;
    while (!list_empty(&h->planes)) {
        pthread_mutex_lock(&h->lock);
        struct hub_plane *p = LIST_ITEM(h->planes.next, struct hub_plane, link);
        plane_leave(h, p);
        pthread_mutex_unlock(&h->lock);
    }
    while ((link = list_take_first(&h->leaving))) {
        plane_shut(LIST_ITEM(link, struct hub_plane, link));
        list_push(&h->closing, link);
    }
    hub_close_plane(h);
    while ((link = list_take_first(&h->pools)))
        pool_free(LIST_ITEM(link, struct pool, link));
}

/* New connections end first, then the work, then what the work would have been sent through. */
void bus_hub_close(struct bus_hub **ref)
{
    struct bus_hub *h = *ref;
    if (!h)
        return;
    *ref = NULL;
    tunnel_stop(&h->push_tunnel);
    tunnel_stop(&h->request_tunnel);
    stop_threads(h);
    close_planes(h);
    pthread_cond_destroy(&h->work);
    pthread_mutex_destroy(&h->lock);
    mem_free(h);
}
