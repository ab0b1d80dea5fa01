/*
 * Heads: first where one ends, then what it says, then what frames the body.
 *
 * The order of checks follows the bytes, so the problem named is the first one met. Nothing here
 * repairs: RFC 9112 lets a recipient tolerate much that two recipients tolerate differently.
 */
#include "common/net/http1_table.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const char *find_lf(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i lf = _mm_set1_epi8('\n');
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        int hit = _mm_movemask_epi8(_mm_cmpeq_epi8(x, lf));
        if (hit)
            return p + __builtin_ctz((unsigned)hit);
    }
#endif
    while (p < end && *p != '\n')
        p++;
    return p;
}

static enum err read_version(const char *p, size_t len, enum http_version *ret,
                             struct http1_problem *problem)
{
    bool digits = len == 8 && memcmp(p, "HTTP/", 5) == 0 && p[5] >= '0' && p[5] <= '9' &&
                  p[6] == '.' && p[7] >= '0' && p[7] <= '9';
    if (!digits)
        return http1_refuse(problem, HTTP1_REFUSE_VERSION);
    if (p[5] != '1' || p[7] > '1')
        return http1_refuse(problem, HTTP1_REFUSE_VERSION_REFUSED);
    *ret = p[7] == '1' ? HTTP_11 : HTTP_10;
    return ERR_OK;
}

/* Absolute and authority form are for forward proxies, which this is not. */
static enum err check_form(const struct http_head *h, struct http1_problem *problem)
{
    bool asterisk = slice_eq(h->target, SLICE("*")) && slice_eq(h->method, SLICE("OPTIONS"));
    if (h->target.ptr[0] != '/' && !asterisk)
        return http1_refuse(problem, HTTP1_REFUSE_TARGET_FORM);
    /* security.md: a tunnel and an echo of credentials; neither is a request */
    if (slice_eq(h->method, SLICE("CONNECT")) || slice_eq(h->method, SLICE("TRACE")))
        return http1_refuse(problem, HTTP1_REFUSE_METHOD_REFUSED);
    return ERR_OK;
}

/* line: without its CRLF */
static enum err read_request_line(struct slice line, struct http_head *h,
                                  struct http1_problem *problem)
{
    const char *end = line.ptr + line.len;
    const char *p = http1_skip_token(line.ptr, end);
    h->method = slice_of(line.ptr, (size_t)(p - line.ptr));
    if (h->method.len == 0 || p == end || *p != ' ')
        return http1_refuse(problem, HTTP1_REFUSE_METHOD);
    if (h->method.len > LIMIT_HTTP_METHOD)
        return http1_refuse(problem, HTTP1_REFUSE_METHOD_REFUSED);

    const char *target = ++p;
    p = http1_skip_target(p, end);
    h->target = slice_of(target, (size_t)(p - target));
    if (h->target.len > LIMIT_HTTP_TARGET)
        return http1_refuse(problem, HTTP1_REFUSE_TARGET_LONG);
    if (h->target.len == 0 || (p < end && *p != ' '))
        return http1_refuse(problem, HTTP1_REFUSE_TARGET);
    if (p == end)
        return http1_refuse(problem, HTTP1_REFUSE_VERSION); /* HTTP/0.9 */

    enum err e = read_version(p + 1, (size_t)(end - p - 1), &h->version, problem);
    return e ? e : check_form(h, problem);
}

