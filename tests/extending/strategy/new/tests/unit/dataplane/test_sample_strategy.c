/* A strategy that was added orders targets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/ai/route/ai_strategy.h"

static void the_last_target_comes_first(void **state)
{
    (void)state;
    struct route_choice choices[3] = {{0}};
    const struct route_view view = {.choices = choices, .count = 3};
    size_t order[3];
    assert_int_equal(route_strategy(STRATEGY_LAST_FIRST)->order(&view, order, 3), 3);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[2], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_last_target_comes_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
