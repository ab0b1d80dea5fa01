/*
 * gemini_request — written as text, member by member: the system prompt, the turns, the functions,
 * then how to generate.
 */
#include "dataplane/ai/provider/gemini_request.h"

#include "common/base/json_out.h"
#include "common/base/json_scan.h"
#include "dataplane/ai/provider/gemini_models.h"

#define STOPS_MAX 5   /* more are a 400 there */
#define CHOICES_MAX 8 /* the same */
/* What Google documents for a function call whose signature was lost. */
#define NO_SIGNATURE "skip_thought_signature_validator"

struct writing {
    struct ai_outgoing *o;
    const struct ai_chat *chat;
    const struct gemini_service *service;
    const struct gemini_model *model;
    struct json_out out;
    bool in_turn; /* `role` has its turn open */
    enum ai_role role;
};

static void refuse(struct writing *w, const char *param, struct slice why)
{
    if (!w->out.e)
        w->out.e = ai_outgoing_refuse(w->o, param, why);
}

static void leave_out(struct writing *w, const char *name)
{
    ai_outgoing_leave_out(w->o, name);
}

/* ---- turns: opened by their first part, so that none is empty ---- */

static void open_turn(struct writing *w, enum ai_role role)
{
    if (w->in_turn && w->role == role)
        return;
    if (w->in_turn) {
        json_out_end(&w->out, ']');
        json_out_end(&w->out, '}');
    }
    w->in_turn = true;
    w->role = role;
    json_out_begin(&w->out, NULL, '{');
    json_out_text(&w->out, "role", role == AI_ASSISTANT ? SLICE("model") : SLICE("user"));
    json_out_begin(&w->out, "parts", '[');
}

static void close_turn(struct writing *w)
{
    if (!w->in_turn)
        return;
    json_out_end(&w->out, ']');
    json_out_end(&w->out, '}');
}

static void begin_part(struct writing *w, enum ai_role role)
{
    open_turn(w, role);
    json_out_begin(&w->out, NULL, '{');
}

static void end_part(struct writing *w)
{
    json_out_end(&w->out, '}');
}

/* ---- parts ---- */

static void write_text(struct writing *w, enum ai_role role, struct slice text)
{
    if (!text.len)
        return;
    begin_part(w, role);
    json_out_text(&w->out, "text", text);
    end_part(w);
}

/* The members of a part with media, without its braces. */
static void write_media_members(struct writing *w, const struct ai_part *p)
{
    bool inside = p->data.ptr;
    json_out_begin(&w->out, inside ? "inlineData" : "fileData", '{');
    if (p->media_type.len)
        json_out_text(&w->out, "mimeType", p->media_type);
    json_out_text(&w->out, inside ? "data" : "fileUri", inside ? p->data : p->url);
    json_out_end(&w->out, '}');
}

static bool is_reachable(struct slice url)
{
    return slice_starts(url, SLICE("https://")) || slice_starts(url, SLICE("gs://"));
}

static bool check_media(struct writing *w, const struct ai_part *p)
{
    if (p->data.ptr && p->media_type.len)
        return true;
    if (p->data.ptr)
        refuse(w, "messages", SLICE("inline content whose media type is not named"));
    else if (!p->url.ptr)
        refuse(w, "messages", SLICE("a file that another provider keeps"));
    else if (!is_reachable(p->url))
        refuse(w, "messages", SLICE("content must be inline in base64, or an https: or gs: URL"));
    return !w->out.e;
}

static void write_media(struct writing *w, enum ai_role role, const struct ai_part *p)
{
    if (p->kind == AI_PART_FILE && p->text.ptr) {
        write_text(w, role, p->text);
        return;
    }
    if (!check_media(w, p))
        return;
    if (p->detail.len && !slice_eq(p->detail, SLICE("auto")))
        leave_out(w, "detail");
    begin_part(w, role);
    write_media_members(w, p);
    end_part(w);
}

static bool is_object(struct slice json)
{
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan(json, NULL, 0, NULL, &root, &problem) && root == JSON_SCAN_OBJECT;
}

static void write_arguments(struct writing *w, const struct ai_part *p)
{
    if (ai_text_is_blank(p->text))
        json_out_raw(&w->out, "args", SLICE("{}"));
    else if (is_object(p->text))
        json_out_raw(&w->out, "args", p->text);
    else
        refuse(w, "messages",
               arena_printf(w->o->arena, "the arguments of the tool call %.*s are no JSON object",
                            SLICE_ARG(slice_first(p->id, 64))));
}

