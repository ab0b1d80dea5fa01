/* A metric that was added is counted and printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/request/request.h"
#include "common/request/request_metrics.h"

static void a_metric_is_counted_and_printed(void **state)
{
    (void)state;
    struct request_env env = {.metrics = metric_set_new(request_metrics, COUNT_COUNT)};
    struct buf out;
    buf_init(&out, 1024 * 1024);
    count_add(&env, COUNT_SAMPLES, 0, 3);
    struct metric_set *sets[] = {env.metrics};
    assert_int_equal(metric_render(sets, 1, &out), ERR_OK);
    assert_true(slice_search(buf_slice(&out), SLICE("gatehouse_samples_total 3")) > 0);
    buf_fini(&out);
    metric_set_free(env.metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_metric_is_counted_and_printed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
