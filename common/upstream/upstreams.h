/*
 * upstreams — what a worker's exchanges share: the HTTP client, the endpoints, the log.
 *
 * Owns     its endpoints and the ended exchanges it keeps warm.
 * Threads  its worker's.
 */
#pragma once

#include "common/upstream/endpoint.h"
#include "common/upstream/retry_budget.h"
#include "common/upstream/upstream_log.h"

struct access_tokens;

struct upstreams {
    struct http_client *client; /* the owner's to set */
    struct endpoint_table endpoints;
    struct upstream_log log;
    struct retry_budgets retries;
    struct access_tokens *tokens; /* made when first needed */
    struct list spare;            /* ended exchanges */
    size_t spare_count;
};

void upstreams_init(struct upstreams *u);
/* No exchange is under way, and the turn in which the last one was closed is over. Before its
 * client is freed, unless no token was ever fetched. */
void upstreams_fini(struct upstreams *u);
