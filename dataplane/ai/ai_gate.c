/*
 * request — the AI gate's corridor: its gates in their order, and how the work begins and is
 * called off.
 */
#include "common/base/mem.h"
#include "dataplane/ai/ai_private.h"

#define SPARE_MAX 1024        /* kept per worker */
#define SPARE_BUF (64 * 1024) /* larger buffers go back to the heap */

/* decisions.md, Gate order. The body is read before the session is known, because a client may
 * name the session in it. */
static const struct filter *const gates[] = {
    &ai_filter_endpoint,   /* is there such a thing? */
    &filter_authenticate,  /* who is asking? */
    &filter_body,          /* with how much? */
    &ai_filter_request,    /* what? */
    &filter_session,       /* in which conversation? */
    &filter_task,          /* on which task? */
    &ai_filter_grant,      /* may they? */
    &filter_limit,         /* not so fast */
    &ai_filter_candidates, /* who could answer? */
    &filter_budget,        /* who pays? */
    NULL,
};

#define KEPT 2 /* buffers that are in use for most of a call; `answer` is not */

static void kept_of(struct ai_work *w, struct buf *room[static KEPT])
{
    room[0] = &w->sse.raw;
    room[1] = &w->sse.data;
}

static struct ai_work *create(void)
{
    struct ai_work *w = mem_zalloc(sizeof(*w));
    if (!w)
        return NULL;
    buf_init(&w->answer, LIMIT_AI_ANSWER);
    sse_reader_init(&w->sse);
    return w;
}

static void destroy(struct ai_work *w)
{
    struct buf *kept[KEPT];
    kept_of(w, kept);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        buf_fini(kept[i]);
    mem_free(w);
}

static void on_linger(struct timer *t)
{
    relay_upstream_end(CONTAINER_OF(t, struct ai_work, linger));
}

/* everything but the memory that is kept */
static void clear(struct ai_work *w)
{
    struct buf answer = w->answer;
    struct sse_reader sse = w->sse;
    memset(w, 0, offsetof(struct ai_work, candidates));
    w->answer = answer;
    w->sse = sse;
    w->sse.started = w->sse.after_cr = w->sse.line_begun = false;
}

static void empty_buffers(struct ai_work *w, struct buf_shelf *shelf)
{
    struct buf *kept[KEPT];
    kept_of(w, kept);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (kept[i]->cap > SPARE_BUF)
            buf_fini(kept[i]);
        buf_clear(kept[i]);
    }
    buf_shelf_give(shelf, &w->answer);
}

struct ai_work *ai_work_take(struct request *rq)
{
    struct list *it = list_take_first(&rq->env->gate_spare[GATE_AI]);
    struct ai_work *w = it ? LIST_ITEM(it, struct ai_work, link) : create();
    if (!w)
        return NULL;
    if (it)
        rq->env->gate_spare_count[GATE_AI]--;
    clear(w);
    w->rq = rq;
    w->request.choices = 1;
    timer_init(&w->linger, rq->env->loop, on_linger);
    return w;
}

static void give_back(void *arg)
{
    struct ai_work *w = arg;
    struct request_env *env = w->rq->env;
    empty_buffers(w, &env->shelf);
    if (env->gate_spare_count[GATE_AI] >= SPARE_MAX) {
        destroy(w);
        return;
    }
    list_push_first(&env->gate_spare[GATE_AI], &w->link);
    env->gate_spare_count[GATE_AI]++;
}

void ai_work_give(struct ai_work *w)
{
    timer_cancel(&w->linger);
    attempt_drop(w);
    /* The last piece of the answer may lie in its buffers, and is sent after the gates left. */
    loop_retire(w->rq->env->loop, give_back, w);
}

void ai_fini(struct request_env *env)
{
    struct list *it;
    while ((it = list_take_first(&env->gate_spare[GATE_AI])))
        destroy(LIST_ITEM(it, struct ai_work, link));
    env->gate_spare_count[GATE_AI] = 0;
}

static void begin_work(struct request *rq)
{
    struct ai_work *w = rq->gate_state;
    if (!ai_calls_upstream(w->endpoint)) {
        models_answer(w);
        return;
    }
    if (request_open_record(rq)) {
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        rq->refusal.retry_after_s = 1;
        request_finish_as(rq, OUTCOME_REFUSED);
        return;
    }
    attempt_next(w);
}

/* A plain call once it was sent: its provider goes on to the end whether anybody reads or not, and
 * only its answer says what that cost. The client's own deadline went with it; ours bound it. */
static bool is_worth_its_end(const struct ai_work *w)
{
    return w->call && !w->request.stream && http_call_is_sent(w->call);
}

static void cancel_work(struct request *rq)
{
    struct ai_work *w = rq->gate_state;
    bool unanswered = is_worth_its_end(w);
    if (unanswered && !rq->env->stopping && !request_detach(rq)) {
        http_call_outlast(w->call);
        return;
    }
    attempt_drop(w);
    if (w->attempt) {
        if (w->look.has_usage)
            bill_reported(w, &w->look.tokens);
        else if (unanswered)
            bill_unread(w);
        else
            bill_estimated(w);
        attempt_end(w, OUTCOME_CANCELLED, request_cut_code(rq));
    }
    request_finish_as(rq, OUTCOME_CANCELLED);
}

static void on_drain(struct request *rq)
{
    relay_drain(rq->gate_state);
}

static void on_reserved(struct request *rq, enum err e)
{
    struct ai_work *w = rq->gate_state;
    if (w->next_waits)
        attempt_reserved(w, e);
    else
        relay_reserved(w, e);
}

static struct slice session_label(struct request *rq, const char **named_by, bool *strict)
{
    const struct ai_request *r = &((struct ai_work *)rq->gate_state)->request;
    if (r->session_id.ptr) {
        *named_by = "metadata.session_id";
        return r->session_id;
    }
    *named_by = "prompt_cache_key";
    *strict = false; /* its purpose is another, so its form is not ours to refuse */
    return r->prompt_cache_key;
}

static size_t refusal_headers(struct request *rq, struct http_header *out, size_t max)
{
    bool allowed;
    const struct ai_endpoint *e = ai_endpoint_find(rq->head->method, rq->path, &allowed);
    if (rq->refusal.id != REFUSAL_METHOD || !e || !max)
        return 0;
    out[0] = (struct http_header){SLICE("allow"), e->method};
    return 1;
}

const struct gate ai_gate = {
    .name = "ai",
    .slot = GATE_AI,
    .id_header = "x-request-id",
    .filters = gates,
    .body_max = LIMIT_AI_BODY,
    .work = begin_work,
    .refusal_body = openai_refusal_body,
    .stream_error = openai_refusal_event,
    .refusal_headers = refusal_headers,
    .session_label = session_label,
    .on_drain = on_drain,
    .cancel = cancel_work,
    .worst_case = ai_worst_case,
    .on_reserved = on_reserved,
};
