/* policy_sync — checks pushes, applies versions, fetches a whole policy where a delta was missed.
 */
#include "common/policy/policy_sync.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/policy/kind.h"
#include "common/policy/snapshot_build.h"
#include "common/policy/snapshot_private.h"
#include "common/wire/feature.h"
#include "common/wire/proto_secret.h"
#include "proto/channel.pb-c.h"

#define AGAIN_MS 250                          /* what failed is tried again */
#define MARK_EVERY_US (60 * INT64_C(1000000)) /* how exactly a start knows its policy's age */

struct policy_sync {
    struct loop *loop;
    struct registry *registry;
    struct policy_file *file;
    struct control_link links;
    struct policy_sync_events events;
    char me[ID_MAX];   /* as the control plane calls this plane; "": not known yet */
    struct timer tick; /* silence, and what has to be tried again */
    struct timer retry;

    struct snapshot *current; /* NULL: none yet */
    uint64_t newest;
    uint64_t heard_us;       /* last push of any kind */
    int64_t confirmed_at_us; /* wall: a push said that `current` is the newest; 0: never */
    int64_t marked_at_us;    /* wall: the mark on disk says so */
    bool connected, stale, database_away;

    /* An acknowledgement is under way from the wait for quiescence until the control plane has
     * taken it; `awaited` is the version every worker then has, and no newer one. */
    bool acking, ack_again;
    struct snapshot *awaited; /* held while acking */
    uint64_t acknowledged;

    /* a snapshot being fetched */
    bool fetching;
    bool must_fetch; /* something was missed */
    uint64_t fetch_version;
    uint32_t fetch_chunk;
    struct snapshot_build *build;
    struct list waiting; /* kept_push */
    size_t waiting_count;
};

/* ---- acknowledging ---- */

#define REFUSED_NAMED 16 /* in one acknowledgement */

static void acknowledge(struct policy_sync *s);

static void end_acknowledgement(struct policy_sync *s, enum err e)
{
    s->acking = false;
    if (e == ERR_OK)
        s->acknowledged = s->awaited->version;
    snapshot_drop(s->awaited);
    s->awaited = NULL;
    if (e != ERR_OK) {
        s->ack_again = true; /* the tick says it again */
        timer_start(&s->tick, AGAIN_MS);
    } else if (s->ack_again) {
        s->ack_again = false;
        acknowledge(s);
    }
}

static void on_acknowledged(void *arg, enum err e, const void *reply)
{
    const Gatehouse__Reply *m = reply;
    end_acknowledgement(arg, e == ERR_OK && m && m->error ? ERR_AGAIN : e);
}

/* The names of what was refused, as "kind:id". */
struct refused_names {
    size_t count;
    char texts[REFUSED_NAMED][OBJECT_REFUSED_KEY_MAX];
    char *pointers[REFUSED_NAMED];
};

static bool name_refused(void *arg, const struct policy_object *o, enum policy_refusal why UNUSED)
{
    struct refused_names *n = arg;
    char *text = n->texts[n->count];
    object_refused_key(o->kind, o->id, text);
    n->pointers[n->count++] = text;
    return n->count < REFUSED_NAMED;
}

/* Every worker has the awaited version; a newer one may have come, and is acknowledged next. */
static void on_all_have_it(void *arg)
{
    struct policy_sync *s = arg;
    Gatehouse__Applied body = GATEHOUSE__APPLIED__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    char lineage[LINEAGE_MAX + 1] = {0};
    struct refused_names refused = {0};
    memcpy(lineage, s->awaited->lineage, s->awaited->lineage_len);
    snapshot_each_refused(s->awaited, name_refused, &refused);
    body.lineage = lineage;
    body.has_version = true;
    body.version = s->awaited->version;
    body.has_refused = true;
    body.refused = (uint32_t)snapshot_refused(s->awaited);
    body.n_refused_ids = refused.count;
    body.refused_ids = refused.pointers;
    m.body_case = GATEHOUSE__REQUEST__BODY_APPLIED;
    m.applied = &body;
    if (s->links.request(s->links.arg, &m, on_acknowledged, s) != ERR_OK)
        end_acknowledgement(s, ERR_CLOSED);
}

static void acknowledge(struct policy_sync *s)
{
    if (!s->current || !s->connected)
        return;
    if (s->acking) {
        s->ack_again = true;
        return;
    }
    s->acking = true;
    s->awaited = snapshot_hold(s->current);
    s->links.after_turns(s->links.arg, on_all_have_it, s);
}

/* ---- taking a version ---- */

