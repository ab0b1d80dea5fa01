/* resolver — c-ares on the loop's polls; one query per name at a time, callbacks at the end of a
 * turn. */
#include "common/net/resolver.h"

#include <ares.h>
#include <pthread.h>
#include <uv.h>

#include "common/base/mem.h"
#include "common/net/loop_private.h"
#include "common/net/resolver_private.h"

/* A name server that sent nothing for two seconds will not reply: one repetition, then the next
 * server. */
#define QUERY_MS 2000
#define QUERY_TRIES 2
#define US_PER_S 1000000u
#define TTL_MIN_S 1
#define TTL_MAX_S 3600
/* An expired answer that was used again, since a query failed, is not refreshed for this long. */
#define STALE_S 5

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct resolver_cache cache;
    struct timer tick;
    struct list watches;
    struct list ready; /* queries with a result; the task calls them back */
    struct loop_task task;
    bool freeing;
};

struct resolver_query {
    struct list link; /* in a name's waits, or in ready */
    uint16_t port;
    enum err result;
    struct resolver_answer answer;
    void (*done)(void *arg, enum err e, const struct resolver_answer *answer);
    void *arg;
};

/* One of c-ares' sockets. */
struct watch {
    struct list link;
    uv_poll_t poll;
    struct resolver *resolver;
    ares_socket_t fd;
};

static pthread_once_t ares_once = PTHREAD_ONCE_INIT;
static int ares_ready;

static void init_ares(void)
{
    ares_ready = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
}

/* sockets and time */

static void set_tick(struct resolver *r)
{
    struct timeval storage, *t = ares_timeout(r->channel, NULL, &storage);
    if (t)
        timer_start(&r->tick, (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000 + 1);
    else
        timer_cancel(&r->tick);
}

static void on_tick(struct timer *t)
{
    struct resolver *r = CONTAINER_OF(t, struct resolver, tick);
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_tick(r);
}

/* c-ares may close the socket, and so this watch, inside. */
static void on_poll(uv_poll_t *h, int status, int events)
{
    struct watch *w = h->data;
    struct resolver *r = w->resolver;
    ares_socket_t fd = w->fd;
    if (status < 0)
        events = UV_READABLE | UV_WRITABLE; /* c-ares finds the error itself */
    ares_process_fd(r->channel, events & UV_READABLE ? fd : ARES_SOCKET_BAD,
                    events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
    set_tick(r);
}

static struct watch *find_watch(struct resolver *r, ares_socket_t fd)
{
    LIST_EACH(&r->watches, it)
    {
        struct watch *w = LIST_ITEM(it, struct watch, link);
        if (w->fd == fd)
            return w;
    }
    return NULL;
}

/* NULL: the query on this socket will run into its time and fail. */
static struct watch *add_watch(struct resolver *r, ares_socket_t fd)
{
    struct watch *w = mem_zalloc(sizeof(*w));
    if (!w)
        return NULL;
    if (uv_poll_init(&r->loop->uv, &w->poll, fd)) {
        mem_free(w);
        return NULL;
    }
    w->poll.data = w;
    w->resolver = r;
    w->fd = fd;
    list_push(&r->watches, &w->link);
    return w;
}

static void on_watch_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    struct watch *w = find_watch(r, fd);
    if (readable || writable) {
        int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
        if (!w)
            w = add_watch(r, fd);
        if (w)
            uv_poll_start(&w->poll, events, on_poll);
    } else if (w) {
        list_remove(&w->link);
        uv_close((uv_handle_t *)&w->poll, on_watch_closed);
    }
}

/* telling */

static void set_port(struct resolver_answer *a, uint16_t port)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->addresses[i].sa.sa_family == AF_INET6)
            a->addresses[i].in6.sin6_port = htons(port);
        else
            a->addresses[i].in.sin_port = htons(port);
    }
}

static void tell(struct resolver_query *q)
{
    set_port(&q->answer, q->port);
    q->done(q->arg, q->result, &q->answer);
    mem_free(q);
}

static void tell_ready(struct resolver *r)
{
    struct list *link;
    while ((link = list_take_first(&r->ready)))
        tell(LIST_ITEM(link, struct resolver_query, link));
}

static void on_task(struct loop_task *t)
{
    tell_ready(CONTAINER_OF(t, struct resolver, task));
}

static void settle(struct resolver *r, struct resolver_query *q, enum err result,
                   const struct resolver_answer *answer)
{
    q->result = result;
    if (!result)
        q->answer = *answer;
    list_remove(&q->link);
    list_push(&r->ready, &q->link);
    loop_soon(r->loop, &r->task);
}

/* queries under way */

static int ttl_of(const struct ares_addrinfo *info)
{
    int ttl = TTL_MAX_S;
    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next)
        ttl = n->ai_ttl < ttl ? n->ai_ttl : ttl;
    for (const struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
        ttl = c->ttl < ttl ? c->ttl : ttl;
    return ttl < TTL_MIN_S ? TTL_MIN_S : ttl;
}

static void read_answer(const struct ares_addrinfo *info, struct resolver_answer *ret)
{
    *ret = (struct resolver_answer){0};
    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
        bool known = n->ai_family == AF_INET || n->ai_family == AF_INET6;
        if (!known || n->ai_addrlen > sizeof(ret->addresses[0]))
            continue;
        if (ret->count == RESOLVER_ADDRESSES)
            return;
        memcpy(&ret->addresses[ret->count++], n->ai_addr, n->ai_addrlen);
    }
}