/* Of parallel calls the first carries the signature of all. */
static void write_call(struct writing *w, const struct ai_part *p, struct slice seal,
                       bool first_unsigned)
{
    if (!p->name.len) {
        refuse(w, "messages", SLICE("a tool call that is no function's"));
        return;
    }
    begin_part(w, AI_ASSISTANT);
    json_out_begin(&w->out, "functionCall", '{');
    if (w->service->call_ids && p->id.len)
        json_out_text(&w->out, "id", p->id);
    json_out_text(&w->out, "name", p->name);
    write_arguments(w, p);
    json_out_end(&w->out, '}');
    if (p->signature.len || seal.len)
        json_out_text(&w->out, "thoughtSignature", p->signature.len ? p->signature : seal);
    else if (first_unsigned)
        json_out_text(&w->out, "thoughtSignature", SLICE(NO_SIGNATURE));
    end_part(w);
}

/* All text of a result, in one piece where there is more. */
static struct slice text_of(struct writing *w, const struct ai_part *result)
{
    struct slice all = SLICE("");
    for (const struct ai_part *p = result->inner ? result->inner->first : NULL; p; p = p->next) {
        if (!p->text.len)
            continue;
        all = all.len ? arena_printf(w->o->arena, "%.*s\n%.*s", SLICE_ARG(all), SLICE_ARG(p->text))
                      : p->text;
        if (!all.ptr && !w->out.e)
            w->out.e = ERR_NOMEM;
    }
    return all;
}

/* The response of a function must be an object: "output" and "error" are the names that Google
 * gives to the text of one. */
static void write_result(struct writing *w, const struct ai_part *p)
{
    struct slice name = ai_chat_function_of(w->chat, p);
    if (!name.len) {
        refuse(w, "messages",
               arena_printf(w->o->arena, "the result of the tool call %.*s, which no turn made",
                            SLICE_ARG(slice_first(p->id, 64))));
        return;
    }
    begin_part(w, AI_USER);
    json_out_begin(&w->out, "functionResponse", '{');
    if (w->service->call_ids && p->id.len)
        json_out_text(&w->out, "id", p->id);
    json_out_text(&w->out, "name", name);
    json_out_begin(&w->out, "response", '{');
    json_out_text(&w->out, p->is_error ? "error" : "output", text_of(w, p));
    json_out_end(&w->out, '}');
    json_out_end(&w->out, '}');
    end_part(w);
}

/* Media of results, behind all results of the turn. */
static void write_media_of_results(struct writing *w, const struct ai_turn *t)
{
    for (const struct ai_part *p = t->parts.first; p; p = p->next) {
        if (p->kind != AI_PART_TOOL_RESULT || !p->inner)
            continue;
        for (const struct ai_part *in = p->inner->first; in; in = in->next)
            if (in->kind != AI_PART_TEXT && in->kind != AI_PART_REFUSAL)
                write_media(w, AI_USER, in);
    }
}

/* Dialects whose calls have no place for a signature tell it before the call, as reasoning that
 * only the account which made it can read. */
static bool is_seal(const struct ai_part *p)
{
    return p->kind == AI_PART_REASONING && p->maker.len && p->redacted.len;
}

static bool has_signed_call(const struct ai_turn *t)
{
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        if ((p->kind == AI_PART_TOOL_CALL && p->signature.len) ||
            (is_seal(p) && p->next && p->next->kind == AI_PART_TOOL_CALL))
            return true;
    return false;
}

/* `seal`: what stood before the part, for it alone. */
static void write_part(struct writing *w, const struct ai_turn *t, const struct ai_part *p,
                       struct slice seal, bool *unsigned_yet)
{
    if (p->cache != AI_CACHE_NONE)
        leave_out(w, "cache_control");
    switch (p->kind) {
    case AI_PART_TEXT:
    case AI_PART_REFUSAL:
        write_text(w, t->role, p->text);
        break;
    case AI_PART_IMAGE:
    case AI_PART_AUDIO:
    case AI_PART_VIDEO:
    case AI_PART_FILE:
        write_media(w, t->role, p);
        break;
    case AI_PART_TOOL_CALL:
        write_call(w, p, seal, *unsigned_yet);
        *unsigned_yet = false;
        break;
    case AI_PART_TOOL_RESULT:
        write_result(w, p);
        break;
    case AI_PART_REASONING: /* a signature of it may be another provider's, and Gemini needs none */
        break;
    }
}

