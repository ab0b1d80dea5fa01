/* health_board — a list of endpoints for each plane. */
#include "controlplane/channel/health_board.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/mem.h"

#define HINT_MS_MOST 3600000 /* a plane finds out by itself after that */

struct endpoint_row {
    char provider_id[ID_MAX];
    struct health_row said;
};

struct plane_board {
    char id[ID_MAX];
    uint64_t epoch;
    struct endpoint_row *rows;
    size_t count, cap;
};

struct health_board {
    pthread_mutex_t lock;
    struct map *planes; /* struct plane_board, by id */
};

struct health_board *health_board_new(void)
{
    struct health_board *b = mem_zalloc(sizeof(*b));
    if (b && !(b->planes = map_new())) {
        mem_free(b);
        return NULL;
    }
    if (b)
        pthread_mutex_init(&b->lock, NULL);
    return b;
}

static void free_plane(struct plane_board *p)
{
    if (p)
        mem_free(p->rows);
    mem_free(p);
}

void health_board_free(struct health_board *b)
{
    struct slice key;
    size_t at = 0;
    void *value;
    if (!b)
        return;
    while (map_each(b->planes, &at, &key, &value))
        free_plane(value);
    map_free(b->planes);
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

void health_board_forget(struct health_board *b, struct slice plane_id)
{
    pthread_mutex_lock(&b->lock);
    free_plane(map_remove(b->planes, plane_id));
    pthread_mutex_unlock(&b->lock);
}

/* ---- one endpoint ---- */

static const char *text(const char *t)
{
    return t ? t : "";
}

static bool is_word(const char *t, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(t, *words) == 0)
            return true;
    return false;
}

static bool is_readable(const Gatehouse__EndpointReport *e)
{
    static const char *const states[] = {"closed", "open", "half_open", NULL};
    static const char *const whys[] = {"", "failures", "rate_limited", "credential", NULL};
    const struct health_row *r = NULL;
    return e->provider_id && e->provider_id[0] && strlen(e->provider_id) < ID_MAX &&
           strlen(text(e->credential_id)) < ID_MAX && strlen(text(e->region)) < sizeof(r->region) &&
           (e->gone || is_word(text(e->state), states)) && is_word(text(e->why), whys);
}

static struct endpoint_row *find_row(const struct plane_board *p,
                                     const Gatehouse__EndpointReport *e)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->rows[i].provider_id, e->provider_id) == 0 &&
            strcmp(p->rows[i].said.credential_id, text(e->credential_id)) == 0 &&
            strcmp(p->rows[i].said.region, text(e->region)) == 0)
            return &p->rows[i];
    return NULL;
}

static enum err add_row(struct plane_board *p, struct endpoint_row **ret)
{
    if (p->count == LIMIT_HEALTH_ENDPOINTS)
        return ERR_EXHAUSTED;
    if (p->count == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 8;
        struct endpoint_row *grown = mem_realloc(p->rows, cap * sizeof(*grown));
        if (!grown)
            return ERR_NOMEM;
        p->rows = grown;
        p->cap = cap;
    }
    *ret = &p->rows[p->count++];
    memset(*ret, 0, sizeof(**ret));
    return ERR_OK;
}

static void drop_row(struct plane_board *p, struct endpoint_row *row)
{
    *row = p->rows[--p->count];
}

static void fill_row(struct endpoint_row *row, const struct plane_board *p,
                     const Gatehouse__EndpointReport *e)
{
    struct health_row *r = &row->said;
    snprintf(row->provider_id, sizeof(row->provider_id), "%s", e->provider_id);
    *r = (struct health_row){.plane_id = p->id,
                             .until_us = e->until_us,
                             .attempts = e->attempts,
                             .errors_permille = e->errors_permille,
                             .in_flight = e->in_flight,
                             .ttft_p50_ms = e->ttft_p50_ms,
                             .ttft_p99_ms = e->ttft_p99_ms,
                             .latency_ms = e->latency_ms,
                             .tokens_per_second = e->tokens_per_second,
                             .has_rpm_left = e->has_rpm_left,
                             .has_tpm_left = e->has_tpm_left,
                             .rpm_left = e->rpm_left,
                             .tpm_left = e->tpm_left};
    snprintf(r->credential_id, sizeof(r->credential_id), "%s", text(e->credential_id));
    snprintf(r->region, sizeof(r->region), "%s", text(e->region));
    snprintf(r->state, sizeof(r->state), "%s", e->state);
    snprintf(r->why, sizeof(r->why), "%s", text(e->why));
}

/* ---- reports ---- */

/* Others hear of an endpoint that was ready, or was to be ready sooner, and of one that is ready
 * again. */
