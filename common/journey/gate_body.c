/*
 * gate_body — the whole body in memory, up to the wing's ceiling.
 *
 * Stands behind gate_authn: nobody's body is read before we know who it is. The ceiling is
 * enforced here and not by the server, so that the 413 speaks the dialect of the path.
 */
#include "common/journey/walk.h"

static bool is_encoded(const struct http_head *h)
{
    struct slice coding = http_head_find(h, SLICE("content-encoding"));
    return coding.len && !slice_ieq(coding, SLICE("identity"));
}

static enum gate_answer ask(struct journey *j)
{
    const struct http_head *h = j->head;
    if (is_encoded(h)) {
        journey_refuse(j, REFUSAL_MEDIA_TYPE, SLICE_NONE);
        return GATE_REFUSE;
    }
    if (h->has_length && h->length > j->wing->body_max) {
        journey_refuse(j, REFUSAL_TOO_LARGE, SLICE_NONE);
        return GATE_REFUSE;
    }
    if (!h->chunked && (!h->has_length || h->length == 0)) {
        j->body_whole = true;
        return GATE_PASS;
    }
    j->body.max = j->wing->body_max;
    j->answer_ops->read_body(j->answer, UINT64_MAX);
    if (j->refusal.id)
        return GATE_REFUSE;
    return j->body_whole ? GATE_PASS : GATE_WAIT;
}

static void abandon(struct journey *j)
{
    (void)j; /* nothing was promised to anybody but the front, which is gone */
}

void gate_body_take(struct journey *j, struct slice piece)
{
    if (j->refusal.id)
        return;
    enum err e = buf_append(&j->body, piece);
    if (!e)
        return;
    journey_refuse(j, e == ERR_TOO_BIG ? REFUSAL_TOO_LARGE : REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (j->waiting)
        journey_go_on(j, GATE_REFUSE);
}

void gate_body_whole(struct journey *j)
{
    j->body_whole = true;
    if (j->waiting && j->wing->gates[j->gate_at] == &gate_body)
        journey_go_on(j, GATE_PASS);
}

const struct gate gate_body = {"body", ask, NULL, abandon};
