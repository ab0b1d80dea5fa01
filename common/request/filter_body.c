/*
 * filter_body — the whole body in memory, up to the gate's ceiling.
 *
 * Stands behind filter_authenticate: nobody's body is read before we know who it is. The ceiling is
 * enforced here and not by the server, so that the 413 speaks the dialect of the path.
 */
#include "common/request/request_private.h"

static bool is_encoded(const struct http_head *h)
{
    struct slice coding = http_head_find(h, SLICE("content-encoding"));
    return coding.len && !slice_ieq(coding, SLICE("identity"));
}

static enum filter_result ask(struct request *rq)
{
    const struct http_head *h = rq->head;
    if (is_encoded(h)) {
        request_refuse(rq, REFUSAL_MEDIA_TYPE, SLICE_NONE);
        return FILTER_REFUSE;
    }
    if (h->has_length && h->length > rq->gate->body_max) {
        request_refuse(rq, REFUSAL_TOO_LARGE, SLICE_NONE);
        return FILTER_REFUSE;
    }
    if (!h->chunked && (!h->has_length || h->length == 0)) {
        rq->body_whole = true;
        return FILTER_PASS;
    }
    rq->body.max = rq->gate->body_max;
    rq->response_ops->read_body(rq->answer, UINT64_MAX);
    if (rq->refusal.id)
        return FILTER_REFUSE;
    return rq->body_whole ? FILTER_PASS : FILTER_WAIT;
}

static void abandon(struct request *rq)
{
    (void)rq; /* nothing was promised to anybody but the front, which is gone */
}

void filter_body_take(struct request *rq, struct slice piece)
{
    if (rq->refusal.id)
        return;
    enum err e = buf_append(&rq->body, piece);
    if (!e)
        return;
    request_refuse(rq, e == ERR_TOO_BIG ? REFUSAL_TOO_LARGE : REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (rq->waiting)
        request_go_on(rq, FILTER_REFUSE);
}

void filter_body_whole(struct request *rq)
{
    rq->body_whole = true;
    if (rq->waiting && rq->gate->filters[rq->filter_at] == &filter_body)
        request_go_on(rq, FILTER_PASS);
}

const struct filter filter_body = {"body", ask, NULL, abandon};
