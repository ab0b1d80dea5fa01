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
/* Closed leases that no plane will charge any more are forgotten. */
job_fn job_forget_leases;
/* A session is over half an hour after its last span. */
job_fn job_end_sessions;
/* Makes the partitions of today and the next seven days. */
job_fn job_make_days;
/* Stores the last report of each plane, so that a restarted control plane has it. */
job_fn job_note_planes;
/* Reads totals from the database for the metrics. */
job_fn job_observe;
/* What is older than the settings keep it: days of spans, ended sessions, hourly sums, changes. */
job_fn job_drop_spans;
job_fn job_drop_sessions;
job_fn job_drop_spend;
job_fn job_trim_changes;
/* Budgets' periods that ended long ago. */
job_fn job_drop_budget_periods;
/* Removes cursors of epochs of a plane that can send nothing more. */
job_fn job_forget_cursors;
/* Replies that were kept for a repeated POST. */
job_fn job_forget_replies;
job_fn job_forget_shares;
/* What owners had at providers and have no more. */
job_fn job_forget_kept;
/* The channel's server certificate is renewed long before it ends. */
job_fn job_renew_certificate;
