/* store_session — sums in memory, then one upsert. */
#include "controlplane/store/store_session.h"

#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "controlplane/store/clean.h"

#define SESSION_ID_MAX 64

enum number {
    CALLS_MODEL,
    CALLS_TOOL,
    CALLS_API,
    TOKENS_INPUT,
    TOKENS_CACHE_READ,
    TOKENS_CACHE_WRITE,
    TOKENS_OUTPUT,
    TOKENS_REASONING,
    COST,
    UNPRICED,
    REFUSALS,
    NUMBERS,
};

struct session_row {
    char id[SESSION_ID_MAX];
    const Gatehouse__Span *first; /* lent: it gives the owner of the session, and its label */
    struct slice org;
    int64_t started_at, last_at;
    int64_t numbers[NUMBERS];
};

enum err session_sheet_init(struct session_sheet *s)
{
    s->by_id = map_new();
    return s->by_id ? ERR_OK : ERR_NOMEM;
}

void session_sheet_fini(struct session_sheet *s)
{
    struct slice key;
    size_t at = 0;
    void *row;
    if (!s->by_id)
        return;
    while (map_each(s->by_id, &at, &key, &row))
        mem_free(row);
    map_free(s->by_id);
    s->by_id = NULL;
}

static struct session_row *get_row(struct session_sheet *s, const Gatehouse__Span *call,
                                   struct slice org)
{
    struct session_row *row = map_find(s->by_id, slice_str(call->session_id));
    if (row)
        return row;
    row = mem_zalloc(sizeof(*row));
    if (!row)
        return NULL;
    memcpy(row->id, call->session_id, strlen(call->session_id));
    row->first = call;
    row->org = org;
    row->started_at = INT64_MAX;
    if (map_put(s->by_id, slice_str(row->id), row, NULL) != ERR_OK) {
        mem_free(row);
        return NULL;
    }
    return row;
}

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

static void add_tokens(struct session_row *row, const Gatehouse__Tokens *t)
{
    row->numbers[TOKENS_INPUT] += clean_count(t->input);
    row->numbers[TOKENS_CACHE_READ] += clean_count(t->cache_read);
    row->numbers[TOKENS_CACHE_WRITE] += clean_count(t->cache_write);
    row->numbers[TOKENS_OUTPUT] += clean_count(t->output);
    row->numbers[TOKENS_REASONING] += clean_count(t->reasoning);
}

enum err session_sheet_add(struct session_sheet *s, const Gatehouse__Span *call, struct slice org)
{
    if (!call->session_id || call->session_id[0] == '\0' ||
        strlen(call->session_id) >= SESSION_ID_MAX || !clean_is_plain(slice_str(call->session_id)))
        return ERR_OK;
    struct session_row *row = get_row(s, call, org);
    if (!row)
        return ERR_NOMEM;
    int64_t began = clean_time(call->started_at_us);
    int64_t ended = clean_time(began + clean_count(call->duration_us));
    row->started_at = began < row->started_at ? began : row->started_at;
    row->last_at = ended > row->last_at ? ended : row->last_at;
    row->numbers[CALLS_MODEL] += is(call->gate, "ai");
    row->numbers[CALLS_TOOL] += is(call->gate, "tool");
    row->numbers[CALLS_API] += is(call->gate, "api");
    row->numbers[REFUSALS] += is(call->status, "refused");
    row->numbers[COST] += call->cost_known ? clean_cost(call->cost_nano) : 0;
    row->numbers[UNPRICED] += call->tokens && !call->cost_known;
    if (call->tokens)
        add_tokens(row, call->tokens);
    return ERR_OK;
}

/* ---- the statement ---- */

#define SUM(column) #column " = s." #column " + excluded." #column

static const char upsert[] =
    "insert into sessions as s (id, org_id, external_id, named_by, agent_id, key_id, team_id,"
    " task_id, started_at, last_at, calls_model, calls_tool, calls_api, tokens_input,"
    " tokens_cache_read, tokens_cache_write, tokens_output, tokens_reasoning, cost_nano,"
    " unpriced, refusals)"
    " select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],"
    " $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::bigint[],"
    " $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[],"
    " $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[]) order by 1"
    " on conflict (id) do update set"
    " started_at = least(s.started_at, excluded.started_at),"
    " ended_at = case when excluded.last_at > s.last_at then null else s.ended_at end,"
    " last_at = greatest(s.last_at, excluded.last_at),"
    " task_id = coalesce(s.task_id, excluded.task_id)," SUM(calls_model) "," SUM(calls_tool) "," SUM(calls_api) "," SUM(tokens_input) "," SUM(tokens_cache_read) "," SUM(
        tokens_cache_write) "," SUM(tokens_output) "," SUM(tokens_reasoning) "," SUM(cost_nano) "," SUM(unpriced) "," SUM(refusals) " where s.org_id = excluded.org_id";

#define TEXTS 8
#define COLUMNS (TEXTS + 2 + NUMBERS)

static void put_text(struct array *a, struct buf *scratch, const char *text)
{
    buf_clear(scratch);
    if (!text || text[0] == '\0')
        array_null(a);
    else if (clean_utf8(scratch, slice_str(text), LIMIT_SPAN_TEXT) != ERR_OK)
        a->failed = true;
    else
        array_text(a, buf_slice(scratch));
}

static void put_row(struct array *columns, struct buf *scratch, const struct session_row *row)
{
    const Gatehouse__Span *f = row->first;
    const char *const texts[] = {f->external_id, f->named_by, f->agent_id,
                                 f->key_id,      f->team_id,  f->task_id};
    array_text(&columns[0], slice_str(row->id));
    array_text(&columns[1], row->org);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        put_text(&columns[2 + i], scratch, texts[i]);
    array_time(&columns[TEXTS], row->started_at);
    array_time(&columns[TEXTS + 1], row->last_at);
    for (size_t i = 0; i < NUMBERS; i++)
        array_int(&columns[TEXTS + 2 + i], row->numbers[i]);
}

enum err session_sheet_put(struct tx *tx, struct session_sheet *s)
{
    struct array columns[COLUMNS];
    struct db_param params[COLUMNS];
    struct buf scratch;
    struct slice key;
    size_t at = 0;
    void *row;
    bool failed = false;

    if (map_size(s->by_id) == 0)
        return ERR_OK;
    buf_init(&scratch, 4 * LIMIT_SPAN_TEXT);
    for (size_t i = 0; i < COLUMNS; i++)
        array_init(&columns[i]);
    while (map_each(s->by_id, &at, &key, &row))
        put_row(columns, &scratch, row);
    for (size_t i = 0; i < COLUMNS; i++) {
        params[i] = array_param(&columns[i]);
        failed = failed || array_failed(&columns[i]);
    }
    enum err e = failed ? ERR_NOMEM : tx_query(tx, upsert, params, COLUMNS, NULL);
    for (size_t i = 0; i < COLUMNS; i++)
        array_fini(&columns[i]);
    buf_fini(&scratch);
    return e;
}

enum err store_sessions_end(struct tx *tx, int64_t before, size_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx,
                          "update sessions set ended_at = last_at"
                          " where ended_at is null and last_at < $1",
                          DB_PARAMS(DB_TIME(before)), &r);
    if (e == ERR_OK)
        *ret = db_affected(r);
    return e;
}
