/* response_shape — the rows. */
#include "controlplane/api/response_shape.h"

#include <pthread.h>

#include "common/trace/span_attributes.h"

#define ROW(called, kind, how, ...)                                                                \
    {                                                                                              \
        .name = called, .type = SHAPE_##kind, .flags = how, ##__VA_ARGS__                          \
    }
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

#define TOKENS_ROW(called, field, column, shown, otlp, what) ROW(shown, INT, 0, .help = what),

static const struct shape_member tokens[] = {SPAN_TOKENS(TOKENS_ROW) END};

/* ---- sessions and spans ---- */

static const struct shape_member calls[] = {
    ROW("model", INT, SHAPE_ALWAYS),
    ROW("tool", INT, SHAPE_ALWAYS),
    ROW("api", INT, SHAPE_ALWAYS),
    END,
};

static const struct shape_member session[] = {
    ROW("id", TEXT, SHAPE_ALWAYS),
    ROW("external_id", TEXT, 0, .help = "what its clients called it"),
    ROW("agent", TEXT, 0),
    ROW("key", TEXT, 0, .help = "of one without agent: the key's public part, or its name"),
    ROW("team", TEXT, 0),
    ROW("task", TEXT, 0),
    ROW("started_at", TIME, SHAPE_ALWAYS),
    ROW("ended_at", TIME, SHAPE_ALWAYS | SHAPE_NULL),
    ROW("calls", OBJECT, SHAPE_ALWAYS, .members = calls),
    ROW("tokens", OBJECT, 0, .members = tokens),
    ROW("cost_usd", MONEY, 0, .help = "absent: not known"),
    ROW("refusals", INT, SHAPE_ALWAYS),
    ROW("status", TEXT, SHAPE_ALWAYS, .words = "active|ended"),
    END,
};

static const struct shape_member event[] = {
    ROW("at", TIME, SHAPE_ALWAYS),
    ROW("name", TEXT, SHAPE_ALWAYS),
    ROW("detail", TEXT, 0),
    END,
};

/* Written from SPAN_ATTRIBUTES when it is first needed; the last row stays NULL. */
static struct shape_member span[SPAN_ATTRIBUTE_COUNT + 1];
static pthread_once_t span_once = PTHREAD_ONCE_INIT;

static void write_span(void)
{
    static const enum shape_type types[] = {
        [SPAN_TYPE_TEXT] = SHAPE_TEXT,     [SPAN_TYPE_COUNT] = SHAPE_INT,
        [SPAN_TYPE_SMALL] = SHAPE_INT,     [SPAN_TYPE_TIME] = SHAPE_TIME,
        [SPAN_TYPE_MONEY] = SHAPE_MONEY,   [SPAN_TYPE_FLAG] = SHAPE_BOOL,
        [SPAN_TYPE_TOKENS] = SHAPE_OBJECT, [SPAN_TYPE_OWN] = SHAPE_TEXT,
        [SPAN_TYPE_EVENTS] = SHAPE_OBJECT,
    };
    size_t count, n = 0;
    const struct span_attribute *rows = span_attributes_all(&count);
    for (size_t i = 0; i < count; i++) {
        const struct span_attribute *a = &rows[i];
        bool is_tokens = a->type == SPAN_TYPE_TOKENS, is_events = a->type == SPAN_TYPE_EVENTS;
        if (a->of_tokens || (!a->shown && !is_tokens))
            continue;
        span[n++] = (struct shape_member){
            .name = is_tokens ? a->name : a->shown,
            .type = types[a->type],
            .flags = (a->always ? SHAPE_ALWAYS : 0u) | (is_events ? SHAPE_LIST : 0u),
            .words = a->words,
            .help = a->help,
            .members = is_tokens   ? tokens
                       : is_events ? event
                                   : NULL,
        };
    }
}

/* ---- money ---- */

#define SPEND_BY(name) ROW(name, TEXT, SHAPE_NULL, .help = "where it is what is grouped by")

