/*
 * flow — the worker, its lease server and its journal.
 */
#include "tests/kit/flow/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/journal/journal_private.h"
#include "common/scope/lease_client.h"
#include "common/scope/registry.h"
#include "dataplane/ai/ai_gate.h"
#include "mcp-gateway/tool_gate.h"
#include "proto/channel.pb-c.h"
#include "tests/kit/flow/flow_private.h"

#define JOURNAL_BYTES (1024 * 1024)

uint64_t flow_now_ms(void)
{
    return clock_mono_us() / 1000;
}

static void on_wake(struct timer *t UNUSED)
{
}

void flow_turn(struct flow *k)
{
    struct timer wake;
    timer_init(&wake, k->loop, on_wake);
    timer_start(&wake, 5);
    uv_run(loop_uv(k->loop), UV_RUN_ONCE);
    timer_cancel(&wake);
}

/* ---- the lease server ---- */

struct lease_server_reply {
    void (*done)(void *arg, enum err e, const void *reply);
    void *arg;
    Gatehouse__Reply reply;
    Gatehouse__LeaseReply lease;
    Gatehouse__LeaseGrant grants[8], *pointers[8];
    char lease_ids[8][32];
};

static struct flow_account *account_of(struct flow *k, const char *id)
{
    for (size_t i = 0; i < k->account_count; i++)
        if (strcmp(k->accounts[i].id, id) == 0)
            return &k->accounts[i];
    assert_true(k->account_count < ARRAY_LEN(k->accounts));
    struct flow_account *a = &k->accounts[k->account_count++];
    *a = (struct flow_account){0};
    snprintf(a->id, sizeof(a->id), "%s", id);
    return a;
}

void flow_account_limit(struct flow *k, const char *id, money limit)
{
    account_of(k, id)->limit = limit;
}

static void deliver(void *arg)
{
    struct lease_server_reply *p = arg;
    p->done(p->arg, ERR_OK, &p->reply);
    mem_free(p);
}

static void lend(struct flow *k, struct lease_server_reply *p, size_t i,
                 const Gatehouse__LeaseAsk *ask)
{
    struct flow_account *a = account_of(k, ask->account);
    money left = a->limit - a->leased;
    Gatehouse__LeaseGrant *g = &p->grants[i];
    gatehouse__lease_grant__init(g);
    g->account = a->id;
    g->has_granted_nano = g->has_valid_ms = g->has_limit_nano = g->has_spent_nano = true;
    g->granted_nano = ask->want_nano < left ? ask->want_nano : left;
    if (g->granted_nano < ask->least_nano)
        g->granted_nano = 0;
    k->lease_server_refusals += g->granted_nano == 0 && ask->want_nano > 0;
    g->valid_ms = 60000; /* longer than any scenario: renewing is not what flows are about */
    g->limit_nano = a->limit;
    a->leased += g->granted_nano;
    g->spent_nano = a->leased;
    g->has_set_aside_nano = true;
    g->set_aside_nano = a->leased - a->spent;
    g->has_period_end_us = a->resets_at_us > 0;
    g->period_end_us = a->resets_at_us;
    if (ask->renew_lease_id)
        snprintf(p->lease_ids[i], sizeof(p->lease_ids[i]), "%s", ask->renew_lease_id);
    else
        snprintf(p->lease_ids[i], sizeof(p->lease_ids[i]), "l_%u", ++k->lease_number);
    g->lease_id = p->lease_ids[i];
    p->pointers[i] = g;
}

static enum err lease_server_request(void *arg, void *message,
                                     void (*done)(void *done_arg, enum err e, const void *reply),
                                     void *done_arg)
{
    SPARED;
    struct flow *k = arg;
    Gatehouse__Request *m = message;
    if (k->lease_server_away)
        return ERR_CLOSED;
    struct lease_server_reply *p = mem_zalloc(sizeof(*p));
    assert_non_null(p);
    gatehouse__reply__init(&p->reply);
    p->done = done;
    p->arg = done_arg;
    if (m->body_case == GATEHOUSE__REQUEST__BODY_LEASE) {
        assert_true(m->lease->n_asks <= ARRAY_LEN(p->grants));
        gatehouse__lease_reply__init(&p->lease);
        for (size_t i = 0; i < m->lease->n_asks; i++)
            lend(k, p, i, m->lease->asks[i]);
        p->lease.n_grants = m->lease->n_asks;
        p->lease.grants = p->pointers;
        p->reply.body_case = GATEHOUSE__REPLY__BODY_LEASE;
        p->reply.lease = &p->lease;
    }
    enum err e = loop_post(k->loop, deliver, p);
    if (e != ERR_OK)
        mem_free(p);
    return e;
}

