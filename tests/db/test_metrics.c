/* metrics — counters of the control plane's parts are shown in /metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "controlplane/api/api_health.h"
#include "controlplane/api/api_metrics.h"
#include "controlplane/chores/timetable.h"
#include "controlplane/policy/rollout.h"
#include "tests/kit/db/base.h"

static struct app app;

/* The value behind "name" or "name{label}" at the start of a line. */
static int64_t value_of(const char *page, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = strstr(page, name); p; p = strstr(p + 1, name))
        if ((p == page || p[-1] == '\n') && p[len] == ' ')
            return strtoll(p + len + 1, NULL, 10);
    fail_msg("there is no %s", name);
    return 0;
}

static char *page(void)
{
    static char text[64 * 1024];
    struct call c;
    call_init(&c, &app);
    assert_int_equal(api_health_metrics(&c), ERR_OK);
    assert_true(c.response.len < sizeof(text));
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(buf_slice(&c.response)));
    call_fini(&c);
    return text;
}

static bool is_here(void *arg, struct slice id)
{
    (void)arg;
    return slice_eq(id, SLICE("dp_here"));
}

static void put_plane(const char *id, uint64_t version)
{
    struct rollout_plane p = {.heard_at = 1, .version = version};
    bool cut;
    snprintf(p.id, sizeof(p.id), "%s", id);
    snprintf(p.name, sizeof(p.name), "%s", id);
    snprintf(p.lineage, sizeof(p.lineage), "l");
    assert_int_equal(rollout_put(app.rollout, &p, &cut), ERR_OK);
}

static void the_pool_and_the_planes_are_counted(void **state)
{
    (void)state;
    struct db_conn *conn;
    app.rollout = rollout_new();
    rollout_ask_presence(app.rollout, is_here, NULL);
    rollout_newest(app.rollout, "l", 9);
    put_plane("dp_here", 7);
    put_plane("dp_gone", 1);
    assert_int_equal(db_take(base.db, 1000, &conn), ERR_OK);
    const char *text = page();
    assert_int_equal(value_of(text, "gatehouse_database_connections{state=\"taken\"}"), 1);
    assert_int_equal(value_of(text, "gatehouse_database_up"), 1);
    assert_true(value_of(text, "gatehouse_database_connections_max") > 0);
    assert_int_equal(value_of(text, "gatehouse_policy_version"), 9);
    assert_int_equal(value_of(text, "gatehouse_dataplanes{state=\"connected\"}"), 1);
    assert_int_equal(value_of(text, "gatehouse_dataplanes{state=\"away\"}"), 1);
    assert_int_equal(value_of(text, "gatehouse_dataplanes_lag_versions"), 2);
    db_give(base.db, &conn);
    text = page();
    assert_int_equal(value_of(text, "gatehouse_database_connections{state=\"taken\"}"), 0);
    assert_int_equal(value_of(text, "gatehouse_database_connections{state=\"idle\"}"), 1);
    rollout_free(app.rollout);
    app.rollout = NULL;
}

static void chores_leases_and_certificates_are_shown(void **state)
{
    (void)state;
    char sql[700];
    struct observed seen;
    const struct timetable_config config = {.db = base.db};
    snprintf(
        sql, sizeof(sql),
        "insert into budget_accounts (account, period_start, org_id, limit_nano, suspense_nano)"
        " values ('key:a', '1970-01-01', '%s', 100, 30);"
        "insert into leases (id, org_id, account, period_start, dataplane_id, epoch, state,"
        " granted_nano, settled_nano, expires_at) values"
        " ('l1', '%s', 'key:a', '1970-01-01', 'd', 1, 'suspense', 40, 10, '2100-01-01'),"
        " ('l2', '%s', 'key:a', '1970-01-01', 'd', 1, 'open', 25, 5, '2100-01-01')",
        base.boot.org_id, base.boot.org_id, base.boot.org_id);
    database_say(&base, sql);
    snprintf(
        sql, sizeof(sql),
        "insert into dataplanes (id, org_id, name, spec, cert_not_after) select 'dp_1', '%s',"
        " 'one', jsonb_build_object('pool', id), '2030-01-01' from pools where name = 'default'",
        base.boot.org_id);
    database_say(&base, sql);
    assert_int_equal(timetable_start(&config, &app.timetable), ERR_OK);
    while (!timetable_observed(app.timetable, &seen))
        usleep(10000);
    struct chore_state states[CHORES_MAX];
    size_t n = timetable_states(app.timetable, states);
    while (states[n - 1].runs == 0) { /* the first round */
        usleep(10000);
        n = timetable_states(app.timetable, states);
    }
    const char *text = page();
    assert_int_equal(value_of(text, "gatehouse_leases{state=\"open\"}"), 1);
    assert_int_equal(value_of(text, "gatehouse_leases{state=\"suspense\"}"), 1);
    assert_int_equal(value_of(text, "gatehouse_leased_nanodollars"), 20);
    assert_int_equal(value_of(text, "gatehouse_suspense_nanodollars"), 30);
    assert_int_equal(value_of(text, "gatehouse_certificate_expiry_timestamp_seconds{certificate="
                                    "\"dataplane\"}"),
                     1893456000);
    assert_int_equal(value_of(text, "gatehouse_chore_runs_total{job=\"drop_spans\"}"), 1);
    assert_int_equal(value_of(text, "gatehouse_chore_failures_total{job=\"drop_spans\"}"), 0);
    assert_true(
        value_of(text, "gatehouse_chore_last_success_timestamp_seconds{job=\"make_days\"}") >
        1700000000);
    timetable_stop(&app.timetable);
}

static int open_app(void **state)
{
    base_open(state);
    app.db = base.db;
    snprintf(app.org_id, sizeof(app.org_id), "%s", base.boot.org_id);
    app.metrics = api_metrics_new();
    return app.metrics ? 0 : -1;
}

static int close_app(void **state)
{
    metric_set_free(app.metrics);
    return base_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pool_and_the_planes_are_counted),
        cmocka_unit_test(chores_leases_and_certificates_are_shown),
    };
    return cmocka_run_group_tests_name("metrics", tests, open_app, close_app);
}
