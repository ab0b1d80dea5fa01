/*
 * slice — comparing, searching, cutting and reading numbers; no copy is ever made.
 */
#include "common/base/slice.h"

static bool is_letter(char c)
{
    char small = (char)(c | 0x20);
    return small >= 'a' && small <= 'z';
}

bool slice_ieq(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        char differ = (char)(a.ptr[i] ^ b.ptr[i]);
        if (differ && (differ != 0x20 || !is_letter(a.ptr[i])))
            return false;
    }
    return true;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_first(s, prefix.len), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_from(s, s.len - suffix.len), suffix);
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order)
        return order < 0 ? -1 : 1;
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

ptrdiff_t slice_find(struct slice s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return at ? at - s.ptr : -1;
}

ptrdiff_t slice_search(struct slice s, struct slice needle)
{
    if (needle.len == 0)
        return 0;
    const char *at = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return at ? at - s.ptr : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool slice_split(struct slice *rest, char sep, struct slice *ret)
{
    /* A used-up rest has no pointer, so "a," still yields its empty last piece. */
    if (!rest->ptr)
        return false;
    ptrdiff_t at = slice_find(*rest, sep);
    if (at < 0) {
        *ret = *rest;
        *rest = SLICE_NONE;
        return true;
    }
    *ret = slice_first(*rest, (size_t)at);
    *rest = slice_from(*rest, (size_t)at + 1);
    return true;
}

enum err slice_u64(struct slice s, uint64_t *ret)
{
    uint64_t value = 0;
    if (s.len == 0)
        return ERR_INVALID;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return ERR_INVALID;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
            return ERR_INVALID;
    }
    *ret = value;
    return ERR_OK;
}

enum err slice_i64(struct slice s, int64_t *ret)
{
    bool negative = s.len && s.ptr[0] == '-';
    uint64_t size;
    enum err e = slice_u64(negative ? slice_from(s, 1) : s, &size);
    if (e)
        return e;
    if (size > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return ERR_INVALID;
    *ret = negative ? (int64_t)(0 - size) : (int64_t)size;
    return ERR_OK;
}

bool slice_take_char(struct slice *rest, const char *choice)
{
    if (rest->len == 0 || rest->ptr[0] == '\0' || !strchr(choice, rest->ptr[0]))
        return false;
    *rest = slice_from(*rest, 1);
    return true;
}

size_t slice_write_u64(char *end, uint64_t n)
{
    size_t len = 0;
    do {
        *--end = (char)('0' + n % 10);
        n /= 10;
        len++;
    } while (n);
    return len;
}
