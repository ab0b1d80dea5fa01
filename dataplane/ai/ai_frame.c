/*
 * ai_frame — two pieces of text, and what they were written for.
 */
#include "dataplane/ai/ai_frame.h"

#include "common/base/escape.h"

static bool is_plain(struct slice words)
{
    return escape_plain(words) == words.len;
}

/* The event, and nothing behind it; its words as they were said, in quotes. */
static bool is_where_it_says(const struct ai_words *w, struct slice words, struct slice out)
{
    if (w->end < w->from + words.len + 1 || w->end >= w->to || w->to != out.len)
        return false;
    const char *at = out.ptr + w->end - words.len;
    return at[-1] == '"' && at[words.len] == '"' && memcmp(at, words.ptr, words.len) == 0;
}

void ai_frame_keep(struct ai_frame *f, const struct ai_event *e, const struct ai_writer *w,
                   const struct buf *out)
{
    const struct ai_words *at = &w->words;
    struct slice all = buf_slice(out);
    f->before = 0;
    if (!ai_event_is_words(e) || !is_plain(e->text) || !is_where_it_says(at, e->text, all) ||
        at->to - at->from - e->text.len > AI_FRAME_MAX)
        return;
    f->kind = e->kind;
    f->choice = e->choice;
    f->block = e->block;
    f->before = at->end - e->text.len - at->from;
    f->behind = at->to - at->end;
    memcpy(f->text, all.ptr + at->from, f->before);
    memcpy(f->text + f->before, all.ptr + at->end, f->behind);
}

bool ai_frame_fits(const struct ai_frame *f, const struct ai_event *e)
{
    return f->before && f->kind == e->kind && f->choice == e->choice && f->block == e->block &&
           ai_event_is_words(e) && !e->raw.ptr;
}

static enum err write_plain(struct slice before, struct slice words, struct slice behind,
                            struct buf *out)
{
    char *to;
    size_t all = before.len + words.len + behind.len;
    enum err e = buf_room(out, all, &to);
    if (e)
        return e;
    memcpy(to, before.ptr, before.len);
    memcpy(slice_put(to + before.len, words), behind.ptr, behind.len);
    buf_commit(out, all);
    return ERR_OK;
}

enum err ai_frame_write(const struct ai_frame *f, const struct ai_event *e, struct buf *out)
{
    const struct slice before = slice_of(f->text, f->before);
    const struct slice behind = slice_of(f->text + f->before, f->behind);
    if (e->plain || is_plain(e->text))
        return write_plain(before, e->text, behind, out);
    enum err err = write_plain(before, SLICE_NONE, SLICE("\""), out);
    if (!err)
        err = buf_json_string_more(out, e->text);
    return err ? err : buf_append(out, slice_from(behind, 1));
}
