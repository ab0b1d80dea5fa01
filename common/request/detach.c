/*
 * detach — a request whose client has had its last word, and whose work is still to be paid for.
 */
#include "common/request/request_private.h"

/* The request goes with its exchange. */
static enum err keep_request(struct request *rq)
{
    struct http_head *head = arena_alloc(rq->arena, sizeof(*head));
    struct slice method = arena_copy(rq->arena, rq->head->method);
    struct slice label = arena_copy(rq->arena, rq->session.external_id);
    if (!head || !method.ptr || !label.ptr)
        return ERR_NOMEM;
    *head = (struct http_head){.method = method};
    rq->head = head;
    rq->session.external_id = label;
    rq->query = rq->peer = rq->credential_header = SLICE_NONE;
    return ERR_OK;
}

enum err request_detach(struct request *rq)
{
    MUST(rq->stage == REQUEST_WORK && !rq->response_status && (rq->client_gone || rq->refusal.id));
    if (rq->env->detached_count >= LIMIT_DETACHED)
        return ERR_EXHAUSTED;
    if (keep_request(rq))
        return ERR_NOMEM;
    rq->detached = true;
    rq->env->detached_count++;
    if (rq->client_gone) {
        rq->response_ops->end(rq->answer);
    } else {
        rq->response_status = refusal_row(rq->refusal.id)->status;
        response_refuse(rq);
    }
    rq->answer = NULL;
    return ERR_OK;
}
