/* mcp_worker — slots, and the mail between them. */
#include "mcp-gateway/mcp_worker.h"

#include <pthread.h>

#include "common/base/mem.h"
#include "mcp-gateway/client_session.h"
#include "mcp-gateway/session_directory.h"
#include "mcp-gateway/tool_gate.h"
#include "mcp-gateway/upstream_opening.h"

/* Taken where a worker begins or ends, and to post mail; by no request on its usual way. */
static struct {
    pthread_mutex_t lock;
    struct mcp_worker *workers[MCP_WORKERS];
} slots = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool take_slot(struct mcp_worker *m)
{
    bool taken = false;
    pthread_mutex_lock(&slots.lock);
    for (unsigned i = 0; i < MCP_WORKERS && !taken; i++) {
        if (slots.workers[i])
            continue;
        slots.workers[i] = m;
        m->slot = i;
        taken = true;
    }
    pthread_mutex_unlock(&slots.lock);
    return taken;
}

void mcp_worker_unlist(struct mcp_worker *m)
{
    pthread_mutex_lock(&slots.lock);
    if (slots.workers[m->slot] == m)
        slots.workers[m->slot] = NULL;
    pthread_mutex_unlock(&slots.lock);
}

static struct mcp_worker *create(struct request_env *env)
{
    struct mcp_worker *m = mem_zalloc(sizeof(*m));
    if (!m)
        return NULL;
    if (session_directory_join()) {
        mem_free(m);
        return NULL;
    }
    m->env = env;
    m->call_ms = LIMIT_MCP_CALL_MS;
    list_init(&m->exchanges);
    list_init(&m->openings);
    list_init(&m->waiting);
    list_init(&m->members);
    MUST(take_slot(m));
    list_push(&env->gate_spare[GATE_TOOL], &m->link);
    return m;
}

struct mcp_worker *mcp_worker_find(struct request_env *env)
{
    struct list *home = &env->gate_spare[GATE_TOOL];
    return list_empty(home) ? NULL : LIST_ITEM(home->next, struct mcp_worker, link);
}

struct mcp_worker *mcp_worker_of(struct request_env *env)
{
    struct mcp_worker *m = mcp_worker_find(env);
    return m ? m : create(env);
}

/* A key schedule for each request would cost more than the request's filters. */
const struct seal *mcp_worker_seal(struct mcp_worker *m, const struct snapshot *policy)
{
    struct slice master = snapshot_session_seal(policy);
    struct digest print;
    digest_sha256(master, &print);
    if (m->seal && memcmp(print.bytes, m->master.bytes, sizeof(print.bytes)) == 0)
        return m->seal;
    struct seal *fresh = seal_new(master);
    if (!fresh)
        return NULL;
    seal_free(m->seal);
    m->seal = fresh;
    m->master = print;
    return fresh;
}

void mcp_fini(struct request_env *env)
{
    struct list *it = list_take_first(&env->gate_spare[GATE_TOOL]);
    if (!it)
        return;
    struct mcp_worker *m = LIST_ITEM(it, struct mcp_worker, link);
    mcp_worker_unlist(m);
    MUST(list_empty(&m->exchanges)); /* the end of the HTTP client failed each of them */
    MUST(list_empty(&m->openings) && list_empty(&m->waiting) && list_empty(&m->members));
    seal_free(m->seal);
    session_directory_part();
    mem_free(m);
}

/* ---- members ---- */

void session_member_join(struct mcp_worker *m, struct session_member *member,
                         struct client_session *session)
{
    member->session = session;
    list_push(&m->members, &member->link);
}

void session_member_leave(struct session_member *member)
{
    if (member->link.next)
        list_remove(&member->link);
}

/* Those of the session are set apart first: what one hears may end another. */
static void tell_members(struct mcp_worker *m, struct client_session *session, enum mcp_event event,
                         uint64_t number)
{
    struct list heard;
    struct list *it;
    list_init(&heard);
    LIST_EACH(&m->members, at)
    {
        if (LIST_ITEM(at, struct session_member, link)->session != session)
            continue;
        list_remove(at);
        list_push(&heard, at);
    }
    while ((it = list_take_first(&heard))) {
        struct session_member *member = LIST_ITEM(it, struct session_member, link);
        list_push(&m->members, it);
        member->on_event(member, event, number);
    }
}

/* ---- mail ---- */

struct mail {
    struct mcp_worker *to;
    struct client_session *session; /* held */
    enum mcp_event event;
    uint64_t number;
};

/* The mailbox is emptied before the loop ends, and mcp_fini comes after that. */
static void on_mail(void *arg)
{
    struct mail *mail = arg;
    if (mail->event == MCP_EVENT_SETTLED)
        upstream_opening_settled(mail->to, mail->session);
    else
        tell_members(mail->to, mail->session, mail->event, mail->number);
    client_session_drop(mail->session);
    mem_free(mail);
}

static void post(struct mcp_worker *to, struct client_session *session, enum mcp_event event,
                 uint64_t number)
{
    struct mail *mail = mem_alloc(sizeof(*mail));
    enum err e = mail ? ERR_OK : ERR_NOMEM;
    if (!e) {
        *mail = (struct mail){to, client_session_hold(session), event, number};
        e = loop_post(to->env->loop, on_mail, mail);
    }
    if (!e)
        return;
    if (mail)
        client_session_drop(mail->session);
    mem_free(mail);
    log_warn(NULL, "mcp_worker_not_told", "worker=%u why=%s", to->slot, err_name(e));
}

void mcp_worker_set_add(struct mcp_worker_set *set, unsigned slot)
{
    set->bits[slot / 64] |= UINT64_C(1) << (slot % 64);
}

void mcp_worker_tell(const struct mcp_worker_set *set, struct client_session *session,
                     enum mcp_event event, uint64_t number)
{
    pthread_mutex_lock(&slots.lock);
    for (unsigned i = 0; i < MCP_WORKERS; i++)
        if (slots.workers[i] && (!set || (set->bits[i / 64] >> (i % 64) & 1)))
            post(slots.workers[i], session, event, number);
    pthread_mutex_unlock(&slots.lock);
}

void mcp_worker_tell_one(unsigned slot, struct client_session *session, enum mcp_event event,
                         uint64_t number)
{
    struct mcp_worker_set set = {{0}};
    mcp_worker_set_add(&set, slot);
    mcp_worker_tell(&set, session, event, number);
}
