/*
 * lease_desk — the money rules, first one by one, then by a model: planes that ask, spend, ship,
 * repeat themselves, fall silent, are killed and come back, in random order. After each step
 * the books must balance, and what planes have spent or may still spend must lie inside the limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "controlplane/sync/ingest.h"
#include "tests/kit/db/base.h"

#define SECOND INT64_C(1000000)
#define ACCOUNT "team:team_rich"

static int64_t now;

/* ---- one plane's words, said by hand ---- */

struct grant {
    char lease[ID_MAX];
    money granted, limit, spent, set_aside;
    int64_t period_end;
    bool unknown;
};

static struct lease_asker asker(const char *plane, uint64_t epoch, uint64_t sequence)
{
    return (struct lease_asker){.dataplane = slice_str(plane),
                                .org = slice_str(base.boot.org_id),
                                .epoch = epoch,
                                .number = sequence};
}

static struct grant ask_as(const char *plane, uint64_t epoch, uint64_t sequence,
                           const char *account, money want, const char *renew)
{
    Gatehouse__LeaseRequest request = GATEHOUSE__LEASE_REQUEST__INIT;
    Gatehouse__LeaseAsk ask = GATEHOUSE__LEASE_ASK__INIT, *asks[] = {&ask};
    struct lease_asker who = asker(plane, epoch, sequence);
    struct lease_reply reply;
    struct grant g = {0};

    ask.account = (char *)account;
    ask.has_want_nano = true;
    ask.want_nano = want;
    ask.renew_lease_id = (char *)renew;
    request.n_asks = 1;
    request.asks = asks;
    assert_int_equal(lease_desk_ask(base.db, &who, &request, now, &reply), ERR_OK);
    assert_int_equal(reply.reply.n_grants, 1);
    const Gatehouse__LeaseGrant *m = reply.reply.grants[0];
    if (m->lease_id)
        snprintf(g.lease, sizeof(g.lease), "%s", m->lease_id);
    g.granted = m->granted_nano;
    g.limit = m->limit_nano;
    g.spent = m->spent_nano;
    g.set_aside = m->set_aside_nano;
    g.period_end = m->period_end_us;
    g.unknown = m->unknown;
    lease_desk_reply_free(&reply);
    return g;
}

static uint64_t next_number = 1;

static struct grant ask(const char *plane, uint64_t epoch, money want, const char *renew)
{
    return ask_as(plane, epoch, next_number++, ACCOUNT, want, renew);
}

static void end(const char *plane, uint64_t epoch, const char *lease, money settled)
{
    Gatehouse__LeaseEndRequest request = GATEHOUSE__LEASE_END_REQUEST__INIT;
    Gatehouse__LeaseEnd one = GATEHOUSE__LEASE_END__INIT, *ends[] = {&one};
    struct lease_asker who = asker(plane, epoch, next_number++);
    one.lease_id = (char *)lease;
    one.has_settled_nano = true;
    one.settled_nano = settled;
    request.n_ends = 1;
    request.ends = ends;
    assert_int_equal(lease_desk_end(base.db, &who, &request), ERR_OK);
}

static void finish(const char *plane, uint64_t epoch, uint64_t finished)
{
    Gatehouse__LeaseEndRequest request = GATEHOUSE__LEASE_END_REQUEST__INIT;
    struct lease_asker who = asker(plane, epoch, next_number++);
    request.n_finished_epochs = 1;
    request.finished_epochs = &finished;
    assert_int_equal(lease_desk_end(base.db, &who, &request), ERR_OK);
}

