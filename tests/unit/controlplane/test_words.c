/*
 * words — what comes in the small: entity tags, cursors, percent-encoding, routes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/api/admin_routes.h"
#include "controlplane/api/cursor.h"
#include "controlplane/api/etag.h"
#include "controlplane/api/openapi.h"
#include "controlplane/api/percent.h"

static const struct {
    const char *if_match; /* NULL: not sent */
    bool matches;         /* revision 7 */
} tags[] = {
    {NULL, true},           {"*", true},        {"\"7\"", true},    {" \"7\" ", true},
    {"\"1\", \"7\"", true}, {"\"1\"", false},   {"W/\"7\"", false}, {"7", false},
    {"\"\"", false},        {"\"07x\"", false}, {"", false},        {"\"77\"", false},
};

static void an_entity_tag_matches_its_revision_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        assert_true(etag_matches(slice_str(tags[i].if_match), 7) == tags[i].matches);
}

static void a_cursor_comes_back_and_nothing_else_is_one(void **state)
{
    (void)state;
    char text[CURSOR_TEXT_MAX], id[ID_MAX];
    int64_t us = 0;
    struct slice c = cursor_format(INT64_C(1763832435123456), "k_0123456789abcdefghijkl", text);
    assert_int_equal(cursor_parse(c, &us, id), ERR_OK);
    assert_true(us == INT64_C(1763832435123456));
    assert_string_equal(id, "k_0123456789abcdefghijkl");
    static const char *const wrong[] = {"", "x", "zzzz", "MTIz", "MTIzLg", "LmE", "!", "MTIzLmE="};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_not_equal(cursor_parse(slice_str(wrong[i]), &us, id), ERR_OK);
}

static const struct {
    const char *text;
    bool plus;
    const char *decoded; /* NULL: refused */
} percents[] = {
    {"plain", false, "plain"},     {"a%20b", false, "a b"},     {"a%2Fb", false, "a/b"},
    {"a%2fb", false, "a/b"},       {"a+b", false, "a+b"},       {"a+b", true, "a b"},
    {"%C3%BC", false, "\xc3\xbc"}, {"%", false, NULL},          {"%2", false, NULL},
    {"%zz", false, NULL},          {"%00", false, NULL},        {"%0A", false, NULL},
    {"%7F", false, NULL},          {"%FF", false, NULL},        {"%C3", false, NULL},
    {"%ED%A0%80", false, NULL},    {"%25%30%30", false, "%00"},
};

static void percent_encoding_is_decoded_once_and_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
        struct buf out;
        struct slice got = SLICE_NONE;
        buf_init(&out, 64);
        enum err e = percent_decode(slice_str(percents[i].text), percents[i].plus, &out, &got);
        if (percents[i].decoded == NULL) {
            assert_int_equal(e, ERR_INVALID);
        } else {
            assert_int_equal(e, ERR_OK);
            assert_true(slice_eq(got, slice_str(percents[i].decoded)));
        }
        buf_fini(&out);
    }
}

static const struct {
    const char *method, *path;
    const char *found; /* the row's path; NULL: none */
    const char *allow; /* NULL: no such path at all */
} asks[] = {
    {"GET", "/healthz", "/healthz", ""},
    {"HEAD", "/healthz", "/healthz", ""},
    {"POST", "/healthz", NULL, "GET, HEAD"},
    {"get", "/healthz", NULL, "GET, HEAD"},
    {"GET", "/healthz/", NULL, NULL},
    {"GET", "//healthz", NULL, NULL},
    {"GET", "/admin/v1/keys", "/admin/v1/keys", ""},
    {"GET", "/admin/v1/keys/k_1", "/admin/v1/keys/{id}", ""},
    {"POST", "/admin/v1/keys/k_1/revoke", "/admin/v1/keys/{id}/revoke", ""},
    {"GET", "/admin/v1/keys/k_1/revoke", NULL, "POST"},
    {"GET", "/admin/v1/keys//revoke", NULL, NULL},
    {"GET", "/admin/v1/keys/", NULL, NULL},
    {"GET", "/admin/v1/keys/a/b/c", NULL, NULL},
    {"GET", "/admin/v1/audit/verify", "/admin/v1/audit/verify", ""},
    {"DELETE", "/admin/v1/orgs/o", NULL, "GET, HEAD, PUT, PATCH"},
    {"GET", "", NULL, NULL},
    {"GET", "/", NULL, NULL},
    {"OPTIONS", "*", NULL, NULL},
};

static void a_route_is_found_by_method_and_path_or_says_what_is_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        struct call c = {.method = slice_str(asks[i].method), .path = slice_str(asks[i].path)};
        struct buf allow;
        buf_init(&allow, 256);
        const struct route *r = routes_find(&c, &allow);
        if (asks[i].found == NULL)
            assert_null(r);
        else
            assert_string_equal(r->path, asks[i].found);
        if (r == NULL)
            assert_true(slice_eq(buf_slice(&allow),
                                 asks[i].allow != NULL ? slice_str(asks[i].allow) : SLICE("")));
        buf_fini(&allow);
    }
}

static void route_parameters_are_lent_from_the_path(void **state)
{
    (void)state;
    struct call c = {.method = SLICE("POST"), .path = SLICE("/admin/v1/keys/a%20b/revoke")};
    struct buf allow;
    buf_init(&allow, 256);
    assert_non_null(routes_find(&c, &allow));
    assert_true(slice_eq(c.params[0], SLICE("a%20b")));
    buf_fini(&allow);
}

static void every_route_is_unique_and_names_its_roles(void **state)
{
    (void)state;
    size_t count = 0;
    const struct route *all = routes_all(&count);
    assert_true(count > 50);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(all[i].help);
        assert_true(all[i].roles != 0 || (all[i].flags & ROUTE_PUBLIC) != 0);
        for (size_t k = 0; k < i; k++)
            assert_false(strcmp(all[i].path, all[k].path) == 0 &&
                         strcmp(all[i].method, all[k].method) == 0);
    }
}

static void the_document_has_every_route(void **state)
{
    (void)state;
    size_t count = 0, found = 0;
    const struct route *all = routes_all(&count);
    json_t *document = openapi_document(all, count);
    assert_non_null(document);
    for (size_t i = 0; i < count; i++)
        assert_non_null(json_object_get(json_object_get(document, "paths"), all[i].path));
    const char *path;
    json_t *operations;
    json_object_foreach(json_object_get(document, "paths"), path, operations) found +=
        json_object_size(operations);
    assert_int_equal(found, count);
    json_decref(document);
}

static int make_table(void **state)
{
    (void)state;
    routes_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entity_tag_matches_its_revision_only),
        cmocka_unit_test(a_cursor_comes_back_and_nothing_else_is_one),
        cmocka_unit_test(percent_encoding_is_decoded_once_and_strictly),
        cmocka_unit_test(a_route_is_found_by_method_and_path_or_says_what_is_allowed),
        cmocka_unit_test(route_parameters_are_lent_from_the_path),
        cmocka_unit_test(every_route_is_unique_and_names_its_roles),
        cmocka_unit_test(the_document_has_every_route),
    };
    return cmocka_run_group_tests(tests, make_table, NULL);
}
