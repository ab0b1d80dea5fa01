/*
 * chat_maker — conversations in the normal form, made from bytes, and written out for comparison.
 *
 * What is made stands in the one order in which every protocol can say it: results before the
 * texts of a turn, reasoning before the texts of the assistant and calls behind them, and turns of
 * the two sides in alternation.
 */
#pragma once

#include "common/base/json.h"
#include "dataplane/ai/ai_chat.h"

/* What a protocol can say beyond what all can. */
enum chat_maker_says {
    SAYS_REASONING = 1 << 0, /* signed, and hidden */
    SAYS_NUMBERS = 1 << 1,   /* seed, penalties, choices, and top_p beside temperature */
    SAYS_TOP_K = 1 << 2,
    SAYS_DETAIL = 1 << 3, /* of images; and tiers */
    SAYS_CACHE = 1 << 4,
    SAYS_ERRORS = 1 << 5, /* of tools */
};

struct chat_maker {
    const uint8_t *at, *end;
    unsigned says;
    struct ai_chat *chat;
    json_t *trees; /* schemas; the caller drops them */
    unsigned calls;
};

static inline unsigned maker_dice(struct chat_maker *m, unsigned n)
{
    return m->at < m->end ? *m->at++ % n : 0;
}

static inline bool maker_may(struct chat_maker *m, unsigned says)
{
    return (m->says & says) == says && maker_dice(m, 2);
}

static inline struct slice maker_text(struct chat_maker *m)
{
    static const char *const texts[] = {"a",
                                        "hello there",
                                        "\"quoted\" \\ / \b\n\t",
                                        "\xc3\xa9\xe5\x8c\x97\xf0\x9f\x98\x80",
                                        " space ",
                                        "{}",
                                        "data:,x"};
    return slice_str(texts[maker_dice(m, ARRAY_LEN(texts))]);
}

static inline struct slice maker_word(struct chat_maker *m)
{
    static const char *const words[] = {
        "f", "get_weather", "a-b_C9",
        "n23456789_123456789_123456789_123456789_123456789_123456789"};
    return slice_str(words[maker_dice(m, ARRAY_LEN(words))]);
}

static inline void maker_image(struct chat_maker *m, struct ai_part_list *to)
{
    struct ai_part *p = ai_chat_add_part(m->chat, to, AI_PART_IMAGE);
    if (maker_dice(m, 2)) {
        p->media_type = SLICE("image/png");
        p->data = SLICE("AAAA");
    } else {
        p->url = SLICE("https://x.test/a.png");
    }
    if (maker_may(m, SAYS_DETAIL))
        p->detail = SLICE("low");
}

static inline void maker_texts(struct chat_maker *m, struct ai_part_list *to, bool images)
{
    unsigned n = 1 + maker_dice(m, 3);
    for (unsigned i = 0; i < n; i++) {
        if (images && maker_dice(m, 4) == 3) {
            maker_image(m, to);
            continue;
        }
        struct ai_part *p = ai_chat_add_part(m->chat, to, AI_PART_TEXT);
        p->text = maker_text(m);
        if (maker_may(m, SAYS_CACHE))
            p->cache = maker_dice(m, 2) ? AI_CACHE_SHORT : AI_CACHE_LONG;
    }
}

static inline struct slice maker_id(struct chat_maker *m, unsigned n)
{
    return arena_printf(m->chat->arena, "call_%u", n);
}

static inline void maker_calls(struct chat_maker *m, struct ai_turn *t)
{
    static const char *const arguments[] = {"{}", "{\"x\":1}", "{\"a\":[1,\"\xc3\xa9\"],\"b\":{}}"};
    m->calls = m->chat->functions ? maker_dice(m, 3) : 0;
    for (unsigned i = 0; i < m->calls; i++) {
        struct ai_part *p = ai_chat_add_part(m->chat, &t->parts, AI_PART_TOOL_CALL);
        p->id = maker_id(m, (unsigned)m->chat->turn_count * 4 + i);
        p->name = m->chat->functions->name;
        p->text = slice_str(arguments[maker_dice(m, ARRAY_LEN(arguments))]);
    }
}

