/*
 * lease_client — several planes, each with a lease client of its own, and one lease server in
 * memory that runs the real rules.
 */
#include "tests/unit/policy/policy_kit.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/scope/lease_client.h"
#include "common/scope/scope.h"
#include "common/scope/scope_private.h"
#include "proto/channel.pb-c.h"
#include "tests/kit/ledger/ledger_kit.h"

#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#define KEY "key:k_1"
#define WORST 1000
#define HOUR_US INT64_C(3600000000)

struct plane_side {
    struct registry *registry;
    struct lease_client *client;
    struct account *account;
};

static struct world {
    struct loop *loop;
    struct ledger_kit ledger;
    struct plane_side planes[LEDGER_KIT_PLANES];
} w;

/* Between the lease clients and the server: replies of another version, while `garbles`. */
static bool garbles;
static unsigned garbled;

struct passing {
    void (*done)(void *arg, enum err e, const void *reply);
    void *arg;
};

static void on_reply(void *arg, enum err e, const void *reply)
{
    struct passing p = *(struct passing *)arg;
    const Gatehouse__Reply nothing = GATEHOUSE__REPLY__INIT, *m = reply;
    mem_free(arg);
    bool garble = garbles && m && m->lease;
    garbled += garble;
    p.done(p.arg, e, garble ? &nothing : m);
}

static enum err request(void *arg, void *message,
                        void (*done)(void *done_arg, enum err e, const void *reply), void *done_arg)
{
    const struct control_link inner = ledger_kit_link(&w.ledger, 0);
    struct passing *p = mem_zalloc(sizeof(*p));
    assert_non_null(p);
    *p = (struct passing){done, done_arg};
    enum err e = inner.request(arg, message, on_reply, p);
    if (e)
        mem_free(p);
    return e;
}

static void join(size_t i)
{
    struct plane_side *p = &w.planes[i];
    const struct control_link inner = ledger_kit_link(&w.ledger, i);
    const struct control_link link = {.request = request,
                                      .is_connected = inner.is_connected,
                                      .after_turns = inner.after_turns,
                                      .arg = inner.arg};
    p->registry = registry_new();
    assert_non_null(p->registry);
    assert_int_equal(lease_client_new(w.loop, p->registry, &link, &p->client), ERR_OK);
    p->account = registry_account(p->registry, SLICE(KEY));
    ledger_kit_join(&w.ledger, i, p->client);
}

static int set_up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    assert_int_equal(loop_new(&w.loop), ERR_OK);
    ledger_kit_open(&w.ledger, w.loop);
    for (size_t i = 0; i < 2; i++)
        join(i);
    return 0;
}

static void on_wake(struct timer *t)
{
    (void)t;
}

static void turn(void)
{
    struct timer wake;
    timer_init(&wake, w.loop, on_wake);
    timer_start(&wake, 5);
    uv_run(loop_uv(w.loop), UV_RUN_ONCE);
    timer_cancel(&wake);
}

static int tear_down(void **state)
{
    (void)state;
    w.ledger.silent = false;
    for (size_t i = 0; i < LEDGER_KIT_PLANES; i++)
        w.ledger.planes[i].away = true;
    for (int i = 0; i < 20; i++) /* the replies to what was requested before */
        turn();
    for (size_t i = 0; i < LEDGER_KIT_PLANES && w.planes[i].client; i++) {
        account_drop(w.planes[i].account);
        lease_client_free(w.planes[i].client);
        registry_free(w.planes[i].registry);
    }
    ledger_kit_close(&w.ledger);
    loop_free(w.loop);
    return 0;
}

