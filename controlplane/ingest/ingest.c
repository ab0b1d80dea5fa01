/* ingest — cursor, spans, sessions, charges, cursor. */
#include "controlplane/ingest/ingest.h"

#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/store/clean.h"
#include "controlplane/store/store_lease.h"
#include "controlplane/store/store_session.h"
#include "controlplane/store/store_spend.h"

#define TRIES 3 /* after a deadlock or a serialization failure */

static const struct log_ctx ingest_log = {.component = "ingest"};

/* ---- charges of a batch, added up per lease ---- */

struct charge_row {
    char key[LEDGER_ACCOUNT_MAX + ID_MAX + 1]; /* account, newline, lease */
    struct lease_charge charge;
};

struct charges {
    struct map *by_key;
    struct lease_charge *list;
};

static void charges_fini(struct charges *c)
{
    struct slice key;
    size_t at = 0;
    void *row;
    while (c->by_key && map_each(c->by_key, &at, &key, &row))
        mem_free(row);
    map_free(c->by_key);
    mem_free(c->list);
    *c = (struct charges){0};
}

static enum err add_charge(struct charges *c, const Gatehouse__Charge *m, int64_t at)
{
    struct slice account = slice_str(m->account), lease = slice_str(m->lease_id);
    if (account.len == 0 || account.len >= LEDGER_ACCOUNT_MAX || !clean_is_plain(account)) {
        log_error(&ingest_log, "charge_unreadable", "nano=%lld", (long long)m->amount_nano);
        return ERR_OK;
    }
    if (lease.len >= ID_MAX || !clean_is_plain(lease))
        lease = SLICE("");
    char key[LEDGER_ACCOUNT_MAX + ID_MAX + 1];
    int len = snprintf(key, sizeof(key), "%.*s\n%.*s", SLICE_ARG(account), SLICE_ARG(lease));
    struct charge_row *row = map_find(c->by_key, slice_of(key, (size_t)len));
    if (row) {
        row->charge.amount = money_add(row->charge.amount, m->amount_nano > 0 ? m->amount_nano : 0);
        return ERR_OK;
    }
    row = mem_zalloc(sizeof(*row));
    if (!row)
        return ERR_NOMEM;
    memcpy(row->key, key, (size_t)len + 1);
    row->charge = (struct lease_charge){
        .account = slice_of(row->key, account.len),
        .lease_id = slice_of(row->key + account.len + 1, lease.len),
        .at = at,
        .amount = m->amount_nano > 0 ? m->amount_nano : 0,
    };
    enum err e = map_put(c->by_key, slice_str(row->key), row, NULL);
    if (e != ERR_OK)
        mem_free(row);
    return e;
}

static enum err put_charges(struct tx *tx, const struct ledger_asker *who, struct charges *c)
{
    struct slice key;
    size_t at = 0, count = 0;
    void *row;
    if (map_size(c->by_key) == 0)
        return ERR_OK;
    c->list = mem_array(map_size(c->by_key), sizeof(*c->list));
    if (!c->list)
        return ERR_NOMEM;
    while (map_each(c->by_key, &at, &key, &row))
        c->list[count++] = ((struct charge_row *)row)->charge;
    return lease_server_charge(tx, who, c->list, count);
}

/* ---- records ---- */

struct intake {
    const struct ledger_asker *who;
    struct span_sheet spans;
    struct session_sheet sessions;
    struct spend_sheet spend;
    struct charges charges;
};

static enum err intake_init(struct intake *in, const struct ledger_asker *who)
{
    *in = (struct intake){.who = who};
    span_sheet_init(&in->spans);
    in->charges.by_key = map_new();
    enum err e = in->charges.by_key ? session_sheet_init(&in->sessions) : ERR_NOMEM;
    return e == ERR_OK ? spend_sheet_init(&in->spend) : e;
}

static void intake_fini(struct intake *in)
{
    span_sheet_fini(&in->spans);
    session_sheet_fini(&in->sessions);
    spend_sheet_fini(&in->spend);
    charges_fini(&in->charges);
}

/* Sums are no request of anybody's. */
static const char *request_id_of(const Gatehouse__JournalRecord *m, char hex[static DIGEST_HEX_MAX])
{
    if (m->call_id.len == 0 || m->call_id.len > DIGEST_LEN || (m->span && m->span->has_calls))
        return NULL;
    digest_hex(slice_of(m->call_id.data, m->call_id.len), hex);
    return hex;
}

static enum err add_record(struct intake *in, const Gatehouse__JournalRecord *m)
{
    char request_id[DIGEST_HEX_MAX];
    struct span_context x = {.org = in->who->org,
                             .dataplane = in->who->dataplane,
                             .request_id = request_id_of(m, request_id)};
    int64_t at = m->span ? m->span->started_at_us : 0;
    enum err e = ERR_OK;

