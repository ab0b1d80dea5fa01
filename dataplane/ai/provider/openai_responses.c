/*
 * openai_responses — OpenAI's own Responses API, and Azure's: for clients that speak it.
 *
 * Its responses go on as they came, but for the marks of what is kept (openai_stored.h), and are
 * decoded to be accounted for.
 */
#include <stdatomic.h>

#include "common/base/json.h"
#include "dataplane/ai/dialect/openai_error.h"
#include "dataplane/ai/dialect/openai_responses_body.h"
#include "dataplane/ai/dialect/openai_stored.h"
#include "dataplane/ai/provider/openai_send.h"
#include "dataplane/ai/provider/openai_services.h"
#include "dataplane/ai/provider/provider.h"

static bool speaks(const struct ai_endpoint *e)
{
    return e->dialect == &dialect_openai_responses || e->dialect == &dialect_openai_responses_count;
}

/* ---- which servers have it ---- */

/* Servers that were asked and had no such path, by their id and revision. A new revision of the
 * policy's object is asked again, and so is a server whose place another one took. Any thread. */
#define LACKING 256
static _Atomic uint64_t lacking[LACKING];

static uint64_t mark_of(const struct policy_provider *p)
{
    struct digest d;
    uint64_t mark;
    const struct slice parts[] = {p->o.id, slice_of(&p->o.revision, sizeof(p->o.revision)),
                                  p->base_url};
    digest_sha256_parts(parts, ARRAY_LEN(parts), &d);
    memcpy(&mark, d.bytes, sizeof(mark));
    return mark | 1;
}

static bool is_its_own(const struct policy_provider *p)
{
    return slice_ends(p->url.host, SLICE("api.openai.com")) ||
           slice_ends(p->url.host, SLICE(".azure.com"));
}

bool openai_has_responses(const struct policy_provider *p)
{
    uint64_t mark;
    if (is_its_own(p))
        return true;
    if (!(openai_service_of(p)->takes & TAKES_RESPONSES))
        return false;
    mark = mark_of(p);
    return atomic_load_explicit(&lacking[mark % LACKING], memory_order_relaxed) != mark;
}

/* A server that answers in OpenAI's envelope may have the path, and lack the model: that is tried
 * otherwise this once. */
static bool note_missing(const struct policy_provider *p, struct slice body)
{
    uint64_t mark = mark_of(p);
    if (is_its_own(p))
        return false;
    if (!openai_is_error(body))
        atomic_store_explicit(&lacking[mark % LACKING], mark, memory_order_relaxed);
    return true;
}

/* ---- the request ---- */

/* What is changed in the body, in the order of the bytes. */
struct change {
    const struct json_hit *hit; /* whose value is replaced */
    struct slice text;          /* JSON; .ptr NULL: the items of the input */
};

static enum err refuse_unknown(struct ai_outgoing *o, const char *param)
{
    return ai_outgoing_refuse(o, param, SLICE("there is no such thing of yours"));
}

/* A stored thing's id, as the account knows it. .ptr NULL in *text: the member is absent. */
static enum err unmarked(struct ai_outgoing *o, enum openai_responses_want want, const char *param,
                         struct slice *text)
{
    const struct json_hit *h = &o->request->hits[want];
    struct ai_account account;
    struct slice id, value;
    *text = SLICE_NONE;
    if (h->type == JSON_SCAN_ABSENT || h->type == JSON_SCAN_NULL)
        return ERR_OK;
    char *out = h->type == JSON_SCAN_STRING ? arena_alloc(o->arena, h->raw.len) : NULL;
    if (!out || json_scan_text(h, out, h->raw.len, &id) ||
        openai_unmark_id(o->marker, id, &value, &account) || !ai_account_eq(&account, &o->maker))
        return refuse_unknown(o, param);
    *text = arena_printf(o->arena, "\"%.*s\"", SLICE_ARG(value));
    return text->ptr ? ERR_OK : ERR_NOMEM;
}

static bool is_plain_input(struct openai_unmarking *u, const struct json_hit *input)
{
    return input->type != JSON_SCAN_ARRAY || openai_items_are_plain(u, input->raw);
}

