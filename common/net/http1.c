/*
 * http1 — heads: where one ends, what it says, what frames the body. Then paths: one spelling for
 * each, so that what the gate decides on is what the upstream reads. Then bodies: three ways to
 * end, walked piece by piece without a copy.
 *
 * The order of checks in a head follows the bytes, so the problem named is the first one met.
 * Nothing here repairs: RFC 9112 lets a recipient tolerate much that two recipients tolerate
 * differently. Of a body only chunk framing is looked at byte by byte; content is skipped over in
 * whole.
 */
#include "common/net/http1.h"

#include "common/net/http1_table.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* ---- why something is refused ---- */

/* name, status of a server's refusal, sentence */
#define REFUSALS(X)                                                                                \
    X(START, 400, "the first byte starts no message")                                              \
    X(EMPTY_LINE, 400, "empty start line")                                                         \
    X(BARE_LF, 400, "line feed without carriage return")                                           \
    X(BARE_CR, 400, "carriage return without line feed")                                           \
    X(METHOD, 400, "method is not a token")                                                        \
    X(METHOD_REFUSED, 501, "method is not served")                                                 \
    X(TARGET, 400, "target holds a byte that is not visible ASCII")                                \
    X(TARGET_FORM, 400, "target is not a path")                                                    \
    X(TARGET_LONG, 414, "target is too long")                                                      \
    X(VERSION, 400, "no HTTP version where one belongs")                                           \
    X(VERSION_REFUSED, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here")                          \
    X(STATUS, 400, "status line is malformed")                                                     \
    X(FOLD, 400, "header is folded over lines")                                                    \
    X(NAME, 400, "header name is not a token directly before a colon")                             \
    X(VALUE, 400, "header value holds a control character")                                        \
    X(HEADERS, 431, "too many headers")                                                            \
    X(HEAD_LONG, 431, "head is too long")                                                          \
    X(HOST_MISSING, 400, "no Host")                                                                \
    X(HOST_TWICE, 400, "more than one Host")                                                       \
    X(HOST, 400, "Host is malformed")                                                              \
    X(LENGTH, 400, "Content-Length is not a plain number")                                         \
    X(LENGTH_TWICE, 400, "more than one Content-Length")                                           \
    X(CODING, 400, "Transfer-Encoding is not exactly chunked")                                     \
    X(CODING_TWICE, 400, "more than one Transfer-Encoding")                                        \
    X(CODING_10, 400, "Transfer-Encoding in HTTP/1.0")                                             \
    X(CODING_LENGTH, 400, "both Transfer-Encoding and Content-Length")                             \
    X(EXPECT, 417, "only 100-continue can be expected")                                            \
    X(CHUNK_SIZE, 400, "chunk size is not one to eight hex digits")                                \
    X(CHUNK_EXT, 400, "chunk extension is malformed or too long")                                  \
    X(CHUNK_END, 400, "chunk is not followed by an empty line")                                    \
    X(TRAILER, 400, "trailer is malformed or too long")

enum refusal {
#define REFUSAL_ENUM(name, status, text) REFUSE_##name,
    REFUSALS(REFUSAL_ENUM)
#undef REFUSAL_ENUM
};

/* Always ERR_INVALID, so that a refusal is one return. */
static enum err refuse(struct http1_problem *problem, enum refusal why)
{
    static const struct http1_problem rows[] = {
#define REFUSAL_ROW(name, status, text) {status, text},
        REFUSALS(REFUSAL_ROW)
#undef REFUSAL_ROW
    };
    *problem = rows[why];
    return ERR_INVALID;
}

/* ---- where a head ends, and what it says ---- */

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
        return refuse(problem, REFUSE_VERSION);
    if (p[5] != '1' || p[7] > '1')
        return refuse(problem, REFUSE_VERSION_REFUSED);
    *ret = p[7] == '1' ? HTTP_11 : HTTP_10;
    return ERR_OK;
}

