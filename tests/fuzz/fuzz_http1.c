/*
 * fuzz_http1 — our strict reader beside http-parser 2.9, on the same bytes.
 *
 * Where both accept they must have read the same: method, target, headers, body, and where the
 * message ends. Where one refuses and the other does not, the difference must be one of the
 * classes below, each with its reason; anything else aborts. And whatever way the bytes are cut,
 * and with chunks joined, our reader must come to the same result as with all of them at once.
 *
 * Input: one byte (bit 0: a response instead of a request), then the message.
 */
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "tests/kit/net/heads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONTENT_MAX (64 * 1024)

enum verdict { WANTS_MORE, REFUSED, HEAD_ONLY, WHOLE };

/* One reader's view of the first message. */
struct view {
    enum verdict verdict;
    struct http_head head; /* ours; the oracle fills method, target, status, headers */
    size_t head_len;
    size_t end; /* where the message ends; WHOLE */
    bool to_close, trailers;
    struct http1_problem problem;
    enum http_errno why;
    size_t content_len;
    char content[CONTENT_MAX];
};

static void die(const char *what, struct slice bytes)
{
    fprintf(stderr, "%s\n", what);
    fwrite(bytes.ptr, 1, bytes.len, stderr);
    abort();
}

static void add_content(struct view *v, struct slice s)
{
    if (v->content_len + s.len > CONTENT_MAX)
        abort(); /* max_len is far below */
    if (s.len)
        memcpy(v->content + v->content_len, s.ptr, s.len);
    v->content_len += s.len;
}

/* ---- ours, whole and cut ---- */

static size_t next_cut(uint32_t *seed, size_t left)
{
    if (*seed == 0 || left == 0)
        return left;
    *seed = *seed * 1664525u + 1013904223u;
    size_t n = (*seed >> 16) % 9 + 1;
    return n < left ? n : left;
}

static enum err read_head(enum http1_kind kind, struct slice bytes, uint32_t *seed, struct view *v)
{
    size_t scanned = 0, given = 0;
    enum err e = ERR_AGAIN;
    do {
        given += next_cut(seed, bytes.len - given);
        e = http1_head_end(kind, slice_first(bytes, given), &scanned, &v->head_len, &v->problem);
    } while (e == ERR_AGAIN && given < bytes.len);
    return e ? e : http1_head_parse(kind, slice_first(bytes, v->head_len), &v->head, &v->problem);
}

/* joins: the bytes may be overwritten */
static enum err read_body(enum http1_kind kind, struct slice bytes, uint32_t *seed, bool joins,
                          struct view *v)
{
    struct http1_body b;
    bool ended = false;
    size_t at = v->head_len;
    http1_body_init(&b, kind, &v->head, SLICE("GET"));
    v->to_close = b.kind == HTTP1_BODY_TO_CLOSE;
    while (!ended) {
        size_t n = next_cut(seed, bytes.len - at);
        struct slice piece = slice_of(bytes.ptr + at, n), content;
        do {
            enum err e = http1_body_next(&b, &piece, &content, &ended, &v->problem);
            if (e == ERR_INVALID)
                return e;
            if (joins && content.len)
                http1_body_join(&b, &piece, &content);
            add_content(v, content);
            if (e == ERR_AGAIN)
                break;
        } while (!ended);
        at += n - piece.len;
        if (!ended && at == bytes.len)
            return ERR_AGAIN;
    }
    v->end = at;
    v->trailers = b.kind == HTTP1_BODY_CHUNKED && b.overhead > 2;
    return ERR_OK;
}

static void read_ours(enum http1_kind kind, struct slice bytes, uint32_t seed, bool joins,
                      struct view *v)
{
    v->content_len = 0;
    v->to_close = v->trailers = false;
    enum err e = read_head(kind, bytes, &seed, v);
    v->verdict = e == ERR_OK ? HEAD_ONLY : e == ERR_AGAIN ? WANTS_MORE : REFUSED;
    if (e)
        return;
    e = read_body(kind, bytes, &seed, joins, v);
    if (e == ERR_INVALID)
        v->verdict = REFUSED;
    else if (e == ERR_OK)
        v->verdict = WHOLE;
}

/* ---- the oracle ---- */

