/*
 * messages — the same made-up responses as chat's, in Anthropic's events. Tokens are counted as
 * chat's are: a prompt token for every four bytes of system, messages and tools.
 */
#include "deploy/demo/demo_provider/messages.h"

#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "deploy/demo/demo_provider/delivery.h"
#include "deploy/demo/demo_provider/messages_check.h"

/* One response under way. */
struct speech {
    struct delivery d;
    json_t *request;
    bool limited, thinks;
    const json_t *tool; /* NULL: none is called */
    json_t *input;
};

static void refuse(struct visit *v, unsigned status, const char *type, const char *message)
{
    visit_json(v, status,
               json_pack("{s:s,s:{s:s,s:s},s:s}", "type", "error", "error", "type", type, "message",
                         message, "request_id", "req_demo"));
}

static const char *type_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *type;
    } rows[] = {
        {400, "invalid_request_error"}, {401, "authentication_error"}, {402, "billing_error"},
        {403, "permission_error"},      {404, "not_found_error"},      {413, "request_too_large"},
        {429, "rate_limit_error"},      {504, "timeout_error"},        {529, "overloaded_error"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].status == status)
            return rows[i].type;
    return "api_error";
}

static void on_gone(struct visit *v)
{
    struct speech *s = v->state;
    delivery_fini(&s->d);
    json_decref(s->request);
    json_decref(s->input);
    mem_free(s);
}

/* ---- what is said ---- */

static const char *stop_reason(const struct speech *s)
{
    return s->tool ? "tool_use" : s->limited ? "max_tokens" : "end_turn";
}

static uint64_t output_tokens(const struct speech *s)
{
    return (s->tool ? 1 : s->d.sent) + s->thinks;
}

static json_t *usage_of(const struct speech *s, uint64_t output)
{
    return json_pack("{s:i,s:i,s:i,s:I}", "input_tokens", (int)s->d.prompt_tokens,
                     "cache_creation_input_tokens", 0, "cache_read_input_tokens", 0,
                     "output_tokens", (json_int_t)output);
}

static json_t *tool_use(const struct speech *s, json_t *input)
{
    char id[48];
    snprintf(id, sizeof(id), "toolu_demo_%lu", (unsigned long)s->d.id);
    return json_pack("{s:s,s:s,s:s,s:o}", "type", "tool_use", "id", id, "name",
                     json_string_value(json_object_get(s->tool, "name")), "input", input);
}

static json_t *message_of(const struct speech *s, json_t *content, const char *reason)
{
    char id[48];
    snprintf(id, sizeof(id), "msg_demo_%lu", (unsigned long)s->d.id);
    return json_pack("{s:s,s:s,s:s,s:s%,s:o,s:s?,s:n}", "id", id, "type", "message", "role",
                     "assistant", "model", s->d.scenario.name.ptr, s->d.scenario.name.len,
                     "content", content, "stop_reason", reason, "stop_sequence");
}

/* ---- plain ---- */

static json_t *content_of(struct speech *s, const struct visit *v)
{
    json_t *content = json_array();
    char piece[DELIVERY_PIECE];
    struct buf text;
    buf_init(&text, LIMIT_AI_ANSWER);
    if (s->thinks)
        json_array_append_new(content, json_pack("{s:s,s:s,s:s}", "type", "thinking", "thinking",
                                                 "The demo thinks. ", "signature", "sig_demo"));
    enum err e = ERR_OK;
    for (; !s->tool && !e && s->d.sent < s->d.pieces; s->d.sent++) {
        delivery_piece(&s->d, s->d.sent, piece);
        e = buf_append(&text, slice_str(piece));
    }
    if (s->d.scenario.echo && !e)
        e = buf_append(&text, http_head_find(v->head, SLICE("x-api-key")));
    if (s->tool)
        json_array_append_new(content, tool_use(s, json_incref(s->input)));
    else if (text.len)
        json_array_append_new(content, json_pack("{s:s,s:s%}", "type", "text", "text",
                                                 buf_slice(&text).ptr, text.len));
    buf_fini(&text);
    return content;
}

static enum err say_whole(struct visit *v)
{
    struct speech *s = v->state;
    json_t *message = message_of(s, content_of(s, v), stop_reason(s));
    if (s->d.scenario.usage)
        json_object_set_new(message, "usage", usage_of(s, output_tokens(s)));
    enum err e = json_write(message, &s->d.out);
    json_decref(message);
    return e;
}

