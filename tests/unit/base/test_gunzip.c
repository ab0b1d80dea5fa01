/* gunzip — what zlib packed comes out whole in any cuts; what is broken or too much ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <zlib.h>

#include "common/base/gunzip.h"

#define PLAIN (300 * 1024)

static char plain[PLAIN];
static char packed[PLAIN];
static size_t packed_len;

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLAIN; i++)
        plain[i] = (char)('a' + (i / 7 + i / 1000) % 26);
    z_stream z = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -1;
    z.next_in = (Bytef *)plain;
    z.avail_in = PLAIN;
    z.next_out = (Bytef *)packed;
    z.avail_out = sizeof(packed);
    int r = deflate(&z, Z_FINISH);
    packed_len = sizeof(packed) - z.avail_out;
    deflateEnd(&z);
    return r == Z_STREAM_END ? 0 : -1;
}

/* feeds in cuts of `cut` bytes */
static enum err unpack(struct slice in, size_t cut, struct buf *out, bool *whole)
{
    struct gunzip *g;
    enum err e = gunzip_new(&g);
    assert_int_equal(e, ERR_OK);
    while (!e && in.len) {
        e = gunzip_feed(g, slice_first(in, cut), out);
        in = slice_from(in, cut);
    }
    *whole = gunzip_is_whole(g);
    gunzip_free(g);
    return e;
}

static void what_was_packed_comes_out_in_any_cuts(void **state)
{
    static const size_t cuts[] = {1, 2, 3, 1000, PLAIN};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        struct buf out;
        bool whole;
        buf_init(&out, PLAIN);
        if (unpack(slice_of(packed, packed_len), cuts[i], &out, &whole) || !whole ||
            !slice_eq(buf_slice(&out), slice_of(plain, PLAIN)))
            fail_msg("cuts of %zu", cuts[i]);
        buf_fini(&out);
    }
}

static void what_unpacks_to_more_than_the_ceiling_ends_there(void **state)
{
    struct buf out;
    bool whole;
    (void)state;
    buf_init(&out, PLAIN - 1);
    assert_int_equal(unpack(slice_of(packed, packed_len), PLAIN, &out, &whole), ERR_TOO_BIG);
    buf_fini(&out);
}

static void what_is_broken_cut_or_followed_by_more_is_not_whole(void **state)
{
    struct buf out;
    bool whole;
    (void)state;
    buf_init(&out, 2 * PLAIN);
    assert_int_equal(unpack(slice_of(packed, packed_len - 1), PLAIN, &out, &whole), ERR_OK);
    assert_false(whole);         /* its end has not come */
    packed[packed_len - 6] ^= 1; /* the checksum */
    assert_int_equal(unpack(slice_of(packed, packed_len), PLAIN, &out, &whole), ERR_INVALID);
    packed[packed_len - 6] ^= 1;
    buf_clear(&out);
    packed[packed_len] = 'x';
    assert_int_equal(unpack(slice_of(packed, packed_len + 1), PLAIN, &out, &whole), ERR_INVALID);
    buf_clear(&out);
    assert_int_equal(unpack(SLICE("{\"model\":1}"), 100, &out, &whole), ERR_INVALID);
    assert_int_equal(unpack(SLICE("\x78\x9c\x03\x00\x00\x00\x00\x01"), 100, &out, &whole),
                     ERR_INVALID); /* zlib's own format */
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_out_in_any_cuts),
        cmocka_unit_test(what_unpacks_to_more_than_the_ceiling_ends_there),
        cmocka_unit_test(what_is_broken_cut_or_followed_by_more_is_not_whole),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
