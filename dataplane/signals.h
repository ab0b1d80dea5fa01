/*
 * signals — SIGTERM, SIGINT and SIGHUP as calls on a loop.
 *
 * A thread of its own waits for them, so that no handler ever interrupts a worker.
 *
 * Threads  signals_block in main before any thread; the callback comes on the loop's.
 */
#pragma once

#include "common/net/loop.h"

struct signals;

void signals_block(void); /* in this thread and all it starts; SIGPIPE is ignored */
MUST_USE enum err signals_open(struct loop *l, void (*on_signal)(void *arg, int number), void *arg,
                               struct signals **ret);
void signals_close(struct signals **s);
