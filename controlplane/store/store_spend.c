/* store_spend — sums by hour: one row for each combination of the dimensions below. */
#include "controlplane/store/store_spend.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "controlplane/store/array.h"
#include "controlplane/store/clean.h"
#include "controlplane/store/query.h"
#include "controlplane/store/row_json.h"

#define HOUR INT64_C(3600000000)
#define DIMENSION_MAX 128 /* bytes; all of them together must fit an index row */
#define SPEND_MAX 1000    /* rows of a result; those that spent least are cut */

/* ---- dimensions and sums ---- */

/* The columns that spend is grouped by, and their names in a query. */
static const struct dimension {
    const char *column, *name;
    size_t offset;             /* in the message */
    const char *table;         /* of an id: what it names */
    const char *names[3];      /* that table's columns by which it is found */
    const char *shown, *label; /* what stands under the group's name, and beside it as `name` */
} dimensions[] = {
#define IN_SPAN(member) offsetof(Gatehouse__Span, member)
    {"team_id", "team", IN_SPAN(team_id), "teams", {"name"}, "o.name", "o.name"},
    {"key_id",
     "key",
     IN_SPAN(key_id),
     "keys",
     {"public_part", "name"},
     "coalesce(o.public_part, o.name)",
     "o.name"},
    {"agent_id", "agent", IN_SPAN(agent_id), "agents", {"name"}, "o.name", "o.name"},
    {"task_id", "task", IN_SPAN(task_id), "tasks", {"name"}, "o.name", "o.name"},
    {"model", "model", IN_SPAN(model), NULL, {NULL}, NULL, NULL},
    {"provider", "provider", IN_SPAN(provider), NULL, {NULL}, NULL, NULL},
    {"server", "server", IN_SPAN(server), NULL, {NULL}, NULL, NULL},
    {"tool", "tool", IN_SPAN(tool), NULL, {NULL}, NULL, NULL},
    {"service", "service", IN_SPAN(service), NULL, {NULL}, NULL, NULL},
    {"gate", "gate", IN_SPAN(gate), NULL, {NULL}, NULL, NULL},
#undef IN_SPAN
};
#define DIMENSIONS ARRAY_LEN(dimensions)
_Static_assert(DIMENSIONS == SPEND_FILTERS, "each is a filter");

enum sum {
    SUM_CALLS,
    SUM_REFUSALS,
    SUM_ERRORS,
    SUM_UNPRICED,
    SUM_INPUT,
    SUM_CACHE_READ,
    SUM_CACHE_WRITE,
    SUM_OUTPUT,
    SUM_REASONING,
    SUM_COST,
    SUMS,
};

/* Each sum's column, and what it is of a span. */
static const struct {
    const char *column, *of_span;
} sums[SUMS] = {
    [SUM_CALLS] = {"calls", "calls"},
    [SUM_REFUSALS] = {"refusals", "case when status = 'refused' then calls else 0 end"},
    [SUM_ERRORS] = {"errors", "case when status = 'error' then calls else 0 end"},
    [SUM_UNPRICED] = {"unpriced",
                      "case when tokens_input is not null and cost_nano is null then calls"
                      " else 0 end"},
    [SUM_INPUT] = {"tokens_input", "coalesce(tokens_input, 0)"},
    [SUM_CACHE_READ] = {"tokens_cache_read", "coalesce(tokens_cache_read, 0)"},
    [SUM_CACHE_WRITE] = {"tokens_cache_write", "coalesce(tokens_cache_write, 0)"},
    [SUM_OUTPUT] = {"tokens_output", "coalesce(tokens_output, 0)"},
    [SUM_REASONING] = {"tokens_reasoning", "coalesce(tokens_reasoning, 0)"},
    [SUM_COST] = {"cost_nano", "coalesce(cost_nano, 0)"},
};

/* ---- taking in ---- */

struct spend_row {
    struct slice org; /* lent */
    int64_t hour;
    int64_t sums[SUMS];
    uint16_t ends[DIMENSIONS]; /* of each dimension's text */
    char texts[];
};

