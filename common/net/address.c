/* address — literal addresses, networks, and the few URLs an upstream may have. */
#include "common/net/address.h"

#include <arpa/inet.h>
#include <stdio.h>

#define V6_BITS 128u
#define V4_BITS 32u
#define V4_MAPPED_BITS 96u

static bool is_mapped(const struct in6_addr *a)
{
    return IN6_IS_ADDR_V4MAPPED(a);
}

/* Text without a NUL, into a library that wants one. */
static bool to_text(struct slice s, char *out, size_t size)
{
    if (s.len == 0 || s.len >= size || slice_find(s, '\0') >= 0)
        return false;
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

static bool parse_v4(struct slice s, union sockaddr_any *ret)
{
    char text[INET_ADDRSTRLEN];
    memset(ret, 0, sizeof(*ret));
    ret->in.sin_family = AF_INET;
    return to_text(s, text, sizeof(text)) && inet_pton(AF_INET, text, &ret->in.sin_addr) == 1;
}

static bool parse_v6(struct slice s, union sockaddr_any *ret)
{
    char text[INET6_ADDRSTRLEN];
    memset(ret, 0, sizeof(*ret));
    ret->in6.sin6_family = AF_INET6;
    return to_text(s, text, sizeof(text)) && inet_pton(AF_INET6, text, &ret->in6.sin6_addr) == 1;
}

bool address_literal(struct slice host, uint16_t port, union sockaddr_any *ret)
{
    if (parse_v4(host, ret))
        ret->in.sin_port = htons(port);
    else if (parse_v6(host, ret))
        ret->in6.sin6_port = htons(port);
    else
        return false;
    return true;
}

static enum err parse_port(struct slice s, uint16_t *ret)
{
    uint64_t n;
    if (s.len == 0 || s.len > 5 || slice_u64(s, &n) || n > UINT16_MAX)
        return ERR_INVALID;
    *ret = (uint16_t)n;
    return ERR_OK;
}

enum err address_split(struct slice text, struct slice *host, struct slice *port, bool *bracketed)
{
    bool v6 = text.len > 0 && text.ptr[0] == '[';
    ptrdiff_t end = slice_find(text, v6 ? ']' : ':');
    if (v6 && end < 0)
        return ERR_INVALID;
    size_t len = end < 0 ? text.len : (size_t)end;
    struct slice rest = slice_from(text, v6 ? len + 1 : len);
    if (rest.len > 0 && rest.ptr[0] != ':')
        return ERR_INVALID;
    *host = v6 ? slice_of(text.ptr + 1, len - 1) : slice_first(text, len);
    *port = rest.len > 0 ? slice_from(rest, 1) : SLICE_NONE;
    *bracketed = v6;
    return ERR_OK;
}

enum err address_parse(struct slice text, union sockaddr_any *ret)
{
    struct slice host, port;
    bool v6;
    uint16_t number;
    union sockaddr_any a;
    if (address_split(text, &host, &port, &v6) || parse_port(port, &number))
        return ERR_INVALID;
    if (v6 ? !parse_v6(host, &a) : !parse_v4(host, &a))
        return ERR_INVALID;
    if (v6)
        a.in6.sin6_port = htons(number);
    else
        a.in.sin_port = htons(number);
    *ret = a;
    return ERR_OK;
}

struct slice address_format(const union sockaddr_any *a, char out[static ADDRESS_TEXT_MAX])
{
    char text[INET6_ADDRSTRLEN] = "";
    int n = 0;
    if (a->sa.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->in.sin_addr, text, sizeof(text));
        n = snprintf(out, ADDRESS_TEXT_MAX, "%s:%u", text, ntohs(a->in.sin_port));
    } else if (a->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->in6.sin6_addr, text, sizeof(text));
        n = snprintf(out, ADDRESS_TEXT_MAX, "[%s]:%u", text, ntohs(a->in6.sin6_port));
    } else {
        out[0] = '\0';
    }
    return slice_of(out, (size_t)n);
}

union sockaddr_any address_fold(const union sockaddr_any *a)
{
    union sockaddr_any folded = *a;
    if (a->sa.sa_family != AF_INET6 || !is_mapped(&a->in6.sin6_addr))
        return folded;
    memset(&folded, 0, sizeof(folded));
    folded.in.sin_family = AF_INET;
    folded.in.sin_port = a->in6.sin6_port;
    memcpy(&folded.in.sin_addr, a->in6.sin6_addr.s6_addr + 12, 4);
    return folded;
}

uint16_t address_port(const union sockaddr_any *a)
{
    return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

/* networks */

static const uint8_t *bytes_of(const union sockaddr_any *a)
{
    return a->sa.sa_family == AF_INET6 ? a->in6.sin6_addr.s6_addr
                                       : (const uint8_t *)&a->in.sin_addr;
}

static unsigned width_of(const union sockaddr_any *a)
{
    return a->sa.sa_family == AF_INET6 ? V6_BITS : V4_BITS;
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8) != 0)
        return false;
    unsigned mask = bits % 8 ? 0xffu << (8 - bits % 8) & 0xffu : 0;
    return mask == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}

/* "10.0.0.1/8" is more often a mistake than meant: bits behind the prefix are refused. */
static bool is_clean(const struct cidr *c)
{
    uint8_t zero[16] = {0};
    const uint8_t *b = bytes_of(&c->base);
    for (unsigned bit = c->bits; bit < width_of(&c->base); bit++)
        zero[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
    for (unsigned i = 0; i < width_of(&c->base) / 8; i++)
        if (b[i] & zero[i])
            return false;
    return true;
}

enum err cidr_parse(struct slice text, struct cidr *ret)
{
    struct cidr c;
    ptrdiff_t slash = slice_find(text, '/');
    struct slice base = slash < 0 ? text : slice_first(text, (size_t)slash);
    if (!address_literal(base, 0, &c.base))
        return ERR_INVALID;
    uint64_t bits = width_of(&c.base);
    if (slash >= 0) {
        struct slice digits = slice_from(text, (size_t)slash + 1);
        if (digits.len == 0 || digits.len > 3 || slice_u64(digits, &bits) ||
            bits > width_of(&c.base))
            return ERR_INVALID;
    }
    if (c.base.sa.sa_family == AF_INET6 && is_mapped(&c.base.in6.sin6_addr)) {
        if (bits < V4_MAPPED_BITS)
            return ERR_INVALID;
        c.base = address_fold(&c.base);
        bits -= V4_MAPPED_BITS;
    }
    c.bits = (unsigned)bits;
    if (!is_clean(&c))
        return ERR_INVALID;
    *ret = c;
    return ERR_OK;
}

bool cidr_holds(const struct cidr *c, const union sockaddr_any *a)
{
    union sockaddr_any folded = address_fold(a);
    return folded.sa.sa_family == c->base.sa.sa_family &&
           same_prefix(bytes_of(&folded), bytes_of(&c->base), c->bits);
}
