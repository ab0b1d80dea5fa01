/* listing — a page of tools is read whole or not at all, and no entry of it is trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "mcp-gateway/listing.h"

static const struct tool_order order = {.server_id = "mcp_1", .org_id = "org_1", .name = "s"};

static enum err add_page(struct tool_list *l, const char *result, struct slice *cursor)
{
    static char text[256 * 1024];
    struct mcp_response a;
    snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":%s}", result);
    assert_int_equal(mcp_response_read(slice_str(text), &a), ERR_OK);
    return mcp_listing_page(&a, l, cursor);
}

static struct tool_list *begin(void)
{
    struct tool_list *l = tool_list_new(&order);
    assert_non_null(l);
    return l;
}

static void tools_are_taken_as_they_stand_and_the_cursor_with_its_quotes(void **state)
{
    (void)state;
    struct tool_list *l = begin();
    struct slice cursor;
    assert_int_equal(
        add_page(l,
                 "{\"tools\":[{\"name\":\"echo\",\"x\":1.50},{\"name\":\"s\\u0075m\"}],"
                 "\"nextCursor\":\"a\\\"b\"}",
                 &cursor),
        ERR_OK);
    assert_true(slice_eq(cursor, SLICE("\"a\\\"b\"")));
    assert_int_equal(add_page(l, "{\"tools\":[{\"name\":\"more\"}],\"nextCursor\":null}", &cursor),
                     ERR_OK);
    assert_null(cursor.ptr);
    assert_int_equal(l->count, 3);
    assert_true(slice_eq(l->tools[0].name, SLICE("echo")));
    assert_true(slice_eq(l->tools[0].definition, SLICE("{\"name\":\"echo\",\"x\":1.50}")));
    assert_true(slice_eq(l->tools[1].name, SLICE("sum")));
    assert_int_equal(l->left_out, 0);
    tool_list_free(l);
}

static void an_empty_cursor_is_a_cursor(void **state)
{
    (void)state;
    struct tool_list *l = begin();
    struct slice cursor;
    assert_int_equal(add_page(l, "{\"tools\":[],\"nextCursor\":\"\"}", &cursor), ERR_OK);
    assert_true(slice_eq(cursor, SLICE("\"\"")));
    tool_list_free(l);
}

static void what_is_no_list_fails_as_a_whole(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{}",
        "{\"tools\":{}}",
        "{\"tools\":null}",
        "{\"tools\":\"echo\"}",
        "{\"tools\":[{\"name\":\"echo\"}],\"nextCursor\":5}",
        "{\"tools\":[],\"nextCursor\":{}}",
        "[]",
        "null",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tool_list *l = begin();
        struct slice cursor;
        assert_int_equal(add_page(l, rows[i], &cursor), ERR_PROTOCOL);
        tool_list_free(l);
    }
}

static void entries_that_no_grant_could_spell_are_left_out_and_counted(void **state)
{
    (void)state;
    struct tool_list *l = begin();
    struct slice cursor;
    assert_int_equal(
        add_page(l,
                 "{\"tools\":[5,null,\"echo\",[],{},{\"name\":5},{\"name\":\"\"},"
                 "{\"name\":\"a b\"},{\"name\":\"s\xC3\xBCm\"},{\"name\":\"x\\u0000\"},"
                 "{\"name\":\"e\",\"Name\":\"f\"},{\"name\":\"good\"}]}",
                 &cursor),
        ERR_OK);
    assert_int_equal(l->count, 1);
    assert_int_equal(l->left_out, 11);
    assert_true(slice_eq(l->tools[0].name, SLICE("good")));
    tool_list_free(l);
}

static void a_name_that_stands_twice_is_one_tool_or_none(void **state)
{
    (void)state;
    struct tool_list *l = begin();
    struct slice cursor;
    assert_int_equal(add_page(l,
                              "{\"tools\":[{\"name\":\"a\",\"description\":\"x\"},"
                              "{\"description\":\"x\",\"name\":\"a\"},{\"name\":\"b\"},"
                              "{\"name\":\"b\",\"description\":\"evil\"},{\"name\":\"b\"}]}",
                              &cursor),
                     ERR_OK);
    assert_int_equal(l->count, 2);
    assert_false(l->tools[0].left_out);
    assert_true(l->tools[1].left_out);
    assert_int_equal(l->left_out, 1);
    tool_list_free(l);
}

static struct digest digest_of(const char *definition)
{
    struct tool_list *l = begin();
    assert_int_equal(tool_list_add(l, SLICE("t"), slice_str(definition)), ERR_OK);
    struct digest d = l->tools[0].digest;
    tool_list_free(l);
    return d;
}

static bool same(const char *a, const char *b)
{
    struct digest x = digest_of(a), y = digest_of(b);
    return memcmp(&x, &y, sizeof(x)) == 0;
}

static void the_digest_is_of_what_is_said_and_not_of_how_it_is_written(void **state)
{
    (void)state;
    assert_true(same("{\"name\":\"t\",\"inputSchema\":{\"a\":1,\"b\":[1,2]}}",
                     "{ \"inputSchema\": {\"b\":[1, 2], \"a\":1}, \"name\":\"\\u0074\" }"));
    assert_false(same("{\"name\":\"t\",\"annotations\":{\"readOnlyHint\":true}}",
                      "{\"name\":\"t\",\"annotations\":{\"readOnlyHint\":false}}"));
    assert_false(same("{\"name\":\"t\",\"inputSchema\":{\"b\":[1,2]}}",
                      "{\"name\":\"t\",\"inputSchema\":{\"b\":[2,1]}}"));
    assert_false(same("{\"name\":\"t\",\"_meta\":{\"x\":1}}", "{\"name\":\"t\"}"));
    /* beyond what the tree holds: as it stands */
    assert_true(same("{\"m\":99999999999999999999}", "{\"m\":99999999999999999999}"));
    assert_false(same("{\"m\":99999999999999999999}", "{\"m\":99999999999999999998}"));
}

