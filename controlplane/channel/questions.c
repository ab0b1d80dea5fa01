/* questions — a place for each one that waits. */
#include "controlplane/channel/questions.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/mem.h"

struct question {
    uint64_t number; /* 0: the place is free */
    char plane_id[ID_MAX];
    bool is_answered;
    enum answer_kind kind;
    struct buf *to;  /* of the thread that waits */
    enum err failed; /* the answer could not be kept */
};

struct questions {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    enum err (*push)(void *arg, struct slice plane_id, Gatehouse__ExplainQuestion *question);
    void *arg;
    uint64_t last; /* number */
    struct question places[QUESTIONS_MOST];
};

struct questions *questions_new(enum err (*push)(void *arg, struct slice plane_id,
                                                 Gatehouse__ExplainQuestion *question),
                                void *arg)
{
    pthread_condattr_t attr;
    struct questions *q = mem_zalloc(sizeof(*q));
    if (!q)
        return NULL;
    q->push = push;
    q->arg = arg;
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->answered, &attr);
    pthread_condattr_destroy(&attr);
    /* another start's numbers are others: a late answer to it finds no question */
    q->last = (uint64_t)clock_wall_us();
    return q;
}

void questions_free(struct questions *q)
{
    if (!q)
        return;
    pthread_cond_destroy(&q->answered);
    pthread_mutex_destroy(&q->lock);
    mem_free(q);
}

/* Locked. NULL: all places are taken. */
static struct question *take_place(struct questions *q, struct slice plane_id, struct buf *to)
{
    for (size_t i = 0; i < QUESTIONS_MOST; i++) {
        struct question *x = &q->places[i];
        if (x->number)
            continue;
        *x = (struct question){.number = ++q->last, .to = to};
        snprintf(x->plane_id, sizeof(x->plane_id), "%.*s", SLICE_ARG(plane_id));
        return x;
    }
    return NULL;
}

/* Locked. */
static enum err await(struct questions *q, const struct question *x, unsigned ms)
{
    uint64_t until_us = clock_mono_us() + ms * UINT64_C(1000);
    const struct timespec at = {(time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000};
    while (!x->is_answered && clock_mono_us() < until_us)
        pthread_cond_timedwait(&q->answered, &q->lock, &at);
    return x->is_answered ? x->failed : ERR_TIMEOUT;
}

enum err questions_ask(struct questions *q, struct slice plane_id,
                       Gatehouse__ExplainQuestion *question, unsigned ms,
                       enum answer_kind *ret_kind, struct buf *ret)
{
    pthread_mutex_lock(&q->lock);
    struct question *x = take_place(q, plane_id, ret);
    pthread_mutex_unlock(&q->lock);
    if (!x)
        return ERR_EXHAUSTED;
    question->dataplane_id = x->plane_id;
    question->has_number = true;
    question->number = x->number;
    enum err e = q->push(q->arg, plane_id, question);
    pthread_mutex_lock(&q->lock);
    if (e == ERR_OK)
        e = await(q, x, ms);
    *ret_kind = x->kind;
    x->number = 0;
    pthread_mutex_unlock(&q->lock);
    return e;
}

/* Locked. */
static struct question *find(struct questions *q, struct slice plane_id, uint64_t number)
{
    for (size_t i = 0; i < QUESTIONS_MOST; i++)
        if (number && q->places[i].number == number && !q->places[i].is_answered &&
            slice_eq(slice_str(q->places[i].plane_id), plane_id))
            return &q->places[i];
    return NULL;
}

void questions_answer(struct questions *q, struct slice plane_id, const Gatehouse__Explained *m)
{
    const char *said = m->answer ? m->answer : m->problem ? m->problem : "";
    pthread_mutex_lock(&q->lock);
    struct question *x = find(q, plane_id, m->number);
    if (x) {
        x->kind = m->answer ? ANSWER_GIVEN : m->unknown ? ANSWER_UNKNOWN_MODEL : ANSWER_PROBLEM;
        x->failed = buf_append(x->to, slice_str(said));
        x->is_answered = true;
        pthread_cond_broadcast(&q->answered);
    }
    pthread_mutex_unlock(&q->lock);
}
