/*
 * store_secret — sealed on the way in, opened on the way out, under the row's own name.
 */
#include "controlplane/store/store_secret.h"

#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/base/secret.h"

#define PURPOSE SLICE("row-secret")
#define SCOPE_MAX 128
#define MADE_MAX 64 /* bytes of a value made here */

static struct slice scope_of(char out[static SCOPE_MAX], const char *table, struct slice a,
                             struct slice b)
{
    int n = snprintf(out, SCOPE_MAX, "%s:%.*s/%.*s", table, SLICE_ARG(a), SLICE_ARG(b));
    MUST(n > 0 && n < SCOPE_MAX);
    return slice_of(out, (size_t)n);
}

static enum err close_into(const struct seal *seal, struct slice scope, struct slice plain,
                           struct buf *out)
{
    char *room = NULL;
    buf_init(out, plain.len + SEAL_OVERHEAD);
    enum err e = buf_room(out, plain.len + SEAL_OVERHEAD, &room);
    size_t len = 0;
    if (e == ERR_OK)
        e = seal_close(seal, PURPOSE, scope, SLICE(""), plain, (uint8_t *)room, &len);
    if (e == ERR_OK)
        buf_commit(out, len);
    return e;
}

static enum err open_into(const struct seal *seal, struct slice scope, struct slice sealed,
                          struct buf *plain)
{
    if (sealed.len < SEAL_OVERHEAD)
        return ERR_INVALID;
    char *room = NULL;
    size_t len = 0;
    enum err e = buf_room(plain, sealed.len - SEAL_OVERHEAD + 1, &room);
    if (e == ERR_OK)
        e = seal_open(seal, PURPOSE, scope, SLICE(""), sealed, (uint8_t *)room, &len);
    if (e == ERR_OK)
        buf_commit(plain, len);
    return e;
}

enum err store_secret_put(struct tx *tx, const struct seal *seal, struct slice org_id,
                          struct slice owner_id, struct slice slot, struct slice plain)
{
    char scope[SCOPE_MAX];
    struct buf sealed;
    enum err e = close_into(seal, scope_of(scope, "secrets", owner_id, slot), plain, &sealed);
    if (e == ERR_OK)
        e = tx_query(tx,
                     "INSERT INTO secrets (owner_id, slot, org_id, sealed) VALUES ($1, $2, $3, $4)"
                     " ON CONFLICT (owner_id, slot) DO UPDATE SET sealed = excluded.sealed,"
                     " updated_at = now()",
                     DB_PARAMS(DB_TEXT(owner_id), DB_TEXT(slot), DB_TEXT(org_id),
                               DB_BYTES(buf_slice(&sealed))),
                     NULL);
    buf_fini(&sealed);
    return e;
}

enum err store_secret_open(struct tx *tx, const struct seal *seal, struct slice owner_id,
                           struct slice slot, struct buf *plain)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, "SELECT sealed FROM secrets WHERE owner_id = $1 AND slot = $2",
                          DB_PARAMS(DB_TEXT(owner_id), DB_TEXT(slot)), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return ERR_NOT_FOUND;
    char scope[SCOPE_MAX];
    struct buf sealed;
    buf_init(&sealed, LIMIT_SEALED_ROW);
    e = db_bytes(r, 0, 0, &sealed);
    if (e == ERR_OK)
        e = open_into(seal, scope_of(scope, "secrets", owner_id, slot), buf_slice(&sealed), plain);
    buf_fini(&sealed);
    return e;
}

enum err store_secret_drop(struct tx *tx, struct slice owner_id, struct slice slot)
{
    return tx_query(tx, "DELETE FROM secrets WHERE owner_id = $1 AND slot = $2",
                    DB_PARAMS(DB_TEXT(owner_id), DB_TEXT(slot)), NULL);
}

enum err store_secret_drop_all(struct tx *tx, struct slice owner_id)
{
    return tx_query(tx, "DELETE FROM secrets WHERE owner_id = $1", DB_PARAMS(DB_TEXT(owner_id)),
                    NULL);
}

enum err store_installation_put(struct tx *tx, const struct seal *seal, const char *name,
                                struct slice plain, bool sealed)
{
    char scope[SCOPE_MAX];
    struct buf closed;
    buf_init(&closed, 0);
    enum err e = ERR_OK;
    struct slice value = plain;
    if (sealed) {
        e = close_into(seal, scope_of(scope, "installation", slice_str(name), SLICE("value")),
                       plain, &closed);
        value = buf_slice(&closed);
    }
    if (e == ERR_OK)
        e = tx_query(tx, "INSERT INTO installation (name, value, sealed) VALUES ($1, $2, $3)",
                     DB_PARAMS(DB_TEXT(slice_str(name)), DB_BYTES(value), DB_BOOL(sealed)), NULL);
    buf_fini(&closed);
    return e;
}

static enum err read_installation(const struct seal *seal, const char *name,
                                  const struct db_result *r, struct buf *plain)
{
    if (!db_bool(r, 0, 1))
        return db_bytes(r, 0, 0, plain);
    char scope[SCOPE_MAX];
    struct buf closed;
    buf_init(&closed, LIMIT_SEALED_ROW);
    enum err e = db_bytes(r, 0, 0, &closed);
    if (e == ERR_OK)
        e = open_into(seal, scope_of(scope, "installation", slice_str(name), SLICE("value")),
                      buf_slice(&closed), plain);
    buf_fini(&closed);
    return e;
}

enum err store_installation_get(struct tx *tx, const struct seal *seal, const char *name,
                                struct buf *plain, uint64_t *ret_revision)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, "SELECT value, sealed, revision FROM installation WHERE name = $1",
                          DB_PARAMS(DB_TEXT(slice_str(name))), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return ERR_NOT_FOUND;
    e = read_installation(seal, name, r, plain);
    if (e == ERR_OK && ret_revision != NULL)
        *ret_revision = (uint64_t)db_int(r, 0, 2);
    return e;
}

enum err store_installation_make(struct tx *tx, const struct seal *seal, const char *name,
                                 size_t len, struct buf *plain, uint64_t *ret_revision)
{
    MUST(len <= MADE_MAX);
    enum err e = tx_lock(tx, TX_LOCK_BOOT);
    if (e == ERR_OK)
        e = store_installation_get(tx, seal, name, plain, ret_revision);
    if (e != ERR_NOT_FOUND)
        return e;
    uint8_t fresh[MADE_MAX];
    digest_random(fresh, len);
    e = store_installation_put(tx, seal, name, slice_of(fresh, len), true);
    secret_wipe(fresh, sizeof(fresh));
    return e == ERR_OK ? store_installation_get(tx, seal, name, plain, ret_revision) : e;
}
