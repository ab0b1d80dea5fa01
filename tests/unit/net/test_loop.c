/* The loop: timers in order, mail from other threads, retirements at the end of the turn. */
#include "tests/unit/base/unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

#include "common/net/loop.h"

#define POSTERS 4
#define POSTS_EACH 2000

static void turn(struct loop *l)
{
    uv_run(loop_uv(l), UV_RUN_NOWAIT);
}

static struct loop *new_loop(void)
{
    struct loop *l;
    assert_int_equal(loop_new(&l), ERR_OK);
    return l;
}

static void count_up(void *arg)
{
    (*(int *)arg)++;
}

/* timers */

struct rung {
    struct timer timer;
    struct loop *loop;
    uint64_t *last; /* at_us of the one before */
    int *left;
};

static void ring_in_order(struct timer *t)
{
    struct rung *r = CONTAINER_OF(t, struct rung, timer);
    assert_true(t->at_us >= *r->last);
    assert_true(loop_now_us(r->loop) >= t->at_us);
    *r->last = t->at_us;
    if (--*r->left == 0)
        loop_stop(r->loop);
}

UNIT(ten_thousand_timers_fire_in_the_order_of_their_deadlines)
{
    struct loop *l = new_loop();
    uint64_t last = 0;
    int left = 10000;
    struct rung *all = calloc((size_t)left, sizeof(*all));
    srand(4711);
    for (int i = 0; i < 10000; i++) {
        all[i] = (struct rung){.loop = l, .last = &last, .left = &left};
        timer_init(&all[i].timer, l, ring_in_order);
        timer_start(&all[i].timer, (uint64_t)(rand() % 200));
    }
    for (int i = 0; i < 10000; i += 3) { /* some are moved, some taken out and put back */
        if (i % 2)
            timer_cancel(&all[i].timer);
        timer_start(&all[i].timer, (uint64_t)(rand() % 200));
    }
    loop_run(l);
    assert_int_equal(left, 0);
    free(all);
    loop_free(l);
}

struct clock_hand {
    struct timer timer;
    struct loop *loop;
    int fired;
    int again; /* times it starts itself again, at once */
    struct clock_hand *kills;
};

static void tick(struct timer *t)
{
    struct clock_hand *h = CONTAINER_OF(t, struct clock_hand, timer);
    h->fired++;
    assert_false(timer_is_running(t));
    if (h->kills)
        timer_cancel(&h->kills->timer);
    if (h->again-- > 0)
        timer_start(t, 0);
}

static void hand_init(struct clock_hand *h, struct loop *l)
{
    *h = (struct clock_hand){.loop = l};
    timer_init(&h->timer, l, tick);
}

static void stop_loop(struct timer *t)
{
    loop_stop(t->loop);
}

static void run_for(struct loop *l, uint64_t ms)
{
    struct timer end;
    timer_init(&end, l, stop_loop);
    timer_start(&end, ms);
    loop_run(l);
}

UNIT(a_cancelled_timer_does_not_fire_even_when_due_in_the_same_turn)
{
    struct loop *l = new_loop();
    struct clock_hand first, second;
    hand_init(&first, l);
    hand_init(&second, l);
    first.kills = &second;
    timer_start(&first.timer, 2);
    timer_start(&second.timer, 2);
    run_for(l, 20);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
    timer_cancel(&second.timer);
    loop_free(l);
}

UNIT(a_timer_started_again_counts_from_then)
{
    struct loop *l = new_loop();
    struct clock_hand later, sooner;
    hand_init(&later, l);
    hand_init(&sooner, l);
    timer_start(&later.timer, 5);
    timer_start(&later.timer, 60000);
    timer_start(&sooner.timer, 60000);
    timer_start(&sooner.timer, 5);
    run_for(l, 50);
    assert_int_equal(later.fired, 0);
    assert_true(timer_is_running(&later.timer));
    assert_int_equal(sooner.fired, 1);
    timer_cancel(&later.timer);
    loop_free(l);
}

UNIT(a_timer_that_starts_itself_with_zero_does_not_hold_the_turn)
{
    struct loop *l = new_loop();
    struct clock_hand h;
    hand_init(&h, l);
    h.again = 1000000;
    timer_start(&h.timer, 0);
    run_for(l, 20);
    assert_true(h.fired > 1);
    assert_true(h.fired < 1000);
    timer_cancel(&h.timer);
    loop_free(l);
}

UNIT(before_the_loop_runs_its_clock_does_not_stand_still)
{
    struct loop *l = new_loop();
    uint64_t first = loop_now_us(l);
    uv_sleep(3);
    assert_true(loop_now_us(l) - first >= 2000);
    loop_free(l);
}

/* mail */

struct letter {
    int *last; /* of this poster */
    int number;
    int *left;
    struct loop *loop;
};

static void read_letter(void *arg)
{
    struct letter *m = arg;
    assert_int_equal(m->number, *m->last + 1);
    *m->last = m->number;
    if (--*m->left == 0)
        loop_stop(m->loop);
    free(m);
}

struct poster {
    struct loop *loop;
    int last;
    int *left;
};

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (int i = 1; i <= POSTS_EACH; i++) {
        struct letter *m = malloc(sizeof(*m));
        *m = (struct letter){&p->last, i, p->left, p->loop};
        MUST(loop_post(p->loop, read_letter, m) == ERR_OK);
    }
    return NULL;
}