    if (m->span) {
        span_sheet_add(&in->spans, m->span, &x);
        e = session_sheet_add(&in->sessions, m->span, in->who->org);
        if (e == ERR_OK)
            e = spend_sheet_add(&in->spend, m->span, in->who->org);
    }
    x.call = m->span;
    for (size_t i = 0; i < m->n_attempts; i++)
        span_sheet_add(&in->spans, m->attempts[i], &x);
    for (size_t i = 0; i < m->n_charges && e == ERR_OK; i++)
        e = add_charge(&in->charges, m->charges[i], at);
    return e;
}

static enum err put_records(struct tx *tx, const struct ledger_asker *who,
                            Gatehouse__JournalRecord *const *records, size_t count)
{
    struct intake in;
    enum err e = intake_init(&in, who);
    for (size_t i = 0; i < count && e == ERR_OK; i++)
        e = add_record(&in, records[i]);
    if (e == ERR_OK)
        e = span_sheet_insert(tx, &in.spans);
    if (e == ERR_OK)
        e = session_sheet_put(tx, &in.sessions);
    if (e == ERR_OK)
        e = spend_sheet_put(tx, &in.spend);
    if (e == ERR_OK)
        e = put_charges(tx, who, &in.charges);
    intake_fini(&in);
    return e;
}

/* ---- the cursor ---- */

static enum err lock_cursor(struct tx *tx, struct slice plane, const Gatehouse__UsageBatch *b,
                            uint64_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    const struct db_param params[] = {DB_TEXT(plane), DB_INT((int64_t)b->epoch), DB_INT(b->worker)};
    enum err e = tx_query(tx,
                          "insert into ingest_cursor (dataplane_id, epoch, worker)"
                          " values ($1, $2, $3) on conflict do nothing",
                          params, ARRAY_LEN(params), NULL);
    if (e == ERR_OK)
        e = tx_query(tx,
                     "select committed from ingest_cursor where dataplane_id = $1 and epoch = $2"
                     " and worker = $3 for update",
                     params, ARRAY_LEN(params), &r);
    if (e == ERR_OK && db_rows(r) != 1)
        e = ERR_AGAIN;
    if (e == ERR_OK)
        *ret = (uint64_t)db_int(r, 0, 0);
    return e;
}

static enum err move_cursor(struct tx *tx, struct slice plane, const Gatehouse__UsageBatch *b,
                            uint64_t to)
{
    return tx_query(tx,
                    "update ingest_cursor set committed = $4, updated_at = now()"
                    " where dataplane_id = $1 and epoch = $2 and worker = $3",
                    DB_PARAMS(DB_TEXT(plane), DB_INT((int64_t)b->epoch), DB_INT(b->worker),
                              DB_INT((int64_t)to)),
                    NULL);
}

static enum err take(struct db *db, const struct ledger_asker *who, const Gatehouse__UsageBatch *b,
                     uint64_t *ret)
{
    TX_AUTO struct tx tx = {0};
    uint64_t committed = 0;
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = lock_cursor(&tx, who->dataplane, b, &committed);
    if (e != ERR_OK)
        return e;

    uint64_t behind = b->first_sequence + b->n_records; /* the first one not in this batch */
    /* A repeat ends where the cursor stands, or behind it: one batch is under way at a time. */
    if (b->n_records > 0 && behind <= committed)
        log_warn(&ingest_log, "records_known_already",
                 "plane=%.*s epoch=%llu worker=%u first=%llu count=%zu committed=%llu",
                 SLICE_ARG(who->dataplane), (unsigned long long)b->epoch, b->worker,
                 (unsigned long long)b->first_sequence, b->n_records,
                 (unsigned long long)committed);
    if (b->first_sequence > committed + 1 || behind <= committed + 1) {
        *ret = committed; /* behind a gap, or nothing new */
        return ERR_OK;
    }
    size_t known = (size_t)(committed + 1 - b->first_sequence);
    e = put_records(&tx, who, b->records + known, b->n_records - known);
    if (e == ERR_OK)
        e = move_cursor(&tx, who->dataplane, b, behind - 1);
    if (e == ERR_OK)
        e = tx_commit(&tx);
    if (e == ERR_OK)
        *ret = behind - 1;
    else
        log_warn(&ingest_log, "batch_refused", "plane=%.*s error=%s sqlstate=%s why=%s",
                 SLICE_ARG(who->dataplane), err_name(e), tx.error.sqlstate, tx.error.text);
    return e;
}

enum err ingest_batch(struct db *db, const struct ledger_asker *who, const Gatehouse__UsageBatch *b,
                      uint64_t *ret_committed)
{
    if (b->epoch > INT64_MAX || b->worker > INT32_MAX || b->first_sequence == 0 ||
        b->first_sequence > INT64_MAX - b->n_records)
        return ERR_INVALID;
    enum err e = ERR_AGAIN;
    for (int i = 0; i < TRIES && e == ERR_AGAIN; i++)
        e = take(db, who, b, ret_committed);
    return e;
}
