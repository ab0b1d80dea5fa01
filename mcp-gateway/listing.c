/* listing — item by item, in place. */
#include "mcp-gateway/listing.h"

#include "common/base/limits.h"

static bool is_spelled(struct slice name)
{
    bool good = name.len > 0 && name.len <= LIMIT_LIST_NAME;
    for (size_t i = 0; good && i < name.len; i++)
        good = name.ptr[i] >= 0x21 && name.ptr[i] <= 0x7e;
    return good;
}

static enum err take_item(const struct json_hit *item, struct tool_list *into)
{
    static const char *const wants[] = {"name"};
    struct json_hit name;
    enum json_type root;
    char buffer[LIMIT_MCP_TOOL];
    struct slice text;
    if (item->type != JSON_SCAN_OBJECT ||
        json_scan_response(item->raw, wants, 1, &name, &root, NULL) ||
        name.raw.len > sizeof(buffer) || json_scan_text(&name, buffer, sizeof(buffer), &text) ||
        !is_spelled(text)) {
        into->left_out++;
        return ERR_OK;
    }
    return tool_list_add(into, text, item->raw);
}

enum err mcp_listing_page(const struct mcp_response *a, struct tool_list *into,
                          struct slice *ret_cursor)
{
    struct slice rest = a->tools.raw;
    struct json_hit item;
    enum err e = ERR_OK;
    bool last = a->cursor.type == JSON_SCAN_ABSENT || a->cursor.type == JSON_SCAN_NULL;
    if (a->tools.type != JSON_SCAN_ARRAY || (!last && a->cursor.type != JSON_SCAN_STRING))
        return ERR_PROTOCOL;
    if (!last && a->cursor.raw.len > LIMIT_LIST_CURSOR)
        return ERR_TOO_BIG;
    while (!e && json_scan_item(&rest, &item))
        e = take_item(&item, into);
    if (!e)
        *ret_cursor = last ? SLICE_NONE : a->cursor.raw;
    return e;
}
