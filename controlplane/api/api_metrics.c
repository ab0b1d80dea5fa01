/* api_metrics — the table, and where the gathered rows come from. */
#include "controlplane/api/api_metrics.h"

#include "controlplane/channel/planes.h"
#include "controlplane/chores/timetable.h"
#include "controlplane/ingest/ingest.h"
#include "controlplane/policy/rollout.h"

static const char *const classes[] = {"2xx", "3xx", "4xx", "5xx", NULL};
static const char *const uses[] = {"idle", "taken", NULL};
static const char *const presences[] = {"connected", "away", NULL};
static const char *const lease_states[] = {"open", "suspense", NULL};
static const char *const certificates[] = {"ca", "channel", "dataplane", NULL};

/* The jobs' names are set by api_metrics_new. */
static struct metric_row rows[API_METRIC_COUNT] = {
    [API_METRIC_REQUESTS] = {"gatehouse_admin_requests_total",
                             "Admin requests that got a response.", METRIC_COUNTER, "status",
                             classes},
    [API_METRIC_SIGN_IN_FAILED] = {"gatehouse_admin_sign_in_failures_total",
                                   "Requests with a missing or unknown token.", METRIC_COUNTER,
                                   NULL, NULL},
    [API_METRIC_SIGN_IN_DELAYED] = {"gatehouse_admin_sign_in_delayed_total",
                                    "Requests refused because their source failed too often.",
                                    METRIC_COUNTER, NULL, NULL},
    [API_METRIC_ENROLMENT_REFUSED] = {"gatehouse_admin_enrolments_refused_total",
                                      "Enrolments with an unknown, used or old token, or refused "
                                      "because their source failed too often.",
                                      METRIC_COUNTER, NULL, NULL},
    [API_METRIC_CONNECTIONS] = {"gatehouse_admin_connections", "Open admin connections.",
                                METRIC_GAUGE, NULL, NULL},
    [API_METRIC_WAITING] = {"gatehouse_admin_waiting", "Writes held for ?wait=applied.",
                            METRIC_GAUGE, NULL, NULL},
    [API_METRIC_DURATION] = {"gatehouse_admin_request_duration_seconds",
                             "From the whole request to its response.", METRIC_HISTOGRAM, NULL,
                             NULL},
    [API_METRIC_DATABASE_CONNECTIONS] = {"gatehouse_database_connections",
                                         "Connections of the pool to PostgreSQL.", METRIC_GAUGE,
                                         "state", uses},
    [API_METRIC_DATABASE_MAX] = {"gatehouse_database_connections_max",
                                 "Connections that the pool may have.", METRIC_GAUGE, NULL, NULL},
    [API_METRIC_DATABASE_BUSY] = {"gatehouse_database_busy_total",
                                  "Times that no connection of the pool became free.",
                                  METRIC_COUNTER, NULL, NULL},
    [API_METRIC_DATABASE_UP] = {"gatehouse_database_up",
                                "1: the last connection to PostgreSQL could be made.", METRIC_GAUGE,
                                NULL, NULL},
    [API_METRIC_POLICY_VERSION] = {"gatehouse_policy_version", "The newest policy version.",
                                   METRIC_GAUGE, NULL, NULL},
    [API_METRIC_PLANES] = {"gatehouse_dataplanes", "Data planes.", METRIC_GAUGE, "state",
                           presences},
    [API_METRIC_PLANES_REFUSING] = {"gatehouse_dataplanes_refusing",
                                    "Data planes that could not take some object of the policy.",
                                    METRIC_GAUGE, NULL, NULL},
    [API_METRIC_PLANES_LAG] = {"gatehouse_dataplanes_lag_versions",
                               "Versions that the connected data plane furthest behind lacks.",
                               METRIC_GAUGE, NULL, NULL},
    [API_METRIC_INGEST_RECORDS] = {"gatehouse_ingest_records_total",
                                   "Usage records taken in, repeated ones included.",
                                   METRIC_COUNTER, NULL, NULL},
    [API_METRIC_INGEST_BATCHES] = {"gatehouse_ingest_batches_total", "Usage batches received.",
                                   METRIC_COUNTER, NULL, NULL},
    [API_METRIC_INGEST_TRANSACTIONS] = {"gatehouse_ingest_transactions_total",
                                        "Transactions that took usage batches in.", METRIC_COUNTER,
                                        NULL, NULL},
    [API_METRIC_INGEST_FAILED] = {"gatehouse_ingest_failures_total",
                                  "Usage batches that could not be taken in.", METRIC_COUNTER, NULL,
                                  NULL},
    [API_METRIC_INGEST_LAG] = {"gatehouse_ingest_lag_milliseconds",
                               "From the start of the last batch's newest call to its being taken"
                               " in.",
                               METRIC_GAUGE, NULL, NULL},
    [API_METRIC_LEASES] = {"gatehouse_leases", "Leases of budgets that data planes hold.",
                           METRIC_GAUGE, "state", lease_states},
    [API_METRIC_LEASED_NANO] = {"gatehouse_leased_nanodollars",
                                "Money in open leases that is not settled.", METRIC_GAUGE, NULL,
                                NULL},
    [API_METRIC_SUSPENSE_NANO] = {"gatehouse_suspense_nanodollars",
                                  "Money in leases of data planes that fell silent.", METRIC_GAUGE,
                                  NULL, NULL},
    [API_METRIC_CHORE_RUNS] = {"gatehouse_chore_runs_total",
                               "Chores run by this control plane, by job.", METRIC_COUNTER, "job",
                               NULL},
    [API_METRIC_CHORE_FAILURES] = {"gatehouse_chore_failures_total", "Chores that failed, by job.",
                                   METRIC_COUNTER, "job", NULL},
    [API_METRIC_CHORE_LAST] = {"gatehouse_chore_last_success_timestamp_seconds",
                               "When this control plane ran a chore last, by job; 0: never.",
                               METRIC_GAUGE, "job", NULL},
    [API_METRIC_CERTIFICATE_UNTIL] = {"gatehouse_certificate_expiry_timestamp_seconds",
                                      "When certificates end; of data planes, the first one; 0:"
                                      " none.",
                                      METRIC_GAUGE, "certificate", certificates},
};

