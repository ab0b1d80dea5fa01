/*
 * aws_sign — canonical request, text to sign, signing key, signature; in this order, as AWS
 * describes it.
 */
#include "dataplane/ai/provider/aws_sign.h"

#include <stdio.h>
#include <time.h>

#include "common/base/secret.h"

#define DATE_MAX 17 /* "20150830T123600Z" */
#define DAY 8
#define SECRET_MAX 1024 /* AWS hands out 40 characters */

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static struct slice encode(struct slice text, bool keeps_slash, struct arena *a)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, 3 * text.len + 1), *to = out;
    if (!out)
        return SLICE_NONE;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (is_unreserved((char)c) || (keeps_slash && c == '/')) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = digits[c >> 4];
        *to++ = digits[c & 15];
    }
    return slice_of(out, (size_t)(to - out));
}

struct slice aws_path_segment(struct slice name, struct arena *a)
{
    return encode(name, false, a);
}

static void write_date(int64_t at_us, char out[static DATE_MAX])
{
    time_t seconds = (time_t)(at_us / 1000000);
    struct tm t = {0};
    gmtime_r(&seconds, &t);
    strftime(out, DATE_MAX, "%Y%m%dT%H%M%SZ", &t);
}

/* Names of the signed headers, in order. */
static struct slice signed_names(const struct aws_signing *s)
{
    static const struct slice names[2][2] = {
        {{"host;x-amz-date", 15}, {"host;x-amz-date;x-amz-security-token", 36}},
        {{"content-type;host;x-amz-date", 28},
         {"content-type;host;x-amz-date;x-amz-security-token", 49}},
    };
    return names[s->content_type.len > 0][s->session_token.len > 0];
}

static enum err hash_request(const struct aws_signing *s, const char *date, struct arena *a,
                             struct digest *ret)
{
    char body[DIGEST_HEX_MAX];
    struct digest d;
    struct slice path = encode(s->path.len ? s->path : SLICE("/"), true, a);
    digest_sha256_pieces(s->body, s->body_count, &d);
    digest_hex(slice_of(d.bytes, DIGEST_LEN), body);
    bool typed = s->content_type.len > 0, token = s->session_token.len > 0;
    const struct slice pieces[] = {
        s->method,
        SLICE("\n"),
        path,
        SLICE("\n"),
        s->query,
        typed ? SLICE("\ncontent-type:") : SLICE(""),
        s->content_type,
        SLICE("\nhost:"),
        s->host,
        SLICE("\nx-amz-date:"),
        slice_str(date),
        token ? SLICE("\nx-amz-security-token:") : SLICE(""),
        s->session_token,
        SLICE("\n\n"),
        signed_names(s),
        SLICE("\n"),
        slice_str(body),
    };
    digest_sha256_pieces(pieces, ARRAY_LEN(pieces), ret);
    return path.ptr ? ERR_OK : ERR_NOMEM;
}

static struct slice bytes_of(const struct digest *d)
{
    return slice_of(d->bytes, DIGEST_LEN);
}

/* Each step is the key of the next. */
static void make_key(const struct aws_signing *s, struct slice day, struct digest *ret)
{
    char first[4 + SECRET_MAX] = "AWS4";
    const struct slice steps[] = {s->region, s->service, SLICE("aws4_request")};
    slice_put(first + 4, s->secret);
    digest_hmac(slice_of(first, 4 + s->secret.len), day, ret);
    secret_wipe(first, 4 + s->secret.len);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct digest next;
        digest_hmac(bytes_of(ret), steps[i], &next);
        *ret = next;
        secret_wipe(&next, sizeof(next));
    }
}

enum err aws_sign(const struct aws_signing *s, struct arena *a, struct aws_signature *ret)
{
    char date[DATE_MAX], request[DIGEST_HEX_MAX], signature[DIGEST_HEX_MAX];
    struct digest d, key;
    if (s->secret.len > SECRET_MAX)
        return ERR_TOO_BIG;
    write_date(s->at_us, date);
    enum err e = hash_request(s, date, a, &d);
    if (e)
        return e;
    digest_hex(bytes_of(&d), request);
    struct slice day = slice_of(date, DAY);
    struct slice scope = arena_printf(a, "%.*s/%.*s/%.*s/aws4_request", SLICE_ARG(day),
                                      SLICE_ARG(s->region), SLICE_ARG(s->service));
    struct slice text =
        arena_printf(a, "AWS4-HMAC-SHA256\n%s\n%.*s\n%s", date, SLICE_ARG(scope), request);
    if (!scope.ptr || !text.ptr)
        return ERR_NOMEM;
    make_key(s, day, &key);
    digest_hmac(bytes_of(&key), text, &d);
    secret_wipe(&key, sizeof(key));
    digest_hex(bytes_of(&d), signature);
    ret->date = arena_copy(a, slice_str(date));
    ret->authorization = arena_printf(
        a, "AWS4-HMAC-SHA256 Credential=%.*s/%.*s, SignedHeaders=%.*s, Signature=%s",
        SLICE_ARG(s->access_key_id), SLICE_ARG(scope), SLICE_ARG(signed_names(s)), signature);
    return ret->date.ptr && ret->authorization.ptr ? ERR_OK : ERR_NOMEM;
}
