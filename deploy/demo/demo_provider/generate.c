/*
 * generate — the same made-up responses as chat's, as Gemini's objects. Tokens are counted as
 * chat's are: a prompt token for every four bytes of contents, system prompt and tools.
 */
#include "deploy/demo/demo_provider/generate.h"

#include <stdio.h>

#include "common/base/json_out.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "deploy/demo/demo_provider/delivery.h"
#include "deploy/demo/demo_provider/generate_check.h"

/* One response under way. */
struct speech {
    struct delivery d;
    json_t *request;
    char model[256]; /* text behind its scenario */
    bool limited, thinks, thought;
    const json_t *tool; /* NULL: none is called */
    json_t *args;
};

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
    delivery_fini(&s->d);
    json_decref(s->request);
    json_decref(s->args);
    mem_free(s);
}

/* ---- what is said ---- */

static uint64_t spoken_tokens(const struct speech *s)
{
    return s->tool ? 1 : s->d.sent;
}

/* Thoughts are counted outside of the candidates. */
static void put_usage(const struct speech *s, struct json_out *o)
{
    uint64_t spoken = spoken_tokens(s);
    if (!s->d.scenario.usage)
        return;
    json_out_begin(o, "usageMetadata", '{');
    json_out_u64(o, "promptTokenCount", s->d.prompt_tokens);
    json_out_u64(o, "candidatesTokenCount", spoken);
    if (s->thinks)
        json_out_u64(o, "thoughtsTokenCount", 1);
    json_out_u64(o, "totalTokenCount", s->d.prompt_tokens + spoken + s->thinks);
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
    snprintf(id, sizeof(id), "demo-%lu", (unsigned long)s->d.id);
    json_out_end(o, ']');
    json_out_text(o, "role", SLICE("model"));
    json_out_end(o, '}');
    if (last)
        json_out_text(o, "finishReason", s->limited ? SLICE("MAX_TOKENS") : SLICE("STOP"));
    json_out_u64(o, "index", 0);
    json_out_end(o, '}');
    json_out_end(o, ']');
    put_usage(s, o);
    json_out_text(o, "modelVersion", s->d.scenario.name);
    json_out_text(o, "responseId", slice_str(id));
    json_out_end(o, '}');
}

/* ---- plain ---- */

static enum err say_whole(struct visit *v)
{
    struct speech *s = v->state;
    struct json_out o = {.to = &s->d.out};
    struct buf text;
    char piece[DELIVERY_PIECE];
    enum err e = ERR_OK;
    buf_init(&text, LIMIT_AI_ANSWER);
    begin_response(&o);
    put_thought(s, &o);
    for (; !s->tool && !e && s->d.sent < s->d.pieces; s->d.sent++) {
        delivery_piece(&s->d, s->d.sent, piece);
        e = buf_append(&text, slice_str(piece));
    }
    if (s->d.scenario.echo && !e)
        e = buf_append(&text, http_head_find(v->head, SLICE("x-goog-api-key")));
    if (s->tool)
        put_call(s, &o);
    else
        put_text(&o, buf_slice(&text), false);
    end_response(s, &o, true);
    buf_fini(&text);
    return e ? e : o.e;
}

/* ---- streamed: events end as lines of HTTP do, and nothing follows the last ---- */

static enum err say_next(struct visit *v)
{
    struct speech *s = v->state;
    struct json_out o = {.to = &s->d.out};
    char piece[DELIVERY_PIECE];
    o.e = buf_append(&s->d.out, SLICE("data: "));
    begin_response(&o);
    put_thought(s, &o);
    if (s->tool) {
        put_call(s, &o);
        s->d.sent = s->d.pieces;
    } else {
        delivery_piece(&s->d, s->d.sent++, piece);
        put_text(&o, slice_str(piece), false);
    }
    end_response(s, &o, s->d.sent >= s->d.pieces && s->d.scenario.cut == 0);
    return o.e ? o.e : buf_append(&s->d.out, SLICE("\r\n\r\n"));
}

static uint64_t spoken(const struct visit *v)
{
    const struct speech *s = v->state;
    return spoken_tokens(s) + s->thinks;
}

static void fail(struct visit *v, unsigned status)
{
    refuse(v, status, "The demo provider fails.");
}

static const struct delivery_words gemini_words = {
    .whole = say_whole,
    .next = say_next,
    .spoken = spoken,
    .fail = fail,
    .stream_headers = {{{"content-type", 12}, {"text/event-stream", 17}}},
    .stream_header_count = 1,
};

/* ---- the request ---- */

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
    s->limited = delivery_limit(&s->d, max);
    s->d.prompt_tokens = (uint32_t)((delivery_bytes_of(json_object_get(r, "systemInstruction")) +
                                     delivery_bytes_of(json_object_get(r, "contents")) +
                                     delivery_bytes_of(json_object_get(r, "tools")) + 3) /
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
    scenario_read(slice_of(s->model, n), &s->d.scenario);
}

static void give_count(struct visit *v)
{
    const struct speech *s = v->state;
    visit_json(v, 200, json_pack("{s:i}", "totalTokens", (int)s->d.prompt_tokens));
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
    v->state = s;
    v->on_gone = on_gone;
    delivery_init(v, &gemini_words);
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
    s->d.stream = slice_eq(method, SLICE("streamGenerateContent"));
    bool count = slice_eq(method, SLICE("countTokens"));
    if (!is_signed(v))
        return;
    if (!s->d.stream && !count && !slice_eq(method, SLICE("generateContent"))) {
        refuse(v, 404, "There is nothing at this path.");
    } else if (s->d.stream && slice_search(v->query, SLICE("alt=sse")) < 0) {
        refuse(v, 400, "The demo provider streams as events only (alt=sse).");
    } else if (json_read(buf_slice(&v->body), &s->request, &problem)) {
        refuse(v, 400, "Invalid JSON payload received.");
    } else if (!generate_check(s->request, why)) {
        refuse(v, 400, why);
    } else {
        read_request(s);
        if (count)
            give_count(v);
        else
            delivery_start(v);
    }
}
