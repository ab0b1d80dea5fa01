/*
 * generate — the same made-up responses as chat's, as Gemini's objects. Tokens are counted as
 * chat's are: a prompt token for every four bytes of contents, system prompt and tools.
 */
#include "deploy/demo/demo_provider/generate.h"

#include <stdio.h>

#include "common/base/json_out.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "deploy/demo/demo_provider/chat.h"
#include "deploy/demo/demo_provider/generate_check.h"
#include "deploy/demo/demo_provider/scenario.h"

#define CUT_MS 20 /* what was written still leaves */

/* One response under way. */
struct speech {
    json_t *request;
    char model[256]; /* text behind scenario */
    struct scenario scenario;
    uint64_t id, sent, pieces;
    bool stream, limited, thinks, thought;
    uint32_t prompt_tokens;
    size_t entry; /* in the ledger */
    struct buf out;
    const json_t *tool; /* NULL: none is called */
    json_t *args;
};

static struct provider *provider_of(const struct visit *v)
{
    return serve_arg(v->serve);
}

static const char *status_word(unsigned status)
{
    static const struct {
        unsigned status;
        const char *word;
    } rows[] = {{400, "INVALID_ARGUMENT"}, {401, "UNAUTHENTICATED"},    {403, "PERMISSION_DENIED"},
                {404, "NOT_FOUND"},        {429, "RESOURCE_EXHAUSTED"}, {503, "UNAVAILABLE"},
                {504, "DEADLINE_EXCEEDED"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].status == status)
            return rows[i].word;
    return "INTERNAL";
}

static void refuse(struct visit *v, unsigned status, const char *message)
{
    visit_json(v, status,
               json_pack("{s:{s:i,s:s,s:s}}", "error", "code", (int)status, "message", message,
                         "status", status_word(status)));
}

static void on_gone(struct visit *v)
{
    struct speech *s = v->state;
    buf_fini(&s->out);
    json_decref(s->request);
    json_decref(s->args);
    mem_free(s);
}

/* ---- what is said ---- */

static void piece_of(const struct speech *s, uint64_t piece, char out[static 256])
{
    static const char *const words[] = {"The ",   "demo ",     "provider ", "answers ",
                                        "every ", "question ", "with ",     "the ",
                                        "same ",  "few ",      "words. "};
    uint64_t bytes = s->scenario.bytes < 255 ? s->scenario.bytes : 255;
    if (!bytes) {
        snprintf(out, 256, "%s", words[piece % ARRAY_LEN(words)]);
        return;
    }
    memset(out, 'a' + (int)(piece % 26), bytes);
    out[bytes] = '\0';
}

static uint64_t spoken_tokens(const struct speech *s)
{
    return s->tool ? 1 : s->sent;
}

/* Thoughts are counted outside of the candidates. */
static void put_usage(const struct speech *s, struct json_out *o)
{
    uint64_t spoken = spoken_tokens(s);
    if (!s->scenario.usage)
        return;
    json_out_begin(o, "usageMetadata", '{');
    json_out_u64(o, "promptTokenCount", s->prompt_tokens);
    json_out_u64(o, "candidatesTokenCount", spoken);
    if (s->thinks)
        json_out_u64(o, "thoughtsTokenCount", 1);
    json_out_u64(o, "totalTokenCount", s->prompt_tokens + spoken + s->thinks);
    json_out_end(o, '}');
}

static void put_text(struct json_out *o, struct slice text, bool thought)
{
    json_out_begin(o, NULL, '{');
    json_out_text(o, "text", text);
    if (thought)
        json_out_bool(o, "thought", true);
    json_out_end(o, '}');
}

static void put_thought(struct speech *s, struct json_out *o)
{
    if (s->thinks && !s->thought)
        put_text(o, SLICE("The demo thinks. "), true);
    s->thought = true;
}

static void put_call(const struct speech *s, struct json_out *o)
{
    json_out_begin(o, NULL, '{');
    json_out_begin(o, "functionCall", '{');
    json_out_text(o, "name", json_text(s->tool, "name"));
    json_out_tree(o, "args", s->args);
    json_out_end(o, '}');
    json_out_text(o, "thoughtSignature", SLICE("ZGVtbw=="));
    json_out_end(o, '}');
}

