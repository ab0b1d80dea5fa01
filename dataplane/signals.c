/*
 * signals — a thread in sigwait.
 */
#include "dataplane/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "common/base/mem.h"

struct signals {
    struct loop *loop;
    void (*on_signal)(void *arg, int number);
    void *arg;
    pthread_t thread;
    atomic_bool closing;
};

struct arrival {
    struct signals *signals;
    int number;
};

static sigset_t ours(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2); /* how signals_close wakes its own thread */
    return set;
}

void signals_block(void)
{
    sigset_t set = ours();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void deliver(void *arg)
{
    struct arrival *a = arg;
    if (!atomic_load(&a->signals->closing))
        a->signals->on_signal(a->signals->arg, a->number);
    mem_free(a);
}

static void *wait_for_them(void *arg)
{
    struct signals *s = arg;
    sigset_t set = ours();
    int number;
    while (sigwait(&set, &number) == 0 && !atomic_load(&s->closing)) {
        struct arrival *a = mem_alloc(sizeof(*a));
        if (!a)
            continue;
        *a = (struct arrival){s, number};
        if (number == SIGUSR2 || loop_post(s->loop, deliver, a))
            mem_free(a);
    }
    return NULL;
}

enum err signals_open(struct loop *l, void (*on_signal)(void *arg, int number), void *arg,
                      struct signals **ret)
{
    struct signals *s = mem_zalloc(sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    s->loop = l;
    s->on_signal = on_signal;
    s->arg = arg;
    if (pthread_create(&s->thread, NULL, wait_for_them, s)) {
        mem_free(s);
        return ERR_IO;
    }
    *ret = s;
    return ERR_OK;
}

void signals_close(struct signals **s)
{
    if (!*s)
        return;
    atomic_store(&(*s)->closing, true);
    pthread_kill((*s)->thread, SIGUSR2);
    pthread_join((*s)->thread, NULL);
    mem_free(*s);
    *s = NULL;
}
