/*
 * chores — every table that grows is kept within the settings, nothing that is still needed goes,
 * and several control planes run a chore once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "controlplane/chores/jobs.h"
#include "tests/kit/db/base.h"

#define DAY INT64_C(86400000000)

static int64_t now;

static int64_t number(const char *sql)
{
    return database_number(&base, sql);
}

static int fresh(void **state)
{
    (void)state;
    database_say(&base, "truncate spans, sessions, spend_hours, ingest_cursor, leases,"
                        " budget_accounts, chores, idempotency");
    now = clock_wall_us();
    return 0;
}

static void run(job_fn *job, struct retention retention)
{
    const struct timetable_config config = {.db = base.db, .retention = retention};
    assert_int_equal(job(&config, now), ERR_OK);
    assert_int_equal(job(&config, now), ERR_OK); /* a second run changes nothing */
}

static void spans_of_old_days_are_dropped_by_partition(void **state)
{
    (void)state;
    database_say(&base, "select gatehouse_span_days((now() at time zone 'UTC')::date - 12, 12)");
    for (int days = 0; days < 12; days++) {
        char sql[300];
        snprintf(
            sql, sizeof(sql),
            "insert into spans (started_at, id, org_id, gate, kind, duration_us, status,"
            " dataplane_id) values (now() - interval '%d days', 'x', 'o', 'ai', 'call', 1, 'ok',"
            " 'd')",
            days);
        database_say(&base, sql);
    }
    database_say(&base,
                 "insert into spans (started_at, id, org_id, gate, kind, duration_us, status,"
                 " dataplane_id) values ('2001-01-01', 'old', 'o', 'ai', 'call', 1, 'ok', 'd')");
    int64_t before = number("select count(*) from pg_class where relname like 'spans_2%'"
                            " and relkind = 'r'");
    run(job_drop_spans, (struct retention){.spans_days = 0});
    assert_int_equal(number("select count(*) from spans"), 13);
    run(job_drop_spans, (struct retention){.spans_days = 5});
    assert_int_equal(number("select count(*) from spans"), 6); /* today and five days before it */
    assert_int_equal(number("select count(*) from spans_other"), 0);
    assert_int_equal(number("select count(*) from pg_class where relname like 'spans_2%'"
                            " and relkind = 'r'"),
                     before - 6 - 1); /* one day more was made than spans lie in */
    assert_int_equal(
        number("select count(*) from spans where started_at < now() - interval '6 days'"), 0);
}

static void a_session_goes_when_it_has_ended_and_is_old(void **state)
{
    (void)state;
    database_say(&base,
                 "insert into sessions (id, org_id, started_at, last_at, ended_at) values"
                 " ('old', 'o', now() - interval '50 days', now() - interval '40 days',"
                 " now() - interval '40 days'),"
                 " ('open', 'o', now() - interval '50 days', now() - interval '40 days', null),"
                 " ('long', 'o', now() - interval '50 days', now() - interval '1 day',"
                 " now() - interval '1 day')");
    run(job_drop_sessions, (struct retention){.sessions_days = 0});
    assert_int_equal(number("select count(*) from sessions"), 3);
    run(job_drop_sessions, (struct retention){.sessions_days = 30});
    assert_int_equal(number("select count(*) from sessions"), 2);
    assert_int_equal(number("select count(*) from sessions where id = 'old'"), 0);
}

static void hourly_sums_outlive_spans_and_go_in_the_end(void **state)
{
    (void)state;
    database_say(&base,
                 "insert into spend_hours select 'o', date_trunc('hour', now()) - n * interval"
                 " '1 day', 'ai', '', '', '', '', '', '', '', '', '', 1, 0, 0, 0, 0, 0, 0, 0,"
                 " 0, 1 from generate_series(0, 499) n");
    run(job_drop_spend, (struct retention){.spans_days = 1, .spend_days = 400});
    assert_int_equal(number("select count(*) from spend_hours"), 400);
}

static void more_rows_than_one_statement_takes_are_dropped_all(void **state)
{
    (void)state;
    database_say(&base, "insert into sessions (id, org_id, started_at, last_at, ended_at) select"
                        " 's' || n, 'o', now() - interval '99 days', now() - interval '99 days',"
                        " now() from generate_series(1, 12000) n");
    run(job_drop_sessions, (struct retention){.sessions_days = 30});
    assert_int_equal(number("select count(*) from sessions"), 0);
}

