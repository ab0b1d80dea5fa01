/*
 * fuzz_path — an accepted path has one spelling, and that spelling says what the client said.
 *
 * Canonical again it is unchanged; decoded, segment by segment, it is what the target decodes
 * to; and no byte of it could be a separator, a parent or a parameter for a later reader.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static int hex(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;
    return at && (c | 0x20) == *at ? (int)(at - digits) : -1;
}

static void decode(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            must(i + 2 < s.len && hex(s.ptr[i + 1]) >= 0 && hex(s.ptr[i + 2]) >= 0, "bad escape");
            c = (char)(hex(s.ptr[i + 1]) * 16 + hex(s.ptr[i + 2]));
            i += 2;
            must(c != '/' && c != '\\' && c != ';' && (unsigned char)c >= ' ' && c != 0x7f,
                 "an escape hides what may not be");
        }
        must(buf_append(out, slice_of(&c, 1)) == ERR_OK, "room");
    }
}

static void check_spelling(struct slice path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._~!$&'()*+,=:@/";
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '%') {
            must((path.ptr[i + 1] < 'a' && path.ptr[i + 2] < 'a'), "small hex digits");
            i += 2;
            continue;
        }
        must(path.ptr[i] && strchr(plain, path.ptr[i]), "a byte that should be escaped");
    }
}

static void check_segments(struct slice decoded)
{
    struct slice segment, rest = slice_from(decoded, 1);
    while (slice_split(&rest, '/', &segment)) {
        must(!slice_eq(segment, SLICE(".")) && !slice_eq(segment, SLICE("..")), "dot segment");
        must(segment.len > 0 || rest.len == 0, "empty segment");
    }
}

/* What is accepted loosely is canonical, stands below the prefix, and is what the strict reader
 * says where that accepts it too. */
static void check_loose(struct slice target, bool strict, struct slice path)
{
    struct buf scratch, loose, again;
    struct slice query, nothing;
    buf_init(&scratch, 1 << 20);
    buf_init(&loose, 1 << 20);
    buf_init(&again, 1 << 20);
    if (http1_path_loose(target, SLICE("/v1/"), &scratch, &loose, &query) == ERR_OK) {
        must(slice_starts(buf_slice(&loose), SLICE("/v1/")), "not below");
        must(http1_path(buf_slice(&loose), &again, &nothing) == ERR_OK, "loose: not canonical");
        must(slice_eq(buf_slice(&loose), buf_slice(&again)), "loose: another spelling");
        must(!strict || slice_eq(buf_slice(&loose), path), "loose: another path");
    } else {
        must(!strict || !slice_starts(path, SLICE("/v1/")), "loose: stricter than strict");
    }
    buf_fini(&scratch);
    buf_fini(&loose);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice target = slice_of(data, size), query, nothing;
    struct buf path, again, said, meant;
    buf_init(&path, 1 << 20);
    buf_init(&again, 1 << 20);
    buf_init(&said, 1 << 20);
    buf_init(&meant, 1 << 20);
    if (http1_path(target, &path, &query) == ERR_OK) {
        ptrdiff_t mark = slice_find(target, '?');
        struct slice raw = mark < 0 ? target : slice_first(target, (size_t)mark);
        must(http1_path(buf_slice(&path), &again, &nothing) == ERR_OK, "not canonical again");
        must(slice_eq(buf_slice(&path), buf_slice(&again)), "another spelling the second time");
        must(slice_eq(query, mark < 0 ? slice_of("", 0) : slice_from(target, (size_t)mark + 1)),
             "query");
        decode(raw, &said);
        decode(buf_slice(&path), &meant);
        must(slice_eq(buf_slice(&said), buf_slice(&meant)), "another path than was said");
        check_spelling(buf_slice(&path));
        check_segments(buf_slice(&meant));
        check_loose(target, true, buf_slice(&path));
    } else {
        must(path.len == 0, "something was left behind");
        check_loose(target, false, SLICE_NONE);
    }
    buf_fini(&path);
    buf_fini(&again);
    buf_fini(&said);
    buf_fini(&meant);
    return 0;
}
