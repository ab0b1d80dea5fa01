/*
 * openai_measure — one walk over a body that is known to be valid.
 */
#include "dataplane/ai/dialect/openai_measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/json_token.h"
#include "common/base/limits.h"

#define NAME_MAX_BYTES 64 /* names that matter here are shorter */
#define NUMBER_BYTES 24   /* the longest a double is ever written */
#define INTEGER_DIGITS 15 /* exact in a double */

/* Where in a body a value stands: what the walk looks for there. */
enum place {
    PLACE_ROOT,
    PLACE_MODALITIES,
    PLACE_TIER,
    PLACE_MESSAGES,
    PLACE_MESSAGE,
    PLACE_CONTENT,
    PLACE_PART,
    PLACE_TYPE, /* of a part or a tool: read */
    PLACE_IMAGE,
    PLACE_DETAIL,
    PLACE_MEDIA,
    PLACE_TOOLS,
    PLACE_TOOL,
    PLACE_NOT_BOUNDED, /* a member that costs what its bytes do not show, unless it is null */
    PLACE_OTHER,
};

/* A member that matters, in the object at `in`. */
static const struct {
    enum place in;
    struct slice name;
    enum place is;
} members[] = {
    {PLACE_ROOT, {"messages", 8}, PLACE_MESSAGES},
    {PLACE_ROOT, {"tools", 5}, PLACE_TOOLS},
    {PLACE_ROOT, {"modalities", 10}, PLACE_MODALITIES},
    {PLACE_ROOT, {"service_tier", 12}, PLACE_TIER},
    {PLACE_ROOT, {"web_search_options", 18}, PLACE_NOT_BOUNDED},
    {PLACE_MESSAGE, {"content", 7}, PLACE_CONTENT},
    {PLACE_MESSAGE, {"audio", 5}, PLACE_NOT_BOUNDED}, /* of an earlier response, by its id */
    {PLACE_PART, {"type", 4}, PLACE_TYPE},
    {PLACE_PART, {"image_url", 9}, PLACE_IMAGE},
    {PLACE_PART, {"input_audio", 11}, PLACE_MEDIA},
    {PLACE_PART, {"file", 4}, PLACE_MEDIA},
    {PLACE_IMAGE, {"detail", 6}, PLACE_DETAIL},
    {PLACE_TOOL, {"type", 4}, PLACE_TYPE},
};

struct walk {
    const char *p, *end;
    struct ai_prompt *prompt;
    struct slice type; /* the last one that was read */
    char type_text[NAME_MAX_BYTES];
    bool low; /* detail of the last image */
};

static void cannot_bound(struct walk *w, const char *why)
{
    if (!w->prompt->unbounded)
        w->prompt->unbounded = why;
}

static void skip_space(struct walk *w)
{
    w->p = json_token_space(w->p, w->end);
}

/* ---- words ---- */

