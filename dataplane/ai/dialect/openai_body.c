/*
 * openai_body — one scan for the members that the gate reads, and the splice. Then the measure: one
 * walk over a body that is known to be valid. It counts what ai_chat_measure counts of the same
 * body, read by openai_parse.
 */
#include "dataplane/ai/dialect/openai_body.h"

#include <stdlib.h>

#include "common/base/json_token.h"
#include "common/base/limits.h"
#include "dataplane/ai/ai_chat.h"
#include "dataplane/ai/dialect/body_member.h"

#define CHOICES_MAX 128 /* OpenAI's own ceiling of n */

static const char *const wants[] = {
#define OPENAI_WANT_PATH(name, path) path,
    OPENAI_CHAT_WANTS(OPENAI_WANT_PATH) OPENAI_EMBEDDING_WANTS(OPENAI_WANT_PATH)
#undef OPENAI_WANT_PATH
};

_Static_assert(OPENAI_ALL_WANTS <= AI_HITS, "each wanted member has its place");

static enum err read_ceilings(struct body_reading *d)
{
    uint64_t old = 0, new = 0;
    enum err e = body_read_count(d, OPENAI_MAX_TOKENS, LIMIT_AI_TOKENS, &old);
    if (!e)
        e = body_read_count(d, OPENAI_MAX_COMPLETION_TOKENS, LIMIT_AI_TOKENS, &new);
    if (!e)
        e = body_read_count(d, OPENAI_N, CHOICES_MAX, &d->r->choices);
    /* Providers differ in which of the two wins: the larger one is the safe one. */
    d->r->output_ceiling = old > new ? old : new;
    return e;
}

static enum err read_chat(struct body_reading *d)
{
    struct json_hit *hits = d->r->hits;
    if (hits[OPENAI_MESSAGES].type != JSON_SCAN_ARRAY)
        return body_wrong(d, OPENAI_MESSAGES, "an array");
    if (!body_is_absent(&hits[OPENAI_TOOLS]) && hits[OPENAI_TOOLS].type != JSON_SCAN_ARRAY)
        return body_wrong(d, OPENAI_TOOLS, "an array");
    if (!body_is_absent(&hits[OPENAI_STREAM_OPTIONS]) &&
        hits[OPENAI_STREAM_OPTIONS].type != JSON_SCAN_OBJECT)
        return body_wrong(d, OPENAI_STREAM_OPTIONS, "an object");
    enum err e = body_read_flag(d, OPENAI_STREAM, &d->r->stream);
    if (!e)
        e = body_read_flag(d, OPENAI_INCLUDE_USAGE, &d->r->wants_usage);
    if (!e)
        e = read_ceilings(d);
    return e;
}

static enum err read_embeddings(struct body_reading *d)
{
    enum json_type t = d->r->hits[OPENAI_INPUT].type;
    return t == JSON_SCAN_STRING || t == JSON_SCAN_ARRAY
               ? ERR_OK
               : body_wrong(d, OPENAI_INPUT, "a string or an array");
}

static enum err read_labels(struct body_reading *d)
{
    enum err e = body_read_text(d, OPENAI_SESSION_ID, &d->r->session_id);
    return e ? e : body_read_text(d, OPENAI_PROMPT_CACHE_KEY, &d->r->prompt_cache_key);
}

static enum err read_body(struct slice body, struct body_reading *d, size_t n,
                          enum err (*read_rest)(struct body_reading *d))
{
    enum err e = body_scan(d, body, n);
    if (!e)
        e = body_read_model(d, OPENAI_MODEL);
    if (!e)
        e = read_rest(d);
    return e ? e : read_labels(d);
}

enum err openai_read_chat(const struct ai_incoming *in, struct ai_request *ret,
                          struct slice *detail)
{
    struct body_reading d = {.r = ret, .names = wants, .arena = in->arena};
    enum err e = read_body(in->body, &d, OPENAI_WANTS, read_chat);
    *detail = d.detail;
    return e;
}

