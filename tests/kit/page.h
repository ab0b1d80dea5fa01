/*
 * page — a page of docs/ that is written from a table: held against the table by a test, and
 * written anew by the same program with --write. `write_page` is the including test's.
 *
 * Threads  one.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"

#define PAGE_MAX (64 * 1024)

typedef void page_writer(struct buf *out);

static inline void page_is(const char *path, page_writer *write_page)
{
    struct buf page;
    static char found[PAGE_MAX];
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t len = fread(found, 1, sizeof(found), f);
    fclose(f);
    buf_init(&page, PAGE_MAX);
    write_page(&page);
    if (!slice_eq(buf_slice(&page), slice_of(found, len)))
        fail_msg("%s is not what the table says: run this test with --write", path);
    buf_fini(&page);
}

/* The exit code of the program. */
static inline int page_write(const char *path, page_writer *write_page)
{
    struct buf page;
    FILE *f = fopen(path, "we");
    if (!f)
        return 1;
    buf_init(&page, PAGE_MAX);
    write_page(&page);
    bool written = fwrite(buf_slice(&page).ptr, 1, page.len, f) == page.len;
    buf_fini(&page);
    return fclose(f) == 0 && written ? 0 : 1;
}
