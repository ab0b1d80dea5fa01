/*
 * openai_decode — streams and responses of OpenAI's protocol as events.
 *
 * Servers that speak it differ most in their tool calls: pieces of several calls between each
 * other, without ids, with an index that is missing or always 0, whole in one chunk, or begun
 * again with each piece (dialects.md 2.10). A piece belongs to the call that its index names,
 * unless its id says another; without an index to that of its id; without both to the last one.
 */
#include <limits.h>
#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/json_form.h"
#include "dataplane/ai/provider/openai.h"
#include "dataplane/ai/provider/openai_details.h"
#include "dataplane/ai/provider/openai_names.h"
#include "dataplane/ai/provider/openai_send.h"

#define NO_INDEX 0xFFFF
#define TOOL_BLOCK 0x8000 /* calls are numbered from here, texts from 1 */

struct emitting {
    struct ai_decoder *d;
    ai_event_fn *fn;
    void *arg;
    unsigned choice;
};

static enum err emit(const struct emitting *m, struct ai_event e)
{
    e.choice = m->choice;
    return m->fn(m->arg, &e);
}

/* A text of another kind than the last begins a block of its own. */
static unsigned block_of(struct ai_decoder *d, unsigned choice, enum ai_event_kind kind)
{
    if (choice >= AI_DECODER_OPENAI_CHOICES)
        return (unsigned)kind;
    struct ai_decoder_texts *t = &d->openai.texts[choice];
    if (t->kind != (uint16_t)kind) {
        t->kind = (uint16_t)kind;
        t->block++;
    }
    return t->block;
}

static enum err emit_text(const struct emitting *m, enum ai_event_kind kind, struct slice text)
{
    if (!text.len)
        return ERR_OK;
    return emit(
        m, (struct ai_event){.kind = kind, .block = block_of(m->d, m->choice, kind), .text = text});
}

static struct slice text_of(const json_t *v)
{
    return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_NONE;
}

/* ---- tool calls ---- */

static uint32_t id_hash(struct slice id)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ (unsigned char)id.ptr[i]) * 16777619u;
    return id.len ? hash | 1 : 0; /* 0: there is none */
}

/* What a piece of a call says of which call it is. */
struct piece {
    unsigned index; /* NO_INDEX: none */
    uint32_t id;
    bool named;          /* it has a name: it may begin a call */
    bool fresh;          /* its arguments begin, or it has none */
    size_t place, count; /* in its array */
};

static bool is_of(const struct ai_decoder_call *c, unsigned choice, const struct piece *p)
{
    bool same_id = !p->id || !c->id || p->id == c->id;
    if (c->choice != choice)
        return false;
    if (p->index != NO_INDEX)
        return c->index == p->index && same_id;
    return p->id ? c->id == p->id : !p->named;
}

/* -1: it begins a call, or belongs to none */
static int find_call(const struct ai_decoder_calls *all, unsigned choice, const struct piece *p)
{
    unsigned of_choice = 0;
    for (unsigned i = all->count; i > 0; i--) {
        const struct ai_decoder_call *c = &all->at[i - 1];
        /* whole calls, each under the same index and without ids */
        bool again = p->named && p->fresh && !p->id && !c->id && (all->argued >> (i - 1) & 1);
        if (is_of(c, choice, p) && !again &&
            (p->index != NO_INDEX || p->id || p->count < 2 || p->place == c->place))
            return (int)i - 1;
        of_choice += c->choice == choice;
    }
    /* an index that was never begun, and no name: it can only be the last */
    if (p->named || !of_choice)
        return -1;
    for (unsigned i = all->count; i > 0; i--)
        if (all->at[i - 1].choice == choice)
            return (int)i - 1;
    return -1;
}

static struct slice made_id(struct ai_decoder *d)
{
    uint64_t n;
    digest_random(&n, sizeof(n));
    return arena_printf(d->arena, "call_%016llx", (unsigned long long)n);
}

