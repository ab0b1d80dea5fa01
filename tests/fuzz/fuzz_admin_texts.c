/*
 * fuzz_admin_texts — what stands in an admin request's target and head: percent escapes, cursors,
 * entity tags. What is accepted is UTF-8 without control characters, and a cursor reads back as it
 * is written.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/utf8.h"
#include "controlplane/api/cursor.h"
#include "controlplane/api/etag.h"
#include "controlplane/api/percent.h"
#include "controlplane/domain/role.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static bool is_utf8(struct slice s)
{
    size_t at = 0, n = 1;
    for (; at < s.len && n; at += n)
        n = utf8_char((const unsigned char *)s.ptr + at, s.len - at);
    return n > 0;
}

static void try_percent(struct slice s, bool plus)
{
    struct buf out;
    struct slice decoded;
    char *at;
    buf_init(&out, s.len + 1);
    must(!buf_room(&out, s.len + 1, &at), "room");
    if (!percent_decode(s, plus, &out, &decoded)) {
        must(decoded.len <= s.len, "longer than it was");
        for (size_t i = 0; i < decoded.len; i++)
            must((uint8_t)decoded.ptr[i] >= 0x20 && decoded.ptr[i] != 0x7f, "a control character");
        must(is_utf8(decoded), "UTF-8");
    }
    buf_fini(&out);
}

static void try_cursor(struct slice s)
{
    char id[ID_MAX], again_id[ID_MAX], text[CURSOR_TEXT_MAX];
    int64_t at, again;
    if (cursor_parse(s, &at, id))
        return;
    must(strnlen(id, ID_MAX) < ID_MAX, "an id");
    must(!cursor_parse(cursor_format(at, id, text), &again, again_id) && at == again &&
             !strcmp(id, again_id),
         "another place");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of(data, size);
    enum role role;
    try_percent(s, true);
    try_percent(s, false);
    try_cursor(s);
    if (etag_matches(s, 7))
        must(s.len == 0 || slice_find(s, '*') >= 0 || slice_find(s, '7') >= 0, "no tag of ours");
    if (!role_parse(s, &role))
        must(s.len > 0, "a role without a name");
    return 0;
}
