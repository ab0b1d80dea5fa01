/*
 * candidates — the eligible targets of a model, in the order of its strategy.
 */
#include "dataplane/ai/candidates.h"

#include "common/request/request.h"
#include "dataplane/ai/route/ai_strategy.h"
#include "dataplane/ai/route/route_target.h"

/* ---- the credential: one of those that are ready, by weight, or the caller's own ---- */

static struct endpoint_limits limits_of(const struct policy_provider *p)
{
    (void)p;
    return (struct endpoint_limits){0};
}

static struct endpoint_key key_of(const struct policy_provider *p,
                                  const struct policy_credential *c)
{
    return (struct endpoint_key){.target = p->o.id,
                                 .credential = c ? c->id : SLICE_NONE,
                                 .region = c ? c->region : SLICE_NONE,
                                 .url = c ? &c->url : &p->url,
                                 .revision = p->o.revision};
}

/* NULL: not used yet */
static const struct endpoint *endpoint_of(const struct candidates_query *q,
                                          const struct policy_provider *p,
                                          const struct policy_credential *c)
{
    if (!q->endpoints)
        return NULL;
    const struct endpoint_key key = key_of(p, c);
    const void *way = c ? (const void *)c : p;
    return endpoint_recall(q->endpoints, way, snapshot_serial(q->policy), &key);
}

static bool is_ready(const struct candidates_query *q, const struct endpoint *e,
                     const struct endpoint_limits *limits)
{
    return !e || endpoint_admits(e, limits, q->now_us) == ERR_OK;
}

/* The one that the caller likes best of those that are ready; n: none is. */
static size_t settle(const struct candidates_query *q, const struct policy_provider *p,
                     const struct endpoint_choice *of, size_t n)
{
    const struct endpoint_limits limits = limits_of(p);
    size_t best = n;
    double share = -1;
    for (size_t i = 0; i < n; i++) {
        uint64_t affinity = route_affinity(q->caller, route_number(p->credentials[i].id));
        double own = route_share(affinity, of[i].weight);
        if (own <= share || !is_ready(q, of[i].endpoint, &limits))
            continue;
        share = own;
        best = i;
    }
    return best;
}

static const struct policy_credential *pick_credential(const struct candidates_query *q,
                                                       const struct policy_provider *p)
{
    struct endpoint_choice of[ROUTE_TARGETS_MAX] UNINITIALIZED;
    size_t n = p->credential_count < ROUTE_TARGETS_MAX ? p->credential_count : ROUTE_TARGETS_MAX;
    const struct endpoint_limits limits = limits_of(p);
    if (n < 2)
        return n ? &p->credentials[0] : NULL;
    for (size_t i = 0; i < n; i++)
        of[i] = (struct endpoint_choice){endpoint_of(q, p, &p->credentials[i]),
                                         p->credentials[i].weight};
    size_t at = q->caller ? settle(q, p, of, n) : n;
    if (at == n)
        at = endpoint_pick(of, n, &limits, q->now_us, q->dice, q->arg);
    return &p->credentials[at];
}

const struct policy_credential *candidates_credential(const struct candidates_query *q,
                                                      const struct policy_provider *p)
{
    return pick_credential(q, p);
}

/* The credential by which the provider knows us as this account; *none: without any it does. */
static const struct policy_credential *credential_of(const struct policy_provider *p,
                                                     const struct ai_account *account, bool *none)
{
    struct ai_account own;
    *none = false;
    for (size_t i = 0; i < p->credential_count; i++) {
        ai_account_of(p->o.id, p->credentials[i].id, &own);
        if (ai_account_eq(&own, account))
            return &p->credentials[i];
    }
    ai_account_of(p->o.id, SLICE_NONE, &own);
    *none = !p->credential_count && ai_account_eq(&own, account);
    return NULL;
}

bool candidates_stay(struct candidate *list, size_t count, const struct ai_account *account)
{
    for (size_t i = 0; i < count; i++) {
        bool none;
        const struct policy_credential *c = credential_of(list[i].provider, account, &none);
        if (!c && !none)
            continue;
        list[i].credential = c;
        struct candidate found = list[i];
        memmove(list + 1, list, i * sizeof(*list));
        list[0] = found;
        return true;
    }
    return false;
}

const struct policy_catalogue_model *catalogue_model_of(const struct snapshot *policy,
                                                        const struct policy_provider *p,
                                                        struct slice name)
{
    const struct policy_catalogue *own =
        p->catalogue_id.len ? snapshot_catalogue(policy, p->catalogue_id) : NULL;
    const struct policy_catalogue_model *m = own ? policy_catalogue_find(own, name) : NULL;
    if (m)
        return m;
    const struct policy_catalogue *c = snapshot_catalogue_named(policy, p->o.org_id, p->catalogue);
    return c ? policy_catalogue_find(c, name) : NULL;
}

const struct price_sheet *candidates_team_price(const struct snapshot *policy,
                                                const struct policy_team *team, struct slice name)
{
    const struct policy_catalogue *own =
        team && team->catalogue_id.len ? snapshot_catalogue(policy, team->catalogue_id) : NULL;
    const struct policy_catalogue_model *m = own ? policy_catalogue_find(own, name) : NULL;
    return m ? &m->price : NULL;
}

static const struct price_sheet *price_of(const struct candidates_query *q,
                                          const struct route_target *t, struct slice name)
{
    const struct price_sheet *teams = candidates_team_price(q->policy, q->team, name);
    if (teams)
        return teams;
    if (q->model->price.base.input != PRICE_NONE)
        return &q->model->price;
    const struct policy_catalogue_model *m =
        q->rest.ptr ? catalogue_model_of(q->policy, t->provider, name) : t->known;
    return m ? &m->price : NULL;
}

