/* ceiling_client — one request under way; the ceilings it asked for, in the order of its asks. */
#include "common/policy/ceiling_client.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "proto/channel.pb-c.h"

#define ASK_MS 1000
#define ASK_REFUSED_MS 60000 /* a control plane that does not know the request */

struct asked {
    struct ceiling *ceiling; /* held */
    char credential[ID_MAX];
};

struct ceiling_client {
    struct loop *loop;
    struct control_link links;
    const struct snapshot *policy; /* NULL: none yet */
    struct timer ask;
    struct asked asked[LIMIT_CEILING_ASKS]; /* of the request under way */
    size_t asked_count;
    size_t skip; /* ceilings before those that are asked for next: there are more than fit */
    uint64_t asked_us;
    bool asking;
};

static void forget_asked(struct ceiling_client *c)
{
    for (size_t i = 0; i < c->asked_count; i++)
        ceiling_drop(c->asked[i].ceiling);
    c->asked_count = 0;
    c->asking = false;
}

/* ---- the reply ---- */

/* The time counts from when it was asked: no shorter than the control plane counts it. */
static void lease(struct ceiling_client *c, struct ceiling *to, const Gatehouse__CeilingGrant *g)
{
    const struct ceiling_share share = {.now = {g->rpm, g->tpm},
                                        .floor = {g->rpm_floor < g->rpm ? g->rpm_floor : g->rpm,
                                                  g->tpm_floor < g->tpm ? g->tpm_floor : g->tpm},
                                        .until_us = c->asked_us + (uint64_t)g->valid_ms * 1000};
    ceiling_lease(to, &share);
}

static void take(struct ceiling_client *c, const Gatehouse__CeilingReply *m)
{
    for (size_t i = 0; i < m->n_grants && i < c->asked_count; i++)
        if (m->grants[i]->credential_id &&
            !strcmp(m->grants[i]->credential_id, c->asked[i].credential))
            lease(c, c->asked[i].ceiling, m->grants[i]);
}

static void on_reply(void *arg, enum err e, const void *reply)
{
    struct ceiling_client *c = arg;
    const Gatehouse__Reply *m = reply;
    bool refused = !e && m && m->error && !strcmp(m->error, "invalid");
    if (!e && m && !m->error && m->ceiling)
        take(c, m->ceiling);
    forget_asked(c);
    timer_start(&c->ask, refused ? ASK_REFUSED_MS : ASK_MS);
}

/* ---- the request ---- */

struct gathering {
    struct ceiling_client *client;
    size_t seen;
};

static bool gather(void *arg, const struct policy_provider *p)
{
    struct gathering *g = arg;
    struct ceiling_client *c = g->client;
    for (size_t i = 0; i < p->credential_count; i++) {
        const struct policy_credential *k = &p->credentials[i];
        if ((!k->rpm && !k->tpm) || k->id.len >= ID_MAX || g->seen++ < c->skip)
            continue;
        if (c->asked_count == LIMIT_CEILING_ASKS)
            return false;
        struct asked *a = &c->asked[c->asked_count++];
        a->ceiling = ceiling_hold(k->ceiling);
        snprintf(a->credential, sizeof(a->credential), "%.*s", SLICE_ARG(k->id));
    }
    return true;
}

static uint32_t clip(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void fill(const struct asked *a, uint64_t now_us, Gatehouse__CeilingAsk *ret)
{
    struct ceiling_state s;
    ceiling_look(a->ceiling, now_us, &s);
    gatehouse__ceiling_ask__init(ret);
    ret->credential_id = (char *)(uintptr_t)a->credential;
    ret->has_rpm = ret->has_tpm = ret->has_requests = ret->has_tokens = ret->has_waiting =
        ret->has_rpm_in_force = ret->has_tpm_in_force = true;
    ret->rpm = s.limits.rpm;
    ret->tpm = s.limits.tpm;
    ret->requests = clip(s.requests);
    ret->tokens = clip(s.tokens);
    ret->waiting = s.waiting;
    ret->rpm_in_force = s.share.rpm;
    ret->tpm_in_force = s.share.tpm;
}

static enum err send_asks(struct ceiling_client *c)
{
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    Gatehouse__CeilingRequest body = GATEHOUSE__CEILING_REQUEST__INIT;
    Gatehouse__CeilingAsk *rows = mem_array(c->asked_count, sizeof(*rows));
    Gatehouse__CeilingAsk **asks = mem_array(c->asked_count, sizeof(*asks));
    enum err e = rows && asks ? ERR_OK : ERR_NOMEM;
    c->asked_us = clock_mono_us();
    for (size_t i = 0; !e && i < c->asked_count; i++) {
        fill(&c->asked[i], c->asked_us, &rows[i]);
        asks[i] = &rows[i];
    }
    body.asks = asks;
    body.n_asks = c->asked_count;
    m.body_case = GATEHOUSE__REQUEST__BODY_CEILING;
    m.ceiling = &body;
    if (!e)
        e = c->links.request(c->links.arg, &m, on_reply, c);
    mem_free(rows);
    mem_free(asks);
    return e;
}

static void on_ask(struct timer *t)
{
    struct ceiling_client *c = CONTAINER_OF(t, struct ceiling_client, ask);
    struct gathering g = {.client = c};
    if (c->asking)
        return;
    if (c->policy && c->links.is_connected(c->links.arg))
        snapshot_each_provider(c->policy, gather, &g);
    c->skip = c->asked_count == LIMIT_CEILING_ASKS ? c->skip + LIMIT_CEILING_ASKS : 0;
    if (c->asked_count && !send_asks(c)) {
        c->asking = true;
        return;
    }
    forget_asked(c);
    timer_start(t, ASK_MS);
}

/* ---- its life ---- */

enum err ceiling_client_new(struct loop *l, const struct control_link *links,
                            struct ceiling_client **ret)
{
    struct ceiling_client *c = mem_zalloc(sizeof(*c));
    if (!c)
        return ERR_NOMEM;
    c->loop = l;
    c->links = *links;
    timer_init(&c->ask, l, on_ask);
    timer_start(&c->ask, ASK_MS);
    *ret = c;
    return ERR_OK;
}

void ceiling_client_policy(struct ceiling_client *c, const struct snapshot *s)
{
    snapshot_drop(c->policy);
    c->policy = snapshot_hold(s);
}

void ceiling_client_free(struct ceiling_client *c)
{
    if (!c)
        return;
    timer_cancel(&c->ask);
    forget_asked(c);
    snapshot_drop(c->policy);
    mem_free(c);
}