static enum err read_status_line(struct slice line, struct http_head *h,
                                 struct http1_problem *problem)
{
    if (line.len < 12 || line.ptr[8] != ' ')
        return http1_refuse(problem, HTTP1_REFUSE_STATUS);
    enum err e = read_version(line.ptr, 8, &h->version, problem);
    if (e)
        return e;
    const char *p = line.ptr + 9;
    bool digits =
        p[0] >= '1' && p[0] <= '5' && p[1] >= '0' && p[1] <= '9' && p[2] >= '0' && p[2] <= '9';
    /* Where the reason is missing, the space before it often is too; nothing depends on either. */
    if (!digits || (line.len > 12 && line.ptr[12] != ' '))
        return http1_refuse(problem, HTTP1_REFUSE_STATUS);
    h->status = (unsigned)((p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0'));
    h->reason = slice_from(line, 13);
    const char *end = line.ptr + line.len;
    if (http1_skip_value(h->reason.ptr, end) != end)
        return http1_refuse(problem, HTTP1_REFUSE_STATUS);
    return ERR_OK;
}

static enum err read_start_line(enum http1_kind kind, struct slice line, struct http_head *h,
                                struct http1_problem *problem)
{
    if (line.len == 0)
        return http1_refuse(problem, HTTP1_REFUSE_EMPTY_LINE);
    return kind == HTTP1_REQUEST ? read_request_line(line, h, problem)
                                 : read_status_line(line, h, problem);
}

/* One CRLF before a request is accepted (RFC 9112 section 2.2): old clients send it after a body.
 */
static size_t leading(enum http1_kind kind, struct slice bytes)
{
    return kind == HTTP1_REQUEST && bytes.len >= 2 && bytes.ptr[0] == '\r' && bytes.ptr[1] == '\n'
               ? 2
               : 0;
}

/* What can be said against a head that is not whole yet. */
static enum err judge_partial(enum http1_kind kind, struct slice bytes, size_t from,
                              struct http1_problem *problem)
{
    size_t start = leading(kind, bytes);
    const char *first = bytes.ptr + start;
    const char *end = bytes.ptr + bytes.len;
    const char *lf = find_lf(first, end);
    if (lf < end && (size_t)(lf - bytes.ptr) >= from) {
        struct http_head scratch;
        struct slice line = slice_of(first, (size_t)(lf - 1 - first));
        enum err e = read_start_line(kind, line, &scratch, problem);
        if (e)
            return e;
    }
    if (lf == end && kind == HTTP1_REQUEST &&
        bytes.len > LIMIT_HTTP_METHOD + LIMIT_HTTP_TARGET + sizeof " HTTP/1.1\r\n" + 2)
        return http1_refuse(problem, HTTP1_REFUSE_TARGET_LONG);
    if (bytes.len >= LIMIT_HTTP_HEAD)
        return http1_refuse(problem, HTTP1_REFUSE_HEAD_LONG);
    return ERR_AGAIN;
}

enum err http1_head_end(enum http1_kind kind, struct slice bytes, size_t *scanned, size_t *ret_len,
                        struct http1_problem *problem)
{
    if (bytes.len == 0)
        return ERR_AGAIN;
    bool begins = kind == HTTP1_REQUEST
                      ? http1_is(bytes.ptr[0], HTTP1_TOKEN) || bytes.ptr[0] == '\r'
                      : bytes.ptr[0] == 'H';
    if (!begins)
        return http1_refuse(problem, HTTP1_REFUSE_START);

    size_t from = *scanned;
    const char *start = bytes.ptr + leading(kind, bytes);
    const char *end = bytes.ptr + bytes.len;
    for (const char *p = bytes.ptr + from;; p++) {
        p = find_lf(p, end);
        if (p == end)
            break;
        if (p == bytes.ptr || p[-1] != '\r')
            return http1_refuse(problem, HTTP1_REFUSE_BARE_LF);
        if (p == start + 1)
            return http1_refuse(problem, HTTP1_REFUSE_EMPTY_LINE);
        if (p > start + 1 && p[-2] == '\n') {
            size_t len = (size_t)(p + 1 - bytes.ptr);
            if (len > LIMIT_HTTP_HEAD)
                return http1_refuse(problem, HTTP1_REFUSE_HEAD_LONG);
            *ret_len = len;
            return ERR_OK;
        }
    }
    enum err e = judge_partial(kind, bytes, from, problem);
    if (e == ERR_AGAIN)
        *scanned = bytes.len;
    return e;
}

/* What the framing needs to remember while headers pass by. */
struct framing {
    unsigned hosts, lengths, codings;
    bool close, keep;
};

/* A tab beside a value is white space to some readers and part of the value to others: where they
 * disagree about a body's framing, one of them sees two messages. v: behind a colon, before a CR */
static bool has_tab_beside(struct slice v)
{
    for (const char *p = v.ptr; p[-1] != ':'; p--)
        if (p[-1] == '\t')
            return true;
    for (const char *p = v.ptr + v.len; *p != '\r'; p++)
        if (*p == '\t')
            return true;
    return false;
}

static enum err note_length(struct slice v, struct http_head *h, struct http1_problem *problem)
{
    /* 19 digits cannot overflow 64 bits; ten exabytes are beyond every ceiling anyway */
    if (v.len == 0 || v.len > 19 || has_tab_beside(v))
        return http1_refuse(problem, HTTP1_REFUSE_LENGTH);
    uint64_t n = 0;
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9')
            return http1_refuse(problem, HTTP1_REFUSE_LENGTH);
        n = n * 10 + (uint64_t)(v.ptr[i] - '0');
    }
    h->length = n;
    h->has_length = true;
    return ERR_OK;
}

static enum err note_host(struct slice v, struct http1_problem *problem)
{
    for (size_t i = 0; i < v.len; i++)
        if (!http1_is(v.ptr[i], HTTP1_HOST))
            return http1_refuse(problem, HTTP1_REFUSE_HOST);
    return v.len ? ERR_OK : http1_refuse(problem, HTTP1_REFUSE_HOST);
}

static void note_connection(struct slice v, struct framing *f)
{
    struct slice item;
    while (slice_split(&v, ',', &item)) {
        item = slice_trim(item);
        if (slice_ieq(item, SLICE("close")))
            f->close = true;
        else if (slice_ieq(item, SLICE("keep-alive")))
            f->keep = true;
    }
}

/* small: in small letters and hyphens, as long as the name. A name is a token by now, and among
 * token bytes only a letter's other case meets a letter when the case bit is set. */
static bool is_called(struct slice name, const char *small)
{
    for (size_t i = 0; i < name.len; i++)
        if ((name.ptr[i] | 0x20) != small[i])
            return false;
    return true;
}

static enum err note_coding(struct slice v, struct http_head *h, struct framing *f,
                            struct http1_problem *problem)
{
    if (f->codings++)
        return http1_refuse(problem, HTTP1_REFUSE_CODING_TWICE);
    if (!slice_ieq(v, SLICE("chunked")) || has_tab_beside(v))
        return http1_refuse(problem, HTTP1_REFUSE_CODING);
    h->chunked = true;
    return ERR_OK;
}

static enum err note_expect(struct slice v, struct http_head *h, struct http1_problem *problem)
{
    if (h->expect_continue || !slice_ieq(v, SLICE("100-continue")))
        return http1_refuse(problem, HTTP1_REFUSE_EXPECT);
    h->expect_continue = true;
    return ERR_OK;
}

/* Only these five mean anything here; the length of a name tells most others apart. */
static enum err note_header(enum http1_kind kind, const struct http_header *x, struct http_head *h,
                            struct framing *f, struct http1_problem *problem)
{
    const struct slice name = x->name, value = x->value;
    switch (name.len) {
    case 4:
        if (kind != HTTP1_REQUEST || !is_called(name, "host"))
            break;
        return f->hosts++ ? http1_refuse(problem, HTTP1_REFUSE_HOST_TWICE)
                          : note_host(value, problem);
    case 6:
        if (kind == HTTP1_REQUEST && is_called(name, "expect"))
            return note_expect(value, h, problem);
        break;
    case 10:
        if (is_called(name, "connection"))
            note_connection(value, f);
        break;
    case 14:
        if (!is_called(name, "content-length"))
            break;
        return f->lengths++ ? http1_refuse(problem, HTTP1_REFUSE_LENGTH_TWICE)
                            : note_length(value, h, problem);
    case 17:
        if (is_called(name, "transfer-encoding"))
            return note_coding(value, h, f, problem);
        break;
    default:
        break;
    }
    return ERR_OK;
}

/* *at: start of the line; moves behind its CRLF. end: the last byte that may be read. */
static enum err read_header(const char **at, const char *end, struct http_header *x,
                            struct http1_problem *problem)
{
    const char *p = *at;
    const char *colon = http1_skip_token(p, end);
    if (colon == p && (*p == ' ' || *p == '\t'))
        return http1_refuse(problem, HTTP1_REFUSE_FOLD);
    if (colon == p || *colon != ':')
        return http1_refuse(problem, HTTP1_REFUSE_NAME);
    x->name = slice_of(p, (size_t)(colon - p));

