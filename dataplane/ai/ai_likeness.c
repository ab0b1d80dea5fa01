/*
 * ai_likeness — an event is compared as it stands in the stream, from its "data:" to the empty line
 * behind it, so that its end need not be looked for before.
 */
#include "dataplane/ai/ai_likeness.h"

#include "common/base/json_token.h"

/* Past what may stand in a string and in a line; letters of other alphabets among it. */
static const char *skip_words(const char *p, const char *end)
{
    for (;;) {
        p = json_token_plain(p, end);
        if (p == end || (unsigned char)*p < 0x80)
            return p;
        while (p < end && (unsigned char)*p >= 0x80)
            p++;
    }
}

static bool says_only_words(const struct ai_glance *g)
{
    return g->text.len && g->text.len == g->words && !g->ends && !g->fails && !g->finishes &&
           !g->usage_alone && !g->opens && !g->has_usage;
}

static bool lies_in(struct slice part, struct slice whole)
{
    return part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len;
}

/* One line, and the empty one behind it: its data lies in the raw bytes, and ends where they do. */
static bool is_one_line(const struct sse_event *e)
{
    const struct slice end = SLICE("\n\n");
    return e->data.len && lies_in(e->data, e->raw) &&
           e->data.ptr + e->data.len + end.len == e->raw.ptr + e->raw.len &&
           slice_ends(e->raw, end) && slice_starts(e->raw, SLICE("data:")) &&
           (size_t)(e->data.ptr - e->raw.ptr) <= sizeof("data: ") - 1;
}

void ai_likeness_remember(struct ai_likeness *l, const struct sse_event *e,
                          const struct ai_glance *g)
{
    struct slice raw = e->raw;
    l->before = 0;
    if (!says_only_words(g) || !is_one_line(e) || !lies_in(g->text, e->data) ||
        raw.len - g->text.len > AI_LIKENESS_MAX)
        return;
    const char *words_end = g->text.ptr + g->text.len, *end = raw.ptr + raw.len;
    if (skip_words(g->text.ptr, words_end) != words_end ||
        (g->unasked.ptr && g->unasked.ptr < words_end))
        return;
    l->unasked_from_end = g->unasked.ptr ? (size_t)(end - g->unasked.ptr) : 0;
    l->unasked_len = g->unasked.ptr ? g->unasked.len : 0;
    l->before = (size_t)(g->text.ptr - raw.ptr);
    l->behind = (size_t)(end - words_end);
    memcpy(l->text, raw.ptr, l->before);
    memcpy(l->text + l->before, words_end, l->behind);
}

struct ai_alike ai_likeness_match(const struct ai_likeness *l, struct slice bytes)
{
    const struct ai_alike none = {0};
    if (!l->before || bytes.len <= l->before + l->behind ||
        memcmp(bytes.ptr, l->text, l->before) != 0)
        return none;
    const char *words = bytes.ptr + l->before;
    const char *words_end = skip_words(words, bytes.ptr + bytes.len);
    const char *end = words_end + l->behind;
    if (words_end == words || l->behind > (size_t)(bytes.ptr + bytes.len - words_end) ||
        memcmp(words_end, l->text + l->before, l->behind) != 0)
        return none;
    struct ai_alike alike = {.len = (size_t)(end - bytes.ptr),
                             .words = (size_t)(words_end - words)};
    if (l->unasked_len)
        alike.unasked = slice_of(end - l->unasked_from_end, l->unasked_len);
    return alike;
}
