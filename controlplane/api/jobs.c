/*
 * jobs — a ring, a lock, a condition.
 */
#include "controlplane/api/jobs.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/mem.h"

#define THREADS_MOST 64

struct job {
    void (*run)(void *arg);
    void *arg;
};

struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *ring;
    size_t cap, head, count;
    bool stopping;
    unsigned threads;
    pthread_t thread[THREADS_MOST];
};

static bool take(struct jobs *j, struct job *ret)
{
    pthread_mutex_lock(&j->lock);
    while (j->count == 0 && !j->stopping)
        pthread_cond_wait(&j->more, &j->lock);
    bool got = j->count > 0;
    if (got) {
        *ret = j->ring[j->head];
        j->head = (j->head + 1) % j->cap;
        j->count--;
    }
    pthread_mutex_unlock(&j->lock);
    return got;
}

static void *work(void *arg)
{
    struct job job;
    while (take(arg, &job))
        job.run(job.arg);
    return NULL;
}

static enum err start_threads(struct jobs *j, const char *name, unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        char label[16]; /* the kernel's ceiling */
        if (pthread_create(&j->thread[i], NULL, work, j) != 0)
            return ERR_EXHAUSTED;
        snprintf(label, sizeof(label), "%.11s-%u", name, i % 100);
        pthread_setname_np(j->thread[i], label);
        j->threads++;
    }
    return ERR_OK;
}

enum err jobs_start(const char *name, unsigned threads, size_t queue, struct jobs **ret)
{
    MUST(threads > 0 && threads <= THREADS_MOST && queue > 0);
    struct jobs *j = mem_zalloc(sizeof(*j));
    if (j == NULL)
        return ERR_NOMEM;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->more, NULL);
    j->cap = queue;
    j->ring = mem_array(queue, sizeof(struct job));
    enum err e = j->ring != NULL ? start_threads(j, name, threads) : ERR_NOMEM;
    if (e != ERR_OK) {
        jobs_stop(&j);
        return e;
    }
    *ret = j;
    return ERR_OK;
}

enum err jobs_push(struct jobs *j, void (*run)(void *arg), void *arg)
{
    enum err e = ERR_EXHAUSTED;
    pthread_mutex_lock(&j->lock);
    if (j->count < j->cap && !j->stopping) {
        j->ring[(j->head + j->count++) % j->cap] = (struct job){run, arg};
        pthread_cond_signal(&j->more);
        e = ERR_OK;
    }
    pthread_mutex_unlock(&j->lock);
    return e;
}

void jobs_stop(struct jobs **jobs)
{
    struct jobs *j = *jobs;
    *jobs = NULL;
    if (j == NULL)
        return;
    pthread_mutex_lock(&j->lock);
    j->stopping = true;
    pthread_cond_broadcast(&j->more);
    pthread_mutex_unlock(&j->lock);
    for (unsigned i = 0; i < j->threads; i++)
        pthread_join(j->thread[i], NULL);
    pthread_cond_destroy(&j->more);
    pthread_mutex_destroy(&j->lock);
    mem_free(j->ring);
    mem_free(j);
}
