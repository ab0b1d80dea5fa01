/*
 * thread_pool — a few threads that do straight-line work one piece after another.
 *
 * Owns     its threads and queue. What is pushed runs exactly once.
 * Fails    ERR_EXHAUSTED when the queue is full: the caller refuses the request.
 * Threads  push: any.
 */
#pragma once

#include "common/base/err.h"

struct thread_pool;

MUST_USE enum err thread_pool_start(const char *name, unsigned threads, size_t queue,
                                    struct thread_pool **ret);
MUST_USE enum err thread_pool_push(struct thread_pool *p, void (*run)(void *arg), void *arg);
void thread_pool_stop(struct thread_pool **p); /* runs what is queued, then ends; NULL is fine */
