/* rollout — rows under one lock; waiting on one condition that every `applied` signals. */
#include "controlplane/policy/rollout.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/mem.h"

struct rollout {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct map *by_id;
    struct rollout_plane **planes; /* in the order they became known */
    size_t count, cap;
    char lineage[ROLLOUT_TEXT_MAX];
    uint64_t newest;
    bool (*is_here)(void *arg, struct slice id);
    void *arg;
    struct image *image; /* NULL: what is withheld is not known */
    bool any_moved;
};

struct rollout *rollout_new(void)
{
    struct rollout *r = mem_zalloc(sizeof(*r));
    if (!r)
        return NULL;
    r->by_id = map_new();
    if (!r->by_id) {
        mem_free(r);
        return NULL;
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->moved, &attr);
    pthread_condattr_destroy(&attr);
    return r;
}

void rollout_free(struct rollout *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        mem_free(r->planes[i]);
    mem_free(r->planes);
    map_free(r->by_id);
    pthread_cond_destroy(&r->moved);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

static void copy_text(char out[static ROLLOUT_TEXT_MAX], struct slice s)
{
    struct slice cut = slice_first(s, ROLLOUT_TEXT_MAX - 1);
    if (cut.len > 0)
        memcpy(out, cut.ptr, cut.len);
    out[cut.len] = '\0';
}

static bool grow(struct rollout *r)
{
    if (r->count < r->cap)
        return true;
    size_t cap = r->cap ? r->cap * 2 : 16;
    struct rollout_plane **grown = mem_realloc(r->planes, cap * sizeof(*grown));
    if (!grown)
        return false;
    r->planes = grown;
    r->cap = cap;
    return true;
}

/* A place for another plane: a new one, or that of a plane that was removed. */
static enum err get_place(struct rollout *r, struct rollout_plane **ret)
{
    for (size_t i = 0; r->count >= LIMIT_DATAPLANES && i < r->count; i++) {
        if (!r->planes[i]->removed)
            continue;
        map_remove(r->by_id, slice_str(r->planes[i]->id));
        *ret = r->planes[i];
        return ERR_OK;
    }
    if (r->count >= LIMIT_DATAPLANES)
        return ERR_TOO_BIG;
    struct rollout_plane *p = grow(r) ? mem_zalloc(sizeof(*p)) : NULL;
    if (!p)
        return ERR_NOMEM;
    p->removed = true; /* until a plane has the place */
    r->planes[r->count++] = p;
    *ret = p;
    return ERR_OK;
}

static enum err add(struct rollout *r, const struct rollout_plane *row)
{
    struct rollout_plane *p = NULL;
    enum err e = get_place(r, &p);
    if (e != ERR_OK)
        return e;
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): a row comes from a list of them */
    memcpy(p->id, row->id, sizeof(p->id));
    e = map_put(r->by_id, slice_str(p->id), p, NULL);
    if (e == ERR_OK) {
        *p = *row;
        p->changed = p->moved = false;
    }
    return e;
}

enum err rollout_put(struct rollout *r, const struct rollout_plane *row, bool *ret_cut)
{
    enum err e = ERR_OK;
    *ret_cut = false;
    pthread_mutex_lock(&r->lock);
    struct rollout_plane *p = map_find(r->by_id, slice_str(row->id));
    if (!p) {
        e = add(r, row);
    } else {
        *ret_cut = row->removed && !p->removed;
        memcpy(p->name, row->name, sizeof(p->name));
        memcpy(p->pool, row->pool, sizeof(p->pool));
        memcpy(p->pool_name, row->pool_name, sizeof(p->pool_name));
        p->removed = row->removed;
    }
    pthread_cond_broadcast(&r->moved); /* ?wait=applied does not wait for a removed plane */
    pthread_mutex_unlock(&r->lock);
    return e;
}

bool rollout_find(struct rollout *r, struct slice id, struct rollout_plane *ret)
{
    pthread_mutex_lock(&r->lock);
    const struct rollout_plane *p = map_find(r->by_id, id);
    if (p)
        *ret = *p;
    pthread_mutex_unlock(&r->lock);
    return p != NULL;
}

void rollout_view(const struct rollout_plane *p, struct view_key *ret)
{
    *ret = (struct view_key){.features = p->features};
    memcpy(ret->org, p->org, sizeof(ret->org));
    memcpy(ret->pool, p->pool, sizeof(ret->pool));
}

bool rollout_admit(struct rollout *r, struct slice id, char channel[static VIEW_CHANNEL_MAX])
{
    struct rollout_plane p;
    struct view_key key;
    if (!rollout_find(r, id, &p) || p.removed)
        return false;
    rollout_view(&p, &key);
    view_channel(&key, channel);
    return true;
}

static bool same_view(const struct rollout_plane *a, const struct rollout_plane *b)
{
    return a->features == b->features && strcmp(a->pool, b->pool) == 0 &&
           strcmp(a->org, b->org) == 0;
}

