/* fair_queue — shares by weight, priority and deadline within a flow, a bound that no flow fills.
 */
#include "tests/unit/policy/policy_kit.h"

#include "common/base/mem.h"
#include "common/scope/fair_queue.h"

static struct fair_queue q;
static struct fair_waiter pool[4096];
static char flow_of[4096];
static size_t used;

static int begin(void **state)
{
    (void)state;
    fair_queue_init(&q, 1000);
    memset(pool, 0, sizeof(pool));
    used = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    struct fair_waiter *w;
    while ((w = fair_queue_first(&q)))
        fair_queue_remove(&q, w);
    fair_queue_fini(&q);
    return 0;
}

static struct fair_waiter *add(char flow, uint32_t weight, int priority, uint64_t deadline)
{
    struct fair_waiter *w = &pool[used], *evicted;
    flow_of[used++] = flow;
    w->priority = priority;
    w->deadline_us = deadline;
    assert_int_equal(fair_queue_add(&q, w, slice_of(&flow, 1), weight, &evicted), ERR_OK);
    assert_null(evicted);
    return w;
}

static char serve(void)
{
    struct fair_waiter *w = fair_queue_first(&q);
    assert_non_null(w);
    fair_queue_serve(&q, w);
    return flow_of[w - pool];
}

static void shares_follow_weights(void **state)
{
    (void)state;
    size_t served[128] = {0};
    for (int i = 0; i < 300; i++) {
        add('a', 1, 0, 9);
        add('b', 2, 0, 9);
        add('c', 3, 0, 9);
    }
    for (int i = 0; i < 300; i++)
        served[(int)serve()]++;
    assert_in_range(served['a'], 49, 51);
    assert_in_range(served['b'], 99, 101);
    assert_in_range(served['c'], 149, 151);
}

static void who_asks_for_little_is_not_held_up(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++)
        add('a', 1, 0, 9);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(serve(), 'a');
        add('b', 1, 0, 9);
        assert_true(serve() == 'b' || serve() == 'b');
    }
}

/* What a flow did not use while it was away it cannot claim afterwards. */
static void a_flow_that_was_away_has_no_credit(void **state)
{
    (void)state;
    size_t b = 0;
    for (int i = 0; i < 600; i++)
        add('a', 1, 0, 9);
    for (int i = 0; i < 200; i++)
        serve();
    for (int i = 0; i < 100; i++)
        add('b', 1, 0, 9);
    for (int i = 0; i < 100; i++)
        b += serve() == 'b';
    assert_in_range(b, 49, 51);
}

static void costs_count(void **state)
{
    (void)state;
    size_t b = 0;
    for (int i = 0; i < 100; i++) {
        add('a', 1, 0, 9)->cost = 30;
        add('b', 1, 0, 9)->cost = 10;
    }
    for (int i = 0; i < 80; i++)
        b += serve() == 'b';
    assert_in_range(b, 58, 62);
}

static void within_a_flow_priority_then_deadline_then_order(void **state)
{
    (void)state;
    struct fair_waiter *late = add('a', 1, 0, 50), *soon = add('a', 1, 0, 20),
                       *first = add('a', 1, 0, 20 + 1), *high = add('a', 1, 1, 90),
                       *low = add('a', 1, -1, 1), *again = add('a', 1, 1, 90);
    struct fair_waiter *want[] = {high, again, soon, first, late, low};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_ptr_equal(fair_queue_first(&q), want[i]);
        fair_queue_serve(&q, want[i]);
    }
    assert_null(fair_queue_first(&q));
}

/* One team's calls say that all of them are urgent: it gains nothing over another team. */
static void priority_does_not_reach_beyond_its_flow(void **state)
{
    (void)state;
    size_t a = 0;
    for (int i = 0; i < 100; i++) {
        add('a', 1, 9, 9);
        add('b', 1, 0, 9);
    }
    for (int i = 0; i < 100; i++)
        a += serve() == 'a';
    assert_in_range(a, 49, 51);
}

static void a_full_queue_loses_the_last_of_the_largest_flow(void **state)
{
    (void)state;
    struct fair_waiter *evicted, *last = NULL;
    for (int i = 0; i < 1000; i++)
        last = add('a', 1, 0, 100 + (uint64_t)i);
    struct fair_waiter *one_more = &pool[used++], *other = &pool[used++];
    one_more->deadline_us = 5000;
    assert_int_equal(fair_queue_add(&q, one_more, SLICE("a"), 1, &evicted), ERR_EXHAUSTED);
    assert_null(evicted);
    assert_null(one_more->flow);
    other->deadline_us = 5000;
    assert_int_equal(fair_queue_add(&q, other, SLICE("b"), 1, &evicted), ERR_OK);
    assert_ptr_equal(evicted, last);
    assert_null(last->flow);
    assert_int_equal(q.count, 1000);
}

static void those_past_their_deadline_are_found(void **state)
{
    (void)state;
    add('a', 1, 5, 100);
    struct fair_waiter *w = add('a', 1, 0, 50);
    add('b', 1, 0, 70);
    assert_null(fair_queue_expired(&q, 49));
    assert_ptr_equal(fair_queue_expired(&q, 50), w);
    fair_queue_remove(&q, w);
    fair_queue_remove(&q, w); /* harmless */
    assert_null(fair_queue_expired(&q, 60));
}

static void a_flow_is_made_or_it_is_no_memory(void **state)
{
    (void)state;
    struct fair_waiter *evicted;
    mem_fail_after(1);
    enum err e = fair_queue_add(&q, &pool[0], SLICE("a"), 1, &evicted);
    mem_fail_after(0);
    assert_int_equal(e, ERR_NOMEM);
    assert_int_equal(q.count, 0);
    add('a', 1, 0, 1);
    serve();
    mem_fail_after(1); /* once there, a flow is kept for the next one */
    add('b', 1, 0, 1);
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shares_follow_weights, begin, end),
        cmocka_unit_test_setup_teardown(who_asks_for_little_is_not_held_up, begin, end),
        cmocka_unit_test_setup_teardown(a_flow_that_was_away_has_no_credit, begin, end),
        cmocka_unit_test_setup_teardown(costs_count, begin, end),
        cmocka_unit_test_setup_teardown(within_a_flow_priority_then_deadline_then_order, begin,
                                        end),
        cmocka_unit_test_setup_teardown(priority_does_not_reach_beyond_its_flow, begin, end),
        cmocka_unit_test_setup_teardown(a_full_queue_loses_the_last_of_the_largest_flow, begin,
                                        end),
        cmocka_unit_test_setup_teardown(those_past_their_deadline_are_found, begin, end),
        cmocka_unit_test_setup_teardown(a_flow_is_made_or_it_is_no_memory, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
