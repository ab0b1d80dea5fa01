/* ingest — cursors, spans, sessions, spend, charges; and batches that are taken in together. */
#include "controlplane/ingest/ingest.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/store/clean.h"
#include "controlplane/store/store_cursor.h"
#include "controlplane/store/store_kept.h"
#include "controlplane/store/store_lease.h"
#include "controlplane/store/store_session.h"
#include "controlplane/store/store_spend.h"

#define TRIES 3 /* after a deadlock or a serialization failure */
#define GATHER_US                                                                                  \
    4000 /* a plane's workers send their batches within a millisecond of each other                \
          */
#define GATHER_MAX 64
#define GATHER_RECORDS 1024 /* which wait for no others */

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

static enum err put_charges(struct tx *tx, const struct ledger_asker *asker, struct charges *c)
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
    return lease_server_charge(tx, asker, c->list, count);
}

/* ---- records ---- */

struct intake {
    const struct ledger_asker *asker;
    struct span_sheet spans;
    struct session_sheet sessions;
    struct spend_sheet spend;
    struct charges charges;
};

static enum err intake_init(struct intake *in, const struct ledger_asker *asker)
{
    *in = (struct intake){.asker = asker};
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

/* A sum of calls has no request. */
static const char *request_id_of(const Gatehouse__JournalRecord *m, char hex[static DIGEST_HEX_MAX])
{
    if (m->call_id.len == 0 || m->call_id.len > DIGEST_LEN || (m->span && m->span->has_calls))
        return NULL;
    digest_hex(slice_of(m->call_id.data, m->call_id.len), hex);
    return hex;
}

static enum err add_record(struct tx *tx, struct intake *in, const Gatehouse__JournalRecord *m)
{
    char request_id[DIGEST_HEX_MAX];
    struct span_context x = {.org = in->asker->org,
                             .dataplane = in->asker->dataplane,
                             .request_id = request_id_of(m, request_id)};
    int64_t at = m->span ? m->span->started_at_us : 0;
    enum err e = ERR_OK;

