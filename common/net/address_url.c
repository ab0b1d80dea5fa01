/* address_url — reads an upstream's URL; whatever two readers might understand differently is
 * refused (RFC 3986, strictly; WHATWG's numeric hosts are not names here). */
#include "common/net/address.h"

#define HOST_MAX 253u /* RFC 1035, 2.3.4 */
#define LABEL_MAX 63u

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* "_" is no host name by RFC 952, but container networks make such names every day. */
static bool is_label(struct slice s)
{
    if (s.len == 0 || s.len > LABEL_MAX || s.ptr[0] == '-' || s.ptr[s.len - 1] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.ptr[i]) && s.ptr[i] != '-' && s.ptr[i] != '_')
            return false;
    return true;
}

/* Some resolvers read 127.1, 0x7f.1 and 2130706433 as addresses: a last label that looks like a
 * number is only good at the end of four decimal octets. */
static bool looks_numeric(struct slice label)
{
    if (label.len >= 2 && label.ptr[0] == '0' && (label.ptr[1] == 'x' || label.ptr[1] == 'X'))
        return true;
    for (size_t i = 0; i < label.len; i++)
        if (!is_digit(label.ptr[i]))
            return false;
    return true;
}

static bool is_host_name(struct slice host)
{
    struct slice rest = host, label = SLICE_NONE;
    union sockaddr_any literal;
    if (host.len == 0 || host.len > HOST_MAX || host.ptr[host.len - 1] == '.')
        return false;
    while (slice_split(&rest, '.', &label))
        if (!is_label(label))
            return false;
    return !looks_numeric(label) || address_literal(host, 0, &literal);
}

static bool is_v6(struct slice host)
{
    union sockaddr_any a;
    return address_literal(host, 0, &a) && a.sa.sa_family == AF_INET6;
}

static enum err read_authority(struct slice s, struct url *u)
{
    struct slice port;
    bool bracketed;
    uint64_t n = u->tls ? 443 : 80;
    if (address_split(s, &u->host, &port, &bracketed))
        return ERR_INVALID;
    if (bracketed ? !is_v6(u->host) : !is_host_name(u->host))
        return ERR_INVALID;
    if (port.ptr &&
        (port.len == 0 || port.len > 5 || slice_u64(port, &n) || n == 0 || n > UINT16_MAX))
        return ERR_INVALID;
    u->port = (uint16_t)n;
    return ERR_OK;
}

static bool is_uri_text(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}#", c))
            return false;
        if (c == '%' && (s.len - i < 3 || !is_hex(s.ptr[i + 1]) || !is_hex(s.ptr[i + 2])))
            return false;
    }
    return true;
}

/* What is joined to this path must not climb out of it, nor be merged by the upstream. */
static bool is_base_path(struct slice path)
{
    struct slice rest = slice_from(path, 1), segment;
    if (path.len == 0)
        return true;
    while (slice_split(&rest, '/', &segment))
        if (segment.len == 0 || slice_eq(segment, SLICE(".")) || slice_eq(segment, SLICE("..")))
            return false;
    return true;
}

static enum err read_path(struct slice s, struct url *u)
{
    ptrdiff_t mark = slice_find(s, '?');
    u->path = mark < 0 ? s : slice_first(s, (size_t)mark);
    u->query = mark < 0 ? slice_from(s, s.len) : slice_from(s, (size_t)mark + 1);
    if (u->path.len > 0 && u->path.ptr[u->path.len - 1] == '/')
        u->path.len--;
    if (!is_uri_text(u->path) || !is_uri_text(u->query) || !is_base_path(u->path))
        return ERR_INVALID;
    return ERR_OK;
}

struct slice url_in_region(struct slice text, struct slice region, char *room, size_t size)
{
    const struct slice mark = SLICE("{region}");
    struct slice rest = text;
    ptrdiff_t at;
    size_t n = 0;
    if (slice_search(text, mark) < 0)
        return text;
    bool global = slice_eq(region, SLICE("global"));
    while ((at = slice_search(rest, mark)) >= 0) {
        struct slice before = slice_first(rest, (size_t)at);
        rest = slice_from(rest, (size_t)at + mark.len);
        bool hyphen = slice_starts(rest, SLICE("-"));
        struct slice said = global && hyphen ? SLICE("") : region;
        rest = slice_from(rest, global && hyphen);
        if (n + before.len + said.len > size)
            return SLICE_NONE;
        n = (size_t)(slice_put(slice_put(room + n, before), said) - room);
    }
    if (n + rest.len > size)
        return SLICE_NONE;
    return slice_of(room, (size_t)(slice_put(room + n, rest) - room));
}

enum err url_parse(struct slice text, struct url *ret)
{
    struct url u = {.tls = slice_ieq(slice_first(text, 8), SLICE("https://"))};
    struct slice rest = slice_from(text, u.tls ? 8 : 7);
    if (!u.tls && !slice_ieq(slice_first(text, 7), SLICE("http://")))
        return ERR_INVALID;
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
        end++;
    if (read_authority(slice_first(rest, end), &u) || read_path(slice_from(rest, end), &u))
        return ERR_INVALID;
    *ret = u;
    return ERR_OK;
}
