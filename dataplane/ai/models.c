/*
 * models — the models this caller may use, as OpenAI lists them (dialects.md 1.3).
 */
#include "common/net/http1.h"
#include "dataplane/ai/ai_private.h"

struct listing {
    struct ai_work *w;
    enum err e;
    size_t count;
};

static enum err write_model(struct buf *out, const struct policy_model *m)
{
    enum err e = buf_append(out, SLICE("{\"id\":"));
    if (!e)
        e = buf_json_string(out, m->o.name);
    if (!e)
        e = buf_printf(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"gatehouse\"}",
                       (long long)(m->created_at_us / 1000000));
    return e;
}

static bool list_one(void *arg, const struct policy_model *m)
{
    struct listing *l = arg;
    if (!ai_may_use(l->w->rq, m->o.name))
        return true;
    if (l->count++)
        l->e = buf_append(&l->w->answer, SLICE(","));
    if (!l->e)
        l->e = write_model(&l->w->answer, m);
    return l->e == ERR_OK;
}

static enum err write_list(struct ai_work *w)
{
    struct listing l = {.w = w};
    enum err e = buf_append(&w->answer, SLICE("{\"object\":\"list\",\"data\":["));
    if (e)
        return e;
    snapshot_each_model(w->rq->policy, w->rq->who.key->o.org_id, list_one, &l);
    return l.e ? l.e : buf_append(&w->answer, SLICE("]}"));
}

/* SDKs escape what stands in a name ("org%3Amodel"); names hold none of the rest */
static struct slice unescaped(struct arena *a, struct slice s)
{
    char *out = arena_alloc(a, s.len);
    size_t n = 0;
    if (!out)
        return SLICE_NONE;
    for (size_t i = 0; i < s.len; i++) {
        int high = i + 2 < s.len && s.ptr[i] == '%' ? slice_hex_digit(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? slice_hex_digit(s.ptr[i + 2]) : -1;
        out[n++] = low >= 0 ? (char)(high * 16 + low) : s.ptr[i];
        if (low >= 0)
            i += 2;
    }
    return slice_of(out, n);
}

static void finish_listed(struct ai_work *w)
{
    const struct http_header type = {SLICE("content-type"), SLICE("application/json")};
    request_finish(w->rq, &(struct request_end){.outcome = OUTCOME_OK,
                                                .status = 200,
                                                .headers = &type,
                                                .header_count = 1,
                                                .body = buf_slice(&w->answer)});
}

static void answer_one(struct ai_work *w)
{
    struct request *rq = w->rq;
    struct slice name = unescaped(rq->arena, slice_from(rq->path, w->endpoint->path.len));
    const struct policy_model *m = snapshot_model_named(rq->policy, rq->who.key->o.org_id, name);
    if (!m || !ai_may_use(rq, m->o.name)) {
        w->request.param = "model";
        request_refuse(rq, REFUSAL_MODEL_UNKNOWN, name);
        request_finish_as(rq, OUTCOME_REFUSED);
        return;
    }
    if (write_model(&w->answer, m))
        request_finish_as(rq, OUTCOME_ERROR);
    else
        finish_listed(w);
}

void models_answer(struct ai_work *w)
{
    buf_shelf_take(&w->rq->env->shelf, &w->answer);
    if (w->endpoint->kind == AI_MODEL)
        answer_one(w);
    else if (write_list(w))
        request_finish_as(w->rq, OUTCOME_ERROR);
    else
        finish_listed(w);
}
