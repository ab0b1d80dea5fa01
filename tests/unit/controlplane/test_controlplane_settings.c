/*
 * settings — what the control plane refuses to start with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/controlplane_settings.h"

#define MOST 10

static enum err read_with(const char *const *more, struct settings *s)
{
    bool want_help = false;
    char *argv[MOST + 3] = {(char *)"test", (char *)"--master-key-file=/etc/key"};
    int argc = 2;
    setenv("GATEHOUSE_DATABASE_URL", "postgresql://run@db/gatehouse", 1);
    for (size_t i = 0; more[i] != NULL; i++)
        argv[argc++] = (char *)(uintptr_t)more[i];
    *s = (struct settings){0};
    return settings_read(argc, argv, s, &want_help);
}

static void what_is_absent_follows_from_what_is_there(void **state)
{
    (void)state;
    struct settings s;
    const char *const none[] = {"--state-dir=/var/lib/gatehouse", NULL};
    assert_int_equal(read_with(none, &s), ERR_OK);
    assert_string_equal(s.direct_url, s.database_url);
    assert_string_equal(s.owner_url, s.database_url);
    assert_string_equal(s.token_file, "/var/lib/gatehouse/admin.token");
    setenv("GATEHOUSE_DATABASE_DIRECT_URL", "postgresql://d", 1);
    assert_int_equal(read_with(none, &s), ERR_OK);
    assert_string_equal(s.owner_url, "postgresql://d");
    unsetenv("GATEHOUSE_DATABASE_DIRECT_URL");
}

/* Every user of the machine can read the arguments of a process. */
static void a_database_url_is_refused_as_an_argument(void **state)
{
    (void)state;
    struct settings s;
    static const char *const urls[] = {"--database-url=postgresql://run:pw@db/g",
                                       "--database-direct-url=postgresql://run:pw@db/g",
                                       "--database-owner-url=postgresql://run:pw@db/g"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        const char *const given[] = {urls[i], NULL};
        assert_int_equal(read_with(given, &s), ERR_INVALID);
    }
}

static const struct {
    const char *arguments[4];
    enum err err;
} starts[] = {
    {{"--admin-listen=127.0.0.1:8081"}, ERR_OK},
    {{"--admin-listen=127.9.9.9:8081"}, ERR_OK},
    {{"--admin-listen=[::1]:8081"}, ERR_OK},
    {{"--admin-listen=0.0.0.0:8081"}, ERR_INVALID},
    {{"--admin-listen=192.0.2.1:8081"}, ERR_INVALID},
    {{"--admin-listen=[::]:8081"}, ERR_INVALID},
    {{"--admin-listen=0.0.0.0:8081", "--insecure"}, ERR_OK},
    {{"--admin-listen=0.0.0.0:8081", "--admin-tls-cert=c", "--admin-tls-key=k"}, ERR_OK},
    {{"--admin-tls-cert=c"}, ERR_INVALID},
    {{"--admin-tls-key=k"}, ERR_INVALID},
    {{"--admin-listen=localhost"}, ERR_INVALID},
    {{"--channel-push=x"}, ERR_INVALID},
    {{"--channel-request=1.2.3.4"}, ERR_INVALID},
    {{"--log-level=loud"}, ERR_INVALID},
    {{"--database-connections=1"}, ERR_INVALID},
    {{"--database-url="}, ERR_INVALID},
    {{"--master-key-file="}, ERR_INVALID},
    {{"--no-such-option"}, ERR_INVALID},
};

static void an_address_beyond_loopback_needs_tls_or_the_word_insecure(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        struct settings s;
        enum err e = read_with(starts[i].arguments, &s);
        if (e != starts[i].err)
            print_error("%s\n", starts[i].arguments[0]);
        assert_int_equal(e, starts[i].err);
    }
}

int main(void)
{
    /* the environment of the test run must not change the result */
    clearenv();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_absent_follows_from_what_is_there),
        cmocka_unit_test(a_database_url_is_refused_as_an_argument),
        cmocka_unit_test(an_address_beyond_loopback_needs_tls_or_the_word_insecure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
