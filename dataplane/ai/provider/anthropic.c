/*
 * anthropic — Anthropic's Messages API (dialects.md 1.4).
 *
 * The version sent is 2023-06-01: under the later one any sampling parameter is a 400.
 */
#include "dataplane/ai/provider/anthropic.h"
#include "common/base/json.h"
#include "common/base/json_form.h"
#include "dataplane/ai/provider/anthropic_request.h"
#include "dataplane/ai/provider/emitter.h"

#define VERSION "2023-06-01"
#define ARENA_TEXT_MAX (64 * 1024)

static bool speaks(const struct ai_endpoint *e)
{
    return e->dialect == &dialect_anthropic_messages || e->dialect == &dialect_anthropic_count;
}

static bool serves(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->dialect == &dialect_anthropic_count;
}

/* ---- the request ---- */

/* All of the client's in one list, as its SDKs send it; SLICE_NONE: none. */
static struct slice betas_of(const struct ai_outgoing *o)
{
    const struct http_head *h = o->client_head;
    struct slice all = SLICE_NONE;
    for (size_t i = 0; i < h->header_count; i++) {
        struct slice one = h->headers[i].value;
        if (!one.len || !slice_ieq(h->headers[i].name, SLICE("anthropic-beta")))
            continue;
        all = all.len ? arena_printf(o->arena, "%.*s,%.*s", SLICE_ARG(all), SLICE_ARG(one)) : one;
    }
    return all;
}

/* A client that speaks this API says which version of it, and what it tries out. */
static void add_version(struct ai_outgoing *o)
{
    bool native = speaks(o->endpoint);
    struct slice version = SLICE_NONE, betas = native ? betas_of(o) : SLICE_NONE;
    if (native)
        version = http_head_find(o->client_head, SLICE("anthropic-version"));
    ai_outgoing_add(o, SLICE("anthropic-version"), version.len ? version : SLICE(VERSION));
    if (betas.len)
        ai_outgoing_add(o, SLICE("anthropic-beta"), betas);
}

static void add_headers(struct ai_outgoing *o)
{
    ai_outgoing_add(o, SLICE("content-type"), SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept"),
                    o->request->stream ? SLICE("text/event-stream") : SLICE("application/json"));
    ai_outgoing_add_own(o);
    add_version(o);
}

static enum err set_path(struct ai_outgoing *o)
{
    struct slice base = o->target->url.path, rest = SLICE("/v1/messages/count_tokens");
    if (o->endpoint->kind != AI_COUNT)
        rest = SLICE("/v1/messages");
    if (slice_eq(base, SLICE("/")))
        rest = slice_from(rest, 1);
    else if (base.len)
        rest = slice_from(rest, 3); /* "…/v1" */
    return ai_outgoing_path(o, rest);
}

static enum err authorize(struct ai_outgoing *o)
{
    return ai_outgoing_sign(o, SLICE("x-api-key"), SLICE(""));
}

static enum err build(struct ai_outgoing *o)
{
    enum err e = set_path(o);
    o->changes.marker = o->marker;
    o->changes.maker = &o->maker;
    if (!e && speaks(o->endpoint))
        e = o->endpoint->dialect->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    else if (!e)
        e = anthropic_write_body(o, &(struct anthropic_wrapping){0});
    if (e)
        return e;
    add_headers(o);
    return authorize(o);
}

/* ---- errors ---- */

static enum ai_verdict verdict_of_type(struct slice type, struct slice text, enum ai_verdict other)
{
    static const struct {
        struct slice type;
        enum ai_verdict verdict;
    } rows[] = {{{"overloaded_error", 16}, AI_RETRY},
                {{"api_error", 9}, AI_RETRY},
                {{"timeout_error", 13}, AI_RETRY},
                {{"rate_limit_error", 16}, AI_LIMITED},
                {{"authentication_error", 20}, AI_CREDENTIAL_BAD},
                {{"permission_error", 16}, AI_CREDENTIAL_BAD},
                {{"billing_error", 13}, AI_CREDENTIAL_BAD},
                {{"not_found_error", 15}, AI_FATAL},
                {{"request_too_large", 17}, AI_FATAL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(type, rows[i].type))
            return rows[i].verdict;
    if (!slice_eq(type, SLICE("invalid_request_error")))
        return other;
    if (slice_search(text, SLICE("prompt is too long")) >= 0)
        return AI_TOO_LONG;
    /* An account without money is told as an invalid request. */
    return slice_search(text, SLICE("credit balance is too low")) >= 0 ? AI_CREDENTIAL_BAD
                                                                       : AI_FATAL;
}

static struct slice copied(struct arena *a, struct slice s)
{
    return s.len ? arena_copy(a, slice_first(s, 64)) : SLICE_NONE;
}

void anthropic_read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    *ret = (struct ai_fault){.text = ai_fault_text(body, a),
                             .verdict = ai_verdict_of_status(status),
                             .usage = AI_USAGE_NONE};
    if (json_read(body, &tree, &problem))
        return;
    ret->code = copied(a, json_text(json_object_get(tree, "error"), "type"));
    ret->verdict = verdict_of_type(ret->code, ret->text, ret->verdict);
}

