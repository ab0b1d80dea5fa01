/* loop — the turn: what libuv calls, what others posted, and what may go at its end. */
#include "common/net/loop.h"

#include <signal.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/loop_private.h"

/* A queue starts with this many places; a worker at rest never grows it. */
#define CALLS_FIRST 256u
/* Rounds of retirements in one turn before the sockets are polled again. */
#define ROUNDS_PER_TURN 8
/* Closing handles takes one libuv turn, their retirements another; ten times that is a bug. */
#define ROUNDS_TO_CLOSE 32
/* 64 KiB of content in records of 16 KiB, a handshake's certificates, alerts: never near it. */
#define CIPHER_MAX (512u * 1024)

/* Makes space for one more. ERR_NOMEM only when it is full and cannot grow. */
static enum err calls_reserve(struct loop_calls *c)
{
    if (c->count < c->cap / 2)
        return ERR_OK;
    size_t cap = c->cap ? c->cap * 2 : CALLS_FIRST;
    struct loop_call *items = mem_realloc(c->items, cap * sizeof(*items));
    if (items) {
        c->items = items;
        c->cap = cap;
    }
    return c->count < c->cap ? ERR_OK : ERR_NOMEM;
}

static void calls_push(struct loop_calls *c, void (*fn)(void *), void *arg)
{
    c->items[c->count++] = (struct loop_call){fn, arg};
}

static void calls_run(struct loop_calls *c)
{
    for (size_t i = 0; i < c->count; i++)
        c->items[i].fn(c->items[i].arg);
    c->count = 0;
}

static void calls_swap(struct loop_calls *a, struct loop_calls *b)
{
    struct loop_calls keep = *a;
    *a = *b;
    *b = keep;
}

static bool has_work(const struct loop *l)
{
    return l->retired.count > 0 || !list_empty(&l->tasks);
}

static void run_tasks(struct loop *l)
{
    struct list round;
    list_init(&round);
    if (!list_empty(&l->tasks)) { /* what is queued from here on belongs to the next round */
        round = l->tasks;
        round.next->prev = &round;
        round.prev->next = &round;
        list_init(&l->tasks);
    }
    struct list *link;
    while ((link = list_take_first(&round))) {
        struct loop_task *t = LIST_ITEM(link, struct loop_task, link);
        t->run(t);
    }
}

static void on_idle(uv_idle_t *h)
{
    (void)h; /* its being active keeps the poll from sleeping; the work is done in prepare */
}

/* Tasks come first: they are callbacks, and what they retire goes in the same turn. */
static void end_turn(struct loop *l)
{
    if (!has_work(l) && !uv_is_active((uv_handle_t *)&l->idle))
        return;
    for (int i = 0; i < ROUNDS_PER_TURN && has_work(l); i++) {
        run_tasks(l);
        calls_swap(&l->retired, &l->retired_running);
        calls_run(&l->retired_running);
    }
    if (has_work(l))
        uv_idle_start(&l->idle, on_idle);
    else
        uv_idle_stop(&l->idle);
}

/* Before the poll: what timers, closing handles and callers outside of any callback left. */
static void on_prepare(uv_prepare_t *h)
{
    struct loop *l = h->data;
    end_turn(l);
    l->now->fresh = false;
}

static void on_check(uv_check_t *h)
{
    end_turn(h->data);
}

static void run_mail(struct loop *l)
{
    pthread_mutex_lock(&l->mail_lock);
    calls_swap(&l->mail, &l->mail_running);
    pthread_mutex_unlock(&l->mail_lock);
    calls_run(&l->mail_running);
}

static void on_async(uv_async_t *h)
{
    struct loop *l = h->data;
    run_mail(l);
    if (atomic_load(&l->stop))
        uv_stop(&l->uv);
}

static void init_handles(struct loop *l)
{
    MUST(uv_prepare_init(&l->uv, &l->prepare) == 0);
    MUST(uv_check_init(&l->uv, &l->check) == 0);
    MUST(uv_idle_init(&l->uv, &l->idle) == 0);
    l->prepare.data = l->check.data = l->idle.data = l->async.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
}

static void free_memory(struct loop *l)
{
    if (l->scratch)
        buf_fini(&l->scratch->cipher);
    mem_free(l->scratch);
    mem_free(l->retired.items);
    mem_free(l->retired_running.items);
    mem_free(l->mail.items);
    mem_free(l->mail_running.items);
    mem_free(l->heap.items);
    mem_free(l->now);
    mem_free(l);
}