static unsigned utf8_bytes(unsigned long code)
{
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

static unsigned long hex4(const char *p)
{
    unsigned long n = 0;
    for (int i = 0; i < 4; i++)
        n = n * 16 + (unsigned long)slice_hex_digit(p[i]);
    return n;
}

/* Bytes of the text that a string with escapes stands for. */
static uint64_t unescaped_length(struct slice raw)
{
    uint64_t n = 0;
    for (size_t i = 0; i < raw.len; i++, n++) {
        if (raw.ptr[i] != '\\')
            continue;
        if (raw.ptr[++i] != 'u' || i + 4 >= raw.len)
            continue;
        unsigned long code = hex4(raw.ptr + i + 1);
        i += 4;
        bool pair = code >= 0xD800 && code < 0xDC00 && i + 6 < raw.len && raw.ptr[i + 1] == '\\';
        if (pair)
            i += 6;
        n += (pair ? 4 : utf8_bytes(code)) - 1;
    }
    return n;
}

/* A string as it stands, without its quotes. */
struct text {
    struct slice raw;
    bool escaped;
};

static struct text take_string(struct walk *w)
{
    struct json_fault fault;
    const char *from = w->p + 1, *stop = json_token_plain(from, w->end);
    bool escaped = stop >= w->end || *stop != '"';
    const char *to = escaped ? json_token_string_on(w->p, stop, w->end, &fault) : stop + 1;
    if (!to) { /* not one: the body was read before, so this is never so */
        w->p = w->end;
        return (struct text){SLICE(""), false};
    }
    w->p = to;
    return (struct text){slice_of(from, (size_t)(to - 1 - from)), escaped};
}

static uint64_t length_of(struct text t)
{
    return t.escaped ? unescaped_length(t.raw) : t.raw.len;
}

/* Equal numbers are as long as each other. */
static uint64_t number_length(struct slice raw)
{
    char text[64];
    if (raw.len <= INTEGER_DIGITS && raw.ptr[0] != '-') {
        size_t digits = 0;
        while (digits < raw.len && raw.ptr[digits] >= '0' && raw.ptr[digits] <= '9')
            digits++;
        if (digits == raw.len)
            return digits;
    }
    if (raw.len >= sizeof(text))
        return NUMBER_BYTES;
    memcpy(text, raw.ptr, raw.len);
    text[raw.len] = '\0';
    double value = strtod(text, NULL);
    if (value != floor(value) || fabs(value) >= 1e15)
        return NUMBER_BYTES;
    return (uint64_t)snprintf(text, sizeof(text), "%.0f", value == 0 ? 0.0 : value);
}

/* A name without escapes, in `memory` where it had some; one too long is no name that matters. */
static struct slice name_of(struct text t, char memory[static NAME_MAX_BYTES])
{
    if (!t.escaped)
        return t.raw;
    if (t.raw.len > NAME_MAX_BYTES)
        return SLICE("");
    return slice_of(memory, json_token_unescape(t.raw, memory));
}

/* ---- places ---- */

struct object {
    unsigned seen; /* a bit for each row of `members` */
    bool has_image, has_media;
};

/* Readers differ about a name that stands twice or that is equal but for case. */
static enum place place_of(struct walk *w, enum place in, struct slice name, struct object *o)
{
    for (unsigned i = 0; i < ARRAY_LEN(members); i++) {
        if (members[i].in != in || name.len != members[i].name.len ||
            !slice_ieq(name, members[i].name))
            continue;
        if (!slice_eq(name, members[i].name) || o->seen >> i & 1)
            cannot_bound(w, "a member of a message stands twice in it");
        o->seen |= 1u << i;
        return members[i].is;
    }
    return PLACE_OTHER;
}

static enum place place_inside(enum place array)
{
    switch (array) {
    case PLACE_MESSAGES:
        return PLACE_MESSAGE;
    case PLACE_CONTENT:
        return PLACE_PART;
    case PLACE_TOOLS:
        return PLACE_TOOL;
    case PLACE_MODALITIES:
        return PLACE_MODALITIES;
    default:
        return PLACE_OTHER;
    }
}

static void look_at_string(struct walk *w, enum place place, struct text t)
{
    char memory[NAME_MAX_BYTES];
    struct slice text = name_of(t, memory);
    switch (place) {
    case PLACE_TYPE:
        w->type =
            text.len <= NAME_MAX_BYTES
                ? slice_of(w->type_text, (size_t)(slice_put(w->type_text, text) - w->type_text))
                : SLICE("");
        break;
    case PLACE_DETAIL:
        w->low = slice_eq(text, SLICE("low"));
        break;
    case PLACE_MODALITIES:
        if (!slice_eq(text, SLICE("text")))
            cannot_bound(w, "its output is not only text");
        break;
    case PLACE_TIER:
        if (!slice_eq(text, SLICE("auto")) && !slice_eq(text, SLICE("default")) &&
            !slice_eq(text, SLICE("flex")))
            cannot_bound(w, "the price of its service tier is not known");
        break;
    case PLACE_NOT_BOUNDED:
        cannot_bound(w, "it uses tools the provider bills by itself");
        break;
    default:
        break;
    }
}

/* ---- the walk ---- */

static void walk_value(struct walk *w, enum place place, unsigned depth);

/* What a part that is over was, and what is counted in place of its text. */
static void count_part(struct walk *w, uint64_t before, const struct object *o)
{
    struct ai_prompt *p = w->prompt;
    uint64_t bytes = p->text - before;
    bool text = slice_eq(w->type, SLICE("text")) || slice_eq(w->type, SLICE("refusal"));
    if (slice_eq(w->type, SLICE("image_url")) || o->has_image) {
        p->text = before;
        p->images_low += w->low;
        p->images += !w->low;
    } else if (slice_eq(w->type, SLICE("input_audio"))) {
        p->text = before;
        p->audio_bytes += bytes;
    } else if (slice_eq(w->type, SLICE("file"))) {
        p->text = before;
        p->files++;
    } else if (!text || o->has_media) {
        cannot_bound(w, "a part of its messages is of a kind that is not known");
    }
}

static void count_tool(struct walk *w)
{
    if (w->type.len && !slice_eq(w->type, SLICE("function")) && !slice_eq(w->type, SLICE("custom")))
        cannot_bound(w, "it uses tools the provider bills by itself");
}

static void walk_member(struct walk *w, enum place in, struct object *o, unsigned depth)
{
    char memory[NAME_MAX_BYTES];
    struct text name = take_string(w);
    w->prompt->text += length_of(name) + 3; /* quotes and colon */
    enum place place = in == PLACE_OTHER ? in : place_of(w, in, name_of(name, memory), o);
    o->has_image = o->has_image || (in == PLACE_PART && place == PLACE_IMAGE);
    o->has_media = o->has_media || (in == PLACE_PART && place == PLACE_MEDIA);
    skip_space(w);
    w->p += w->p < w->end; /* the colon */
    skip_space(w);
    walk_value(w, place, depth);
}

static void walk_object(struct walk *w, enum place place, unsigned depth)
{
    struct object o = {0};
    uint64_t before = w->prompt->text;
    if (place == PLACE_PART || place == PLACE_TOOL)
        w->type = SLICE("");
    if (place == PLACE_PART)
        w->low = false;
    if (place == PLACE_NOT_BOUNDED)
        cannot_bound(w, "it uses tools the provider bills by itself");
    w->prompt->text += 2;
    for (w->p++, skip_space(w); w->p < w->end && *w->p != '}'; skip_space(w)) {
        if (*w->p == ',') {
            w->p++;
            w->prompt->text++;
            continue;
        }
        walk_member(w, place, &o, depth);
    }
    w->p += w->p < w->end;
    if (place == PLACE_PART)
        count_part(w, before, &o);
    if (place == PLACE_TOOL)
        count_tool(w);
}

static void walk_array(struct walk *w, enum place place, unsigned depth)
{
    enum place inside = place_inside(place);
    w->prompt->text += 2;
    for (w->p++, skip_space(w); w->p < w->end && *w->p != ']'; skip_space(w)) {
        if (*w->p == ',') {
            w->p++;
            w->prompt->text++;
            continue;
        }
        walk_value(w, inside, depth);
    }
    w->p += w->p < w->end;
}

static void walk_word(struct walk *w, enum place place)
{
    const char *from = w->p;
    while (w->p < w->end && *w->p != ',' && *w->p != '}' && *w->p != ']' &&
           (unsigned char)*w->p > ' ')
        w->p++;
    struct slice raw = slice_of(from, (size_t)(w->p - from));
    bool number = raw.len && (raw.ptr[0] == '-' || (raw.ptr[0] >= '0' && raw.ptr[0] <= '9'));
    w->prompt->text += number ? number_length(raw) : raw.len;
    if (place == PLACE_NOT_BOUNDED && !slice_eq(raw, SLICE("null")))
        cannot_bound(w, "it uses tools the provider bills by itself");
}

static void walk_value(struct walk *w, enum place place, unsigned depth)
{
    if (w->p >= w->end || depth > LIMIT_JSON_DEPTH) {
        w->p = w->end;
        return;
    }
    if (*w->p == '"') {
        struct text t = take_string(w);
        w->prompt->text += length_of(t) + 2;
        if (place != PLACE_OTHER && place != PLACE_CONTENT)
            look_at_string(w, place, t);
    } else if (*w->p == '{') {
        walk_object(w, place, depth + 1);
    } else if (*w->p == '[') {
        walk_array(w, place, depth + 1);
    } else {
        walk_word(w, place);
    }
}

void openai_measure(struct slice body, struct ai_prompt *ret)
{
    struct walk w = {.p = body.ptr, .end = body.ptr + body.len, .prompt = ret};
    *ret = (struct ai_prompt){0};
    skip_space(&w);
    walk_value(&w, PLACE_ROOT, 0);
}
