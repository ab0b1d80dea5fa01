/* store_trace — each answer is one statement and one function from row to object. */
#include "controlplane/store/store_trace.h"

#include "common/base/clock.h"
#include "common/base/money.h"

#define FIND_MAX 20
#define SPEND_MAX 1000 /* rows; whoever spends least is cut */

/* ---- columns into members ---- */

static void set_text(json_t *o, const char *name, const struct db_result *r, size_t row, int col)
{
    if (!db_is_null(r, row, col))
        json_set_text(o, name, db_text(r, row, col));
}

static void set_int(json_t *o, const char *name, const struct db_result *r, size_t row, int col)
{
    if (!db_is_null(r, row, col))
        json_object_set_new(o, name, json_integer((json_int_t)db_int(r, row, col)));
}

static void set_time(json_t *o, const char *name, const struct db_result *r, size_t row, int col)
{
    char text[CLOCK_TEXT_MAX];
    if (!db_is_null(r, row, col))
        json_set_text(o, name, clock_format(db_time(r, row, col), text));
}

static void set_money(json_t *o, const char *name, const struct db_result *r, size_t row, int col)
{
    char text[MONEY_TEXT_MAX];
    if (!db_is_null(r, row, col))
        json_set_text(o, name, money_format(db_int(r, row, col), text));
}

/* five columns from col on */
static void set_tokens(json_t *o, const struct db_result *r, size_t row, int col)
{
    static const char *const names[] = {"input", "cache_read", "cache_write", "output",
                                        "reasoning"};
    json_t *tokens = json_object();
    for (int i = 0; i < (int)ARRAY_LEN(names); i++)
        set_int(tokens, names[i], r, row, col + i);
    if (json_object_size(tokens) > 0)
        json_object_set_new(o, "tokens", tokens);
    else
        json_decref(tokens);
}

static struct db_param text_or_null(struct slice s)
{
    return s.ptr ? DB_TEXT(s) : DB_NULL;
}

static struct db_param time_or_null(int64_t us)
{
    return us ? DB_TIME(us) : DB_NULL;
}

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

/* ---- sessions ---- */

#define SESSION_COLUMNS                                                                            \
    "select s.id, s.external_id, a.name, t.name, k.name, s.started_at, s.ended_at, s.calls_model," \
    " s.calls_tool, s.calls_api, s.tokens_input, s.tokens_cache_read, s.tokens_cache_write,"       \
    " s.tokens_output, s.tokens_reasoning,"                                                        \
    " case when s.unpriced = 0 or s.cost_nano > 0 then s.cost_nano end, s.refusals,"               \
    " case when s.agent_id is null then coalesce(y.public_part, y.name) end from sessions s"       \
    " left join agents a on a.id = s.agent_id left join teams t on t.id = s.team_id"               \
    " left join tasks k on k.id = s.task_id left join keys y on y.id = s.key_id"

static json_t *session_json(const struct db_result *r, size_t i)
{
    json_t *o = json_object(), *calls = json_object();
    set_text(o, "id", r, i, 0);
    set_text(o, "external_id", r, i, 1);
    set_text(o, "agent", r, i, 2);
    set_text(o, "key", r, i, 17);
    set_text(o, "team", r, i, 3);
    set_text(o, "task", r, i, 4);
    set_time(o, "started_at", r, i, 5);
    if (db_is_null(r, i, 6))
        json_object_set_new(o, "ended_at", json_null());
    set_time(o, "ended_at", r, i, 6);
    set_int(calls, "model", r, i, 7);
    set_int(calls, "tool", r, i, 8);
    set_int(calls, "api", r, i, 9);
    json_object_set_new(o, "calls", calls);
    set_tokens(o, r, i, 10);
    set_money(o, "cost_usd", r, i, 15);
    set_int(o, "refusals", r, i, 16);
    json_object_set_new(o, "status", json_string(db_is_null(r, i, 6) ? "active" : "ended"));
    return o;
}

enum err store_sessions_page(struct tx *tx, const struct trace_page *page, struct slice agent,
                             json_t **ret, struct trace_next *next)
{
    DB_AUTO struct db_result *r = NULL;
    const struct db_param params[] = {
        time_or_null(page->since),    time_or_null(page->until),
        text_or_null(agent),          time_or_null(page->after_us),
        text_or_null(page->after_id), DB_INT((int64_t)page->limit + 1)};
    enum err e = tx_query(tx,
                          SESSION_COLUMNS
                          " where ($1::timestamptz is null or s.started_at >= $1)"
                          " and ($2::timestamptz is null or s.started_at < $2)"
                          " and ($3::text is null or s.agent_id in (select id from agents where id "
                          "= $3 or name = $3))"
                          " and ($4::timestamptz is null or (s.started_at, s.id) < ($4, $5::text))"
                          " order by s.started_at desc, s.id desc limit $6",
                          params, ARRAY_LEN(params), &r);
    return e == ERR_OK ? rows_to_page(r, page->limit, 5, 0, session_json, ret, next) : e;
}

