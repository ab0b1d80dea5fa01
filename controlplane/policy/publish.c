/* publish — one message per turn and view. */
#include "controlplane/policy/publish.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/wire/bus.h"
#include "controlplane/policy/frame.h"
#include "proto/channel.pb-c.h"

static const struct log_ctx publish_log = {.component = "publish"};

#define RECALLS_MAX 64
#define RECALL_ACCOUNT_MAX 80

struct recall {
    char pool[ID_MAX];
    char account[RECALL_ACCOUNT_MAX];
    money short_of;
};

struct publish {
    struct image *image;
    struct rollout *rollout;
    pthread_mutex_t lock; /* image changes and pushes, in one order */
    pthread_cond_t woken; /* by stop, or by news for a quick heartbeat */
    struct bus_hub *hub;
    bool away; /* the database cannot be reached */
    bool stop;
    uint64_t busy_until_us; /* heartbeats are quick until then */
    pthread_t thread;
    size_t recall_count;
    struct recall recalls[RECALLS_MAX]; /* since the last heartbeat */
};

/* Locked. Where a send fails, the next heartbeat carries the version. */
static void tell_view(struct publish *p, const struct view_key *key, struct slice message)
{
    char channel[VIEW_CHANNEL_MAX];
    view_channel(key, channel);
    enum err e = bus_hub_publish(p->hub, slice_str(channel), message);
    if (e != ERR_OK)
        log_warn(&publish_log, "push_failed", "view=%s error=%s", channel, err_name(e));
}

static enum err push_head(const struct publish *p, const struct image_head *head, uint64_t from,
                          struct buf *out)
{
    Gatehouse__Push push = GATEHOUSE__PUSH__INIT;
    push.lineage = (char *)head->lineage;
    push.has_from = push.has_to = push.has_digest = true;
    push.from = from;
    push.to = head->version;
    push.digest.data = (uint8_t *)head->digest.bytes;
    push.digest.len = DIGEST_LEN;
    push.has_database_away = push.database_away = p->away;
    return frame_pack(&push.base, out);
}

/* Behind a packed Push: its recalls of this view's pool. */
static enum err add_recalls(const struct publish *p, const struct view_key *key, struct buf *out)
{
    Gatehouse__LeaseRecall rows[RECALLS_MAX], *list[RECALLS_MAX];
    Gatehouse__Push push = GATEHOUSE__PUSH__INIT;
    for (size_t i = 0; i < p->recall_count; i++) {
        const struct recall *r = &p->recalls[i];
        if (strcmp(r->pool, key->pool) != 0)
            continue;
        Gatehouse__LeaseRecall *row = list[push.n_recalls] = &rows[push.n_recalls];
        push.n_recalls++;
        gatehouse__lease_recall__init(row);
        row->account = (char *)(uintptr_t)r->account;
        row->has_short_nano = true;
        row->short_nano = r->short_of;
    }
    push.recalls = list;
    return push.n_recalls > 0 ? frame_pack(&push.base, out) : ERR_OK;
}

static void heartbeat_view(struct publish *p, const struct view_key *key, struct buf *out)
{
    struct image_head head;
    buf_clear(out);
    if (image_view_head(p->image, key, &head) == ERR_OK && head.lineage[0] != '\0' &&
        push_head(p, &head, head.version, out) == ERR_OK && add_recalls(p, key, out) == ERR_OK)
        tell_view(p, key, buf_slice(out));
}

static void cut_moved(struct publish *p)
{
    char id[ID_MAX];
    while (rollout_take_moved(p->rollout, id)) {
        log_info(&publish_log, "plane_changes_view", "plane=%s", id);
        bus_hub_cut(p->hub, slice_str(id));
    }
}

/* Locked. */
static void heartbeat(struct publish *p)
{
    struct view_key key;
    struct buf out;
    size_t at = 0;
    if (!p->hub)
        return;
    buf_init(&out, LIMIT_BUS_MESSAGE);
    while (rollout_each_view(p->rollout, &at, &key))
        heartbeat_view(p, &key, &out);
    p->recall_count = 0;
    buf_fini(&out);
    cut_moved(p);
}

/* A delta above the ceiling, or of a load of the whole, is sent as its version alone. */
static enum err push_delta(struct publish *p, const struct view_key *key, struct buf *out)
{
    struct image_head head;
    struct image_objects changes;
    uint64_t from = 0;
    enum err e = image_take_delta(p->image, key, &head, &from, &changes);
    if (e != ERR_OK)
        return e;
    e = push_head(p, &head, from, out);
    if (e == ERR_OK && image_objects_size(&changes) <= LIMIT_BUS_DELTA)
        e = image_objects_write(&changes, out);
    image_objects_fini(&changes);
    if (e == ERR_OK)
        tell_view(p, key, buf_slice(out));
    return e;
}

/* Locked. */
static enum err tell_all(struct publish *p)
{
    struct view_key key;
    struct buf out;
    size_t at = 0;
    enum err e = ERR_OK;
    while (p->hub && rollout_each_view(p->rollout, &at, &key)) {
        buf_init(&out, LIMIT_BUS_MESSAGE);
        enum err said = push_delta(p, &key, &out);
        if (said != ERR_OK)
            e = said; /* the other views are still published */
        if (out.data)
            secret_wipe(out.data, out.cap);
        buf_fini(&out);
    }
    return e;
}

/* Locked. */
static void hurry(struct publish *p)
{
    p->busy_until_us = clock_mono_us() + LIMIT_BUS_HEARTBEAT_BUSY_MS * 1000u;
    pthread_cond_signal(&p->woken);
}