/* One record with one charge. */
static uint64_t ship_one(const char *plane, uint64_t epoch, uint64_t sequence, const char *account,
                         const char *lease, money amount)
{
    Gatehouse__UsageBatch b = GATEHOUSE__USAGE_BATCH__INIT;
    Gatehouse__JournalRecord r = GATEHOUSE__JOURNAL_RECORD__INIT, *records[] = {&r};
    Gatehouse__Charge c = GATEHOUSE__CHARGE__INIT, *charges[] = {&c};
    Gatehouse__Span span = GATEHOUSE__SPAN__INIT;
    struct lease_asker who = asker(plane, epoch, 0);
    uint64_t committed = 0;
    c.account = (char *)account;
    c.lease_id = (char *)lease;
    c.has_amount_nano = true;
    c.amount_nano = amount;
    span.has_started_at_us = true;
    span.started_at_us = now;
    r.span = &span;
    r.n_charges = 1;
    r.charges = charges;
    b.epoch = epoch;
    b.first_sequence = sequence;
    b.n_records = 1;
    b.records = records;
    assert_int_equal(ingest_batch(base.db, &who, &b, &committed), ERR_OK);
    return committed;
}

static size_t expire(void)
{
    size_t n = 0;
    assert_int_equal(lease_desk_expire(base.db, now, &n), ERR_OK);
    return n;
}

/* ---- the books ---- */

static int64_t number(const char *sql)
{
    return database_number(&base, sql);
}

struct books {
    money limit, spent, leased, suspense;
};

static struct books books(void)
{
    return (struct books){
        .limit = number("select limit_nano from budget_accounts where account = '" ACCOUNT "'"),
        .spent = number("select spent_nano from budget_accounts where account = '" ACCOUNT "'"),
        .leased = number("select leased_nano from budget_accounts where account = '" ACCOUNT "'"),
        .suspense =
            number("select suspense_nano from budget_accounts where account = '" ACCOUNT "'"),
    };
}

static void expect(money spent, money leased, money suspense)
{
    struct books b = books();
    assert_int_equal(b.spent, spent);
    assert_int_equal(b.leased, leased);
    assert_int_equal(b.suspense, suspense);
}

static void set_limit(money nano, const char *period)
{
    char sql[512];
    snprintf(sql, sizeof(sql),
             "update teams set spec = jsonb_build_object('budget', jsonb_build_object("
             "'limit_usd', (%lld / 1000000000.0)::numeric(20, 9)::text, 'period', '%s'))"
             " where id = 'team_rich'",
             (long long)nano, period);
    database_say(&base, sql);
}

static int fresh(void **state)
{
    (void)state;
    now = INT64_C(1790000000) * SECOND;
    next_number = 1;
    database_say(&base, "truncate spans, sessions, ingest_cursor, leases, budget_accounts");
    set_limit(1000, "total");
    return 0;
}

/* ---- rules, one by one ---- */

static void a_grant_is_cut_to_what_is_left(void **state)
{
    (void)state;
    assert_int_equal(ask("dp_1", 1, 700, NULL).granted, 700);
    assert_int_equal(ask("dp_2", 1, 700, NULL).granted, 300);
    struct grant none = ask("dp_3", 1, 1, NULL);
    assert_int_equal(none.granted, 0);
    assert_string_equal(none.lease, "");
    assert_int_equal(none.spent, 1000);
    assert_int_equal(none.limit, 1000);
    expect(0, 1000, 0);
}

static void an_account_nobody_configured_is_unknown(void **state)
{
    (void)state;
    assert_true(ask_as("dp_1", 1, 1, "team:nobody", 5, NULL).unknown);
    assert_true(ask_as("dp_1", 1, 2, "nonsense", 5, NULL).unknown);
}

static void a_grant_tells_what_is_spent_from_what_is_only_set_aside(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    assert_int_equal(g.spent, 600);
    assert_int_equal(g.set_aside, 600);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 100);
    g = ask("dp_2", 1, 50, NULL);
    assert_int_equal(g.spent, 650);
    assert_int_equal(g.set_aside, 550);
    now += 20 * SECOND;
    expire();
    g = ask("dp_3", 1, 7, NULL);
    assert_int_equal(g.spent, 657);
    assert_int_equal(g.set_aside, 557); /* what is in suspense as well */
}

static void charges_move_from_leased_to_spent(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 500, NULL);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 120);
    expect(120, 380, 0);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 120);
    expect(120, 380, 0);
}

static void what_exceeds_a_lease_is_spent_all_the_same(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 100, NULL);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 150);
    expect(150, 0, 0);
    assert_int_equal(ask("dp_1", 1, 50, g.lease).granted, 50);
    expect(150, 50, 0);
    ship_one("dp_1", 1, 2, ACCOUNT, g.lease, 20);
    expect(170, 30, 0);
}

