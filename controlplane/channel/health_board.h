/*
 * health_board — how each data plane finds the providers' endpoints, as it reported last.
 *
 * A plane reports at most once a second, and only what changed; the first report of a connection is
 * of all its endpoints. Nothing of this is stored: a control plane that starts anew is told again
 * when planes connect, and each knows of the planes that are connected to it.
 *
 * Owns     a copy of what was reported.
 * Fails    ERR_INVALID: a report that no plane sends; ERR_EXHAUSTED above LIMIT_HEALTH_ENDPOINTS;
 *          ERR_NOMEM. The board is unchanged then, or has a part of the report: the next whole one
 *          mends it.
 * Threads  any.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/slice.h"
#include "proto/channel.pb-c.h"

struct health_board;

MUST_USE struct health_board *health_board_new(void);
void health_board_free(struct health_board *b); /* NULL is fine */

/* Hints for other planes: endpoints that a report made unready, longer unready, or ready again. */
#define HEALTH_NEWS_MOST 64 /* of one report; more follow from those planes' own calls */
struct health_news {
    Gatehouse__HealthHint rows[HEALTH_NEWS_MOST], *hints[HEALTH_NEWS_MOST];
    char plane_id[ID_MAX]; /* a copy: the board may forget the plane at any time */
    size_t count;          /* the rows point into the report and to plane_id */
};

/* Takes the report of a plane; one of an earlier start of it (epoch) is taken for nothing. */
MUST_USE enum err health_board_report(struct health_board *b, struct slice plane_id, uint64_t epoch,
                                      const Gatehouse__HealthReport *m, int64_t now_us,
                                      struct health_news *ret);
void health_board_forget(struct health_board *b, struct slice plane_id);

/* What one plane said of one endpoint of a provider. */
struct health_row {
    const char *plane_id;
    char credential_id[ID_MAX], region[65];
    char state[12], why[16];
    int64_t until_us; /* wall; 0: it is ready */
    uint32_t attempts, errors_permille, in_flight;
    uint32_t ttft_p50_ms, ttft_p99_ms, latency_ms, tokens_per_second;
    bool has_rpm_left, has_tpm_left;
    uint32_t rpm_left;
    uint64_t tpm_left;
};
/* In no order, under the board's lock: fn must not call the board. */
void health_board_each(struct health_board *b, struct slice provider_id,
                       void (*fn)(void *arg, const struct health_row *row), void *arg);
