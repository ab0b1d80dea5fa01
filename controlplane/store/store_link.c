/*
 * store_link — references between objects, also from inside lists; read before a delete.
 */
#include <stdio.h>

#include "controlplane/store/store_object.h"

struct linking {
    struct tx *tx;
    const struct object *from;
};

static enum err put_link(void *arg, const struct field *row, struct slice id)
{
    struct linking *l = arg;
    return tx_query(l->tx,
                    "INSERT INTO links (from_id, field, to_id, org_id) VALUES ($1, $2, $3, $4)"
                    " ON CONFLICT DO NOTHING",
                    DB_PARAMS(DB_TEXT(slice_str(l->from->id)), DB_TEXT(slice_str(row->name)),
                              DB_TEXT(id), DB_TEXT(slice_str(l->from->org_id))),
                    NULL);
}

enum err store_links_put(struct tx *tx, const struct noun *n, const struct object *o)
{
    struct linking l = {.tx = tx, .from = o};
    enum err e = store_links_drop(tx, o->id);
    return e == ERR_OK ? noun_each_ref(n, o->spec, put_link, &l) : e;
}

enum err store_links_drop(struct tx *tx, const char *from_id)
{
    return tx_query(tx, "DELETE FROM links WHERE from_id = $1",
                    DB_PARAMS(DB_TEXT(slice_str(from_id))), NULL);
}

/* Links of blocks, faults and tools do not prevent a delete: a block and a fault do not keep their
 * object, and a tool is deleted with its server. */
enum err store_links_to(struct tx *tx, const char *to_id, json_t **ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx,
                          "SELECT DISTINCT from_id FROM links WHERE to_id = $1 AND NOT EXISTS"
                          " (SELECT 1 FROM blocks WHERE id = from_id) AND NOT EXISTS"
                          " (SELECT 1 FROM faults WHERE id = from_id) AND NOT EXISTS"
                          " (SELECT 1 FROM tools WHERE id = from_id) ORDER BY 1 LIMIT 10",
                          DB_PARAMS(DB_TEXT(slice_str(to_id))), &r);
    if (e != ERR_OK)
        return e;
    json_t *ids = json_array();
    for (size_t i = 0; i < db_rows(r); i++)
        json_array_append_new(ids, json_from(db_text(r, i, 0)));
    *ret = ids;
    return ERR_OK;
}

enum err store_links_height(struct tx *tx, const struct noun *n, struct slice id, unsigned most,
                            unsigned *ret)
{
    char sql[512];
    DB_AUTO struct db_result *r = NULL;
    snprintf(sql, sizeof(sql),
             "WITH RECURSIVE above (id, height) AS (SELECT $1::text, 0 UNION"
             " SELECT l.from_id, a.height + 1 FROM above a JOIN links l ON l.to_id = a.id"
             " JOIN %s o ON o.id = l.from_id AND o.deleted_at IS NULL WHERE a.height < $2)"
             " SELECT max(height) FROM above",
             n->table);
    enum err e = tx_query(tx, sql, DB_PARAMS(DB_TEXT(id), DB_INT(most)), &r);
    if (e == ERR_OK)
        *ret = (unsigned)db_int(r, 0, 0);
    return e;
}
