/*
 * http1_table — which byte may stand where in HTTP/1.1, and the sentence for each refusal.
 *
 * Private to http1_*.c; everyone else includes http1.h.
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/net/http1.h"

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

/* name, status of a server's refusal, sentence */
#define HTTP1_REFUSALS(X)                                                                          \
    X(START, 400, "the first byte starts no message")                                              \
    X(EMPTY_LINE, 400, "empty start line")                                                         \
    X(BARE_LF, 400, "line feed without carriage return")                                           \
    X(BARE_CR, 400, "carriage return without line feed")                                           \
    X(METHOD, 400, "method is not a token")                                                        \
    X(METHOD_REFUSED, 501, "method is not served")                                                 \
    X(TARGET, 400, "target holds a byte that is not visible ASCII")                                \
    X(TARGET_FORM, 400, "target is not a path")                                                    \
    X(TARGET_LONG, 414, "target is too long")                                                      \
    X(VERSION, 400, "no HTTP version where one belongs")                                           \
    X(VERSION_REFUSED, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here")                          \
    X(STATUS, 400, "status line is malformed")                                                     \
    X(FOLD, 400, "header is folded over lines")                                                    \
    X(NAME, 400, "header name is not a token directly before a colon")                             \
    X(VALUE, 400, "header value holds a control character")                                        \
    X(HEADERS, 431, "too many headers")                                                            \
    X(HEAD_LONG, 431, "head is too long")                                                          \
    X(HOST_MISSING, 400, "no Host")                                                                \
    X(HOST_TWICE, 400, "more than one Host")                                                       \
    X(HOST, 400, "Host is malformed")                                                              \
    X(LENGTH, 400, "Content-Length is not a plain number")                                         \
    X(LENGTH_TWICE, 400, "more than one Content-Length")                                           \
    X(CODING, 400, "Transfer-Encoding is not exactly chunked")                                     \
    X(CODING_TWICE, 400, "more than one Transfer-Encoding")                                        \
    X(CODING_10, 400, "Transfer-Encoding in HTTP/1.0")                                             \
    X(CODING_LENGTH, 400, "both Transfer-Encoding and Content-Length")                             \
    X(EXPECT, 417, "only 100-continue can be expected")                                            \
    X(CHUNK_SIZE, 400, "chunk size is not one to eight hex digits")                                \
    X(CHUNK_EXT, 400, "chunk extension is malformed or too long")                                  \
    X(CHUNK_END, 400, "chunk is not followed by an empty line")                                    \
    X(TRAILER, 400, "trailer is malformed or too long")

enum http1_refusal {
#define HTTP1_ENUM(name, status, text) HTTP1_REFUSE_##name,
    HTTP1_REFUSALS(HTTP1_ENUM)
#undef HTTP1_ENUM
};

/* fills *problem; always ERR_INVALID, so that a refusal is one return */
enum err http1_refuse(struct http1_problem *problem, enum http1_refusal why);
