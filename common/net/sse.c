/*
 * Events are found in the bytes as they come; only an event that is cut is copied, to be
 * joined with its rest. An event with a single data line is lent without a copy, too.
 *
 * There are two ways through an event: read_whole takes one that lies in the bytes with LF behind
 * its lines, as nearly all do, in one pass; read_cut remembers how far it came, and knows CR.
 */
#include "common/net/sse.h"
#include "common/base/limits.h"

void sse_reader_init(struct sse_reader *r)
{
    *r = (struct sse_reader){0};
    sse_reader_limit(r, LIMIT_SSE_EVENT);
}

void sse_reader_limit(struct sse_reader *r, size_t max)
{
    r->max = max;
    buf_init(&r->raw, max);
    buf_init(&r->data, max);
}

void sse_reader_fini(struct sse_reader *r)
{
    buf_fini(&r->raw);
    buf_fini(&r->data);
}

void sse_reader_reset(struct sse_reader *r)
{
    buf_clear(&r->raw);
    buf_clear(&r->data);
    r->started = r->after_cr = r->line_begun = r->lent = false;
}

struct slice sse_reader_rest(const struct sse_reader *r)
{
    return r->lent ? slice_of("", 0) : buf_slice(&r->raw);
}

bool sse_reader_is_between(const struct sse_reader *r)
{
    return (r->lent || r->raw.len == 0) && !r->after_cr;
}

/* how many bytes stand before the next CR or LF */
static size_t line_rest(struct slice s)
{
    const char *lf = s.len ? memchr(s.ptr, '\n', s.len) : NULL;
    size_t n = lf ? (size_t)(lf - s.ptr) : s.len;
    const char *cr = n ? memchr(s.ptr, '\r', n) : NULL;
    return cr ? (size_t)(cr - s.ptr) : n;
}

/* true: *len bytes end an event. false: all of s is inside one. */
static bool find_end(struct sse_reader *r, struct slice s, size_t *len)
{
    size_t at = 0;
    while (at < s.len) {
        char c = s.ptr[at];
        if (c != '\r' && c != '\n') {
            at += line_rest(slice_from(s, at));
            r->line_begun = true;
            r->after_cr = false;
            continue;
        }
        at++;
        bool second_half = c == '\n' && r->after_cr;
        r->after_cr = c == '\r';
        if (second_half)
            continue;
        if (r->line_begun) {
            r->line_begun = false;
            continue;
        }
        if (c == '\r' && at < s.len && s.ptr[at] == '\n') {
            r->after_cr = false;
            at++;
        }
        *len = at;
        return true;
    }
    return false;
}

/* Takes a line off the front of *rest; its end is not part of it. */
static struct slice take_line(struct slice *rest)
{
    size_t n = line_rest(*rest);
    struct slice line = slice_first(*rest, n);
    size_t skip = n + 1 < rest->len && rest->ptr[n] == '\r' && rest->ptr[n + 1] == '\n' ? 2 : 1;
    *rest = slice_from(*rest, n + skip);
    return line;
}

static struct slice field_value(struct slice line, ptrdiff_t colon)
{
    struct slice v = colon < 0 ? slice_of("", 0) : slice_from(line, (size_t)colon + 1);
    return v.len && v.ptr[0] == ' ' ? slice_from(v, 1) : v;
}

/* The first data line is lent from raw; a second one makes both move into r->data. */
static enum err add_data(struct sse_reader *r, struct sse_event *e, struct slice value)
{
    if (!e->has_data) {
        e->has_data = true;
        e->data = value;
        return ERR_OK;
    }
    enum err err = ERR_OK;
    if (e->data.ptr != buf_slice(&r->data).ptr) {
        buf_clear(&r->data);
        err = buf_append(&r->data, e->data);
    }
    if (!err)
        err = buf_append(&r->data, SLICE("\n"));
    if (!err)
        err = buf_append(&r->data, value);
    e->data = buf_slice(&r->data);
    return err;
}

static enum err read_line(struct sse_reader *r, struct sse_event *e, struct slice line)
{
    ptrdiff_t colon = slice_find(line, ':');
    if (colon == 0)
        return ERR_OK; /* a comment */
    struct slice name = colon < 0 ? line : slice_first(line, (size_t)colon);
    struct slice value = field_value(line, colon);
    if (slice_eq(name, SLICE("data")))
        return add_data(r, e, value);
    if (slice_eq(name, SLICE("event")))
        e->event = value;
    else if (slice_eq(name, SLICE("id")) && slice_find(value, '\0') < 0)
        e->id = value;
    return ERR_OK;
}

