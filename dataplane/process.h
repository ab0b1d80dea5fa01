/*
 * process — one data plane from its first contact to its last record: enrolment, the channel, the
 * workers, health, and the drain that ends it.
 *
 * Owns     all of them.
 * Threads  the main loop's.
 */
#pragma once

#include "common/net/loop.h"
#include "dataplane/dataplane_settings.h"

struct process;

/* Starts; the loop is stopped where it cannot go on, and after a drain. */
MUST_USE enum err process_start(const struct settings *s, struct loop *l, struct process **ret);
/* The first asks for a drain, the second for an end at once. */
void process_end(struct process *p);
void process_reload(struct process *p); /* certificates are read again */
/* After loop_run. What is left goes; returns the exit code. */
int process_free(struct process **p);
