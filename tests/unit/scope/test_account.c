/* account — money reserved before it is spent, on one plane, with the real rules of leases. */
#include "tests/unit/policy/policy_kit.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/scope/lease_client.h"
#include "common/scope/scope_private.h"
#include "tests/kit/ledger/ledger_kit.h"

#define KEY "key:k_1"

/* One plane, its account, and the lease server in memory. */
struct lease_server {
    struct loop *loop;
    struct ledger_kit ledger;
    struct registry *registry;
    struct lease_client *client;
    struct account *account;
    enum account_result results[8];
    size_t result_count;
    size_t expected;
};

static void open_lease_server(struct lease_server *b, int64_t limit)
{
    *b = (struct lease_server){.result_count = 0};
    assert_int_equal(loop_new(&b->loop), ERR_OK);
    ledger_kit_open(&b->ledger, b->loop);
    ledger_kit_budget(&b->ledger, KEY, limit, PERIOD_TOTAL);
    b->registry = registry_new();
    const struct control_link links = ledger_kit_link(&b->ledger, 0);
    assert_int_equal(lease_client_new(b->loop, b->registry, &links, &b->client), ERR_OK);
    b->account = registry_account(b->registry, SLICE(KEY));
}

static void close_lease_server(struct lease_server *b)
{
    lease_client_free(b->client);
    account_drop(b->account);
    registry_free(b->registry);
    loop_free(b->loop);
    ledger_kit_close(&b->ledger);
}

/* spent, leased and in suspense */
static money taken(struct lease_server *b)
{
    return ledger_kit_taken(&b->ledger, KEY);
}

struct asker {
    struct account_wait wait;
    struct lease_server *lease_server;
};

static void on_answer(struct account_wait *w, enum account_result e)
{
    struct lease_server *b = CONTAINER_OF(w, struct asker, wait)->lease_server;
    b->results[b->result_count++] = e;
    if (b->result_count == b->expected)
        loop_stop(b->loop);
}

static void want(struct lease_server *b, struct asker *a, money amount)
{
    *a = (struct asker){
        .lease_server = b,
        .wait = {.account = b->account, .amount = amount, .loop = b->loop, .done = on_answer}};
    assert_int_equal(account_want(&a->wait), ERR_OK);
}

static void a_slice_comes_when_it_is_wanted_and_is_spent_from(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker a;
    struct reservation r = {0};
    open_lease_server(&b, 1000);
    assert_int_equal(account_reserve(b.account, 300, clock_mono_us(), &r), ACCOUNT_SHORT);
    b.expected = 1;
    want(&b, &a, 300);
    loop_run(b.loop);
    assert_int_equal(b.results[0], ACCOUNT_OK);
    assert_int_equal(account_reserve(b.account, 300, clock_mono_us(), &r), ACCOUNT_OK);
    assert_true(slice_starts(reservation_lease_id(&r), SLICE("l_")));
    account_settle(&r, 100);
    assert_null(r.lease);
    assert_int_equal(account_reserve(b.account, 200, clock_mono_us(), &r), ACCOUNT_OK);
    account_settle(&r, 0);
    close_lease_server(&b);
}

static void a_reservation_grows_in_its_own_lease_and_is_settled_as_one(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker a;
    struct reservation r = {0}, rest = {0};
    open_lease_server(&b, 1000);
    b.expected = 1;
    want(&b, &a, 500);
    loop_run(b.loop);
    assert_int_equal(account_reserve(b.account, 300, clock_mono_us(), &r), ACCOUNT_OK);
    assert_int_equal(account_extend(b.account, &r, 200, clock_mono_us()), ACCOUNT_OK);
    assert_int_equal(r.amount, 500);
    assert_int_equal(account_extend(b.account, &r, 1, clock_mono_us()), ACCOUNT_SHORT);
    assert_int_equal(r.amount, 500);
    account_settle(&r, 450);
    assert_int_equal(account_reserve(b.account, 51, clock_mono_us(), &rest), ACCOUNT_SHORT);
    assert_int_equal(account_reserve(b.account, 50, clock_mono_us(), &rest), ACCOUNT_OK);
    account_settle(&rest, 0);
    close_lease_server(&b);
}

static void a_reservation_does_not_grow_in_a_lease_that_ran_out_of_time(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker a;
    struct reservation r = {0};
    open_lease_server(&b, 1000);
    b.expected = 1;
    want(&b, &a, 500);
    loop_run(b.loop);
    assert_int_equal(account_reserve(b.account, 300, clock_mono_us(), &r), ACCOUNT_OK);
    assert_int_equal(account_extend(b.account, &r, 1, clock_mono_us() + 11000000), ACCOUNT_SHORT);
    assert_int_equal(r.amount, 300);
    account_settle(&r, 300);
    close_lease_server(&b);
}

