/* store_span — the columns of SPAN_ATTRIBUTES, filled from messages. */
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

/* Events beyond the ceiling are left out. */
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

/* ---- where a message holds an attribute ---- */

struct place {
    size_t value, has; /* offsets; `has` of numbers only */
};

#define AT(member) offsetof(Gatehouse__Span, member)
#define PLACE_NUMBER(name) {AT(name), AT(has_##name)},
#define PLACE_TEXT(name) {AT(name), 0},
#define PLACE_COUNT(name) PLACE_NUMBER(name)
#define PLACE_SMALL(name) PLACE_NUMBER(name)
#define PLACE_TIME(name) PLACE_NUMBER(name)
#define PLACE_MONEY(name) PLACE_NUMBER(name)
#define PLACE_FLAG(name) PLACE_NUMBER(name)
#define PLACE_EVENTS(name) {AT(name), 0},
#define PLACE_TOKENS(name) {AT(name), 0}, SPAN_TOKENS(PLACE_TOKEN)
#define PLACE_TOKEN(name, ...)                                                                     \
    {offsetof(Gatehouse__Tokens, name), offsetof(Gatehouse__Tokens, has_##name)},
#define PLACE_OWN(name) {0, 0},
#define PLACE_ROW(name, field, type, ...) PLACE_##type(name)

/* In the order of span_attributes_all. */
static const struct place places[] = {SPAN_ATTRIBUTES(PLACE_ROW)};
_Static_assert(ARRAY_LEN(places) == SPAN_ATTRIBUTE_COUNT, "one place for each attribute");

static char insert_sql[4096];
static pthread_once_t sql_once = PTHREAD_ONCE_INIT;

/* Only names of the table go into this text. */
static void write_sql(void)
{
    struct buf names, values;
    size_t count, n = 0;
    const struct span_attribute *rows = span_attributes_all(&count);
    enum err e = ERR_OK;
    buf_init(&names, sizeof(insert_sql));
    buf_init(&values, sizeof(insert_sql));
    for (size_t i = 0; i < count && e == ERR_OK; i++) {
        if (!rows[i].column)
            continue;
        e = buf_printf(&names, "%s%s", n ? ", " : "", rows[i].column);
        if (e == ERR_OK)
            e = buf_printf(&values, "%s$%zu::%s[]", n ? ", " : "", n + 1,
                           span_attribute_sql(&rows[i]));
        n++;
    }
    MUST(e == ERR_OK && n <= DB_PARAMS_MAX);
    int len = snprintf(insert_sql, sizeof(insert_sql),
                       "insert into spans (%.*s) select * from unnest(%.*s)", (int)names.len,
                       names.data, (int)values.len, values.data);
    MUST(len > 0 && (size_t)len < sizeof(insert_sql));
    buf_fini(&names);
    buf_fini(&values);
}

/* ---- rows ---- */

void span_sheet_init(struct span_sheet *s)
{
    for (size_t i = 0; i < SPAN_ATTRIBUTE_COUNT; i++)
        array_init(&s->columns[i]);
    buf_init(&s->scratch, LIMIT_SPAN_EVENTS * 2);
    s->rows = 0;
}

void span_sheet_fini(struct span_sheet *s)
{
    for (size_t i = 0; i < SPAN_ATTRIBUTE_COUNT; i++)
        array_fini(&s->columns[i]);
    buf_fini(&s->scratch);
}

static const void *at(const void *message, size_t offset)
{
    return (const char *)message + offset;
}

static const char *text_at(const Gatehouse__Span *span, const struct place *p)
{
    return span ? *(char *const *)at(span, p->value) : NULL;
}

static bool has_at(const void *message, const struct place *p)
{
    return message && *(const protobuf_c_boolean *)at(message, p->has);
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text && text[0] ? text : otherwise;
}

/* The value of a span, or the one used where it has none. */
static const char *text_of(const struct span_attribute *a, const struct place *p,
                           const Gatehouse__Span *span, const struct span_context *x)
{
    const char *own = text_at(span, p);
    switch (a->absent) {
    case SPAN_ABSENT_CALL:
        return or_else(own, text_at(x->call, p));
    case SPAN_ABSENT_GATE:
        return or_else(or_else(own, text_at(x->call, p)), "unknown");
    case SPAN_ABSENT_KIND:
        return or_else(own, x->call ? "attempt" : "unknown");
    case SPAN_ABSENT_PARENT:
        return or_else(own, x->call ? x->call->id : NULL);
    case SPAN_ABSENT_REQUEST:
        return or_else(own, x->request_id);
    case SPAN_ABSENT_UNKNOWN:
        return or_else(own, "unknown");
    default:
        return own;
    }
}

static void put_number(struct array *out, const struct span_attribute *a, const void *message,
                       const struct place *p)
{
    bool has = has_at(message, p);
    uint64_t value = a->absent == SPAN_ABSENT_ONE;
    if (has && a->type == SPAN_TYPE_SMALL)
        value = *(const uint32_t *)at(message, p->value) & INT32_MAX;
    else if (has)
        value = *(const uint64_t *)at(message, p->value);
    put_count(out, has || a->absent != SPAN_ABSENT_NULL, value);
}

static void put_text_or_known(struct span_sheet *s, struct array *out,
                              const struct span_attribute *a, const struct place *p,
                              const Gatehouse__Span *span, const struct span_context *x)
{
    if (a->absent == SPAN_ABSENT_ORG)
        array_text(out, x->org);
    else if (a->absent == SPAN_ABSENT_PLANE)
        array_text(out, x->dataplane);
    else
        put_text(s, out, text_of(a, p, span, x), LIMIT_SPAN_TEXT);
}

static void put(struct span_sheet *s, const struct span_attribute *a, const struct place *p,
                struct array *out, const Gatehouse__Span *span, const struct span_context *x)
{
    switch (a->type) {
    case SPAN_TYPE_TEXT:
    case SPAN_TYPE_OWN:
        put_text_or_known(s, out, a, p, span, x);
        break;
    case SPAN_TYPE_COUNT:
    case SPAN_TYPE_SMALL:
        put_number(out, a, a->of_tokens ? (const void *)span->tokens : span, p);
        break;
    case SPAN_TYPE_TIME:
        array_time(out, *(const int64_t *)at(span, p->value));
        break;
    case SPAN_TYPE_MONEY:
        if (span->cost_known)
            array_int(out, clean_cost(*(const int64_t *)at(span, p->value)));
        else
            array_null(out);
        break;
    case SPAN_TYPE_EVENTS:
        put_events(s, out, span);
        break;
    case SPAN_TYPE_FLAG:
    case SPAN_TYPE_TOKENS: /* no columns of their own */
        break;
    }
}

void span_sheet_add(struct span_sheet *s, const Gatehouse__Span *span,
                    const struct span_context *context)
{
    size_t count;
    const struct span_attribute *rows = span_attributes_all(&count);
    for (size_t i = 0; i < count; i++)
        if (rows[i].column)
            put(s, &rows[i], &places[i], &s->columns[i], span, context);
    s->rows++;
}

enum err span_sheet_insert(struct tx *tx, struct span_sheet *s)
{
    struct db_param params[DB_PARAMS_MAX];
    size_t count, n = 0;
    const struct span_attribute *rows = span_attributes_all(&count);
    if (s->rows == 0)
        return ERR_OK;
    pthread_once(&sql_once, write_sql);
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].column)
            continue;
        params[n++] = array_param(&s->columns[i]);
        if (array_failed(&s->columns[i]))
            return ERR_NOMEM;
    }
    return tx_query(tx, insert_sql, params, n, NULL);
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