static void write_turn(struct writing *w, const struct ai_turn *t)
{
    bool unsigned_yet = w->model->signs && !has_signed_call(t);
    if (t->name.len)
        leave_out(w, "name");
    struct slice seal = SLICE("");
    for (const struct ai_part *p = t->parts.first; p && !w->out.e; p = p->next) {
        write_part(w, t, p, seal, &unsigned_yet);
        seal = is_seal(p) ? p->redacted : SLICE("");
    }
    write_media_of_results(w, t);
}

static void write_turns(struct writing *w)
{
    json_out_begin(&w->out, "contents", '[');
    for (const struct ai_turn *t = w->chat->first; t && !w->out.e; t = t->next)
        if (t->role != AI_SYSTEM)
            write_turn(w, t);
    if (!w->in_turn)
        refuse(w, "messages", SLICE("no message of the user with any content"));
    close_turn(w);
    json_out_end(&w->out, ']');
}

static void write_system_part(struct writing *w, const struct ai_part *p, bool *any)
{
    if (p->cache != AI_CACHE_NONE)
        leave_out(w, "cache_control");
    if (p->kind != AI_PART_TEXT) {
        refuse(w, "messages", SLICE("a system prompt with other content than text"));
        return;
    }
    if (!p->text.len)
        return;
    if (!*any) {
        json_out_begin(&w->out, "systemInstruction", '{');
        json_out_begin(&w->out, "parts", '[');
    }
    *any = true;
    json_out_begin(&w->out, NULL, '{');
    json_out_text(&w->out, "text", p->text);
    json_out_end(&w->out, '}');
}

static void write_system(struct writing *w)
{
    bool any = false;
    for (const struct ai_turn *t = w->chat->first; t; t = t->next)
        for (const struct ai_part *p = t->role == AI_SYSTEM ? t->parts.first : NULL; p; p = p->next)
            write_system_part(w, p, &any);
    if (!any)
        return;
    json_out_end(&w->out, ']');
    json_out_end(&w->out, '}');
}

/* ---- schemas: JSON Schema is taken but for `const` (dialects.md 2.3) ---- */

enum schema_place {
    IS_SCHEMA,
    HOLDS_SCHEMAS, /* its members are named by the client, and each is a schema */
    IS_VALUE,      /* any JSON */
};

static enum schema_place place_below(const char *name)
{
    static const char *const maps[] = {"properties", "$defs", "definitions", "patternProperties",
                                       "dependentSchemas"};
    static const char *const values[] = {"enum", "default", "examples", "example", "required"};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        if (strcmp(name, maps[i]) == 0)
            return HOLDS_SCHEMAS;
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        if (strcmp(name, values[i]) == 0)
            return IS_VALUE;
    return IS_SCHEMA;
}

static void write_schema(struct json_out *out, const json_t *v, enum schema_place place)
{
    const char *name;
    json_t *inner;
    size_t i;
    if (place == IS_VALUE || (!json_is_object(v) && !json_is_array(v))) {
        json_out_tree(out, NULL, v);
        return;
    }
    json_out_begin(out, NULL, json_is_object(v) ? '{' : '[');
    json_array_foreach(v, i, inner) write_schema(out, inner, IS_SCHEMA);
    json_object_foreach((json_t *)(uintptr_t)v, name, inner)
    {
        bool word = place == IS_SCHEMA;
        if (word && strcmp(name, "$schema") == 0)
            continue;
        if (word && strcmp(name, "const") == 0) {
            json_out_begin(out, "enum", '[');
            json_out_tree(out, NULL, inner);
            json_out_end(out, ']');
            continue;
        }
        json_out_name(out, slice_str(name));
        write_schema(out, inner, word ? place_below(name) : IS_SCHEMA);
    }
    json_out_end(out, json_is_object(v) ? '}' : ']');
}

static bool says_nothing(const json_t *schema)
{
    return !schema || (json_object_size(json_object_get(schema, "properties")) == 0 &&
                       !json_object_get(schema, "anyOf") && !json_object_get(schema, "$ref") &&
                       !json_is_true(json_object_get(schema, "additionalProperties")) &&
                       !json_is_object(json_object_get(schema, "additionalProperties")));
}

/* ---- functions ---- */

