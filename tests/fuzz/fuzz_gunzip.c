/* gunzip: any bytes in any two cuts come out alike or fail both times, never above the ceiling. */
#include <stdlib.h>

#include "common/base/gunzip.h"

#define CEILING 65536

static enum err run(struct slice in, size_t cut, struct buf *out, bool *whole)
{
    struct gunzip *g;
    if (gunzip_new(&g))
        abort();
    enum err e = gunzip_feed(g, slice_first(in, cut), out);
    if (!e)
        e = gunzip_feed(g, slice_from(in, cut), out);
    *whole = gunzip_is_whole(g);
    gunzip_free(g);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    struct buf a, b;
    bool whole_a, whole_b;
    buf_init(&a, CEILING);
    buf_init(&b, CEILING);
    enum err first = run(in, in.len, &a, &whole_a);
    enum err second = run(in, data[0] < in.len ? data[0] : in.len, &b, &whole_b);
    /* What is both broken and too much may be reported as either. */
    if ((first == ERR_OK) != (second == ERR_OK) || a.len > CEILING || b.len > CEILING)
        abort();
    if (!first && (whole_a != whole_b || !slice_eq(buf_slice(&a), buf_slice(&b))))
        abort();
    buf_fini(&a);
    buf_fini(&b);
    return 0;
}
