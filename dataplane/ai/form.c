/*
 * form — parts cut at their delimiters, in one walk over the bytes.
 *
 * A delimiter begins with CR, and a boundary holds no control character: where a byte is not the
 * delimiter's next one, no other place in it can begin there but that of a CR.
 */
#include "dataplane/ai/form.h"

static bool is_token(char c)
{
    return c > ' ' && c < 127 && !strchr("()<>@,;:\\\"/[]?=", c);
}

static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127)
            return false;
    return true;
}

/* One parameter behind a ';': name=value or name="value". false: there is none, or it is wrong. */
static bool take_parameter(struct slice *rest, struct slice *name, struct slice *value)
{
    struct slice s = slice_trim(*rest);
    size_t n = 0;
    if (!s.len || s.ptr[0] != ';')
        return false;
    s = slice_trim(slice_from(s, 1));
    while (n < s.len && is_token(s.ptr[n]))
        n++;
    *name = slice_first(s, n);
    s = slice_from(s, n);
    if (!n || !s.len || s.ptr[0] != '=')
        return false;
    s = slice_from(s, 1);
    bool quoted = s.len && s.ptr[0] == '"';
    n = quoted;
    while (n < s.len && (quoted ? s.ptr[n] != '"' : is_token(s.ptr[n]))) {
        n += quoted && s.ptr[n] == '\\' && n + 1 < s.len;
        n++;
    }
    if (quoted && n >= s.len)
        return false;
    *value = quoted ? slice_of(s.ptr + 1, n - 1) : slice_first(s, n);
    *rest = slice_from(s, n + quoted);
    return true;
}

struct slice form_boundary(struct slice content_type)
{
    const struct slice kind = SLICE("multipart/form-data");
    struct slice rest = slice_from(content_type, kind.len), name, value, found = SLICE_NONE;
    if (!slice_ieq(slice_first(content_type, kind.len), kind))
        return SLICE_NONE;
    while (take_parameter(&rest, &name, &value)) {
        if (!slice_ieq(name, SLICE("boundary")))
            continue;
        if (found.ptr)
            return SLICE_NONE;
        found = value;
    }
    bool fits =
        found.len && found.len <= FORM_BOUNDARY_MAX && !slice_trim(rest).len && is_plain(found);
    return fits ? found : SLICE_NONE;
}

static bool read_disposition(struct slice line, struct slice *name, bool *file)
{
    const struct slice kind = SLICE("form-data");
    struct slice rest = slice_trim(line), parameter, value;
    *name = SLICE_NONE;
    *file = false;
    if (!slice_ieq(slice_first(rest, kind.len), kind))
        return false;
    rest = slice_from(rest, kind.len);
    while (take_parameter(&rest, &parameter, &value)) {
        bool is_name = slice_ieq(parameter, SLICE("name"));
        if ((is_name && name->ptr) || slice_ieq(parameter, SLICE("name*")))
            return false; /* some readers take the last, or the extended one (RFC 8187) */
        if (is_name)
            *name = value;
        *file = *file || slice_ieq(slice_first(parameter, 8), SLICE("filename"));
    }
    return name->len && slice_find(*name, '\\') < 0 && !slice_trim(rest).len;
}

/* "name: value" and nothing that some reader takes for another line. */
static bool is_header(struct slice line)
{
    ptrdiff_t colon = slice_find(line, ':');
    if (colon <= 0)
        return false;
    for (size_t i = 0; i < line.len; i++) {
        bool in_name = i < (size_t)colon;
        char c = line.ptr[i];
        if (in_name ? !is_token(c) : (unsigned char)c < ' ' && c != '\t')
            return false;
    }
    return true;
}

static bool read_head(struct slice head, struct slice *name, bool *file)
{
    const struct slice wanted = SLICE("content-disposition:");
    bool found = false;
    while (head.len) {
        ptrdiff_t end = slice_search(head, SLICE("\r\n"));
        struct slice line = end < 0 ? head : slice_first(head, (size_t)end);
        head = end < 0 ? slice_from(head, head.len) : slice_from(head, (size_t)end + 2);
        if (!is_header(line))
            return false;
        if (!slice_ieq(slice_first(line, wanted.len), wanted))
            continue;
        if (found || !read_disposition(slice_from(line, wanted.len), name, file))
            return false;
        found = true;
    }
    return found;
}