static bool forces(const struct ai_chat *c)
{
    return c->choosing == AI_CHOOSE_ANY || c->choosing == AI_CHOOSE_ONE;
}

static void write_function(struct writing *w, const struct ai_function *f)
{
    if (f->cache != AI_CACHE_NONE)
        leave_out(w, "cache_control");
    json_out_begin(&w->out, NULL, '{');
    json_out_text(&w->out, "name", f->name);
    if (f->description.len)
        json_out_text(&w->out, "description", f->description);
    if (!says_nothing(f->schema)) {
        json_out_name(&w->out, SLICE("parametersJsonSchema"));
        write_schema(&w->out, f->schema, IS_SCHEMA);
    }
    json_out_end(&w->out, '}');
}

/* Only a forced choice takes a list of names; else the functions that may not be called are left
 * out. */
static bool is_declared(const struct ai_chat *c, const struct ai_function *f)
{
    return forces(c) || ai_chat_allows(c, f->name);
}

static bool write_functions(struct writing *w)
{
    bool any = false;
    for (const struct ai_function *f = w->chat->functions; f; f = f->next) {
        if (!is_declared(w->chat, f))
            continue;
        if (!any) { /* all in one tool */
            json_out_begin(&w->out, "tools", '[');
            json_out_begin(&w->out, NULL, '{');
            json_out_begin(&w->out, "functionDeclarations", '[');
        }
        any = true;
        write_function(w, f);
    }
    if (!any)
        return false;
    json_out_end(&w->out, ']');
    json_out_end(&w->out, '}');
    json_out_end(&w->out, ']');
    return true;
}

static void write_choice(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    json_out_begin(&w->out, "toolConfig", '{');
    json_out_begin(&w->out, "functionCallingConfig", '{');
    json_out_text(&w->out, "mode",
                  forces(c)                       ? SLICE("ANY")
                  : c->choosing == AI_CHOOSE_NONE ? SLICE("NONE")
                                                  : SLICE("AUTO"));
    if (c->choosing == AI_CHOOSE_ONE || (forces(c) && c->allowed)) {
        json_out_begin(&w->out, "allowedFunctionNames", '[');
        if (c->choosing == AI_CHOOSE_ONE)
            json_out_text(&w->out, NULL, c->chosen);
        for (const struct ai_word *a = c->choosing == AI_CHOOSE_ONE ? NULL : c->allowed; a;
             a = a->next)
            json_out_text(&w->out, NULL, a->text);
        json_out_end(&w->out, ']');
    }
    json_out_end(&w->out, '}');
    json_out_end(&w->out, '}');
}

static void write_tools(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    bool any = write_functions(w);
    if (c->one_call_at_a_time && any)
        leave_out(w, "parallel_tool_calls");
    if (any && c->choosing != AI_CHOOSE_UNSAID)
        write_choice(w);
    else if (!any && forces(c))
        refuse(w, "tool_choice", SLICE("a choice among no tools"));
}

/* ---- how to generate ---- */

/* A whole number is written without an exponent, for readers that expect an integer. */
static void write_number(struct writing *w, const char *name, const struct ai_number *n)
{
    double v = n->value;
    if (n->set && v >= 0 && v < 9007199254740992.0 && v == (double)(uint64_t)v)
        json_out_u64(&w->out, name, (uint64_t)v);
    else if (n->set)
        json_out_real(&w->out, name, v);
}

static void write_penalty(struct writing *w, const char *name, const char *theirs,
                          const struct ai_number *n)
{
    if (w->model->penalties)
        write_number(w, name, n);
    else if (n->set && n->value != 0)
        leave_out(w, theirs);
}

static void write_stops(struct writing *w)
{
    size_t n = 0;
    if (!w->chat->stops)
        return;
    json_out_begin(&w->out, "stopSequences", '[');
    for (const struct ai_word *s = w->chat->stops; s; s = s->next, n++)
        json_out_text(&w->out, NULL, s->text);
    json_out_end(&w->out, ']');
    if (n > STOPS_MAX)
        refuse(w, "stop", SLICE("more than 5 stop sequences"));
}

static void write_choices(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    if (c->choices <= 1)
        return;
    if (c->choices > CHOICES_MAX)
        refuse(w, "n", SLICE("more than 8 choices"));
    else if (c->stream && c->functions)
        refuse(w, "n", SLICE("more than one choice in a stream with tools"));
    json_out_u64(&w->out, "candidateCount", c->choices);
}