/* ---- what it says, as events ---- */

/* A member that is null says nothing new (dialects.md 2.10, 16). */
static struct ai_usage usage_of(const json_t *usage)
{
    struct ai_usage u = AI_USAGE_NONE;
    u.fresh = ai_usage_member(usage, "input_tokens");
    u.cache_read = ai_usage_member(usage, "cache_read_input_tokens");
    u.cache_write = ai_usage_member(usage, "cache_creation_input_tokens");
    u.cache_write_long =
        ai_usage_member(json_object_get(usage, "cache_creation"), "ephemeral_1h_input_tokens");
    u.output = ai_usage_member(usage, "output_tokens");
    u.reasoning =
        ai_usage_member(json_object_get(usage, "output_tokens_details"), "thinking_tokens");
    return u;
}

static enum err emit_usage(const struct emitting *m, const json_t *usage)
{
    if (!json_is_object(usage))
        return ERR_OK;
    return emit(m, (struct ai_event){.kind = AI_USAGE, .usage = usage_of(usage)});
}

static enum err emit_start(const struct emitting *m, const json_t *message)
{
    enum err e = emit(m, (struct ai_event){.kind = AI_START,
                                           .id = json_text(message, "id"),
                                           .name = json_text(message, "model")});
    return e ? e : emit_usage(m, json_object_get(message, "usage"));
}

static enum err emit_finish(const struct emitting *m, struct slice reason)
{
    static const struct {
        struct slice reason;
        enum ai_finish finish;
    } rows[] = {{{"max_tokens", 10}, AI_FINISH_LENGTH},
                {{"model_context_window_exceeded", 29}, AI_FINISH_LENGTH},
                {{"tool_use", 8}, AI_FINISH_TOOLS},
                {{"refusal", 7}, AI_FINISH_FILTER}};
    enum ai_finish finish = AI_FINISH_STOP; /* end_turn, stop_sequence, pause_turn */
    if (!reason.len)
        return ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(reason, rows[i].reason))
            finish = rows[i].finish;
    return emit(m, (struct ai_event){.kind = AI_FINISH, .finish = finish});
}

static enum err emit_error(const struct emitting *m, const json_t *tree)
{
    const json_t *error = json_object_get(tree, "error");
    struct slice type = json_text(error, "type"), text = json_text(error, "message");
    return emit(m, (struct ai_event){.kind = AI_ERROR,
                                     .text = ai_fault_clean(text, m->d->arena),
                                     .name = type,
                                     .verdict = verdict_of_type(type, text, AI_RETRY)});
}

static enum err emit_arguments(const struct emitting *m, const json_t *input)
{
    struct buf text;
    if (!json_is_object(input) || json_object_size(input) == 0)
        return ERR_OK;
    buf_init(&text, 64u * 1024 * 1024);
    enum err e = json_write(input, &text);
    m->d->has_arguments = true;
    if (!e)
        e = emit_text(m, AI_TOOL_ARGUMENTS, buf_slice(&text));
    buf_fini(&text);
    return e;
}

static enum err begin_block(const struct emitting *m, const json_t *block)
{
    struct slice type = json_text(block, "type");
    if (slice_eq(type, SLICE("text")))
        return emit_text(m, AI_TEXT, json_text(block, "text"));
    if (slice_eq(type, SLICE("thinking"))) {
        enum err e = emit_text(m, AI_REASONING, json_text(block, "thinking"));
        struct slice seal = json_text(block, "signature");
        return e || !seal.len ? e
                              : emit(m, (struct ai_event){.kind = AI_REASONING, .signature = seal});
    }
    if (slice_eq(type, SLICE("redacted_thinking")))
        return emit(m, (struct ai_event){.kind = AI_REASONING, .id = json_text(block, "data")});
    if (!slice_eq(type, SLICE("tool_use")))
        return emit(m, (struct ai_event){.kind = AI_OTHER}); /* a tool that the provider runs */
    m->d->in_tool = true;
    m->d->has_arguments = false;
    enum err e = emit(m, (struct ai_event){.kind = AI_TOOL_START,
                                           .id = json_text(block, "id"),
                                           .name = json_text(block, "name")});
    return e ? e : emit_arguments(m, json_object_get(block, "input"));
}

