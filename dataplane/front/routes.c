/*
 * routes — a row for each wing's ground, and the wing of no ground at all.
 */
#include "dataplane/front/routes.h"

#include "dataplane/ai/ai.h"
#include "dataplane/api/api.h"
#include "mcp-gateway/mcp.h"

static enum gate_answer ask_nowhere(struct journey *j)
{
    journey_refuse(j, j->path.len ? REFUSAL_PATH_UNKNOWN : REFUSAL_BAD_PATH, SLICE_NONE);
    return GATE_REFUSE;
}

static const struct gate gate_nowhere = {"nowhere", ask_nowhere, NULL, NULL};
static const struct gate *const nowhere_gates[] = {&gate_nowhere, NULL};

static void no_work(struct journey *j)
{
    journey_finish(j, JOURNEY_ERROR); /* its only gate refuses, so this is never reached */
}

static const struct wing nowhere = {
    .name = NULL,
    .gates = nowhere_gates,
    .work = no_work,
    .cancel = no_work,
    .refusal_body = problem_body, /* no dialect is known for a path that is nobody's */
};

static const struct {
    struct slice prefix;
    const struct wing *wing;
} routes[] = {
    {{"/v1/", 4}, &ai_wing},
    {{"/api/", 5}, &api_wing},
    {{"/mcp", 4}, &mcp_wing}, /* with and without a server's name */
};

const struct wing *route_find(struct slice path, struct slice target)
{
    if (path.len == 0 && slice_starts(target, SLICE("/api/")))
        return &api_wing; /* one of its routes may take the path as it stands */
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (slice_starts(path, routes[i].prefix))
            return routes[i].wing;
    return &nowhere;
}
