/*
 * publication — gives each policy version to every worker, and reports when all of them have it.
 *
 * A worker receives a version through its mailbox. Where that fails (the mailbox is full, there is
 * no memory), the newest version is sent again every 10 ms; until it was sent the worker counts as
 * untold, and no wait for quiescence that began meanwhile ends. No wait is lost, also when the
 * mailbox of the main loop is full or the process has to stop at once.
 *
 * Quiescence: publication_after_turns calls back when every worker that runs has ended a turn
 * which began after the call and after the newest version was told. A worker that has stopped
 * counts as having ended it.
 *
 * Owns     the newest version; what waits.
 * Fails    ERR_NOMEM when it is made; later calls cannot fail, only take longer.
 * Threads  the main loop's.
 */
#pragma once

#include "common/net/loop.h"
#include "common/policy/snapshot.h"

struct publication;

/* How a worker is reached; any error but ERR_CLOSED (it has stopped) is tried again. */
struct publication_ops {
    enum err (*publish)(void *worker, const struct snapshot *s);
    /* fn(arg) once, on any thread, when a turn that begins after this call has ended */
    enum err (*after_turn)(void *worker, void (*fn)(void *arg), void *arg);
};

MUST_USE enum err publication_new(struct loop *l, const struct publication_ops *ops, size_t workers,
                                  struct publication **ret);
/* A worker has started: it is sent the newest version, where there is one. At most `workers` of
 * them. */
void publication_add(struct publication *p, void *worker);
/* The newest version; NULL: none was put yet. Lent. */
const struct snapshot *publication_newest(const struct publication *p);
void publication_put(struct publication *p, const struct snapshot *s);
void publication_after_turns(struct publication *p, void (*fn)(void *arg), void *arg);
size_t publication_untold(const struct publication *p); /* workers that have an older version */
/* Every worker has stopped and is forgotten; what waits ends at the loop's next turn. */
void publication_clear(struct publication *p);
void publication_free(struct publication *p); /* what still waits is not called any more */