bool rollout_each_view(struct rollout *r, size_t *at, struct view_key *ret)
{
    bool found = false;
    pthread_mutex_lock(&r->lock);
    while (*at < r->count && !found) {
        const struct rollout_plane *p = r->planes[(*at)++];
        found = !p->removed;
        for (size_t i = 0; i + 1 < *at && found; i++)
            found = r->planes[i]->removed || !same_view(r->planes[i], p);
        if (found)
            rollout_view(p, ret);
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}

void rollout_ask_presence(struct rollout *r, bool (*is_here)(void *arg, struct slice id), void *arg)
{
    pthread_mutex_lock(&r->lock);
    r->is_here = is_here;
    r->arg = arg;
    pthread_mutex_unlock(&r->lock);
}

void rollout_heard(struct rollout *r, struct slice id, int64_t wall_us)
{
    pthread_mutex_lock(&r->lock);
    struct rollout_plane *p = map_find(r->by_id, id);
    if (p) {
        p->heard_at = wall_us;
        p->changed = true;
    }
    pthread_mutex_unlock(&r->lock);
}

void rollout_hello(struct rollout *r, struct slice id, uint64_t epoch, struct slice build,
                   feature_set features)
{
    pthread_mutex_lock(&r->lock);
    struct rollout_plane *p = map_find(r->by_id, id);
    if (p) {
        p->epoch = epoch;
        copy_text(p->build, build);
        if (p->features != features)
            p->moved = r->any_moved = p->changed = true;
        p->features = features;
    }
    pthread_mutex_unlock(&r->lock);
}

bool rollout_take_moved(struct rollout *r, char id[static ID_MAX])
{
    bool found = false;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; r->any_moved && i < r->count && !found; i++) {
        struct rollout_plane *p = r->planes[i];
        found = p->moved;
        p->moved = false;
        if (found)
            memcpy(id, p->id, ID_MAX);
    }
    if (!found)
        r->any_moved = false;
    pthread_mutex_unlock(&r->lock);
    return found;
}

void rollout_refused(struct rollout *r, struct slice id, uint32_t objects)
{
    pthread_mutex_lock(&r->lock);
    struct rollout_plane *p = map_find(r->by_id, id);
    if (p)
        p->refused = objects;
    pthread_mutex_unlock(&r->lock);
}

void rollout_ask_image(struct rollout *r, struct image *im)
{
    pthread_mutex_lock(&r->lock);
    r->image = im;
    pthread_mutex_unlock(&r->lock);
}

void rollout_applied(struct rollout *r, struct slice id, struct slice lineage, uint64_t version)
{
    pthread_mutex_lock(&r->lock);
    struct rollout_plane *p = map_find(r->by_id, id);
    if (p) {
        copy_text(p->lineage, lineage);
        p->version = version;
        p->changed = true;
        pthread_cond_broadcast(&r->moved);
    }
    pthread_mutex_unlock(&r->lock);
}

void rollout_newest(struct rollout *r, const char *lineage, uint64_t version)
{
    pthread_mutex_lock(&r->lock);
    copy_text(r->lineage, slice_str(lineage));
    r->newest = version;
    pthread_mutex_unlock(&r->lock);
}

static bool is_connected(const struct rollout *r, const struct rollout_plane *p)
{
    return !p->removed && r->is_here && r->is_here(r->arg, slice_str(p->id));
}

bool rollout_is_here(struct rollout *r, struct slice id)
{
    pthread_mutex_lock(&r->lock);
    const struct rollout_plane *p = map_find(r->by_id, id);
    bool here = p && is_connected(r, p);
    pthread_mutex_unlock(&r->lock);
    return here;
}

static bool is_asked_for(const struct rollout_plane *p, struct slice org, struct slice name,
                         feature_set features)
{
    return !p->removed && slice_eq(slice_str(p->org), org) && (features & ~p->features) == 0 &&
           (!name.ptr || slice_eq(slice_str(p->id), name) || slice_eq(slice_str(p->name), name));
}

bool rollout_pick(struct rollout *r, struct slice org, struct slice name, feature_set features,
                  struct rollout_plane *ret)
{
    bool found = false;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->count && !found; i++) {
        const struct rollout_plane *p = r->planes[i];
        found = is_asked_for(p, org, name, features) && is_connected(r, p);
        if (found)
            *ret = *p;
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}

/* The channel is asked last: most planes apply the version already. */
static bool is_behind(const struct rollout *r, const struct rollout_plane *p, uint64_t version)
{
    return (p->version < version || strcmp(p->lineage, r->lineage) != 0) && is_connected(r, p);
}

static size_t count_behind(const struct rollout *r, uint64_t version)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        n += is_behind(r, r->planes[i], version);
    return n;
}

