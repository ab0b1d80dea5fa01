/* kept_asker — one message there, and one back. */
#include "dataplane/kept_asker.h"

#include "common/base/mem.h"
#include "dataplane/worker.h"

struct question {
    struct kept_asker *home;
    struct kept_list *list;
};

/* The worker's thread. */
static void hand_over(void *arg)
{
    struct kept_list *list = arg;
    list->done(list);
}

static void bring(void *arg);

/* Of a worker that has ended no call is left that it could be for. One whose mailbox is full gets
 * it a turn later. */
static void on_found(void *arg, struct kept_list *list)
{
    struct kept_asker *a = arg;
    if (list->worker >= *a->worker_count) {
        mem_free(list);
        return;
    }
    if (worker_after_turn((*a->workers)[list->worker], hand_over, list) == ERR_OK)
        return;
    struct question *q = mem_alloc(sizeof(*q));
    if (q)
        *q = (struct question){a, list};
    if (!q || loop_post(a->loop, bring, q) != ERR_OK)
        mem_free(q); /* without memory for a message the list is lost: its call ends by its time */
}

static void bring(void *arg)
{
    struct question q = *(struct question *)arg;
    mem_free(arg);
    on_found(q.home, q.list);
}

static void ask(void *arg)
{
    struct question q = *(struct question *)arg;
    mem_free(arg);
    if (*q.home->plane) {
        plane_ask_kept(*q.home->plane, q.list, on_found, q.home);
        return;
    }
    q.list->error = ERR_CLOSED;
    on_found(q.home, q.list);
}

void kept_asker_ask(void *arg, struct kept_list *list)
{
    struct question *q = mem_alloc(sizeof(*q));
    if (q)
        *q = (struct question){arg, list};
    if (q && loop_post(q->home->loop, ask, q) == ERR_OK)
        return;
    mem_free(q);
    list->error = ERR_CLOSED;
    list->count = 0;
    list->done(list);
}
