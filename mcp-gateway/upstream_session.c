/* upstream_session — its states, under its client session's lock. */
#include "mcp-gateway/upstream_session.h"

#include <limits.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/policy/snapshot.h"

static void lock(struct upstream_session *u)
{
    pthread_mutex_lock(&u->client->lock);
}

static void unlock(struct upstream_session *u)
{
    pthread_mutex_unlock(&u->client->lock);
}

/* The one function that changes the state. */
static void move(struct upstream_session *u, enum upstream_state to)
{
    /* row: from; bit: to */
    static const unsigned legal[] = {
        [UPSTREAM_CLOSED] = 1u << UPSTREAM_OPENING | 1u << UPSTREAM_GREETED,
        [UPSTREAM_OPENING] = 1u << UPSTREAM_CLOSED | 1u << UPSTREAM_GREETED | 1u << UPSTREAM_OPEN,
        [UPSTREAM_GREETED] = 1u << UPSTREAM_OPENING | 1u << UPSTREAM_CLOSED,
        [UPSTREAM_OPEN] = 1u << UPSTREAM_CLOSED,
    };
    MUST(legal[u->state] & (1u << to));
    u->state = to;
}

struct upstream_session *upstream_session_new(struct client_session *client, struct slice server_id)
{
    struct upstream_session *u = server_id.len <= MCP_POLICY_ID ? mem_zalloc(sizeof(*u)) : NULL;
    if (!u)
        return NULL;
    u->client = client;
    memcpy(u->server_id, server_id.ptr, server_id.len);
    list_push(&client->upstreams, &u->link);
    return u;
}

void upstream_session_free(struct upstream_session *u)
{
    for (size_t i = 0; i < u->subscription_count; i++)
        mem_free(u->subscriptions[i]);
    mem_free(u->subscriptions);
    mem_free(u->level);
    mem_free(u->id);
    mem_free(u);
}

static enum err copy_ref(const struct upstream_session *u, struct arena *a,
                         struct upstream_ref *ret)
{
    struct upstream_ref p = {.generation = u->generation, .server_revision = u->server_revision};
    p.version = arena_copy(a, slice_str(u->version));
    p.server_name = arena_copy(a, slice_str(u->server_name));
    p.org_id = arena_copy(a, slice_str(u->org_id));
    if (u->id)
        p.upstream_id = arena_copy(a, slice_str(u->id));
    if (!p.version.ptr || !p.server_name.ptr || !p.org_id.ptr || (u->id && !p.upstream_id.ptr))
        return ERR_NOMEM;
    *ret = p;
    return ERR_OK;
}

static enum upstream_turn use(const struct upstream_session *u, const struct upstream_need *need,
                              enum upstream_turn turn, struct upstream_ref *ref)
{
    return copy_ref(u, need->arena, ref) ? UPSTREAM_NOMEM : turn;
}

static enum upstream_turn enter(struct upstream_session *u, const struct upstream_need *need,
                                struct upstream_ref *ref, struct upstream_failure *failure)
{
    bool other = u->server_revision != need->server_revision;
    if ((u->state == UPSTREAM_OPEN || u->state == UPSTREAM_GREETED) && other)
        move(u, UPSTREAM_CLOSED);
    if (*need->failures == UINT_MAX)
        *need->failures = u->failures;
    switch (u->state) {
    case UPSTREAM_OPEN:
        return use(u, need, UPSTREAM_USE, ref);
    case UPSTREAM_GREETED:
        if (need->greeted_suffices)
            return use(u, need, UPSTREAM_USE, ref);
        if (u->failures != *need->failures) {
            *failure = u->failure;
            return UPSTREAM_FAIL;
        }
        if (copy_ref(u, need->arena, ref))
            return UPSTREAM_NOMEM;
        move(u, UPSTREAM_OPENING);
        return UPSTREAM_CONFIRM;
    case UPSTREAM_OPENING:
        mcp_worker_set_add(&u->waiting, need->worker);
        return UPSTREAM_WAIT;
    case UPSTREAM_CLOSED:
        if (u->failures != *need->failures) {
            *failure = u->failure;
            return UPSTREAM_FAIL;
        }
        move(u, UPSTREAM_OPENING);
        return UPSTREAM_GREET;
    }
    MUST(false);
}

enum upstream_turn upstream_session_enter(struct upstream_session *u,
                                          const struct upstream_need *need,
                                          struct upstream_ref *ref,
                                          struct upstream_failure *failure)
{
    lock(u);
    enum upstream_turn turn = enter(u, need, ref, failure);
    unlock(u);
    return turn;
}

bool upstream_session_peek(struct upstream_session *u, uint64_t server_revision, struct arena *a,
                           struct upstream_ref *ref)
{
    lock(u);
    bool open = (u->state == UPSTREAM_OPEN || u->state == UPSTREAM_GREETED) &&
                u->server_revision == server_revision && !copy_ref(u, a, ref);
    unlock(u);
    return open;
}

