/*
 * digest_text — bytes as hex, base64url and base62.
 */
#include "common/base/digest.h"

#include <endian.h>
#include <limits.h>
#include <openssl/evp.h>

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char base62_digits[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#define BASE62_LIMBS 16 /* 64 bytes */
/* Five characters are taken off by one division: the largest power of 62 below 2^32. */
#define BASE62_STEP ((uint32_t)62 * 62 * 62 * 62 * 62)
#define BASE62_STEP_CHARS 5

/* Four bytes at once, each spread over two: its high half first, then as digit or letter. */
static void hex_of_four(const char *in, char *out)
{
    uint32_t word;
    memcpy(&word, in, sizeof(word));
    uint64_t x = le32toh(word);
    x = (x | x << 16) & 0x0000FFFF0000FFFFu;
    x = (x | x << 8) & 0x00FF00FF00FF00FFu;
    x = (x >> 4 & 0x000F000F000F000Fu) | (x & 0x000F000F000F000Fu) << 8;
    uint64_t letters = (x + 0x0606060606060606u) >> 4 & 0x0101010101010101u;
    x = htole64(x + 0x3030303030303030u + letters * ('a' - '9' - 1));
    memcpy(out, &x, sizeof(x));
}

size_t digest_hex(struct slice in, char *out)
{
    size_t whole = in.len & ~(size_t)3;
    for (size_t i = 0; i < whole; i += 4)
        hex_of_four(in.ptr + i, out + 2 * i);
    for (size_t i = whole; i < in.len; i++) {
        unsigned char c = (unsigned char)in.ptr[i];
        out[2 * i] = hex_digits[c >> 4];
        out[2 * i + 1] = hex_digits[c & 0xF];
    }
    out[2 * in.len] = '\0';
    return 2 * in.len;
}

enum err digest_unhex(struct slice in, uint8_t *out, size_t cap, size_t *ret_len)
{
    if (in.len % 2 || in.len / 2 > cap)
        return ERR_INVALID;
    for (size_t i = 0; i < in.len; i += 2) {
        int high = slice_hex_digit(in.ptr[i]), low = slice_hex_digit(in.ptr[i + 1]);
        if (high < 0 || low < 0)
            return ERR_INVALID;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    *ret_len = in.len / 2;
    return ERR_OK;
}

size_t digest_base64url(struct slice in, char *out)
{
    const unsigned char *p = (const unsigned char *)in.ptr;
    size_t n = 0;
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < in.len; i++) {
        bits = bits << 8 | p[i];
        for (held += 8; held >= 6; held -= 6)
            out[n++] = base64_digits[(bits >> (held - 6)) & 0x3F];
    }
    if (held)
        out[n++] = base64_digits[(bits << (6 - held)) & 0x3F];
    out[n] = '\0';
    return n;
}

/* `last`: the two that are no letters and digits */
static int base64_value(char c, const char *last)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == last[0] ? 62 : c == last[1] ? 63 : -1;
}

size_t digest_base64(struct slice in, char *out)
{
    MUST(in.len < INT_MAX);
    return (size_t)EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)in.ptr,
                                   (int)in.len);
}

static enum err unbase64(struct slice in, const char *last, uint8_t *out, size_t cap,
                         size_t *ret_len)
{
    size_t len = in.len / 4 * 3 + (in.len % 4 ? in.len % 4 - 1 : 0);
    if (in.len % 4 == 1 || len > cap)
        return ERR_INVALID;
    uint32_t bits = 0;
    int held = 0;
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        int value = base64_value(in.ptr[i], last);
        if (value < 0)
            return ERR_INVALID;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (uint8_t)(bits >> held);
        }
    }
    /* Two texts must not decode to the same bytes: they would be one credential with two names. */
    if (bits & ((1u << held) - 1))
        return ERR_INVALID;
    *ret_len = n;
    return ERR_OK;
}

enum err digest_unbase64url(struct slice in, uint8_t *out, size_t cap, size_t *ret_len)
{
    return unbase64(in, "-_", out, cap, ret_len);
}

enum err digest_unbase64(struct slice in, uint8_t *out, size_t cap, size_t *ret_len)
{
    if (in.len % 4)
        return ERR_INVALID;
    for (size_t i = 0; i < 2 && slice_ends(in, SLICE("=")); i++)
        in.len--;
    return unbase64(in, "+/", out, cap, ret_len);
}

/* Divides the big-endian number by BASE62_STEP in place; returns what is left over. */
static uint32_t divide(uint32_t *limbs, size_t n)
{
    uint64_t rest = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t value = rest << 32 | limbs[i];
        limbs[i] = (uint32_t)(value / BASE62_STEP);
        rest = value % BASE62_STEP;
    }
    return (uint32_t)rest;
}

void digest_base62(struct slice in, size_t chars, char *out)
{
    uint32_t limbs[BASE62_LIMBS] = {0};
    MUST(in.len <= sizeof(limbs));
    for (size_t i = 0; i < in.len; i++) {
        size_t from_end = in.len - 1 - i;
        limbs[BASE62_LIMBS - 1 - from_end / 4] |= (uint32_t)(unsigned char)in.ptr[i]
                                                  << 8 * (from_end % 4);
    }
    size_t used = (in.len + 3) / 4;
    uint32_t *first = limbs + BASE62_LIMBS - used;
    out[chars] = '\0';
    uint32_t rest = 0;
    for (size_t done = 0; done < chars; done++) {
        if (done % BASE62_STEP_CHARS == 0)
            rest = divide(first, used);
        out[chars - 1 - done] = base62_digits[rest % 62];
        rest /= 62;
    }
}