/* content_block_delta */
struct delta {
    struct slice type, text, thinking, signature, arguments;
};

static enum err add_to_block(const struct emitting *m, const struct delta *d)
{
    if (slice_eq(d->type, SLICE("text_delta")))
        return emit_text(m, AI_TEXT, d->text);
    if (slice_eq(d->type, SLICE("thinking_delta")))
        return emit_text(m, AI_REASONING, d->thinking);
    if (slice_eq(d->type, SLICE("signature_delta")))
        return emit(m, (struct ai_event){.kind = AI_REASONING, .signature = d->signature});
    if (!slice_eq(d->type, SLICE("input_json_delta")) || !m->d->in_tool)
        return emit(m, (struct ai_event){.kind = AI_OTHER});
    m->d->has_arguments = m->d->has_arguments || d->arguments.len;
    return emit_text(m, AI_TOOL_ARGUMENTS, d->arguments);
}

static struct delta read_delta(const json_t *delta)
{
    return (struct delta){.type = json_text(delta, "type"),
                          .text = json_text(delta, "text"),
                          .thinking = json_text(delta, "thinking"),
                          .signature = json_text(delta, "signature"),
                          .arguments = json_text(delta, "partial_json")};
}

/* Arguments that were never begun are an empty object. */
static enum err end_block(const struct emitting *m)
{
    enum err e = ERR_OK;
    if (!m->d->in_tool)
        return emit(m, (struct ai_event){.kind = AI_BLOCK_END});
    m->d->in_tool = false;
    if (!m->d->has_arguments)
        e = emit_text(m, AI_TOOL_ARGUMENTS, SLICE("{}"));
    return e ? e : emit(m, (struct ai_event){.kind = AI_TOOL_END});
}

static void note_block(struct ai_decoder *d, const json_t *tree)
{
    const json_t *index = json_object_get(tree, "index");
    if (json_is_integer(index))
        d->block = (unsigned)json_integer_value(index);
}

static enum err decode_event(const struct emitting *m, const json_t *tree)
{
    struct slice type = json_text(tree, "type");
    const struct delta delta = read_delta(json_object_get(tree, "delta"));
    note_block(m->d, tree);
    if (slice_eq(type, SLICE("content_block_delta")))
        return add_to_block(m, &delta);
    if (slice_eq(type, SLICE("content_block_start")))
        return begin_block(m, json_object_get(tree, "content_block"));
    if (slice_eq(type, SLICE("content_block_stop")))
        return end_block(m);
    if (slice_eq(type, SLICE("message_start")))
        return emit_start(m, json_object_get(tree, "message"));
    if (slice_eq(type, SLICE("message_stop")))
        return emit(m, (struct ai_event){.kind = AI_END});
    if (slice_eq(type, SLICE("error")))
        return emit_error(m, tree);
    if (!slice_eq(type, SLICE("message_delta")))
        return emit(m, (struct ai_event){.kind = AI_OTHER}); /* ping, and what is new */
    enum err e = emit_usage(m, json_object_get(tree, "usage"));
    return e ? e : emit_finish(m, json_text(json_object_get(tree, "delta"), "stop_reason"));
}

/* ---- the events that a stream is made of, without a tree ---- */

enum { EVENT_TYPE, INDEX, DELTA, DELTA_TYPE, TEXT, THINKING, SIGNATURE, ARGUMENTS, DELTA_HITS };

static const struct json_form delta_form[] = {
    {"type", DELTA_TYPE, NULL, false},        {"text", TEXT, NULL, false},
    {"partial_json", ARGUMENTS, NULL, false}, {"thinking", THINKING, NULL, false},
    {"signature", SIGNATURE, NULL, false},    {NULL, 0, NULL, false},
};

static const struct json_form event_form[] = {
    {"type", EVENT_TYPE, NULL, false},
    {"index", INDEX, NULL, false},
    {"delta", DELTA, delta_form, false},
    {NULL, 0, NULL, false},
};

