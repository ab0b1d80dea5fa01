/*
 * anthropic_content — the system prompt and the turns, block by block.
 */
#include "common/base/json_scan.h"
#include "dataplane/ai/provider/anthropic_request.h"

/* ---- blocks ---- */

static void write_text(struct anthropic_writing *w, struct slice text, enum ai_cache_mark mark)
{
    if (ai_text_is_blank(text))
        return; /* a text block of white space is a 400 there (dialects.md 2.10, 14) */
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", SLICE("text"));
    json_out_text(&w->j, "text", text);
    anthropic_mark(w, mark);
    json_out_end(&w->j, '}');
}

static bool is_image_type(struct slice type)
{
    static const struct slice known[] = {
        {"image/jpeg", 10}, {"image/png", 9}, {"image/gif", 9}, {"image/webp", 10}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (slice_eq(type, known[i]))
            return true;
    return false;
}

static void write_source(struct anthropic_writing *w, const struct ai_part *p)
{
    struct json_out *j = &w->j;
    json_out_begin(j, "source", '{');
    if (p->text.ptr) {
        json_out_text(j, "type", SLICE("text"));
        json_out_text(j, "media_type", SLICE("text/plain"));
        json_out_text(j, "data", p->text);
    } else if (p->data.ptr) {
        json_out_text(j, "type", SLICE("base64"));
        json_out_text(j, "media_type", p->media_type);
        json_out_text(j, "data", p->data);
    } else {
        json_out_text(j, "type", SLICE("url"));
        json_out_text(j, "url", p->url);
    }
    json_out_end(j, '}');
}

static void write_media(struct anthropic_writing *w, const struct ai_part *p, bool document)
{
    struct slice title = p->title.len ? p->title : p->name;
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", document ? SLICE("document") : SLICE("image"));
    write_source(w, p);
    if (document && title.len)
        json_out_text(&w->j, "title", title);
    if (document && p->cites) {
        json_out_begin(&w->j, "citations", '{');
        json_out_bool(&w->j, "enabled", true);
        json_out_end(&w->j, '}');
    }
    anthropic_mark(w, p->cache);
    json_out_end(&w->j, '}');
}

/* An image, or a document: by its type, since clients send PDFs as images. */
static void write_inline(struct anthropic_writing *w, const struct ai_part *p)
{
    bool pdf = slice_eq(p->media_type, SLICE("application/pdf"));
    if (pdf || is_image_type(p->media_type))
        write_media(w, p, pdf);
    else
        anthropic_refuse(w, "messages",
                         arena_printf(w->o->arena,
                                      "content of type %.*s: image/jpeg, image/png, image/gif, "
                                      "image/webp and application/pdf are taken",
                                      SLICE_ARG(slice_first(p->media_type, 64))));
}

static void write_image(struct anthropic_writing *w, const struct ai_part *p)
{
    if (p->detail.len && !slice_eq(p->detail, SLICE("auto")))
        ai_outgoing_leave_out(w->o, "detail");
    if (p->data.ptr)
        write_inline(w, p);
    else if (slice_starts(p->url, SLICE("https://")))
        write_media(w, p, false);
    else
        anthropic_refuse(w, "messages",
                         SLICE("an image must be a data: URL in base64 or an https: URL"));
}

static void write_file(struct anthropic_writing *w, const struct ai_part *p)
{
    if (p->data.ptr)
        write_inline(w, p);
    else if (p->text.ptr || slice_starts(p->url, SLICE("https://")))
        write_media(w, p, true);
    else
        anthropic_refuse(w, "messages", SLICE("a file must be inline, as a data: URL in base64"));
}

/* ---- tools in the history ---- */

/* Ids of other providers may hold what this one refuses; the same id becomes the same again. */
static void write_tool_id(struct anthropic_writing *w, const char *name, struct slice id)
{
    uint64_t hash = 14695981039346656037ull; /* FNV-1a */
    bool plain = id.len > 0;
    char derived[32];
    for (size_t i = 0; i < id.len; i++) {
        char ch = id.ptr[i];
        plain = plain && ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                          (ch >= '0' && ch <= '9') || ch == '_' || ch == '-');
        hash = (hash ^ (unsigned char)ch) * 1099511628211ull;
    }
    snprintf(derived, sizeof(derived), "toolu_%016llx", (unsigned long long)hash);
    json_out_text(&w->j, name, plain ? id : slice_str(derived));
}

static bool is_object(struct slice text)
{
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan(text, NULL, 0, NULL, &root, &problem) && root == JSON_SCAN_OBJECT;
}

static void write_call(struct anthropic_writing *w, const struct ai_part *p)
{
    bool empty = ai_text_is_blank(p->text);
    if (!empty && !is_object(p->text)) {
        anthropic_refuse(w, "messages",
                         arena_printf(w->o->arena,
                                      "the arguments of the tool call %.*s are no JSON object",
                                      SLICE_ARG(slice_first(p->id, 64))));
        return;
    }
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", SLICE("tool_use"));
    write_tool_id(w, "id", p->id);
    json_out_text(&w->j, "name", p->name);
    json_out_raw(&w->j, "input", empty ? SLICE("{}") : p->text);
    anthropic_mark(w, p->cache);
    json_out_end(&w->j, '}');
}

