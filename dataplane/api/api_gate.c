/*
 * api_gate — the API gate's table of filters, and how its work begins and is called off.
 *
 * No filter reads the body: it streams, and starts only when everything else has passed.
 */
#include "dataplane/api/api_gate_private.h"

static const struct filter *const api_filters[] = {
    &filter_authenticate, /* 401 */
    &filter_session,      /* the session */
    &filter_task,         /* 403 a task that the principal may not assume */
    &api_filter_service,  /* 404, 403 a service or route that is not granted */
    &filter_limit,        /* 429 */
    NULL,
};

static struct relay *relay_of(struct request *rq)
{
    return &((struct api_work *)rq->gate_state)->relay;
}

static void work(struct request *rq)
{
    api_forward_start(rq->gate_state);
}

static void on_body(struct request *rq, struct slice piece)
{
    if (rq->stage == REQUEST_WORK)
        relay_body(relay_of(rq), piece);
}

static void on_body_end(struct request *rq)
{
    if (rq->stage == REQUEST_WORK)
        relay_body_end(relay_of(rq));
}

static void on_drain(struct request *rq)
{
    relay_drain(relay_of(rq));
}

static void cancel(struct request *rq)
{
    relay_cancel(relay_of(rq));
}

const struct gate api_gate = {
    .name = "api",
    .slot = GATE_API,
    .filters = api_filters,
    .body_max = LIMIT_API_BODY,
    .work = work,
    .refusal_body = problem_body,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_drain = on_drain,
    .cancel = cancel,
    .still_allowed = api_still_allowed,
};
