/*
 * echo — searches a text, or a body in pieces, for a credential in all of its spellings.
 *
 * An encoded byte begins with `\` or `%`. Where a text holds neither, only the literal form can be
 * there, and one memmem decides; this is the usual case and the reason for the two ways.
 */
#include "common/upstream/echo.h"

#include "common/base/limits.h"

#define NEEDLE_MAX 4096 /* the longest credential the gates inject */
#define ESCAPES_MAX 8   /* backslashes before one byte: text inside JSON inside JSON inside JSON */
#define PERCENTS_MAX 3  /* "%2F", "%252F", "%25252F" */
#define ENCODED_MAX (ESCAPES_MAX + 5) /* the longest form of one byte: backslashes, "u002f" */

struct slice echo_needle(struct slice credential)
{
    struct slice word = credential, rest = credential;
    while (slice_split(&rest, ' ', &word))
        ;
    return word.len >= ECHO_SHORTEST && word.len <= NEEDLE_MAX ? word : SLICE_NONE;
}

/* ---- one byte of the needle in one of its forms ---- */

/* Bytes of text that spell one byte of the needle. NO_MATCH: other bytes. CUT_OFF: the text ends
 * where the spelling may go on. */
#define NO_MATCH (-1)
#define CUT_OFF (-2)

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n hex digits at the front of s spell c? */
static int match_hex(struct slice s, size_t n, unsigned char c)
{
    unsigned value = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == s.len)
            return CUT_OFF;
        int digit = hex_value(s.ptr[i]);
        if (digit < 0)
            return NO_MATCH;
        value = value << 4 | (unsigned)digit;
    }
    return value == c ? (int)n : NO_MATCH;
}

static int offset_by(size_t before, int n)
{
    return n < 0 ? n : (int)before + n;
}

/* s begins with '%' */
static int match_percent(struct slice s, unsigned char c)
{
    size_t at = 1;
    for (int i = 0; i < PERCENTS_MAX; i++) {
        int n = match_hex(slice_from(s, at), 2, c);
        if (n != NO_MATCH)
            return offset_by(at, n);
        n = match_hex(slice_from(s, at), 2, '%');
        if (n < 0)
            return n;
        at += 2;
    }
    return NO_MATCH;
}

static int match_byte(struct slice s, unsigned char c);

/* s begins with a backslash */
static int match_escape(struct slice s, unsigned char c)
{
    size_t n = 0;
    while (n < s.len && n < ESCAPES_MAX && s.ptr[n] == '\\')
        n++;
    struct slice rest = slice_from(s, n);
    if (rest.len == 0)
        return CUT_OFF;
    if (rest.ptr[0] == 'u') {
        int hex = match_hex(slice_from(rest, 1), 4, c);
        if (hex != NO_MATCH)
            return offset_by(n + 1, hex);
    }
    return (unsigned char)rest.ptr[0] == c ? (int)n + 1 : NO_MATCH;
}

static int match_byte(struct slice s, unsigned char c)
{
    if (s.len == 0)
        return CUT_OFF;
    if ((unsigned char)s.ptr[0] == c)
        return 1;
    if (s.ptr[0] == '\\')
        return match_escape(s, c);
    return s.ptr[0] == '%' ? match_percent(s, c) : NO_MATCH;
}

/* The needle at the front of s, in any mixture of forms: its length there, or as match_byte. */
static int match_needle(struct slice needle, struct slice s)
{
    size_t at = 0;
    for (size_t i = 0; i < needle.len; i++) {
        int n = match_byte(slice_from(s, at), (unsigned char)needle.ptr[i]);
        if (n < 0)
            return n;
        at += (size_t)n;
    }
    return (int)at;
}

/* ---- a text ---- */

static bool is_plain(struct slice s)
{
    return s.len == 0 || (!memchr(s.ptr, '\\', s.len) && !memchr(s.ptr, '%', s.len));
}

static bool may_begin(struct slice needle, char c)
{
    return c == needle.ptr[0] || c == '\\' || c == '%';
}

/* The first place of the needle at or behind `from`; its length in *len. Negative: none. */
static ptrdiff_t find(struct slice needle, struct slice s, size_t from, bool plain, size_t *len)
{
    if (plain) {
        ptrdiff_t at = from < s.len ? slice_search(slice_from(s, from), needle) : -1;
        *len = needle.len;
        return at < 0 ? at : at + (ptrdiff_t)from;
    }
    for (size_t i = from; i < s.len; i++) {
        int n = may_begin(needle, s.ptr[i]) ? match_needle(needle, slice_from(s, i)) : NO_MATCH;
        if (n > 0) {
            *len = (size_t)n;
            return (ptrdiff_t)i;
        }
    }
    return -1;
}

