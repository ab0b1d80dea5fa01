/* store_cursor — one row a journal. */
#include "controlplane/store/store_cursor.h"

/* ERR_NOT_FOUND: there is no such cursor. */
static enum err move_cursor(struct tx *tx, const struct journal_part *j, uint64_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    const struct db_param params[] = {DB_TEXT(j->plane), DB_INT((int64_t)j->epoch),
                                      DB_INT(j->worker), DB_INT((int64_t)j->first),
                                      DB_INT((int64_t)j->last)};
    enum err e = tx_query(tx,
                          "update ingest_cursor c set updated_at = now(), committed ="
                          " case when $4 <= o.committed + 1 then greatest($5, o.committed)"
                          " else o.committed end"
                          " from (select committed from ingest_cursor where dataplane_id = $1"
                          " and epoch = $2 and worker = $3 for update) o"
                          " where c.dataplane_id = $1 and c.epoch = $2 and c.worker = $3"
                          " returning o.committed",
                          params, ARRAY_LEN(params), &r);
    if (e == ERR_OK && db_rows(r) != 1)
        return ERR_NOT_FOUND;
    if (e == ERR_OK)
        *ret = (uint64_t)db_int(r, 0, 0);
    return e;
}

static enum err make_cursor(struct tx *tx, const struct journal_part *j)
{
    return tx_query(tx,
                    "insert into ingest_cursor (dataplane_id, epoch, worker)"
                    " values ($1, $2, $3) on conflict do nothing",
                    DB_PARAMS(DB_TEXT(j->plane), DB_INT((int64_t)j->epoch), DB_INT(j->worker)),
                    NULL);
}

enum err store_cursor_pass(struct tx *tx, const struct journal_part *part, uint64_t *ret)
{
    enum err e = move_cursor(tx, part, ret);
    if (e != ERR_NOT_FOUND)
        return e;
    e = make_cursor(tx, part);
    if (e == ERR_OK)
        e = move_cursor(tx, part, ret);
    return e == ERR_NOT_FOUND ? ERR_AGAIN : e;
}
