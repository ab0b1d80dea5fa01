/*
 * refusal — the rows of the table, and the sentence of a refusal.
 */
#include "common/request/refusal.h"

#define HOLE "%.*s"

static struct slice fill(struct slice text, struct slice detail, struct arena *a)
{
    ptrdiff_t hole = slice_search(text, SLICE(HOLE));
    if (hole < 0)
        return text.ptr ? text : SLICE("");
    struct slice before = slice_first(text, (size_t)hole);
    struct slice after = slice_from(text, (size_t)hole + sizeof(HOLE) - 1);
    struct slice whole =
        arena_printf(a, "%.*s%.*s%.*s", SLICE_ARG(before), SLICE_ARG(detail), SLICE_ARG(after));
    return whole.ptr ? whole : SLICE("");
}

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
    struct slice text = slice_str(refusal_row(r->id)->text), none = SLICE("");
    struct slice before = text, optional = none, after = none;
    ptrdiff_t open = slice_find(text, '['), close = slice_find(text, ']');
    if (open >= 0) {
        before = slice_first(text, (size_t)open);
        optional = slice_of(text.ptr + open + 1, (size_t)(close - open - 1));
        after = slice_from(text, (size_t)close + 1);
    }
    if (r->detail.len == 0)
        optional = none;
    struct slice whole = optional.len || open >= 0
                             ? arena_printf(a, "%.*s%.*s%.*s", SLICE_ARG(before),
                                            SLICE_ARG(optional), SLICE_ARG(after))
                             : text;
    return fill(whole, r->detail, a);
}
