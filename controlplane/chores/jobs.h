/*
 * jobs — the chores themselves, each one idempotent and on a clock that is passed in.
 *
 * Fails    as db.h; the timetable logs it.
 * Threads  the timetable's.
 */
#pragma once

#include "controlplane/chores/timetable.h"

typedef enum err job_fn(const struct timetable_config *c, int64_t now);

/* Leases past their time go into suspense. */
job_fn job_expire_leases;
/* Closed leases that nobody will charge any more are forgotten. */
job_fn job_forget_leases;
/* A session is over half an hour after its last span. */
job_fn job_end_sessions;
/* Tomorrow's partition exists today, and a week of them. */
job_fn job_make_days;
/* What planes last said is kept, so that a restarted control plane can tell. */
job_fn job_note_planes;
/* The channel's server certificate is renewed long before it ends. */
job_fn job_renew_certificate;
