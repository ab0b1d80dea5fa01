/*
 * loop_private — the inside of a loop, for loop.c, loop_timer.c and the streams' scratch memory.
 *
 * Owns     as loop.h says.
 * Threads  the loop's; only the mailbox is shared.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "common/base/buf.h"
#include "common/net/loop.h"

/* One read(2) takes at most this much; libuv suggests the same. */
#define LOOP_READ_MAX (64u * 1024)
/* A TLS record's largest content (RFC 8446, 5.1). */
#define LOOP_RECORD_MAX (16u * 1024)

struct loop_call {
    void (*fn)(void *arg);
    void *arg;
};

/* Calls in order; grown while half is free. */
struct loop_calls {
    struct loop_call *items;
    size_t count;
    size_t cap;
};

/* The key may lie before the timer's own time: moving a deadline away costs nothing until then. */
struct loop_heap_item {
    uint64_t key_us;
    struct timer *timer;
};

struct loop_heap {
    struct loop_heap_item *items;
    size_t count;
    size_t cap;
};

/* Shared by all streams of the loop: only one of them is being read or written at a time. */
struct loop_scratch {
    char read[LOOP_READ_MAX];     /* bytes as they came, lent to on_data */
    char plain[LOOP_READ_MAX];    /* decrypted, lent to on_data */
    char gather[LOOP_RECORD_MAX]; /* small parts that become one TLS record */
    struct buf cipher;            /* what TLS wants sent; empty between two calls */
};

struct loop_now {
    uint64_t us;
    bool fresh;
    bool turning; /* while a program sets up there is no turn whose start could be meant */
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active: there is work left, do not sleep */
    uv_async_t async;
    uv_timer_t alarm;

    struct loop_now *now; /* apart, so that asking a const loop may look at the clock once */
    struct loop_heap heap;
    uint64_t alarm_us; /* when the libuv timer fires; UINT64_MAX: it is not set */

    struct loop_calls retired;
    struct loop_calls retired_running;
    struct list tasks;

    pthread_mutex_t mail_lock;
    struct loop_calls mail;
    struct loop_calls mail_running;
    bool mail_closed;
    atomic_bool stop;

    struct loop_scratch *scratch;
};

/* Makes space for one more. ERR_NOMEM only when it is full and cannot grow. */
MUST_USE enum err loop_heap_reserve(struct loop_heap *h);

MUST_USE enum err loop_timers_init(struct loop *l);
void loop_timers_fini(struct loop *l);