enum err openai_read_embeddings(const struct ai_incoming *in, struct ai_request *ret,
                                struct slice *detail)
{
    struct body_reading d = {.r = ret, .names = wants, .arena = in->arena};
    enum err e = read_body(in->body, &d, OPENAI_ALL_WANTS, read_embeddings);
    *detail = d.detail;
    return e;
}

/* ---- the splice ---- */

static bool is_empty_object(struct slice raw)
{
    for (size_t i = 1; i < raw.len; i++)
        if (raw.ptr[i] != ' ' && raw.ptr[i] != '\t' && raw.ptr[i] != '\r' && raw.ptr[i] != '\n')
            return raw.ptr[i] == '}';
    return false;
}

/* false: the body requests usage already. Where it must be put in anew, it goes behind the root's
 * brace. */
static bool usage_edit(const struct ai_request *r, struct slice body, struct body_edit *ret)
{
    const struct json_hit *options = &r->hits[OPENAI_STREAM_OPTIONS];
    const struct json_hit *include = &r->hits[OPENAI_INCLUDE_USAGE];
    if (include->type == JSON_SCAN_TRUE)
        return false;
    if (include->type != JSON_SCAN_ABSENT) {
        *ret = (struct body_edit){include->raw.ptr, include->raw.len, SLICE("true")};
    } else if (options->type == JSON_SCAN_OBJECT) {
        struct slice text = is_empty_object(options->raw) ? SLICE("\"include_usage\":true")
                                                          : SLICE("\"include_usage\":true,");
        *ret = (struct body_edit){options->raw.ptr + 1, 0, text};
    } else if (options->type == JSON_SCAN_NULL) {
        *ret = (struct body_edit){options->raw.ptr, options->raw.len,
                                  SLICE("{\"include_usage\":true}")};
    } else {
        ptrdiff_t brace = slice_find(body, '{'); /* the root's: the scan said it is an object */
        *ret = (struct body_edit){body.ptr + brace + 1, 0,
                                  SLICE("\"stream_options\":{\"include_usage\":true},")};
    }
    return true;
}

/* "max_tokens":N, in the arena; without a name, only the number. Written by hand, since this is
 * done for each call under a budget. */
static struct slice limit_text(const char *name, uint64_t limit, struct arena *a)
{
    size_t len = name ? strlen(name) : 0, most = len + SLICE_U64_MAX + 4;
    char *text = arena_alloc(a, most);
    if (!text)
        return SLICE_NONE;
    char *end = text + most, *p = end;
    if (name)
        *--p = ',';
    p -= slice_write_u64(p, limit);
    if (name) {
        *--p = ':';
        *--p = '"';
        p -= len;
        memcpy(p, name, len);
        *--p = '"';
    }
    return slice_of(p, (size_t)(end - p));
}

/* The limit in place of a null, or behind the root's brace. */
static struct body_edit limit_edit(const struct ai_request *r, struct slice body,
                                   const struct ai_changes *c, struct arena *a)
{
    bool new_name = strcmp(c->limit_name, wants[OPENAI_MAX_COMPLETION_TOKENS]) == 0;
    const struct json_hit *h =
        &r->hits[new_name ? OPENAI_MAX_COMPLETION_TOKENS : OPENAI_MAX_TOKENS];
    ptrdiff_t brace = slice_find(body, '{');
    if (h->type == JSON_SCAN_NULL)
        return (struct body_edit){h->raw.ptr, h->raw.len, limit_text(NULL, c->output_limit, a)};
    return (struct body_edit){body.ptr + brace + 1, 0,
                              limit_text(c->limit_name, c->output_limit, a)};
}

_Static_assert(AI_REQUEST_PIECES >= 2 * 3 + 1, "three edits leave seven pieces");

