/*
 * span_attributes — what a span tells, one row for each attribute.
 *
 * A row names the attribute's field in proto/usage.proto, its type, the column that keeps it, its
 * member in the admin API, its name in OTLP, and how it folds. The journal's coding
 * (common/request/record.c), the key of folded calls (common/journal/fold_call.c), the insert and
 * the JSON (controlplane/store), the OpenAPI schema (controlplane/api/response_shape.c) and
 * docs/span-attributes.md follow from it. README.md in this directory says what an attribute takes.
 *
 * SPAN_ATTRIBUTES is for code that the preprocessor writes; span_attributes_all is the same table
 * for code that walks it.
 *
 * Owns     nothing; constant.
 * Threads  any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* How a value is coded, and with it the type of its column. */
enum span_type {
    SPAN_TYPE_TEXT,   /* string; text */
    SPAN_TYPE_COUNT,  /* uint64; bigint */
    SPAN_TYPE_SMALL,  /* uint32; integer */
    SPAN_TYPE_TIME,   /* sint64, microseconds since 1970; timestamptz */
    SPAN_TYPE_MONEY,  /* sint64, nano-dollars; bigint */
    SPAN_TYPE_FLAG,   /* bool; no column of its own */
    SPAN_TYPE_TOKENS, /* the message Tokens, whose fields are the rows of SPAN_TOKENS */
    SPAN_TYPE_OWN,    /* text that is in no message */
    SPAN_TYPE_EVENTS, /* repeated SpanEvent; jsonb */
};

/* What the column holds where the message does not say it. */
enum span_absent {
    SPAN_ABSENT_NULL,
    SPAN_ABSENT_CALL,    /* an attempt's is as its call's */
    SPAN_ABSENT_UNKNOWN, /* "unknown" */
    SPAN_ABSENT_GATE,    /* as the call's, else "unknown" */
    SPAN_ABSENT_KIND,    /* "attempt" below a call, else "unknown" */
    SPAN_ABSENT_PARENT,  /* an attempt's: its call's id */
    SPAN_ABSENT_REQUEST, /* what the record's call_id spells */
    SPAN_ABSENT_ORG,     /* always the plane's: what the message says is ignored */
    SPAN_ABSENT_PLANE,   /* always the plane's id: the message has no such field */
    SPAN_ABSENT_ZERO,
    SPAN_ABSENT_ONE,
    SPAN_ABSENT_PRICE, /* NULL unless cost_known */
};

/* What a sum of calls keeps of it (common/journal/fold_call.h). */
enum span_fold {
    SPAN_FOLD_DROPPED,
    SPAN_FOLD_KEYED,  /* calls are summed up apart where it differs */
    SPAN_FOLD_SUMMED, /* or first and last of it */
    SPAN_FOLD_MADE,   /* says that it is a sum */
};

/* An id whose column is shown as the name of what it names. */
enum span_refers {
    SPAN_REFERS_NOTHING,
    SPAN_REFERS_TEAM,
    SPAN_REFERS_AGENT,
    SPAN_REFERS_KEY,
    SPAN_REFERS_TASK
};

/* clang-format off */

#define SPAN_WORDS_GATE   "ai|tool|api"
#define SPAN_WORDS_KIND   "call|attempt|decision"
#define SPAN_WORDS_STATUS "ok|refused|error|cancelled"
#define SPAN_WORDS_USAGE  "provider|estimate|lost"
#define SPAN_WORDS_CACHE  "hit|semantic|miss|bypass"

/*
 * X(name, field, type, written, absent, fold, column, shown, always, refers, words, otlp, unit, help)
 *
 *   name     of the field in proto/usage.proto
 *   field    its number; 0: the control plane alone knows it
 *   written  when a plane's request writes it: OPENED (known from the opening on), CLOSED (known at
 *            the close), MOVED (the same, where it is not 0), ATTEMPT (attempts only), NEVER (no request
 *            does)
 *   fold     DROPPED, SUMMED, MADE, FLAGGED (a flag in front of the key), or KEYED(n): n is its place
 *            in the key, which journals on disk hold, so a place is never given to another attribute
 *   column   of the table spans; NULL: none
 *   shown    its member in the admin API and the console; NULL: none. always: it is never left out
 */
