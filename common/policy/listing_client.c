/* listing_client — one request a second, and at most LIMIT_LIST_ORDERS orders. */
#include "common/policy/listing_client.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/policy/tool_part.h"
#include "proto/channel.pb-c.h"

#define ASK_MS 1000
#define ASK_REFUSED_MS 60000 /* a control plane that does not know the request */
#define POLICY_US 30000000u  /* an order whose server does not come: it was deleted again */
#define LIST_MS                                                                                    \
    (LIMIT_LIST_MS + 10000) /* it ends itself before; what began it may have been lost */
#define REPORT_TRIES 30     /* a second apart; the control plane orders it again after that */

static const struct log_ctx discovery_log = {.component = "discovery"};

enum hand { HAND_FREE, HAND_WAITS, HAND_LISTS, HAND_REPORTS };

/* One order, and what became of it. */
struct errand {
    struct listing_client *home;
    enum hand hand;
    struct tool_order order;
    uint64_t since_us;
    struct tool_list *list;
    size_t sent; /* tools whose part was taken */
    size_t part; /* tools of the part under way */
    bool last;   /* and it is the last one */
    unsigned tries;
    struct timer again;
};

struct listing_client {
    struct loop *loop;
    struct control_link links;
    struct listing_client_events events;
    const struct snapshot *policy; /* NULL: none yet */
    struct errand errands[LIMIT_LIST_ORDERS];
    char changed[LIMIT_LIST_CHANGED][ID_MAX];
    size_t changed_count, changed_told; /* told: in the request under way */
    struct timer ask;
    bool asking;
};

static struct errand *find_errand(struct listing_client *d, const char *server_id)
{
    for (size_t i = 0; i < LIMIT_LIST_ORDERS; i++)
        if (d->errands[i].hand != HAND_FREE &&
            strcmp(d->errands[i].order.server_id, server_id) == 0)
            return &d->errands[i];
    return NULL;
}

static void end_errand(struct errand *e)
{
    timer_cancel(&e->again);
    tool_list_free(e->list);
    e->list = NULL;
    e->hand = HAND_FREE;
}

/* ---- the report ---- */

static void send_part(struct errand *e);

static void on_again(struct timer *t)
{
    send_part(CONTAINER_OF(t, struct errand, again));
}

static void try_again(struct errand *e, const char *why)
{
    if (++e->tries <= REPORT_TRIES) {
        timer_start(&e->again, ASK_MS);
        return;
    }
    log_warn(&discovery_log, "report_given_up", "server=%s why=%s", e->order.name, why);
    end_errand(e);
}

static void on_taken(void *arg, enum err why, const void *reply)
{
    struct errand *e = arg;
    const Gatehouse__Reply *m = reply;
    if (why == ERR_OK && m && m->error && strcmp(m->error, "invalid") == 0) {
        log_error(&discovery_log, "report_refused", "server=%s", e->order.name);
        end_errand(e);
    } else if (why != ERR_OK || !m || m->error) {
        try_again(e, why != ERR_OK ? err_name(why) : m && m->error ? m->error : "no_answer");
    } else if (e->last) {
        end_errand(e);
    } else {
        e->sent += e->part;
        e->tries = 0;
        send_part(e);
    }
}

static void send_part(struct errand *e)
{
    struct listing_client *d = e->home;
    struct tool_part part;
    enum err why = tool_part_init(e->list, e->sent, &part);
    if (why == ERR_OK) {
        e->part = part.tools;
        e->last = part.last;
        why = d->links.request(d->links.arg, &part.request, on_taken, e);
    }
    tool_part_fini(&part);
    if (why != ERR_OK)
        try_again(e, err_name(why));
}

static void tell_found(const struct tool_list *l)
{
    if (l->error[0])
        log_warn(&discovery_log, "tools_not_listed", "server=%s why=%s", l->order.name, l->error);
    else
        log_info(&discovery_log, "tools_listed", "server=%s tools=%zu left_out=%zu", l->order.name,
                 l->count, l->left_out);
}

void listing_client_listed(struct listing_client *d, struct tool_list **list)
{
    struct tool_list *l = *list;
    struct errand *e = find_errand(d, l->order.server_id);
    *list = NULL;
    if (!e || e->hand != HAND_LISTS) {
        tool_list_free(l);
        return;
    }
    tell_found(l);
    e->list = l;
    e->hand = HAND_REPORTS;
    e->sent = 0;
    e->tries = 0;
    send_part(e);
}

/* It is not listed any more: there is no memory for it, or no worker. */
static void fail_errand(struct errand *e)
{
    struct tool_list *list = tool_list_new(&e->order);
    if (!list) {
        end_errand(e);
        return;
    }
    tool_list_fail(list, "the data plane could not do it");
    listing_client_listed(e->home, &list);
}

/* ---- orders ---- */

static bool knows_server(const struct listing_client *d, const struct tool_order *o)
{
    const struct policy_server *s =
        d->policy ? snapshot_server_named(d->policy, slice_str(o->org_id), slice_str(o->name))
                  : NULL;
    return s && slice_eq(s->o.id, slice_str(o->server_id)) && s->o.revision >= o->revision;
}