struct metric_set *api_metrics_new(void)
{
    const char *const *jobs = timetable_names();
    rows[API_METRIC_CHORE_RUNS].values = rows[API_METRIC_CHORE_FAILURES].values =
        rows[API_METRIC_CHORE_LAST].values = jobs;
    return metric_set_new(rows, ARRAY_LEN(rows));
}

size_t api_metrics_class(unsigned status)
{
    return status < 300 ? 0 : status < 400 ? 1 : status < 500 ? 2 : 3;
}

static void gather_database(const struct app *a)
{
    struct db_counts d;
    db_counts(a->db, &d);
    metric_put(a->metrics, API_METRIC_DATABASE_CONNECTIONS, 0, d.idle);
    metric_put(a->metrics, API_METRIC_DATABASE_CONNECTIONS, 1, d.taken);
    metric_put(a->metrics, API_METRIC_DATABASE_MAX, 0, d.max);
    metric_put(a->metrics, API_METRIC_DATABASE_BUSY, 0, (int64_t)d.busy);
    metric_put(a->metrics, API_METRIC_DATABASE_UP, 0, !d.away);
}

static void gather_planes(const struct app *a)
{
    struct rollout_counts r;
    rollout_counts(a->rollout, &r);
    metric_put(a->metrics, API_METRIC_POLICY_VERSION, 0, (int64_t)r.version);
    metric_put(a->metrics, API_METRIC_PLANES, 0, (int64_t)r.connected);
    metric_put(a->metrics, API_METRIC_PLANES, 1, (int64_t)r.away);
    metric_put(a->metrics, API_METRIC_PLANES_REFUSING, 0, (int64_t)r.refusing);
    metric_put(a->metrics, API_METRIC_PLANES_LAG, 0, (int64_t)r.lag);
}

#define SECONDS(us) ((us) / 1000000)

static void gather_channel(const struct app *a)
{
    struct ingest_counts in;
    ingest_counts(planes_ingest(a->planes), &in);
    metric_put(a->metrics, API_METRIC_INGEST_RECORDS, 0, (int64_t)in.records);
    metric_put(a->metrics, API_METRIC_INGEST_BATCHES, 0, (int64_t)in.batches);
    metric_put(a->metrics, API_METRIC_INGEST_TRANSACTIONS, 0, (int64_t)in.transactions);
    metric_put(a->metrics, API_METRIC_INGEST_FAILED, 0, (int64_t)in.failed);
    metric_put(a->metrics, API_METRIC_INGEST_LAG, 0, in.lag_us / 1000);
    metric_put(a->metrics, API_METRIC_CERTIFICATE_UNTIL, 0, SECONDS(planes_ca_until(a->planes)));
    metric_put(a->metrics, API_METRIC_CERTIFICATE_UNTIL, 1,
               SECONDS(planes_certificate_until(a->planes)));
}

static void gather_chores(const struct app *a)
{
    struct chore_state states[CHORES_MAX];
    struct observed o;
    size_t n = timetable_states(a->timetable, states);
    for (size_t i = 0; i < n; i++) {
        metric_put(a->metrics, API_METRIC_CHORE_RUNS, i, (int64_t)states[i].runs);
        metric_put(a->metrics, API_METRIC_CHORE_FAILURES, i, (int64_t)states[i].failures);
        metric_put(a->metrics, API_METRIC_CHORE_LAST, i, SECONDS(states[i].ran_at));
    }
    if (!timetable_observed(a->timetable, &o))
        return;
    metric_put(a->metrics, API_METRIC_LEASES, 0, o.leases_open);
    metric_put(a->metrics, API_METRIC_LEASES, 1, o.leases_suspense);
    metric_put(a->metrics, API_METRIC_LEASED_NANO, 0, o.leased_nano);
    metric_put(a->metrics, API_METRIC_SUSPENSE_NANO, 0, o.suspense_nano);
    metric_put(a->metrics, API_METRIC_CERTIFICATE_UNTIL, 2, SECONDS(o.first_plane_certificate));
}

void api_metrics_gather(const struct app *a)
{
    gather_database(a);
    if (a->rollout)
        gather_planes(a);
    if (a->planes)
        gather_channel(a);
    if (a->timetable)
        gather_chores(a);
}
