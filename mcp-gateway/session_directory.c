/* session_directory — shards of a map by session id, a list by last use, and a list of the ended;
 * beside them the principals with the number of their sessions. */
#include "mcp-gateway/session_directory.h"

#include "common/base/map.h"
#include "common/base/mem.h"
#include "mcp-gateway/task_owners.h"

#define SHARDS 64

/* A principal with sessions, and how many. */
struct directory_owner {
    size_t count, streams;
    char id[MCP_POLICY_ID + 1];
};

struct shard {
    pthread_mutex_t lock;
    struct map *by_sid;
    struct list used;  /* longest unused first */
    struct list ended; /* tombstones, oldest first */
};

static struct {
    pthread_mutex_t lock; /* of workers and owners */
    unsigned workers;
    struct map *owners;
    struct shard shards[SHARDS];
    atomic_size_t listed, ended; /* sessions; tombstones */
    atomic_uint next;            /* shard to look for expired sessions in */
} directory = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct slice key_of(const struct client_session *s)
{
    return slice_of((const char *)s->sid, sizeof(s->sid));
}

/* Ids are random: any byte spreads them. */
static struct shard *shard_of(const uint8_t *sid)
{
    return &directory.shards[sid[0] % SHARDS];
}

static void end(void)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *d = &directory.shards[i];
        if (!d->by_sid)
            continue;
        map_free(d->by_sid);
        d->by_sid = NULL;
        pthread_mutex_destroy(&d->lock);
    }
    map_free(directory.owners);
    directory.owners = NULL;
}

static enum err begin(void)
{
    directory.owners = map_new();
    for (size_t i = 0; i < SHARDS && directory.owners; i++) {
        struct shard *d = &directory.shards[i];
        d->by_sid = map_new();
        if (!d->by_sid)
            break;
        pthread_mutex_init(&d->lock, NULL);
        list_init(&d->used);
        list_init(&d->ended);
        if (i == SHARDS - 1)
            return ERR_OK;
    }
    end();
    return ERR_NOMEM;
}

enum err session_directory_join(void)
{
    pthread_mutex_lock(&directory.lock);
    enum err e = directory.workers ? ERR_OK : begin();
    if (!e)
        directory.workers++;
    pthread_mutex_unlock(&directory.lock);
    return e;
}

/* ---- the principals they count for ---- */

static struct directory_owner *owner_of(struct slice principal)
{
    struct directory_owner *o = map_find(directory.owners, principal);
    if (o)
        return o;
    o = principal.len < sizeof(o->id) ? mem_zalloc(sizeof(*o)) : NULL;
    if (!o)
        return NULL;
    memcpy(o->id, principal.ptr, principal.len);
    if (!map_put(directory.owners, slice_str(o->id), o, NULL))
        return o;
    mem_free(o);
    return NULL;
}

static enum err count(struct client_session *s, struct slice principal)
{
    struct directory_owner *o = owner_of(principal);
    if (!o)
        return ERR_NOMEM;
    if (o->count >= LIMIT_MCP_SESSIONS_EACH)
        return ERR_DENIED;
    o->count++;
    s->owner = o;
    return ERR_OK;
}

enum err session_directory_count(struct client_session *s, struct slice principal)
{
    pthread_mutex_lock(&directory.lock);
    enum err e = count(s, principal);
    pthread_mutex_unlock(&directory.lock);
    return e;
}

static void forget_idle(struct directory_owner *o)
{
    if (o->count || o->streams)
        return;
    map_remove(directory.owners, slice_str(o->id));
    mem_free(o);
}

void session_directory_discount(struct client_session *s)
{
    pthread_mutex_lock(&directory.lock);
    struct directory_owner *o = s->owner;
    s->owner = NULL;
    if (o) {
        o->count--;
        forget_idle(o);
    }
    pthread_mutex_unlock(&directory.lock);
}

enum err session_directory_stream_opened(struct client_session *s, unsigned most,
                                         struct directory_owner **ret)
{
    pthread_mutex_lock(&directory.lock);
    struct directory_owner *o = s->owner;
    bool fits = o && s->streams < LIMIT_MCP_STREAMS && o->streams < most;
    if (fits) {
        s->streams++;
        o->streams++;
        *ret = o;
    }
    pthread_mutex_unlock(&directory.lock);
    return fits ? ERR_OK : ERR_DENIED;
}

void session_directory_stream_closed(struct client_session *s, struct directory_owner **o)
{
    pthread_mutex_lock(&directory.lock);
    s->streams--;
    (*o)->streams--;
    forget_idle(*o);
    *o = NULL;
    pthread_mutex_unlock(&directory.lock);
}

/* ---- the shards ---- */

/* Under the shard's lock; the directory's count goes to the caller. */
static void strike(struct shard *d, struct client_session *s)
{
    atomic_fetch_sub(s->state == SESSION_ENDED ? &directory.ended : &directory.listed, 1);
    map_remove(d->by_sid, key_of(s));
    list_remove(&s->link);
    s->state = SESSION_DROPPED;
}

/* Under the shard's lock. */
static void make_tombstone(struct shard *d, struct client_session *s)
{
    s->state = SESSION_ENDED;
    list_remove(&s->link);
    list_push(&d->ended, &s->link);
    atomic_fetch_sub(&directory.listed, 1);
    atomic_fetch_add(&directory.ended, 1);
}

static void clear(struct shard *d, struct list *sessions)
{
    struct list *it;
    while ((it = list_take_first(sessions))) {
        struct client_session *s = LIST_ITEM(it, struct client_session, link);
        strike(d, s);
        client_session_drop(s);
    }
}