static enum err begin_call(const struct emitting *m, const struct piece *p, struct slice id,
                           struct slice name)
{
    struct ai_decoder_calls *all = &m->d->openai.calls;
    if (all->count >= AI_DECODER_CALLS)
        return ERR_PROTOCOL;
    all->at[all->count] = (struct ai_decoder_call){.choice = (uint16_t)m->choice,
                                                   .index = (uint16_t)p->index,
                                                   .place = (uint16_t)p->place,
                                                   .id = p->id};
    if (m->choice < AI_DECODER_OPENAI_CHOICES)
        m->d->openai.texts[m->choice].kind = AI_TOOL_START;
    return emit(m, (struct ai_event){.kind = AI_TOOL_START,
                                     .block = TOOL_BLOCK + all->count++,
                                     .id = id.len ? id : made_id(m->d),
                                     .name = openai_own_function_name(m->d->chat, name)});
}

static enum err add_arguments(const struct emitting *m, unsigned call, struct slice text)
{
    if (!text.len)
        return ERR_OK;
    m->d->openai.calls.argued |= 1ull << call;
    return emit(
        m, (struct ai_event){.kind = AI_TOOL_ARGUMENTS, .block = TOOL_BLOCK + call, .text = text});
}

/* As text, or as the object that some servers write (Ollama's native form). */
static enum err emit_arguments(const struct emitting *m, unsigned call, const json_t *arguments)
{
    struct buf text;
    if (!json_is_object(arguments))
        return add_arguments(m, call, text_of(arguments));
    buf_init(&text, 64u * 1024 * 1024);
    enum err e = json_write(arguments, &text);
    if (!e)
        e = add_arguments(m, call, buf_slice(&text));
    buf_fini(&text);
    return e;
}

struct call_words {
    struct slice id, name, arguments; /* as text; empty: none, or none yet */
};

/* *at: the call that the piece belongs to; -1: to none, since it never began. */
static enum err take_piece(const struct emitting *m, const struct call_words *w, struct piece *p,
                           int *at)
{
    struct slice arguments = slice_trim(w->arguments);
    p->id = id_hash(w->id);
    p->named = w->name.len > 0;
    p->fresh = !arguments.len || slice_starts(arguments, SLICE("{"));
    *at = find_call(&m->d->openai.calls, m->choice, p);
    if (*at >= 0 || !p->named)
        return ERR_OK;
    enum err e = begin_call(m, p, w->id, w->name);
    *at = (int)m->d->openai.calls.count - 1;
    return e;
}

static enum err emit_call(const struct emitting *m, const json_t *call, const json_t *function,
                          struct piece *p)
{
    const struct call_words w = {.id = json_text(call, "id"),
                                 .name = json_text(function, "name"),
                                 .arguments = json_text(function, "arguments")};
    int at;
    enum err e = take_piece(m, &w, p, &at);
    return e || at < 0 ? e
                       : emit_arguments(m, (unsigned)at, json_object_get(function, "arguments"));
}

static enum err emit_calls(const struct emitting *m, const json_t *part)
{
    const json_t *call, *calls = json_object_get(part, "tool_calls");
    const json_t *old = json_object_get(part, "function_call");
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(calls, i, call)
    {
        const json_t *index = json_object_get(call, "index");
        struct piece p = {.index = NO_INDEX, .place = i, .count = json_array_size(calls)};
        if (json_is_integer(index) && json_integer_value(index) >= 0)
            p.index = (unsigned)(json_integer_value(index) & 0x7FFF);
        if (!e)
            e = emit_call(m, call, json_object_get(call, "function"), &p);
    }
    if (!e && json_is_object(old)) /* what tool_calls took the place of */
        e = emit_call(m, NULL, old, &(struct piece){.index = NO_INDEX - 1});
    return e;
}

static bool has_calls(const struct emitting *m)
{
    const struct ai_decoder_calls *all = &m->d->openai.calls;
    for (unsigned i = 0; i < all->count; i++)
        if (all->at[i].choice == m->choice)
            return true;
    return false;
}