#define WAIT(condition)                                                                            \
    do {                                                                                           \
        uint64_t until_ = clock_mono_us() + 20000000;                                              \
        while (!(condition) && clock_mono_us() < until_)                                           \
            turn();                                                                                \
        if (!(condition))                                                                          \
            fail_msg("waited in vain for %s", #condition);                                         \
    } while (0)

/* ---- calls ---- */

struct call {
    struct account_wait wait;
    struct reservation reservation;
    bool done;
    enum account_result result;
    uint64_t began_us, took_us;
};

static void on_done(struct account_wait *wait, enum account_result r)
{
    struct call *c = CONTAINER_OF(wait, struct call, wait);
    if (r == ACCOUNT_OK)
        r = account_reserve(wait->account, wait->amount, clock_mono_us(), &c->reservation);
    if (r == ACCOUNT_SHORT && account_want(wait) == ERR_OK)
        return;
    c->result = r;
    c->took_us = clock_mono_us() - c->began_us;
    c->done = true;
}

static void begin(struct call *c, size_t plane, money amount)
{
    *c = (struct call){.wait = {.account = w.planes[plane].account,
                                .amount = amount,
                                .loop = w.loop,
                                .done = on_done},
                       .began_us = clock_mono_us()};
    c->result = account_reserve(c->wait.account, amount, clock_mono_us(), &c->reservation);
    c->done = c->result != ACCOUNT_SHORT;
    if (!c->done)
        assert_int_equal(account_want(&c->wait), ERR_OK);
}

/* One call: reserved, settled, and its record shipped. */
static enum account_result call(size_t plane, money amount, money cost)
{
    struct call c;
    begin(&c, plane, amount);
    WAIT(c.done);
    if (c.result != ACCOUNT_OK)
        return c.result;
    char lease[LEASE_ID_MAX];
    snprintf(lease, sizeof(lease), "%.*s", SLICE_ARG(reservation_lease_id(&c.reservation)));
    account_settle(&c.reservation, cost);
    ledger_kit_charge(&w.ledger, plane, SLICE(KEY), slice_str(lease), cost);
    return ACCOUNT_OK;
}

static void pass_ms(uint64_t ms)
{
    uint64_t until = clock_mono_us() + ms * 1000;
    while (clock_mono_us() < until)
        turn();
}

/* ---- M5: what lies idle elsewhere is called back before a call is refused ---- */

static void alternate(money limit)
{
    money before = ledger_kit_account(&w.ledger, KEY)->spent;
    ledger_kit_budget(&w.ledger, KEY, limit, PERIOD_TOTAL);
    for (int i = 0; i < 30; i++) {
        enum account_result r = call((size_t)i % 2, WORST, 5);
        if (r != ACCOUNT_OK)
            fail_msg("budget %lld: call %d ended with %d", (long long)limit, i, (int)r);
    }
    assert_int_equal(ledger_kit_account(&w.ledger, KEY)->spent - before, 150);
}

static void one_call_at_a_time_over_two_planes_is_never_refused(void **state)
{
    (void)state;
    w.ledger.reserve_us = HOUR_US;
    alternate(3 * WORST);
    alternate(2 * WORST);
    alternate(WORST + 800);
}

static void nor_where_nothing_is_leased_ahead(void **state)
{
    (void)state;
    alternate(WORST + 500);
}

static void what_is_reserved_elsewhere_is_refused_for_now_within_a_second_or_so(void **state)
{
    (void)state;
    struct call first, second;
    ledger_kit_budget(&w.ledger, KEY, WORST + 1, PERIOD_TOTAL);
    begin(&first, 0, WORST);
    WAIT(first.done);
    assert_int_equal(first.result, ACCOUNT_OK);
    begin(&second, 1, WORST);
    WAIT(second.done);
    assert_int_equal(second.result, ACCOUNT_ELSEWHERE);
    assert_true(second.took_us >= 900000 && second.took_us < 5000000);
    account_settle(&first.reservation, 0);
    pass_ms(300);
    assert_int_equal(call(1, WORST, 0), ACCOUNT_OK); /* and may be tried again */
}

static void what_is_spent_is_refused_at_once_and_for_good(void **state)
{
    (void)state;
    struct call c;
    ledger_kit_budget(&w.ledger, KEY, 2 * WORST, PERIOD_TOTAL);
    assert_int_equal(call(0, WORST, WORST), ACCOUNT_OK);
    assert_int_equal(call(0, WORST, 1), ACCOUNT_OK);
    begin(&c, 1, WORST);
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_EXHAUSTED);
    assert_true(c.took_us < 900000);
}

/* ---- M6 ---- */

static void a_new_period_forgets_that_there_was_nothing_left(void **state)
{
    (void)state;
    struct call c;
    int64_t start = period_start(PERIOD_HOUR, clock_wall_us());
    ledger_kit_budget(&w.ledger, KEY, WORST, PERIOD_HOUR);
    w.ledger.wall_us = start + HOUR_US - 100000; /* its clock is not ours */
    assert_int_equal(call(0, WORST, WORST), ACCOUNT_OK);
    begin(&c, 0, WORST);
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_EXHAUSTED);
    w.ledger.wall_us = start + HOUR_US;
    pass_ms(210); /* a refusal does not hold for longer */
    begin(&c, 0, WORST);
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_OK);
    account_settle(&c.reservation, 0);
}

/* ---- M14 ---- */