static inline void maker_assistant(struct chat_maker *m)
{
    struct ai_turn *t = ai_chat_add_turn(m->chat, AI_ASSISTANT);
    if (maker_may(m, SAYS_REASONING)) {
        struct ai_part *p = ai_chat_add_part(m->chat, &t->parts, AI_PART_REASONING);
        if (maker_dice(m, 2)) {
            p->text = maker_text(m);
            p->signature = SLICE("c2VhbA==");
        } else {
            p->redacted = SLICE("aGlkZGVu");
        }
    }
    if (maker_dice(m, 2))
        maker_texts(m, &t->parts, false);
    maker_calls(m, t);
    if (!m->calls && (!t->parts.last || t->parts.last->kind == AI_PART_REASONING))
        maker_texts(m, &t->parts, false);
}

static inline void maker_user(struct chat_maker *m)
{
    size_t of = m->chat->turn_count;
    struct ai_turn *t = ai_chat_add_turn(m->chat, AI_USER);
    for (unsigned i = 0; i < m->calls; i++) {
        struct ai_part *p = ai_chat_add_part(m->chat, &t->parts, AI_PART_TOOL_RESULT);
        p->id = maker_id(m, (unsigned)of * 4 + i);
        maker_texts(m, p->inner, false);
        if (maker_may(m, SAYS_ERRORS))
            p->is_error = true;
    }
    if (!m->calls || maker_dice(m, 2))
        maker_texts(m, &t->parts, true);
    m->calls = 0;
}

static inline const json_t *maker_schema(struct chat_maker *m)
{
    static const char *const schemas[] = {
        "{\"type\":\"object\",\"properties\":{}}",
        "{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"number\",\"maximum\":100,"
        "\"multipleOf\":0.25}},\"required\":[\"x\"],\"additionalProperties\":false}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":"
        "\"string\",\"enum\":[\"\xc3\xa9\",\"b\"]}}},\"required\":[\"a\"],"
        "\"additionalProperties\":false}"};
    struct json_problem problem;
    json_t *tree = NULL;
    if (json_read(slice_str(schemas[maker_dice(m, ARRAY_LEN(schemas))]), &tree, &problem))
        return NULL;
    json_array_append_new(m->trees, tree);
    return tree;
}

static inline void maker_tools(struct chat_maker *m)
{
    unsigned n = maker_dice(m, 3);
    for (unsigned i = 0; i < n; i++) {
        struct ai_function *f = ai_chat_add_function(
            m->chat, arena_printf(m->chat->arena, "f%u_%.*s", i, SLICE_ARG(maker_word(m))));
        f->schema = maker_schema(m);
        if (maker_dice(m, 2))
            f->description = maker_text(m);
        f->strict = maker_dice(m, 2) && json_object_get(f->schema, "required");
        if (maker_may(m, SAYS_CACHE))
            f->cache = AI_CACHE_SHORT;
    }
    if (!n)
        return;
    m->chat->choosing = (enum ai_choosing)maker_dice(m, AI_CHOOSE_ONE + 1);
    if (m->chat->choosing == AI_CHOOSE_ONE)
        m->chat->chosen = m->chat->functions->name;
    m->chat->one_call_at_a_time = m->chat->choosing != AI_CHOOSE_NONE && maker_dice(m, 2);
    if (m->chat->one_call_at_a_time && m->chat->choosing == AI_CHOOSE_UNSAID)
        m->chat->choosing = AI_CHOOSE_AUTO; /* Anthropic says the one beside the other */
}

static inline void maker_number(struct chat_maker *m, struct ai_number *to, double unit)
{
    if (maker_dice(m, 2))
        *to = (struct ai_number){true, unit * maker_dice(m, 4) + 0.0};
}

static inline void maker_how(struct chat_maker *m)
{
    struct ai_chat *c = m->chat;
    c->output_limit = 1 + maker_dice(m, 200);
    c->choices = 1;
    c->stream = maker_dice(m, 2);
    maker_number(m, &c->temperature, 0.25);
    if (m->says & SAYS_TOP_K)
        maker_number(m, &c->top_k, 5);
    if (m->says & SAYS_NUMBERS) {
        maker_number(m, &c->top_p, 0.25);
        maker_number(m, &c->seed, 7);
        maker_number(m, &c->presence_penalty, 0.5);
        maker_number(m, &c->frequency_penalty, -0.5);
        c->choices = 1 + maker_dice(m, 2);
    }
    for (unsigned i = maker_dice(m, 3); i > 0; i--)
        if (ai_chat_add_stop(c, maker_word(m)))
            return;
    if (maker_dice(m, 2))
        c->user = SLICE("u-1");
    if (maker_dice(m, 4) == 3) {
        c->format = AI_FORMAT_SCHEMA;
        c->format_strict = true;
        while (!c->format_schema || !json_object_get(c->format_schema, "required"))
            c->format_schema = maker_schema(&(struct chat_maker){.at = (const uint8_t *)"\x01",
                                                                 .end = (const uint8_t *)"\x01" + 1,
                                                                 .trees = m->trees});
    }
}

