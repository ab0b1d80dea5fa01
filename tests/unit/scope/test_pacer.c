/* pacer — lines on a real loop, in front of a gate that opens when the test says so. */
#include "tests/unit/policy/policy_kit.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/scope/pacer.h"

static struct loop *loop;
static struct pacer pacer;
static int room;          /* how many may go */
static uint64_t next_us;  /* what a caller is told to wait */
static char went[64];     /* names in the order in which they went */
static size_t stop_after; /* ends of waits after which the loop stops */

struct caller {
    struct pace_wait wait;
    char name;
    enum err end;
    bool is_over;
    struct caller *then; /* waits when this one is done */
};

static enum err try(struct pace_wait *w, uint64_t now_us, uint64_t *wait_us)
{
    (void)w;
    (void)now_us;
    if (room > 0) {
        room--;
        return ERR_OK;
    }
    *wait_us = next_us;
    return ERR_EXHAUSTED;
}

static void wait_for(struct caller *x, const char *flow, uint64_t in_ms);

static void done(struct pace_wait *w, enum err e)
{
    struct caller *x = CONTAINER_OF(w, struct caller, wait);
    assert_null(w->line);
    x->end = e;
    x->is_over = true;
    went[strlen(went)] = x->name;
    if (x->then)
        wait_for(x->then, "again", 1000);
    if (--stop_after == 0)
        loop_stop(loop);
}

static void wait_for(struct caller *x, const char *flow, uint64_t in_ms)
{
    x->wait.try = try;
    x->wait.done = done;
    x->wait.waiter.deadline_us = loop_now_us(loop) + in_ms * 1000;
    assert_int_equal(pacer_wait(&pacer, loop, SLICE("provider"), slice_str(flow), 1, &x->wait),
                     ERR_OK);
}

static int begin(void **state)
{
    (void)state;
    assert_int_equal(loop_new(&loop), ERR_OK);
    pacer_init(&pacer);
    room = 0;
    next_us = 3000;
    memset(went, 0, sizeof(went));
    return 0;
}

static int end(void **state)
{
    (void)state;
    loop_free(loop);
    pacer_fini(&pacer);
    return 0;
}

static void the_first_is_asked_and_goes(void **state)
{
    (void)state;
    struct caller a = {.name = 'a'}, b = {.name = 'b'};
    room = 2;
    stop_after = 2;
    wait_for(&a, "one", 1000);
    wait_for(&b, "one", 1000);
    assert_false(a.is_over); /* never before pacer_wait has returned */
    assert_int_equal(pacer_waiting(&pacer, SLICE("provider")), 2);
    loop_run(loop);
    assert_string_equal(went, "ab");
    assert_int_equal(pacer_waiting(&pacer, SLICE("provider")), 0);
}

static void open_gate(struct timer *t)
{
    (void)t;
    room = 3;
}

static void it_is_asked_again_and_flows_take_turns(void **state)
{
    (void)state;
    struct caller a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    struct timer t;
    stop_after = 3;
    wait_for(&a, "one", 1000);
    wait_for(&b, "one", 1000);
    wait_for(&c, "two", 1000);
    timer_init(&t, loop, open_gate);
    timer_start(&t, 20);
    loop_run(loop);
    assert_string_equal(went, "acb");
    assert_true(!a.end && !b.end && !c.end);
}

static void a_deadline_ends_a_wait(void **state)
{
    (void)state;
    struct caller a = {.name = 'a'}, b = {.name = 'b'};
    struct timer t;
    stop_after = 2;
    wait_for(&a, "one", 5);
    wait_for(&b, "one", 5000);
    timer_init(&t, loop, open_gate);
    timer_start(&t, 60);
    loop_run(loop);
    assert_string_equal(went, "ab");
    assert_int_equal(a.end, ERR_TIMEOUT);
    assert_int_equal(b.end, ERR_OK);
}

static void who_leaves_is_not_called(void **state)
{
    (void)state;
    struct caller a = {.name = 'a'}, b = {.name = 'b'};
    room = 2;
    stop_after = 1;
    wait_for(&a, "one", 1000);
    wait_for(&b, "one", 1000);
    pacer_leave(&a.wait);
    pacer_leave(&a.wait); /* harmless */
    loop_run(loop);
    assert_string_equal(went, "b");
    assert_false(a.is_over);
}

static void one_that_is_done_may_begin_another(void **state)
{
    (void)state;
    struct caller b = {.name = 'b'}, a = {.name = 'a', .then = &b};
    room = 2;
    stop_after = 2;
    wait_for(&a, "one", 1000);
    loop_run(loop);
    assert_string_equal(went, "ab");
}

static void a_full_line_tells_who_had_to_go(void **state)
{
    (void)state;
    static struct caller crowd[LIMIT_PACE_WAITING];
    static struct caller one_more, other = {.name = 'o'};
    memset(crowd, 0, sizeof(crowd));
    stop_after = 1;
    for (size_t i = 0; i < LIMIT_PACE_WAITING; i++) {
        crowd[i].name = 'c';
        wait_for(&crowd[i], "one", 60000);
    }
    one_more.wait.waiter.deadline_us = UINT64_MAX;
    assert_int_equal(pacer_wait(&pacer, loop, SLICE("provider"), SLICE("one"), 1, &one_more.wait),
                     ERR_EXHAUSTED);
    wait_for(&other, "two", 60000);
    assert_string_equal(went, "c");
    assert_int_equal(crowd[LIMIT_PACE_WAITING - 1].end, ERR_EXHAUSTED);
    assert_true(crowd[LIMIT_PACE_WAITING - 1].is_over);
    for (size_t i = 0; i < LIMIT_PACE_WAITING; i++)
        pacer_leave(&crowd[i].wait);
    pacer_leave(&other.wait);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t n = 1; n < 4; n++) {
        struct caller a = {.name = 'a'};
        a.wait.waiter.deadline_us = UINT64_MAX;
        mem_fail_after(n);
        enum err e = pacer_wait(&pacer, loop, SLICE("p"), SLICE("f"), 1, &a.wait);
        mem_fail_after(0);
        assert_int_equal(e, n < 3 ? ERR_NOMEM : ERR_OK);
        pacer_leave(&a.wait);
        pacer_fini(&pacer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_is_asked_and_goes, begin, end),
        cmocka_unit_test_setup_teardown(it_is_asked_again_and_flows_take_turns, begin, end),
        cmocka_unit_test_setup_teardown(a_deadline_ends_a_wait, begin, end),
        cmocka_unit_test_setup_teardown(who_leaves_is_not_called, begin, end),
        cmocka_unit_test_setup_teardown(one_that_is_done_may_begin_another, begin, end),
        cmocka_unit_test_setup_teardown(a_full_line_tells_who_had_to_go, begin, end),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
