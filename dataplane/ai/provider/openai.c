/*
 * openai — OpenAI, and the many services that speak its protocol.
 */
#include "common/base/json.h"
#include "dataplane/ai/provider/openai_send.h"
#include "dataplane/ai/provider/openai_usage.h"
#include "dataplane/ai/provider/provider.h"

/* what a client may tell the provider; everything else stays here */
static const struct slice telling[] = {{"openai-beta", 11}};

static bool speaks(const struct ai_endpoint *e)
{
    return e->dialect == &dialect_openai_chat || e->dialect == &dialect_openai_embeddings;
}

static bool serves(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->kind == AI_EMBEDDINGS;
}

static struct slice path_of(enum ai_kind kind)
{
    return kind == AI_CHAT ? SLICE("/chat/completions") : SLICE("/embeddings");
}

/* Built from nothing: no header of the client passes but those listed. */
static void add_headers(struct ai_outgoing *o)
{
    ai_outgoing_add(o, SLICE("content-type"), SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept"),
                    o->request->stream ? SLICE("text/event-stream") : SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept-encoding"), SLICE("identity"));
    ai_outgoing_add(o, SLICE("user-agent"), SLICE("gatehouse"));
    ai_outgoing_add(o, SLICE("traceparent"), o->traceparent);
    for (size_t i = 0; i < ARRAY_LEN(telling); i++) {
        struct slice value = http_head_find(o->client_head, telling[i]);
        if (value.len)
            ai_outgoing_add(o, telling[i], value);
    }
}

static bool is_azure(const struct policy_provider *p)
{
    return slice_ends(p->url.host, SLICE(".openai.azure.com")) ||
           slice_ends(p->url.host, SLICE(".cognitiveservices.azure.com"));
}

/* OpenAI's newer models refuse max_tokens, and many services that speak its protocol know nothing
 * else. */
static const char *limit_name(const struct policy_provider *p)
{
    bool openai = slice_ends(p->url.host, SLICE("api.openai.com")) || is_azure(p);
    return openai ? "max_completion_tokens" : "max_tokens";
}

enum err openai_path(struct ai_outgoing *o, struct slice rest)
{
    return ai_outgoing_path(o, rest);
}

enum err openai_sign(struct ai_outgoing *o)
{
    add_headers(o);
    if (is_azure(o->target))
        return ai_outgoing_sign(o, SLICE("api-key"), SLICE(""));
    return ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

static enum err build(struct ai_outgoing *o)
{
    o->changes.limit_name = limit_name(o->target);
    if (!speaks(o->endpoint))
        return ai_outgoing_refuse(o, NULL, SLICE("a request in this dialect"));
    enum err e = openai_path(o, path_of(o->endpoint->kind));
    if (!e)
        e = o->endpoint->dialect->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    return e ? e : openai_sign(o);
}

static struct ai_usage usage_of(const struct usage_look *look)
{
    struct ai_usage u = AI_USAGE_NONE;
    if (!look->has_prompt)
        return u;
    u.prompt = look->tokens.input;
    u.cache_read = look->tokens.cache_read;
    u.cache_write = look->tokens.cache_write;
    u.output = look->has_usage ? look->tokens.output : AI_UNSAID;
    u.reasoning = look->tokens.reasoning;
    return u;
}

/* Usage of the response as the one word of it that is read; else all of it is. */
static void read_whole(struct slice body, enum ai_kind kind, struct ai_whole *ret)
{
    struct usage_look look = {0};
    *ret = (struct ai_whole){0};
    enum err e = usage_read_response(body, &look);
    bool counted = !e && (look.has_usage || (look.has_prompt && kind == AI_EMBEDDINGS));
    if (counted) {
        ret->counted = AI_COUNTED_ALL;
        ret->tokens = look.tokens;
    }
    ret->fails = look.has_error && !counted;
    ret->is_whole = counted || (!e && !look.has_error && openai_holds_result(body));
}

/* ---- errors ---- */

static struct slice text_of(const struct json_hit *h, struct arena *a)
{
    char *out = h->type == JSON_SCAN_STRING ? arena_alloc(a, h->raw.len) : NULL;
    struct slice text;
    return out && !json_scan_text(h, out, h->raw.len, &text) ? text : SLICE_NONE;
}

static enum ai_verdict verdict_of(unsigned status, struct slice code)
{
    if (slice_eq(code, SLICE("insufficient_quota")) ||
        slice_eq(code, SLICE("billing_hard_limit_reached")))
        return AI_CREDENTIAL_BAD;
    if (slice_eq(code, SLICE("context_length_exceeded")))
        return AI_TOO_LONG;
    if (slice_eq(code, SLICE("content_filter")) ||
        slice_eq(code, SLICE("content_policy_violation")))
        return AI_CONTENT;
    return ai_verdict_of_status(status);
}

void openai_read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    static const char *const wants[] = {"error.code"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    struct usage_look look = {0};
    *ret = (struct ai_fault){.text = ai_fault_text(body, a), .usage = AI_USAGE_NONE};
    if (!json_scan(body, wants, 1, &hit, &root, &problem))
        ret->code = text_of(&hit, a);
    if (!usage_read(body, &look) && look.has_usage)
        ret->usage = usage_of(&look);
    ret->verdict = verdict_of(status, ret->code);
}

/* ---- a stream, glanced at ---- */

static bool is_done(struct slice data)
{
    return slice_eq(slice_trim(data), SLICE("[DONE]"));
}

/* `"usage":null` stands in every chunk where usage was asked for: not worth a scan */
static bool may_hold_usage(struct slice data)
{
    ptrdiff_t at = slice_search(data, SLICE("\"usage\""));
    if (at < 0)
        return false;
    struct slice rest = slice_trim(slice_from(data, (size_t)at + 7));
    if (!rest.len || rest.ptr[0] != ':')
        return true;
    return !slice_starts(slice_trim(slice_from(rest, 1)), SLICE("null"));
}

/* A choice has ended: the member is a text, and not null or empty as until then. */
static bool names_a_reason(struct slice data)
{
    const struct slice name = SLICE("\"finish_reason\"");
    ptrdiff_t at;
    while ((at = slice_search(data, name)) >= 0) {
        data = slice_trim(slice_from(data, (size_t)at + name.len));
        struct slice value = slice_trim(slice_from(data, slice_starts(data, SLICE(":"))));
        if (value.ptr != data.ptr && value.len > 1 && value.ptr[0] == '"' && value.ptr[1] != '"')
            return true;
    }
    return false;
}

static bool says_error(struct slice data)
{
    struct usage_look look;
    if (slice_search(data, SLICE("\"error\"")) < 0)
        return false;
    if (usage_read(data, &look))
        return slice_starts(data, SLICE("{\"error\"")); /* broken, and meant as one */
    return look.has_error;
}

/* A role, empty texts, a list of choices without any: nothing that another target's response could
 * not begin with as well. Anything that is large or has a list in it is taken for the model's. */
static bool only_opens(struct slice data)
{
    static const struct slice lists[] = {
        {"\"tool_calls\":[{", 15}, {"\"function_call\":{", 17}, {"\"audio\":{", 9}};
    ptrdiff_t at = slice_search(data, SLICE("\"delta\""));
    if (at < 0)
        return slice_search(data, SLICE("\"choices\"")) >= 0;
    struct slice delta = slice_from(data, (size_t)at);
    if (delta.len > 512)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (slice_search(delta, lists[i]) >= 0)
            return false;
    return true;
}

/* Most chunks say all of their words in one string. */
static struct slice place_of(uint64_t words, struct slice data)
{
    const struct slice name = SLICE("\"content\":\"");
    ptrdiff_t at = words ? slice_search(data, name) : -1;
    if (at < 0)
        return SLICE_NONE;
    struct slice text = slice_from(data, (size_t)at + name.len);
    return text.len > words && text.ptr[words] == '"' ? slice_first(text, (size_t)words)
                                                      : SLICE_NONE;
}

static void glance(struct slice data, bool wants_usage, struct ai_glance *ret)
{
    struct usage_look look = {0};
    *ret = (struct ai_glance){.ends = is_done(data)};
    if (ret->ends)
        return;
    if (may_hold_usage(data) && !usage_read(data, &look)) {
        ret->has_usage = look.has_usage;
        ret->usage = usage_of(&look);
        ret->usage_alone = look.only_usage;
        if (look.only_usage && !wants_usage)
            return;
    }
    ret->fails = says_error(data);
    ret->finishes = names_a_reason(data);
    ret->words = openai_words_in_chunk(data);
    ret->text = place_of(ret->words, data);
    ret->opens =
        !ret->words && !ret->finishes && !ret->fails && !ret->has_usage && only_opens(data);
    if (!wants_usage && slice_search(data, SLICE("\"usage\"")) >= 0 &&
        !usage_find_null(data, &ret->unasked))
        ret->unasked = SLICE_NONE;
}

/* Which of several choices has ended. */
static void note_ended(struct slice choices, struct ai_writer *w)
{
    static const char *const wants[] = {"index", "finish_reason"};
    struct json_hit item, hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    uint64_t index;
    while (json_scan_item(&choices, &item)) {
        if (json_scan(item.raw, wants, ARRAY_LEN(wants), hits, &root, &problem))
            continue;
        if (!json_scan_u64(&hits[0], &index) && index < 128 && hits[1].type == JSON_SCAN_STRING &&
            hits[1].raw.len > 2)
            w->ended[index / 64] |= 1ull << (index % 64);
    }
}

static void identify(struct slice data, struct arena *a, struct ai_writer *w)
{
    static const char *const wants[] = {"id", "created", "model", "choices"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    bool ends = w->choices > 1 && names_a_reason(data);
    if ((w->id.ptr && !ends) || json_scan(data, wants, ARRAY_LEN(wants), hits, &root, &problem))
        return;
    if (ends && hits[3].type == JSON_SCAN_ARRAY)
        note_ended(hits[3].raw, w);
    if (w->id.ptr)
        return;
    w->id = arena_copy(a, hits[0].raw);
    w->created = arena_copy(a, hits[1].raw);
    w->model = arena_copy(a, hits[2].raw);
}

/* ---- as events ---- */

struct emitting {
    ai_event_fn *fn;
    void *arg;
    unsigned choice;
};

static enum err emit(const struct emitting *m, struct ai_event e)
{
    e.choice = m->choice;
    return m->fn(m->arg, &e);
}

static enum err emit_text(const struct emitting *m, enum ai_event_kind kind, struct slice text)
{
    return text.len ? emit(m, (struct ai_event){.kind = kind, .text = text}) : ERR_OK;
}

static enum err emit_tool(const struct emitting *m, const json_t *call, size_t place)
{
    const json_t *function = json_object_get(call, "function");
    const json_t *index = json_object_get(call, "index");
    unsigned block = json_is_integer(index) ? (unsigned)json_integer_value(index) : (unsigned)place;
    struct slice name = json_text(function, "name"), arguments = json_text(function, "arguments");
    enum err e = ERR_OK;
    if (name.len)
        e = emit(m, (struct ai_event){.kind = AI_TOOL_START,
                                      .block = block,
                                      .id = json_text(call, "id"),
                                      .name = name});
    if (!e && arguments.len)
        e = emit(m,
                 (struct ai_event){.kind = AI_TOOL_ARGUMENTS, .block = block, .text = arguments});
    return e;
}

static enum ai_finish finish_of(struct slice reason)
{
    static const struct {
        struct slice name;
        enum ai_finish finish;
    } rows[] = {{{"stop", 4}, AI_FINISH_STOP},
                {{"length", 6}, AI_FINISH_LENGTH},
                {{"model_length", 12}, AI_FINISH_LENGTH},
                {{"tool_calls", 10}, AI_FINISH_TOOLS},
                {{"function_call", 13}, AI_FINISH_TOOLS},
                {{"content_filter", 14}, AI_FINISH_FILTER}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(reason, rows[i].name))
            return rows[i].finish;
    return reason.len ? AI_FINISH_STOP : AI_FINISH_NONE;
}

/* `part` is a chunk's delta or a response's message. */
static enum err emit_part(const struct emitting *m, const json_t *part)
{
    const json_t *call, *reasoning = json_object_get(part, "reasoning_content");
    size_t i;
    if (!json_is_string(reasoning))
        reasoning = json_object_get(part, "reasoning");
    struct slice thought = json_is_string(reasoning) ? slice_of(json_string_value(reasoning),
                                                                json_string_length(reasoning))
                                                     : SLICE_NONE;
    enum err e = emit_text(m, AI_REASONING, thought);
    if (!e)
        e = emit_text(m, AI_TEXT, json_text(part, "content"));
    if (!e)
        e = emit_text(m, AI_REFUSAL, json_text(part, "refusal"));
    json_array_foreach(json_object_get(part, "tool_calls"), i, call)
    {
        if (!e)
            e = emit_tool(m, call, i);
    }
    return e;
}

static enum err emit_choices(struct emitting *m, const json_t *tree, const char *member)
{
    const json_t *choice;
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(json_object_get(tree, "choices"), i, choice)
    {
        const json_t *index = json_object_get(choice, "index");
        m->choice = json_is_integer(index) ? (unsigned)json_integer_value(index) : (unsigned)i;
        if (!e)
            e = emit_part(m, json_object_get(choice, member));
        enum ai_finish finish = finish_of(json_text(choice, "finish_reason"));
        if (!e && finish)
            e = emit(m, (struct ai_event){.kind = AI_FINISH, .finish = finish});
    }
    m->choice = 0;
    return e;
}

static enum err emit_error(const struct emitting *m, struct slice data, struct arena *a)
{
    struct ai_fault fault;
    openai_read_error(500, data, a, &fault);
    return emit(
        m, (struct ai_event){
               .kind = AI_ERROR, .text = fault.text, .name = fault.code, .verdict = fault.verdict});
}

static enum err emit_all(struct ai_decoder *d, struct slice data, const char *member,
                         ai_event_fn *fn, void *arg)
{
    struct emitting m = {.fn = fn, .arg = arg};
    struct usage_look look = {0};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    enum err e = json_read(data, &tree, &problem);
    if (e || !json_is_object(tree))
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    if (!usage_read(data, &look) && look.has_error)
        return emit_error(&m, data, d->arena);
    if (!d->block++)
        e = emit(&m, (struct ai_event){.kind = AI_START,
                                       .id = json_text(tree, "id"),
                                       .name = json_text(tree, "model")});
    if (!e)
        e = emit_choices(&m, tree, member);
    if (!e && look.has_usage)
        e = emit(&m, (struct ai_event){.kind = AI_USAGE, .usage = usage_of(&look)});
    return e;
}

static enum err decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    if (!e->has_data)
        return fn(arg, &(struct ai_event){.kind = AI_OTHER});
    if (is_done(e->data))
        return fn(arg, &(struct ai_event){.kind = AI_END});
    return emit_all(d, e->data, "delta", fn, arg);
}

static enum err decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    enum err e = emit_all(d, body, "message", fn, arg);
    return e ? e : fn(arg, &(struct ai_event){.kind = AI_END});
}

const struct ai_provider provider_openai = {
    .name = {"openai", 6},
    .bills_cancelled = true,
    .speaks = speaks,
    .serves = serves,
    .build = build,
    .read_error = openai_read_error,
    .read_whole = read_whole,
    .glance = glance,
    .identify = identify,
    .words = openai_words_in_response,
    .decode = decode,
    .decode_whole = decode_whole,
};
