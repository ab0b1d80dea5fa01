/*
 * loop — the event loop of one thread: timers, a mailbox for other threads, and tasks at the end of
 * a turn.
 *
 * libuv underneath; `loop_uv` lends its handle to common/net only.
 *
 * Owns     its handles. Everything started on a loop is closed before loop_free.
 * Fails    ERR_NOMEM, ERR_IO. Timers and retirements cannot fail: their tables grow while half of
 *          them is still free, and a process that could not double them by then is stopped.
 * Threads  only loop_post and loop_stop may be called from another thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/list.h"

struct loop;
struct uv_loop_s;

MUST_USE enum err loop_new(struct loop **ret);
void loop_free(struct loop *l); /* runs what is retired; MUST be stopped */
void loop_run(struct loop *l);  /* until loop_stop */
void loop_stop(struct loop *l); /* any thread */
/* microseconds, monotonic, as of the start of this turn */
uint64_t loop_now_us(const struct loop *l);
struct uv_loop_s *loop_uv(struct loop *l);

/* The mailbox: fn(arg) runs on the loop's thread, in order of posting. Any thread. ERR_CLOSED
 * after the loop has stopped, ERR_EXHAUSTED above LIMIT_LOOP_MAIL: the caller keeps arg. */
MUST_USE enum err loop_post(struct loop *l, void (*fn)(void *arg), void *arg);

/* fn(arg) at the end of this turn, after every callback: the place to free what a callback may
 * still touch. */
void loop_retire(struct loop *l, void (*fn)(void *arg), void *arg);

/* The same with the link inside its owner, so that it costs nothing and can be taken back:
 * how a start that must not call back before it returns tells what it knew at once. */
struct loop_task {
    struct list link;
    void (*run)(struct loop_task *t);
};

void loop_task_init(struct loop_task *t, void (*run)(struct loop_task *t));
void loop_soon(struct loop *l, struct loop_task *t); /* once, however often it is asked */
void loop_task_cancel(struct loop_task *t);          /* harmless when not queued */
bool loop_task_is_queued(const struct loop_task *t);

/* A timer lives inside its owner; the loop keeps thousands in one heap. One shot. */
struct timer {
    struct loop *loop;
    void (*fire)(struct timer *t);
    uint64_t at_us;
    size_t slot; /* place in the heap; SIZE_MAX: not running */
};

void timer_init(struct timer *t, struct loop *l, void (*fire)(struct timer *t));
void timer_start(struct timer *t, uint64_t after_ms); /* starts again where it runs */
void timer_cancel(struct timer *t); /* no callback afterwards; harmless when not running */
bool timer_is_running(const struct timer *t);
