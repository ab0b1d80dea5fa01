/*
 * chat — the response is made, then sent whole or in pieces. Tokens are counted so that tests can
 * foresee them: a prompt token for every four bytes of the request's messages and tools, a
 * completion token for every piece.
 */
#include "deploy/demo/demo_provider/chat.h"

#include <stdio.h>
#include <time.h>

#include "common/base/json_scan.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "deploy/demo/demo_provider/tool_call.h"

enum want { MODEL, STREAM, INCLUDE_USAGE, MAX_TOKENS, MAX_COMPLETION, N, MESSAGES, TOOLS, WANTS };

static const char *const wants[] = {
    [MODEL] = "model",
    [STREAM] = "stream",
    [INCLUDE_USAGE] = "stream_options.include_usage",
    [MAX_TOKENS] = "max_tokens",
    [MAX_COMPLETION] = "max_completion_tokens",
    [N] = "n",
    [MESSAGES] = "messages",
    [TOOLS] = "tools",
};

/* One response under way. */
struct talk {
    struct delivery d; /* its pieces are of every choice */
    char model[256];   /* text behind its scenario */
    long created;
    bool include_usage, limited;
    uint64_t n;      /* choices */
    char *tool_name; /* NULL: no tool is called */
    char *tool_arguments;
};

void chat_error(struct visit *v, unsigned status, const char *type, const char *message)
{
    visit_json(v, status,
               json_pack("{s:{s:s,s:s,s:n,s:n}}", "error", "message", message, "type", type,
                         "param", "code"));
}

static void on_gone(struct visit *v)
{
    struct talk *t = v->state;
    delivery_fini(&t->d);
    mem_free(t->tool_name);
    mem_free(t->tool_arguments);
    mem_free(t);
}

/* ---- what is said ---- */

static enum err say_piece(const struct talk *t, uint64_t piece, struct buf *out)
{
    if (t->d.scenario.bytes == 0)
        return buf_append(out, slice_str(delivery_word(piece)));
    char *to;
    if (buf_room(out, t->d.scenario.bytes, &to) != ERR_OK)
        return ERR_NOMEM;
    memset(to, 'a' + (int)(piece % 26), t->d.scenario.bytes);
    buf_commit(out, t->d.scenario.bytes);
    return ERR_OK;
}

static uint64_t completion_tokens(const struct talk *t)
{
    return t->tool_name ? t->n : t->d.sent * t->n;
}

static enum err say_usage(const struct talk *t, struct buf *out)
{
    uint64_t completion = completion_tokens(t);
    return buf_printf(out,
                      "{\"prompt_tokens\":%u,\"completion_tokens\":%lu,\"total_tokens\":%lu,"
                      "\"prompt_tokens_details\":{\"cached_tokens\":0},"
                      "\"completion_tokens_details\":{\"reasoning_tokens\":0}}",
                      t->d.prompt_tokens, completion, t->d.prompt_tokens + completion);
}

static enum err say_name(const struct talk *t, struct buf *out)
{
    enum err e = buf_printf(out, "\"id\":\"chatcmpl-demo-%lu\",\"created\":%ld,\"model\":", t->d.id,
                            t->created);
    return e == ERR_OK ? buf_json_string(out, t->d.scenario.name) : e;
}

static const char *finish_reason(const struct talk *t)
{
    return t->tool_name ? "tool_calls" : t->limited ? "length" : "stop";
}

static enum err say_tool_call(const struct talk *t, bool in_stream, struct buf *out)
{
    enum err e = buf_printf(out,
                            "\"content\":null,\"tool_calls\":[{%s\"id\":\"call_demo_%lu\","
                            "\"type\":\"function\",\"function\":{\"name\":",
                            in_stream ? "\"index\":0," : "", t->d.id);
    if (e == ERR_OK)
        e = buf_json_string(out, slice_str(t->tool_name));
    if (e == ERR_OK)
        e = buf_append(out, SLICE(",\"arguments\":"));
    if (e == ERR_OK)
        e = buf_json_string(out, slice_str(t->tool_arguments));
    return e == ERR_OK ? buf_append(out, SLICE("}}]")) : e;
}