#define SPAN_ATTRIBUTES(X) \
X(id,           1, TEXT,   OPENED,  UNKNOWN, MADE,      "id",            "id",           true,  NOTHING, NULL, "span_id", "", "16 hex digits (W3C span id)") \
X(parent,       2, TEXT,   OPENED,  PARENT,  DROPPED,   "parent",        "parent",       false, NOTHING, NULL, "parent_span_id", "", "of an attempt: its call; of a call: the caller's span, where it sent one") \
X(trace_id,     3, TEXT,   OPENED,  CALL,    DROPPED,   "trace_id",      "trace_id",     false, NOTHING, NULL, "trace_id", "", "32 hex digits") \
X(gate,         4, TEXT,   OPENED,  GATE,    KEYED(6),  "gate",          "gate",         true,  NOTHING, SPAN_WORDS_GATE, "gatehouse.gate", "", "which gate was called") \
X(kind,         5, TEXT,   OPENED,  KIND,    MADE,      "kind",          "kind",         true,  NOTHING, SPAN_WORDS_KIND, "gatehouse.kind", "", "a call, or one attempt of it") \
X(name,         6, TEXT,   OPENED,  CALL,    MADE,      "name",          "name",         false, NOTHING, NULL, "name", "", "what was called, as far as that was known") \
X(org_id,       7, TEXT,   OPENED,  ORG,     KEYED(1),  "org_id",        NULL,           false, NOTHING, NULL, "gatehouse.org.id", "", "whose it is") \
X(team_id,      8, TEXT,   OPENED,  CALL,    KEYED(2),  "team_id",       "team",         false, TEAM,    NULL, "gatehouse.team.id", "", "shown by its name") \
X(agent_id,     9, TEXT,   OPENED,  CALL,    KEYED(3),  "agent_id",      "agent",        false, AGENT,   NULL, "gatehouse.agent.id", "", "shown by its name") \
X(key_id,      10, TEXT,   OPENED,  CALL,    KEYED(4),  "key_id",        "key",          false, KEY,     NULL, "gatehouse.key.id", "", "shown by its public part, or its name") \
X(task_id,     11, TEXT,   OPENED,  CALL,    KEYED(5),  "task_id",       "task",         false, TASK,    NULL, "gatehouse.task.id", "", "shown by its name") \
X(session_id,  12, TEXT,   OPENED,  CALL,    DROPPED,   "session_id",    "session",      false, NOTHING, NULL, "session.id", "", "absent where the caller was not known") \
X(external_id, 13, TEXT,   OPENED,  NULL,    DROPPED,   "external_id",   NULL,           false, NOTHING, NULL, "gatehouse.session.label", "", "what the client called the session") \
X(named_by,    14, TEXT,   OPENED,  NULL,    DROPPED,   "named_by",      NULL,           false, NOTHING, NULL, "gatehouse.session.named_by", "", "where the label came from") \
X(started_at_us, 15, TIME, OPENED,  ZERO,    SUMMED,    "started_at",    "started_at",   true,  NOTHING, NULL, "start_time_unix_nano", "us", "by the data plane's clock") \
X(duration_us, 16, COUNT,  CLOSED,  ZERO,    SUMMED,    "duration_us",   "duration_us",  true,  NOTHING, NULL, "end_time_unix_nano", "us", "from the head of the request to the end of the response") \
X(overhead_us, 17, COUNT,  CLOSED,  NULL,    DROPPED,   "overhead_us",   "overhead_us",  false, NOTHING, NULL, "gatehouse.overhead_us", "us", "of it, the gateway's own") \
X(status,      18, TEXT,   CLOSED,  UNKNOWN, KEYED(9),  "status",        "status",       true,  NOTHING, SPAN_WORDS_STATUS, "gatehouse.status", "", "how it ended") \
X(code,        19, TEXT,   CLOSED,  NULL,    MADE,      "code",          "code",         false, NOTHING, NULL, "error.type", "", "why it did not end well") \
X(http_status, 20, SMALL,  CLOSED,  NULL,    DROPPED,   "http_status",   "http_status",  false, NOTHING, NULL, "http.response.status_code", "", "what the client was sent; of an attempt: what the upstream sent") \
X(model,       21, TEXT,   OPENED,  CALL,    KEYED(7),  "model",         "model",        false, NOTHING, NULL, "gen_ai.request.model", "", "its name, as it was then") \
X(provider,    22, TEXT,   OPENED,  CALL,    KEYED(8),  "provider",      "provider",     false, NOTHING, NULL, "gen_ai.provider.name", "", "its name, as it was then") \
X(server,      23, TEXT,   OPENED,  CALL,    DROPPED,   "server",        "server",       false, NOTHING, NULL, "gatehouse.server.name", "", "MCP server") \
X(tool,        24, TEXT,   OPENED,  NULL,    DROPPED,   "tool",          "tool",         false, NOTHING, NULL, "gen_ai.tool.name", "", "of the server") \
X(service,     25, TEXT,   OPENED,  CALL,    DROPPED,   "service",       "service",      false, NOTHING, NULL, "gatehouse.service.name", "", "API service") \
X(method,      26, TEXT,   OPENED,  NULL,    DROPPED,   "method",        "method",       false, NOTHING, NULL, "http.request.method", "", "of HTTP") \
X(path,        27, TEXT,   OPENED,  NULL,    DROPPED,   "path",          "path",         false, NOTHING, NULL, "url.path", "", "without its query") \
X(tokens,      28, TOKENS, CLOSED,  NULL,    SUMMED,    NULL,            NULL,           false, NOTHING, NULL, NULL, "", "what the model read and wrote") \
X(cost_known,  29, FLAG,   CLOSED,  NULL,    FLAGGED,   NULL,            NULL,           false, NOTHING, NULL, NULL, "", "whether the model had a price") \
X(cost_nano,   30, MONEY,  CLOSED,  PRICE,   SUMMED,    "cost_nano",     "cost_usd",     false, NOTHING, NULL, "gatehouse.cost_usd", "nano-dollars", "absent: not known; shown in dollars") \
X(usage_source, 31, TEXT,  CLOSED,  NULL,    KEYED(10), "usage_source",  "usage_source", false, NOTHING, SPAN_WORDS_USAGE, "gatehouse.usage_source", "", "who counted the tokens") \
X(attempts,    32, SMALL,  CLOSED,  NULL,    DROPPED,   "attempts",      "attempts",     false, NOTHING, NULL, "gatehouse.attempts", "", "tries at upstreams") \
X(cache,       33, TEXT,   CLOSED,  NULL,    DROPPED,   "cache",         "cache",        false, NOTHING, SPAN_WORDS_CACHE, "gatehouse.cache", "", "whether the response came from a cache") \
X(events,      34, EVENTS, NEVER,   NULL,    DROPPED,   "events",        "events",       false, NOTHING, NULL, "events", "", "what happened meanwhile") \
X(request_id,  35, TEXT,   NEVER,   REQUEST, DROPPED,   "request_id",    "request_id",   false, NOTHING, NULL, "gatehouse.request_id", "", "the x-gatehouse-request-id of the response") \
X(upstream_request_id, 36, TEXT, ATTEMPT, NULL, DROPPED, "upstream_request_id", "upstream_request_id", false, NOTHING, NULL, "gatehouse.upstream.request_id", "", "what the upstream called the request") \
X(calls,       37, COUNT,  NEVER,   ONE,     SUMMED,    "calls",         "calls",        false, NOTHING, NULL, "gatehouse.calls", "", "that its data plane, short of room, kept as sums; absent: one") \
X(route,       40, TEXT,   CLOSED,  NULL,    DROPPED,   "route",         "route",        false, NOTHING, NULL, "http.route", "", "of passthrough: the granted pattern that the path fits") \
X(account,     41, TEXT,   CLOSED,  NULL,    DROPPED,   "account",       "account",      false, NOTHING, NULL, "gatehouse.account", "", "of passthrough: the provider's credential that was used, by its name") \
X(bytes_in,    42, COUNT,  MOVED,   NULL,    DROPPED,   "bytes_in",      "bytes_in",     false, NOTHING, NULL, "http.request.body.size", "bytes", "of passthrough: the request's body") \
X(bytes_out,   43, COUNT,  MOVED,   NULL,    DROPPED,   "bytes_out",     "bytes_out",    false, NOTHING, NULL, "http.response.body.size", "bytes", "of passthrough: the response's body") \
X(requested_model, 60, TEXT, OPENED, NULL,   DROPPED,   "requested_model", "requested_model", false, NOTHING, NULL, "gatehouse.requested_model", "", "what the client called the model; absent: by its name") \
X(queued_us,  110, COUNT,  MOVED,   NULL,    DROPPED,   "queued_us",     "queued_us",    false, NOTHING, NULL, "gatehouse.queued_us", "us", "of the duration, the wait for a ceiling of a provider's credentials") \
X(dataplane_id, 0, OWN,    NEVER,   PLANE,   DROPPED,   "dataplane_id",  NULL,           false, NOTHING, NULL, "service.instance.id", "", "the data plane that reported it")

