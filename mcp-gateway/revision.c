/* revision — the table, oldest first. A sealed session id holds the row's number: rows are only
 * ever added at the end. */
#include "mcp-gateway/revision.h"

#include <string.h>

#include "common/base/err.h"

static const struct mcp_revision revisions[] = {
    {.name = {"2025-06-18", 10}, .to_clients = true, .to_upstreams = true},
    {.name = {"2025-11-25", 10}, .to_clients = true, .to_upstreams = true},
    {.name = {"2025-03-26", 10}, .to_clients = true, .to_upstreams = true},
    {.name = {"2024-11-05", 10}, .to_upstreams = true},
};

size_t mcp_revision_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(revisions); i++)
        if (slice_eq(name, revisions[i].name))
            return i;
    return MCP_REVISION_NONE;
}

const struct mcp_revision *mcp_revision_get(size_t row)
{
    MUST(row < ARRAY_LEN(revisions));
    return &revisions[row];
}

size_t mcp_revision_newest(void)
{
    return 1;
}

size_t mcp_revision_negotiate(struct slice wanted)
{
    size_t row = mcp_revision_find(wanted);
    return row != MCP_REVISION_NONE && revisions[row].to_clients ? row : mcp_revision_newest();
}

bool mcp_revision_is_served(struct slice name)
{
    size_t row = mcp_revision_find(name);
    return row != MCP_REVISION_NONE && revisions[row].to_clients;
}

bool mcp_revision_has_handshake(struct slice name)
{
    size_t row = mcp_revision_find(name);
    return row != MCP_REVISION_NONE && revisions[row].to_upstreams;
}

struct slice mcp_revision_names(void)
{
    return SLICE("2025-11-25, 2025-06-18 and 2025-03-26");
}

struct slice mcp_revision_of_hello(struct slice hello)
{
    const struct slice before = SLICE("{\"protocolVersion\":\"");
    if (!slice_starts(hello, before))
        return SLICE_NONE;
    struct slice rest = slice_from(hello, before.len);
    ptrdiff_t end = slice_find(rest, '"');
    return end < 0 ? SLICE_NONE : slice_first(rest, (size_t)end);
}

/* Names are dates: the newest is the greatest. */
struct slice mcp_revision_named_in(struct slice text, struct slice but)
{
    struct slice best = SLICE_NONE;
    for (size_t i = 0; i < ARRAY_LEN(revisions); i++) {
        const struct mcp_revision *r = &revisions[i];
        if (!r->to_upstreams || slice_eq(r->name, but) || slice_search(text, r->name) < 0)
            continue;
        if (!best.ptr || memcmp(r->name.ptr, best.ptr, best.len) > 0)
            best = r->name;
    }
    return best;
}