/* The target's name for the model. SLICE_NONE: no memory. */
static struct slice name_at(const struct candidates_query *q, const struct policy_target *t)
{
    ptrdiff_t star = q->rest.ptr ? slice_find(t->model, '*') : -1;
    if (star < 0)
        return t->model;
    if (t->model.len == 1)
        return q->rest;
    struct slice behind = slice_from(t->model, (size_t)star + 1);
    return arena_printf(q->arena, "%.*s%.*s%.*s", (int)star, t->model.ptr, SLICE_ARG(q->rest),
                        SLICE_ARG(behind));
}

/* ---- what the strategy looks at ---- */

static void look_at_endpoint(const struct candidates_query *q, const struct route_target *t,
                             struct route_choice *ret, bool *is_well)
{
    const struct endpoint_limits limits = limits_of(t->provider);
    const struct endpoint *e = endpoint_of(q, t->provider, ret->credential);
    *is_well = is_ready(q, e, &limits);
    if (!e)
        return;
    ret->health = endpoint_health(e, q->now_us);
    ret->pace = endpoint_pace(e, t->model, q->now_us);
}

static money cost_of(const struct candidates_query *q, const struct route_target *t,
                     const struct route_choice *c)
{
    money cost;
    struct slice name = q->need ? name_at(q, t->target) : SLICE_NONE;
    bool is_known = name.ptr && !route_cost(price_of(q, t, name), q->need, &c->pace, &cost);
    return is_known ? cost : ROUTE_COST_UNKNOWN;
}

static void look_at(const struct candidates_query *q, const struct route_target *t,
                    struct route_choice *ret, bool *is_well)
{
    *ret = (struct route_choice){.target = t->target,
                                 .provider = t->provider,
                                 .credential = pick_credential(q, t->provider),
                                 .cost = ROUTE_COST_UNKNOWN,
                                 .affinity = q->caller ? route_affinity(q->caller, t->place) : 0};
    look_at_endpoint(q, t, ret, is_well);
    if (q->model->strategy == STRATEGY_LOWEST_COST)
        ret->cost = cost_of(q, t, ret);
}

/* The choices of a model: those that are well in front, the others behind `count`. */
struct view {
    struct route_choice choices[ROUTE_TARGETS_MAX];
    size_t well, count;
};

static void put(struct view *v, const struct route_choice *c, bool is_well)
{
    v->choices[v->count] = *c;
    if (is_well) {
        v->choices[v->count] = v->choices[v->well];
        v->choices[v->well++] = *c;
    }
    v->count++;
}

static void list_choices(const struct candidates_query *q, struct view *v)
{
    const struct policy_model *m = q->model;
    v->well = v->count = 0;
    for (size_t i = 0; i < m->target_count && v->count < ROUTE_TARGETS_MAX; i++) {
        const struct route_target *t = route_target_of(q->policy, &m->targets[i], q->endpoint);
        struct route_choice c;
        bool is_well;
        if (!t->provider)
            continue;
        look_at(q, t, &c, &is_well);
        put(v, &c, is_well);
    }
}

/* Those that are not well come last, the one that will be soonest in front: it may be all there
 * is. */
static size_t order_unwell(const struct view *v, size_t *ret, size_t max)
{
    size_t left[ROUTE_TARGETS_MAX] UNINITIALIZED;
    size_t count = v->count - v->well, n = 0;
    for (size_t i = 0; i < count; i++)
        left[i] = v->well + i;
    for (; n < count && n < max; n++) {
        size_t best = n;
        for (size_t i = n + 1; i < count; i++)
            if (v->choices[left[i]].health.ready_at_us < v->choices[left[best]].health.ready_at_us)
                best = i;
        ret[n] = left[best];
        left[best] = left[n];
    }
    return n;
}

static size_t order_choices(const struct candidates_query *q, const struct view *v, size_t *ret,
                            size_t max)
{
    const struct route_view well = {.choices = v->choices,
                                    .count = v->well,
                                    .dice = q->dice,
                                    .arg = q->arg,
                                    .streams = q->streams,
                                    .sticky = q->caller != 0};
    size_t n = route_strategy(q->model->strategy)->order(&well, ret, max);
    return n + order_unwell(v, ret + n, max - n);
}

static bool take(const struct candidates_query *q, const struct policy_target *target,
                 const struct policy_credential *credential, struct candidate *ret)
{
    const struct route_target *t = route_target_of(q->policy, target, q->endpoint);
    struct slice name = name_at(q, target);
    if (!name.ptr)
        return false;
    *ret = (struct candidate){.provider = t->provider,
                              .credential = credential,
                              .model = name,
                              .written = target->model,
                              .price = price_of(q, t, name)};
    return true;
}

/* Nothing is chosen from, so nothing is looked at. */
static size_t take_only(const struct candidates_query *q, struct candidate *ret)
{
    const struct policy_target *only = &q->model->targets[0];
    const struct policy_provider *p = route_target_of(q->policy, only, q->endpoint)->provider;
    return p && take(q, only, pick_credential(q, p), ret);
}

size_t candidates_list(const struct candidates_query *q, struct candidate *ret, size_t max)
{
    struct view v UNINITIALIZED;
    size_t order[ROUTE_TARGETS_MAX] UNINITIALIZED;
    size_t most = max < ROUTE_TARGETS_MAX ? max : ROUTE_TARGETS_MAX, found = 0;
    if (q->model->target_count == 1 && max)
        return take_only(q, ret);
    list_choices(q, &v);
    size_t n = order_choices(q, &v, order, most);
    for (size_t i = 0; i < n; i++) {
        const struct route_choice *c = &v.choices[order[i]];
        found += take(q, c->target, c->credential, &ret[found]);
    }
    return found;
}
