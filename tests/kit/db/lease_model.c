/* lease_model — implements lease_model.h. */
#include "tests/kit/db/lease_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/ingest/ingest.h"
#include "tests/kit/db/base.h"

int64_t now;
uint64_t next_number = 1;
const char *planes_org;

struct ledger_asker asker(const char *plane, uint64_t epoch, uint64_t sequence)
{
    return (struct ledger_asker){.dataplane = slice_str(plane),
                                 .org = slice_str(planes_org ? planes_org : base.boot.org_id),
                                 .epoch = epoch,
                                 .number = sequence};
}

static struct grant say(const char *plane, uint64_t epoch, uint64_t sequence,
                        Gatehouse__LeaseAsk *one)
{
    Gatehouse__LeaseRequest request = GATEHOUSE__LEASE_REQUEST__INIT;
    Gatehouse__LeaseAsk *asks[] = {one};
    struct ledger_asker sender = asker(plane, epoch, sequence);
    struct lease_reply reply;
    struct grant g = {0};

    request.n_asks = 1;
    request.asks = asks;
    assert_int_equal(lease_server_ask(base.db, &sender, &request, now, &reply), ERR_OK);
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
    lease_server_reply_free(&reply);
    return g;
}

struct grant ask_as(const char *plane, uint64_t epoch, uint64_t sequence, const char *account,
                    money want, const char *renew)
{
    Gatehouse__LeaseAsk one = GATEHOUSE__LEASE_ASK__INIT;
    one.account = (char *)account;
    one.has_want_nano = true;
    one.want_nano = want;
    one.renew_lease_id = (char *)renew;
    return say(plane, epoch, sequence, &one);
}

struct grant ask_least(const char *plane, uint64_t epoch, money want, money least,
                       const char *renew)
{
    Gatehouse__LeaseAsk one = GATEHOUSE__LEASE_ASK__INIT;
    one.account = (char *)ACCOUNT;
    one.has_want_nano = one.has_least_nano = true;
    one.want_nano = want;
    one.least_nano = least;
    one.renew_lease_id = (char *)renew;
    return say(plane, epoch, next_number++, &one);
}

struct grant ask(const char *plane, uint64_t epoch, money want, const char *renew)
{
    return ask_as(plane, epoch, next_number++, ACCOUNT, want, renew);
}

void end_lease(const char *plane, uint64_t epoch, const char *lease, money settled)
{
    Gatehouse__LeaseEndRequest request = GATEHOUSE__LEASE_END_REQUEST__INIT;
    Gatehouse__LeaseEnd one = GATEHOUSE__LEASE_END__INIT, *ends[] = {&one};
    struct ledger_asker sender = asker(plane, epoch, next_number++);
    one.lease_id = (char *)lease;
    one.has_settled_nano = true;
    one.settled_nano = settled;
    request.n_ends = 1;
    request.ends = ends;
    assert_int_equal(lease_server_end(base.db, &sender, &request), ERR_OK);
}

void finish_epoch(const char *plane, uint64_t epoch, uint64_t finished)
{
    Gatehouse__LeaseEndRequest request = GATEHOUSE__LEASE_END_REQUEST__INIT;
    struct ledger_asker sender = asker(plane, epoch, next_number++);
    request.n_finished_epochs = 1;
    request.finished_epochs = &finished;
    assert_int_equal(lease_server_end(base.db, &sender, &request), ERR_OK);
}

uint64_t ship_one(const char *plane, uint64_t epoch, uint64_t sequence, const char *account,
                  const char *lease, money amount)
{
    Gatehouse__UsageBatch b = GATEHOUSE__USAGE_BATCH__INIT;
    Gatehouse__JournalRecord r = GATEHOUSE__JOURNAL_RECORD__INIT, *records[] = {&r};
    Gatehouse__Charge c = GATEHOUSE__CHARGE__INIT, *charges[] = {&c};
    Gatehouse__Span span = GATEHOUSE__SPAN__INIT;
    struct ledger_asker sender = asker(plane, epoch, 0);
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
    assert_int_equal(ingest_batch(base.db, &sender, &b, &committed), ERR_OK);
    return committed;
}

size_t expire_leases(void)
{
    size_t n = 0;
    assert_int_equal(lease_server_expire(base.db, now, &n), ERR_OK);
    return n;
}

int64_t number(const char *sql)
{
    return database_number(&base, sql);
}

struct books books(void)
{
    return (struct books){
        .limit = number("select limit_nano from budget_accounts where account = '" ACCOUNT "'"),
        .spent = number("select spent_nano from budget_accounts where account = '" ACCOUNT "'"),
        .leased = number("select leased_nano from budget_accounts where account = '" ACCOUNT "'"),
        .suspense =
            number("select suspense_nano from budget_accounts where account = '" ACCOUNT "'"),
    };
}

void expect_books(money spent, money leased, money suspense)
{
    struct books b = books();
    assert_int_equal(b.spent, spent);
    assert_int_equal(b.leased, leased);
    assert_int_equal(b.suspense, suspense);
}

void set_limit(money nano, const char *period)
{
    char sql[512];
    snprintf(sql, sizeof(sql),
             "update teams set spec = jsonb_build_object('budget', jsonb_build_object("
             "'limit_usd', (%lld / 1000000000.0)::numeric(20, 9)::text, 'period', '%s'))"
             " where id = 'team_rich'",
             (long long)nano, period);
    database_say(&base, sql);
}

int fresh_books(void **state)
{
    (void)state;
    now = INT64_C(1790000000) * SECOND;
    next_number = 1;
    database_say(&base,
                 "truncate spans, sessions, spend_hours, ingest_cursor, leases, budget_accounts");
    set_limit(1000, "total");
    return 0;
}

int open_rich_base(void **state)
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
