/* aws_signature — the Authorization header; the canonical request; the signature. */
#include "common/request/aws_signature.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/secret.h"

#define SKEW_US (5 * 60 * (int64_t)1000000)
#define CANONICAL_MAX (128 * 1024)
#define NAMES_MAX 64
#define SECRET_MAX 128
#define DAY 8
#define UNSIGNED "UNSIGNED-PAYLOAD"

bool aws_is_signed(struct slice authorization)
{
    return slice_starts(authorization, SLICE(AWS_SCHEME " "));
}

/* ---- what it says ---- */

/* "20150830T123600Z" */
static enum err read_date(struct slice date, int64_t *ret)
{
    char text[24];
    const char *d = date.ptr;
    if (date.len != 16 || d[8] != 'T' || d[15] != 'Z')
        return ERR_INVALID;
    const struct slice parts[] = {slice_of(d, 4),      SLICE("-"), slice_of(d + 4, 2),  SLICE("-"),
                                  slice_of(d + 6, 2),  SLICE("T"), slice_of(d + 9, 2),  SLICE(":"),
                                  slice_of(d + 11, 2), SLICE(":"), slice_of(d + 13, 2), SLICE("Z")};
    char *to = text;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        to = slice_put(to, parts[i]);
    return clock_parse(slice_of(text, (size_t)(to - text)), ret);
}

static bool take_part(struct slice *rest, struct slice name, struct slice *ret)
{
    struct slice part;
    if (!slice_split(rest, ',', &part))
        return false;
    part = slice_trim(part);
    if (!slice_starts(part, name))
        return false;
    *ret = slice_from(part, name.len);
    return ret->len > 0;
}

/* KEY/DAY/REGION/SERVICE/aws4_request */
static bool take_scope(struct slice scope, struct aws_claim *c)
{
    struct slice end;
    return slice_split(&scope, '/', &c->key_id) && slice_split(&scope, '/', &c->day) &&
           slice_split(&scope, '/', &c->region) && slice_split(&scope, '/', &c->service) &&
           slice_split(&scope, '/', &end) && slice_eq(end, SLICE("aws4_request")) && !scope.len;
}

static bool is_hex64(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(s.ptr[i] >= '0' && s.ptr[i] <= '9') && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'f'))
            return false;
    return s.len == 64;
}

static bool is_among(struct slice names, struct slice name)
{
    struct slice one;
    while (slice_split(&names, ';', &one))
        if (slice_ieq(one, name))
            return true;
    return false;
}

/* In order, each once and in lower case, and each of them there. */
static bool names_are_good(const struct http_head *h, struct slice names)
{
    struct slice one, last = SLICE("");
    size_t count = 0;
    while (slice_split(&names, ';', &one)) {
        for (size_t i = 0; i < one.len; i++)
            if (one.ptr[i] >= 'A' && one.ptr[i] <= 'Z')
                return false;
        if (++count > NAMES_MAX || !one.len || slice_cmp(last, one) >= 0 ||
            http_head_count(h, one) == 0)
            return false;
        last = one;
    }
    return count > 0;
}

static bool signs_enough(const struct http_head *h, struct slice names)
{
    if (!is_among(names, SLICE("host")) || !is_among(names, SLICE("x-amz-date")))
        return false;
    for (size_t i = 0; i < h->header_count; i++) {
        struct slice name = h->headers[i].name;
        bool amz = slice_ieq(slice_first(name, 6), SLICE("x-amz-"));
        bool ours = slice_ieq(slice_first(name, 12), SLICE("x-gatehouse-"));
        if ((amz || ours) && !is_among(names, name))
            return false;
    }
    return true;
}

enum err aws_claim_read(const struct http_head *h, struct slice authorization, int64_t now_us,
                        struct aws_claim *ret)
{
    struct slice rest = slice_from(authorization, sizeof(AWS_SCHEME)), scope;
    int64_t at_us;
    struct aws_claim c = {.date = http_head_find(h, SLICE("x-amz-date")),
                          .body = http_head_find(h, SLICE("x-amz-content-sha256"))};
    bool said = aws_is_signed(authorization) && take_part(&rest, SLICE("Credential="), &scope) &&
                take_scope(scope, &c) && take_part(&rest, SLICE("SignedHeaders="), &c.names) &&
                take_part(&rest, SLICE("Signature="), &c.signature) && !rest.len &&
                is_hex64(c.signature);
    if (!said || !names_are_good(h, c.names) || !signs_enough(h, c.names))
        return ERR_INVALID;
    bool once = http_head_count(h, SLICE("x-amz-date")) == 1 &&
                http_head_count(h, SLICE("authorization")) == 1 &&
                http_head_count(h, SLICE("x-amz-content-sha256")) <= 1;
    if (!once || (c.body.ptr && !is_hex64(c.body)) || slice_find(h->target, '?') >= 0)
        return ERR_INVALID;
    if (c.day.len != DAY || !slice_starts(c.date, c.day) || read_date(c.date, &at_us) ||
        at_us < now_us - SKEW_US || at_us > now_us + SKEW_US)
        return ERR_INVALID;
    *ret = c;
    return ERR_OK;
}