    if (m->span) {
        span_sheet_add(&in->spans, m->span, &x);
        e = session_sheet_add(&in->sessions, m->span, in->asker->org);
        if (e == ERR_OK)
            e = spend_sheet_add(&in->spend, m->span, in->asker->org);
    }
    x.call = m->span;
    for (size_t i = 0; i < m->n_attempts; i++)
        span_sheet_add(&in->spans, m->attempts[i], &x);
    for (size_t i = 0; i < m->n_charges && e == ERR_OK; i++)
        e = add_charge(&in->charges, m->charges[i], at);
    for (size_t i = 0; i < m->n_kept && e == ERR_OK; i++) /* few calls have any */
        e = store_kept_note(tx, in->asker->org, at, m->kept[i]);
    return e;
}

/* ---- batches of one plane, in one transaction ---- */

struct item {
    const struct ledger_asker *asker;
    const Gatehouse__UsageBatch *batch;
    uint64_t committed;
    enum err error;
};

/* Adds the records of a batch that are new, and notes what is in once this is committed. */
static enum err add_batch(struct tx *tx, struct intake *in, struct item *item)
{
    const Gatehouse__UsageBatch *b = item->batch;
    uint64_t committed = 0, behind = b->first_sequence + b->n_records;
    const struct journal_part part = {.plane = item->asker->dataplane,
                                      .epoch = b->epoch,
                                      .worker = b->worker,
                                      .first = b->first_sequence,
                                      .last = behind - 1};
    enum err e = store_cursor_pass(tx, &part, &committed);
    if (e != ERR_OK)
        return e;
    item->committed = committed;
    /* A repeat ends where the cursor stands, or before it: one batch is under way at a time. */
    if (b->n_records > 0 && behind <= committed)
        log_warn(&ingest_log, "records_known_already",
                 "plane=%.*s epoch=%llu worker=%u first=%llu count=%zu committed=%llu",
                 SLICE_ARG(item->asker->dataplane), (unsigned long long)b->epoch, b->worker,
                 (unsigned long long)b->first_sequence, b->n_records,
                 (unsigned long long)committed);
    if (b->first_sequence > committed + 1 || behind <= committed + 1)
        return ERR_OK; /* behind a gap, or nothing new */
    for (size_t i = (size_t)(committed + 1 - b->first_sequence); i < b->n_records && e == ERR_OK;
         i++)
        e = add_record(tx, in, b->records[i]);
    item->committed = behind - 1;
    return e;
}

static enum err put_intake(struct tx *tx, struct intake *in)
{
    enum err e = span_sheet_insert(tx, &in->spans);
    if (e == ERR_OK)
        e = session_sheet_put(tx, &in->sessions);
    if (e == ERR_OK)
        e = spend_sheet_put(tx, &in->spend);
    return e == ERR_OK ? put_charges(tx, in->asker, &in->charges) : e;
}

static enum err take_once(struct db *db, struct item *const *items, size_t n)
{
    TX_AUTO struct tx tx = {0};
    struct intake in;
    const struct ledger_asker *asker = items[0]->asker;
    enum err e = intake_init(&in, asker);
    if (e == ERR_OK)
        e = tx_begin(db, TX_EVERY_ORG, &tx);
    for (size_t i = 0; i < n && e == ERR_OK; i++)
        e = add_batch(&tx, &in, items[i]);
    if (e == ERR_OK)
        e = put_intake(&tx, &in);
    if (e == ERR_OK)
        e = tx_commit(&tx);
    if (e != ERR_OK)
        log_warn(&ingest_log, "batch_refused", "plane=%.*s error=%s sqlstate=%s why=%s",
                 SLICE_ARG(asker->dataplane), err_name(e), tx.error.sqlstate, tx.error.text);
    intake_fini(&in);
    return e;
}

/* In order of their cursors, so that two transactions never wait for each other in a circle. */
static int compare_items(const void *a, const void *b)
{
    const Gatehouse__UsageBatch *x = (*(struct item *const *)a)->batch;
    const Gatehouse__UsageBatch *y = (*(struct item *const *)b)->batch;
    if (x->epoch != y->epoch)
        return x->epoch < y->epoch ? -1 : 1;
    if (x->worker != y->worker)
        return x->worker < y->worker ? -1 : 1;
    return x->first_sequence < y->first_sequence ? -1 : x->first_sequence > y->first_sequence;
}

static void take(struct db *db, struct item **items, size_t n)
{
    enum err e = ERR_AGAIN;
    qsort(items, n, sizeof(struct item *), compare_items);
    for (int i = 0; i < TRIES && e == ERR_AGAIN; i++)
        e = take_once(db, items, n);
    for (size_t i = 0; i < n; i++) {
        items[i]->error = e;
        if (e != ERR_OK && n > 1) /* one of them must not hold up the others */
            take(db, &items[i], 1);
    }
}

static bool is_fit(const Gatehouse__UsageBatch *b)
{
    return b->epoch <= INT64_MAX && b->worker <= INT32_MAX && b->first_sequence != 0 &&
           b->first_sequence <= INT64_MAX - b->n_records;
}

enum err ingest_batch(struct db *db, const struct ledger_asker *asker,
                      const Gatehouse__UsageBatch *b, uint64_t *ret_committed)
{
    struct item item = {.asker = asker, .batch = b}, *items[] = {&item};
    if (!is_fit(b))
        return ERR_INVALID;
    take(db, items, 1);
    if (item.error == ERR_OK)
        *ret_committed = item.committed;
    return item.error;
}

/* ---- gathering ---- */

/* Batches of one plane that are taken in together: its first one's thread waits for the others and
 * runs the transaction, their threads wait for it. */
struct group {
    struct list link; /* in ingest.open, while others may join */
    struct item *items[GATHER_MAX];
    size_t n, records;
    bool done;
    size_t waiting; /* threads that still use it */
};

struct ingest {
    struct db *db;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list open;
    struct ingest_counts counts;
};

enum err ingest_new(struct db *db, struct ingest **ret)
{
    struct ingest *in = mem_zalloc(sizeof(*in));
    if (!in)
        return ERR_NOMEM;
    pthread_condattr_t attr;
    in->db = db;
    list_init(&in->open);
    pthread_mutex_init(&in->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&in->changed, &attr);
    pthread_condattr_destroy(&attr);
    *ret = in;
    return ERR_OK;
}

void ingest_free(struct ingest *in)
{
    if (!in)
        return;
    pthread_cond_destroy(&in->changed);
    pthread_mutex_destroy(&in->lock);
    mem_free(in);
}

static struct group *find_open(struct ingest *in, const struct ledger_asker *asker)
{
    struct list *at;
    for (at = in->open.next; at != &in->open; at = at->next) {
        struct group *g = CONTAINER_OF(at, struct group, link);
        if (g->n < GATHER_MAX && slice_eq(g->items[0]->asker->dataplane, asker->dataplane))
            return g;
    }
    return NULL;
}

static void join(struct ingest *in, struct group *g, struct item *item)
{
    g->items[g->n++] = item;
    g->records += item->batch->n_records;
    if (g->records >= GATHER_RECORDS || g->n == GATHER_MAX)
        pthread_cond_broadcast(&in->changed); /* nothing more is waited for */
}

static void follow(struct ingest *in, struct group *g, struct item *item)
{
    g->waiting++;
    join(in, g, item);
    while (!g->done)
        pthread_cond_wait(&in->changed, &in->lock);
    g->waiting--;
    pthread_cond_broadcast(&in->changed);
}

static void gather(struct ingest *in, struct group *g)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_US * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (g->records < GATHER_RECORDS && g->n < GATHER_MAX &&
           pthread_cond_timedwait(&in->changed, &in->lock, &until) == 0)
        ;
}