    const char *value = colon + 1;
    while (*value == ' ' || *value == '\t')
        value++;
    const char *stop = http1_skip_value(value, end);
    if (*stop != '\r')
        return http1_refuse(problem, HTTP1_REFUSE_VALUE);
    if (stop[1] != '\n')
        return http1_refuse(problem, HTTP1_REFUSE_BARE_CR);
    *at = stop + 2;
    while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    x->value = slice_of(value, (size_t)(stop - value));
    return ERR_OK;
}

static enum err settle_framing(enum http1_kind kind, struct http_head *h, const struct framing *f,
                               struct http1_problem *problem)
{
    if (h->chunked && h->version == HTTP_10)
        return http1_refuse(problem, HTTP1_REFUSE_CODING_10);
    if (h->chunked && h->has_length)
        return http1_refuse(problem, HTTP1_REFUSE_CODING_LENGTH);
    h->keep_alive = !f->close && (h->version == HTTP_11 || f->keep);
    if (h->version == HTTP_10)
        h->expect_continue = false; /* RFC 9110 10.1.1: a 1.0 client cannot wait for it */
    /* last, so that http1_head_lacks_host can say that nothing else is wrong */
    if (kind == HTTP1_REQUEST && f->hosts == 0)
        return http1_refuse(problem, HTTP1_REFUSE_HOST_MISSING);
    return ERR_OK;
}

bool http1_head_lacks_host(const struct http_head *h, const struct http1_problem *problem)
{
    struct http1_problem missing;
    (void)!http1_refuse(&missing, HTTP1_REFUSE_HOST_MISSING);
    return h->version == HTTP_10 && problem->text == missing.text;
}

static uint64_t length_bit(struct slice name)
{
    return (uint64_t)1 << (name.len & 63);
}

enum err http1_head_parse(enum http1_kind kind, struct slice bytes, struct http_head *ret,
                          struct http1_problem *problem)
{
    ret->method = ret->target = ret->reason = SLICE_NONE;
    ret->status = 0;
    ret->header_count = 0;
    ret->lengths = 0;
    ret->has_length = ret->chunked = ret->keep_alive = ret->expect_continue = false;
    ret->length = 0;

