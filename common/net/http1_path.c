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

/* One byte that is escaped or has to be; *at moves behind it. */
static enum err add_byte(struct buf *path, const char **at, const char *end, uint8_t *before)
{
    const char *p = *at;
    uint8_t byte = (uint8_t)*p;
    bool escaped = *p == '%';
    if (escaped) {
        int high = end - p >= 3 ? http1_hex(p[1]) : -1, low = high >= 0 ? http1_hex(p[2]) : -1;
        if (low < 0)
            return ERR_INVALID;
        byte = (uint8_t)(high << 4 | low);
    }
    *at = p + (escaped ? 3 : 1);
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

enum err http1_path(struct slice target, struct buf *path, struct slice *query)
{
    const char *whole_end = target.ptr + target.len;
    if (target.len == 0 || target.ptr[0] != '/' ||
        http1_skip_target(target.ptr, whole_end) != whole_end)
        return ERR_INVALID;
    ptrdiff_t mark = slice_find(target, '?');
    size_t len = mark < 0 ? target.len : (size_t)mark;

    size_t before = path->len;
    enum err e = add_path(path, target.ptr, target.ptr + len);
    if (e) {
        path->len = before;
        return e;
    }
    *query = slice_from(target, len + 1);
    return ERR_OK;
}