static void what_does_not_fit_the_limit_is_exhausted_and_smaller_ones_still_fit(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker large, small;
    struct reservation r = {0};
    struct account_state s;
    open_lease_server(&b, 250);
    b.expected = 2;
    want(&b, &large, 300);
    want(&b, &small, 250);
    loop_run(b.loop);
    assert_int_equal(b.results[0], ACCOUNT_EXHAUSTED);
    assert_int_equal(b.results[1], ACCOUNT_OK);
    assert_int_equal(account_reserve(b.account, 300, clock_mono_us(), &r), ACCOUNT_EXHAUSTED);
    assert_int_equal(account_reserve(b.account, 250, clock_mono_us(), &r), ACCOUNT_OK);
    account_look(b.account, &s);
    assert_int_equal(s.limit, 250);
    account_settle(&r, 250);
    close_lease_server(&b);
}

static void what_can_never_fit_takes_nothing_from_others(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker large;
    open_lease_server(&b, 250);
    b.expected = 1;
    want(&b, &large, 300);
    loop_run(b.loop);
    assert_int_equal(b.results[0], ACCOUNT_EXHAUSTED);
    assert_int_equal(taken(&b), 0); /* another plane may have all of it */
    close_lease_server(&b);
}

static void nor_does_it_beside_one_that_fits(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker large, small;
    open_lease_server(&b, 250);
    atomic_store(&b.account->limit, 250); /* as an earlier reply said */
    b.expected = 2;
    want(&b, &large, 300);
    want(&b, &small, 20);
    loop_run(b.loop);
    assert_true(taken(&b) < 100);
    close_lease_server(&b);
}

static void two_waits_at_once_share_one_request_and_both_are_granted(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker one, two;
    open_lease_server(&b, 1000);
    b.expected = 2;
    want(&b, &one, 300);
    want(&b, &two, 400);
    loop_run(b.loop);
    assert_int_equal(b.ledger.asks, 1);
    assert_int_equal(b.results[0], ACCOUNT_OK);
    assert_int_equal(b.results[1], ACCOUNT_OK);
    assert_int_equal(taken(&b), 700);
    close_lease_server(&b);
}

/* Calls of 1 that come after each other while none is settled. */
struct burst {
    struct account_wait wait;
    struct lease_server *lease_server;
    struct reservation taken[400];
    size_t count;
};

static void go_on(struct burst *u)
{
    struct lease_server *b = u->lease_server;
    while (u->count < ARRAY_LEN(u->taken)) {
        if (account_reserve(b->account, 1, clock_mono_us(), &u->taken[u->count]) != ACCOUNT_OK) {
            assert_int_equal(account_want(&u->wait), ERR_OK);
            return;
        }
        u->count++;
    }
    loop_stop(b->loop);
}

static void on_more(struct account_wait *w, enum account_result e)
{
    assert_int_equal(e, ACCOUNT_OK);
    go_on(CONTAINER_OF(w, struct burst, wait));
}

/* What the lease server was asked for one. */
static unsigned asks_of_a_burst(int64_t limit, int64_t *leased)
{
    struct lease_server b;
    open_lease_server(&b, limit);
    struct burst u = {.lease_server = &b,
                      .wait = {.account = b.account, .amount = 1, .loop = b.loop, .done = on_more}};
    go_on(&u);
    loop_run(b.loop);
    for (size_t i = 0; i < ARRAY_LEN(u.taken); i++)
        account_settle(&u.taken[i], 1);
    *leased = taken(&b);
    unsigned asks = b.ledger.asks;
    close_lease_server(&b);
    return asks;
}

static void a_burst_asks_for_more_each_time_and_never_for_most_of_what_is_left(void **state)
{
    (void)state;
    int64_t leased;
    assert_true(asks_of_a_burst(1000000, &leased) < 16);
    assert_true(leased < 2 * 400);
    assert_true(asks_of_a_burst(400, &leased) > 16); /* an eighth of the rest, and again */
    assert_int_equal(leased, 400);
}

struct watch {
    struct timer timer;
    struct lease_server *lease_server;
    struct asker asker;
    struct reservation reservation;
};

static void come_back(struct timer *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, timer);
    w->lease_server->ledger.planes[0].away = false;
}

static void a_control_plane_that_comes_back_soon_is_not_missed(void **state)
{
    (void)state;
    struct lease_server b;
    struct watch w = {.lease_server = &b};
    open_lease_server(&b, 1000);
    b.ledger.planes[0].away = true;
    b.expected = 1;
    timer_init(&w.timer, b.loop, come_back);
    timer_start(&w.timer, 700);
    want(&b, &w.asker, 300);
    loop_run(b.loop);
    assert_int_equal(b.results[0], ACCOUNT_OK);
    close_lease_server(&b);
}

static void a_control_plane_that_is_away_is_reported_away(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker a;
    open_lease_server(&b, 1000);
    b.ledger.planes[0].away = true;
    b.expected = 1;
    want(&b, &a, 300);
    loop_run(b.loop);
    assert_int_equal(b.results[0], ACCOUNT_AWAY);
    close_lease_server(&b);
}

