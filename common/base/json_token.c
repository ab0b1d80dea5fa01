/*
 * json_token — long runs sixteen bytes at a time, everything rare byte by byte.
 */
#include "common/base/json_token.h"

#include "common/base/utf8.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define BLOCK JSON_TOKEN_BLOCK

static const char *refuse(struct json_fault *fault, const char *at, const char *what)
{
    *fault = (struct json_fault){at, what};
    return NULL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* What stands for itself in a string: printable ASCII but quote and backslash. */
static bool is_plain(char c)
{
    return (signed char)c >= 0x20 && c != '"' && c != '\\';
}

#if defined(__SSE2__)

static unsigned words_in(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i a =
        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\n')));
    __m128i b = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\r')),
                             _mm_cmpeq_epi8(v, _mm_set1_epi8('\t')));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(a, b)) ^ 0xFFFFu;
}

static const char *skip_blocks(const char *p, const char *end, unsigned (*stops)(const char *))
{
    while (end - p >= BLOCK) {
        unsigned mask = stops(p);
        if (mask)
            return p + __builtin_ctz(mask);
        p += BLOCK;
    }
    return p;
}

#define WIDE 64
#define LONG (4 * BLOCK) /* plain for so long: a message's text, not a name */

/* Past whole pieces of 64 plain bytes. */
__attribute__((target("avx2"))) static const char *skip_wide(const char *p, const char *end)
{
    const __m256i quote = _mm256_set1_epi8('"'), slash = _mm256_set1_epi8('\\'),
                  space = _mm256_set1_epi8(0x20);
    for (; end - p >= WIDE; p += WIDE) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + WIDE / 2));
        __m256i marks = _mm256_or_si256(
            _mm256_or_si256(_mm256_cmpeq_epi8(a, quote), _mm256_cmpeq_epi8(a, slash)),
            _mm256_or_si256(_mm256_cmpeq_epi8(b, quote), _mm256_cmpeq_epi8(b, slash)));
        __m256i low = _mm256_or_si256(_mm256_cmpgt_epi8(space, a), _mm256_cmpgt_epi8(space, b));
        if (_mm256_movemask_epi8(_mm256_or_si256(marks, low)))
            break;
    }
    return p;
}

static const char *skip_plain_blocks(const char *p, const char *end)
{
    const char *start = p;
    p = skip_blocks(p, end - p > LONG ? p + LONG : end, json_token_stops);
    if (p != start + LONG)
        return p;
    if (end - p >= WIDE && __builtin_cpu_supports("avx2"))
        p = skip_wide(p, end);
    return skip_blocks(p, end, json_token_stops);
}

static const char *skip_space_blocks(const char *p, const char *end)
{
    return skip_blocks(p, end, words_in);
}

#elif defined(__aarch64__)

static const char *skip_plain_blocks(const char *p, const char *end)
{
    while (end - p >= BLOCK) {
        int8x16_t v = vld1q_s8((const int8_t *)p);
        uint8x16_t stop =
            vorrq_u8(vcltq_s8(v, vdupq_n_s8(0x20)),
                     vorrq_u8(vceqq_s8(v, vdupq_n_s8('"')), vceqq_s8(v, vdupq_n_s8('\\'))));
        if (vmaxvq_u8(stop))
            break; /* the byte loop finds which */
        p += BLOCK;
    }
    return p;
}

static const char *skip_space_blocks(const char *p, const char *end)
{
    (void)end;
    return p;
}

#else

static const char *skip_plain_blocks(const char *p, const char *end)
{
    (void)end;
    return p;
}

static const char *skip_space_blocks(const char *p, const char *end)
{
    (void)end;
    return p;
}

#endif

const char *json_token_spaces(const char *p, const char *end)
{
    /* Compact text has none, pretty text a newline and a few blanks: both end before a block. */
    for (int i = 0; i < 4; i++) {
        if (p == end || !is_space(*p))
            return p;
        p++;
    }
    p = skip_space_blocks(p, end);
    while (p < end && is_space(*p))
        p++;
    return p;
}

/* four hex digits at p; -1 where there are not four */
static int32_t hex4(const char *p, const char *end)
{
    int32_t unit = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int value = slice_hex_digit(p[i]);
        if (value < 0)
            return -1;
        unit = unit << 4 | value;
    }
    return unit;
}

static bool is_high(int32_t unit)
{
    return unit >= 0xD800 && unit < 0xDC00;
}

static bool is_low(int32_t unit)
{
    return unit >= 0xDC00 && unit < 0xE000;
}

/* p: an escape whose unit this is. Does the other half of its pair follow? */
static bool has_low_half(const char *p, const char *end, int32_t unit)
{
    return is_high(unit) && end - p >= 12 && p[6] == '\\' && p[7] == 'u' &&
           is_low(hex4(p + 8, end));
}

