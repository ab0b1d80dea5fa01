/*
 * ai_upload — the front of a form, then the rest of it, at the target's pace.
 */
#include "dataplane/ai/ai_upload.h"

#include "dataplane/ai/form.h"

struct ai_upload {
    struct ai_call *c;
    struct form_scan scan;
    bool in_front; /* what the scan is given was read by the dialect */
    bool paused;   /* the client is */
    bool lost;
    bool ended;        /* its end has come: with no more than the front, it is said again */
    bool over;         /* refused */
    const char *wrong; /* the field that must not stand there */
    uint64_t front;    /* bytes of it, as the client sent it */
    uint64_t taken;    /* bytes of the body */
    /* Of a body whose length was said, the last byte waits until all of it was walked through: a
     * target that never has it never has the whole form. Chunks have an end of their own. */
    char last;
    bool has_last;
};

static struct slice boundary_of(const struct request *rq)
{
    return form_boundary(http_head_find(rq->head, SLICE("content-type")));
}

uint64_t ai_upload_max(const struct request *rq)
{
    return rq->env->upload_max ? rq->env->upload_max : LIMIT_AI_UPLOAD;
}

uint64_t ai_upload_front_max(const struct request *rq)
{
    const struct ai_call *c = rq->gate_state;
    bool streams = c && c->endpoint->dialect->read_late && boundary_of(rq).ptr;
    return streams ? ai_upload_max(rq) : 0;
}

static bool on_part(void *arg, const struct form_part *p)
{
    struct ai_upload *u = arg;
    struct ai_call *c = u->c;
    if (u->in_front || c->endpoint->dialect->read_late(&c->request, p))
        return true;
    u->wrong = c->request.param;
    return false;
}

bool ai_upload_begin(struct ai_call *c)
{
    struct request *rq = c->rq;
    struct slice front = buf_slice(&rq->body);
    struct ai_upload *u = arena_zalloc(rq->arena, sizeof(*u));
    if (!u)
        return false; /* gathered, and its other allocations say so */
    u->c = c;
    u->in_front = true;
    form_scan_init(&u->scan, boundary_of(rq), on_part, u);
    if (form_scan_feed(&u->scan, front))
        return false; /* the dialect finds the same */
    u->in_front = false;
    u->front = u->taken = front.len;
    u->paused = true;
    c->upload = u;
    return true;
}

static uint64_t length_of(const struct slice *pieces)
{
    uint64_t n = 0;
    for (size_t i = 0; i < AI_REQUEST_PIECES; i++)
        n += pieces[i].len;
    return n;
}

void ai_upload_describe(const struct ai_call *c, const struct slice *pieces,
                        struct http_call_spec *spec)
{
    const struct http_head *h = c->rq->head;
    spec->streamed = spec->fresh = true;
    spec->body_length = h->chunked ? UINT64_MAX : h->length - c->upload->front + length_of(pieces);
}

enum err ai_upload_send_front(struct ai_call *c, const struct slice *pieces)
{
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < AI_REQUEST_PIECES; i++)
        if (pieces[i].len)
            e = exchange_write(c->exchange, pieces[i]);
    if (!e && c->upload->ended)
        exchange_write_end(c->exchange);
    else if (!e && !exchange_is_full(c->exchange))
        ai_upload_go_on(c);
    return e;
}

void ai_upload_go_on(struct ai_call *c)
{
    if (!c->upload->paused || c->upload->over || c->upload->ended)
        return;
    c->upload->paused = false;
    request_resume_body(c->rq);
}

void ai_upload_hold(struct ai_call *c)
{
    if (c->upload->paused || c->upload->over || c->upload->ended)
        return;
    c->upload->paused = true;
    request_pause_body(c->rq);
}

bool ai_upload_is_lost(const struct ai_call *c)
{
    return c->upload->lost;
}

static enum ai_upload_result refuse(struct ai_call *c, enum refusal_id id, struct slice why)
{
    c->upload->over = true;
    request_refuse(c->rq, id, why);
    return AI_UPLOAD_WRONG;
}

/* All but the last byte goes on, behind the one that was the last before. */
static enum err pass_on(struct ai_call *c, struct slice piece)
{
    struct ai_upload *u = c->upload;
    bool keeps_last = !c->rq->head->chunked;
    enum err e = u->has_last ? exchange_write(c->exchange, slice_of(&u->last, 1)) : ERR_OK;
    if (!e)
        e = exchange_write(c->exchange, slice_first(piece, piece.len - keeps_last));
    u->has_last = keeps_last;
    u->last = piece.ptr[piece.len - 1];
    if (!e && exchange_is_full(c->exchange))
        ai_upload_hold(c);
    return e;
}

enum ai_upload_result ai_upload_take(struct ai_call *c, struct slice piece)
{
    struct ai_upload *u = c->upload;
    if (u->over || u->ended || !piece.len)
        return AI_UPLOAD_ON;
    MUST(c->exchange); /* the client is paused while there is none */
    u->taken += piece.len;
    u->lost = true;
    c->request.prompt.text += piece.len;
    if (u->taken > ai_upload_max(c->rq))
        return refuse(
            c, REFUSAL_TOO_LARGE,
            arena_printf(c->rq->arena, "%llu bytes", (unsigned long long)ai_upload_max(c->rq)));
    enum err e = form_scan_feed(&u->scan, piece);
    if (u->wrong) {
        c->request.param = u->wrong;
        return refuse(c, REFUSAL_BAD_JSON,
                      arena_printf(c->rq->arena, "%s must be one field of the form", u->wrong));
    }
    if (e)
        return refuse(c, REFUSAL_BAD_JSON, slice_str(u->scan.problem));
    e = pass_on(c, piece); /* but for this, a failure is the exchange's own, which says why */
    return e == ERR_TOO_BIG ? refuse(c, REFUSAL_NO_CAPACITY, SLICE_NONE) : AI_UPLOAD_ON;
}

enum ai_upload_result ai_upload_end(struct ai_call *c)
{
    struct ai_upload *u = c->upload;
    if (u->over || u->ended)
        return AI_UPLOAD_ON;
    if (!form_scan_is_whole(&u->scan))
        return refuse(c, REFUSAL_BAD_JSON, SLICE("the form has no end"));
    u->ended = true;
    if (u->has_last && exchange_write(c->exchange, slice_of(&u->last, 1)))
        return AI_UPLOAD_ON; /* the exchange says why */
    exchange_write_end(c->exchange);
    return AI_UPLOAD_ON;
}
