/* fair_queue — a list of flows, each a list of waiters in their order. */
#include "common/scope/fair_queue.h"

#include "common/base/mem.h"

#define UNIT 1024u /* of virtual time: a cost of 1 at a weight of 1 */
#define NAME_MAX_LEN 64

struct fair_flow {
    struct list link; /* in the queue's flows, or spare */
    struct list waiters;
    size_t count;
    uint32_t weight;
    uint64_t start; /* virtual time of its next */
    size_t name_len;
    char name[NAME_MAX_LEN];
};

void fair_queue_init(struct fair_queue *q, size_t max)
{
    *q = (struct fair_queue){.max = max};
    list_init(&q->flows);
    list_init(&q->spare);
}

void fair_queue_fini(struct fair_queue *q)
{
    struct list *at;
    MUST(q->count == 0);
    while ((at = list_take_first(&q->spare)))
        mem_free(LIST_ITEM(at, struct fair_flow, link));
}

static struct fair_flow *find(const struct fair_queue *q, struct slice name)
{
    LIST_EACH(&q->flows, it)
    {
        struct fair_flow *f = LIST_ITEM(it, struct fair_flow, link);
        if (slice_eq(slice_of(f->name, f->name_len), name))
            return f;
    }
    return NULL;
}

static struct fair_flow *flow_for(struct fair_queue *q, struct slice name)
{
    name = slice_first(name, NAME_MAX_LEN);
    struct fair_flow *f = find(q, name);
    if (f)
        return f;
    struct list *at = list_take_first(&q->spare);
    f = at ? LIST_ITEM(at, struct fair_flow, link) : mem_alloc(sizeof(*f));
    if (!f)
        return NULL;
    *f = (struct fair_flow){.start = q->virtual_time, .name_len = name.len};
    if (name.len)
        memcpy(f->name, name.ptr, name.len);
    list_init(&f->link);
    list_init(&f->waiters);
    list_push(&q->flows, &f->link);
    return f;
}

/* A flow without waiters is forgotten: it owes nothing that is worth remembering. */
static void settle(struct fair_queue *q, struct fair_flow *f)
{
    if (f->count)
        return;
    list_remove(&f->link);
    list_push_first(&q->spare, &f->link);
}

void fair_queue_remove(struct fair_queue *q, struct fair_waiter *w)
{
    struct fair_flow *f = w->flow;
    if (!f)
        return;
    w->flow = NULL;
    list_remove(&w->link);
    f->count--;
    q->count--;
    settle(q, f);
}

static bool is_before(const struct fair_waiter *a, const struct fair_waiter *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->deadline_us < b->deadline_us;
}

/* Behind all that are not after it; most come last. */
static void insert(struct fair_flow *f, struct fair_waiter *w)
{
    struct list *at = f->waiters.prev;
    while (at != &f->waiters && is_before(w, LIST_ITEM(at, struct fair_waiter, link)))
        at = at->prev;
    list_push_first(at, &w->link); /* right behind `at` */
}

/* f has more waiters for its weight than g. */
static bool has_more(const struct fair_flow *f, const struct fair_flow *g)
{
    return (uint64_t)f->count * g->weight > (uint64_t)g->count * f->weight;
}

static struct fair_flow *largest(const struct fair_queue *q)
{
    struct fair_flow *most = NULL;
    LIST_EACH(&q->flows, it)
    {
        struct fair_flow *f = LIST_ITEM(it, struct fair_flow, link);
        if (!most || has_more(f, most))
            most = f;
    }
    return most;
}

enum err fair_queue_add(struct fair_queue *q, struct fair_waiter *w, struct slice name,
                        uint32_t weight, struct fair_waiter **evicted)
{
    struct fair_flow *f = flow_for(q, name);
    *evicted = NULL;
    if (!f)
        return ERR_NOMEM;
    f->weight = weight ? weight : 1;
    if (f->start < q->virtual_time)
        f->start = q->virtual_time;
    list_init(&w->link);
    insert(f, w);
    w->flow = f;
    f->count++;
    q->count++;
    if (q->count <= q->max)
        return ERR_OK;
    struct fair_flow *most = largest(q);
    struct fair_waiter *last = LIST_ITEM(most->waiters.prev, struct fair_waiter, link);
    fair_queue_remove(q, last);
    if (last == w)
        return ERR_EXHAUSTED;
    *evicted = last;
    return ERR_OK;
}

struct fair_waiter *fair_queue_first(const struct fair_queue *q)
{
    struct fair_flow *next = NULL;
    LIST_EACH(&q->flows, it)
    {
        struct fair_flow *f = LIST_ITEM(it, struct fair_flow, link);
        if (!next || f->start < next->start)
            next = f;
    }
    return next ? LIST_ITEM(next->waiters.next, struct fair_waiter, link) : NULL;
}

void fair_queue_serve(struct fair_queue *q, struct fair_waiter *w)
{
    struct fair_flow *f = w->flow;
    uint64_t cost = w->cost ? w->cost : 1;
    q->virtual_time = f->start;
    f->start += cost > UINT64_MAX / UNIT / 2 ? UINT64_MAX / 4 : (cost * UNIT) / f->weight + 1;
    fair_queue_remove(q, w);
}

struct fair_waiter *fair_queue_expired(const struct fair_queue *q, uint64_t now_us)
{
    LIST_EACH(&q->flows, it)
    {
        const struct fair_flow *f = LIST_ITEM(it, struct fair_flow, link);
        LIST_EACH(&f->waiters, w)
        if (LIST_ITEM(w, struct fair_waiter, link)->deadline_us <= now_us)
            return LIST_ITEM(w, struct fair_waiter, link);
    }
    return NULL;
}
