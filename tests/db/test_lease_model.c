/*
 * lease_server by a model: planes request, spend, ship, repeat requests, become silent, are killed
 * and return, in random order. After each step the ledger must balance, and what planes have
 * spent or may still spend must be within the limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "controlplane/ingest/ingest.h"
#include "tests/kit/db/base.h"
#include "tests/kit/db/lease_model.h"

#define PLANES 4
#define LEASES 400
#define JOURNAL 3000
#define STEPS 1500

struct model_lease {
    char id[ID_MAX];
    unsigned plane;
    uint64_t epoch;
    money left;    /* its plane may still spend */
    money charged; /* on its plane, shipped or not */
    bool held;     /* its plane has it */
};

struct model_charge {
    unsigned lease;
    money amount;
};

/* one journal: a plane's epoch */
struct journal {
    struct model_charge charges[JOURNAL];
    size_t count;
    size_t committed; /* as the control plane has said */
};

struct model_plane {
    char name[8];
    uint64_t epoch;
    struct journal *journals[64]; /* by epoch */
    bool finished[64];
};

static struct model {
    unsigned seed;
    struct model_plane planes[PLANES];
    struct model_lease leases[LEASES];
    size_t lease_count;
    money limit;
} model;

static unsigned roll(unsigned below)
{
    return (unsigned)rand_r(&model.seed) % below;
}

static struct journal *journal_of(struct model_plane *p, uint64_t epoch)
{
    assert_true(epoch < 64);
    if (!p->journals[epoch])
        p->journals[epoch] = calloc(1, sizeof(struct journal));
    return p->journals[epoch];
}

static struct model_lease *any_held(unsigned plane)
{
    size_t start = model.lease_count ? roll((unsigned)model.lease_count) : 0;
    for (size_t i = 0; i < model.lease_count; i++) {
        struct model_lease *l = &model.leases[(start + i) % model.lease_count];
        if (l->held && l->plane == plane)
            return l;
    }
    return NULL;
}

static void step_ask(unsigned plane)
{
    struct model_plane *p = &model.planes[plane];
    if (model.lease_count == LEASES)
        return;
    uint64_t n = next_number++;
    money want = 1 + (money)roll(3000);
    struct grant g = ask_as(p->name, p->epoch, n, ACCOUNT, want, NULL);
    if (roll(3) == 0) { /* the reply was lost: the request is repeated */
        struct grant again = ask_as(p->name, p->epoch, n, ACCOUNT, want, NULL);
        assert_string_equal(again.lease, g.lease);
        assert_int_equal(again.granted, g.granted);
    }
    if (!g.lease[0])
        return;
    struct model_lease *l = &model.leases[model.lease_count++];
    *l = (struct model_lease){
        .plane = plane, .epoch = p->epoch, .left = g.granted, .held = roll(10) != 0};
    if (!l->held)
        l->left = 0; /* the plane never received it */
    snprintf(l->id, sizeof(l->id), "%s", g.lease);
}

static void step_renew(unsigned plane)
{
    struct model_plane *p = &model.planes[plane];
    struct model_lease *l = any_held(plane);
    if (!l)
        return;
    struct grant g =
        ask_as(p->name, p->epoch, next_number++, ACCOUNT, roll(2) ? (money)roll(500) : 0, l->id);
    assert_string_equal(g.lease, l->id); /* a lease that its plane holds is never closed */
    l->left += g.granted;
}

static void step_spend(unsigned plane)
{
    struct model_plane *p = &model.planes[plane];
    struct model_lease *l = any_held(plane);
    struct journal *rq = journal_of(p, p->epoch);
    if (!l || l->left == 0 || rq->count == JOURNAL)
        return;
    money amount = 1 + (money)roll((unsigned)l->left);
    l->left -= amount;
    l->charged += amount;
    rq->charges[rq->count++] =
        (struct model_charge){.lease = (unsigned)(l - model.leases), .amount = amount};
}

/* Ships a stretch of any epoch's journal; sometimes from before what is committed, or behind it. */
static void ship_some(struct model_plane *p, uint64_t epoch, size_t most)
{
    static Gatehouse__JournalRecord records[64], *list[64];
    static Gatehouse__Charge charges[64], *charge_list[64];
    struct journal *rq = journal_of(p, epoch);
    size_t from = rq->committed > 0 && roll(3) == 0 ? roll((unsigned)rq->committed) : rq->committed;
    if (roll(10) == 0)
        from += 1 + roll(2); /* a gap: must be refused */
    size_t count = from < rq->count ? rq->count - from : 0;
    count = count > most ? most : count;
    for (size_t i = 0; i < count; i++) {
        const struct model_charge *c = &rq->charges[from + i];
        gatehouse__journal_record__init(&records[i]);
        gatehouse__charge__init(&charges[i]);
        charges[i].account = (char *)ACCOUNT;
        charges[i].lease_id = model.leases[c->lease].id;
        charges[i].amount_nano = c->amount;
        charge_list[i] = &charges[i];
        records[i].n_charges = 1;
        records[i].charges = &charge_list[i];
        list[i] = &records[i];
    }
    Gatehouse__UsageBatch b = GATEHOUSE__USAGE_BATCH__INIT;
    struct ledger_asker sender = asker(p->name, p->epoch, next_number++);
    uint64_t committed = 0;
    b.epoch = epoch;
    b.first_sequence = from + 1;
    b.n_records = count;
    b.records = list;
    assert_int_equal(ingest_batch(base.db, &sender, &b, &committed), ERR_OK);
    assert_true(committed >= rq->committed && committed <= rq->count);
    rq->committed = committed;
}

