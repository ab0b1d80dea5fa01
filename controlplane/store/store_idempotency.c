/*
 * store_idempotency — finds and keeps responses; a put deletes those older than a day.
 */
#include "controlplane/store/store_idempotency.h"

#include "common/base/limits.h"

#define PURPOSE SLICE("idempotency")
#define RESPONSE_MAX (2u * LIMIT_ADMIN_BODY) /* a document and what the response adds to it */

static struct slice request_of(const struct idempotency *i)
{
    return slice_of(i->request.bytes, DIGEST_LEN);
}

enum err store_idempotency_find(struct tx *tx, const struct seal *seal, const struct idempotency *i,
                                unsigned *ret_status, struct buf *response)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(
        tx,
        "SELECT request = $4, status, answer FROM idempotency WHERE org_id = $1"
        " AND actor = $2 AND key = $3 AND created_at > now() - interval '1 day'",
        DB_PARAMS(DB_TEXT(i->org_id), DB_TEXT(i->actor), DB_TEXT(i->key), DB_BYTES(request_of(i))),
        &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return ERR_NOT_FOUND;
    if (!db_bool(r, 0, 0))
        return ERR_CONFLICT;
    struct buf sealed;
    char *room = NULL;
    size_t len = 0;
    buf_init(&sealed, RESPONSE_MAX + SEAL_OVERHEAD);
    e = db_bytes(r, 0, 2, &sealed);
    if (e == ERR_OK)
        e = buf_room(response, sealed.len, &room);
    if (e == ERR_OK)
        e = seal_open(seal, PURPOSE, i->actor, request_of(i), buf_slice(&sealed), (uint8_t *)room,
                      &len);
    if (e == ERR_OK) {
        buf_commit(response, len);
        *ret_status = (unsigned)db_int(r, 0, 1);
    }
    buf_fini(&sealed);
    return e;
}

static enum err insert(struct tx *tx, const struct idempotency *i, unsigned status,
                       struct slice sealed)
{
    enum err e =
        tx_query(tx, "DELETE FROM idempotency WHERE created_at <= now() - interval '1 day'",
                 DB_NO_PARAMS, NULL);
    if (e != ERR_OK)
        return e;
    return tx_query(tx,
                    "INSERT INTO idempotency (org_id, actor, key, request, status, answer)"
                    " VALUES ($1, $2, $3, $4, $5, $6)",
                    DB_PARAMS(DB_TEXT(i->org_id), DB_TEXT(i->actor), DB_TEXT(i->key),
                              DB_BYTES(request_of(i)), DB_INT(status), DB_BYTES(sealed)),
                    NULL);
}

enum err store_idempotency_put(struct tx *tx, const struct seal *seal, const struct idempotency *i,
                               unsigned status, struct slice response)
{
    if (response.len > RESPONSE_MAX)
        return ERR_TOO_BIG;
    struct buf sealed;
    char *room = NULL;
    size_t len = 0;
    buf_init(&sealed, RESPONSE_MAX + SEAL_OVERHEAD);
    enum err e = buf_room(&sealed, response.len + SEAL_OVERHEAD, &room);
    if (e == ERR_OK)
        e = seal_close(seal, PURPOSE, i->actor, request_of(i), response, (uint8_t *)room, &len);
    if (e == ERR_OK) {
        buf_commit(&sealed, len);
        e = insert(tx, i, status, buf_slice(&sealed));
    }
    buf_fini(&sealed);
    return e;
}
