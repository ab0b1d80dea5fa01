/* descriptors — clients may not take what calls upstream need. */
#include "dataplane/descriptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "common/base/limits.h"

static void three_quarters_are_the_clients_shared_by_the_workers(void **state)
{
    (void)state;
    assert_int_equal(descriptors_for_clients(20000, 2), 7500);
    assert_int_equal(descriptors_for_clients(1024, 1), 750);
    assert_int_equal(descriptors_for_clients(1024, 256), 2);
    assert_int_equal(descriptors_for_clients(64, 256), 1);
    assert_int_equal(descriptors_for_clients(1 << 30, 8), LIMIT_CONNECTIONS);
    assert_int_equal(descriptors_for_clients(RLIM_INFINITY, 1), LIMIT_CONNECTIONS);
}

static void the_soft_limit_is_raised_to_the_hard_one(void **state)
{
    struct rlimit was, low, now;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    low = (struct rlimit){64, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(descriptors_raise(), was.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, was.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_quarters_are_the_clients_shared_by_the_workers),
        cmocka_unit_test(the_soft_limit_is_raised_to_the_hard_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
