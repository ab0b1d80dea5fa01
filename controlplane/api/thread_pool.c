/*
 * thread_pool — a ring, a lock, a condition.
 */
#include "controlplane/api/thread_pool.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/mem.h"

#define THREADS_MOST 64

struct job {
    void (*run)(void *arg);
    void *arg;
};

struct thread_pool {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *ring;
    size_t cap, head, count;
    bool stopping;
    unsigned threads;
    pthread_t thread[THREADS_MOST];
};

static bool take(struct thread_pool *p, struct job *ret)
{
    pthread_mutex_lock(&p->lock);
    while (p->count == 0 && !p->stopping)
        pthread_cond_wait(&p->more, &p->lock);
    bool got = p->count > 0;
    if (got) {
        *ret = p->ring[p->head];
        p->head = (p->head + 1) % p->cap;
        p->count--;
    }
    pthread_mutex_unlock(&p->lock);
    return got;
}

static void *work(void *arg)
{
    struct job job;
    while (take(arg, &job))
        job.run(job.arg);
    return NULL;
}

static enum err start_threads(struct thread_pool *p, const char *name, unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        char label[16]; /* the kernel's ceiling */
        if (pthread_create(&p->thread[i], NULL, work, p) != 0)
            return ERR_EXHAUSTED;
        snprintf(label, sizeof(label), "%.11s-%u", name, i % 100);
        pthread_setname_np(p->thread[i], label);
        p->threads++;
    }
    return ERR_OK;
}

enum err thread_pool_start(const char *name, unsigned threads, size_t queue,
                           struct thread_pool **ret)
{
    MUST(threads > 0 && threads <= THREADS_MOST && queue > 0);
    struct thread_pool *p = mem_zalloc(sizeof(*p));
    if (p == NULL)
        return ERR_NOMEM;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    p->cap = queue;
    p->ring = mem_array(queue, sizeof(struct job));
    enum err e = p->ring != NULL ? start_threads(p, name, threads) : ERR_NOMEM;
    if (e != ERR_OK) {
        thread_pool_stop(&p);
        return e;
    }
    *ret = p;
    return ERR_OK;
}

enum err thread_pool_push(struct thread_pool *p, void (*run)(void *arg), void *arg)
{
    enum err e = ERR_EXHAUSTED;
    pthread_mutex_lock(&p->lock);
    if (p->count < p->cap && !p->stopping) {
        p->ring[(p->head + p->count++) % p->cap] = (struct job){run, arg};
        pthread_cond_signal(&p->more);
        e = ERR_OK;
    }
    pthread_mutex_unlock(&p->lock);
    return e;
}

void thread_pool_stop(struct thread_pool **pool)
{
    struct thread_pool *p = *pool;
    *pool = NULL;
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->ring);
    mem_free(p);
}