void publish_hurry(struct publish *p)
{
    pthread_mutex_lock(&p->lock);
    hurry(p);
    pthread_mutex_unlock(&p->lock);
}

enum err publish_delta(struct publish *p, const struct image_delta *d)
{
    struct image_head head;
    pthread_mutex_lock(&p->lock);
    enum err e = image_apply(p->image, d);
    if (e == ERR_OK) {
        image_head(p->image, &head);
        rollout_newest(p->rollout, head.lineage, head.version);
        e = tell_all(p);
        hurry(p);
    }
    pthread_mutex_unlock(&p->lock);
    return e;
}

/* Locked. One row for each pool and account; NULL: there are too many. */
static struct recall *find_recall(struct publish *p, const char *pool, struct slice account)
{
    for (size_t i = 0; i < p->recall_count; i++)
        if (strcmp(p->recalls[i].pool, pool) == 0 &&
            slice_eq(slice_str(p->recalls[i].account), account))
            return &p->recalls[i];
    if (p->recall_count == RECALLS_MAX)
        return NULL;
    struct recall *r = &p->recalls[p->recall_count++];
    *r = (struct recall){.short_of = 0};
    snprintf(r->pool, sizeof(r->pool), "%s", pool);
    snprintf(r->account, sizeof(r->account), "%.*s", SLICE_ARG(account));
    return r;
}

void publish_recall(struct publish *p, struct slice plane_id, struct slice account, money short_of)
{
    struct rollout_plane plane;
    if (account.len >= RECALL_ACCOUNT_MAX || !rollout_find(p->rollout, plane_id, &plane))
        return;
    pthread_mutex_lock(&p->lock);
    struct recall *r = find_recall(p, plane.pool, account);
    if (r && r->short_of < short_of)
        r->short_of = short_of;
    hurry(p);
    pthread_mutex_unlock(&p->lock);
}

/* Locked. A heartbeat with more in it, for one view. */
static enum err tell_more(struct publish *p, const struct view_key *key,
                          const Gatehouse__Push *more)
{
    struct image_head head;
    struct buf out;
    buf_init(&out, LIMIT_BUS_MESSAGE);
    enum err e = image_view_head(p->image, key, &head);
    if (e == ERR_OK && head.lineage[0] == '\0')
        e = ERR_AGAIN;
    if (e == ERR_OK)
        e = push_head(p, &head, head.version, &out);
    if (e == ERR_OK)
        e = frame_pack(&more->base, &out);
    if (e == ERR_OK)
        tell_view(p, key, buf_slice(&out));
    buf_fini(&out);
    return e;
}

enum err publish_question(struct publish *p, struct slice plane_id,
                          Gatehouse__ExplainQuestion *question)
{
    struct rollout_plane plane;
    struct view_key key;
    Gatehouse__Push more = GATEHOUSE__PUSH__INIT;
    more.n_questions = 1;
    more.questions = &question;
    if (!rollout_find(p->rollout, plane_id, &plane))
        return ERR_NOT_FOUND;
    rollout_view(&plane, &key);
    pthread_mutex_lock(&p->lock);
    enum err e = p->hub ? tell_more(p, &key, &more) : ERR_CLOSED;
    pthread_mutex_unlock(&p->lock);
    return e;
}

void publish_hints(struct publish *p, struct slice plane_id, Gatehouse__HealthHint **hints,
                   size_t count)
{
    struct rollout_plane plane;
    struct view_key key;
    size_t at = 0;
    Gatehouse__Push more = GATEHOUSE__PUSH__INIT;
    more.n_hints = count;
    more.hints = hints;
    if (!rollout_find(p->rollout, plane_id, &plane))
        return;
    pthread_mutex_lock(&p->lock);
    while (p->hub && rollout_each_view(p->rollout, &at, &key)) {
        if (strcmp(key.pool, plane.pool) != 0 || strcmp(key.org, plane.org) != 0)
            continue;
        enum err e = tell_more(p, &key, &more);
        if (e != ERR_OK)
            log_warn(&publish_log, "hint_not_sent", "plane=%s error=%s", plane.id, err_name(e));
    }
    pthread_mutex_unlock(&p->lock);
}

void publish_away(struct publish *p, bool away)
{
    pthread_mutex_lock(&p->lock);
    if (p->away != away)
        hurry(p);
    p->away = away;
    pthread_mutex_unlock(&p->lock);
}

/* Locked. Sleeps until the next heartbeat is due; news for a quick heartbeat brings it forward,
 * and an earlier wake-up changes nothing. */
static void wait_for_next(struct publish *p, uint64_t last_us)
{
    while (!p->stop) {
        uint64_t now = clock_mono_us();
        uint64_t ms = now < p->busy_until_us ? LIMIT_BUS_HEARTBEAT_MS : LIMIT_BUS_HEARTBEAT_IDLE_MS;
        uint64_t due = last_us + ms * 1000;
        if (due <= now)
            return;
        const struct timespec at = {(time_t)(due / 1000000), (long)(due % 1000000) * 1000};
        pthread_cond_timedwait(&p->woken, &p->lock, &at);
    }
}

static void *run(void *arg)
{
    struct publish *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        uint64_t began_us = clock_mono_us();
        heartbeat(p);
        wait_for_next(p, began_us);
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
    pthread_cond_init(&p->woken, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&p->thread, NULL, run, p) != 0) {
        pthread_cond_destroy(&p->woken);
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
    hurry(p);
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
    pthread_cond_signal(&p->woken);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->woken);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}
