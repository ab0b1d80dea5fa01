/*
 * buf — one piece of memory; the gap that consumed bytes leave at the front is closed when space is
 * needed.
 */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/escape.h"
#include "common/base/mem.h"

#define FIRST_CAP 256 /* a head or a small body without a second allocation */

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    mem_free(b->data);
    buf_init(b, b->max);
}

static void close_hole(struct buf *b)
{
    if (b->len)
        memmove(b->data, b->data + b->off, b->len);
    b->off = 0;
}

static enum err grow(struct buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need)
        cap *= 2;
    if (cap > b->max)
        cap = b->max;
    if (b->data && b->off)
        close_hole(b);
    char *data = mem_realloc(b->data, cap);
    if (!data)
        return ERR_NOMEM;
    b->data = data;
    b->cap = cap;
    return ERR_OK;
}

enum err buf_room(struct buf *b, size_t n, char **ret)
{
    if (n > b->max - b->len)
        return ERR_TOO_BIG;
    size_t need = b->len + n;
    if (!b->data || need > b->cap - b->off) {
        /* Closing a gap smaller than the content would make many small reads quadratic. */
        bool worth_it = need <= b->cap && (b->off >= b->len || b->cap == b->max);
        if (b->data && worth_it) {
            close_hole(b);
        } else {
            enum err e = grow(b, need > b->cap ? need : b->cap + 1);
            if (e)
                return e;
        }
    }
    *ret = b->data + b->off + b->len;
    return ERR_OK;
}

void buf_commit(struct buf *b, size_t n)
{
    MUST(n <= b->cap - b->off - b->len);
    b->len += n;
}

enum err buf_append(struct buf *b, struct slice s)
{
    if (s.len == 0)
        return ERR_OK;
    char *room;
    enum err e = buf_room(b, s.len, &room);
    if (e)
        return e;
    memcpy(room, s.ptr, s.len);
    b->len += s.len;
    return ERR_OK;
}

enum err buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    MUST(len >= 0);

    /* vsnprintf writes a NUL behind the text; where that byte would pass the ceiling, the text
     * goes through a piece of heap of its own. */
    size_t size = (size_t)len;
    char *room;
    if (size < b->max - b->len) {
        enum err e = buf_room(b, size + 1, &room);
        if (e)
            return e;
        va_start(args, fmt);
        vsnprintf(room, size + 1, fmt, args);
        va_end(args);
        b->len += size;
        return ERR_OK;
    }
    if (size > b->max - b->len)
        return ERR_TOO_BIG;
    char *text = mem_alloc(size + 1);
    if (!text)
        return ERR_NOMEM;
    va_start(args, fmt);
    vsnprintf(text, size + 1, fmt, args);
    va_end(args);
    enum err e = buf_append(b, slice_of(text, size));
    mem_free(text);
    return e;
}

void buf_eat(struct buf *b, size_t n)
{
    MUST(n <= b->len);
    b->len -= n;
    b->off = b->len ? b->off + n : 0;
}

void buf_clear(struct buf *b)
{
    b->off = 0;
    b->len = 0;
}

static enum err append_escaped(struct buf *b, struct slice s)
{
    while (s.len) {
        size_t plain = escape_plain(s);
        enum err e = buf_append(b, slice_first(s, plain));
        if (e)
            return e;
        s = slice_from(s, plain);
        if (s.len == 0)
            break;
        char text[ESCAPE_MAX];
        size_t len = escape_json(&s, text);
        e = buf_append(b, slice_of(text, len));
        if (e)
            return e;
    }
    return ERR_OK;
}

enum err buf_json_string_more(struct buf *b, struct slice s)
{
    size_t before = b->len;
    MUST(before && b->data[b->off + before - 1] == '"');
    b->len--;
    enum err e = append_escaped(b, s);
    if (!e)
        e = buf_append(b, SLICE("\""));
    if (!e)
        return ERR_OK;
    b->len = before;
    b->data[b->off + before - 1] = '"';
    return e;
}

enum err buf_json_string(struct buf *b, struct slice s)
{
    size_t before = b->len;
    enum err e = buf_append(b, SLICE("\""));
    if (!e)
        e = append_escaped(b, s);
    if (!e)
        e = buf_append(b, SLICE("\""));
    if (e)
        b->len = before;
    return e;
}
