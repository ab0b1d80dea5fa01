/*
 * fuzz_echo — a credential is masked the same however its response is cut into pieces, lengths
 * stay, and nothing that decodes to it is left where it was looked for.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/upstream/echo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CREDENTIAL "Bearer /aA+u2F%5C0="

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void pass(struct slice body, uint32_t seed, struct buf *out)
{
    struct echo e;
    struct slice clean;
    echo_init(&e);
    echo_begin(&e, SLICE(CREDENTIAL));
    while (body.len) {
        seed = seed ? seed * 1664525u + 1013904223u : 0;
        struct slice piece = slice_first(body, seed ? (seed >> 16) % 9 + 1 : body.len);
        must(echo_pass(&e, piece, &clean) == ERR_OK, "pass");
        must(buf_append(out, clean) == ERR_OK, "room");
        body = slice_from(body, piece.len);
    }
    must(buf_append(out, echo_end(&e)) == ERR_OK, "room");
    echo_fini(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, cut;
    struct slice body = slice_of(data, size), needle = echo_needle(SLICE(CREDENTIAL));
    buf_init(&whole, 1 << 20);
    buf_init(&cut, 1 << 20);
    pass(body, 0, &whole);
    pass(body, size ? data[0] * 31u + 7 : 1, &cut);
    must(whole.len == size, "a length that changed");
    must(slice_eq(buf_slice(&whole), buf_slice(&cut)), "pieces are masked differently");
    must(!echo_find(needle, buf_slice(&whole)), "it is still there");
    must(echo_find(needle, body) || slice_eq(body, buf_slice(&whole)), "an innocent body changed");
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