UNIT(what_four_threads_post_arrives_whole_and_in_each_ones_order)
{
    struct loop *l = new_loop();
    int left = POSTERS * POSTS_EACH;
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.loop = l, .left = &left};
        pthread_create(&threads[i], NULL, post_all, &posters[i]);
    }
    loop_run(l);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(left, 0);
    loop_free(l);
}

UNIT(a_stopped_loop_takes_no_mail_and_what_it_had_taken_was_run)
{
    struct loop *l = new_loop();
    int ran = 0;
    assert_int_equal(loop_post(l, count_up, &ran), ERR_OK);
    loop_stop(l);
    assert_int_equal(loop_post(l, count_up, &ran), ERR_OK);
    loop_run(l);
    assert_int_equal(ran, 2);
    assert_int_equal(loop_post(l, count_up, &ran), ERR_CLOSED);
    loop_free(l);
    assert_int_equal(ran, 2);
}

/* the end of the turn */

UNIT(retired_outside_of_any_callback_it_goes_in_the_next_turn)
{
    struct loop *l = new_loop();
    int ran = 0;
    loop_retire(l, count_up, &ran);
    assert_int_equal(ran, 0);
    turn(l);
    assert_int_equal(ran, 1);
    loop_free(l);
}

UNIT(what_is_still_retired_goes_with_the_loop)
{
    struct loop *l = new_loop();
    int ran = 0;
    for (int i = 0; i < 5000; i++)
        loop_retire(l, count_up, &ran);
    loop_free(l);
    assert_int_equal(ran, 5000);
}

struct chain {
    struct loop_task task;
    struct loop *loop;
    struct chain *other;
    int ran;
    bool again;
};

static void run_chain(struct loop_task *t)
{
    struct chain *c = CONTAINER_OF(t, struct chain, task);
    c->ran++;
    if (c->again)
        loop_soon(c->loop, t);
    if (c->other)
        loop_task_cancel(&c->other->task);
}

UNIT(a_task_runs_once_however_often_it_is_asked_for_and_not_when_cancelled)
{
    struct loop *l = new_loop();
    struct chain first = {.loop = l}, second = {.loop = l};
    loop_task_init(&first.task, run_chain);
    loop_task_init(&second.task, run_chain);
    first.other = &second;
    loop_soon(l, &first.task);
    loop_soon(l, &first.task);
    loop_soon(l, &second.task);
    turn(l);
    assert_int_equal(first.ran, 1);
    assert_int_equal(second.ran, 0);
    assert_false(loop_task_is_queued(&second.task));
    loop_free(l);
}

UNIT(a_task_that_asks_for_itself_for_ever_does_not_starve_the_timers)
{
    struct loop *l = new_loop();
    struct chain c = {.loop = l, .again = true};
    loop_task_init(&c.task, run_chain);
    loop_soon(l, &c.task);
    run_for(l, 20);
    assert_true(c.ran > 10);
    loop_task_cancel(&c.task);
    loop_free(l);
}

static enum err make_and_free(void)
{
    struct loop *l;
    enum err e = loop_new(&l);
    if (!e)
        loop_free(l);
    return e;
}

UNIT(a_loop_that_cannot_be_had_leaves_nothing_behind)
{
    EACH_ALLOCATION_FAILS(make_and_free());
}

static enum err post_one(struct loop *l, int *ran)
{
    return loop_post(l, count_up, ran);
}

UNIT(a_post_that_finds_no_memory_stays_with_its_sender)
{
    struct loop *l = new_loop();
    int ran = 0;
    mem_fail_after(1);
    assert_int_equal(post_one(l, &ran), ERR_NOMEM);
    mem_fail_after(0);
    assert_int_equal(post_one(l, &ran), ERR_OK);
    turn(l);
    assert_int_equal(ran, 1);
    loop_free(l);
}

UNIT(one_failing_allocation_is_survived_by_timers_and_retirements)
{
    struct loop *l = new_loop();
    int ran = 0;
    for (int i = 0; i < 4000; i++) {
        mem_fail_after(1);
        loop_retire(l, count_up, &ran);
        if (mem_failed()) { /* it tried to grow; the next allocation succeeds */
            mem_fail_after(0);
            loop_retire(l, count_up, &ran);
            ran--;
        }
        mem_fail_after(0);
    }
    loop_free(l);
    assert_int_equal(ran, 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_timers_fire_in_the_order_of_their_deadlines),
        cmocka_unit_test(a_cancelled_timer_does_not_fire_even_when_due_in_the_same_turn),
        cmocka_unit_test(a_timer_started_again_counts_from_then),
        cmocka_unit_test(a_timer_that_starts_itself_with_zero_does_not_hold_the_turn),
        cmocka_unit_test(before_the_loop_runs_its_clock_does_not_stand_still),
        cmocka_unit_test(what_four_threads_post_arrives_whole_and_in_each_ones_order),
        cmocka_unit_test(a_stopped_loop_takes_no_mail_and_what_it_had_taken_was_run),
        cmocka_unit_test(retired_outside_of_any_callback_it_goes_in_the_next_turn),
        cmocka_unit_test(what_is_still_retired_goes_with_the_loop),
        cmocka_unit_test(a_task_runs_once_however_often_it_is_asked_for_and_not_when_cancelled),
        cmocka_unit_test(a_task_that_asks_for_itself_for_ever_does_not_starve_the_timers),
        cmocka_unit_test(a_loop_that_cannot_be_had_leaves_nothing_behind),
        cmocka_unit_test(a_post_that_finds_no_memory_stays_with_its_sender),
        cmocka_unit_test(one_failing_allocation_is_survived_by_timers_and_retirements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