static void the_rest_of_a_lease_is_free_only_when_its_records_are_in(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 1000, NULL);
    end("dp_1", 1, g.lease, 300); /* spent 300, of which nothing has come in */
    expect(0, 1000, 0);
    assert_int_equal(ask("dp_2", 1, 10, NULL).granted, 0);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 100);
    expect(100, 900, 0);
    ship_one("dp_1", 1, 2, ACCOUNT, g.lease, 200);
    expect(300, 0, 0);
    assert_int_equal(ask("dp_2", 1, 1000, NULL).granted, 700);
}

static void an_expired_lease_stays_in_suspense(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    now += 11 * SECOND;
    assert_int_equal(expire(), 1);
    expect(0, 0, 600);
    assert_int_equal(ask("dp_2", 1, 1000, NULL).granted, 400);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 50);
    expect(50, 400, 550);
    end("dp_1", 1, g.lease, 50);
    expect(50, 400, 0);
}

static void an_overdue_lease_is_noticed_at_the_next_grant(void **state)
{
    (void)state;
    ask("dp_1", 1, 600, NULL);
    now += 11 * SECOND;
    assert_int_equal(ask("dp_2", 1, 1000, NULL).granted, 400);
    expect(0, 400, 600);
}

static void a_late_renewal_takes_the_lease_out_of_suspense(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    now += 60 * SECOND;
    expire();
    struct grant again = ask("dp_1", 1, 0, g.lease);
    assert_string_equal(again.lease, g.lease);
    assert_int_equal(again.granted, 0);
    expect(0, 600, 0);
    now += 9 * SECOND;
    assert_int_equal(expire(), 0);
}

static void only_its_own_plane_renews_ends_or_charges_a_lease(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    assert_string_not_equal(ask("dp_2", 1, 100, g.lease).lease, g.lease);
    expect(0, 700, 0);
    end("dp_2", 1, g.lease, 0);
    expect(0, 700, 0);
    ship_one("dp_2", 1, 1, ACCOUNT, g.lease, 30);
    expect(30, 700, 0); /* spent, but not from dp_1's share */
}

static void a_repeated_request_gets_the_same_answer(void **state)
{
    (void)state;
    struct grant first = ask_as("dp_1", 1, 7, ACCOUNT, 400, NULL);
    struct grant again = ask_as("dp_1", 1, 7, ACCOUNT, 400, NULL);
    assert_string_equal(first.lease, again.lease);
    assert_int_equal(again.granted, 400);
    expect(0, 400, 0);
    assert_int_equal(ask_as("dp_1", 1, 8, ACCOUNT, 100, first.lease).granted, 100);
    assert_int_equal(ask_as("dp_1", 1, 8, ACCOUNT, 100, first.lease).granted, 100);
    expect(0, 500, 0);
}

static void a_request_s_number_brings_no_other_account_s_lease_nor_another_day_s(void **state)
{
    (void)state;
    struct grant first = ask_as("dp_1", 1, 7, ACCOUNT, 400, NULL);
    struct grant other = ask_as("dp_1", 1, 7, "team:team_other", 400, NULL);
    assert_string_not_equal(other.lease, first.lease);
    assert_int_equal(other.granted, 300); /* all of its own */
    expect(0, 400, 0);
    assert_int_equal(number("select leased_nano from budget_accounts where account ="
                            " 'team:team_other'"),
                     300);
    set_limit(1000, "day");
    struct grant today = ask_as("dp_1", 1, 8, ACCOUNT, 100, NULL);
    now += INT64_C(86400) * SECOND;
    struct grant tomorrow = ask_as("dp_1", 1, 8, ACCOUNT, 1000, NULL);
    assert_string_not_equal(today.lease, tomorrow.lease);
    assert_int_equal(tomorrow.granted, 1000);
}

