/*
 * ai_chat — lists that grow at their end, and the measure.
 */
#include "dataplane/ai/ai_chat.h"

#include <math.h>
#include <stdio.h>

#include "dataplane/ai/ai_mark.h"

#define NUMBER_BYTES 24 /* the longest a double is ever written */

/* ---- additions ---- */

#define APPEND(first, last, it)                                                                    \
    do {                                                                                           \
        if (last)                                                                                  \
            (last)->next = (it);                                                                   \
        else                                                                                       \
            (first) = (it);                                                                        \
        (last) = (it);                                                                             \
    } while (0)

struct ai_turn *ai_chat_add_turn(struct ai_chat *c, enum ai_role role)
{
    struct ai_turn *t = arena_zalloc(c->arena, sizeof(*t));
    if (!t)
        return NULL;
    t->role = role;
    APPEND(c->first, c->last, t);
    c->turn_count++;
    return t;
}

struct ai_part *ai_chat_add_part(struct ai_chat *c, struct ai_part_list *to, enum ai_part_kind k)
{
    struct ai_part *p = arena_zalloc(c->arena, sizeof(*p));
    if (p && k == AI_PART_TOOL_RESULT)
        p->inner = arena_zalloc(c->arena, sizeof(*p->inner));
    if (!p || (k == AI_PART_TOOL_RESULT && !p->inner))
        return NULL;
    p->kind = k;
    APPEND(to->first, to->last, p);
    to->count++;
    return p;
}

struct ai_function *ai_chat_add_function(struct ai_chat *c, struct slice name)
{
    struct ai_function *f = arena_zalloc(c->arena, sizeof(*f));
    if (!f)
        return NULL;
    f->name = name;
    APPEND(c->functions, c->last_function, f);
    return f;
}

static struct ai_word *new_word(struct ai_chat *c, struct slice text)
{
    struct ai_word *w = arena_zalloc(c->arena, sizeof(*w));
    if (w)
        w->text = text;
    return w;
}

enum err ai_chat_add_stop(struct ai_chat *c, struct slice text)
{
    struct ai_word *w = new_word(c, text);
    if (!w)
        return ERR_NOMEM;
    APPEND(c->stops, c->last_stop, w);
    return ERR_OK;
}

enum err ai_chat_add_other(struct ai_chat *c, const char *name, bool binds, struct slice why,
                           const json_t *value)
{
    struct ai_other *o = arena_zalloc(c->arena, sizeof(*o));
    if (!o)
        return ERR_NOMEM;
    *o = (struct ai_other){.name = name, .binds = binds, .why = why};
    APPEND(c->others, c->last_other, o);
    if (value)
        c->other_bytes += strlen(name) + 3 + ai_chat_json_bytes(value);
    return ERR_OK;
}

enum err ai_chat_allow(struct ai_chat *c, struct slice function)
{
    struct ai_word *w = new_word(c, function);
    if (!w)
        return ERR_NOMEM;
    w->next = c->allowed;
    c->allowed = w;
    return ERR_OK;
}

bool ai_chat_allows(const struct ai_chat *c, struct slice function)
{
    for (const struct ai_word *w = c->allowed; w; w = w->next)
        if (slice_eq(w->text, function))
            return true;
    return !c->allowed;
}

enum err ai_chat_wrong(struct ai_chat *c, const char *param, struct slice why)
{
    c->param = param;
    c->why = why;
    return ERR_INVALID;
}

void ai_chat_fini(struct ai_chat *c)
{
    json_decref(c->root);
    c->root = NULL;
}

enum err ai_chat_take_mark(struct ai_chat *c, const struct ai_marker *m, struct ai_part *p)
{
    struct slice value, seal = p->signature.len ? p->signature : p->redacted;
    bool is_signature = p->signature.len > 0;
    struct ai_account account;
    if (!ai_mark_split(seal, &value, &account))
        return ERR_OK;
    p->signature = p->redacted = SLICE_NONE;
    if (!m || !ai_mark_read(m, seal, &value, &account))
        return ERR_OK;
    p->maker = arena_copy(c->arena, slice_str(account.text));
    p->made_signature = is_signature ? value : SLICE_NONE;
    p->made_redacted = is_signature ? SLICE_NONE : value;
    return p->maker.ptr ? ERR_OK : ERR_NOMEM;
}

void ai_chat_show_made(struct ai_chat *c, struct slice account)
{
    for (struct ai_turn *t = c->first; t; t = t->next)
        for (struct ai_part *p = t->parts.first; p; p = p->next) {
            if (!p->maker.len)
                continue;
            bool own = slice_eq(p->maker, account);
            p->signature = own ? p->made_signature : SLICE_NONE;
            p->redacted = own ? p->made_redacted : SLICE_NONE;
        }
}

/* ---- looks ---- */

static bool is_left_out(const struct ai_run *r, const struct ai_turn *t)
{
    if (t->role == AI_SYSTEM || !r->is_told)
        return t->role == AI_SYSTEM;
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        if (r->is_told(p))
            return false;
    return true;
}

bool ai_chat_next_run(const struct ai_chat *c, struct ai_run *r)
{
    const struct ai_turn *t = r->begun ? r->end : c->first;
    r->begun = true;
    while (t && is_left_out(r, t))
        t = t->next;
    r->first = t;
    r->role = t ? t->role : AI_USER;
    while (t && (t->role == r->role || is_left_out(r, t)))
        t = t->next;
    r->end = t;
    return r->first != NULL;
}

static struct slice name_of_call(const struct ai_chat *c, struct slice id)
{
    struct slice found = SLICE_NONE;
    for (const struct ai_turn *t = c->first; t; t = t->next)
        for (const struct ai_part *p = t->parts.first; p; p = p->next)
            if (p->kind == AI_PART_TOOL_CALL && slice_eq(p->id, id))
                found = p->name;
    return found;
}

