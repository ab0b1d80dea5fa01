/*
 * timetable — runs the periodic jobs of the control plane.
 *
 * One table of jobs, each with its interval; one thread runs them in turn. Several control planes
 * on one database run each job once: a round is run under an advisory lock, and a job of a minute
 * or more notes in the table `chores` when it was run last. Every job is idempotent. A job that
 * fails is logged and tried again at its next time.
 *
 * Owns     its thread. What the config names is lent.
 * Threads  own; timetable_states: any.
 */
#pragma once

#include <pthread.h>

#include "controlplane/channel/planes.h"
#include "controlplane/chores/retention.h"
#include "controlplane/store/db.h"
#include "controlplane/store/store_chore.h"

struct timetable;

/* Where the job `observe` stores its result. */
struct observed_cell {
    pthread_mutex_t lock;
    struct observed seen;
    bool known;
};

struct timetable_config {
    struct db *db;
    struct planes *planes;
    struct retention retention;
    struct observed_cell *observed; /* the timetable's own; NULL: nowhere */
};

/* The last outcome of a job on this control plane; one row for each, in the table's order. */
struct chore_state {
    const char *name;
    int64_t ran_at; /* wall; 0: not yet. By this control plane, successfully */
    uint64_t runs, failures;
};
#define CHORES_MAX 24

MUST_USE enum err timetable_start(const struct timetable_config *c, struct timetable **ret);
/* The names of the jobs, in the table's order, ended by NULL. */
const char *const *timetable_names(void);
/* What the job `observe` saw last; any thread. false: nothing yet. */
bool timetable_observed(struct timetable *t, struct observed *ret);
/* any thread; returns how many */
size_t timetable_states(struct timetable *t, struct chore_state ret[static CHORES_MAX]);
void timetable_stop(struct timetable **t); /* NULL inside is fine; waits for the job that runs */