static void a_finished_epoch_frees_what_its_plane_never_spent(void **state)
{
    (void)state;
    struct grant old = ask("dp_1", 1, 600, NULL);
    struct grant other = ask("dp_2", 1, 100, NULL);
    now += 20 * SECOND;
    expire();
    struct grant current = ask("dp_1", 2, 100, NULL);
    ship_one("dp_1", 1, 1, ACCOUNT, old.lease, 40);
    expect(40, 100, 660);
    finish("dp_1", 2, 2); /* the epoch that speaks cannot be finished */
    expect(40, 100, 660);
    finish("dp_1", 2, 1);
    expect(40, 100, 100);
    assert_true(strlen(other.lease) > 0 && strlen(current.lease) > 0);
}

static money write_off(const char *dataplane)
{
    TX_AUTO struct tx tx = {0};
    money lost = 0;
    assert_int_equal(tx_begin(base.db, TX_EVERY_ORG, &tx), ERR_OK);
    assert_int_equal(lease_desk_write_off(&tx, slice_str(dataplane), &lost), ERR_OK);
    assert_int_equal(tx_commit(&tx), ERR_OK);
    return lost;
}

static void
a_written_off_plane_counts_as_spent_and_its_late_records_do_not_count_twice(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 100);
    now += 20 * SECOND;
    expire();
    assert_int_equal(write_off("dp_1"), 500);
    expect(600, 0, 0);
    ship_one("dp_1", 1, 2, ACCOUNT, g.lease, 450);
    expect(600, 0, 0);
    ship_one("dp_1", 1, 3, ACCOUNT, g.lease, 80);
    expect(630, 0, 0);
}

static void a_changed_limit_holds_at_once(void **state)
{
    (void)state;
    ask("dp_1", 1, 600, NULL);
    set_limit(500, "total");
    assert_int_equal(ask("dp_2", 1, 100, NULL).granted, 0);
    set_limit(2000, "total");
    assert_int_equal(ask("dp_2", 1, 5000, NULL).granted, 1400);
}

static void a_new_period_starts_with_nothing_spent(void **state)
{
    (void)state;
    set_limit(1000, "day");
    struct grant g = ask("dp_1", 1, 1000, NULL);
    assert_true(g.period_end > now && g.period_end <= now + 86400 * SECOND);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 700);
    now = g.period_end + SECOND;
    struct grant next = ask("dp_1", 1, 1000, g.lease);
    assert_string_not_equal(next.lease, g.lease);
    assert_int_equal(next.granted, 1000);
    ship_one("dp_1", 1, 2, ACCOUNT, g.lease, 100); /* still the old day's money */
    assert_int_equal(number("select spent_nano from budget_accounts order by period_start"), 800);
    assert_int_equal(
        number("select spent_nano from budget_accounts order by period_start desc limit 1"), 0);
}

static void a_charge_without_any_lease_is_spent(void **state)
{
    (void)state;
    ship_one("dp_1", 1, 1, ACCOUNT, "l_unknown", 30);
    ship_one("dp_1", 1, 2, ACCOUNT, NULL, 12);
    ship_one("dp_1", 1, 3, "team:deleted", "", 5);
    expect(42, 0, 0);
    assert_int_equal(
        number("select spent_nano from budget_accounts where account = 'team:deleted'"), 5);
}

/* ---- the model ---- */

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
    bool held;     /* its plane has it in hand */
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
    if (roll(3) == 0) { /* the answer was lost: asked again */
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
        l->left = 0; /* the plane never heard of it */
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
    assert_string_equal(g.lease, l->id); /* held leases are never closed behind a plane's back */
    l->left += g.granted;
}

static void step_spend(unsigned plane)
{
    struct model_plane *p = &model.planes[plane];
    struct model_lease *l = any_held(plane);
    struct journal *j = journal_of(p, p->epoch);
    if (!l || l->left == 0 || j->count == JOURNAL)
        return;
    money amount = 1 + (money)roll((unsigned)l->left);
    l->left -= amount;
    l->charged += amount;
    j->charges[j->count++] =
        (struct model_charge){.lease = (unsigned)(l - model.leases), .amount = amount};
}

