/*
 * flow — the worker, its lease server and its journal.
 */
#include "tests/kit/flow/flow.h"
#include "common/upstream/access_token.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/journal/journal_private.h"
#include "common/scope/lease_client.h"
#include "common/scope/registry.h"
#include "common/upstream/access_token.h"
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

/* What is in the journal comes in before a request is answered, as if it had been shipped. */
static void ship(struct flow *k)
{
    SPARED;
    uint64_t sequence;
    struct slice packed;
    while (k->journal && journal_next(k->journal, &k->shipped_at, &sequence, &packed)) {
        Gatehouse__JournalRecord *r =
            gatehouse__journal_record__unpack(NULL, packed.len, (const uint8_t *)packed.ptr);
        assert_non_null(r);
        for (size_t i = 0; i < r->n_charges; i++)
            ledger_kit_charge(&k->ledger, 0, slice_str(r->charges[i]->account),
                              slice_str(r->charges[i]->lease_id), r->charges[i]->amount_nano);
        gatehouse__journal_record__free_unpacked(r, NULL);
    }
}

static enum err lease_server_request(void *arg, void *message,
                                     void (*done)(void *done_arg, enum err e, const void *reply),
                                     void *done_arg)
{
    struct flow *k = arg;
    ship(k);
    const struct control_link link = ledger_kit_link(&k->ledger, 0);
    return link.request(link.arg, message, done, done_arg);
}

static bool lease_server_is_there(void *arg)
{
    return !((struct flow *)arg)->ledger.planes[0].away;
}

static void after_turns(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
    SPARED;
    assert_int_equal(loop_post(((struct flow *)arg)->loop, fn, fn_arg), ERR_OK);
}

void lease_server_away(struct flow *k, bool away)
{
    k->ledger.planes[0].away = away;
    lease_client_on_state(k->lease_client, !away);
}

money flow_taken(struct flow *k, const char *account)
{
    return ledger_kit_taken(&k->ledger, account);
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
    struct client_listener_config listener = {0};
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
    ledger_kit_open(&k->ledger, k->loop);
    k->registry = registry_new();
    assert_non_null(k->registry);
    const struct control_link links = {.request = lease_server_request,
                                       .is_connected = lease_server_is_there,
                                       .after_turns = after_turns,
                                       .arg = k};
    assert_int_equal(lease_client_new(k->loop, k->registry, &links, &k->lease_client), ERR_OK);
    ledger_kit_join(&k->ledger, 0, k->lease_client);
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
    access_tokens_free(k->env.upstreams.tokens);
    k->env.upstreams.tokens = NULL;
    http_client_free(k->env.upstreams.client);
    for (size_t i = 0; i < FLOW_UPSTREAMS; i++)
        flow_upstream_close(k, i);
    lease_server_away(k, true); /* earlier requests are answered while the lease client is there */
    settle_down(k);
    ai_fini(&k->env);
    mcp_fini(&k->env);
    request_env_fini(&k->env);
    lease_client_free(k->lease_client);
    snapshot_drop(k->policy);
    registry_free(k->registry);
    ledger_kit_close(&k->ledger);
    resolver_free(k->resolver);
    loop_free(k->loop);
    close_journal(k);
    mem_free(k);
}