static const struct shape_member spend_row[] = {
    SPEND_BY("team"),
    SPEND_BY("key"),
    SPEND_BY("agent"),
    SPEND_BY("model"),
    SPEND_BY("provider"),
    SPEND_BY("tool"),
    SPEND_BY("session"),
    SPEND_BY("task"),
    SPEND_BY("server"),
    SPEND_BY("service"),
    SPEND_BY("gate"),
    ROW("bucket", TIME, 0, .help = "where it begins, where buckets were asked for"),
    ROW("id", TEXT, 0, .help = "of the team, key, agent or task"),
    ROW("name", TEXT, 0, .help = "of the same, or the session's external id"),
    ROW("calls", INT, SHAPE_ALWAYS),
    ROW("refusals", INT, SHAPE_ALWAYS),
    ROW("errors", INT, 0, .help = "absent by session"),
    ROW("tokens", OBJECT, SHAPE_ALWAYS, .members = tokens),
    ROW("cost_usd", MONEY, 0, .help = "absent: not known"),
    ROW("unpriced_calls", INT, SHAPE_ALWAYS, .help = "whose cost is not known"),
    END,
};

static const struct shape_member spend[] = {
    ROW("from", TIME, SHAPE_ALWAYS),
    ROW("to", TIME, SHAPE_ALWAYS),
    ROW("items", OBJECT, SHAPE_ALWAYS | SHAPE_LIST, .members = spend_row),
    ROW("next", TEXT, SHAPE_ALWAYS | SHAPE_NULL),
    END,
};

static const struct shape_member suspense_holder[] = {
    ROW("dataplane", TEXT, SHAPE_ALWAYS | SHAPE_NULL),
    ROW("dataplane_id", TEXT, SHAPE_ALWAYS),
    ROW("suspense_usd", MONEY, SHAPE_ALWAYS),
    END,
};

static const struct shape_member budget[] = {
    ROW("owner", TEXT, SHAPE_ALWAYS, .words = "key|team|agent"),
    ROW("owner_id", TEXT, SHAPE_ALWAYS),
    ROW("owner_name", TEXT, SHAPE_ALWAYS),
    ROW("period_start", TIME, SHAPE_ALWAYS | SHAPE_NULL),
    ROW("resets_at", TIME, SHAPE_ALWAYS | SHAPE_NULL),
    ROW("limit_usd", MONEY, SHAPE_ALWAYS | SHAPE_NULL, .help = "null: the budget was taken away"),
    ROW("spent_usd", MONEY, SHAPE_ALWAYS),
    ROW("leased_usd", MONEY, SHAPE_ALWAYS, .help = "to data planes"),
    ROW("suspense_usd", MONEY, SHAPE_ALWAYS, .help = "of data planes that fell silent"),
    ROW("suspense_of", OBJECT, SHAPE_ALWAYS | SHAPE_LIST, .members = suspense_holder),
    END,
};

static const struct shape_member write_off[] = {
    ROW("id", TEXT, SHAPE_ALWAYS),
    ROW("name", TEXT, SHAPE_ALWAYS),
    ROW("written_off_usd", MONEY, SHAPE_ALWAYS),
    END,
};

/* ---- the installation ---- */

static const struct shape_member withheld[] = {
    ROW("objects", INT, SHAPE_ALWAYS, .help = "that need the features, or depend on one that does"),
    ROW("features", TEXT, SHAPE_ALWAYS | SHAPE_LIST, .help = "that the plane lacks"),
    END,
};

static const struct shape_member rollout_plane[] = {
    ROW("id", TEXT, SHAPE_ALWAYS),
    ROW("name", TEXT, SHAPE_ALWAYS),
    ROW("pool", TEXT, SHAPE_ALWAYS),
    ROW("connected", BOOL, SHAPE_ALWAYS),
    ROW("version", INT, SHAPE_ALWAYS, .help = "which it applies"),
    ROW("lag", INT, SHAPE_ALWAYS, .help = "versions behind the newest"),
    ROW("last_heard_at", TIME, SHAPE_ALWAYS | SHAPE_NULL),
    ROW("build", TEXT, 0),
    ROW("features", TEXT, SHAPE_ALWAYS | SHAPE_LIST, .help = "beyond the first protocol revision"),
    ROW("withheld", OBJECT, 0, .members = withheld,
        .help = "what it is not given, and so denies; absent: nothing"),
    ROW("refused", INT, 0, .help = "objects that reached it and that it could not take"),
    END,
};