static void changes_are_trimmed_from_the_oldest_and_the_newest_stays(void **state)
{
    (void)state;
    char sql[300];
    database_say(&base, "truncate change_log");
    run(job_trim_changes, (struct retention){.changes_days = 7});
    for (int i = 1; i <= 5; i++) {
        snprintf(sql, sizeof(sql),
                 "insert into change_log (version, kind, id, op, org_id, at) values (%d, 1, 'a',"
                 " 'put', '%s', now() - interval '%d days')",
                 i, base.boot.org_id, i == 3 ? 1 : 20);
        database_say(&base, sql);
    }
    /* Version 4 was written by a clock that is behind: what is older than it goes with it. */
    run(job_trim_changes, (struct retention){.changes_days = 0});
    assert_int_equal(number("select count(*) from change_log"), 5);
    run(job_trim_changes, (struct retention){.changes_days = 7});
    assert_int_equal(number("select min(version) from change_log"), 5);
    assert_int_equal(number("select count(*) from change_log"), 1);
}

static void a_cursor_stays_while_its_plane_may_send_behind_it(void **state)
{
    (void)state;
    char sql[400];
    snprintf(sql, sizeof(sql),
             "insert into dataplanes (id, org_id, name, spec, deleted_at) select p, '%s', p,"
             " jsonb_build_object('pool', l.id), case when p = 'dp_gone' then now() end"
             " from pools l, unnest(array['dp_idle', 'dp_busy', 'dp_gone']) p"
             " where l.name = 'default'",
             base.boot.org_id);
    database_say(&base, sql);
    database_say(&base,
                 "insert into ingest_cursor (dataplane_id, epoch, worker, committed, updated_at)"
                 " values ('dp_idle', 3, 0, 9, now() - interval '60 days'),"
                 " ('dp_idle', 3, 1, 9, now() - interval '60 days'),"
                 " ('dp_busy', 1, 0, 9, now() - interval '60 days'),"
                 " ('dp_busy', 2, 0, 9, now() - interval '2 days'),"
                 " ('dp_gone', 1, 0, 9, now() - interval '60 days'),"
                 " ('dp_gone', 2, 0, 9, now() - interval '3 days')");
    run(job_forget_cursors, (struct retention){0});
    assert_int_equal(number("select count(*) from ingest_cursor where dataplane_id = 'dp_idle'"),
                     2);
    assert_int_equal(number("select epoch from ingest_cursor where dataplane_id = 'dp_busy'"), 2);
    assert_int_equal(number("select epoch from ingest_cursor where dataplane_id = 'dp_gone'"), 2);
}

static void periods_that_ended_long_ago_go_and_budgets_without_one_stay(void **state)
{
    (void)state;
    char sql[500];
    snprintf(sql, sizeof(sql),
             "insert into budget_accounts (account, period_start, org_id, limit_nano) values"
             " ('key:a', now() - interval '500 days', '%s', 1),"
             " ('key:a', now() - interval '10 days', '%s', 1),"
             " ('key:b', '1970-01-01', '%s', 1),"
             " ('key:c', now() - interval '500 days', '%s', 1)",
             base.boot.org_id, base.boot.org_id, base.boot.org_id, base.boot.org_id);
    database_say(&base, sql);
    snprintf(
        sql, sizeof(sql),
        "insert into leases (id, org_id, account, period_start, dataplane_id, epoch, state,"
        " granted_nano, expires_at) select 'l', '%s', account, period_start, 'd', 1, 'suspense',"
        " 1, now() from budget_accounts where account = 'key:c'",
        base.boot.org_id);
    database_say(&base, sql);
    run(job_drop_budget_periods, (struct retention){0});
    assert_int_equal(number("select count(*) from budget_accounts"), 3);
    assert_int_equal(number("select count(*) from budget_accounts where account = 'key:a'"), 1);
}

static void replies_of_repeated_posts_are_forgotten(void **state)
{
    (void)state;
    char sql[300];
    snprintf(sql, sizeof(sql),
             "insert into idempotency (org_id, actor, key, request, status, answer, created_at)"
             " select '%s', 'a', n::text, decode(repeat('00', 32), 'hex'), 201, '', now() - "
             "interval '30 minutes' - n *"
             " interval '1 hour' from generate_series(1, 48) n",
             base.boot.org_id);
    database_say(&base, sql);
    run(job_forget_replies, (struct retention){0});
    assert_int_equal(number("select count(*) from idempotency"), 24);
}