enum err openai_splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    struct body_edit edits[3];
    size_t n = 0;
    if (!slice_eq(c->model, r->model)) {
        const struct slice raw = r->hits[OPENAI_MODEL].raw;
        edits[n] = (struct body_edit){raw.ptr, raw.len, body_quoted(a, c->model)};
        if (!edits[n++].text.ptr)
            return ERR_NOMEM;
    }
    if (r->stream && !c->no_usage_option && usage_edit(r, body, &edits[n]))
        n++;
    if (c->output_limit && !r->output_ceiling) {
        edits[n] = limit_edit(r, body, c, a);
        if (!edits[n++].text.ptr)
            return ERR_NOMEM;
    }
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    body_apply(edits, n, body, ret);
    return ERR_OK;
}

/* ---- the measure of a prompt ---- */

#define NAME_MAX_BYTES 64 /* names that matter here are shorter */
#define NUMBER_BYTES 24   /* the longest a double is ever written */
#define INTEGER_DIGITS 15 /* exact in a double */

/* Where in a body a value stands: what the walk looks for there, and counts of it. */
enum place {
    PLACE_JSON,    /* a member that has no place: its name and its value, as JSON */
    PLACE_VALUE,   /* its value alone */
    PLACE_NOTHING, /* it says how, or where: nothing */
    PLACE_TEXT,    /* a string: its text */
    PLACE_PIECE,   /* the same, as a part of its own unless it is empty */
    PLACE_ROLE,
    PLACE_TYPE, /* of a part, a tool or a format: read */
    PLACE_DETAIL,
    PLACE_AUDIO_DATA,
    PLACE_TIER,
    PLACE_FUNCTION_NAME,
    PLACE_PART_TEXT,
    PLACE_PART_REFUSAL,
    PLACE_NOT_BOUNDED, /* as JSON; it costs what its bytes do not show, unless it is null */
    PLACE_ARRAYS,
    PLACE_MESSAGES = PLACE_ARRAYS,
    PLACE_CONTENT,
    PLACE_CALLS,
    PLACE_BLOCKS,
    PLACE_TOOLS,
    PLACE_MODALITIES,
    PLACE_OBJECTS,
    PLACE_ROOT = PLACE_OBJECTS,
    PLACE_MESSAGE,
    PLACE_PART,
    PLACE_IMAGE,
    PLACE_MEDIA,
    PLACE_CALL,
    PLACE_CALLED,
    PLACE_FUNCTION,
    PLACE_BLOCK,
    PLACE_TOOL,
    PLACE_FORMAT,
    PLACE_SCHEMA,
    PLACES
};

struct member {
    struct slice name;
    enum place is;
};

#define NAME(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
#define END                                                                                        \
    {                                                                                              \
        {NULL, 0}, PLACE_JSON                                                                      \
    }

static const struct member root_members[] = {
    {NAME("model"), PLACE_NOTHING},
    {NAME("messages"), PLACE_MESSAGES},
    {NAME("stream"), PLACE_NOTHING},
    {NAME("stream_options"), PLACE_NOTHING},
    {NAME("max_tokens"), PLACE_NOTHING},
    {NAME("max_completion_tokens"), PLACE_NOTHING},
    {NAME("temperature"), PLACE_NOTHING},
    {NAME("tools"), PLACE_TOOLS},
    {NAME("tool_choice"), PLACE_NOTHING},
    {NAME("parallel_tool_calls"), PLACE_NOTHING},
    {NAME("response_format"), PLACE_FORMAT},
    {NAME("reasoning_effort"), PLACE_NOTHING},
    {NAME("top_p"), PLACE_NOTHING},
    {NAME("top_k"), PLACE_NOTHING},
    {NAME("n"), PLACE_NOTHING},
    {NAME("seed"), PLACE_NOTHING},
    {NAME("stop"), PLACE_NOTHING},
    {NAME("presence_penalty"), PLACE_NOTHING},
    {NAME("frequency_penalty"), PLACE_NOTHING},
    {NAME("user"), PLACE_NOTHING},
    {NAME("safety_identifier"), PLACE_NOTHING},
    {NAME("verbosity"), PLACE_NOTHING},
    {NAME("thinking"), PLACE_NOTHING},
    {NAME("service_tier"), PLACE_TIER},
    {NAME("modalities"), PLACE_MODALITIES},
    {NAME("web_search_options"), PLACE_NOT_BOUNDED},
    END,
};

