/* mcp_response — an upstream's message changes only where it must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "mcp-gateway/mcp_response.h"

static struct mcp_response read_text(const char *text)
{
    struct mcp_response a;
    assert_int_equal(mcp_response_read(slice_str(text), &a), ERR_OK);
    return a;
}

static void kinds_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\"id\":1,\"result\":null}").kind, MCP_RESPONSE_RESULT);
    assert_int_equal(read_text("{\"id\":1,\"error\":{\"code\":-1}}").kind, MCP_RESPONSE_ERROR);
    assert_int_equal(read_text("{\"id\":\"s\",\"method\":\"roots/list\"}").kind,
                     MCP_RESPONSE_REQUEST);
    assert_int_equal(read_text("{\"method\":\"notifications/progress\"}").kind, MCP_RESPONSE_NOTE);
}

static void what_has_two_readings_has_none(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "[]",
        "{}",
        "{\"id\":1}",
        "{\"id\":1,\"result\":{},\"error\":{}}",
        "{\"id\":1,\"method\":\"x\",\"result\":{}}",
        "{\"id\":1,\"error\":\"text\"}",
        "{\"id\":1,\"id\":2,\"result\":{}}",
        "{\"id\":1,\"result\":{\"tools\":[]},\"Result\":{}}",
        "{\"id\":1,\"result\":{\"tools\":[],\"tools\":[{}]}}",
        "{\"id\":1,\"result\":{\"tools\":[],\"TOOLS\":[{}]}}",
        "{\"id\":1,\"result\":{}} {}",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mcp_response a;
        assert_int_equal(mcp_response_read(slice_str(rows[i]), &a), ERR_INVALID);
    }
}

static void a_response_belongs_to_the_number_it_names(void **state)
{
    (void)state;
    struct mcp_response a = read_text("{\"id\":12,\"result\":{}}");
    assert_true(mcp_response_is_to(&a, 12));
    assert_false(mcp_response_is_to(&a, 1));
    a = read_text("{\"id\":\"12\",\"result\":{}}"); /* some servers make strings of numbers */
    assert_true(mcp_response_is_to(&a, 12));
    a = read_text("{\"id\":\"12 \",\"result\":{}}");
    assert_false(mcp_response_is_to(&a, 12));
    a = read_text("{\"id\":12,\"method\":\"x\"}");
    assert_false(mcp_response_is_to(&a, 12));
}

static void edits_come_in_any_order_and_leave_the_rest(void **state)
{
    (void)state;
    struct buf out;
    struct mcp_response a = read_text("{ \"result\" : {\"tools\":[1]} , \"x\":1.0e5, \"id\" : 4 }");
    struct mcp_edit edits[] = {
        {a.id.raw, SLICE("\"mine\"")}, {SLICE_NONE, SLICE("nothing")}, {a.tools.raw, SLICE("[]")}};
    buf_init(&out, 4096);
    assert_int_equal(mcp_edit(a.text, edits, ARRAY_LEN(edits), &out), ERR_OK);
    assert_true(
        slice_eq(buf_slice(&out),
                 SLICE("{ \"result\" : {\"tools\":[]} , \"x\":1.0e5, \"id\" : \"mine\" }")));
    buf_fini(&out);
}

static bool may_even(void *arg, struct slice tool)
{
    *(size_t *)arg += 1;
    return slice_eq(tool, SLICE("echo")) || slice_eq(tool, SLICE("s\xC3\xBCm"));
}

static void a_list_is_cut_and_its_items_stay_as_they_stand(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"[]", "[]"},
        {"[ {\"name\":\"echo\", \"x-new\": {\"a\" : [1.0, 2e3]} } , {\"name\":\"no\"} ]",
         "[{\"name\":\"echo\", \"x-new\": {\"a\" : [1.0, 2e3]} }]"},
        {"[{\"name\":\"no\"},{\"name\":\"e\\u0063ho\"},{\"name\":\"s\xC3\xBCm\"}]",
         "[{\"name\":\"e\\u0063ho\"},{\"name\":\"s\xC3\xBCm\"}]"},
        {"[{\"name\":\"Echo\"},{\"name\":\"echo \"},{\"name\":\"\"}]", "[]"},
        {"[{\"name\":\"echo\",\"name\":\"no\"},{\"name\":\"echo\",\"Name\":\"no\"}]", "[]"},
        {"[{\"name\":\"echo\",\"a\":1},{\"name\":\"no\"},{\"name\":\"e\\u0063ho\",\"a\":2}]",
         "[{\"name\":\"echo\",\"a\":1}]"},
        {"[\"echo\",5,null,[{\"name\":\"echo\"}],{\"title\":\"echo\"},{\"name\":[\"echo\"]}]",
         "[]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;
        size_t asked = 0;
        buf_init(&out, 4096);
        assert_int_equal(mcp_filter_items(slice_str(rows[i].in), "name", may_even, &asked, &out),
                         ERR_OK);
        assert_true(slice_eq(buf_slice(&out), slice_str(rows[i].out)));
        buf_fini(&out);
    }
}

