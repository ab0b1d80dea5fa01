/* pacer — lines by name, each with a queue and a timer. An empty line is kept while there are few.
 */
#include "common/scope/pacer.h"

#include "common/base/limits.h"
#include "common/base/mem.h"

#define US_PER_MS 1000u
#define NAME_MAX_LEN 96
#define LINES_KEPT 64
/* A wait may end early: tokens are handed back, a share grows, the policy changes. */
#define ASK_AGAIN_MS 100

struct pace_line {
    struct list link;
    struct fair_queue queue;
    struct timer timer;
    struct loop *loop;
    bool is_running; /* its timer's callback is on the stack */
    size_t name_len;
    char name[NAME_MAX_LEN];
};

void pacer_init(struct pacer *p)
{
    list_init(&p->lines);
}

static void free_line(struct pace_line *l)
{
    timer_cancel(&l->timer);
    fair_queue_fini(&l->queue);
    list_remove(&l->link);
    mem_free(l);
}

void pacer_fini(struct pacer *p)
{
    while (!list_empty(&p->lines))
        free_line(LIST_ITEM(p->lines.next, struct pace_line, link));
}

static struct pace_line *find(const struct pacer *p, struct slice name)
{
    name = slice_first(name, NAME_MAX_LEN);
    LIST_EACH(&p->lines, it)
    {
        struct pace_line *l = LIST_ITEM(it, struct pace_line, link);
        if (slice_eq(slice_of(l->name, l->name_len), name))
            return l;
    }
    return NULL;
}

/* ---- a turn of a line ---- */

static void leave(struct pace_wait *w)
{
    struct pace_line *l = w->line;
    fair_queue_remove(&l->queue, &w->waiter);
    w->line = NULL;
    if (!l->queue.count) /* the loop may go before the pacer does */
        timer_cancel(&l->timer);
}

/* The owner may do anything in it, also wait again. */
static void tell(struct pace_wait *w, enum err e)
{
    if (w->line)
        leave(w);
    w->done(w, e);
}

static struct pace_wait *wait_of(struct fair_waiter *w)
{
    return w ? CONTAINER_OF(w, struct pace_wait, waiter) : NULL;
}

/* One goes. false: the first may not yet, or none waits. */
static bool let_one_go(struct pace_line *l, uint64_t now_us, uint64_t *wait_us)
{
    struct pace_wait *first = wait_of(fair_queue_first(&l->queue));
    *wait_us = 0;
    if (!first || first->try(first, now_us, wait_us))
        return false;
    fair_queue_serve(&l->queue, &first->waiter);
    first->line = NULL;
    tell(first, ERR_OK);
    return true;
}

static void run(struct timer *t)
{
    struct pace_line *l = CONTAINER_OF(t, struct pace_line, timer);
    uint64_t now_us = loop_now_us(l->loop), wait_us;
    struct pace_wait *late;
    l->is_running = true;
    while ((late = wait_of(fair_queue_expired(&l->queue, now_us))))
        tell(late, ERR_TIMEOUT);
    while (let_one_go(l, now_us, &wait_us))
        ;
    l->is_running = false;
    if (!l->queue.count) {
        timer_cancel(&l->timer);
        return;
    }
    uint64_t ms = (wait_us + US_PER_MS - 1) / US_PER_MS;
    timer_start(&l->timer, ms < ASK_AGAIN_MS ? ms : ASK_AGAIN_MS);
}

/* ---- in and out ---- */

static void forget_empty(struct pacer *p)
{
    size_t kept = 0;
    LIST_EACH(&p->lines, it)
    {
        struct pace_line *l = LIST_ITEM(it, struct pace_line, link);
        if (++kept > LINES_KEPT && !l->queue.count && !l->is_running)
            free_line(l);
    }
}

static struct pace_line *line_for(struct pacer *p, struct loop *loop, struct slice name)
{
    struct pace_line *l = find(p, name);
    if (l)
        return l;
    forget_empty(p);
    if (!(l = mem_zalloc(sizeof(*l))))
        return NULL;
    name = slice_first(name, NAME_MAX_LEN);
    l->name_len = name.len;
    if (name.len)
        memcpy(l->name, name.ptr, name.len);
    l->loop = loop;
    timer_init(&l->timer, loop, run);
    fair_queue_init(&l->queue, LIMIT_PACE_WAITING);
    list_init(&l->link);
    list_push_first(&p->lines, &l->link);
    return l;
}

enum err pacer_wait(struct pacer *p, struct loop *loop, struct slice name, struct slice flow,
                    uint32_t weight, struct pace_wait *w)
{
    struct fair_waiter *evicted;
    struct pace_line *l = line_for(p, loop, name);
    if (!l)
        return ERR_NOMEM;
    enum err e = fair_queue_add(&l->queue, &w->waiter, flow, weight, &evicted);
    if (e)
        return e;
    w->line = l;
    if (!timer_is_running(&l->timer))
        timer_start(&l->timer, 0);
    if (evicted)
        tell(wait_of(evicted), ERR_EXHAUSTED);
    return ERR_OK;
}

void pacer_leave(struct pace_wait *w)
{
    if (w->line)
        leave(w);
}

size_t pacer_waiting(const struct pacer *p, struct slice name)
{
    const struct pace_line *l = find(p, name);
    return l ? l->queue.count : 0;
}
