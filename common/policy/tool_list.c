/* tool_list — an array, and a map by name. */
#include "common/policy/tool_list.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/json.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/mem.h"

/* names, and a NUL behind each text */
#define ARENA_MAX (LIMIT_LIST_BYTES + LIMIT_LIST_TOOLS * (LIMIT_LIST_NAME + 64))

struct tool_list *tool_list_new(const struct tool_order *order)
{
    struct tool_list *l = mem_zalloc(sizeof(*l));
    if (!l)
        return NULL;
    l->order = *order;
    l->arena = arena_new(LIMIT_ARENA_CHUNK, ARENA_MAX);
    l->by_name = map_new();
    if (l->arena && l->by_name)
        return l;
    tool_list_free(l);
    return NULL;
}

void tool_list_free(struct tool_list *l)
{
    if (!l)
        return;
    map_free(l->by_name);
    mem_free(l->tools);
    arena_free(l->arena);
    mem_free(l);
}

/* The same object has the same digest however its members are ordered. What the tree cannot hold
 * (an integer beyond 64 bits) is taken as it stands. */
static void print_of(struct slice definition, struct digest *ret)
{
    struct json_problem problem;
    struct buf sorted;
    JSON_AUTO json_t *tree = NULL;
    buf_init(&sorted, LIMIT_MCP_ANSWER);
    bool good = json_read(definition, &tree, &problem) == ERR_OK &&
                json_write_sorted(tree, &sorted) == ERR_OK;
    digest_sha256(good ? buf_slice(&sorted) : definition, ret);
    buf_fini(&sorted);
}

static bool grow(struct tool_list *l)
{
    if (l->count < l->capacity)
        return true;
    size_t capacity = l->capacity ? 2 * l->capacity : 32;
    struct listed_tool *tools = mem_realloc(l->tools, capacity * sizeof(*tools));
    if (!tools)
        return false;
    l->tools = tools;
    l->capacity = capacity;
    return true;
}

/* Its place in the array, one above: the array moves, and NULL is nothing. */
static struct listed_tool *find(struct tool_list *l, struct slice name)
{
    size_t at = (size_t)(uintptr_t)map_find(l->by_name, name);
    return at ? &l->tools[at - 1] : NULL;
}

static enum err append(struct tool_list *l, struct slice name, struct slice definition,
                       const struct digest *digest)
{
    struct listed_tool t = {.name = arena_copy(l->arena, name), .digest = *digest};
    if (definition.len <= LIMIT_LIST_DEFINITION)
        t.definition = arena_copy(l->arena, definition);
    if (!t.name.ptr || (definition.len <= LIMIT_LIST_DEFINITION && !t.definition.ptr) || !grow(l))
        return ERR_NOMEM;
    enum err e = map_put(l->by_name, t.name, (void *)(uintptr_t)(l->count + 1), NULL);
    if (!e)
        l->tools[l->count++] = t;
    return e;
}

enum err tool_list_add(struct tool_list *l, struct slice name, struct slice definition)
{
    struct digest digest;
    struct listed_tool *known = find(l, name);
    l->bytes += definition.len;
    if (l->bytes > LIMIT_LIST_BYTES || (!known && l->count == LIMIT_LIST_TOOLS))
        return ERR_TOO_BIG;
    print_of(definition, &digest);
    if (!known)
        return append(l, name, definition, &digest);
    if (!known->left_out && memcmp(&known->digest, &digest, sizeof(digest)) != 0) {
        known->left_out = true;
        l->left_out++;
    }
    return ERR_OK;
}

void tool_list_fail(struct tool_list *l, const char *fmt, ...)
{
    va_list args;
    l->count = 0;
    if (l->error[0])
        return;
    va_start(args, fmt);
    vsnprintf(l->error, sizeof(l->error), fmt, args);
    va_end(args);
}
