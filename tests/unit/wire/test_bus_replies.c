/* What the hub keeps of one plane's requests, without any network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/wire/bus_replies.h"

static struct bus_replies replies;
static struct slice content;
static void *displaced;
static char contexts[8]; /* waiting contexts: only the addresses matter */

static int begin(void **state)
{
    (void)state;
    bus_replies_init(&replies);
    return 0;
}

static int end(void **state)
{
    (void)state;
    bus_replies_fini(&replies);
    assert_int_equal(replies.kept, 0);
    return 0;
}

static enum bus_verdict ask(uint64_t epoch, uint64_t number, uint64_t oldest, void *context)
{
    const struct bus_request_head h = {epoch, number, oldest};
    enum bus_verdict v = BUS_STALE;
    assert_int_equal(bus_replies_ask(&replies, &h, context, &v, &content, &displaced), ERR_OK);
    return v;
}

static void *give(uint64_t epoch, uint64_t number, struct slice text)
{
    struct buf reply;
    struct slice lent;
    buf_init(&reply, LIMIT_BUS_MESSAGE);
    assert_int_equal(buf_append(&reply, text), ERR_OK);
    void *waiter = bus_replies_give(&replies, epoch, number, &reply, &lent);
    assert_true(slice_eq(lent, text));
    buf_fini(&reply);
    return waiter;
}

static void a_number_is_run_once_and_then_repeated_byte_by_byte(void **state)
{
    (void)state;
    assert_int_equal(ask(7, 1, 1, &contexts[0]), BUS_RUN);
    assert_null(give(7, 1, SLICE("first")));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(7, 1, 1, &contexts[1]), BUS_REPEAT);
        assert_true(slice_eq(content, SLICE("first")));
    }
    assert_int_equal(ask(7, 2, 1, &contexts[0]), BUS_RUN);
    assert_int_equal(ask(8, 1, 1, &contexts[1]), BUS_RUN); /* another life counts from one again */
    give(7, 2, SLICE(""));
    assert_int_equal(ask(7, 2, 1, &contexts[0]), BUS_REPEAT);
    assert_int_equal(content.len, 0);
    give(8, 1, SLICE("other"));
}

static void the_last_context_gets_the_reply_of_a_request_that_is_being_run(void **state)
{
    (void)state;
    assert_int_equal(ask(7, 1, 1, &contexts[0]), BUS_RUN);
    assert_int_equal(ask(7, 1, 1, &contexts[1]), BUS_WAIT);
    assert_null(displaced);
    assert_int_equal(ask(7, 1, 1, &contexts[2]), BUS_WAIT);
    assert_ptr_equal(displaced, &contexts[1]);
    assert_ptr_equal(give(7, 1, SLICE("x")), &contexts[2]);
}

static void what_the_plane_has_is_forgotten_and_never_run_again(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 100; n++) {
        assert_int_equal(ask(7, n, n, &contexts[0]), BUS_RUN);
        give(7, n, SLICE("0123456789"));
        assert_int_equal(replies.kept, 10);
    }
    assert_int_equal(ask(7, 99, 99, &contexts[0]), BUS_STALE);
    assert_int_equal(ask(7, 1, 1, &contexts[0]), BUS_STALE);
    assert_int_equal(ask(7, 100, 100, &contexts[0]), BUS_REPEAT);
}

static void numbers_far_ahead_of_the_oldest_are_not_taken(void **state)
{
    (void)state;
    assert_int_equal(ask(7, BUS_SPAN, 1, &contexts[0]), BUS_RUN);
    assert_int_equal(ask(7, BUS_SPAN + 1, 1, &contexts[0]), BUS_STALE);
    assert_int_equal(ask(7, BUS_SPAN + 1, 2, &contexts[0]), BUS_RUN);
    assert_int_equal(ask(0, 1, 1, &contexts[0]), BUS_STALE);
    give(7, BUS_SPAN, SLICE("a"));
    give(7, BUS_SPAN + 1, SLICE("b"));
}

