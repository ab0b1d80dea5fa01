/* metric: cells of many threads, one text. */
#include "common/base/metric.h"

#include <pthread.h>
#include <stdio.h>

#include "tests/unit/base/unit.h"

static const char *const gates[] = {"ai", "tools", "a\\p\"i\n", NULL};

enum { CALLS, OPEN, TIME, FIRST_BYTE, WHOLE };
static const char *const pair[] = {"provider", "model", NULL};
static const struct metric_row rows[] = {
    {"gatehouse_calls_total", "Calls by gate.\nAll of them.", METRIC_COUNTER, "gate", gates},
    {"gatehouse_open", "Open \\ now.", METRIC_GAUGE, NULL, NULL},
    {"gatehouse_call_seconds", "How long.", METRIC_HISTOGRAM, NULL, NULL},
    {"gatehouse_first_byte_seconds", "Until the head.", METRIC_PAIRS, NULL, pair},
    {"gatehouse_attempt_seconds", "Until the end.", METRIC_PAIRS, NULL, pair},
};

static struct metric_set *make_set(void)
{
    struct metric_set *s = metric_set_new(rows, ARRAY_LEN(rows));
    assert_non_null(s);
    return s;
}

/* rendered text, which the next call overwrites */
static const char *rendered(struct metric_set *const *sets, size_t n)
{
    static char text[256 * 1024];
    struct buf b;
    buf_init(&b, sizeof(text));
    assert_int_equal(metric_render(sets, n, &b), ERR_OK);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(buf_slice(&b)));
    buf_fini(&b);
    return text;
}

static void expect_line(const char *text, const char *line)
{
    char whole[200];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (!strstr(text, whole))
        fail_msg("no line \"%s\" in:\n%s", line, text);
}

UNIT(sets_are_added_up)
{
    struct metric_set *sets[] = {make_set(), make_set()};
    metric_add(sets[0], CALLS, 0, 2);
    metric_add(sets[1], CALLS, 0, 3);
    metric_add(sets[1], CALLS, 2, 1);
    metric_put(sets[0], OPEN, 0, 7);
    metric_put(sets[1], OPEN, 0, 10);
    metric_add(sets[1], OPEN, 0, -4);
    const char *text = rendered(sets, 2);
    expect_line(text, "gatehouse_calls_total{gate=\"ai\"} 5");
    expect_line(text, "gatehouse_calls_total{gate=\"tools\"} 0");
    expect_line(text, "gatehouse_calls_total{gate=\"a\\\\p\\\"i\\n\"} 1");
    expect_line(text, "gatehouse_open 13");
    expect_line(text, "# TYPE gatehouse_open gauge");
    expect_line(text, "# HELP gatehouse_open Open \\\\ now.");
    assert_true(strncmp(text,
                        "# HELP gatehouse_calls_total Calls by gate.\\nAll of them.\n"
                        "# TYPE gatehouse_calls_total counter\n",
                        60) == 0);
    metric_set_free(sets[0]);
    metric_set_free(sets[1]);
    metric_set_free(NULL);
}

UNIT(a_histogram_counts_up_to_each_bound)
{
    struct metric_set *s = make_set();
    static const uint64_t seen[] = {0, 1, 2, 3, 10, 11, 1000000, 2000000, 2000001, 3600000000u};
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        metric_observe_us(s, TIME, seen[i]);
    const char *text = rendered(&s, 1);
    expect_line(text, "# TYPE gatehouse_call_seconds histogram");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"0.000001\"} 2");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"0.000002\"} 3");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"0.000005\"} 4");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"0.000010\"} 5");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"0.000020\"} 6");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"0.500000\"} 6");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"1.000000\"} 7");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"2.000000\"} 8");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"5.000000\"} 9");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"500.000000\"} 9");
    expect_line(text, "gatehouse_call_seconds_bucket{le=\"+Inf\"} 10");
    expect_line(text, "gatehouse_call_seconds_count 10");
    expect_line(text, "gatehouse_call_seconds_sum 3605.000028");
    metric_set_free(s);
}

