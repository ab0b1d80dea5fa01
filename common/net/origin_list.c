/* origin_list — scheme, host and port, compared as they stand. */
#include "common/net/origin_list.h"

static bool is_origin(struct slice s)
{
    ptrdiff_t at = slice_search(s, SLICE("://"));
    bool web = at == 4 || at == 5;
    if (!web || !slice_ieq(slice_first(s, 4), SLICE("http")) || s.len <= (size_t)at + 3)
        return false;
    if (at == 5 && s.ptr[4] != 's' && s.ptr[4] != 'S')
        return false;
    struct slice host = slice_from(s, (size_t)at + 3);
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        if (c <= ' ' || c > '~' || c == '/' || c == '?' || c == '#' || c == '@' || c == '*')
            return false;
    }
    return true;
}

enum err origin_list_read(struct slice text, struct origin_list *ret)
{
    struct origin_list l = {.count = 0};
    struct slice item;
    while (slice_split(&text, ',', &item)) {
        item = slice_trim(item);
        if (item.len == 0)
            continue;
        if (slice_eq(item, SLICE("*"))) {
            l.any = true;
            continue;
        }
        if (!is_origin(item) || l.count == LIMIT_ALLOWED_HOSTS)
            return ERR_INVALID;
        l.origins[l.count++] = item;
    }
    *ret = l;
    return ERR_OK;
}

bool origin_list_has(const struct origin_list *l, struct slice origin)
{
    if (!l || !is_origin(origin))
        return false;
    for (size_t i = 0; i < l->count; i++)
        if (slice_ieq(l->origins[i], origin))
            return true;
    return l->any;
}
