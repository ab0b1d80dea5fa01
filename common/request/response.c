/*
 * answer — what the client hears of a request: an answer begun and written piece by piece, or all
 * of one at its end; with the headers that every answer has.
 */
#include "common/request/request_private.h"

static size_t join_headers(struct request *rq, const struct http_header *headers, size_t n,
                           struct http_header *all, size_t max, struct header_room *room)
{
    size_t count = headers_common(rq, all, REQUEST_HEADERS, room);
    for (size_t i = 0; i < n && count < max; i++)
        all[count++] = headers[i];
    return count;
}

enum err request_response_begin(struct request *rq, unsigned status,
                                const struct http_header *headers, size_t n, uint64_t length)
{
    struct http_header all[REQUEST_HEADERS + LIMIT_HTTP_HEADERS] UNINITIALIZED;
    struct header_room room UNINITIALIZED;
    MUST(!rq->response_status);
    if (rq->client_gone)
        return ERR_CLOSED;
    size_t count = join_headers(rq, headers, n, all, ARRAY_LEN(all), &room);
    enum err e = rq->response_ops->begin(rq->answer, status, all, count, length);
    if (!e)
        rq->response_status = status;
    return e;
}

enum err request_response_write(struct request *rq, struct slice data)
{
    return rq->client_gone ? ERR_CLOSED : rq->response_ops->write(rq->answer, data);
}

static void send_whole(struct request *rq, const struct final_response *p)
{
    struct http_header all[REQUEST_HEADERS + LIMIT_HTTP_HEADERS] UNINITIALIZED;
    struct header_room room UNINITIALIZED;
    size_t count = join_headers(rq, p->headers, p->n, all, ARRAY_LEN(all), &room);
    rq->response_ops->whole(rq->answer, p->status, all, count, p->body);
}

void response_refuse(struct request *rq)
{
    struct http_header all[2 * REQUEST_HEADERS] UNINITIALIZED;
    struct header_room room UNINITIALIZED;
    const char *type = "application/json";
    struct buf *out = &rq->env->scratch;
    buf_clear(out);
    if (rq->gate->refusal_body(rq, out, &type))
        buf_clear(out); /* the status still says it */
    size_t n = headers_common(rq, all, REQUEST_HEADERS, &room);
    n += headers_refusal(rq, all + n, REQUEST_HEADERS - 1, &room);
    all[n++] = (struct http_header){SLICE("content-type"), slice_str(type)};
    rq->response_ops->whole(rq->answer, refusal_row(rq->refusal.id)->status, all, n,
                            buf_slice(out));
}

void response_finish(struct request *rq, const struct final_response *p)
{
    if (p->whole) {
        send_whole(rq, p);
    } else if (!rq->response_status) {
        response_refuse(rq);
    } else if (rq->end == OUTCOME_CANCELLED || p->cut || (rq->revoked && !p->last.len)) {
        rq->response_ops->abort(rq->answer);
    } else if (p->last.len && rq->response_ops->write(rq->answer, p->last)) {
        rq->response_ops->abort(rq->answer);
    } else {
        rq->response_ops->end(rq->answer);
    }
}
