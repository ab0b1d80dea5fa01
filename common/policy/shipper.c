/* shipper — one batch under way for each journal, sent when enough records wait or long enough. */
#include "common/policy/shipper.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/journal/journal_private.h"
#include "common/wire/usage_batch.h"
#include "proto/channel.pb-c.h"

/* A batch costs the control plane and PostgreSQL a transaction of a dozen statements, however few
 * records are in it. So records wait this long for others; a lost machine loses no more of them. */
#define SHIP_EVERY_MS 150
/* Journals that have been empty for IDLE_TICKS of those are looked at less often. */
#define IDLE_EVERY_MS 450
#define IDLE_TICKS 14
/* Bytes of records that wait for no others, and that fill a batch. Copying and compressing a MiB
 * holds the core for a millisecond, during which the worker on it answers nothing. */
#define BATCH_FULL (256 * 1024)
#define EPOCHS_MAX 64

struct parcel { /* one journal and what is under way of it */
    struct shipper *shipper;
    struct journal *journal;
    bool earlier; /* of an earlier start: removed once empty */
    bool flying;
    bool refused;       /* the last batch; logged once */
    uint64_t sent_to;   /* ring position behind the batch under way, */
    uint64_t sent_last; /* and the sequence of its last record */
};

struct shipper {
    struct loop *loop;
    struct control_link links;
    struct timer tick;
    unsigned idle_ticks; /* since something waited in a journal */
    unsigned workers;
    size_t parcel_count;
    struct parcel *parcels; /* this start's workers first */
    uint64_t finished[EPOCHS_MAX];
    size_t finished_count;
    bool finishing;
    bool inherited; /* the workers have stopped: their journals are written by the shipper */
    uint64_t lost;
    struct usage_batch batch; /* being sent */
};

/* ---- sending ---- */

/* Logged once, until a batch is taken again. */
static void tell_refused(struct parcel *p, bool refused, const char *why)
{
    unsigned worker = p->journal->page->worker;
    if (refused && !p->refused)
        log_warn(NULL, "usage_refused", "worker=%u error=%s", worker, why);
    else if (!refused && p->refused)
        log_info(NULL, "usage_taken_again", "worker=%u", worker);
    p->refused = refused;
}

static uint64_t bytes_waiting(const struct parcel *p)
{
    const struct journal_page *page = p->journal->page;
    return atomic_load(&page->head) - atomic_load(&page->tail);
}

/* true: the waiting records fill a batch, or space in the ring is short, or no more records will
 * come. */
static bool is_pressing(const struct parcel *p)
{
    const struct journal_page *page = p->journal->page;
    uint64_t waiting = bytes_waiting(p);
    if (journal_is_empty(p->journal))
        return false;
    return p->earlier || p->shipper->inherited || waiting >= BATCH_FULL ||
           waiting >= page->ring_size / 4 || atomic_load(&page->folds) > 0;
}

/* Bytes of records. A large batch costs the control plane less for each, which counts where it does
 * not keep up (half of the ring waits, and from three quarters on calls are folded into sums), or
 * where no call waits for this core any more. */
static size_t batch_room(const struct parcel *p)
{
    const struct journal_page *page = p->journal->page;
    bool is_behind = bytes_waiting(p) >= page->ring_size / 2 || atomic_load(&page->folds) > 0;
    return is_behind || p->shipper->inherited ? USAGE_BATCH_MAX : BATCH_FULL;
}

/* As far as the control plane got in the batch under way. */
static void commit_part(struct parcel *p, uint64_t committed)
{
    uint64_t at = atomic_load(&p->journal->page->tail), sequence;
    struct slice record;
    while (at < p->sent_to && journal_next(p->journal, &at, &sequence, &record) &&
           sequence <= committed)
        journal_commit(p->journal, at, sequence);
}

static void on_ack(void *arg, enum err e, const void *reply)
{
    struct parcel *p = arg;
    const Gatehouse__Reply *m = reply;
    p->flying = false;
    if (e != ERR_OK || !m)
        return; /* no reply: the tick tries again, as after a refusal */
    if (m->error || !m->usage) {
        tell_refused(p, true, m->error ? m->error : "no reply");
        return;
    }
    uint64_t before = atomic_load(&p->journal->page->tail);
    if (m->usage->committed >= p->sent_last)
        journal_commit(p->journal, p->sent_to, p->sent_last);
    else
        commit_part(p, m->usage->committed);
    bool taken = atomic_load(&p->journal->page->tail) != before;
    tell_refused(p, !taken, "nothing of it was taken");
    /* An older control plane that takes nothing would not take it at once either. */
    if (taken && is_pressing(p))
        shipper_hurry(p->shipper);
}

/* Fills the batch from the tail on, as far as it goes; *behind is the ring position after its last
 * record, *first the first one's sequence. */
static void batch_fill(struct usage_batch *b, struct parcel *p, uint64_t *behind, uint64_t *first)
{
    uint64_t at = atomic_load(&p->journal->page->tail), sequence;
    const size_t room = batch_room(p);
    struct slice record;
    usage_batch_clear(b);
    *behind = at;
    while (b->records.len < room && journal_next(p->journal, &at, &sequence, &record) &&
           usage_batch_add(b, record) == ERR_OK) {
        if (b->count == 1)
            *first = sequence;
        *behind = at;
    }
}

static void ship(struct parcel *p)
{
    struct shipper *s = p->shipper;
    if (p->flying || journal_is_shipped(p->journal) || !s->links.is_connected(s->links.arg))
        return;
    Gatehouse__UsageBatch usage = GATEHOUSE__USAGE_BATCH__INIT;
    batch_fill(&s->batch, p, &p->sent_to, &usage.first_sequence);
    if (s->batch.count == 0 || usage_batch_seal(&s->batch, &usage) != ERR_OK)
        return; /* no memory: the next tick tries again */
    p->sent_last = usage.first_sequence + s->batch.count - 1;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    usage.has_epoch = usage.has_worker = usage.has_first_sequence = true;
    usage.epoch = p->journal->page->epoch;
    usage.worker = p->journal->page->worker;
    m.body_case = GATEHOUSE__REQUEST__BODY_USAGE;
    m.usage = &usage;
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
    s->idle_ticks = shipper_is_empty(s) ? s->idle_ticks + 1 : 0;
    timer_start(&s->tick, s->idle_ticks > IDLE_TICKS ? IDLE_EVERY_MS : SHIP_EVERY_MS);
}

void shipper_hurry(struct shipper *s)
{
    timer_start(&s->tick, 0);
}

void shipper_inherit(struct shipper *s)
{
    s->inherited = true;
}

/* ---- new and free ---- */

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

enum err shipper_new(struct loop *l, const struct shipper_config *c,
                     const struct control_link *links, struct shipper **ret)
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
        usage_batch_init(&s->batch);
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
    timer_start(&s->tick, SHIP_EVERY_MS);
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
    usage_batch_fini(&s->batch);
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
            continue; /* the earlier start has reported what it counted */
        ret->dropped += atomic_load(&j->page->dropped);
        ret->folded += atomic_load(&j->page->folded);
    }
}
