/* store_trace — one statement for each query, and one function from row to object. */
#include "controlplane/store/store_trace.h"

#include "common/base/clock.h"
#include "common/base/money.h"
#include "controlplane/store/query.h"
#include "controlplane/store/row_json.h"

#define FIND_MAX 20

/* Rows into an array; one row more than the limit means that there is a next page. */
static enum err rows_to_page(const struct db_result *r, size_t limit, int at_col, int id_col,
                             json_t *(*to_json)(const struct db_result *r, size_t row),
                             json_t **ret, struct trace_next *next)
{
    json_t *items = json_array();
    if (!items)
        return ERR_NOMEM;
    *next = (struct trace_next){.more = db_rows(r) > limit};
    for (size_t i = 0; i < db_rows(r) && i < limit; i++) {
        json_array_append_new(items, to_json(r, i));
        next->at_us = db_time(r, i, at_col);
        db_copy(r, i, id_col, next->id, sizeof(next->id));
    }
    *ret = items;
    return ERR_OK;
}

/* What a column of ids is shown as, and by which of the other's columns it is found. */
static const struct {
    const char *table, *shown;
    const char *names[3];
} referred[] = {
    [SPAN_REFERS_TEAM] = {"teams", "tm.name", {"name"}},
    [SPAN_REFERS_AGENT] = {"agents", "a.name", {"name"}},
    [SPAN_REFERS_KEY] = {"keys", "coalesce(k.public_part, k.name)", {"public_part", "name"}},
    [SPAN_REFERS_TASK] = {"tasks", "t.name", {"name"}},
};

/* " in (…)": an id, or what an object of that id is called. */
static void add_referred(struct query *q, enum span_refers refers, struct slice value)
{
    query_add(q, " in (select id from ");
    query_add(q, referred[refers].table);
    query_value(q, " where id = ", DB_TEXT(value), "");
    for (const char *const *name = referred[refers].names; *name; name++) {
        query_add(q, " or ");
        query_add(q, *name);
        query_value(q, " = ", DB_TEXT(value), "");
    }
    query_add(q, ")");
}

/* ---- sessions ---- */

#define SESSION_COLUMNS                                                                            \
    "select s.id, s.external_id, a.name, t.name, k.name, s.started_at, s.ended_at, s.calls_model," \
    " s.calls_tool, s.calls_api, s.tokens_input, s.tokens_cache_read, s.tokens_cache_write,"       \
    " s.tokens_output, s.tokens_reasoning,"                                                        \
    " case when s.unpriced = 0 or s.cost_nano > 0 then s.cost_nano end, s.refusals,"               \
    " case when s.agent_id is null then coalesce(y.public_part, y.name) end from "

#define SESSION_JOINS                                                                              \
    " s left join agents a on a.id = s.agent_id left join teams t on t.id = s.team_id"             \
    " left join tasks k on k.id = s.task_id left join keys y on y.id = s.key_id"

static json_t *session_json(const struct db_result *r, size_t i)
{
    json_t *o = json_object(), *calls = json_object();
    row_text(o, "id", r, i, 0);
    row_text(o, "external_id", r, i, 1);
    row_text(o, "agent", r, i, 2);
    row_text(o, "key", r, i, 17);
    row_text(o, "team", r, i, 3);
    row_text(o, "task", r, i, 4);
    row_time(o, "started_at", r, i, 5);
    if (db_is_null(r, i, 6))
        json_object_set_new(o, "ended_at", json_null());
    row_time(o, "ended_at", r, i, 6);
    row_int(calls, "model", r, i, 7);
    row_int(calls, "tool", r, i, 8);
    row_int(calls, "api", r, i, 9);
    json_object_set_new(o, "calls", calls);
    row_tokens(o, r, i, 10);
    row_money(o, "cost_usd", r, i, 15);
    row_int(o, "refusals", r, i, 16);
    json_object_set_new(o, "status", json_string(db_is_null(r, i, 6) ? "active" : "ended"));
    return o;
}

