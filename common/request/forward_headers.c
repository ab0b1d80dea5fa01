/* forward_headers — names are compared without case (RFC 9110 section 5.1). */
#include "common/request/forward_headers.h"

#include "common/base/limits.h"

#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

/* What a company's service may need of the caller's request; RFC 9110 unless said. */
static const struct slice request_names[] = {
    NAME("accept"),
    NAME("accept-language"),
    NAME("content-type"),
    NAME("content-language"),
    NAME("if-match"),
    NAME("if-none-match"),
    NAME("if-range"),
    NAME("if-modified-since"),
    NAME("if-unmodified-since"),
    NAME("range"),
    NAME("user-agent"),
    NAME("prefer"), /* RFC 7240 */
    NAME("idempotency-key"),
    NAME("x-idempotency-key"),
    NAME("x-correlation-id"),
};

static const struct slice response_names[] = {
    NAME("content-type"),
    NAME("content-language"),
    NAME("content-encoding"),
    NAME("content-disposition"),
    NAME("content-range"),
    NAME("accept-ranges"),
    NAME("allow"),
    NAME("cache-control"),
    NAME("deprecation"), /* RFC 9745 */
    NAME("etag"),
    NAME("expires"),
    NAME("last-modified"),
    NAME("link"), /* RFC 8288 */
    NAME("location"),
    NAME("preference-applied"),
    NAME("retry-after"),
    NAME("sunset"), /* RFC 8594 */
    NAME("vary"),
    NAME("x-total-count"),
};

static bool is_listed(const struct slice *names, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_ieq(names[i], name))
            return true;
    }
    return false;
}

/* A name in a Connection header is for this hop only (RFC 9110 7.6.1). */
static bool is_for_this_hop(const struct http_head *h, struct slice name)
{
    for (size_t i = 0; i < h->header_count; i++) {
        if (!slice_ieq(h->headers[i].name, SLICE("connection")))
            continue;
        struct slice rest = h->headers[i].value, option;
        while (slice_split(&rest, ',', &option)) {
            if (slice_ieq(slice_trim(option), name))
                return true;
        }
    }
    return false;
}

size_t forward_request_headers(const struct forward_in *in, struct http_header *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < in->head->header_count && n < max; i++) {
        const struct http_header *h = &in->head->headers[i];
        if (is_listed(request_names, ARRAY_LEN(request_names), h->name) &&
            !slice_ieq(h->name, in->injected) && !is_for_this_hop(in->head, h->name))
            out[n++] = *h;
    }
    return n;
}

bool forward_response_header(struct slice name, bool set_cookie)
{
    if (slice_ieq(name, SLICE("set-cookie")))
        return set_cookie;
    return is_listed(response_names, ARRAY_LEN(response_names), name);
}

#define OUR_NAME "gatehouse"
#define OURS_ONCE "1.1 " OUR_NAME

/* "1.1 gatehouse", "HTTP/1.1 gatehouse (a comment)" */
static bool is_ours(struct slice member)
{
    struct slice protocol, name;
    member = slice_trim(member);
    if (!slice_split(&member, ' ', &protocol))
        return false;
    member = slice_trim(member);
    return slice_split(&member, ' ', &name) && slice_ieq(name, SLICE(OUR_NAME));
}

unsigned forward_hops(const struct http_head *head)
{
    unsigned count = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *h = &head->headers[i];
        if (h->name.len != 3 || !slice_ieq(h->name, SLICE("via")))
            continue;
        struct slice rest = h->value, member;
        while (slice_split(&rest, ',', &member))
            count += is_ours(member);
    }
    return count;
}

struct slice forward_via(const struct http_head *head)
{
    static const char all[] =
        OURS_ONCE ", " OURS_ONCE ", " OURS_ONCE ", " OURS_ONCE ", " OURS_ONCE ", " OURS_ONCE;
    const size_t one = sizeof(OURS_ONCE) - 1, comma = 2;
    unsigned hops = forward_hops(head);
    if (hops > LIMIT_HOPS)
        hops = LIMIT_HOPS;
    return slice_of(all, one + hops * (one + comma));
}

_Static_assert(LIMIT_HOPS == 5, "forward_via's text holds one member more");

#define DAY_S HTTP_RETRY_AFTER_MAX_S

static bool is_within(struct slice value, uint64_t most)
{
    uint64_t n;
    return !slice_u64(value, &n) && n <= most;
}

/* RFC 9110 section 5.6.7, the form that may be sent. */
static bool is_date(struct slice value)
{
    static const char form[] = "Aaa, 00 Aaa 0000 00:00:00 GMT";
    if (value.len != sizeof(form) - 1 || !slice_ends(value, SLICE(" GMT")))
        return false;
    for (size_t i = 0; i < value.len - 4; i++) {
        char c = value.ptr[i], f = form[i];
        bool fits = f == 'A'   ? c >= 'A' && c <= 'Z'
                    : f == 'a' ? c >= 'a' && c <= 'z'
                    : f == '0' ? c >= '0' && c <= '9'
                               : c == f;
        if (!fits)
            return false;
    }
    return true;
}

bool response_value_is_valid(struct slice name, struct slice value)
{
    if (slice_ieq(name, SLICE("retry-after")))
        return is_within(value, DAY_S) || is_date(value);
    if (slice_ieq(name, SLICE("retry-after-ms")))
        return is_within(value, DAY_S * 1000);
    return true;
}