static void after_a_call_that_cost_more_than_was_reserved_the_next_one_passes(void **state)
{
    (void)state;
    ledger_kit_budget(&w.ledger, KEY, 100 * WORST, PERIOD_TOTAL);
    struct call c;
    begin(&c, 0, WORST);
    WAIT(c.done);
    account_settle(&c.reservation, 7 * WORST); /* not shipped yet: the ledger does not know */
    assert_int_equal(call(0, WORST, 10), ACCOUNT_OK);
    assert_int_equal(call(0, WORST, 10), ACCOUNT_OK);
}

/* ---- M11: a lease is replaced under a long call ---- */

static void a_reservation_moves_to_the_lease_that_replaced_its_own(void **state)
{
    (void)state;
    struct call long_call, more;
    ledger_kit_budget(&w.ledger, KEY, 10 * WORST, PERIOD_TOTAL);
    begin(&long_call, 0, WORST);
    WAIT(long_call.done);
    char before[LEASE_ID_MAX];
    snprintf(before, sizeof(before), "%.*s",
             SLICE_ARG(reservation_lease_id(&long_call.reservation)));
    lease_client_end_all(w.planes[0].client); /* as when it was idle, or its period ended */
    assert_int_equal(
        account_extend(w.planes[0].account, &long_call.reservation, WORST, clock_mono_us()),
        ACCOUNT_SHORT);
    begin(&more, 0, 2 * WORST); /* the whole is requested */
    WAIT(more.done);
    account_settle(&more.reservation, 0);
    assert_int_equal(
        account_extend(w.planes[0].account, &long_call.reservation, WORST, clock_mono_us()),
        ACCOUNT_OK);
    assert_int_equal(long_call.reservation.amount, 2 * WORST);
    assert_false(slice_eq(reservation_lease_id(&long_call.reservation), slice_str(before)));
    account_settle(&long_call.reservation, 1500);
    WAIT(w.ledger.ends == 1); /* nothing is reserved in the old one any more */
}

/* ---- a lease is replaced or closed while a request that prolongs it is under way ---- */

static struct ledger_lease *row_of(const struct call *c)
{
    struct ledger_lease *l =
        ledger_sheet_lease(&w.ledger.sheet, reservation_lease_id(&c->reservation));
    assert_non_null(l);
    return l;
}

/* A call that the current lease does not hold: the request is decided, its reply is under way. */
static void begin_and_hold_the_reply(struct call *c, money amount)
{
    unsigned before = w.ledger.asks;
    w.ledger.silent = true;
    begin(c, 0, amount);
    WAIT(w.ledger.asks > before);
}

static void let_the_reply_come(const struct call *c)
{
    w.ledger.silent = false;
    WAIT(c->done);
    assert_int_equal(c->result, ACCOUNT_OK);
}

static void what_was_recalled_of_a_lease_is_not_handed_back_of_its_successor(void **state)
{
    (void)state;
    struct call c;
    w.ledger.wall_us = period_start(PERIOD_HOUR, clock_wall_us());
    ledger_kit_budget(&w.ledger, KEY, 100 * WORST, PERIOD_HOUR);
    assert_int_equal(call(0, WORST, 10), ACCOUNT_OK);
    w.ledger.wall_us += HOUR_US;
    begin_and_hold_the_reply(&c, 2 * WORST); /* the lease of the new period */
    lease_client_recall(w.planes[0].client, SLICE(KEY), 500);
    let_the_reply_come(&c);
    pass_ms(600); /* more than two ticks */
    assert_true(ledger_remaining(row_of(&c)) >= 2 * WORST);
    account_settle(&c.reservation, 0);
}

static void close_while_it_is_prolonged(void (*close)(void))
{
    struct call first, second;
    ledger_kit_budget(&w.ledger, KEY, 100 * WORST, PERIOD_TOTAL);
    registry_configure(w.planes[0].registry, w.planes[0].account, 100 * WORST, SLICE("total"));
    lease_client_policy(w.planes[0].client);
    begin(&first, 0, WORST);
    WAIT(first.done);
    struct ledger_lease *closed = row_of(&first);
    begin_and_hold_the_reply(&second, 5 * WORST);
    account_settle(&first.reservation, WORST); /* and its record is not shipped yet */
    close();
    let_the_reply_come(&second);
    assert_ptr_not_equal(row_of(&second), closed);
    WAIT(w.ledger.ends >= 1);
    pass_ms(600);
    assert_int_equal(w.ledger.ends, 1);
    assert_true(ledger_remaining(closed) >= WORST);
    ledger_kit_charge(&w.ledger, 0, SLICE(KEY), slice_str(closed->id), WORST);
    assert_int_equal(closed->state, LEDGER_CLOSED);
    assert_true(ledger_remaining(row_of(&second)) >= 5 * WORST);
    account_settle(&second.reservation, 0);
}

