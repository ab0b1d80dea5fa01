/*
 * passthrough_filters — the provider that the path names, the right to this method and path of it,
 * and, where the path is modelled, the model in the body.
 *
 * A provider without a grant is unknown, whether it exists or not. A path has one spelling: what
 * has several (an encoded slash, a dot segment, …) is invalid whatever is granted.
 */
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/secret.h"
#include "dataplane/ai/ai_call.h"
#include "dataplane/ai/ai_token.h"
#include "dataplane/ai/passthrough/passthrough_private.h"
#include "dataplane/ai/passthrough/passthrough_rules.h"

static enum filter_result refuse(struct request *rq, enum refusal_id id, struct slice detail)
{
    request_refuse(rq, id, detail);
    return FILTER_REFUSE;
}

/* ---- the right: method and path ---- */

struct search {
    const struct request_right *right;
    const struct passthrough_call *p;
    struct slice method;
    bool seen;            /* some grant makes the provider visible */
    bool allowed;         /* and one covers this method and path, */
    bool unpriced;        /* also without a price */
    struct slice pattern; /* that the path fits */
};

static bool look_at_grant(void *arg, const struct policy_grant *g)
{
    struct search *s = arg;
    const struct policy_task *task = s->right->task;
    if (!slice_eq(g->provider_id, s->p->provider->o.id))
        return true;
    if (g->task_id.len && !(task && slice_eq(g->task_id, task->o.id)))
        return true;
    s->seen = true;
    const struct policy_route *r =
        passthrough_route(g, s->p->provider->url.path, s->method, s->p->rest);
    if (!r)
        return true;
    s->allowed = true;
    s->pattern = r->path;
    s->unpriced = s->unpriced || g->unpriced_allowed;
    return !s->unpriced;
}

static void look_at_grants(struct search *s)
{
    const struct principal *who = &s->right->who;
    if (who->agent)
        snapshot_each_grant(s->right->policy, who->agent->o.id, look_at_grant, s);
    if (who->team && !s->unpriced)
        snapshot_each_grant(s->right->policy, who->team->o.id, look_at_grant, s);
}

/* ---- a principal that may use some models only ---- */

struct model_search {
    const struct request_right *right;
    const struct policy_provider *provider;
    struct slice name; /* as the provider knows it */
    bool found;
};

static bool leads_to(const struct policy_target *t, struct slice name)
{
    ptrdiff_t star = slice_find(t->model, '*');
    if (star < 0)
        return slice_eq(t->model, name);
    struct slice behind = slice_from(t->model, (size_t)star + 1);
    return name.len >= t->model.len && slice_starts(name, slice_first(t->model, (size_t)star)) &&
           slice_ends(name, behind);
}

/* A wildcard's own name is a pattern, and stands for as much as the target's star does. */
static struct slice client_name(const struct policy_model *m, struct slice name, char *room,
                                size_t size)
{
    if (!m->wildcard)
        return m->o.name;
    struct slice prefix = slice_first(m->o.name, m->o.name.len - 1);
    if (prefix.len + name.len > size)
        return SLICE_NONE;
    slice_put(slice_put(room, prefix), name);
    return slice_of(room, prefix.len + name.len);
}

bool passthrough_leads_to(const struct policy_model *m, const struct policy_provider *p,
                          struct slice name, const struct request_right *right, bool *may_use)
{
    char room[512];
    bool leads = false;
    *may_use = false;
    for (size_t i = 0; i < m->target_count && !leads; i++)
        leads = slice_eq(m->targets[i].provider_id, p->o.id) && leads_to(&m->targets[i], name);
    struct slice asked = leads ? client_name(m, name, room, sizeof(room)) : SLICE_NONE;
    *may_use = asked.ptr && ai_right_allows(right, asked);
    return leads;
}

static bool look_at_model(void *arg, const struct policy_model *m)
{
    struct model_search *s = arg;
    passthrough_leads_to(m, s->provider, s->name, s->right, &s->found);
    return !s->found;
}

/* A list of models bounds what may be named at a modelled path too: by the models of the policy
 * that lead there. Without any list the grant of the path is enough. */
static bool may_name(const struct request_right *r, const struct passthrough_call *p)
{
    bool bounded = r->who.key->models.set || (r->who.agent && r->who.agent->models.set) ||
                   (r->who.team && r->who.team->models.set);
    struct model_search s = {.right = r, .provider = p->provider, .name = p->request.model};
    if (!bounded || !p->request.model.len)
        return true;
    snapshot_each_model(r->policy, r->who.key->o.org_id, look_at_model, &s);
    return s.found;
}