enum err spend_sheet_init(struct spend_sheet *s)
{
    buf_init(&s->key, 2 * DIMENSIONS * DIMENSION_MAX);
    s->by_key = map_new();
    return s->by_key ? ERR_OK : ERR_NOMEM;
}

void spend_sheet_fini(struct spend_sheet *s)
{
    struct slice key;
    size_t at = 0;
    void *row;
    while (s->by_key && map_each(s->by_key, &at, &key, &row))
        mem_free(row);
    map_free(s->by_key);
    s->by_key = NULL;
    buf_fini(&s->key);
}

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

/* The texts one behind the other, then the hour and where each text ends: equal for equal keys. */
static enum err write_key(struct buf *key, const Gatehouse__Span *call, int64_t hour,
                          uint16_t ends[static DIMENSIONS])
{
    enum err e = ERR_OK;
    buf_clear(key);
    for (size_t i = 0; i < DIMENSIONS && e == ERR_OK; i++) {
        const char *text = *(char *const *)((const char *)call + dimensions[i].offset);
        if (!text && dimensions[i].offset == offsetof(Gatehouse__Span, gate))
            text = "unknown";
        if (text)
            e = clean_utf8(key, slice_str(text), DIMENSION_MAX);
        ends[i] = (uint16_t)key->len;
    }
    if (e == ERR_OK)
        e = buf_append(key, slice_of((const char *)&hour, sizeof(hour)));
    if (e == ERR_OK)
        e = buf_append(key, slice_of((const char *)ends, DIMENSIONS * sizeof(*ends)));
    return e;
}

static enum err get_row(struct spend_sheet *s, const Gatehouse__Span *call, struct slice org,
                        struct spend_row **ret)
{
    uint16_t ends[DIMENSIONS];
    int64_t began = clean_time(call->started_at_us), hour = began - began % HOUR;
    enum err e = write_key(&s->key, call, hour, ends);
    if (e != ERR_OK)
        return e;
    struct slice key = buf_slice(&s->key);
    *ret = map_find(s->by_key, key);
    if (*ret)
        return ERR_OK;
    size_t len = ends[DIMENSIONS - 1];
    struct spend_row *row = mem_zalloc(sizeof(*row) + len);
    if (!row)
        return ERR_NOMEM;
    row->org = org;
    row->hour = hour;
    memcpy(row->ends, ends, sizeof(ends));
    if (len > 0)
        memcpy(row->texts, key.ptr, len);
    e = map_put(s->by_key, key, row, NULL);
    if (e != ERR_OK)
        mem_free(row);
    else
        *ret = row;
    return e;
}

static void add_tokens(struct spend_row *row, const Gatehouse__Tokens *t)
{
    row->sums[SUM_INPUT] += clean_count(t->input);
    row->sums[SUM_CACHE_READ] += clean_count(t->cache_read);
    row->sums[SUM_CACHE_WRITE] += clean_count(t->cache_write);
    row->sums[SUM_OUTPUT] += clean_count(t->output);
    row->sums[SUM_REASONING] += clean_count(t->reasoning);
}

enum err spend_sheet_add(struct spend_sheet *s, const Gatehouse__Span *call, struct slice org)
{
    struct spend_row *row;
    if (!is(call->kind, "call"))
        return ERR_OK;
    enum err e = get_row(s, call, org, &row);
    if (e != ERR_OK)
        return e;
    int64_t calls = call->has_calls ? clean_count(call->calls) : 1;
    row->sums[SUM_CALLS] += calls;
    row->sums[SUM_REFUSALS] += is(call->status, "refused") ? calls : 0;
    row->sums[SUM_ERRORS] += is(call->status, "error") ? calls : 0;
    row->sums[SUM_COST] += call->cost_known ? clean_cost(call->cost_nano) : 0;
    if (!call->tokens)
        return ERR_OK;
    row->sums[SUM_UNPRICED] += call->tokens->has_input && !call->cost_known ? calls : 0;
    add_tokens(row, call->tokens);
    return ERR_OK;
}

#define PUT_COLUMNS (2 + DIMENSIONS + SUMS)

