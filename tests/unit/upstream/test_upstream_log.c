/* upstream_log — one line a second, the same for every gate. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/upstream/upstream_log.h"

static struct upstream_log of_worker;
static unsigned counted;
static int real_stderr, catcher;
static char said[4096];
static const struct log_ctx log_of_ai = {.component = "ai"};

static void on_count(void *arg, enum upstream_count what)
{
    (void)arg;
    counted += what == UPSTREAM_COUNT_UNTOLD;
}

static int set_up(void **state)
{
    (void)state;
    of_worker = (struct upstream_log){.count = on_count};
    counted = 0;
    real_stderr = dup(STDERR_FILENO);
    catcher = memfd_create("log", MFD_CLOEXEC);
    assert_true(real_stderr >= 0 && catcher >= 0);
    assert_true(dup2(catcher, STDERR_FILENO) >= 0);
    log_setup("test", LOG_INFO);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(catcher);
    return 0;
}

static const char *heard(void)
{
    ssize_t n = pread(catcher, said, sizeof(said) - 1, 0);
    assert_true(n >= 0);
    said[n] = '\0';
    return said;
}

static size_t lines(void)
{
    size_t n = 0;
    for (const char *p = heard(); *p; p++)
        n += *p == '\n';
    return n;
}

static struct upstream_at at(const char *host)
{
    static struct url url;
    url = (struct url){.host = slice_str(host), .port = 9001, .path = SLICE("/private")};
    return (struct upstream_at){SLICE("acme"), &url};
}

static void a_lost_call_names_gate_upstream_place_phase_and_why(void **state)
{
    (void)state;
    upstream_log_lost(&of_worker, &log_of_ai, at("127.0.0.1"), ERR_CONNECT, HTTP_PHASE_CONNECT);
    assert_non_null(strstr(heard(), "\"level\":\"warn\""));
    assert_non_null(strstr(said, "\"event\":\"upstream_failed\",\"gate\":\"ai\","
                                 "\"upstream\":\"acme\",\"at\":\"127.0.0.1:9001\","
                                 "\"phase\":\"connect\",\"status\":0,\"why\":\"connect\","
                                 "\"suppressed\":0}"));
    assert_null(strstr(said, "private"));
}

static void a_status_says_whether_our_credential_is_meant(void **state)
{
    (void)state;
    upstream_log_status(&of_worker, &log_of_ai, at("::1"), 401);
    assert_non_null(strstr(heard(), "\"at\":\"[::1]:9001\",\"phase\":\"answer\",\"status\":401,"
                                    "\"why\":\"credential_refused\""));
    of_worker.told_us = 0;
    upstream_log_status(&of_worker, &log_of_ai, at("::1"), 503);
    assert_non_null(strstr(heard(), "\"status\":503,\"why\":\"status\""));
}

static void one_a_second_is_told_and_the_next_says_how_many_were_not(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        upstream_log_lost(&of_worker, &log_of_ai, at("a"), ERR_TIMEOUT, HTTP_PHASE_FIRST_BYTE);
    assert_int_equal(lines(), 1);
    of_worker.told_us -= 1000001;
    upstream_log_lost(&of_worker, &log_of_ai, at("a"), ERR_TIMEOUT, HTTP_PHASE_BODY);
    assert_int_equal(lines(), 2);
    assert_non_null(strstr(heard(), "\"phase\":\"body\",\"status\":0,\"why\":\"timeout\","
                                    "\"suppressed\":4}"));
    assert_int_equal(of_worker.untold, 0);
    assert_int_equal(counted, 4);
}

static void what_we_let_go_ourselves_is_not_told(void **state)
{
    (void)state;
    upstream_log_lost(&of_worker, &log_of_ai, at("a"), ERR_CANCELLED, HTTP_PHASE_BODY);
    assert_int_equal(lines(), 0);
}

static void a_refused_address_names_the_rule(void **state)
{
    (void)state;
    assert_true(slice_search(upstream_why(ERR_DENIED), SLICE("allow_cidrs")) > 0);
    assert_true(slice_eq(upstream_why(ERR_DNS), slice_str(err_text(ERR_DNS))));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(a_lost_call_names_gate_upstream_place_phase_and_why),
        ROW(a_status_says_whether_our_credential_is_meant),
        ROW(one_a_second_is_told_and_the_next_says_how_many_were_not),
        ROW(what_we_let_go_ourselves_is_not_told),
        ROW(a_refused_address_names_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
