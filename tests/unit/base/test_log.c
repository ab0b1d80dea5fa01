/* log: one line each, always valid JSON, no way to forge a member. */
#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/limits.h"
#include "tests/unit/base/unit.h"

static int real_stderr, catcher;
static char caught[4 * LIMIT_LOG_LINE];

/* stderr goes to a file in memory from here … */
static void start_catching(void)
{
    real_stderr = dup(STDERR_FILENO);
    catcher = memfd_create("log", 0);
    assert_true(real_stderr >= 0 && catcher >= 0);
    assert_true(dup2(catcher, STDERR_FILENO) >= 0);
    log_setup("unit", LOG_INFO);
}

/* … to here; what was written, NUL-terminated */
static struct slice stop_catching(void)
{
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
    ssize_t len = pread(catcher, caught, sizeof(caught) - 1, 0);
    assert_true(len >= 0);
    caught[len] = '\0';
    close(catcher);
    return slice_of(caught, (size_t)len);
}

/* exactly one line, read as JSON by the strict reader (which refuses doubled members) */
static json_t *one_line(void)
{
    struct slice text = stop_catching();
    json_t *tree = NULL;
    struct json_problem problem;
    assert_true(text.len > 0 && slice_find(text, '\n') == (ptrdiff_t)text.len - 1);
    if (json_read(text, &tree, &problem))
        fail_msg("%s: %s", problem.text, caught);
    return tree;
}

UNIT(a_line_names_its_component_time_and_event)
{
    struct log_ctx ctx = {"pool", SLICE("req_1"), SLICE("s_2")};
    int64_t ts;
    start_catching();
    log_warn(&ctx, "upstream_slow", "ms=%u provider=%.*s share=%s", 17u, SLICE_ARG(SLICE("demo")),
             "0.5");
    JSON_AUTO json_t *line = one_line();
    expect_text(json_text(line, "level"), "warn");
    expect_text(json_text(line, "process"), "unit");
    expect_text(json_text(line, "component"), "pool");
    expect_text(json_text(line, "event"), "upstream_slow");
    expect_text(json_text(line, "request_id"), "req_1");
    expect_text(json_text(line, "session_id"), "s_2");
    expect_text(json_text(line, "provider"), "demo");
    expect_text(json_text(line, "share"), "0.5");
    assert_int_equal(json_integer_value(json_object_get(line, "ms")), 17);
    assert_int_equal(clock_parse(json_text(line, "ts"), &ts), ERR_OK);
    assert_true(ts > clock_wall_us() - 60000000 && ts <= clock_wall_us());
    assert_int_equal(json_object_size(line), 10);
}

UNIT(without_a_context_a_line_names_only_the_process)
{
    start_catching();
    log_info(NULL, "started", "");
    JSON_AUTO json_t *line = one_line();
    expect_text(json_text(line, "event"), "started");
    assert_int_equal(json_object_size(line), 4);
}

UNIT(a_value_cannot_forge_a_member)
{
    start_catching();
    log_info(NULL, "seen", "name=%s next=%d", "x level=error event=fake next=9 \x1F", 1);
    JSON_AUTO json_t *line = one_line();
    expect_text(json_text(line, "name"), "x level=error event=fake next=9 \x1F");
    expect_text(json_text(line, "level"), "info");
    expect_text(json_text(line, "event"), "seen");
    assert_int_equal(json_integer_value(json_object_get(line, "next")), 1);
}

UNIT(values_run_to_the_next_key_of_the_format)
{
    start_catching();
    log_info(NULL, "seen", "why=it was %s, so there count=%zu", "late", (size_t)3);
    JSON_AUTO json_t *line = one_line();
    expect_text(json_text(line, "why"), "it was late, so there");
    assert_int_equal(json_integer_value(json_object_get(line, "count")), 3);
}

UNIT(words_before_the_first_key_are_text)
{
    start_catching();
    log_info(NULL, "seen", "only words and %d numbers", 2);
    JSON_AUTO json_t *line = one_line();
    expect_text(json_text(line, "text"), "only words and 2 numbers");
}

UNIT(any_bytes_make_one_valid_line)
{
    char odd[256];
    for (int i = 0; i < 255; i++)
        odd[i] = (char)(i + 1);
    odd[255] = '\0';
    start_catching();
    log_info(NULL, "odd", "bytes=%s", odd);
    JSON_AUTO json_t *line = one_line();
    assert_true(json_text(line, "bytes").len > 255);
    assert_true(slice_starts(slice_from(json_text(line, "bytes"), 8), SLICE("\t\n\v\f\r")));
}

