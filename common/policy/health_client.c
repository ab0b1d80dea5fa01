/* health_client — a row for each credential that was reported; one request under way. */
#include "common/policy/health_client.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/mem.h"

#define REPORT_MS 1000
#define REFUSED_MS 60000 /* a control plane that does not know the report */
#define SAME_US 50000    /* two clocks do not run alike: an end that moved less has not moved */
#define REGION_MAX 65

struct row {
    char provider[ID_MAX], credential[ID_MAX], region[REGION_MAX];
    int64_t until_us; /* wall; 0: it is ready */
    uint32_t rpm_left, tpm_left, in_flight;
    bool has_rpm, has_tpm;
    bool is_new;   /* not reported on this connection */
    bool has_news; /* to be reported now */
    bool is_there; /* in the policy */
};

struct health_client {
    struct control_link links;
    const struct snapshot *policy; /* NULL: none yet */
    struct timer report;
    struct map *rows; /* by credential; values are owned */
    bool whole;       /* the next report is of all */
    bool reporting;
};

/* ---- rows ---- */

static struct row *row_for(struct health_client *c, const struct policy_provider *p,
                           const struct policy_credential *k)
{
    struct row *r = map_find(c->rows, k->id);
    if (r || map_size(c->rows) >= LIMIT_HEALTH_ENDPOINTS || k->id.len >= ID_MAX ||
        p->o.id.len >= ID_MAX || k->region.len >= REGION_MAX || !(r = mem_zalloc(sizeof(*r))))
        return r;
    snprintf(r->provider, sizeof(r->provider), "%.*s", SLICE_ARG(p->o.id));
    snprintf(r->credential, sizeof(r->credential), "%.*s", SLICE_ARG(k->id));
    snprintf(r->region, sizeof(r->region), "%.*s", SLICE_ARG(k->region));
    r->is_new = true;
    if (map_put(c->rows, slice_str(r->credential), r, NULL)) {
        mem_free(r);
        return NULL;
    }
    return r;
}

static uint32_t left_of(uint32_t share, uint64_t taken)
{
    return taken < share ? share - (uint32_t)taken : 0;
}

static bool is_same_time(int64_t a, int64_t b)
{
    return (a == 0) == (b == 0) && a - b < SAME_US && b - a < SAME_US;
}

static void take_state(struct row *r, const struct ceiling_state *s)
{
    struct row now = *r;
    now.until_us = s->cool_us ? clock_wall_us() + (int64_t)s->cool_us : 0;
    now.has_rpm = s->limits.rpm > 0;
    now.has_tpm = s->limits.tpm > 0;
    now.rpm_left = now.has_rpm ? left_of(s->share.rpm, s->requests) : 0;
    now.tpm_left = now.has_tpm ? left_of(s->share.tpm, s->tokens) : 0;
    now.in_flight = s->in_flight;
    now.has_news = r->is_new || !is_same_time(now.until_us, r->until_us) ||
                   now.rpm_left != r->rpm_left || now.tpm_left != r->tpm_left ||
                   now.has_rpm != r->has_rpm || now.has_tpm != r->has_tpm ||
                   now.in_flight != r->in_flight;
    now.is_there = true;
    if (is_same_time(now.until_us, r->until_us))
        now.until_us = r->until_us;
    *r = now;
}

static bool look_at(void *arg, const struct policy_provider *p)
{
    struct health_client *c = arg;
    for (size_t i = 0; i < p->credential_count; i++) {
        struct ceiling_state s;
        ceiling_look(p->credentials[i].ceiling, clock_mono_us(), &s);
        struct row *r = row_for(c, p, &p->credentials[i]);
        if (r)
            take_state(r, &s);
    }
    return true;
}

/* ---- the report ---- */

static void fill(const struct row *r, Gatehouse__EndpointReport *ret)
{
    gatehouse__endpoint_report__init(ret);
    ret->provider_id = (char *)(uintptr_t)r->provider;
    ret->credential_id = (char *)(uintptr_t)r->credential;
    ret->region = r->region[0] ? (char *)(uintptr_t)r->region : NULL;
    ret->state = r->until_us ? "open" : "closed";
    ret->why = r->until_us ? "rate_limited" : NULL;
    ret->has_until_us = r->until_us != 0;
    ret->until_us = r->until_us;
    ret->has_in_flight = true;
    ret->in_flight = r->in_flight;
    ret->has_rpm_left = r->has_rpm;
    ret->rpm_left = r->rpm_left;
    ret->has_tpm_left = r->has_tpm;
    ret->tpm_left = r->tpm_left;
    ret->has_gone = !r->is_there;
    ret->gone = !r->is_there;
}