static void add_session_filters(struct query *q, const struct session_filter *f)
{
    const struct {
        const char *column;
        enum span_refers refers;
        struct slice value;
    } rows[] = {
        {"agent_id", SPAN_REFERS_AGENT, f->agent},
        {"key_id", SPAN_REFERS_KEY, f->key},
        {"team_id", SPAN_REFERS_TEAM, f->team},
        {"task_id", SPAN_REFERS_TASK, f->task},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!rows[i].value.ptr)
            continue;
        query_add(q, " and ");
        query_add(q, rows[i].column);
        add_referred(q, rows[i].refers, rows[i].value);
    }
}

enum err store_sessions_page(struct tx *tx, const struct trace_page *page,
                             const struct session_filter *filter, json_t **ret,
                             struct trace_next *next)
{
    DB_AUTO struct db_result *r = NULL;
    QUERY_AUTO struct query q;
    query_init(&q);
    query_value(&q, SESSION_COLUMNS "(select * from sessions where org_id = ", DB_TEXT(page->org),
                "");
    if (page->since)
        query_value(&q, " and started_at >= ", DB_TIME(page->since), "");
    if (page->until)
        query_value(&q, " and started_at < ", DB_TIME(page->until), "");
    if (page->after_us) {
        query_value(&q, " and started_at <= ", DB_TIME(page->after_us), "");
        query_value(&q, " and (started_at, id) < (", DB_TIME(page->after_us), ", ");
        query_value(&q, "", DB_TEXT(page->after_id), "::text)");
    }
    add_session_filters(&q, filter);
    query_value(&q, " order by started_at desc, id desc limit ", DB_INT((int64_t)page->limit + 1),
                ")" SESSION_JOINS " order by s.started_at desc, s.id desc");
    enum err e = query_run(&q, tx, &r);
    return e == ERR_OK ? rows_to_page(r, page->limit, 5, 0, session_json, ret, next) : e;
}

enum err store_sessions_find(struct tx *tx, struct slice id_or_external, json_t **ret)
{
    DB_AUTO struct db_result *r = NULL;
    struct trace_next next;
    enum err e = tx_query(tx,
                          SESSION_COLUMNS "sessions" SESSION_JOINS
                                          " where s.id = $1 or (s.external_id = $1 and not exists"
                                          " (select 1 from sessions where id = $1))"
                                          " order by s.started_at desc, s.id limit $2",
                          DB_PARAMS(DB_TEXT(id_or_external), DB_INT(FIND_MAX)), &r);
    return e == ERR_OK ? rows_to_page(r, FIND_MAX, 5, 0, session_json, ret, &next) : e;
}

/* ---- spans ---- */

#define SPAN_JOINS                                                                                 \
    " left join agents a on a.id = s.agent_id left join keys k on k.id = s.key_id"                 \
    " left join teams tm on tm.id = s.team_id left join tasks t on t.id = s.task_id"

#define SPAN_CURSOR_COLUMNS 2 /* started_at and id, before the columns that are shown */

static void set_json(json_t *o, const char *name, const struct db_result *r, size_t row, int col)
{
    struct json_problem problem;
    json_t *value = NULL;
    if (!db_is_null(r, row, col) && json_read(db_text(r, row, col), &value, &problem) == ERR_OK)
        json_object_set_new(o, name, value);
}

static void set_attribute(json_t *o, const struct span_attribute *a, const struct db_result *r,
                          size_t row, int col)
{
    switch (a->type) {
    case SPAN_TYPE_COUNT:
    case SPAN_TYPE_SMALL:
        row_int(o, a->shown, r, row, col);
        break;
    case SPAN_TYPE_TIME:
        row_time(o, a->shown, r, row, col);
        break;
    case SPAN_TYPE_MONEY:
        row_money(o, a->shown, r, row, col);
        break;
    case SPAN_TYPE_EVENTS:
        set_json(o, a->shown, r, row, col);
        break;
    default:
        row_text(o, a->shown, r, row, col);
    }
}

