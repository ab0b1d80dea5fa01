/* mcp_message — one scan, and the table of methods. */
#include "mcp-gateway/mcp_message.h"

#include <stdio.h>

#include "common/base/limits.h"

static const struct {
    struct slice name;
    enum mcp_method method;
    enum mcp_kind kind;
} methods[] = {
    {{"initialize", 10}, MCP_INITIALIZE, MCP_REQUEST},
    {{"ping", 4}, MCP_PING, MCP_REQUEST},
    {{"tools/list", 10}, MCP_TOOLS_LIST, MCP_REQUEST},
    {{"tools/call", 10}, MCP_TOOLS_CALL, MCP_REQUEST},
    {{"logging/setLevel", 16}, MCP_SET_LEVEL, MCP_REQUEST},
    {{"prompts/list", 12}, MCP_CONTENT, MCP_REQUEST},
    {{"prompts/get", 11}, MCP_CONTENT, MCP_REQUEST},
    {{"resources/list", 14}, MCP_CONTENT, MCP_REQUEST},
    {{"resources/templates/list", 24}, MCP_CONTENT, MCP_REQUEST},
    {{"resources/read", 14}, MCP_CONTENT, MCP_REQUEST},
    {{"resources/subscribe", 19}, MCP_CONTENT, MCP_REQUEST},
    {{"resources/unsubscribe", 21}, MCP_CONTENT, MCP_REQUEST},
    {{"completion/complete", 19}, MCP_CONTENT, MCP_REQUEST},
    {{"tasks/get", 9}, MCP_TASK, MCP_REQUEST},
    {{"tasks/result", 12}, MCP_TASK, MCP_REQUEST},
    {{"tasks/cancel", 12}, MCP_TASK, MCP_REQUEST},
    {{"tasks/list", 10}, MCP_TASK_LIST, MCP_REQUEST},
    {{"notifications/initialized", 25}, MCP_INITIALIZED, MCP_NOTIFICATION},
    {{"notifications/cancelled", 23}, MCP_CANCELLED, MCP_NOTIFICATION},
    {{"notifications/progress", 22}, MCP_PROGRESS, MCP_NOTIFICATION},
    {{"notifications/roots/list_changed", 32}, MCP_ROOTS_CHANGED, MCP_NOTIFICATION},
};

static enum err fail(struct mcp_fault *f, int code, const char *text)
{
    f->code = code;
    snprintf(f->text, sizeof(f->text), "%s", text);
    return ERR_INVALID;
}

static bool is_integer(struct slice raw)
{
    for (size_t i = raw.len && raw.ptr[0] == '-'; i < raw.len; i++)
        if (raw.ptr[i] < '0' || raw.ptr[i] > '9')
            return false;
    return true;
}

static bool is_id(const struct json_hit *h)
{
    if (h->raw.len > LIMIT_MCP_ID)
        return false;
    return h->type == JSON_SCAN_STRING || (h->type == JSON_SCAN_NUMBER && is_integer(h->raw));
}

static bool is_text(const struct json_hit *h, struct slice text)
{
    char buffer[64];
    struct slice got;
    return h->raw.len <= sizeof(buffer) && !json_scan_text(h, buffer, sizeof(buffer), &got) &&
           slice_eq(got, text);
}

static enum mcp_method method_of(const struct mcp_message *m)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (methods[i].kind == m->kind && is_text(&m->at[MCP_AT_METHOD], methods[i].name))
            return methods[i].method;
    return MCP_OTHER;
}

static enum err read_call(struct mcp_message *m, struct mcp_fault *f)
{
    const struct json_hit *method = &m->at[MCP_AT_METHOD], *params = &m->at[MCP_AT_PARAMS];
    if (method->type != JSON_SCAN_STRING || method->raw.len > LIMIT_MCP_METHOD)
        return fail(f, RPC_INVALID_REQUEST, "method must be a short string");
    if (params->type != JSON_SCAN_ABSENT && params->type != JSON_SCAN_OBJECT)
        return fail(f, RPC_INVALID_REQUEST, "params must be an object");
    if (m->at[MCP_AT_RESULT].type || m->at[MCP_AT_ERROR].type)
        return fail(f, RPC_INVALID_REQUEST, "a message with a method has neither result nor error");
    m->kind = m->id.len ? MCP_REQUEST : MCP_NOTIFICATION;
    m->method_name = slice_of(method->raw.ptr + 1, method->raw.len - 2);
    m->method = method_of(m);
    return ERR_OK;
}

static enum err read_response(struct mcp_message *m, struct mcp_fault *f)
{
    bool result = m->at[MCP_AT_RESULT].type != JSON_SCAN_ABSENT;
    bool error = m->at[MCP_AT_ERROR].type != JSON_SCAN_ABSENT;
    if (!m->id.len || result == error)
        return fail(f, RPC_INVALID_REQUEST, "neither a method nor a response with an id");
    m->kind = MCP_RESPONSE;
    return ERR_OK;
}

enum err mcp_message_read(struct slice body, struct mcp_message *ret, struct mcp_fault *fault)
{
    static const char *const wants[] = {
#define MCP_MEMBER_PATH(name, path) path,
        MCP_MESSAGE_MEMBERS(MCP_MEMBER_PATH)
#undef MCP_MEMBER_PATH
    };
    struct json_scan_problem problem;
    enum json_type root;
    *ret = (struct mcp_message){.text = body};
    *fault = (struct mcp_fault){0};
    if (json_scan(body, wants, ARRAY_LEN(wants), ret->at, &root, &problem))
        return fail(fault, RPC_PARSE_ERROR, problem.text);
    if (root == JSON_SCAN_ARRAY)
        return fail(fault, RPC_INVALID_REQUEST, "batches are not part of this revision");
    if (root != JSON_SCAN_OBJECT)
        return fail(fault, RPC_INVALID_REQUEST, "a message is an object");
    const struct json_hit *id = &ret->at[MCP_AT_ID];
    if (id->type != JSON_SCAN_ABSENT && !is_id(id))
        return fail(fault, RPC_INVALID_REQUEST, "id must be a short string or an integer");
    ret->id = id->raw;
    fault->id = id->raw;
    if (!is_text(&ret->at[MCP_AT_JSONRPC], SLICE("2.0")))
        return fail(fault, RPC_INVALID_REQUEST, "jsonrpc must be \"2.0\"");
    return ret->at[MCP_AT_METHOD].type ? read_call(ret, fault) : read_response(ret, fault);
}

bool mcp_message_says(const struct mcp_message *m, struct slice method)
{
    return m->at[MCP_AT_METHOD].type == JSON_SCAN_STRING && is_text(&m->at[MCP_AT_METHOD], method);
}
