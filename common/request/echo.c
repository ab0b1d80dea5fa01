/* echo — see the card. */
#include "common/request/echo.h"

#define HELD_MAX (32 * 1024) /* longer than any credential's remainder */

struct slice echo_needle(struct slice credential)
{
    struct slice word = credential, rest = credential;
    while (slice_split(&rest, ' ', &word))
        ;
    return word.len >= ECHO_SHORTEST && word.len < HELD_MAX ? word : SLICE_NONE;
}

bool echo_mask(struct slice needle, char *text, size_t len)
{
    bool found = false;
    size_t from = 0;
    ptrdiff_t at;
    while (needle.len > 0 && from < len &&
           (at = slice_search(slice_of(text + from, len - from), needle)) >= 0) {
        memset(text + from + at, '*', needle.len);
        from += (size_t)at + needle.len;
        found = true;
    }
    return found;
}

void echo_init(struct echo *e, struct slice credential)
{
    *e = (struct echo){.needle = echo_needle(credential)};
    buf_init(&e->held, 2 * HELD_MAX + ECHO_LOOKED_AT);
}

void echo_fini(struct echo *e)
{
    buf_fini(&e->held);
}

bool echo_is_in(const struct echo *e, struct slice text)
{
    return e->needle.len > 0 && slice_search(text, e->needle) >= 0;
}

bool echo_is_over(const struct echo *e)
{
    return e->needle.len == 0 || (e->seen >= ECHO_LOOKED_AT && e->held.len == 0);
}

/* The longest end of text that is a beginning of the needle. */
static size_t promising_end(const struct echo *e, struct slice text)
{
    size_t n = e->needle.len - 1 < text.len ? e->needle.len - 1 : text.len;
    while (n > 0 && memcmp(text.ptr + text.len - n, e->needle.ptr, n) != 0)
        n--;
    return n;
}

static enum err let_go(struct echo *e, size_t keep, struct buf *out)
{
    size_t n = e->held.len - keep;
    enum err err = buf_append(out, slice_first(buf_slice(&e->held), n));
    if (err == ERR_OK) {
        buf_eat(&e->held, n);
        e->seen += n;
    }
    return err;
}

enum err echo_pass(struct echo *e, struct slice piece, struct buf *out)
{
    if (echo_is_over(e)) {
        e->seen += piece.len;
        return buf_append(out, piece);
    }
    size_t look = ECHO_LOOKED_AT + e->needle.len;
    struct slice now = slice_first(piece, look), later = slice_from(piece, now.len);
    enum err err = buf_append(&e->held, now);
    if (err != ERR_OK)
        return err;
    if (echo_mask(e->needle, e->held.data + e->held.off, e->held.len))
        e->found = true;
    bool last = e->seen + e->held.len >= look || later.len > 0;
    err = let_go(e, last ? 0 : promising_end(e, buf_slice(&e->held)), out);
    if (err == ERR_OK && later.len > 0) {
        e->seen += later.len;
        err = buf_append(out, later);
    }
    return err;
}

enum err echo_end(struct echo *e, struct buf *out)
{
    return let_go(e, 0, out);
}
