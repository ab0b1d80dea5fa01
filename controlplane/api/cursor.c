/*
 * cursor — base64url of "<microseconds>.<id>".
 */
#include "controlplane/api/cursor.h"

#include <stdio.h>

#include "common/base/digest.h"

#define PLAIN_MAX 64

struct slice cursor_format(int64_t at_us, const char *id, char out[static CURSOR_TEXT_MAX])
{
    char plain[PLAIN_MAX];
    int n = snprintf(plain, sizeof(plain), "%lld.%s", (long long)at_us, id);
    MUST(n > 0 && n < PLAIN_MAX);
    return slice_of(out, digest_base64url(slice_of(plain, (size_t)n), out));
}

enum err cursor_parse(struct slice text, int64_t *ret_us, char id[static ID_MAX])
{
    uint8_t plain[PLAIN_MAX];
    size_t len = 0;
    enum err e = digest_unbase64url(text, plain, sizeof(plain), &len);
    if (e != ERR_OK)
        return ERR_INVALID;
    struct slice s = slice_of(plain, len);
    ptrdiff_t dot = slice_find(s, '.');
    if (dot < 0)
        return ERR_INVALID;
    struct slice rest = slice_from(s, (size_t)dot + 1);
    if (rest.len == 0 || rest.len >= ID_MAX || memchr(rest.ptr, '\0', rest.len) != NULL)
        return ERR_INVALID;
    e = slice_i64(slice_first(s, (size_t)dot), ret_us);
    if (e == ERR_OK)
        snprintf(id, ID_MAX, "%.*s", SLICE_ARG(rest));
    return e;
}

enum err cursor_page(struct call *c, struct page *ret)
{
    uint64_t limit = 0;
    struct slice cursor = call_query(c, "cursor");
    *ret = (struct page){.goes_on = cursor.ptr != NULL};
    enum err e = call_query_number(c, "limit", 1, CURSOR_LIMIT_MOST, CURSOR_LIMIT_USUAL, &limit);
    if (e != ERR_OK)
        return e;
    ret->limit = (size_t)limit;
    if (!ret->goes_on || cursor_parse(cursor, &ret->at_us, ret->id) == ERR_OK)
        return ERR_OK;
    (void)call_problem(c, PROBLEM_BAD_CURSOR, "?cursor= is not one that we gave");
    return ERR_INVALID;
}
