/*
 * passthrough — a path and a query in one text, divided by the first '?'. What goes on of a query
 * holds no member that names a credential, and what was cleaned once stays as it is; a sorted query
 * is its own sorted form.
 */
#include <stdint.h>
#include <stdlib.h>

#include "dataplane/ai/passthrough/passthrough_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size), query = SLICE("");
    struct arena *a = arena_new(4096, 1u << 20);
    if (!a)
        return 0;
    ptrdiff_t mark = slice_find(text, '?');
    struct slice path = mark < 0 ? text : slice_first(text, (size_t)mark);
    if (mark >= 0)
        query = slice_from(text, (size_t)mark + 1);
    struct slice below = passthrough_below(SLICE("/v1"), path);
    must(below.len <= path.len || slice_eq(below, SLICE("/")));
    (void)passthrough_is_administration(SLICE("ollama"), path);
    struct passthrough_modelled m;
    const struct http_head head = {.method = SLICE("POST"), .target = text};
    must(passthrough_model_path(&head, path, a, &m) || !m.endpoint || m.path.len > 1);
    struct passthrough_query_in in = {.sent = query, .dialect = SLICE("gemini"), .metered = true};
    struct slice once = passthrough_query(&in, a);
    in.sent = once;
    struct slice twice = once.ptr ? passthrough_query(&in, a) : once;
    must(!once.ptr || slice_eq(once, twice));
    must(!slice_starts(once, SLICE("key=")) && slice_search(once, SLICE("&key=")) < 0);
    struct slice sorted = passthrough_sorted_query(query, a);
    if (sorted.ptr)
        must(slice_eq(passthrough_sorted_query(sorted, a), sorted));
    arena_free(a);
    return 0;
}
