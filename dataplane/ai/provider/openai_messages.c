/*
 * openai_messages — turns of a conversation as messages, each with its parts.
 */
#include <stdio.h>

#include "dataplane/ai/provider/openai_details.h"
#include "dataplane/ai/provider/openai_writing.h"

#define TOOL_ID_MAX 40

/* ---- ids ---- */

static uint64_t hash_of(struct slice s)
{
    uint64_t hash = 14695981039346656037ull; /* FNV-1a */
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.ptr[i]) * 1099511628211ull;
    return hash;
}

static bool is_short_id(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
            return false;
    }
    return id.len == 9;
}

/* Nine letters and digits (dialects.md 2.10, 11). */
static void write_short_id(struct writing *w, const char *member, struct slice id)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char text[9];
    uint64_t hash = hash_of(id);
    if (is_short_id(id)) {
        json_out_text(&w->j, member, id);
        return;
    }
    for (size_t i = 0; i < sizeof(text); i++, hash /= 62)
        text[i] = digits[hash % 62];
    json_out_text(&w->j, member, slice_of(text, sizeof(text)));
}

/* An id that another provider made may be longer than what is taken here; the same becomes the same
 * again. */
static void write_id(struct writing *w, const char *member, struct slice id)
{
    char text[32];
    if (takes(w, TAKES_SHORT_IDS)) {
        write_short_id(w, member, id);
    } else if (id.len && id.len <= TOOL_ID_MAX) {
        json_out_text(&w->j, member, id);
    } else {
        int n = snprintf(text, sizeof(text), "call_%016llx", (unsigned long long)hash_of(id));
        json_out_text(&w->j, member, slice_of(text, (size_t)n));
    }
}

/* ---- parts ---- */

/* Models that know the verbosity are those that know this too. */
static bool takes_breakpoints(const struct writing *w)
{
    return takes(w, TAKES_BREAKPOINTS) && w->rules && w->rules->verbosity;
}

static void write_cache_control(struct writing *w, enum ai_cache_mark mark)
{
    json_out_begin(&w->j, "cache_control", '{');
    json_out_text(&w->j, "type", SLICE("ephemeral"));
    if (mark == AI_CACHE_LONG)
        json_out_text(&w->j, "ttl", SLICE("1h"));
    json_out_end(&w->j, '}');
}

/* The next longer time to an hour is half a day (dialects.md 1.1). */
static void write_breakpoint(struct writing *w, enum ai_cache_mark mark)
{
    json_out_begin(&w->j, "prompt_cache_breakpoint", '{');
    json_out_text(&w->j, "mode", SLICE("explicit"));
    if (mark == AI_CACHE_LONG)
        json_out_text(&w->j, "ttl", SLICE("12h"));
    json_out_end(&w->j, '}');
}

void openai_write_mark(struct writing *w, enum ai_cache_mark mark)
{
    if (mark == AI_CACHE_NONE)
        return;
    if (takes(w, TAKES_CACHE))
        write_cache_control(w, mark);
    else if (takes_breakpoints(w))
        write_breakpoint(w, mark);
    else
        leave_out(w, "cache_control");
}

static void write_text_part(struct writing *w, struct slice text, enum ai_cache_mark mark)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", SLICE("text"));
    json_out_text(&w->j, "text", text);
    openai_write_mark(w, mark);
    json_out_end(&w->j, '}');
}

static struct slice data_url(const struct writing *w, const struct ai_part *p)
{
    static const struct slice pieces[] = {{"data:", 5}, {";base64,", 8}};
    size_t len = 13 + p->media_type.len + p->data.len;
    char *out = arena_alloc(w->o->arena, len);
    if (!out)
        return SLICE_NONE;
    slice_put(slice_put(slice_put(slice_put(out, pieces[0]), p->media_type), pieces[1]), p->data);
    return slice_of(out, len);
}

static void write_url(struct writing *w, const struct ai_part *p, const char *member)
{
    struct slice url = p->data.ptr ? data_url(w, p) : p->url;
    if (!url.ptr && !w->j.e)
        w->j.e = ERR_NOMEM;
    json_out_text(&w->j, member, url);
}