static bool lease_server_is_there(void *arg)
{
    return !((struct flow *)arg)->lease_server_away;
}

static void after_turns(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
    SPARED;
    assert_int_equal(loop_post(((struct flow *)arg)->loop, fn, fn_arg), ERR_OK);
}

/* ---- the journal ---- */

static void open_journal(struct flow *k)
{
    assert_true(scratch_folder(k->dir));
    const struct journal_config c = {
        .dir = k->dir, .epoch = 1, .worker = 0, .bytes = JOURNAL_BYTES};
    assert_int_equal(journal_create(&c, &k->journal), ERR_OK);
}

static void close_journal(struct flow *k)
{
    journal_remove(k->journal);
    assert_int_equal(rmdir(k->dir), 0);
}

money flow_lost_at(const struct flow *k)
{
    for (uint32_t i = 0; i < k->journal->page->slot_count; i++)
        if (atomic_load(&k->journal->slots[i].state) == SLOT_OPEN)
            return atomic_load(&k->journal->slots[i].worst);
    return -1;
}

Gatehouse__JournalRecord *flow_record(struct flow *k)
{
    uint64_t sequence;
    struct slice packed;
    if (!journal_next(k->journal, &k->journal_at, &sequence, &packed))
        return NULL;
    Gatehouse__JournalRecord *r =
        gatehouse__journal_record__unpack(NULL, packed.len, (const uint8_t *)packed.ptr);
    assert_non_null(r);
    return r;
}

void flow_record_free(Gatehouse__JournalRecord *r)
{
    gatehouse__journal_record__free_unpacked(r, NULL);
}

/* ---- the whole ---- */

static void open_worker(struct flow *k)
{
    struct mhd_adapter_config listener = {0};
    request_env_init(&k->env);
    k->env.loop = k->loop;
    k->env.journal = k->journal;
    assert_int_equal(http_client_new(k->loop, k->resolver, NULL, &k->env.upstreams.client), ERR_OK);
    assert_int_equal(address_parse(SLICE("127.0.0.1:0"), &listener.listen), ERR_OK);
    assert_int_equal(client_listener_open(&listener, &k->env, &k->listener), ERR_OK);
    k->port = client_listener_port(k->listener);
}

struct flow *flow_open(void)
{
    struct flow *k = mem_zalloc(sizeof(*k));
    assert_non_null(k);
    assert_int_equal(loop_new(&k->loop), ERR_OK);
    assert_int_equal(resolver_new(k->loop, &k->resolver), ERR_OK);
    open_journal(k);
    k->registry = registry_new();
    assert_non_null(k->registry);
    const struct control_link links = {.request = lease_server_request,
                                       .is_connected = lease_server_is_there,
                                       .after_turns = after_turns,
                                       .arg = k};
    assert_int_equal(lease_client_new(k->loop, k->registry, &links, &k->desk), ERR_OK);
    for (size_t i = 0; i < FLOW_UPSTREAMS; i++)
        flow_upstream_open(k, i);
    open_worker(k);
    return k;
}

/* Two turns: what the closing of one thing tells another has arrived. */
static void settle_down(struct flow *k)
{
    for (int i = 0; i < 2; i++)
        flow_turn(k);
}

void flow_close(struct flow *k)
{
    for (size_t i = 0; i < k->client_count; i++)
        flow_client_close(&k->clients[i]);
    settle_down(k);
    client_listener_close(&k->listener);
    settle_down(k);
    assert_int_equal(k->env.request_count, 0);
    http_client_free(k->env.upstreams.client);
    for (size_t i = 0; i < FLOW_UPSTREAMS; i++)
        flow_upstream_close(k, i);
    k->lease_server_away = true; /* what it was asked before is answered while the desk is there */
    settle_down(k);
    ai_fini(&k->env);
    mcp_fini(&k->env);
    request_env_fini(&k->env);
    lease_client_free(k->desk);
    snapshot_drop(k->policy);
    registry_free(k->registry);
    resolver_free(k->resolver);
    loop_free(k->loop);
    close_journal(k);
    mem_free(k);
}
