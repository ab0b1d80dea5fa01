/*
 * passthrough_rules — what a path below a provider's base URL means.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/policy/snapshot.h"
#include "dataplane/ai/dialect/dialect.h"

/* The path below the base URL, also where the client repeats the base's own path: with a base of
 * "https://host/v1" both "/files" and "/v1/files" are "/files". */
struct slice passthrough_below(struct slice base_path, struct slice path);
/* The grant's route that covers it; NULL: none does. `path` as passthrough_below has it; the
 * grant's patterns are read so too. */
const struct policy_route *passthrough_route(const struct policy_grant *g, struct slice base_path,
                                             struct slice method, struct slice path);
/* Keys, members, projects, audit logs: what administers an account, or what runs there, or gives
 * out a credential of its own, is not opened by any grant. */
bool passthrough_is_administration(struct slice dialect, struct slice path);

/* Files, batches, responses, conversations and chats that OpenAI or Azure keeps, lists of them too:
 * they belong to who made them, which the AI gate alone knows. */
bool passthrough_is_kept(struct slice dialect, struct slice method, struct slice path);

struct passthrough_modelled {
    const struct ai_endpoint *endpoint; /* NULL: the AI gate has none */
    struct slice path;                  /* as the AI gate has it, "/v1/…" */
};
/* The endpoint of that path and method, also where the path is spelled as a server may take it that
 * is more lenient than its documentation: with a slash at its end, escapes, capitals, another
 * version. What goes up is the path as it was sent. ERR_NOMEM. */
MUST_USE enum err passthrough_model_path(const struct http_head *h, struct slice path,
                                         struct arena *a, struct passthrough_modelled *ret);

struct passthrough_query_in {
    struct slice base; /* what the provider's address has in its own */
    struct slice add;  /* may be empty */
    struct slice sent; /* the client's */
    struct slice dialect;
    bool metered; /* the response's usage is read */
};
/* The client's query behind the base's, without what may hold a credential, and without what would
 * take the usage out of a metered response. SLICE_NONE: no memory. */
struct slice passthrough_query(const struct passthrough_query_in *in, struct arena *a);
/* In the canonical form that Signature Version 4 signs: members sorted, and escaped in one way. */
struct slice passthrough_sorted_query(struct slice query, struct arena *a);