static void end_all(void)
{
    assert_false(lease_client_end_all(w.planes[0].client));
}

static void narrow(void)
{
    ledger_kit_budget(&w.ledger, KEY, 50 * WORST, PERIOD_TOTAL);
    registry_configure(w.planes[0].registry, w.planes[0].account, 50 * WORST, SLICE("total"));
    lease_client_policy(w.planes[0].client);
}

static void a_lease_that_was_ended_while_it_was_prolonged_is_used_no_more(void **state)
{
    (void)state;
    close_while_it_is_prolonged(end_all);
}

static void nor_is_one_of_a_budget_that_was_narrowed_meanwhile(void **state)
{
    (void)state;
    close_while_it_is_prolonged(narrow);
}

static void while_a_lease_is_under_way_not_every_lease_has_ended(void **state)
{
    (void)state;
    struct call c;
    ledger_kit_budget(&w.ledger, KEY, 100 * WORST, PERIOD_TOTAL);
    begin_and_hold_the_reply(&c, WORST);
    assert_false(lease_client_end_all(w.planes[0].client));
    let_the_reply_come(&c);
    account_settle(&c.reservation, 0);
    WAIT(lease_client_end_all(w.planes[0].client));
    assert_int_equal(ledger_kit_account(&w.ledger, KEY)->leased, 0);
}

/* ---- M12: an outage ---- */

static void an_outage_refuses_no_call_while_there_is_money(void **state)
{
    (void)state;
    w.ledger.reserve_us = HOUR_US;
    ledger_kit_budget(&w.ledger, KEY, 200 * WORST, PERIOD_TOTAL);
    for (int i = 0; i < 20; i++)
        assert_int_equal(call(0, WORST, 100), ACCOUNT_OK);
    /* the pace is measured within a second or so, and the rest leased ahead */
    WAIT(lease_of(w.planes[0].account) &&
         atomic_load(&lease_of(w.planes[0].account)->remaining) >= 100 * WORST);
    w.ledger.planes[0].away = true;
    lease_client_on_state(w.planes[0].client, false);
    pass_ms(2600); /* longer than the old patience, shorter than any lease's validity */
    struct reservation r[100];
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(account_reserve(w.planes[0].account, WORST, clock_mono_us(), &r[i]),
                         ACCOUNT_OK);
    struct lease_status s;
    WAIT((lease_client_status(w.planes[0].client, &s), s.away_ms >= 2000));
    assert_true(s.leases == 1 && s.left > 0);
    for (size_t i = 0; i < 100; i++)
        account_settle(&r[i], 100);
    uint64_t minutes = clock_mono_us() + 600000000; /* ten minutes later it is still valid */
    assert_int_equal(account_reserve(w.planes[0].account, WORST, minutes, &r[0]), ACCOUNT_OK);
    account_settle(&r[0], 0);
}

static void a_budget_that_says_stop_is_not_spent_without_the_control_plane(void **state)
{
    (void)state;
    struct reservation r;
    w.ledger.reserve_us = HOUR_US;
    ledger_kit_budget(&w.ledger, KEY, 200 * WORST, PERIOD_TOTAL);
    ledger_kit_on_disconnect(&w.ledger, KEY, false);
    assert_int_equal(call(0, WORST, 100), ACCOUNT_OK);
    uint64_t later = clock_mono_us() + 11000000;
    assert_int_equal(account_reserve(w.planes[0].account, 1, later, &r), ACCOUNT_SHORT);
}

static void in_an_outage_a_refusal_comes_at_once(void **state)
{
    (void)state;
    struct call c;
    struct lease_status s;
    ledger_kit_budget(&w.ledger, KEY, 200 * WORST, PERIOD_TOTAL);
    w.ledger.planes[0].away = true;
    lease_client_on_state(w.planes[0].client, false);
    pass_ms(2100);
    begin(&c, 0, WORST);
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_AWAY);
    assert_true(c.took_us < 1500000); /* and not the two seconds of patience */
    WAIT((lease_client_status(w.planes[0].client, &s), s.standing == 1));

    w.ledger.planes[0].away = false;
    lease_client_on_state(w.planes[0].client, true);
    assert_int_equal(call(0, WORST, 100), ACCOUNT_OK);
    WAIT((lease_client_status(w.planes[0].client, &s), s.standing == 0 && s.away_ms == 0));
}

