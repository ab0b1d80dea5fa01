/* store_span — one table of columns: its name, its type, and how a span fills it. */
#include "controlplane/store/store_span.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "controlplane/store/clean.h"

/* ---- how a value becomes an element ---- */

static void put_text(struct span_sheet *s, struct array *a, const char *text, size_t max)
{
    buf_clear(&s->scratch);
    if (!text || text[0] == '\0')
        array_null(a);
    else if (clean_utf8(&s->scratch, slice_str(text), max) != ERR_OK)
        a->failed = true;
    else
        array_text(a, buf_slice(&s->scratch));
}

static void put_count(struct array *a, bool has, uint64_t value)
{
    if (has)
        array_int(a, clean_count(value));
    else
        array_null(a);
}

static void event_json(struct span_sheet *s, struct buf *out, const Gatehouse__SpanEvent *event)
{
    char at[CLOCK_TEXT_MAX];
    struct slice texts[] = {slice_str(event->name), slice_str(event->detail)};
    const char *const names[] = {",\"name\":", ",\"detail\":"};
    enum err e = buf_printf(out, "%s{\"at\":\"%.*s\"", out->len > 1 ? "," : "",
                            SLICE_ARG(clock_format(clean_time(event->at_us), at)));
    for (size_t i = 0; i < ARRAY_LEN(texts) && e == ERR_OK; i++) {
        if (!texts[i].ptr)
            continue;
        buf_clear(&s->scratch);
        e = clean_utf8(&s->scratch, texts[i], LIMIT_SPAN_TEXT);
        if (e == ERR_OK)
            e = buf_append(out, slice_str(names[i]));
        if (e == ERR_OK)
            e = buf_json_string(out, buf_slice(&s->scratch));
    }
    if (e != ERR_OK || buf_append(out, SLICE("}")) != ERR_OK)
        buf_clear(out);
}

/* Events beyond the ceiling are left out; the span says how many there were by their absence. */
static void put_events(struct span_sheet *s, struct array *a, const Gatehouse__Span *span)
{
    struct buf out;
    size_t whole = 0;
    if (span->n_events == 0) {
        array_null(a);
        return;
    }
    buf_init(&out, LIMIT_SPAN_EVENTS);
    bool ok = buf_append(&out, SLICE("[")) == ERR_OK;
    for (size_t i = 0; i < span->n_events && ok; i++) {
        whole = out.len;
        event_json(s, &out, span->events[i]);
        ok = out.len > whole;
    }
    if (!ok || out.len + 1 > LIMIT_SPAN_EVENTS)
        array_null(a);
    else if (buf_append(&out, SLICE("]")) == ERR_OK)
        array_text(a, buf_slice(&out));
    else
        array_null(a);
    buf_fini(&out);
}

/* ---- the columns ---- */

enum filling {
    FILL_TEXT,    /* char * at offset */
    FILL_INHERIT, /* the same, or the call's */
    FILL_NEEDED,  /* the same, or "unknown" */
    FILL_GATE,    /* the same, or the call's, or "unknown" */
    FILL_KIND,    /* the same, or "attempt" below a call, or "unknown" */
    FILL_PARENT,  /* the same, or the call's id */
    FILL_REQUEST, /* the same, or the record's */
    FILL_ORG,
    FILL_DATAPLANE,
    FILL_TIME,
    FILL_U64, /* uint64_t at offset, has at `has` */
    FILL_U32,
    FILL_DURATION, /* 0 where absent */
    FILL_TOKENS,   /* uint64_t at offset of Tokens */
    FILL_COST,
    FILL_CALLS, /* uint64_t at offset; 1 where absent */
    FILL_EVENTS,
};

struct column {
    const char *name;
    const char *type;
    enum filling filling;
    size_t offset, has;
};

#define AT(member) offsetof(Gatehouse__Span, member)
#define TEXT(name, fill)                                                                           \
    {                                                                                              \
#name, "text", FILL_##fill, AT(name), 0                                                    \
    }
#define NUMBER(name, type, fill)                                                                   \
    {                                                                                              \
#name, type, FILL_##fill, AT(name), AT(has_##name)                                         \
    }
