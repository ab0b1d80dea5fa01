/* loop_timer — all deadlines of a loop in one binary heap under one libuv timer. */
#include "common/base/mem.h"
#include "common/net/loop_private.h"

#define HEAP_FIRST 256u
#define NOT_RUNNING SIZE_MAX
#define NO_ALARM UINT64_MAX
#define US_PER_MS 1000u

enum err loop_heap_reserve(struct loop_heap *h)
{
    if (h->count < h->cap / 2)
        return ERR_OK;
    size_t cap = h->cap ? h->cap * 2 : HEAP_FIRST;
    struct loop_heap_item *items = mem_realloc(h->items, cap * sizeof(*items));
    if (items) {
        h->items = items;
        h->cap = cap;
    }
    return h->count < h->cap ? ERR_OK : ERR_NOMEM;
}

static void place(struct loop_heap *h, size_t slot, struct loop_heap_item item)
{
    h->items[slot] = item;
    item.timer->slot = slot;
}

static void sift_up(struct loop_heap *h, size_t slot)
{
    struct loop_heap_item item = h->items[slot];
    while (slot > 0 && h->items[(slot - 1) / 2].key_us > item.key_us) {
        place(h, slot, h->items[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    place(h, slot, item);
}

static void sift_down(struct loop_heap *h, size_t slot)
{
    struct loop_heap_item item = h->items[slot];
    for (;;) {
        size_t child = 2 * slot + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->items[child + 1].key_us < h->items[child].key_us)
            child++;
        if (h->items[child].key_us >= item.key_us)
            break;
        place(h, slot, h->items[child]);
        slot = child;
    }
    place(h, slot, item);
}

static void heap_remove(struct loop_heap *h, size_t slot)
{
    h->items[slot].timer->slot = NOT_RUNNING;
    h->count--;
    if (slot == h->count)
        return;
    struct loop_heap_item last = h->items[h->count];
    place(h, slot, last);
    sift_up(h, slot);
    sift_down(h, last.timer->slot);
}

static void on_alarm(uv_timer_t *h);

/* A libuv timer that fires too early only looks at the heap and is set again: cheaper than moving
 * it each time. */
static void set_alarm(struct loop *l, uint64_t at_us)
{
    if (at_us >= l->alarm_us)
        return;
    uint64_t now = loop_now_us(l);
    uint64_t wait = at_us > now ? at_us - now : 0;
    l->alarm_us = at_us;
    uv_timer_start(&l->alarm, on_alarm, (wait + US_PER_MS - 1) / US_PER_MS, 0);
}

static void on_alarm(uv_timer_t *a)
{
    struct loop *l = a->data;
    struct loop_heap *h = &l->heap;
    l->alarm_us = NO_ALARM;
    l->now->fresh = false;
    uint64_t now = loop_now_us(l);
    while (h->count > 0 && h->items[0].key_us <= now) {
        struct timer *t = h->items[0].timer;
        if (t->at_us > h->items[0].key_us) { /* it was moved away since */
            h->items[0].key_us = t->at_us;
            sift_down(h, 0);
            continue;
        }
        heap_remove(h, 0);
        t->fire(t);
    }
    if (h->count > 0)
        set_alarm(l, h->items[0].key_us);
}

enum err loop_timers_init(struct loop *l)
{
    l->alarm_us = NO_ALARM;
    l->alarm.data = l;
    return uv_timer_init(&l->uv, &l->alarm) ? ERR_IO : ERR_OK;
}

void loop_timers_fini(struct loop *l)
{
    MUST(l->heap.count == 0); /* a timer whose owner forgot it would fire into freed memory */
    uv_close((uv_handle_t *)&l->alarm, NULL);
}

void timer_init(struct timer *t, struct loop *l, void (*fire)(struct timer *t))
{
    *t = (struct timer){.loop = l, .fire = fire, .slot = NOT_RUNNING};
}

void timer_start(struct timer *t, uint64_t after_ms)
{
    struct loop *l = t->loop;
    struct loop_heap *h = &l->heap;
    /* at least one tick: a timer that starts itself again with 0 must not hold the turn */
    uint64_t at = loop_now_us(l) + (after_ms ? after_ms * US_PER_MS : 1);
    t->at_us = at;
    if (t->slot == NOT_RUNNING) {
        MUST(loop_heap_reserve(h) == ERR_OK);
        h->items[h->count] = (struct loop_heap_item){at, t};
        t->slot = h->count++;
        sift_up(h, t->slot);
    } else if (at < h->items[t->slot].key_us) {
        h->items[t->slot].key_us = at;
        sift_up(h, t->slot);
    }
    set_alarm(l, at);
}

void timer_cancel(struct timer *t)
{
    if (t->slot != NOT_RUNNING)
        heap_remove(&t->loop->heap, t->slot);
}

bool timer_is_running(const struct timer *t)
{
    return t->slot != NOT_RUNNING;
}
