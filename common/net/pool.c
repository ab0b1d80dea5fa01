/* The pool: endpoints in a seeded map, each with its idle connections; one timer for all of them.
 */
#include "common/net/pool.h"

#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/mem.h"

#define HOST_MAX 255 /* RFC 1035: no name is longer */
#define KEY_HEAD (sizeof(struct tls_context *) + sizeof(uint64_t) + sizeof(uint16_t))
#define KEY_MAX (KEY_HEAD + HOST_MAX)
#define SWEEP_MS 1000 /* an idle connection may live this much longer than it should */

struct pool_endpoint {
    struct pool *pool;
    struct list idle;
    size_t idle_count;
    size_t conn_count;       /* idle and taken; without any it goes */
    struct tls_context *tls; /* held: its address is part of the key */
    size_t key_len;
    char key[KEY_MAX]; /* TLS context, proxy, port, host in small letters */
};

struct pool {
    struct loop *loop;
    struct map *endpoints;
    struct pool_endpoint *last; /* most calls go where the one before went */
    struct list ages;
    size_t idle_count;
    struct timer sweep;
};

static size_t make_key(const struct url *url, const struct tls_context *tls, uint64_t proxy,
                       char out[static KEY_MAX])
{
    size_t at = KEY_HEAD;
    memcpy(out, &tls, sizeof tls);
    memcpy(out + sizeof tls, &proxy, sizeof proxy);
    memcpy(out + sizeof tls + sizeof proxy, &url->port, sizeof url->port);
    for (size_t i = 0; i < url->host.len; i++) {
        char c = url->host.ptr[i];
        out[at++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return at;
}

static struct pool_endpoint *find_endpoint(struct pool *p, struct slice key)
{
    if (!p->last || !slice_eq(key, slice_of(p->last->key, p->last->key_len)))
        p->last = map_find(p->endpoints, key);
    return p->last;
}

static void free_endpoint(struct pool_endpoint *e)
{
    struct pool *p = e->pool;
    map_remove(p->endpoints, slice_of(e->key, e->key_len));
    if (p->last == e)
        p->last = NULL;
    tls_drop(e->tls);
    mem_free(e);
}

static enum err new_endpoint(struct pool *p, struct slice key, struct tls_context *tls,
                             struct pool_endpoint **ret)
{
    struct pool_endpoint *e = mem_zalloc(sizeof *e);
    if (!e)
        return ERR_NOMEM;
    e->pool = p;
    list_init(&e->idle);
    memcpy(e->key, key.ptr, key.len);
    e->key_len = key.len;
    if (map_put(p->endpoints, slice_of(e->key, e->key_len), e, NULL) != ERR_OK) {
        mem_free(e);
        return ERR_NOMEM;
    }
    e->tls = tls ? tls_hold(tls) : NULL;
    *ret = e;
    return ERR_OK;
}

static void leave_idle(struct pool_conn *c)
{
    if (list_empty(&c->age_link))
        return;
    list_remove(&c->idle_link);
    list_remove(&c->age_link);
    c->endpoint->idle_count--;
    c->endpoint->pool->idle_count--;
}

void pool_drop(struct pool_conn **at)
{
    struct pool_conn *c = *at;
    *at = NULL;
    if (!c)
        return;
    leave_idle(c);
    if (c->stream)
        stream_close(&c->stream);
    if (--c->endpoint->conn_count == 0)
        free_endpoint(c->endpoint);
    mem_free(c);
}

/* ---- events of an idle connection: each one closes it ---- */

static void on_idle_open(void *arg)
{
    (void)arg; /* only open connections come here */
}

static void on_idle_data(void *arg, struct slice data)
{
    struct pool_conn *c = arg;
    (void)data; /* a response without a request: the framing is not what it was taken for */
    pool_drop(&c);
}

static void on_idle_eof(void *arg)
{
    struct pool_conn *c = arg;
    pool_drop(&c);
}

static void on_idle_close(void *arg, enum err why)
{
    struct pool_conn *c = arg;
    (void)why;
    pool_drop(&c);
}

static const struct stream_events idle_events = {.on_open = on_idle_open,
                                                 .on_data = on_idle_data,
                                                 .on_eof = on_idle_eof,
                                                 .on_close = on_idle_close};

static void on_sweep(struct timer *t)
{
    struct pool *p = CONTAINER_OF(t, struct pool, sweep);
    uint64_t now = loop_now_us(p->loop);
    LIST_EACH(&p->ages, it)
    {
        struct pool_conn *c = LIST_ITEM(it, struct pool_conn, age_link);
        if (now - c->idle_since_us < LIMIT_UPSTREAM_IDLE_MS * 1000ull)
            break;
        pool_drop(&c);
    }
    if (!list_empty(&p->ages))
        timer_start(&p->sweep, SWEEP_MS);
}

enum err pool_new(struct loop *l, struct pool **ret)
{
    struct pool *p = mem_zalloc(sizeof *p);
    if (!p)
        return ERR_NOMEM;
    p->endpoints = map_new();
    if (!p->endpoints) {
        mem_free(p);
        return ERR_NOMEM;
    }
    p->loop = l;
    list_init(&p->ages);
    timer_init(&p->sweep, l, on_sweep);
    *ret = p;
    return ERR_OK;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    LIST_EACH(&p->ages, it)
    {
        struct pool_conn *c = LIST_ITEM(it, struct pool_conn, age_link);
        pool_drop(&c);
    }
    MUST(map_size(p->endpoints) == 0);
    timer_cancel(&p->sweep);
    map_free(p->endpoints);
    mem_free(p);
}

size_t pool_idle(const struct pool *p)
{
    return p->idle_count;
}

static bool is_allowed(const struct pool_conn *c, const struct egress_rule *rule)
{
    return c->has_peer && egress_check(rule, &c->peer) == ERR_OK;
}

struct pool_conn *pool_take(struct pool *p, const struct url *url, const struct tls_context *tls,
                            uint64_t proxy, const struct egress_rule *rule)
{
    char key[KEY_MAX];
    if (url->host.len > HOST_MAX)
        return NULL;
    struct pool_endpoint *e = find_endpoint(p, slice_of(key, make_key(url, tls, proxy, key)));
    if (!e)
        return NULL;
    LIST_EACH(&e->idle, it)
    {
        struct pool_conn *c = LIST_ITEM(it, struct pool_conn, idle_link);
        if (!stream_is_open(c->stream) || !is_allowed(c, rule))
            continue;
        leave_idle(c);
        return c;
    }
    return NULL;
}

enum err pool_conn_new(struct pool *p, const struct url *url, struct tls_context *tls,
                       uint64_t proxy, struct pool_conn **ret)
{
    char key[KEY_MAX];
    if (url->host.len == 0 || url->host.len > HOST_MAX)
        return ERR_INVALID;
    struct slice k = slice_of(key, make_key(url, tls, proxy, key));
    struct pool_endpoint *e = find_endpoint(p, k);
    struct pool_conn *c = mem_zalloc(sizeof *c);
    if (!c || (!e && new_endpoint(p, k, tls, &e) != ERR_OK)) {
        mem_free(c);
        return ERR_NOMEM;
    }
    c->endpoint = e;
    e->conn_count++;
    list_init(&c->idle_link);
    list_init(&c->age_link);
    *ret = c;
    return ERR_OK;
}

struct slice pool_conn_host(const struct pool_conn *c)
{
    return slice_from(slice_of(c->endpoint->key, c->endpoint->key_len), KEY_HEAD);
}

void pool_give(struct pool_conn **at)
{
    struct pool_conn *c = *at;
    struct pool_endpoint *e = c->endpoint;
    struct pool *p = e->pool;
    *at = NULL;
    if (!c->has_peer)
        c->has_peer = address_parse(stream_peer(c->stream), &c->peer) == ERR_OK;
    stream_adopt(c->stream, &idle_events, c);
    c->idle_since_us = loop_now_us(p->loop);
    list_push_first(&e->idle, &c->idle_link);
    list_push(&p->ages, &c->age_link);
    e->idle_count++;
    p->idle_count++;
    if (e->idle_count > LIMIT_POOL_IDLE) {
        struct pool_conn *oldest = LIST_ITEM(e->idle.prev, struct pool_conn, idle_link);
        pool_drop(&oldest);
    }
    if (!timer_is_running(&p->sweep))
        timer_start(&p->sweep, SWEEP_MS);
}