static bool match_delta(struct slice data, struct json_hit *hits, struct json_form_room *room,
                        struct delta *ret)
{
    struct slice type;
    room->used = 0;
    return json_form_match(data, event_form, hits, DELTA_HITS) &&
           json_form_text(&hits[EVENT_TYPE], room, &type) &&
           slice_eq(type, SLICE("content_block_delta")) &&
           json_form_text(&hits[DELTA_TYPE], room, &ret->type) &&
           json_form_text(&hits[TEXT], room, &ret->text) &&
           json_form_text(&hits[THINKING], room, &ret->thinking) &&
           json_form_text(&hits[SIGNATURE], room, &ret->signature) &&
           json_form_text(&hits[ARGUMENTS], room, &ret->arguments);
}

/* False: it is another event, or is written in another way. */
static bool decode_delta(const struct emitting *m, struct slice data, enum err *ret)
{
    struct json_hit hits[DELTA_HITS] JSON_FORM_SCRATCH;
    struct json_form_room room JSON_FORM_SCRATCH;
    struct delta delta;
    uint64_t index;
    if (!match_delta(data, hits, &room, &delta) || json_scan_u64(&hits[INDEX], &index))
        return false;
    m->d->block = (unsigned)index;
    *ret = add_to_block(m, &delta);
    return true;
}

enum err anthropic_decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn,
                          void *arg)
{
    const struct emitting m = {d, fn, arg};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    if (!e->has_data)
        return emit(&m, (struct ai_event){.kind = AI_OTHER});
    enum err err;
    if (decode_delta(&m, e->data, &err))
        return err;
    err = json_read(e->data, &tree, &problem);
    if (err || !json_is_object(tree))
        return err == ERR_NOMEM ? err : ERR_PROTOCOL;
    return decode_event(&m, tree);
}

static enum err decode_content(const struct emitting *m, const json_t *content)
{
    const json_t *block;
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(content, i, block)
    {
        m->d->block = (unsigned)i;
        if (!e)
            e = begin_block(m, block);
        if (!e)
            e = end_block(m);
    }
    return e;
}

/* ---- a message of one text, without a tree ---- */

enum {
    ID,
    MESSAGE_TYPE,
    ROLE,
    MODEL,
    CONTENT,
    STOP_REASON,
    STOP_SEQUENCE,
    STOP_DETAILS,
    CONTAINER,
    USAGE,
    BLOCK_TYPE,
    BLOCK_TEXT,
    CITATIONS,
    INPUT_TOKENS,
    CACHE_WRITE,
    CACHE_READ,
    OUTPUT_TOKENS,
    CREATION,
    WRITE_SHORT,
    WRITE_LONG,
    DETAILS,
    THINKING_TOKENS,
    TIER,
    GEO,
    SERVER_TOOLS,
    MESSAGE_HITS
};