    const char *p = bytes.ptr + leading(kind, bytes);
    const char *end = bytes.ptr + bytes.len;
    const char *lf = find_lf(p, end);
    MUST(lf < end && lf > p && end - p >= 4);
    enum err e = read_start_line(kind, slice_of(p, (size_t)(lf - 1 - p)), ret, problem);
    if (e)
        return e;

    struct framing f = {0};
    const char *last = end - 2; /* the empty line */
    for (p = lf + 1; p < last;) {
        if (ret->header_count == LIMIT_HTTP_HEADERS)
            return http1_refuse(problem, HTTP1_REFUSE_HEADERS);
        struct http_header *x = &ret->headers[ret->header_count];
        e = read_header(&p, last, x, problem);
        if (!e)
            e = note_header(kind, x, ret, &f, problem);
        if (e)
            return e;
        ret->header_count++;
        ret->lengths |= length_bit(x->name);
    }
    return settle_framing(kind, ret, &f, problem);
}

enum err http1_head(enum http1_kind kind, struct slice bytes, struct http_head *ret,
                    size_t *ret_len, struct http1_problem *problem)
{
    size_t scanned = 0, len = 0;
    enum err e = http1_head_end(kind, bytes, &scanned, &len, problem);
    if (!e)
        e = http1_head_parse(kind, slice_first(bytes, len), ret, problem);
    if (!e)
        *ret_len = len;
    return e;
}

/* Nearly every other header differs in its length or its first letter. */
static bool is_named(const struct http_header *x, struct slice name)
{
    return x->name.len == name.len && name.len && !((x->name.ptr[0] ^ name.ptr[0]) & ~0x20) &&
           slice_ieq(x->name, name);
}

bool http_head_gets(const struct http_head *h)
{
    return slice_eq(h->method, SLICE("GET")) || slice_eq(h->method, SLICE("HEAD"));
}

struct slice http_head_find(const struct http_head *h, struct slice name)
{
    if (!(h->lengths & length_bit(name)))
        return SLICE_NONE;
    for (size_t i = 0; i < h->header_count; i++)
        if (is_named(&h->headers[i], name))
            return h->headers[i].value;
    return SLICE_NONE;
}

size_t http_head_count(const struct http_head *h, struct slice name)
{
    size_t n = 0;
    if (!(h->lengths & length_bit(name)))
        return 0;
    for (size_t i = 0; i < h->header_count; i++)
        n += is_named(&h->headers[i], name);
    return n;
}

unsigned http_retry_after(const struct http_head *h)
{
    uint64_t seconds;
    if (slice_u64(http_head_find(h, SLICE("retry-after")), &seconds) ||
        seconds > HTTP_RETRY_AFTER_MAX_S)
        return 0;
    return (unsigned)seconds;
}