static enum err reserve_memory(struct loop *l)
{
    l->now = mem_zalloc(sizeof(*l->now));
    l->scratch = mem_alloc(sizeof(*l->scratch));
    if (l->scratch)
        buf_init(&l->scratch->cipher, CIPHER_MAX);
    if (!l->now || !l->scratch || calls_reserve(&l->retired) ||
        calls_reserve(&l->retired_running) || loop_heap_reserve(&l->heap))
        return ERR_NOMEM;
    return ERR_OK;
}

/* A write to a closed connection must return an error and must not end the process, but libuv and
 * OpenSSL write without MSG_NOSIGNAL. A handler that the program has set is kept. */
static void ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

enum err loop_new(struct loop **ret)
{
    struct loop *l = mem_zalloc(sizeof(*l));
    if (!l)
        return ERR_NOMEM;
    list_init(&l->tasks);
    enum err e = reserve_memory(l);
    if (e)
        goto undo;
    e = ERR_IO;
    if (uv_loop_init(&l->uv))
        goto undo;
    if (uv_async_init(&l->uv, &l->async, on_async)) {
        uv_loop_close(&l->uv);
        goto undo;
    }
    ignore_sigpipe();
    pthread_mutex_init(&l->mail_lock, NULL);
    init_handles(l);
    MUST(loop_timers_init(l) == ERR_OK);
    *ret = l;
    return ERR_OK;
undo:
    free_memory(l);
    return e;
}

static void close_handles(struct loop *l)
{
    loop_timers_fini(l);
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
}

static void close_mail(struct loop *l)
{
    pthread_mutex_lock(&l->mail_lock);
    l->mail_closed = true;
    pthread_mutex_unlock(&l->mail_lock);
    run_mail(l);
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    close_mail(l);
    for (int i = 0; i < ROUNDS_TO_CLOSE; i++) {
        end_turn(l);
        uv_run(&l->uv, UV_RUN_NOWAIT);
    }
    close_handles(l);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    MUST(!has_work(l));
    MUST(uv_loop_close(&l->uv) == 0); /* a stream, a listener or a resolver was left open */
    pthread_mutex_destroy(&l->mail_lock);
    free_memory(l);
}

void loop_run(struct loop *l)
{
    pthread_mutex_lock(&l->mail_lock);
    l->mail_closed = false;
    pthread_mutex_unlock(&l->mail_lock);
    l->now->turning = true;
    l->now->fresh = false;
    if (!atomic_load(&l->stop))
        uv_run(&l->uv, UV_RUN_DEFAULT);
    l->now->turning = false;
    close_mail(l);
    end_turn(l);
    atomic_store(&l->stop, false);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    uv_async_send(&l->async);
}

uint64_t loop_now_us(const struct loop *l)
{
    if (!l->now->fresh || !l->now->turning) {
        l->now->us = clock_mono_us();
        l->now->fresh = true;
    }
    return l->now->us;
}

struct uv_loop_s *loop_uv(struct loop *l)
{
    return &l->uv;
}

enum err loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
    enum err e = ERR_CLOSED;
    pthread_mutex_lock(&l->mail_lock);
    if (!l->mail_closed)
        e = l->mail.count < LIMIT_LOOP_MAIL ? calls_reserve(&l->mail) : ERR_EXHAUSTED;
    if (!e) {
        calls_push(&l->mail, fn, arg);
        if (l->mail.count == 1) /* one wake-up for all that is in the mailbox */
            uv_async_send(&l->async);
    }
    pthread_mutex_unlock(&l->mail_lock);
    return e;
}

void loop_retire(struct loop *l, void (*fn)(void *arg), void *arg)
{
    MUST(calls_reserve(&l->retired) == ERR_OK);
    calls_push(&l->retired, fn, arg);
}

void loop_task_init(struct loop_task *t, void (*run)(struct loop_task *t))
{
    list_init(&t->link);
    t->run = run;
}

void loop_soon(struct loop *l, struct loop_task *t)
{
    if (!loop_task_is_queued(t))
        list_push(&l->tasks, &t->link);
}

void loop_task_cancel(struct loop_task *t)
{
    list_remove(&t->link);
}

bool loop_task_is_queued(const struct loop_task *t)
{
    return !list_empty(&t->link);
}