/* ---- as it comes ---- */

void form_scan_init(struct form_scan *s, struct slice boundary, form_part_fn *fn, void *arg)
{
    s->state = FORM_BEGIN;
    s->fn = fn;
    s->arg = arg;
    s->problem = NULL;
    s->at = 0;
    s->parts = s->head_len = s->value_len = 0;
    s->part = (struct form_part){.name = SLICE_NONE};
    s->matched = 2; /* the beginning of the body begins a line */
    s->bare = false;
    s->behind = 0;
    char *to = slice_put(s->delimiter, SLICE("\r\n--"));
    to = slice_put(to, slice_first(boundary, FORM_BOUNDARY_MAX));
    s->delimiter_len = (size_t)(to - s->delimiter);
}

static void wrong(struct form_scan *s, const char *problem)
{
    s->state = FORM_WRONG;
    s->problem = problem;
}

static void tell(struct form_scan *s)
{
    if (!s->fn(s->arg, &s->part))
        s->state = FORM_STOPPED;
}

static void keep(struct form_scan *s, struct slice bytes)
{
    s->bare = s->bare && !bytes.len;
    if (s->part.file)
        return;
    struct slice fits = slice_first(bytes, FORM_VALUE_MAX - s->value_len);
    slice_put(s->value + s->value_len, fits);
    s->value_len += fits.len;
}

/* What looked like a delimiter is content. The line's end that ends a head is no content. */
static void keep_matched(struct form_scan *s, size_t n)
{
    size_t skip = s->bare ? 2 : 0;
    s->bare = false;
    keep(s, slice_from(slice_of(s->delimiter, n), skip));
    s->matched = 0;
}

static void take_value(struct form_scan *s, char c)
{
    if (c == s->delimiter[s->matched]) {
        if (++s->matched == s->delimiter_len) {
            s->state = FORM_LINE;
            s->behind = 0;
        }
        return;
    }
    keep_matched(s, s->matched);
    if (c == '\r')
        s->matched = 1;
    else
        keep(s, slice_of(&c, 1));
}

static void take_begin(struct form_scan *s, char c)
{
    if (c != s->delimiter[s->matched]) {
        wrong(s, "the form does not begin with its boundary");
    } else if (++s->matched == s->delimiter_len) {
        s->state = FORM_LINE;
        s->behind = 0;
    }
}

static void begin_part(struct form_scan *s)
{
    if (s->parts++ >= FORM_PARTS_MAX) {
        wrong(s, "the form has too many parts");
        return;
    }
    s->state = FORM_HEAD;
    s->head_len = s->value_len = 0;
}

/* A part whose head is followed by a delimiter without a line's end of its own ends, for some
 * readers, and for others that delimiter is content. */
static void end_part(struct form_scan *s, bool last)
{
    s->matched = 0;
    if (s->parts && s->bare) {
        wrong(s, "a part of the form has no content");
        return;
    }
    if (s->parts) {
        s->part.whole = true;
        s->part.end = s->at - 2 - s->delimiter_len;
        s->part.value = slice_of(s->value, s->value_len);
        tell(s);
    }
    if (s->state == FORM_STOPPED)
        return;
    if (last)
        s->state = FORM_END;
    else
        begin_part(s);
}

/* A longer word that begins like the delimiter is content. */
static void take_line(struct form_scan *s, char c)
{
    char behind = s->behind;
    if (!behind && (c == '\r' || c == '-')) {
        s->behind = c;
    } else if ((behind == '\r' && c == '\n') || (behind == '-' && c == '-')) {
        end_part(s, c == '-');
    } else if (!s->parts) {
        wrong(s, "a boundary of the form does not end its line");
    } else {
        s->state = FORM_VALUE;
        keep_matched(s, s->delimiter_len);
        if (behind == '\r')
            s->matched = 1;
        else if (behind)
            keep(s, slice_of(&behind, 1));
        take_value(s, c);
    }
}