/* Rows in one order, so that two batches never wait for each other in a circle. */
static void write_put(struct query *q, struct array *columns)
{
    query_add(q, "insert into spend_hours as h (org_id, hour");
    for (size_t i = 0; i < DIMENSIONS; i++) {
        query_add(q, ", ");
        query_add(q, dimensions[i].column);
    }
    for (size_t i = 0; i < SUMS; i++) {
        query_add(q, ", ");
        query_add(q, sums[i].column);
    }
    query_add(q, ") select * from unnest(");
    for (size_t i = 0; i < PUT_COLUMNS; i++)
        query_value(q, i ? ", " : "", array_param(&columns[i]),
                    i == 1               ? "::timestamptz[]"
                    : i < 2 + DIMENSIONS ? "::text[]"
                                         : "::bigint[]");
    query_add(q, ") order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"
                 " on conflict (org_id, hour, key_id, agent_id, team_id, task_id, gate, model,"
                 " provider, server, tool, service) do update set ");
    for (size_t i = 0; i < SUMS; i++) {
        query_add(q, i ? ", " : "");
        query_add(q, sums[i].column);
        query_add(q, " = h.");
        query_add(q, sums[i].column);
        query_add(q, " + excluded.");
        query_add(q, sums[i].column);
    }
}

static void put_row(struct array *columns, const struct spend_row *row)
{
    size_t from = 0;
    array_text(&columns[0], row->org);
    array_time(&columns[1], row->hour);
    for (size_t i = 0; i < DIMENSIONS; from = row->ends[i++])
        array_text(&columns[2 + i], slice_of(row->texts + from, row->ends[i] - from));
    for (size_t i = 0; i < SUMS; i++)
        array_int(&columns[2 + DIMENSIONS + i], row->sums[i]);
}

enum err spend_sheet_put(struct tx *tx, struct spend_sheet *s)
{
    struct array columns[PUT_COLUMNS];
    struct slice key;
    size_t at = 0;
    void *row;
    bool failed = false;
    if (map_size(s->by_key) == 0)
        return ERR_OK;
    for (size_t i = 0; i < PUT_COLUMNS; i++)
        array_init(&columns[i]);
    while (map_each(s->by_key, &at, &key, &row))
        put_row(columns, row);
    QUERY_AUTO struct query q = {0};
    query_init(&q);
    write_put(&q, columns);
    for (size_t i = 0; i < PUT_COLUMNS; i++)
        failed = failed || array_failed(&columns[i]);
    enum err e = failed ? ERR_NOMEM : query_run(&q, tx, NULL);
    for (size_t i = 0; i < PUT_COLUMNS; i++)
        array_fini(&columns[i]);
    return e;
}

/* ---- reading ---- */

const char *spend_filter_name(size_t i)
{
    return i < DIMENSIONS ? dimensions[i].name : NULL;
}

/* " and <column> = …" for each filter that is set. spans: a column may be NULL. */
static void add_filters(struct query *q, const struct spend_question *question, bool spans)
{
    for (size_t i = 0; i < DIMENSIONS; i++) {
        const struct dimension *d = &dimensions[i];
        if (!question->filters[i].ptr)
            continue;
        query_add(q, spans ? " and coalesce(" : " and ");
        query_add(q, d->column);
        query_add(q, spans ? ", '')" : "");
        if (!d->table) {
            query_value(q, " = ", DB_TEXT(question->filters[i]), "");
            continue;
        }
        query_add(q, " in (select id from ");
        query_add(q, d->table);
        query_value(q, " where id = ", DB_TEXT(question->filters[i]), "");
        for (const char *const *name = d->names; *name; name++) {
            query_add(q, " or ");
            query_add(q, *name);
            query_value(q, " = ", DB_TEXT(question->filters[i]), "");
        }
        query_add(q, ")");
    }
}