static bool log_refused(void *arg UNUSED, const struct policy_object *o, enum policy_refusal why)
{
    log_warn(NULL, "policy_object_refused", "kind=%d id=%.*s why=%s", o->kind, SLICE_ARG(o->id),
             policy_refusal_name(why));
    return true;
}

/* Said once for each set of refused objects: a plane keeps them until it is replaced. */
static void say_refused(const struct policy_sync *s, const struct snapshot *fresh)
{
    size_t before = s->current ? snapshot_refused(s->current) : 0;
    if (snapshot_refused(fresh) > before)
        snapshot_each_refused(fresh, log_refused, NULL);
}

static void take_version(struct policy_sync *s, struct snapshot *fresh)
{
    say_refused(s, fresh);
    snapshot_drop(s->current);
    s->current = fresh;
    if (s->newest < fresh->version)
        s->newest = fresh->version;
    s->events.publish(s->events.arg, fresh);
    acknowledge(s);
}

static void keep_on_disk(struct policy_sync *s, struct slice push)
{
    if (!s->file || !s->current)
        return;
    enum err e = policy_file_append(s->file, push);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        log_error(NULL, "policy_not_kept", "error=%s", err_name(e));
    if (policy_file_is_long(s->file))
        timer_start(&s->tick, AGAIN_MS); /* it is written anew there */
}

static void rewrite_disk(struct policy_sync *s, const struct snapshot *whole)
{
    enum err e = s->file ? policy_file_rewrite(s->file, whole) : ERR_OK;
    if (e != ERR_OK)
        log_error(NULL, "policy_not_kept", "error=%s", err_name(e));
}

static bool is_of(const struct policy_sync *s, const char *lineage)
{
    return s->current && slice_eq(snapshot_lineage(s->current), slice_str(lineage));
}

static void confirm(struct policy_sync *s, const struct snapshot *newest)
{
    s->confirmed_at_us = clock_wall_us();
    if (!s->file || (newest == s->current && s->confirmed_at_us - s->marked_at_us < MARK_EVERY_US))
        return;
    policy_file_mark(s->file, newest, s->confirmed_at_us);
    s->marked_at_us = s->confirmed_at_us;
}

static enum err apply(struct policy_sync *s, const Gatehouse__Push *p, struct slice raw)
{
    struct snapshot_build *b;
    enum err e = snapshot_build_begin(s->current, s->registry, &b);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; e == ERR_OK && i < p->n_changes; i++)
        e = snapshot_build_apply(b, p->changes[i]);
    if (e != ERR_OK) {
        snapshot_build_cancel(&b);
        return e;
    }
    struct snapshot *fresh = snapshot_build_end(&b, slice_str(p->lineage), p->to);
    if (p->digest.len != DIGEST_LEN ||
        memcmp(fresh->digest.bytes, p->digest.data, DIGEST_LEN) != 0) {
        snapshot_drop(fresh);
        return ERR_PROTOCOL;
    }
    keep_on_disk(s, raw); /* before it is applied: no start goes back behind it */
    confirm(s, fresh);
    take_version(s, fresh);
    return ERR_OK;
}

/* ---- a whole policy, fetched in chunks; pushes that come meanwhile are applied above it ---- */

static void take_push(struct policy_sync *s, struct slice raw);
static void fetch(struct policy_sync *s);

#define WAITING_MAX 256 /* pushes kept while a snapshot is fetched; more, and we fetch again */
#define RETRY_MS 500

struct kept_push {
    struct list link;
    size_t len;
    char bytes[];
};

static void keep_push(struct policy_sync *s, struct slice raw)
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

static void stop_fetch(struct policy_sync *s)
{
    s->fetching = false;
    snapshot_build_cancel(&s->build);
    drop_waiting(s);
}

static void try_later(struct policy_sync *s)
{
    stop_fetch(s);
    timer_start(&s->retry, RETRY_MS);
}

static void apply_waiting(struct policy_sync *s)
{
    struct list *link;
    while (!s->fetching && (link = list_take_first(&s->waiting))) {
        struct kept_push *k = LIST_ITEM(link, struct kept_push, link);
        s->waiting_count--;
        take_push(s, slice_of(k->bytes, k->len));
        secret_wipe(k->bytes, k->len);
        mem_free(k);
    }
}

static void end_fetch(struct policy_sync *s, const Gatehouse__SnapshotReply *m)
{
    if (is_of(s, m->lineage) && m->version < s->current->version) {
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
    rewrite_disk(s, fresh); /* before it is applied, as with deltas */
    confirm(s, fresh);
    take_version(s, fresh);
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
        fetch(s);
    }
}

/* A whole policy starts from nothing; what outlives versions comes from the one before. */
static void fetch(struct policy_sync *s)
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
        fetch(s);
}