/* ---- streamed ---- */

/* consumes the tree, whose "type" is the event's name */
static enum err say(struct speech *s, json_t *event)
{
    const char *type = json_string_value(json_object_get(event, "type"));
    enum err e = buf_printf(&s->d.out, "event: %s\ndata: ", type ? type : "");
    if (!e)
        e = json_write(event, &s->d.out);
    if (!e)
        e = buf_append(&s->d.out, SLICE("\n\n"));
    json_decref(event);
    return e;
}

static enum err say_block(struct speech *s, int index, json_t *block)
{
    return say(s, json_pack("{s:s,s:i,s:o}", "type", "content_block_start", "index", index,
                            "content_block", block));
}

static enum err say_delta(struct speech *s, int index, const char *type, const char *member,
                          const char *text)
{
    return say(s, json_pack("{s:s,s:i,s:{s:s,s:s}}", "type", "content_block_delta", "index", index,
                            "delta", "type", type, member, text));
}

static enum err say_stop(struct speech *s, int index)
{
    return say(s, json_pack("{s:s,s:i}", "type", "content_block_stop", "index", index));
}

static enum err say_thinking(struct speech *s)
{
    enum err e = say_block(
        s, 0, json_pack("{s:s,s:s,s:s}", "type", "thinking", "thinking", "", "signature", ""));
    if (!e)
        e = say_delta(s, 0, "thinking_delta", "thinking", "The demo thinks. ");
    if (!e)
        e = say_delta(s, 0, "signature_delta", "signature", "sig_demo");
    return e ? e : say_stop(s, 0);
}

static enum err say_start(struct speech *s)
{
    json_t *message = message_of(s, json_array(), NULL);
    json_object_set_new(message, "usage", usage_of(s, 1));
    enum err e = say(s, json_pack("{s:s,s:o}", "type", "message_start", "message", message));
    if (!e)
        e = say(s, json_pack("{s:s}", "type", "ping"));
    if (!e && s->thinks)
        e = say_thinking(s);
    if (!e && !s->tool)
        e = say_block(s, s->thinks, json_pack("{s:s,s:s}", "type", "text", "text", ""));
    return e;
}

/* Arguments come in two pieces, as the real ones are cut anywhere. */
static enum err say_tool(struct speech *s)
{
    struct buf text;
    buf_init(&text, 64 * 1024);
    enum err e = say_block(s, s->thinks, tool_use(s, json_object()));
    if (!e)
        e = say_delta(s, s->thinks, "input_json_delta", "partial_json", "");
    if (!e)
        e = json_write(s->input, &text);
    char half[64 * 1024];
    for (size_t at = 0, n = text.len / 2 + 1; !e && at < text.len; at += n) {
        snprintf(half, sizeof(half), "%.*s",
                 SLICE_ARG(slice_first(slice_from(buf_slice(&text), at), n)));
        e = say_delta(s, s->thinks, "input_json_delta", "partial_json", half);
    }
    buf_fini(&text);
    return e ? e : say_stop(s, s->thinks);
}

static enum err say_end(struct speech *s)
{
    enum err e = s->tool ? ERR_OK : say_stop(s, s->thinks);
    json_t *end = json_pack("{s:s,s:{s:s,s:n}}", "type", "message_delta", "delta", "stop_reason",
                            stop_reason(s), "stop_sequence");
    if (s->d.scenario.usage)
        json_object_set_new(
            end, "usage",
            json_pack("{s:n,s:I}", "input_tokens", "output_tokens", (json_int_t)output_tokens(s)));
    if (!e)
        e = say(s, end);
    else
        json_decref(end);
    return e ? e : say(s, json_pack("{s:s}", "type", "message_stop"));
}

static enum err say_piece(struct speech *s)
{
    char piece[DELIVERY_PIECE];
    if (s->tool) {
        s->d.sent = s->d.pieces;
        return say_tool(s);
    }
    delivery_piece(&s->d, s->d.sent++, piece);
    return say_delta(s, s->thinks, "text_delta", "text", piece);
}

static enum err say_next(struct visit *v)
{
    struct speech *s = v->state;
    enum err e = s->d.sent == 0 ? say_start(s) : ERR_OK;
    if (!e && s->d.sent < s->d.pieces)
        e = say_piece(s);
    if (!e && s->d.sent >= s->d.pieces && s->d.scenario.cut == 0)
        e = say_end(s);
    return e;
}

static uint64_t spoken(const struct visit *v)
{
    return output_tokens(v->state);
}