/* Absolute and authority form are for forward proxies, which this is not. */
static enum err check_form(const struct http_head *h, struct http1_problem *problem)
{
    bool asterisk = slice_eq(h->target, SLICE("*")) && slice_eq(h->method, SLICE("OPTIONS"));
    if (h->target.ptr[0] != '/' && !asterisk)
        return refuse(problem, REFUSE_TARGET_FORM);
    /* security.md: a tunnel and an echo of credentials; neither is a request */
    if (slice_eq(h->method, SLICE("CONNECT")) || slice_eq(h->method, SLICE("TRACE")))
        return refuse(problem, REFUSE_METHOD_REFUSED);
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
        return refuse(problem, REFUSE_METHOD);
    if (h->method.len > LIMIT_HTTP_METHOD)
        return refuse(problem, REFUSE_METHOD_REFUSED);

    const char *target = ++p;
    p = http1_skip_target(p, end);
    h->target = slice_of(target, (size_t)(p - target));
    if (h->target.len > LIMIT_HTTP_TARGET)
        return refuse(problem, REFUSE_TARGET_LONG);
    if (h->target.len == 0 || (p < end && *p != ' '))
        return refuse(problem, REFUSE_TARGET);
    if (p == end)
        return refuse(problem, REFUSE_VERSION); /* HTTP/0.9 */

    enum err e = read_version(p + 1, (size_t)(end - p - 1), &h->version, problem);
    return e ? e : check_form(h, problem);
}