/* ---- pushes ---- */

/* Is the applied version the newest of the control plane? */
static bool agrees(const struct policy_sync *s, const Gatehouse__Push *p)
{
    return is_of(s, p->lineage) && s->current->version == p->to && p->digest.len == DIGEST_LEN &&
           memcmp(s->current->digest.bytes, p->digest.data, DIGEST_LEN) == 0;
}

static void missed_something(struct policy_sync *s, const char *why, uint64_t to)
{
    if (!s->must_fetch && !s->fetching)
        log_info(NULL, "policy_gap", "why=%s have=%lu newest=%lu", why,
                 (unsigned long)(s->current ? s->current->version : 0), (unsigned long)to);
    s->must_fetch = true;
    fetch(s);
    timer_start(&s->tick, AGAIN_MS);
}

static void judge(struct policy_sync *s, const Gatehouse__Push *p, struct slice raw)
{
    if (agrees(s, p)) {
        if (!p->database_away)
            confirm(s, s->current);
        return;
    }
    bool ours = is_of(s, p->lineage);
    if (ours && p->to < s->current->version)
        return; /* older than what a snapshot brought */
    bool fits = ours && p->from == s->current->version && p->to > p->from && p->n_changes > 0;
    if (!fits) {
        missed_something(s, ours ? "version" : "lineage", p->to);
        return;
    }
    enum err e = apply(s, p, raw);
    if (e != ERR_OK) {
        log_error(NULL, "policy_delta_refused", "to=%lu error=%s", (unsigned long)p->to,
                  err_name(e));
        missed_something(s, "delta", p->to);
    }
}

static bool is_me(const struct policy_sync *s, const char *plane_id)
{
    return plane_id && s->me[0] && strcmp(plane_id, s->me) == 0;
}

/* What is said besides the policy: questions to this plane, and what other planes found out. */
static void pass_on(struct policy_sync *s, const Gatehouse__Push *p)
{
    for (size_t i = 0; s->events.explain && i < p->n_questions; i++)
        if (is_me(s, p->questions[i]->dataplane_id))
            s->events.explain(s->events.arg, p->questions[i]);
    for (size_t i = 0; s->events.hint && i < p->n_hints; i++)
        if (p->hints[i]->provider_id && !is_me(s, p->hints[i]->dataplane_id))
            s->events.hint(s->events.arg, p->hints[i]);
}

static void take_push(struct policy_sync *s, struct slice raw)
{
    Gatehouse__Push *p = gatehouse__push__unpack(&proto_secret, raw.len, (const uint8_t *)raw.ptr);
    if (!p || !p->lineage) {
        log_warn(NULL, "push_unreadable", "len=%zu", raw.len);
    } else {
        if (p->to > s->newest || !is_of(s, p->lineage))
            s->newest = p->to;
        s->database_away = p->database_away;
        for (size_t i = 0; s->events.recall && i < p->n_recalls; i++)
            if (p->recalls[i]->account)
                s->events.recall(s->events.arg, slice_str(p->recalls[i]->account),
                                 p->recalls[i]->short_nano);
        pass_on(s, p);
        if (!s->fetching)
            judge(s, p, raw);
        else if (p->n_changes > 0)
            keep_push(s, raw);
    }
    gatehouse__push__free_unpacked(p, &proto_secret);
}

void policy_sync_on_push(struct policy_sync *s, struct slice push)
{
    s->heard_us = clock_mono_us();
    if (s->stale) {
        s->stale = false;
        log_info(NULL, "policy_heard_again", "version=%lu",
                 (unsigned long)(s->current ? s->current->version : 0));
    }
    take_push(s, push);
}

/* ---- the state of the channel ---- */

static void on_hello(void *arg, enum err e, const void *reply)
{
    struct policy_sync *s = arg;
    const Gatehouse__Reply *m = reply;
    if (e != ERR_OK || !m || m->error || !m->hello || !m->hello->lineage)
        return;
    if (m->hello->dataplane_id)
        snprintf(s->me, sizeof(s->me), "%s", m->hello->dataplane_id);
    log_info(NULL, "control_plane_found", "version=%lu", (unsigned long)m->hello->version);
    if (!is_of(s, m->hello->lineage) || s->current->version != m->hello->version)
        missed_something(s, "hello", m->hello->version);
    else
        acknowledge(s);
}