static void on_reply(void *arg, enum err e, const void *reply)
{
    struct health_client *c = arg;
    const Gatehouse__Reply *m = reply;
    bool refused = !e && m && m->error;
    c->reporting = false;
    c->whole = c->whole || e || refused; /* what did not arrive is told again */
    timer_start(&c->report, refused ? REFUSED_MS : REPORT_MS);
}

static enum err send_report(struct health_client *c, Gatehouse__EndpointReport **rows, size_t n)
{
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    Gatehouse__HealthReport body = GATEHOUSE__HEALTH_REPORT__INIT;
    body.endpoints = rows;
    body.n_endpoints = n;
    body.has_whole = body.whole = c->whole;
    m.body_case = GATEHOUSE__REQUEST__BODY_HEALTH;
    m.health = &body;
    enum err e = c->links.request(c->links.arg, &m, on_reply, c);
    if (!e)
        c->whole = false;
    return e;
}

/* Rows of what is gone are forgotten once they are told. */
static void forget_gone(struct health_client *c, bool all)
{
    size_t at = 0;
    struct slice key;
    void *value;
    while (map_each(c->rows, &at, &key, &value)) {
        struct row *r = value;
        if (r->is_there && !all)
            continue;
        map_remove(c->rows, key);
        mem_free(r);
    }
}

static enum err report(struct health_client *c)
{
    size_t count = map_size(c->rows), at = 0, n = 0;
    Gatehouse__EndpointReport *rows = mem_array(count + 1, sizeof(*rows));
    Gatehouse__EndpointReport **list = mem_array(count + 1, sizeof(*list));
    enum err e = rows && list ? ERR_OK : ERR_NOMEM;
    struct slice key;
    void *value;
    while (!e && map_each(c->rows, &at, &key, &value)) {
        struct row *r = value;
        if (!r->has_news && r->is_there && !c->whole)
            continue;
        r->is_new = false;
        fill(r, &rows[n]);
        list[n] = &rows[n];
        n++;
    }
    if (!e)
        e = n || c->whole ? send_report(c, list, n) : ERR_NOT_FOUND;
    if (!e)
        forget_gone(c, false);
    mem_free(rows);
    mem_free(list);
    return e;
}

static void forget_presence(struct health_client *c)
{
    size_t at = 0;
    struct slice key;
    void *value;
    while (map_each(c->rows, &at, &key, &value))
        ((struct row *)value)->is_there = false;
}

static void on_report(struct timer *t)
{
    struct health_client *c = CONTAINER_OF(t, struct health_client, report);
    if (c->reporting)
        return;
    if (c->policy && c->links.is_connected(c->links.arg)) {
        forget_presence(c);
        snapshot_each_provider(c->policy, look_at, c);
        c->reporting = report(c) == ERR_OK;
    }
    if (!c->reporting)
        timer_start(t, REPORT_MS);
}

/* ---- what is heard ---- */

void health_client_hint(struct health_client *c, const Gatehouse__HealthHint *h)
{
    const uint32_t most = LIMIT_ENDPOINT_WAIT_MS;
    const struct policy_provider *p = c->policy && h->provider_id
                                          ? snapshot_provider(c->policy, slice_str(h->provider_id))
                                          : NULL;
    bool limited = h->why && !strcmp(h->why, "rate_limited");
    if (!p || !h->credential_id || (h->for_ms && !limited))
        return;
    for (size_t i = 0; i < p->credential_count; i++)
        if (slice_eq(p->credentials[i].id, slice_str(h->credential_id)))
            ceiling_hint(p->credentials[i].ceiling,
                         (uint64_t)(h->for_ms < most ? h->for_ms : most) * 1000, clock_mono_us());
}

/* ---- its life ---- */

enum err health_client_new(struct loop *l, const struct control_link *links,
                           struct health_client **ret)
{
    struct health_client *c = mem_zalloc(sizeof(*c));
    if (!c)
        return ERR_NOMEM;
    c->links = *links;
    c->whole = true;
    c->rows = map_new();
    if (!c->rows) {
        mem_free(c);
        return ERR_NOMEM;
    }
    timer_init(&c->report, l, on_report);
    timer_start(&c->report, REPORT_MS);
    *ret = c;
    return ERR_OK;
}

void health_client_policy(struct health_client *c, const struct snapshot *s)
{
    snapshot_drop(c->policy);
    c->policy = snapshot_hold(s);
}

void health_client_on_state(struct health_client *c, bool up)
{
    if (!up)
        return;
    c->whole = true;
    if (!c->reporting)
        timer_start(&c->report, REPORT_MS);
}

void health_client_free(struct health_client *c)
{
    if (!c)
        return;
    timer_cancel(&c->report);
    forget_gone(c, true);
    map_free(c->rows);
    snapshot_drop(c->policy);
    mem_free(c);
}
