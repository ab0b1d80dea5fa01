/* heads — whole heads by the product's own writer, for tests: server and client of the product put
 * theirs together in pieces. And floods of the same text. */
#pragma once

#include "common/net/http1_write.h"

static inline enum err kit_write_request(struct buf *out, struct slice method, struct slice target,
                                         const struct http_header *headers, size_t n)
{
    enum err e = http1_check_request(method, target);
    if (e)
        return e;
    const struct slice line[] = {method, SLICE(" "), target, SLICE(" HTTP/1.1\r\n")};
    return http1_write_head(out, line, ARRAY_LEN(line), headers, n);
}

static inline enum err kit_write_status(struct buf *out, unsigned status,
                                        const struct http_header *headers, size_t n)
{
    char digits[5];
    if (status < 100 || status > 599)
        return ERR_INVALID;
    const struct slice line[] = {SLICE("HTTP/1.1 "), http1_status_digits(status, digits),
                                 slice_str(http1_reason(status)), SLICE("\r\n")};
    return http1_write_head(out, line, ARRAY_LEN(line), headers, n);
}

static inline void kit_fill(struct buf *out, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        MUST(buf_append(out, slice_str(text)) == ERR_OK);
}
