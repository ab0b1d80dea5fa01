/*
 * bedrock — Amazon Bedrock's Converse and ConverseStream (dialects.md 1.6).
 *
 * A request is signed (Signature Version 4) where the account has an access key, and else carries
 * its secret as a bearer key. A stream is a sequence of binary messages (net/aws_event.h); its last
 * one reports the usage, behind the one that says why the model stopped.
 */
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/json.h"
#include "common/base/limits.h"
#include "common/base/secret.h"
#include "dataplane/ai/provider/aws_sign.h"
#include "dataplane/ai/provider/bedrock_embed.h"
#include "dataplane/ai/provider/bedrock_request.h"
#include "dataplane/ai/provider/emitter.h"

static bool speaks(const struct ai_endpoint *e)
{
    return e->dialect == &dialect_bedrock_converse;
}

static bool serves(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->kind == AI_EMBEDDINGS;
}

/* ---- the request ---- */

static enum err set_path(struct ai_outgoing *o)
{
    struct slice model = aws_path_segment(o->changes.model, o->arena);
    const char *verb = o->endpoint->kind == AI_EMBEDDINGS ? "invoke"
                       : o->request->stream               ? "converse-stream"
                                                          : "converse";
    struct slice path = arena_printf(o->arena, "/model/%.*s/%s", SLICE_ARG(model), verb);
    return model.ptr && path.ptr ? ai_outgoing_path(o, path) : ERR_NOMEM;
}

static void add_headers(struct ai_outgoing *o)
{
    ai_outgoing_add(o, SLICE("content-type"), SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept"),
                    o->request->stream ? SLICE("application/vnd.amazon.eventstream")
                                       : SLICE("application/json"));
    ai_outgoing_add_own(o);
}

/* As the request's Host header has it. */
static struct slice host_of(const struct url *u, struct arena *a)
{
    bool literal6 = slice_find(u->host, ':') >= 0;
    bool usual = u->port == (u->tls ? 443 : 80);
    struct slice host = literal6 ? arena_printf(a, "[%.*s]", SLICE_ARG(u->host)) : u->host;
    return usual ? host : arena_printf(a, "%.*s:%u", SLICE_ARG(host), u->port);
}

/* Of the account itself, or what its source gave. */
static struct slice key_id_of(const struct ai_outgoing *o)
{
    return o->given ? o->given->key_id : o->account ? o->account->access_key_id : SLICE("");
}

static struct slice session_token_of(const struct ai_outgoing *o)
{
    const struct secret *s = o->given ? o->given->session_token : o->account->session_token;
    return s ? secret_reveal(s) : SLICE("");
}

static enum err sign(struct ai_outgoing *o)
{
    struct aws_signature signature;
    ptrdiff_t mark = slice_find(o->path, '?');
    struct slice token = session_token_of(o);
    const struct aws_signing s = {
        .method = o->method.len ? o->method : SLICE("POST"),
        .host = host_of(o->url, o->arena),
        .path = mark < 0 ? o->path : slice_first(o->path, (size_t)mark),
        .query = mark < 0 ? SLICE("") : slice_from(o->path, (size_t)mark + 1),
        .content_type = o->method.len ? o->content_type : SLICE("application/json"),
        .body = o->pieces,
        .body_count = AI_REQUEST_PIECES,
        .access_key_id = key_id_of(o),
        .secret = o->credential ? secret_reveal(o->credential) : SLICE(""),
        .session_token = token,
        .region = o->account->region,
        .service = SLICE("bedrock"),
        .at_us = clock_wall_us(),
    };
    enum err e = s.host.ptr ? aws_sign(&s, o->arena, &signature) : ERR_NOMEM;
    if (e)
        return e;
    ai_outgoing_add(o, SLICE("x-amz-date"), signature.date);
    if (token.len)
        ai_outgoing_add(o, SLICE("x-amz-security-token"), token);
    ai_outgoing_add(o, SLICE("authorization"), signature.authorization);
    return ERR_OK;
}