/* Only now is it known that nothing more of them comes. Arguments that were never begun are an
 * empty object. */
static enum err end_calls(const struct emitting *m)
{
    struct ai_decoder_calls *all = &m->d->openai.calls;
    enum err e = ERR_OK;
    for (unsigned i = 0; !e && i < all->count; i++) {
        if (all->at[i].choice != m->choice || (all->ended >> i & 1))
            continue;
        all->ended |= 1ull << i;
        if (!(all->argued >> i & 1))
            e = add_arguments(m, i, SLICE("{}"));
        if (!e)
            e = emit(m, (struct ai_event){.kind = AI_TOOL_END, .block = TOOL_BLOCK + i});
    }
    return e;
}

/* ---- texts ---- */

/* Signed reasoning, as this gate and LiteLLM tell it. Its words are in reasoning_content too. */
static enum err emit_signatures(const struct emitting *m, const json_t *blocks)
{
    const json_t *block;
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(blocks, i, block)
    {
        struct slice seal = json_text(block, "signature"), data = json_text(block, "data");
        unsigned at = seal.len || data.len ? block_of(m->d, m->choice, AI_REASONING) : 0;
        if (!e && seal.len)
            e = emit(m, (struct ai_event){.kind = AI_REASONING, .block = at, .signature = seal});
        if (!e && data.len)
            e = emit(m, (struct ai_event){.kind = AI_REASONING, .block = at, .id = data});
    }
    return e;
}

/* Each detail is a block of its own: its pieces share an index and a type. */
static unsigned block_of_detail(const struct emitting *m, const json_t *detail)
{
    const json_t *index = json_object_get(detail, "index");
    struct ai_decoder_texts *t = &m->d->openai.texts[m->choice];
    uint16_t which = (uint16_t)(1 + (json_integer_value(index) & 0x1FFF));
    if (slice_eq(json_text(detail, "type"), SLICE("reasoning.summary")))
        which |= 0x4000;
    if (openai_detail_is_encrypted(detail))
        which |= 0x8000;
    if (which != t->detail || which & 0x8000)
        t->kind = 0;
    t->detail = which;
    return block_of(m->d, m->choice, AI_REASONING);
}

static enum err emit_detail(const struct emitting *m, const json_t *detail)
{
    struct ai_event e = {.kind = AI_REASONING, .text = openai_detail_text(detail)};
    struct slice seal = SLICE_NONE;
    if (m->choice >= AI_DECODER_OPENAI_CHOICES)
        return emit_text(m, AI_REASONING, e.text);
    bool encrypted = openai_detail_is_encrypted(detail),
         is_signed = openai_detail_is_signed(detail);
    enum err err = encrypted || is_signed ? openai_detail_seal(detail, m->d->arena, &seal) : ERR_OK;
    if (err || (!e.text.len && !seal.len))
        return err;
    e.block = block_of_detail(m, detail);
    if (e.text.len)
        err = emit(m, e);
    if (err || !seal.len)
        return err;
    e.text = SLICE_NONE;
    *(encrypted ? &e.id : &e.signature) = seal;
    return emit(m, e);
}

static bool have_words(const json_t *details)
{
    const json_t *one;
    size_t i;
    json_array_foreach(details, i, one)
    {
        if (openai_detail_text(one).len)
            return true;
    }
    return false;
}

/* The same words stand in `reasoning` too, without their blocks. */
static enum err emit_reasoning(const struct emitting *m, const json_t *reasoning,
                               const json_t *details)
{
    const json_t *one;
    size_t i;
    enum err e = have_words(details) ? ERR_OK : emit_text(m, AI_REASONING, text_of(reasoning));
    json_array_foreach(details, i, one)
    {
        if (!e)
            e = emit_detail(m, one);
    }
    return e;
}

