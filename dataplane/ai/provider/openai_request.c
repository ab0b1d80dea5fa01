/*
 * openai_request — messages, tools, then the members that say how.
 */
#include "dataplane/ai/provider/openai_request.h"

#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/json_out.h"
#include "dataplane/ai/provider/openai_details.h"

#define STOPS_MAX 4 /* stop sequences in one request */
#define TOOL_ID_MAX 40

struct writing {
    struct ai_outgoing *o;
    const struct ai_chat *chat;
    const struct openai_service *service;
    const struct openai_model *rules; /* NULL: not a model of OpenAI's */
    struct json_out j;
    bool refused;
};

static bool takes(const struct writing *w, enum openai_takes what)
{
    return w->service->takes & what;
}

static void refuse(struct writing *w, const char *param, struct slice why)
{
    w->refused = ai_outgoing_refuse(w->o, param, why) == ERR_INVALID;
}

static void leave_out(const struct writing *w, const char *name)
{
    ai_outgoing_leave_out(w->o, name);
}

/* ---- names and ids ---- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool is_plain_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_name_char(s.ptr[i]))
            return false;
    return s.len > 0;
}

struct slice openai_function_name(struct slice name, char out[static OPENAI_NAME_MAX])
{
    static const char hex[] = "0123456789abcdef";
    struct digest d;
    size_t n = 0;
    if (name.len <= OPENAI_NAME_MAX && is_plain_name(name))
        return name;
    for (; n < name.len && n < OPENAI_NAME_MAX - 9; n++)
        out[n] = is_name_char(name.ptr[n]) ? name.ptr[n] : '_';
    digest_sha256(name, &d);
    out[n++] = '_';
    for (size_t i = 0; i < 4; i++) {
        out[n++] = hex[d.bytes[i] >> 4];
        out[n++] = hex[d.bytes[i] & 15];
    }
    return slice_of(out, n);
}

struct slice openai_own_function_name(const struct ai_chat *chat, struct slice told)
{
    char text[OPENAI_NAME_MAX];
    for (const struct ai_function *f = chat ? chat->functions : NULL; f; f = f->next) {
        struct slice name = openai_function_name(f->name, text);
        if (name.ptr == text && slice_eq(name, told))
            return f->name;
    }
    return told;
}

static void write_name(struct writing *w, const char *member, struct slice name)
{
    char text[OPENAI_NAME_MAX];
    json_out_text(&w->j, member, openai_function_name(name, text));
}

static uint64_t hash_of(struct slice s)
{
    uint64_t hash = 14695981039346656037ull; /* FNV-1a */
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.ptr[i]) * 1099511628211ull;
    return hash;
}

static bool is_short_id(struct slice id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!is_name_char(id.ptr[i]) || id.ptr[i] == '_' || id.ptr[i] == '-')
            return false;
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

static void write_mark(struct writing *w, enum ai_cache_mark mark)
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
    write_mark(w, mark);
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
    write_mark(w, p->cache);
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
    if (t->name.len && is_plain_name(t->name) && openai_has_rules(w->service))
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

static void write_messages(struct writing *w)
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

/* ---- schemas ---- */

static bool is_word(const json_t *v, const char *word)
{
    return json_is_string(v) && strcmp(json_string_value(v), word) == 0;
}

static bool is_required(const json_t *required, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(required, i, one)
    {
        if (is_word(one, name))
            return true;
    }
    return false;
}

static bool is_object_schema(const json_t *s)
{
    return json_is_object(s) && (is_word(json_object_get(s, "type"), "object") ||
                                 json_is_object(json_object_get(s, "properties")));
}

/* What strict wants of each object: no other members, and every member required (dialects.md 2.3).
 */
static bool is_strict(const json_t *s)
{
    const json_t *properties = json_object_get(s, "properties");
    const char *name;
    json_t *inner;
    size_t i;
    if (is_object_schema(s)) {
        if (!json_is_false(json_object_get(s, "additionalProperties")))
            return false;
        json_object_foreach((json_t *)(uintptr_t)properties, name, inner)
        {
            if (!is_required(json_object_get(s, "required"), name))
                return false;
        }
    }
    json_object_foreach((json_t *)(uintptr_t)s, name, inner)
    {
        if (!is_strict(inner))
            return false;
    }
    json_array_foreach(s, i, inner)
    {
        if (!is_strict(inner))
            return false;
    }
    return true;
}

/* Is there a map whose members no schema names? It cannot be told strictly. */
static bool is_open(const json_t *s)
{
    const json_t *more = json_object_get(s, "additionalProperties");
    const char *name;
    json_t *inner;
    size_t i;
    if (is_object_schema(s) && (json_is_object(more) || json_is_true(more)))
        return true;
    json_object_foreach((json_t *)(uintptr_t)s, name, inner)
    {
        if (is_open(inner))
            return true;
    }
    json_array_foreach(s, i, inner)
    {
        if (is_open(inner))
            return true;
    }
    return false;
}

