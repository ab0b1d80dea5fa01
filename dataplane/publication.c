/*
 * publication — one round of quiescence at a time. A wait that begins during a round belongs to the
 * next round, so that a thousand waits cost as many messages as one.
 */
#include "dataplane/publication.h"

#include <stdatomic.h>

#include "common/base/log.h"
#include "common/base/mem.h"

#define RETRY_MS 10
#define WAITS_FIRST 64

enum worker_turn {
    TURN_NONE,   /* no round is under way */
    TURN_TO_ASK, /* it could not be reached yet */
    TURN_ASKED,
};

struct member {
    void *worker;
    bool told; /* the newest version */
    enum worker_turn turn;
};

struct wait {
    void (*fn)(void *arg);
    void *arg;
};

struct waits {
    struct wait *items;
    size_t count, cap;
};

struct publication {
    struct loop *loop;
    struct publication_ops ops;
    const struct snapshot *newest; /* held; NULL: none yet */
    struct member *members;
    size_t count, max;
    struct waits current, next; /* of the round under way, and of the one after it */
    bool in_round;
    bool said_untold;
    struct timer retry;
    struct loop_task soon;

    atomic_size_t left; /* workers whose turn has not ended in this round, and one for the asking */
    atomic_uint refs;   /* the owner, and each letter in the main loop's mailbox */
    bool closed;
};

static void drop(struct publication *p)
{
    if (atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    mem_free(p->members);
    mem_free(p->current.items);
    mem_free(p->next.items);
    mem_free(p);
}

/* ---- telling a version ---- */

static void tell(struct publication *p, struct member *m)
{
    enum err e = p->newest && !m->told ? p->ops.publish(m->worker, p->newest) : ERR_OK;
    m->told = e == ERR_OK || e == ERR_CLOSED;
}

size_t publication_untold(const struct publication *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        n += !p->members[i].told;
    return n;
}

static void tell_all(struct publication *p)
{
    for (size_t i = 0; i < p->count; i++)
        tell(p, &p->members[i]);
    size_t untold = publication_untold(p);
    if (untold && !p->said_untold)
        log_error(NULL, "worker_not_told", "workers=%zu why=%s", untold,
                  "its mailbox is full; the version is not acknowledged before it has it");
    else if (!untold && p->said_untold)
        log_info(NULL, "worker_told", "workers=%zu", p->count);
    p->said_untold = untold > 0;
}

/* ---- a round ---- */

static void on_letter(void *arg);

/* A worker's thread, or this one. A letter that cannot be sent is replaced by the retry timer. */
static void on_turn_ended(void *arg)
{
    struct publication *p = arg;
    atomic_fetch_add(&p->refs, 1); /* before the count reaches zero */
    if (atomic_fetch_sub(&p->left, 1) != 1 || loop_post(p->loop, on_letter, p) != ERR_OK)
        drop(p);
}

static void ask(struct publication *p, struct member *m)
{
    if (m->turn != TURN_TO_ASK || !m->told)
        return;
    enum err e = p->ops.after_turn(m->worker, on_turn_ended, p);
    if (e == ERR_OK || e == ERR_CLOSED)
        m->turn = TURN_ASKED;
    if (e == ERR_CLOSED)
        atomic_fetch_sub(&p->left, 1);
}

static bool is_asked(const struct publication *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->members[i].turn == TURN_TO_ASK)
            return false;
    return true;
}

static void begin_round(struct publication *p)
{
    struct waits empty = p->current;
    if (p->in_round || p->next.count == 0)
        return;
    p->current = p->next;
    p->next = empty;
    p->in_round = true;
    atomic_store(&p->left, p->count);
    for (size_t i = 0; i < p->count; i++)
        p->members[i].turn = TURN_TO_ASK;
}

/* A callback may begin another wait, which goes to `next`. */
static void end_round(struct publication *p)
{
    for (size_t i = 0; i < p->count; i++)
        p->members[i].turn = TURN_NONE;
    for (size_t i = 0; i < p->current.count; i++)
        p->current.items[i].fn(p->current.items[i].arg);
    p->current.count = 0;
    p->in_round = false;
}