/* Mistral's reasoning stands in the content, as text or as a list of texts. */
static enum err emit_list(const struct emitting *m, const json_t *list, enum ai_event_kind kind)
{
    const json_t *one;
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(list, i, one)
    {
        const json_t *thinking = json_object_get(one, "thinking");
        if (!e && json_is_array(thinking))
            e = emit_list(m, thinking, AI_REASONING);
        else if (!e && json_is_string(thinking))
            e = emit_text(m, AI_REASONING, text_of(thinking));
        else if (!e)
            e = emit_text(m, kind, json_text(one, "text"));
    }
    return e;
}

/* `part` is a chunk's delta or a response's message. */
static enum err emit_part(const struct emitting *m, const json_t *part)
{
    const json_t *reasoning = json_object_get(part, "reasoning_content");
    const json_t *content = json_object_get(part, "content");
    if (!json_is_string(reasoning))
        reasoning = json_object_get(part, "reasoning");
    enum err e = emit_reasoning(m, reasoning, json_object_get(part, "reasoning_details"));
    if (!e)
        e = emit_signatures(m, json_object_get(part, "thinking_blocks"));
    if (!e)
        e = json_is_array(content) ? emit_list(m, content, AI_TEXT)
                                   : emit_text(m, AI_TEXT, text_of(content));
    if (!e)
        e = emit_text(m, AI_REFUSAL, json_text(part, "refusal"));
    return e ? e : emit_calls(m, part);
}

/* ---- choices ---- */

static enum ai_finish finish_of(struct slice reason)
{
    static const struct {
        struct slice name;
        enum ai_finish finish;
    } rows[] = {
        {{"length", 6}, AI_FINISH_LENGTH},        {{"model_length", 12}, AI_FINISH_LENGTH},
        {{"max_tokens", 10}, AI_FINISH_LENGTH},   {{"tool_calls", 10}, AI_FINISH_TOOLS},
        {{"function_call", 13}, AI_FINISH_TOOLS}, {{"content_filter", 14}, AI_FINISH_FILTER}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(reason, rows[i].name))
            return rows[i].finish;
    return reason.len ? AI_FINISH_STOP : AI_FINISH_NONE;
}

/* Where a call was forced, OpenAI says "stop"; others always do. */
static enum err emit_finish(const struct emitting *m, struct slice reason)
{
    enum ai_finish finish = finish_of(reason);
    if (!finish)
        return ERR_OK;
    if (slice_eq(reason, SLICE("error")))
        return emit(m, (struct ai_event){.kind = AI_ERROR,
                                         .text = SLICE("it could not complete its response"),
                                         .verdict = AI_RETRY});
    if (finish == AI_FINISH_STOP && has_calls(m))
        finish = AI_FINISH_TOOLS;
    enum err e = end_calls(m);
    return e ? e : emit(m, (struct ai_event){.kind = AI_FINISH, .finish = finish});
}

static enum err emit_choices(struct emitting *m, const json_t *choices, const char *member)
{
    const json_t *choice;
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(choices, i, choice)
    {
        const json_t *index = json_object_get(choice, "index");
        m->choice = json_is_integer(index) ? (unsigned)json_integer_value(index) : (unsigned)i;
        if (!e)
            e = emit_part(m, json_object_get(choice, member));
        if (!e)
            e = emit_finish(m, json_text(choice, "finish_reason"));
    }
    m->choice = 0;
    return e;
}

/* Azure's first chunk has neither choices nor an id: it begins nothing. */
static enum err emit_start(const struct emitting *m, const json_t *tree)
{
    struct slice id = json_text(tree, "id");
    if (m->d->block || (!id.len && json_array_size(json_object_get(tree, "choices")) == 0))
        return ERR_OK;
    m->d->block = 1;
    return emit(m, (struct ai_event){.kind = AI_START, .id = id, .name = json_text(tree, "model")});
}

static enum err emit_error(const struct emitting *m, struct slice data)
{
    struct ai_fault fault;
    openai_read_error(500, data, m->d->arena, &fault);
    return emit(
        m, (struct ai_event){
               .kind = AI_ERROR, .text = fault.text, .name = fault.code, .verdict = fault.verdict});
}

