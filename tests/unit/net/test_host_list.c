/* host_list — what an operator may write, and which hosts pass. */
#include "common/net/host_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void names_and_addresses_are_read_with_blanks_between(void **state)
{
    struct host_list l;
    (void)state;
    assert_int_equal(host_list_read(SLICE("mcp.example.com , 10.0.0.7,::1"), &l), ERR_OK);
    assert_int_equal(l.count, 3);
    assert_true(host_list_has(&l, SLICE("MCP.Example.com")));
    assert_true(host_list_has(&l, SLICE("10.0.0.7")));
    assert_true(host_list_has(&l, SLICE("::1")));
    assert_false(host_list_has(&l, SLICE("example.com")));
    assert_false(host_list_has(&l, SLICE("evil.mcp.example.com")));
    assert_false(host_list_has(&l, SLICE("")));
}

static void an_empty_text_is_an_empty_list(void **state)
{
    struct host_list l;
    (void)state;
    assert_int_equal(host_list_read(SLICE(""), &l), ERR_OK);
    assert_int_equal(l.count, 0);
}

static void what_is_no_name_is_refused(void **state)
{
    static const char *const rows[] = {
        "a.example:443", "https://a.example", "*", "a b", "a,,b", "[::1]", "a/b", "ä"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct host_list l;
        if (host_list_read(slice_str(rows[i]), &l) != ERR_INVALID)
            fail_msg("%s was taken", rows[i]);
    }
}

static void more_than_the_ceiling_is_refused(void **state)
{
    char text[4 * (LIMIT_ALLOWED_HOSTS + 1)];
    struct host_list l;
    size_t len = 0;
    (void)state;
    for (int i = 0; i < LIMIT_ALLOWED_HOSTS; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%sa%d", i ? "," : "", i);
    assert_int_equal(host_list_read(slice_of(text, len), &l), ERR_OK);
    len += (size_t)snprintf(text + len, sizeof(text) - len, ",b");
    assert_int_equal(host_list_read(slice_of(text, len), &l), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_addresses_are_read_with_blanks_between),
        cmocka_unit_test(an_empty_text_is_an_empty_list),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(more_than_the_ceiling_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
