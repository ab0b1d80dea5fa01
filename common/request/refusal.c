/*
 * refusal — the table made rows, and a row made a sentence.
 */
#include "common/request/refusal.h"

#define HOLE "%.*s"

const struct refusal_row *refusal_row(enum refusal_id id)
{
    static const struct refusal_row rows[] = {
#define REFUSAL_ROW(name, status, code, text) {status, code, text},
        REFUSAL_TABLE(REFUSAL_ROW)
#undef REFUSAL_ROW
    };
    MUST(id < REFUSAL_COUNT);
    return &rows[id];
}

struct slice refusal_sentence(const struct refusal *r, struct arena *a)
{
    struct slice text = slice_str(refusal_row(r->id)->text);
    ptrdiff_t hole = slice_search(text, SLICE(HOLE));
    if (hole < 0)
        return text;
    struct slice before = slice_first(text, (size_t)hole);
    struct slice after = slice_from(text, (size_t)hole + sizeof(HOLE) - 1);
    size_t len = before.len + r->detail.len + after.len;
    char *out = arena_alloc(a, len + 1);
    if (!out)
        return SLICE("");
    memcpy(out, before.ptr, before.len);
    if (r->detail.len)
        memcpy(out + before.len, r->detail.ptr, r->detail.len);
    memcpy(out + before.len + r->detail.len, after.ptr, after.len);
    return slice_of(out, len);
}