struct oracle {
    struct view *v;
    bool in_value, head_done;
};

static void grow(struct slice *s, const char *at, size_t len)
{
    if (!s->ptr)
        s->ptr = at;
    s->len = (size_t)(at + len - s->ptr);
}

static int on_url(http_parser *p, const char *at, size_t len)
{
    grow(&((struct oracle *)p->data)->v->head.target, at, len);
    return 0;
}

static int on_field(http_parser *p, const char *at, size_t len)
{
    struct oracle *o = p->data;
    struct http_head *h = &o->v->head;
    if (o->head_done)
        return 0;
    if (o->in_value || h->header_count == 0) {
        if (h->header_count == LIMIT_HTTP_HEADERS)
            return 1;
        h->headers[h->header_count++] = (struct http_header){{NULL, 0}, {NULL, 0}};
    }
    o->in_value = false;
    grow(&h->headers[h->header_count - 1].name, at, len);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    struct oracle *o = p->data;
    struct http_head *h = &o->v->head;
    o->in_value = true;
    if (!o->head_done && h->header_count)
        grow(&h->headers[h->header_count - 1].value, at, len);
    return 0;
}

static int on_headers_complete(http_parser *p)
{
    struct oracle *o = p->data;
    struct view *v = o->v;
    o->head_done = true;
    v->verdict = HEAD_ONLY;
    v->head.status = p->status_code;
    if (p->type == HTTP_REQUEST)
        v->head.method = slice_str(http_method_str((enum http_method)p->method));
    v->head.chunked = (p->flags & F_CHUNKED) != 0;
    return 0;
}

static int on_content(http_parser *p, const char *at, size_t len)
{
    add_content(((struct oracle *)p->data)->v, slice_of(at, len));
    return 0;
}

static int on_complete(http_parser *p)
{
    struct view *v = ((struct oracle *)p->data)->v;
    v->verdict = WHOLE;
    http_parser_pause(p, 1);
    return 0;
}

static void read_oracle(enum http1_kind kind, struct slice bytes, struct view *v)
{
    static const http_parser_settings settings = {
        .on_url = on_url,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_headers_complete = on_headers_complete,
        .on_body = on_content,
        .on_message_complete = on_complete,
    };
    struct oracle o = {.v = v};
    http_parser p;
    v->verdict = WANTS_MORE;
    v->content_len = 0;
    v->head.header_count = 0;
    v->head.method = v->head.target = SLICE_NONE;
    http_parser_init(&p, kind == HTTP1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE);
    p.data = &o;
    v->end = http_parser_execute(&p, &settings, bytes.ptr, bytes.len);
    v->why = HTTP_PARSER_ERRNO(&p);
    if (v->why != HPE_OK && v->why != HPE_PAUSED)
        v->verdict = REFUSED;
}

/* ---- what explains a difference ---- */

static bool is_in(struct slice text, const char *what)
{
    for (size_t i = 0; i + strlen(what) <= text.len; i++)
        if (strncasecmp(text.ptr + i, what, strlen(what)) == 0)
            return true;
    return false;
}

static bool has_bare_lf(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '\n' && (i == 0 || s.ptr[i - 1] != '\r'))
            return true;
    return false;
}

static bool has_bare_cr(struct slice s)
{
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.ptr[i] == '\r' && s.ptr[i + 1] != '\n')
            return true;
    return false;
}

static bool is_value_byte(char c)
{
    return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

static bool is_name_byte(char c)
{
    bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return alnum || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_value_byte(s.ptr[i]) && s.ptr[i] != '\r' && s.ptr[i] != '\n')
            return true;
    return false;
}

/* The first line that is not empty, without its end. */
static struct slice start_line(struct slice bytes)
{
    while (bytes.len && (bytes.ptr[0] == '\r' || bytes.ptr[0] == '\n'))
        bytes = slice_from(bytes, 1);
    ptrdiff_t lf = slice_find(bytes, '\n');
    struct slice line = lf < 0 ? bytes : slice_first(bytes, (size_t)lf);
    return line.len && line.ptr[line.len - 1] == '\r' ? slice_first(line, line.len - 1) : line;
}