static enum err authorize(struct ai_outgoing *o)
{
    if (key_id_of(o).len)
        return sign(o);
    return ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

static enum err set_body(struct ai_outgoing *o)
{
    o->changes.marker = o->marker;
    o->changes.maker = &o->maker;
    if (!o->chat)
        return o->endpoint->dialect->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    return o->endpoint->kind == AI_EMBEDDINGS ? bedrock_write_embed(o) : bedrock_write_body(o);
}

static enum err build(struct ai_outgoing *o)
{
    enum err e = set_path(o);
    if (!e)
        e = set_body(o);
    if (e)
        return e;
    add_headers(o);
    return authorize(o);
}

/* ---- errors ---- */

/* Of HTTP by x-amzn-errortype, of a stream by :exception-type; the latter begin in lower case. */
static const struct {
    struct slice type;
    enum ai_verdict verdict;
} error_types[] = {
    {{"ThrottlingException", 19}, AI_LIMITED},
    {{"ServiceQuotaExceededException", 29}, AI_LIMITED},
    {{"ModelNotReadyException", 22}, AI_RETRY},
    {{"ModelTimeoutException", 21}, AI_RETRY},
    {{"ModelErrorException", 19}, AI_RETRY},
    {{"ModelStreamErrorException", 25}, AI_RETRY},
    {{"InternalServerException", 23}, AI_RETRY},
    {{"InternalFailure", 15}, AI_RETRY},
    {{"ServiceUnavailableException", 27}, AI_RETRY},
    {{"AccessDeniedException", 21}, AI_CREDENTIAL_BAD},
    {{"UnrecognizedClientException", 27}, AI_CREDENTIAL_BAD},
    {{"InvalidSignatureException", 25}, AI_CREDENTIAL_BAD},
    {{"MissingAuthenticationTokenException", 35}, AI_CREDENTIAL_BAD},
    {{"ExpiredTokenException", 21}, AI_CREDENTIAL_BAD},
    {{"ExpiredToken", 12}, AI_CREDENTIAL_BAD},
    {{"IncompleteSignature", 19}, AI_CREDENTIAL_BAD},
    {{"ResourceNotFoundException", 25}, AI_FATAL},
    {{"ValidationException", 19}, AI_FATAL},
};

/* No status of its own says that a prompt is too long. */
static bool is_too_long(struct slice text)
{
    static const struct slice says[] = {{"too long", 8},         {"too large", 9},
                                        {"maximum context", 15}, {"context length", 14},
                                        {"exceed context", 14},  {"maximum number of tokens", 24}};
    for (size_t i = 0; i < ARRAY_LEN(says); i++)
        if (slice_search(text, says[i]) >= 0)
            return true;
    return false;
}

static enum ai_verdict verdict_of(struct slice type, struct slice text, enum ai_verdict other)
{
    enum ai_verdict v = other;
    for (size_t i = 0; i < ARRAY_LEN(error_types); i++)
        if (slice_ieq(type, error_types[i].type))
            v = error_types[i].verdict;
    return v == AI_FATAL && is_too_long(text) ? AI_TOO_LONG : v;
}

/* 424: the model, not the request, has failed. */
static void read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    *ret = (struct ai_fault){.text = ai_fault_text(body, a), .usage = AI_USAGE_NONE};
    enum ai_verdict v = status == 424 ? AI_RETRY : ai_verdict_of_status(status);
    ret->verdict = verdict_of(SLICE_NONE, ret->text, v);
}

/* "ThrottlingException:http://internal.amazon.com/…" */
static void read_error_word(struct slice word, struct ai_fault *ret)
{
    ptrdiff_t colon = slice_find(word, ':');
    ret->code = colon < 0 ? word : slice_first(word, (size_t)colon);
    ret->verdict = verdict_of(ret->code, ret->text, ret->verdict);
}

/* ---- what it says, as events ---- */

/* The API names neither the response nor the model. */
static enum err emit_start(const struct emitting *m)
{
    unsigned char random[12];
    char hex[2 * sizeof(random) + 1];
    if (m->d->begun)
        return ERR_OK;
    m->d->begun = true;
    digest_random(random, sizeof(random));
    digest_hex(slice_of(random, sizeof(random)), hex);
    return emit(m, (struct ai_event){.kind = AI_START,
                                     .id = arena_printf(m->d->arena, "bedrock-%s", hex),
                                     .name = m->d->model});
}