/* Mistral's and older vLLM's are flat. */
static bool is_error(const json_t *tree, const struct usage_look *look)
{
    return look->has_error || slice_eq(json_text(tree, "object"), SLICE("error"));
}

static enum err emit_all(struct ai_decoder *d, struct slice data, const char *member,
                         ai_event_fn *fn, void *arg)
{
    struct emitting m = {.d = d, .fn = fn, .arg = arg};
    struct usage_look look = {0};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    enum err e = json_read(data, &tree, &problem);
    if (e || !json_is_object(tree))
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    bool read = !usage_read(data, &look);
    if (read && is_error(tree, &look))
        return emit_error(&m, data);
    e = emit_start(&m, tree);
    if (!e)
        e = emit_choices(&m, json_object_get(tree, "choices"), member);
    if (!e && look.has_usage)
        e = emit(&m, (struct ai_event){.kind = AI_USAGE, .usage = openai_usage_of(&look)});
    return e;
}

/* ---- the chunks that a stream is made of, without a tree ---- */

enum {
    ID,
    OBJECT,
    CREATED,
    MODEL,
    CHOICES,
    USAGE,
    FINGERPRINT,
    TIER,
    OBFUSCATION,
    INDEX,
    DELTA,
    FINISH,
    LOGPROBS,
    ROLE,
    CONTENT,
    REFUSAL,
    REASONING_CONTENT,
    REASONING,
    OLD_CALL,
    CALLS,
    CALL_INDEX,
    CALL_ID,
    CALL_TYPE,
    FUNCTION,
    NAME,
    ARGUMENTS,
    CHUNK_HITS
};

static const struct json_form function_form[] = {
    {"name", NAME, NULL, false}, {"arguments", ARGUMENTS, NULL, false}, {NULL, 0, NULL, false}};

static const struct json_form call_form[] = {
    {"index", CALL_INDEX, NULL, false},
    {"id", CALL_ID, NULL, false},
    {"type", CALL_TYPE, NULL, false},
    {"function", FUNCTION, function_form, false},
    {NULL, 0, NULL, false},
};