/* HTTP/d.d; *major_minor is 11 for 1.1 */
static bool is_version(struct slice s, int *major_minor)
{
    bool fine = s.len == 8 && slice_starts(s, SLICE("HTTP/")) && s.ptr[6] == '.' &&
                s.ptr[5] >= '0' && s.ptr[5] <= '9' && s.ptr[7] >= '0' && s.ptr[7] <= '9';
    *major_minor = fine ? (s.ptr[5] - '0') * 10 + s.ptr[7] - '0' : 0;
    return fine;
}

/* method SP target SP version, cut at each space; false: there are not three */
static bool three_parts(struct slice line, struct slice part[3])
{
    return slice_split(&line, ' ', &part[0]) && slice_split(&line, ' ', &part[1]) &&
           slice_split(&line, ' ', &part[2]) && line.len == 0 && part[2].len;
}

static bool is_target(struct slice target)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7f || target.ptr[i] == '#')
            return false;
    return target.len > 0;
}

static bool is_method(struct slice method)
{
    for (size_t i = 0; i < method.len; i++)
        if (!is_name_byte(method.ptr[i]))
            return false;
    return method.len > 0;
}

static bool is_status_line(struct slice line)
{
    int version;
    if (line.len < 12 || !is_version(slice_first(line, 8), &version) || line.ptr[8] != ' ')
        return false;
    for (size_t i = 9; i < 12; i++)
        if (line.ptr[i] < (i == 9 ? '1' : '0') || line.ptr[i] > (i == 9 ? '5' : '9'))
            return false;
    return line.len == 12 ||
           (line.ptr[12] == ' ' && !has_control(line) && slice_find(line, '\r') < 0);
}

/* A line of `fits` bytes and its CRLF off the front of *s. -1: it holds another byte; 0: it is
 * not whole; 1: taken */
static int take_line(struct slice *s, bool (*fits)(char c), size_t max, struct slice *ret)
{
    size_t n = 0;
    while (n < s->len && fits(s->ptr[n]))
        n++;
    *ret = slice_first(*s, n);
    if (n > max || (n < s->len && s->ptr[n] != '\r'))
        return -1;
    if (n + 1 < s->len && s->ptr[n + 1] != '\n')
        return -1;
    if (n + 1 >= s->len)
        return 0;
    *s = slice_from(*s, n + 2);
    return 1;
}

static bool is_trailer(struct slice line, bool whole)
{
    size_t n = 0;
    while (n < line.len && is_name_byte(line.ptr[n]))
        n++;
    return n == line.len ? !whole : n > 0 && line.ptr[n] == ':';
}

static int is_size(struct slice line, bool whole, uint64_t *size)
{
    size_t n = 0;
    for (*size = 0; n < line.len; n++) {
        const char *digits = "0123456789abcdef";
        const char *at = strchr(digits, line.ptr[n] | 0x20);
        if (!line.ptr[n] || !at || *at != (line.ptr[n] | 0x20) || line.ptr[n] < '0')
            break;
        *size = *size * 16 + (uint64_t)(at - digits);
    }
    bool ext = n < line.len && line.ptr[n] == ';';
    return n <= 8 && (n > 0 || (!whole && line.len == 0)) && (n == line.len || ext) &&
           line.len - n <= LIMIT_HTTP_CHUNK_EXT + 1;
}

/* The chunked coding once more, as a grammar over all the bytes; true for what is unfinished. */
static bool is_chunked_body(struct slice s)
{
    for (;;) {
        struct slice line;
        uint64_t size;
        int taken = take_line(&s, is_value_byte, SIZE_MAX, &line);
        /* where it is not taken, s is as it was: what stands behind the line is its CR */
        if (taken < 0 || !is_size(line, taken > 0 || line.len < s.len, &size))
            return false;
        if (taken == 0)
            return true;
        while (size == 0) {
            taken = take_line(&s, is_value_byte, LIMIT_HTTP_TRAILERS, &line);
            if (taken > 0 && line.len == 0)
                return true;
            if (taken < 0 || !is_trailer(line, taken > 0 || line.len < s.len))
                return false;
            if (taken == 0)
                return true;
        }
        if (s.len <= size)
            return true;
        s = slice_from(s, (size_t)size);
        if (s.ptr[0] != '\r' || (s.len > 1 && s.ptr[1] != '\n'))
            return false;
        if (s.len < 2)
            return true;
        s = slice_from(s, 2);
    }
}

