/*
 * timetable — what has to be done every so often, whether anybody asks or not.
 *
 * One table of jobs, each with its interval; one thread runs them in turn. With several control
 * planes on one database each round is done by whoever gets the advisory lock; every job is
 * idempotent, so that two who both did it have done no harm. A job that fails is logged and
 * tried again at its next time.
 *
 * Owns     its thread. What the config names is lent.
 * Threads  own.
 */
#pragma once

#include "controlplane/channel/planes.h"
#include "controlplane/store/db.h"

struct timetable;

struct timetable_config {
    struct db *db;
    struct sync *sync;
};

MUST_USE enum err timetable_start(const struct timetable_config *c, struct timetable **ret);
void timetable_stop(struct timetable **t); /* NULL inside is fine; waits for the job that runs */
