/*
 * handover — a supervisor replaces its own program without ending its children.
 *
 * The process stays the same, so its children stay its children: it writes what it knows of them
 * into FOLDER/handover, keeps their pipes and its lock open, and executes the program file anew.
 * The new program finds the file with its own process id in it, takes the children over, removes
 * the file, and reads the process directory as at every start.
 *
 *   supervisor PID LOCK
 *   process RANK NAME PID RESTARTS SINCE READ_END WRITE_END SIGNAL GRACE STAMP
 *
 * Threads  one.
 */
#pragma once

#include "deploy/supervisor/supervisor.h"

/* Returns only where it failed; the supervisor goes on as it was. */
void handover_give(struct supervisor *s, int lock, char **argv);
/* The lock that was handed over; -1: nothing was, this is a fresh start. */
int handover_lock(const char *folder);
/* Appends the children to s; after handover_lock has found one. */
void handover_take(struct supervisor *s);