static void add_hours(struct query *q, const struct spend_question *question, int64_t from,
                      int64_t to)
{
    query_add(q, "select hour as at");
    for (size_t i = 0; i < DIMENSIONS; i++) {
        query_add(q, ", ");
        query_add(q, dimensions[i].column);
    }
    for (size_t i = 0; i < SUMS; i++) {
        query_add(q, ", ");
        query_add(q, sums[i].column);
    }
    query_value(q, " from spend_hours where org_id = ", DB_TEXT(question->org), "");
    query_value(q, " and hour >= ", DB_TIME(from), "");
    if (to)
        query_value(q, " and hour < ", DB_TIME(to), "");
    add_filters(q, question, false);
}

/* A part of an hour, from its spans. */
static void add_part(struct query *q, const struct spend_question *question, int64_t from,
                     int64_t to)
{
    query_add(q, " union all select date_trunc('hour', started_at, 'UTC')");
    for (size_t i = 0; i < DIMENSIONS; i++) {
        query_add(q, ", coalesce(");
        query_add(q, dimensions[i].column);
        query_add(q, ", '')");
    }
    for (size_t i = 0; i < SUMS; i++) {
        query_add(q, ", ");
        query_add(q, sums[i].of_span);
    }
    query_value(q, " from spans where org_id = ", DB_TEXT(question->org), " and kind = 'call'");
    query_value(q, " and started_at >= ", DB_TIME(from), "");
    query_value(q, " and started_at < ", DB_TIME(to), "");
    add_filters(q, question, true);
}

/* "with c as (…)": the calls of the query, as rows of spend_hours. */
static void add_covered(struct query *q, const struct spend_question *question)
{
    int64_t first = (question->from + HOUR - 1) / HOUR * HOUR, last = question->to / HOUR * HOUR;
    query_add(q, "with c as (");
    if (question->to && first > last) { /* inside one hour */
        add_hours(q, question, first, first);
        add_part(q, question, question->from, question->to);
    } else {
        add_hours(q, question, first, last);
        if (question->from < first)
            add_part(q, question, question->from, first);
        if (last < question->to)
            add_part(q, question, last, question->to);
    }
    query_add(q, ")");
}

/* A call without a price has no known cost: it is left out of the sum, and counted as unpriced. */
static void add_sums(struct query *q)
{
    for (size_t i = 0; i < SUMS; i++) {
        query_add(q, i == SUM_COST ? ", case when sum(unpriced) = 0 or sum(cost_nano) > 0 then sum("
                                   : ", sum(");
        query_add(q, sums[i].column);
        query_add(q, i == SUM_COST ? ")::bigint end as " : ")::bigint as ");
        query_add(q, sums[i].column);
    }
}

#define ORDER " order by bucket desc, cost_nano desc nulls last, calls desc, id, shown"

/* A group: a dimension, and the calls to which it applies. */
static const struct {
    const char *name, *dimension, *shown, *where;
} groups[] = {
    {"team", "team", NULL, ""},
    {"key", "key", NULL, ""},
    {"agent", "agent", NULL, ""},
    {"task", "task", NULL, ""},
    {"gate", "gate", "gate", ""},
    {"model", "model", "nullif(model, '')", " where gate = 'ai'"},
    {"provider", "provider", "nullif(provider, '')", " where gate = 'ai'"},
    {"server", "server", "nullif(server, '')", " where gate = 'tool'"},
    {"tool", "tool", "case when server <> '' and tool <> '' then server || '/' || tool end",
     " where gate = 'tool'"},
    {"service", "service", "nullif(service, '')", " where gate = 'api'"},
};

static const struct dimension *dimension_of(const char *name)
{
    size_t i = 0;
    while (strcmp(dimensions[i].name, name) != 0)
        i++;
    return &dimensions[i];
}

