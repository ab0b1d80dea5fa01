/* egress — three tables: networks that are never allowed, networks that need an owner's rule, and
 * IPv6 forms that hold an IPv4 address. */
#include "common/net/egress.h"

#include <arpa/inet.h>

struct v4_net {
    uint32_t base;
    unsigned bits;
};

struct v6_net {
    uint8_t base[16];
    unsigned bits;
};

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))
/* an address of four leading and two trailing groups, enough for every row below */
#define G(x) (uint8_t)((x) >> 8), (uint8_t)((x)&0xff)
#define V6(a, b, c, d, g, h)                                                                       \
    {                                                                                              \
        G(a), G(b), G(c), G(d), G(0), G(0), G(g), G(h)                                             \
    }

/* Cloud metadata services: what they return contains the machine's own credentials. */
static const uint32_t v4_metadata[] = {
    V4(169, 254, 169, 254), /* AWS, GCP, Azure, OCI, DigitalOcean, OpenStack */
    V4(169, 254, 170, 2),   /* AWS ECS tasks */
    V4(169, 254, 170, 23),  /* AWS EKS pod identity */
    V4(100, 100, 100, 200), /* Alibaba */
    V4(168, 63, 129, 16),   /* Azure's wire server, a public address */
    V4(192, 0, 0, 192),     /* Oracle classic */
    V4(169, 254, 0, 23),    /* Tencent */
    V4(169, 254, 42, 42),   /* Scaleway */
};

static const uint8_t v6_metadata[][16] = {
    V6(0xfd00, 0x0ec2, 0, 0, 0, 0x0254),      /* AWS */
    V6(0xfd00, 0x0ec2, 0, 0, 0, 0x0023),      /* AWS EKS pod identity */
    V6(0xfd20, 0x00ce, 0, 0, 0, 0x0254),      /* GCP */
    V6(0xfd00, 0x0042, 0, 0, 0, 0x0042),      /* Scaleway */
    V6(0xfd00, 0x00c1, 0, 0, 0xa9fe, 0xa9fe), /* OCI */
    V6(0xfe80, 0, 0, 0, 0xa9fe, 0xa9fe),      /* OpenStack */
};

/* "This network": no destination, yet the kernel takes it for this very machine. No exception
 * opens it; a rule that means loopback names it. */
static const struct v4_net v4_nowhere = {V4(0, 0, 0, 0), 8};

/* IANA's special-purpose registry (RFC 6890 and its updates) */
static const struct v4_net v4_private[] = {
    {V4(10, 0, 0, 0), 8},      /* RFC 1918 */
    {V4(100, 64, 0, 0), 10},   /* CGNAT, RFC 6598 */
    {V4(127, 0, 0, 0), 8},     /* loopback */
    {V4(169, 254, 0, 0), 16},  /* link-local */
    {V4(172, 16, 0, 0), 12},   /* RFC 1918 */
    {V4(192, 0, 0, 0), 24},    /* protocol assignments */
    {V4(192, 0, 2, 0), 24},    /* documentation */
    {V4(192, 88, 99, 0), 24},  /* 6to4 relays, RFC 7526 */
    {V4(192, 168, 0, 0), 16},  /* RFC 1918 */
    {V4(198, 18, 0, 0), 15},   /* benchmarks, RFC 2544 */
    {V4(198, 51, 100, 0), 24}, /* documentation */
    {V4(203, 0, 113, 0), 24},  /* documentation */
    {V4(224, 0, 0, 0), 4},     /* multicast */
    {V4(240, 0, 0, 0), 4},     /* reserved, broadcast */
};

static const uint8_t v6_loopback[16] = V6(0, 0, 0, 0, 0, 1);
/* Everything outside 2000::/3 is refused already (loopback, ULA, link-local, multicast …). */
static const struct v6_net v6_public = {V6(0x2000, 0, 0, 0, 0, 0), 3};
static const struct v6_net v6_private[] = {
    {V6(0x2001, 0, 0, 0, 0, 0), 23},      /* protocol assignments, Teredo among them */
    {V6(0x2001, 0x0db8, 0, 0, 0, 0), 32}, /* documentation */
    {V6(0x3fff, 0, 0, 0, 0, 0), 20},      /* documentation, RFC 9637 */
};

