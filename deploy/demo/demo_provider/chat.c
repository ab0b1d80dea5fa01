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
#include "deploy/demo/demo_provider/scenario.h"
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
    struct scenario scenario;
    char model[256]; /* text behind scenario */
    uint64_t id;
    long created;
    bool stream, include_usage, limited;
    uint64_t n;
    uint64_t sent; /* pieces, of all choices */
    uint64_t pieces;
    uint32_t prompt_tokens;
    size_t entry; /* in the ledger */
    struct buf out;
    char *tool_name; /* NULL: no tool is called */
    char *tool_arguments;
};

static struct provider *provider_of(const struct visit *v)
{
    return serve_arg(v->serve);
}

void chat_error(struct visit *v, unsigned status, const char *type, const char *message)
{
    visit_json(v, status,
               json_pack("{s:{s:s,s:s,s:n,s:n}}", "error", "message", message, "type", type,
                         "param", "code"));
}

static void on_gone(struct visit *v)
{
    struct talk *t = v->state;
    buf_fini(&t->out);
    mem_free(t->tool_name);
    mem_free(t->tool_arguments);
    mem_free(t);
}

/* ---- what is said ---- */

static const char *const words[] = {"The ",   "demo ",     "provider ", "answers ",
                                    "every ", "question ", "with ",     "the ",
                                    "same ",  "few ",      "words. "};

static enum err say_piece(const struct talk *t, uint64_t piece, struct buf *out)
{
    if (t->scenario.bytes == 0)
        return buf_append(out, slice_str(words[piece % ARRAY_LEN(words)]));
    char *to;
    if (buf_room(out, t->scenario.bytes, &to) != ERR_OK)
        return ERR_NOMEM;
    memset(to, 'a' + (int)(piece % 26), t->scenario.bytes);
    buf_commit(out, t->scenario.bytes);
    return ERR_OK;
}

static uint64_t completion_tokens(const struct talk *t)
{
    return t->tool_name ? t->n : t->sent;
}

static enum err say_usage(const struct talk *t, struct buf *out)
{
    uint64_t completion = completion_tokens(t);
    return buf_printf(out,
                      "{\"prompt_tokens\":%u,\"completion_tokens\":%lu,\"total_tokens\":%lu,"
                      "\"prompt_tokens_details\":{\"cached_tokens\":0},"
                      "\"completion_tokens_details\":{\"reasoning_tokens\":0}}",
                      t->prompt_tokens, completion, t->prompt_tokens + completion);
}

static enum err say_name(const struct talk *t, struct buf *out)
{
    enum err e = buf_printf(out, "\"id\":\"chatcmpl-demo-%lu\",\"created\":%ld,\"model\":", t->id,
                            t->created);
    return e == ERR_OK ? buf_json_string(out, t->scenario.name) : e;
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
                            in_stream ? "\"index\":0," : "", t->id);
    if (e == ERR_OK)
        e = buf_json_string(out, slice_str(t->tool_name));
    if (e == ERR_OK)
        e = buf_append(out, SLICE(",\"arguments\":"));
    if (e == ERR_OK)
        e = buf_json_string(out, slice_str(t->tool_arguments));
    return e == ERR_OK ? buf_append(out, SLICE("}}]")) : e;
}

/* ---- cut: what was written still leaves, then the connection ends ---- */

#define CUT_MS 20

static void on_cut_timer(struct timer *timer)
{
    http_response_abort(CONTAINER_OF(timer, struct visit, timer)->x);
}

static void cut_soon(struct visit *v)
{
    v->on_drain = NULL;
    timer_init(&v->timer, serve_loop(v->serve), on_cut_timer);
    timer_start(&v->timer, CUT_MS);
}

/* ---- plain ---- */