static const struct member message_members[] = {
    {NAME("role"), PLACE_ROLE},
    {NAME("content"), PLACE_CONTENT},
    {NAME("tool_calls"), PLACE_CALLS},
    {NAME("tool_call_id"), PLACE_TEXT},
    {NAME("name"), PLACE_TEXT},
    {NAME("refusal"), PLACE_PIECE},
    {NAME("reasoning_content"), PLACE_PIECE},
    {NAME("reasoning"), PLACE_PIECE},
    {NAME("thinking_blocks"), PLACE_BLOCKS},
    {NAME("audio"), PLACE_NOT_BOUNDED}, /* of an earlier response, by its id */
    {NAME("function_call"), PLACE_NOT_BOUNDED},
    END,
};

static const struct member part_members[] = {
    {NAME("type"), PLACE_TYPE},
    {NAME("text"), PLACE_PART_TEXT},
    {NAME("image_url"), PLACE_IMAGE},
    {NAME("refusal"), PLACE_PART_REFUSAL},
    {NAME("input_audio"), PLACE_MEDIA},
    {NAME("file"), PLACE_NOTHING},
    {NAME("video_url"), PLACE_NOTHING},
    {NAME("cache_control"), PLACE_NOTHING},
    {NAME("prompt_cache_breakpoint"), PLACE_NOTHING},
    END,
};

/* What has no row here counts nothing. */
static const struct member image_members[] = {{NAME("detail"), PLACE_DETAIL}, END};
static const struct member media_members[] = {{NAME("data"), PLACE_AUDIO_DATA}, END};
static const struct member format_members[] = {
    {NAME("type"), PLACE_TYPE}, {NAME("json_schema"), PLACE_SCHEMA}, END};
static const struct member schema_members[] = {{NAME("name"), PLACE_NOTHING},
                                               {NAME("description"), PLACE_TEXT},
                                               {NAME("schema"), PLACE_VALUE},
                                               END};
static const struct member block_members[] = {{NAME("thinking"), PLACE_TEXT},
                                              {NAME("signature"), PLACE_TEXT},
                                              {NAME("data"), PLACE_TEXT},
                                              END};

static const struct member call_members[] = {{NAME("id"), PLACE_TEXT},
                                             {NAME("type"), PLACE_NOTHING},
                                             {NAME("index"), PLACE_NOTHING},
                                             {NAME("function"), PLACE_CALLED},
                                             END};
static const struct member called_members[] = {
    {NAME("name"), PLACE_FUNCTION_NAME}, {NAME("arguments"), PLACE_TEXT}, END};

static const struct member function_members[] = {{NAME("name"), PLACE_FUNCTION_NAME},
                                                 {NAME("description"), PLACE_TEXT},
                                                 {NAME("parameters"), PLACE_VALUE},
                                                 {NAME("strict"), PLACE_NOTHING},
                                                 END};

static const struct member tool_members[] = {{NAME("type"), PLACE_TYPE},
                                             {NAME("function"), PLACE_FUNCTION},
                                             {NAME("cache_control"), PLACE_NOTHING},
                                             {NAME("prompt_cache_breakpoint"), PLACE_NOTHING},
                                             END};

static const struct {
    const struct member *members;
    enum place others; /* what else stands in the object */
} objects[PLACES] = {
    [PLACE_ROOT] = {root_members, PLACE_JSON},
    [PLACE_MESSAGE] = {message_members, PLACE_JSON},
    [PLACE_PART] = {part_members, PLACE_JSON},
    [PLACE_IMAGE] = {image_members, PLACE_NOTHING},
    [PLACE_MEDIA] = {media_members, PLACE_NOTHING},
    [PLACE_CALL] = {call_members, PLACE_JSON},
    [PLACE_CALLED] = {called_members, PLACE_JSON},
    [PLACE_FUNCTION] = {function_members, PLACE_JSON},
    [PLACE_BLOCK] = {block_members, PLACE_NOTHING},
    [PLACE_TOOL] = {tool_members, PLACE_JSON},
    [PLACE_FORMAT] = {format_members, PLACE_NOTHING},
    [PLACE_SCHEMA] = {schema_members, PLACE_NOTHING},
};

