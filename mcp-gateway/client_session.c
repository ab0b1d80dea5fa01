/* client_session — made, counted, and its tables under its lock. */
#include "mcp-gateway/client_session.h"

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/json_scan.h"
#include "common/base/mem.h"
#include "mcp-gateway/session_directory.h"
#include "mcp-gateway/upstream_session.h"

#define HELLO_ID 1 /* initialize itself; 0 is nothing to some servers */

static void destroy(struct client_session *s)
{
    struct list *it;
    session_directory_discount(s);
    while ((it = list_take_first(&s->upstreams)))
        upstream_session_free(LIST_ITEM(it, struct upstream_session, link));
    router_fini(&s->router);
    mem_free(s->hello);
    mem_free(s->external_id);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

/* Far from what the plane that opened the session counts to, and below 2^53, the largest integer
 * that every JSON reader keeps. */
static uint64_t random_start(void)
{
    uint32_t n;
    digest_random((uint8_t *)&n, sizeof(n));
    return ((uint64_t)n | 1u) << 20;
}

struct client_session *client_session_new(const struct client_session_spec *spec)
{
    struct client_session *s = mem_zalloc(sizeof(*s));
    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->refs, 1);
    list_init(&s->link);
    list_init(&s->upstreams);
    router_init(&s->router, spec->sid ? random_start() : HELLO_ID);
    if (spec->sid)
        memcpy(s->sid, spec->sid, sizeof(s->sid));
    else
        digest_random(s->sid, sizeof(s->sid));
    s->named_by = spec->named_by;
    s->declared = spec->declared;
    s->hello = mem_strndup(spec->hello.ptr, spec->hello.len);
    s->hello_len = spec->hello.len;
    if (spec->external_id.len)
        s->external_id = mem_strndup(spec->external_id.ptr, spec->external_id.len);
    if (!s->hello || (spec->external_id.len && !s->external_id)) {
        destroy(s);
        return NULL;
    }
    return s;
}

