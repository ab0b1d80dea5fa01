/*
 * bedrock_converse — Converse and ConverseStream, as clients of Amazon Bedrock speak them
 * (dialects.md 1.6).
 *
 * A stream is binary messages (net/aws_event.h). Blocks of text and of reasoning begin with their
 * first piece; a call of a tool has a start of its own. Each block has an end. Pieces of parallel
 * calls may alternate: each names its block. The usage is the last message.
 */
#include "common/base/digest.h"
#include "common/base/json_out.h"
#include "common/base/json_scan.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/aws_event.h"
#include "common/request/request.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/bedrock_body.h"
#include "dataplane/ai/dialect/body_shape.h"

#define MESSAGE_MAX (2u * 1024 * 1024) /* a payload */

/* ---- what only its maker can read ---- */

static bool can_mark(const struct ai_context *to)
{
    return to->marker && to->marker->ready && to->account.text[0];
}

static enum err append_marked(const struct ai_context *to, struct slice value, struct buf *out)
{
    char mark[AI_MARK_LEN];
    enum err e = buf_append(out, value);
    if (e || !ai_mark_write(to->marker, &to->account, value, mark))
        return e ? e : ERR_INVALID;
    return buf_append(out, slice_of(mark, sizeof(mark)));
}

static enum err append_bytes(const struct ai_context *to, struct slice value, struct buf *out)
{
    struct buf seal;
    buf_init(&seal, LIMIT_AI_ANSWER);
    enum err e = buf_append(&seal, SLICE(BEDROCK_SEAL));
    if (!e)
        e = append_marked(to, value, &seal);
    char *text = e ? NULL : mem_alloc(4 * ((seal.len + 2) / 3) + 1);
    if (text)
        e = buf_append(out, slice_of(text, digest_base64(buf_slice(&seal), text)));
    else
        e = e ? e : ERR_NOMEM;
    mem_free(text);
    buf_fini(&seal);
    return e;
}

/* Marked as its maker's, it goes to no other account later. */
static void put_marked(struct json_out *o, const char *name, struct slice value, bool as_bytes,
                       const struct ai_context *to)
{
    struct buf text;
    if (!value.len || !can_mark(to)) {
        json_out_text(o, name, value);
        return;
    }
    buf_init(&text, LIMIT_AI_ANSWER);
    enum err e = as_bytes ? append_bytes(to, value, &text) : append_marked(to, value, &text);
    json_out_text(o, name, buf_slice(&text));
    o->e = o->e ? o->e : e;
    buf_fini(&text);
}

/* ---- messages of a stream ---- */

static void begin(struct json_out *o, struct buf *payload)
{
    buf_init(payload, MESSAGE_MAX);
    *o = (struct json_out){.to = payload};
    json_out_begin(o, NULL, '{');
}

static enum err end(struct json_out *o, const char *kind, const char *type, struct buf *out)
{
    json_out_end(o, '}');
    enum err e =
        o->e ? o->e : aws_event_write(out, slice_str(kind), slice_str(type), buf_slice(o->to));
    buf_fini(o->to);
    return e;
}

static enum err begin_message(struct ai_writer *w, struct buf *out)
{
    struct json_out o;
    struct buf payload;
    if (!ai_writer_begins(w))
        return ERR_OK;
    begin(&o, &payload);
    json_out_text(&o, "role", SLICE("assistant"));
    return end(&o, "event", "messageStart", out);
}

static enum err end_index(unsigned index, struct buf *out)
{
    struct json_out o;
    struct buf payload;
    begin(&o, &payload);
    json_out_u64(&o, "contentBlockIndex", index);
    return end(&o, "event", "contentBlockStop", out);
}

/* ---- calls of tools: which block of ours each is, by the provider's ---- */

#define ENDED UINT32_MAX

