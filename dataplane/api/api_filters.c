/*
 * gates — which service does the path name, and may this principal call this route of it?
 *
 * A service without a grant is unknown, whether it exists or not. Where there is a grant, a route
 * outside of it is a refusal the caller may see. A path without a canonical spelling is invalid
 * unless the service's route and the grant's both say that they take it as it stands.
 */
#include "dataplane/api/api_private.h"

static const struct slice methods[] = {
    {"GET", 3}, {"HEAD", 4}, {"POST", 4}, {"PUT", 3}, {"PATCH", 5}, {"DELETE", 6}, {"OPTIONS", 7},
};

static bool is_method(struct slice method)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (slice_eq(methods[i], method))
            return true;
    }
    return false;
}

struct search {
    const struct request *rq;
    const struct api_work *w;
    bool seen;    /* some grant makes the service visible */
    bool allowed; /* and one covers this method and path */
};

static bool look_at_grant(void *arg, const struct policy_grant *g)
{
    struct search *s = arg;
    const struct request *rq = s->rq;
    if (!slice_eq(g->service_id, s->w->service->o.id))
        return true;
    bool any_task = g->task_id.len == 0;
    if (!any_task && !(rq->task && slice_eq(g->task_id, rq->task->o.id)))
        return true;
    s->seen = true;
    s->allowed = !g->routes_set || policy_route_allows(g->routes, g->route_count, rq->head->method,
                                                       s->w->rest, s->w->opaque);
    return !s->allowed;
}

static void look_at_grants_of(struct search *s, struct slice subject)
{
    if (!s->allowed && subject.len > 0)
        snapshot_each_grant(s->rq->policy, subject, look_at_grant, s);
}

/* "/api/crm/customers/1" → "crm" and "/customers/1" */
static struct slice split_path(struct slice path, struct slice *rest)
{
    struct slice below = slice_from(path, SLICE("/api/").len);
    ptrdiff_t slash = slice_find(below, '/');
    *rest = slash < 0 ? SLICE("/") : slice_from(below, (size_t)slash);
    return slash < 0 ? below : slice_first(below, (size_t)slash);
}

static bool is_served(const struct api_work *w, struct slice method)
{
    const struct policy_service *s = w->service;
    if (s->route_count == 0)
        return !w->opaque;
    return policy_route_allows(s->routes, s->route_count, method, w->rest, w->opaque);
}

static enum filter_result refuse(struct request *rq, enum refusal_id id, struct slice detail)
{
    request_refuse(rq, id, detail);
    return FILTER_REFUSE;
}

/* A path that no route takes as it stands is invalid, whether its service exists or not. */
static enum filter_result refuse_path(const struct api_work *w, enum refusal_id id,
                                      struct slice detail)
{
    return w->opaque ? refuse(w->rq, REFUSAL_BAD_PATH, SLICE_NONE) : refuse(w->rq, id, detail);
}

static enum filter_result ask(struct request *rq)
{
    struct api_work *w = arena_zalloc(rq->arena, sizeof(*w));
    if (!w)
        return refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    w->opaque = rq->path.len == 0;
    if (w->opaque && http1_path_opaque(rq->head->target, &rq->path, &rq->query))
        return refuse(rq, REFUSAL_BAD_PATH, SLICE_NONE);
    struct slice name = split_path(rq->path, &w->rest);
    w->rq = rq;
    rq->gate_state = w;
    rq->record.name =
        arena_printf(rq->arena, "%.*s %.*s", SLICE_ARG(rq->head->method), SLICE_ARG(w->rest));
    rq->record.path = w->rest;
    rq->record.service = name;
    if (name.len == 0)
        return refuse_path(w, REFUSAL_PATH_UNKNOWN, SLICE_NONE);
    w->service = snapshot_service_named(rq->policy, rq->who.key->o.org_id, name);
    if (!w->service)
        return refuse_path(w, REFUSAL_SERVICE_UNKNOWN, name);
    struct search s = {.rq = rq, .w = w};
    if (rq->who.agent)
        look_at_grants_of(&s, rq->who.agent->o.id);
    if (rq->who.team)
        look_at_grants_of(&s, rq->who.team->o.id);
    if (!s.seen)
        return refuse_path(w, REFUSAL_SERVICE_UNKNOWN, name);
    if (!is_method(rq->head->method))
        return refuse(rq, REFUSAL_METHOD, SLICE_NONE);
    if (!s.allowed || !is_served(w, rq->head->method))
        return refuse_path(w, REFUSAL_ROUTE, SLICE_NONE);
    if (http_head_find(rq->head, SLICE("content-encoding")).ptr)
        return refuse(rq, REFUSAL_MEDIA_TYPE, SLICE_NONE);
    return FILTER_PASS;
}

const struct filter api_filter_service = {.name = "service", .on_request = ask};