static const enum place items[PLACES] = {
    [PLACE_MESSAGES] = PLACE_MESSAGE, [PLACE_CONTENT] = PLACE_PART,
    [PLACE_CALLS] = PLACE_CALL,       [PLACE_BLOCKS] = PLACE_BLOCK,
    [PLACE_TOOLS] = PLACE_TOOL,       [PLACE_MODALITIES] = PLACE_MODALITIES,
};

struct walk {
    const char *p, *end;
    struct ai_prompt *prompt;
    /* of the last message, part, tool or call */
    bool is_tool, is_named, is_low;
    uint64_t text, refusal, audio;
    struct slice type;
    char type_text[NAME_MAX_BYTES];
};

#define BILLS_ITSELF "it uses tools the provider bills by itself"

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
    return ai_chat_number_bytes(strtod(text, NULL));
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

/* ---- values as JSON ---- */

static void count_json(struct walk *w, unsigned depth);

/* Names and values alternate; either counts with what stands around it. */
static void count_json_list(struct walk *w, char bracket, unsigned depth)
{
    w->prompt->text += 2;
    for (w->p++, skip_space(w); w->p < w->end && *w->p != bracket; skip_space(w)) {
        if (*w->p == ',' || *w->p == ':') {
            w->p++;
            w->prompt->text++;
            continue;
        }
        count_json(w, depth);
    }
    w->p += w->p < w->end;
}

static struct slice take_word(struct walk *w)
{
    const char *from = w->p;
    while (w->p < w->end && *w->p != ',' && *w->p != '}' && *w->p != ']' &&
           (unsigned char)*w->p > ' ')
        w->p++;
    return slice_of(from, (size_t)(w->p - from));
}

static void count_word(struct walk *w)
{
    struct slice raw = take_word(w);
    bool number = raw.len && (raw.ptr[0] == '-' || (raw.ptr[0] >= '0' && raw.ptr[0] <= '9'));
    w->prompt->text += number ? number_length(raw) : raw.len;
    if (!raw.len)
        w->p = w->end; /* not JSON: never so */
}

static void count_json(struct walk *w, unsigned depth)
{
    if (w->p >= w->end || depth > LIMIT_JSON_DEPTH)
        w->p = w->end;
    else if (*w->p == '"')
        w->prompt->text += length_of(take_string(w)) + 2;
    else if (*w->p == '{')
        count_json_list(w, '}', depth + 1);
    else if (*w->p == '[')
        count_json_list(w, ']', depth + 1);
    else
        count_word(w);
}

static void skip_json(struct walk *w, unsigned depth)
{
    uint64_t before = w->prompt->text;
    count_json(w, depth);
    w->prompt->text = before;
}

/* ---- places ---- */

/* Readers differ about a name that stands twice or that is equal but for case. */
static enum place place_of(struct walk *w, enum place in, struct slice name, uint32_t *seen)
{
    const struct member *m = objects[in].members;
    for (unsigned i = 0; m[i].name.ptr; i++) {
        if (name.len != m[i].name.len || !slice_ieq(name, m[i].name))
            continue;
        if (*seen >> i & 1)
            cannot_bound(w, "a member of a message stands twice in it");
        *seen |= 1u << i;
        if (slice_eq(name, m[i].name))
            return m[i].is;
        cannot_bound(w, "a member of a message stands twice in it");
    }
    return objects[in].others;
}