/* IPv6 addresses that lead to an IPv4 one, and where in them it lies. */
static const struct {
    struct v6_net net;
    unsigned at;
} v6_carriers[] = {
    {{V6(0, 0, 0, 0, 0, 0), 96}, 12},           /* IPv4-compatible, RFC 4291 */
    {{V6(0x0064, 0xff9b, 0, 0, 0, 0), 96}, 12}, /* NAT64, RFC 6052 */
    {{V6(0x2002, 0, 0, 0, 0, 0), 16}, 2},       /* 6to4, RFC 3056 */
};

static bool in_v4(const struct v4_net *net, uint32_t a)
{
    return (a ^ net->base) >> (32 - net->bits) == 0;
}

static bool in_v6(const struct v6_net *net, const uint8_t *a)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(a, net->base, whole) != 0)
        return false;
    return rest == 0 || (a[whole] ^ net->base[whole]) >> (8 - rest) == 0;
}

static uint32_t v4_at(const uint8_t *p)
{
    return V4(p[0], p[1], p[2], p[3]);
}

enum verdict { PUBLIC, PRIVATE, METADATA, NEITHER };

static enum verdict judge_v4(uint32_t a)
{
    for (size_t i = 0; i < ARRAY_LEN(v4_metadata); i++)
        if (a == v4_metadata[i])
            return METADATA;
    if (in_v4(&v4_nowhere, a))
        return NEITHER;
    for (size_t i = 0; i < ARRAY_LEN(v4_private); i++)
        if (in_v4(&v4_private[i], a))
            return PRIVATE;
    return PUBLIC;
}

static bool is_nat64(const uint8_t *a)
{
    return in_v6(&v6_carriers[1].net, a);
}

static enum verdict judge_v6(const uint8_t *a)
{
    enum verdict inner = PUBLIC;
    for (size_t i = 0; i < ARRAY_LEN(v6_metadata); i++)
        if (memcmp(a, v6_metadata[i], 16) == 0)
            return METADATA;
    if (memcmp(a, v6_loopback, 16) == 0)
        return PRIVATE; /* and not 0.0.0.1 in IPv6 */
    for (size_t i = 0; i < ARRAY_LEN(v6_carriers) && inner == PUBLIC; i++)
        if (in_v6(&v6_carriers[i].net, a))
            inner = judge_v4(v4_at(a + v6_carriers[i].at));
    if (inner != PUBLIC)
        return inner;
    if (!in_v6(&v6_public, a) && !is_nat64(a))
        return PRIVATE;
    for (size_t i = 0; i < ARRAY_LEN(v6_private); i++)
        if (in_v6(&v6_private[i], a))
            return PRIVATE;
    return PUBLIC;
}

static bool is_allowed(const struct egress_rule *rule, const union sockaddr_any *a)
{
    for (size_t i = 0; rule && i < rule->allowed_count; i++)
        if (cidr_holds(&rule->allowed[i], a))
            return true;
    return false;
}

/* A network that holds a metadata address by chance opens nothing. */
static bool is_named(const struct egress_rule *rule, const union sockaddr_any *a)
{
    unsigned bits = a->sa.sa_family == AF_INET ? 32 : 128;
    for (size_t i = 0; rule && i < rule->allowed_count; i++)
        if (rule->allowed[i].bits == bits && cidr_holds(&rule->allowed[i], a))
            return true;
    return false;
}

/* NEITHER: no address of the internet at all */
static enum verdict judge(const union sockaddr_any *folded)
{
    if (folded->sa.sa_family == AF_INET)
        return judge_v4(ntohl(folded->in.sin_addr.s_addr));
    if (folded->sa.sa_family == AF_INET6)
        return judge_v6(folded->in6.sin6_addr.s6_addr);
    return NEITHER;
}

enum err egress_check(const struct egress_rule *rule, const union sockaddr_any *a)
{
    union sockaddr_any folded = address_fold(a);
    enum verdict v = judge(&folded);
    if (v == PUBLIC)
        return ERR_OK;
    return v == PRIVATE && is_allowed(rule, &folded) ? ERR_OK : ERR_DENIED;
}

enum err egress_check_own(const struct egress_rule *rule, const union sockaddr_any *a)
{
    union sockaddr_any folded = address_fold(a);
    bool named = judge(&folded) == METADATA && is_named(rule, &folded);
    return named ? ERR_OK : egress_check(rule, a);
}

bool egress_is_metadata(const union sockaddr_any *a)
{
    union sockaddr_any folded = address_fold(a);
    return judge(&folded) == METADATA;
}
