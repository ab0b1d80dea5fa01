/*
 * jobs — a few threads that do straight-line work one piece after another.
 *
 * Owns     its threads and queue. What is pushed runs exactly once.
 * Fails    ERR_EXHAUSTED when the queue is full: the caller says "not now".
 * Threads  push: any.
 */
#pragma once

#include "common/base/err.h"

struct jobs;

MUST_USE enum err jobs_start(const char *name, unsigned threads, size_t queue, struct jobs **ret);
MUST_USE enum err jobs_push(struct jobs *j, void (*run)(void *arg), void *arg);
void jobs_stop(struct jobs **j); /* runs what is queued, then ends; NULL is fine */