/* ---- plain ---- */

static enum err say_content(struct talk *t, struct buf *out)
{
    enum err e = buf_append(out, SLICE("\"content\":\""));
    for (uint64_t i = 0; e == ERR_OK && i < t->d.pieces; i++)
        e = say_piece(t, i, out);
    t->d.sent = t->d.pieces;
    return e == ERR_OK ? buf_append(out, SLICE("\"")) : e;
}

static enum err say_choice(struct talk *t, uint64_t index, struct buf *out)
{
    enum err e = buf_printf(out, "%s{\"index\":%lu,\"message\":{\"role\":\"assistant\",",
                            index ? "," : "", index);
    if (e == ERR_OK)
        e = t->tool_name ? say_tool_call(t, false, out) : say_content(t, out);
    return e == ERR_OK
               ? buf_printf(out, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"%s\"}",
                            finish_reason(t))
               : e;
}

static enum err say_whole(struct visit *v)
{
    struct talk *t = v->state;
    struct buf *out = &t->d.out;
    enum err e = buf_append(out, SLICE("{\"object\":\"chat.completion\","));
    if (e == ERR_OK)
        e = say_name(t, out);
    if (e == ERR_OK)
        e = buf_append(out, SLICE(",\"choices\":["));
    for (uint64_t i = 0; e == ERR_OK && i < t->n; i++)
        e = say_choice(t, i, out);
    if (e == ERR_OK)
        e = buf_append(out, SLICE("]"));
    if (e == ERR_OK && t->d.scenario.echo) {
        e = buf_append(out, SLICE(",\"heard\":"));
        if (e == ERR_OK)
            e = buf_json_string(out, http_head_find(v->head, SLICE("authorization")));
    }
    if (e == ERR_OK && t->d.scenario.usage) {
        e = buf_append(out, SLICE(",\"usage\":"));
        if (e == ERR_OK)
            e = say_usage(t, out);
    }
    return e == ERR_OK ? buf_append(out, SLICE("}")) : e;
}

/* ---- streamed ---- */

static enum err begin_chunk(struct talk *t)
{
    enum err e = buf_append(&t->d.out, SLICE("data: {\"object\":\"chat.completion.chunk\","));
    return e == ERR_OK ? say_name(t, &t->d.out) : e;
}

static const char *usage_null(const struct talk *t)
{
    return t->include_usage ? ",\"usage\":null" : "";
}

static enum err chunk_delta(struct talk *t, uint64_t choice, bool first)
{
    enum err e = begin_chunk(t);
    if (e == ERR_OK)
        e = buf_printf(&t->d.out, ",\"choices\":[{\"index\":%lu,\"delta\":{%s", choice,
                       first ? "\"role\":\"assistant\"," : "");
    if (e == ERR_OK && t->tool_name) {
        e = say_tool_call(t, true, &t->d.out);
    } else if (e == ERR_OK) {
        e = buf_append(&t->d.out, SLICE("\"content\":\""));
        if (e == ERR_OK)
            e = say_piece(t, t->d.sent, &t->d.out);
        if (e == ERR_OK)
            e = buf_append(&t->d.out, SLICE("\""));
    }
    return e == ERR_OK
               ? buf_printf(&t->d.out, "},\"logprobs\":null,\"finish_reason\":null}]%s}\n\n",
                            usage_null(t))
               : e;
}

static enum err chunk_end(struct talk *t, uint64_t choice)
{
    enum err e = begin_chunk(t);
    return e == ERR_OK ? buf_printf(&t->d.out,
                                    ",\"choices\":[{\"index\":%lu,\"delta\":{},\"logprobs\":null,"
                                    "\"finish_reason\":\"%s\"}]%s}\n\n",
                                    choice, finish_reason(t), usage_null(t))
                       : e;
}