static void a_list_above_the_ceiling_is_an_error_and_not_a_shorter_list(void **state)
{
    (void)state;
    struct buf out;
    size_t asked = 0;
    buf_init(&out, 20);
    assert_int_equal(mcp_filter_items(SLICE("[{\"name\":\"echo\"},{\"name\":\"s\xC3\xBCm\"}]"),
                                      "name", may_even, &asked, &out),
                     ERR_TOO_BIG);
    buf_fini(&out);
}

static void capabilities_are_narrowed_to_what_is_granted(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out, *whole;
    } rows[] = {
        {"{\"id\":1,\"result\":{\"capabilities\":{\"prompts\":{},\"logging\":{},\"tools\":{"
         "\"listChanged\":true},\"resources\":{},\"experimental\":{\"x\":{}}}}}",
         "{\"tools\":{\"listChanged\":true},\"logging\":{},\"experimental\":{\"x\":{}}}",
         "{\"prompts\":{},\"logging\":{},\"tools\":{\"listChanged\":true},\"resources\":{},"
         "\"experimental\":{\"x\":{}}}"},
        {"{\"id\":1,\"result\":{\"capabilities\":{\"tools\":{ },\"extensions\":{\"a/b\":{}}}}}",
         "{\"tools\":{\"listChanged\":true},\"extensions\":{\"a/b\":{}}}",
         "{\"tools\":{\"listChanged\":true},\"extensions\":{\"a/b\":{}}}"},
        {"{\"id\":1,\"result\":{\"capabilities\":{\"tools\":{\"listChanged\":false,\"x\":1}}}}",
         "{\"tools\":{\"listChanged\":true,\"x\":1}}",
         "{\"tools\":{\"listChanged\":true,\"x\":1}}"},
        {"{\"id\":1,\"result\":{\"capabilities\":{\"tools\":{\"x\":1}}}}",
         "{\"tools\":{\"listChanged\":true,\"x\":1}}",
         "{\"tools\":{\"listChanged\":true,\"x\":1}}"},
        {"{\"id\":1,\"result\":{\"capabilities\":{\"logging\":{\"a\":1}}}}",
         "{\"logging\":{\"a\":1}}", "{\"logging\":{\"a\":1}}"},
        {"{\"id\":1,\"result\":{\"capabilities\":{\"completions\":{},\"tasks\":{}}}}",
         "{\"tasks\":{}}", "{\"completions\":{},\"tasks\":{}}"},
        {"{\"id\":1,\"result\":{\"capabilities\":{\"tools\":true}}}", "{}", "{\"tools\":true}"},
        {"{\"id\":1,\"result\":{}}", "{}", "{}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mcp_response a = read_text(rows[i].in);
        struct buf out;
        buf_init(&out, 4096);
        assert_int_equal(mcp_narrow(&a, false, &out), ERR_OK);
        assert_true(slice_eq(buf_slice(&out), slice_str(rows[i].out)));
        buf_clear(&out);
        assert_int_equal(mcp_narrow(&a, true, &out), ERR_OK);
        assert_true(slice_eq(buf_slice(&out), slice_str(rows[i].whole)));
        buf_fini(&out);
    }
}

static enum err edit_all(void)
{
    struct buf list, out;
    size_t asked = 0;
    struct mcp_response a =
        read_text("{\"id\":1,\"result\":{\"tools\":[{\"name\":\"echo\"},{\"name\":\"no\"}]}}");
    buf_init(&list, 4096);
    buf_init(&out, 4096);
    enum err e = mcp_filter_items(a.tools.raw, "name", may_even, &asked, &list);
    struct mcp_edit edits[] = {{a.id.raw, SLICE("7")}, {a.tools.raw, buf_slice(&list)}};
    if (!e)
        e = mcp_edit(a.text, edits, ARRAY_LEN(edits), &out);
    if (!e)
        assert_true(slice_eq(buf_slice(&out),
                             SLICE("{\"id\":7,\"result\":{\"tools\":[{\"name\":\"echo\"}]}}")));
    buf_fini(&list);
    buf_fini(&out);
    return e;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    ptrdiff_t alive = mem_alive();
    size_t n = 1;
    for (;; n++) {
        mem_fail_after(n);
        enum err e = edit_all();
        bool failed = mem_failed();
        mem_fail_after(0);
        assert_int_equal(mem_alive(), alive);
        if (!failed)
            break;
        assert_int_equal(e, ERR_NOMEM);
    }
    assert_true(n > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_told_apart),
        cmocka_unit_test(what_has_two_readings_has_none),
        cmocka_unit_test(a_response_belongs_to_the_number_it_names),
        cmocka_unit_test(edits_come_in_any_order_and_leave_the_rest),
        cmocka_unit_test(a_list_is_cut_and_its_items_stay_as_they_stand),
        cmocka_unit_test(a_list_above_the_ceiling_is_an_error_and_not_a_shorter_list),
        cmocka_unit_test(capabilities_are_narrowed_to_what_is_granted),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
