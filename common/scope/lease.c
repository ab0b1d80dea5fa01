/*
 * lease — how a slice of a budget ends: closed, quiet, reported, freed.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/scope/lease_client_private.h"
#include "proto/channel.pb-c.h"

#define IDLE_TICKS (5 * DESK_TICKS_PER_S) /* an unused slice goes back after five seconds */

void lease_free(struct lease *l)
{
    list_remove(&l->link);
    account_drop(l->account);
    mem_free(l);
}

static void on_quiescent(void *arg)
{
    struct lease *l = arg;
    l->quiescent = true;
}

void lease_close(struct lease_client *d, struct lease *l)
{
    if (l->closing)
        return;
    l->closing = true;
    struct lease *expected = l;
    atomic_compare_exchange_strong(&l->account->current, &expected, NULL);
    d->links.after_turns(d->links.arg, on_quiescent, l);
}

struct report {
    struct lease_client *lease_client;
    struct lease *lease;
};

static void on_reported(void *arg, enum err e, const void *reply)
{
    struct report *r = arg;
    const Gatehouse__Reply *m = reply;
    if (e == ERR_OK && m && !m->error)
        lease_free(r->lease);
    else
        r->lease->reported = false; /* the tick tries again */
    mem_free(r);
}

static void lease_report(struct lease_client *d, struct lease *l)
{
    struct report *r = mem_zalloc(sizeof(*r));
    if (!r)
        return;
    *r = (struct report){.lease_client = d, .lease = l};
    Gatehouse__LeaseEnd end = GATEHOUSE__LEASE_END__INIT;
    Gatehouse__LeaseEnd *ends[] = {&end};
    Gatehouse__LeaseEndRequest body = GATEHOUSE__LEASE_END_REQUEST__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    end.lease_id = l->id;
    end.has_settled_nano = true;
    end.settled_nano = atomic_load(&l->settled);
    body.n_ends = 1;
    body.ends = ends;
    m.body_case = GATEHOUSE__REQUEST__BODY_LEASE_END;
    m.lease_end = &body;
    l->reported = true;
    if (d->links.request(d->links.arg, &m, on_reported, r) != ERR_OK) {
        l->reported = false;
        mem_free(r);
    }
}

void lease_look_after(struct lease_client *d, struct lease *l)
{
    int64_t remaining = atomic_load(&l->remaining);
    int64_t outstanding = atomic_load(&l->outstanding);
    if (l->closing) {
        if (l->quiescent && outstanding == 0 && !l->reported && d->links.is_connected(d->links.arg))
            lease_report(d, l);
        return;
    }
    bool used = outstanding > 0 || remaining != l->seen_remaining;
    l->seen_remaining = remaining;
    l->idle_ticks = used ? 0 : l->idle_ticks + 1;
    bool over = clock_mono_us() >= atomic_load(&l->valid_until_us);
    if (!l->account->asking && (l->idle_ticks >= IDLE_TICKS || over))
        lease_close(d, l);
}
