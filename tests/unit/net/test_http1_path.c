/* Paths: one spelling for each, or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/kit/net/heads.h"

struct path_row {
    const char *target;
    const char *path; /* NULL: refused */
    const char *query;
};

static const struct path_row paths[] = {
    {"/", "/", ""},
    {"/v1/chat/completions", "/v1/chat/completions", ""},
    {"/v1/models/a:generateContent?alt=sse&x=%2F", "/v1/models/a:generateContent", "alt=sse&x=%2F"},
    {"/a/", "/a/", ""},
    {"/a?", "/a", ""},
    {"/a??b", "/a", "?b"},
    {"/%41%7e%2D%5f", "/A~-_", ""},
    {"/%c3%a9", "/%C3%A9", ""},
    {"/a%20b", "/a%20b", ""},
    {"/a%25b", "/a%25b", ""},
    {"/a%3fb", "/a%3Fb", ""},
    {"/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b", ""},
    {"/{a}|\"<>^`", "/%7Ba%7D%7C%22%3C%3E%5E%60", ""},
    {"/...", "/...", ""},
    {"/.a", "/.a", ""},
    {"/a..", "/a..", ""},
    {"", NULL, NULL},
    {"a", NULL, NULL},
    {"*", NULL, NULL},
    {"http://x/", NULL, NULL},
    {"//", NULL, NULL},
    {"//a", NULL, NULL},
    {"/a//b", NULL, NULL},
    {"/.", NULL, NULL},
    {"/..", NULL, NULL},
    {"/a/./b", NULL, NULL},
    {"/a/../b", NULL, NULL},
    {"/a/..", NULL, NULL},
    {"/a/../", NULL, NULL},
    {"/%2e", NULL, NULL},
    {"/%2E%2e/b", NULL, NULL},
    {"/.%2e/b", NULL, NULL},
    {"/a%2fb", NULL, NULL},
    {"/a%2Fb", NULL, NULL},
    {"/a%5cb", NULL, NULL},
    {"/a\\b", NULL, NULL},
    {"/a%00", NULL, NULL},
    {"/a%0a", NULL, NULL},
    {"/a%7f", NULL, NULL},
    {"/a;b", NULL, NULL},
    {"/a%3bb", NULL, NULL},
    {"/a%", NULL, NULL},
    {"/a%4", NULL, NULL},
    {"/a%4?1", NULL, NULL},
    {"/a%4g", NULL, NULL},
    {"/a%g4", NULL, NULL},
    {"/a%u0041", NULL, NULL},
    {"/%c0%af", NULL, NULL},
    {"/%c1%81", NULL, NULL},
    {"/%e0%80%af", NULL, NULL},
    {"/%f0%80%80%af", NULL, NULL},
    {"/%ff", NULL, NULL},
    {"/a#b", NULL, NULL},
    {"/a b", NULL, NULL},
    {"/a?b c", NULL, NULL},
    {"/a\x01", NULL, NULL},
    {"/\xc3\xa9", NULL, NULL},
};

static void each_path_has_one_spelling_or_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const struct path_row *r = &paths[i];
        struct buf out;
        struct slice query = SLICE_NONE;
        buf_init(&out, 4096);
        kit_fill(&out, "=", 1);
        enum err e = http1_path(slice_str(r->target), &out, &query);
        if (e != (r->path ? ERR_OK : ERR_INVALID))
            fail_msg("%s: %s", r->target, err_name(e));
        struct slice got = slice_from(buf_slice(&out), 1);
        if (!slice_eq(got, slice_str(r->path ? r->path : "")))
            fail_msg("%s became %.*s", r->target, SLICE_ARG(got));
        if (r->path)
            assert_true(slice_eq(query, slice_str(r->query)));
        buf_fini(&out);
    }
}

static void a_canonical_path_is_its_own_canonical_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct buf once, twice;
        struct slice query;
        if (!paths[i].path)
            continue;
        buf_init(&once, 4096);
        buf_init(&twice, 4096);
        assert_int_equal(http1_path(slice_str(paths[i].target), &once, &query), ERR_OK);
        assert_int_equal(http1_path(buf_slice(&once), &twice, &query), ERR_OK);
        assert_true(slice_eq(buf_slice(&once), buf_slice(&twice)));
        buf_fini(&once);
        buf_fini(&twice);
    }
}

static void a_path_that_is_taken_as_it_stands_still_has_no_dots(void **state)
{
    (void)state;
    static const char *const taken[] = {
        "/a%2fb", "/a%2Fb%5c", "/a//b",  "//",          "/a;v=1/b", "/a%3b",   "/...",
        "/.a;b",  "/a..%2f",   "/a.%2f", "/%252e%252e", "/a{b}",    "/%c3%a9",
    };
    static const char *const refused[] = {
        "",         "a",           "/..",    "/a/../b", "/a%2f..%2fb", "/a%2F.", "/%2e%2E/b",
        "/.%2e;/b", "/a%5c..%5cb", "/a\\..", "/a//./b", "/a;/..;x/b",  "/a%00",  "/a%0a",
        "/a%7f",    "/a%c0%af..",  "/a%4",   "/a%zz",   "/a#b",        "/a b",
    };
    struct slice path, query;
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        if (http1_path_opaque(slice_str(taken[i]), &path, &query))
            fail_msg("%s was refused", taken[i]);
        assert_true(slice_eq(path, slice_str(taken[i])));
        assert_int_equal(query.len, 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (http1_path_opaque(slice_str(refused[i]), &path, &query) != ERR_INVALID)
            fail_msg("%s was taken", refused[i]);
    assert_int_equal(http1_path_opaque(SLICE("/a%2fb?c=/../"), &path, &query), ERR_OK);
    assert_true(slice_eq(path, SLICE("/a%2fb")));
    assert_true(slice_eq(query, SLICE("c=/../")));
}

static void a_path_that_does_not_fit_leaves_nothing_behind(void **state)
{
    (void)state;
    struct buf out;
    struct slice query;
    buf_init(&out, 8);
    assert_int_equal(http1_path(SLICE("/0123456789"), &out, &query), ERR_TOO_BIG);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
    mem_fail_after(1);
    assert_int_equal(http1_path(SLICE("/0"), &out, &query), ERR_NOMEM);
    mem_fail_after(0);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_has_one_spelling_or_none),
        cmocka_unit_test(a_canonical_path_is_its_own_canonical_form),
        cmocka_unit_test(a_path_that_is_taken_as_it_stands_still_has_no_dots),
        cmocka_unit_test(a_path_that_does_not_fit_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