/* Headers as the oracle saw them. */
static size_t seen(const struct view *v, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < v->head.header_count; i++)
        n += slice_ieq(slice_trim(v->head.headers[i].name), slice_str(name));
    return n;
}

static struct slice value_of(const struct view *v, const char *name)
{
    for (size_t i = 0; i < v->head.header_count; i++)
        if (slice_ieq(slice_trim(v->head.headers[i].name), slice_str(name)))
            return slice_trim(v->head.headers[i].value);
    return slice_of("", 0);
}

static bool is_digits(struct slice s)
{
    uint64_t n;
    return s.len > 0 && s.len <= 19 && slice_u64(s, &n) == ERR_OK;
}

static bool has_odd_name(const struct view *v)
{
    for (size_t i = 0; i < v->head.header_count; i++)
        if (slice_find(v->head.headers[i].name, ' ') >= 0 || v->head.headers[i].name.len == 0)
            return true;
    return false;
}

static bool is_host(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f || strchr("\"#/<>?@\\^`{|}", s.ptr[i]))
            return false;
    return s.len > 0;
}

/* Our refusal, by its sentence, and what must then be true of the bytes: security.md's rules
 * are each stricter than the oracle, and none may fire without its shape. */
static bool is_our_rule(enum http1_kind kind, const struct view *ours, const struct view *v,
                        struct slice bytes)
{
    const char *t = ours->problem.text;
    const bool chunked = seen(v, "transfer-encoding") > 0;
    const bool blank = bytes.ptr[0] == '\r' || bytes.ptr[0] == '\n';
    const struct slice line = start_line(bytes), body = slice_from(bytes, ours->head_len);
    struct slice part[3];
    int version = 0;
    const bool folded = is_in(bytes, "\n ") || is_in(bytes, "\n\t");
    const bool three = three_parts(line, part);
    const bool named = three && is_version(part[2], &version);
#define RULE(text, shape)                                                                          \
    if (strcmp(t, text) == 0)                                                                      \
    return (shape)
    /* the oracle skips line ends before a message, any number of them */
    RULE("the first byte starts no message", blank);
    RULE("empty start line", blank);
    /* it takes a bare LF for a line end, and a bare CR in some places */
    RULE("line feed without carriage return", has_bare_lf(bytes));
    RULE("carriage return without line feed", has_bare_cr(bytes));
    RULE("method is not a token", blank || !three || !is_method(part[0]));
    /* tunnels and echoes are not served; absolute and authority form neither */
    RULE("method is not served",
         slice_eq(v->head.method, SLICE("CONNECT")) || slice_eq(v->head.method, SLICE("TRACE")));
    RULE("target is not a path", v->head.target.len && v->head.target.ptr[0] != '/');
    /* tabs, high bytes, fragments; more than one space */
    RULE("target holds a byte that is not visible ASCII", !three || !is_target(part[1]));
    /* HTTP/0.9, spaces around the version, 01.1, versions that are neither 1.0 nor 1.1 */
    RULE("no HTTP version where one belongs",
         kind == HTTP1_REQUEST ? !named : !is_status_line(line));
    RULE("only HTTP/1.0 and HTTP/1.1 are spoken here",
         kind == HTTP1_REQUEST
             ? named && version != 10 && version != 11
             : is_version(slice_first(line, 8), &version) && version != 10 && version != 11);
    RULE("status line is malformed", !is_status_line(line));
    /* obs-fold is joined by it; a space in a name is part of the name; CR and any byte end a head
     */
    RULE("header is folded over lines", folded);
    RULE("header name is not a token directly before a colon",
         has_odd_name(v) || has_bare_cr(bytes));
    RULE("header value holds a control character", has_control(bytes));
    RULE("too many headers", v->head.header_count > 100);
    /* it does not ask for Host, nor what it says */
    RULE("no Host", seen(v, "host") == 0);
    RULE("more than one Host", seen(v, "host") > 1);
    RULE("Host is malformed", !is_host(value_of(v, "host")) || folded);
    RULE("Content-Length is not a plain number",
         !is_digits(value_of(v, "content-length")) || folded ||
             slice_find(slice_first(bytes, ours->head_len), '\t') >= 0);
    RULE("more than one Content-Length", seen(v, "content-length") > 1);
    /* it takes any list that ends in chunked, and leaves others to its caller, a tab behind
     * it too */
    RULE("Transfer-Encoding is not exactly chunked",
         chunked && (!slice_ieq(value_of(v, "transfer-encoding"), SLICE("chunked")) || folded ||
                     slice_find(slice_first(bytes, ours->head_len), '\t') >= 0));
    RULE("more than one Transfer-Encoding", seen(v, "transfer-encoding") > 1);
    RULE("Transfer-Encoding in HTTP/1.0", chunked && is_in(line, "HTTP/1.0"));
    RULE("both Transfer-Encoding and Content-Length", chunked && seen(v, "content-length"));
    RULE("only 100-continue can be expected",
         seen(v, "expect") > 1 || !slice_ieq(value_of(v, "expect"), SLICE("100-continue")) ||
             folded);
    /* bodies: sizes with spaces or many digits, anything as extension, sloppy line ends */
    RULE("chunk size is not one to eight hex digits", chunked && !is_chunked_body(body));
    RULE("chunk extension is malformed or too long", chunked && !is_chunked_body(body));
    RULE("chunk is not followed by an empty line", chunked && !is_chunked_body(body));
    RULE("trailer is malformed or too long", chunked && !is_chunked_body(body));
#undef RULE
    return false;
}

