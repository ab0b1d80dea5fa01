/* shipper — see the card. */
#include "common/policy/shipper.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/policy/journal_private.h"
#include "proto/channel.pb-c.h"

#define TICK_MS 50               /* a lost machine loses at most 200 ms of detail */
#define BATCH_RECORDS 512        /* at most, and */
#define BATCH_BYTES (512 * 1024) /* at most; a quarter of a message with room for framing */
#define EPOCHS_MAX 64

struct parcel { /* one journal and what is under way of it */
    struct shipper *shipper;
    struct journal *journal;
    bool earlier; /* of an earlier start: removed once empty */
    bool flying;
    bool refused;     /* the last batch; said once */
    uint64_t sent_to; /* ring position behind the batch under way */
    uint64_t last_sequence;
};

struct shipper {
    struct loop *loop;
    struct desk_links links;
    struct timer tick;
    unsigned workers;
    size_t parcel_count;
    struct parcel *parcels; /* this start's workers first */
    uint64_t finished[EPOCHS_MAX];
    size_t finished_count;
    bool finishing;
    bool inherited; /* the workers have stopped: their journals' pens are ours */
    uint64_t lost;
    struct buf bytes; /* of the batch being sent */
};

/* ---- sending ---- */

static void on_ack(void *arg, enum err e, const void *reply)
{
    struct parcel *p = arg;
    const Gatehouse__Reply *m = reply;
    p->flying = false;
    if (e != ERR_OK || !m || m->error || !m->usage) {
        if (m && m->error && !p->refused) /* the tick tries again; once is enough to say so */
            log_warn(NULL, "usage_refused", "error=%s", m->error);
        p->refused = m && m->error;
        return;
    }
    if (p->refused)
        log_info(NULL, "usage_taken_again", "worker=%u", p->journal->page->worker);
    p->refused = false;
    uint64_t at = atomic_load(&p->journal->page->tail), sequence;
    struct slice record;
    while (at < p->sent_to && journal_next(p->journal, &at, &sequence, &record) &&
           sequence <= m->usage->committed)
        journal_commit(p->journal, at, sequence);
    if (!journal_is_empty(p->journal)) /* or there is room now for what was folded */
        shipper_hurry(p->shipper);
}

/* A batch of records as they lie in the ring: each is already a packed JournalRecord, so it travels
 * as a field that protobuf-c passes through, instead of being read and written again. */
struct batch {
    Gatehouse__UsageBatch usage;
    ProtobufCMessageUnknownField fields[BATCH_RECORDS];
    size_t count;
};

#define RECORDS_FIELD 4 /* of UsageBatch, proto/usage.proto */
#define LENGTH_MAX 10

/* Appends the record with the length that stands before it on the wire; the room was made before,
 * so what earlier fields point to does not move. */
static enum err batch_add(struct batch *b, struct buf *bytes, struct slice record)
{
    char length[LENGTH_MAX];
    size_t n = 0, rest = record.len;
    do {
        length[n++] = (char)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
        rest >>= 7;
    } while (rest > 0);
    char *to;
    enum err e = buf_room(bytes, n + record.len, &to); /* within what batch_fill made room for */
    if (e != ERR_OK)
        return e;
    memcpy(to, length, n);
    memcpy(to + n, record.ptr, record.len);
    buf_commit(bytes, n + record.len);
    b->fields[b->count++] = (ProtobufCMessageUnknownField){
        .tag = RECORDS_FIELD,
        .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
        .len = n + record.len,
        .data = (uint8_t *)to,
    };
    return ERR_OK;
}

