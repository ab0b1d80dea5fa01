/* lease_end — ends leases: by a request of their plane, by their expiry, or by a write-off. */
#include "common/base/limits.h"
#include "controlplane/ledger/lease_rows.h"

/* Locks the accounts of these leases and reads them. */
static enum err take_leases(struct tx *tx, struct array *ids, struct ledger_sheet *sheet)
{
    ROWS_AUTO struct lease_rows pairs = {0};
    lease_rows_init(&pairs);
    enum err e = store_accounts_of_leases(tx, ids, &pairs.names, &pairs.starts);
    if (e == ERR_OK && pairs.names.count > 0)
        e = store_accounts_lock(tx, &pairs.names, &pairs.starts, sheet);
    return e == ERR_OK && sheet->account_count > 0 ? store_leases_read(tx, ids, sheet) : e;
}

static bool is_finished(const struct ledger_lease *l, const Gatehouse__LeaseEndRequest *q)
{
    for (size_t i = 0; i < q->n_finished_epochs; i++)
        if (l->epoch == q->finished_epochs[i])
            return true;
    return false;
}

static enum err end_all(struct tx *tx, const struct ledger_asker *asker,
                        const Gatehouse__LeaseEndRequest *q)
{
    ARRAY_AUTO struct array ids = {0};
    SHEET_AUTO struct ledger_sheet sheet = {0};
    enum err e = ERR_OK;

    array_init(&ids);
    for (size_t i = 0; i < q->n_ends; i++)
        array_text(&ids, lease_text(q->ends[i]->lease_id));
    for (size_t i = 0; i < q->n_finished_epochs && e == ERR_OK; i++)
        if (q->finished_epochs[i] <= INT64_MAX && q->finished_epochs[i] != asker->epoch)
            e = store_leases_of_epoch(tx, asker->dataplane, q->finished_epochs[i], INT32_MAX, &ids);
    if (e == ERR_OK && ids.count > 0)
        e = take_leases(tx, &ids, &sheet);
    for (size_t i = 0; i < q->n_ends && e == ERR_OK; i++) {
        struct ledger_lease *l = ledger_sheet_lease(&sheet, lease_text(q->ends[i]->lease_id));
        if (l && slice_eq(slice_str(l->dataplane), asker->dataplane))
            ledger_end(l, q->ends[i]->settled_nano);
    }
    for (size_t i = 0; i < sheet.lease_count && e == ERR_OK; i++) {
        struct ledger_lease *l = sheet.leases[i];
        if (l->epoch != asker->epoch && slice_eq(slice_str(l->dataplane), asker->dataplane) &&
            is_finished(l, q))
            ledger_finish(l);
    }
    return e == ERR_OK ? store_ledger_save(tx, &sheet) : e;
}

enum err lease_server_end(struct db *db, const struct ledger_asker *asker,
                          const Gatehouse__LeaseEndRequest *q)
{
    if (!lease_asker_is_fit(asker) || q->n_ends > LIMIT_LEASE_ASKS ||
        q->n_finished_epochs > LIMIT_LEASE_ASKS)
        return ERR_INVALID;
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = end_all(&tx, asker, q);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

/* ---- expiry ---- */

enum err lease_server_expire(struct db *db, int64_t now, size_t *ret)
{
    ARRAY_AUTO struct array ids = {0};
    SHEET_AUTO struct ledger_sheet sheet = {0};
    TX_AUTO struct tx tx = {0};

    array_init(&ids);
    *ret = 0;
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = store_leases_expired(&tx, now, LEASE_BATCH, &ids);
    if (e == ERR_OK && ids.count > 0)
        e = take_leases(&tx, &ids, &sheet);
    for (size_t i = 0; i < sheet.lease_count && e == ERR_OK; i++) {
        if (sheet.leases[i]->state != LEDGER_OPEN || sheet.leases[i]->expires_at > now)
            continue; /* renewed while we waited for the lock */
        ledger_expire(sheet.leases[i]);
        ++*ret;
    }
    if (e == ERR_OK)
        e = store_ledger_save(&tx, &sheet);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

enum err lease_server_write_off(struct tx *tx, struct slice dataplane, money *ret)
{
    ARRAY_AUTO struct array ids = {0};
    SHEET_AUTO struct ledger_sheet sheet = {0};
    money sum = 0;

    array_init(&ids);
    enum err e = store_leases_suspended(tx, dataplane, INT32_MAX, &ids);
    if (e == ERR_OK && ids.count > 0)
        e = take_leases(tx, &ids, &sheet);
    for (size_t i = 0; i < sheet.lease_count && e == ERR_OK; i++) {
        if (sheet.leases[i]->state != LEDGER_SUSPENSE)
            continue;
        sum = money_add(sum, ledger_remaining(sheet.leases[i]));
        ledger_write_off(sheet.leases[i]);
    }
    if (e == ERR_OK)
        e = store_ledger_save(tx, &sheet);
    if (e == ERR_OK)
        *ret = sum;
    return e;
}
