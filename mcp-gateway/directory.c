/* directory — a map by session id, and a list by last use. */
#include "mcp-gateway/directory.h"

#include "common/base/digest.h"
#include "common/base/map.h"
#include "common/base/mem.h"

/* A principal with sessions, and how many. */
struct mcp_owner {
    size_t count;
    char id[MCP_TICKET_ID];
};

static struct {
    pthread_mutex_t lock;
    unsigned workers;
    struct map *by_sid;
    struct map *owners;
    struct list used; /* longest unused first */
    uint8_t plane[MCP_PLANE_LEN];
} directory = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct slice key_of(const struct mcp_session *s)
{
    return slice_of(s->sid, sizeof(s->sid));
}

static void end(void)
{
    map_free(directory.by_sid);
    map_free(directory.owners);
    directory.by_sid = directory.owners = NULL;
}

static enum err begin(void)
{
    directory.by_sid = map_new();
    directory.owners = map_new();
    if (!directory.by_sid || !directory.owners) {
        end();
        return ERR_NOMEM;
    }
    list_init(&directory.used);
    digest_random(directory.plane, sizeof(directory.plane));
    return ERR_OK;
}

enum err mcp_directory_join(void)
{
    pthread_mutex_lock(&directory.lock);
    enum err e = directory.workers ? ERR_OK : begin();
    if (!e)
        directory.workers++;
    pthread_mutex_unlock(&directory.lock);
    return e;
}

/* ---- whom they count for ---- */

static struct mcp_owner *owner_of(struct slice principal)
{
    struct mcp_owner *o = map_find(directory.owners, principal);
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

static enum err admit(struct mcp_session *s, struct slice principal)
{
    struct mcp_owner *o = owner_of(principal);
    if (!o)
        return ERR_NOMEM;
    if (o->count >= LIMIT_MCP_SESSIONS_EACH)
        return ERR_DENIED;
    o->count++;
    s->owner = o;
    return ERR_OK;
}

enum err mcp_directory_admit(struct mcp_session *s, struct slice principal)
{
    pthread_mutex_lock(&directory.lock);
    enum err e = admit(s, principal);
    pthread_mutex_unlock(&directory.lock);
    return e;
}

static void leave(struct mcp_session *s)
{
    struct mcp_owner *o = s->owner;
    s->owner = NULL;
    if (!o || --o->count > 0)
        return;
    map_remove(directory.owners, slice_str(o->id));
    mem_free(o);
}

/* Also from a session's own end, which may come with the lock held; it counts for nobody then. */
void mcp_directory_leave(struct mcp_session *s)
{
    if (!s->owner)
        return;
    pthread_mutex_lock(&directory.lock);
    leave(s);
    pthread_mutex_unlock(&directory.lock);
}

/* ---- the table ---- */

static void strike(struct mcp_session *s)
{
    leave(s);
    map_remove(directory.by_sid, key_of(s));
    list_remove(&s->link);
    s->listed = false;
}

void mcp_directory_part(void)
{
    pthread_mutex_lock(&directory.lock);
    if (--directory.workers == 0) {
        LIST_EACH(&directory.used, it)
        {
            struct mcp_session *s = LIST_ITEM(it, struct mcp_session, link);
            strike(s);
            mcp_session_drop(s);
        }
        end();
    }
    pthread_mutex_unlock(&directory.lock);
}

const uint8_t *mcp_directory_plane(void)
{
    return directory.plane;
}

/* Ended sessions are the first to go where room is needed: an id that is forgotten is answered
 * like one that has ended. */
static bool make_room(void)
{
    if (map_size(directory.by_sid) < LIMIT_MCP_SESSIONS)
        return true;
    LIST_EACH(&directory.used, it)
    {
        struct mcp_session *s = LIST_ITEM(it, struct mcp_session, link);
        if (!s->ended)
            continue;
        strike(s);
        mcp_session_drop(s);
        return true;
    }
    return false;
}

enum err mcp_directory_put(struct mcp_session *s, uint64_t now_us)
{
    pthread_mutex_lock(&directory.lock);
    enum err e = make_room() ? map_put(directory.by_sid, key_of(s), s, NULL) : ERR_EXHAUSTED;
    if (!e) {
        s->used_us = now_us;
        s->listed = true;
        list_push(&directory.used, &s->link);
        mcp_session_hold(s);
    }
    pthread_mutex_unlock(&directory.lock);
    return e;
}

static void touch(struct mcp_session *s, uint64_t now_us)
{
    s->used_us = now_us;
    list_remove(&s->link);
    list_push(&directory.used, &s->link);
}

static bool is_stale(const struct mcp_session *s, uint64_t now_us)
{
    return now_us - s->used_us >= LIMIT_MCP_IDLE_MS * (uint64_t)1000;
}

/* A stream that stays open is use, though nobody looks the session up meanwhile. */
static bool is_in_use(const struct mcp_session *s)
{
    return atomic_load_explicit(&s->refs, memory_order_relaxed) > 1;
}

struct mcp_session *mcp_directory_find(const uint8_t sid[MCP_SID_LEN], uint64_t now_us)
{
    pthread_mutex_lock(&directory.lock);
    struct mcp_session *s = map_find(directory.by_sid, slice_of(sid, MCP_SID_LEN));
    bool good = s && !s->ended && (is_in_use(s) || !is_stale(s, now_us));
    if (good) {
        touch(s, now_us);
        mcp_session_hold(s);
    }
    pthread_mutex_unlock(&directory.lock);
    return good ? s : NULL;
}

bool mcp_directory_end(struct mcp_session *s)
{
    pthread_mutex_lock(&directory.lock);
    bool first = s->listed && !s->ended;
    s->ended = true;
    leave(s);
    pthread_mutex_unlock(&directory.lock);
    return first;
}

struct mcp_session *mcp_directory_expire(uint64_t now_us)
{
    struct mcp_session *found = NULL;
    pthread_mutex_lock(&directory.lock);
    while (!found && !list_empty(&directory.used)) {
        struct mcp_session *s = LIST_ITEM(directory.used.next, struct mcp_session, link);
        if (!is_stale(s, now_us))
            break;
        if (is_in_use(s)) {
            touch(s, now_us);
            continue;
        }
        strike(s);
        if (s->ended)
            mcp_session_drop(s);
        else
            found = s;
    }
    pthread_mutex_unlock(&directory.lock);
    return found;
}

size_t mcp_directory_size(void)
{
    pthread_mutex_lock(&directory.lock);
    size_t n = directory.by_sid ? map_size(directory.by_sid) : 0;
    pthread_mutex_unlock(&directory.lock);
    return n;
}