static void begin_media(struct writing *w, const char *type)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", slice_str(type));
    json_out_begin(&w->j, type, '{');
}

static void end_media(struct writing *w, const struct ai_part *p)
{
    json_out_end(&w->j, '}');
    openai_write_mark(w, p->cache);
    json_out_end(&w->j, '}');
}

static void write_image(struct writing *w, const struct ai_part *p)
{
    if (!takes(w, TAKES_IMAGES) || (!p->data.ptr && !p->url.len)) {
        refuse(w, "messages",
               p->file_id.len ? SLICE("an image of another provider's files") : SLICE("images"));
        return;
    }
    begin_media(w, "image_url");
    write_url(w, p, "url");
    if (p->detail.len)
        json_out_text(&w->j, "detail", p->detail);
    end_media(w, p);
}

static void write_audio(struct writing *w, const struct ai_part *p)
{
    struct slice format =
        slice_starts(p->media_type, SLICE("audio/")) ? slice_from(p->media_type, 6) : SLICE("");
    if (slice_eq(format, SLICE("mpeg")))
        format = SLICE("mp3");
    else if (slice_eq(format, SLICE("x-wav")))
        format = SLICE("wav");
    if (!takes(w, TAKES_AUDIO) || !p->data.ptr || !format.len) {
        refuse(w, "messages", SLICE("content of type input_audio"));
        return;
    }
    begin_media(w, "input_audio");
    json_out_text(&w->j, "data", p->data);
    json_out_text(&w->j, "format", format);
    end_media(w, p);
}

static void write_video(struct writing *w, const struct ai_part *p)
{
    if (!takes(w, TAKES_VIDEO) || (!p->data.ptr && !p->url.len)) {
        refuse(w, "messages", SLICE("videos"));
        return;
    }
    begin_media(w, "video_url");
    write_url(w, p, "url");
    end_media(w, p);
}

/* A document that is text is told as text, behind its title. */
static void write_file(struct writing *w, const struct ai_part *p)
{
    struct slice title = p->title.len ? p->title : p->name;
    if (p->text.ptr) {
        if (title.len)
            write_text_part(w, title, AI_CACHE_NONE);
        write_text_part(w, p->text, p->cache);
        return;
    }
    if (!takes(w, TAKES_FILES) || !p->data.ptr) {
        refuse(w, "messages",
               p->data.ptr ? SLICE("files") : SLICE("a file that is not inline, in base64"));
        return;
    }
    begin_media(w, "file");
    json_out_text(&w->j, "filename", title.len ? title : SLICE("document.pdf"));
    write_url(w, p, "file_data");
    end_media(w, p);
}

static bool is_text(const struct ai_part *p)
{
    return p->kind == AI_PART_TEXT || p->kind == AI_PART_REFUSAL;
}

static bool is_media(const struct ai_part *p)
{
    return p->kind == AI_PART_IMAGE || p->kind == AI_PART_AUDIO || p->kind == AI_PART_VIDEO ||
           p->kind == AI_PART_FILE;
}

static void write_part(struct writing *w, const struct ai_part *p)
{
    switch (p->kind) {
    case AI_PART_TEXT:
    case AI_PART_REFUSAL:
        write_text_part(w, p->text, p->cache);
        break;
    case AI_PART_IMAGE:
        write_image(w, p);
        break;
    case AI_PART_AUDIO:
        write_audio(w, p);
        break;
    case AI_PART_VIDEO:
        write_video(w, p);
        break;
    case AI_PART_FILE:
        write_file(w, p);
        break;
    case AI_PART_TOOL_CALL:
    case AI_PART_TOOL_RESULT:
    case AI_PART_REASONING:
        break; /* not content */
    }
}

/* ---- messages ---- */

static bool is_content(const struct ai_part *p)
{
    return (is_text(p) && p->text.len) || is_media(p);
}

/* What of the assistant is a member of its own where the service has one. */
static bool stands_apart(const struct writing *w, const struct ai_turn *t, const struct ai_part *p)
{
    return p->kind == AI_PART_REFUSAL && t->role == AI_ASSISTANT && takes(w, TAKES_REFUSAL);
}