static json_t *span_json(const struct db_result *r, size_t i)
{
    size_t count;
    const struct span_attribute *rows = span_attributes_all(&count);
    json_t *o = json_object(), *tokens = json_object();
    int col = SPAN_CURSOR_COLUMNS;
    for (size_t m = 0; m < count; m++)
        if (rows[m].shown)
            set_attribute(rows[m].of_tokens ? tokens : o, &rows[m], r, i, col++);
    if (json_object_size(tokens) > 0)
        json_object_set_new(o, "tokens", tokens);
    else
        json_decref(tokens);
    return o;
}

static void add_shown(struct query *q)
{
    size_t count;
    const struct span_attribute *rows = span_attributes_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].shown)
            continue;
        bool is_one = rows[i].absent == SPAN_ABSENT_ONE; /* the default, 1, is left out */
        query_add(q, is_one ? ", nullif(" : ", ");
        query_add(q, rows[i].refers ? referred[rows[i].refers].shown : "s.");
        query_add(q, rows[i].refers ? "" : rows[i].column);
        query_add(q, is_one ? ", 1)" : "");
    }
}

/* The index holds calls only: attempts are found by the time of their call. */
static void add_request(struct query *q, struct slice id)
{
    query_value(q, " = ", DB_TEXT(id), "");
    query_value(q,
                " and s.started_at >= (select min(started_at) from spans where kind = 'call' and"
                " request_id = ",
                DB_TEXT(id), ")");
    query_value(q,
                " and s.started_at <= (select max(started_at + duration_us * interval '1 us') from"
                " spans where kind = 'call' and request_id = ",
                DB_TEXT(id), ")");
}

static void add_match(struct query *q, const struct span_match *m)
{
    const struct span_attribute *a = m->attribute;
    query_add(q, " and s.");
    query_add(q, a->column);
    if (a->refers)
        add_referred(q, a->refers, m->value);
    else if (a->absent == SPAN_ABSENT_REQUEST)
        add_request(q, m->value);
    else
        query_value(q, " = ", DB_TEXT(m->value), a->type == SPAN_TYPE_SMALL ? "::integer" : "");
}

/* The statement names the org, although row-level security filters by it: the policy's condition
 * cannot be an index condition. */
static void add_where(struct query *q, const struct trace_page *page, const struct span_filter *f)
{
    query_value(q, " where s.org_id = ", DB_TEXT(page->org), "");
    if (page->since)
        query_value(q, " and s.started_at >= ", DB_TIME(page->since), "");
    if (page->until)
        query_value(q, " and s.started_at < ", DB_TIME(page->until), "");
    for (size_t i = 0; i < f->count; i++)
        add_match(q, &f->matches[i]);
    if (!page->after_us)
        return;
    /* The first of the two is an index condition, and selects the partitions that are read. */
    query_value(q, f->newest_first ? " and s.started_at <= " : " and s.started_at >= ",
                DB_TIME(page->after_us), "");
    query_value(q,
                f->newest_first ? " and (s.started_at, s.id) < (" : " and (s.started_at, s.id) > (",
                DB_TIME(page->after_us), ", ");
    query_value(q, "", DB_TEXT(page->after_id), "::text)");
}

enum err store_spans_page(struct tx *tx, const struct trace_page *page, const struct span_filter *f,
                          json_t **ret, struct trace_next *next)
{
    DB_AUTO struct db_result *r = NULL;
    QUERY_AUTO struct query q = {0};
    query_init(&q);
    /* The page is taken first and the names of what it holds are looked up afterwards. */
    query_add(&q, "select s.started_at, s.id");
    add_shown(&q);
    query_add(&q, " from (select * from spans s");
    add_where(&q, page, f);
    query_add(&q, f->newest_first ? " order by s.started_at desc, s.id desc"
                                  : " order by s.started_at, s.id");
    query_value(&q, " limit ", DB_INT((int64_t)page->limit + 1), ") s");
    query_add(&q, SPAN_JOINS);
    query_add(&q, f->newest_first ? " order by s.started_at desc, s.id desc"
                                  : " order by s.started_at, s.id");
    enum err e = query_run(&q, tx, &r);
    return e == ERR_OK ? rows_to_page(r, page->limit, 0, 1, span_json, ret, next) : e;
}