static void fail(struct visit *v, unsigned status)
{
    refuse(v, status, type_of(status), "The demo provider fails.");
}

static const struct delivery_words anthropic_words = {
    .whole = say_whole,
    .next = say_next,
    .spoken = spoken,
    .fail = fail,
    .stream_headers = {{{"content-type", 12}, {"text/event-stream; charset=utf-8", 32}},
                       {{"cache-control", 13}, {"no-cache", 8}}},
    .stream_header_count = 2,
};

/* ---- the request ---- */

static const char *last_text(const json_t *request)
{
    const json_t *messages = json_object_get(request, "messages");
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const json_t *content = json_object_get(last, "content");
    if (json_is_array(content))
        content = json_object_get(json_array_get(content, json_array_size(content) - 1), "text");
    return json_is_string(content) ? json_string_value(content) : "";
}

/* The tool that is forced; else the one that the last text names. */
static const json_t *choose_tool(const json_t *request)
{
    const json_t *choice = json_object_get(request, "tool_choice"), *tool;
    const char *type = json_string_value(json_object_get(choice, "type"));
    const char *forced = json_string_value(json_object_get(choice, "name"));
    size_t i;
    if (type && strcmp(type, "none") == 0)
        return NULL;
    json_array_foreach(json_object_get(request, "tools"), i, tool)
    {
        const char *name = json_string_value(json_object_get(tool, "name"));
        if (forced ? strcmp(name, forced) == 0 : strstr(last_text(request), name) != NULL)
            return tool;
    }
    return type && strcmp(type, "any") == 0 ? json_array_get(json_object_get(request, "tools"), 0)
                                            : NULL;
}

static json_t *input_for(const json_t *tool)
{
    const json_t *schema = json_object_get(tool, "input_schema"), *name;
    json_t *input = json_object();
    size_t i;
    json_array_foreach(json_object_get(schema, "required"), i, name)
    {
        const char *member = json_string_value(name);
        const json_t *type = json_object_get(
            json_object_get(json_object_get(schema, "properties"), member ? member : ""), "type");
        bool number = json_is_string(type) && strcmp(json_string_value(type), "string") != 0;
        if (member)
            json_object_set_new(input, member, number ? json_integer(1) : json_string("demo"));
    }
    return input;
}

static void read_request(struct speech *s)
{
    const json_t *r = s->request;
    const json_t *thinking = json_object_get(json_object_get(r, "thinking"), "type");
    uint64_t max = (uint64_t)json_integer_value(json_object_get(r, "max_tokens"));
    scenario_read(json_text(r, "model"), &s->d.scenario);
    s->d.stream = json_is_true(json_object_get(r, "stream"));
    s->thinks = json_is_string(thinking) && strcmp(json_string_value(thinking), "disabled") != 0;
    s->limited = delivery_limit(&s->d, max);
    s->d.prompt_tokens = (uint32_t)((delivery_bytes_of(json_object_get(r, "system")) +
                                     delivery_bytes_of(json_object_get(r, "messages")) +
                                     delivery_bytes_of(json_object_get(r, "tools")) + 3) /
                                    4);
    s->tool = choose_tool(r);
    s->input = s->tool ? input_for(s->tool) : NULL;
}

static bool is_signed(struct visit *v)
{
    if (http_head_find(v->head, SLICE("x-api-key")).len ||
        http_head_find(v->head, SLICE("authorization")).len)
        return true;
    refuse(v, 401, "authentication_error", "x-api-key header is required");
    return false;
}

void messages_handle(struct visit *v)
{
    struct json_problem problem;
    char why[MESSAGES_WHY];
    struct speech *s = mem_zalloc(sizeof(*s));
    if (!s) {
        http_response_abort(v->x);
        return;
    }
    v->state = s;
    v->on_gone = on_gone;
    delivery_init(v, &anthropic_words);
    if (!is_signed(v))
        return;
    if (!http_head_find(v->head, SLICE("anthropic-version")).len) {
        refuse(v, 400, "invalid_request_error", "anthropic-version: header is required");
        return;
    }
    if (json_read(buf_slice(&v->body), &s->request, &problem)) {
        refuse(v, 400, "invalid_request_error", "The request body is not valid JSON.");
        return;
    }
    if (!messages_check(s->request, why)) {
        refuse(v, 400, "invalid_request_error", why);
        return;
    }
    read_request(s);
    delivery_start(v);
}
