/* ledger_kit — messages in, messages out; between them common/ledger. */
#include "tests/kit/ledger/ledger_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/scope/lease_client.h"
#include "proto/channel.pb-c.h"
#include "tests/kit/spared.h"

#define ASKS_MAX 64
#define SILENT_MS 20

int64_t ledger_kit_now(const struct ledger_kit *k)
{
    return k->wall_us ? k->wall_us : clock_wall_us();
}

void ledger_kit_open(struct ledger_kit *k, struct loop *loop)
{
    *k = (struct ledger_kit){.loop = loop};
    for (size_t i = 0; i < LEDGER_KIT_PLANES; i++) {
        struct ledger_kit_plane *p = &k->planes[i];
        p->kit = k;
        p->epoch = 1;
        snprintf(p->name, sizeof(p->name), "dp_%zu", i);
    }
}

void ledger_kit_close(struct ledger_kit *k)
{
    ledger_sheet_fini(&k->sheet);
}

/* ---- budgets and accounts ---- */

static struct ledger_budget *budget_of(struct ledger_kit *k, struct slice account)
{
    for (size_t i = 0; i < k->budget_count; i++)
        if (slice_eq(slice_str(k->budgets[i].account), account))
            return &k->budgets[i];
    return NULL;
}

void ledger_kit_budget(struct ledger_kit *k, const char *account, money limit, enum period period)
{
    struct ledger_budget *b = budget_of(k, slice_str(account));
    if (!b) {
        assert_true(k->budget_count < LEDGER_KIT_BUDGETS);
        b = &k->budgets[k->budget_count++];
        snprintf(b->account, sizeof(b->account), "%s", account);
        b->reserve = true;
    }
    b->limit = limit;
    b->period = period;
}

void ledger_kit_on_disconnect(struct ledger_kit *k, const char *account, bool reserve)
{
    budget_of(k, slice_str(account))->reserve = reserve;
}

static struct ledger_account *account_of(struct ledger_kit *k, struct slice account)
{
    SPARED;
    const struct ledger_budget *b = budget_of(k, account);
    int64_t start = b ? period_start(b->period, ledger_kit_now(k)) : 0;
    struct ledger_account *a = ledger_sheet_account(&k->sheet, account, start);
    if (!a)
        a = ledger_sheet_add_account(&k->sheet, account, start);
    assert_non_null(a);
    return a;
}

struct ledger_account *ledger_kit_account(struct ledger_kit *k, const char *account)
{
    return account_of(k, slice_str(account));
}

money ledger_kit_taken(struct ledger_kit *k, const char *account)
{
    const struct ledger_account *a = ledger_kit_account(k, account);
    return a->spent + a->leased + a->suspense;
}

void ledger_kit_charge(struct ledger_kit *k, size_t plane, struct slice account, struct slice lease,
                       money amount)
{
    struct ledger_lease *l = ledger_sheet_lease(&k->sheet, lease);
    if (l && strcmp(l->dataplane, k->planes[plane].name) == 0)
        ledger_charge(l, amount);
    else
        ledger_charge_bare(account_of(k, account), amount);
}

void ledger_kit_expire(struct ledger_kit *k)
{
    for (size_t i = 0; i < k->sheet.lease_count; i++)
        if (k->sheet.leases[i]->state == LEDGER_OPEN &&
            k->sheet.leases[i]->expires_at <= ledger_kit_now(k))
            ledger_expire(k->sheet.leases[i]);
}

/* ---- recalls ---- */

struct recall {
    struct ledger_kit_plane *plane;
    char account[LEDGER_ACCOUNT_MAX];
    money short_of;
};

static void deliver_recall(void *arg)
{
    struct recall *r = arg;
    if (r->plane->client && !r->plane->away)
        lease_client_recall(r->plane->client, slice_str(r->account), r->short_of);
    mem_free(r);
}

static void recall_from(struct ledger_kit *k, const char *plane, const struct ledger_account *a,
                        money short_of)
{
    SPARED;
    for (size_t i = 0; i < LEDGER_KIT_PLANES; i++) {
        if (strcmp(k->planes[i].name, plane) != 0)
            continue;
        struct recall *r = mem_zalloc(sizeof(*r));
        assert_non_null(r);
        *r = (struct recall){.plane = &k->planes[i], .short_of = short_of};
        snprintf(r->account, sizeof(r->account), "%s", a->name);
        assert_int_equal(loop_post(k->loop, deliver_recall, r), ERR_OK);
    }
}

/* ---- requests ---- */

struct pending_reply {
    struct ledger_kit *kit;
    uint64_t number;
    bool lost;
    void (*done)(void *arg, enum err e, const void *reply);
    void *arg;
    Gatehouse__Reply reply;
    Gatehouse__LeaseReply lease;
    Gatehouse__LeaseGrant grants[ASKS_MAX], *pointers[ASKS_MAX];
    struct ledger_reply decided[ASKS_MAX];
    struct timer later;
};

static void deliver(void *arg)
{
    struct pending_reply *p = arg;
    p->kit->pending--;
    p->done(p->arg, p->lost ? ERR_TIMEOUT : ERR_OK, p->lost ? NULL : &p->reply);
    mem_free(p);
}

static void on_later(struct timer *t)
{
    struct pending_reply *p = CONTAINER_OF(t, struct pending_reply, later);
    if (p->kit->silent)
        timer_start(t, SILENT_MS);
    else
        deliver(p);
}

