/* settings — the valid settings of a data plane, and the invalid ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/dataplane_settings.h"

static enum err read_args(struct settings *s, const char *const *args, size_t n)
{
    char *argv[16] = {"gatehouse-dataplane"};
    bool help = false;
    assert_true(n < ARRAY_LEN(argv));
    for (size_t i = 0; i < n; i++)
        argv[i + 1] = (char *)(uintptr_t)args[i];
    *s = (struct settings){0};
    return settings_read((int)n + 1, argv, s, &help);
}

#define READ(s, ...)                                                                               \
    read_args(s, (const char *const[]){__VA_ARGS__},                                               \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void what_is_not_said_has_a_default(void **state)
{
    struct settings s;
    (void)state;
    assert_int_equal(read_args(&s, NULL, 0), ERR_OK);
    assert_int_equal(ntohs(s.listen_at.in.sin_port), 8080);
    assert_int_equal(s.push_port, 8082);
    assert_int_equal(s.request_port, 8083);
    assert_true(s.workers > 0);
    assert_null(s.tls_cert);
}

static void the_environment_is_read_and_the_command_line_wins(void **state)
{
    struct settings s;
    (void)state;
    setenv("GATEHOUSE_LISTEN", "127.0.0.1:9001", 1);
    setenv("GATEHOUSE_WORKERS", "3", 1);
    assert_int_equal(READ(&s, "--workers", "5"), ERR_OK);
    assert_int_equal(ntohs(s.listen_at.in.sin_port), 9001);
    assert_int_equal(s.workers, 5);
    unsetenv("GATEHOUSE_LISTEN");
    unsetenv("GATEHOUSE_WORKERS");
}

static void the_folder_of_token_files_is_opened(void **state)
{
    struct settings s;
    (void)state;
    assert_int_equal(read_args(&s, NULL, 0), ERR_OK);
    assert_int_equal(s.token_folder, -1);
    assert_int_equal(READ(&s, "--token-dir", "/"), ERR_OK);
    assert_true(s.token_folder >= 0);
    close(s.token_folder);
    assert_int_equal(READ(&s, "--token-dir", "/none/of/these"), ERR_INVALID);
}

static void plain_http_beyond_loopback_needs_to_be_asked_for(void **state)
{
    struct settings s;
    (void)state;
    assert_int_equal(READ(&s, "--listen", "0.0.0.0:8080"), ERR_INVALID);
    assert_int_equal(READ(&s, "--listen", "[::]:8080"), ERR_INVALID);
    assert_int_equal(READ(&s, "--metrics-listen", "0.0.0.0:8084"), ERR_INVALID);
    assert_int_equal(READ(&s, "--listen", "0.0.0.0:8080", "--insecure"), ERR_OK);
    assert_int_equal(READ(&s, "--listen", "127.9.9.9:8080"), ERR_OK);
    assert_int_equal(READ(&s, "--listen", "[::1]:8080"), ERR_OK);
    assert_int_equal(READ(&s, "--listen", "0.0.0.0:8080", "--tls-cert", "a", "--tls-key", "b"),
                     ERR_OK);
}

static void half_of_a_pair_is_refused(void **state)
{
    struct settings s;
    (void)state;
    assert_int_equal(READ(&s, "--tls-cert", "a"), ERR_INVALID);
    assert_int_equal(READ(&s, "--channel-push", "one:1", "--channel-request", "two:2"),
                     ERR_INVALID);
    assert_int_equal(READ(&s, "--channel-push", "nonsense"), ERR_INVALID);
    assert_int_equal(READ(&s, "--channel-push", "[::1]:1", "--channel-request", "[::1]:2"), ERR_OK);
    assert_true(slice_eq(s.channel_host, SLICE("::1")));
}

static void an_unknown_level_is_refused(void **state)
{
    struct settings s;
    (void)state;
    assert_int_equal(READ(&s, "--log-level", "foo"), ERR_INVALID);
    assert_int_equal(READ(&s, "--log-level", "warn"), ERR_OK);
    assert_int_equal(s.log_level, LOG_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_a_default),
        cmocka_unit_test(the_environment_is_read_and_the_command_line_wins),
        cmocka_unit_test(the_folder_of_token_files_is_opened),
        cmocka_unit_test(plain_http_beyond_loopback_needs_to_be_asked_for),
        cmocka_unit_test(half_of_a_pair_is_refused),
        cmocka_unit_test(an_unknown_level_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
