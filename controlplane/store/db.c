/*
 * db — the pool: idle and taken connections, and the time of the next try to connect. Statements
 * are in db_query.c.
 */
#include "controlplane/store/db.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/store/db_conn.h"

#define BACKOFF_FIRST_US 100000u /* a restarted server is back within a few of these */
#define BACKOFF_LAST_US 1000000u /* one attempt a second is no load for a server that starts */

static const struct log_ctx db_log = {.component = "db"};

struct db {
    char *url;
    unsigned max;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct db_conn **idle; /* a stack: the connection given back last is taken first */
    unsigned idle_count;
    unsigned out; /* taken, or being made */
    uint64_t backoff_us;
    uint64_t retry_at_us;
    uint64_t busy; /* times that none became free */
};

enum err db_open(const char *url, unsigned max_connections, struct db **ret)
{
    if (url == NULL || *url == '\0' || max_connections == 0)
        return ERR_INVALID;
    struct db *d = mem_zalloc(sizeof(*d));
    if (d == NULL)
        return ERR_NOMEM;
    d->url = mem_strdup(url);
    d->idle = mem_array(max_connections, sizeof(struct db_conn *));
    if (d->url == NULL || d->idle == NULL) {
        mem_free(d->url);
        mem_free(d->idle);
        mem_free(d);
        return ERR_NOMEM;
    }
    d->max = max_connections;
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->freed, &attr);
    pthread_condattr_destroy(&attr);
    *ret = d;
    return ERR_OK;
}

void db_close(struct db *d)
{
    if (d == NULL)
        return;
    MUST(d->out == 0);
    for (unsigned i = 0; i < d->idle_count; i++)
        db_conn_close(&d->idle[i]);
    pthread_cond_destroy(&d->freed);
    pthread_mutex_destroy(&d->lock);
    mem_free(d->idle);
    mem_free(d->url);
    mem_free(d);
}

static struct timespec deadline_after(unsigned wait_ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* the clock that the condition waits on */
    t.tv_sec += wait_ms / 1000;
    t.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

/* With the lock held: waits until there is an idle connection or a new one may be opened. */
static enum err wait_for_turn(struct db *d, unsigned wait_ms)
{
    struct timespec until = deadline_after(wait_ms);
    while (d->idle_count == 0 && d->out >= d->max) {
        if (pthread_cond_timedwait(&d->freed, &d->lock, &until) != 0 && d->idle_count == 0 &&
            d->out >= d->max) {
            d->busy++;
            return ERR_TIMEOUT;
        }
    }
    return ERR_OK;
}

void db_counts(struct db *d, struct db_counts *ret)
{
    pthread_mutex_lock(&d->lock);
    *ret = (struct db_counts){.idle = d->idle_count,
                              .taken = d->out,
                              .max = d->max,
                              .busy = d->busy,
                              .away = d->backoff_us > 0};
    pthread_mutex_unlock(&d->lock);
}

/* With the lock held: what a failed or successful attempt means for the next one. */
static void note_attempt(struct db *d, enum err e)
{
    if (e == ERR_OK) {
        if (d->backoff_us > 0)
            log_info(&db_log, "database_back", "pool=%u", d->max);
        d->backoff_us = 0;
        d->retry_at_us = 0;
        return;
    }
    d->backoff_us = d->backoff_us == 0 ? BACKOFF_FIRST_US : d->backoff_us * 2;
    if (d->backoff_us > BACKOFF_LAST_US)
        d->backoff_us = BACKOFF_LAST_US;
    d->retry_at_us = clock_mono_us() + d->backoff_us;
    log_warn(&db_log, "database_away", "retry_ms=%u", (unsigned)(d->backoff_us / 1000));
}

/* Drops the lock while connecting, so that other threads can give their connections back. */
static enum err make_one(struct db *d, struct db_conn **ret)
{
    if (d->retry_at_us > clock_mono_us())
        return ERR_DATABASE;
    d->out++;
    pthread_mutex_unlock(&d->lock);
    struct db_conn *c = NULL;
    enum err e = db_conn_open(d->url, &c);
    pthread_mutex_lock(&d->lock);
    note_attempt(d, e);
    if (e != ERR_OK) {
        d->out--;
        pthread_cond_signal(&d->freed);
        return e;
    }
    *ret = c;
    return ERR_OK;
}

enum err db_take(struct db *d, unsigned wait_ms, struct db_conn **ret)
{
    pthread_mutex_lock(&d->lock);
    enum err e = wait_for_turn(d, wait_ms);
    if (e == ERR_OK && d->idle_count > 0) {
        *ret = d->idle[--d->idle_count];
        d->out++;
    } else if (e == ERR_OK) {
        e = make_one(d, ret);
    }
    pthread_mutex_unlock(&d->lock);
    return e;
}

void db_give(struct db *d, struct db_conn **conn)
{
    struct db_conn *c = *conn;
    *conn = NULL;
    if (c == NULL)
        return;
    bool sound = db_conn_is_idle(c);
    if (!sound)
        db_conn_close(&c);
    pthread_mutex_lock(&d->lock);
    d->out--;
    if (sound)
        d->idle[d->idle_count++] = c;
    pthread_cond_signal(&d->freed);
    pthread_mutex_unlock(&d->lock);
}