static void decide(struct ledger_kit_plane *plane, struct pending_reply *p, size_t i,
                   const Gatehouse__LeaseAsk *m)
{
    struct ledger_kit *k = plane->kit;
    const struct ledger_asker asker = {.dataplane = slice_str(plane->name),
                                       .org = SLICE("org"),
                                       .epoch = plane->epoch,
                                       .number = p->number};
    const struct ledger_ask ask = ledger_ask_read(m, i);
    const struct ledger_budget *b = budget_of(k, ask.account);
    bool known = b && b->limit >= 0;
    k->asks++;
    k->wanted = ask.want;
    if (known) {
        struct ledger_account *a = account_of(k, ask.account);
        assert_int_equal(ledger_decide(&k->sheet, &asker, &ask, b, ledger_kit_now(k), k->reserve_us,
                                       &p->decided[i]),
                         ERR_OK);
        const char *planes[LEDGER_KIT_PLANES];
        size_t n =
            p->decided[i].short_of > 0 ? ledger_holders(a, &asker, planes, LEDGER_KIT_PLANES) : 0;
        for (size_t h = 0; h < n; h++)
            recall_from(k, planes[h], a, p->decided[i].short_of);
    }
    k->refusals += ask.need > 0 && p->decided[i].granted == 0;
    gatehouse__lease_grant__init(&p->grants[i]);
    ledger_reply_write(known ? &p->decided[i] : NULL, &ask, &p->grants[i]);
    p->grants[i].account = m->account;
    p->pointers[i] = &p->grants[i];
}

static void reply_to_lease(struct ledger_kit_plane *plane, struct pending_reply *p,
                           const Gatehouse__LeaseRequest *q)
{
    assert_true(q->n_asks <= ASKS_MAX);
    gatehouse__lease_reply__init(&p->lease);
    for (size_t i = 0; i < q->n_asks; i++)
        decide(plane, p, i, q->asks[i]);
    p->lease.n_grants = q->n_asks;
    p->lease.grants = p->pointers;
    p->reply.body_case = GATEHOUSE__REPLY__BODY_LEASE;
    p->reply.lease = &p->lease;
}

static void reply_to_end(struct ledger_kit_plane *plane, const Gatehouse__LeaseEndRequest *q)
{
    for (size_t i = 0; i < q->n_ends; i++) {
        struct ledger_lease *l =
            ledger_sheet_lease(&plane->kit->sheet, slice_str(q->ends[i]->lease_id));
        plane->kit->ends++;
        if (l && strcmp(l->dataplane, plane->name) == 0)
            ledger_end(l, q->ends[i]->settled_nano);
    }
}

static void reply_to(struct ledger_kit_plane *plane, struct pending_reply *p,
                     const Gatehouse__Request *m)
{
    static char away[] = "database";
    if (plane->kit->database_away)
        p->reply.error = away;
    else if (m->body_case == GATEHOUSE__REQUEST__BODY_LEASE)
        reply_to_lease(plane, p, m->lease);
    else if (m->body_case == GATEHOUSE__REQUEST__BODY_LEASE_END)
        reply_to_end(plane, m->lease_end);
}

static enum err request(void *arg, void *message,
                        void (*done)(void *done_arg, enum err e, const void *reply), void *done_arg)
{
    SPARED;
    struct ledger_kit_plane *plane = arg;
    if (plane->away)
        return ERR_CLOSED;
    struct pending_reply *p = mem_zalloc(sizeof(*p));
    assert_non_null(p);
    gatehouse__reply__init(&p->reply);
    p->kit = plane->kit;
    p->done = done;
    p->arg = done_arg;
    Gatehouse__Request *m = message;
    if (!m->has_number)
        m->number = ++plane->number;
    p->number = m->number;
    p->lost = plane->kit->losing > 0;
    plane->kit->losing -= p->lost;
    plane->kit->requests++;
    plane->kit->pending++;
    reply_to(plane, p, m);
    timer_init(&p->later, plane->kit->loop, on_later);
    if (plane->kit->silent)
        timer_start(&p->later, SILENT_MS);
    else
        assert_int_equal(loop_post(plane->kit->loop, deliver, p), ERR_OK);
    return ERR_OK;
}

static bool is_connected(void *arg)
{
    return !((struct ledger_kit_plane *)arg)->away;
}

struct later_call {
    struct ledger_kit *kit;
    void (*fn)(void *arg);
    void *arg;
};

static void call_later(void *arg)
{
    struct later_call c = *(struct later_call *)arg;
    mem_free(arg);
    c.kit->pending--;
    c.fn(c.arg);
}

static void after_turns(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
    SPARED;
    struct ledger_kit *kit = ((struct ledger_kit_plane *)arg)->kit;
    struct later_call *c = mem_zalloc(sizeof(*c));
    assert_non_null(c);
    *c = (struct later_call){.kit = kit, .fn = fn, .arg = fn_arg};
    kit->pending++;
    assert_int_equal(loop_post(kit->loop, call_later, c), ERR_OK);
}

struct control_link ledger_kit_link(struct ledger_kit *k, size_t plane)
{
    return (struct control_link){.request = request,
                                 .is_connected = is_connected,
                                 .after_turns = after_turns,
                                 .arg = &k->planes[plane]};
}

void ledger_kit_join(struct ledger_kit *k, size_t plane, struct lease_client *client)
{
    k->planes[plane].client = client;
}