static void lead(struct ingest *in, struct item *item)
{
    struct group g = {.n = 0};
    list_push(&in->open, &g.link);
    join(in, &g, item);
    gather(in, &g);
    list_remove(&g.link);
    pthread_mutex_unlock(&in->lock);
    take(in->db, g.items, g.n);
    pthread_mutex_lock(&in->lock);
    g.done = true;
    in->counts.transactions++;
    pthread_cond_broadcast(&in->changed);
    while (g.waiting > 0)
        pthread_cond_wait(&in->changed, &in->lock);
}

/* How old a batch's newest record is tells how far ingest is behind. */
static void note(struct ingest *in, const struct item *item)
{
    const Gatehouse__UsageBatch *b = item->batch;
    int64_t age = 0;
    if (b->n_records > 0 && b->records[b->n_records - 1]->span)
        age = clock_wall_us() - b->records[b->n_records - 1]->span->started_at_us;
    in->counts.batches++;
    if (item->error != ERR_OK)
        in->counts.failed++;
    else
        in->counts.records += b->n_records;
    in->counts.lag_us = age > 0 ? age : 0;
}

void ingest_counts(struct ingest *in, struct ingest_counts *ret)
{
    pthread_mutex_lock(&in->lock);
    *ret = in->counts;
    pthread_mutex_unlock(&in->lock);
}

enum err ingest_take(struct ingest *in, const struct ledger_asker *asker,
                     const Gatehouse__UsageBatch *b, uint64_t *ret_committed)
{
    struct item item = {.asker = asker, .batch = b};
    if (!is_fit(b))
        return ERR_INVALID;
    pthread_mutex_lock(&in->lock);
    struct group *g = find_open(in, asker);
    if (g)
        follow(in, g, &item);
    else
        lead(in, &item);
    note(in, &item);
    pthread_mutex_unlock(&in->lock);
    if (item.error == ERR_OK)
        *ret_committed = item.committed;
    return item.error;
}
