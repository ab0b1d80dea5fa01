/* timetable — the table of jobs, and the thread that walks it. */
#include "controlplane/chores/timetable.h"

#include <pthread.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/chores/jobs.h"
#include "controlplane/store/store_chore.h"

#define TICK_MS 1000

static const struct log_ctx timetable_log = {.component = "chores"};

static const struct row {
    const char *name;
    job_fn *job;
    unsigned every_s;
    bool own; /* every control plane runs it: no lock */
} rows[] = {
    /* A lease changes under its account's lock only: two at once do no harm, and a turn of its own
     * would double what an idle control plane does each second. */
    {"expire_leases", job_expire_leases, 1, true},
    {"note_planes", job_note_planes, 5, true},
    {"observe", job_observe, 15, true},
    {"end_sessions", job_end_sessions, 60, false},
    {"make_days", job_make_days, 3600, false},
    {"forget_leases", job_forget_leases, 3600, false},
    {"drop_spans", job_drop_spans, 3600, false},
    {"drop_sessions", job_drop_sessions, 3600, false},
    {"drop_spend", job_drop_spend, 3600, false},
    {"drop_budget_periods", job_drop_budget_periods, 3600, false},
    {"trim_changes", job_trim_changes, 3600, false},
    {"forget_cursors", job_forget_cursors, 3600, false},
    {"forget_replies", job_forget_replies, 3600, false},
    {"forget_shares", job_forget_shares, 3600, false},
    {"forget_kept", job_forget_kept, 3600, false},
    {"renew_certificate", job_renew_certificate, 3600, true},
};
_Static_assert(ARRAY_LEN(rows) <= CHORES_MAX, "they have states");

#define NOTED_S 60 /* jobs of this interval or a longer one note when they ran */

struct timetable {
    struct timetable_config config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    uint64_t due_us[ARRAY_LEN(rows)];
    bool failing[ARRAY_LEN(rows)];
    struct chore_state states[ARRAY_LEN(rows)]; /* under lock */
    struct observed_cell observed;
};

/* ERR_AGAIN: a control plane has run it within its interval, or is running it. */
static enum err take_turn(struct tx *turn, const struct row *row, int64_t now)
{
    enum err e = tx_try_lock(turn, TX_LOCK_TIMETABLE);
    if (e != ERR_OK || row->every_s < NOTED_S)
        return e;
    /* One tick less than the interval: a job that ran a little late must not skip a round. */
    int64_t due = now - (int64_t)row->every_s * 1000000 + TICK_MS * 1000;
    return store_chore_take(turn, slice_str(row->name), due, now);
}

/* The turn is a transaction of its own, held for as long as the job runs in others. ERR_AGAIN: it
 * is not this control plane's. */
static enum err run_alone(const struct row *row, const struct timetable_config *c, int64_t now)
{
    TX_AUTO struct tx turn = {0};
    enum err e = tx_begin(c->db, TX_EVERY_ORG, &turn);
    if (e == ERR_OK)
        e = take_turn(&turn, row, now);
    if (e != ERR_OK)
        return e;
    e = row->job(c, now);
    if (e == ERR_OK)
        e = tx_commit(&turn);
    return e == ERR_AGAIN ? ERR_TIMEOUT : e;
}

static enum err run_row(const struct row *row, const struct timetable_config *c, int64_t now)
{
    return row->own ? row->job(c, now) : run_alone(row, c, now);
}

static void note_state(struct timetable *t, size_t i, enum err e)
{
    pthread_mutex_lock(&t->lock);
    struct chore_state *s = &t->states[i];
    s->runs++;
    s->failures += e != ERR_OK;
    s->ran_at = e == ERR_OK ? clock_wall_us() : s->ran_at;
    pthread_mutex_unlock(&t->lock);
}

static const char *names[ARRAY_LEN(rows) + 1];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void write_names(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        names[i] = rows[i].name;
}

const char *const *timetable_names(void)
{
    pthread_once(&names_once, write_names);
    return names;
}

bool timetable_observed(struct timetable *t, struct observed *ret)
{
    pthread_mutex_lock(&t->observed.lock);
    bool known = t->observed.known;
    *ret = t->observed.seen;
    pthread_mutex_unlock(&t->observed.lock);
    return known;
}

size_t timetable_states(struct timetable *t, struct chore_state ret[static CHORES_MAX])
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ret[i] = t->states[i];
        ret[i].name = rows[i].name;
    }
    pthread_mutex_unlock(&t->lock);
    return ARRAY_LEN(rows);
}

/* Logged once when it begins to fail, and once when it works again. */
static void note_result(struct timetable *t, size_t i, enum err e)
{
    if (e == ERR_AGAIN)
        return;
    note_state(t, i, e);
    if (e != ERR_OK && !t->failing[i])
        log_warn(&timetable_log, "chore_failed", "job=%s error=%s", rows[i].name, err_name(e));
    if (e == ERR_OK && t->failing[i])
        log_info(&timetable_log, "chore_works_again", "job=%s", rows[i].name);
    t->failing[i] = e != ERR_OK;
}

static void run_due(struct timetable *t)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (clock_mono_us() < t->due_us[i])
            continue;
        note_result(t, i, run_row(&rows[i], &t->config, clock_wall_us()));
        t->due_us[i] = clock_mono_us() + rows[i].every_s * UINT64_C(1000000);
    }
}

/* true: time to stop */
static bool pause_a_tick(struct timetable *t)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += TICK_MS / 1000;
    pthread_mutex_lock(&t->lock);
    if (!t->stop)
        pthread_cond_timedwait(&t->wake, &t->lock, &until);
    bool stop = t->stop;
    pthread_mutex_unlock(&t->lock);
    return stop;
}

static void *run(void *arg)
{
    struct timetable *t = arg;
    do
        run_due(t);
    while (!pause_a_tick(t));
    return NULL;
}

static void timetable_free(struct timetable *t)
{
    pthread_mutex_destroy(&t->observed.lock);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

enum err timetable_start(const struct timetable_config *c, struct timetable **ret)
{
    struct timetable *t = mem_zalloc(sizeof(*t));
    if (!t)
        return ERR_NOMEM;
    t->config = *c;
    t->config.observed = &t->observed;
    pthread_mutex_init(&t->observed.lock, NULL);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&t->thread, NULL, run, t) != 0) {
        timetable_free(t);
        return ERR_NOMEM;
    }
    *ret = t;
    return ERR_OK;
}

void timetable_stop(struct timetable **ref)
{
    struct timetable *t = *ref;
    if (!t)
        return;
    *ref = NULL;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    timetable_free(t);
}