static void add_change(struct change *list, size_t *n, const struct json_hit *h, struct slice text)
{
    size_t i = (*n)++;
    for (; i > 0 && list[i - 1].hit->raw.ptr > h->raw.ptr; i--)
        list[i] = list[i - 1];
    list[i] = (struct change){h, text};
}

static enum err write_items(struct ai_outgoing *o, struct openai_unmarking *u, struct slice items)
{
    enum err e = openai_unmark_items(u, items);
    if (e == ERR_NOT_FOUND)
        return refuse_unknown(o, u->unknown);
    if (!e && u->left_out)
        ai_outgoing_leave_out(o, "input.encrypted_content");
    return e;
}

static enum err write_changed(struct ai_outgoing *o, struct openai_unmarking *u,
                              const struct change *list, size_t n)
{
    const char *from = o->body.ptr, *end = o->body.ptr + o->body.len;
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < n; i++) {
        struct slice raw = list[i].hit->raw;
        e = buf_append(u->out, slice_of(from, (size_t)(raw.ptr - from)));
        if (!e)
            e = list[i].text.ptr ? buf_append(u->out, list[i].text) : write_items(o, u, raw);
        from = raw.ptr + raw.len;
    }
    return e ? e : buf_append(u->out, slice_of(from, (size_t)(end - from)));
}

/* The body with ids as the account knows them; the same bytes where there are none. */
static enum err unmark_body(struct ai_outgoing *o, struct slice *ret)
{
    struct change list[3];
    struct slice previous, conversation;
    const struct json_hit *hits = o->request->hits;
    bool whole = hits[RESPONSES_CONVERSATION].type != JSON_SCAN_OBJECT;
    enum openai_responses_want which = whole ? RESPONSES_CONVERSATION : RESPONSES_CONVERSATION_ID;
    struct openai_unmarking u = {
        .marker = o->marker, .account = &o->maker, .arena = o->arena, .out = o->translated};
    size_t n = 0;
    enum err e = unmarked(o, RESPONSES_PREVIOUS, "previous_response_id", &previous);
    if (!e)
        e = unmarked(o, which, "conversation", &conversation);
    if (e)
        return e;
    if (previous.ptr)
        add_change(list, &n, &hits[RESPONSES_PREVIOUS], previous);
    if (conversation.ptr)
        add_change(list, &n, &hits[which], conversation);
    if (!is_plain_input(&u, &hits[RESPONSES_INPUT]))
        add_change(list, &n, &hits[RESPONSES_INPUT], SLICE_NONE);
    *ret = o->body;
    if (!n)
        return ERR_OK;
    buf_clear(o->translated);
    e = write_changed(o, &u, list, n);
    *ret = buf_slice(o->translated);
    return e;
}

/* Places in the body move with what is changed before them: it is read again. */
static enum err splice(struct ai_outgoing *o, struct slice body)
{
    struct ai_request moved;
    struct slice detail;
    if (body.ptr == o->body.ptr)
        return openai_responses_splice(o->request, body, &o->changes, o->arena, o->pieces);
    const struct ai_incoming in = {.body = body, .arena = o->arena};
    memset(&moved, 0, sizeof(moved));
    enum err e = openai_responses_read(&in, &moved, &detail);
    return e ? e : openai_responses_splice(&moved, body, &o->changes, o->arena, o->pieces);
}

static enum err build(struct ai_outgoing *o)
{
    struct slice body;
    bool counts = o->endpoint->kind == AI_COUNT;
    enum err e = openai_path(o, counts ? SLICE("/responses/input_tokens") : SLICE("/responses"));
    if (!e)
        e = unmark_body(o, &body);
    if (!e)
        e = splice(o, body);
    return e ? e : openai_sign(o);
}

/* ---- the response ---- */

static struct slice text_at(const struct json_hit *h, struct arena *a)
{
    char *out = h->type == JSON_SCAN_STRING ? arena_alloc(a, h->raw.len) : NULL;
    struct slice text;
    return out && !json_scan_text(h, out, h->raw.len, &text) ? text : SLICE_NONE;
}

static enum ai_verdict verdict_of(struct slice code)
{
    if (slice_eq(code, SLICE("rate_limit_exceeded")))
        return AI_LIMITED;
    if (slice_eq(code, SLICE("insufficient_quota")))
        return AI_CREDENTIAL_BAD;
    return slice_eq(code, SLICE("context_length_exceeded")) ? AI_TOO_LONG : AI_RETRY;
}