static enum err name_behind(const struct rollout *r, uint64_t version, struct buf *behind)
{
    for (size_t i = 0; i < r->count; i++) {
        if (!is_behind(r, r->planes[i], version))
            continue;
        enum err e = buf_printf(behind, "%s%s", behind->len ? "," : "", r->planes[i]->name);
        if (e != ERR_OK)
            return e;
    }
    return behind->len ? ERR_TIMEOUT : ERR_OK;
}

static struct timespec deadline_after(unsigned ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

#define GLANCE_MS 100 /* a plane that disconnects meanwhile signals nothing */

enum err rollout_wait(struct rollout *r, uint64_t version, unsigned ms, struct buf *behind)
{
    uint64_t until = clock_mono_us() + (uint64_t)ms * 1000;
    enum err e = ERR_OK;

    pthread_mutex_lock(&r->lock);
    while (count_behind(r, version) > 0 && clock_mono_us() < until) {
        uint64_t left_ms = (until - clock_mono_us()) / 1000 + 1;
        struct timespec deadline =
            deadline_after(left_ms < GLANCE_MS ? (unsigned)left_ms : GLANCE_MS);
        pthread_cond_timedwait(&r->moved, &r->lock, &deadline);
    }
    e = name_behind(r, version, behind);
    pthread_mutex_unlock(&r->lock);
    return e;
}

static json_t *feature_list(feature_set set)
{
    char *names[FEATURE_BITS];
    size_t count = feature_names(set, names);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

/* Present where something is: what the plane is not given for want of features, and what it was
 * given and could not take. */
static void add_withheld(const struct rollout *r, const struct rollout_plane *p, json_t *o)
{
    struct image_withheld withheld = {0};
    struct view_key key;
    rollout_view(p, &key);
    if (r->image && image_withheld(r->image, &key, &withheld) == ERR_OK && withheld.objects > 0)
        json_object_set_new(o, "withheld",
                            json_pack("{s:I,s:o}", "objects", (json_int_t)withheld.objects,
                                      "features", feature_list(withheld.features)));
    if (p->refused > 0)
        json_object_set_new(o, "refused", json_integer(p->refused));
}

static json_t *plane_json(const struct rollout *r, const struct rollout_plane *p)
{
    char text[CLOCK_TEXT_MAX];
    bool same = strcmp(p->lineage, r->lineage) == 0;
    uint64_t version = same ? p->version : 0;
    json_t *o = json_object();

    json_set_text(o, "id", slice_str(p->id));
    json_set_text(o, "name", slice_str(p->name));
    json_set_text(o, "pool", slice_str(p->pool_name));
    json_object_set_new(o, "connected", json_boolean(is_connected(r, p)));
    json_object_set_new(o, "version", json_integer((json_int_t)version));
    json_object_set_new(o, "lag",
                        json_integer((json_int_t)(r->newest > version ? r->newest - version : 0)));
    json_object_set_new(o, "last_heard_at",
                        p->heard_at ? json_from(clock_format(p->heard_at, text)) : json_null());
    if (p->build[0])
        json_set_text(o, "build", slice_str(p->build));
    json_object_set_new(o, "features", feature_list(p->features));
    add_withheld(r, p, o);
    return o;
}

void rollout_counts(struct rollout *r, struct rollout_counts *ret)
{
    struct rollout_counts c = {0};
    pthread_mutex_lock(&r->lock);
    c.version = r->newest;
    for (size_t i = 0; i < r->count; i++) {
        const struct rollout_plane *p = r->planes[i];
        if (p->removed)
            continue;
        bool connected = is_connected(r, p), same = strcmp(p->lineage, r->lineage) == 0;
        uint64_t version = same ? p->version : 0;
        uint64_t lag = r->newest > version ? r->newest - version : 0;
        c.connected += connected;
        c.away += !connected;
        c.refusing += p->refused > 0;
        c.lag = connected && lag > c.lag ? lag : c.lag;
    }
    pthread_mutex_unlock(&r->lock);
    *ret = c;
}

json_t *rollout_json(struct rollout *r, struct slice org)
{
    json_t *list = json_array();
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->count; i++)
        if (!r->planes[i]->removed && slice_eq(slice_str(r->planes[i]->org), org))
            json_array_append_new(list, plane_json(r, r->planes[i]));
    json_t *tree = json_pack("{s:I, s:s, s:o}", "version", (json_int_t)r->newest, "lineage",
                             r->lineage, "dataplanes", list);
    pthread_mutex_unlock(&r->lock);
    return tree;
}

bool rollout_take_changed(struct rollout *r, size_t *at, struct rollout_plane *ret)
{
    bool found = false;
    pthread_mutex_lock(&r->lock);
    while (*at < r->count && !found) {
        struct rollout_plane *p = r->planes[(*at)++];
        found = p->changed && !p->removed;
        p->changed = false;
        if (found)
            *ret = *p;
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}