void session_directory_part(void)
{
    pthread_mutex_lock(&directory.lock);
    bool last = --directory.workers == 0;
    pthread_mutex_unlock(&directory.lock);
    if (!last)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *d = &directory.shards[i];
        clear(d, &d->used);
        clear(d, &d->ended);
    }
    end();
    task_owners_clear();
}

/* The oldest tombstone of some shard goes first where space is needed: an id that is forgotten is
 * answered like one that has ended. */
static bool make_space(void)
{
    if (atomic_load(&directory.listed) + atomic_load(&directory.ended) < LIMIT_MCP_SESSIONS)
        return true;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *d = &directory.shards[i];
        struct client_session *s = NULL;
        pthread_mutex_lock(&d->lock);
        if (!list_empty(&d->ended)) {
            s = LIST_ITEM(d->ended.next, struct client_session, link);
            strike(d, s);
        }
        pthread_mutex_unlock(&d->lock);
        client_session_drop(s);
        if (s)
            return true;
    }
    return false;
}

static enum err put(struct shard *d, struct client_session *s, uint64_t now_us)
{
    if (map_find(d->by_sid, key_of(s)))
        return ERR_EXISTS;
    enum err e = map_put(d->by_sid, key_of(s), s, NULL);
    if (e)
        return e;
    s->listed_us = s->used_us = now_us;
    s->state = SESSION_LISTED;
    list_push(&d->used, &s->link);
    client_session_hold(s);
    atomic_fetch_add(&directory.listed, 1);
    return ERR_OK;
}

enum err session_directory_put(struct client_session *s, uint64_t now_us)
{
    struct shard *d = shard_of(s->sid);
    if (!make_space())
        return ERR_EXHAUSTED;
    pthread_mutex_lock(&d->lock);
    enum err e = put(d, s, now_us);
    pthread_mutex_unlock(&d->lock);
    return e;
}

static void touch(struct shard *d, struct client_session *s, uint64_t now_us)
{
    s->used_us = now_us;
    list_remove(&s->link);
    list_push(&d->used, &s->link);
}

static bool is_stale(const struct client_session *s, uint64_t now_us)
{
    return now_us - s->used_us >= LIMIT_MCP_IDLE_MS * (uint64_t)1000;
}

/* A stream that stays open is use, though no request looks the session up meanwhile. */
static bool is_in_use(const struct client_session *s)
{
    return atomic_load_explicit(&s->refs, memory_order_relaxed) > 1;
}

struct client_session *session_directory_find(const uint8_t sid[MCP_SID_LEN], uint64_t now_us,
                                              bool *ret_known)
{
    struct shard *d = shard_of(sid);
    pthread_mutex_lock(&d->lock);
    struct client_session *s = map_find(d->by_sid, slice_of((const char *)sid, MCP_SID_LEN));
    bool good = s && s->state == SESSION_LISTED && (is_in_use(s) || !is_stale(s, now_us));
    if (good) {
        touch(d, s, now_us);
        client_session_hold(s);
    }
    pthread_mutex_unlock(&d->lock);
    *ret_known = s != NULL;
    return good ? s : NULL;
}

bool session_directory_is_ended(const struct client_session *s)
{
    struct shard *d = shard_of(s->sid);
    if (!d->by_sid)
        return false; /* a test without a directory */
    pthread_mutex_lock(&d->lock);
    bool ended = s->state == SESSION_ENDED || s->state == SESSION_DROPPED;
    pthread_mutex_unlock(&d->lock);
    return ended;
}

bool session_directory_end(struct client_session *s)
{
    struct shard *d = shard_of(s->sid);
    pthread_mutex_lock(&d->lock);
    bool first = s->state == SESSION_LISTED;
    if (first)
        make_tombstone(d, s);
    pthread_mutex_unlock(&d->lock);
    session_directory_discount(s);
    return first;
}

/* One of a shard that is stale; tombstones whose ids no longer open are dropped on the way. */
static struct client_session *expire(struct shard *d, uint64_t now_us)
{
    struct client_session *found = NULL;
    while (!list_empty(&d->ended)) {
        struct client_session *s = LIST_ITEM(d->ended.next, struct client_session, link);
        if (now_us - s->listed_us < LIMIT_MCP_SESSION_MS * (uint64_t)1000)
            break;
        strike(d, s);
        client_session_drop(s);
    }
    while (!found && !list_empty(&d->used)) {
        struct client_session *s = LIST_ITEM(d->used.next, struct client_session, link);
        if (!is_stale(s, now_us))
            break;
        if (is_in_use(s)) {
            touch(d, s, now_us);
            continue;
        }
        make_tombstone(d, s);
        found = client_session_hold(s);
    }
    return found;
}

struct client_session *session_directory_expire(uint64_t now_us)
{
    struct client_session *found = NULL;
    for (size_t i = 0; i < SHARDS && !found; i++) {
        unsigned at = atomic_fetch_add_explicit(&directory.next, 1, memory_order_relaxed);
        struct shard *d = &directory.shards[at % SHARDS];
        pthread_mutex_lock(&d->lock);
        found = expire(d, now_us);
        pthread_mutex_unlock(&d->lock);
    }
    if (found)
        session_directory_discount(found);
    return found;
}

size_t session_directory_size(void)
{
    return atomic_load_explicit(&directory.listed, memory_order_relaxed);
}

size_t session_directory_remembered(void)
{
    return atomic_load_explicit(&directory.listed, memory_order_relaxed) +
           atomic_load_explicit(&directory.ended, memory_order_relaxed);
}
