/*
 * refusal — every refusal that a client can get, in one table: status, code, sentence.
 *
 * A refusal is a response, not an error: it is data, carried by the request and written in the
 * dialect of the path by its gate. What a key may not see is unknown to it (decisions.md).
 *
 * Threads  any.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/slice.h"

/* name, http status, code, sentence: %.*s takes the request's detail; what stands in brackets is
 * left out where there is none */
#define REFUSAL_TABLE(X)                                                                           \
    X(NONE, 200, "", "")                                                                           \
    X(BAD_REQUEST, 400, "invalid_request", "The request is malformed[: %.*s].")                    \
    X(BAD_JSON, 400, "invalid_json", "The body is not the JSON this endpoint reads: %.*s.")        \
    X(UNSUPPORTED, 400, "unsupported_parameter",                                                   \
      "No provider of this model takes this request: %.*s.")                                       \
    X(BAD_PATH, 400, "invalid_path",                                                               \
      "The path is not in canonical form: no segment may be empty, . or .., and none may hold an " \
      "escaped slash.")                                                                            \
    X(NO_CREDENTIAL, 401, "missing_credential", "No credential was sent.")                         \
    X(BAD_CREDENTIAL, 401, "invalid_api_key", "The credential is unknown, expired or revoked.")    \
    X(AMBIGUOUS_CREDENTIAL, 401, "ambiguous_credential",                                           \
      "Two credentials that name different principals were sent.")                                 \
    X(REGION, 403, "region_not_allowed", "Not allowed in this region[: %.*s].")                    \
    X(DATA_POLICY, 403, "data_policy_not_met",                                                     \
      "No provider of this model promises what the team demands of those that see its data.")      \
    X(ARGUMENT, 403, "argument_not_allowed", "An argument is not allowed: %.*s.")                  \
    X(ROUTE, 403, "route_not_allowed", "This method and path are not granted.")                    \
    X(ADMINISTRATION, 403, "administration_refused",                                               \
      "Paths that administer an account of %.*s are not passed on, whatever is granted.")          \
    X(KEPT, 403, "owned_elsewhere",                                                                \
      "What providers keep has owners: it is served at %.*s, not by passthrough.")                 \
    X(TASK, 403, "task_not_allowed", "The credential may not assume this task.")                   \
    X(ORIGIN, 403, "origin_not_allowed", "Requests from this origin are not allowed.")             \
    X(PATH_UNKNOWN, 404, "not_found", "Nothing is served at this path[: %.*s].")                   \
    X(MODEL_UNKNOWN, 404, "model_not_found", "The model %.*s does not exist or is not granted.")   \
    X(OBJECT_UNKNOWN, 404, "object_not_found",                                                     \
      "There is no such response, file or batch of yours[: %.*s].")                                \
    X(SERVER_UNKNOWN, 404, "server_not_found",                                                     \
      "The server %.*s does not exist or is not granted.")                                         \
    X(PROVIDER_UNKNOWN, 404, "provider_not_found",                                                 \
      "The provider %.*s does not exist or is not granted.")                                       \
    X(SERVICE_UNKNOWN, 404, "service_not_found",                                                   \
      "The service %.*s does not exist or is not granted.")                                        \
    X(SESSION_UNKNOWN, 404, "session_not_found", "The session is unknown or has ended.")           \
    X(SERVER_AMBIGUOUS, 400, "server_ambiguous",                                                   \
      "Several servers are granted; name one in the path, as /mcp/{server}: %.*s.")                \
    X(METHOD, 405, "method_not_allowed", "This method is not served here[: %.*s].")                \
    X(NOT_ACCEPTABLE, 406, "not_acceptable", "The Accept header rules out what this path serves.") \
    X(TIMEOUT, 408, "request_timeout", "The request took too long to arrive.")                     \
    X(STREAM_TAKEN, 409, "stream_conflict", "The session's event stream is already open.")         \
    X(TOO_LARGE, 413, "request_too_large", "The body is larger than the %.*s allowed here.")       \
    X(MEDIA_TYPE, 415, "unsupported_media_type",                                                   \
      "The content type or encoding of the body cannot be read[: %.*s].")                          \
    X(UPGRADE, 426, "upgrade_required", "This path speaks WebSocket alone[: %.*s].")               \
    X(RATE, 429, "rate_limit_exceeded", "Too many requests: %.*s.")                                \
    X(PARALLEL, 429, "parallel_limit_exceeded", "Too many calls at once: %.*s.")                   \
    X(UPSTREAM_BUSY, 429, "upstream_rate_limited",                                                 \
      "The upstream takes no more calls at the moment: %.*s.")                                     \
    X(SESSIONS, 429, "session_limit_exceeded", "Too many open MCP sessions: %.*s.")                \
    X(BUDGET, 429, "budget_exceeded", "%.*s")                                                      \
    X(UNBOUNDED, 400, "unbounded_cost",                                                            \
      "This call's cost cannot be bounded, and a budget applies: %.*s.")                           \
    X(TOOL_UNKNOWN, 200, "tool_not_found", "Unknown tool: %.*s.")                                  \
    X(PARAMS, 200, "invalid_params", "Invalid params: %.*s.")                                      \
    X(RPC_METHOD, 200, "method_not_found", "Method not found: %.*s.")                              \
    X(UPSTREAM, 502, "upstream_error", "The upstream failed: %.*s.")                               \
    X(UPSTREAM_PROTOCOL, 502, "upstream_invalid", "The upstream's response could not be read.")    \
    X(NO_POLICY, 503, "no_policy", "This data plane has not received its policy.")                 \
    X(DRAINED, 503, "drained",                                                                     \
      "This data plane ends, and cut the call: another one can be tried.")                         \
    X(REMOVED, 503, "dataplane_removed", "This data plane was removed from its control plane.")    \
    X(NO_CAPACITY, 503, "overloaded", "No capacity at the moment.")                                \
    X(MEMORY, 503, "memory_pressure", "The gateway is short of memory; come again in a moment.")   \
    X(NO_TARGET, 503, "no_target", "No provider can serve this model at the moment[: %.*s].")      \
    X(LEDGER_AWAY, 503, "budget_unavailable",                                                      \
      "The budget cannot be looked up: the control plane is not reachable.")                       \
    X(LIST_AWAY, 503, "list_unavailable", "What you keep cannot be listed at the moment[: %.*s].") \
    X(UPSTREAM_TIMEOUT, 504, "upstream_timeout", "The upstream did not respond in time[: %.*s].")  \
    X(LOOP, 508, "loop_detected",                                                                  \
      "The call came back through this gateway too often: an upstream of it leads to the "         \
      "gateway.")                                                                                  \
    X(INTERNAL, 500, "internal_error", "An error of the gateway's own; it was recorded.")

enum refusal_id {
#define REFUSAL_ENUM(name, status, code, text) REFUSAL_##name,
    REFUSAL_TABLE(REFUSAL_ENUM) REFUSAL_COUNT
#undef REFUSAL_ENUM
};

struct refusal_row {
    unsigned status;
    const char *code;
    const char *text;
};

const struct refusal_row *refusal_row(enum refusal_id id);

/* What one request was refused with. */
struct refusal {
    enum refusal_id id;
    struct slice detail;    /* fills the sentence; in the request's arena */
    unsigned retry_after_s; /* 0: no such header */
    bool no_retry;          /* x-should-retry: false */
};

/* The sentence with its detail in place; "" where the arena is full. */
struct slice refusal_sentence(const struct refusal *r, struct arena *a);