static const struct json_form delta_form[] = {
    {"content", CONTENT, NULL, false},
    {"tool_calls", CALLS, call_form, true},
    {"role", ROLE, NULL, false},
    {"refusal", REFUSAL, NULL, false},
    {"reasoning_content", REASONING_CONTENT, NULL, false},
    {"reasoning", REASONING, NULL, false},
    {"function_call", OLD_CALL, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct json_form choice_form[] = {
    {"index", INDEX, NULL, false},
    {"delta", DELTA, delta_form, false},
    {"finish_reason", FINISH, NULL, false},
    {"logprobs", LOGPROBS, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct json_form chunk_form[] = {
    {"id", ID, NULL, false},
    {"object", OBJECT, NULL, false},
    {"created", CREATED, NULL, false},
    {"model", MODEL, NULL, false},
    {"choices", CHOICES, choice_form, true},
    {"usage", USAGE, NULL, false},
    {"system_fingerprint", FINGERPRINT, NULL, false},
    {"service_tier", TIER, NULL, false},
    {"obfuscation", OBFUSCATION, NULL, false},
    {NULL, 0, NULL, false},
};

struct chunk {
    struct slice id, model, object, content, refusal, reasoning;
    struct call_words call;
    unsigned choice, call_index;
    bool has_call;
};

static bool is_none(const struct json_hit *h)
{
    return h->type == JSON_SCAN_ABSENT || h->type == JSON_SCAN_NULL;
}

/* False: it is none, and not missing either. */
static bool match_index(const struct json_hit *h, unsigned other, unsigned mask, unsigned *ret)
{
    uint64_t n;
    *ret = other;
    if (is_none(h))
        return true;
    if (json_scan_u64(h, &n))
        return false;
    *ret = (unsigned)n & mask;
    return true;
}

static bool match_texts(const struct json_hit *hits, struct json_form_room *room, struct chunk *ret)
{
    const struct json_hit *reasoning = &hits[REASONING_CONTENT];
    if (reasoning->type != JSON_SCAN_STRING)
        reasoning = &hits[REASONING];
    return json_form_text(&hits[ID], room, &ret->id) &&
           json_form_text(&hits[MODEL], room, &ret->model) &&
           json_form_text(&hits[OBJECT], room, &ret->object) &&
           json_form_text(&hits[CONTENT], room, &ret->content) &&
           json_form_text(&hits[REFUSAL], room, &ret->refusal) &&
           json_form_text(reasoning, room, &ret->reasoning) &&
           json_form_text(&hits[CALL_ID], room, &ret->call.id) &&
           json_form_text(&hits[NAME], room, &ret->call.name) &&
           json_form_text(&hits[ARGUMENTS], room, &ret->call.arguments);
}

/* A chunk of one choice that says neither why it ended nor what it took. */
static bool match_chunk(struct slice data, struct json_form_room *room, struct chunk *ret)
{
    struct json_hit hits[CHUNK_HITS] JSON_FORM_SCRATCH;
    room->used = 0;
    if (!json_form_match(data, chunk_form, hits, CHUNK_HITS) ||
        hits[CHOICES].type != JSON_SCAN_ARRAY || !is_none(&hits[FINISH]) || !is_none(&hits[USAGE]))
        return false;
    ret->has_call = hits[CALLS].type == JSON_SCAN_ARRAY;
    return match_index(&hits[INDEX], 0, UINT_MAX, &ret->choice) &&
           match_index(&hits[CALL_INDEX], NO_INDEX, 0x7FFF, &ret->call_index) &&
           match_texts(hits, room, ret) && !slice_eq(ret->object, SLICE("error"));
}

static enum err emit_piece(const struct emitting *m, const struct chunk *c)
{
    struct piece p = {.index = c->call_index, .count = 1};
    int at;
    enum err e = take_piece(m, &c->call, &p, &at);
    return e || at < 0 ? e : add_arguments(m, (unsigned)at, c->call.arguments);
}

static enum err emit_chunk(const struct emitting *m, const struct chunk *c)
{
    enum err e = ERR_OK;
    if (!m->d->block) {
        m->d->block = 1;
        e = m->fn(m->arg, &(struct ai_event){.kind = AI_START, .id = c->id, .name = c->model});
    }
    if (!e)
        e = emit_text(m, AI_REASONING, c->reasoning);
    if (!e)
        e = emit_text(m, AI_TEXT, c->content);
    if (!e)
        e = emit_text(m, AI_REFUSAL, c->refusal);
    return e || !c->has_call ? e : emit_piece(m, c);
}

/* False: it is another chunk, or is written in another way. */
static bool decode_chunk(struct ai_decoder *d, struct slice data, ai_event_fn *fn, void *arg,
                         enum err *ret)
{
    struct json_form_room room JSON_FORM_SCRATCH;
    struct chunk c;
    if (!match_chunk(data, &room, &c))
        return false;
    *ret = emit_chunk(&(struct emitting){d, fn, arg, c.choice}, &c);
    return true;
}

enum err openai_decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    if (!e->has_data || !slice_trim(e->data).len)
        return fn(arg, &(struct ai_event){.kind = AI_OTHER});
    if (openai_is_done(e->data))
        return fn(arg, &(struct ai_event){.kind = AI_END});
    enum err err;
    if (decode_chunk(d, e->data, fn, arg, &err))
        return err;
    return emit_all(d, e->data, "delta", fn, arg);
}

enum err openai_decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    if (openai_is_embeddings(body))
        return openai_decode_embeddings(body, fn, arg);
    enum err e = emit_all(d, body, "message", fn, arg);
    return e ? e : fn(arg, &(struct ai_event){.kind = AI_END});
}