static enum err emit_usage(const struct emitting *m, const json_t *usage)
{
    struct ai_usage u = AI_USAGE_NONE;
    if (!json_is_object(usage))
        return ERR_OK;
    u.fresh = ai_usage_member(usage, "inputTokens");
    u.cache_read = ai_usage_member(usage, "cacheReadInputTokens");
    u.cache_write = ai_usage_member(usage, "cacheWriteInputTokens");
    u.output = ai_usage_member(usage, "outputTokens");
    return emit(m, (struct ai_event){.kind = AI_USAGE, .usage = u});
}

/* "/delta/stop_sequence" was asked for; the whole response has it without the delta. */
static struct slice stop_sequence(const json_t *tree)
{
    const json_t *more = json_object_get(tree, "additionalModelResponseFields");
    const json_t *delta = json_object_get(more, "delta");
    return json_text(delta ? delta : more, "stop_sequence");
}

static enum err emit_finish(const struct emitting *m, const json_t *tree)
{
    static const struct {
        struct slice reason;
        enum ai_finish finish;
    } rows[] = {{{"max_tokens", 10}, AI_FINISH_LENGTH},
                {{"model_context_window_exceeded", 29}, AI_FINISH_LENGTH},
                {{"tool_use", 8}, AI_FINISH_TOOLS},
                {{"guardrail_intervened", 20}, AI_FINISH_FILTER},
                {{"content_filtered", 16}, AI_FINISH_FILTER},
                {{"refusal", 7}, AI_FINISH_FILTER}};
    struct slice reason = json_text(tree, "stopReason");
    enum ai_finish finish = AI_FINISH_STOP; /* end_turn, stop_sequence */
    if (!reason.len)
        return ERR_OK;
    if (slice_starts(reason, SLICE("malformed_")))
        return emit(m, (struct ai_event){.kind = AI_ERROR,
                                         .text = SLICE("the model's output was malformed"),
                                         .name = reason,
                                         .verdict = AI_RETRY});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(reason, rows[i].reason))
            finish = rows[i].finish;
    m->d->finished = true;
    return emit(
        m, (struct ai_event){.kind = AI_FINISH, .finish = finish, .text = stop_sequence(tree)});
}

static enum err emit_call(const struct emitting *m, const json_t *call)
{
    m->d->in_tool = true;
    m->d->has_arguments = false;
    return emit(m, (struct ai_event){.kind = AI_TOOL_START,
                                     .id = json_text(call, "toolUseId"),
                                     .name = json_text(call, "name")});
}

static enum err emit_reasoning(const struct emitting *m, const json_t *part)
{
    struct slice redacted = json_text(part, "redactedContent"), seal = json_text(part, "signature");
    if (redacted.len)
        return emit(m, (struct ai_event){.kind = AI_REASONING, .id = redacted});
    enum err e = emit_text(m, AI_REASONING, json_text(part, "text"));
    return e || !seal.len ? e : emit(m, (struct ai_event){.kind = AI_REASONING, .signature = seal});
}