static void add_news(struct health_news *n, int64_t was_us, const Gatehouse__EndpointReport *e,
                     int64_t now_us)
{
    bool waits = e->until_us > now_us, waited = was_us > now_us;
    if (n->count == HEALTH_NEWS_MOST || (waits ? e->until_us <= was_us : !waited))
        return;
    Gatehouse__HealthHint *h = n->hints[n->count] = &n->rows[n->count];
    n->count++;
    gatehouse__health_hint__init(h);
    int64_t ms = waits ? (e->until_us - now_us) / 1000 + 1 : 0;
    h->dataplane_id = n->plane_id;
    h->provider_id = e->provider_id;
    h->credential_id = e->credential_id;
    h->region = e->region;
    h->why = e->why;
    h->has_for_ms = true;
    h->for_ms = (uint32_t)(ms < HINT_MS_MOST ? ms : HINT_MS_MOST);
}

/* before: as the plane stood before this report; p itself, unless it is made anew. */
static enum err take_endpoint(struct plane_board *p, const struct plane_board *before,
                              const Gatehouse__EndpointReport *e, int64_t now_us,
                              struct health_news *news)
{
    const struct endpoint_row *old = find_row(before, e);
    int64_t was_us = old ? old->said.until_us : 0;
    struct endpoint_row *row = find_row(p, e);
    enum err err = ERR_OK;
    if (e->gone) {
        if (row)
            drop_row(p, row);
        return ERR_OK;
    }
    if (!row)
        err = add_row(p, &row);
    if (err != ERR_OK)
        return err;
    fill_row(row, p, e);
    add_news(news, was_us, e, now_us);
    return ERR_OK;
}

static enum err take_endpoints(struct plane_board *p, const struct plane_board *before,
                               const Gatehouse__HealthReport *m, int64_t now_us,
                               struct health_news *news)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < m->n_endpoints && e == ERR_OK; i++)
        e = take_endpoint(p, before, m->endpoints[i], now_us, news);
    return e;
}

/* What it does not name is no more. On an error the rows are those of before. */
static enum err take_whole(struct plane_board *p, const Gatehouse__HealthReport *m, int64_t now_us,
                           struct health_news *news)
{
    const struct plane_board before = *p;
    p->rows = NULL;
    p->count = p->cap = 0;
    enum err e = take_endpoints(p, &before, m, now_us, news);
    mem_free(e == ERR_OK ? before.rows : p->rows);
    if (e != ERR_OK)
        *p = before;
    return e;
}

/* Locked. */
static struct plane_board *get_plane(struct health_board *b, struct slice plane_id)
{
    struct plane_board *p = map_find(b->planes, plane_id);
    if (p || plane_id.len >= ID_MAX)
        return p;
    p = mem_zalloc(sizeof(*p));
    if (p)
        snprintf(p->id, sizeof(p->id), "%.*s", SLICE_ARG(plane_id));
    if (p && map_put(b->planes, slice_str(p->id), p, NULL) != ERR_OK) {
        free_plane(p);
        p = NULL;
    }
    return p;
}

enum err health_board_report(struct health_board *b, struct slice plane_id, uint64_t epoch,
                             const Gatehouse__HealthReport *m, int64_t now_us,
                             struct health_news *ret)
{
    enum err e = ERR_OK;
    ret->count = 0;
    snprintf(ret->plane_id, sizeof(ret->plane_id), "%.*s", SLICE_ARG(plane_id));
    if (m->n_endpoints > LIMIT_HEALTH_ENDPOINTS)
        return ERR_EXHAUSTED;
    for (size_t i = 0; i < m->n_endpoints; i++)
        if (!is_readable(m->endpoints[i]))
            return ERR_INVALID;
    pthread_mutex_lock(&b->lock);
    struct plane_board *p = get_plane(b, plane_id);
    if (!p)
        e = ERR_NOMEM;
    bool is_old = p && epoch < p->epoch;
    if (p && epoch > p->epoch) { /* it started again, and nothing of before holds */
        p->epoch = epoch;
        p->count = 0;
    }
    if (p && !is_old)
        e = m->whole ? take_whole(p, m, now_us, ret) : take_endpoints(p, p, m, now_us, ret);
    pthread_mutex_unlock(&b->lock);
    return e;
}

void health_board_each(struct health_board *b, struct slice provider_id,
                       void (*fn)(void *arg, const struct health_row *row), void *arg)
{
    struct slice key;
    size_t at = 0;
    void *value;
    pthread_mutex_lock(&b->lock);
    while (map_each(b->planes, &at, &key, &value)) {
        const struct plane_board *p = value;
        for (size_t i = 0; i < p->count; i++)
            if (slice_eq(slice_str(p->rows[i].provider_id), provider_id))
                fn(arg, &p->rows[i].said);
    }
    pthread_mutex_unlock(&b->lock);
}
