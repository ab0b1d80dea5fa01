/* The byte classes as one constant table, and the scanners that use it or sixteen bytes at once. */
#include "common/net/http1_table.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define ALNUM(c)                                                                                   \
    (((c) >= '0' && (c) <= '9') || ((c) >= 'A' && (c) <= 'Z') || ((c) >= 'a' && (c) <= 'z'))
#define UNRESERVED(c) (ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define TOKEN(c)                                                                                   \
    (ALNUM(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' ||             \
     (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^' ||          \
     (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define VALUE(c) ((c) == '\t' || ((c) >= 0x20 && (c) != 0x7f))
#define TARGET(c) ((c) > 0x20 && (c) < 0x7f && (c) != '#')
#define SUB_DELIM(c)                                                                               \
    ((c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || (c) == ')' ||          \
     (c) == '*' || (c) == '+' || (c) == ',' || (c) == '=')
#define PCHAR(c) (UNRESERVED(c) || SUB_DELIM(c) || (c) == ':' || (c) == '@')
#define HOST(c)                                                                                    \
    (UNRESERVED(c) || SUB_DELIM(c) || (c) == ';' || (c) == '%' || (c) == ':' || (c) == '[' ||      \
     (c) == ']')

#define CLASS(c)                                                                                   \
    ((TOKEN(c) ? HTTP1_TOKEN : 0) | (VALUE(c) ? HTTP1_VALUE : 0) |                                 \
     (TARGET(c) ? HTTP1_TARGET : 0) | (UNRESERVED(c) ? HTTP1_UNRESERVED : 0) |                     \
     (PCHAR(c) ? HTTP1_PCHAR : 0) | (HOST(c) ? HTTP1_HOST : 0))
#define CLASS_4(c) CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS_16(c) CLASS_4(c), CLASS_4((c) + 4), CLASS_4((c) + 8), CLASS_4((c) + 12)
#define CLASS_64(c) CLASS_16(c), CLASS_16((c) + 16), CLASS_16((c) + 32), CLASS_16((c) + 48)

const uint8_t http1_class[256] = {CLASS_64(0), CLASS_64(64), CLASS_64(128), CLASS_64(192)};

/* what is rare, and what is left of less than a block */
static const char *skip_class(const char *p, const char *end, uint8_t class)
{
    while (p < end && http1_is(*p, class))
        p++;
    return p;
}

#ifdef __SSE2__

/* Both masks: a bit for each of sixteen bytes that may not stand there, or only perhaps. */

/* letters, digits and the hyphen: what names are made of; the other token bytes are rare */
static unsigned no_plain_name(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i letter = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8('0'));
    __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
    __m128i fine =
        _mm_or_si128(_mm_or_si128(is_letter, is_digit), _mm_cmpeq_epi8(x, _mm_set1_epi8('-')));
    return (unsigned)_mm_movemask_epi8(fine) ^ 0xffffu;
}

static unsigned no_value(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

static unsigned no_target(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x20)), x);
    __m128i high = _mm_cmpeq_epi8(_mm_max_epu8(x, _mm_set1_epi8(0x7f)), x);
    __m128i hash = _mm_cmpeq_epi8(x, _mm_set1_epi8('#'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, high), hash));
}

static const char *skip_blocks(const char *p, const char *end, unsigned (*refused)(const char *))
{
    for (; end - p >= HTTP1_BLOCK; p += HTTP1_BLOCK) {
        unsigned bad = refused(p);
        if (bad)
            return p + __builtin_ctz(bad);
    }
    return p;
}

static bool is_fine(const char *p, size_t len, unsigned (*refused)(const char *))
{
    size_t i = 0;
    for (; len - i >= HTTP1_BLOCK; i += HTTP1_BLOCK)
        if (refused(p + i))
            return false;
    return (refused(p + i) & ((1u << (len - i)) - 1)) == 0;
}

const char *http1_skip_token(const char *p, const char *end)
{
    return skip_class(skip_blocks(p, end, no_plain_name), end, HTTP1_TOKEN);
}

const char *http1_skip_value(const char *p, const char *end)
{
    return skip_class(skip_blocks(p, end, no_value), end, HTTP1_VALUE);
}

const char *http1_skip_target(const char *p, const char *end)
{
    return skip_class(skip_blocks(p, end, no_target), end, HTTP1_TARGET);
}

bool http1_is_name(const char *p, size_t len)
{
    return is_fine(p, len, no_plain_name) || skip_class(p, p + len, HTTP1_TOKEN) == p + len;
}

bool http1_is_value(const char *p, size_t len)
{
    return is_fine(p, len, no_value);
}

#else

const char *http1_skip_token(const char *p, const char *end)
{
    return skip_class(p, end, HTTP1_TOKEN);
}

const char *http1_skip_value(const char *p, const char *end)
{
    return skip_class(p, end, HTTP1_VALUE);
}

const char *http1_skip_target(const char *p, const char *end)
{
    return skip_class(p, end, HTTP1_TARGET);
}

bool http1_is_name(const char *p, size_t len)
{
    return skip_class(p, p + len, HTTP1_TOKEN) == p + len;
}

bool http1_is_value(const char *p, size_t len)
{
    return skip_class(p, p + len, HTTP1_VALUE) == p + len;
}

#endif