static void a_connection_that_was_lost_for_a_moment_is_no_outage_later(void **state)
{
    (void)state;
    ledger_kit_budget(&w.ledger, KEY, 200 * WORST, PERIOD_TOTAL);
    w.ledger.planes[0].away = true;
    lease_client_on_state(w.planes[0].client, false);
    pass_ms(20);
    w.ledger.planes[0].away = false;
    lease_client_on_state(w.planes[0].client, true);
    pass_ms(2100); /* no request is made in that time */
    assert_int_equal(call(0, WORST, 100), ACCOUNT_OK);
}

static void a_database_that_is_away_is_noticed_and_found_again(void **state)
{
    (void)state;
    struct call c;
    ledger_kit_budget(&w.ledger, KEY, 200 * WORST, PERIOD_TOTAL);
    w.ledger.database_away = true;
    begin(&c, 0, WORST); /* it may be back soon */
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_AWAY);
    begin(&c, 0, WORST);
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_AWAY);
    assert_true(c.took_us < 1500000); /* and not the two seconds of patience */
    w.ledger.database_away = false;
    struct lease_status s;
    WAIT((lease_client_status(w.planes[0].client, &s), s.away_ms == 0));
    assert_int_equal(call(0, WORST, 100), ACCOUNT_OK);
}

static void a_request_that_failed_once_refuses_no_call_later(void **state)
{
    (void)state;
    struct lease_status s;
    w.ledger.reserve_us = HOUR_US;
    ledger_kit_budget(&w.ledger, KEY, 200 * WORST, PERIOD_TOTAL);
    assert_int_equal(call(0, WORST, 100), ACCOUNT_OK);
    WAIT(w.ledger.pending == 0 && !w.planes[0].account->asking);
    unsigned before = w.ledger.requests;
    w.ledger.database_away = true;
    struct lease *l = lease_of(w.planes[0].account);
    money most = atomic_load(&l->remaining);
    assert_int_equal(call(0, most, most), ACCOUNT_OK); /* more is leased ahead of the next call */
    WAIT(w.ledger.requests > before && w.ledger.pending == 0);
    w.ledger.database_away = false; /* nothing waits, so that nothing more is requested */
    pass_ms(2100);
    assert_int_equal(call(0, WORST, 100), ACCOUNT_OK);
    lease_client_status(w.planes[0].client, &s);
    assert_int_equal(s.standing, 0);
}

static void after_an_outage_the_first_call_is_not_refused(void **state)
{
    (void)state;
    struct call c;
    struct lease_status s;
    ledger_kit_budget(&w.ledger, KEY, 200 * WORST, PERIOD_TOTAL);
    w.ledger.database_away = true;
    begin(&c, 0, WORST);
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_AWAY);
    w.ledger.database_away = false; /* no call is made until this plane has noticed */
    WAIT((lease_client_status(w.planes[0].client, &s), s.away_ms == 0));
    assert_int_equal(call(0, WORST, 100), ACCOUNT_OK);
}

static void a_lease_server_that_gives_no_reply_is_away(void **state)
{
    (void)state;
    struct call c;
    ledger_kit_budget(&w.ledger, KEY, 200 * WORST, PERIOD_TOTAL);
    w.ledger.silent = true;
    begin(&c, 0, WORST);
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_AWAY);
    w.ledger.silent = false;
    pass_ms(100);
    assert_int_equal(call(0, WORST, 100), ACCOUNT_OK);
}

/* The control plane was killed after it had decided: the same request is sent again, and both sides
 * agree on what is leased. */
static void what_was_granted_by_a_lost_reply_is_not_granted_twice(void **state)
{
    (void)state;
    struct account *plane = w.planes[0].account;
    ledger_kit_budget(&w.ledger, KEY, 40 * WORST, PERIOD_TOTAL);
    for (int i = 0; i < 4; i++) { /* a new lease first, then one that grows */
        struct call c;
        unsigned before = w.ledger.requests;
        w.ledger.losing = 2;
        begin(&c, 0, (4 << i) * WORST / 4);
        WAIT(c.done);
        assert_int_equal(c.result, ACCOUNT_OK);
        assert_true(w.ledger.requests >= before + 3);
        assert_int_equal(ledger_kit_account(&w.ledger, KEY)->leased, lease_of(plane)->granted);
        account_settle(&c.reservation, 0);
    }
}

