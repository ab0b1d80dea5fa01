/*
 * ai_models — the models that the principal may use, as the client's dialect lists them.
 */
#include "common/net/http1.h"
#include "dataplane/ai/ai_call.h"
#include "dataplane/ai/ai_model_rules.h"

struct listing {
    struct ai_call *c;
    enum err e;
    struct slice first, last; /* names */
};

/* What every target can write, where the policy does not say it. 0: one of them is not known. */
static uint64_t max_output(const struct policy_model *m, struct slice name)
{
    uint64_t least = m->max_output_tokens;
    for (size_t i = 0; !m->max_output_tokens && i < m->target_count; i++) {
        bool starred = m->wildcard && slice_find(m->targets[i].model, '*') >= 0;
        uint64_t own = ai_model_max_output(starred ? name : m->targets[i].model);
        if (!own)
            return 0;
        least = least && least < own ? least : own;
    }
    return least;
}

/* What the vendor calls it: of a wildcard, what the star stands for. */
static struct slice vendors_name(const struct policy_model *m, const struct policy_target *t,
                                 struct slice name)
{
    ptrdiff_t slash = slice_find(name, '/');
    if (!m->wildcard || !slice_eq(t->model, SLICE("*")))
        return t->model;
    return m->o.name.len > 1 && slash >= 0 ? slice_from(name, (size_t)slash + 1) : name;
}

/* The longest prompt that every target takes. 0: one of them is not known. */
static uint64_t context_of(const struct snapshot *policy, const struct policy_model *m,
                           struct slice name)
{
    uint64_t least = 0;
    for (size_t i = 0; i < m->target_count; i++) {
        const struct policy_target *t = &m->targets[i];
        const struct policy_provider *p = snapshot_provider(policy, t->provider_id);
        const struct policy_catalogue_model *known =
            p ? catalogue_model_of(policy, p, vendors_name(m, t, name)) : NULL;
        if (!known || !known->context_tokens)
            return 0;
        least = least && least < known->context_tokens ? least : known->context_tokens;
    }
    return least;
}

static enum err write_model(struct ai_call *c, const struct policy_model *m, struct slice name)
{
    const struct ai_model_card card = {.name = name,
                                       .created_at_us = m->created_at_us,
                                       .context = context_of(c->rq->policy, m, name),
                                       .max_output = max_output(m, name)};
    return c->endpoint->dialect->write_model(&c->gathered, &card);
}

static bool list_named(struct listing *l, const struct policy_model *m, struct slice name)
{
    if (l->last.ptr)
        l->e = buf_append(&l->c->gathered, SLICE(","));
    if (!l->e)
        l->e = write_model(l->c, m, name);
    l->first = l->last.ptr ? l->first : name;
    l->last = name;
    return l->e == ERR_OK;
}

/* A pattern is no model to ask for, nor one whose name is an alias of another here. */
static bool list_one(void *arg, const struct policy_model *m)
{
    struct listing *l = arg;
    const struct request *rq = l->c->rq;
    if (m->wildcard || ai_alias_of(rq, m->o.name) || !ai_may_use(rq, m->o.name))
        return true;
    return list_named(l, m, m->o.name);
}

/* One that a nearer one of its name hides is listed there. */
static bool list_alias(void *arg, const struct policy_alias *a)
{
    struct listing *l = arg;
    struct slice reached, wild;
    const struct request *rq = l->c->rq;
    if (l->e || ai_alias_of(rq, a->o.name) != a)
        return !l->e;
    const struct policy_model *m = ai_model_asked(rq, a->o.name, &reached, &wild);
    return m ? list_named(l, m, a->o.name) : true;
}

static void list_aliases(struct listing *l)
{
    const struct request *rq = l->c->rq;
    const struct principal *who = &rq->who;
    snapshot_each_alias(rq->policy, who->key->o.id, list_alias, l);
    if (who->agent)
        snapshot_each_alias(rq->policy, who->agent->o.id, list_alias, l);
    if (who->team)
        snapshot_each_alias(rq->policy, who->team->o.id, list_alias, l);
    snapshot_each_alias(rq->policy, who->key->o.org_id, list_alias, l);
}

static enum err write_list(struct ai_call *c)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    struct listing l = {.c = c};
    enum err e = buf_append(&c->gathered, d->models_begin);
    if (e)
        return e;
    list_aliases(&l);
    if (!l.e)
        snapshot_each_model(c->rq->policy, c->rq->who.key->o.org_id, list_one, &l);
    return l.e ? l.e : d->write_models_end(&c->gathered, l.first, l.last);
}

static void finish_listed(struct ai_call *c)
{
    const struct http_header type = {SLICE("content-type"), SLICE("application/json")};
    request_finish(c->rq, &(struct request_end){.outcome = OUTCOME_OK,
                                                .status = 200,
                                                .headers = &type,
                                                .header_count = 1,
                                                .body = buf_slice(&c->gathered)});
}

static void list_one_model(struct ai_call *c)
{
    struct request *rq = c->rq;
    /* SDKs escape what stands in a name ("org%3Amodel"); names hold none of the rest */
    struct slice name = ai_unescape(rq->arena, slice_from(rq->path, c->endpoint->path.len));
    const struct policy_model *m = ai_model_asked(rq, name, &c->reached, &c->wild);
    if (!m) {
        c->request.param = "model";
        request_refuse(rq, REFUSAL_MODEL_UNKNOWN, name);
        request_finish_as(rq, OUTCOME_REFUSED);
        return;
    }
    if (write_model(c, m, name))
        request_finish_as(rq, OUTCOME_ERROR);
    else
        finish_listed(c);
}

void ai_models_finish(struct ai_call *c)
{
    buf_shelf_take(&c->rq->env->shelf, &c->gathered);
    if (c->endpoint->kind == AI_MODEL)
        list_one_model(c);
    else if (write_list(c))
        request_finish_as(c->rq, OUTCOME_ERROR);
    else
        finish_listed(c);
}