UNIT(a_histogram_by_pairs_adds_up_what_several_sets_saw_of_one)
{
    struct metric_set *sets[] = {make_set(), make_set()};
    metric_observe_pair_us(sets[0], FIRST_BYTE, SLICE("acme"), SLICE("m\"1"), 700000);
    metric_observe_pair_us(sets[1], FIRST_BYTE, SLICE("zeta"), SLICE("m"), 5);
    metric_observe_pair_us(sets[1], FIRST_BYTE, SLICE("acme"), SLICE("m\"1"), 90000000);
    metric_observe_pair_us(sets[1], FIRST_BYTE, SLICE("acme"), SLICE("m\"12"), 5);
    const char *text = rendered(sets, 2);
#define OF_ACME "{provider=\"acme\",model=\"m\\\"1\""
    expect_line(text, "# TYPE gatehouse_first_byte_seconds histogram");
    expect_line(text, "gatehouse_first_byte_seconds_bucket" OF_ACME ",le=\"0.500\"} 0");
    expect_line(text, "gatehouse_first_byte_seconds_bucket" OF_ACME ",le=\"1.000\"} 1");
    expect_line(text, "gatehouse_first_byte_seconds_bucket" OF_ACME ",le=\"120.000\"} 2");
    expect_line(text, "gatehouse_first_byte_seconds_bucket" OF_ACME ",le=\"+Inf\"} 2");
    expect_line(text, "gatehouse_first_byte_seconds_sum" OF_ACME "} 90.700000");
    expect_line(text, "gatehouse_first_byte_seconds_count" OF_ACME "} 2");
    expect_line(text, "gatehouse_first_byte_seconds_count{provider=\"zeta\",model=\"m\"} 1");
    assert_null(strstr(text, "gatehouse_attempt_seconds_count"));
    metric_set_free(sets[0]);
    metric_set_free(sets[1]);
}

UNIT(pairs_without_end_have_an_end)
{
    struct metric_set *s = make_set();
    char name[300];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        metric_observe_pair_us(s, WHOLE, SLICE("acme"), slice_str(name), 1);
    }
    const char *text = rendered(&s, 1);
    expect_line(text, "gatehouse_attempt_seconds_count{provider=\"acme\",model=\"model-62\"} 1");
    assert_null(strstr(text, "\"model-63\""));
    expect_line(text, "gatehouse_attempt_seconds_count{provider=\"other\",model=\"other\"} 137");
    metric_set_free(s);
    s = make_set();
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    metric_observe_pair_us(s, WHOLE, slice_str(name), slice_str(name), 1);
    metric_observe_pair_us(s, WHOLE, slice_str(name), slice_str(name), 1);
    name[128] = '\0';
    char line[700];
    snprintf(line, sizeof(line), "gatehouse_attempt_seconds_count{provider=\"%s\",model=\"%s\"} 2",
             name, name);
    assert_non_null(strstr(rendered(&s, 1), line));
    metric_set_free(s);
}

static void *count_on_a_thread(void *set)
{
    for (int i = 0; i < 20000; i++) {
        metric_add(set, CALLS, 1, 1);
        metric_observe_us(set, TIME, (uint64_t)i);
    }
    return NULL;
}

UNIT(nothing_is_lost_between_threads_while_it_is_read)
{
    struct metric_set *s = make_set();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_on_a_thread, s), 0);
    for (int i = 0; i < 20; i++)
        rendered(&s, 1);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    expect_line(rendered(&s, 1), "gatehouse_calls_total{gate=\"tools\"} 80000");
    expect_line(rendered(&s, 1), "gatehouse_call_seconds_count 80000");
    metric_set_free(s);
}

static enum err use_once(void)
{
    struct metric_set *s = metric_set_new(rows, ARRAY_LEN(rows));
    if (!s)
        return ERR_NOMEM;
    struct buf b;
    buf_init(&b, 100000);
    enum err e = metric_render(&s, 1, &b);
    if (e)
        assert_int_equal(b.len, 0);
    buf_fini(&b);
    metric_set_free(s);
    return e;
}

UNIT(every_allocation_may_fail)
{
    EACH_ALLOCATION_FAILS(use_once());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_added_up),
        cmocka_unit_test(a_histogram_counts_up_to_each_bound),
        cmocka_unit_test(a_histogram_by_pairs_adds_up_what_several_sets_saw_of_one),
        cmocka_unit_test(pairs_without_end_have_an_end),
        cmocka_unit_test(nothing_is_lost_between_threads_while_it_is_read),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