/* A process that ends does not wait for a control plane that stays away (common/policy/plane.c). */
static void a_request_without_a_reply_is_let_go_with_its_client(void **state)
{
    (void)state;
    struct call c;
    ledger_kit_budget(&w.ledger, KEY, 40 * WORST, PERIOD_TOTAL);
    w.ledger.losing = 1000000;
    begin(&c, 0, WORST);
    WAIT(w.ledger.requests >= 3);
    assert_false(lease_client_end_all(w.planes[0].client));
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_AWAY);
    assert_true(w.planes[0].account->asking);
}

/* What failed in an earlier outage is sent again in this one, which may be over soon. */
static void a_request_that_is_sent_again_fails_from_then_on(void **state)
{
    (void)state;
    struct call c;
    ledger_kit_budget(&w.ledger, KEY, 200 * WORST, PERIOD_TOTAL);
    w.ledger.database_away = true;
    begin(&c, 0, WORST);
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_AWAY);
    lease_client_on_state(w.planes[0].client, true); /* another connection */
    begin(&c, 0, WORST);
    unsigned before = w.ledger.requests;
    WAIT(w.ledger.requests >= before + 2 && w.ledger.pending == 0);
    assert_false(c.done);
    w.ledger.database_away = false;
    WAIT(c.done);
    assert_int_equal(c.result, ACCOUNT_OK);
}

static void what_is_leased_ahead_is_shared_and_handed_back(void **state)
{
    (void)state;
    w.ledger.reserve_us = HOUR_US;
    ledger_kit_budget(&w.ledger, KEY, 100 * WORST, PERIOD_TOTAL);
    for (int i = 0; i < 5; i++)
        assert_int_equal(call(0, WORST, 900), ACCOUNT_OK);
    struct ledger_account *a = ledger_kit_account(&w.ledger, KEY);
    WAIT(a->leased > 50 * WORST); /* nearly all of it, as no other plane uses it */
    for (int i = 0; i < 10; i++)  /* the other one begins: it gets half of it */
        assert_int_equal(call(1, 3 * WORST, 900), ACCOUNT_OK);
    assert_true(a->spent + a->leased + a->suspense <= a->limit);
}

/* ---- P3: a policy that narrows ---- */

static void a_lowered_budget_ends_the_lease_before_the_version_is_acknowledged(void **state)
{
    (void)state;
    struct reservation r;
    w.ledger.reserve_us = HOUR_US;
    ledger_kit_budget(&w.ledger, KEY, 100 * WORST, PERIOD_TOTAL);
    registry_configure(w.planes[0].registry, w.planes[0].account, 100 * WORST, SLICE("total"));
    lease_client_policy(w.planes[0].client);
    for (int i = 0; i < 5; i++)
        assert_int_equal(call(0, WORST, WORST), ACCOUNT_OK);
    ledger_kit_budget(&w.ledger, KEY, 5 * WORST, PERIOD_TOTAL);

    registry_configure(w.planes[0].registry, w.planes[0].account, 5 * WORST, SLICE("total"));
    lease_client_policy(w.planes[0].client);

    assert_int_not_equal(account_reserve(w.planes[0].account, 1, clock_mono_us(), &r), ACCOUNT_OK);
    assert_int_equal(call(0, WORST, 1), ACCOUNT_EXHAUSTED);
    assert_int_equal(ledger_kit_account(&w.ledger, KEY)->spent, 5 * WORST);
}

static void what_was_granted_before_the_change_and_came_after_it_is_not_used(void **state)
{
    (void)state;
    struct call c;
    ledger_kit_budget(&w.ledger, KEY, 100 * WORST, PERIOD_TOTAL);
    registry_configure(w.planes[0].registry, w.planes[0].account, 100 * WORST, SLICE("total"));
    lease_client_policy(w.planes[0].client);
    w.ledger.silent = true;
    begin(&c, 0, WORST);
    WAIT(w.ledger.asks == 1); /* granted, and the reply is under way */
    ledger_kit_budget(&w.ledger, KEY, 0, PERIOD_TOTAL);
    registry_configure(w.planes[0].registry, w.planes[0].account, 0, SLICE("total"));
    lease_client_policy(w.planes[0].client);
    w.ledger.silent = false;
    WAIT(c.done);
    assert_int_not_equal(c.result, ACCOUNT_OK);
}

/* ---- P10 ---- */