static void make_strict(json_t *s)
{
    const char *name;
    json_t *inner;
    size_t i;
    if (is_object_schema(s)) {
        json_t *all = json_array();
        json_object_foreach(json_object_get(s, "properties"), name, inner)
            json_array_append_new(all, json_string(name));
        json_object_set_new(s, "required", all);
        json_object_set_new(s, "additionalProperties", json_false());
    }
    json_object_foreach(s, name, inner) make_strict(inner);
    json_array_foreach(s, i, inner) make_strict(inner);
}

/* ---- tools ---- */

static void write_function(struct writing *w, const struct ai_function *f)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", SLICE("function"));
    json_out_begin(&w->j, "function", '{');
    write_name(w, "name", f->name);
    if (f->description.len)
        json_out_text(&w->j, "description", f->description);
    if (json_is_object(f->schema))
        json_out_tree(&w->j, "parameters", f->schema);
    else
        json_out_raw(&w->j, "parameters", SLICE("{\"type\":\"object\",\"properties\":{}}"));
    if (f->strict && takes(w, TAKES_STRICT) && is_strict(f->schema))
        json_out_bool(&w->j, "strict", true);
    else if (f->strict)
        leave_out(w, "strict");
    json_out_end(&w->j, '}');
    if (takes(w, TAKES_CACHE))
        write_mark(w, f->cache);
    else if (f->cache)
        leave_out(w, "cache_control");
    json_out_end(&w->j, '}');
}

