/*
 * tool_list — the tools of one MCP server as a data plane found them, or why it could not.
 *
 * A name that comes again with the same definition is one tool (a list may shift while its pages
 * are read). With another definition it is not known which of them would run: the name is left out.
 *
 * Owns     everything in it, counted against LIMIT_LIST_*; one heap object that may travel
 *          between threads.
 * Fails    ERR_TOO_BIG beyond a ceiling, ERR_NOMEM; the list is then only fit for an error.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/digest.h"
#include "common/base/id.h"
#include "common/base/slice.h"

#define TOOL_LIST_ERROR 200 /* a sentence */

/* What the control plane wants listed. */
struct tool_order {
    char server_id[ID_MAX], org_id[ID_MAX];
    char name[ID_MAX]; /* of the server */
    uint64_t revision; /* of the server: this one or a newer */
    uint64_t ask;
};

struct listed_tool {
    struct slice name;
    struct digest digest;
    struct slice definition; /* followed by a NUL; SLICE_NONE: too large to be shown */
    bool left_out;           /* another of this name differs */
};

struct tool_list {
    struct tool_order order; /* revision: the one that was listed */
    struct arena *arena;
    struct map *by_name;
    struct listed_tool *tools;
    size_t count, capacity;
    size_t bytes;                /* of the definitions as they came */
    size_t left_out;             /* entries that cannot be granted by name */
    char error[TOOL_LIST_ERROR]; /* "": it is whole */
};

MUST_USE struct tool_list *tool_list_new(const struct tool_order *order);
void tool_list_free(struct tool_list *l); /* NULL is fine */
/* definition: the raw object, valid JSON */
MUST_USE enum err tool_list_add(struct tool_list *l, struct slice name, struct slice definition);
/* Drops the tools; the first error is kept. */
void tool_list_fail(struct tool_list *l, const char *fmt, ...) PRINTF(2, 3);
