/* store_tool — one row a tool. */
#include "controlplane/store/store_tool.h"

enum err store_tool_lock(struct tx *tx, struct slice server, struct slice name,
                         struct stored_tool *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx,
                          "SELECT id, spec ->> 'digest', spec ? 'absent_since' FROM tools"
                          " WHERE server_id = $1 AND name = $2 AND deleted_at IS NULL FOR UPDATE",
                          DB_PARAMS(DB_TEXT(server), DB_TEXT(name)), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return ERR_NOT_FOUND;
    db_copy(r, 0, 0, ret->id, sizeof(ret->id));
    db_copy(r, 0, 1, ret->digest, sizeof(ret->digest));
    ret->absent = db_bool(r, 0, 2);
    return ERR_OK;
}

enum err store_tool_add(struct tx *tx, struct slice org, struct slice name, struct slice spec)
{
    char id[ID_MAX];
    return tx_query(
        tx, "INSERT INTO tools (id, org_id, name, spec) VALUES ($1, $2, $3, $4)",
        DB_PARAMS(DB_TEXT(id_new("tool", id)), DB_TEXT(org), DB_TEXT(name), DB_TEXT(spec)), NULL);
}

enum err store_tool_change(struct tx *tx, struct slice id, struct slice spec)
{
    return tx_query(tx,
                    "UPDATE tools SET spec = (spec - 'absent_since' - 'definition' - 'description')"
                    " || $2::jsonb, revision = revision + 1, updated_at = now() WHERE id = $1",
                    DB_PARAMS(DB_TEXT(id), DB_TEXT(spec)), NULL);
}

enum err store_tool_found_again(struct tx *tx, struct slice id)
{
    return tx_query(tx,
                    "UPDATE tools SET spec = spec - 'absent_since', revision = revision + 1,"
                    " updated_at = now() WHERE id = $1",
                    DB_PARAMS(DB_TEXT(id)), NULL);
}

enum err store_tools_absent(struct tx *tx, struct slice server, struct array *names,
                            struct slice at)
{
    struct db_param all = array_param(names);
    if (array_failed(names))
        return ERR_NOMEM;
    return tx_query(tx,
                    "UPDATE tools SET spec = spec || jsonb_build_object('absent_since', $3::text),"
                    " revision = revision + 1, updated_at = now() WHERE server_id = $1"
                    " AND deleted_at IS NULL AND NOT spec ? 'absent_since'"
                    " AND NOT name = ANY ($2::text[])",
                    DB_PARAMS(DB_TEXT(server), all, DB_TEXT(at)), NULL);
}

enum err store_tools_drop(struct tx *tx, struct slice server)
{
    enum err e = tx_query(tx,
                          "DELETE FROM links WHERE from_id IN"
                          " (SELECT id FROM tools WHERE server_id = $1)",
                          DB_PARAMS(DB_TEXT(server)), NULL);
    if (e != ERR_OK)
        return e;
    return tx_query(tx,
                    "UPDATE tools SET deleted_at = now(), revision = revision + 1,"
                    " updated_at = now() WHERE server_id = $1 AND deleted_at IS NULL",
                    DB_PARAMS(DB_TEXT(server)), NULL);
}

enum err store_tools_missing(struct tx *tx, struct slice grants, struct db_result **ret)
{
    static const char missing[] =
        "SELECT g.id, t.place - 1, t.name FROM grants g,"
        " jsonb_array_elements_text(g.spec -> 'tools') WITH ORDINALITY AS t (name, place)"
        " WHERE g.id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb))) AND t.name <> '*'"
        " AND EXISTS (SELECT FROM tools WHERE server_id = g.server_id AND deleted_at IS NULL)"
        " AND NOT EXISTS (SELECT FROM tools WHERE server_id = g.server_id AND name = t.name"
        " AND deleted_at IS NULL AND spec -> 'absent_since' IS NULL)"
        " ORDER BY g.id, t.place";
    return tx_query(tx, missing, DB_PARAMS(DB_TEXT(grants)), ret);
}