static enum err chunk_usage(struct talk *t)
{
    enum err e = begin_chunk(t);
    if (e == ERR_OK)
        e = buf_append(&t->d.out, SLICE(",\"choices\":[],\"usage\":"));
    if (e == ERR_OK)
        e = say_usage(t, &t->d.out);
    return e == ERR_OK ? buf_append(&t->d.out, SLICE("}\n\n")) : e;
}

/* Everything behind the last piece. */
static enum err say_end(struct talk *t)
{
    enum err e = ERR_OK;
    for (uint64_t i = 0; e == ERR_OK && i < t->n; i++)
        e = chunk_end(t, i);
    if (e == ERR_OK && t->include_usage && t->d.scenario.usage)
        e = chunk_usage(t);
    return e == ERR_OK ? buf_append(&t->d.out, SLICE("data: [DONE]\n\n")) : e;
}

static enum err say_next(struct visit *v)
{
    struct talk *t = v->state;
    bool first = t->d.sent == 0;
    enum err e = ERR_OK;
    for (uint64_t i = 0; e == ERR_OK && i < t->n; i++)
        e = chunk_delta(t, i, first);
    t->d.sent = t->tool_name ? t->d.pieces : t->d.sent + 1;
    if (e == ERR_OK && t->d.sent >= t->d.pieces && t->d.scenario.cut == 0)
        e = say_end(t);
    return e;
}

static void fail(struct visit *v, unsigned status)
{
    chat_error(v, status, "server_error", "The demo provider fails.");
}

static uint64_t spoken(const struct visit *v)
{
    return completion_tokens(v->state);
}

static const struct delivery_words chat_words = {
    .whole = say_whole,
    .next = say_next,
    .spoken = spoken,
    .fail = fail,
    .stream_headers = {{{"content-type", 12}, {"text/event-stream", 17}},
                       {{"cache-control", 13}, {"no-cache", 8}}},
    .stream_header_count = 2,
};

/* ---- the request ---- */

static uint64_t number(const struct json_hit *hit, uint64_t otherwise)
{
    uint64_t n;
    return json_scan_u64(hit, &n) == ERR_OK ? n : otherwise;
}

static const char *read_request(struct talk *t, struct slice body)
{
    struct json_hit hits[WANTS];
    struct json_scan_problem problem;
    enum json_type root;
    struct slice model;
    if (json_scan(body, wants, WANTS, hits, &root, &problem) != ERR_OK || root != JSON_SCAN_OBJECT)
        return "The body is not a JSON object.";
    if (json_scan_text(&hits[MODEL], t->model, sizeof(t->model), &model) != ERR_OK)
        return "model is required and is a string.";
    if (hits[MESSAGES].type != JSON_SCAN_ARRAY)
        return "messages is required and is an array.";
    scenario_read(model, &t->d.scenario);
    t->d.stream = hits[STREAM].type == JSON_SCAN_TRUE;
    t->include_usage = hits[INCLUDE_USAGE].type == JSON_SCAN_TRUE;
    t->n = number(&hits[N], 1);
    if (t->n < 1 || t->n > 128)
        return "n is between 1 and 128.";
    uint64_t limit = number(&hits[MAX_COMPLETION], number(&hits[MAX_TOKENS], UINT64_MAX));
    t->limited = delivery_limit(&t->d, limit);
    t->d.prompt_tokens = (uint32_t)((hits[MESSAGES].raw.len + hits[TOOLS].raw.len + 3) / 4);
    if (hits[TOOLS].type == JSON_SCAN_ARRAY)
        tool_call_choose(body, &t->tool_name, &t->tool_arguments);
    return NULL;
}

void chat_handle(struct visit *v)
{
    struct talk *t = mem_zalloc(sizeof(*t));
    if (!t) {
        http_response_abort(v->x);
        return;
    }
    v->state = t;
    v->on_gone = on_gone;
    delivery_init(v, &chat_words);
    t->created = (long)time(NULL);
    const char *wrong = read_request(t, buf_slice(&v->body));
    if (wrong) {
        chat_error(v, 400, "invalid_request_error", wrong);
        return;
    }
    delivery_start(v);
}
