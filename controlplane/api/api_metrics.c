/*
 * api_metrics — the table.
 */
#include "controlplane/api/api_metrics.h"

static const char *const classes[] = {"2xx", "3xx", "4xx", "5xx", NULL};

static const struct metric_row rows[API_METRIC_COUNT] = {
    [API_METRIC_REQUESTS] = {"gatehouse_admin_requests_total", "Admin requests answered.",
                             METRIC_COUNTER, "status", classes},
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
                             "From the whole request to its answer.", METRIC_HISTOGRAM, NULL, NULL},
};

struct metric_set *api_metrics_new(void)
{
    return metric_set_new(rows, ARRAY_LEN(rows));
}

size_t api_metrics_class(unsigned status)
{
    return status < 300 ? 0 : status < 400 ? 1 : status < 500 ? 2 : 3;
}
