/* match — the two ways a policy speaks of many names: lists with wildcards, and routes. */
#include "common/policy/snapshot.h"

static bool entry_allows(struct slice entry, struct slice name)
{
    if (slice_eq(entry, SLICE("*")))
        return true;
    if (slice_ends(entry, SLICE("/*")))
        return slice_starts(name, slice_first(entry, entry.len - 1)) && name.len >= entry.len;
    return slice_eq(entry, name);
}

bool name_list_allows(const struct name_list *l, struct slice name)
{
    for (size_t i = 0; l->set && i < l->count; i++) {
        if (entry_allows(l->names[i], name))
            return true;
    }
    return false;
}

/* Both begin with '/'. '*' stands for exactly one non-empty segment, '**' for the rest, which may
 * be empty. What is matched, byte for byte, is what is forwarded. */
static bool path_matches(struct slice pattern, struct slice path)
{
    struct slice want, have;
    slice_split(&pattern, '/', &want);
    slice_split(&path, '/', &have);
    for (;;) {
        bool more_want = slice_split(&pattern, '/', &want);
        if (more_want && slice_eq(want, SLICE("**")))
            return true;
        bool more_have = slice_split(&path, '/', &have);
        if (!more_want || !more_have)
            return more_want == more_have;
        if (slice_eq(want, SLICE("*")) ? have.len == 0 : !slice_eq(want, have))
            return false;
    }
}

static bool method_matches(const struct policy_route *r, struct slice method)
{
    if (r->method_count == 0)
        return true;
    for (size_t i = 0; i < r->method_count; i++) {
        if (slice_eq(r->methods[i], method) || slice_eq(r->methods[i], SLICE("*")))
            return true;
        if (slice_eq(method, SLICE("HEAD")) && slice_eq(r->methods[i], SLICE("GET")))
            return true;
    }
    return false;
}

bool policy_route_allows(const struct policy_route *routes, size_t n, struct slice method,
                         struct slice path, bool opaque)
{
    for (size_t i = 0; i < n; i++) {
        if (opaque && !routes[i].opaque)
            continue;
        if (method_matches(&routes[i], method) && path_matches(routes[i].path, path))
            return true;
    }
    return false;
}