static const char *pass_unicode(const char *p, const char *end, struct json_fault *fault)
{
    int32_t unit = hex4(p + 2, end);
    if (unit < 0)
        return refuse(fault, p, "a \\u escape wants four hex digits");
    /* Half a pair is good JSON (RFC 8259 section 8.2); a reader of the text has
     * json_token_is_clear.
     */
    return p + (has_low_half(p, end, unit) ? 12 : 6);
}

static const char *pass_escape(const char *p, const char *end, struct json_fault *fault)
{
    if (end - p < 2)
        return refuse(fault, p, "a string does not end");
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        return pass_unicode(p, end, fault);
    default:
        return refuse(fault, p, "an unknown escape in a string");
    }
}

static const char *pass_wide(const char *p, const char *end, struct json_fault *fault)
{
    while (p < end && (signed char)*p < 0) {
        size_t n = utf8_char((const unsigned char *)p, (size_t)(end - p));
        if (n == 0)
            return refuse(fault, p, "invalid UTF-8");
        p += n;
    }
    return p;
}

const char *json_token_text(const char *p, const char *end)
{
    p = skip_plain_blocks(p, end);
    while (p < end && is_plain(*p))
        p++;
    return p;
}

const char *json_token_string_on(const char *start, const char *p, const char *end,
                                 struct json_fault *fault)
{
    for (;;) {
        if (p == end)
            return refuse(fault, start, "a string does not end");
        if (*p == '"')
            return p + 1;
        if (*p == '\\')
            p = pass_escape(p, end, fault);
        else if ((signed char)*p < 0)
            p = pass_wide(p, end, fault);
        else
            return refuse(fault, p, "a control character in a string");
        if (!p)
            return NULL;
        p = json_token_plain(p, end);
    }
}

static bool is_digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

static const char *skip_digits(const char *p, const char *end)
{
    while (is_digit(p, end))
        p++;
    return p;
}

const char *json_token_number(const char *p, const char *end, struct json_fault *fault)
{
    const char *start = p;
    p += *p == '-';
    if (!is_digit(p, end))
        return refuse(fault, start, "not a JSON value");
    if (*p == '0' && is_digit(p + 1, end))
        return refuse(fault, start, "a number with a leading zero");
    p = skip_digits(p, end);
    if (p < end && *p == '.') {
        if (!is_digit(++p, end))
            return refuse(fault, start, "a number without digits behind its point");
        p = skip_digits(p, end);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        if (!is_digit(p, end))
            return refuse(fault, start, "a number without digits in its exponent");
        p = skip_digits(p, end);
    }
    return p;
}

const char *json_token_word(const char *p, const char *end, struct json_fault *fault)
{
    size_t left = (size_t)(end - p);
    if (left >= 4 && (memcmp(p, "null", 4) == 0 || memcmp(p, "true", 4) == 0))
        return p + 4;
    if (left >= 5 && memcmp(p, "false", 5) == 0)
        return p + 5;
    return refuse(fault, p, "not a JSON value");
}

bool json_token_is_clear(struct slice raw)
{
    const char *p = raw.ptr, *end = raw.ptr + raw.len;
    while (p < end && (p = memchr(p, '\\', (size_t)(end - p)))) {
        if (p[1] != 'u') {
            p += 2;
            continue;
        }
        int32_t unit = hex4(p + 2, end);
        bool paired = has_low_half(p, end, unit);
        if (unit == 0 || (!paired && (is_high(unit) || is_low(unit))))
            return false;
        p += paired ? 12 : 6;
    }
    return true;
}

#define REPLACEMENT 0xFFFD /* for half a pair: no Unicode character (Unicode, 3.9) */

static size_t unescape_unicode(const char *p, const char *end, char *out, size_t *wrote)
{
    uint32_t point = (uint32_t)hex4(p + 2, end);
    size_t read = 6;
    bool paired = has_low_half(p, end, (int32_t)point);
    if (!paired && (is_high((int32_t)point) || is_low((int32_t)point)))
        point = REPLACEMENT;
    if (paired) {
        point = 0x10000 + ((point - 0xD800) << 10) + ((uint32_t)hex4(p + 8, end) - 0xDC00);
        read = 12;
    }
    char text[4];
    *wrote = utf8_put(point, text);
    memcpy(out, text, *wrote);
    return read;
}

static char unescape_letter(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

size_t json_token_unescape(struct slice raw, char *out)
{
    const char *p = raw.ptr, *end = raw.ptr + raw.len;
    char *to = out;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((slash ? slash : end) - p);
        memcpy(to, p, plain);
        to += plain;
        p += plain;
        if (!slash)
            break;
        if (p[1] == 'u') {
            size_t wrote;
            p += unescape_unicode(p, end, to, &wrote);
            to += wrote;
        } else {
            *to++ = unescape_letter(p[1]);
            p += 2;
        }
    }
    return (size_t)(to - out);
}
