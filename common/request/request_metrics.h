/*
 * request_metrics — what a data plane counts: the rows, and the names to count by.
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/base/metric.h"
#include "common/request/refusal.h"

struct request_env;

#define REQUEST_METRICS(X)                                                                         \
    X(CALLS, "gatehouse_calls_total", "Calls that ended, by gate.", METRIC_COUNTER, "gate",        \
      metric_gates)                                                                                \
    X(ENDS, "gatehouse_call_ends_total", "Calls that ended, by how.", METRIC_COUNTER, "status",    \
      metric_ends)                                                                                 \
    X(REFUSALS, "gatehouse_refusals_total", "Refused calls, by code.", METRIC_COUNTER, "code",     \
      metric_codes)                                                                                \
    X(ACTIVE, "gatehouse_calls_active", "Calls under way.", METRIC_GAUGE, NULL, NULL)              \
    X(CUT, "gatehouse_calls_cut_total", "Calls cut because their principal was blocked.",          \
      METRIC_COUNTER, NULL, NULL)                                                                  \
    X(ATTEMPTS, "gatehouse_upstream_attempts_total", "Tries at an upstream, by how they ended.",   \
      METRIC_COUNTER, "status", metric_ends)                                                       \
    X(ECHOES, "gatehouse_credential_echoes_total",                                                 \
      "Responses in which an upstream sent our credential back; it was cut out.", METRIC_COUNTER,  \
      NULL, NULL)                                                                                  \
    X(CREDENTIALS_OUT, "gatehouse_upstream_credentials_refused_total",                             \
      "Times that an upstream's credential was taken out, as the upstream refused it.",            \
      METRIC_COUNTER, NULL, NULL)                                                                  \
    X(COST_UNKNOWN, "gatehouse_cost_unknown_total", "Calls with tokens and no price.",             \
      METRIC_COUNTER, NULL, NULL)                                                                  \
    X(UNRECORDED, "gatehouse_unrecorded_total", "Calls whose record the journal did not take.",    \
      METRIC_COUNTER, NULL, NULL)                                                                  \
    X(UPSTREAM_UNTOLD, "gatehouse_upstream_failures_unlogged_total",                               \
      "Failures of upstreams that left no log line, as one was written within the second.",        \
      METRIC_COUNTER, NULL, NULL)                                                                  \
    X(TOKENS_IN, "gatehouse_tokens_input_total", "Prompt tokens.", METRIC_COUNTER, NULL, NULL)     \
    X(TOKENS_OUT, "gatehouse_tokens_output_total", "Tokens of responses.", METRIC_COUNTER, NULL,   \
      NULL)                                                                                        \
    X(OVERHEAD, "gatehouse_overhead_seconds", "Time a call spent in the gateway itself.",          \
      METRIC_HISTOGRAM, NULL, NULL)                                                                \
    X(DURATION, "gatehouse_call_seconds", "Whole calls.", METRIC_HISTOGRAM, NULL, NULL)            \
    X(ATTEMPT_TIME, "gatehouse_attempt_seconds",                                                   \
      "Tries at a provider that ended, by provider and model.", METRIC_PAIRS, NULL, metric_pair)   \
    X(FIRST_BYTE, "gatehouse_first_byte_seconds",                                                  \
      "From the request to the head of the provider's response.", METRIC_PAIRS, NULL, metric_pair) \
    X(QUEUED, "gatehouse_calls_queued",                                                            \
      "Calls that wait for a ceiling of a provider's credentials.", METRIC_GAUGE, NULL, NULL)      \
    X(QUEUE_TIME, "gatehouse_queue_seconds",                                                       \
      "Waits for a ceiling that ended, by provider and the credential that was taken.",            \
      METRIC_PAIRS, NULL, metric_account)                                                          \
    X(CONNECTIONS, "gatehouse_connections", "Open client connections.", METRIC_GAUGE, NULL, NULL)  \
    X(UPSTREAM_IDLE, "gatehouse_upstream_idle_connections",                                        \
      "Connections to upstreams that are kept and that no call uses.", METRIC_GAUGE, NULL, NULL)   \
    X(MCP_SESSIONS, "gatehouse_mcp_sessions",                                                      \
      "MCP sessions remembered here, those that ended among them until they would have expired.",  \
      METRIC_GAUGE, NULL, NULL)                                                                    \
    X(MEMORY, "gatehouse_memory_bytes", "Memory in use, without mapped files.", METRIC_GAUGE,      \
      NULL, NULL)                                                                                  \
    X(MEMORY_LIMIT, "gatehouse_memory_limit_bytes", "What that is measured against.",              \
      METRIC_GAUGE, NULL, NULL)                                                                    \
    X(SHEDDING, "gatehouse_memory_shedding", "1 while new calls are refused for want of memory.",  \
      METRIC_GAUGE, NULL, NULL)                                                                    \
    X(READY, "gatehouse_ready", "1 while this plane takes calls.", METRIC_GAUGE, NULL, NULL)       \
    X(CONNECTED, "gatehouse_channel_connected", "1 while the control plane is heard.",             \
      METRIC_GAUGE, NULL, NULL)                                                                    \
    X(STALE, "gatehouse_policy_stale", "1 while the newest policy may be unknown.", METRIC_GAUGE,  \
      NULL, NULL)                                                                                  \
    X(VERSION, "gatehouse_policy_version", "Policy version applied.", METRIC_GAUGE, NULL, NULL)    \
    X(NEWEST, "gatehouse_policy_newest", "Newest policy version heard of.", METRIC_GAUGE, NULL,    \
      NULL)                                                                                        \
    X(POLICY_AGE, "gatehouse_policy_age_seconds",                                                  \
      "Since the control plane was last known to have no newer policy.", METRIC_GAUGE, NULL, NULL) \
    X(REFUSED_OBJECTS, "gatehouse_policy_objects_refused",                                         \
      "Objects of the policy that this build does not understand; what depends on them is "        \
      "denied.",                                                                                   \
      METRIC_GAUGE, NULL, NULL)                                                                    \
    X(UNTOLD, "gatehouse_workers_not_told",                                                        \
      "Workers that could not be told the newest policy yet; it is not acknowledged.",             \
      METRIC_GAUGE, NULL, NULL)                                                                    \
    X(DATABASE_AWAY, "gatehouse_control_database_away",                                            \
      "1 while the control plane says that it cannot reach its database.", METRIC_GAUGE, NULL,     \
      NULL)                                                                                        \
    X(JOURNAL_WAITING, "gatehouse_journal_waiting", "Records not yet committed.", METRIC_GAUGE,    \
      NULL, NULL)                                                                                  \
    X(JOURNAL_DROPPED, "gatehouse_journal_dropped_total",                                          \
      "Spans of free calls dropped for want of room.", METRIC_COUNTER, NULL, NULL)                 \
    X(JOURNAL_FOLDED, "gatehouse_journal_folded_total",                                            \
      "Calls kept in sums for want of room, without a span of their own.", METRIC_COUNTER, NULL,   \
      NULL)                                                                                        \
    X(LOST, "gatehouse_lost_calls_total", "Calls closed at their worst case after a kill.",        \
      METRIC_COUNTER, NULL, NULL)                                                                  \
    X(LEASES, "gatehouse_leases", "Leases of budgets that this data plane holds.", METRIC_GAUGE,   \
      NULL, NULL)                                                                                  \
    X(LEASES_LEFT, "gatehouse_leases_left_nanodollars",                                            \
      "What may still be reserved in them without the control plane.", METRIC_GAUGE, NULL, NULL)   \
    X(LEASES_AWAY, "gatehouse_leases_unanswered_seconds",                                          \
      "Since when no request for a lease got a reply; 0: they get one.", METRIC_GAUGE, NULL, NULL) \
    X(BUDGETS_STANDING, "gatehouse_budgets_standing_still",                                        \
      "Budgets that refused a call since then, for want of the control plane.", METRIC_GAUGE,      \
      NULL, NULL)

enum request_metric {
#define METRIC_ENUM(name, text, help, kind, label, values) COUNT_##name,
    REQUEST_METRICS(METRIC_ENUM) COUNT_COUNT
#undef METRIC_ENUM
};

extern const struct metric_row request_metrics[COUNT_COUNT];

/* A no-op where the env counts nothing. */
void count_add(struct request_env *env, enum request_metric row, size_t value, int64_t delta);
void count_observe(struct request_env *env, enum request_metric row, uint64_t us);
void count_observe_pair(struct request_env *env, enum request_metric row, struct slice provider,
                        struct slice model, uint64_t us);