/* The oracle takes a name for a framing header as soon as it begins like one. */
static bool has_longer_name(const struct view *v)
{
    for (size_t i = 0; i < v->head.header_count; i++) {
        struct slice name = v->head.headers[i].name;
        if ((name.len > 14 && slice_ieq(slice_first(name, 14), SLICE("content-length"))) ||
            (name.len > 17 && slice_ieq(slice_first(name, 17), SLICE("transfer-encoding"))))
            return true;
    }
    return false;
}

static bool is_known_method(struct slice method)
{
    for (int m = 0; *http_method_str((enum http_method)m) != '<'; m++)
        if (slice_eq(method, slice_str(http_method_str((enum http_method)m))))
            return true;
    return false;
}

/* RFC 9112 section 6.3: these have no body, whatever their headers say; the oracle reads one. */
static bool is_bodiless(const struct view *v)
{
    return v->head.status &&
           (v->head.status < 200 || v->head.status == 204 || v->head.status == 304);
}

/* The oracle's refusals of what we take, each harmless: */
static bool is_their_rule(const struct view *ours, const struct view *theirs, struct slice bytes)
{
    struct slice body = slice_from(bytes, ours->head_len);
    if (is_bodiless(ours) && body.len)
        return true;
    bool in_trailer =
        ours->head.chunked && (is_in(body, "content-length") || is_in(body, "transfer-encoding"));
    switch (theirs->why) {
    case HPE_INVALID_METHOD: /* it knows a list of methods; for us a method is a token */
        return !is_known_method(ours->head.method);
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_INVALID_TRANSFER_ENCODING:
        return in_trailer || has_longer_name(ours); /* trailers are headers to it; we drop them */
    default:
        return false;
    }
}

/* ---- the comparison ---- */

/* An upgrade ends its message with the head: what follows belongs to another protocol there, while
 * we go on with HTTP. */
static bool is_upgrade(const struct view *v)
{
    return seen(v, "upgrade") > 0;
}

static void compare_heads(const struct view *ours, const struct view *theirs, struct slice bytes)
{
    const struct http_head *a = &ours->head, *b = &theirs->head;
    if (a->status != b->status || !slice_eq(a->method, b->method) ||
        !slice_eq(a->target, b->target))
        die("start lines differ", bytes);
    if (a->header_count != b->header_count)
        die("header counts differ", bytes);
    for (size_t i = 0; i < a->header_count; i++)
        if (!slice_eq(a->headers[i].name, b->headers[i].name) ||
            !slice_eq(a->headers[i].value, slice_trim(b->headers[i].value)))
            die("headers differ", bytes);
}