static uint32_t *find_call(struct ai_writer *w, unsigned block)
{
    for (unsigned i = 0; i < w->tools && i < AI_WRITER_TOOLS; i++)
        if (w->tool_at[i] != ENDED && (w->tool_at[i] & 0xffff) == (block & 0xffff))
            return &w->tool_at[i];
    return NULL;
}

static enum err end_call(uint32_t *call, struct buf *out)
{
    unsigned index = *call >> 16;
    *call = ENDED;
    return end_index(index, out);
}

static enum err end_calls(struct ai_writer *w, struct buf *out)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < w->tools && !e; i++)
        if (w->tool_at[i] != ENDED)
            e = end_call(&w->tool_at[i], out);
    return e;
}

static enum err end_words(struct ai_writer *w, struct buf *out)
{
    if (!w->blocks.is_open)
        return ERR_OK;
    w->blocks.is_open = false;
    return end_index(w->blocks.next_index++, out);
}

static enum err begin_call(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct json_out o;
    struct buf payload;
    enum err err = end_words(w, out);
    if (w->tools == AI_WRITER_TOOLS)
        return ERR_TOO_BIG;
    if (err)
        return err;
    unsigned index = w->blocks.next_index++;
    w->tool_at[w->tools++] = (uint32_t)index << 16 | (e->block & 0xffff);
    begin(&o, &payload);
    json_out_u64(&o, "contentBlockIndex", index);
    json_out_begin(&o, "start", '{');
    json_out_begin(&o, "toolUse", '{');
    json_out_text(&o, "toolUseId", e->id);
    json_out_text(&o, "name", e->name);
    json_out_end(&o, '}');
    json_out_end(&o, '}');
    return end(&o, "event", "contentBlockStart", out);
}

static enum err write_arguments(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct json_out o;
    struct buf payload;
    const uint32_t *call = find_call(w, e->block);
    if (!call || !e->text.len)
        return ERR_OK;
    begin(&o, &payload);
    json_out_u64(&o, "contentBlockIndex", *call >> 16);
    json_out_begin(&o, "delta", '{');
    json_out_begin(&o, "toolUse", '{');
    json_out_text(&o, "input", e->text);
    json_out_end(&o, '}');
    json_out_end(&o, '}');
    return end(&o, "event", "contentBlockDelta", out);
}

/* ---- words ---- */

static bool is_of_open(const struct ai_writer *w, const struct ai_event *e)
{
    bool thought = e->kind == AI_REASONING;
    return w->blocks.is_open && (w->blocks.open == AI_REASONING) == thought &&
           w->blocks.open_block == e->block;
}

/* Which member of a delta: reasoning's stand one level deeper. */
enum delta { DELTA_TEXT, DELTA_THOUGHT, DELTA_SIGNATURE, DELTA_REDACTED };

static enum err write_delta(const struct ai_writer *w, enum delta kind, struct slice text,
                            struct buf *out)
{
    struct json_out o;
    struct buf payload;
    if (!text.len)
        return ERR_OK;
    begin(&o, &payload);
    json_out_u64(&o, "contentBlockIndex", w->blocks.next_index);
    json_out_begin(&o, "delta", '{');
    if (kind != DELTA_TEXT)
        json_out_begin(&o, "reasoningContent", '{');
    if (kind == DELTA_SIGNATURE)
        put_marked(&o, "signature", text, false, &w->to);
    else if (kind == DELTA_REDACTED)
        put_marked(&o, "redactedContent", text, true, &w->to);
    else
        json_out_text(&o, "text", text);
    if (kind != DELTA_TEXT)
        json_out_end(&o, '}');
    json_out_end(&o, '}');
    return end(&o, "event", "contentBlockDelta", out);
}