struct content {
    const struct ai_part *only; /* the one part, where there is one and it is text */
    size_t count;
};

static struct content look_at(const struct writing *w, const struct ai_turn *t,
                              const struct ai_part_list *list)
{
    struct content c = {0};
    for (const struct ai_part *p = list->first; p; p = p->next) {
        if (!is_content(p) || stands_apart(w, t, p))
            continue;
        c.only = c.count++ == 0 && is_text(p) ? p : NULL;
    }
    return c;
}

/* One text as a string, which is what the least of the servers take. */
static void write_content(struct writing *w, const struct ai_turn *t,
                          const struct ai_part_list *list)
{
    struct content c = look_at(w, t, list);
    bool marked = c.only && c.only->cache && (takes(w, TAKES_CACHE) || takes_breakpoints(w));
    if (c.count == 0 || (c.only && !marked)) {
        if (c.only && c.only->cache)
            leave_out(w, "cache_control");
        json_out_text(&w->j, "content", c.only ? c.only->text : SLICE(""));
        return;
    }
    json_out_begin(&w->j, "content", '[');
    for (const struct ai_part *p = list->first; p; p = p->next)
        if (is_content(p) && !stands_apart(w, t, p))
            write_part(w, p);
    json_out_end(&w->j, ']');
}

static void begin_message(struct writing *w, struct slice role, const struct ai_turn *t)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "role", role);
    if (t->name.len && openai_is_plain_name(t->name) && openai_has_rules(w->service))
        json_out_text(&w->j, "name", t->name);
    else if (t->name.len)
        leave_out(w, "name");
}

static void write_system(struct writing *w, const struct ai_turn *t)
{
    if (!look_at(w, t, &t->parts).count)
        return;
    begin_message(w, SLICE("system"), t);
    write_content(w, t, &t->parts);
    json_out_end(&w->j, '}');
}

/* A tool's message holds text only: what else it brought follows in the user's. */
static void write_result(struct writing *w, const struct ai_turn *t, const struct ai_part *result)
{
    struct ai_part_list texts = {0};
    struct ai_part *copy;
    for (const struct ai_part *p = result->inner->first; p; p = p->next) {
        if (!is_text(p) && !(p->kind == AI_PART_FILE && p->text.ptr))
            continue;
        copy = arena_alloc(w->o->arena, sizeof(*copy));
        if (!copy) {
            w->j.e = ERR_NOMEM;
            return;
        }
        *copy = *p;
        copy->next = NULL;
        if (texts.last)
            texts.last->next = copy;
        else
            texts.first = copy;
        texts.last = copy;
    }
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "role", SLICE("tool"));
    write_id(w, "tool_call_id", result->id);
    if (takes(w, TAKES_TOOL_NAME))
        write_name(w, "name", ai_chat_function_of(w->chat, result));
    write_content(w, t, &texts);
    json_out_end(&w->j, '}');
}

static bool is_shown(const struct ai_part *p)
{
    return is_media(p) && !p->text.ptr;
}

static size_t count_shown(const struct ai_turn *t)
{
    size_t n = 0;
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        for (const struct ai_part *in = p->inner ? p->inner->first : NULL; in; in = in->next)
            n += is_shown(in);
    return n;
}

static void write_shown(struct writing *w, const struct ai_turn *t)
{
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        for (const struct ai_part *in = p->inner ? p->inner->first : NULL; in; in = in->next)
            if (is_shown(in))
                write_part(w, in);
}

/* Results first, each as a message of its own, then the rest of the turn as the user's. */
static void write_user(struct writing *w, const struct ai_turn *t)
{
    size_t shown = count_shown(t);
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        if (p->kind == AI_PART_TOOL_RESULT)
            write_result(w, t, p);
    if (!shown && !look_at(w, t, &t->parts).count)
        return;
    begin_message(w, SLICE("user"), t);
    if (!shown) {
        write_content(w, t, &t->parts);
    } else {
        json_out_begin(&w->j, "content", '[');
        write_shown(w, t);
        for (const struct ai_part *p = t->parts.first; p; p = p->next)
            if (is_content(p))
                write_part(w, p);
        json_out_end(&w->j, ']');
    }
    json_out_end(&w->j, '}');
}