static void what_is_gone_at_providers_is_forgotten_and_what_has_no_owner(void **state)
{
    (void)state;
    char sql[600];
    snprintf(sql, sizeof(sql),
             "insert into keys (id, org_id, name, spec) values ('k_kept', '%s', 'kept',"
             " '{\"digest\":\"kept\",\"digest_kind\":\"sha256\"}')",
             base.boot.org_id);
    database_say(&base, sql);
    snprintf(sql, sizeof(sql),
             "insert into kept_objects (org_id, owner_id, kind, account, id, made_at, gone_at)"
             " select '%s', case when n > 2 then 'k_none' else 'k_kept' end,"
             " 'file', 'acc', n::text, now() - case when n = 4 then interval '29 days' else"
             " interval '90 days' end, case n when 1 then now() - interval '40 days' end"
             " from generate_series(1, 4) n",
             base.boot.org_id);
    database_say(&base, sql);
    run(job_forget_kept, (struct retention){0});
    assert_int_equal(number("select count(*) from kept_objects"), 2);
    assert_int_equal(number("select count(*) from kept_objects where id in ('2', '4')"), 2);
}

static void shares_that_were_not_asked_for_are_forgotten(void **state)
{
    (void)state;
    database_say(&base,
                 "insert into ceiling_shares select 'org', 'c_1', false, 'dp_' || n, 1, 1, 1,"
                 " 1, now() - interval '30 minutes' - n * interval '1 hour'"
                 " from generate_series(1, 48) n");
    run(job_forget_shares, (struct retention){0});
    assert_int_equal(number("select count(*) from ceiling_shares"), 24);
}

/* ---- the timetable ---- */

static const struct chore_state *state_of(const struct chore_state *states, size_t n,
                                          const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(states[i].name, name) == 0)
            return &states[i];
    fail_msg("there is no chore %s", name);
    return NULL;
}

/* The last row of the table is each control plane's own: once it has run, a round is over. */
static void await_a_round(struct timetable *t, struct chore_state *states)
{
    size_t n = timetable_states(t, states);
    while (states[n - 1].runs == 0) {
        usleep(10000);
        n = timetable_states(t, states);
    }
}

static void two_control_planes_run_a_chore_once(void **state)
{
    (void)state;
    const struct timetable_config config = {.db = base.db};
    struct chore_state first[CHORES_MAX], second[CHORES_MAX];
    struct timetable *a, *b;
    assert_int_equal(timetable_start(&config, &a), ERR_OK);
    await_a_round(a, first);
    assert_int_equal(timetable_start(&config, &b), ERR_OK);
    await_a_round(b, second);
    size_t n = timetable_states(b, second);
    timetable_stop(&a);
    timetable_stop(&b);
    static const char *const once[] = {"end_sessions",  "make_days",  "drop_spans",
                                       "drop_sessions", "drop_spend", "trim_changes",
                                       "forget_cursors"};
    for (size_t i = 0; i < ARRAY_LEN(once); i++) {
        assert_int_equal(state_of(first, n, once[i])->runs, 1);
        assert_int_equal(state_of(first, n, once[i])->failures, 0);
        assert_true(state_of(first, n, once[i])->ran_at >= now);
        if (state_of(second, n, once[i])->runs != 0)
            fail_msg("%s was run by both", once[i]);
    }
    assert_int_equal(number("select count(*) from chores"), 12);
}

static void a_chore_that_is_due_is_run_again_by_any_control_plane(void **state)
{
    (void)state;
    const struct timetable_config config = {.db = base.db};
    struct chore_state states[CHORES_MAX];
    struct timetable *t;
    database_say(&base, "insert into chores values ('drop_spend', now() - interval '2 hours'),"
                        " ('drop_sessions', now() - interval '10 minutes')");
    assert_int_equal(timetable_start(&config, &t), ERR_OK);
    await_a_round(t, states);
    size_t n = timetable_states(t, states);
    timetable_stop(&t);
    assert_int_equal(state_of(states, n, "drop_spend")->runs, 1);
    assert_int_equal(state_of(states, n, "drop_sessions")->runs, 0);
}

#define CHORE(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHORE(spans_of_old_days_are_dropped_by_partition),
        CHORE(a_session_goes_when_it_has_ended_and_is_old),
        CHORE(hourly_sums_outlive_spans_and_go_in_the_end),
        CHORE(more_rows_than_one_statement_takes_are_dropped_all),
        CHORE(changes_are_trimmed_from_the_oldest_and_the_newest_stays),
        CHORE(a_cursor_stays_while_its_plane_may_send_behind_it),
        CHORE(periods_that_ended_long_ago_go_and_budgets_without_one_stay),
        CHORE(replies_of_repeated_posts_are_forgotten),
        CHORE(what_is_gone_at_providers_is_forgotten_and_what_has_no_owner),
        CHORE(shares_that_were_not_asked_for_are_forgotten),
        CHORE(two_control_planes_run_a_chore_once),
        CHORE(a_chore_that_is_due_is_run_again_by_any_control_plane),
    };
    return cmocka_run_group_tests_name("chores", tests, base_open, base_close);
}