static enum err read_status_line(struct slice line, struct http_head *h,
                                 struct http1_problem *problem)
{
    if (line.len < 12 || line.ptr[8] != ' ')
        return refuse(problem, REFUSE_STATUS);
    enum err e = read_version(line.ptr, 8, &h->version, problem);
    if (e)
        return e;
    const char *p = line.ptr + 9;
    bool digits =
        p[0] >= '1' && p[0] <= '5' && p[1] >= '0' && p[1] <= '9' && p[2] >= '0' && p[2] <= '9';
    /* Where the reason is missing, the space before it often is too; nothing depends on either. */
    if (!digits || (line.len > 12 && line.ptr[12] != ' '))
        return refuse(problem, REFUSE_STATUS);
    h->status = (unsigned)((p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0'));
    h->reason = slice_from(line, 13);
    const char *end = line.ptr + line.len;
    if (http1_skip_value(h->reason.ptr, end) != end)
        return refuse(problem, REFUSE_STATUS);
    return ERR_OK;
}

static enum err read_start_line(enum http1_kind kind, struct slice line, struct http_head *h,
                                struct http1_problem *problem)
{
    if (line.len == 0)
        return refuse(problem, REFUSE_EMPTY_LINE);
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
        return refuse(problem, REFUSE_TARGET_LONG);
    if (bytes.len >= LIMIT_HTTP_HEAD)
        return refuse(problem, REFUSE_HEAD_LONG);
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
        return refuse(problem, REFUSE_START);

    size_t from = *scanned;
    const char *start = bytes.ptr + leading(kind, bytes);
    const char *end = bytes.ptr + bytes.len;
    for (const char *p = bytes.ptr + from;; p++) {
        p = find_lf(p, end);
        if (p == end)
            break;
        if (p == bytes.ptr || p[-1] != '\r')
            return refuse(problem, REFUSE_BARE_LF);
        if (p == start + 1)
            return refuse(problem, REFUSE_EMPTY_LINE);
        if (p > start + 1 && p[-2] == '\n') {
            size_t len = (size_t)(p + 1 - bytes.ptr);
            if (len > LIMIT_HTTP_HEAD)
                return refuse(problem, REFUSE_HEAD_LONG);
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
        return refuse(problem, REFUSE_LENGTH);
    uint64_t n = 0;
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9')
            return refuse(problem, REFUSE_LENGTH);
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
            return refuse(problem, REFUSE_HOST);
    return v.len ? ERR_OK : refuse(problem, REFUSE_HOST);
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
        return refuse(problem, REFUSE_CODING_TWICE);
    if (!slice_ieq(v, SLICE("chunked")) || has_tab_beside(v))
        return refuse(problem, REFUSE_CODING);
    h->chunked = true;
    return ERR_OK;
}

static enum err note_expect(struct slice v, struct http_head *h, struct http1_problem *problem)
{
    if (h->expect_continue || !slice_ieq(v, SLICE("100-continue")))
        return refuse(problem, REFUSE_EXPECT);
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
        return f->hosts++ ? refuse(problem, REFUSE_HOST_TWICE) : note_host(value, problem);
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
        return f->lengths++ ? refuse(problem, REFUSE_LENGTH_TWICE) : note_length(value, h, problem);
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
        return refuse(problem, REFUSE_FOLD);
    if (colon == p || *colon != ':')
        return refuse(problem, REFUSE_NAME);
    x->name = slice_of(p, (size_t)(colon - p));

    const char *value = colon + 1;
    while (*value == ' ' || *value == '\t')
        value++;
    const char *stop = http1_skip_value(value, end);
    if (*stop != '\r')
        return refuse(problem, REFUSE_VALUE);
    if (stop[1] != '\n')
        return refuse(problem, REFUSE_BARE_CR);
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
        return refuse(problem, REFUSE_CODING_10);
    if (h->chunked && h->has_length)
        return refuse(problem, REFUSE_CODING_LENGTH);
    h->keep_alive = !f->close && (h->version == HTTP_11 || f->keep);
    if (h->version == HTTP_10)
        h->expect_continue = false; /* RFC 9110 10.1.1: a 1.0 client cannot wait for it */
    /* last, so that http1_head_lacks_host can say that nothing else is wrong */
    if (kind == HTTP1_REQUEST && f->hosts == 0)
        return refuse(problem, REFUSE_HOST_MISSING);
    return ERR_OK;
}

bool http1_head_lacks_host(const struct http_head *h, const struct http1_problem *problem)
{
    struct http1_problem missing;
    (void)!refuse(&missing, REFUSE_HOST_MISSING);
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
            return refuse(problem, REFUSE_HEADERS);
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

unsigned http_retry_after_ms(const struct http_head *h)
{
    const unsigned ms_per_s = 1000;
    uint64_t ms;
    struct slice said = http_head_find(h, SLICE("retry-after-ms"));
    ptrdiff_t point = slice_find(said, '.');
    if (point > 0)
        said = slice_first(said, (size_t)point);
    if (said.len && !slice_u64(said, &ms) && ms <= HTTP_RETRY_AFTER_MAX_S * (uint64_t)ms_per_s)
        return (unsigned)ms;
    return http_retry_after(h) * ms_per_s;
}

unsigned http_retry_after(const struct http_head *h)
{
    uint64_t seconds;
    if (slice_u64(http_head_find(h, SLICE("retry-after")), &seconds) ||
        seconds > HTTP_RETRY_AFTER_MAX_S)
        return 0;
    return (unsigned)seconds;
}

/* ---- paths ---- */

/* What may stand as it is goes over in whole runs. */
static enum err add_run(struct buf *path, const char **at, const char *end)
{
    const char *p = *at;
    while (p < end && http1_is(*p, HTTP1_PCHAR))
        p++;
    struct slice run = slice_of(*at, (size_t)(p - *at));
    *at = p;
    return run.len ? buf_append(path, run) : ERR_OK;
}

static enum err add_escaped(struct buf *path, uint8_t byte)
{
    static const char digits[] = "0123456789ABCDEF";
    char text[3] = {'%', digits[byte >> 4], digits[byte & 15]};
    return buf_append(path, slice_of(text, sizeof text));
}

/* Overlong UTF-8 spells '/' or '.' in bytes that no rule on characters sees (%C0%AF). */
static bool is_overlong(uint8_t before, uint8_t byte)
{
    return byte == 0xc0 || byte == 0xc1 || byte > 0xf4 || (before == 0xe0 && byte < 0xa0) ||
           (before == 0xf0 && byte < 0x90);
}

static bool is_never(uint8_t byte)
{
    return byte == '/' || byte == '\\' || byte == ';' || byte < 0x20 || byte == 0x7f;
}

/* The byte that stands at *at, or is escaped there; *at moves behind it. */
static enum err take_byte(const char **at, const char *end, uint8_t *ret)
{
    const char *p = *at;
    uint8_t byte = (uint8_t)*p;
    bool escaped = *p == '%';
    if (escaped) {
        int high = end - p >= 3 ? slice_hex_digit(p[1]) : -1,
            low = high >= 0 ? slice_hex_digit(p[2]) : -1;
        if (low < 0)
            return ERR_INVALID;
        byte = (uint8_t)(high << 4 | low);
    }
    *at = p + (escaped ? 3 : 1);
    *ret = byte;
    return ERR_OK;
}

/* One byte that is escaped or has to be; *at moves behind it. */
static enum err add_byte(struct buf *path, const char **at, const char *end, uint8_t *before)
{
    uint8_t byte = 0;
    enum err e = take_byte(at, end, &byte);
    if (e)
        return e;
    if (is_never(byte) || is_overlong(*before, byte))
        return ERR_INVALID;
    *before = byte;
    if (http1_is((char)byte, HTTP1_UNRESERVED))
        return buf_append(path, slice_of(&byte, 1));
    return add_escaped(path, byte);
}

static enum err check_segment(struct slice s, bool last)
{
    bool empty = s.len == 0 && !last;
    return empty || slice_eq(s, SLICE(".")) || slice_eq(s, SLICE("..")) ? ERR_INVALID : ERR_OK;
}

static enum err add_path(struct buf *path, const char *p, const char *end)
{
    while (p < end) {
        enum err e = buf_append(path, slice_of(p++, 1)); /* the slash */
        size_t start = path->len;
        uint8_t before = 0;
        while (!e && p < end && *p != '/') {
            if (http1_is(*p, HTTP1_PCHAR)) {
                e = add_run(path, &p, end);
                before = 0;
            } else {
                e = add_byte(path, &p, end, &before);
            }
        }
        if (!e)
            e = check_segment(slice_from(buf_slice(path), start), p == end);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* Nearly every path: nothing in it is escaped or has to be, and no segment is empty or begins with
 * a dot. */
static bool is_plain(struct slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        bool first = i > 0 && path.ptr[i - 1] == '/';
        if (!http1_is(c, HTTP1_PCHAR) && (c != '/' || first))
            return false;
        if (first && c == '.')
            return false;
    }
    return true;
}

static enum err split(struct slice target, struct slice *path, struct slice *query)
{
    const char *end = target.ptr + target.len;
    if (target.len == 0 || target.ptr[0] != '/' || http1_skip_target(target.ptr, end) != end)
        return ERR_INVALID;
    ptrdiff_t mark = slice_find(target, '?');
    size_t len = mark < 0 ? target.len : (size_t)mark;
    *path = slice_first(target, len);
    *query = slice_from(target, len + 1);
    return ERR_OK;
}

enum err http1_path(struct slice target, struct buf *path, struct slice *query)
{
    struct slice raw, rest;
    enum err e = split(target, &raw, &rest);
    if (e)
        return e;
    size_t before = path->len;
    e = is_plain(raw) ? buf_append(path, raw) : add_path(path, raw.ptr, raw.ptr + raw.len);
    if (e) {
        path->len = before;
        return e;
    }
    *query = rest;
    return ERR_OK;
}

/* What some server takes for the end of a segment's name (';' begins its parameters). */
static bool is_border(uint8_t byte)
{
    return byte == '/' || byte == '\\' || byte == ';';
}

static enum err check_dots(struct slice path)
{
    const char *p = path.ptr, *end = path.ptr + path.len;
    size_t len = 0, dots = 0; /* of the segment under way */
    uint8_t before = 0, byte = 0;
    while (p < end) {
        if (take_byte(&p, end, &byte) || byte < 0x20 || byte == 0x7f || is_overlong(before, byte))
            return ERR_INVALID;
        if (is_border(byte)) {
            if (len > 0 && len < 3 && dots == len)
                return ERR_INVALID;
            len = dots = 0;
        } else {
            len++;
            dots += byte == '.';
        }
        before = byte;
    }
    return len > 0 && len < 3 && dots == len ? ERR_INVALID : ERR_OK;
}

enum err http1_path_opaque(struct slice target, struct slice *path, struct slice *query)
{
    struct slice raw, rest;
    enum err e = split(target, &raw, &rest);
    if (!e)
        e = check_dots(raw);
    if (e)
        return e;
    *path = raw;
    *query = rest;
    return ERR_OK;
}

enum err http1_path_loose(struct slice target, struct slice below, struct buf *scratch,
                          struct buf *path, struct slice *query)
{
    struct slice raw, rest, none;
    enum err e = split(target, &raw, &rest);
    buf_clear(scratch);
    while (!e && raw.len > 0) {
        bool escaped = slice_ieq(slice_first(raw, 3), SLICE("%2F"));
        struct slice byte = escaped ? SLICE("/") : slice_first(raw, 1);
        raw = slice_from(raw, escaped ? 3 : 1);
        if (byte.ptr[0] != '/' || !slice_ends(buf_slice(scratch), SLICE("/")))
            e = buf_append(scratch, byte);
    }
    if (!e && !slice_starts(buf_slice(scratch), below))
        e = ERR_INVALID;
    if (!e)
        e = http1_path(buf_slice(scratch), path, &none);
    if (!e)
        *query = rest;
    return e;
}

/* ---- bodies ---- */

/* The walk through chunk framing. */
enum step {
    SIZE_FIRST, /* a hex digit must stand here */
    SIZE,       /* more digits, ';' or CR */
    EXT,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* a name, or the CR of the empty line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
};

void http1_body_init(struct http1_body *b, enum http1_kind kind, const struct http_head *h,
                     struct slice request_method)
{
    *b = (struct http1_body){.kind = HTTP1_BODY_NONE, .state = SIZE_FIRST};
    if (kind == HTTP1_ANSWER && (slice_eq(request_method, SLICE("HEAD")) || h->status < 200 ||
                                 h->status == 204 || h->status == 304))
        return;
    if (h->chunked) {
        b->kind = HTTP1_BODY_CHUNKED;
    } else if (h->has_length) {
        b->kind = h->length ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE;
        b->left = h->length;
    } else if (kind == HTTP1_ANSWER) {
        b->kind = HTTP1_BODY_TO_CLOSE;
    }
}

#define CHUNK_DIGITS 8 /* of a size: 4 GiB */

/* how many digits a size has so far is kept in overhead while the size is read */
static enum err step_size(struct http1_body *b, char c, struct http1_problem *problem)
{
    int digit = slice_hex_digit(c);
    if (digit >= 0) {
        if (b->state == SIZE_FIRST) {
            b->left = 0;
            b->overhead = 0;
            b->state = SIZE;
        }
        if (++b->overhead > CHUNK_DIGITS)
            return refuse(problem, REFUSE_CHUNK_SIZE);
        b->left = b->left << 4 | (uint64_t)digit;
        return ERR_OK;
    }
    if (b->state == SIZE_FIRST || (c != ';' && c != '\r'))
        return refuse(problem, REFUSE_CHUNK_SIZE);
    b->overhead = 0;
    b->state = c == ';' ? EXT : SIZE_LF;
    return ERR_OK;
}

static enum err step_ext(struct http1_body *b, char c, struct http1_problem *problem)
{
    if (c == '\r') {
        b->state = SIZE_LF;
        return ERR_OK;
    }
    if (!http1_is(c, HTTP1_VALUE) || ++b->overhead > LIMIT_HTTP_CHUNK_EXT ||
        ++b->extras > LIMIT_HTTP_CHUNK_EXTRAS)
        return refuse(problem, REFUSE_CHUNK_EXT);
    return ERR_OK;
}

/* Trailers are checked and dropped: nothing reads them, so nothing can be smuggled in them. */
static enum err step_trailer(struct http1_body *b, char c, struct http1_problem *problem)
{
    bool fine = ++b->overhead <= LIMIT_HTTP_TRAILERS;
    if (b->state == TRAILER_START) {
        fine = fine && (c == '\r' || http1_is(c, HTTP1_TOKEN));
        b->state = c == '\r' ? END_LF : TRAILER_NAME;
    } else if (b->state == TRAILER_NAME) {
        fine = fine && (c == ':' || http1_is(c, HTTP1_TOKEN));
        b->state = c == ':' ? TRAILER_VALUE : TRAILER_NAME;
    } else if (b->state == TRAILER_VALUE) {
        fine = fine && (c == '\r' || http1_is(c, HTTP1_VALUE));
        b->state = c == '\r' ? TRAILER_LF : TRAILER_VALUE;
    } else {
        fine = fine && c == '\n';
        b->state = b->state == END_LF ? DONE : TRAILER_START;
    }
    return fine ? ERR_OK : refuse(problem, REFUSE_TRAILER);
}

static enum err step_line_end(struct http1_body *b, char c, struct http1_problem *problem)
{
    if (b->state == SIZE_LF) {
        if (c != '\n')
            return refuse(problem, REFUSE_CHUNK_EXT);
        b->state = b->left ? DATA : TRAILER_START;
        return ERR_OK;
    }
    if (c != (b->state == DATA_CR ? '\r' : '\n'))
        return refuse(problem, REFUSE_CHUNK_END);
    b->state = b->state == DATA_CR ? DATA_LF : SIZE_FIRST;
    return ERR_OK;
}

static enum err step_framing(struct http1_body *b, char c, struct http1_problem *problem)
{
    switch ((enum step)b->state) {
    case SIZE_FIRST:
    case SIZE:
        return step_size(b, c, problem);
    case EXT:
        return step_ext(b, c, problem);
    case SIZE_LF:
    case DATA_CR:
    case DATA_LF:
        return step_line_end(b, c, problem);
    default:
        return step_trailer(b, c, problem);
    }
}

static struct slice take(struct slice *bytes, uint64_t most)
{
    struct slice piece = bytes->len > most ? slice_first(*bytes, (size_t)most) : *bytes;
    *bytes = slice_from(*bytes, piece.len);
    return piece;
}

static enum err next_chunked(struct http1_body *b, struct slice *bytes, struct slice *ret,
                             bool *ended, struct http1_problem *problem)
{
    while (bytes->len && b->state != DATA && b->state != DONE) {
        enum err e = step_framing(b, bytes->ptr[0], problem);
        if (e)
            return e;
        *bytes = slice_from(*bytes, 1);
    }
    *ended = b->state == DONE;
    if (*ended)
        return ERR_OK;
    if (bytes->len == 0)
        return ERR_AGAIN;
    *ret = take(bytes, b->left);
    b->left -= ret->len;
    if (b->left == 0)
        b->state = DATA_CR;
    return ERR_OK;
}

/* How long the usual framing between two chunks is, "\r\n1f\r\n"; 0: it is cut, or not the usual,
 * or that of the last chunk. */
static size_t framing_between(struct slice bytes, uint64_t *ret_size)
{
    const struct slice line = SLICE("\r\n");
    const size_t most = line.len + CHUNK_DIGITS + line.len;
    struct slice s = slice_first(bytes, most);
    size_t at = line.len;
    uint64_t size = 0;
    if (!slice_starts(s, line))
        return 0;
    for (; at < s.len && slice_hex_digit(s.ptr[at]) >= 0; at++)
        size = size << 4 | (uint64_t)slice_hex_digit(s.ptr[at]);
    if (size == 0 || !slice_starts(slice_from(s, at), line))
        return 0;
    *ret_size = size;
    return at + line.len;
}

void http1_body_join(struct http1_body *b, struct slice *bytes, struct slice *piece)
{
    char *end = (char *)piece->ptr + piece->len;
    uint64_t size;
    size_t skip;
    while (b->kind == HTTP1_BODY_CHUNKED && b->state == DATA_CR &&
           (skip = framing_between(*bytes, &size)) > 0) {
        *bytes = slice_from(*bytes, skip);
        struct slice more = take(bytes, size);
        if (more.len)
            memmove(end, more.ptr, more.len);
        end += more.len;
        b->left = size - more.len;
        b->state = b->left ? DATA : DATA_CR;
    }
    piece->len = (size_t)(end - piece->ptr);
}

enum err http1_body_next(struct http1_body *b, struct slice *bytes, struct slice *ret, bool *ended,
                         struct http1_problem *problem)
{
    *ret = slice_of("", 0);
    *ended = false;
    switch (b->kind) {
    case HTTP1_BODY_NONE:
        *ended = true;
        return ERR_OK;
    case HTTP1_BODY_LENGTH:
        if (bytes->len == 0 && b->left)
            return ERR_AGAIN;
        *ret = take(bytes, b->left);
        b->left -= ret->len;
        *ended = b->left == 0;
        return ERR_OK;
    case HTTP1_BODY_CHUNKED:
        return next_chunked(b, bytes, ret, ended, problem);
    case HTTP1_BODY_TO_CLOSE:
        if (bytes->len == 0)
            return ERR_AGAIN;
        *ret = take(bytes, UINT64_MAX);
        return ERR_OK;
    }
    return ERR_INVALID;
}