static void step_ship(unsigned plane)
{
    struct model_plane *p = &model.planes[plane];
    ship_some(p, 1 + roll((unsigned)p->epoch), 1 + roll(60));
}

static void step_end(unsigned plane)
{
    struct model_plane *p = &model.planes[plane];
    struct model_lease *l = any_held(plane);
    if (!l)
        return;
    end_lease(p->name, p->epoch, l->id, l->charged);
    if (roll(4) == 0)
        end_lease(p->name, p->epoch, l->id, l->charged);
    l->held = false;
    l->left = 0;
}

/* What it held is forgotten; its journal is not. */
static void step_kill(unsigned plane)
{
    struct model_plane *p = &model.planes[plane];
    if (p->epoch == 60)
        return;
    for (size_t i = 0; i < model.lease_count; i++) {
        struct model_lease *l = &model.leases[i];
        if (l->plane == plane && l->held) {
            l->held = false;
            l->left = 0;
        }
    }
    p->epoch++;
}

static void step_finish(unsigned plane)
{
    struct model_plane *p = &model.planes[plane];
    for (uint64_t e = 1; e < p->epoch; e++) {
        if (p->finished[e] || journal_of(p, e)->committed < journal_of(p, e)->count)
            continue;
        finish_epoch(p->name, p->epoch, e);
        p->finished[e] = true;
        return;
    }
}

static void step_time(unsigned plane)
{
    (void)plane;
    now += (int64_t)roll(15) * SECOND / 2;
    if (roll(2))
        expire_leases();
}

static void check_books(void)
{
    money made = 0, shipped = 0, possible = 0;
    for (size_t p = 0; p < PLANES; p++) {
        for (size_t e = 0; e < 64; e++) {
            const struct journal *rq = model.planes[p].journals[e];
            for (size_t i = 0; rq && i < rq->count; i++) {
                made += rq->charges[i].amount;
                shipped += i < rq->committed ? rq->charges[i].amount : 0;
            }
        }
    }
    for (size_t i = 0; i < model.lease_count; i++)
        possible += model.leases[i].left;

    struct books b = books();
    assert_int_equal(b.spent, shipped);
    assert_true(b.spent + b.leased + b.suspense <= model.limit);
    assert_true(made + possible <= b.spent + b.leased + b.suspense);
    assert_int_equal(b.leased,
                     number("select sum(greatest(granted_nano - settled_nano, 0)) from leases"
                            " where state = 'open'"));
    assert_int_equal(b.suspense,
                     number("select sum(greatest(granted_nano - settled_nano, 0)) from leases"
                            " where state = 'suspense'"));
}

static void settle_everything(void)
{
    for (unsigned i = 0; i < PLANES; i++) {
        struct model_plane *p = &model.planes[i];
        step_kill(i);
        for (uint64_t e = 1; e < p->epoch; e++)
            for (int tries = 0;
                 tries < 4000 && journal_of(p, e)->committed < journal_of(p, e)->count; tries++)
                ship_some(p, e, 60);
        for (uint64_t e = 1; e < p->epoch; e++)
            if (!p->finished[e])
                finish_epoch(p->name, p->epoch, e);
    }
}

static void scenario(unsigned seed)
{
    static void (*const steps[])(unsigned plane) = {
        step_ask,  step_ask,  step_renew, step_spend, step_spend,  step_spend,
        step_ship, step_ship, step_end,   step_time,  step_finish,
    };
    memset(&model, 0, sizeof(model));
    model.seed = seed;
    model.limit = 20000;
    set_limit(model.limit, "total");
    for (size_t i = 0; i < PLANES; i++) {
        snprintf(model.planes[i].name, sizeof(model.planes[i].name), "dp_%zu", i);
        model.planes[i].epoch = 1;
    }
    step_ask(0);
    for (int i = 0; i < STEPS; i++) {
        unsigned plane = roll(PLANES);
        if (roll(60) == 0)
            step_kill(plane);
        else
            steps[roll(ARRAY_LEN(steps))](plane);
        check_books();
    }
    settle_everything();
    check_books();
    struct books b = books();
    assert_int_equal(b.leased, 0);
    assert_int_equal(b.suspense, 0);
    assert_true(b.spent > 0);
    for (size_t p = 0; p < PLANES; p++)
        for (size_t e = 0; e < 64; e++)
            free(model.planes[p].journals[e]);
}

static void for_random_planes_the_ledger_balances_and_the_limit_holds(void **state)
{
    (void)state;
    unsigned seed = (unsigned)clock_mono_us();
    print_message("seed %u\n", seed);
    scenario(seed);
}

#define RULE(name) cmocka_unit_test_setup(name, fresh_books)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(for_random_planes_the_ledger_balances_and_the_limit_holds),
    };
    return cmocka_run_group_tests(tests, open_rich_base, base_close);
}
