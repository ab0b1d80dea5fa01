/*
 * store_boot — the first rows.
 */
#include "controlplane/store/store_boot.h"

#include <stdio.h>

#include "common/base/id.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/store/store_object.h"
#include "controlplane/store/store_policy.h"
#include "controlplane/store/store_secret.h"
#include "controlplane/store/store_write.h"
#include "proto/policy.pb-c.h"

#define KEY_LEN 32 /* HMAC-SHA256 and AES-256 */

static enum err ensure_head(struct tx *tx)
{
    char lineage[ID_MAX];
    id_new("line", lineage);
    return tx_query(tx, "INSERT INTO policy_head (lineage) VALUES ($1) ON CONFLICT DO NOTHING",
                    DB_PARAMS(DB_TEXT(slice_str(lineage))), NULL);
}

static enum err ensure_org(struct tx *tx, char *org_id, size_t cap, bool *ret_fresh)
{
    char fresh[ID_MAX];
    id_new("org", fresh);
    enum err e = tx_query(tx,
                          "INSERT INTO orgs (id, org_id, name, is_default)"
                          " SELECT $1, $1, 'default', true"
                          " WHERE NOT EXISTS (SELECT 1 FROM orgs WHERE is_default)",
                          DB_PARAMS(DB_TEXT(slice_str(fresh))), NULL);
    DB_AUTO struct db_result *r = NULL;
    if (e == ERR_OK)
        e = tx_query(tx, "SELECT id FROM orgs WHERE is_default", DB_NO_PARAMS, &r);
    if (e != ERR_OK)
        return e;
    db_copy(r, 0, 0, org_id, cap);
    *ret_fresh = strcmp(org_id, fresh) == 0;
    return ERR_OK;
}

static enum err ensure_secret(struct tx *tx, const struct seal *seal, const char *name,
                              struct secret **ret)
{
    struct buf plain;
    buf_init(&plain, 1024);
    enum err e = store_installation_make(tx, seal, name, KEY_LEN, &plain, NULL);
    if (e == ERR_OK && ret != NULL) {
        *ret = secret_new(buf_slice(&plain));
        e = *ret != NULL ? ERR_OK : ERR_NOMEM;
    }
    if (plain.data != NULL)
        secret_wipe(plain.data, plain.cap);
    buf_fini(&plain);
    return e;
}

static enum err first_rows(struct db *db, const struct seal *seal, struct boot *b, bool *fresh)
{
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = tx_lock(&tx, TX_LOCK_BOOT);
    if (e == ERR_OK)
        e = ensure_head(&tx);
    if (e == ERR_OK)
        e = ensure_org(&tx, b->org_id, sizeof(b->org_id), fresh);
    if (e == ERR_OK)
        e = ensure_secret(&tx, seal, "key_hmac", &b->key_hmac);
    if (e == ERR_OK)
        e = ensure_secret(&tx, seal, "token_hmac", &b->token_hmac);
    if (e == ERR_OK)
        e = ensure_secret(&tx, seal, "session_seal", NULL);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

/* A noun's row that always exists: as any write, with its version and its record. */
static enum err ensure_always(struct write *w, const struct noun *n)
{
    OBJECT_AUTO struct object o = {0};
    enum err e = store_object_get(&w->tx, n, slice_str(n->always), false, &o);
    if (e != ERR_NOT_FOUND)
        return e;
    id_new(n->id_prefix, o.id);
    snprintf(o.org_id, sizeof(o.org_id), "%s", w->org_id);
    snprintf(o.name, sizeof(o.name), "%s", n->always);
    o.spec = json_object();
    struct audit_entry entry = {.actor = "system",
                                .actor_role = "system",
                                .source = "",
                                .action = "create",
                                .noun = n->name,
                                .object_id = o.id,
                                .object_name = o.name};
    e = store_object_insert(&w->tx, n, &o);
    if (e == ERR_OK)
        e = write_change(w, n->kind, slice_str(o.id), false);
    return e == ERR_OK ? write_audit(w, &entry) : e;
}

/* Only a fresh org needs a version of its own here; a repeated start makes none. */
static enum err first_version(struct db *db, const char *org_id)
{
    WRITE_AUTO struct write w = {0};
    enum err e = write_begin(db, slice_str(org_id), &w);
    if (e == ERR_OK)
        e = ensure_always(&w, &noun_team);
    if (e == ERR_OK)
        e = ensure_always(&w, &noun_pool);
    if (e == ERR_OK)
        e = write_change(&w, GATEHOUSE__OBJECT_KIND__KIND_SETTINGS, SLICE("settings"), false);
    return e == ERR_OK ? write_commit(&w) : e;
}

static enum err needs_first_version(struct db *db, const char *org_id, bool *ret)
{
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(db, slice_str(org_id), &tx);
    uint64_t version = 0;
    if (e == ERR_OK)
        e = store_policy_head(&tx, &version, NULL);
    *ret = version == 0;
    return e;
}

enum err store_boot(struct db *db, const struct seal *seal, struct boot *ret)
{
    struct boot b = {0};
    bool fresh = false;
    enum err e = first_rows(db, seal, &b, &fresh);
    /* a start that was killed between the two transactions is taken up again */
    if (e == ERR_OK && !fresh)
        e = needs_first_version(db, b.org_id, &fresh);
    if (e == ERR_OK && fresh)
        e = first_version(db, b.org_id);
    if (e != ERR_OK) {
        secret_drop(b.key_hmac);
        secret_drop(b.token_hmac);
        return e;
    }
    *ret = b;
    return ERR_OK;
}
