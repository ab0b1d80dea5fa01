/* store_budget — one statement, and a row as a tree. */
#include "controlplane/store/store_budget.h"

#include "common/base/clock.h"
#include "common/base/money.h"
#include "common/base/period.h"

/* One kind of object that has budgets: accounts are named "<kind>:<id>". */
#define OWNER(table, kind)                                                                         \
    "select '" kind "' as kind, '" kind                                                            \
    ":' || id as account, id, name, spec, deleted_at from " table

/* The holders of a suspense are looked up only where there is one: it is rare. The limit of the
 * present period is the configured one, which the account takes over with the next lease. */
#define BUDGETS                                                                                    \
    "select b.period_start, split_part(b.account, ':', 2), split_part(b.account, ':', 1),"         \
    " o.name, o.spec #>> '{budget,period}', b.limit_nano, b.spent_nano, b.leased_nano,"            \
    " b.suspense_nano, case when b.suspense_nano > 0 then"                                         \
    " (select jsonb_agg(jsonb_build_object('id', h.id, 'name', h.name, 'nano', h.nano)"            \
    " order by h.id) from (select l.dataplane_id as id, d.name,"                                   \
    " sum(greatest(l.granted_nano - l.settled_nano, 0))::bigint as nano from leases l"             \
    " left join dataplanes d on d.id = l.dataplane_id"                                             \
    " where l.account = b.account and l.period_start = b.period_start and l.state = 'suspense'"    \
    " group by l.dataplane_id, d.name) h) end,"                                                    \
    " o.spec #>> '{budget,limit_usd}', o.id is not null and o.deleted_at is null"                  \
    " from budget_accounts b left join lateral (" OWNER(                                           \
        "keys", "key") " where b.account ="                                                        \
                       " 'key:' || id union all " OWNER(                                           \
                           "teams", "team") " where b.account = 'team:' || id union "              \
                                            "all " OWNER("agents", "agent") " where b.account "    \
                                                                            "= 'agent:' || id) "   \
                                                                            "o on true"            \
                                                                            " where ($1::text "    \
                                                                            "is null or "          \
                                                                            "(o.kind = 'key' "     \
                                                                            "and (o.id = $1 or "   \
                                                                            "o.name = $1)))"       \
                                                                            " and ($2::text is "   \
                                                                            "null or (o.kind = "   \
                                                                            "'team' and (o.id "    \
                                                                            "= $2 or o.name = "    \
                                                                            "$2)))"                \
                                                                            " and ($6::text is "   \
                                                                            "null or (o.kind = "   \
                                                                            "'agent' and (o.id "   \
                                                                            "= $6 or o.name = "    \
                                                                            "$6)))"                \
                                                                            " and "                \
                                                                            "($3::timestamptz "    \
                                                                            "is null"              \
                                                                            " or "                 \
                                                                            "(b.period_start, "    \
                                                                            "split_part(b."        \
                                                                            "account, ':', 2)) "   \
                                                                            "< ($3, $4))"          \
                                                                            " order by "           \
                                                                            "b.period_start "      \
                                                                            "desc, "               \
                                                                            "split_part(b."        \
                                                                            "account, ':', 2) "    \
                                                                            "desc limit $5"

static void set_money(json_t *o, const char *name, money m)
{
    char text[MONEY_TEXT_MAX];
    json_set_text(o, name, money_format(m, text));
}

static void set_time(json_t *o, const char *name, int64_t us, bool known)
{
    char text[CLOCK_TEXT_MAX];
    if (known)
        json_set_text(o, name, clock_format(us, text));
    else
        json_object_set_new(o, name, json_null());
}

/* An account has its start only. Where the budget's period was changed since, its end is not
 * known; a budget without periods never starts again. */
static void set_period(json_t *o, const struct db_result *r, size_t row)
{
    enum period p;
    int64_t start = db_time(r, row, 0);
    bool fits = period_parse(db_text(r, row, 4), &p) == ERR_OK && period_start(p, start) == start;
    set_time(o, "period_start", start, start != 0);
    set_time(o, "resets_at", fits ? period_end(p, start) : 0, fits && p != PERIOD_TOTAL);
}

static json_t *holders_json(struct slice text)
{
    JSON_AUTO json_t *rows = NULL;
    struct json_problem problem;
    json_t *list = json_array(), *row;
    size_t i;
    if (text.ptr == NULL || json_read(text, &rows, &problem) != ERR_OK)
        return list;
    json_array_foreach(rows, i, row)
    {
        json_t *o = json_object();
        json_object_set(o, "dataplane", json_object_get(row, "name"));
        json_object_set(o, "dataplane_id", json_object_get(row, "id"));
        set_money(o, "suspense_usd", json_integer_value(json_object_get(row, "nano")));
        json_array_append_new(list, o);
    }
    return list;
}

/* Of a period that is over, the limit that was applied last; of the present one, the budget's
 * limit now: null where the budget was removed. */
static void set_limit(json_t *o, const struct db_result *r, size_t row, int64_t now)
{
    enum period p;
    money limit = db_int(r, row, 5);
    bool exists = db_bool(r, row, 11), has_budget = !db_is_null(r, row, 10);
    bool is_now = period_parse(db_text(r, row, 4), &p) == ERR_OK &&
                  period_start(p, now) == db_time(r, row, 0);
    if (exists && is_now && has_budget && money_parse(db_text(r, row, 10), &limit) != ERR_OK)
        limit = db_int(r, row, 5);
    if (exists && !has_budget)
        json_object_set_new(o, "limit_usd", json_null());
    else
        set_money(o, "limit_usd", limit);
}

static json_t *budget_json(const struct db_result *r, size_t row)
{
    static const char *const sums[] = {"spent_usd", "leased_usd", "suspense_usd"};
    json_t *o = json_object();
    json_object_set_new(o, "owner", json_string(db_cstr(r, row, 2)));
    json_set_text(o, "owner_id", db_text(r, row, 1));
    json_object_set_new(o, "owner_name", json_string(db_cstr(r, row, 3)));
    set_period(o, r, row);
    set_limit(o, r, row, clock_wall_us());
    for (int i = 0; i < (int)ARRAY_LEN(sums); i++)
        set_money(o, sums[i], db_int(r, row, 6 + i));
    json_object_set_new(o, "suspense_of", holders_json(db_text(r, row, 9)));
    return o;
}

static struct db_param text_or_null(struct slice s)
{
    return s.ptr != NULL ? DB_TEXT(s) : DB_NULL;
}

enum err store_budgets(struct tx *tx, const struct trace_page *page,
                       const struct budget_filter *filter, json_t **ret, struct trace_next *next)
{
    DB_AUTO struct db_result *r = NULL;
    bool goes_on = page->after_id.ptr != NULL;
    const struct db_param params[] = {text_or_null(filter->key),
                                      text_or_null(filter->team),
                                      goes_on ? DB_TIME(page->after_us) : DB_NULL,
                                      text_or_null(page->after_id),
                                      DB_INT((int64_t)page->limit + 1),
                                      text_or_null(filter->agent)};
    enum err e = tx_query(tx, BUDGETS, params, ARRAY_LEN(params), &r);
    if (e != ERR_OK)
        return e;
    json_t *items = json_array();
    *next = (struct trace_next){.more = db_rows(r) > page->limit};
    for (size_t i = 0; i < db_rows(r) && i < page->limit; i++) {
        json_array_append_new(items, budget_json(r, i));
        next->at_us = db_time(r, i, 0);
        db_copy(r, i, 1, next->id, sizeof(next->id));
    }
    *ret = items;
    return ERR_OK;
}