static void add_grouped(struct query *q, const struct spend_question *question, size_t group)
{
    const struct dimension *d = dimension_of(groups[group].dimension);
    add_covered(q, question);
    if (question->bucket.ptr)
        query_value(q, ", g as (select date_trunc(", DB_TEXT(question->bucket), ", at, 'UTC')");
    else
        query_add(q, ", g as (select null::timestamptz");
    query_add(q, " as bucket, ");
    if (d->table) {
        query_add(q, "nullif(");
        query_add(q, d->column);
        query_add(q, ", '') as id, null::text as shown");
    } else {
        query_add(q, "null::text as id, ");
        query_add(q, groups[group].shown);
        query_add(q, " as shown");
    }
    add_sums(q);
    query_add(q, " from c");
    query_add(q, groups[group].where);
    query_value(q, " group by 1, 2, 3" ORDER " limit ", DB_INT(SPEND_MAX), ")");
    query_add(q, " select g.bucket, g.id, ");
    query_add(q, d->table ? d->shown : "g.shown");
    query_add(q, d->table ? ", " : ", null::text");
    query_add(q, d->table ? d->label : "");
    for (size_t i = 0; i < SUMS; i++) {
        query_add(q, ", g.");
        query_add(q, sums[i].column);
    }
    query_add(q, " from g");
    if (d->table) {
        query_add(q, " left join ");
        query_add(q, d->table);
        query_add(q, " o on o.id = g.id");
    }
    query_add(q, ORDER);
}

/* ---- by session ---- */

/* A session's columns in the order of the sums; it has none of errors. */
#define SESSION_SUMS                                                                               \
    "s.calls_model + s.calls_tool + s.calls_api, s.refusals, null::bigint, s.unpriced,"            \
    " s.tokens_input, s.tokens_cache_read, s.tokens_cache_write, s.tokens_output,"                 \
    " s.tokens_reasoning, s.cost_nano"

static bool has_session_filters(const struct spend_question *question)
{
    bool has = false;
    for (size_t i = 0; i < DIMENSIONS; i++)
        has = has || question->filters[i].ptr;
    return has;
}

/* Sums of sessions that lie within the stretch are their own; of one that crosses a bound, they are
 * those of its spans within. */
static void add_sessions(struct query *q, const struct spend_question *question)
{
    query_add(q, ", w as (select s.id, s.external_id, x.* from (select * from sessions where true");
    add_filters(q, question, false);
    query_value(q, ") s cross join lateral (select " SESSION_SUMS " where s.started_at >= ",
                DB_TIME(question->from), "");
    if (question->to)
        query_value(q, " and s.last_at <= ", DB_TIME(question->to), "");
    query_add(q, " union all select sum(p.calls)::bigint,"
                 " coalesce(sum(p.calls) filter (where p.status = 'refused'), 0)::bigint,"
                 " null::bigint, coalesce(sum(p.calls) filter"
                 " (where p.tokens_input is not null and p.cost_nano is null), 0)::bigint,"
                 " coalesce(sum(p.tokens_input), 0)::bigint,"
                 " coalesce(sum(p.tokens_cache_read), 0)::bigint,"
                 " coalesce(sum(p.tokens_cache_write), 0)::bigint,"
                 " coalesce(sum(p.tokens_output), 0)::bigint,"
                 " coalesce(sum(p.tokens_reasoning), 0)::bigint,"
                 " coalesce(sum(p.cost_nano), 0)::bigint"
                 " from spans p where p.session_id = s.id and p.kind = 'call'");
    query_value(q, " and p.started_at >= ", DB_TIME(question->from), "");
    if (question->to)
        query_value(q, " and p.started_at < ", DB_TIME(question->to), "");
    query_value(q, " and not (s.started_at >= ", DB_TIME(question->from), "");
    if (question->to)
        query_value(q, " and s.last_at <= ", DB_TIME(question->to), "");
    query_add(q, ") having count(*) > 0) x (calls, refusals, errors, unpriced, tokens_input,"
                 " tokens_cache_read, tokens_cache_write, tokens_output, tokens_reasoning,"
                 " cost_nano)");
    query_value(q, " where s.org_id = ", DB_TEXT(question->org), "");
    query_value(q, " and s.last_at >= ", DB_TIME(question->from), "");
    query_value(q, " and s.last_day >= (", DB_TIME(question->from), " at time zone 'UTC')::date");
    if (question->to)
        query_value(q, " and s.started_at < ", DB_TIME(question->to), "");
    query_add(q, ")");
}