static enum err say_content(struct talk *t, struct buf *out)
{
    enum err e = buf_append(out, SLICE("\"content\":\""));
    for (uint64_t i = 0; e == ERR_OK && i < t->pieces; i++, t->sent++)
        e = say_piece(t, i, out);
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

static enum err send_whole(struct talk *t, struct visit *v)
{
    struct buf *out = &t->out;
    enum err e = buf_append(out, SLICE("{\"object\":\"chat.completion\","));
    if (e == ERR_OK)
        e = say_name(t, out);
    if (e == ERR_OK)
        e = buf_append(out, SLICE(",\"choices\":["));
    for (uint64_t i = 0; e == ERR_OK && i < t->n; i++)
        e = say_choice(t, i, out);
    if (e == ERR_OK)
        e = buf_append(out, SLICE("]"));
    if (e == ERR_OK && t->scenario.echo) {
        e = buf_append(out, SLICE(",\"heard\":"));
        if (e == ERR_OK)
            e = buf_json_string(out, http_head_find(v->head, SLICE("authorization")));
    }
    if (e == ERR_OK && t->scenario.usage) {
        e = buf_append(out, SLICE(",\"usage\":"));
        if (e == ERR_OK)
            e = say_usage(t, out);
    }
    return e == ERR_OK ? buf_append(out, SLICE("}")) : e;
}

static void answer_whole(struct visit *v)
{
    struct talk *t = v->state;
    if (send_whole(t, v) != ERR_OK) {
        http_response_abort(v->x);
        return;
    }
    struct ledger *l = provider_of(v)->ledger;
    size_t entry = t->entry;
    ledger_sent(l, entry, (uint32_t)completion_tokens(t));
    if (t->scenario.cut > 0) {
        struct http_header type = {SLICE("content-type"), SLICE("application/json")};
        enum err e = http_response_begin(v->x, 200, &type, 1, t->out.len);
        if (e == ERR_OK)
            e = http_response_write(v->x, slice_first(buf_slice(&t->out), t->out.len / 2));
        log_debug(NULL, "cut", "written=%s", err_name(e));
        cut_soon(v);
        return;
    }
    ledger_complete(l, entry); /* before: the visit may be over when visit_answer returns */
    visit_answer(v, 200, "application/json", buf_slice(&t->out));
}

/* ---- streamed ---- */

static enum err begin_chunk(struct talk *t)
{
    enum err e = buf_append(&t->out, SLICE("data: {\"object\":\"chat.completion.chunk\","));
    return e == ERR_OK ? say_name(t, &t->out) : e;
}

static const char *usage_null(const struct talk *t)
{
    return t->include_usage ? ",\"usage\":null" : "";
}

static enum err chunk_delta(struct talk *t, uint64_t choice, bool first)
{
    enum err e = begin_chunk(t);
    if (e == ERR_OK)
        e = buf_printf(&t->out, ",\"choices\":[{\"index\":%lu,\"delta\":{%s", choice,
                       first ? "\"role\":\"assistant\"," : "");
    if (e == ERR_OK && t->tool_name) {
        e = say_tool_call(t, true, &t->out);
    } else if (e == ERR_OK) {
        e = buf_append(&t->out, SLICE("\"content\":\""));
        if (e == ERR_OK)
            e = say_piece(t, t->sent / t->n, &t->out);
        if (e == ERR_OK)
            e = buf_append(&t->out, SLICE("\""));
        t->sent++;
    }
    return e == ERR_OK ? buf_printf(&t->out, "},\"logprobs\":null,\"finish_reason\":null}]%s}\n\n",
                                    usage_null(t))
                       : e;
}

static enum err chunk_end(struct talk *t, uint64_t choice)
{
    enum err e = begin_chunk(t);
    return e == ERR_OK ? buf_printf(&t->out,
                                    ",\"choices\":[{\"index\":%lu,\"delta\":{},\"logprobs\":null,"
                                    "\"finish_reason\":\"%s\"}]%s}\n\n",
                                    choice, finish_reason(t), usage_null(t))
                       : e;
}

static enum err chunk_usage(struct talk *t)
{
    enum err e = begin_chunk(t);
    if (e == ERR_OK)
        e = buf_append(&t->out, SLICE(",\"choices\":[],\"usage\":"));
    if (e == ERR_OK)
        e = say_usage(t, &t->out);
    return e == ERR_OK ? buf_append(&t->out, SLICE("}\n\n")) : e;
}

/* Everything behind the last piece. */
static enum err say_end(struct talk *t)
{
    enum err e = ERR_OK;
    for (uint64_t i = 0; e == ERR_OK && i < t->n; i++)
        e = chunk_end(t, i);
    if (e == ERR_OK && t->include_usage && t->scenario.usage)
        e = chunk_usage(t);
    return e == ERR_OK ? buf_append(&t->out, SLICE("data: [DONE]\n\n")) : e;
}

static bool is_said(const struct talk *t)
{
    return t->sent >= t->pieces * t->n;
}

/* One piece of every choice; with no pause between pieces all of them, as far as the network takes.
 */
static void say_on(struct visit *v)
{
    struct talk *t = v->state;
    struct ledger *l = provider_of(v)->ledger;
    do {
        enum err e = ERR_OK;
        bool first = t->sent == 0;
        for (uint64_t i = 0; e == ERR_OK && i < t->n; i++)
            e = chunk_delta(t, i, first);
        if (t->tool_name)
            t->sent = t->pieces * t->n;
        ledger_sent(l, t->entry, (uint32_t)completion_tokens(t));
        bool over = is_said(t);
        if (e == ERR_OK && over && t->scenario.cut == 0)
            e = say_end(t);
        if (e == ERR_OK)
            e = http_response_write(v->x, buf_slice(&t->out));
        buf_clear(&t->out);
        if (e != ERR_OK) {
            http_response_abort(v->x);
            return;
        }
        if (t->scenario.cut > 0 && (over || t->sent / t->n >= t->scenario.cut)) {
            cut_soon(v);
            return;
        }
        if (over) {
            ledger_complete(l, t->entry);
            http_response_end(v->x);
            return;
        }
        if (http_response_is_full(v->x))
            return; /* on_drain goes on */
    } while (t->scenario.chunk_ms == 0);
    timer_start(&v->timer, t->scenario.chunk_ms);
}

static void on_chunk_timer(struct timer *timer)
{
    say_on(CONTAINER_OF(timer, struct visit, timer));
}

static void on_drain(struct visit *v)
{
    if (!timer_is_running(&v->timer))
        say_on(v);
}

static void answer_stream(struct visit *v)
{
    struct talk *t = v->state;
    struct http_header headers[] = {{SLICE("content-type"), SLICE("text/event-stream")},
                                    {SLICE("cache-control"), SLICE("no-cache")}};
    if (http_response_begin(v->x, 200, headers, ARRAY_LEN(headers), UINT64_MAX) != ERR_OK) {
        http_response_abort(v->x);
        return;
    }
    timer_init(&v->timer, serve_loop(v->serve), on_chunk_timer);
    if (t->stream)
        v->on_drain = on_drain;
    say_on(v);
}

/* ---- the request ---- */

static void respond(struct visit *v)
{
    struct talk *t = v->state;
    uint64_t call = provider_of(v)->calls;
    if (t->scenario.hang)
        return;
    /* spread evenly, so that a test knows how many of a hundred fail */
    if (call * t->scenario.fail_percent / 100 != (call - 1) * t->scenario.fail_percent / 100) {
        chat_error(v, (unsigned)t->scenario.fail_status, "server_error",
                   "The demo provider fails.");
        return;
    }
    t->entry = ledger_open(provider_of(v)->ledger, http_head_find(v->head, SLICE("traceparent")),
                           t->scenario.name, t->prompt_tokens, t->stream);
    if (t->stream)
        answer_stream(v);
    else
        answer_whole(v);
}

static void on_delay_timer(struct timer *timer)
{
    respond(CONTAINER_OF(timer, struct visit, timer));
}

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
    scenario_read(model, &t->scenario);
    t->stream = hits[STREAM].type == JSON_SCAN_TRUE;
    t->include_usage = hits[INCLUDE_USAGE].type == JSON_SCAN_TRUE;
    t->n = number(&hits[N], 1);
    if (t->n < 1 || t->n > 128)
        return "n is between 1 and 128.";
    uint64_t limit = number(&hits[MAX_COMPLETION], number(&hits[MAX_TOKENS], UINT64_MAX));
    t->pieces = t->scenario.chunks < limit ? t->scenario.chunks : limit;
    t->limited = t->scenario.chunks > limit;
    t->prompt_tokens = (uint32_t)((hits[MESSAGES].raw.len + hits[TOOLS].raw.len + 3) / 4);
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
    buf_init(&t->out, LIMIT_AI_ANSWER);
    v->state = t;
    v->on_gone = on_gone;
    t->id = ++provider_of(v)->calls;
    t->created = (long)time(NULL);
    const char *wrong = read_request(t, buf_slice(&v->body));
    if (wrong) {
        chat_error(v, 400, "invalid_request_error", wrong);
        return;
    }
    if (t->scenario.delay_ms == 0) {
        respond(v);
        return;
    }
    timer_init(&v->timer, serve_loop(v->serve), on_delay_timer);
    timer_start(&v->timer, t->scenario.delay_ms);
}