static void write_call(struct writing *w, const struct ai_part *p)
{
    bool empty = slice_trim(p->text).len == 0;
    json_out_begin(&w->j, NULL, '{');
    write_id(w, "id", p->id);
    json_out_text(&w->j, "type", SLICE("function"));
    json_out_begin(&w->j, "function", '{');
    write_name(w, "name", p->name);
    json_out_text(&w->j, "arguments", empty ? SLICE("{}") : p->text);
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

static const struct ai_part *find_part(const struct ai_turn *t, enum ai_part_kind kind)
{
    const struct ai_part *p = t->parts.first;
    while (p && p->kind != kind)
        p = p->next;
    return p;
}

static void write_calls(struct writing *w, const struct ai_turn *t)
{
    if (!find_part(t, AI_PART_TOOL_CALL))
        return;
    json_out_begin(&w->j, "tool_calls", '[');
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        if (p->kind == AI_PART_TOOL_CALL)
            write_call(w, p);
    json_out_end(&w->j, ']');
}

/* All texts of one kind as one. */
static struct slice joined(struct writing *w, const struct ai_turn *t, enum ai_part_kind kind)
{
    struct slice all = SLICE_NONE;
    for (const struct ai_part *p = t->parts.first; p; p = p->next) {
        if (p->kind != kind || !p->text.len)
            continue;
        all = all.len ? arena_printf(w->o->arena, "%.*s%.*s", SLICE_ARG(all), SLICE_ARG(p->text))
                      : p->text;
    }
    return all;
}

/* What this account made of its reasoning, as it was told. */
static size_t write_details(struct writing *w, const struct ai_turn *t)
{
    size_t n = 0;
    for (const struct ai_part *p = t->parts.first; p && !w->j.e; p = p->next) {
        JSON_AUTO json_t *detail = NULL;
        enum err e = openai_detail_open(p, w->o->arena, &detail);
        if (e)
            w->j.e = e;
        if (!detail)
            continue;
        if (n++ == 0)
            json_out_begin(&w->j, "reasoning_details", '[');
        json_out_tree(&w->j, NULL, detail);
    }
    if (n)
        json_out_end(&w->j, ']');
    return n;
}

/* In the one form of several that the service takes and that says most. */
static void write_thought(struct writing *w, const struct ai_turn *t, struct slice words)
{
    size_t details = takes(w, TAKES_DETAILS) ? write_details(w, t) : 0;
    if (!details && words.len)
        json_out_text(&w->j, w->service->replay_name, words);
}

static void write_assistant(struct writing *w, const struct ai_turn *t)
{
    bool calls = find_part(t, AI_PART_TOOL_CALL) != NULL, says = look_at(w, t, &t->parts).count;
    struct slice refusal = takes(w, TAKES_REFUSAL) ? joined(w, t, AI_PART_REFUSAL) : SLICE_NONE;
    struct slice thought = w->service->replay_name ? joined(w, t, AI_PART_REASONING) : SLICE_NONE;
    if (!calls && !says && !refusal.len)
        return;
    begin_message(w, SLICE("assistant"), t);
    write_thought(w, t, thought);
    if (says)
        write_content(w, t, &t->parts);
    else
        json_out_raw(&w->j, "content", SLICE("null"));
    if (refusal.len)
        json_out_text(&w->j, "refusal", refusal);
    write_calls(w, t);
    json_out_end(&w->j, '}');
}

void openai_write_messages(struct writing *w)
{
    static void (*const by_role[])(struct writing *, const struct ai_turn *) = {
        [AI_SYSTEM] = write_system, [AI_USER] = write_user, [AI_ASSISTANT] = write_assistant};
    json_out_begin(&w->j, "messages", '[');
    bool none = !w->j.comma;
    for (const struct ai_turn *t = w->chat->first; t; t = t->next)
        by_role[t->role](w, t);
    none = none && !w->j.comma;
    json_out_end(&w->j, ']');
    if (none && !w->refused)
        refuse(w, "messages", SLICE("no message with any content"));
}
