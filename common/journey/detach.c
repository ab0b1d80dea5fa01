/*
 * detach — a journey whose client has had its last word, and whose work is still to be paid for.
 */
#include "common/journey/walk.h"

/* The request goes with its exchange. */
static enum err keep_request(struct journey *j)
{
    struct http_head *head = arena_alloc(j->arena, sizeof(*head));
    struct slice method = arena_copy(j->arena, j->head->method);
    struct slice label = arena_copy(j->arena, j->session.external_id);
    if (!head || !method.ptr || !label.ptr)
        return ERR_NOMEM;
    *head = (struct http_head){.method = method};
    j->head = head;
    j->session.external_id = label;
    j->query = j->peer = j->credential_header = SLICE_NONE;
    return ERR_OK;
}

enum err journey_detach(struct journey *j)
{
    MUST(j->stage == JOURNEY_WORK && !j->answered_status && (j->client_gone || j->refusal.id));
    if (j->env->detached_count >= LIMIT_DETACHED)
        return ERR_EXHAUSTED;
    if (keep_request(j))
        return ERR_NOMEM;
    j->detached = true;
    j->env->detached_count++;
    if (j->client_gone) {
        j->answer_ops->end(j->answer);
    } else {
        j->answered_status = refusal_row(j->refusal.id)->status;
        journey_say_refusal(j);
    }
    j->answer = NULL;
    return ERR_OK;
}