static void begin_response(struct json_out *o)
{
    json_out_begin(o, NULL, '{');
    json_out_begin(o, "candidates", '[');
    json_out_begin(o, NULL, '{');
    json_out_begin(o, "content", '{');
    json_out_begin(o, "parts", '[');
}

static void end_response(const struct speech *s, struct json_out *o, bool last)
{
    char id[48];
    snprintf(id, sizeof(id), "demo-%lu", (unsigned long)s->id);
    json_out_end(o, ']');
    json_out_text(o, "role", SLICE("model"));
    json_out_end(o, '}');
    if (last)
        json_out_text(o, "finishReason", s->limited ? SLICE("MAX_TOKENS") : SLICE("STOP"));
    json_out_u64(o, "index", 0);
    json_out_end(o, '}');
    json_out_end(o, ']');
    put_usage(s, o);
    json_out_text(o, "modelVersion", s->scenario.name);
    json_out_text(o, "responseId", slice_str(id));
    json_out_end(o, '}');
}

/* ---- the connection is cut behind what was written ---- */

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

static enum err write_whole(struct speech *s, const struct visit *v)
{
    struct json_out o = {.to = &s->out};
    struct buf text;
    char piece[256];
    enum err e = ERR_OK;
    buf_init(&text, LIMIT_AI_ANSWER);
    begin_response(&o);
    put_thought(s, &o);
    for (; !s->tool && !e && s->sent < s->pieces; s->sent++) {
        piece_of(s, s->sent, piece);
        e = buf_append(&text, slice_str(piece));
    }
    if (s->scenario.echo && !e)
        e = buf_append(&text, http_head_find(v->head, SLICE("x-goog-api-key")));
    if (s->tool)
        put_call(s, &o);
    else
        put_text(&o, buf_slice(&text), false);
    end_response(s, &o, true);
    buf_fini(&text);
    return e ? e : o.e;
}

static void answer_whole(struct visit *v)
{
    struct speech *s = v->state;
    enum err e = write_whole(s, v);
    ledger_sent(provider_of(v)->ledger, s->entry, (uint32_t)(spoken_tokens(s) + s->thinks));
    if (e) {
        http_response_abort(v->x);
        return;
    }
    if (s->scenario.cut > 0) {
        struct http_header type = {SLICE("content-type"), SLICE("application/json")};
        e = http_response_begin(v->x, 200, &type, 1, s->out.len);
        if (!e)
            e = http_response_write(v->x, slice_first(buf_slice(&s->out), s->out.len / 2));
        cut_soon(v);
        return;
    }
    ledger_complete(provider_of(v)->ledger, s->entry);
    visit_answer(v, 200, "application/json", buf_slice(&s->out));
}

/* ---- streamed: events end as lines of HTTP do, and nothing follows the last ---- */

static enum err say_piece(struct speech *s)
{
    struct json_out o = {.to = &s->out};
    char piece[256];
    o.e = buf_append(&s->out, SLICE("data: "));
    begin_response(&o);
    put_thought(s, &o);
    if (s->tool) {
        put_call(s, &o);
        s->sent = s->pieces;
    } else {
        piece_of(s, s->sent++, piece);
        put_text(&o, slice_str(piece), false);
    }
    end_response(s, &o, s->sent >= s->pieces && s->scenario.cut == 0);
    return o.e ? o.e : buf_append(&s->out, SLICE("\r\n\r\n"));
}

static void say_on(struct visit *v)
{
    struct speech *s = v->state;
    struct ledger *l = provider_of(v)->ledger;
    do {
        enum err e = say_piece(s);
        ledger_sent(l, s->entry, (uint32_t)(spoken_tokens(s) + s->thinks));
        bool over = s->sent >= s->pieces;
        if (!e)
            e = http_response_write(v->x, buf_slice(&s->out));
        buf_clear(&s->out);
        if (e) {
            http_response_abort(v->x);
            return;
        }
        if (s->scenario.cut > 0 && (over || s->sent >= s->scenario.cut)) {
            cut_soon(v);
            return;
        }
        if (over) {
            ledger_complete(l, s->entry);
            http_response_end(v->x);
            return;
        }
        if (http_response_is_full(v->x))
            return; /* on_drain goes on */
    } while (s->scenario.chunk_ms == 0);
    timer_start(&v->timer, s->scenario.chunk_ms);
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
    struct http_header type = {SLICE("content-type"), SLICE("text/event-stream")};
    if (http_response_begin(v->x, 200, &type, 1, UINT64_MAX)) {
        http_response_abort(v->x);
        return;
    }
    timer_init(&v->timer, serve_loop(v->serve), on_chunk_timer);
    v->on_drain = on_drain;
    say_on(v);
}

