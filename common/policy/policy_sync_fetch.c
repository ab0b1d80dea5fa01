/*
 * policy_sync_fetch — a whole policy, asked for in chunks, and the pushes that came meanwhile
 * applied above it.
 */
#include <string.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/policy/policy_sync_private.h"
#include "common/policy/snapshot_build.h"
#include "common/policy/snapshot_private.h"
#include "proto/channel.pb-c.h"

#define WAITING_MAX 256 /* pushes kept while a snapshot is fetched; more, and we fetch again */
#define RETRY_MS 500

struct kept_push {
    struct list link;
    size_t len;
    char bytes[];
};

void policy_sync_fetch_keep(struct policy_sync *s, struct slice raw)
{
    struct kept_push *k = s->waiting_count < WAITING_MAX ? mem_alloc(sizeof(*k) + raw.len) : NULL;
    if (!k)
        return; /* the version after the snapshot will show the gap */
    k->len = raw.len;
    memcpy(k->bytes, raw.ptr, raw.len);
    list_push(&s->waiting, &k->link);
    s->waiting_count++;
}

static void drop_waiting(struct policy_sync *s)
{
    struct list *link;
    while ((link = list_take_first(&s->waiting))) {
        struct kept_push *k = LIST_ITEM(link, struct kept_push, link);
        secret_wipe(k->bytes, k->len);
        mem_free(k);
    }
    s->waiting_count = 0;
}

void policy_sync_fetch_stop(struct policy_sync *s)
{
    s->fetching = false;
    snapshot_build_cancel(&s->build);
    drop_waiting(s);
}

static void try_later(struct policy_sync *s)
{
    policy_sync_fetch_stop(s);
    timer_start(&s->retry, RETRY_MS);
}

static void apply_waiting(struct policy_sync *s)
{
    struct list *link;
    while (!s->fetching && (link = list_take_first(&s->waiting))) {
        struct kept_push *k = LIST_ITEM(link, struct kept_push, link);
        s->waiting_count--;
        policy_sync_take_push(s, slice_of(k->bytes, k->len));
        secret_wipe(k->bytes, k->len);
        mem_free(k);
    }
}

static void end_fetch(struct policy_sync *s, const Gatehouse__SnapshotReply *m)
{
    if (policy_sync_is_of(s, m->lineage) && m->version < s->current->version) {
        log_error(NULL, "policy_older_refused", "have=%lu offered=%lu",
                  (unsigned long)s->current->version, (unsigned long)m->version);
        try_later(s);
        return;
    }
    struct snapshot *fresh = snapshot_build_end(&s->build, slice_str(m->lineage), m->version);
    if (m->digest.len != DIGEST_LEN ||
        memcmp(fresh->digest.bytes, m->digest.data, DIGEST_LEN) != 0) {
        log_error(NULL, "policy_snapshot_refused", "version=%lu error=digest",
                  (unsigned long)m->version);
        snapshot_drop(fresh);
        try_later(s);
        return;
    }
    s->fetching = false;
    s->must_fetch = false;
    log_info(NULL, "policy_snapshot", "version=%lu", (unsigned long)m->version);
    sync_rewrite_disk(s, fresh); /* before it is applied, as with deltas */
    sync_confirm(s, fresh);
    policy_sync_take(s, fresh);
    apply_waiting(s);
}

static void on_chunk(void *arg, enum err e, const void *reply)
{
    struct policy_sync *s = arg;
    const Gatehouse__Reply *r = reply;
    const Gatehouse__SnapshotReply *m = r && !r->error ? r->snapshot : NULL;
    if (!s->build)
        return; /* given up meanwhile */
    if (e != ERR_OK || !m || m->gone || !m->lineage || m->chunk != s->fetch_chunk ||
        (s->fetch_chunk > 0 && m->version != s->fetch_version)) {
        if (e == ERR_OK && (!m || !m->gone))
            log_warn(NULL, "snapshot_unreadable", "error=%s", r && r->error ? r->error : "body");
        try_later(s);
        return;
    }
    s->fetch_version = m->version;
    for (size_t i = 0; e == ERR_OK && i < m->n_objects; i++)
        e = snapshot_build_apply(s->build, m->objects[i]);
    if (e != ERR_OK) {
        log_error(NULL, "policy_object_refused", "error=%s", err_name(e));
        try_later(s);
    } else if (++s->fetch_chunk >= m->chunks) {
        end_fetch(s, m);
    } else {
        s->fetching = false;
        policy_sync_fetch(s);
    }
}

/* A whole policy starts from nothing; what outlives versions comes from the one before. */
void policy_sync_fetch(struct policy_sync *s)
{
    if (s->fetching || !s->connected || timer_is_running(&s->retry))
        return;
    if (!s->build) {
        s->fetch_version = 0;
        s->fetch_chunk = 0;
        if (snapshot_build_begin(NULL, s->registry, &s->build) != ERR_OK) {
            try_later(s);
            return;
        }
        snapshot_build_inherit(s->build, s->current);
    }
    Gatehouse__SnapshotRequest body = GATEHOUSE__SNAPSHOT_REQUEST__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    body.has_version = body.has_chunk = true;
    body.version = s->fetch_version;
    body.chunk = s->fetch_chunk;
    m.body_case = GATEHOUSE__REQUEST__BODY_SNAPSHOT;
    m.snapshot = &body;
    s->fetching = true;
    if (s->links.request(s->links.arg, &m, on_chunk, s) != ERR_OK)
        try_later(s);
}

static void on_retry(struct timer *t)
{
    struct policy_sync *s = CONTAINER_OF(t, struct policy_sync, retry);
    if (s->must_fetch)
        policy_sync_fetch(s);
}

void policy_sync_fetch_init(struct policy_sync *s)
{
    list_init(&s->waiting);
    timer_init(&s->retry, s->loop, on_retry);
}

void policy_sync_fetch_fini(struct policy_sync *s)
{
    timer_cancel(&s->retry);
    policy_sync_fetch_stop(s);
}
