/*
 * json_lines — a line ends with LF; a CR before it is white space.
 */
#include "common/net/json_lines.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice trim(struct slice s)
{
    while (s.len && is_space(s.ptr[0]))
        s = slice_from(s, 1);
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static void read_line(struct slice raw, struct sse_event *ret)
{
    *ret = (struct sse_event){.raw = raw, .data = trim(raw)};
    ret->has_data = ret->data.len > 0;
}

/* A whole line in rest is the one that was lent by the call before. */
static bool was_lent(const struct buf *rest)
{
    return rest->len > 0 && rest->data[rest->len - 1] == '\n';
}

bool json_lines_is_begun(const struct buf *rest)
{
    return rest->len > 0 && !was_lent(rest);
}

enum err json_lines_next(struct buf *rest, size_t max, struct slice *bytes, struct sse_event *ret)
{
    if (was_lent(rest))
        buf_clear(rest);
    ptrdiff_t end = slice_find(*bytes, '\n');
    struct slice piece = end < 0 ? *bytes : slice_first(*bytes, (size_t)end + 1);
    if (rest->len + piece.len > max)
        return ERR_TOO_BIG;
    *bytes = slice_from(*bytes, piece.len);
    if (end >= 0 && !rest->len) {
        read_line(piece, ret);
        return ERR_OK;
    }
    enum err e = buf_append(rest, piece);
    if (!e && end >= 0)
        read_line(buf_slice(rest), ret);
    return e ? e : end < 0 ? ERR_AGAIN : ERR_OK;
}
