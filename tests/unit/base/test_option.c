/* option: the command line wins over the environment, the environment over the default. */
#include "common/base/option.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/base/unit.h"

struct settings {
    const char *home;
    uint64_t port_base;
    bool insecure;
    uint64_t unset;
};

static const struct option rows[] = {
    {"home", "UNIT_HOME", OPTION_TEXT, "/var/lib/unit", "", "where files live",
     offsetof(struct settings, home), 0, 0},
    {"port-base", "UNIT_PORT_BASE", OPTION_U64, "8700", "", "first port",
     offsetof(struct settings, port_base), 1024, 32767},
    {"insecure", "UNIT_INSECURE", OPTION_BOOL, NULL, "", "no TLS",
     offsetof(struct settings, insecure), 0, 0},
    {"unset", NULL, OPTION_U64, NULL, "ms", "a number without a default",
     offsetof(struct settings, unset), 5, 0},
};

static struct settings settings;
static bool help;
static char said[1024];

static enum err read_options(int argc, char **argv)
{
    /* complaints go to stderr, which is a file of ours meanwhile */
    FILE *file = tmpfile();
    int real = dup(STDERR_FILENO);
    fflush(stderr);
    assert_true(file && dup2(fileno(file), STDERR_FILENO) >= 0);
    memset(&settings, 0xAA, sizeof(settings));
    enum err e = option_read("unit", "a test", rows, ARRAY_LEN(rows), argc, argv, &settings, &help);
    fflush(stderr);
    assert_true(dup2(real, STDERR_FILENO) >= 0);
    close(real);
    rewind(file);
    said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
    fclose(file);
    return e;
}

#define READ(...)                                                                                  \
    ({                                                                                             \
        char *argv_[] = {"unit", __VA_ARGS__};                                                     \
        read_options((int)ARRAY_LEN(argv_), argv_);                                                \
    })

static int forget_environment(void **state UNUSED)
{
    unsetenv("UNIT_HOME");
    unsetenv("UNIT_PORT_BASE");
    unsetenv("UNIT_INSECURE");
    return 0;
}

UNIT(defaults_hold_where_nothing_else_is_set)
{
    char *argv[] = {"unit"};
    assert_int_equal(read_options(1, argv), ERR_OK);
    assert_string_equal(settings.home, "/var/lib/unit");
    assert_int_equal(settings.port_base, 8700);
    assert_false(settings.insecure);
    assert_int_equal(settings.unset, 0);
    assert_false(help);
}

UNIT(the_environment_wins_over_defaults_and_the_command_line_over_both)
{
    setenv("UNIT_HOME", "/from/env", 1);
    setenv("UNIT_PORT_BASE", "9000", 1);
    setenv("UNIT_INSECURE", "true", 1);
    assert_int_equal(READ("--port-base", "9100"), ERR_OK);
    assert_string_equal(settings.home, "/from/env");
    assert_int_equal(settings.port_base, 9100);
    assert_true(settings.insecure);
    assert_int_equal(READ("--insecure=false", "--home="), ERR_OK);
    assert_false(settings.insecure);
    assert_string_equal(settings.home, "");
    setenv("UNIT_HOME", "", 1);
    assert_int_equal(READ("--insecure"), ERR_OK);
    assert_true(settings.insecure);
    assert_string_equal(settings.home, "/var/lib/unit");
}

UNIT(a_complaint_names_the_option)
{
    static char *const bad[][2] = {
        {"--port-base=x", "--port-base wants a whole number"},
        {"--port-base=80", "--port-base must lie between 1024 and 32767"},
        {"--port-base=32768", "--port-base must lie between"},
        {"--unset=4", "--unset must lie between 5 and"},
        {"--port-base", "--port-base wants a value"},
        {"--insecure=maybe", "--insecure wants true or false"},
        {"--colour=red", "--colour is not an option"},
        {"--", "-- is not an option"},
        {"-x", "did not expect \"-x\""},
        {"word", "did not expect \"word\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(READ(bad[i][0]), ERR_INVALID);
        if (!strstr(said, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], said);
    }
    setenv("UNIT_PORT_BASE", "many", 1);
    char *argv[] = {"unit"};
    assert_int_equal(read_options(1, argv), ERR_INVALID);
    assert_non_null(strstr(said, "UNIT_PORT_BASE"));
}

UNIT(help_shows_every_row_with_its_default_and_variable)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    option_help(out, "unit", "a test", rows, ARRAY_LEN(rows));
    fclose(out);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_non_null(strstr(text, rows[i].name));
        assert_non_null(strstr(text, rows[i].help));
    }
    assert_non_null(strstr(text, "first port, 1024 to 32767 (default 8700) [UNIT_PORT_BASE]"));
    assert_non_null(strstr(text, "without a default, in ms, from 5\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_hold_where_nothing_else_is_set, forget_environment),
        cmocka_unit_test_setup(the_environment_wins_over_defaults_and_the_command_line_over_both,
                               forget_environment),
        cmocka_unit_test_setup(a_complaint_names_the_option, forget_environment),
        cmocka_unit_test_setup(help_shows_every_row_with_its_default_and_variable,
                               forget_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
