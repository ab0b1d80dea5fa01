/*
 * store_token — finds a token by the index of digests, and compares the digest in constant time.
 */
#include "controlplane/store/store_token.h"

enum err store_token_find(struct tx *tx, const struct digest *digest, struct admin_token *ret)
{
    DB_AUTO struct db_result *r = NULL;
    struct slice wanted = slice_of(digest->bytes, DIGEST_LEN);
    enum err e = tx_query(tx,
                          "SELECT id, org_id, name, role, encode(digest, 'hex')"
                          " FROM admin_tokens WHERE digest = $1 AND revoked_at IS NULL",
                          DB_PARAMS(DB_BYTES(wanted)), &r);
    if (e != ERR_OK)
        return e;
    char hex[DIGEST_HEX_MAX];
    digest_hex(wanted, hex);
    if (db_rows(r) == 0 || !digest_equal(db_text(r, 0, 4), slice_str(hex)))
        return ERR_NOT_FOUND;
    db_copy(r, 0, 0, ret->id, sizeof(ret->id));
    db_copy(r, 0, 1, ret->org_id, sizeof(ret->org_id));
    db_copy(r, 0, 2, ret->name, sizeof(ret->name));
    return role_parse(db_text(r, 0, 3), &ret->role);
}

enum err store_token_put(struct tx *tx, const struct admin_token *t, const struct digest *digest)
{
    return tx_query(tx,
                    "INSERT INTO admin_tokens (id, org_id, name, role, digest)"
                    " VALUES ($1, $2, $3, $4, $5)",
                    DB_PARAMS(DB_TEXT(slice_str(t->id)), DB_TEXT(slice_str(t->org_id)),
                              DB_TEXT(slice_str(t->name)), DB_TEXT(slice_str(role_name(t->role))),
                              DB_BYTES(slice_of(digest->bytes, DIGEST_LEN))),
                    NULL);
}

enum err store_token_count(struct tx *tx, size_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, "SELECT count(*) FROM admin_tokens WHERE revoked_at IS NULL",
                          DB_NO_PARAMS, &r);
    if (e == ERR_OK)
        *ret = (size_t)db_int(r, 0, 0);
    return e;
}