static void an_account_that_nothing_refers_to_leaves_the_registry(void **state)
{
    (void)state;
    struct registry *r = w.planes[0].registry;
    size_t before = registry_count(r);
    struct account *other = registry_account(r, SLICE("key:k_other"));
    assert_int_equal(registry_count(r), before + 1);
    registry_sweep(r);
    assert_int_equal(registry_count(r), before + 1);
    account_drop(other);
    registry_sweep(r);
    assert_int_equal(registry_count(r), before);
    assert_null(registry_find(r, SLICE("key:k_other")));
}

static void accounts_without_use_are_in_no_request(void **state)
{
    (void)state;
    struct account *many[200];
    char id[32];
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        snprintf(id, sizeof(id), "key:k_idle_%zu", i);
        many[i] = registry_account(w.planes[0].registry, slice_str(id));
    }
    ledger_kit_budget(&w.ledger, KEY, 100 * WORST, PERIOD_TOTAL);
    assert_int_equal(call(0, WORST, 10), ACCOUNT_OK);
    pass_ms(600);
    assert_true(w.ledger.asks < 10);
    assert_int_equal(w.ledger.sheet.account_count, 1);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        account_drop(many[i]);
}

/* ---- sixteen scopes ---- */

static void a_call_falls_under_sixteen_scopes_and_is_charged_in_all_or_none(void **state)
{
    (void)state;
    struct scope scopes[SCOPES_MAX + 1];
    struct scope_list list = {0};
    struct charges charges = {0};
    const struct scope *of = NULL;
    char ids[SCOPES_MAX + 1][32];
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        snprintf(ids[i], sizeof(ids[i]), "kind%zu:x", i);
        scopes[i] = (struct scope){
            .kind = ids[i], .account = registry_account(w.planes[0].registry, slice_str(ids[i]))};
        ledger_kit_budget(&w.ledger, ids[i], 10 * WORST, PERIOD_TOTAL);
        assert_int_equal(scope_add(&list, &scopes[i]), i < SCOPES_MAX);
    }
    for (;;) { /* as the budget filter does */
        enum account_result r = charges_reserve(&charges, &list, WORST, clock_mono_us(), &of);
        if (r == ACCOUNT_OK)
            break;
        assert_int_equal(r, ACCOUNT_SHORT);
        assert_int_equal(charges.count, 0);
        struct call c = {
            .wait = {.account = of->account, .amount = WORST, .loop = w.loop, .done = on_done}};
        assert_int_equal(account_want(&c.wait), ERR_OK);
        WAIT(c.done);
        account_settle(&c.reservation, 0);
    }
    assert_int_equal(charges.count, SCOPES_MAX);
    const struct charge *short_of;
    assert_int_equal(charges_extend(&charges, WORST, clock_mono_us(), &short_of), ACCOUNT_OK);
    charges_settle(&charges, 123);
    for (size_t i = 0; i < SCOPES_MAX; i++)
        assert_int_equal(atomic_load(&scopes[i].account->used), 123);
    assert_int_equal(atomic_load(&scopes[SCOPES_MAX].account->used), 0);
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
        account_drop(scopes[i].account);
}

static void rates_are_counted_in_every_scope_or_in_none(void **state)
{
    (void)state;
    struct scope scopes[3];
    struct scope_list list = {0};
    struct rates rates = {0}, second = {0};
    const struct scope *of = NULL;
    uint64_t wait_us = 0, now_us = clock_mono_us();
    for (size_t i = 0; i < 3; i++) {
        scopes[i] = (struct scope){.kind = "k", .meter = meter_new(), .limits = {.rpm = 10}};
        assert_true(scope_add(&list, &scopes[i]));
    }
    scopes[2].limits.rpm = 1;
    assert_int_equal(rates_enter(&rates, &list, now_us, &of, &wait_us), RATE_OK);
    assert_int_equal(rates_enter(&second, &list, now_us, &of, &wait_us), RATE_REQUESTS);
    assert_ptr_equal(of, &scopes[2]);
    struct meter_state s;
    meter_look(scopes[0].meter, 10, now_us, &s);
    assert_int_equal(s.remaining, 9); /* the refused one is not counted */
    rates_uncount(&rates);
    rates_leave(&rates);
    meter_look(scopes[2].meter, 1, now_us, &s);
    assert_int_equal(s.remaining, 1);
    scopes[1].limits.parallel = 1;
    assert_int_equal(rates_enter(&rates, &list, now_us, &of, &wait_us), RATE_OK);
    assert_int_equal(rates_enter(&second, &list, now_us, &of, &wait_us), RATE_PARALLEL);
    rates_leave(&rates);
    for (size_t i = 0; i < 3; i++)
        meter_drop(scopes[i].meter);
}