static void above_the_ceiling_the_oldest_content_goes_and_its_number_stays(void **state)
{
    (void)state;
    const size_t len = LIMIT_BUS_MESSAGE;
    char *big = mem_zalloc(len);
    const size_t fit = LIMIT_BUS_KEPT / len;
    for (uint64_t n = 1; n <= fit + 2; n++) {
        assert_int_equal(ask(7, n, 1, &contexts[0]), BUS_RUN);
        give(7, n, slice_of(big, len));
        assert_true(replies.kept <= LIMIT_BUS_KEPT);
    }
    assert_int_equal(ask(7, 1, 1, &contexts[0]), BUS_LOST);
    assert_int_equal(ask(7, 2, 1, &contexts[0]), BUS_LOST);
    assert_int_equal(ask(7, 3, 1, &contexts[0]), BUS_REPEAT);
    assert_int_equal(content.len, len);
    mem_free(big);
}

static void a_new_life_takes_the_place_of_the_one_silent_for_longest(void **state)
{
    (void)state;
    for (uint64_t life = 1; life <= LIMIT_BUS_EPOCHS; life++) {
        assert_int_equal(ask(life, 1, 1, &contexts[0]), BUS_RUN);
        give(life, 1, SLICE("x"));
    }
    assert_int_equal(ask(1, 1, 1, &contexts[0]), BUS_REPEAT); /* now 2 is the silent one */
    assert_int_equal(ask(100, 1, 1, &contexts[0]), BUS_RUN);
    assert_int_equal(ask(1, 1, 1, &contexts[0]), BUS_REPEAT);
    give(100, 1, SLICE("x"));
    assert_int_equal(ask(2, 1, 1, &contexts[0]), BUS_RUN); /* forgotten */
    give(2, 1, SLICE("x"));
}

static void a_life_with_work_under_way_is_not_forgotten(void **state)
{
    (void)state;
    for (uint64_t life = 1; life <= LIMIT_BUS_EPOCHS; life++)
        assert_int_equal(ask(life, 1, 1, &contexts[0]), BUS_RUN);
    assert_int_equal(ask(100, 1, 1, &contexts[0]), BUS_STALE);
    give(1, 1, SLICE("x"));
    assert_int_equal(ask(100, 1, 1, &contexts[0]), BUS_RUN);
    for (uint64_t life = 2; life <= LIMIT_BUS_EPOCHS; life++)
        give(life, 1, SLICE("x"));
    give(100, 1, SLICE("x"));
}

static void without_memory_a_request_is_not_noted(void **state)
{
    (void)state;
    const struct bus_request_head h = {7, 1, 1};
    enum bus_verdict v;
    mem_fail_after(1);
    assert_int_equal(bus_replies_ask(&replies, &h, contexts, &v, &content, &displaced), ERR_NOMEM);
    assert_true(mem_failed());
    mem_fail_after(0);
    assert_int_equal(ask(7, 1, 1, &contexts[0]), BUS_RUN);
    give(7, 1, SLICE("x"));
}

#define ANSWERS_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ANSWERS_TEST(a_number_is_run_once_and_then_repeated_byte_by_byte),
        ANSWERS_TEST(the_last_context_gets_the_reply_of_a_request_that_is_being_run),
        ANSWERS_TEST(what_the_plane_has_is_forgotten_and_never_run_again),
        ANSWERS_TEST(numbers_far_ahead_of_the_oldest_are_not_taken),
        ANSWERS_TEST(above_the_ceiling_the_oldest_content_goes_and_its_number_stays),
        ANSWERS_TEST(a_new_life_takes_the_place_of_the_one_silent_for_longest),
        ANSWERS_TEST(a_life_with_work_under_way_is_not_forgotten),
        ANSWERS_TEST(without_memory_a_request_is_not_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