static void look_at(struct walk *w, enum place place, struct slice text)
{
    switch (place) {
    case PLACE_ROLE:
        w->is_tool = slice_eq(text, SLICE("tool"));
        break;
    case PLACE_TYPE:
        w->type =
            text.len <= NAME_MAX_BYTES
                ? slice_of(w->type_text, (size_t)(slice_put(w->type_text, text) - w->type_text))
                : SLICE("");
        break;
    case PLACE_DETAIL:
        w->is_low = slice_eq(text, SLICE("low"));
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
    default:
        break;
    }
}

/* false: a string says nothing there */
static bool take_text(struct walk *w, enum place place)
{
    char memory[NAME_MAX_BYTES];
    struct text t;
    switch (place) {
    case PLACE_TEXT:
        w->prompt->text += length_of(take_string(w));
        return true;
    case PLACE_FUNCTION_NAME:
        t = take_string(w);
        w->is_named = t.raw.len > 0;
        w->prompt->text += length_of(t);
        return true;
    case PLACE_PIECE:
        t = take_string(w);
        w->prompt->text += t.raw.len ? AI_MEASURE_PART + length_of(t) : 0;
        return true;
    case PLACE_CONTENT:
        w->prompt->text += AI_MEASURE_PART + length_of(take_string(w));
        return true;
    case PLACE_PART_TEXT:
        w->text = length_of(take_string(w));
        return true;
    case PLACE_PART_REFUSAL:
        w->refusal = length_of(take_string(w));
        return true;
    case PLACE_AUDIO_DATA:
        w->audio = length_of(take_string(w));
        return true;
    case PLACE_ROLE:
    case PLACE_TYPE:
    case PLACE_DETAIL:
    case PLACE_MODALITIES:
    case PLACE_TIER:
        look_at(w, place, name_of(take_string(w), memory));
        return true;
    default:
        return false;
    }
}

/* ---- the walk ---- */

static void walk_object(struct walk *w, enum place place, unsigned depth);

/* Does what is no text have a place there too? */
static bool counts_nothing(enum place p)
{
    return p == PLACE_NOTHING || p == PLACE_ROLE || p == PLACE_TYPE || p == PLACE_DETAIL ||
           p == PLACE_TIER || p == PLACE_AUDIO_DATA || p == PLACE_MODALITIES || p >= PLACE_OBJECTS;
}

static void walk_item(struct walk *w, enum place list, unsigned depth)
{
    enum place place = items[list];
    if (*w->p == '{' && place >= PLACE_OBJECTS)
        walk_object(w, place, depth);
    else if (*w->p == '"' && list == PLACE_MODALITIES)
        take_text(w, list);
    else if (list == PLACE_CALLS || list == PLACE_TOOLS)
        count_json(w, depth);
    else
        skip_json(w, depth);
    if (list == PLACE_BLOCKS)
        w->prompt->text += AI_MEASURE_PART;
}

static void walk_array(struct walk *w, enum place place, unsigned depth)
{
    for (w->p++, skip_space(w); w->p < w->end && *w->p != ']'; skip_space(w)) {
        if (*w->p == ',')
            w->p++;
        else
            walk_item(w, place, depth);
    }
    w->p += w->p < w->end;
}

static void walk_member(struct walk *w, enum place in, uint32_t *seen, unsigned depth)
{
    char memory[NAME_MAX_BYTES];
    struct text name = take_string(w);
    enum place place = place_of(w, in, name_of(name, memory), seen);
    skip_space(w);
    w->p += w->p < w->end; /* the colon */
    skip_space(w);
    if (w->p >= w->end)
        return;
    if (*w->p == 'n') { /* null means absent */
        take_word(w);
        return;
    }
    if (place == PLACE_NOT_BOUNDED)
        cannot_bound(w, BILLS_ITSELF);
    if (*w->p == '"' && take_text(w, place))
        return;
    if (*w->p == '[' && place >= PLACE_ARRAYS && place < PLACE_OBJECTS) {
        walk_array(w, place, depth + 1);
    } else if (*w->p == '{' && place >= PLACE_OBJECTS) {
        walk_object(w, place, depth + 1);
    } else if (place == PLACE_VALUE) {
        count_json(w, depth);
    } else if (counts_nothing(place)) {
        skip_json(w, depth);
    } else {
        w->prompt->text += length_of(name) + 3; /* quotes and colon */
        count_json(w, depth);
    }
}