/* Lines of the event; *last: how many replies the last one counts. */
static size_t told(int catcher, unsigned long *last)
{
    static char said[16384];
    size_t n = 0;
    ssize_t len = pread(catcher, said, sizeof(said) - 1, 0);
    assert_true(len >= 0);
    said[len] = '\0';
    for (char *at = said; (at = strstr(at, "lease_reply_unreadable")); n++) {
        at = strstr(at, "\"replies\":");
        assert_non_null(at);
        *last =
            strtoul(at + strlen("\"replies\":") + (at[strlen("\"replies\":")] == '"'), NULL, 10);
    }
    return n;
}

/* A control plane of another version sends them at each try: one line a minute says how many. */
static void unreadable_replies_are_told_once_a_minute(void **state)
{
    (void)state;
    struct call c;
    unsigned long last = 0;
    int real = dup(STDERR_FILENO), catcher = memfd_create("log", MFD_CLOEXEC);
    assert_true(real >= 0 && catcher >= 0);
    assert_true(dup2(catcher, STDERR_FILENO) >= 0);
    assert_int_equal(lease_client_told_us, 60 * UINT64_C(1000000));
    ledger_kit_budget(&w.ledger, KEY, 100 * WORST, PERIOD_TOTAL);
    garbles = true;
    garbled = 0;
    begin(&c, 0, WORST);
    WAIT(garbled >= 5);
    assert_int_equal(told(catcher, &last), 1);
    assert_int_equal(last, 1);
    lease_client_told_us = 0; /* a minute later */
    unsigned before = garbled;
    WAIT(garbled > before);
    WAIT(told(catcher, &last) >= 2);
    assert_int_equal(told(catcher, &last), 2);
    assert_in_range(last, 4, garbled);
    lease_client_told_us = 60 * UINT64_C(1000000);
    garbles = false;
    WAIT(c.done);
    dup2(real, STDERR_FILENO);
    close(real);
    close(catcher);
    if (c.result == ACCOUNT_OK)
        account_settle(&c.reservation, 0);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(one_call_at_a_time_over_two_planes_is_never_refused),
        RULE(nor_where_nothing_is_leased_ahead),
        RULE(what_is_reserved_elsewhere_is_refused_for_now_within_a_second_or_so),
        RULE(what_is_spent_is_refused_at_once_and_for_good),
        RULE(a_new_period_forgets_that_there_was_nothing_left),
        RULE(after_a_call_that_cost_more_than_was_reserved_the_next_one_passes),
        RULE(a_reservation_moves_to_the_lease_that_replaced_its_own),
        RULE(what_was_recalled_of_a_lease_is_not_handed_back_of_its_successor),
        RULE(a_lease_that_was_ended_while_it_was_prolonged_is_used_no_more),
        RULE(nor_is_one_of_a_budget_that_was_narrowed_meanwhile),
        RULE(while_a_lease_is_under_way_not_every_lease_has_ended),
        RULE(an_outage_refuses_no_call_while_there_is_money),
        RULE(a_budget_that_says_stop_is_not_spent_without_the_control_plane),
        RULE(in_an_outage_a_refusal_comes_at_once),
        RULE(a_connection_that_was_lost_for_a_moment_is_no_outage_later),
        RULE(a_database_that_is_away_is_noticed_and_found_again),
        RULE(a_request_that_failed_once_refuses_no_call_later),
        RULE(after_an_outage_the_first_call_is_not_refused),
        RULE(a_lease_server_that_gives_no_reply_is_away),
        RULE(what_was_granted_by_a_lost_reply_is_not_granted_twice),
        RULE(a_request_without_a_reply_is_let_go_with_its_client),
        RULE(a_request_that_is_sent_again_fails_from_then_on),
        RULE(unreadable_replies_are_told_once_a_minute),
        RULE(what_is_leased_ahead_is_shared_and_handed_back),
        RULE(a_lowered_budget_ends_the_lease_before_the_version_is_acknowledged),
        RULE(what_was_granted_before_the_change_and_came_after_it_is_not_used),
        RULE(an_account_that_nothing_refers_to_leaves_the_registry),
        RULE(accounts_without_use_are_in_no_request),
        RULE(a_call_falls_under_sixteen_scopes_and_is_charged_in_all_or_none),
        RULE(rates_are_counted_in_every_scope_or_in_none),
    };
    return cmocka_run_group_tests_name("lease_client", tests, NULL, NULL);
}