static void say_hello(struct policy_sync *s)
{
    Gatehouse__Hello body = GATEHOUSE__HELLO__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    char lineage[LINEAGE_MAX + 1] = {0};
    if (s->current)
        memcpy(lineage, s->current->lineage, s->current->lineage_len);
    char *features[FEATURE_BITS];
    body.features = features;
    body.n_features = feature_names(FEATURES_ROWS | policy_kind_features(), features);
    body.has_protocol = body.has_protocol_newest = body.has_version = true;
    body.protocol = CHANNEL_PROTOCOL_OLDEST;
    body.protocol_newest = CHANNEL_PROTOCOL_NEWEST;
    body.lineage = lineage;
    body.version = s->current ? s->current->version : 0;
    m.body_case = GATEHOUSE__REQUEST__BODY_HELLO;
    m.hello = &body;
    if (s->links.request(s->links.arg, &m, on_hello, s) != ERR_OK)
        log_debug(NULL, "hello_not_sent", "connected=%d", s->connected);
}

void policy_sync_on_state(struct policy_sync *s, bool up)
{
    s->connected = up;
    s->database_away = false; /* until a push reports it again */
    if (up) {
        s->heard_us = clock_mono_us();
        say_hello(s);
    } else if (s->fetching || s->build) {
        stop_fetch(s);
        s->must_fetch = true;
        timer_start(&s->tick, AGAIN_MS);
    }
}

/* When to look again: where something waits to be tried again, soon; else when silence would have
 * lasted too long. A plane to which nothing happens wakes once a second for it. */
static uint64_t next_look_ms(const struct policy_sync *s)
{
    const uint64_t stale_us = LIMIT_BUS_STALE_MS * 1000u;
    uint64_t silent_us = clock_mono_us() - s->heard_us;
    if (s->must_fetch || s->ack_again || s->stale || silent_us > stale_us)
        return AGAIN_MS;
    return (stale_us - silent_us) / 1000 + 1;
}

static void on_tick(struct timer *t)
{
    struct policy_sync *s = CONTAINER_OF(t, struct policy_sync, tick);
    if (!s->stale && clock_mono_us() - s->heard_us > LIMIT_BUS_STALE_MS * 1000u) {
        s->stale = true;
        log_warn(NULL, "policy_stale", "version=%lu connected=%d",
                 (unsigned long)(s->current ? s->current->version : 0), s->connected);
        if (s->connected)
            say_hello(s);
    }
    if (s->file && s->current && policy_file_is_long(s->file) && !s->fetching)
        rewrite_disk(s, s->current);
    if (s->must_fetch)
        fetch(s);
    if (s->ack_again && !s->acking) {
        s->ack_again = false;
        acknowledge(s);
    }
    timer_start(&s->tick, next_look_ms(s));
}

/* ---- birth and death ---- */

enum err policy_sync_new(struct loop *l, struct registry *r, struct policy_file *file,
                         const struct control_link *links, const struct policy_sync_events *events,
                         struct policy_sync **ret)
{
    struct policy_sync *s = mem_zalloc(sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    s->loop = l;
    s->registry = r;
    s->file = file;
    s->links = *links;
    s->events = *events;
    s->heard_us = clock_mono_us();
    timer_init(&s->tick, l, on_tick);
    list_init(&s->waiting);
    timer_init(&s->retry, l, on_retry);
    timer_start(&s->tick, AGAIN_MS);
    *ret = s;
    return ERR_OK;
}

void policy_sync_free(struct policy_sync *s)
{
    if (!s)
        return;
    timer_cancel(&s->tick);
    timer_cancel(&s->retry);
    stop_fetch(s);
    snapshot_drop(s->current);
    snapshot_drop(s->awaited);
    mem_free(s);
}

/* A policy of an older build's file has an unknown age, which is said as 0. */
static uint64_t age_us(const struct policy_sync *s)
{
    int64_t age = s->confirmed_at_us ? clock_wall_us() - s->confirmed_at_us : 0;
    return age > 0 ? (uint64_t)age : 0;
}

void policy_sync_load(struct policy_sync *s)
{
    struct snapshot *kept;
    if (!s->file || policy_file_load(s->file, s->registry, &kept) != ERR_OK)
        return;
    s->confirmed_at_us = policy_file_confirmed_at_us(s->file);
    log_info(NULL, "policy_from_disk", "version=%lu age_s=%lu", (unsigned long)kept->version,
             (unsigned long)(age_us(s) / 1000000));
    take_version(s, kept);
}

void policy_sync_status(const struct policy_sync *s, struct policy_sync_status *ret)
{
    *ret = (struct policy_sync_status){.has_policy = s->current != NULL,
                                       .stale = s->stale,
                                       .database_away = s->database_away,
                                       .acknowledged = s->acknowledged,
                                       .age_us = s->current ? age_us(s) : 0,
                                       .refused = s->current ? snapshot_refused(s->current) : 0,
                                       .version = s->current ? s->current->version : 0,
                                       .newest = s->newest};
}