/* ---- the canonical request ---- */

static enum err put_path(struct buf *out, struct slice path)
{
    static const char digits[] = "0123456789ABCDEF";
    enum err e = ERR_OK;
    for (size_t i = 0; i < path.len && !e; i++) {
        char c = path.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~' || c == '/';
        const char coded[] = {'%', digits[(unsigned char)c >> 4], digits[(unsigned char)c & 15]};
        e = buf_append(out, plain ? slice_of(&c, 1) : slice_of(coded, sizeof(coded)));
    }
    return e;
}

/* Spaces at both ends go, and those between become one. */
static enum err put_value(struct buf *out, struct slice value)
{
    enum err e = ERR_OK;
    value = slice_trim(value);
    for (size_t i = 0; i < value.len && !e; i++)
        if (value.ptr[i] != ' ' || value.ptr[i - 1] != ' ')
            e = buf_append(out, slice_of(value.ptr + i, 1));
    return e;
}

static enum err put_header(struct buf *out, const struct http_head *h, struct slice name)
{
    enum err e = buf_append(out, name);
    bool first = true;
    for (size_t i = 0; i < h->header_count && !e; i++) {
        if (!slice_ieq(h->headers[i].name, name))
            continue;
        e = buf_append(out, first ? SLICE(":") : SLICE(","));
        first = false;
        if (!e)
            e = put_value(out, h->headers[i].value);
    }
    return e ? e : buf_append(out, SLICE("\n"));
}

static enum err put_request(struct buf *out, const struct aws_claim *c, const struct http_head *h,
                            struct slice body)
{
    struct slice names = c->names, one;
    enum err e = buf_append(out, h->method);
    if (!e)
        e = buf_append(out, SLICE("\n"));
    if (!e)
        e = put_path(out, h->target);
    if (!e)
        e = buf_append(out, SLICE("\n\n"));
    while (!e && slice_split(&names, ';', &one))
        e = put_header(out, h, one);
    const struct slice rest[] = {SLICE("\n"), c->names, SLICE("\n"), body};
    for (size_t i = 0; i < ARRAY_LEN(rest) && !e; i++)
        e = buf_append(out, rest[i]);
    return e;
}

/* ---- the signature ---- */

static struct slice bytes_of(const struct digest *d)
{
    return slice_of(d->bytes, DIGEST_LEN);
}

/* Each step is the key of the next. */
static void make_key(const struct aws_claim *c, struct slice secret, struct digest *ret)
{
    char first[4 + SECRET_MAX] = "AWS4";
    const struct slice steps[] = {c->region, c->service, SLICE("aws4_request")};
    slice_put(first + 4, secret);
    digest_hmac(slice_of(first, 4 + secret.len), c->day, ret);
    secret_wipe(first, sizeof(first));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct digest next;
        digest_hmac(bytes_of(ret), steps[i], &next);
        *ret = next;
        secret_wipe(&next, sizeof(next));
    }
}

bool aws_claim_is_true(const struct aws_claim *c, const struct http_head *h, struct slice body,
                       struct slice secret)
{
    char request[DIGEST_HEX_MAX], want[DIGEST_HEX_MAX];
    struct digest d, key;
    struct buf text;
    if (secret.len > SECRET_MAX)
        return false;
    buf_init(&text, CANONICAL_MAX);
    enum err e = put_request(&text, c, h, body);
    digest_sha256(buf_slice(&text), &d);
    digest_hex(bytes_of(&d), request);
    buf_clear(&text);
    if (!e)
        e = buf_printf(&text, AWS_SCHEME "\n%.*s\n%.*s/%.*s/%.*s/aws4_request\n%s",
                       SLICE_ARG(c->date), SLICE_ARG(c->day), SLICE_ARG(c->region),
                       SLICE_ARG(c->service), request);
    make_key(c, secret, &key);
    digest_hmac(bytes_of(&key), buf_slice(&text), &d);
    secret_wipe(&key, sizeof(key));
    digest_hex(bytes_of(&d), want);
    buf_fini(&text);
    return !e && digest_equal(slice_str(want), c->signature);
}