static enum err write_words(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    bool thought = e->kind == AI_REASONING;
    if (!e->text.len && !e->signature.len && !(thought && e->id.len))
        return ERR_OK;
    enum err err = is_of_open(w, e) ? ERR_OK : end_words(w, out);
    w->blocks.is_open = true;
    w->blocks.open = thought ? AI_REASONING : AI_TEXT;
    w->blocks.open_block = e->block;
    w->refused = w->refused || e->kind == AI_REFUSAL;
    if (!err)
        err = write_delta(w, thought ? DELTA_THOUGHT : DELTA_TEXT, e->text, out);
    if (!err && thought)
        err = write_delta(w, DELTA_SIGNATURE, e->signature, out);
    if (!err && thought)
        err = write_delta(w, DELTA_REDACTED, e->id, out);
    return err;
}

/* ---- the end ---- */

static const struct ai_stop_words stop_words = {.stop = "end_turn",
                                                .sequence = "stop_sequence",
                                                .length = "max_tokens",
                                                .tools = "tool_use",
                                                .filter = "content_filtered"};

static void put_stop(struct json_out *o, const char *reason, struct slice sequence)
{
    json_out_text(o, "stopReason", slice_str(reason));
    if (!sequence.len)
        return;
    json_out_begin(o, "additionalModelResponseFields", '{');
    json_out_begin(o, "delta", '{');
    json_out_text(o, "stop_sequence", sequence);
    json_out_end(o, '}');
    json_out_end(o, '}');
}

static enum err write_stop(struct ai_writer *w, const char *reason, struct slice sequence,
                           struct buf *out)
{
    struct json_out o;
    struct buf payload;
    enum err e = begin_message(w, out);
    if (!e)
        e = end_words(w, out);
    if (!e)
        e = end_calls(w, out);
    if (e)
        return e;
    begin(&o, &payload);
    put_stop(&o, reason, sequence);
    return end(&o, "event", "messageStop", out);
}

static void put_usage(struct json_out *o, const struct token_count *t)
{
    json_out_begin(o, "usage", '{');
    json_out_u64(o, "inputTokens", t->input - t->cache_read - t->cache_write);
    json_out_u64(o, "outputTokens", t->output);
    json_out_u64(o, "totalTokens", t->input + t->output);
    json_out_u64(o, "cacheReadInputTokens", t->cache_read);
    json_out_u64(o, "cacheWriteInputTokens", t->cache_write);
    json_out_end(o, '}');
    json_out_raw(o, "metrics", SLICE("{\"latencyMs\":0}"));
}

static enum err write_metadata(const struct token_count *t, struct buf *out)
{
    struct json_out o;
    struct buf payload;
    begin(&o, &payload);
    put_usage(&o, t);
    return end(&o, "event", "metadata", out);
}

/* A stream may end without the provider's word why. */
static enum err write_end(struct ai_writer *w, struct buf *out)
{
    enum err e = ERR_OK;
    if (!w->ended[0])
        e = write_stop(w,
                       ai_stop_word(&stop_words, AI_FINISH_STOP, w->refused, w->tools > 0, false),
                       SLICE_NONE, out);
    return e ? e : write_metadata(&w->usage, out);
}

static enum err write_length_stop(const struct ai_writer *w, const struct token_count *so_far,
                                  struct buf *out)
{
    struct ai_writer last = *w;
    enum err e = last.ended[0] ? ERR_OK : write_stop(&last, "max_tokens", SLICE_NONE, out);
    return e ? e : write_metadata(so_far, out);
}

/* ---- errors ---- */

static const char *type_of(unsigned status)
{
    switch (status) {
    case 401:
    case 403:
        return "AccessDeniedException";
    case 404:
        return "ResourceNotFoundException";
    case 402:
        return "ServiceQuotaExceededException";
    case 408:
    case 504:
        return "ModelTimeoutException";
    case 424:
        return "ModelErrorException";
    case 429:
        return "ThrottlingException";
    case 502:
    case 503:
    case 529:
        return "ServiceUnavailableException";
    default:
        return status >= 500 ? "InternalServerException" : "ValidationException";
    }
}

