/*
 * escape — copies whole runs of plain characters, escapes the others one by one.
 */
#include "common/base/escape.h"

#include "common/base/json_token.h"
#include "common/base/utf8.h"

#define DEL 0x7F

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < DEL && c != '"' && c != '\\';
}

/* JSON's plain bytes are these and DEL. */
size_t escape_plain(struct slice s)
{
    if (!s.len)
        return 0;
    size_t n = (size_t)(json_token_plain(s.ptr, s.ptr + s.len) - s.ptr);
    const char *del = memchr(s.ptr, DEL, n);
    return del ? (size_t)(del - s.ptr) : n;
}

static size_t put_hex(unsigned code, char *out)
{
    static const char digits[] = "0123456789abcdef";
    memcpy(out, "\\u00", 4);
    out[4] = digits[(code >> 4) & 0xF];
    out[5] = digits[code & 0xF];
    return 6;
}

static size_t put_short(char letter, char *out)
{
    out[0] = '\\';
    out[1] = letter;
    return 2;
}

static size_t put_ascii(unsigned char c, char *out)
{
    switch (c) {
    case '"':
    case '\\':
        return put_short((char)c, out);
    case '\b':
        return put_short('b', out);
    case '\f':
        return put_short('f', out);
    case '\n':
        return put_short('n', out);
    case '\r':
        return put_short('r', out);
    case '\t':
        return put_short('t', out);
    default:
        break;
    }
    if (!is_plain(c))
        return put_hex(c, out);
    out[0] = (char)c;
    return 1;
}

size_t escape_json(struct slice *rest, char out[static ESCAPE_MAX])
{
    const unsigned char *p = (const unsigned char *)rest->ptr;
    size_t n = utf8_char(p, rest->len);
    *rest = slice_from(*rest, n ? n : 1);
    if (n == 0) {
        memcpy(out, "\xEF\xBF\xBD", 3);
        return 3;
    }
    if (n == 1)
        return put_ascii(p[0], out);
    if (n == 2 && p[0] == 0xC2 && p[1] < 0xA0)
        return put_hex(p[1], out);
    memcpy(out, p, n);
    return n;
}