/* `chat` has its arena, and is otherwise zeroed. */
static inline void maker_make(struct chat_maker *m)
{
    m->trees = json_array();
    maker_tools(m);
    if (maker_dice(m, 2)) {
        struct ai_turn *t = ai_chat_add_turn(m->chat, AI_SYSTEM);
        maker_texts(m, &t->parts, false);
    }
    maker_user(m);
    for (unsigned n = maker_dice(m, 4); n > 0; n--) {
        maker_assistant(m);
        maker_user(m);
    }
    maker_how(m);
}

/* ---- written out ---- */

static inline void show_slice(struct buf *out, const char *name, struct slice s)
{
    if (s.len && buf_printf(out, " %s=%zu:%.*s", name, s.len, SLICE_ARG(s)))
        abort();
}

static inline void show_number(struct buf *out, const char *name, const struct ai_number *n)
{
    if (n->set && buf_printf(out, " %s=%g", name, n->value))
        abort();
}

static inline void show_tree(struct buf *out, const json_t *tree)
{
    if (buf_printf(out, " schema=") || (tree && json_write_sorted(tree, out)))
        abort();
}

static inline void show_parts(struct buf *out, const struct ai_part_list *list)
{
    for (const struct ai_part *p = list->first; p; p = p->next) {
        if (buf_printf(out, "\n  part %d cache=%d error=%d", p->kind, p->cache, p->is_error))
            abort();
        show_slice(out, "text", p->text);
        show_slice(out, "id", p->id);
        show_slice(out, "name", p->name);
        show_slice(out, "signature", p->signature);
        show_slice(out, "redacted", p->redacted);
        show_slice(out, "type", p->media_type);
        show_slice(out, "data", p->data);
        show_slice(out, "url", p->url);
        show_slice(out, "detail", p->detail);
        if (p->inner)
            show_parts(out, p->inner);
    }
}

/* Turns of one side as one, since protocols differ in how they cut them. */
static inline void show_turns(struct buf *out, const struct ai_chat *c)
{
    struct ai_run r = {0};
    for (const struct ai_turn *t = c->first; t; t = t->next) {
        if (t->role == AI_SYSTEM && buf_printf(out, "\nsystem"))
            abort();
        if (t->role == AI_SYSTEM)
            show_parts(out, &t->parts);
    }
    while (ai_chat_next_run(c, &r)) {
        if (buf_printf(out, "\nturn %d", r.role))
            abort();
        for (const struct ai_turn *t = r.first; t != r.end; t = t->next)
            if (t->role == r.role)
                show_parts(out, &t->parts);
    }
}

static inline void show_chat(struct buf *out, const struct ai_chat *c)
{
    buf_clear(out);
    show_turns(out, c);
    for (const struct ai_function *f = c->functions; f; f = f->next) {
        if (buf_printf(out, "\nfunction strict=%d cache=%d", f->strict, f->cache))
            abort();
        show_slice(out, "name", f->name);
        show_slice(out, "description", f->description);
        show_tree(out, f->schema);
    }
    if (buf_printf(out,
                   "\nchoosing=%d one=%d limit=%llu choices=%llu stream=%d format=%d strict=%d",
                   c->choosing, c->one_call_at_a_time, (unsigned long long)c->output_limit,
                   (unsigned long long)c->choices, c->stream, c->format, c->format_strict))
        abort();
    show_slice(out, "chosen", c->chosen);
    show_slice(out, "user", c->user);
    show_number(out, "temperature", &c->temperature);
    show_number(out, "top_p", &c->top_p);
    show_number(out, "top_k", &c->top_k);
    show_number(out, "seed", &c->seed);
    show_number(out, "presence", &c->presence_penalty);
    show_number(out, "frequency", &c->frequency_penalty);
    for (const struct ai_word *s = c->stops; s; s = s->next)
        show_slice(out, "stop", s->text);
    if (c->format_schema)
        show_tree(out, c->format_schema);
}