/* Fills the batch from the tail on; *behind is the ring position after its last record. */
static void batch_fill(struct batch *b, struct parcel *p, struct buf *bytes, uint64_t *behind)
{
    uint64_t at = atomic_load(&p->journal->page->tail), sequence;
    struct slice record;
    char *room;
    *behind = at;
    gatehouse__usage_batch__init(&b->usage);
    b->count = 0;
    buf_clear(bytes);
    if (buf_room(bytes, BATCH_BYTES + LENGTH_MAX + JOURNAL_RECORD_MAX, &room) != ERR_OK)
        return;
    while (b->count < BATCH_RECORDS && bytes->len < BATCH_BYTES &&
           journal_next(p->journal, &at, &sequence, &record)) {
        if (batch_add(b, bytes, record) != ERR_OK)
            break; /* no memory: the next tick tries again */
        if (b->count == 1)
            b->usage.first_sequence = sequence;
        *behind = at;
    }
    b->usage.base.n_unknown_fields = (unsigned)b->count;
    b->usage.base.unknown_fields = b->fields;
}

static void ship(struct parcel *p)
{
    struct shipper *s = p->shipper;
    if (p->flying || journal_is_shipped(p->journal) || !s->links.is_connected(s->links.arg))
        return;
    struct batch b;
    batch_fill(&b, p, &s->bytes, &p->sent_to);
    if (b.count == 0)
        return;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    b.usage.has_epoch = b.usage.has_worker = b.usage.has_first_sequence = true;
    b.usage.epoch = p->journal->page->epoch;
    b.usage.worker = p->journal->page->worker;
    m.body_case = GATEHOUSE__REQUEST__BODY_USAGE;
    m.usage = &b.usage;
    p->flying = s->links.request(s->links.arg, &m, on_ack, p) == ERR_OK;
}

/* ---- earlier starts ---- */

static void on_finished(void *arg, enum err e, const void *reply)
{
    struct shipper *s = arg;
    const Gatehouse__Reply *m = reply;
    s->finishing = false;
    if (e == ERR_OK && m && !m->error)
        s->finished_count = 0;
}

static void report_finished(struct shipper *s)
{
    if (s->finished_count == 0 || s->finishing || !s->links.is_connected(s->links.arg))
        return;
    for (size_t i = s->workers; i < s->parcel_count; i++) {
        if (s->parcels[i].journal)
            return; /* an epoch has one journal per worker: wait for all */
    }
    Gatehouse__LeaseEndRequest body = GATEHOUSE__LEASE_END_REQUEST__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    body.n_finished_epochs = s->finished_count;
    body.finished_epochs = s->finished;
    m.body_case = GATEHOUSE__REQUEST__BODY_LEASE_END;
    m.lease_end = &body;
    s->finishing = s->links.request(s->links.arg, &m, on_finished, s) == ERR_OK;
}

static void note_finished(struct shipper *s, uint64_t epoch)
{
    for (size_t i = 0; i < s->finished_count; i++) {
        if (s->finished[i] == epoch)
            return;
    }
    if (s->finished_count < EPOCHS_MAX)
        s->finished[s->finished_count++] = epoch;
}

static void retire_if_shipped(struct parcel *p)
{
    if (!p->earlier || p->flying || !p->journal || !journal_is_empty(p->journal))
        return;
    note_finished(p->shipper, p->journal->page->epoch);
    journal_remove(p->journal);
    p->journal = NULL;
}

static void ship_all(struct shipper *s)
{
    for (size_t i = 0; i < s->parcel_count; i++) {
        struct parcel *p = &s->parcels[i];
        retire_if_shipped(p);
        if (!p->journal)
            continue;
        if (p->earlier || s->inherited)
            journal_tend(p->journal);
        ship(p);
    }
    report_finished(s);
}

static void on_tick(struct timer *t)
{
    struct shipper *s = CONTAINER_OF(t, struct shipper, tick);
    ship_all(s);
    timer_start(&s->tick, TICK_MS);
}

void shipper_hurry(struct shipper *s)
{
    timer_start(&s->tick, 0);
}

void shipper_inherit(struct shipper *s)
{
    s->inherited = true;
}

/* ---- birth and death ---- */

static int is_journal(const struct dirent *d)
{
    return strncmp(d->d_name, "journal-", 8) == 0 && strstr(d->d_name, ".unreadable") == NULL;
}