enum err store_sessions_find(struct tx *tx, struct slice id_or_external, json_t **ret)
{
    DB_AUTO struct db_result *r = NULL;
    struct trace_next next;
    enum err e = tx_query(tx,
                          SESSION_COLUMNS " where s.id = $1 or (s.external_id = $1 and not exists"
                                          " (select 1 from sessions where id = $1))"
                                          " order by s.started_at desc, s.id limit $2",
                          DB_PARAMS(DB_TEXT(id_or_external), DB_INT(FIND_MAX)), &r);
    return e == ERR_OK ? rows_to_page(r, FIND_MAX, 5, 0, session_json, ret, &next) : e;
}

/* ---- spans ---- */

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

#define SPAN_JOINS                                                                                 \
    " left join agents a on a.id = s.agent_id left join keys k on k.id = s.key_id"                 \
    " left join teams tm on tm.id = s.team_id left join tasks t on t.id = s.task_id"

#define QUERY_MAX 8192
#define SPAN_CURSOR_COLUMNS 2 /* started_at and id, in front of what is shown */

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
        set_int(o, a->shown, r, row, col);
        break;
    case SPAN_TYPE_TIME:
        set_time(o, a->shown, r, row, col);
        break;
    case SPAN_TYPE_MONEY:
        set_money(o, a->shown, r, row, col);
        break;
    case SPAN_TYPE_EVENTS:
        set_json(o, a->shown, r, row, col);
        break;
    default:
        set_text(o, a->shown, r, row, col);
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

/* A statement under construction: only words of this file and of the table go into its text, values
 * are its parameters. */
struct query {
    struct buf sql;
    struct db_param params[DB_PARAMS_MAX];
    size_t n;
    enum err e;
};

static void add(struct query *q, const char *text)
{
    if (q->e == ERR_OK)
        q->e = buf_append(&q->sql, slice_str(text));
}

static void add_param(struct query *q, const char *before, struct db_param value, const char *after)
{
    if (q->e == ERR_OK && q->n == DB_PARAMS_MAX)
        q->e = ERR_TOO_BIG;
    if (q->e == ERR_OK)
        q->e = buf_printf(&q->sql, "%s$%zu%s", before, q->n + 1, after);
    if (q->e == ERR_OK)
        q->params[q->n++] = value;
}

static void add_shown(struct query *q)
{
    size_t count;
    const struct span_attribute *rows = span_attributes_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].shown)
            continue;
        bool is_one = rows[i].absent == SPAN_ABSENT_ONE; /* one is not worth saying */
        add(q, is_one ? ", nullif(" : ", ");
        add(q, rows[i].refers ? referred[rows[i].refers].shown : "s.");
        add(q, rows[i].refers ? "" : rows[i].column);
        add(q, is_one ? ", 1)" : "");
    }
}

static void add_match(struct query *q, const struct span_match *m)
{
    const struct span_attribute *a = m->attribute;
    add(q, " and s.");
    add(q, a->column);
    if (a->refers) {
        add(q, " in (select id from ");
        add(q, referred[a->refers].table);
        add_param(q, " where id = ", DB_TEXT(m->value), "");
        for (const char *const *name = referred[a->refers].names; *name; name++) {
            add(q, " or ");
            add(q, *name);
            add_param(q, " = ", DB_TEXT(m->value), "");
        }
        add(q, ")");
    } else {
        add_param(q, " = ", DB_TEXT(m->value), a->type == SPAN_TYPE_SMALL ? "::integer" : "");
    }
}

/* The org stands in the statement as well as in the fence: the fence's own condition is no index
 * condition. */
static void add_where(struct query *q, const struct trace_page *page, const struct span_filter *f)
{
    add_param(q, " where s.org_id = ", DB_TEXT(page->org), "");
    if (page->since)
        add_param(q, " and s.started_at >= ", DB_TIME(page->since), "");
    if (page->until)
        add_param(q, " and s.started_at < ", DB_TIME(page->until), "");
    for (size_t i = 0; i < f->count; i++)
        add_match(q, &f->matches[i]);
    if (!page->after_us)
        return;
    /* The first of the two is an index condition, and says which partitions are read. */
    add_param(q, f->newest_first ? " and s.started_at <= " : " and s.started_at >= ",
              DB_TIME(page->after_us), "");
    add_param(q,
              f->newest_first ? " and (s.started_at, s.id) < (" : " and (s.started_at, s.id) > (",
              DB_TIME(page->after_us), ", ");
    add_param(q, "", DB_TEXT(page->after_id), "::text)");
}