static void end_head(struct form_scan *s)
{
    struct slice head = slice_of(s->head, s->head_len - 4);
    s->part = (struct form_part){.begin = s->at};
    if (slice_search(head, slice_of(s->delimiter, s->delimiter_len)) >= 0 ||
        !read_head(head, &s->part.name, &s->part.file)) {
        wrong(s, "a part of the form has no name");
        return;
    }
    s->state = FORM_VALUE;
    s->matched = 2;
    s->bare = true;
    tell(s);
}

static void take_head(struct form_scan *s, char c)
{
    if (s->head_len == FORM_HEAD_MAX) {
        wrong(s, "the head of a part of the form is too long");
        return;
    }
    s->head[s->head_len++] = c;
    struct slice head = slice_of(s->head, s->head_len);
    if (slice_eq(head, SLICE("\r\n")))
        wrong(s, "a part of the form has no name");
    else if (slice_ends(head, SLICE("\r\n\r\n")))
        end_head(s);
}

static void take_byte(struct form_scan *s, char c)
{
    s->at++;
    switch (s->state) {
    case FORM_BEGIN:
        take_begin(s, c);
        break;
    case FORM_LINE:
        take_line(s, c);
        break;
    case FORM_HEAD:
        take_head(s, c);
        break;
    case FORM_VALUE:
        take_value(s, c);
        break;
    case FORM_END:
        if (c != '\r' && c != '\n' && c != ' ' && c != '\t')
            wrong(s, "something stands behind the end of the form");
        break;
    case FORM_STOPPED:
    case FORM_WRONG:
        break;
    }
}

enum err form_scan_feed(struct form_scan *s, struct slice piece)
{
    size_t i = 0;
    while (i < piece.len && s->state < FORM_STOPPED) {
        if (s->state == FORM_VALUE && !s->matched) {
            const char *from = piece.ptr + i, *cr = memchr(from, '\r', piece.len - i);
            size_t n = cr ? (size_t)(cr - from) : piece.len - i;
            keep(s, slice_of(from, n));
            s->at += n;
            i += n;
        }
        if (i < piece.len)
            take_byte(s, piece.ptr[i++]);
    }
    return s->problem ? ERR_INVALID : ERR_OK;
}

bool form_scan_is_whole(const struct form_scan *s)
{
    return s->state == FORM_END || s->state == FORM_STOPPED;
}

/* ---- a body that is there ---- */

struct reading {
    struct slice body;
    form_part_fn *fn;
    void *arg;
    struct form_scan scan;
};

static struct form_part in_place(const struct reading *r, const struct form_part *p)
{
    struct form_part placed = *p;
    const char *head = r->body.ptr + p->begin - r->scan.head_len;
    uint64_t end = p->whole ? p->end : r->body.len;
    placed.name.ptr = head + (p->name.ptr - r->scan.head);
    placed.value = slice_of(r->body.ptr + p->begin, (size_t)(end - p->begin));
    return placed;
}

static bool place(void *arg, const struct form_part *p)
{
    struct reading *r = arg;
    struct form_part placed = in_place(r, p);
    return !p->whole || r->fn(r->arg, &placed);
}

static enum err walk(struct reading *r, struct slice boundary, const char **problem)
{
    *problem = "the form has no end";
    if (!boundary.len || boundary.len > FORM_BOUNDARY_MAX)
        return ERR_INVALID;
    form_scan_init(&r->scan, boundary, place, r);
    enum err e = form_scan_feed(&r->scan, r->body);
    if (e)
        *problem = r->scan.problem;
    return e;
}

enum err form_read(struct slice body, struct slice boundary, form_part_fn *fn, void *arg,
                   const char **problem)
{
    struct reading r = {.body = body, .fn = fn, .arg = arg};
    enum err e = walk(&r, boundary, problem);
    return e || form_scan_is_whole(&r.scan) ? e : ERR_INVALID;
}

enum err form_read_front(struct slice front, struct slice boundary, form_part_fn *fn, void *arg,
                         const char **problem)
{
    struct reading r = {.body = front, .fn = fn, .arg = arg};
    enum err e = walk(&r, boundary, problem);
    bool inside = r.scan.state == FORM_VALUE || (r.scan.state == FORM_LINE && r.scan.parts);
    if (!e && inside) {
        struct form_part last = in_place(&r, &r.scan.part);
        fn(arg, &last);
    }
    return e;
}
