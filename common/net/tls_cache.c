/* tls_cache — sessions to resume, a few per host, each used once (RFC 8446, appendix C.4). */
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/tls_private.h"

/* Servers hand out one or two tickets per connection; a pool opens a few connections at once. */
#define SESSIONS_PER_HOST 4

struct host {
    struct list link;
    SSL_SESSION *sessions[SESSIONS_PER_HOST];
    size_t count;
    struct slice name; /* its bytes follow */
};

void tls_cache_init(struct tls_cache *c)
{
    list_init(&c->hosts);
    c->count = 0;
}

static void forget(struct tls_cache *c, struct host *h)
{
    list_remove(&h->link);
    c->count--;
    for (size_t i = 0; i < h->count; i++)
        SSL_SESSION_free(h->sessions[i]);
    mem_free(h);
}

void tls_cache_clear(struct tls_cache *c)
{
    LIST_EACH(&c->hosts, it)
    forget(c, LIST_ITEM(it, struct host, link));
}

static struct host *find(struct tls_cache *c, struct slice name)
{
    LIST_EACH(&c->hosts, it)
    {
        struct host *h = LIST_ITEM(it, struct host, link);
        if (slice_eq(h->name, name))
            return h;
    }
    return NULL;
}

static struct host *add(struct tls_cache *c, struct slice name)
{
    struct host *h = mem_zalloc(sizeof(*h) + name.len);
    if (!h)
        return NULL;
    memcpy(h + 1, name.ptr, name.len);
    h->name = slice_of(h + 1, name.len);
    list_push_first(&c->hosts, &h->link);
    if (++c->count > LIMIT_TLS_HOSTS)
        forget(c, LIST_ITEM(c->hosts.prev, struct host, link));
    return h;
}

SSL_SESSION *tls_cache_take(struct tls_cache *c, struct slice host)
{
    struct host *h = find(c, host);
    return h && h->count > 0 ? h->sessions[--h->count] : NULL;
}

void tls_cache_put(struct tls_cache *c, struct slice host, SSL_SESSION *s)
{
    struct host *h = find(c, host);
    if (!h)
        h = add(c, host);
    if (!h) { /* out of memory: the next connection shakes hands in full */
        SSL_SESSION_free(s);
        return;
    }
    list_remove(&h->link);
    list_push_first(&c->hosts, &h->link);
    if (h->count == SESSIONS_PER_HOST) {
        SSL_SESSION_free(h->sessions[0]);
        memmove(h->sessions, h->sessions + 1, sizeof(h->sessions) - sizeof(h->sessions[0]));
        h->count--;
    }
    h->sessions[h->count++] = s;
}