static const struct json_form block_form[] = {
    {"type", BLOCK_TYPE, NULL, false},
    {"text", BLOCK_TEXT, NULL, false},
    {"citations", CITATIONS, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct json_form creation_form[] = {
    {"ephemeral_5m_input_tokens", WRITE_SHORT, NULL, false},
    {"ephemeral_1h_input_tokens", WRITE_LONG, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct json_form details_form[] = {{"thinking_tokens", THINKING_TOKENS, NULL, false},
                                                {NULL, 0, NULL, false}};

static const struct json_form usage_form[] = {
    {"input_tokens", INPUT_TOKENS, NULL, false},
    {"cache_creation_input_tokens", CACHE_WRITE, NULL, false},
    {"cache_read_input_tokens", CACHE_READ, NULL, false},
    {"output_tokens", OUTPUT_TOKENS, NULL, false},
    {"cache_creation", CREATION, creation_form, false},
    {"output_tokens_details", DETAILS, details_form, false},
    {"service_tier", TIER, NULL, false},
    {"inference_geo", GEO, NULL, false},
    {"server_tool_use", SERVER_TOOLS, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct json_form message_form[] = {
    {"id", ID, NULL, false},
    {"type", MESSAGE_TYPE, NULL, false},
    {"role", ROLE, NULL, false},
    {"model", MODEL, NULL, false},
    {"content", CONTENT, block_form, true},
    {"stop_reason", STOP_REASON, NULL, false},
    {"stop_sequence", STOP_SEQUENCE, NULL, false},
    {"stop_details", STOP_DETAILS, NULL, false},
    {"container", CONTAINER, NULL, false},
    {"usage", USAGE, usage_form, false},
    {NULL, 0, NULL, false},
};

struct message {
    struct slice id, model, text, reason;
    bool counts;
    struct ai_usage usage;
};

static struct ai_usage usage_of_hits(const struct json_hit *hits)
{
    struct ai_usage u = AI_USAGE_NONE;
    u.fresh = ai_usage_hit(&hits[INPUT_TOKENS]);
    u.cache_read = ai_usage_hit(&hits[CACHE_READ]);
    u.cache_write = ai_usage_hit(&hits[CACHE_WRITE]);
    u.cache_write_long = ai_usage_hit(&hits[WRITE_LONG]);
    u.output = ai_usage_hit(&hits[OUTPUT_TOKENS]);
    u.reasoning = ai_usage_hit(&hits[THINKING_TOKENS]);
    return u;
}

/* Read in the arena where it has escapes. */
static bool text_of_hit(const struct json_hit *hit, struct arena *a, struct slice *ret)
{
    *ret = slice_of(hit->raw.ptr + 1, hit->raw.len - 2);
    if (!memchr(ret->ptr, '\\', ret->len))
        return true;
    char *room = a && hit->raw.len <= ARENA_TEXT_MAX ? arena_alloc(a, hit->raw.len) : NULL;
    return room && !json_scan_text(hit, room, hit->raw.len, ret);
}

static bool match_message(struct slice body, struct arena *a, struct json_form_room *room,
                          struct message *ret)
{
    struct json_hit hits[MESSAGE_HITS] JSON_FORM_SCRATCH;
    struct slice type, kind;
    room->used = 0;
    if (!json_form_match(body, message_form, hits, MESSAGE_HITS) ||
        !json_form_text(&hits[MESSAGE_TYPE], room, &type) || !slice_eq(type, SLICE("message")) ||
        !json_form_text(&hits[BLOCK_TYPE], room, &kind) || !slice_eq(kind, SLICE("text")) ||
        hits[BLOCK_TEXT].type != JSON_SCAN_STRING)
        return false;
    ret->counts = hits[USAGE].type == JSON_SCAN_OBJECT;
    ret->usage = usage_of_hits(hits);
    return json_form_text(&hits[ID], room, &ret->id) &&
           json_form_text(&hits[MODEL], room, &ret->model) &&
           json_form_text(&hits[STOP_REASON], room, &ret->reason) &&
           text_of_hit(&hits[BLOCK_TEXT], a, &ret->text);
}

static enum err emit_message(const struct emitting *m, const struct message *w)
{
    enum err e = emit(m, (struct ai_event){.kind = AI_START, .id = w->id, .name = w->model});
    if (!e && w->counts)
        e = emit(m, (struct ai_event){.kind = AI_USAGE, .usage = w->usage});
    if (!e)
        e = emit_text(m, AI_TEXT, w->text);
    if (!e)
        e = end_block(m);
    if (!e)
        e = emit_finish(m, w->reason);
    return e ? e : emit(m, (struct ai_event){.kind = AI_END});
}

enum err anthropic_decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    const struct emitting m = {d, fn, arg};
    struct json_form_room room JSON_FORM_SCRATCH;
    struct json_problem problem;
    struct message message;
    JSON_AUTO json_t *tree = NULL;
    if (match_message(body, d->arena, &room, &message))
        return emit_message(&m, &message);
    enum err e = json_read(body, &tree, &problem);
    if (e || !json_is_object(tree))
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    if (slice_eq(json_text(tree, "type"), SLICE("error")))
        return emit_error(&m, tree);
    if (!slice_eq(json_text(tree, "type"), SLICE("message")))
        return ERR_PROTOCOL;
    e = emit_start(&m, tree);
    if (!e)
        e = decode_content(&m, json_object_get(tree, "content"));
    if (!e)
        e = emit_finish(&m, json_text(tree, "stop_reason"));
    return e ? e : emit(&m, (struct ai_event){.kind = AI_END});
}

static enum err read_count(struct slice body, uint64_t *ret)
{
    static const char *const wants[] = {"input_tokens"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    if (json_scan_response(body, wants, 1, &hit, &root, &problem) || json_scan_u64(&hit, ret))
        return ERR_PROTOCOL;
    return ERR_OK;
}

const struct ai_provider provider_anthropic = {
    .name = {"anthropic", 9},
    .hidden_prompt = 600, /* its own instructions for tools */
    .bills_cancelled = true,
    .speaks = speaks,
    .serves = serves,
    .build = build,
    .authorize = authorize,
    .read_error = anthropic_read_error,
    .read_count = read_count,
    .decode = anthropic_decode,
    .decode_whole = anthropic_decode_whole,
};
