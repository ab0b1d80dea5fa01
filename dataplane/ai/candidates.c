/*
 * candidates — the eligible targets of a model, in the order of its strategy.
 */
#include "dataplane/ai/candidates.h"

#include "dataplane/ai/provider/provider.h"
#include "dataplane/ai/route/ai_strategy.h"

const struct policy_credential *candidates_credential(const struct policy_provider *p,
                                                      uint32_t (*dice)(void *arg), void *arg)
{
    uint32_t weights[ROUTE_TARGETS_MAX];
    size_t n = p->credential_count < ROUTE_TARGETS_MAX ? p->credential_count : ROUTE_TARGETS_MAX;
    if (n < 2)
        return n ? &p->credentials[0] : NULL;
    for (size_t i = 0; i < n; i++)
        weights[i] = p->credentials[i].weight;
    return &p->credentials[route_draw(weights, n, dice, arg)];
}

/* NULL: this plane cannot use the target, or not for this path */
static const struct policy_provider *provider_of(const struct candidates_query *q,
                                                 const struct policy_target *t)
{
    const struct policy_provider *p = snapshot_provider(q->policy, t->provider_id);
    const struct ai_provider *speaks = p ? ai_provider_for(p, q->endpoint, t->model) : NULL;
    /* an address with "{region}" in it is none without a credential that says which */
    bool has_address = p && (!p->regional || p->credential_count > 0);
    return speaks && has_address && speaks->serves(q->endpoint) ? p : NULL;
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

static size_t list_eligible(const struct candidates_query *q,
                            struct route_choice ret[static ROUTE_TARGETS_MAX])
{
    const struct policy_model *m = q->model;
    size_t n = 0;
    for (size_t i = 0; i < m->target_count && n < ROUTE_TARGETS_MAX; i++) {
        const struct policy_provider *p = provider_of(q, &m->targets[i]);
        if (p)
            ret[n++] = (struct route_choice){&m->targets[i], p};
    }
    return n;
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
                                          const struct route_choice *c, struct slice name)
{
    const struct price_sheet *teams = candidates_team_price(q->policy, q->team, name);
    if (teams)
        return teams;
    if (q->model->price.base.input != PRICE_NONE)
        return &q->model->price;
    const struct policy_catalogue_model *m = catalogue_model_of(q->policy, c->provider, name);
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

size_t candidates_list(const struct candidates_query *q, struct candidate *ret, size_t max)
{
    struct route_choice choices[ROUTE_TARGETS_MAX];
    size_t order[ROUTE_TARGETS_MAX];
    const struct route_view view = {choices, list_eligible(q, choices), q->dice, q->arg};
    size_t most = max < ROUTE_TARGETS_MAX ? max : ROUTE_TARGETS_MAX;
    size_t n = route_strategy(q->model->strategy)->order(&view, order, most);
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const struct route_choice *c = &choices[order[i]];
        struct slice name = name_at(q, c->target);
        if (name.ptr)
            ret[found++] =
                (struct candidate){c->provider, candidates_credential(c->provider, q->dice, q->arg),
                                   name, c->target->model, price_of(q, c, name)};
    }
    return found;
}