/* A body's envelope, or an event: "error" or "response.failed". */
static void read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    static const char *const wants[] = {"response.error.message", "response.error.code", "code",
                                        "error.message"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    openai_read_error(status, body, a, ret);
    if (json_scan_response(body, wants, ARRAY_LEN(wants), hits, &root, &problem) ||
        hits[3].type == JSON_SCAN_STRING)
        return;
    bool failed = hits[0].type == JSON_SCAN_STRING;
    if (failed)
        ret->text = ai_fault_clean(text_at(&hits[0], a), a);
    ret->code = text_at(&hits[failed ? 1 : 2], a);
    if (ret->code.len)
        ret->verdict = verdict_of(ret->code);
}

static struct ai_usage usage_of(const json_t *usage)
{
    struct ai_usage u = AI_USAGE_NONE;
    const json_t *in = json_object_get(usage, "input_tokens_details");
    const json_t *out = json_object_get(usage, "output_tokens_details");
    u.prompt = ai_usage_member(usage, "input_tokens");
    u.output = ai_usage_member(usage, "output_tokens");
    u.cache_read = ai_usage_member(in, "cached_tokens");
    u.cache_write = ai_usage_member(in, "cache_write_tokens");
    u.reasoning = ai_usage_member(out, "reasoning_tokens");
    return u;
}

struct emitting {
    struct ai_decoder *d;
    ai_event_fn *fn;
    void *arg;
};

static enum err emit(const struct emitting *m, struct ai_event e)
{
    return m->fn(m->arg, &e);
}

static enum err emit_usage(const struct emitting *m, const json_t *response)
{
    const json_t *usage = json_object_get(response, "usage");
    if (!json_is_object(usage))
        return ERR_OK;
    return emit(m, (struct ai_event){.kind = AI_USAGE, .usage = usage_of(usage)});
}

/* Items hold several parts, and no part has as many as an item's numbers are apart. */
#define PARTS_MAX 1024

static unsigned block_of(const json_t *event)
{
    uint64_t item = ai_usage_member(event, "output_index"),
             part = ai_usage_member(event, "content_index");
    if (part == AI_UNSAID)
        part = ai_usage_member(event, "summary_index");
    return (unsigned)((item == AI_UNSAID ? 0 : item) * PARTS_MAX +
                      (part == AI_UNSAID ? 0 : part % PARTS_MAX));
}

static enum err emit_error(const struct emitting *m, const json_t *error)
{
    struct slice code = json_text(error, "code");
    return emit(m,
                (struct ai_event){.kind = AI_ERROR,
                                  .text = ai_fault_clean(json_text(error, "message"), m->d->arena),
                                  .name = code,
                                  .verdict = verdict_of(code)});
}

static enum err emit_start(const struct emitting *m, const json_t *response)
{
    if (m->d->block++)
        return ERR_OK;
    return emit(m, (struct ai_event){.kind = AI_START,
                                     .id = json_text(response, "id"),
                                     .name = json_text(response, "model")});
}

static bool calls_tools(const json_t *response)
{
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(response, "output"), i, item)
    {
        if (slice_eq(json_text(item, "type"), SLICE("function_call")))
            return true;
    }
    return false;
}

static enum ai_finish finish_of(const json_t *response)
{
    struct slice why = json_text(json_object_get(response, "incomplete_details"), "reason");
    if (slice_eq(why, SLICE("max_output_tokens")))
        return AI_FINISH_LENGTH;
    if (slice_eq(why, SLICE("content_filter")))
        return AI_FINISH_FILTER;
    return calls_tools(response) ? AI_FINISH_TOOLS : AI_FINISH_STOP;
}

static enum err on_begun(const struct emitting *m, const json_t *event)
{
    return emit_start(m, json_object_get(event, "response"));
}

static enum err on_ended(const struct emitting *m, const json_t *event)
{
    const json_t *response = json_object_get(event, "response");
    enum err e = emit_start(m, response);
    if (!e)
        e = emit_usage(m, response);
    if (!e)
        e = emit(m, (struct ai_event){.kind = AI_FINISH, .finish = finish_of(response)});
    return e ? e : emit(m, (struct ai_event){.kind = AI_END});
}

