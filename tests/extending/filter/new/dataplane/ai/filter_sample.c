/*
 * filter_sample — a sample filter: refuses what says `x-sample: no`, adds a header to responses,
 * and counts the bytes of a response in its state.
 */
#include "dataplane/ai/ai_call.h"

struct sample_state {
    struct response_sink sink;
    struct http_header headers[LIMIT_HTTP_HEADERS];
    size_t bytes;
};

static enum filter_result on_request(struct request *rq)
{
    if (!slice_eq(http_head_find(rq->head, SLICE("x-sample")), SLICE("no")))
        return FILTER_PASS;
    request_refuse(rq, REFUSAL_BAD_REQUEST, SLICE("the sample says no"));
    return FILTER_REFUSE;
}

static enum sink_result head(struct response_sink *s, const struct response_head *h)
{
    struct sample_state *st = CONTAINER_OF(s, struct sample_state, sink);
    struct response_head longer = *h;
    if (h->header_count + 1 < ARRAY_LEN(st->headers)) {
        memcpy(st->headers, h->headers, h->header_count * sizeof(*h->headers));
        st->headers[longer.header_count++] =
            (struct http_header){SLICE("x-sample"), SLICE("passed")};
        longer.headers = st->headers;
    }
    return sink_head(s->next, &longer);
}

static enum sink_result data(struct response_sink *s, struct slice piece)
{
    CONTAINER_OF(s, struct sample_state, sink)->bytes += piece.len;
    return sink_data(s->next, piece);
}

static const struct response_ops ops = {.head = head, .data = data};

static struct response_sink *on_response(struct request *rq)
{
    struct sample_state *st = filter_state(rq, &ai_filter_sample);
    st->sink.ops = &ops;
    return &st->sink;
}

const struct filter ai_filter_sample = {
    .name = "sample",
    .slot = FILTER_OWN,
    .state_size = sizeof(struct sample_state),
    .on_request = on_request,
    .on_response = on_response,
};