static void keep_fresh(struct resolver_name *n, unsigned seconds)
{
    n->fresh_until_us = loop_now_us(n->resolver->loop) + (uint64_t)seconds * US_PER_S;
}

static void on_addrinfo(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct resolver_name *n = arg;
    struct resolver *r = n->resolver;
    (void)timeouts;
    struct resolver_answer fresh = {0};
    enum err e = ERR_OK;
    n->in_flight = false;
    if (status == ARES_SUCCESS && info)
        read_answer(info, &fresh);
    if (fresh.count > 0) {
        n->answer = fresh;
        keep_fresh(n, (unsigned)ttl_of(info));
    } else if (r->freeing) {
        e = ERR_CANCELLED;
    } else if (n->answer.count > 0) { /* stale if error */
        keep_fresh(n, STALE_S);
    } else {
        e = status == ARES_ENOMEM ? ERR_NOMEM : ERR_DNS;
    }
    if (info)
        ares_freeaddrinfo(info);
    LIST_EACH(&n->waits, it)
    settle(r, LIST_ITEM(it, struct resolver_query, link), e, &n->answer);
}

static void fly(struct resolver *r, struct resolver_name *n)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    n->in_flight = true;
    n->resolver = r;
    ares_getaddrinfo(r->channel, n->name.ptr, NULL, &hints, on_addrinfo, n);
    set_tick(r);
}

/* asking */

/* RFC 6761, 6.3: localhost is this machine, whatever a name server says. */
static bool is_local(struct slice host)
{
    struct slice tail = host.len >= 9 ? slice_from(host, host.len - 9) : SLICE_NONE;
    return slice_ieq(tail, SLICE("localhost")) && (host.len == 9 || host.ptr[host.len - 10] == '.');
}

static bool is_known(struct slice host, struct resolver_answer *ret)
{
    *ret = (struct resolver_answer){0};
    if (address_literal(host, 0, &ret->addresses[0])) {
        ret->count = 1;
    } else if (is_local(host)) {
        ret->count = 2;
        return address_literal(SLICE("127.0.0.1"), 0, &ret->addresses[0]) &&
               address_literal(SLICE("::1"), 0, &ret->addresses[1]);
    }
    return ret->count > 0;
}

static enum err find_answer(struct resolver *r, struct resolver_query *q, struct slice host)
{
    struct resolver_name *n;
    struct resolver_answer known;
    if (is_known(host, &known)) {
        settle(r, q, ERR_OK, &known);
        return ERR_OK;
    }
    enum err e = resolver_cache_get(&r->cache, host, &n);
    if (e)
        return e;
    if (n->answer.count > 0 && loop_now_us(r->loop) < n->fresh_until_us) {
        settle(r, q, ERR_OK, &n->answer);
        return ERR_OK;
    }
    list_push(&n->waits, &q->link);
    if (!n->in_flight)
        fly(r, n);
    return ERR_OK;
}

enum err resolver_start(struct resolver *r, struct slice host, uint16_t port,
                        void (*done)(void *arg, enum err e, const struct resolver_answer *answer),
                        void *arg, struct resolver_query **ret)
{
    struct resolver_query *q = mem_zalloc(sizeof(*q));
    if (!q)
        return ERR_NOMEM;
    list_init(&q->link);
    q->port = port;
    q->done = done;
    q->arg = arg;
    enum err e = find_answer(r, q, host);
    if (e) {
        mem_free(q);
        return e;
    }
    *ret = q;
    return ERR_OK;
}

void resolver_cancel(struct resolver_query **p)
{
    struct resolver_query *q = *p;
    *p = NULL;
    if (!q)
        return;
    list_remove(&q->link);
    mem_free(q);
}

/* life */

enum err resolver_use_servers(struct resolver *r, const char *servers)
{
    return ares_set_servers_ports_csv(r->channel, servers) == ARES_SUCCESS ? ERR_OK : ERR_INVALID;
}

enum err resolver_new(struct loop *l, struct resolver **ret)
{
    pthread_once(&ares_once, init_ares);
    struct resolver *r = ares_ready ? mem_zalloc(sizeof(*r)) : NULL;
    if (!r)
        return ERR_NOMEM;
    struct ares_options options = {.timeout = QUERY_MS,
                                   .tries = QUERY_TRIES,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = r};
    r->loop = l;
    list_init(&r->watches);
    list_init(&r->ready);
    loop_task_init(&r->task, on_task);
    timer_init(&r->tick, l, on_tick);
    enum err e = resolver_cache_init(&r->cache);
    if (!e && ares_init_options(&r->channel, &options,
                                ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB)) {
        resolver_cache_fini(&r->cache);
        e = ERR_DNS;
    }
    if (e) {
        mem_free(r);
        return e;
    }
    *ret = r;
    return ERR_OK;
}

static void free_memory(void *arg)
{
    mem_free(arg);
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    r->freeing = true;
    ares_destroy(r->channel); /* each flight ends here */
    LIST_EACH(&r->ready, it)
    LIST_ITEM(it, struct resolver_query, link)->result = ERR_CANCELLED;
    tell_ready(r);
    loop_task_cancel(&r->task);
    timer_cancel(&r->tick);
    resolver_cache_fini(&r->cache);
    loop_retire(r->loop, free_memory, r); /* it may have been freed from a query's done */
}
