/* host_list — reads the list of allowed hosts and searches it. */
#include "common/net/host_list.h"

#include "common/net/address.h"

#define NAME_MAX_LEN 253 /* RFC 1035 section 2.3.4 */

static bool is_name(struct slice s)
{
    if (s.len == 0 || s.len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
            return false;
    }
    return true;
}

enum err host_list_read(struct slice text, struct host_list *ret)
{
    struct host_list l = {.count = 0};
    struct slice name;
    union sockaddr_any address;
    while (text.len && slice_split(&text, ',', &name)) {
        name = slice_trim(name);
        if (!is_name(name) && !address_literal(name, 0, &address))
            return ERR_INVALID;
        if (l.count == LIMIT_ALLOWED_HOSTS)
            return ERR_INVALID;
        l.names[l.count++] = name;
    }
    *ret = l;
    return ERR_OK;
}

bool host_list_has(const struct host_list *l, struct slice host)
{
    for (size_t i = 0; i < l->count; i++)
        if (slice_ieq(l->names[i], host))
            return true;
    return false;
}
