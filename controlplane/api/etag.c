/*
 * etag — `"7"`, `"3", "7"`, `*`. Weak tags never match: a write needs the very revision.
 */
#include "controlplane/api/etag.h"

bool etag_matches(struct slice if_match, uint64_t revision)
{
    if (if_match.ptr == NULL)
        return true;
    struct slice rest = slice_trim(if_match), one;
    if (slice_eq(rest, SLICE("*")))
        return true;
    while (slice_split(&rest, ',', &one)) {
        uint64_t n = 0;
        one = slice_trim(one);
        if (one.len < 3 || one.ptr[0] != '"' || one.ptr[one.len - 1] != '"')
            continue;
        if (slice_u64(slice_of(one.ptr + 1, one.len - 2), &n) == ERR_OK && n == revision)
            return true;
    }
    return false;
}