static void write_named(struct writing *w, const char *member, struct slice name)
{
    json_out_begin(&w->j, member, '{');
    json_out_text(&w->j, "type", SLICE("function"));
    json_out_begin(&w->j, "function", '{');
    write_name(w, "name", name);
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

static void write_allowed(struct writing *w)
{
    json_out_begin(&w->j, "tool_choice", '{');
    json_out_text(&w->j, "type", SLICE("allowed_tools"));
    json_out_begin(&w->j, "allowed_tools", '{');
    json_out_text(&w->j, "mode",
                  w->chat->choosing == AI_CHOOSE_ANY ? SLICE("required") : SLICE("auto"));
    json_out_begin(&w->j, "tools", '[');
    for (const struct ai_function *f = w->chat->functions; f; f = f->next)
        if (ai_chat_allows(w->chat, f->name))
            write_named(w, NULL, f->name);
    json_out_end(&w->j, ']');
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

static void write_choice(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    if (c->allowed && takes(w, TAKES_ALLOWED) &&
        (c->choosing == AI_CHOOSE_AUTO || c->choosing == AI_CHOOSE_ANY)) {
        write_allowed(w);
        return;
    }
    switch (c->choosing) {
    case AI_CHOOSE_UNSAID:
        break;
    case AI_CHOOSE_AUTO:
        json_out_text(&w->j, "tool_choice", SLICE("auto"));
        break;
    case AI_CHOOSE_NONE:
        json_out_text(&w->j, "tool_choice", SLICE("none"));
        break;
    case AI_CHOOSE_ANY:
        json_out_text(&w->j, "tool_choice", slice_str(w->service->forced));
        break;
    case AI_CHOOSE_ONE:
        write_named(w, "tool_choice", c->chosen);
        break;
    }
}

static void write_tools(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    bool any = false, only_allowed = c->allowed && !takes(w, TAKES_ALLOWED);
    for (const struct ai_function *f = c->functions; f; f = f->next) {
        if (only_allowed && !ai_chat_allows(c, f->name))
            continue;
        if (!any)
            json_out_begin(&w->j, "tools", '[');
        any = true;
        write_function(w, f);
    }
    if (!any) {
        if (c->choosing == AI_CHOOSE_ANY || c->choosing == AI_CHOOSE_ONE)
            refuse(w, "tool_choice", SLICE("a choice among no tools"));
        return;
    }
    json_out_end(&w->j, ']');
    write_choice(w);
    if (!c->one_call_at_a_time)
        return;
    if (takes(w, TAKES_PARALLEL))
        json_out_bool(&w->j, "parallel_tool_calls", false);
    else
        leave_out(w, "parallel_tool_calls");
}

/* ---- how ---- */

static void write_limit(struct writing *w)
{
    uint64_t n = w->chat->output_limit ? w->chat->output_limit : w->o->changes.output_limit;
    if (n)
        json_out_u64(&w->j, w->service->limit_name, n);
}

static enum ai_effort effort_of(const struct ai_chat *c)
{
    if (c->effort || !c->reasoning_budget)
        return c->effort;
    return c->reasoning_budget <= 2048    ? AI_EFFORT_LOW
           : c->reasoning_budget <= 16384 ? AI_EFFORT_MEDIUM
                                          : AI_EFFORT_HIGH;
}

/* The nearest word that the model knows. */
static enum ai_effort known_effort(const struct writing *w, enum ai_effort e)
{
    const struct openai_model *m = w->rules;
    if (e == AI_EFFORT_NONE && m && !m->none)
        return m->minimal ? AI_EFFORT_MINIMAL : AI_EFFORT_LOW;
    if (e == AI_EFFORT_MINIMAL && (!m || !m->minimal))
        return AI_EFFORT_LOW;
    if (e >= AI_EFFORT_XHIGH && (!m || !m->xhigh))
        return AI_EFFORT_HIGH;
    return e == AI_EFFORT_MAX ? AI_EFFORT_XHIGH : e;
}

static void write_effort_object(struct writing *w, enum ai_effort e, struct slice word)
{
    json_out_begin(&w->j, "reasoning", '{');
    if (e == AI_EFFORT_NONE)
        json_out_bool(&w->j, "enabled", false);
    else if (w->chat->reasoning_budget)
        json_out_u64(&w->j, "max_tokens", w->chat->reasoning_budget);
    else
        json_out_text(&w->j, "effort", word);
    json_out_end(&w->j, '}');
}

static void write_effort(struct writing *w)
{
    static const char *const words[] = {
        [AI_EFFORT_NONE] = "none",     [AI_EFFORT_MINIMAL] = "minimal", [AI_EFFORT_LOW] = "low",
        [AI_EFFORT_MEDIUM] = "medium", [AI_EFFORT_HIGH] = "high",       [AI_EFFORT_XHIGH] = "xhigh",
        [AI_EFFORT_MAX] = "max"};
    enum ai_effort asked = effort_of(w->chat), e = known_effort(w, asked);
    bool off = e == AI_EFFORT_NONE;
    if (!asked)
        return;
    struct slice word = slice_str(words[e]);
    switch (w->rules && !w->rules->reasons ? EFFORT_NONE : w->service->effort) {
    case EFFORT_NONE:
        if (asked != AI_EFFORT_NONE)
            leave_out(w, "reasoning_effort");
        break;
    case EFFORT_WORD:
        json_out_text(&w->j, "reasoning_effort", word);
        break;
    case EFFORT_OBJECT:
        write_effort_object(w, e, word);
        break;
    case EFFORT_SWITCH:
        json_out_begin(&w->j, "thinking", '{');
        json_out_text(&w->j, "type", off ? SLICE("disabled") : SLICE("enabled"));
        json_out_end(&w->j, '}');
        break;
    case EFFORT_TEMPLATE:
        json_out_begin(&w->j, "chat_template_kwargs", '{');
        json_out_bool(&w->j, "enable_thinking", !off);
        json_out_end(&w->j, '}');
        if (!off)
            json_out_text(&w->j, "reasoning_effort", word);
        break;
    }
}

/* A model of OpenAI's that reasons refuses all of it, unless it shall not reason. */
static bool takes_sampling(const struct writing *w)
{
    return !w->rules || w->rules->sampling ||
           (w->rules->none && effort_of(w->chat) == AI_EFFORT_NONE);
}

static void write_numbers(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    const bool sampling = takes_sampling(w), penalties = sampling && takes(w, TAKES_PENALTIES);
    const struct {
        const char *name; /* as OpenAI has it */
        const char *told; /* NULL: it is not */
        const struct ai_number *number;
        double usual; /* says nothing */
    } rows[] = {
        {"temperature", sampling ? "temperature" : NULL, &c->temperature, 1},
        {"top_p", sampling ? "top_p" : NULL, &c->top_p, 1},
        {"top_k", takes(w, TAKES_TOP_K) ? "top_k" : NULL, &c->top_k, 0},
        {"seed", w->service->seed_name, &c->seed, -1},
        {"presence_penalty", penalties ? "presence_penalty" : NULL, &c->presence_penalty, 0},
        {"frequency_penalty", penalties ? "frequency_penalty" : NULL, &c->frequency_penalty, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!rows[i].number->set)
            continue;
        if (rows[i].told)
            json_out_real(&w->j, rows[i].told, rows[i].number->value);
        else if (rows[i].number->value != rows[i].usual)
            leave_out(w, rows[i].name);
    }
}

static void write_stops(struct writing *w)
{
    size_t n = 0;
    for (const struct ai_word *s = w->chat->stops; s; s = s->next)
        n++;
    if (n > STOPS_MAX && openai_has_rules(w->service))
        refuse(w, "stop", SLICE("more than four stop sequences"));
    if (n && w->rules && !w->rules->stops)
        leave_out(w, "stop");
    if (!n || (w->rules && !w->rules->stops))
        return;
    json_out_begin(&w->j, "stop", '[');
    for (const struct ai_word *s = w->chat->stops; s; s = s->next)
        json_out_text(&w->j, NULL, s->text);
    json_out_end(&w->j, ']');
}

static void write_schema_format(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    bool strict = c->format_strict && !is_open(c->format_schema);
    JSON_AUTO json_t *own = NULL;
    if (c->format_strict && !strict)
        leave_out(w, "strict");
    if (strict && !is_strict(c->format_schema)) {
        own = json_deep_copy(c->format_schema);
        make_strict(own);
        if (!own && !w->j.e)
            w->j.e = ERR_NOMEM;
    }
    json_out_begin(&w->j, "response_format", '{');
    json_out_text(&w->j, "type", SLICE("json_schema"));
    json_out_begin(&w->j, "json_schema", '{');
    json_out_text(&w->j, "name", c->format_name.len ? c->format_name : SLICE("structured_output"));
    if (c->format_description.len)
        json_out_text(&w->j, "description", c->format_description);
    json_out_tree(&w->j, "schema", own ? own : c->format_schema);
    if (strict)
        json_out_bool(&w->j, "strict", true);
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

static void write_format(struct writing *w)
{
    if (w->chat->format == AI_FORMAT_SCHEMA && takes(w, TAKES_SCHEMA)) {
        write_schema_format(w);
    } else if (w->chat->format == AI_FORMAT_JSON && takes(w, TAKES_OBJECT)) {
        json_out_begin(&w->j, "response_format", '{');
        json_out_text(&w->j, "type", SLICE("json_object"));
        json_out_end(&w->j, '}');
    } else if (w->chat->format != AI_FORMAT_TEXT) {
        refuse(w, "response_format",
               w->chat->format == AI_FORMAT_SCHEMA ? SLICE("an output of a given schema")
                                                   : SLICE("an output of any JSON object"));
    }
}

static void write_tier(struct writing *w)
{
    static const char *const words[] = {[AI_TIER_AUTO] = "auto",
                                        [AI_TIER_STANDARD] = "default",
                                        [AI_TIER_FLEX] = "flex",
                                        [AI_TIER_PRIORITY] = "priority"};
    enum ai_tier tier = w->chat->tier;
    if (tier && takes(w, TAKES_TIER))
        json_out_text(&w->j, "service_tier", slice_str(words[tier]));
    else if (tier > AI_TIER_AUTO)
        leave_out(w, "service_tier");
}

static void write_labels(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    bool verbosity = takes(w, TAKES_VERBOSITY) && (!w->rules || w->rules->verbosity);
    if (c->user.len && takes(w, TAKES_USER))
        json_out_text(&w->j, "user", c->user);
    else if (c->user.len)
        leave_out(w, "user");
    if (c->verbosity.len && verbosity)
        json_out_text(&w->j, "verbosity", c->verbosity);
    else if (c->verbosity.len)
        leave_out(w, "verbosity");
}

static void write_stream(struct writing *w)
{
    if (!w->chat->stream)
        return;
    json_out_bool(&w->j, "stream", true);
    if (!takes(w, TAKES_USAGE))
        return;
    json_out_begin(&w->j, "stream_options", '{');
    json_out_bool(&w->j, "include_usage", true);
    json_out_end(&w->j, '}');
}

static void write_choices(struct writing *w)
{
    if (w->chat->choices > 1 && takes(w, TAKES_CHOICES))
        json_out_u64(&w->j, "n", w->chat->choices);
    else if (w->chat->choices > 1)
        refuse(w, "n", SLICE("more than one choice"));
}

enum err openai_write_body(struct ai_outgoing *o, const struct openai_service *s)
{
    struct writing w = {.o = o,
                        .chat = o->chat,
                        .service = s,
                        .rules = openai_has_rules(s) ? openai_model_of(o->changes.model) : NULL,
                        .j = {.to = o->translated}};
    buf_clear(o->translated);
    memset(o->pieces, 0, sizeof(o->pieces));
    json_out_begin(&w.j, NULL, '{');
    json_out_text(&w.j, "model", o->changes.model);
    write_stream(&w);
    write_limit(&w);
    write_choices(&w);
    write_numbers(&w);
    write_stops(&w);
    write_effort(&w);
    write_format(&w);
    write_tier(&w);
    write_labels(&w);
    write_tools(&w);
    write_messages(&w);
    json_out_end(&w.j, '}');
    o->pieces[0] = buf_slice(o->translated);
    if (ai_outgoing_take_others(o) == ERR_INVALID)
        w.refused = true;
    return w.refused ? ERR_INVALID : w.j.e;
}