/* X(name, field, column, shown, otlp, help): the fields of Tokens, all uint64, bigint and summed. */
#define SPAN_TOKENS(X) \
X(input,       1, "tokens_input",       "input",       "gen_ai.usage.input_tokens", "all, cached included") \
X(cache_read,  2, "tokens_cache_read",  "cache_read",  "gen_ai.usage.cache_read.input_tokens", "of the input, read from the provider's cache") \
X(cache_write, 3, "tokens_cache_write", "cache_write", "gen_ai.usage.cache_creation.input_tokens", "of the input, written to the provider's cache") \
X(output,      4, "tokens_output",      "output",      "gen_ai.usage.output_tokens", "reasoning included") \
X(reasoning,   5, "tokens_reasoning",   "reasoning",   "gatehouse.usage.reasoning_tokens", "of the output")

/* clang-format on */

/* SPAN_FIELD_model is the number of `model` in the message Span. */
enum span_field {
#define SPAN_FIELD_ROW(name, field, ...) SPAN_FIELD_##name = (field),
    SPAN_ATTRIBUTES(SPAN_FIELD_ROW)
#undef SPAN_FIELD_ROW
};

enum span_tokens_field {
#define SPAN_TOKENS_ROW(name, field, ...) SPAN_TOKENS_FIELD_##name = (field),
    SPAN_TOKENS(SPAN_TOKENS_ROW)
#undef SPAN_TOKENS_ROW
};

