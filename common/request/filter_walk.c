/*
 * filter_walk — from gate to gate, and back.
 */
#include "common/request/request_private.h"

void filter_walk_on(struct request *rq)
{
    const struct filter *g;
    while ((g = rq->gate->filters[rq->filter_at])) {
        enum filter_result a = g->on_request(rq);
        if (rq->stage != REQUEST_FILTERS)
            return; /* the gate's own doing ended the request */
        if (rq->client_gone) {
            if (a == FILTER_WAIT && g->on_abandon)
                g->on_abandon(rq);
            else if (a == FILTER_PASS)
                rq->filter_at++;
            request_finish(rq, OUTCOME_CANCELLED);
            return;
        }
        if (a == FILTER_WAIT) {
            rq->waiting = true;
            return;
        }
        if (a == FILTER_REFUSE) {
            request_finish(rq, OUTCOME_REFUSED);
            return;
        }
        rq->filter_at++;
    }
    request_move(rq, REQUEST_WORK);
    rq->gate->work(rq);
}

void filter_walk_abandon(struct request *rq)
{
    if (!rq->waiting)
        return;
    rq->waiting = false;
    const struct filter *g = rq->gate->filters[rq->filter_at];
    if (g->on_abandon)
        g->on_abandon(rq);
}

void filter_walk_leave(struct request *rq)
{
    while (rq->filter_at > 0) {
        const struct filter *g = rq->gate->filters[--rq->filter_at];
        if (g->on_finish)
            g->on_finish(rq);
    }
}

void request_go_on(struct request *rq, enum filter_result a)
{
    MUST(rq->stage == REQUEST_FILTERS && rq->waiting && a != FILTER_WAIT);
    rq->waiting = false;
    if (a == FILTER_REFUSE) {
        request_finish(rq, OUTCOME_REFUSED);
        return;
    }
    rq->filter_at++;
    filter_walk_on(rq);
}
