/*
 * json_token — the words of JSON text, checked as they are passed over (RFC 8259).
 *
 * Each function starts at the token's first byte, which lies before `end`, and returns the
 * byte behind it; NULL where the token is malformed, with *fault filled.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

struct json_fault {
    const char *at;
    const char *what; /* a sentence without a subject: "a string does not end" */
};

/* past what stands for itself in a string: printable ASCII but quote and backslash */
const char *json_token_plain(const char *p, const char *end);
const char *json_token_spaces(const char *p, const char *end);
const char *json_token_string(const char *p, const char *end, struct json_fault *fault);
const char *json_token_number(const char *p, const char *end, struct json_fault *fault);
const char *json_token_word(const char *p, const char *end, struct json_fault *fault);

/* past white space, if any; also at end; never NULL */
static inline const char *json_token_space(const char *p, const char *end)
{
    return p < end && (unsigned char)*p > ' ' ? p : json_token_spaces(p, end);
}

/* The text of a checked string, without its quotes in `raw`; out holds raw.len bytes. */
size_t json_token_unescape(struct slice raw, char *out);
