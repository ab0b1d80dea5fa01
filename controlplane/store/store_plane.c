/* store_plane — one row a plane. */
#include "controlplane/store/store_plane.h"

#include "controlplane/store/clean.h"

#define WORD_MAX 64
#define FEATURES_TEXT_MAX 4096

/* names divided by commas */
static enum err write_features(feature_set features, struct buf *out)
{
    char *names[FEATURE_BITS];
    size_t count = feature_names(features, names);
    enum err e = ERR_OK;
    for (size_t i = 0; i < count && e == ERR_OK; i++)
        e = buf_printf(out, "%s%s", i > 0 ? "," : "", names[i]);
    return e;
}

enum err store_plane_note(struct tx *tx, const struct plane_note *n)
{
    struct buf lineage, build, features;
    buf_init(&lineage, 4 * WORD_MAX);
    buf_init(&build, 4 * WORD_MAX);
    buf_init(&features, FEATURES_TEXT_MAX);
    enum err e = clean_utf8(&lineage, slice_str(n->lineage), WORD_MAX);
    if (e == ERR_OK)
        e = clean_utf8(&build, slice_str(n->build), WORD_MAX);
    if (e == ERR_OK)
        e = write_features(n->features, &features);
    if (e == ERR_OK)
        e = tx_query(tx,
                     "insert into dataplane_state as s (dataplane_id, org_id, lineage,"
                     " applied_version, build, last_heard_at, features) values ($1, $2, $3, $4, $5,"
                     " $6, $7)"
                     " on conflict (dataplane_id) do update set lineage = excluded.lineage,"
                     " applied_version = excluded.applied_version, build = excluded.build,"
                     " last_heard_at = excluded.last_heard_at, features = excluded.features"
                     " where s.last_heard_at < excluded.last_heard_at",
                     DB_PARAMS(DB_TEXT(slice_str(n->id)), DB_TEXT(slice_str(n->org)),
                               DB_TEXT(buf_slice(&lineage)),
                               DB_INT((int64_t)(n->version & INT64_MAX)),
                               DB_TEXT(buf_slice(&build)), DB_TIME(clean_time(n->heard_at)),
                               DB_TEXT(slice_of(features.data ? features.data : "", features.len))),
                     NULL);
    buf_fini(&lineage);
    buf_fini(&build);
    buf_fini(&features);
    return e;
}

/* ---- enrolment ---- */

enum err store_plane_set_token(struct tx *tx, struct slice id, const struct digest *token,
                               int64_t expires)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(
        tx,
        "update dataplanes set enrol_digest = $2, enrol_expires_at = $3"
        " where id = $1 and deleted_at is null",
        DB_PARAMS(DB_TEXT(id), DB_BYTES(slice_of(token->bytes, DIGEST_LEN)), DB_TIME(expires)), &r);
    return e == ERR_OK && db_affected(r) != 1 ? ERR_NOT_FOUND : e;
}

enum err store_plane_use_token(struct tx *tx, const struct digest *token, int64_t now,
                               char id[static ID_MAX], char name[static PLANE_NAME_MAX])
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(
        tx,
        "update dataplanes set enrol_digest = null, enrol_expires_at = null, enrolled_at = $2"
        " where enrol_digest = $1 and enrol_expires_at > $2 and deleted_at is null"
        " returning id, name",
        DB_PARAMS(DB_BYTES(slice_of(token->bytes, DIGEST_LEN)), DB_TIME(now)), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) != 1)
        return ERR_NOT_FOUND;
    db_copy(r, 0, 0, id, ID_MAX);
    db_copy(r, 0, 1, name, PLANE_NAME_MAX);
    return ERR_OK;
}

enum err store_plane_set_certificate(struct tx *tx, struct slice id, int64_t not_after)
{
    return tx_query(tx, "update dataplanes set cert_not_after = $2 where id = $1",
                    DB_PARAMS(DB_TEXT(id), DB_TIME(not_after)), NULL);
}

enum err store_plane_lock(struct tx *tx, struct slice id)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e =
        tx_query(tx, "select 1 from dataplanes where id = $1 and deleted_at is null for update",
                 DB_PARAMS(DB_TEXT(id)), &r);
    return e == ERR_OK && db_rows(r) != 1 ? ERR_NOT_FOUND : e;
}

/* ---- all of them ---- */

enum err store_planes_living(struct tx *tx, struct db_result **ret)
{
    return tx_query(tx,
                    "select d.id, d.name, p.name, s.last_heard_at, p.id from dataplanes d"
                    " join pools p on p.id = d.pool_id"
                    " left join dataplane_state s on s.dataplane_id = d.id"
                    " where d.deleted_at is null",
                    DB_NO_PARAMS, ret);
}

enum err store_planes_all(struct tx *tx, unsigned days, unsigned most, struct db_result **ret)
{
    return tx_query(
        tx,
        "select d.id, d.org_id, d.name, d.pool_id, d.deleted_at is not null,"
        " s.lineage, s.applied_version, s.last_heard_at, p.name, s.features from dataplanes d"
        " join pools p on p.id = d.pool_id"
        " left join dataplane_state s on s.dataplane_id = d.id"
        " where d.deleted_at is null or d.id in (select id from dataplanes"
        " where deleted_at > now() - $1 * interval '1 day'"
        " order by deleted_at desc limit $2)"
        " order by d.deleted_at is null, d.deleted_at, d.created_at",
        DB_PARAMS(DB_INT(days), DB_INT(most)), ret);
}
