/*
 * gates — the AI wing's own: is there such an endpoint, what is asked, may they use this model,
 * who could answer.
 */
#include "common/base/digest.h"
#include "dataplane/ai/work.h"

static enum gate_answer refuse(struct journey *j, enum refusal_id id, struct slice detail)
{
    journey_refuse(j, id, detail);
    return GATE_REFUSE;
}

/* ---- endpoint: before anything else, by the head alone ---- */

static enum gate_answer ask_endpoint(struct journey *j)
{
    bool allowed = false;
    const struct ai_endpoint *e = ai_endpoint_find(j->head->method, j->path, &allowed);
    if (!e)
        return refuse(j, REFUSAL_PATH_UNKNOWN, SLICE_NONE);
    if (!allowed)
        return refuse(j, REFUSAL_METHOD, SLICE_NONE);
    struct ai_work *w = ai_work_take(j);
    if (!w)
        return refuse(j, REFUSAL_NO_CAPACITY, SLICE_NONE);
    w->endpoint = e;
    j->wing_state = w;
    j->trace.name = e->name;
    return GATE_PASS;
}

static void leave_endpoint(struct journey *j)
{
    ai_work_give(j->wing_state);
}

const struct gate ai_gate_endpoint = {"endpoint", ask_endpoint, leave_endpoint, NULL};

/* ---- request: what is asked ---- */

static bool is_json_type(const struct http_head *h)
{
    struct slice type = http_head_find(h, SLICE("content-type"));
    return !type.len || slice_search(type, SLICE("json")) >= 0;
}

static enum gate_answer ask_request(struct journey *j)
{
    struct ai_work *w = j->wing_state;
    struct slice detail = SLICE_NONE;
    if (!ai_calls_upstream(w->endpoint))
        return GATE_PASS;
    if (!is_json_type(j->head))
        return refuse(j, REFUSAL_MEDIA_TYPE, SLICE_NONE);
    enum err e = request_read(w->endpoint, buf_slice(&j->body), j->arena, &w->request, &detail);
    if (e == ERR_NOMEM)
        return refuse(j, REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (e)
        return refuse(j, REFUSAL_BAD_JSON, detail);
    return GATE_PASS;
}

const struct gate ai_gate_request = {"request", ask_request, NULL, NULL};

/* ---- grant: may they use this model? ---- */

struct grant_look {
    const struct journey *j;
    struct slice model;
    bool found;
};

static bool look_at_grant(void *arg, const struct policy_grant *g)
{
    struct grant_look *look = arg;
    const struct policy_task *task = look->j->task;
    bool task_fits = !g->task_id.len || (task && slice_eq(g->task_id, task->o.id));
    look->found = task_fits && g->models.set && name_list_allows(&g->models, look->model);
    return !look->found;
}

static bool is_granted(const struct journey *j, struct slice model)
{
    struct grant_look look = {.j = j, .model = model};
    if (j->who.agent)
        snapshot_each_grant(j->policy, j->who.agent->o.id, look_at_grant, &look);
    if (!look.found && j->who.team)
        snapshot_each_grant(j->policy, j->who.team->o.id, look_at_grant, &look);
    return look.found;
}

static bool list_allows(const struct name_list *l, struct slice model)
{
    return l->set && name_list_allows(l, model);
}

/*
 * Two questions. Is it given: by the key's own list, or, where the key has none ("absent means
 * least"), by the agent's, the team's, or a grant. And is it within bounds: a list of the team,
 * or of the agent, bounds what those below it may name, unless a grant adds to it.
 */
bool ai_may_use(const struct journey *j, struct slice model)
{
    static const struct name_list none;
    const struct name_list *team = j->who.team ? &j->who.team->models : &none;
    const struct name_list *agent = j->who.agent ? &j->who.agent->models : &none;
    const struct name_list *key = &j->who.key->models;
    bool bounded = (team->set && !name_list_allows(team, model)) ||
                   (agent->set && !name_list_allows(agent, model));
    if (key->set && !name_list_allows(key, model))
        return false;
    if (!bounded && (key->set || list_allows(agent, model) || list_allows(team, model)))
        return true;
    return is_granted(j, model);
}

static enum gate_answer ask_grant(struct journey *j)
{
    struct ai_work *w = j->wing_state;
    if (!ai_calls_upstream(w->endpoint))
        return GATE_PASS;
    struct slice name = w->request.model;
    const struct policy_model *m = snapshot_model_named(j->policy, j->who.key->o.org_id, name);
    if (!m || !ai_may_use(j, m->o.name)) {
        w->request.param = "model";
        return refuse(j, REFUSAL_MODEL_UNKNOWN, name);
    }
    w->model = m;
    j->trace.model = m->o.name;
    j->trace.cache = "bypass"; /* no answer is ever taken from a cache here */
    return GATE_PASS;
}

const struct gate ai_gate_grant = {"grant", ask_grant, NULL, NULL};

/* ---- candidates: who could answer ---- */

static uint32_t roll(void *arg)
{
    uint32_t n;
    (void)arg;
    digest_random(&n, sizeof(n));
    return n;
}

static enum gate_answer ask_candidates(struct journey *j)
{
    struct ai_work *w = j->wing_state;
    if (!ai_calls_upstream(w->endpoint))
        return GATE_PASS;
    w->candidate_count =
        candidates_list(j->policy, w->model, roll, NULL, w->candidates, LIMIT_ATTEMPTS);
    if (!w->candidate_count)
        return refuse(j, REFUSAL_NO_TARGET, SLICE_NONE);
    return GATE_PASS;
}

const struct gate ai_gate_candidates = {"candidates", ask_candidates, NULL, NULL};