static void set_aside(const char *path)
{
    char aside[600];
    snprintf(aside, sizeof(aside), "%s.unreadable", path);
    if (rename(path, aside) == 0)
        log_error(NULL, "journal_unreadable", "kept_as=%s", aside);
}

static enum err add_earlier(struct shipper *s, const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    struct journal *j;
    enum err e = journal_replay(path, &j);
    if (e == ERR_INVALID || e == ERR_EXHAUSTED) { /* and will be so the next time */
        set_aside(path);
        return ERR_OK;
    }
    if (e != ERR_OK) { /* no descriptor, no memory, a disk that fails: its records are still good */
        log_error(NULL, "journal_not_opened", "path=%s error=%s", path, err_name(e));
        return e;
    }
    uint64_t lost = atomic_load(&j->page->lost);
    s->lost += lost;
    log_info(NULL, "journal_replayed", "path=%s lost_calls=%lu", path, (unsigned long)lost);
    s->parcels[s->parcel_count++] = (struct parcel){.shipper = s, .journal = j, .earlier = true};
    return ERR_OK;
}

static enum err open_own(struct shipper *s, const struct shipper_config *c)
{
    for (unsigned i = 0; i < c->workers; i++) {
        struct journal_config own = {
            .dir = c->dir, .epoch = c->epoch, .worker = i, .bytes = c->journal_bytes};
        struct journal *j;
        enum err e = journal_create(&own, &j);
        if (e != ERR_OK)
            return e;
        s->parcels[s->parcel_count++] = (struct parcel){.shipper = s, .journal = j};
    }
    return ERR_OK;
}

enum err shipper_new(struct loop *l, const struct shipper_config *c, const struct desk_links *links,
                     struct shipper **ret)
{
    struct dirent **names = NULL;
    int count = scandir(c->dir, &names, is_journal, alphasort);
    if (count < 0)
        return ERR_IO;
    enum err e = ERR_NOMEM;
    struct shipper *s = mem_zalloc(sizeof(*s));
    if (s) {
        s->loop = l;
        s->links = *links;
        s->workers = c->workers;
        timer_init(&s->tick, l, on_tick);
        buf_init(&s->bytes, LIMIT_BUS_MESSAGE);
        s->parcels = mem_array(c->workers + (size_t)count, sizeof(*s->parcels));
        if (s->parcels)
            e = open_own(s, c);
    }
    for (int i = 0; i < count; i++) {
        if (e == ERR_OK)
            e = add_earlier(s, c->dir, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (e != ERR_OK) {
        shipper_free(s);
        return e;
    }
    timer_start(&s->tick, TICK_MS);
    *ret = s;
    return ERR_OK;
}

void shipper_free(struct shipper *s)
{
    if (!s)
        return;
    timer_cancel(&s->tick);
    for (size_t i = 0; s->parcels && i < s->parcel_count; i++) {
        struct journal *j = s->parcels[i].journal;
        if (j && journal_is_empty(j) && j->seats == 0 && j->taken == 0)
            journal_remove(j);
        else
            journal_unmap(j);
    }
    buf_fini(&s->bytes);
    mem_free(s->parcels);
    mem_free(s);
}

struct journal *shipper_journal(struct shipper *s, unsigned worker)
{
    MUST(worker < s->workers);
    return s->parcels[worker].journal;
}

bool shipper_is_empty(const struct shipper *s)
{
    for (size_t i = 0; i < s->parcel_count; i++) {
        if (s->parcels[i].journal && !journal_is_empty(s->parcels[i].journal))
            return false;
    }
    return true;
}

void shipper_counts(const struct shipper *s, struct shipper_counts *ret)
{
    *ret = (struct shipper_counts){.lost = s->lost};
    for (size_t i = 0; i < s->parcel_count; i++) {
        const struct journal *j = s->parcels[i].journal;
        if (!j)
            continue;
        ret->waiting += journal_waiting(j);
        if (s->parcels[i].earlier)
            continue; /* what an earlier start counted, it has told */
        ret->dropped += atomic_load(&j->page->dropped);
        ret->folded += atomic_load(&j->page->folded);
    }
}