static void write_part(struct anthropic_writing *w, const struct ai_part *p);

static void write_result(struct anthropic_writing *w, const struct ai_part *p)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", SLICE("tool_result"));
    write_tool_id(w, "tool_use_id", p->id);
    json_out_begin(&w->j, "content", '[');
    for (const struct ai_part *it = p->inner->first; it; it = it->next)
        write_part(w, it);
    json_out_end(&w->j, ']');
    if (p->is_error)
        json_out_bool(&w->j, "is_error", true);
    anthropic_mark(w, p->cache);
    json_out_end(&w->j, '}');
}

/* Reasoning must go back unchanged, with its signature; what has none is left out. */
static void write_reasoning(struct anthropic_writing *w, const struct ai_part *p)
{
    if (!p->redacted.len && !p->signature.len)
        return;
    json_out_begin(&w->j, NULL, '{');
    if (p->redacted.len) {
        json_out_text(&w->j, "type", SLICE("redacted_thinking"));
        json_out_text(&w->j, "data", p->redacted);
    } else {
        json_out_text(&w->j, "type", SLICE("thinking"));
        json_out_text(&w->j, "thinking", p->text);
        json_out_text(&w->j, "signature", p->signature);
    }
    json_out_end(&w->j, '}');
}

static void write_part(struct anthropic_writing *w, const struct ai_part *p)
{
    switch (p->kind) {
    case AI_PART_TEXT:
    case AI_PART_REFUSAL:
        write_text(w, p->text, p->cache);
        break;
    case AI_PART_IMAGE:
        write_image(w, p);
        break;
    case AI_PART_FILE:
        write_file(w, p);
        break;
    case AI_PART_TOOL_CALL:
        write_call(w, p);
        break;
    case AI_PART_TOOL_RESULT:
        write_result(w, p);
        break;
    case AI_PART_REASONING:
        write_reasoning(w, p);
        break;
    case AI_PART_AUDIO:
        anthropic_refuse(w, "messages", SLICE("content of type input_audio"));
        break;
    case AI_PART_VIDEO:
        anthropic_refuse(w, "messages", SLICE("content of type video"));
        break;
    }
}

/* ---- turns ---- */

static void write_parts(struct anthropic_writing *w, const struct ai_run *r, bool results)
{
    for (const struct ai_turn *t = r->first; t != r->end; t = t->next)
        for (const struct ai_part *p = t->parts.first; p && t->role == r->role; p = p->next)
            if ((p->kind == AI_PART_TOOL_RESULT) == results)
                write_part(w, p);
}

/* All results of a turn stand in front of its text. */
static void write_run(struct anthropic_writing *w, const struct ai_run *r)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "role", r->role == AI_USER ? SLICE("user") : SLICE("assistant"));
    json_out_begin(&w->j, "content", '[');
    write_parts(w, r, true);
    write_parts(w, r, false);
    json_out_end(&w->j, ']');
    json_out_end(&w->j, '}');
}

void anthropic_write_messages(struct anthropic_writing *w)
{
    struct ai_run r = {.is_told = ai_part_is_told};
    enum ai_role last = AI_SYSTEM;
    for (const struct ai_turn *t = w->chat->first; t; t = t->next)
        if (t->name.len)
            ai_outgoing_leave_out(w->o, "name");
    json_out_begin(&w->j, "messages", '[');
    while (ai_chat_next_run(w->chat, &r)) {
        write_run(w, &r);
        last = r.role;
    }
    json_out_end(&w->j, ']');
    if (last == AI_SYSTEM)
        anthropic_refuse(w, "messages", SLICE("no message of the user with any content"));
    else if (last == AI_ASSISTANT && !w->rules->prefill)
        anthropic_refuse(w, "messages",
                         SLICE("a last message of the assistant, which this model does not go on "
                               "with"));
}

void anthropic_write_system(struct anthropic_writing *w, struct slice more)
{
    bool any = more.len > 0;
    for (const struct ai_turn *t = w->chat->first; t; t = t->next)
        for (const struct ai_part *p = t->parts.first; p && t->role == AI_SYSTEM; p = p->next)
            any = any || ai_part_is_told(p);
    if (!any)
        return;
    json_out_begin(&w->j, "system", '[');
    for (const struct ai_turn *t = w->chat->first; t; t = t->next)
        for (const struct ai_part *p = t->parts.first; p && t->role == AI_SYSTEM; p = p->next) {
            if (p->kind == AI_PART_TEXT)
                write_text(w, p->text, p->cache);
            else
                anthropic_refuse(w, "messages", SLICE("a system prompt of more than text"));
        }
    write_text(w, more, AI_CACHE_NONE);
    json_out_end(&w->j, ']');
}

bool anthropic_calls_unsigned(const struct ai_chat *chat)
{
    for (const struct ai_turn *t = chat->first; t; t = t->next) {
        bool sealed = false, calls = false;
        for (const struct ai_part *p = t->parts.first; p; p = p->next) {
            sealed = sealed || (p->kind == AI_PART_REASONING && ai_part_is_told(p));
            calls = calls || p->kind == AI_PART_TOOL_CALL;
        }
        if (calls && !sealed)
            return true;
    }
    return false;
}