#define TOKENS(name)                                                                               \
    {                                                                                              \
        "tokens_" #name, "bigint", FILL_TOKENS, offsetof(Gatehouse__Tokens, name),                 \
            offsetof(Gatehouse__Tokens, has_##name)                                                \
    }

static const struct column columns[] = {
    {"started_at", "timestamptz", FILL_TIME, AT(started_at_us), 0},
    TEXT(id, NEEDED),
    {"org_id", "text", FILL_ORG, AT(org_id), 0},
    TEXT(parent, PARENT),
    TEXT(trace_id, INHERIT),
    TEXT(session_id, INHERIT),
    TEXT(gate, GATE),
    TEXT(kind, KIND),
    TEXT(name, INHERIT),
    TEXT(team_id, INHERIT),
    TEXT(agent_id, INHERIT),
    TEXT(key_id, INHERIT),
    TEXT(task_id, INHERIT),
    TEXT(external_id, INHERIT),
    TEXT(named_by, INHERIT),
    {"duration_us", "bigint", FILL_DURATION, AT(duration_us), AT(has_duration_us)},
    NUMBER(overhead_us, "bigint", U64),
    TEXT(status, NEEDED),
    TEXT(code, TEXT),
    NUMBER(http_status, "integer", U32),
    TEXT(model, INHERIT),
    TEXT(provider, INHERIT),
    TEXT(server, INHERIT),
    TEXT(tool, TEXT),
    TEXT(service, INHERIT),
    TEXT(method, TEXT),
    TEXT(path, TEXT),
    TOKENS(input),
    TOKENS(cache_read),
    TOKENS(cache_write),
    TOKENS(output),
    TOKENS(reasoning),
    {"cost_nano", "bigint", FILL_COST, 0, 0},
    TEXT(usage_source, TEXT),
    NUMBER(attempts, "integer", U32),
    TEXT(cache, TEXT),
    {"events", "jsonb", FILL_EVENTS, 0, 0},
    TEXT(request_id, REQUEST),
    TEXT(upstream_request_id, TEXT),
    {"dataplane_id", "text", FILL_DATAPLANE, 0, 0},
    NUMBER(calls, "bigint", CALLS),
};
_Static_assert(ARRAY_LEN(columns) == SPAN_COLUMNS, "one array per column");

static char insert_sql[4096];
static pthread_once_t sql_once = PTHREAD_ONCE_INIT;

/* Only the table above goes into this text. */
static void write_sql(void)
{
    size_t at = 0;
    size_t max = sizeof(insert_sql);
    at += (size_t)snprintf(insert_sql + at, max - at, "insert into spans (");
    for (size_t i = 0; i < SPAN_COLUMNS; i++)
        at += (size_t)snprintf(insert_sql + at, max - at, "%s%s", i ? ", " : "", columns[i].name);
    at += (size_t)snprintf(insert_sql + at, max - at, ") select * from unnest(");
    for (size_t i = 0; i < SPAN_COLUMNS; i++)
        at += (size_t)snprintf(insert_sql + at, max - at, "%s$%zu::%s[]", i ? ", " : "", i + 1,
                               columns[i].type);
    at += (size_t)snprintf(insert_sql + at, max - at, ")");
    MUST(at < max);
}

/* ---- rows ---- */

void span_sheet_init(struct span_sheet *s)
{
    for (size_t i = 0; i < SPAN_COLUMNS; i++)
        array_init(&s->columns[i]);
    buf_init(&s->scratch, LIMIT_SPAN_EVENTS * 2);
    s->rows = 0;
}

void span_sheet_fini(struct span_sheet *s)
{
    for (size_t i = 0; i < SPAN_COLUMNS; i++)
        array_fini(&s->columns[i]);
    buf_fini(&s->scratch);
}

static const char *text_at(const void *message, size_t offset)
{
    return *(char *const *)((const char *)message + offset);
}

static bool has_at(const void *message, size_t offset)
{
    return *(const protobuf_c_boolean *)((const char *)message + offset);
}

static void put_tokens(struct array *a, const struct column *c, const Gatehouse__Tokens *t)
{
    if (!t)
        array_null(a);
    else
        put_count(a, has_at(t, c->has), *(const uint64_t *)((const char *)t + c->offset));
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text && text[0] ? text : otherwise;
}

/* What a span says, or what stands for it. */
static const char *text_of(const struct column *c, const Gatehouse__Span *span,
                           const struct span_context *x)
{
    const char *own = text_at(span, c->offset);
    const char *of_call = x->call ? text_at(x->call, c->offset) : NULL;
    switch (c->filling) {
    case FILL_INHERIT:
        return or_else(own, of_call);
    case FILL_GATE:
        return or_else(or_else(own, of_call), "unknown");
    case FILL_KIND:
        return or_else(own, x->call ? "attempt" : "unknown");
    case FILL_PARENT:
        return or_else(own, x->call ? x->call->id : NULL);
    case FILL_REQUEST:
        return or_else(own, x->request_id);
    case FILL_NEEDED:
        return or_else(own, "unknown");
    default:
        return own;
    }
}

static void put(struct span_sheet *s, const struct column *c, struct array *a,
                const Gatehouse__Span *span, const struct span_context *x)
{
    const char *at = (const char *)span + c->offset;
    switch (c->filling) {
    case FILL_TEXT:
    case FILL_INHERIT:
    case FILL_NEEDED:
    case FILL_GATE:
    case FILL_KIND:
    case FILL_PARENT:
    case FILL_REQUEST:
        put_text(s, a, text_of(c, span, x), LIMIT_SPAN_TEXT);
        break;
    case FILL_ORG:
        if (span->org_id && span->org_id[0])
            put_text(s, a, span->org_id, LIMIT_SPAN_TEXT);
        else if (x->call && x->call->org_id && x->call->org_id[0])
            put_text(s, a, x->call->org_id, LIMIT_SPAN_TEXT);
        else
            array_text(a, x->org);
        break;
    case FILL_DATAPLANE:
        array_text(a, x->dataplane);
        break;
    case FILL_TIME:
        array_time(a, *(const int64_t *)at);
        break;
    case FILL_U64:
        put_count(a, has_at(span, c->has), *(const uint64_t *)at);
        break;
    case FILL_U32:
        put_count(a, has_at(span, c->has), *(const uint32_t *)at & INT32_MAX);
        break;
    case FILL_DURATION:
        put_count(a, true, has_at(span, c->has) ? *(const uint64_t *)at : 0);
        break;
    case FILL_TOKENS:
        put_tokens(a, c, span->tokens);
        break;
    case FILL_COST:
        if (span->cost_known)
            array_int(a, clean_cost(span->cost_nano));
        else
            array_null(a);
        break;
    case FILL_CALLS:
        array_int(a, has_at(span, c->has) ? clean_count(*(const uint64_t *)at) : 1);
        break;
    case FILL_EVENTS:
        put_events(s, a, span);
        break;
    }
}

void span_sheet_add(struct span_sheet *s, const Gatehouse__Span *span,
                    const struct span_context *context)
{
    for (size_t i = 0; i < SPAN_COLUMNS; i++)
        put(s, &columns[i], &s->columns[i], span, context);
    s->rows++;
}

enum err span_sheet_insert(struct tx *tx, struct span_sheet *s)
{
    struct db_param params[SPAN_COLUMNS];
    if (s->rows == 0)
        return ERR_OK;
    pthread_once(&sql_once, write_sql);
    for (size_t i = 0; i < SPAN_COLUMNS; i++) {
        params[i] = array_param(&s->columns[i]);
        if (array_failed(&s->columns[i]))
            return ERR_NOMEM;
    }
    return tx_query(tx, insert_sql, params, SPAN_COLUMNS, NULL);
}

enum err store_span_days(struct tx *tx, int64_t first, int days, int64_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(
        tx, "select gatehouse_span_days(($1::timestamptz at time zone 'UTC')::date, $2::int)",
        DB_PARAMS(DB_TIME(first), DB_INT(days)), &r);
    if (e == ERR_OK)
        *ret = db_int(r, 0, 0);
    return e;
}
