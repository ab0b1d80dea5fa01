/*
 * slice — a piece of bytes that another object owns, passed by value.
 *
 * Owns     nothing; the bytes must outlive it. Not NUL-terminated.
 * Threads  any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/err.h"

struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})
/* for "%.*s"; anything longer than INT_MAX never reaches a format */
#define SLICE_ARG(s) (int)(s).len, ((s).ptr ? (s).ptr : "")

static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){(const char *)ptr, len};
}

static inline struct slice slice_str(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* at..end, empty when at lies beyond the end */
static inline struct slice slice_from(struct slice s, size_t at)
{
    return at >= s.len ? (struct slice){s.ptr + s.len, 0} : (struct slice){s.ptr + at, s.len - at};
}

static inline struct slice slice_first(struct slice s, size_t n)
{
    return n >= s.len ? s : (struct slice){s.ptr, n};
}

/* Copies to `to`, which has enough space; returns the byte behind the copy. Most texts are short,
 * and for those the call of memcpy takes longer than the copy. */
static inline char *slice_put(char *to, struct slice s)
{
    size_t n = s.len;
    if (n > 32) {
        memcpy(to, s.ptr, n);
    } else if (n >= 16) { /* the two halves overlap */
        memcpy(to, s.ptr, 16);
        memcpy(to + n - 16, s.ptr + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, s.ptr, 8);
        memcpy(to + n - 8, s.ptr + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, s.ptr, 4);
        memcpy(to + n - 4, s.ptr + n - 4, 4);
    } else if (n > 0) {
        to[0] = s.ptr[0];
        to[n / 2] = s.ptr[n / 2];
        to[n - 1] = s.ptr[n - 1];
    }
    return to + n;
}

bool slice_ieq(struct slice a, struct slice b); /* ASCII case folded */
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
int slice_cmp(struct slice a, struct slice b); /* bytewise order, shorter first */
/* index of the first `c`, or -1 */
ptrdiff_t slice_find(struct slice s, char c);
/* index of the first `needle`, or -1 */
ptrdiff_t slice_search(struct slice s, struct slice needle);
struct slice slice_trim(struct slice s); /* spaces and tabs at both ends */
/* Takes what stands before the next `sep` off the front of *rest. false: *rest was used up. */
bool slice_split(struct slice *rest, char sep, struct slice *ret);
/* digits only, no sign; ERR_INVALID on anything else or overflow */
MUST_USE enum err slice_u64(struct slice s, uint64_t *ret);
#define SLICE_U64_MAX 20 /* digits of the largest number */
/* Writes the digits of n in front of `end`; returns how many. */
size_t slice_write_u64(char *end, uint64_t n);
MUST_USE enum err slice_i64(struct slice s, int64_t *ret); /* one leading '-' allowed */
/* Takes one byte off the front where it is one of choice. */
bool slice_take_char(struct slice *rest, const char *choice);

/* what a hexadecimal digit of either case is worth; -1: it is none */
static inline int slice_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