#define READINESS                                                                                  \
    ROW("state", TEXT, SHAPE_ALWAYS, .words = "closed|open|half_open", .help = "of its breaker"),  \
        ROW("why", TEXT, 0, .words = "failures|rate_limited|credential",                           \
            .help = "what made it wait"),                                                          \
        ROW("until", TIME, 0, .help = "it is not used before; absent: it is ready"),               \
        ROW("error_rate", ANY, SHAPE_ALWAYS, .help = "share of failed attempts, from 0 to 1"),     \
        ROW("attempts", INT, SHAPE_ALWAYS, .help = "in the last minute"),                          \
        ROW("in_flight", INT, SHAPE_ALWAYS),                                                       \
        ROW("ttft_ms", OBJECT, 0, .members = percentiles,                                          \
            .help = "to the first token of streams"),                                              \
        ROW("latency_ms", INT, 0, .help = "to the response's head"),                               \
        ROW("tokens_per_second", INT, 0),                                                          \
        ROW("rpm_left", INT, 0, .help = "requests of this minute; absent: there is no ceiling"),   \
        ROW("tpm_left", INT, 0)

static const struct shape_member percentiles[] = {
    ROW("p50", INT, SHAPE_ALWAYS),
    ROW("p99", INT, SHAPE_ALWAYS),
    END,
};

static const struct shape_member plane_health[] = {
    ROW("name", TEXT, SHAPE_ALWAYS),
    READINESS,
    END,
};

static const struct shape_member endpoint_health[] = {
    ROW("provider", TEXT, SHAPE_ALWAYS),
    ROW("credential", TEXT, 0, .help = "its name"),
    ROW("region", TEXT, 0),
    READINESS,
    ROW("dataplanes", OBJECT, SHAPE_ALWAYS | SHAPE_LIST, .members = plane_health,
        .help = "what each said: above stand the worst state, the slowest percentiles, and sums"),
    END,
};

static const struct shape_member provider_health[] = {
    ROW("provider_id", TEXT, SHAPE_ALWAYS),
    ROW("endpoints", OBJECT, SHAPE_ALWAYS | SHAPE_LIST, .members = endpoint_health),
    END,
};

static const struct shape_member explained_target[] = {
    ROW("provider", TEXT, SHAPE_ALWAYS),
    ROW("model", TEXT, SHAPE_ALWAYS, .help = "what the provider calls it"),
    ROW("credential", TEXT, SHAPE_ALWAYS | SHAPE_NULL, .help = "its name"),
    ROW("region", TEXT, SHAPE_NULL),
    ROW("score", ANY, SHAPE_ALWAYS,
        .help = "what the strategy compares; null: it compares nothing"),
    ROW("unit", TEXT, SHAPE_NULL, .help = "of the score"),
    ROW("why", TEXT, SHAPE_ALWAYS),
    END,
};

static const struct shape_member excluded_target[] = {
    ROW("provider", TEXT, SHAPE_ALWAYS | SHAPE_NULL, .help = "null: the target is another model"),
    ROW("model", TEXT, SHAPE_ALWAYS),
    ROW("why", TEXT, SHAPE_ALWAYS),
    END,
};

static const struct shape_member explanation[] = {
    ROW("strategy", TEXT, SHAPE_ALWAYS),
    ROW("targets", OBJECT, SHAPE_ALWAYS | SHAPE_LIST, .members = explained_target,
        .help = "in the order in which they would be tried"),
    ROW("excluded", OBJECT, SHAPE_ALWAYS | SHAPE_LIST, .members = excluded_target),
    ROW("refusal", TEXT, SHAPE_NULL, .help = "the code that the call would get"),
    ROW("dataplane", TEXT, SHAPE_ALWAYS, .help = "the one that answered"),
    END,
};

