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
        "result.tasks",
        "result.task.taskId",
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
                                 .cursor = hit[11],
                                 .tasks = hit[12],
                                 .task_id = hit[13]};
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
    char buffer[LIMIT_MCP_METHOD];
    struct slice text;
    return a->method.type == JSON_SCAN_STRING && a->method.raw.len <= sizeof(buffer) &&
           !json_scan_text(&a->method, buffer, sizeof(buffer), &text) && slice_eq(text, method);
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

/* The items that a list has shown so far. */
struct shown {
    struct map *names;
    struct arena *texts;
};

/* ERR_EXISTS: the name came before; ERR_DENIED: it may not be seen, or no decision is possible. */
static enum err judge_item(const struct json_hit *item, const char *member,
                           bool (*may)(void *arg, struct slice name), void *arg, struct shown *s)
{
    const char *const wants[] = {member};
    struct json_hit name;
    enum json_type root;
    char buffer[LIMIT_MCP_TOOL];
    struct slice text;
    if (item->type != JSON_SCAN_OBJECT ||
        json_scan_response(item->raw, wants, 1, &name, &root, NULL))
        return ERR_DENIED;
    if (name.raw.len > sizeof(buffer) || json_scan_text(&name, buffer, sizeof(buffer), &text))
        return ERR_DENIED;
    if (!may(arg, text))
        return ERR_DENIED;
    if (map_find(s->names, text))
        return ERR_EXISTS;
    struct slice kept = arena_copy(s->texts, text);
    return kept.ptr ? map_put(s->names, kept, s, NULL) : ERR_NOMEM;
}

static enum err filter(struct slice items, const char *member,
                       bool (*may)(void *arg, struct slice name), void *arg, struct shown *s,
                       struct buf *out)
{
    struct json_hit item;
    bool first = true;
    enum err e = buf_append(out, SLICE("["));
    while (!e && json_scan_item(&items, &item)) {
        e = judge_item(&item, member, may, arg, s);
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

enum err mcp_filter_items(struct slice items, const char *member,
                          bool (*may)(void *arg, struct slice name), void *arg, struct buf *out)
{
    struct shown s = {map_new(), arena_new(LIMIT_ARENA_CHUNK, LIMIT_MCP_ANSWER)};
    enum err e = s.names && s.texts ? filter(items, member, may, arg, &s, out) : ERR_NOMEM;
    map_free(s.names);
    if (s.texts)
        arena_free(s.texts);
    return e;
}

/* Its list changes with the grants, whether the server says so or not. */
static enum err write_tools(struct slice tools, struct buf *out)
{
    static const char *const wants[] = {"listChanged"};
    struct json_hit hit;
    enum json_type root;
    struct slice rest = slice_trim(slice_from(tools, 1));
    if (json_scan_response(tools, wants, 1, &hit, &root, NULL))
        return ERR_PROTOCOL;
    if (hit.type == JSON_SCAN_ABSENT)
        return buf_printf(out, "{\"listChanged\":true%s%.*s",
                          slice_starts(rest, SLICE("}")) ? "" : ",", SLICE_ARG(rest));
    struct mcp_edit edit = {hit.raw, SLICE("true")};
    return mcp_edit(tools, &edit, 1, out);
}

/* What is granted whole keeps what is not known here. */
static enum err write_whole(const struct mcp_response *a, struct buf *out)
{
    const struct json_hit *tools = &a->cap_tools;
    struct slice all = a->capabilities.raw;
    if (tools->type != JSON_SCAN_OBJECT)
        return buf_append(out, all);
    size_t before = (size_t)(tools->raw.ptr - all.ptr);
    enum err e = buf_append(out, slice_first(all, before));
    if (!e)
        e = write_tools(tools->raw, out);
    return e ? e : buf_append(out, slice_from(all, before + tools->raw.len));
}

static enum err write_narrow(struct slice capabilities, struct buf *out)
{
    static const char *const names[] = {"tools", "logging", "tasks", "experimental", "extensions"};
    struct json_hit hit[ARRAY_LEN(names)] = {0};
    enum json_type root;
    const char *before = "{";
    if (json_scan_response(capabilities, names, ARRAY_LEN(names), hit, &root, NULL))
        return ERR_PROTOCOL;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (hit[i].type != JSON_SCAN_OBJECT)
            continue;
        enum err e = buf_printf(out, "%s\"%s\":", before, names[i]);
        if (!e)
            e = i == 0 ? write_tools(hit[i].raw, out) : buf_append(out, hit[i].raw);
        if (e)
            return e;
        before = ",";
    }
    return buf_append(out, *before == '{' ? SLICE("{}") : SLICE("}"));
}

enum err mcp_narrow(const struct mcp_response *a, bool whole, struct buf *out)
{
    if (a->capabilities.type != JSON_SCAN_OBJECT)
        return buf_append(out, SLICE("{}"));
    return whole ? write_whole(a, out) : write_narrow(a->capabilities.raw, out);
}