static void ceilings_end_a_list(void **state)
{
    (void)state;
    struct tool_list *l = begin();
    char name[32];
    for (size_t i = 0; i < LIMIT_LIST_TOOLS; i++) {
        snprintf(name, sizeof(name), "tool-%zu", i);
        assert_int_equal(tool_list_add(l, slice_str(name), SLICE("{}")), ERR_OK);
    }
    assert_int_equal(tool_list_add(l, SLICE("tool-7"), SLICE("{}")), ERR_OK);
    assert_int_equal(tool_list_add(l, SLICE("one-more"), SLICE("{}")), ERR_TOO_BIG);
    tool_list_free(l);

    l = begin();
    static char large[LIMIT_LIST_DEFINITION + 64];
    memset(large, 'x', sizeof(large) - 1);
    memcpy(large, "{\"d\":\"", 6);
    memcpy(large + sizeof(large) - 3, "\"}", 2);
    assert_int_equal(tool_list_add(l, SLICE("large"), slice_str(large)), ERR_OK);
    assert_null(l->tools[0].definition.ptr);
    enum err e = ERR_OK;
    size_t n = 0;
    for (; e == ERR_OK && n < 1000; n++)
        e = tool_list_add(l, SLICE("large"), slice_str(large));
    assert_int_equal(e, ERR_TOO_BIG);
    assert_in_range(n * sizeof(large), LIMIT_LIST_BYTES - 2 * sizeof(large),
                    LIMIT_LIST_BYTES + sizeof(large));
    tool_list_free(l);
}

static void the_first_error_stands_and_no_tool_is_left(void **state)
{
    (void)state;
    struct tool_list *l = begin();
    assert_int_equal(tool_list_add(l, SLICE("a"), SLICE("{}")), ERR_OK);
    tool_list_fail(l, "tools/list: it answered with status %d", 500);
    tool_list_fail(l, "something later");
    assert_int_equal(l->count, 0);
    assert_string_equal(l->error, "tools/list: it answered with status 500");
    tool_list_free(l);
}

static enum err list_all(void)
{
    struct slice cursor;
    struct tool_list *l = tool_list_new(&order);
    if (!l)
        return ERR_NOMEM;
    struct mcp_response a;
    static const char text[] = "{\"id\":1,\"result\":{\"tools\":[{\"name\":\"a\"},{\"name\":\"b\"},"
                               "{\"name\":\"a\",\"x\":{\"y\":[1]}}]}}";
    enum err e = mcp_response_read(slice_str(text), &a);
    if (!e)
        e = mcp_listing_page(&a, l, &cursor);
    tool_list_free(l);
    return e;
}

/* A tree that could not be made only changes what the digest is of. */
static void without_memory_there_is_an_error_and_nothing_left(void **state)
{
    (void)state;
    ptrdiff_t before = mem_alive();
    bool ended = false;
    for (size_t n = 1; n < 200 && !ended; n++) {
        mem_fail_after(n);
        enum err e = list_all();
        ended = !mem_failed();
        mem_fail_after(0);
        assert_true(e == ERR_OK || e == ERR_NOMEM);
        assert_int_equal(mem_alive(), before);
    }
    assert_true(ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tools_are_taken_as_they_stand_and_the_cursor_with_its_quotes),
        cmocka_unit_test(an_empty_cursor_is_a_cursor),
        cmocka_unit_test(what_is_no_list_fails_as_a_whole),
        cmocka_unit_test(entries_that_no_grant_could_spell_are_left_out_and_counted),
        cmocka_unit_test(a_name_that_stands_twice_is_one_tool_or_none),
        cmocka_unit_test(the_digest_is_of_what_is_said_and_not_of_how_it_is_written),
        cmocka_unit_test(ceilings_end_a_list),
        cmocka_unit_test(the_first_error_stands_and_no_tool_is_left),
        cmocka_unit_test(without_memory_there_is_an_error_and_nothing_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
