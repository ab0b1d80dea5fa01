/*
 * routes — a row for each gate's ground, and the gate of no ground at all.
 */
#include "dataplane/listener/gate_routes.h"

#include "dataplane/ai/ai_gate.h"
#include "dataplane/api/api_gate.h"
#include "mcp-gateway/tool_gate.h"

static enum filter_result on_nowhere(struct request *rq)
{
    if (rq->path.len)
        request_refuse(rq, REFUSAL_PATH_UNKNOWN,
                       SLICE("models are at /v1/, MCP servers at /mcp and /mcp/{server}, services "
                             "at /api/{service}/"));
    else
        request_refuse(rq, REFUSAL_BAD_PATH, SLICE_NONE);
    return FILTER_REFUSE;
}

static const struct filter gate_nowhere = {.name = "nowhere", .on_request = on_nowhere};
static const struct filter *const nowhere_filters[] = {&gate_nowhere, NULL};

static void no_work(struct request *rq)
{
    request_finish_as(rq, OUTCOME_ERROR); /* its only filter refuses, so this is never reached */
}

static const struct gate nowhere = {
    .name = NULL,
    .filters = nowhere_filters,
    .work = no_work,
    .cancel = no_work,
    .refusal_body = problem_body, /* no dialect is known for a path that is nobody's */
};

static const struct {
    struct slice prefix;
    const struct gate *gate;
} routes[] = {
    {{"/v1/", 4}, &ai_gate},
    {{"/api/", 5}, &api_gate},
    {{"/mcp", 4}, &tool_gate}, /* with and without a server's name */
};

const struct gate *route_find(struct slice path, struct slice target)
{
    if (path.len == 0 && slice_starts(target, SLICE("/api/")))
        return &api_gate; /* one of its routes may take the path as it stands */
    while (path.len == 0 && slice_starts(target, SLICE("//")))
        target = slice_from(target, 1);
    if (path.len == 0 && slice_starts(target, SLICE("/v1/")))
        return &ai_gate; /* refused, in its dialect */
    if (slice_eq(path, SLICE("/v1")))
        return &ai_gate;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (slice_starts(path, routes[i].prefix))
            return routes[i].gate;
    return &nowhere;
}
