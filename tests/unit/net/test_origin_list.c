/* origin_list — what is an origin, and which ones a list lets through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/net/origin_list.h"

static void only_origins_are_read(void **state)
{
    static const struct {
        const char *text;
        enum err e;
        size_t count;
    } rows[] = {
        {"", ERR_OK, 0},
        {"https://app.example.com", ERR_OK, 1},
        {" https://a.example , http://localhost:3000,", ERR_OK, 2},
        {"*", ERR_OK, 0},
        {"app.example.com", ERR_INVALID, 0},
        {"https://", ERR_INVALID, 0},
        {"https://a.example/", ERR_INVALID, 0},
        {"https://*.example", ERR_INVALID, 0},
        {"httpx://a.example", ERR_INVALID, 0},
        {"ftp://a.example", ERR_INVALID, 0},
        {"https://a b", ERR_INVALID, 0},
        {"https://u@a", ERR_INVALID, 0},
        {"null", ERR_INVALID, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct origin_list l = {.count = 0};
        if (origin_list_read(slice_str(rows[i].text), &l) != rows[i].e || l.count != rows[i].count)
            fail_msg("\"%s\"", rows[i].text);
    }
}

static void a_list_has_what_it_names(void **state)
{
    struct origin_list l, all;
    (void)state;
    assert_int_equal(origin_list_read(SLICE("https://a.example, http://b:3000"), &l), ERR_OK);
    assert_true(origin_list_has(&l, SLICE("https://A.example")));
    assert_true(origin_list_has(&l, SLICE("http://b:3000")));
    assert_false(origin_list_has(&l, SLICE("http://a.example")));
    assert_false(origin_list_has(&l, SLICE("http://b")));
    assert_false(origin_list_has(&l, SLICE("null")));
    assert_false(origin_list_has(NULL, SLICE("https://a.example")));
    assert_int_equal(origin_list_read(SLICE("*"), &all), ERR_OK);
    assert_true(origin_list_has(&all, SLICE("https://any.example")));
    assert_false(origin_list_has(&all, SLICE("null")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_origins_are_read),
        cmocka_unit_test(a_list_has_what_it_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