static struct sse_event no_fields(void)
{
    const struct slice none = slice_of("", 0);
    return (struct sse_event){.raw = none, .event = none, .data = none, .id = none};
}

static enum err read_fields(struct sse_reader *r, struct slice raw, struct sse_event *e)
{
    *e = no_fields();
    e->raw = raw;
    if (!r->started && slice_starts(raw, SLICE("\xEF\xBB\xBF")))
        raw = slice_from(raw, 3);
    r->started = true;
    while (raw.len) {
        struct slice line = take_line(&raw);
        enum err err = line.len ? read_line(r, e, line) : ERR_OK;
        if (err)
            return err;
    }
    return ERR_OK;
}

/* The usual event: all of it lies in bytes, and its lines end with LF. Its fields are read while
 * its end is looked for. ERR_AGAIN: it is another one, of which nothing was taken. */
static enum err read_whole(struct sse_reader *r, struct slice bytes, struct sse_event *e)
{
    struct slice rest = bytes;
    if (!sse_reader_is_between(r) || !r->started)
        return ERR_AGAIN;
    *e = no_fields();
    for (;;) {
        const char *lf = rest.len ? memchr(rest.ptr, '\n', rest.len) : NULL;
        size_t n = lf ? (size_t)(lf - rest.ptr) : 0;
        if (!lf || (n && memchr(rest.ptr, '\r', n)))
            return ERR_AGAIN;
        struct slice line = slice_first(rest, n);
        rest = slice_from(rest, n + 1);
        if (n == 0)
            break;
        enum err err = read_line(r, e, line);
        if (err)
            return err;
    }
    e->raw = slice_first(bytes, bytes.len - rest.len);
    return e->raw.len > r->max ? ERR_TOO_BIG : ERR_OK;
}

static enum err read_cut(struct sse_reader *r, struct slice *bytes, struct sse_event *e)
{
    size_t len;
    if (!find_end(r, *bytes, &len)) {
        enum err err = bytes->len ? buf_append(&r->raw, *bytes) : ERR_OK;
        *bytes = slice_from(*bytes, bytes->len);
        return err ? err : ERR_AGAIN;
    }
    struct slice raw = slice_first(*bytes, len);
    *bytes = slice_from(*bytes, len);
    if (r->raw.len) {
        enum err err = buf_append(&r->raw, raw);
        if (err)
            return err;
        raw = buf_slice(&r->raw);
        r->lent = true;
    }
    return raw.len > r->max ? ERR_TOO_BIG : read_fields(r, raw, e);
}

static void take_back(struct sse_reader *r)
{
    if (!r->lent)
        return;
    buf_clear(&r->raw);
    r->lent = false;
}

enum err sse_reader_next(struct sse_reader *r, struct slice *bytes, struct sse_event *ret)
{
    take_back(r);
    enum err e = read_whole(r, *bytes, ret);
    if (e == ERR_AGAIN)
        return read_cut(r, bytes, ret);
    if (!e)
        *bytes = slice_from(*bytes, ret->raw.len);
    return e;
}

enum err sse_reader_feed(struct sse_reader *r, struct slice bytes,
                         bool (*fn)(void *arg, const struct sse_event *e), void *arg)
{
    struct sse_event event;
    enum err e;
    while (!(e = sse_reader_next(r, &bytes, &event)))
        if (!fn(arg, &event))
            return ERR_CANCELLED;
    return e == ERR_AGAIN ? ERR_OK : e;
}

static bool is_one_line(struct slice s)
{
    return line_rest(s) == s.len && slice_find(s, '\0') < 0;
}

static enum err write_line(struct buf *out, struct slice field, struct slice value)
{
    enum err e = buf_append(out, field);
    if (!e && value.len)
        e = buf_append(out, value);
    return e ? e : buf_append(out, SLICE("\n"));
}

static enum err write_data(struct buf *out, struct slice data)
{
    bool more;
    do {
        more = line_rest(data) < data.len;
        enum err e = write_line(out, SLICE("data: "), take_line(&data));
        if (e)
            return e;
    } while (more);
    return ERR_OK;
}

enum err sse_write(struct buf *out, struct slice event, struct slice id, struct slice data)
{
    if (!is_one_line(event) || !is_one_line(id))
        return ERR_INVALID;
    size_t before = out->len;
    enum err e = event.len ? write_line(out, SLICE("event: "), event) : ERR_OK;
    if (!e && id.len)
        e = write_line(out, SLICE("id: "), id);
    if (!e)
        e = write_data(out, data);
    if (!e)
        e = buf_append(out, SLICE("\n"));
    if (e)
        out->len = before;
    return e;
}
