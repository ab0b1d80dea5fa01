/*
 * percent — two hex digits behind each '%', or it is refused.
 */
#include "controlplane/api/percent.h"

#include "common/base/utf8.h"

static enum err decode_one(struct slice text, size_t *at, bool plus, char *ret)
{
    char c = text.ptr[*at];
    if (c == '%') {
        int high = *at + 2 < text.len ? slice_hex_digit(text.ptr[*at + 1]) : -1;
        int low = *at + 2 < text.len ? slice_hex_digit(text.ptr[*at + 2]) : -1;
        if (high < 0 || low < 0)
            return ERR_INVALID;
        c = (char)(high * 16 + low);
        *at += 2;
    } else if (plus && c == '+') {
        c = ' ';
    }
    *at += 1;
    *ret = c;
    return (unsigned char)c < 0x20 || c == 0x7f ? ERR_INVALID : ERR_OK;
}

static bool is_utf8(struct slice s)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_char((const unsigned char *)s.ptr + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

enum err percent_decode(struct slice text, bool plus, struct buf *out, struct slice *ret)
{
    size_t from = out->len;
    for (size_t i = 0; i < text.len;) {
        char c = 0;
        enum err e = decode_one(text, &i, plus, &c);
        if (e == ERR_OK)
            e = buf_append(out, slice_of(&c, 1));
        if (e != ERR_OK)
            return e;
    }
    *ret = slice_from(buf_slice(out), from);
    return is_utf8(*ret) ? ERR_OK : ERR_INVALID;
}
