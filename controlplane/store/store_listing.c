/* store_listing — one row a server, made when it is first needed. */
#include "controlplane/store/store_listing.h"

/* The pools whose planes are given the server; NULL: every pool. */
#define POOLS_OF                                                                                   \
    "CASE WHEN jsonb_typeof(s.spec -> 'pools') = 'array' THEN array_to_string("                    \
    "ARRAY(SELECT jsonb_array_elements_text(s.spec -> 'pools')), ',') END"
#define IS_ON "s.spec -> 'enabled' IS DISTINCT FROM 'false'::jsonb"

static void read_pools(const struct db_result *r, size_t row, int column, struct listing_due *ret)
{
    ret->every_pool = db_is_null(r, row, column);
    db_copy(r, row, column, ret->pools, sizeof(ret->pools));
}

enum err store_listing_pools(struct tx *tx, struct slice server, struct listing_due *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, "SELECT " POOLS_OF " FROM mcp_servers s WHERE s.id = $1 AND " IS_ON,
                          DB_PARAMS(DB_TEXT(server)), &r);
    ret->every_pool = false;
    ret->pools[0] = '\0';
    if (e == ERR_OK && db_rows(r) > 0)
        read_pools(r, 0, 0, ret);
    return e;
}

enum err store_listings_due(struct tx *tx, int64_t now_us, size_t cap, struct listing_due *ret,
                            size_t *found)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e =
        tx_query(tx,
                 "SELECT s.id, s.org_id, s.name, s.revision, coalesce(l.asks, 0),"
                 " CASE WHEN l.hold_until > $1 THEN l.held_by END, " POOLS_OF
                 " FROM mcp_servers s LEFT JOIN tool_listings l ON l.server_id = s.id"
                 " WHERE s.deleted_at IS NULL AND s.spec ->> 'transport' = 'streamable-http'"
                 " AND " IS_ON " AND (l.server_id IS NULL OR l.revision IS DISTINCT FROM s.revision"
                 "      OR l.asks > l.answered OR l.due_at <= $1)"
                 " AND (l.hold_until IS NULL OR l.hold_until <= $1 OR l.held_by IS NOT NULL)"
                 " ORDER BY coalesce(l.due_at, s.created_at), s.id LIMIT $2",
                 DB_PARAMS(DB_TIME(now_us), DB_INT((int64_t)cap)), &r);
    if (e != ERR_OK)
        return e;
    *found = db_rows(r);
    for (size_t i = 0; i < *found; i++) {
        ret[i] = (struct listing_due){.revision = (uint64_t)db_int(r, i, 3),
                                      .ask = (uint64_t)db_int(r, i, 4)};
        db_copy(r, i, 0, ret[i].server, sizeof(ret[i].server));
        db_copy(r, i, 1, ret[i].org, sizeof(ret[i].org));
        db_copy(r, i, 2, ret[i].name, sizeof(ret[i].name));
        db_copy(r, i, 5, ret[i].held_by, sizeof(ret[i].held_by));
        read_pools(r, i, 6, &ret[i]);
    }
    return ERR_OK;
}

enum err store_listing_hold(struct tx *tx, struct slice server, struct slice plane,
                            int64_t until_us)
{
    return tx_query(tx,
                    "INSERT INTO tool_listings AS l (server_id, org_id, held_by, hold_until)"
                    " SELECT id, org_id, $2, $3 FROM mcp_servers WHERE id = $1"
                    " ON CONFLICT (server_id) DO UPDATE SET held_by = excluded.held_by,"
                    " hold_until = excluded.hold_until",
                    DB_PARAMS(DB_TEXT(server), DB_TEXT(plane), DB_TIME(until_us)), NULL);
}

enum err store_listing_ask(struct tx *tx, struct slice server, bool hurry, uint64_t *ret_ask)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx,
                          "INSERT INTO tool_listings AS l (server_id, org_id, asks)"
                          " SELECT id, org_id, 1 FROM mcp_servers"
                          " WHERE id = $1 AND deleted_at IS NULL"
                          " ON CONFLICT (server_id) DO UPDATE SET asks = l.asks + 1, hold_until ="
                          " CASE WHEN $2 AND l.held_by IS NULL THEN NULL ELSE l.hold_until END"
                          " RETURNING asks",
                          DB_PARAMS(DB_TEXT(server), DB_BOOL(hurry)), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return ERR_NOT_FOUND;
    *ret_ask = (uint64_t)db_int(r, 0, 0);
    return ERR_OK;
}

