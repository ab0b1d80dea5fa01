/*
 * Paths: one spelling for each, so that what the gate decides on is what the upstream reads.
 */
#include "common/net/http1_table.h"

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