static void compare_bodies(const struct view *ours, const struct view *theirs, struct slice bytes)
{
    if (is_upgrade(ours) || is_bodiless(ours) || ours->to_close)
        return;
    if (has_longer_name(ours))
        return; /* it reads the body as that header says */
    if (ours->head.chunked != theirs->head.chunked)
        die("codings differ", bytes);
    size_t both = ours->content_len < theirs->content_len ? ours->content_len : theirs->content_len;
    if (memcmp(ours->content, theirs->content, both) != 0)
        die("bodies differ", bytes);
    if (ours->verdict == WHOLE && theirs->verdict == WHOLE &&
        (ours->content_len != theirs->content_len || ours->end != theirs->end))
        die("ends differ", bytes);
}

static void compare(enum http1_kind kind, const struct view *ours, const struct view *theirs,
                    struct slice bytes)
{
    if (ours->verdict == REFUSED) {
        if (theirs->verdict != REFUSED && theirs->verdict != WANTS_MORE &&
            !is_our_rule(kind, ours, theirs, bytes))
            die(ours->problem.text, bytes);
        return;
    }
    if (theirs->verdict == REFUSED) {
        if (ours->verdict != WANTS_MORE && !is_their_rule(ours, theirs, bytes))
            die(http_errno_name(theirs->why), bytes);
        return;
    }
    if (ours->verdict == WANTS_MORE || theirs->verdict == WANTS_MORE) {
        /* CR and any byte end a head there; for us it is a header not yet seen whole */
        if (ours->verdict != theirs->verdict && !has_bare_cr(bytes))
            die("one of them waits for more of the head", bytes);
        return;
    }
    compare_heads(ours, theirs, bytes);
    compare_bodies(ours, theirs, bytes);
}

static void compare_cuts(const struct view *a, const struct view *b, struct slice bytes)
{
    if (a->verdict != b->verdict)
        die("another verdict when cut", bytes);
    if (a->content_len != b->content_len || memcmp(a->content, b->content, a->content_len) != 0)
        if (a->verdict != REFUSED)
            die("another body when cut", bytes);
    if (a->verdict == WHOLE && a->end != b->end)
        die("another end when cut", bytes);
}

/* What was accepted can be written, and is read as the same again. */
static void write_again(const struct view *ours, struct slice bytes)
{
    static struct view again;
    struct buf out;
    buf_init(&out, 4 * LIMIT_HTTP_HEAD);
    const struct http_head *h = &ours->head;
    if (kit_write_request(&out, h->method, h->target, h->headers, h->header_count) != ERR_OK)
        die("cannot be written again", bytes);
    if (h->version == HTTP_11) {
        uint32_t whole = 0;
        if (read_head(HTTP1_REQUEST, buf_slice(&out), &whole, &again) != ERR_OK)
            die("cannot be read again", buf_slice(&out));
        compare_heads(ours, &again, bytes);
    }
    buf_fini(&out);
}

/* Chunks that are joined have the same content, however the bytes are cut. */
static void compare_joined(enum http1_kind kind, const struct view *ours, struct slice bytes,
                           uint32_t seed)
{
    static struct view joined;
    char *copy = malloc(bytes.len);
    if (!copy)
        abort();
    memcpy(copy, bytes.ptr, bytes.len);
    joined.head_len = 0;
    read_ours(kind, slice_of(copy, bytes.len), seed, true, &joined);
    compare_cuts(ours, &joined, bytes);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct view ours, cut, theirs;
    if (size < 2)
        return 0;
    enum http1_kind kind = data[0] & 1 ? HTTP1_ANSWER : HTTP1_REQUEST;
    struct slice bytes = slice_of(data + 1, size - 1);
    uint32_t seed = 1;
    for (size_t i = 0; i < size; i++)
        seed = seed * 31 + data[i];
    ours.head_len = cut.head_len = 0;
    read_ours(kind, bytes, 0, false, &ours);
    read_ours(kind, bytes, seed | 1, false, &cut);
    read_oracle(kind, bytes, &theirs);
    compare_cuts(&ours, &cut, bytes);
    compare_joined(kind, &ours, bytes, 0);
    compare_joined(kind, &ours, bytes, seed | 1);
    compare(kind, &ours, &theirs, bytes);
    if (kind == HTTP1_REQUEST && (ours.verdict == HEAD_ONLY || ours.verdict == WHOLE))
        write_again(&ours, bytes);
    return 0;
}
