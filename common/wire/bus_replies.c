/* bus_replies — lists, newest last; they are short, since planes acknowledge what they have
 * received. */
#include "common/wire/bus_replies.h"

#include "common/base/mem.h"

struct kept_reply {
    struct list link; /* life.replies, by number as they came */
    uint64_t number;
    bool done;
    bool lost;    /* its content was given up */
    void *waiter; /* the context that received it again while it was run */
    struct buf content;
};

static void kept_reply_free(struct bus_replies *a, struct kept_reply *it)
{
    a->kept -= it->content.len;
    list_remove(&it->link);
    buf_fini(&it->content);
    mem_free(it);
}

static void forget(struct bus_replies *a, struct bus_life *life)
{
    LIST_EACH(&life->replies, it)
    {
        kept_reply_free(a, LIST_ITEM(it, struct kept_reply, link));
    }
}

void bus_replies_init(struct bus_replies *a)
{
    *a = (struct bus_replies){0};
    for (size_t i = 0; i < ARRAY_LEN(a->lives); i++)
        list_init(&a->lives[i].replies);
}

void bus_replies_fini(struct bus_replies *a)
{
    for (size_t i = 0; i < ARRAY_LEN(a->lives); i++)
        forget(a, &a->lives[i]);
}

static struct bus_life *find_life(struct bus_replies *a, uint64_t epoch)
{
    for (size_t i = 0; i < ARRAY_LEN(a->lives); i++)
        if (a->lives[i].epoch == epoch)
            return &a->lives[i];
    return NULL;
}

/* The life that was silent for longest is replaced, unless a request of it is still run. NULL: that
 * holds for all of them. */
static struct bus_life *begin_life(struct bus_replies *a, uint64_t epoch)
{
    struct bus_life *life = NULL;
    for (size_t i = 0; i < ARRAY_LEN(a->lives); i++)
        if (a->lives[i].running == 0 && (!life || a->lives[i].seen < life->seen))
            life = &a->lives[i];
    if (!life)
        return NULL;
    forget(a, life);
    life->epoch = epoch;
    life->floor = 1;
    return life;
}

static struct kept_reply *find_reply(const struct bus_life *life, uint64_t number)
{
    for (struct list *it = life->replies.prev; it != &life->replies; it = it->prev)
        if (LIST_ITEM(it, struct kept_reply, link)->number == number)
            return LIST_ITEM(it, struct kept_reply, link);
    return NULL;
}

static void raise_floor(struct bus_replies *a, struct bus_life *life, uint64_t floor)
{
    if (floor <= life->floor)
        return;
    life->floor = floor;
    LIST_EACH(&life->replies, link)
    {
        struct kept_reply *it = LIST_ITEM(link, struct kept_reply, link);
        if (it->done && it->number < floor)
            kept_reply_free(a, it);
    }
}

static enum bus_verdict asked_again(struct kept_reply *it, void *waiter, struct slice *content,
                                    void **displaced)
{
    if (!it->done) {
        *displaced = it->waiter;
        it->waiter = waiter;
        return BUS_WAIT;
    }
    *content = buf_slice(&it->content);
    return it->lost ? BUS_LOST : BUS_REPEAT;
}

enum err bus_replies_ask(struct bus_replies *a, const struct bus_request_head *h, void *waiter,
                         enum bus_verdict *ret, struct slice *content, void **displaced)
{
    *displaced = NULL;
    *ret = BUS_STALE;
    if (h->epoch == 0)
        return ERR_OK;
    struct bus_life *life = find_life(a, h->epoch);
    if (!life)
        life = begin_life(a, h->epoch);
    if (!life)
        return ERR_OK;
    life->seen = ++a->asks;
    raise_floor(a, life, h->oldest);
    if (h->number < life->floor || h->number - life->floor >= BUS_SPAN)
        return ERR_OK;
    struct kept_reply *it = find_reply(life, h->number);
    if (it) {
        *ret = asked_again(it, waiter, content, displaced);
        return ERR_OK;
    }
    it = mem_zalloc(sizeof(*it));
    if (!it)
        return ERR_NOMEM;
    it->number = h->number;
    buf_init(&it->content, LIMIT_BUS_MESSAGE);
    list_push(&life->replies, &it->link);
    life->running++;
    *ret = BUS_RUN;
    return ERR_OK;
}

/* The oldest replies of the life that was silent for longest go first; `last` was just given. */
static void give_up_old(struct bus_replies *a, const struct kept_reply *last)
{
    while (a->kept > LIMIT_BUS_KEPT) {
        struct kept_reply *oldest = NULL;
        uint64_t seen = UINT64_MAX;
        for (size_t i = 0; i < ARRAY_LEN(a->lives); i++)
            LIST_EACH(&a->lives[i].replies, link)
            {
                struct kept_reply *it = LIST_ITEM(link, struct kept_reply, link);
                if (it == last || it->content.len == 0 || a->lives[i].seen >= seen)
                    continue;
                oldest = it;
                seen = a->lives[i].seen;
            }
        if (!oldest)
            return;
        a->kept -= oldest->content.len;
        buf_fini(&oldest->content);
        oldest->lost = true;
    }
}

void *bus_replies_give(struct bus_replies *a, uint64_t epoch, uint64_t number, struct buf *reply,
                       struct slice *ret)
{
    struct bus_life *life = find_life(a, epoch);
    struct kept_reply *it = life ? find_reply(life, number) : NULL;
    MUST(it && !it->done); /* a life with a running request is never dropped */
    void *waiter = it->waiter;
    it->waiter = NULL;
    it->done = true;
    life->running--;
    it->content = *reply;
    buf_init(reply, reply->max);
    a->kept += it->content.len;
    give_up_old(a, it);
    *ret = buf_slice(&it->content);
    return waiter;
}
