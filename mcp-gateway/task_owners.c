/* task_owners — a map by server and task, and a list by age. */
#include "mcp-gateway/task_owners.h"

#include <pthread.h>

#include "common/base/limits.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/base/mem.h"

struct entry {
    struct list link;
    size_t key_len, principal_len;
    char text[]; /* server, NUL, task; principal */
};

static struct {
    pthread_mutex_t lock;
    struct map *by_key;
    struct list oldest;
} owners = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct slice key_of(const struct entry *e)
{
    return slice_of(e->text, e->key_len);
}

static struct slice principal_of(const struct entry *e)
{
    return slice_of(e->text + e->key_len, e->principal_len);
}

static struct entry *create(struct slice server_id, struct slice task_id, struct slice principal)
{
    size_t key_len = server_id.len + 1 + task_id.len;
    struct entry *e = mem_zalloc(sizeof(*e) + key_len + principal.len);
    if (!e)
        return NULL;
    e->key_len = key_len;
    e->principal_len = principal.len;
    memcpy(e->text, server_id.ptr, server_id.len);
    memcpy(e->text + server_id.len + 1, task_id.ptr, task_id.len);
    memcpy(e->text + key_len, principal.ptr, principal.len);
    return e;
}

static void forget(struct entry *e)
{
    map_remove(owners.by_key, key_of(e));
    list_remove(&e->link);
    mem_free(e);
}

static bool begin(void)
{
    if (owners.by_key)
        return true;
    list_init(&owners.oldest);
    owners.by_key = map_new();
    return owners.by_key != NULL;
}

/* The first to be told an id keeps it. */
static void note(struct entry *e)
{
    if (!begin() || map_find(owners.by_key, key_of(e)) ||
        map_put(owners.by_key, key_of(e), e, NULL)) {
        mem_free(e);
        return;
    }
    list_push(&owners.oldest, &e->link);
    if (map_size(owners.by_key) > LIMIT_MCP_TASKS)
        forget(LIST_ITEM(owners.oldest.next, struct entry, link));
}

void task_owners_note(struct slice server_id, struct slice task_id, struct slice principal)
{
    struct entry *e = create(server_id, task_id, principal);
    if (!e)
        return;
    pthread_mutex_lock(&owners.lock);
    note(e);
    pthread_mutex_unlock(&owners.lock);
}

enum task_owner task_owners_find(struct slice server_id, struct slice task_id,
                                 struct slice principal)
{
    enum task_owner found = TASK_UNKNOWN;
    struct entry *key = create(server_id, task_id, principal);
    if (!key)
        return TASK_UNKNOWN;
    pthread_mutex_lock(&owners.lock);
    const struct entry *e = owners.by_key ? map_find(owners.by_key, key_of(key)) : NULL;
    if (e)
        found = slice_eq(principal_of(e), principal) ? TASK_OWN : TASK_FOREIGN;
    pthread_mutex_unlock(&owners.lock);
    mem_free(key);
    return found;
}

void task_owners_clear(void)
{
    pthread_mutex_lock(&owners.lock);
    while (owners.by_key && !list_empty(&owners.oldest))
        forget(LIST_ITEM(owners.oldest.next, struct entry, link));
    map_free(owners.by_key);
    owners.by_key = NULL;
    pthread_mutex_unlock(&owners.lock);
}
