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
