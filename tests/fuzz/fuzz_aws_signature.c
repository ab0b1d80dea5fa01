/*
 * fuzz_aws_signature — any head: a claim that is read lies in the head and has its parts, and is
 * true at most for one of two secrets.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/request/aws_signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t now_us = INT64_C(1767323045) * 1000000; /* 2026-01-02T03:04:05Z */
    struct http_head h;
    struct http1_problem problem;
    struct aws_claim c;
    size_t len;
    if (http1_head(HTTP1_REQUEST, slice_of(data, size), &h, &len, &problem) != ERR_OK)
        return 0;
    struct slice said = http_head_find(&h, SLICE("authorization"));
    if (!aws_is_signed(said) || aws_claim_read(&h, said, now_us, &c))
        return 0;
    const char *from = (const char *)data, *to = from + size;
    must(c.key_id.ptr >= from && c.signature.ptr + c.signature.len <= to, "outside of the head");
    must(c.signature.len == 64 && c.date.len == 16 && c.day.len == 8, "a part is missing");
    must(!c.body.len || c.body.len == 64, "a sum of another length");
    struct slice body = c.body.len ? c.body : SLICE("e3b0");
    bool one = aws_claim_is_true(&c, &h, body, SLICE("one"));
    must(!one || !aws_claim_is_true(&c, &h, body, SLICE("two")), "true for two secrets");
    return 0;
}
