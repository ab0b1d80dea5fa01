/*
 * journey — the AI wing's corridor: its gates in their order, and how the work begins and is
 * called off.
 */
#include "common/base/mem.h"
#include "dataplane/ai/work.h"

#define SPARE_MAX 1024        /* kept per worker */
#define SPARE_BUF (64 * 1024) /* larger buffers go back to the heap */

/* decisions.md, Gate order. The body is read before the session is known, because a client may
 * name the session in it. */
static const struct gate *const gates[] = {
    &ai_gate_endpoint,   /* is there such a thing? */
    &gate_authn,         /* who is asking? */
    &gate_body,          /* with how much? */
    &ai_gate_request,    /* what? */
    &gate_session,       /* in which conversation? */
    &gate_task,          /* on which task? */
    &ai_gate_grant,      /* may they? */
    &gate_limit,         /* not so fast */
    &ai_gate_candidates, /* who could answer? */
    &gate_budget,        /* who pays? */
    NULL,
};

#define KEPT 3 /* buffers that are in use for most of a call; `answer` is not */

static void kept_of(struct ai_work *w, struct buf *room[static KEPT])
{
    room[0] = &w->held;
    room[1] = &w->sse.raw;
    room[2] = &w->sse.data;
}

static struct ai_work *create(void)
{
    struct ai_work *w = mem_zalloc(sizeof(*w));
    if (!w)
        return NULL;
    buf_init(&w->answer, LIMIT_AI_ANSWER);
    buf_init(&w->held, 2 * LIMIT_SSE_EVENT + LIMIT_STREAM_OUT);
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
    struct buf answer = w->answer, held = w->held;
    struct sse_reader sse = w->sse;
    memset(w, 0, offsetof(struct ai_work, candidates));
    w->answer = answer;
    w->held = held;
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

struct ai_work *ai_work_take(struct journey *j)
{
    struct list *it = list_take_first(&j->env->wing_spare[WING_AI]);
    struct ai_work *w = it ? LIST_ITEM(it, struct ai_work, link) : create();
    if (!w)
        return NULL;
    if (it)
        j->env->wing_spare_count[WING_AI]--;
    clear(w);
    w->j = j;
    w->request.choices = 1;
    timer_init(&w->linger, j->env->loop, on_linger);
    return w;
}

static void give_back(void *arg)
{
    struct ai_work *w = arg;
    struct journey_env *env = w->j->env;
    empty_buffers(w, &env->shelf);
    if (env->wing_spare_count[WING_AI] >= SPARE_MAX) {
        destroy(w);
        return;
    }
    list_push_first(&env->wing_spare[WING_AI], &w->link);
    env->wing_spare_count[WING_AI]++;
}

void ai_work_give(struct ai_work *w)
{
    timer_cancel(&w->linger);
    attempt_drop(w);
    /* The last piece of the answer may lie in its buffers, and is sent after the gates left. */
    loop_retire(w->j->env->loop, give_back, w);
}

void ai_fini(struct journey_env *env)
{
    struct list *it;
    while ((it = list_take_first(&env->wing_spare[WING_AI])))
        destroy(LIST_ITEM(it, struct ai_work, link));
    env->wing_spare_count[WING_AI] = 0;
}

static void begin_work(struct journey *j)
{
    struct ai_work *w = j->wing_state;
    if (!ai_calls_upstream(w->endpoint)) {
        models_answer(w);
        return;
    }
    if (journey_open_record(j)) {
        journey_refuse(j, REFUSAL_NO_CAPACITY, SLICE_NONE);
        j->refusal.retry_after_s = 1;
        journey_finish(j, JOURNEY_REFUSED);
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

static void cancel_work(struct journey *j)
{
    struct ai_work *w = j->wing_state;
    bool unanswered = is_worth_its_end(w);
    if (unanswered && !j->env->stopping && !journey_detach(j)) {
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
        attempt_end(w, JOURNEY_CANCELLED, journey_cut_code(j));
    }
    journey_finish(j, JOURNEY_CANCELLED);
}

static void on_drain(struct journey *j)
{
    relay_drain(j->wing_state);
}

static void on_reserved(struct journey *j, enum err e)
{
    struct ai_work *w = j->wing_state;
    if (w->next_waits)
        attempt_reserved(w, e);
    else
        relay_reserved(w, e);
}

static struct slice session_label(struct journey *j, const char **named_by, bool *strict)
{
    const struct ai_request *r = &((struct ai_work *)j->wing_state)->request;
    if (r->session_id.ptr) {
        *named_by = "metadata.session_id";
        return r->session_id;
    }
    *named_by = "prompt_cache_key";
    *strict = false; /* its purpose is another, so its form is not ours to refuse */
    return r->prompt_cache_key;
}

static size_t refusal_headers(struct journey *j, struct http_header *out, size_t max)
{
    bool allowed;
    const struct ai_endpoint *e = ai_endpoint_find(j->head->method, j->path, &allowed);
    if (j->refusal.id != REFUSAL_METHOD || !e || !max)
        return 0;
    out[0] = (struct http_header){SLICE("allow"), e->method};
    return 1;
}

const struct wing ai_wing = {
    .name = "ai",
    .slot = WING_AI,
    .id_header = "x-request-id",
    .gates = gates,
    .body_max = LIMIT_AI_BODY,
    .work = begin_work,
    .refusal_body = openai_refusal_body,
    .refusal_headers = refusal_headers,
    .session_label = session_label,
    .on_drain = on_drain,
    .cancel = cancel_work,
    .worst_case = ai_worst_case,
    .on_reserved = on_reserved,
};
