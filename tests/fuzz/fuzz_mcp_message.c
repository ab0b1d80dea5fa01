/*
 * fuzz_mcp_message — messages of both sides: what is read lies inside the text, and what is
 * changed is changed there and nowhere else.
 *
 * The first byte says which side sent the message. A client's that was accepted reads the same with
 * another id in place of its own. An upstream's keeps, after the edits, everything but the id and
 * the tools; a list that is cut holds only what may be seen, and cutting it again changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "mcp-gateway/mcp_message.h"
#include "mcp-gateway/mcp_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static bool lies_in(struct slice part, struct slice whole)
{
    return !part.ptr || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void look_at_message(struct slice text)
{
    struct mcp_message m, again;
    struct mcp_fault fault;
    if (mcp_message_read(text, &m, &fault)) {
        check(fault.code == -32700 || fault.code == -32600, "a code of no table");
        check(fault.text[0] != '\0', "a fault without words");
        check(lies_in(fault.id, text), "a fault's id is elsewhere");
        return;
    }
    for (size_t i = 0; i < MCP_MEMBER_COUNT; i++)
        check(lies_in(m.at[i].raw, text), "a member is elsewhere");
    check((m.kind == MCP_NOTIFICATION) == (m.id.len == 0), "kind and id differ");
    check(m.id.len <= LIMIT_MCP_ID, "a long id");
    if (!m.id.len)
        return;
    struct buf out;
    buf_init(&out, text.len + 64);
    struct mcp_edit edit = {m.id, SLICE("18446744073709551615")};
    check(mcp_edit(text, &edit, 1, &out) == ERR_OK, "an edit failed");
    check(mcp_message_read(buf_slice(&out), &again, &fault) == ERR_OK, "an edit broke a message");
    check(again.kind == m.kind && again.method == m.method, "an edit changed a message");
    check(slice_eq(again.at[MCP_AT_NAME].raw, m.at[MCP_AT_NAME].raw), "an edit changed a name");
    buf_fini(&out);
}

static bool may_short(void *arg, struct slice tool)
{
    (void)arg;
    return tool.len < 3;
}

static bool may_all(void *arg, struct slice tool)
{
    check(may_short(arg, tool), "a tool was left that may not be seen");
    return true;
}

static void look_at_list(const struct mcp_response *a)
{
    struct buf once, twice;
    buf_init(&once, a->text.len + 64);
    buf_init(&twice, a->text.len + 64);
    check(mcp_filter_items(a->tools.raw, "name", may_short, NULL, &once) == ERR_OK, "a cut failed");
    check(mcp_filter_items(buf_slice(&once), "name", may_all, NULL, &twice) == ERR_OK,
          "a cut failed");
    check(slice_eq(buf_slice(&once), buf_slice(&twice)), "a list was cut twice");
    buf_fini(&once);
    buf_fini(&twice);
}

static void look_at_answer(struct slice text)
{
    struct mcp_response a, again;
    if (mcp_response_read(text, &a))
        return;
    if (a.tools.type == JSON_SCAN_ARRAY)
        look_at_list(&a);
    struct buf out;
    buf_init(&out, text.len + 64);
    for (int whole = 0; whole < 2; whole++) {
        enum err e = mcp_narrow(&a, whole, &out);
        check(e == ERR_OK || e == ERR_PROTOCOL, "narrowing failed");
        buf_clear(&out);
    }
    struct mcp_edit edits[] = {{a.id.raw, SLICE("77")}};
    check(mcp_edit(text, edits, 1, &out) == ERR_OK, "an edit failed");
    check(mcp_response_read(buf_slice(&out), &again) == ERR_OK, "an edit broke a response");
    check(again.kind == a.kind, "an edit changed a response");
    bool response = a.kind == MCP_RESPONSE_RESULT || a.kind == MCP_RESPONSE_ERROR;
    check(mcp_response_is_to(&again, 77) == (response && a.id.raw.ptr), "the id is not ours");
    check(slice_eq(again.result.raw, a.result.raw) || lies_in(a.id.raw, a.result.raw),
          "an edit changed a result");
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice text = slice_of(data + 1, size - 1);
    if (data[0] & 1)
        look_at_message(text);
    else
        look_at_answer(text);
    return 0;
}
