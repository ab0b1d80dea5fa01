/*
 * filter_body — the whole body in memory, up to the gate's ceiling; or its front, where the gate
 * takes the rest as it comes.
 *
 * Stands behind filter_authenticate: no body is read before its sender is known. The ceiling is
 * enforced here and not by the server, so that the 413 speaks the dialect of the path.
 */
#include "common/base/gunzip.h"
#include "common/request/request_private.h"

struct body_state {
    bool whole;            /* its end has come */
    bool asked;            /* whether the front is enough */
    bool enough;           /* it is */
    struct gunzip *gunzip; /* NULL: it comes as it is */
};

enum coding { CODING_NONE, CODING_GZIP, CODING_OTHER };

static enum coding coding_of(const struct http_head *h)
{
    struct slice coding = http_head_find(h, SLICE("content-encoding"));
    if (!coding.len || slice_ieq(coding, SLICE("identity")))
        return CODING_NONE;
    bool gzip = slice_ieq(coding, SLICE("gzip")) || slice_ieq(coding, SLICE("x-gzip"));
    return gzip && http_head_count(h, SLICE("content-encoding")) == 1 ? CODING_GZIP : CODING_OTHER;
}

static uint64_t body_max(const struct request *rq)
{
    uint64_t set = rq->env->body_max[rq->gate->slot];
    return set ? set : rq->gate->body_max;
}

static enum filter_result refuse_size(struct request *rq)
{
    bool is_setting = rq->env->body_max[rq->gate->slot] && rq->gate->slot == GATE_AI;
    const struct body_state *s = filter_state(rq, &filter_body);
    request_refuse(rq, REFUSAL_TOO_LARGE,
                   arena_printf(rq->arena, "%llu bytes%s%s", (unsigned long long)body_max(rq),
                                is_setting ? " (GATEHOUSE_AI_BODY_BYTES)" : "",
                                s->asked ? " of a form whose first 128 KiB do not say what it is "
                                           "for: send its fields before its file"
                                         : ""));
    return FILTER_REFUSE;
}

/* The coding is undone as the body is gathered, and by nothing else. */
static uint64_t front_max(const struct request *rq, enum coding coding)
{
    return rq->gate->front_max && coding == CODING_NONE ? rq->gate->front_max(rq) : 0;
}

static bool is_refused_by_length(const struct request *rq, enum coding coding)
{
    const struct http_head *h = rq->head;
    return h->has_length && h->length > body_max(rq) && h->length > front_max(rq, coding);
}

static enum filter_result on_request(struct request *rq)
{
    const struct http_head *h = rq->head;
    struct body_state *s = filter_state(rq, &filter_body);
    enum coding coding = coding_of(h);
    if (rq->gate->streams_body && rq->gate->streams_body(rq))
        return FILTER_PASS;
    if (coding == CODING_OTHER) {
        request_refuse(rq, REFUSAL_MEDIA_TYPE, SLICE("Content-Encoding may be gzip, or absent"));
        return FILTER_REFUSE;
    }
    if (is_refused_by_length(rq, coding))
        return refuse_size(rq);
    if (!h->chunked && (!h->has_length || h->length == 0))
        return FILTER_PASS;
    if (coding == CODING_GZIP && gunzip_new(&s->gunzip)) {
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        return FILTER_REFUSE;
    }
    rq->body.max = body_max(rq);
    request_read_body(rq, UINT64_MAX);
    if (rq->refusal.id)
        return FILTER_REFUSE;
    return s->whole || s->enough ? FILTER_PASS : FILTER_WAIT;
}

static bool is_waiting_here(const struct request *rq)
{
    return rq->stage == REQUEST_WAITING && rq->gate->filters[rq->filter_at] == &filter_body;
}

static void refuse_piece(struct request *rq, enum err e)
{
    if (e == ERR_TOO_BIG)
        refuse_size(rq);
    else if (e == ERR_INVALID)
        request_refuse(rq, REFUSAL_BAD_REQUEST, SLICE("its body is not the gzip it is said to be"));
    else
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
}

/* Asked once: a front that did not say it all is gathered on, as every other body. */
static void look_at_front(struct request *rq, struct body_state *s)
{
    const struct http_head *h = rq->head;
    bool all_is_here = h->has_length && rq->body.len >= h->length;
    if (!s || s->asked || s->gunzip || rq->body.len < LIMIT_BODY_FRONT || all_is_here ||
        !front_max(rq, coding_of(h)))
        return;
    s->asked = true;
    s->enough = rq->gate->front_is_enough(rq);
    if (s->enough)
        request_pause_body(rq);
    else if (h->has_length && h->length > body_max(rq))
        refuse_size(rq);
    if (is_waiting_here(rq) && (s->enough || rq->refusal.id))
        request_go_on(rq, !rq->refusal.id && request_renew(rq) ? FILTER_PASS : FILTER_REFUSE);
}

/* The ceiling holds for what a body unpacks to. */
void filter_body_take(struct request *rq, struct slice piece)
{
    struct body_state *s = filter_state(rq, &filter_body);
    if (rq->refusal.id)
        return;
    enum err e =
        s && s->gunzip ? gunzip_feed(s->gunzip, piece, &rq->body) : buf_append(&rq->body, piece);
    if (!e) {
        look_at_front(rq, s);
        return;
    }
    refuse_piece(rq, e);
    if (is_waiting_here(rq))
        request_go_on(rq, FILTER_REFUSE);
}

void filter_body_whole(struct request *rq)
{
    struct body_state *s = filter_state(rq, &filter_body);
    if (s)
        s->whole = true;
    if (s && s->gunzip && !rq->refusal.id && !gunzip_is_whole(s->gunzip))
        refuse_piece(rq, ERR_INVALID);
    if (is_waiting_here(rq))
        request_go_on(rq, !rq->refusal.id && request_renew(rq) ? FILTER_PASS : FILTER_REFUSE);
}

static void on_finish(struct request *rq)
{
    struct body_state *s = filter_state(rq, &filter_body);
    gunzip_free(s->gunzip);
    s->gunzip = NULL;
}

const struct filter filter_body = {.name = "body",
                                   .slot = FILTER_BODY,
                                   .state_size = sizeof(struct body_state),
                                   .on_request = on_request,
                                   .on_finish = on_finish};
