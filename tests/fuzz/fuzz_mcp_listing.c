/*
 * fuzz_mcp_listing — pages of a server's tools: whatever they say, a list that was read holds each
 * name once, each name is one that a grant can spell, and reading the same pages again finds the
 * same.
 *
 * The input is one or two responses to tools/list, divided by a line feed that stands alone: two
 * pages of one list.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "mcp-gateway/listing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tool_order order = {.server_id = "mcp_1", .org_id = "org_1", .name = "s"};

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* How many pages were read whole. */
static size_t read_pages(struct slice text, struct tool_list *l)
{
    struct slice page, cursor;
    struct mcp_response a;
    size_t n = 0;
    for (; n < 2 && slice_split(&text, '\n', &page); n++) {
        if (mcp_response_read(page, &a) || mcp_listing_page(&a, l, &cursor))
            break;
        check(!cursor.ptr ||
                  (cursor.len >= 2 && cursor.len <= LIMIT_LIST_CURSOR && cursor.ptr >= page.ptr &&
                   cursor.ptr + cursor.len <= page.ptr + page.len),
              "a cursor is elsewhere");
    }
    return n;
}

static void look_at(const struct tool_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct listed_tool *t = &l->tools[i];
        check(t->name.len > 0 && t->name.len <= LIMIT_LIST_NAME, "a name of no length");
        for (size_t k = 0; k < t->name.len; k++)
            check(t->name.ptr[k] > ' ' && t->name.ptr[k] <= '~', "a name that cannot be spelled");
        for (size_t k = 0; k < i; k++)
            check(!slice_eq(t->name, l->tools[k].name), "a name stands twice");
        check(t->definition.ptr && t->definition.len >= 2 && t->definition.ptr[0] == '{',
              "a definition that is no object");
        check(t->definition.ptr[t->definition.len] == '\0', "a text without its end");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct tool_list *one = tool_list_new(&order), *two = tool_list_new(&order);
    check(one && two, "no memory");
    size_t pages = read_pages(text, one);
    look_at(one);
    check(read_pages(text, two) == pages, "the same text has more pages");
    check(one->count == two->count && one->left_out == two->left_out, "another list");
    for (size_t i = 0; i < one->count; i++)
        check(memcmp(&one->tools[i].digest, &two->tools[i].digest, DIGEST_LEN) == 0 &&
                  one->tools[i].left_out == two->tools[i].left_out,
              "another tool");
    tool_list_free(one);
    tool_list_free(two);
    return 0;
}