/* Calls without a session: all calls, less those of sessions. */
static void add_of_no_session(struct query *q)
{
    query_add(q, " union all select * from (select null::timestamptz, null::text, null::text,"
                 " null::text");
    for (size_t i = 0; i < SUMS; i++) {
        if (i == SUM_ERRORS) {
            query_add(q, ", null::bigint");
            continue;
        }
        query_add(q, ", coalesce((select sum(");
        query_add(q, sums[i].column);
        query_add(q, ") from c), 0)::bigint - coalesce((select sum(");
        query_add(q, sums[i].column);
        query_add(q, ") from w), 0)::bigint as n");
        query_add(q, sums[i].column);
    }
    query_add(q, ") rest where ncalls > 0");
}

static void add_by_session(struct query *q, const struct spend_question *question)
{
    bool filtered = has_session_filters(question);
    if (filtered)
        query_add(q, "with c as (select 1)");
    else
        add_covered(q, question);
    add_sessions(q, question);
    query_add(q,
              " select bucket, id, shown, name, calls, refusals, errors, unpriced, tokens_input,"
              " tokens_cache_read, tokens_cache_write, tokens_output, tokens_reasoning, case when"
              " unpriced = 0 or cost_nano > 0 then cost_nano end as cost_nano from (select"
              " null::timestamptz as bucket, null::text as id, id as shown, external_id as name,"
              " calls, refusals, errors, unpriced, tokens_input, tokens_cache_read,"
              " tokens_cache_write, tokens_output, tokens_reasoning, cost_nano from w");
    if (!filtered)
        add_of_no_session(q);
    query_value(q, ") u" ORDER " limit ", DB_INT(SPEND_MAX), "");
}

/* A session row has its owner, and not the models it used. */
static bool is_of_sessions(const struct spend_question *question)
{
    bool fit = !question->bucket.ptr;
    for (size_t i = 0; i < DIMENSIONS; i++)
        fit = fit && (!question->filters[i].ptr || dimensions[i].table);
    return fit;
}

/* ---- rows ---- */

enum spend_column { COL_BUCKET, COL_ID, COL_SHOWN, COL_NAME, COL_SUMS };

static json_t *spend_json(struct slice group, const struct db_result *r, size_t i)
{
    char name[16];
    json_t *o = json_object();
    snprintf(name, sizeof(name), "%.*s", SLICE_ARG(group));
    json_object_set_new(o, name, json_null());
    row_text(o, name, r, i, COL_SHOWN);
    row_time(o, "bucket", r, i, COL_BUCKET);
    row_text(o, "id", r, i, COL_ID);
    row_text(o, "name", r, i, COL_NAME);
    row_int(o, "calls", r, i, COL_SUMS + SUM_CALLS);
    row_int(o, "refusals", r, i, COL_SUMS + SUM_REFUSALS);
    row_int(o, "errors", r, i, COL_SUMS + SUM_ERRORS);
    row_tokens(o, r, i, COL_SUMS + SUM_INPUT);
    row_money(o, "cost_usd", r, i, COL_SUMS + SUM_COST);
    row_int(o, "unpriced_calls", r, i, COL_SUMS + SUM_UNPRICED);
    return o;
}

static enum err write_question(struct query *q, const struct spend_question *question)
{
    if (slice_eq(question->group, SLICE("session"))) {
        if (!is_of_sessions(question))
            return ERR_INVALID;
        add_by_session(q, question);
        return ERR_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (!slice_eq(question->group, slice_str(groups[i].name)))
            continue;
        add_grouped(q, question, i);
        return ERR_OK;
    }
    return ERR_INVALID;
}

enum err store_spend(struct tx *tx, const struct spend_question *question, json_t **ret)
{
    DB_AUTO struct db_result *r = NULL;
    QUERY_AUTO struct query q = {0};
    query_init(&q);
    enum err e = write_question(&q, question);
    if (e == ERR_OK)
        e = query_run(&q, tx, &r);
    if (e != ERR_OK)
        return e;
    json_t *items = json_array();
    for (size_t i = 0; i < db_rows(r); i++)
        json_array_append_new(items, spend_json(question->group, r, i));
    *ret = items;
    return items ? ERR_OK : ERR_NOMEM;
}
