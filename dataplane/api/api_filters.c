/*
 * api_filters — the service that the path names, and the right to call this route of it.
 *
 * A service without a grant is unknown, whether it exists or not. Where there is a grant, a route
 * outside of it is a refusal the caller may see. A path without a canonical spelling is invalid
 * unless the service's route and the grant's both say that they take it as it stands.
 */
#include "dataplane/api/api_gate_private.h"

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
    const struct request_right *right;
    const struct api_work *w;
    struct slice method;
    bool seen;    /* some grant makes the service visible */
    bool allowed; /* and one covers this method and path */
};

static bool look_at_grant(void *arg, const struct policy_grant *g)
{
    struct search *s = arg;
    const struct policy_task *task = s->right->task;
    if (!slice_eq(g->service_id, s->w->service->o.id))
        return true;
    bool any_task = g->task_id.len == 0;
    if (!any_task && !(task && slice_eq(g->task_id, task->o.id)))
        return true;
    s->seen = true;
    s->allowed = !g->routes_set || policy_route_allows(g->routes, g->route_count, s->method,
                                                       s->w->rest, s->w->opaque);
    return !s->allowed;
}

static void look_at_grants_of(struct search *s, struct slice subject)
{
    if (!s->allowed && subject.len > 0)
        snapshot_each_grant(s->right->policy, subject, look_at_grant, s);
}

/* "/api/crm/customers/1" → "crm" and "/customers/1" */
static struct slice split_path(struct slice path, struct slice *rest)
{
    struct slice below = slice_from(path, SLICE("/api/").len);
    ptrdiff_t slash = slice_find(below, '/');
    *rest = slash < 0 ? SLICE("/") : slice_from(below, (size_t)slash);
    return slash < 0 ? below : slice_first(below, (size_t)slash);
}

static void look_at_grants(struct search *s)
{
    const struct principal *principal = &s->right->who;
    if (principal->agent)
        look_at_grants_of(s, principal->agent->o.id);
    if (principal->team)
        look_at_grants_of(s, principal->team->o.id);
}

static bool is_served(const struct api_work *w, const struct policy_service *s, struct slice method)
{
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

bool api_still_allowed(struct request *rq, const struct request_right *now)
{
    const struct api_work *w = rq->gate_state;
    const struct policy_service *service =
        snapshot_service_named(now->policy, now->who.key->o.org_id, w->service->o.name);
    struct search s = {.right = now, .w = w, .method = rq->head->method};
    bool same = service && slice_eq(service->o.id, w->service->o.id) &&
                slice_eq(service->base_url, w->service->base_url);
    if (same)
        look_at_grants(&s);
    if (s.seen && s.allowed && is_served(w, service, rq->head->method))
        return true;
    request_refuse(rq, s.seen ? REFUSAL_ROUTE : REFUSAL_SERVICE_UNKNOWN, w->service->o.name);
    return false;
}

static enum filter_result on_request(struct request *rq)
{
    struct api_work *w = arena_zalloc(rq->arena, sizeof(*w));
    if (!w)
        return refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    w->opaque = rq->path.len == 0;
    if (w->opaque && http1_path_opaque(rq->head->target, &rq->path, &rq->query))
        return refuse(rq, REFUSAL_BAD_PATH, SLICE_NONE);
    struct slice name = split_path(rq->path, &w->rest);
    w->rq = rq;
    w->relay = (struct relay){.hooks = &api_relay_hooks, .rq = rq};
    rq->gate_state = w;
    rq->record.name =
        arena_printf(rq->arena, "%.*s %.*s", SLICE_ARG(rq->head->method), SLICE_ARG(w->rest));
    rq->record.api.path = w->rest;
    rq->record.api.service = name;
    if (name.len == 0)
        return refuse_path(w, REFUSAL_PATH_UNKNOWN, SLICE("services are at /api/{service}/"));
    w->service = snapshot_service_named(rq->policy, rq->who.key->o.org_id, name);
    if (!w->service)
        return refuse_path(w, REFUSAL_SERVICE_UNKNOWN, name);
    const struct request_right right = request_right_of(rq);
    struct search s = {.right = &right, .w = w, .method = rq->head->method};
    look_at_grants(&s);
    if (!s.seen)
        return refuse_path(w, REFUSAL_SERVICE_UNKNOWN, name);
    if (!is_method(rq->head->method))
        return refuse(rq, REFUSAL_METHOD,
                      SLICE("GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS are"));
    if (!s.allowed || !is_served(w, w->service, rq->head->method))
        return refuse_path(w, REFUSAL_ROUTE, SLICE_NONE);
    if (http_head_find(rq->head, SLICE("content-encoding")).ptr)
        return refuse(rq, REFUSAL_MEDIA_TYPE, SLICE("it must be sent without Content-Encoding"));
    return FILTER_PASS;
}

const struct filter api_filter_service = {.name = "service", .on_request = on_request};
