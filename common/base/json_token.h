/*
 * json_token — the words of JSON text, checked as they are passed over (RFC 8259).
 *
 * Each function starts at the token's first byte, which lies before `end`, and returns the
 * byte behind it; NULL where the token is malformed, with *fault filled.
 *
 * Threads  any.
 */
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/base/slice.h"

struct json_fault {
    const char *at;
    const char *what; /* a sentence without a subject: "a string does not end" */
};

#define JSON_TOKEN_BLOCK 16

#ifdef __SSE2__
/* A bit for each of 16 bytes that does not stand for itself in a string. Signed: bytes from 0x80
 * are low, as controls are. */
static inline unsigned json_token_stops(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    __m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, slash)));
}
#endif

const char *json_token_text(const char *p, const char *end); /* json_token_plain, for long ones */

/* past what stands for itself in a string: printable ASCII but quote and backslash. Names and short
 * words end in their first block, and there are many of them. */
static inline const char *json_token_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    unsigned stops = end - p >= JSON_TOKEN_BLOCK ? json_token_stops(p) : 0;
    if (stops)
        return p + __builtin_ctz(stops);
#endif
    return json_token_text(p, end);
}

const char *json_token_spaces(const char *p, const char *end);
const char *json_token_number(const char *p, const char *end, struct json_fault *fault);
const char *json_token_word(const char *p, const char *end, struct json_fault *fault);

/* The string that begins at start, from p on, where its plain beginning ends. */
const char *json_token_string_on(const char *start, const char *p, const char *end,
                                 struct json_fault *fault);

static inline const char *json_token_string(const char *p, const char *end,
                                            struct json_fault *fault)
{
    const char *stop = json_token_plain(p + 1, end);
    return stop < end && *stop == '"' ? stop + 1 : json_token_string_on(p, stop, end, fault);
}

/* past white space, if any; also at end; never NULL */
static inline const char *json_token_space(const char *p, const char *end)
{
    return p < end && (unsigned char)*p > ' ' ? p : json_token_spaces(p, end);
}

/* Do all readers take the same text from this checked string (without its quotes)? Not with a NUL,
 * at which some end it, nor with half of a surrogate pair, which each treats in its own way. */
bool json_token_is_clear(struct slice raw);
/* The text of a checked string, without its quotes in `raw`; out holds raw.len bytes. Half of a
 * surrogate pair becomes U+FFFD. */
size_t json_token_unescape(struct slice raw, char *out);