static void a_cancelled_wait_has_no_callback(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker gone, stays;
    open_lease_server(&b, 1000);
    b.expected = 1;
    want(&b, &gone, 300);
    want(&b, &stays, 300);
    account_want_cancel(&gone.wait);
    loop_run(b.loop);
    assert_int_equal(b.result_count, 1);
    close_lease_server(&b);
}

static void stop_when_ended(struct timer *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, timer);
    account_settle(&w->reservation, 120); /* the second time there is nothing left to settle */
    if (lease_client_end_all(w->lease_server->client))
        loop_stop(w->lease_server->loop);
    else
        timer_start(t, 20);
}

static void spend_and_end(struct account_wait *wait, enum account_result e)
{
    struct asker *asker = CONTAINER_OF(wait, struct asker, wait);
    struct watch *w = CONTAINER_OF(asker, struct watch, asker);
    assert_int_equal(e, ERR_OK);
    assert_int_equal(
        account_reserve(w->lease_server->account, 300, clock_mono_us(), &w->reservation),
        ACCOUNT_OK);
    assert_false(
        lease_client_end_all(w->lease_server->client)); /* something is still reserved on it */
    /* but no more will be: it is its account's no longer */
    assert_int_equal(account_extend(w->lease_server->account, &w->reservation, 0, clock_mono_us()),
                     ACCOUNT_SHORT);
    timer_start(&w->timer, 300);
}

static void a_lease_ends_when_nothing_is_reserved_with_what_was_settled(void **state)
{
    (void)state;
    struct lease_server b;
    struct watch w = {.lease_server = &b};
    open_lease_server(&b, 1000);
    timer_init(&w.timer, b.loop, stop_when_ended);
    want(&b, &w.asker, 300);
    w.asker.wait.done = spend_and_end;
    loop_run(b.loop);
    assert_int_equal(b.ledger.ends, 1);
    assert_int_equal(taken(&b), 300); /* until the record of it has come in */
    ledger_kit_charge(&b.ledger, 0, SLICE(KEY), slice_str(b.ledger.sheet.leases[0]->id), 120);
    assert_int_equal(taken(&b), 120);
    timer_cancel(&w.timer);
    close_lease_server(&b);
}

static void a_lease_that_ran_out_of_time_is_not_spent_from(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker a;
    struct reservation r = {0};
    open_lease_server(&b, 1000);
    b.expected = 1;
    want(&b, &a, 300);
    loop_run(b.loop);
    assert_int_equal(account_reserve(b.account, 1, clock_mono_us() + 11000000, &r), ACCOUNT_SHORT);
    close_lease_server(&b);
}

static void stop_loop(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct watch, timer)->lease_server->loop);
}

static void a_cost_beyond_reason_does_not_turn_into_a_request_for_nothing(void **state)
{
    (void)state;
    struct lease_server b;
    struct watch w = {.lease_server = &b};
    struct reservation r = {0};
    open_lease_server(&b, 1000);
    b.expected = 1;
    want(&b, &w.asker, 300);
    loop_run(b.loop);
    assert_int_equal(account_reserve(b.account, 300, clock_mono_us(), &r), ACCOUNT_OK);
    account_settle(&r, INT64_MAX);
    timer_init(&w.timer, b.loop, stop_loop);
    timer_start(&w.timer, 1500); /* its pace was measured */
    loop_run(b.loop);
    assert_true(b.ledger.wanted > 0);
    assert_true(taken(&b) > 300 && taken(&b) <= 1000);
    close_lease_server(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_comes_when_it_is_wanted_and_is_spent_from),
        cmocka_unit_test(a_reservation_grows_in_its_own_lease_and_is_settled_as_one),
        cmocka_unit_test(a_reservation_does_not_grow_in_a_lease_that_ran_out_of_time),
        cmocka_unit_test(what_does_not_fit_the_limit_is_exhausted_and_smaller_ones_still_fit),
        cmocka_unit_test(a_burst_asks_for_more_each_time_and_never_for_most_of_what_is_left),
        cmocka_unit_test(what_can_never_fit_takes_nothing_from_others),
        cmocka_unit_test(nor_does_it_beside_one_that_fits),
        cmocka_unit_test(two_waits_at_once_share_one_request_and_both_are_granted),
        cmocka_unit_test(a_control_plane_that_is_away_is_reported_away),
        cmocka_unit_test(a_control_plane_that_comes_back_soon_is_not_missed),
        cmocka_unit_test(a_cancelled_wait_has_no_callback),
        cmocka_unit_test(a_lease_ends_when_nothing_is_reserved_with_what_was_settled),
        cmocka_unit_test(a_cost_beyond_reason_does_not_turn_into_a_request_for_nothing),
        cmocka_unit_test(a_lease_that_ran_out_of_time_is_not_spent_from),
    };
    return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