/* ---- the request ---- */

static void respond(struct visit *v)
{
    struct speech *s = v->state;
    uint64_t call = provider_of(v)->calls, percent = s->scenario.fail_percent;
    if (s->scenario.hang)
        return;
    if (call * percent / 100 != (call - 1) * percent / 100) { /* spread evenly, as chat's */
        refuse(v, (unsigned)s->scenario.fail_status, "The demo provider fails.");
        return;
    }
    s->entry = ledger_open(provider_of(v)->ledger, http_head_find(v->head, SLICE("traceparent")),
                           s->scenario.name, s->prompt_tokens, s->stream);
    if (s->stream)
        answer_stream(v);
    else
        answer_whole(v);
}

static void on_delay_timer(struct timer *timer)
{
    respond(CONTAINER_OF(timer, struct visit, timer));
}

static size_t bytes_of(const json_t *part)
{
    struct buf text;
    buf_init(&text, LIMIT_AI_BODY);
    size_t n = part && json_write(part, &text) == ERR_OK ? text.len : 0;
    buf_fini(&text);
    return n;
}

static const char *last_text(const json_t *request)
{
    const json_t *contents = json_object_get(request, "contents");
    const json_t *last = json_array_get(contents, json_array_size(contents) - 1);
    const json_t *parts = json_object_get(last, "parts");
    const json_t *part = json_array_get(parts, json_array_size(parts) - 1);
    const char *text = json_string_value(json_object_get(part, "text"));
    return text ? text : "";
}

static const json_t *functions_of(const json_t *request)
{
    return json_object_get(json_array_get(json_object_get(request, "tools"), 0),
                           "functionDeclarations");
}

/* The function that is forced; else the one that the last text names. */
static const json_t *choose_tool(const json_t *request)
{
    const json_t *config =
        json_object_get(json_object_get(request, "toolConfig"), "functionCallingConfig");
    const json_t *allowed = json_object_get(config, "allowedFunctionNames"), *tool;
    const char *mode = json_string_value(json_object_get(config, "mode"));
    const char *forced = json_string_value(json_array_get(allowed, 0));
    size_t i;
    if (mode && strcmp(mode, "NONE") == 0)
        return NULL;
    json_array_foreach(functions_of(request), i, tool)
    {
        const char *name = json_string_value(json_object_get(tool, "name"));
        if (name && (forced ? strcmp(name, forced) == 0 : strstr(last_text(request), name) != NULL))
            return tool;
    }
    return mode && strcmp(mode, "ANY") == 0 ? json_array_get(functions_of(request), 0) : NULL;
}

static json_t *args_for(const json_t *tool)
{
    const json_t *schema = json_object_get(tool, "parametersJsonSchema"), *name;
    json_t *args = json_object();
    size_t i;
    if (!schema)
        schema = json_object_get(tool, "parameters");
    json_array_foreach(json_object_get(schema, "required"), i, name)
    {
        const char *member = json_string_value(name);
        const char *type = json_string_value(json_object_get(
            json_object_get(json_object_get(schema, "properties"), member ? member : ""), "type"));
        bool text = !type || strcmp(type, "string") == 0 || strcmp(type, "STRING") == 0;
        if (member)
            json_object_set_new(args, member, text ? json_string("demo") : json_integer(1));
    }
    return args;
}

