/* bus_pipes — a small table behind a lock. */
#include "common/wire/bus_pipes.h"

#include <nng/nng.h>
#include <nng/transport/ipc/ipc.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

#define PIPES_MAX 4096 /* as many as a tunnel's pairs */
#define PATIENCE_S 8   /* longer than the tunnel waits for NNG to notice */
#define FORCE_S 2

void bus_pipes_init(struct bus_pipes *p, void (*on_change)(void *arg), void *arg)
{
    pthread_condattr_t attr;
    *p = (struct bus_pipes){.on_change = on_change, .arg = arg};
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->gone, &attr);
    pthread_condattr_destroy(&attr);
}

void bus_pipes_fini(struct bus_pipes *p)
{
    pthread_cond_destroy(&p->gone);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->at);
}

static bool is_own(nng_pipe pipe)
{
    uint64_t pid = 0;
    if (nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_PID, &pid) == 0 && pid == (uint64_t)getpid())
        return true;
    log_warn(NULL, "bus_stranger", "reason=%s", "another process dialled our socket");
    return false;
}

static bool has_room(struct bus_pipes *p)
{
    if (p->count < p->cap)
        return true;
    size_t cap = p->cap ? 2 * p->cap : 4;
    struct bus_pipe *at = cap <= PIPES_MAX ? mem_realloc(p->at, cap * sizeof(*at)) : NULL;
    if (!at)
        return false;
    p->at = at;
    p->cap = cap;
    return true;
}

static bool add(struct bus_pipes *p, nng_pipe pipe)
{
    int listener = nng_listener_id(nng_pipe_listener(pipe));
    pthread_mutex_lock(&p->lock);
    bool refused = p->refusing == BUS_PIPES_ALL || (p->refusing && p->refusing == listener);
    bool ok = !refused && has_room(p);
    if (ok) {
        p->at[p->count++] = (struct bus_pipe){nng_pipe_id(pipe), listener};
        p->came++;
    }
    pthread_mutex_unlock(&p->lock);
    return ok;
}

static void tell(struct bus_pipes *p)
{
    if (p->on_change)
        p->on_change(p->arg);
}

/* ADD_PRE, not ADD_POST: the new connection is reported before its first message. */
static void on_come(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct bus_pipes *p = arg;
    (void)event;
    if (is_own(pipe) && add(p, pipe))
        tell(p);
    else
        nng_pipe_close(pipe);
}

static void on_go(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct bus_pipes *p = arg;
    bool known = false;
    (void)event;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->count && !known; i++) {
        known = p->at[i].pipe == nng_pipe_id(pipe);
        if (known)
            p->at[i] = p->at[--p->count];
    }
    pthread_cond_broadcast(&p->gone);
    pthread_mutex_unlock(&p->lock);
    if (known)
        tell(p);
}

int bus_pipes_watch(struct bus_pipes *p, nng_socket s)
{
    int rv = nng_pipe_notify(s, NNG_PIPE_EV_ADD_PRE, on_come, p);
    return rv ? rv : nng_pipe_notify(s, NNG_PIPE_EV_REM_POST, on_go, p);
}

/* Locked. The first pipe of that listener; 0: none. */
static int find(const struct bus_pipes *p, int listener)
{
    for (size_t i = 0; i < p->count; i++)
        if (listener == BUS_PIPES_ALL || p->at[i].listener == listener)
            return p->at[i].pipe;
    return 0;
}

/* Takes the lock away while NNG closes: it calls on_go from this very call or from its reaper. */
static void close_each(struct bus_pipes *p, int listener)
{
    for (size_t i = 0; i < p->count; i++) {
        if (listener != BUS_PIPES_ALL && p->at[i].listener != listener)
            continue;
        const nng_pipe pipe = {(uint32_t)p->at[i].pipe};
        size_t before = p->count;
        pthread_mutex_unlock(&p->lock);
        nng_pipe_close(pipe);
        pthread_mutex_lock(&p->lock);
        if (p->count != before) /* the table moved: begin again, closing twice is harmless */
            i = (size_t)-1;
    }
}

/* Locked. false: they are still there. */
static bool wait_gone(struct bus_pipes *p, int listener, unsigned seconds)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    int late = 0;
    while (find(p, listener) && !late)
        late = pthread_cond_timedwait(&p->gone, &p->lock, &end);
    return !late;
}

void bus_pipes_shut(struct bus_pipes *p, int listener)
{
    pthread_mutex_lock(&p->lock);
    p->refusing = listener;
    bool gone = wait_gone(p, listener, PATIENCE_S);
    if (!gone) {
        close_each(p, listener);
        gone = wait_gone(p, listener, FORCE_S);
    }
    pthread_mutex_unlock(&p->lock);
    if (!gone)
        log_error(NULL, "bus_pipe_stuck", "seconds=%d", PATIENCE_S + FORCE_S);
}

bool bus_pipes_any(struct bus_pipes *p, unsigned *came)
{
    pthread_mutex_lock(&p->lock);
    bool any = p->count > 0;
    *came = p->came;
    pthread_mutex_unlock(&p->lock);
    return any;
}
