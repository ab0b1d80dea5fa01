/*
 * ai_models — the models that the principal may use, as the client's dialect lists them.
 */
#include "common/base/limits.h"
#include "common/net/http1.h"
#include "dataplane/ai/ai_call.h"
#include "dataplane/ai/ai_model_rules.h"

struct listing {
    struct ai_call *c;
    enum err e;
    struct slice first, last; /* names */
};

/* What the vendor calls it: of a wildcard, what the star stands for. */
static struct slice vendors_name(const struct policy_model *m, const struct policy_target *t,
                                 struct slice name)
{
    ptrdiff_t slash = slice_find(name, '/');
    if (!m->wildcard || !slice_eq(t->model, SLICE("*")))
        return t->model;
    return m->o.name.len > 1 && slash >= 0 ? slice_from(name, (size_t)slash + 1) : name;
}

/* What every target takes and writes; 0: of one of them it is not known. */
struct capacity {
    uint64_t context, output; /* tokens */
};

static struct capacity capacity_of(const struct snapshot *policy, const struct policy_model *m,
                                   struct slice name, unsigned depth);

static struct capacity capacity_at(const struct snapshot *policy, const struct policy_model *m,
                                   const struct policy_target *t, struct slice name, unsigned depth)
{
    if (t->model_id.len) {
        const struct policy_model *inner = snapshot_model(policy, t->model_id);
        return inner && depth + 1 < LIMIT_MODEL_DEPTH ? capacity_of(policy, inner, name, depth + 1)
                                                      : (struct capacity){0};
    }
    const struct policy_provider *p = snapshot_provider(policy, t->provider_id);
    const struct policy_catalogue_model *known =
        p && !t->context_tokens ? catalogue_model_of(policy, p, vendors_name(m, t, name)) : NULL;
    bool starred = m->wildcard && slice_find(t->model, '*') >= 0;
    struct capacity own = {.context = t->context_tokens, .output = t->max_output_tokens};
    if (known)
        own.context = known->context_tokens;
    if (!own.output)
        own.output = ai_model_max_output(starred ? name : t->model);
    return own;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static struct capacity capacity_of(const struct snapshot *policy, const struct policy_model *m,
                                   struct slice name, unsigned depth)
{
    struct capacity least = {UINT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < m->target_count; i++) {
        if (m->targets[i].shadow_permille)
            continue;
        struct capacity own = capacity_at(policy, m, &m->targets[i], name, depth);
        least =
            (struct capacity){lesser(least.context, own.context), lesser(least.output, own.output)};
    }
    if (least.context == UINT64_MAX)
        least = (struct capacity){0};
    if (m->max_output_tokens)
        least.output = m->max_output_tokens;
    return least;
}

static enum err write_model(struct ai_call *c, const struct policy_model *m, struct slice name)
{
    struct capacity all = capacity_of(c->rq->policy, m, name, 0);
    const struct ai_model_card card = {.name = name,
                                       .created_at_us = m->created_at_us,
                                       .context = all.context,
                                       .max_output = all.output};
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