UNIT(a_line_ends_at_its_ceiling_and_says_so)
{
    static char large[3 * LIMIT_LOG_LINE];
    static const char *const fillers[] = {"x", "\x01", "\xE2\x82\xAC"};
    for (size_t f = 0; f < ARRAY_LEN(fillers); f++) {
        size_t step = strlen(fillers[f]);
        for (size_t i = 0; i + step < sizeof(large); i += step)
            memcpy(large + i, fillers[f], step);
        large[(sizeof(large) - 1) / step * step] = '\0';
        start_catching();
        log_info(NULL, "large", "a=%s b=%d", large, 1);
        JSON_AUTO json_t *line = one_line();
        assert_true(strlen(caught) <= LIMIT_LOG_LINE);
        assert_true(strlen(caught) > LIMIT_LOG_LINE - 64);
        assert_true(json_is_true(json_object_get(line, "truncated")));
        assert_true(json_text(line, "a").len > 1000);
    }
}

UNIT(every_length_around_the_ceiling_is_a_valid_line)
{
    static char text[LIMIT_LOG_LINE + 1];
    for (size_t len = LIMIT_LOG_LINE - 220; len < LIMIT_LOG_LINE; len++) {
        memset(text, 'x', len);
        text[len] = '\0';
        start_catching();
        log_info(NULL, "edge", "a=%s number=%d last=%s", text, 123456, "z");
        JSON_AUTO json_t *line = one_line();
        bool whole = json_text(line, "last").len == 1 && json_text(line, "a").len == len;
        assert_int_equal(whole, !json_is_true(json_object_get(line, "truncated")));
    }
}

UNIT(levels_below_the_chosen_one_are_not_written)
{
    start_catching();
    log_debug(NULL, "detail", "x=%d", 1);
    assert_int_equal(stop_catching().len, 0);
    start_catching();
    log_setup("unit", LOG_ERROR);
    log_warn(NULL, "hm", "");
    log_error(NULL, "broken", "");
    JSON_AUTO json_t *line = one_line();
    expect_text(json_text(line, "level"), "error");
}

UNIT(errno_is_left_alone)
{
    start_catching();
    errno = ENOENT;
    log_info(NULL, "seen", "x=%d", 1);
    assert_int_equal(errno, ENOENT);
    stop_catching();
}

UNIT(levels_have_names)
{
    enum log_level level;
    assert_int_equal(log_level_parse(SLICE("warn"), &level), ERR_OK);
    assert_int_equal(level, LOG_WARN);
    assert_int_equal(log_level_parse(SLICE("WARN"), &level), ERR_INVALID);
    assert_int_equal(log_level_parse(SLICE(""), &level), ERR_INVALID);
}

UNIT(on_a_terminal_the_line_is_for_people_and_cannot_steer_it)
{
    int master, slave;
    char text[512];
    struct log_ctx ctx = {"pool", SLICE("req_1"), SLICE_NONE};
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    real_stderr = dup(STDERR_FILENO);
    assert_true(dup2(slave, STDERR_FILENO) >= 0);
    log_setup("unit", LOG_INFO);
    log_warn(&ctx, "slow", "ms=%d peer=%s", 5, "\x1b[2J\xC2\x9Bx");
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
    ssize_t len = read(master, text, sizeof(text) - 1);
    assert_true(len > 0);
    text[len] = '\0';
    assert_non_null(strstr(text, " WARN  unit/pool slow ms=5 peer=\\u001b[2J\\u009bx "
                                 "request_id=req_1\r\n"));
    close(master);
    close(slave);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_its_component_time_and_event),
        cmocka_unit_test(without_a_context_a_line_names_only_the_process),
        cmocka_unit_test(a_value_cannot_forge_a_member),
        cmocka_unit_test(values_run_to_the_next_key_of_the_format),
        cmocka_unit_test(words_before_the_first_key_are_text),
        cmocka_unit_test(any_bytes_make_one_valid_line),
        cmocka_unit_test(a_line_ends_at_its_ceiling_and_says_so),
        cmocka_unit_test(every_length_around_the_ceiling_is_a_valid_line),
        cmocka_unit_test(levels_below_the_chosen_one_are_not_written),
        cmocka_unit_test(errno_is_left_alone),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(on_a_terminal_the_line_is_for_people_and_cannot_steer_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