static const struct shape_member rollout[] = {
    ROW("version", INT, SHAPE_ALWAYS, .help = "the newest"),
    ROW("lineage", TEXT, SHAPE_ALWAYS, .help = "of versions: another database is another lineage"),
    ROW("dataplanes", OBJECT, SHAPE_ALWAYS | SHAPE_LIST, .members = rollout_plane),
    END,
};

static const struct shape_member audit_record[] = {
    ROW("seq", INT, SHAPE_ALWAYS),
    ROW("org_id", TEXT, SHAPE_ALWAYS),
    ROW("at", TIME, SHAPE_ALWAYS),
    ROW("actor", TEXT, SHAPE_ALWAYS),
    ROW("actor_role", TEXT, SHAPE_ALWAYS),
    ROW("source", TEXT, SHAPE_ALWAYS, .help = "the caller's address"),
    ROW("action", TEXT, SHAPE_ALWAYS),
    ROW("noun", TEXT, SHAPE_ALWAYS),
    ROW("object_id", TEXT, SHAPE_ALWAYS),
    ROW("object_name", TEXT, SHAPE_ALWAYS),
    ROW("version", INT, SHAPE_ALWAYS, .help = "of the policy"),
    ROW("before", ANY, SHAPE_ALWAYS, .help = "null: it was not there"),
    ROW("after", ANY, SHAPE_ALWAYS, .help = "null: it is gone"),
    ROW("prev", TEXT, SHAPE_ALWAYS, .help = "hash of the record before, hex"),
    ROW("hash", TEXT, SHAPE_ALWAYS, .help = "SHA-256 over the record and prev, hex"),
    END,
};

static const struct shape_member audit_verdict[] = {
    ROW("intact", BOOL, SHAPE_ALWAYS),
    ROW("records", INT, SHAPE_ALWAYS),
    ROW("first_broken", INT, 0, .help = "seq of the first record that does not fit"),
    END,
};

static const struct shape_member health[] = {ROW("status", TEXT, SHAPE_ALWAYS), END};

static const struct shape_member enrolment[] = {
    ROW("id", TEXT, SHAPE_ALWAYS, .help = "of the data plane"),
    ROW("name", TEXT, SHAPE_ALWAYS),
    ROW("certificate", TEXT, SHAPE_ALWAYS, .help = "PEM"),
    ROW("ca", TEXT, SHAPE_ALWAYS, .help = "PEM"),
    END,
};

static const struct shape_member refresh[] = {
    ROW("server", TEXT, SHAPE_ALWAYS),
    ROW("server_id", TEXT, SHAPE_ALWAYS),
    ROW("dataplane", TEXT, SHAPE_ALWAYS, .help = "that lists it"),
    ROW("state", TEXT, SHAPE_ALWAYS, .words = "asked|listed|failed"),
    ROW("error", TEXT, 0, .help = "why it failed"),
    END,
};

static const struct shape_member error[] = {
    ROW("pointer", TEXT, SHAPE_ALWAYS, .help = "RFC 6901, into the body"),
    ROW("detail", TEXT, SHAPE_ALWAYS),
    END,
};

static const struct shape_member candidate[] = {
    ROW("id", TEXT, SHAPE_ALWAYS),
    ROW("agent", TEXT, 0),
    ROW("key", TEXT, 0),
    ROW("team", TEXT, 0),
    ROW("started_at", TIME, SHAPE_ALWAYS),
    ROW("status", TEXT, SHAPE_ALWAYS),
    END,
};

static const struct shape_member problem[] = {
    ROW("type", TEXT, SHAPE_ALWAYS),
    ROW("title", TEXT, SHAPE_ALWAYS),
    ROW("status", INT, SHAPE_ALWAYS),
    ROW("code", TEXT, SHAPE_ALWAYS, .help = "stable"),
    ROW("detail", TEXT, SHAPE_ALWAYS),
    ROW("request_id", TEXT, 0),
    ROW("errors", OBJECT, SHAPE_LIST, .members = error, .help = "of a 422"),
    ROW("candidates", OBJECT, SHAPE_LIST, .members = candidate, .help = "of a 409: which one?"),
    ROW("referenced_by", TEXT, SHAPE_LIST, .help = "of a 409: ids"),
    END,
};

