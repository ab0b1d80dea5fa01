/*
 * utf8 — is this a character? (RFC 3629: shortest form, no surrogates, up to U+10FFFF)
 *
 * Threads  any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* bytes of the well-formed character at p, 1 to 4; 0 where there is none within `left` */
static inline size_t utf8_char(const unsigned char *p, size_t left)
{
    if (left == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || left < 2 || (p[1] & 0xC0) != 0x80)
        return 0;
    if (p[0] < 0xE0)
        return 2;
    if (left < 3 || (p[2] & 0xC0) != 0x80)
        return 0;
    if (p[0] < 0xF0) {
        if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] >= 0xA0))
            return 0;
        return 3;
    }
    if (left < 4 || (p[3] & 0xC0) != 0x80 || p[0] > 0xF4)
        return 0;
    if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] >= 0x90))
        return 0;
    return 4;
}

/* writes the character of a code point that is no surrogate; 1 to 4 bytes */
static inline size_t utf8_put(uint32_t point, char out[static 4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | (point >> 6));
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | (point >> 12));
        out[1] = (char)(0x80 | ((point >> 6) & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | (point >> 18));
    out[1] = (char)(0x80 | ((point >> 12) & 0x3F));
    out[2] = (char)(0x80 | ((point >> 6) & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

/* The length of the text, well-formed but cut anywhere, without a character that the cut has split.
 */
static inline size_t utf8_whole(const char *text, size_t len)
{
    size_t at = len;
    while (at > 0 && len - at < 3 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
        at--;
    if (at == 0 || ((unsigned char)text[at - 1] & 0x80) == 0)
        return len; /* ends with ASCII, or is no UTF-8 at all */
    unsigned char lead = (unsigned char)text[at - 1];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return len - (at - 1) < want ? at - 1 : len;
}
