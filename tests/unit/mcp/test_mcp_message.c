/* message — one JSON-RPC message of a client: what it is, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "mcp-gateway/mcp_message.h"

static void a_request_has_a_method_and_an_id(void **state)
{
    (void)state;
    struct mcp_message m;
    struct mcp_fault f;
    struct slice text =
        SLICE("{\"jsonrpc\":\"2.0\",\"id\":9007199254740993,\"method\":\"tools/call\","
              "\"params\":{\"name\":\"e\\u0063ho\",\"arguments\":{\"name\":\"x\"},"
              "\"_meta\":{\"progressToken\":1,\"traceparent\":\"t\"}}}");
    assert_int_equal(mcp_message_read(text, &m, &f), ERR_OK);
    assert_int_equal(m.kind, MCP_REQUEST);
    assert_int_equal(m.method, MCP_TOOLS_CALL);
    assert_true(slice_eq(m.id, SLICE("9007199254740993")));
    assert_true(slice_eq(m.at[MCP_AT_NAME].raw, SLICE("\"e\\u0063ho\"")));
    assert_true(slice_eq(m.at[MCP_AT_ARGUMENTS].raw, SLICE("{\"name\":\"x\"}")));
    assert_true(slice_eq(m.at[MCP_AT_PROGRESS_TOKEN].raw, SLICE("1")));
    assert_true(slice_eq(m.at[MCP_AT_TRACEPARENT].raw, SLICE("\"t\"")));
}

static void methods_are_known_by_their_kind(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mcp_kind kind;
        enum mcp_method method;
    } rows[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":\"\",\"method\":\"ping\"}", MCP_REQUEST, MCP_PING},
        {"{\"jsonrpc\":\"2.0\",\"id\":-1,\"method\":\"initialize\"}", MCP_REQUEST, MCP_INITIALIZE},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", MCP_REQUEST, MCP_TOOLS_LIST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"Tools/list\"}", MCP_REQUEST, MCP_OTHER},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list \"}", MCP_REQUEST, MCP_OTHER},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\\u0069ng\"}", MCP_REQUEST, MCP_PING},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}", MCP_NOTIFICATION, MCP_OTHER},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"notifications/initialized\"}", MCP_REQUEST,
         MCP_OTHER},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", MCP_NOTIFICATION,
         MCP_INITIALIZED},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{}}",
         MCP_NOTIFICATION, MCP_CANCELLED},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}", MCP_RESPONSE, MCP_OTHER},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":1}}", MCP_RESPONSE, MCP_OTHER},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mcp_message m;
        struct mcp_fault f;
        assert_int_equal(mcp_message_read(slice_str(rows[i].text), &m, &f), ERR_OK);
        assert_int_equal(m.kind, rows[i].kind);
        assert_int_equal(m.method, rows[i].method);
    }
}

static void what_is_no_message_is_refused_by_the_right_code(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *id;
    } rows[] = {
        {"", -32700, ""},
        {"{", -32700, ""},
        {"\"text\"", -32600, ""},
        {"[]", -32600, ""},
        {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600, ""},
        {"{}", -32600, ""},
        {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", -32600, "1"},
        {"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"ping\"}", -32600, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", -32600, ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", -32600, ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":1e3,\"method\":\"ping\"}", -32600, ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"ping\"}", -32600, ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"ping\"}", -32600, ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", -32600, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}", -32600, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"result\":{}}", -32600, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1}", -32600, "1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", -32600, "1"},
        {"{\"jsonrpc\":\"2.0\",\"result\":{}}", -32600, ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"method\":\"tools/call\"}", -32700,
         ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"Method\":\"tools/call\"}", -32700,
         ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"\\u006dethod\":\"x\"}", -32700, ""},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"a\","
         "\"NAME\":\"b\"}}",
         -32700, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mcp_message m;
        struct mcp_fault f;
        assert_int_equal(mcp_message_read(slice_str(rows[i].text), &m, &f), ERR_INVALID);
        assert_int_equal(f.code, rows[i].code);
        assert_true(f.text[0]);
        if (rows[i].id[0])
            assert_true(slice_eq(f.id, slice_str(rows[i].id)));
        else
            assert_int_equal(f.id.len, 0);
    }
}

static void an_id_has_a_ceiling(void **state)
{
    (void)state;
    char text[LIMIT_MCP_ID + 128];
    struct mcp_message m;
    struct mcp_fault f;
    for (size_t extra = 0; extra < 2; extra++) {
        size_t n = LIMIT_MCP_ID - 2 + extra;
        char *p = text + sprintf(text, "{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":\"");
        memset(p, 'a', n);
        strcpy(p + n, "\"}");
        assert_int_equal(mcp_message_read(slice_str(text), &m, &f), extra ? ERR_INVALID : ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_a_method_and_an_id),
        cmocka_unit_test(methods_are_known_by_their_kind),
        cmocka_unit_test(what_is_no_message_is_refused_by_the_right_code),
        cmocka_unit_test(an_id_has_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