enum err store_listing_lock(struct tx *tx, struct slice server, struct listing_state *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx,
                          "INSERT INTO tool_listings (server_id, org_id) SELECT id, org_id"
                          " FROM mcp_servers WHERE id = $1 AND deleted_at IS NULL"
                          " ON CONFLICT (server_id) DO UPDATE SET org_id = excluded.org_id",
                          DB_PARAMS(DB_TEXT(server)), NULL);
    if (e == ERR_OK)
        e = tx_query(tx,
                     "SELECT s.org_id, s.name, s.revision, l.listed_at IS NOT NULL,"
                     " coalesce(s.spec ->> 'approve' = 'each', false), l.answered, l.failures,"
                     " l.held_by FROM mcp_servers s JOIN tool_listings l ON l.server_id = s.id"
                     " WHERE s.id = $1 AND s.deleted_at IS NULL",
                     DB_PARAMS(DB_TEXT(server)), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return ERR_NOT_FOUND;
    *ret = (struct listing_state){.revision = (uint64_t)db_int(r, 0, 2),
                                  .listed = db_bool(r, 0, 3),
                                  .each = db_bool(r, 0, 4),
                                  .answered = (uint64_t)db_int(r, 0, 5),
                                  .failures = (unsigned)db_int(r, 0, 6)};
    db_copy(r, 0, 0, ret->org, sizeof(ret->org));
    db_copy(r, 0, 1, ret->name, sizeof(ret->name));
    db_copy(r, 0, 7, ret->held_by, sizeof(ret->held_by));
    return ERR_OK;
}

enum err store_listing_end(struct tx *tx, const struct listing_end *end)
{
    return tx_query(
        tx,
        "UPDATE tool_listings SET answered = greatest(answered, least($2, asks)), revision = $3,"
        " tried_at = $4, due_at = $5, held_by = NULL, hold_until = $6, dataplane_id = $7,"
        " error = $8, failures = $11,"
        " listed_at = CASE WHEN $8::text IS NULL THEN $4 ELSE listed_at END,"
        " tools = CASE WHEN $8::text IS NULL THEN $9 ELSE tools END,"
        " left_out = CASE WHEN $8::text IS NULL THEN $10 ELSE left_out END"
        " WHERE server_id = $1",
        DB_PARAMS(DB_TEXT(end->server), DB_INT((int64_t)end->ask), DB_INT((int64_t)end->revision),
                  DB_TIME(end->at_us), DB_TIME(end->due_us), DB_TIME(end->pause_us),
                  DB_TEXT(end->plane), DB_TEXT(end->error), DB_INT(end->tools),
                  DB_INT(end->left_out), DB_INT(end->failures)),
        NULL);
}

enum err store_listing_outcome(struct tx *tx, struct slice server, uint64_t ask, bool *ret_done,
                               char *error, size_t cap)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e =
        tx_query(tx, "SELECT answered >= $2, error FROM tool_listings WHERE server_id = $1",
                 DB_PARAMS(DB_TEXT(server), DB_INT((int64_t)ask)), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return ERR_NOT_FOUND;
    *ret_done = db_bool(r, 0, 0);
    error[0] = '\0';
    if (*ret_done)
        db_copy(r, 0, 1, error, cap);
    return ERR_OK;
}

/* Times in the form of every API response. */
#define AT(name, column)                                                                           \
    "'" name "', to_char(l." column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "

static const char views_sql[] =
    "SELECT coalesce(jsonb_object_agg(l.server_id, jsonb_strip_nulls(jsonb_build_object("
    /* clang-format off */
    AT("last_listed_at", "listed_at")
    AT("last_tried_at", "tried_at")
    AT("next_at", "due_at")
    /* clang-format on */
    "'last_error', l.error, 'dataplane', d.name,"
    " 'tools', CASE WHEN l.listed_at IS NOT NULL THEN l.tools END,"
    " 'left_out', nullif(l.left_out, 0)))), '{}'::jsonb)"
    " FROM tool_listings l LEFT JOIN dataplanes d ON d.id = l.dataplane_id"
    " WHERE l.tried_at IS NOT NULL"
    " AND l.server_id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)))";

enum err store_listing_views(struct tx *tx, const json_t *ids, json_t **ret)
{
    struct buf text;
    struct json_problem problem;
    DB_AUTO struct db_result *r = NULL;
    buf_init(&text, 64 * 1024);
    enum err e = json_write(ids, &text);
    if (e == ERR_OK)
        e = tx_query(tx, views_sql, DB_PARAMS(DB_TEXT(buf_slice(&text))), &r);
    buf_fini(&text);
    return e == ERR_OK ? json_read(db_text(r, 0, 0), ret, &problem) : e;
}