/* How many rows span_attributes_all has. */
enum {
#define SPAN_ONE(...) +1
    SPAN_ATTRIBUTE_COUNT = 0 SPAN_ATTRIBUTES(SPAN_ONE) SPAN_TOKENS(SPAN_ONE)
#undef SPAN_ONE
};

struct span_attribute {
    const char *name;
    unsigned field; /* of the message Span, or of Tokens; 0: in neither */
    bool of_tokens; /* a row of SPAN_TOKENS */
    enum span_type type;
    enum span_absent absent;
    enum span_fold fold;
    const char *column; /* of the table spans; NULL: none */
    const char *shown;  /* of the admin API; NULL: none */
    bool always;
    enum span_refers refers;
    const char *words; /* one of these, divided by "|"; NULL: any */
    const char *otlp;  /* NULL: it is not exported by itself */
    const char *unit;  /* "" where it has none */
    const char *help;
};

/* The rows of SPAN_ATTRIBUTES; those of SPAN_TOKENS stand behind the row `tokens`. */
const struct span_attribute *span_attributes_all(size_t *ret_count);
/* NULL: there is no attribute with that member in the admin API. */
const struct span_attribute *span_attribute_shown(const char *shown);
/* Spans may be searched by it: a text or a small number that is shown. */
bool span_attribute_is_searched(const struct span_attribute *a);
/* The type of its column: "text", "bigint", … */
const char *span_attribute_sql(const struct span_attribute *a);
