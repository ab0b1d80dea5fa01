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

static const char *skip_class(const char *p, const char *end, uint8_t class)
{
    while (p < end && http1_is(*p, class))
        p++;
    return p;
}

const char *http1_skip_token(const char *p, const char *end)
{
    /* names are short: a table, four at a time, beats wide loads */
    for (; end - p >= 4; p += 4) {
        uint8_t all = http1_class[(uint8_t)p[0]] & http1_class[(uint8_t)p[1]] &
                      http1_class[(uint8_t)p[2]] & http1_class[(uint8_t)p[3]];
        if (!(all & HTTP1_TOKEN))
            break;
    }
    return skip_class(p, end, HTTP1_TOKEN);
}

const char *http1_skip_value(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
        __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
        __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
        int bad = _mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
        if (bad)
            return p + __builtin_ctz((unsigned)bad);
    }
#endif
    return skip_class(p, end, HTTP1_VALUE);
}

const char *http1_skip_target(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x20)), x);
        __m128i high = _mm_cmpeq_epi8(_mm_max_epu8(x, _mm_set1_epi8(0x7f)), x);
        __m128i hash = _mm_cmpeq_epi8(x, _mm_set1_epi8('#'));
        int bad = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, high), hash));
        if (bad)
            return p + __builtin_ctz((unsigned)bad);
    }
#endif
    return skip_class(p, end, HTTP1_TARGET);
}

enum err http1_refuse(struct http1_problem *problem, enum http1_refusal why)
{
    static const struct http1_problem rows[] = {
#define HTTP1_ROW(name, status, text) {status, text},
        HTTP1_REFUSALS(HTTP1_ROW)
#undef HTTP1_ROW
    };
    *problem = rows[why];
    return ERR_INVALID;
}