static enum err on_failed(const struct emitting *m, const json_t *event)
{
    const json_t *response = json_object_get(event, "response");
    enum err e = emit_usage(m, response);
    return e ? e : emit_error(m, json_object_get(response, "error"));
}

static enum err on_error(const struct emitting *m, const json_t *event)
{
    const json_t *inner = json_object_get(event, "error");
    return emit_error(m, json_is_object(inner) ? inner : event);
}

static enum err emit_piece(const struct emitting *m, enum ai_event_kind kind, const json_t *event)
{
    struct slice text = json_text(event, "delta");
    if (!text.len)
        return ERR_OK;
    return emit(m, (struct ai_event){.kind = kind, .block = block_of(event), .text = text});
}

static enum err on_text(const struct emitting *m, const json_t *event)
{
    return emit_piece(m, AI_TEXT, event);
}

static enum err on_refusal(const struct emitting *m, const json_t *event)
{
    return emit_piece(m, AI_REFUSAL, event);
}

static enum err on_reasoning(const struct emitting *m, const json_t *event)
{
    return emit_piece(m, AI_REASONING, event);
}

static enum err on_arguments(const struct emitting *m, const json_t *event)
{
    return emit_piece(m, AI_TOOL_ARGUMENTS, event);
}

/* What hosted tools are told, and what else the model writes: it counts, and is no text. */
static enum err on_other(const struct emitting *m, const json_t *event)
{
    return emit_piece(m, AI_MEDIA, event);
}

static enum err on_item(const struct emitting *m, const json_t *event)
{
    const json_t *item = json_object_get(event, "item");
    if (!slice_eq(json_text(item, "type"), SLICE("function_call")))
        return ERR_OK;
    return emit(m, (struct ai_event){.kind = AI_TOOL_START,
                                     .block = block_of(event),
                                     .id = json_text(item, "call_id"),
                                     .name = json_text(item, "name")});
}

static enum err on_item_done(const struct emitting *m, const json_t *event)
{
    const json_t *item = json_object_get(event, "item");
    if (!slice_eq(json_text(item, "type"), SLICE("function_call")))
        return ERR_OK;
    return emit(m, (struct ai_event){.kind = AI_TOOL_END, .block = block_of(event)});
}

static const struct {
    struct slice type;
    enum err (*read)(const struct emitting *m, const json_t *event);
} rows[] = {
    {{"response.created", 16}, on_begun},
    {{"response.queued", 15}, on_begun},
    {{"response.in_progress", 20}, on_begun},
    {{"response.output_item.added", 26}, on_item},
    {{"response.output_text.delta", 26}, on_text},
    {{"response.refusal.delta", 22}, on_refusal},
    {{"response.reasoning_text.delta", 29}, on_reasoning},
    {{"response.reasoning_summary_text.delta", 37}, on_reasoning},
    {{"response.function_call_arguments.delta", 38}, on_arguments},
    {{"response.output_item.done", 25}, on_item_done},
    {{"response.completed", 18}, on_ended},
    {{"response.incomplete", 19}, on_ended},
    {{"response.failed", 15}, on_failed},
    {{"error", 5}, on_error},
};

static enum err decode_event(const struct emitting *m, const json_t *event)
{
    struct slice type = json_text(event, "type");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(type, rows[i].type))
            return rows[i].read(m, event);
    if (json_is_object(json_object_get(event, "error")))
        return on_error(m, event);
    return on_other(m, event);
}

/* A service in front of OpenAI may end the stream as it ends a chat's. */
static bool is_done(struct slice data)
{
    return slice_eq(slice_trim(data), SLICE("[DONE]"));
}

static enum err decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    const struct emitting m = {d, fn, arg};
    struct json_problem problem;
    JSON_AUTO json_t *event = NULL;
    if (!e->has_data)
        return emit(&m, (struct ai_event){.kind = AI_OTHER});
    if (is_done(e->data))
        return emit(&m, (struct ai_event){.kind = AI_END});
    enum err err = json_read(e->data, &event, &problem);
    if (err || !json_is_object(event))
        return err == ERR_NOMEM ? err : ERR_PROTOCOL;
    return decode_event(&m, event);
}