/* The account as another version of the policy has it; as it was where that has it no more. */
static const struct policy_credential *account_in(const struct policy_provider *p,
                                                  const struct policy_credential *was)
{
    for (size_t i = 0; was && i < p->credential_count; i++)
        if (slice_eq(p->credentials[i].id, was->id))
            return &p->credentials[i];
    return was;
}

bool passthrough_still_allowed(struct request *rq, const struct request_right *now)
{
    const struct passthrough_call *p = rq->gate_state;
    if (p->policy != rq->policy) /* the next filter looks again */
        return true;
    const struct policy_provider *provider = snapshot_provider(now->policy, p->provider->o.id);
    struct search s = {.right = now, .p = p, .method = rq->head->method};
    if (provider && slice_eq(provider->base_url, p->provider->base_url) &&
        route_promises(now->who.team, provider) &&
        route_may_send(now->who.team, account_in(provider, p->account), SLICE_NONE))
        look_at_grants(&s);
    if (s.allowed && may_name(now, p))
        return true;
    request_refuse(rq, s.seen ? REFUSAL_ROUTE : REFUSAL_PROVIDER_UNKNOWN, p->provider->o.name);
    return false;
}

/* ---- route ---- */

static const struct slice methods[] = {
    {"GET", 3}, {"HEAD", 4}, {"POST", 4}, {"PUT", 3}, {"PATCH", 5}, {"DELETE", 6},
};

static bool is_method(struct slice method)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (slice_eq(methods[i], method))
            return true;
    return false;
}

/* "/passthrough/acme/images/1" → "acme" and "/images/1" */
static struct slice split_path(struct slice path, struct slice *rest)
{
    struct slice below = slice_from(path, SLICE("/passthrough/").len);
    ptrdiff_t slash = slice_find(below, '/');
    *rest = slash < 0 ? SLICE("/") : slice_from(below, (size_t)slash);
    return slash < 0 ? below : slice_first(below, (size_t)slash);
}

static uint32_t roll(void *arg)
{
    uint32_t n;
    (void)arg;
    digest_random(&n, sizeof(n));
    return n;
}

/* A regional provider has no address without a credential that says where. */
static bool has_address(const struct passthrough_call *p)
{
    return p->protocol && (!p->provider->regional || p->provider->credential_count);
}

static enum filter_result find_provider(struct passthrough_call *p, struct slice name)
{
    struct request *rq = p->rq;
    p->provider = snapshot_provider_named(rq->policy, rq->who.key->o.org_id, name);
    if (!p->provider)
        return refuse(rq, REFUSAL_PROVIDER_UNKNOWN, name);
    p->rest = passthrough_below(p->provider->url.path, p->rest);
    rq->record.api.path = p->rest;
    const struct request_right right = request_right_of(rq);
    struct search s = {.right = &right, .p = p, .method = rq->head->method};
    look_at_grants(&s);
    if (!s.seen) { /* nothing of the response may show that there is one */
        p->provider = NULL;
        return refuse(rq, REFUSAL_PROVIDER_UNKNOWN, name);
    }
    rq->record.ai.provider = p->provider->o.name;
    if (!is_method(rq->head->method))
        return refuse(rq, REFUSAL_METHOD, SLICE("GET, HEAD, POST, PUT, PATCH and DELETE are"));
    if (!s.allowed)
        return refuse(rq, REFUSAL_ROUTE, SLICE_NONE);
    if (passthrough_is_administration(p->provider->dialect, p->rest))
        return refuse(rq, REFUSAL_ADMINISTRATION, p->provider->o.name);
    if (passthrough_is_kept(p->provider->dialect, rq->head->method, p->rest))
        return refuse(rq, REFUSAL_KEPT, SLICE("/v1/"));
    p->unpriced_allowed = s.unpriced;
    rq->record.api.route = s.pattern;
    return FILTER_PASS;
}

static bool is_metered(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->kind == AI_COUNT || e->kind == AI_EMBEDDINGS ||
           e->kind == AI_TASK;
}

