/* route — reading a row. */
#include "controlplane/api/route.h"

bool route_query_next(struct slice *rest, struct slice *ret_name, struct slice *ret_words)
{
    struct slice one;
    if (!slice_split(rest, ',', &one))
        return false;
    ptrdiff_t at = slice_find(one, '=');
    *ret_name = at < 0 ? one : slice_first(one, (size_t)at);
    *ret_words = at < 0 ? SLICE("") : slice_from(one, (size_t)at + 1);
    return true;
}
