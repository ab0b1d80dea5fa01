/*
 * candidates — the eligible targets of a model, in the order of its strategy.
 */
#include "dataplane/ai/candidates.h"

#include "common/base/limits.h"
#include "common/request/request.h"
#include "dataplane/ai/route/route_cost.h"

/* ---- prices ---- */

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

/* What is known of the name that a target's star stands for; of others it was looked up before. */
static const struct policy_catalogue_model *known_of(const struct candidates_query *q,
                                                     const struct policy_provider *p,
                                                     const struct policy_catalogue_model *known,
                                                     struct slice name)
{
    return q->rest.ptr ? catalogue_model_of(q->policy, p, name) : known;
}

static const struct price_sheet *price_of(const struct candidates_query *q,
                                          const struct policy_model *m,
                                          const struct policy_catalogue_model *known,
                                          struct slice name)
{
    const struct price_sheet *teams = candidates_team_price(q->policy, q->team, name);
    if (teams)
        return teams;
    if (m->price.base.input != PRICE_NONE)
        return &m->price;
    return known ? &known->price : NULL;
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

/* ---- the credential: one of those that are ready, by weight, or the caller's own ---- */

struct endpoint_limits candidates_limits(const struct policy_provider *p)
{
    return (struct endpoint_limits){.failures = p->breaker_failures ? p->breaker_failures
                                                                    : LIMIT_BREAKER_FAILURES,
                                    .open_ms = p->breaker_open_ms};
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

/* What keeps a call from the endpoint now. */
static enum route_exclusion state_of(const struct candidates_query *q, const struct endpoint *e,
                                     const struct endpoint_limits *limits)
{
    enum err err = e ? endpoint_admits(e, limits, q->now_us) : ERR_OK;
    if (!err)
        return ROUTE_ELIGIBLE;
    if (err == ERR_EXHAUSTED)
        return ROUTE_CEILING;
    return endpoint_health(e, q->now_us).breaker == BREAKER_CLOSED ? ROUTE_COOLING : ROUTE_BREAKER;
}

/* Those that may be used; their places in the provider's list stand in `at`. */
struct ways {
    struct endpoint_choice of[CANDIDATE_CREDENTIALS];
    unsigned char at[CANDIDATE_CREDENTIALS];
    size_t count;
};

static void list_ways(const struct candidates_query *q, const struct policy_provider *p,
                      uint64_t mask, struct ways *ret)
{
    ret->count = 0;
    for (size_t i = 0; i < p->credential_count && i < CANDIDATE_CREDENTIALS; i++) {
        if (!(mask >> i & 1))
            continue;
        ret->of[ret->count] = (struct endpoint_choice){endpoint_of(q, p, &p->credentials[i]),
                                                       p->credentials[i].weight};
        ret->at[ret->count++] = (unsigned char)i;
    }
}

/* The one that the caller likes best of those that are ready; count: none is. */
static size_t settle(const struct candidates_query *q, const struct policy_provider *p,
                     const struct ways *w, uint64_t caller)
{
    const struct endpoint_limits limits = candidates_limits(p);
    size_t best = w->count;
    double share = -1;
    for (size_t i = 0; i < w->count; i++) {
        uint64_t number = route_number(p->credentials[w->at[i]].id);
        double own = route_share(route_affinity(caller, number), w->of[i].weight);
        if (own <= share || state_of(q, w->of[i].endpoint, &limits))
            continue;
        share = own;
        best = i;
    }
    return best;
}

/* *endpoint: the credential's, NULL where it was not used yet. */
static const struct policy_credential *pick_credential(const struct candidates_query *q,
                                                       const struct policy_provider *p,
                                                       uint64_t mask, uint64_t caller,
                                                       const struct endpoint **endpoint)
{
    *endpoint = NULL;
    if (p->credential_count < 2) {
        const struct policy_credential *only = p->credential_count ? &p->credentials[0] : NULL;
        if (!(mask & 1))
            return NULL;
        *endpoint = endpoint_of(q, p, only);
        return only;
    }
    struct ways w UNINITIALIZED;
    const struct endpoint_limits limits = candidates_limits(p);
    list_ways(q, p, mask, &w);
    if (!w.count)
        return NULL;
    size_t at = caller ? settle(q, p, &w, caller) : w.count;
    if (at == w.count)
        at = endpoint_pick(w.of, w.count, &limits, q->now_us, q->dice, q->arg);
    *endpoint = w.of[at].endpoint;
    return &p->credentials[w.at[at]];
}

const struct policy_credential *candidates_credential(const struct candidates_query *q,
                                                      const struct policy_provider *p,
                                                      uint64_t mask)
{
    const struct endpoint *endpoint;
    return pick_credential(q, p, mask, q->callers[STICKY_NONE], &endpoint);
}

/* ---- the account that has what a body names ---- */

/* The credential by which the provider knows us as this account; *none: without any it does. */
static const struct policy_credential *credential_of(const struct candidate *c,
                                                     const struct ai_account *account, bool *none)
{
    const struct policy_provider *p = c->provider;
    struct ai_account own;
    *none = false;
    for (size_t i = 0; i < p->credential_count; i++) {
        ai_account_of(p->o.id, p->credentials[i].id, &own);
        if (ai_account_eq(&own, account))
            return i < CANDIDATE_CREDENTIALS && c->credentials >> i & 1 ? &p->credentials[i] : NULL;
    }
    ai_account_of(p->o.id, SLICE_NONE, &own);
    *none = !p->credential_count && ai_account_eq(&own, account);
    return NULL;
}

bool candidates_stay(struct candidate *list, size_t count, const struct ai_account *account)
{
    for (size_t i = 0; i < count; i++) {
        bool none;
        const struct policy_credential *c = credential_of(&list[i], account, &none);
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

/* ---- what is left out ---- */

static void note(const struct candidates_query *q, const struct policy_model *of,
                 const struct policy_provider *p, struct slice name, enum route_exclusion why)
{
    struct candidates_trace *t = q->trace;
    if (!t)
        return;
    if (t->count < t->max)
        t->excluded[t->count] = (struct candidate_excluded){p, name, of, why};
    t->count++;
    t->reasons |= 1u << why;
}

enum refusal_id candidates_refusal(const struct candidates_trace *t, struct slice *detail)
{
    *detail = SLICE_NONE;
    if (t->reasons & 1u << ROUTE_REGION)
        return REFUSAL_REGION;
    if (t->reasons & 1u << ROUTE_DATA_POLICY)
        return REFUSAL_DATA_POLICY;
    *detail = t->reasons & 1u << ROUTE_PRICE ? SLICE("each is dearer than its price ceiling")
              : t->reasons & 1u << ROUTE_CONDITION
                  ? SLICE("the conditions of its targets do not hold")
                  : SLICE("none of its targets can be used here");
    return REFUSAL_NO_TARGET;
}

/* ---- one list: of a model, or of one within it ---- */

/* The targets of a model behind which there is something. */
struct view {
    struct route_choice choices[ROUTE_TARGETS_MAX + 1]; /* those that are well in front, */
    size_t well, count;                                 /* the others behind */
    struct entry {
        const struct policy_target *target;
        const struct policy_catalogue_model *known; /* of the target's name; or NULL */
        struct candidate *within;                   /* of another model: its list, in the arena */
        size_t within_count;
        uint64_t credentials;
        enum route_exclusion though;
        bool is_well;
    } entries[ROUTE_TARGETS_MAX + 1]; /* by a choice's place */
    bool advised;                     /* each of them is there although a rule advises against it */
};

/* The choice and the entry behind the last are filled: they are taken. */
static void take_last(struct view *v)
{
    struct route_choice *last = &v->choices[v->count];
    last->place = (unsigned)v->count;
    if (v->entries[v->count++].is_well) {
        if (last != &v->choices[v->well]) {
            struct route_choice own = *last;
            *last = v->choices[v->well];
            v->choices[v->well] = own;
        }
        v->well++;
    }
}

static const struct route_ask *ask_of(const struct candidates_query *q)
{
    static const struct route_ask nothing;
    return q->ask ? q->ask : &nothing;
}

static const struct route_need *need_of(const struct candidates_query *q)
{
    const struct route_ask *ask = ask_of(q);
    return ask->need ? ask->need(ask->need_arg) : NULL;
}

static void cost_of(const struct candidates_query *q, const struct policy_model *m,
                    const struct route_target *t, struct route_choice *c)
{
    const struct route_need *need = need_of(q);
    struct slice name = need ? name_at(q, t->target) : SLICE_NONE;
    money cost;
    if (name.ptr && !route_cost(price_of(q, m, known_of(q, t->provider, t->known, name), name),
                                need, &c->pace, &cost))
        c->cost = cost;
}

/* The choice of a target that is a provider's. */
static void look_at(const struct candidates_query *q, const struct policy_model *m,
                    const struct route_target *t, struct entry *entry, struct route_choice *ret)
{
    const struct endpoint_limits limits = candidates_limits(t->provider);
    const struct endpoint *e;
    uint64_t caller = q->callers[m->sticky];
    ret->target = t->target;
    ret->provider = t->provider;
    ret->credential = pick_credential(q, t->provider, t->credentials, caller, &e);
    ret->cost = ROUTE_COST_UNKNOWN;
    ret->affinity = caller ? route_affinity(caller, t->place) : 0;
    enum route_exclusion state = state_of(q, e, &limits);
    bool measures = e && (state || route_strategy(m->strategy)->measures);
    ret->health = measures ? endpoint_health(e, q->now_us) : (struct endpoint_health){0};
    ret->pace = measures ? endpoint_pace(e, t->model, q->now_us) : (struct endpoint_pace){0};
    if (m->strategy == STRATEGY_LOWEST_COST)
        cost_of(q, m, t, ret);
    entry->is_well = !state;
    if (state && !entry->though)
        entry->though = state;
}

static const struct price_sheet *ceiling_price(const struct candidates_query *q,
                                               const struct policy_model *m,
                                               const struct route_target *t)
{
    bool is_capped = m->max_price_input != PRICE_NONE || m->max_price_output != PRICE_NONE;
    struct slice name = is_capped && t->provider ? name_at(q, t->target) : SLICE_NONE;
    return name.ptr ? price_of(q, m, known_of(q, t->provider, t->known, name), name) : NULL;
}

static size_t list(const struct candidates_query *q, const struct policy_model *m, unsigned depth,
                   struct candidate *ret, size_t max, struct route_choice *head, bool *advised,
                   bool *is_well);

/* The price ceiling of a model holds for whatever stands behind it. */
static size_t drop_dear(const struct policy_model *m, struct candidate *within, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!route_is_too_dear(m, within[i].price))
            within[kept++] = within[i];
    return kept;
}

/* A target that is another model: it stands with what that model's first choice has. */
static enum route_exclusion look_within(const struct candidates_query *q,
                                        const struct policy_model *m, unsigned depth,
                                        struct entry *entry, struct route_choice *ret)
{
    const struct policy_target *t = entry->target;
    const struct policy_model *inner = snapshot_model(q->policy, t->model_id);
    const struct route_need *need;
    bool advised = false;
    if (!inner || depth + 1 >= LIMIT_MODEL_DEPTH || !q->arena)
        return ROUTE_UNUSABLE;
    entry->within = arena_alloc(q->arena, LIMIT_ATTEMPTS * sizeof(*entry->within));
    if (!entry->within)
        return ROUTE_UNUSABLE;
    entry->within_count =
        list(q, inner, depth + 1, entry->within, LIMIT_ATTEMPTS, ret, &advised, &entry->is_well);
    if (!entry->within_count)
        return ROUTE_NESTED;
    entry->within_count = drop_dear(m, entry->within, entry->within_count);
    if (!entry->within_count)
        return ROUTE_PRICE;
    uint64_t caller = q->callers[m->sticky];
    ret->target = t;
    ret->affinity = caller ? route_affinity(caller, route_number(t->model_id)) : 0;
    if (m->strategy == STRATEGY_LOWEST_COST && inner->strategy != STRATEGY_LOWEST_COST &&
        (!(need = need_of(q)) || route_cost(entry->within[0].price, need, &ret->pace, &ret->cost)))
        ret->cost = ROUTE_COST_UNKNOWN;
    return advised ? entry->within[0].though : ROUTE_ELIGIBLE;
}

static enum route_exclusion examine(const struct candidates_query *q, const struct policy_model *m,
                                    const struct policy_target *t, unsigned depth,
                                    struct entry *entry, struct route_choice *choice)
{
    *entry = (struct entry){.target = t};
    if (t->shadow_permille)
        return ROUTE_SHADOW;
    if (!route_when_holds(ask_of(q), t->when))
        return ROUTE_CONDITION;
    if (t->model_id.len)
        return look_within(q, m, depth, entry, choice);
    const struct route_target *known = route_target_of(q->policy, t, q->endpoint, q->team);
    enum route_exclusion why = route_rule_of(ask_of(q), m, known, ceiling_price(q, m, known));
    if (route_exclusion_binds(why))
        return why;
    entry->known = known->known;
    entry->credentials = known->credentials;
    entry->though = why;
    look_at(q, m, known, entry, choice);
    return why;
}

static void note_target(const struct candidates_query *q, const struct policy_model *m,
                        const struct policy_target *t, enum route_exclusion why)
{
    if (!q->trace)
        return;
    const struct policy_model *inner =
        t->model_id.len ? snapshot_model(q->policy, t->model_id) : NULL;
    note(q, m, t->model_id.len ? NULL : snapshot_provider(q->policy, t->provider_id),
         inner ? inner->o.name : t->model, why);
}

/* What a rule advises against is set aside, and taken where nothing else is left. */
struct aside {
    struct route_choice choices[LIMIT_ATTEMPTS];
    struct entry entries[LIMIT_ATTEMPTS];
    size_t count;
};

static void take_aside(const struct candidates_query *q, const struct policy_model *m,
                       const struct aside *a, struct view *v)
{
    v->advised = !v->count && a->count;
    for (size_t i = 0; i < a->count; i++) {
        if (!v->advised) {
            note_target(q, m, a->entries[i].target, a->entries[i].though);
            continue;
        }
        v->choices[v->count] = a->choices[i];
        v->entries[v->count] = a->entries[i];
        take_last(v);
    }
}

static void list_choices(const struct candidates_query *q, const struct policy_model *m,
                         unsigned depth, struct view *v)
{
    struct aside aside UNINITIALIZED;
    aside.count = v->well = v->count = 0;
    for (size_t i = 0; i < m->target_count && i < ROUTE_TARGETS_MAX; i++) {
        struct route_choice *choice = &v->choices[v->count];
        struct entry *entry = &v->entries[v->count];
        enum route_exclusion why = examine(q, m, &m->targets[i], depth, entry, choice);
        if (!why) {
            take_last(v);
        } else if (!route_exclusion_binds(why) && aside.count < LIMIT_ATTEMPTS) {
            aside.choices[aside.count] = *choice;
            aside.entries[aside.count++] = *entry;
        } else {
            note_target(q, m, &m->targets[i], why);
        }
    }
    take_aside(q, m, &aside, v);
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

static struct route_view view_of(const struct candidates_query *q, const struct policy_model *m,
                                 const struct view *v)
{
    return (struct route_view){.choices = v->choices,
                               .count = v->well,
                               .dice = q->dice,
                               .arg = q->arg,
                               .streams = q->streams,
                               .sticky = q->callers[m->sticky] != 0};
}

static uint64_t context_of(const struct policy_target *t,
                           const struct policy_catalogue_model *known)
{
    return t->context_tokens ? t->context_tokens : known ? known->context_tokens : 0;
}

static struct slice region_of(const struct entry *e, const struct policy_credential *c)
{
    if (e->target->region.len)
        return e->target->region;
    return c ? c->region : SLICE_NONE;
}

static size_t take_target(const struct candidates_query *q, const struct policy_model *m,
                          const struct route_choice *c, const struct entry *e, uint64_t score,
                          struct candidate *ret)
{
    struct slice name = name_at(q, e->target);
    if (!name.ptr)
        return 0;
    const struct policy_catalogue_model *known = known_of(q, c->provider, e->known, name);
    *ret = (struct candidate){.provider = c->provider,
                              .credential = c->credential,
                              .model = name,
                              .written = e->target->model,
                              .price = price_of(q, m, known, name),
                              .of = m,
                              .credentials = e->credentials,
                              .region = region_of(e, c->credential),
                              .context_tokens = context_of(e->target, known),
                              .score = score,
                              .though = e->though};
    return 1;
}

static size_t take_choice(const struct candidates_query *q, const struct policy_model *m,
                          const struct view *v, const struct route_choice *c, uint64_t score,
                          struct candidate *ret, size_t max)
{
    const struct entry *e = &v->entries[c->place];
    if (!e->within)
        return take_target(q, m, c, e, score, ret);
    size_t n = e->within_count < max ? e->within_count : max;
    memcpy(ret, e->within, n * sizeof(*ret));
    return n;
}

/* Nothing is chosen from, so that no endpoint is looked at. */
static bool is_only(const struct policy_model *m)
{
    const struct policy_target *t = m->targets;
    return m->target_count == 1 && !t->model_id.len && !t->shadow_permille && !t->when &&
           m->max_price_input == PRICE_NONE && m->max_price_output == PRICE_NONE;
}

static size_t take_only(const struct candidates_query *q, const struct policy_model *m,
                        struct candidate *ret)
{
    const struct route_target *t = route_target_of(q->policy, m->targets, q->endpoint, q->team);
    enum route_exclusion why = route_rule_of_only(t);
    if (why) {
        note_target(q, m, m->targets, why);
        return 0;
    }
    const struct policy_provider *p = t->provider;
    const struct entry e = {.target = m->targets, .known = t->known, .credentials = t->credentials};
    const struct endpoint *endpoint;
    struct route_choice c = {.provider = p};
    if (p->credential_count)
        c.credential = p->credential_count == 1 ? &p->credentials[0]
                                                : pick_credential(q, p, t->credentials,
                                                                  q->callers[m->sticky], &endpoint);
    return take_target(q, m, &c, &e, ROUTE_NOT_KNOWN, ret);
}

static size_t list(const struct candidates_query *q, const struct policy_model *m, unsigned depth,
                   struct candidate *ret, size_t max, struct route_choice *head, bool *advised,
                   bool *is_well)
{
    struct view v UNINITIALIZED;
    size_t order[ROUTE_TARGETS_MAX] UNINITIALIZED;
    list_choices(q, m, depth, &v);
    const struct route_view well = view_of(q, m, &v);
    const struct ai_strategy *s = route_strategy(m->strategy);
    size_t most = max < ROUTE_TARGETS_MAX ? max : ROUTE_TARGETS_MAX, found = 0;
    size_t n = s->order(&well, order, most);
    n += order_unwell(&v, order + n, most - n);
    for (size_t i = 0; i < n && found < max; i++) {
        const struct route_choice *c = &v.choices[order[i]];
        uint64_t score = s->score ? s->score(&well, c) : ROUTE_NOT_KNOWN;
        found += take_choice(q, m, &v, c, score, ret + found, max - found);
    }
    *advised = v.advised;
    *is_well = v.well > 0;
    if (n && head)
        *head = v.choices[order[0]];
    return found;
}

size_t candidates_list(const struct candidates_query *q, struct candidate *ret, size_t max)
{
    bool advised, is_well;
    if (is_only(q->model) && max)
        return take_only(q, q->model, ret);
    return list(q, q->model, 0, ret, max, NULL, &advised, &is_well);
}

/* ---- by another version of the policy ---- */

static bool goes_to(const struct snapshot *policy, const struct policy_model *m,
                    const struct policy_provider *p, const struct policy_team *team,
                    const struct candidate *c, unsigned depth)
{
    for (size_t i = 0; i < m->target_count; i++) {
        const struct policy_target *t = &m->targets[i];
        const struct policy_model *inner = t->model_id.len && depth + 1 < LIMIT_MODEL_DEPTH
                                               ? snapshot_model(policy, t->model_id)
                                               : NULL;
        if (inner && goes_to(policy, inner, p, team, c, depth + 1))
            return true;
        if (slice_eq(t->provider_id, p->o.id) && slice_eq(t->model, c->written) &&
            route_may_send(team, c->credential, t->region))
            return true;
    }
    return false;
}

bool candidates_still(const struct snapshot *policy, const struct policy_model *m,
                      const struct policy_team *team, const struct candidate *c)
{
    const struct policy_provider *p = snapshot_provider(policy, c->provider->o.id);
    struct candidate by_now = *c;
    for (size_t i = 0; p && c->credential && i < p->credential_count; i++)
        if (slice_eq(p->credentials[i].id, c->credential->id))
            by_now.credential = &p->credentials[i];
    return p && slice_eq(p->base_url, c->provider->base_url) && route_promises(team, p) &&
           goes_to(policy, m, p, team, &by_now, 0);
}
