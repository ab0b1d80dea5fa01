/* account — money set aside before it is spent, with a control plane that answers by script. */
#include "tests/unit/policy/policy_kit.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/scope/account_private.h"
#include "common/scope/lease_client.h"

/* The control plane's side of one budget, as its lease desk keeps it. */
struct lease_server {
    struct loop *loop;
    struct registry *registry;
    struct lease_client *desk;
    struct account *account;
    int64_t limit, leased; /* leased: handed out and not given back, spent included */
    int64_t wanted;        /* by the last request */
    unsigned asks, ends;
    bool away;
    enum account_result answers[8];
    size_t answer_count;
    size_t expected;
};

struct pending_reply {
    void (*done)(void *arg, enum err e, const void *reply);
    void *arg;
    Gatehouse__Reply reply;
    Gatehouse__LeaseReply lease;
    Gatehouse__LeaseGrant grant, *grants[1];
};

static void deliver(void *arg)
{
    struct pending_reply *p = arg;
    p->done(p->arg, ERR_OK, &p->reply);
    mem_free(p);
}

static enum err lease_server_request(void *arg, void *message,
                                     void (*done)(void *done_arg, enum err e, const void *reply),
                                     void *done_arg)
{
    struct lease_server *b = arg;
    Gatehouse__Request *m = message;
    struct pending_reply *p = mem_zalloc(sizeof(*p));
    gatehouse__reply__init(&p->reply);
    p->done = done;
    p->arg = done_arg;
    if (m->body_case == GATEHOUSE__REQUEST__BODY_LEASE) {
        assert_int_equal(m->lease->n_asks, 1);
        int64_t want = m->lease->asks[0]->want_nano, left = b->limit - b->leased;
        b->asks++;
        b->wanted = want;
        gatehouse__lease_reply__init(&p->lease);
        gatehouse__lease_grant__init(&p->grant);
        p->grant.lease_id = "l_1";
        p->grant.granted_nano = want < left ? want : left;
        if (p->grant.granted_nano < m->lease->asks[0]->least_nano)
            p->grant.granted_nano = 0;
        p->grant.valid_ms = 10000;
        p->grant.limit_nano = b->limit;
        b->leased += p->grant.granted_nano;
        p->grant.spent_nano = b->leased;
        p->grants[0] = &p->grant;
        p->lease.n_grants = 1;
        p->lease.grants = p->grants;
        p->reply.body_case = GATEHOUSE__REPLY__BODY_LEASE;
        p->reply.lease = &p->lease;
    } else {
        assert_int_equal(m->body_case, GATEHOUSE__REQUEST__BODY_LEASE_END);
        b->ends++;
        b->leased = m->lease_end->ends[0]->settled_nano;
    }
    enum err e = loop_post(b->loop, deliver, p);
    if (e != ERR_OK)
        mem_free(p);
    return e;
}

static bool lease_server_is_there(void *arg)
{
    return !((struct lease_server *)arg)->away;
}

static void at_once(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
    struct lease_server *b = arg;
    assert_int_equal(loop_post(b->loop, fn, fn_arg), ERR_OK);
}

static void open_lease_server(struct lease_server *b, int64_t limit)
{
    *b = (struct lease_server){.limit = limit};
    assert_int_equal(loop_new(&b->loop), ERR_OK);
    b->registry = registry_new();
    struct control_link links = {.request = lease_server_request,
                                 .is_connected = lease_server_is_there,
                                 .after_turns = at_once,
                                 .arg = b};
    assert_int_equal(lease_client_new(b->loop, b->registry, &links, &b->desk), ERR_OK);
    b->account = registry_account(b->registry, SLICE("key:k_1"));
}

static void close_lease_server(struct lease_server *b)
{
    lease_client_free(b->desk);
    account_drop(b->account);
    registry_free(b->registry);
    loop_free(b->loop);
}

struct asker {
    struct account_wait wait;
    struct lease_server *lease_server;
};

