/*
 * http1_table — which byte may stand where in HTTP/1.1.
 *
 * Private to http1.c and http1_write.c; all else includes http1.h.
 *
 * Threads  any; constant.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* byte classes (RFC 9110 section 5.6.2, RFC 9112 section 3.2, RFC 3986 section 2) */
#define HTTP1_TOKEN 0x01      /* tchar */
#define HTTP1_VALUE 0x02      /* field-content: visible, obs-text, space, tab */
#define HTTP1_TARGET 0x04     /* visible ASCII but '#': a target has no fragment */
#define HTTP1_UNRESERVED 0x08 /* needs no escape anywhere */
#define HTTP1_PCHAR 0x10      /* stands in a path segment as it is; ';' left out on purpose */
#define HTTP1_HOST 0x20       /* reg-name, IP literal, port */

extern const uint8_t http1_class[256];

static inline bool http1_is(char c, uint8_t class)
{
    return (http1_class[(uint8_t)c] & class) != 0;
}

/* first byte that may not stand there, or end */
const char *http1_skip_token(const char *p, const char *end);
const char *http1_skip_value(const char *p, const char *end);
const char *http1_skip_target(const char *p, const char *end);

/* Is all of it a token, or a header's value? HTTP1_BLOCK bytes from p + len on must be readable,
 * whatever they say: what is written is looked at where it was written to. */
#define HTTP1_BLOCK 16
bool http1_is_name(const char *p, size_t len);
bool http1_is_value(const char *p, size_t len);