bool echo_find(struct slice needle, struct slice text)
{
    size_t len;
    return needle.len > 0 && text.len > 0 && find(needle, text, 0, is_plain(text), &len) >= 0;
}

bool echo_mask(struct slice needle, char *text, size_t len)
{
    struct slice s = slice_of(text, len);
    bool found = false, plain = is_plain(s);
    size_t from = 0, n;
    ptrdiff_t at;
    while (needle.len > 0 && (at = find(needle, s, from, plain, &n)) >= 0) {
        memset(text + at, '*', n);
        from = (size_t)at + n;
        found = true;
    }
    return found;
}

/* ---- a body in pieces ---- */

#define HELD_MAX (NEEDLE_MAX * ENCODED_MAX)
#define PIECE_MAX LIMIT_HTTP_REST /* no piece of a body is longer */

void echo_init(struct echo *e)
{
    *e = (struct echo){.needle = SLICE_NONE};
    buf_init(&e->held, HELD_MAX + 2 * ECHO_LOOKED_AT);
    buf_init(&e->piece, HELD_MAX + 2 * ECHO_LOOKED_AT + PIECE_MAX);
}

void echo_begin(struct echo *e, struct slice credential)
{
    e->needle = echo_needle(credential);
    e->seen = 0;
    e->found = false;
    buf_clear(&e->held);
    buf_clear(&e->piece);
}

void echo_fini(struct echo *e)
{
    buf_fini(&e->held);
    buf_fini(&e->piece);
}

bool echo_is_in(const struct echo *e, struct slice text)
{
    return echo_find(e->needle, text);
}

bool echo_is_over(const struct echo *e)
{
    return e->needle.len == 0 || (e->seen >= ECHO_LOOKED_AT && e->held.len == 0);
}

/* How many bytes at the end of text may be the beginning of the needle. */
static size_t promising_end(struct slice needle, struct slice text, bool plain)
{
    size_t most = plain ? needle.len - 1 : needle.len * ENCODED_MAX;
    size_t from = text.len > most ? text.len - most : 0;
    for (size_t i = from; i < text.len; i++)
        if (may_begin(needle, text.ptr[i]) && match_needle(needle, slice_from(text, i)) == CUT_OFF)
            return text.len - i;
    return 0;
}

/* Nothing is held, nothing is found and nothing begins at the end: the piece passes uncopied. */
static bool is_innocent(const struct echo *e, struct slice piece, bool last)
{
    size_t len;
    bool plain = is_plain(piece);
    return e->held.len == 0 && find(e->needle, piece, 0, plain, &len) < 0 &&
           (last || promising_end(e->needle, piece, plain) == 0);
}

static enum err mask_held(struct echo *e, bool last)
{
    struct slice s = buf_slice(&e->held);
    if (echo_mask(e->needle, e->held.data + e->held.off, s.len))
        e->found = true;
    size_t keep = last ? 0 : promising_end(e->needle, s, is_plain(s));
    enum err err = buf_append(&e->piece, slice_first(s, s.len - keep));
    if (err == ERR_OK) {
        e->seen += s.len - keep;
        buf_eat(&e->held, s.len - keep);
    }
    return err;
}

enum err echo_pass(struct echo *e, struct slice piece, struct slice *ret)
{
    size_t window = ECHO_LOOKED_AT + e->needle.len * ENCODED_MAX;
    if (echo_is_over(e)) {
        e->seen += piece.len;
        *ret = piece;
        return ERR_OK;
    }
    size_t known = e->seen + e->held.len;
    struct slice now = slice_first(piece, window > known ? window - known : 0);
    struct slice later = slice_from(piece, now.len);
    bool last = later.len > 0 || known + now.len >= window;
    if (is_innocent(e, now, last)) {
        e->seen += piece.len;
        *ret = piece;
        return ERR_OK;
    }
    buf_clear(&e->piece);
    enum err err = buf_append(&e->held, now);
    if (err == ERR_OK)
        err = mask_held(e, last);
    if (err == ERR_OK && later.len > 0) {
        e->seen += later.len;
        err = buf_append(&e->piece, later);
    }
    *ret = buf_slice(&e->piece);
    return err;
}

struct slice echo_end(struct echo *e)
{
    struct slice rest = buf_slice(&e->held);
    e->seen += rest.len;
    buf_eat(&e->held, rest.len); /* its bytes stay where they are until something is held again */
    return rest;
}