/* Ships a stretch of any epoch's journal; sometimes from before what is committed, or behind it. */
static void ship_some(struct model_plane *p, uint64_t epoch, size_t most)
{
    static Gatehouse__JournalRecord records[64], *list[64];
    static Gatehouse__Charge charges[64], *charge_list[64];
    struct journal *j = journal_of(p, epoch);
    size_t from = j->committed > 0 && roll(3) == 0 ? roll((unsigned)j->committed) : j->committed;
    if (roll(10) == 0)
        from += 1 + roll(2); /* a gap: must be refused */
    size_t count = from < j->count ? j->count - from : 0;
    count = count > most ? most : count;
    for (size_t i = 0; i < count; i++) {
        const struct model_charge *c = &j->charges[from + i];
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
    struct lease_asker who = asker(p->name, p->epoch, next_number++);
    uint64_t committed = 0;
    b.epoch = epoch;
    b.first_sequence = from + 1;
    b.n_records = count;
    b.records = list;
    assert_int_equal(ingest_batch(base.db, &who, &b, &committed), ERR_OK);
    assert_true(committed >= j->committed && committed <= j->count);
    j->committed = committed;
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
    end(p->name, p->epoch, l->id, l->charged);
    if (roll(4) == 0)
        end(p->name, p->epoch, l->id, l->charged);
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
        finish(p->name, p->epoch, e);
        p->finished[e] = true;
        return;
    }
}

static void step_time(unsigned plane)
{
    (void)plane;
    now += (int64_t)roll(15) * SECOND / 2;
    if (roll(2))
        expire();
}

static void check_books(void)
{
    money made = 0, shipped = 0, possible = 0;
    for (size_t p = 0; p < PLANES; p++) {
        for (size_t e = 0; e < 64; e++) {
            const struct journal *j = model.planes[p].journals[e];
            for (size_t i = 0; j && i < j->count; i++) {
                made += j->charges[i].amount;
                shipped += i < j->committed ? j->charges[i].amount : 0;
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
                finish(p->name, p->epoch, e);
    }
}

static void play(unsigned seed)
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

static void whatever_planes_do_the_books_balance_and_the_limit_holds(void **state)
{
    (void)state;
    unsigned seed = (unsigned)clock_mono_us();
    print_message("seed %u\n", seed);
    play(seed);
}

static int open_base(void **state)
{
    char sql[256];
    base_open(state);
    snprintf(sql, sizeof(sql),
             "insert into teams (id, org_id, name) values ('team_rich', '%s', 'rich')",
             base.boot.org_id);
    database_say(&base, sql);
    snprintf(sql, sizeof(sql),
             "insert into teams (id, org_id, name, spec) values ('team_other', '%s', 'other',"
             " '{\"budget\": {\"limit_usd\": \"0.0000003\", \"period\": \"total\"}}')",
             base.boot.org_id);
    database_say(&base, sql);
    return 0;
}

#define RULE(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_grant_is_cut_to_what_is_left),
        RULE(an_account_nobody_configured_is_unknown),
        RULE(a_grant_tells_what_is_spent_from_what_is_only_set_aside),
        RULE(charges_move_from_leased_to_spent),
        RULE(what_exceeds_a_lease_is_spent_all_the_same),
        RULE(the_rest_of_a_lease_is_free_only_when_its_records_are_in),
        RULE(an_expired_lease_stays_in_suspense),
        RULE(an_overdue_lease_is_noticed_at_the_next_grant),
        RULE(a_late_renewal_takes_the_lease_out_of_suspense),
        RULE(only_its_own_plane_renews_ends_or_charges_a_lease),
        RULE(a_repeated_request_gets_the_same_answer),
        RULE(a_request_s_number_brings_no_other_account_s_lease_nor_another_day_s),
        RULE(a_finished_epoch_frees_what_its_plane_never_spent),
        RULE(a_written_off_plane_counts_as_spent_and_its_late_records_do_not_count_twice),
        RULE(a_changed_limit_holds_at_once),
        RULE(a_new_period_starts_with_nothing_spent),
        RULE(a_charge_without_any_lease_is_spent),
        RULE(whatever_planes_do_the_books_balance_and_the_limit_holds),
    };
    return cmocka_run_group_tests(tests, open_base, base_close);
}
