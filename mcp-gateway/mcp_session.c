/* session — see the card. */
#include "mcp-gateway/mcp_session.h"

#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/request/request.h"
#include "mcp-gateway/directory.h"

static char *copy_text(struct slice s)
{
    return s.ptr ? mem_strndup(s.ptr, s.len) : NULL;
}

static void destroy(struct mcp_session *s)
{
    mcp_directory_leave(s);
    for (size_t i = 0; i < s->pending_count; i++)
        mem_free(s->pending[i].id);
    mem_free(s->pending);
    mem_free(s->hello);
    mem_free(s->external_id);
    mem_free(s->upstream_id);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

struct mcp_session *mcp_session_new(struct slice hello, struct slice external_id,
                                    const char *named_by)
{
    struct mcp_session *s = mem_zalloc(sizeof(*s));
    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->refs, 1);
    list_init(&s->link);
    digest_random(s->sid, sizeof(s->sid));
    s->named_by = named_by;
    s->last_number = 1; /* initialize itself */
    s->hello = copy_text(hello);
    s->hello_len = hello.len;
    s->external_id = external_id.len ? copy_text(external_id) : NULL;
    if (!s->hello || (external_id.len && !s->external_id)) {
        destroy(s);
        return NULL;
    }
    return s;
}

struct mcp_session *mcp_session_hold(struct mcp_session *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void mcp_session_drop(struct mcp_session *s)
{
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        destroy(s);
}

/* ---- the upstream session ---- */

static enum err copy_upstream_ref(const struct mcp_session *s, struct arena *a,
                                  struct mcp_upstream_ref *ret)
{
    struct mcp_upstream_ref p = {.generation = s->generation,
                                 .server_revision = s->server_revision};
    p.version = arena_copy(a, slice_str(s->version));
    p.server_name = arena_copy(a, slice_str(s->server_name));
    p.org_id = arena_copy(a, slice_str(s->org_id));
    if (s->upstream_id)
        p.upstream_id = arena_copy(a, slice_str(s->upstream_id));
    if (!p.version.ptr || !p.server_name.ptr || !p.org_id.ptr ||
        (s->upstream_id && !p.upstream_id.ptr))
        return ERR_NOMEM;
    *ret = p;
    return ERR_OK;
}

enum err mcp_session_enter(struct mcp_session *s, uint64_t server_revision, struct arena *a,
                           enum mcp_session_state *ret_state, struct mcp_upstream_ref *ret)
{
    enum err e = ERR_OK;
    pthread_mutex_lock(&s->lock);
    if (s->state == MCP_OPEN && s->server_revision != server_revision)
        s->state = MCP_CLOSED;
    *ret_state = s->state;
    if (s->state == MCP_OPEN)
        e = copy_upstream_ref(s, a, ret);
    if (s->state == MCP_CLOSED)
        s->state = MCP_OPENING;
    pthread_mutex_unlock(&s->lock);
    return e;
}

enum err mcp_session_opened(struct mcp_session *s, const struct policy_server *server,
                            struct slice upstream_id, struct slice version)
{
    char *id = upstream_id.len ? copy_text(upstream_id) : NULL;
    if (upstream_id.len && !id)
        return ERR_NOMEM;
    pthread_mutex_lock(&s->lock);
    mem_free(s->upstream_id);
    s->upstream_id = id;
    snprintf(s->version, sizeof(s->version), "%.*s", SLICE_ARG(version));
    snprintf(s->server_name, sizeof(s->server_name), "%.*s", SLICE_ARG(server->o.name));
    snprintf(s->org_id, sizeof(s->org_id), "%.*s", SLICE_ARG(server->o.org_id));
    s->server_revision = server->o.revision;
    s->generation++;
    s->state = MCP_OPEN;
    pthread_mutex_unlock(&s->lock);
    return ERR_OK;
}

void mcp_session_lost(struct mcp_session *s, uint64_t generation)
{
    pthread_mutex_lock(&s->lock);
    if (s->state == MCP_OPEN && s->generation == generation)
        s->state = MCP_CLOSED;
    pthread_mutex_unlock(&s->lock);
}

void mcp_session_give_up(struct mcp_session *s)
{
    pthread_mutex_lock(&s->lock);
    if (s->state == MCP_OPENING)
        s->state = MCP_CLOSED;
    pthread_mutex_unlock(&s->lock);
}

bool mcp_session_peek(struct mcp_session *s, uint64_t server_revision, struct arena *a,
                      struct mcp_upstream_ref *ret)
{
    pthread_mutex_lock(&s->lock);
    bool open = s->state == MCP_OPEN && s->server_revision == server_revision &&
                !copy_upstream_ref(s, a, ret);
    pthread_mutex_unlock(&s->lock);
    return open;
}

bool mcp_session_end(struct mcp_session *s, struct arena *a, struct mcp_upstream_ref *ret)
{
    pthread_mutex_lock(&s->lock);
    bool open = s->state == MCP_OPEN && s->upstream_id && !copy_upstream_ref(s, a, ret);
    if (s->state == MCP_OPEN)
        s->state = MCP_CLOSED;
    pthread_mutex_unlock(&s->lock);
    return open;
}

/* ---- requests under way ---- */

static struct mcp_pending *by_number(struct mcp_session *s, uint64_t number)
{
    for (size_t i = 0; i < s->pending_count; i++)
        if (s->pending[i].number == number)
            return &s->pending[i];
    return NULL;
}

static struct mcp_pending *by_id(struct mcp_session *s, struct slice id)
{
    for (size_t i = 0; i < s->pending_count; i++)
        if (slice_eq(slice_str(s->pending[i].id), id))
            return &s->pending[i];
    return NULL;
}

static void forget(struct mcp_session *s, struct mcp_pending *f)
{
    size_t at = (size_t)(f - s->pending);
    mem_free(f->id);
    memmove(f, f + 1, (s->pending_count - at - 1) * sizeof(*f));
    s->pending_count--;
}

/* Most sessions have one at a time: the table grows with need. */
static enum err make_room(struct mcp_session *s)
{
    if (s->pending_count < s->pending_capacity)
        return ERR_OK;
    if (s->pending_capacity == LIMIT_MCP_FLIGHTS) {
        forget(s, s->pending); /* the oldest; its answer still finds its own stream */
        return ERR_OK;
    }
    size_t room = s->pending_capacity ? 2 * s->pending_capacity : 4;
    struct mcp_pending *more = mem_realloc(s->pending, room * sizeof(*more));
    if (!more)
        return ERR_NOMEM;
    s->pending = more;
    s->pending_capacity = room;
    return ERR_OK;
}

static enum err register_request(struct mcp_session *s, struct slice id, uint64_t *ret)
{
    struct mcp_pending *same = by_id(s, id);
    if (same && same->live)
        return ERR_EXISTS;
    char *copy = copy_text(id);
    if (same)
        forget(s, same);
    if (!copy || make_room(s)) {
        mem_free(copy);
        return ERR_NOMEM;
    }
    *ret = ++s->last_number;
    s->pending[s->pending_count++] = (struct mcp_pending){.number = *ret, .id = copy, .live = true};
    return ERR_OK;
}

enum err mcp_session_register(struct mcp_session *s, struct slice id, uint64_t *ret)
{
    pthread_mutex_lock(&s->lock);
    enum err e = register_request(s, id, ret);
    pthread_mutex_unlock(&s->lock);
    return e;
}

void mcp_session_complete(struct mcp_session *s, uint64_t number)
{
    pthread_mutex_lock(&s->lock);
    struct mcp_pending *f = by_number(s, number);
    if (f)
        forget(s, f);
    pthread_mutex_unlock(&s->lock);
}

void mcp_session_detach(struct mcp_session *s, uint64_t number)
{
    pthread_mutex_lock(&s->lock);
    struct mcp_pending *f = by_number(s, number);
    if (f)
        f->live = false;
    pthread_mutex_unlock(&s->lock);
}

struct slice mcp_session_id_of(struct mcp_session *s, uint64_t number, struct arena *a)
{
    struct slice id = SLICE_NONE;
    pthread_mutex_lock(&s->lock);
    struct mcp_pending *f = by_number(s, number);
    if (f)
        id = arena_copy(a, slice_str(f->id));
    pthread_mutex_unlock(&s->lock);
    return id;
}

bool mcp_session_number_of(struct mcp_session *s, struct slice id, uint64_t *ret)
{
    pthread_mutex_lock(&s->lock);
    struct mcp_pending *f = by_id(s, id);
    if (f)
        *ret = f->number;
    pthread_mutex_unlock(&s->lock);
    return f != NULL;
}
