/* store_ceiling — one statement each. */
#include "controlplane/store/store_ceiling.h"

#include "common/base/mem.h"
#include "controlplane/store/store_chore.h"

enum err store_ceiling_read(struct tx *tx, struct slice org, struct array *credentials,
                            struct ceiling_row **ret, size_t *count)
{
    DB_AUTO struct db_result *r = NULL;
    *ret = NULL;
    *count = 0;
    enum err e = tx_lock(tx, TX_LOCK_CEILINGS);
    if (e == ERR_OK)
        e = tx_query(tx,
                     "select credential_id, dataplane_id, of_tokens, share, floor, had, want,"
                     " asked_at from ceiling_shares where org_id = $1"
                     " and credential_id = any ($2::text[])",
                     DB_PARAMS(DB_TEXT(org), array_param(credentials)), &r);
    if (e != ERR_OK || db_rows(r) == 0)
        return e;
    struct ceiling_row *rows = mem_array(db_rows(r), sizeof(*rows));
    if (!rows)
        return ERR_NOMEM;
    for (size_t i = 0; i < db_rows(r); i++) {
        db_copy(r, i, 0, rows[i].credential, sizeof(rows[i].credential));
        db_copy(r, i, 1, rows[i].dataplane, sizeof(rows[i].dataplane));
        rows[i].of_tokens = db_bool(r, i, 2);
        rows[i].holder = (struct ceiling_holder){.share = (uint32_t)db_int(r, i, 3),
                                                 .floor = (uint32_t)db_int(r, i, 4),
                                                 .had = (uint32_t)db_int(r, i, 5),
                                                 .want = (uint32_t)db_int(r, i, 6),
                                                 .asked_us = db_time(r, i, 7)};
    }
    *ret = rows;
    *count = db_rows(r);
    return ERR_OK;
}

struct columns {
    struct array credentials, of_tokens, share, floor, had, want, asked;
};

static void columns_fini(struct columns *c)
{
    array_fini(&c->credentials);
    array_fini(&c->of_tokens);
    array_fini(&c->share);
    array_fini(&c->floor);
    array_fini(&c->had);
    array_fini(&c->want);
    array_fini(&c->asked);
}

static void columns_init(struct columns *c)
{
    array_init(&c->credentials);
    array_init(&c->of_tokens);
    array_init(&c->share);
    array_init(&c->floor);
    array_init(&c->had);
    array_init(&c->want);
    array_init(&c->asked);
}

enum err store_ceiling_save(struct tx *tx, struct slice org, struct slice dataplane,
                            const struct ceiling_row *rows, size_t count)
{
    struct columns c;
    columns_init(&c);
    for (size_t i = 0; i < count; i++) {
        const struct ceiling_holder *h = &rows[i].holder;
        array_text(&c.credentials, slice_str(rows[i].credential));
        array_int(&c.of_tokens, rows[i].of_tokens);
        array_int(&c.share, h->share);
        array_int(&c.floor, h->floor);
        array_int(&c.had, h->had);
        array_int(&c.want, h->want);
        array_time(&c.asked, h->asked_us);
    }
    enum err e = tx_query(
        tx,
        "insert into ceiling_shares (org_id, dataplane_id, credential_id, of_tokens, share, floor,"
        " had, want, asked_at) select $1, $2, c, t = 1, s, f, h, w, a"
        " from unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],"
        " $8::bigint[], $9::timestamptz[]) as x (c, t, s, f, h, w, a)"
        " on conflict (org_id, credential_id, of_tokens, dataplane_id) do update set"
        " share = excluded.share, floor = excluded.floor, had = excluded.had,"
        " want = excluded.want, asked_at = excluded.asked_at",
        DB_PARAMS(DB_TEXT(org), DB_TEXT(dataplane), array_param(&c.credentials),
                  array_param(&c.of_tokens), array_param(&c.share), array_param(&c.floor),
                  array_param(&c.had), array_param(&c.want), array_param(&c.asked)),
        NULL);
    columns_fini(&c);
    return e;
}

enum err store_ceiling_forget(struct tx *tx, int64_t before, size_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx,
                          "delete from ceiling_shares where ctid = any (array (select ctid"
                          " from ceiling_shares where asked_at < $1 limit $2))",
                          DB_PARAMS(DB_TIME(before), DB_INT(STORE_CHORE_ROWS)), &r);
    *ret = e == ERR_OK ? db_affected(r) : 0;
    return e;
}
