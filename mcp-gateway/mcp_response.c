/* mcp_response — scans and splices. */
#include "mcp-gateway/mcp_response.h"

#include "common/base/arena.h"
#include "common/base/limits.h"
#include "common/base/map.h"

enum err mcp_response_read(struct slice text, struct mcp_response *ret)
{
    static const char *const wants[] = {
        "id",
        "method",
        "result",
        "error",
        "error.code",
        "error.message",
        "result.tools",
        "result.isError",
        "result.protocolVersion",
        "result.capabilities",
        "result.capabilities.tools",
        "result.nextCursor",
    };
    struct json_hit hit[ARRAY_LEN(wants)];
    enum json_type root;
    if (json_scan_response(text, wants, ARRAY_LEN(wants), hit, &root, NULL) ||
        root != JSON_SCAN_OBJECT)
        return ERR_INVALID;
    bool method = hit[1].type == JSON_SCAN_STRING, id = hit[0].type != JSON_SCAN_ABSENT;
    bool result = hit[2].type != JSON_SCAN_ABSENT, error = hit[3].type == JSON_SCAN_OBJECT;
    if (method ? result || error : result == error)
        return ERR_INVALID;
    *ret = (struct mcp_response){.text = text,
                                 .id = hit[0],
                                 .method = hit[1],
                                 .result = hit[2],
                                 .error = hit[3],
                                 .code = hit[4],
                                 .error_message = hit[5],
                                 .tools = hit[6],
                                 .is_error = hit[7],
                                 .version = hit[8],
                                 .capabilities = hit[9],
                                 .cap_tools = hit[10],
                                 .cursor = hit[11]};
    if (method)
        ret->kind = id ? MCP_RESPONSE_REQUEST : MCP_RESPONSE_NOTE;
    else
        ret->kind = result ? MCP_RESPONSE_RESULT : MCP_RESPONSE_ERROR;
    return ERR_OK;
}

bool mcp_response_number(const struct mcp_response *a, uint64_t *ret)
{
    struct json_hit id = a->id;
    if (a->kind != MCP_RESPONSE_RESULT && a->kind != MCP_RESPONSE_ERROR)
        return false;
    if (id.type == JSON_SCAN_STRING && id.raw.len > 2)
        id = (struct json_hit){.type = JSON_SCAN_NUMBER,
                               .raw = slice_of(id.raw.ptr + 1, id.raw.len - 2)};
    return id.type == JSON_SCAN_NUMBER && !json_scan_u64(&id, ret);
}

bool mcp_response_is_to(const struct mcp_response *a, uint64_t number)
{
    uint64_t got;
    return mcp_response_number(a, &got) && got == number;
}

bool mcp_response_says(const struct mcp_response *a, struct slice method)
{
    char room[LIMIT_MCP_METHOD];
    struct slice text;
    return a->method.type == JSON_SCAN_STRING && a->method.raw.len <= sizeof(room) &&
           !json_scan_text(&a->method, room, sizeof(room), &text) && slice_eq(text, method);
}

static void sort(struct mcp_edit *edits, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct mcp_edit e = edits[i];
        size_t k = i;
        for (; k > 0 && edits[k - 1].old.ptr > e.old.ptr; k--)
            edits[k] = edits[k - 1];
        edits[k] = e;
    }
}

enum err mcp_edit(struct slice text, struct mcp_edit *edits, size_t n, struct buf *out)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    enum err e = ERR_OK;
    sort(edits, n);
    for (size_t i = 0; i < n && !e; i++) {
        if (!edits[i].old.ptr)
            continue;
        MUST(edits[i].old.ptr >= at && edits[i].old.ptr + edits[i].old.len <= end);
        e = buf_append(out, slice_of(at, (size_t)(edits[i].old.ptr - at)));
        if (!e)
            e = buf_append(out, edits[i].now);
        at = edits[i].old.ptr + edits[i].old.len;
    }
    return e ? e : buf_append(out, slice_of(at, (size_t)(end - at)));
}

/* The tools a list has shown so far. */
struct shown {
    struct map *names;
    struct arena *texts;
};

/* ERR_EXISTS: the name came before; ERR_DENIED: it may not be seen, or nobody could tell. */
static enum err judge_tool(const struct json_hit *item, bool (*may)(void *arg, struct slice tool),
                           void *arg, struct shown *s)
{
    static const char *const wants[] = {"name"};
    struct json_hit name;
    enum json_type root;
    char room[LIMIT_MCP_TOOL];
    struct slice text;
    if (item->type != JSON_SCAN_OBJECT ||
        json_scan_response(item->raw, wants, 1, &name, &root, NULL))
        return ERR_DENIED;
    if (name.raw.len > sizeof(room) || json_scan_text(&name, room, sizeof(room), &text))
        return ERR_DENIED;
    if (!may(arg, text))
        return ERR_DENIED;
    if (map_find(s->names, text))
        return ERR_EXISTS;
    struct slice kept = arena_copy(s->texts, text);
    return kept.ptr ? map_put(s->names, kept, s, NULL) : ERR_NOMEM;
}

static enum err filter(struct slice tools, bool (*may)(void *arg, struct slice tool), void *arg,
                       struct shown *s, struct buf *out)
{
    struct json_hit item;
    bool first = true;
    enum err e = buf_append(out, SLICE("["));
    while (!e && json_scan_item(&tools, &item)) {
        e = judge_tool(&item, may, arg, s);
        if (!e && !first)
            e = buf_append(out, SLICE(","));
        if (!e) {
            first = false;
            e = buf_append(out, item.raw);
        } else if (e == ERR_DENIED || e == ERR_EXISTS) {
            e = ERR_OK;
        }
    }
    return e ? e : buf_append(out, SLICE("]"));
}

enum err mcp_filter_tools(struct slice tools, bool (*may)(void *arg, struct slice tool), void *arg,
                          struct buf *out)
{
    struct shown s = {map_new(), arena_new(LIMIT_ARENA_CHUNK, LIMIT_MCP_ANSWER)};
    enum err e = s.names && s.texts ? filter(tools, may, arg, &s, out) : ERR_NOMEM;
    map_free(s.names);
    if (s.texts)
        arena_free(s.texts);
    return e;
}

enum err mcp_narrow(const struct mcp_response *a, bool whole, struct buf *out)
{
    static const char *const names[] = {"tools", "logging", "prompts", "resources", "completions"};
    const size_t of_tools = 2;
    struct json_hit hit[ARRAY_LEN(names)] = {0};
    enum json_type root;
    bool first = true;
    enum err e = buf_append(out, SLICE("{"));
    if (a->capabilities.type == JSON_SCAN_OBJECT &&
        json_scan_response(a->capabilities.raw, names, ARRAY_LEN(names), hit, &root, NULL))
        return ERR_PROTOCOL;
    for (size_t i = 0; !e && i < (whole ? ARRAY_LEN(names) : of_tools); i++) {
        if (hit[i].type != JSON_SCAN_OBJECT)
            continue;
        e = buf_printf(out, "%s\"%s\":%.*s", first ? "" : ",", names[i], SLICE_ARG(hit[i].raw));
        first = false;
    }
    return e ? e : buf_append(out, SLICE("}"));
}