static const struct response_shape shapes[] = {
    {"session", "what one agent did under one label", session},
    {"span", "one call of one gate, or one attempt of it", span},
    {"spend", "what calls cost, dearest first", spend},
    {"budget", "a budget in one of its periods", budget},
    {"write-off", "what became spent", write_off},
    {"rollout", "the newest version, and which each data plane applies", rollout},
    {"provider-health", "how a provider's endpoints are", provider_health},
    {"explanation", "which targets a call would be sent to", explanation},
    {"audit-record", "one write", audit_record},
    {"audit-verdict", "whether the chain holds", audit_verdict},
    {"enrolment", "a data plane's certificate", enrolment},
    {"health", "how it is", health},
    {"problem", "why not (RFC 9457)", problem},
    {"refresh", "who was asked to list a server's tools, and what came of it", refresh},
};

const struct response_shape *response_shapes(size_t *ret_count)
{
    pthread_once(&span_once, write_span);
    *ret_count = ARRAY_LEN(shapes);
    return shapes;
}

/* ---- as JSON Schema ---- */

json_t *response_shape_words(struct slice words)
{
    struct slice one;
    json_t *list = json_array();
    while (slice_split(&words, '|', &one))
        json_array_append_new(list, json_from(one));
    return list;
}

static json_t *object_schema(const struct shape_member *members);

static json_t *one_schema(const struct shape_member *m)
{
    static const struct {
        const char *type, *format, *pattern;
    } rows[] = {
        [SHAPE_TEXT] = {"string", NULL, NULL},
        [SHAPE_INT] = {"integer", NULL, NULL},
        [SHAPE_BOOL] = {"boolean", NULL, NULL},
        [SHAPE_MONEY] = {"string", NULL, "^[0-9]+\\.[0-9]{9}$"},
        [SHAPE_TIME] = {"string", "date-time", NULL},
    };
    if (m->type == SHAPE_OBJECT)
        return object_schema(m->members);
    if (m->type == SHAPE_ANY)
        return json_object();
    json_t *s = json_pack("{s:s}", "type", rows[m->type].type);
    if (rows[m->type].format != NULL)
        json_object_set_new(s, "format", json_string(rows[m->type].format));
    if (rows[m->type].pattern != NULL)
        json_object_set_new(s, "pattern", json_string(rows[m->type].pattern));
    if (m->words != NULL)
        json_object_set_new(s, "enum", response_shape_words(slice_str(m->words)));
    return s;
}

static json_t *member_schema(const struct shape_member *m)
{
    json_t *s = one_schema(m);
    if ((m->flags & SHAPE_NULL) != 0)
        json_object_set_new(
            s, "type", json_pack("[s,s]", json_string_value(json_object_get(s, "type")), "null"));
    if ((m->flags & SHAPE_LIST) != 0)
        s = json_pack("{s:s,s:o}", "type", "array", "items", s);
    if (m->help != NULL)
        json_object_set_new(s, "description", json_string(m->help));
    return s;
}

static json_t *object_schema(const struct shape_member *members)
{
    json_t *properties = json_object(), *required = json_array();
    for (const struct shape_member *m = members; m->name != NULL; m++) {
        json_object_set_new(properties, m->name, member_schema(m));
        if ((m->flags & SHAPE_ALWAYS) != 0)
            json_array_append_new(required, json_string(m->name));
    }
    return json_pack("{s:s,s:o,s:o,s:b}", "type", "object", "properties", properties, "required",
                     required, "additionalProperties", 0);
}

json_t *response_shape_schema(const struct response_shape *s)
{
    json_t *schema = object_schema(s->members);
    json_object_set_new(schema, "description", json_string(s->help));
    return schema;
}