enum err store_spans_page(struct tx *tx, const struct trace_page *page, const struct span_filter *f,
                          json_t **ret, struct trace_next *next)
{
    DB_AUTO struct db_result *r = NULL;
    struct query q = {.n = 0};
    buf_init(&q.sql, QUERY_MAX);
    /* The page is taken first and the names of what it holds are looked up afterwards. */
    add(&q, "select s.started_at, s.id");
    add_shown(&q);
    add(&q, " from (select * from spans s");
    add_where(&q, page, f);
    add(&q, f->newest_first ? " order by s.started_at desc, s.id desc"
                            : " order by s.started_at, s.id");
    add_param(&q, " limit ", DB_INT((int64_t)page->limit + 1), ") s");
    add(&q, SPAN_JOINS);
    add(&q, f->newest_first ? " order by s.started_at desc, s.id desc"
                            : " order by s.started_at, s.id");
    enum err e = q.e;
    if (e == ERR_OK)
        e = buf_append(&q.sql, slice_of("", 1));
    if (e == ERR_OK)
        e = tx_query(tx, buf_slice(&q.sql).ptr, q.params, q.n, &r);
    buf_fini(&q.sql);
    return e == ERR_OK ? rows_to_page(r, page->limit, 0, 1, span_json, ret, next) : e;
}

/* ---- spend ---- */

/* What has no price costs not nothing, but nobody knows what: left out, and counted beside it. */
#define UNPRICED                                                                                   \
    "coalesce(sum(s.calls) filter (where s.tokens_input is not null and s.cost_nano is null), 0)"  \
    "::bigint"
#define COST_OR_NOTHING                                                                            \
    "case when " UNPRICED " = 0 or sum(s.cost_nano) > 0"                                           \
    " then coalesce(sum(s.cost_nano), 0)::bigint end"

#define SPEND(id, name, join, where)                                                               \
    "select " id ", " name ", sum(s.calls)::bigint,"                                               \
    " coalesce(sum(s.calls) filter (where s.status = 'refused'), 0)::bigint,"                      \
    " coalesce(sum(s.tokens_input), 0)::bigint, coalesce(sum(s.tokens_cache_read), 0)::bigint,"    \
    " coalesce(sum(s.tokens_cache_write), 0)::bigint, coalesce(sum(s.tokens_output), 0)::bigint,"  \
    " coalesce(sum(s.tokens_reasoning), 0)::bigint, " COST_OR_NOTHING ","                          \
    " " UNPRICED " from spans s " join                                                             \
    " where s.kind = 'call' and s.started_at >= $1 and s.started_at < $2" where                    \
    " group by 1, 2 order by 10 desc nulls last, 3 desc, 1 limit $3"

static const struct {
    const char *group;
    const char *sql;
} spends[] = {
    {"team", SPEND("s.team_id", "t.name", "left join teams t on t.id = s.team_id", "")},
    {"key", SPEND("s.key_id", "coalesce(k.public_part, k.name)",
                  "left join keys k on k.id = s.key_id", "")},
    {"agent", SPEND("s.agent_id", "a.name", "left join agents a on a.id = s.agent_id", "")},
    {"model", SPEND("null::text", "s.model", "", " and s.gate = 'ai'")},
    {"provider", SPEND("null::text", "s.provider", "", " and s.gate = 'ai'")},
    {"tool", SPEND("null::text", "s.server || '/' || s.tool", "", " and s.gate = 'tool'")},
    {"session", SPEND("null::text", "s.session_id", "", "")},
};

static json_t *spend_json(const char *group, const struct db_result *r, size_t i)
{
    json_t *o = json_object();
    json_object_set_new(o, group, db_is_null(r, i, 1) ? json_null() : json_from(db_text(r, i, 1)));
    set_text(o, "id", r, i, 0);
    set_int(o, "calls", r, i, 2);
    set_int(o, "refusals", r, i, 3);
    set_tokens(o, r, i, 4);
    set_money(o, "cost_usd", r, i, 9);
    set_int(o, "unpriced_calls", r, i, 10);
    return o;
}

enum err store_spend(struct tx *tx, struct slice group, int64_t from, int64_t to, json_t **ret)
{
    DB_AUTO struct db_result *r = NULL;
    size_t at = 0;
    while (at < ARRAY_LEN(spends) && !slice_eq(group, slice_str(spends[at].group)))
        at++;
    if (at == ARRAY_LEN(spends))
        return ERR_INVALID;
    enum err e =
        tx_query(tx, spends[at].sql, DB_PARAMS(DB_TIME(from), DB_TIME(to), DB_INT(SPEND_MAX)), &r);
    if (e != ERR_OK)
        return e;
    json_t *items = json_array();
    for (size_t i = 0; i < db_rows(r); i++)
        json_array_append_new(items, spend_json(spends[at].group, r, i));
    *ret = items;
    return items ? ERR_OK : ERR_NOMEM;
}