/* What a part that is over was. false: of no kind that is known. */
static bool count_part(struct walk *w)
{
    struct ai_prompt *p = w->prompt;
    if (slice_eq(w->type, SLICE("text"))) {
        p->text += w->text;
    } else if (slice_eq(w->type, SLICE("refusal"))) {
        p->text += w->refusal;
    } else if (slice_eq(w->type, SLICE("image_url"))) {
        p->images_low += w->is_low;
        p->images += !w->is_low;
    } else if (slice_eq(w->type, SLICE("input_audio"))) {
        p->audio_bytes += w->audio;
    } else if (slice_eq(w->type, SLICE("file"))) {
        p->files++;
    } else if (slice_eq(w->type, SLICE("video_url"))) {
        cannot_bound(w, "it holds a video");
    } else {
        cannot_bound(w, "a part of its messages is of a kind that is not known");
        return false;
    }
    p->text += AI_MEASURE_PART;
    return true;
}

static bool count_tool(struct walk *w)
{
    bool function = slice_eq(w->type, SLICE("function"));
    if (w->type.len && !function && !slice_eq(w->type, SLICE("custom")))
        cannot_bound(w, BILLS_ITSELF);
    if (!function || !w->is_named)
        return false;
    w->prompt->text += AI_MEASURE_TOOL;
    return true;
}

static void begin_object(struct walk *w, enum place place)
{
    if (place == PLACE_PART || place == PLACE_TOOL || place == PLACE_FORMAT)
        w->type = SLICE("");
    if (place == PLACE_PART) {
        w->is_low = false;
        w->text = w->refusal = w->audio = 0;
    } else if (place == PLACE_TOOL || place == PLACE_CALL) {
        w->is_named = false;
    } else if (place == PLACE_MESSAGE) {
        w->is_tool = false;
    }
}

/* What is known of an object only when all of it was seen. false: it counts as JSON instead. */
static bool end_object(struct walk *w, enum place place, uint64_t before)
{
    switch (place) {
    case PLACE_PART:
        return count_part(w);
    case PLACE_TOOL:
        return count_tool(w);
    case PLACE_CALL:
        w->prompt->text += AI_MEASURE_PART + AI_MEASURE_TOOL;
        return w->is_named;
    case PLACE_MESSAGE:
        w->prompt->text += w->is_tool ? AI_MEASURE_PART + AI_MEASURE_TOOL : AI_MEASURE_TURN;
        return true;
    case PLACE_FORMAT:
        if (!slice_eq(w->type, SLICE("json_schema")))
            w->prompt->text = before;
        return true;
    default:
        return true;
    }
}

static void walk_object(struct walk *w, enum place place, unsigned depth)
{
    const char *from = w->p;
    uint64_t before = w->prompt->text;
    uint32_t seen = 0;
    if (depth > LIMIT_JSON_DEPTH) {
        w->p = w->end;
        return;
    }
    begin_object(w, place);
    for (w->p++, skip_space(w); w->p < w->end && *w->p != '}'; skip_space(w)) {
        if (*w->p == ',')
            w->p++;
        else
            walk_member(w, place, &seen, depth);
    }
    w->p += w->p < w->end;
    if (end_object(w, place, before))
        return;
    w->p = from;
    w->prompt->text = before;
    count_json(w, depth);
}

void openai_measure(struct slice body, struct ai_prompt *ret)
{
    struct walk w = {.p = body.ptr, .end = body.ptr + body.len, .prompt = ret};
    *ret = (struct ai_prompt){.text = AI_MEASURE_CHAT};
    skip_space(&w);
    if (w.p < w.end && *w.p == '{')
        walk_object(&w, PLACE_ROOT, 0);
}
