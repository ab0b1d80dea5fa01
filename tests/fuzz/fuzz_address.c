/*
 * fuzz_address — URLs, addresses and networks: what is accepted has one reading only.
 *
 * An accepted URL, written again from its parts, is read into the same parts; its host names
 * what libc would connect to, or is a name no libc reads as a number; nothing of it could move
 * an authority or a path for another reader. An accepted address reads back as it was printed;
 * a network holds its own base; the egress rule gives mapped and plain forms the same result.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/net/address.h"
#include "common/net/egress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what, struct slice text)
{
    if (holds)
        return;
    fprintf(stderr, "%s: %.*s\n", what, SLICE_ARG(text));
    abort();
}

static bool inside(struct slice part, struct slice whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static bool has_any(struct slice s, const char *chars)
{
    for (; *chars; chars++)
        if (slice_find(s, *chars) >= 0)
            return true;
    return false;
}

static bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] == 0x7f)
            return false;
    return true;
}

/* inet_aton reads every shape that some resolver takes for a number: 127.1, 0x7f000001, 017.0.1 */
static void check_host(struct slice host)
{
    char text[256];
    union sockaddr_any a;
    struct in_addr loose;
    must(host.len > 0 && host.len < sizeof(text), "host length", host);
    must(is_visible(host) && !has_any(host, "/\\@?#[]%"), "host bytes", host);
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    bool literal = address_literal(host, 0, &a);
    if (inet_aton(text, &loose)) {
        must(literal && a.sa.sa_family == AF_INET, "loose number taken for a name", host);
        must(a.in.sin_addr.s_addr == loose.s_addr, "two readings of a number", host);
    }
    must(literal || slice_find(host, ':') < 0, "colon in a name", host);
}

static void check_path(const struct url *u)
{
    must(u->path.len == 0 || u->path.ptr[0] == '/', "path start", u->path);
    must(u->path.len == 0 || u->path.ptr[u->path.len - 1] != '/', "path end", u->path);
    must(is_visible(u->path) && !has_any(u->path, "?#\\"), "path bytes", u->path);
    must(is_visible(u->query) && !has_any(u->query, "#"), "query bytes", u->query);
    must(slice_search(u->path, SLICE("//")) < 0, "empty segment", u->path);
    must(slice_search(u->path, SLICE("/./")) < 0 && !slice_ends(u->path, SLICE("/.")),
         "dot segment", u->path);
    must(slice_search(u->path, SLICE("/../")) < 0 && !slice_ends(u->path, SLICE("/..")),
         "dots segment", u->path);
}

static void check_url(struct slice text)
{
    struct url u, again;
    if (url_parse(text, &u))
        return;
    must(inside(u.host, text) && inside(u.path, text) && inside(u.query, text), "bounds", text);
    must(u.port != 0, "port", text);
    check_host(u.host);
    check_path(&u);
    struct buf out;
    bool v6 = slice_find(u.host, ':') >= 0;
    buf_init(&out, text.len + 64);
    must(!buf_printf(&out, "http%s://%s%.*s%s:%u%.*s?%.*s", u.tls ? "s" : "", v6 ? "[" : "",
                     SLICE_ARG(u.host), v6 ? "]" : "", u.port, SLICE_ARG(u.path),
                     SLICE_ARG(u.query)),
         "print", text);
    must(!url_parse(buf_slice(&out), &again), "read again", buf_slice(&out));
    must(again.tls == u.tls && again.port == u.port && slice_eq(again.host, u.host) &&
             slice_eq(again.path, u.path) && slice_eq(again.query, u.query),
         "same again", buf_slice(&out));
    buf_fini(&out);
}

static void check_address(struct slice text)
{
    union sockaddr_any a, again;
    char out[ADDRESS_TEXT_MAX], out2[ADDRESS_TEXT_MAX];
    if (address_parse(text, &a))
        return;
    struct slice printed = address_format(&a, out);
    must(!address_parse(printed, &again), "address again", printed);
    must(slice_eq(address_format(&again, out2), printed), "address changed", printed);
}

static void check_cidr(struct slice text)
{
    struct cidr c;
    if (cidr_parse(text, &c))
        return;
    must(c.bits <= (c.base.sa.sa_family == AF_INET6 ? 128 : 32), "bits", text);
    must(cidr_holds(&c, &c.base), "its own base", text);
    const struct egress_rule rule = {&c, 1};
    if (egress_check(NULL, &c.base) == ERR_OK)
        must(egress_check(&rule, &c.base) == ERR_OK, "a rule that takes away", text);
}

static void check_egress(const uint8_t *data, size_t size)
{
    union sockaddr_any six = {.in6 = {.sin6_family = AF_INET6}};
    if (size < 16)
        return;
    memcpy(&six.in6.sin6_addr, data, 16);
    union sockaddr_any folded = address_fold(&six);
    must(egress_check(NULL, &six) == egress_check(NULL, &folded), "mapped differs",
         slice_of(data, 16));
    if (IN6_IS_ADDR_LOOPBACK(&six.in6.sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&six.in6.sin6_addr) ||
        IN6_IS_ADDR_MULTICAST(&six.in6.sin6_addr) || (data[0] & 0xfe) == 0xfc)
        must(egress_check(NULL, &six) == ERR_DENIED, "inner address passes", slice_of(data, 16));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    check_url(text);
    check_address(text);
    check_cidr(text);
    check_egress(data, size);
    return 0;
}
