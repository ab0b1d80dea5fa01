/*
 * ai_likeness — an event is compared as it stands in the stream, from its first byte to the empty
 * line behind it, so that its end need not be looked for before.
 */
#include "dataplane/ai/ai_likeness.h"

#include "common/base/json_token.h"
#include "common/base/utf8.h"

#define DEL 0x7F

/* Past the letters of other alphabets. */
static const char *skip_letters(const char *p, const char *end)
{
    size_t n = 1;
    while (n && p < end && (unsigned char)*p >= 0x80) {
        n = utf8_char((const unsigned char *)p, (size_t)(end - p));
        p += n;
    }
    return p;
}

/* Past what may stand in a string and in a line. */
static const char *skip_words(const char *p, const char *end)
{
    const char *from;
    do {
        from = json_token_plain(p, end);
        p = skip_letters(from, end);
    } while (p != from);
    return p;
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
           slice_ends(e->raw, end);
}

static void take(struct ai_likeness *l, struct slice raw, const struct ai_glance *g)
{
    const char *words_end = g->text.ptr + g->text.len, *end = raw.ptr + raw.len;
    l->unasked_from_end = g->unasked.ptr ? (size_t)(end - g->unasked.ptr) : 0;
    l->unasked_len = g->unasked.ptr ? g->unasked.len : 0;
    l->before = (size_t)(g->text.ptr - raw.ptr);
    l->behind = (size_t)(end - words_end);
    memcpy(l->text, raw.ptr, l->before);
    memcpy(l->text + l->before, words_end, l->behind);
}

static bool is_of_same_block(const struct ai_likeness *l, const struct ai_event *said)
{
    return l->kind == said->kind && l->choice == said->choice && l->block == said->block;
}

/* Does all but its words fit, and stand where it is looked for? */
static bool can_be_like(const struct sse_event *e, const struct ai_glance *g)
{
    return is_one_line(e) && lies_in(g->text, e->data) &&
           e->raw.len - g->text.len <= AI_LIKENESS_MAX &&
           !(g->unasked.ptr && g->unasked.ptr < g->text.ptr);
}

static bool is_plain(struct slice words)
{
    return skip_words(words.ptr, words.ptr + words.len) == words.ptr + words.len;
}

void ai_likeness_remember(struct ai_likeness *l, const struct sse_event *e,
                          const struct ai_glance *g, const struct ai_event *said)
{
    const struct ai_event glanced = {0};
    bool only_words = says_only_words(g);
    said = said ? said : &glanced;
    if (!only_words || !is_of_same_block(l, said))
        l->before = 0;
    l->kind = said->kind;
    l->choice = said->choice;
    l->block = said->block;
    if (only_words && can_be_like(e, g) && is_plain(g->text))
        take(l, e->raw, g);
}

struct ai_alike ai_likeness_match(const struct ai_likeness *l, struct slice bytes)
{
    const struct ai_alike none = {0};
    if (!l->before || bytes.len <= l->before + l->behind ||
        memcmp(bytes.ptr, l->text, l->before) != 0)
        return none;
    const char *words = bytes.ptr + l->before;
    const char *plain_end = json_token_plain(words, bytes.ptr + bytes.len);
    const char *words_end = skip_words(plain_end, bytes.ptr + bytes.len);
    const char *end = words_end + l->behind;
    if (words_end == words || l->behind > (size_t)(bytes.ptr + bytes.len - words_end) ||
        memcmp(words_end, l->text + l->before, l->behind) != 0)
        return none;
    struct ai_alike alike = {.len = (size_t)(end - bytes.ptr),
                             .words = slice_of(words, (size_t)(words_end - words)),
                             .plain = words_end == plain_end &&
                                      !memchr(words, DEL, (size_t)(words_end - words))};
    if (l->unasked_len)
        alike.unasked = slice_of(end - l->unasked_from_end, l->unasked_len);
    return alike;
}