/* What its dialect has is read as it is there. */
static enum filter_result find_endpoint(struct passthrough_call *p)
{
    struct passthrough_modelled m;
    if (passthrough_model_path(p->rq->head, p->rest, p->rq->arena, &m))
        return refuse(p->rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    p->endpoint = m.endpoint && is_metered(m.endpoint) ? m.endpoint : NULL;
    p->path = m.path;
    p->speaker = p->endpoint ? ai_provider_for(p->provider, p->endpoint, SLICE("")) : NULL;
    if (!p->speaker || !p->speaker->speaks(p->endpoint))
        p->endpoint = NULL;
    return FILTER_PASS;
}

/* By the request's policy as it is now. */
static enum filter_result resolve(struct passthrough_call *p)
{
    struct request *rq = p->rq;
    p->policy = rq->policy;
    p->provider = NULL; /* one of another policy is not looked at again, nor its texts */
    rq->record.ai.provider = rq->record.api.route = rq->record.api.account = SLICE_NONE;
    struct slice name = ai_unescape(rq->arena, split_path(rq->path, &p->rest));
    if (!name.len)
        return refuse(rq, REFUSAL_PATH_UNKNOWN, SLICE("it is /passthrough/{provider}/…"));
    enum filter_result f = find_provider(p, name);
    if (f == FILTER_PASS)
        f = find_endpoint(p);
    rq->record.name =
        arena_printf(rq->arena, "%.*s %.*s", SLICE_ARG(rq->head->method), SLICE_ARG(p->rest));
    if (f != FILTER_PASS)
        return f;
    p->protocol = ai_provider_named(p->provider->dialect);
    if (!has_address(p))
        return refuse(rq, REFUSAL_NO_TARGET, SLICE("this data plane cannot reach the provider"));
    const struct candidates_query q = {.policy = p->policy,
                                       .endpoints = &rq->env->upstreams.endpoints,
                                       .now_us = clock_mono_us(),
                                       .dice = roll};
    if (!route_promises(rq->who.team, p->provider))
        return refuse(rq, REFUSAL_DATA_POLICY, SLICE_NONE);
    uint64_t mask = route_credentials(rq->who.team, p->provider, SLICE_NONE);
    if (!mask)
        return refuse(rq, REFUSAL_REGION, SLICE_NONE);
    p->account = candidates_credential(&q, p->provider, mask);
    rq->record.api.account = p->account ? p->account->name : SLICE_NONE;
    return FILTER_PASS;
}

static bool wants_body(const struct passthrough_call *p)
{
    return p->endpoint || ai_account_signs(p->account);
}

static enum filter_result on_route(struct request *rq)
{
    if (!rq->path.len)
        return refuse(rq, REFUSAL_BAD_PATH, SLICE_NONE);
    struct passthrough_call *p = arena_zalloc(rq->arena, sizeof(*p));
    if (!p)
        return refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    p->rq = rq;
    p->relay = (struct relay){.hooks = &passthrough_relay_hooks, .rq = rq};
    p->usage = AI_USAGE_NONE;
    rq->gate_state = p;
    if (resolve(p) != FILTER_PASS)
        return FILTER_REFUSE;
    p->gathers = wants_body(p);
    if (!p->gathers && http_head_find(rq->head, SLICE("content-encoding")).ptr)
        return refuse(rq, REFUSAL_MEDIA_TYPE, SLICE("it must be sent without Content-Encoding"));
    return FILTER_PASS;
}

bool passthrough_streams_body(const struct request *rq)
{
    const struct passthrough_call *p = rq->gate_state;
    return p && !p->gathers;
}

static void finish_route(struct request *rq)
{
    struct passthrough_call *p = rq->gate_state;
    if (!p)
        return;
    access_token_cancel(&p->token_wait);
    access_token_drop(p->token);
    p->token = NULL;
    if (p->meter == METER_EVENTS)
        sse_reader_fini(&p->events);
    if (p->meter == METER_WHOLE)
        buf_fini(&p->whole);
    p->meter = METER_OFF;
    buf_fini(&p->shown);
}

const struct filter passthrough_filter_route = {
    .name = "route", .on_request = on_route, .on_finish = finish_route};

/* ---- the call of a modelled path ---- */

struct price_search {
    const struct passthrough_call *p;
    const struct price_sheet *found;
};

static bool look_at_price(void *arg, const struct policy_model *m)
{
    struct price_search *s = arg;
    for (size_t i = 0; i < m->target_count && m->price.base.input != PRICE_NONE; i++)
        if (!m->wildcard && slice_eq(m->targets[i].provider_id, s->p->provider->o.id) &&
            slice_eq(m->targets[i].model, s->p->request.model))
            s->found = &m->price;
    return !s->found;
}

/* As the modelled path has it: of the policy's model that leads there, else of the catalogue. */
static const struct price_sheet *price_of(const struct passthrough_call *p)
{
    const struct request *rq = p->rq;
    struct price_search s = {.p = p};
    const struct price_sheet *teams =
        candidates_team_price(rq->policy, rq->who.team, p->request.model);
    if (teams)
        return teams;
    snapshot_each_model(rq->policy, rq->who.key->o.org_id, look_at_price, &s);
    if (s.found)
        return s.found;
    const struct policy_catalogue_model *m =
        catalogue_model_of(rq->policy, p->provider, p->request.model);
    return m ? &m->price : NULL;
}

static void drop_chat(void *chat)
{
    ai_chat_fini(chat);
}

/* How large the prompt is; what the dialect does not measure by its bytes is parsed for it. */
static enum err measure(struct passthrough_call *p, const struct ai_incoming *in, struct slice *why)
{
    const struct ai_dialect *d = p->endpoint->dialect;
    if (d->measure) {
        d->measure(in->body, &p->request.prompt);
        return ERR_OK;
    }
    struct ai_chat *chat = d->parse ? arena_zalloc(in->arena, sizeof(*chat)) : NULL;
    if (!chat)
        return d->parse ? ERR_NOMEM : ERR_OK;
    chat->arena = in->arena;
    chat->choices = 1;
    enum err e = arena_adopt(in->arena, chat, drop_chat);
    if (!e)
        e = d->parse(in, chat);
    if (e == ERR_INVALID)
        *why = chat->why;
    if (!e)
        ai_chat_measure(chat, &p->request.prompt);
    return e;
}

/* A response or a file that a provider keeps, and that the body names, must be this principal's. By
 * what the AI gate would make of it for this account; the client's bytes go on as they are.
 * ERR_NOT_FOUND: it is another's. Nothing goes on that could not be looked through. */
static enum err look_for_anothers(struct passthrough_call *p, struct slice *why)
{
    struct request *rq = p->rq;
    struct ai_marker marker;
    struct ai_outgoing *o = NULL;
    struct buf made;
    if (!p->endpoint->dialect->mark_event && !p->request.prompt.files)
        return ERR_OK;
    if (!(o = arena_zalloc(rq->arena, sizeof(*o))))
        return ERR_NOMEM;
    ai_marker_init(&marker, rq->policy, rq->who.agent ? rq->who.agent->o.id : rq->who.key->o.id);
    ai_account_of(p->provider->o.id, p->account ? p->account->id : SLICE_NONE, &o->maker);
    o->endpoint = p->endpoint;
    o->request = &p->request;
    o->body = buf_slice(&rq->body);
    o->client_head = rq->head;
    o->target = p->provider;
    o->account = p->account;
    o->url = p->account ? &p->account->url : &p->provider->url;
    o->changes = (struct ai_changes){.model = p->request.model};
    o->marker = &marker;
    o->arena = rq->arena;
    o->translated = &made;
    buf_init(&made, 2 * LIMIT_AI_BODY);
    enum err e = p->speaker->build(o);
    buf_fini(&made);
    secret_wipe(o->secret, o->secret_len);
    *why = o->why;
    p->request.param = o->param;
    return e == ERR_INVALID ? ERR_NOT_FOUND : e;
}

static enum filter_result on_call(struct request *rq)
{
    struct passthrough_call *p = rq->gate_state;
    struct slice why = SLICE_NONE;
    /* While the body was awaited the request may have gone on under a newer policy. */
    if (p->policy != rq->policy && resolve(p) != FILTER_PASS)
        return FILTER_REFUSE;
    if (!p->endpoint)
        return FILTER_PASS;
    struct ai_incoming in = {.body = buf_slice(&rq->body),
                             .path = p->path,
                             .query = rq->query,
                             .head = rq->head,
                             .endpoint = p->endpoint,
                             .arena = rq->arena};
    p->request.choices = 1;
    enum err e = p->endpoint->dialect->read(&in, &p->request, &why);
    if (!e)
        e = passthrough_rewrite(p, &in, &why);
    if (!e)
        e = measure(p, &in, &why);
    if (e == ERR_TOO_BIG)
        return refuse(rq, REFUSAL_TOO_LARGE, arena_printf(rq->arena, "%zu bytes", rq->body.max));
    if (e == ERR_NOMEM)
        return refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (e == ERR_NOT_FOUND)
        return refuse(rq, REFUSAL_OBJECT_UNKNOWN, why);
    if (e)
        return refuse(rq, REFUSAL_BAD_JSON, why.len ? why : SLICE("it cannot be read"));
    const struct request_right right = request_right_of(rq);
    if (!may_name(&right, p))
        return refuse(rq, REFUSAL_MODEL_UNKNOWN, p->request.model);
    p->speaker = ai_provider_for(p->provider, p->endpoint, p->request.model);
    e = look_for_anothers(p, &why);
    if (e)
        return refuse(rq, e == ERR_NOT_FOUND ? REFUSAL_OBJECT_UNKNOWN : REFUSAL_NO_CAPACITY, why);
    rq->record.ai.model = p->request.model;
    rq->record.ai.cache = "bypass";
    p->price = price_of(p);
    return FILTER_PASS;
}

const struct filter passthrough_filter_call = {.name = "call", .on_request = on_call};
