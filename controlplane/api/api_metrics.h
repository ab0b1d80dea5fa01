/*
 * api_metrics — the control plane's rows in /metrics.
 *
 * Those of the admin API are counted as it happens. The others are gathered when they are asked
 * for, from the parts that keep them; none of that waits for the database.
 */
#pragma once

#include "controlplane/api/app.h"

enum api_metric {
    API_METRIC_REQUESTS, /* by status class */
    API_METRIC_SIGN_IN_FAILED,
    API_METRIC_SIGN_IN_DELAYED,
    API_METRIC_CONNECTIONS,
    API_METRIC_WAITING,
    API_METRIC_DURATION,
    API_METRIC_ENROLMENT_REFUSED,
    /* gathered */
    API_METRIC_DATABASE_CONNECTIONS, /* idle, taken */
    API_METRIC_DATABASE_MAX,
    API_METRIC_DATABASE_BUSY,
    API_METRIC_DATABASE_UP,
    API_METRIC_POLICY_VERSION,
    API_METRIC_PLANES, /* connected, away */
    API_METRIC_PLANES_REFUSING,
    API_METRIC_PLANES_LAG,
    API_METRIC_INGEST_RECORDS,
    API_METRIC_INGEST_BATCHES,
    API_METRIC_INGEST_TRANSACTIONS,
    API_METRIC_INGEST_FAILED,
    API_METRIC_INGEST_LAG,
    API_METRIC_LEASES, /* open, suspense */
    API_METRIC_LEASED_NANO,
    API_METRIC_SUSPENSE_NANO,
    API_METRIC_CHORE_RUNS, /* by job, as the next two */
    API_METRIC_CHORE_FAILURES,
    API_METRIC_CHORE_LAST,
    API_METRIC_CERTIFICATE_UNTIL, /* ca, channel, dataplane */
    API_METRIC_COUNT,
};

MUST_USE struct metric_set *api_metrics_new(void);
/* value index of API_METRIC_REQUESTS */
size_t api_metrics_class(unsigned status);
/* Sets the gathered rows. */
void api_metrics_gather(const struct app *a);