struct client_session *client_session_hold(struct client_session *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void client_session_drop(struct client_session *s)
{
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        destroy(s);
}

struct upstream_session *client_session_upstream(struct client_session *s, struct slice server_id)
{
    struct upstream_session *found = NULL;
    size_t count = 0;
    pthread_mutex_lock(&s->lock);
    LIST_EACH(&s->upstreams, it)
    {
        count++;
        struct upstream_session *u = LIST_ITEM(it, struct upstream_session, link);
        if (slice_eq(slice_str(u->server_id), server_id))
            found = u;
    }
    if (!found && count < LIMIT_MCP_UPSTREAMS)
        found = upstream_session_new(s, server_id);
    pthread_mutex_unlock(&s->lock);
    return found;
}

size_t client_session_upstreams(struct client_session *s, struct upstream_session **out, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    LIST_EACH(&s->upstreams, it)
    {
        if (n < max)
            out[n++] = LIST_ITEM(it, struct upstream_session, link);
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- what it declared ---- */

static const struct {
    const char *path;
    uint32_t bit;
} declarable[] = {
    {"sampling", DECLARES_SAMPLING},
    {"roots", DECLARES_ROOTS},
    {"roots.listChanged", DECLARES_ROOTS_CHANGES},
    {"elicitation", DECLARES_ELICITATION},
    {"elicitation.url", DECLARES_ELICITATION_URL},
    {"tasks", DECLARES_TASKS},
};

/* Elicitation that names no mode is by form (MCP 2025-11-25, Elicitation: Capabilities). */
static bool is_form_ruled_out(struct slice capabilities)
{
    static const char *const wants[] = {"elicitation.form", "elicitation.url"};
    struct json_hit hit[ARRAY_LEN(wants)];
    enum json_type root;
    return !json_scan(capabilities, wants, ARRAY_LEN(wants), hit, &root, NULL) &&
           hit[0].type != JSON_SCAN_OBJECT && hit[1].type == JSON_SCAN_OBJECT;
}

uint32_t client_declared(struct slice capabilities)
{
    const char *wants[ARRAY_LEN(declarable)];
    struct json_hit hit[ARRAY_LEN(declarable)];
    enum json_type root;
    uint32_t bits = 0;
    for (size_t i = 0; i < ARRAY_LEN(declarable); i++)
        wants[i] = declarable[i].path;
    if (!capabilities.len || json_scan(capabilities, wants, ARRAY_LEN(wants), hit, &root, NULL))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(declarable); i++)
        if (hit[i].type == JSON_SCAN_OBJECT || hit[i].type == JSON_SCAN_TRUE)
            bits |= declarable[i].bit;
    if ((bits & DECLARES_ELICITATION) && is_form_ruled_out(capabilities))
        bits &= ~(uint32_t)DECLARES_ELICITATION;
    return bits;
}

enum err client_declared_write(uint32_t declared, struct buf *out)
{
    const char *parts[] = {
        declared & DECLARES_SAMPLING ? "\"sampling\":{}" : NULL,
        declared & DECLARES_ROOTS_CHANGES ? "\"roots\":{\"listChanged\":true}"
        : declared & DECLARES_ROOTS       ? "\"roots\":{}"
                                          : NULL,
        (declared & DECLARES_ELICITATION) && (declared & DECLARES_ELICITATION_URL)
            ? "\"elicitation\":{\"form\":{},\"url\":{}}"
        : declared & DECLARES_ELICITATION     ? "\"elicitation\":{}"
        : declared & DECLARES_ELICITATION_URL ? "\"elicitation\":{\"url\":{}}"
                                              : NULL,
    };
    const char *before = "{";
    enum err e = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(parts) && !e; i++) {
        if (!parts[i])
            continue;
        e = buf_printf(out, "%s%s", before, parts[i]);
        before = ",";
    }
    return e ? e : buf_append(out, *before == '{' ? SLICE("{}") : SLICE("}"));
}

/* ---- its router ---- */

enum err client_session_add(struct client_session *s, struct slice id, unsigned worker, bool lists,
                            uint64_t *ret)
{
    pthread_mutex_lock(&s->lock);
    enum err e = router_add(&s->router, id, worker, lists, ret);
    pthread_mutex_unlock(&s->lock);
    return e;
}

uint64_t client_session_number(struct client_session *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t number = ++s->router.last_number;
    pthread_mutex_unlock(&s->lock);
    return number;
}

void client_session_answered(struct client_session *s, uint64_t number, bool resumable)
{
    pthread_mutex_lock(&s->lock);
    router_answered(&s->router, number, resumable);
    pthread_mutex_unlock(&s->lock);
}

void client_session_detach(struct client_session *s, uint64_t number)
{
    pthread_mutex_lock(&s->lock);
    router_detach(&s->router, number);
    pthread_mutex_unlock(&s->lock);
}

bool client_session_by_number(struct client_session *s, uint64_t number, struct arena *a,
                              struct slice *id, bool *lists)
{
    pthread_mutex_lock(&s->lock);
    const struct pending_request *p = router_by_number(&s->router, number);
    *id = p ? arena_copy(a, slice_str(p->id)) : SLICE_NONE;
    *lists = p && p->lists;
    pthread_mutex_unlock(&s->lock);
    return id->ptr != NULL;
}

bool client_session_by_id(struct client_session *s, struct slice id, uint64_t *number,
                          unsigned *worker)
{
    pthread_mutex_lock(&s->lock);
    const struct pending_request *p = router_by_id(&s->router, id);
    bool known = p && p->state != PENDING_ANSWERED;
    if (known) {
        *number = p->number;
        *worker = p->worker;
    }
    pthread_mutex_unlock(&s->lock);
    return known;
}

enum err client_session_ask(struct client_session *s, struct slice id, struct slice original,
                            unsigned generation)
{
    pthread_mutex_lock(&s->lock);
    enum err e = router_ask(&s->router, id, original, generation);
    pthread_mutex_unlock(&s->lock);
    return e;
}

bool client_session_take_question(struct client_session *s, struct slice id)
{
    pthread_mutex_lock(&s->lock);
    const struct pending_question *q = router_question(&s->router, id);
    if (q)
        router_question_done(&s->router, q);
    pthread_mutex_unlock(&s->lock);
    return q != NULL;
}

struct slice client_session_question(struct client_session *s, struct slice original,
                                     unsigned generation, struct arena *a)
{
    struct slice id = SLICE_NONE;
    pthread_mutex_lock(&s->lock);
    const struct pending_question *q = router_question_of(&s->router, original, generation);
    if (q)
        id = arena_copy(a, slice_str(q->id));
    pthread_mutex_unlock(&s->lock);
    return id;
}
