/* publish — one message per turn, the same for every pool. */
#include "controlplane/policy/publish.h"

#include <pthread.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "controlplane/policy/frame.h"
#include "proto/channel.pb-c.h"

static const struct log_ctx publish_log = {.component = "publish"};

struct publish {
    struct image *image;
    struct rollout *rollout;
    pthread_mutex_t lock; /* image changes and words about it, in one order */
    pthread_cond_t stopped;
    struct bus_hub *hub;
    bool stop;
    pthread_t thread;
};

/* Locked. A pool that cannot be told now is told by the next heartbeat. */
static void tell_pools(struct publish *p, struct slice message)
{
    char pool[ROLLOUT_POOL_MAX];
    size_t at = 0;
    while (p->hub && rollout_each_pool(p->rollout, &at, pool)) {
        enum err e = bus_hub_publish(p->hub, slice_str(pool), message);
        if (e != ERR_OK)
            log_warn(&publish_log, "push_failed", "pool=%s error=%s", pool, err_name(e));
    }
}

static enum err push_head(const struct image_head *head, uint64_t from, struct buf *out)
{
    Gatehouse__Push push = GATEHOUSE__PUSH__INIT;
    push.lineage = (char *)head->lineage;
    push.has_from = push.has_to = push.has_digest = true;
    push.from = from;
    push.to = head->version;
    push.digest.data = (uint8_t *)head->digest.bytes;
    push.digest.len = DIGEST_LEN;
    return frame_pack(&push.base, out);
}

static void heartbeat(struct publish *p)
{
    struct image_head head;
    struct buf out;
    image_head(p->image, &head);
    if (head.lineage[0] == '\0')
        return;
    buf_init(&out, LIMIT_BUS_MESSAGE);
    if (push_head(&head, head.version, &out) == ERR_OK)
        tell_pools(p, buf_slice(&out));
    buf_fini(&out);
}

enum err publish_delta(struct publish *p, const struct image_delta *d)
{
    struct image_head head;
    struct buf out;
    enum err e;

    buf_init(&out, LIMIT_BUS_MESSAGE);
    pthread_mutex_lock(&p->lock);
    e = image_apply(p->image, d);
    if (e == ERR_OK) {
        image_head(p->image, &head);
        rollout_newest(p->rollout, head.lineage, head.version);
        e = push_head(&head, d->from, &out);
        if (e == ERR_OK && !d->whole && image_delta_size(d) <= LIMIT_BUS_DELTA)
            e = image_delta_write(d, &out);
        if (e == ERR_OK)
            tell_pools(p, buf_slice(&out));
    }
    pthread_mutex_unlock(&p->lock);
    if (out.data)
        secret_wipe(out.data, out.cap);
    buf_fini(&out);
    return e;
}

static void add_ms(struct timespec *t, long ms)
{
    t->tv_nsec += ms * 1000000;
    if (t->tv_nsec >= 1000000000) {
        t->tv_nsec -= 1000000000;
        t->tv_sec++;
    }
}

static void *run(void *arg)
{
    struct publish *p = arg;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        struct timespec now;
        heartbeat(p);
        add_ms(&next, LIMIT_BUS_HEARTBEAT_MS);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > next.tv_sec) /* suspended for long: no burst to catch up */
            next = now;
        while (!p->stop && pthread_cond_timedwait(&p->stopped, &p->lock, &next) == 0)
            ;
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum err publish_start(struct image *im, struct rollout *r, struct publish **ret)
{
    struct publish *p = mem_zalloc(sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    p->image = im;
    p->rollout = r;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->stopped, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&p->thread, NULL, run, p) != 0) {
        pthread_cond_destroy(&p->stopped);
        pthread_mutex_destroy(&p->lock);
        mem_free(p);
        return ERR_NOMEM;
    }
    *ret = p;
    return ERR_OK;
}

void publish_to(struct publish *p, struct bus_hub *hub)
{
    pthread_mutex_lock(&p->lock);
    p->hub = hub;
    pthread_mutex_unlock(&p->lock);
}

void publish_stop(struct publish **ref)
{
    struct publish *p = *ref;
    if (!p)
        return;
    *ref = NULL;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->stopped);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->stopped);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}