struct slice ai_chat_function_of(const struct ai_chat *c, const struct ai_part *result)
{
    return result->name.len ? result->name : name_of_call(c, result->id);
}

bool ai_read_data_url(struct slice url, struct slice *type, struct slice *data)
{
    if (!slice_starts(url, SLICE("data:")))
        return false;
    struct slice rest = slice_from(url, 5);
    ptrdiff_t comma = slice_find(rest, ',');
    struct slice head = slice_first(rest, comma < 0 ? 0 : (size_t)comma);
    if (!slice_ends(head, SLICE(";base64")))
        return false;
    *type = slice_first(head, (size_t)slice_find(head, ';'));
    *data = slice_from(rest, (size_t)comma + 1);
    return true;
}

bool ai_text_is_blank(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] > ' ')
            return false;
    return true;
}

bool ai_part_is_told(const struct ai_part *p)
{
    switch (p->kind) {
    case AI_PART_TEXT:
    case AI_PART_REFUSAL:
        return !ai_text_is_blank(p->text);
    case AI_PART_REASONING:
        return p->signature.len || p->redacted.len;
    case AI_PART_IMAGE:
    case AI_PART_AUDIO:
    case AI_PART_VIDEO:
    case AI_PART_FILE:
    case AI_PART_TOOL_CALL:
    case AI_PART_TOOL_RESULT:
        break;
    }
    return true;
}

/* ---- the measure ---- */

uint64_t ai_chat_number_bytes(double v)
{
    char text[64];
    if (v != floor(v) || fabs(v) >= 1e15)
        return NUMBER_BYTES;
    return (uint64_t)snprintf(text, sizeof(text), "%.0f", v == 0 ? 0.0 : v);
}

static uint64_t object_bytes(const json_t *v)
{
    const char *name;
    json_t *inner;
    uint64_t n = 2, members = 0;
    json_object_foreach((json_t *)(uintptr_t)v, name, inner)
    {
        n += strlen(name) + 3 + ai_chat_json_bytes(inner);
        members++;
    }
    return n + (members ? members - 1 : 0);
}

static uint64_t array_bytes(const json_t *v)
{
    const json_t *inner;
    size_t i, count = json_array_size(v);
    uint64_t n = 2 + (count ? count - 1 : 0);
    json_array_foreach(v, i, inner) n += ai_chat_json_bytes(inner);
    return n;
}

uint64_t ai_chat_json_bytes(const json_t *v)
{
    if (!v)
        return 0;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return object_bytes(v);
    case JSON_ARRAY:
        return array_bytes(v);
    case JSON_STRING:
        return json_string_length(v) + 2;
    case JSON_INTEGER:
    case JSON_REAL:
        return ai_chat_number_bytes(json_number_value(v));
    case JSON_FALSE:
        return 5;
    case JSON_TRUE:
    case JSON_NULL:
        break;
    }
    return 4;
}

static void measure_parts(const struct ai_part_list *list, struct ai_prompt *ret)
{
    for (const struct ai_part *p = list->first; p; p = p->next) {
        ret->text += AI_MEASURE_PART;
        ret->kept_long = ret->kept_long || p->cache == AI_CACHE_LONG;
        switch (p->kind) {
        case AI_PART_TEXT:
        case AI_PART_REFUSAL:
            ret->text += p->text.len;
            break;
        case AI_PART_REASONING:
            ret->text += p->text.len + p->signature.len + p->redacted.len;
            break;
        case AI_PART_IMAGE:
            if (slice_eq(p->detail, SLICE("low")))
                ret->images_low++;
            else
                ret->images++;
            break;
        case AI_PART_AUDIO:
            ret->audio_bytes += p->data.len;
            if (!p->data.ptr)
                ret->unbounded = "its audio lies elsewhere";
            break;
        case AI_PART_VIDEO:
            ret->unbounded = "it holds a video";
            break;
        case AI_PART_FILE:
            ret->text += p->text.len;
            ret->files += !p->text.ptr;
            break;
        case AI_PART_TOOL_CALL:
            ret->text += AI_MEASURE_TOOL + p->id.len + p->name.len + p->text.len;
            break;
        case AI_PART_TOOL_RESULT:
            ret->text += AI_MEASURE_TOOL + p->id.len + p->name.len;
            measure_parts(p->inner, ret);
            break;
        }
    }
}

/* Results of one turn may be turns of their own in another dialect. */
static bool holds_only_results(const struct ai_turn *t)
{
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        if (p->kind != AI_PART_TOOL_RESULT)
            return false;
    return t->parts.first != NULL;
}

static void measure_turns(const struct ai_chat *c, struct ai_prompt *ret)
{
    for (const struct ai_turn *t = c->first; t; t = t->next) {
        ret->text += t->name.len + (holds_only_results(t) ? 0 : AI_MEASURE_TURN);
        measure_parts(&t->parts, ret);
    }
}

void ai_chat_measure(const struct ai_chat *c, struct ai_prompt *ret)
{
    *ret = (struct ai_prompt){.text = AI_MEASURE_CHAT + c->other_bytes};
    measure_turns(c, ret);
    measure_parts(&c->ignored, ret);
    for (const struct ai_function *f = c->functions; f; f = f->next) {
        ret->kept_long = ret->kept_long || f->cache == AI_CACHE_LONG;
        ret->text +=
            AI_MEASURE_TOOL + f->name.len + f->description.len + ai_chat_json_bytes(f->schema);
    }
    ret->text += c->format_description.len + ai_chat_json_bytes(c->format_schema);
    if (c->unbounded)
        ret->unbounded = c->unbounded;
}
