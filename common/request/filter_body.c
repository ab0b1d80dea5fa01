/*
 * filter_body — the whole body in memory, up to the gate's ceiling.
 *
 * Stands behind filter_authenticate: no body is read before its sender is known. The ceiling is
 * enforced here and not by the server, so that the 413 speaks the dialect of the path.
 */
#include "common/request/request_private.h"

struct body_state {
    bool whole; /* its end has come */
};

static bool is_encoded(const struct http_head *h)
{
    struct slice coding = http_head_find(h, SLICE("content-encoding"));
    return coding.len && !slice_ieq(coding, SLICE("identity"));
}

static uint64_t body_max(const struct request *rq)
{
    uint64_t set = rq->env->body_max[rq->gate->slot];
    return set ? set : rq->gate->body_max;
}

static enum filter_result refuse_size(struct request *rq)
{
    bool is_setting = rq->env->body_max[rq->gate->slot] && rq->gate->slot == GATE_AI;
    request_refuse(rq, REFUSAL_TOO_LARGE,
                   arena_printf(rq->arena, "%llu bytes%s", (unsigned long long)body_max(rq),
                                is_setting ? " (GATEHOUSE_AI_BODY_BYTES)" : ""));
    return FILTER_REFUSE;
}

static enum filter_result on_request(struct request *rq)
{
    const struct http_head *h = rq->head;
    const struct body_state *s = filter_state(rq, &filter_body);
    if (is_encoded(h)) {
        request_refuse(rq, REFUSAL_MEDIA_TYPE, SLICE("it must be sent without Content-Encoding"));
        return FILTER_REFUSE;
    }
    if (h->has_length && h->length > body_max(rq))
        return refuse_size(rq);
    if (!h->chunked && (!h->has_length || h->length == 0)) {
        return FILTER_PASS;
    }
    rq->body.max = body_max(rq);
    request_read_body(rq, UINT64_MAX);
    if (rq->refusal.id)
        return FILTER_REFUSE;
    return s->whole ? FILTER_PASS : FILTER_WAIT;
}

static bool is_waiting_here(const struct request *rq)
{
    return rq->stage == REQUEST_WAITING && rq->gate->filters[rq->filter_at] == &filter_body;
}

void filter_body_take(struct request *rq, struct slice piece)
{
    if (rq->refusal.id)
        return;
    enum err e = buf_append(&rq->body, piece);
    if (!e)
        return;
    if (e == ERR_TOO_BIG)
        refuse_size(rq);
    else
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (is_waiting_here(rq))
        request_go_on(rq, FILTER_REFUSE);
}

void filter_body_whole(struct request *rq)
{
    struct body_state *s = filter_state(rq, &filter_body);
    if (s)
        s->whole = true;
    if (is_waiting_here(rq))
        request_go_on(rq, request_renew(rq) ? FILTER_PASS : FILTER_REFUSE);
}

const struct filter filter_body = {
    .name = "body", .state_size = sizeof(struct body_state), .on_request = on_request};