/* Does what can be done now, and looks again soon while anything is left to do. */
static void go_on(struct publication *p)
{
    tell_all(p);
    begin_round(p);
    for (size_t i = 0; p->in_round && i < p->count; i++)
        ask(p, &p->members[i]);
    if (p->in_round && is_asked(p) && atomic_load(&p->left) == 0)
        end_round(p);
    if (!p->in_round && p->next.count > 0)
        loop_soon(p->loop, &p->soon);
    if (p->said_untold || p->in_round)
        timer_start(&p->retry, RETRY_MS);
    else
        timer_cancel(&p->retry);
}

static void on_soon(struct loop_task *t)
{
    go_on(CONTAINER_OF(t, struct publication, soon));
}

static void on_letter(void *arg)
{
    struct publication *p = arg;
    if (!p->closed)
        go_on(p);
    drop(p);
}

static void on_retry(struct timer *t)
{
    go_on(CONTAINER_OF(t, struct publication, retry));
}

/* ---- from outside ---- */

/* The table grows while half of it is still free, as the tables of the loop do. */
static void waits_push(struct waits *w, struct wait one)
{
    if (w->count >= w->cap / 2) {
        size_t cap = w->cap ? 2 * w->cap : WAITS_FIRST;
        struct wait *items = mem_realloc(w->items, cap * sizeof(*items));
        if (items) {
            w->items = items;
            w->cap = cap;
        }
    }
    MUST(w->count < w->cap);
    w->items[w->count++] = one;
}

void publication_after_turns(struct publication *p, void (*fn)(void *arg), void *arg)
{
    waits_push(&p->next, (struct wait){fn, arg});
    loop_soon(p->loop, &p->soon); /* never from inside this call */
}

void publication_put(struct publication *p, const struct snapshot *s)
{
    const struct snapshot *old = p->newest;
    p->newest = snapshot_hold(s);
    snapshot_drop(old);
    for (size_t i = 0; i < p->count; i++)
        p->members[i].told = false;
    tell_all(p);
    if (p->said_untold)
        timer_start(&p->retry, RETRY_MS);
}

const struct snapshot *publication_newest(const struct publication *p)
{
    return p->newest;
}

void publication_add(struct publication *p, void *worker)
{
    MUST(p->count < p->max);
    p->members[p->count++] = (struct member){.worker = worker, .told = !p->newest};
    tell_all(p);
    if (p->said_untold)
        timer_start(&p->retry, RETRY_MS);
}

void publication_clear(struct publication *p)
{
    p->count = 0;
    atomic_store(&p->left, 0);
    loop_soon(p->loop, &p->soon);
}

enum err publication_new(struct loop *l, const struct publication_ops *ops, size_t workers,
                         struct publication **ret)
{
    struct publication *p = mem_zalloc(sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    p->members = mem_array(workers + 1, sizeof(*p->members));
    p->current.items = mem_array(WAITS_FIRST, sizeof(struct wait));
    p->next.items = mem_array(WAITS_FIRST, sizeof(struct wait));
    p->current.cap = p->next.cap = WAITS_FIRST;
    atomic_init(&p->refs, 1);
    atomic_init(&p->left, 0);
    if (!p->members || !p->current.items || !p->next.items) {
        drop(p);
        return ERR_NOMEM;
    }
    p->loop = l;
    p->ops = *ops;
    p->max = workers;
    timer_init(&p->retry, l, on_retry);
    loop_task_init(&p->soon, on_soon);
    *ret = p;
    return ERR_OK;
}

void publication_free(struct publication *p)
{
    if (!p)
        return;
    timer_cancel(&p->retry);
    loop_task_cancel(&p->soon);
    p->closed = true;
    snapshot_drop(p->newest);
    p->newest = NULL;
    drop(p);
}
