/* lease_client — see the card. */
#include "common/scope/lease_client.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/scope/lease_client_private.h"

#define PATIENCE_US 2000000 /* a control plane that restarts is back within; longer: an outage */

/* Who was busy a moment ago will be so again, and then has no time to ask: an agent pauses to
 * think. */
#define FORGETS_IN_S 16

/* Nobody answers. Who has waited long enough hears it; the others may be lucky. */
static void lose_patience(void *arg, struct account *a)
{
    const uint64_t *now_us = arg;
    LIST_EACH(&a->waiting, it)
    {
        struct account_wait_ticket *t = LIST_ITEM(it, struct account_wait_ticket, link);
        if (*now_us - t->since_us < PATIENCE_US)
            continue;
        list_remove(&t->link);
        account_ticket_answer(t, ERR_TIMEOUT);
    }
}

static void on_ask_turn(void *arg)
{
    struct lease_client *d = arg;
    d->ask_scheduled = false;
    lease_ask(d);
}

void lease_client_ask_soon(struct lease_client *d)
{
    if (d->ask_scheduled)
        return;
    d->ask_scheduled = true;
    loop_retire(d->loop, on_ask_turn, d);
}

struct posted {
    struct lease_client *lease_client;
    struct account_wait_ticket *ticket;
};

static void on_posted(void *arg)
{
    struct posted *p = arg;
    struct lease_client *d = p->lease_client;
    p->ticket->since_us = clock_mono_us();
    list_push(&p->ticket->account->waiting, &p->ticket->link);
    mem_free(p);
    lease_client_ask_soon(d);
}

enum err lease_client_post(struct lease_client *d, struct account_wait_ticket *t)
{
    struct posted *p = mem_zalloc(sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    *p = (struct posted){.lease_client = d, .ticket = t};
    enum err e = loop_post(d->loop, on_posted, p);
    if (e != ERR_OK)
        mem_free(p);
    return e;
}

/* ---- the tick ---- */

static void measure_use(void *arg UNUSED, struct account *a)
{
    money used = atomic_load(&a->used);
    money fresh = used - a->used_before;
    a->used_before = used;
    if (fresh > a->used_per_s)
        a->used_per_s = a->used_per_s / 2 + fresh / 2;
    else
        a->used_per_s -= (a->used_per_s - fresh) / FORGETS_IN_S;
}

static void on_tick(struct timer *t)
{
    struct lease_client *d = CONTAINER_OF(t, struct lease_client, tick);
    if (++d->tick_count % DESK_TICKS_PER_S == 0)
        registry_each(d->registry, measure_use, NULL);
    LIST_EACH(&d->leases, it)
    lease_look_after(d, LIST_ITEM(it, struct lease, link));
    lease_ask(d);
    uint64_t now_us = clock_mono_us();
    registry_each(d->registry, lose_patience, &now_us);
    timer_start(&d->tick, DESK_TICK_MS);
}

static void forget_refusal(void *arg UNUSED, struct account *a)
{
    atomic_store(&a->refused_until_us, 0);
}

void lease_client_forget_refusals(struct lease_client *d)
{
    registry_each(d->registry, forget_refusal, NULL);
}

bool lease_client_end_all(struct lease_client *d)
{
    LIST_EACH(&d->leases, it)
    {
        lease_close(d, LIST_ITEM(it, struct lease, link));
        lease_look_after(d, LIST_ITEM(it, struct lease, link));
    }
    return list_empty(&d->leases);
}

size_t lease_client_leases(const struct lease_client *d)
{
    size_t n = 0;
    for (const struct list *it = d->leases.next; it != &d->leases; it = it->next)
        n++;
    return n;
}

enum err lease_client_new(struct loop *l, struct registry *r, const struct control_link *links,
                          struct lease_client **ret)
{
    struct lease_client *d = mem_zalloc(sizeof(*d));
    if (!d)
        return ERR_NOMEM;
    d->loop = l;
    d->registry = r;
    d->links = *links;
    list_init(&d->leases);
    timer_init(&d->tick, l, on_tick);
    timer_start(&d->tick, DESK_TICK_MS);
    registry_set_lease_client(r, d);
    *ret = d;
    return ERR_OK;
}

static void answer_waiting(struct account *a, enum err e)
{
    struct list *link;
    while ((link = list_take_first(&a->waiting)))
        account_ticket_answer(LIST_ITEM(link, struct account_wait_ticket, link), e);
}

static void end_waiting(void *arg UNUSED, struct account *a)
{
    answer_waiting(a, ERR_CLOSED);
    atomic_store(&a->current, NULL);
}

void lease_client_free(struct lease_client *d)
{
    if (!d)
        return;
    timer_cancel(&d->tick);
    registry_set_lease_client(d->registry, NULL);
    registry_each(d->registry, end_waiting, NULL);
    LIST_EACH(&d->leases, it)
    lease_free(LIST_ITEM(it, struct lease, link));
    mem_free(d);
}