/* A stream that the gateway ends goes on counting where it was. */
static void identify(struct slice data, struct arena *a, struct ai_writer *w)
{
    static const char *const wants[] = {"sequence_number"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    uint64_t number;
    (void)a;
    if (!json_scan_response(data, wants, ARRAY_LEN(wants), &hit, &root, &problem) &&
        !json_scan_u64(&hit, &number))
        w->blocks.sequence = number + 1;
}

/* ---- a whole one ---- */

static enum err emit_texts(const struct emitting *m, enum ai_event_kind kind, const json_t *list,
                           size_t item)
{
    const json_t *part;
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(list, i, part)
    {
        struct slice text = json_text(part, "text"), refusal = json_text(part, "refusal");
        unsigned block = (unsigned)(item * PARTS_MAX + i % PARTS_MAX);
        if (!e && text.len)
            e = emit(m, (struct ai_event){.kind = kind, .block = block, .text = text});
        if (!e && refusal.len)
            e = emit(m, (struct ai_event){.kind = AI_REFUSAL, .block = block, .text = refusal});
    }
    return e;
}

static enum err emit_call(const struct emitting *m, const json_t *item, size_t index)
{
    unsigned block = (unsigned)(index * PARTS_MAX);
    enum err e = emit(m, (struct ai_event){.kind = AI_TOOL_START,
                                           .block = block,
                                           .id = json_text(item, "call_id"),
                                           .name = json_text(item, "name")});
    if (!e)
        e = emit(m, (struct ai_event){.kind = AI_TOOL_ARGUMENTS,
                                      .block = block,
                                      .text = json_text(item, "arguments")});
    return e ? e : emit(m, (struct ai_event){.kind = AI_TOOL_END, .block = block});
}

static enum err emit_item(const struct emitting *m, const json_t *item, size_t index)
{
    struct slice type = json_text(item, "type");
    if (slice_eq(type, SLICE("message")))
        return emit_texts(m, AI_TEXT, json_object_get(item, "content"), index);
    if (slice_eq(type, SLICE("function_call")))
        return emit_call(m, item, index);
    if (!slice_eq(type, SLICE("reasoning")))
        return ERR_OK;
    const json_t *content = json_object_get(item, "content");
    return emit_texts(m, AI_REASONING,
                      json_array_size(content) ? content : json_object_get(item, "summary"), index);
}

static enum err emit_whole(const struct emitting *m, const json_t *response)
{
    const json_t *item;
    size_t i;
    enum err e = emit_start(m, response);
    json_array_foreach(json_object_get(response, "output"), i, item)
    {
        if (!e)
            e = emit_item(m, item, i);
    }
    if (!e)
        e = emit_usage(m, response);
    if (!e)
        e = emit(m, (struct ai_event){.kind = AI_FINISH, .finish = finish_of(response)});
    return e ? e : emit(m, (struct ai_event){.kind = AI_END});
}

static enum err decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    const struct emitting m = {d, fn, arg};
    struct json_problem problem;
    JSON_AUTO json_t *response = NULL;
    enum err e = json_read(body, &response, &problem);
    if (e || !json_is_object(response))
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    const json_t *error = json_object_get(response, "error");
    if (json_is_object(error)) {
        e = emit_usage(&m, response);
        return e ? e : emit_error(&m, error);
    }
    return json_is_array(json_object_get(response, "output")) ? emit_whole(&m, response)
                                                              : ERR_PROTOCOL;
}

static enum err read_count(struct slice body, uint64_t *ret)
{
    static const char *const wants[] = {"input_tokens"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    if (json_scan_response(body, wants, ARRAY_LEN(wants), &hit, &root, &problem))
        return ERR_PROTOCOL;
    return json_scan_u64(&hit, ret) ? ERR_PROTOCOL : ERR_OK;
}

const struct ai_provider provider_openai_responses = {
    .name = {"openai", 6},
    .bills_cancelled = true,
    .speaks = speaks,
    .serves = speaks,
    .build = build,
    .note_missing = note_missing,
    .read_error = read_error,
    .identify = identify,
    .read_count = read_count,
    .decode = decode,
    .decode_whole = decode_whole,
};