static void read_request(struct speech *s)
{
    const json_t *r = s->request, *config = json_object_get(r, "generationConfig");
    json_int_t limit = json_integer_value(json_object_get(config, "maxOutputTokens"));
    uint64_t max = limit > 0 ? (uint64_t)limit : UINT64_MAX;
    s->thinks =
        json_is_true(json_object_get(json_object_get(config, "thinkingConfig"), "includeThoughts"));
    s->pieces = s->scenario.chunks < max ? s->scenario.chunks : max;
    s->limited = s->scenario.chunks > max;
    s->prompt_tokens = (uint32_t)((bytes_of(json_object_get(r, "systemInstruction")) +
                                   bytes_of(json_object_get(r, "contents")) +
                                   bytes_of(json_object_get(r, "tools")) + 3) /
                                  4);
    s->tool = choose_tool(r);
    s->args = s->tool ? args_for(s->tool) : NULL;
}

/* ---- the path: models/{model}:{method} ---- */

static bool split(const struct visit *v, struct slice *model, struct slice *method)
{
    static const struct slice fronts[] = {{"/v1beta/models/", 15}, {"/v1/models/", 11}};
    for (size_t i = 0; i < ARRAY_LEN(fronts); i++) {
        if (!slice_starts(v->path, fronts[i]))
            continue;
        struct slice rest = slice_from(v->path, fronts[i].len);
        ptrdiff_t colon = slice_find(rest, ':');
        if (colon < 1)
            return false;
        *model = slice_first(rest, (size_t)colon);
        *method = slice_from(rest, (size_t)colon + 1);
        return true;
    }
    return false;
}

bool generate_is(const struct visit *v)
{
    struct slice model, method;
    return slice_eq(v->head->method, SLICE("POST")) && split(v, &model, &method);
}

/* A scenario stands in the name, escaped. */
static void read_model(struct speech *s, struct slice raw)
{
    size_t n = 0;
    for (size_t i = 0; i < raw.len && n + 1 < sizeof(s->model); i++) {
        int high = i + 2 < raw.len && raw.ptr[i] == '%' ? slice_hex_digit(raw.ptr[i + 1]) : -1;
        int low = high >= 0 ? slice_hex_digit(raw.ptr[i + 2]) : -1;
        s->model[n++] = low >= 0 ? (char)(high * 16 + low) : raw.ptr[i];
        i += low >= 0 ? 2 : 0;
    }
    scenario_read(slice_of(s->model, n), &s->scenario);
}

static void give_count(struct visit *v)
{
    const struct speech *s = v->state;
    visit_json(v, 200, json_pack("{s:i}", "totalTokens", (int)s->prompt_tokens));
}

static bool is_signed(struct visit *v)
{
    if (http_head_find(v->head, SLICE("x-goog-api-key")).len)
        return true;
    refuse(v, 403, "Method doesn't allow unregistered callers. Please use API Key.");
    return false;
}

static struct speech *begin(struct visit *v)
{
    struct speech *s = mem_zalloc(sizeof(*s));
    if (!s)
        return NULL;
    buf_init(&s->out, LIMIT_AI_ANSWER);
    v->state = s;
    v->on_gone = on_gone;
    s->id = ++provider_of(v)->calls;
    return s;
}

void generate_handle(struct visit *v)
{
    struct json_problem problem;
    struct slice model, method;
    char why[GENERATE_WHY];
    struct speech *s = begin(v);
    if (!s || !split(v, &model, &method)) {
        http_response_abort(v->x);
        return;
    }
    read_model(s, model);
    s->stream = slice_eq(method, SLICE("streamGenerateContent"));
    bool count = slice_eq(method, SLICE("countTokens"));
    if (!is_signed(v))
        return;
    if (!s->stream && !count && !slice_eq(method, SLICE("generateContent"))) {
        refuse(v, 404, "There is nothing at this path.");
    } else if (s->stream && slice_search(v->query, SLICE("alt=sse")) < 0) {
        refuse(v, 400, "The demo provider streams as events only (alt=sse).");
    } else if (json_read(buf_slice(&v->body), &s->request, &problem)) {
        refuse(v, 400, "Invalid JSON payload received.");
    } else if (!generate_check(s->request, why)) {
        refuse(v, 400, why);
    } else {
        read_request(s);
        if (count) {
            give_count(v);
        } else if (s->scenario.delay_ms == 0) {
            respond(v);
        } else {
            timer_init(&v->timer, serve_loop(v->serve), on_delay_timer);
            timer_start(&v->timer, s->scenario.delay_ms);
        }
    }
}
