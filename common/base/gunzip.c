/*
 * gunzip — inflate, with memory from common/base/mem and out's own ceiling.
 */
#include "common/base/gunzip.h"

#include <zlib.h>

#include "common/base/mem.h"

#define GZIP_ONLY (16 + MAX_WBITS) /* zlib.h, inflateInit2: no zlib or raw stream */
#define STEP 16384

struct gunzip {
    z_stream z;
    bool whole;
};

static void *alloc(void *arg, unsigned n, unsigned size)
{
    (void)arg;
    return mem_alloc((size_t)n * size);
}

static void release(void *arg, void *p)
{
    (void)arg;
    mem_free(p);
}

enum err gunzip_new(struct gunzip **ret)
{
    struct gunzip *g = mem_zalloc(sizeof(*g));
    if (!g)
        return ERR_NOMEM;
    g->z.zalloc = alloc;
    g->z.zfree = release;
    if (inflateInit2(&g->z, GZIP_ONLY) != Z_OK) {
        mem_free(g);
        return ERR_NOMEM;
    }
    *ret = g;
    return ERR_OK;
}

void gunzip_free(struct gunzip *g)
{
    if (!g)
        return;
    inflateEnd(&g->z);
    mem_free(g);
}

/* One step: as much as fits into STEP bytes of out. */
static enum err inflate_step(struct gunzip *g, struct buf *out)
{
    char plain[STEP] __attribute__((uninitialized));
    g->z.next_out = (Bytef *)plain;
    g->z.avail_out = STEP;
    int r = inflate(&g->z, Z_NO_FLUSH);
    size_t n = STEP - g->z.avail_out;
    if (r == Z_MEM_ERROR)
        return ERR_NOMEM;
    if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
        return ERR_INVALID;
    g->whole = r == Z_STREAM_END;
    return n ? buf_append(out, slice_of(plain, n)) : ERR_OK;
}

enum err gunzip_feed(struct gunzip *g, struct slice piece, struct buf *out)
{
    g->z.next_in = (Bytef *)(uintptr_t)piece.ptr;
    g->z.avail_in = (uInt)piece.len;
    bool full = true; /* there may be more to come out of what was read */
    while (g->z.avail_in > 0 || full) {
        if (g->whole)
            return g->z.avail_in ? ERR_INVALID : ERR_OK;
        enum err e = inflate_step(g, out);
        if (e)
            return e;
        full = g->z.avail_out == 0;
    }
    return ERR_OK;
}

bool gunzip_is_whole(const struct gunzip *g)
{
    return g->whole;
}