static void on_answer(struct account_wait *w, enum account_result e)
{
    struct lease_server *b = CONTAINER_OF(w, struct asker, wait)->lease_server;
    b->answers[b->answer_count++] = e;
    if (b->answer_count == b->expected)
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
    assert_int_equal(b.answers[0], ACCOUNT_OK);
    assert_int_equal(account_reserve(b.account, 300, clock_mono_us(), &r), ACCOUNT_OK);
    assert_true(slice_eq(reservation_lease_id(&r), SLICE("l_1")));
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
    assert_int_equal(b.answers[0], ACCOUNT_EXHAUSTED);
    assert_int_equal(b.answers[1], ACCOUNT_OK);
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
    assert_int_equal(b.answers[0], ACCOUNT_EXHAUSTED);
    assert_int_equal(b.leased, 0); /* another plane may have all of it */
    close_lease_server(&b);
}

static void nor_does_it_beside_one_that_fits(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker large, small;
    open_lease_server(&b, 250);
    atomic_store(&b.account->limit, 250); /* as an earlier answer said */
    b.expected = 2;
    want(&b, &large, 300);
    want(&b, &small, 20);
    loop_run(b.loop);
    assert_true(b.leased < 100);
    close_lease_server(&b);
}

static void two_who_ask_at_once_share_one_request_and_both_get_theirs(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker one, two;
    open_lease_server(&b, 1000);
    b.expected = 2;
    want(&b, &one, 300);
    want(&b, &two, 400);
    loop_run(b.loop);
    assert_int_equal(b.asks, 1);
    assert_int_equal(b.answers[0], ACCOUNT_OK);
    assert_int_equal(b.answers[1], ACCOUNT_OK);
    assert_int_equal(b.leased, 700);
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
    *leased = b.leased;
    unsigned asks = b.asks;
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
    w->lease_server->away = false;
}

static void a_control_plane_that_comes_back_soon_is_not_missed(void **state)
{
    (void)state;
    struct lease_server b;
    struct watch w = {.lease_server = &b};
    open_lease_server(&b, 1000);
    b.away = true;
    b.expected = 1;
    timer_init(&w.timer, b.loop, come_back);
    timer_start(&w.timer, 700);
    want(&b, &w.asker, 300);
    loop_run(b.loop);
    assert_int_equal(b.answers[0], ACCOUNT_OK);
    close_lease_server(&b);
}

static void a_control_plane_that_is_away_is_said_to_be(void **state)
{
    (void)state;
    struct lease_server b;
    struct asker a;
    open_lease_server(&b, 1000);
    b.away = true;
    b.expected = 1;
    want(&b, &a, 300);
    loop_run(b.loop);
    assert_int_equal(b.answers[0], ACCOUNT_AWAY);
    close_lease_server(&b);
}

static void a_cancelled_wait_is_silent(void **state)
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
    assert_int_equal(b.answer_count, 1);
    close_lease_server(&b);
}

static void stop_when_ended(struct timer *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, timer);
    account_settle(&w->reservation, 120); /* the second time there is nothing left to settle */
    if (lease_client_end_all(w->lease_server->desk))
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
        lease_client_end_all(w->lease_server->desk)); /* something is still reserved on it */
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
    assert_int_equal(b.ends, 1);
    assert_int_equal(b.leased, 120);
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

static void a_cost_beyond_reason_does_not_turn_into_a_wish_for_nothing(void **state)
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
    assert_true(b.wanted > 0);
    assert_true(b.leased > 300 && b.leased <= b.limit);
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
        cmocka_unit_test(two_who_ask_at_once_share_one_request_and_both_get_theirs),
        cmocka_unit_test(a_control_plane_that_is_away_is_said_to_be),
        cmocka_unit_test(a_control_plane_that_comes_back_soon_is_not_missed),
        cmocka_unit_test(a_cancelled_wait_is_silent),
        cmocka_unit_test(a_lease_ends_when_nothing_is_reserved_with_what_was_settled),
        cmocka_unit_test(a_cost_beyond_reason_does_not_turn_into_a_wish_for_nothing),
        cmocka_unit_test(a_lease_that_ran_out_of_time_is_not_spent_from),
    };
    return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