/* ---- the opener ---- */

static enum err fill(struct upstream_session *u, const struct policy_server *server,
                     struct slice upstream_id, struct slice version)
{
    char *id = upstream_id.len ? mem_strndup(upstream_id.ptr, upstream_id.len) : NULL;
    if (upstream_id.len && !id)
        return ERR_NOMEM;
    mem_free(u->id);
    u->id = id;
    snprintf(u->version, sizeof(u->version), "%.*s", SLICE_ARG(version));
    snprintf(u->server_name, sizeof(u->server_name), "%.*s", SLICE_ARG(server->o.name));
    snprintf(u->org_id, sizeof(u->org_id), "%.*s", SLICE_ARG(server->o.org_id));
    u->server_revision = server->o.revision;
    u->generation++;
    return ERR_OK;
}

enum err upstream_session_opened(struct upstream_session *u, const struct policy_server *server,
                                 struct slice upstream_id, struct slice version)
{
    lock(u);
    enum err e = fill(u, server, upstream_id, version);
    unlock(u);
    return e;
}

enum err upstream_session_adopt(struct upstream_session *u, const struct policy_server *server,
                                struct slice upstream_id, struct slice version)
{
    enum err e = ERR_OK;
    lock(u);
    if (u->state == UPSTREAM_CLOSED && u->generation == 0) {
        e = fill(u, server, upstream_id, version);
        if (!e) {
            move(u, UPSTREAM_GREETED);
        }
    }
    unlock(u);
    return e;
}

void upstream_session_settle(struct upstream_session *u, bool greeted,
                             const struct upstream_failure *failure, struct mcp_worker_set *waiting)
{
    lock(u);
    if (failure) {
        u->failures++;
        u->failure = *failure;
    }
    move(u, greeted ? UPSTREAM_GREETED : failure ? UPSTREAM_CLOSED : UPSTREAM_OPEN);
    *waiting = u->waiting;
    u->waiting = (struct mcp_worker_set){0};
    unlock(u);
}

bool upstream_session_lost(struct upstream_session *u, unsigned generation)
{
    lock(u);
    bool first =
        (u->state == UPSTREAM_OPEN || u->state == UPSTREAM_GREETED) && u->generation == generation;
    if (first)
        move(u, UPSTREAM_CLOSED);
    unlock(u);
    return first;
}

bool upstream_session_end(struct upstream_session *u, struct arena *a, struct upstream_ref *ref)
{
    lock(u);
    bool open = u->state == UPSTREAM_OPEN || u->state == UPSTREAM_GREETED;
    bool endable = open && u->id && !copy_ref(u, a, ref);
    if (open)
        move(u, UPSTREAM_CLOSED);
    unlock(u);
    return endable;
}

/* ---- what is restored ---- */

void upstream_session_set_level(struct upstream_session *u, struct slice raw)
{
    char *copy = mem_strndup(raw.ptr, raw.len);
    if (!copy)
        return; /* a session that is opened again has the server's own level then */
    lock(u);
    mem_free(u->level);
    u->level = copy;
    unlock(u);
}

static void remove_subscription(struct upstream_session *u, struct slice raw)
{
    for (size_t i = 0; i < u->subscription_count; i++) {
        if (!slice_eq(slice_str(u->subscriptions[i]), raw))
            continue;
        mem_free(u->subscriptions[i]);
        u->subscriptions[i] = u->subscriptions[--u->subscription_count];
        return;
    }
}

static void add_subscription(struct upstream_session *u, struct slice raw)
{
    if (u->subscription_count == LIMIT_MCP_SUBSCRIPTIONS)
        return;
    char **more =
        mem_realloc(u->subscriptions, (u->subscription_count + 1) * sizeof(*u->subscriptions));
    if (!more)
        return;
    u->subscriptions = more;
    more[u->subscription_count] = mem_strndup(raw.ptr, raw.len);
    if (more[u->subscription_count])
        u->subscription_count++;
}

void upstream_session_subscribe(struct upstream_session *u, struct slice raw, bool on)
{
    lock(u);
    remove_subscription(u, raw);
    if (on)
        add_subscription(u, raw);
    unlock(u);
}

bool upstream_session_restore(struct upstream_session *u, size_t step, struct arena *a,
                              const char **method, struct slice *params)
{
    *params = SLICE_NONE;
    lock(u);
    size_t levels = u->level != NULL;
    if (step < levels) {
        *method = "logging/setLevel";
        *params = arena_printf(a, "{\"level\":%s}", u->level);
    } else if (step - levels < u->subscription_count) {
        *method = "resources/subscribe";
        *params = arena_printf(a, "{\"uri\":%s}", u->subscriptions[step - levels]);
    }
    unlock(u);
    return params->ptr != NULL;
}
