/*
 * journey — the corridor of the API wing.
 *
 *   who → session → task → service and route → not so fast → forward, relay
 *
 * No gate reads the body: it streams, and starts only when everything else has passed.
 */
#include "dataplane/api/work.h"

static const struct gate *const api_gates[] = {
    &gate_authn,       /* who is asking? */
    &gate_session,     /* in which conversation? */
    &gate_task,        /* on which task? */
    &api_gate_service, /* may they call this route? */
    &gate_limit,       /* not so fast */
    NULL,
};

static void work(struct journey *j)
{
    api_forward_start(j->wing_state);
}

static void on_body(struct journey *j, struct slice piece)
{
    if (j->stage == JOURNEY_WORK)
        api_forward_body(j->wing_state, piece);
}

static void on_body_end(struct journey *j)
{
    if (j->stage == JOURNEY_WORK)
        api_forward_body_end(j->wing_state);
}

static void on_drain(struct journey *j)
{
    api_relay_drain(j->wing_state);
}

static void cancel(struct journey *j)
{
    struct api_work *w = j->wing_state;
    api_forward_drop(w);
    api_relay_end(w, JOURNEY_CANCELLED, journey_cut_code(j));
    journey_finish(j, j->refusal.id ? JOURNEY_REFUSED : JOURNEY_CANCELLED);
}

const struct wing api_wing = {
    .name = "api",
    .slot = WING_API,
    .gates = api_gates,
    .body_max = LIMIT_API_BODY,
    .work = work,
    .refusal_body = problem_body,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_drain = on_drain,
    .cancel = cancel,
};