static void write_format(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    bool tools = c->functions && c->choosing != AI_CHOOSE_NONE;
    if (c->format == AI_FORMAT_TEXT)
        return;
    if (tools && (!w->model->schema_beside_tools || forces(c))) {
        refuse(w, "response_format", SLICE("an output format together with tools"));
        return;
    }
    json_out_text(&w->out, "responseMimeType", SLICE("application/json"));
    if (c->format != AI_FORMAT_SCHEMA || !c->format_schema)
        return;
    json_out_name(&w->out, SLICE("responseJsonSchema"));
    write_schema(&w->out, c->format_schema, IS_SCHEMA);
}

static void write_level(struct writing *w, enum ai_effort effort)
{
    if (effort == AI_EFFORT_NONE)
        leave_out(w, "reasoning_effort"); /* the lowest takes its place */
    json_out_text(&w->out, "thinkingLevel", gemini_level(w->model, effort));
}

static void write_budget(struct writing *w, enum ai_effort effort)
{
    const struct gemini_model *m = w->model;
    uint64_t named = w->chat->reasoning_budget;
    uint64_t tokens = named ? named : gemini_budget(m, effort);
    if (named && tokens < m->budget_min)
        tokens = m->budget_min;
    if (tokens > m->budget_max)
        tokens = m->budget_max;
    if (effort == AI_EFFORT_NONE && tokens)
        leave_out(w, "reasoning_effort");
    json_out_u64(&w->out, "thinkingBudget", tokens);
}

static void write_thinking(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    enum ai_effort effort = c->effort;
    if (!effort && !c->reasoning_budget && !c->reasoning_shown)
        return;
    if (w->model->thinking == GEMINI_THINKS_NOT) {
        if (effort != AI_EFFORT_NONE)
            leave_out(w, "reasoning_effort");
        return;
    }
    if (!effort && c->reasoning_budget)
        effort = gemini_effort_of(c->reasoning_budget);
    json_out_begin(&w->out, "thinkingConfig", '{');
    if (effort && w->model->thinking == GEMINI_THINKS_BY_LEVEL)
        write_level(w, effort);
    else if (effort)
        write_budget(w, effort);
    if (effort != AI_EFFORT_NONE)
        json_out_bool(&w->out, "includeThoughts", true);
    json_out_end(&w->out, '}');
}

static void write_generation(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    uint64_t limit = c->output_limit ? c->output_limit : w->o->changes.output_limit;
    json_out_begin(&w->out, "generationConfig", '{');
    if (limit)
        json_out_u64(&w->out, "maxOutputTokens", limit);
    write_number(w, "temperature", &c->temperature);
    write_number(w, "topP", &c->top_p);
    write_number(w, "topK", &c->top_k);
    write_number(w, "seed", &c->seed);
    write_penalty(w, "presencePenalty", "presence_penalty", &c->presence_penalty);
    write_penalty(w, "frequencyPenalty", "frequency_penalty", &c->frequency_penalty);
    write_stops(w);
    write_choices(w);
    write_format(w);
    write_thinking(w);
    json_out_end(&w->out, '}');
}

static void write_tier(struct writing *w)
{
    static const char *const names[] = {
        [AI_TIER_STANDARD] = "standard", [AI_TIER_FLEX] = "flex", [AI_TIER_PRIORITY] = "priority"};
    enum ai_tier tier = w->chat->tier;
    if (tier >= AI_TIER_STANDARD)
        json_out_text(&w->out, "serviceTier", slice_str(names[tier]));
}

static void write_rest(struct writing *w)
{
    if (w->chat->user.len)
        leave_out(w, "user");
    if (w->chat->verbosity.len && !slice_eq(w->chat->verbosity, SLICE("medium")))
        leave_out(w, "verbosity");
    if (!w->out.e)
        w->out.e = ai_outgoing_take_others(w->o);
}

enum err gemini_write_request(struct ai_outgoing *o, const struct gemini_service *s)
{
    struct writing w = {.o = o,
                        .chat = o->chat,
                        .service = s,
                        .model = gemini_model_of(o->changes.model),
                        .out = {.to = o->translated}};
    buf_clear(o->translated);
    json_out_begin(&w.out, NULL, '{');
    write_system(&w);
    write_turns(&w);
    write_tools(&w);
    write_generation(&w);
    write_tier(&w);
    json_out_end(&w.out, '}');
    write_rest(&w);
    return w.out.e;
}
