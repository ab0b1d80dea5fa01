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
/* Keys, members, projects, audit logs: what administers an account, or what runs there, is not
 * opened by any grant. */
bool passthrough_is_administration(struct slice dialect, struct slice path);

/* Files, batches and responses that OpenAI or Azure keeps, lists of them too: the AI gate serves
 * them, and knows whose they are. */
bool passthrough_is_kept(struct slice dialect, struct slice path);

/* The same path as the AI gate has it, "/v1/…"; SLICE_NONE: no memory. */
struct slice passthrough_modelled_path(struct slice path, struct arena *a);
/* The endpoint of that path and method; NULL: the AI gate has none. */
const struct ai_endpoint *passthrough_endpoint(const struct http_head *h, struct slice path,
                                               struct arena *a);
/* The client's query without what may hold a credential, and behind what the provider's address has
 * in its own; `add` may be empty. SLICE_NONE: no memory. */
struct slice passthrough_query(struct slice base, struct slice add, struct slice query,
                               struct slice dialect, struct arena *a);
/* In the canonical form that Signature Version 4 signs: members sorted, and escaped in one way. */
struct slice passthrough_sorted_query(struct slice query, struct arena *a);