/* The envelope has no place for the member that an error is about: the message names it. */
static void put_message(struct json_out *o, const struct ai_error *e)
{
    struct buf text;
    buf_init(&text, 4096);
    bool names = e->param.len && slice_search(e->message, e->param) < 0 &&
                 !buf_printf(&text, "%.*s: %.*s", SLICE_ARG(e->param), SLICE_ARG(e->message));
    json_out_text(o, "message", names ? buf_slice(&text) : e->message);
    buf_fini(&text);
}

/* SDKs take the name from x-amzn-errortype, or from __type where that is not there. */
static enum err write_error(struct buf *out, const struct ai_error *e)
{
    struct json_out o = {.to = out};
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "__type", slice_str(type_of(e->status)));
    put_message(&o, e);
    if (e->code.len)
        json_out_text(&o, "code", e->code);
    json_out_end(&o, '}');
    return o.e;
}

static struct http_header error_header(unsigned status)
{
    return (struct http_header){SLICE("x-amzn-errortype"), slice_str(type_of(status))};
}

/* The exceptions that a stream can say. */
static enum err write_stream_error(struct buf *out, const struct ai_error *e)
{
    const char *type = e->status == 429                       ? "throttlingException"
                       : e->status == 424                     ? "modelStreamErrorException"
                       : e->status == 503 || e->status == 502 ? "serviceUnavailableException"
                       : e->status < 500                      ? "validationException"
                                                              : "internalServerException";
    struct json_out o;
    struct buf payload;
    begin(&o, &payload);
    json_out_text(&o, "message", e->message);
    return end(&o, "exception", type, out);
}

static bool is_error(struct slice body)
{
    static const char *const wants[] = {"message", "output"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan(body, wants, ARRAY_LEN(wants), hits, &root, &problem) &&
           hits[0].type == JSON_SCAN_STRING && hits[1].type == JSON_SCAN_ABSENT;
}

/* ---- events ---- */

static enum err write_event(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    enum err err;
    uint32_t *call;
    if (e->raw.ptr)
        return buf_append(out, e->raw);
    if (e->choice) /* this dialect has one */
        return ERR_OK;
    switch (e->kind) {
    case AI_START:
        return begin_message(w, out);
    case AI_TEXT:
    case AI_REFUSAL:
    case AI_REASONING:
        err = begin_message(w, out);
        return err ? err : write_words(w, e, out);
    case AI_TOOL_START:
        err = begin_message(w, out);
        return err ? err : begin_call(w, e, out);
    case AI_TOOL_ARGUMENTS:
        return write_arguments(w, e, out);
    case AI_TOOL_END:
        call = find_call(w, e->block);
        return call ? end_call(call, out) : ERR_OK;
    case AI_BLOCK_END:
        return w->blocks.open_block == e->block ? end_words(w, out) : ERR_OK;
    case AI_FINISH:
        w->ended[0] = 1;
        return write_stop(
            w, ai_stop_word(&stop_words, e->finish, w->refused, w->tools > 0, e->text.len > 0),
            e->text, out);
    case AI_ERROR:
        return write_stream_error(
            out,
            &(struct ai_error){.status = e->verdict == AI_LIMITED ? 429 : 500, .message = e->text});
    case AI_END:
        return write_end(w, out);
    case AI_CITATION:
    case AI_MEDIA:
    case AI_USAGE:
    case AI_OTHER:
        break;
    }
    return ERR_OK;
}

/* ---- a whole response ---- */

static void put_reasoning(struct json_out *o, const struct ai_block *b, const struct ai_context *to)
{
    json_out_begin(o, "reasoningContent", '{');
    if (b->redacted.len) {
        put_marked(o, "redactedContent", buf_slice(&b->redacted), true, to);
    } else {
        json_out_begin(o, "reasoningText", '{');
        json_out_text(o, "text", buf_slice(&b->text));
        if (b->signature.len)
            put_marked(o, "signature", buf_slice(&b->signature), false, to);
        json_out_end(o, '}');
    }
    json_out_end(o, '}');
}

static bool is_object(struct slice text)
{
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan_response(text, NULL, 0, NULL, &root, &problem) && root == JSON_SCAN_OBJECT;
}

/* Arguments that are no object, as a call that was cut has them, are told as a text. */
static void put_input(struct json_out *o, struct slice text)
{
    if (!text.len || is_object(text)) {
        json_out_raw(o, "input", text.len ? text : SLICE("{}"));
        return;
    }
    json_out_begin(o, "input", '{');
    json_out_text(o, "unparsed", text);
    json_out_end(o, '}');
}

static void put_call(struct json_out *o, const struct ai_block *b)
{
    json_out_begin(o, "toolUse", '{');
    json_out_text(o, "toolUseId", buf_slice(&b->id));
    json_out_text(o, "name", buf_slice(&b->name));
    put_input(o, buf_slice(&b->text));
    json_out_end(o, '}');
}

static void put_block(struct json_out *o, const struct ai_block *b, const struct ai_context *to)
{
    json_out_begin(o, NULL, '{');
    if (b->kind == AI_TOOL_START)
        put_call(o, b);
    else if (b->kind == AI_REASONING)
        put_reasoning(o, b, to);
    else
        json_out_text(o, "text", buf_slice(&b->text));
    json_out_end(o, '}');
}

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    const struct ai_choice *c = &a->choices[0];
    struct token_count t = {0};
    bool refused = false, calls = false;
    struct json_out o = {.to = out};
    (void)ai_usage_count(&a->usage, &t);
    json_out_begin(&o, NULL, '{');
    json_out_begin(&o, "output", '{');
    json_out_begin(&o, "message", '{');
    json_out_text(&o, "role", SLICE("assistant"));
    json_out_begin(&o, "content", '[');
    for (size_t i = 0; i < c->block_count; i++) {
        refused = refused || c->blocks[i].kind == AI_REFUSAL;
        calls = calls || c->blocks[i].kind == AI_TOOL_START;
        put_block(&o, &c->blocks[i], &a->to);
    }
    json_out_end(&o, ']');
    json_out_end(&o, '}');
    json_out_end(&o, '}');
    put_stop(&o, ai_stop_word(&stop_words, c->finish, refused, calls, c->stop.len > 0),
             buf_slice(&c->stop));
    put_usage(&o, &t);
    json_out_end(&o, '}');
    return o.e;
}

