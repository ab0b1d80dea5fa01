/* The bus while nothing breaks: requests, pushes, pools and ceilings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "tests/kit/wire/bus_ends.h"

static void a_request_is_answered_and_the_sender_is_known(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    assert_int_equal(ask(p, SLICE("abc"), 5000), ERR_OK);
    assert_true(slice_eq(buf_slice(&p->last_answer), SLICE("cba")));
    assert_string_equal(c->last_plane, "east-1");
    assert_int_equal(ask(p, SLICE(""), 5000), ERR_OK);
    assert_int_equal(p->last_answer.len, 0);
    plane_close(p);
}

static void messages_of_one_to_four_mib_go_both_ways(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    char *big = mem_alloc(4 * MIB);
    for (size_t i = 0; i < 4 * MIB; i++)
        big[i] = (char)(i * 2654435761u >> 24);
    for (size_t mib = 1; mib <= 4; mib++) {
        size_t len = mib * MIB;
        assert_int_equal(ask(p, slice_of(big, len), 20000), ERR_OK);
        assert_int_equal(p->last_answer.len, len);
        const char *back = buf_slice(&p->last_answer).ptr;
        for (size_t i = 0; i < len; i++)
            if (back[i] != big[len - 1 - i])
                fail_msg("byte %zu differs", i);
    }
    mem_free(big);
    plane_close(p);
}

static void what_is_too_big_is_refused_at_the_door(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    char *big = mem_zalloc(LIMIT_BUS_MESSAGE + 1);
    assert_int_equal(ask(p, slice_of(big, LIMIT_BUS_MESSAGE + 1), 5000), ERR_TOO_BIG);
    assert_int_equal(bus_hub_publish(c->hub, SLICE("east"), slice_of(big, LIMIT_BUS_MESSAGE + 1)),
                     ERR_TOO_BIG);
    assert_int_equal(ask(p, SLICE("still alive"), 5000), ERR_OK);
    mem_free(big);
    plane_close(p);
}

static void a_burst_of_twenty_mib_loses_nothing(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    assert_int_equal(ask(p, SLICE("hello"), 5000), ERR_OK);
    usleep(100 * 1000); /* the publisher has taken its side of the new pipe */
    char *big = mem_zalloc(MIB);
    for (uint32_t n = 0; n < 20; n++) {
        memcpy(big, &n, sizeof(n));
        assert_int_equal(bus_hub_publish(c->hub, SLICE("east"), slice_of(big, MIB)), ERR_OK);
    }
    assert_true(reaches(&p->pushes, 20));
    assert_int_equal(atomic_load(&p->push_bytes), 20 * MIB);
    assert_false(atomic_load(&p->disorder));
    mem_free(big);
    plane_close(p);
}

static void five_thousand_small_pushes_arrive_in_order(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    usleep(100 * 1000);
    for (uint32_t n = 0; n < 5000; n++)
        assert_int_equal(bus_hub_publish(c->hub, SLICE("east"), slice_of(&n, sizeof(n))), ERR_OK);
    assert_true(reaches(&p->pushes, 5000));
    assert_false(atomic_load(&p->disorder));
    plane_close(p);
}

static void fifty_requests_at_once_are_each_answered_once(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    struct ask asks[50];
    atomic_store(&c->slow_ms, 5);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        ask_start(&asks[i], p, SLICE("x"), 10000);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        assert_true(kit_until(ask_is_over, &asks[i], WAIT_MS));
    assert_int_equal(atomic_load(&p->replies), 50);
    assert_int_equal(atomic_load(&p->failures), 0);
    assert_int_equal(atomic_load(&c->ran), 50);
    plane_close(p);
}

static void more_requests_than_the_ceiling_are_refused(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    struct ask *asks = mem_array(LIMIT_BUS_PENDING + 10, sizeof(*asks));
    atomic_store(&c->slow_ms, 3);
    unsigned refused = 0;
    usleep(50 * 1000);
    for (size_t i = 0; i < LIMIT_BUS_PENDING + 10; i++)
        ask_start(&asks[i], p, SLICE("x"), 20000);
    for (size_t i = 0; i < LIMIT_BUS_PENDING + 10; i++) {
        assert_true(kit_until(ask_is_over, &asks[i], WAIT_MS));
        refused += asks[i].refused == ERR_EXHAUSTED;
    }
    assert_int_equal(atomic_load(&p->replies) + refused, LIMIT_BUS_PENDING + 10);
    assert_int_equal(atomic_load(&c->ran), atomic_load(&p->replies));
    mem_free(asks);
    plane_close(p);
}

static void a_request_without_a_reply_in_time_ends_once(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    atomic_store(&c->slow_ms, 300);
    assert_int_equal(ask(p, SLICE("x"), 50), ERR_TIMEOUT);
    atomic_store(&c->slow_ms, 0);
    assert_int_equal(ask(p, SLICE("yz"), 5000), ERR_OK);
    assert_true(slice_eq(buf_slice(&p->last_answer), SLICE("zy")));
    usleep(400 * 1000); /* the late reply has arrived; no callback may follow */
    assert_int_equal(atomic_load(&p->failures), 1);
    assert_int_equal(atomic_load(&p->replies), 1);
    plane_close(p);
}

static void planes_of_two_pools_receive_only_the_pushes_of_their_own(void **state)
{
    struct control *c = *state;
    struct plane *e1 = plane_open(c, "east-1");
    struct plane *e2 = plane_open(c, "east-2");
    struct plane *w1 = plane_open(c, "west-1");
    usleep(100 * 1000);
    for (uint32_t n = 0; n < 10; n++)
        assert_int_equal(bus_hub_publish(c->hub, SLICE("east"), slice_of(&n, sizeof(n))), ERR_OK);
    assert_int_equal(bus_hub_publish(c->hub, SLICE("west"), SLICE("w")), ERR_OK);
    assert_int_equal(bus_hub_publish(c->hub, SLICE("nowhere"), SLICE("?")), ERR_OK);
    assert_true(reaches(&e1->pushes, 10));
    assert_true(reaches(&e2->pushes, 10));
    assert_true(reaches(&w1->pushes, 1));
    usleep(50 * 1000);
    assert_int_equal(atomic_load(&e1->pushes), 10);
    assert_int_equal(atomic_load(&e2->pushes), 10);
    assert_int_equal(atomic_load(&w1->pushes), 1);
    assert_true(slice_eq(buf_slice(&w1->last_push), SLICE("w")));
    plane_close(e1);
    plane_close(e2);
    plane_close(w1);
}

#define BUS_TEST(f) cmocka_unit_test_setup_teardown(f, control_open, control_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(a_request_is_answered_and_the_sender_is_known),
        BUS_TEST(messages_of_one_to_four_mib_go_both_ways),
        BUS_TEST(what_is_too_big_is_refused_at_the_door),
        BUS_TEST(a_burst_of_twenty_mib_loses_nothing),
        BUS_TEST(five_thousand_small_pushes_arrive_in_order),
        BUS_TEST(fifty_requests_at_once_are_each_answered_once),
        BUS_TEST(more_requests_than_the_ceiling_are_refused),
        BUS_TEST(a_request_without_a_reply_in_time_ends_once),
        BUS_TEST(planes_of_two_pools_receive_only_the_pushes_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