static void carry_out(struct listing_client *d)
{
    for (size_t i = 0; i < LIMIT_LIST_ORDERS; i++) {
        struct errand *e = &d->errands[i];
        uint64_t since_us = clock_mono_us() - e->since_us;
        if (e->hand == HAND_LISTS && since_us > d->events.list_ms * UINT64_C(1000))
            fail_errand(e);
        if (e->hand != HAND_WAITS)
            continue;
        if (knows_server(d, &e->order)) {
            e->hand = HAND_LISTS;
            e->since_us = clock_mono_us();
            d->events.list(d->events.arg, &e->order);
        } else if (since_us > POLICY_US) {
            end_errand(e);
        }
    }
}

static bool copy_text(char *to, size_t cap, const char *from)
{
    return from && snprintf(to, cap, "%s", from) < (int)cap;
}

static void take_order(struct listing_client *d, const Gatehouse__ListingOrder *m)
{
    struct errand *e = NULL;
    for (size_t i = 0; i < LIMIT_LIST_ORDERS && !e; i++)
        if (d->errands[i].hand == HAND_FREE)
            e = &d->errands[i];
    if (!e || !m->server_id || find_errand(d, m->server_id))
        return;
    struct tool_order *o = &e->order;
    *o = (struct tool_order){.revision = m->revision, .ask = m->ask};
    if (!copy_text(o->server_id, sizeof(o->server_id), m->server_id) ||
        !copy_text(o->org_id, sizeof(o->org_id), m->org_id) ||
        !copy_text(o->name, sizeof(o->name), m->name))
        return;
    e->since_us = clock_mono_us();
    e->hand = HAND_WAITS;
}

void listing_client_policy(struct listing_client *d, const struct snapshot *s)
{
    const struct snapshot *old = d->policy;
    d->policy = snapshot_hold(s);
    snapshot_drop(old);
    carry_out(d);
}

void listing_client_changed(struct listing_client *d, struct slice server_id)
{
    for (size_t i = 0; i < d->changed_count; i++)
        if (i >= d->changed_told && slice_eq(slice_str(d->changed[i]), server_id))
            return;
    if (d->changed_count == LIMIT_LIST_CHANGED || server_id.len >= ID_MAX)
        return; /* its time comes */
    snprintf(d->changed[d->changed_count++], ID_MAX, "%.*s", SLICE_ARG(server_id));
}

/* ---- the request ---- */

static void forget_told(struct listing_client *d)
{
    d->changed_count -= d->changed_told;
    memmove(d->changed[0], d->changed[d->changed_told], d->changed_count * sizeof(d->changed[0]));
    d->changed_told = 0;
}

static void on_orders(void *arg, enum err why, const void *reply)
{
    struct listing_client *d = arg;
    const Gatehouse__Reply *m = reply;
    bool answered = why == ERR_OK && m && !m->error;
    bool unknown = why == ERR_OK && m && m->error && strcmp(m->error, "invalid") == 0;
    d->asking = false;
    if (answered)
        forget_told(d);
    d->changed_told = 0;
    for (size_t i = 0; answered && m->listing && i < m->listing->n_orders; i++)
        take_order(d, m->listing->orders[i]);
    carry_out(d);
    timer_start(&d->ask, unknown ? ASK_REFUSED_MS : ASK_MS);
}

static enum err ask(struct listing_client *d)
{
    Gatehouse__ListingAsk body = GATEHOUSE__LISTING_ASK__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    char *changed[LIMIT_LIST_CHANGED], *holding[LIMIT_LIST_ORDERS];
    for (size_t i = 0; i < d->changed_count; i++)
        changed[i] = d->changed[i];
    for (size_t i = 0; i < LIMIT_LIST_ORDERS; i++)
        if (d->errands[i].hand != HAND_FREE)
            holding[body.n_holding++] = d->errands[i].order.server_id;
    d->changed_told = d->changed_count;
    body.changed = changed;
    body.n_changed = d->changed_count;
    body.holding = holding;
    body.has_room = true;
    body.room = (uint32_t)(LIMIT_LIST_ORDERS - body.n_holding);
    m.body_case = GATEHOUSE__REQUEST__BODY_LISTING;
    m.listing = &body;
    return d->links.request(d->links.arg, &m, on_orders, d);
}

static void on_ask(struct timer *t)
{
    struct listing_client *d = CONTAINER_OF(t, struct listing_client, ask);
    carry_out(d); /* some may have waited for too long */
    d->asking = d->links.is_connected(d->links.arg) && ask(d) == ERR_OK;
    if (!d->asking) {
        d->changed_told = 0;
        timer_start(t, ASK_MS);
    }
}

/* ---- birth ---- */

enum err listing_client_new(struct loop *l, const struct control_link *links,
                            const struct listing_client_events *events, struct listing_client **ret)
{
    struct listing_client *d = mem_zalloc(sizeof(*d));
    if (!d)
        return ERR_NOMEM;
    d->loop = l;
    d->links = *links;
    d->events = *events;
    if (d->events.list_ms == 0)
        d->events.list_ms = LIST_MS;
    for (size_t i = 0; i < LIMIT_LIST_ORDERS; i++) {
        d->errands[i].home = d;
        timer_init(&d->errands[i].again, l, on_again);
    }
    timer_init(&d->ask, l, on_ask);
    timer_start(&d->ask, ASK_MS);
    *ret = d;
    return ERR_OK;
}

void listing_client_free(struct listing_client *d)
{
    if (!d)
        return;
    timer_cancel(&d->ask);
    for (size_t i = 0; i < LIMIT_LIST_ORDERS; i++)
        end_errand(&d->errands[i]);
    snapshot_drop(d->policy);
    mem_free(d);
}