/* Text and reasoning have no start of their own. */
static enum err emit_delta(const struct emitting *m, const json_t *delta)
{
    const json_t *call = json_object_get(delta, "toolUse");
    const json_t *thought = json_object_get(delta, "reasoningContent");
    if (thought)
        return emit_reasoning(m, thought);
    if (!call)
        return emit_text(m, AI_TEXT, json_text(delta, "text"));
    struct slice piece = json_text(call, "input");
    m->d->has_arguments = m->d->has_arguments || piece.len;
    return emit_text(m, AI_TOOL_ARGUMENTS, piece);
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

static enum err emit_exception(const struct emitting *m, const struct sse_event *e)
{
    struct slice text = ai_fault_text(e->data, m->d->arena);
    return emit(m, (struct ai_event){.kind = AI_ERROR,
                                     .text = text,
                                     .name = arena_copy(m->d->arena, slice_first(e->event, 64)),
                                     .verdict = verdict_of(e->event, text, AI_RETRY)});
}

/* Of a stream that was cut before it, the usage is missing; what comes before the end of the
 * model's turn does not end it. */
static enum err emit_metadata(const struct emitting *m, const json_t *tree)
{
    enum err e = emit_usage(m, json_object_get(tree, "usage"));
    return e || !m->d->finished ? e : emit(m, (struct ai_event){.kind = AI_END});
}

static enum err decode_event(const struct emitting *m, struct slice type, const json_t *tree)
{
    const json_t *index = json_object_get(tree, "contentBlockIndex");
    if (json_is_integer(index))
        m->d->block = (unsigned)json_integer_value(index);
    if (slice_eq(type, SLICE("contentBlockDelta")))
        return emit_delta(m, json_object_get(tree, "delta"));
    if (slice_eq(type, SLICE("contentBlockStop")))
        return end_block(m);
    if (slice_eq(type, SLICE("messageStop")))
        return emit_finish(m, tree);
    if (slice_eq(type, SLICE("metadata")))
        return emit_metadata(m, tree);
    if (slice_eq(type, SLICE("contentBlockStart"))) {
        const json_t *call = json_object_get(json_object_get(tree, "start"), "toolUse");
        return call ? emit_call(m, call) : emit(m, (struct ai_event){.kind = AI_OTHER});
    }
    return emit(m, (struct ai_event){.kind = AI_OTHER});
}

static enum err decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    const struct emitting m = {d, fn, arg};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    if (slice_eq(e->id, SLICE("exception")) || slice_eq(e->id, SLICE("error")))
        return emit_exception(&m, e);
    if (slice_eq(e->event, SLICE("initial-response")))
        return emit(&m, (struct ai_event){.kind = AI_OTHER});
    enum err err = json_read(e->data, &tree, &problem);
    if (err || !json_is_object(tree))
        return err == ERR_NOMEM ? err : ERR_PROTOCOL;
    err = emit_start(&m);
    return err ? err : decode_event(&m, e->event, tree);
}

/* ---- a whole response ---- */

static enum err decode_input(const struct emitting *m, const json_t *call)
{
    const json_t *input = json_object_get(call, "input");
    struct buf text;
    enum err e = emit_call(m, call);
    if (e || !json_is_object(input) || json_object_size(input) == 0)
        return e;
    buf_init(&text, LIMIT_AI_ANSWER);
    e = json_write(input, &text);
    m->d->has_arguments = true;
    if (!e)
        e = emit_text(m, AI_TOOL_ARGUMENTS, buf_slice(&text));
    buf_fini(&text);
    return e;
}

static enum err decode_block(const struct emitting *m, const json_t *block)
{
    const json_t *call = json_object_get(block, "toolUse");
    const json_t *thought = json_object_get(block, "reasoningContent");
    const json_t *text = json_object_get(thought, "reasoningText");
    const json_t *cited = json_object_get(json_object_get(block, "citationsContent"), "content");
    enum err e = call      ? decode_input(m, call)
                 : thought ? emit_reasoning(m, text ? text : thought)
                           : emit_text(m, AI_TEXT, json_text(block, "text"));
    for (size_t i = 0; i < json_array_size(cited) && !e; i++)
        e = emit_text(m, AI_TEXT, json_text(json_array_get(cited, i), "text"));
    return e ? e : end_block(m);
}

static enum err decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    const struct emitting m = {d, fn, arg};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    enum err e = json_read(body, &tree, &problem);
    if (!e && bedrock_is_embedding(tree))
        return bedrock_emit_embedding(tree, fn, arg);
    if (e || !json_is_object(json_object_get(tree, "output")))
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    const json_t *message = json_object_get(json_object_get(tree, "output"), "message");
    const json_t *content = json_object_get(message, "content");
    e = emit_start(&m);
    for (size_t i = 0; i < json_array_size(content) && !e; i++) {
        d->block = (unsigned)i;
        e = decode_block(&m, json_array_get(content, i));
    }
    if (!e)
        e = emit_usage(&m, json_object_get(tree, "usage"));
    if (!e)
        e = emit_finish(&m, tree);
    return e ? e : emit(&m, (struct ai_event){.kind = AI_END});
}

const struct ai_provider provider_bedrock = {
    .name = {"bedrock", 7},
    .hidden_prompt = 600, /* of Claude: its own instructions for tools */
    .bills_cancelled = true,
    .framing = AI_FRAMES_AWS,
    .speaks = speaks,
    .serves = serves,
    .build = build,
    .authorize = authorize,
    .read_error = read_error,
    .error_header = {"x-amzn-errortype", 16},
    .read_error_word = read_error_word,
    .decode = decode,
    .decode_whole = decode_whole,
};
