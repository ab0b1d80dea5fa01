/*
 * azure_path — paths as clients of Azure OpenAI ask them, in OpenAI's own words.
 *
 *   /openai/deployments/{name}/chat/completions?api-version=…  →  /v1/chat/completions
 *   /openai/realtime?api-version=…&deployment={name}           →  /v1/realtime?model={name}
 *   /openai/v1/responses, /openai/responses?api-version=…      →  /v1/responses
 *
 * A deployment is a model's name here. The one of the path counts, whatever the body says, as Azure
 * has it; so the body is written anew with it, and all that follows sees OpenAI's dialect. The
 * api-version goes nowhere: a target of Azure has its own.
 *
 * Fails    ERR_NOMEM; ERR_TOO_BIG: the body with its model is larger than a body may be.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/net/http1.h"

struct azure_path {
    struct slice path, query; /* as OpenAI's clients would ask; the query without its '?' */
    struct slice deployment;  /* unescaped; .ptr NULL: the path names none */
};

static inline bool azure_is_path(struct slice path)
{
    return slice_starts(path, SLICE("/openai/"));
}

/* Of a path that azure_is_path says is one. */
MUST_USE enum err azure_path_read(struct arena *a, struct slice path, struct slice query,
                                  struct azure_path *ret);

struct azure_body {
    const struct http_head *head;
    struct slice deployment;
    bool is_front; /* of a form whose rest is to come */
};

/* The body, JSON or a form, names the deployment as its model. One that cannot be read stays as it
 * is, and is refused by its dialect. `spare` is overwritten. */
MUST_USE enum err azure_name_model(struct arena *a, const struct azure_body *in, struct buf *body,
                                   struct buf *spare);
