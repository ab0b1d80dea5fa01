/* resolver_cache — a bounded table of names, the least recently asked leaves first. */
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/resolver_private.h"

#define HOST_MAX 253u /* RFC 1035, 2.3.4 */

enum err resolver_cache_init(struct resolver_cache *c)
{
    list_init(&c->names);
    c->map = map_new();
    return c->map ? ERR_OK : ERR_NOMEM;
}

static void forget(struct resolver_cache *c, struct resolver_name *n)
{
    map_remove(c->map, n->name);
    list_remove(&n->link);
    mem_free(n);
}

void resolver_cache_fini(struct resolver_cache *c)
{
    LIST_EACH(&c->names, it)
    forget(c, LIST_ITEM(it, struct resolver_name, link));
    map_free(c->map);
}

static void make_room(struct resolver_cache *c)
{
    LIST_EACH(&c->names, it)
    {
        struct resolver_name *n = LIST_ITEM(it, struct resolver_name, link);
        if (map_size(c->map) < LIMIT_RESOLVER_NAMES)
            return;
        if (!n->in_flight)
            forget(c, n);
    }
}

static void lower(char *to, struct slice from)
{
    for (size_t i = 0; i < from.len; i++) {
        char c = from.ptr[i];
        to[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
    }
    to[from.len] = '\0';
}

static enum err add(struct resolver_cache *c, struct slice host, struct resolver_name **ret)
{
    make_room(c);
    if (map_size(c->map) >= LIMIT_RESOLVER_NAMES)
        return ERR_EXHAUSTED;
    struct resolver_name *n = mem_zalloc(sizeof(*n) + host.len + 1);
    if (!n)
        return ERR_NOMEM;
    list_init(&n->waits);
    memcpy(n + 1, host.ptr, host.len);
    n->name = slice_of(n + 1, host.len);
    enum err e = map_put(c->map, n->name, n, NULL);
    if (e) {
        mem_free(n);
        return e;
    }
    list_push(&c->names, &n->link);
    *ret = n;
    return ERR_OK;
}

enum err resolver_cache_get(struct resolver_cache *c, struct slice host, struct resolver_name **ret)
{
    char text[HOST_MAX + 1];
    if (host.len == 0 || host.len > HOST_MAX || slice_find(host, '\0') >= 0)
        return ERR_INVALID;
    lower(text, host);
    struct slice name = slice_of(text, host.len);
    struct resolver_name *n = map_find(c->map, name);
    if (!n)
        return add(c, name, ret);
    list_remove(&n->link);
    list_push(&c->names, &n->link);
    *ret = n;
    return ERR_OK;
}
