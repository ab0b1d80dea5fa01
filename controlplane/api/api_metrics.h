/*
 * api_metrics — the rows of the admin API in /metrics.
 */
#pragma once

#include "common/base/metric.h"

enum api_metric {
    API_METRIC_REQUESTS, /* by status class */
    API_METRIC_SIGN_IN_FAILED,
    API_METRIC_SIGN_IN_DELAYED,
    API_METRIC_ENROLMENT_REFUSED,
    API_METRIC_CONNECTIONS,
    API_METRIC_WAITING,
    API_METRIC_DURATION,
    API_METRIC_COUNT,
};

MUST_USE struct metric_set *api_metrics_new(void);
/* value index of API_METRIC_REQUESTS */
size_t api_metrics_class(unsigned status);