static const struct header_names headers = {
    .id = "x-amzn-requestid",
    .limit = "x-ratelimit-limit-requests",
    .remaining = "x-ratelimit-remaining-requests",
    .reset = "x-ratelimit-reset-requests",
};

/* OpenAI's names of members, and this API's. */
static const char *const names[][2] = {
    {"max_tokens", "inferenceConfig.maxTokens"},
    {"temperature", "inferenceConfig.temperature"},
    {"top_p", "inferenceConfig.topP"},
    {"stop", "inferenceConfig.stopSequences"},
    {"tools", "toolConfig.tools"},
    {"tool_choice", "toolConfig.toolChoice"},
    {"response_format", "outputConfig.textFormat"},
    {"reasoning_effort", "additionalModelRequestFields"},
    {"top_k", "additionalModelRequestFields.top_k"},
    {"user", "requestMetadata.user"},
    {"service_tier", "serviceTier"},
    {NULL, NULL},
};

const struct ai_dialect dialect_bedrock_converse = {
    .name = "bedrock_converse",
    .words = &words_bedrock,
    .read = bedrock_read,
    .parse = bedrock_parse,
    .splice = bedrock_splice,
    .write_error = write_error,
    .error_header = error_header,
    .write_stream_error = write_stream_error,
    .write_length_stop = write_length_stop,
    .write_event = write_event,
    .write_whole = write_whole,
    .marks = true,
    .seals_calls = true,
    .is_error = is_error,
    .header_names = &headers,
    .stream_type = {"application/vnd.amazon.eventstream", 34},
    .names = names,
};
