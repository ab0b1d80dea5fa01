/*
 * anthropic_request — the members of a body for the Messages API.
 */
#include "dataplane/ai/provider/anthropic_request.h"

#define BREAKPOINTS_MAX 4 /* cache_control marks in one request */
#define BUDGET_LEAST 1024 /* thinking tokens, doubled for each step of effort */
#define JSON_INSTRUCTION "Answer with one JSON object and nothing else."

void anthropic_refuse(struct anthropic_writing *w, const char *param, struct slice why)
{
    w->refused = ai_outgoing_refuse(w->o, param, why) == ERR_INVALID;
}

void anthropic_mark(struct anthropic_writing *w, enum ai_cache_mark mark)
{
    if (mark == AI_CACHE_NONE || w->breakpoints >= BREAKPOINTS_MAX)
        return;
    w->breakpoints++;
    json_out_begin(&w->j, "cache_control", '{');
    json_out_text(&w->j, "type", SLICE("ephemeral"));
    if (mark == AI_CACHE_LONG)
        json_out_text(&w->j, "ttl", SLICE("1h"));
    json_out_end(&w->j, '}');
}

/* ---- tools ---- */

static bool is_word(const json_t *v, const char *word)
{
    return json_is_string(v) && strcmp(json_string_value(v), word) == 0;
}

/* Of an object, with properties. Only what lacks them is copied. */
static void write_schema(struct anthropic_writing *w, const json_t *schema)
{
    bool typed = json_object_get(schema, "type");
    bool object = !typed || is_word(json_object_get(schema, "type"), "object");
    if (!json_is_object(schema)) {
        json_out_raw(&w->j, "input_schema", SLICE("{\"type\":\"object\",\"properties\":{}}"));
        return;
    }
    if (typed && (!object || json_object_get(schema, "properties")) &&
        !json_object_get(schema, "$schema")) {
        json_out_tree(&w->j, "input_schema", schema);
        return;
    }
    json_t *own = json_copy((json_t *)(uintptr_t)schema);
    bool failed = !own;
    json_object_del(own, "$schema");
    if (!typed)
        failed = json_object_set_new(own, "type", json_string("object")) || failed;
    if (object && !json_object_get(own, "properties"))
        failed = json_object_set_new(own, "properties", json_object()) || failed;
    if (failed && !w->j.e)
        w->j.e = ERR_NOMEM;
    json_out_tree(&w->j, "input_schema", own);
    json_decref(own);
}

static void write_function(struct anthropic_writing *w, const struct ai_function *f)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "name", f->name);
    write_schema(w, f->schema);
    if (f->description.len)
        json_out_text(&w->j, "description", f->description);
    if (f->strict && w->rules->structured)
        json_out_bool(&w->j, "strict", true);
    else if (f->strict)
        ai_outgoing_leave_out(w->o, "strict");
    anthropic_mark(w, f->cache);
    json_out_end(&w->j, '}');
}

static bool was_called_before(const struct ai_chat *c, const struct ai_part *call)
{
    for (const struct ai_turn *t = c->first; t; t = t->next)
        for (const struct ai_part *p = t->parts.first; p; p = p->next) {
            if (p == call)
                return false;
            if (p->kind == AI_PART_TOOL_CALL && slice_eq(p->name, call->name))
                return true;
        }
    return false;
}

/* The API wants the tools defined that the history speaks of. */
static bool write_tools_of_history(struct anthropic_writing *w)
{
    bool any = false;
    for (const struct ai_turn *t = w->chat->first; t; t = t->next)
        for (const struct ai_part *p = t->parts.first; p; p = p->next) {
            if (p->kind != AI_PART_TOOL_CALL || was_called_before(w->chat, p))
                continue;
            if (!any)
                json_out_begin(&w->j, "tools", '[');
            any = true;
            write_function(w, &(struct ai_function){.name = p->name});
        }
    if (any)
        json_out_end(&w->j, ']');
    return any;
}

static void write_choice(struct anthropic_writing *w, bool thinks)
{
    const struct ai_chat *c = w->chat;
    bool forces = c->choosing == AI_CHOOSE_ANY || c->choosing == AI_CHOOSE_ONE;
    if (c->choosing == AI_CHOOSE_UNSAID && !c->one_call_at_a_time)
        return;
    if (forces && (!w->rules->forced_tool || thinks))
        anthropic_refuse(w, "tool_choice",
                         thinks ? SLICE("a forced tool call together with reasoning_effort")
                                : SLICE("a forced tool call, which this model does not make"));
    json_out_begin(&w->j, "tool_choice", '{');
    json_out_text(&w->j, "type",
                  c->choosing == AI_CHOOSE_NONE  ? SLICE("none")
                  : c->choosing == AI_CHOOSE_ANY ? SLICE("any")
                  : c->choosing == AI_CHOOSE_ONE ? SLICE("tool")
                                                 : SLICE("auto"));
    if (c->choosing == AI_CHOOSE_ONE)
        json_out_text(&w->j, "name", c->chosen);
    if (c->one_call_at_a_time && c->choosing != AI_CHOOSE_NONE)
        json_out_bool(&w->j, "disable_parallel_tool_use", true);
    json_out_end(&w->j, '}');
}

static void write_tools(struct anthropic_writing *w, bool thinks)
{
    const struct ai_chat *c = w->chat;
    bool any = false;
    for (const struct ai_function *f = c->functions; f; f = f->next) {
        if (!ai_chat_allows(c, f->name))
            continue;
        if (!any)
            json_out_begin(&w->j, "tools", '[');
        any = true;
        write_function(w, f);
    }
    if (any) {
        json_out_end(&w->j, ']');
        write_choice(w, thinks);
        return;
    }
    write_tools_of_history(w);
    if (c->choosing == AI_CHOOSE_ANY || c->choosing == AI_CHOOSE_ONE)
        anthropic_refuse(w, "tool_choice", SLICE("a choice among no tools"));
}

/* ---- reasoning ---- */

static const char *effort_of(const struct anthropic_writing *w, enum ai_effort effort)
{
    static const char *const names[] = {
        [AI_EFFORT_MINIMAL] = "low", [AI_EFFORT_LOW] = "low",     [AI_EFFORT_MEDIUM] = "medium",
        [AI_EFFORT_HIGH] = "high",   [AI_EFFORT_XHIGH] = "xhigh", [AI_EFFORT_MAX] = "max"};
    return effort == AI_EFFORT_XHIGH && !w->rules->xhigh ? "high" : names[effort];
}

/* A budget of tokens is about this much effort. */
static enum ai_effort effort_of_budget(uint64_t budget)
{
    return budget <= 2048 ? AI_EFFORT_LOW : budget <= 16384 ? AI_EFFORT_MEDIUM : AI_EFFORT_HIGH;
}

static uint64_t budget_of(const struct ai_chat *c)
{
    unsigned step = c->effort > AI_EFFORT_LOW ? (unsigned)(c->effort - AI_EFFORT_LOW) : 0;
    if (c->reasoning_budget)
        return c->reasoning_budget < BUDGET_LEAST ? BUDGET_LEAST : c->reasoning_budget;
    return (uint64_t)BUDGET_LEAST << step;
}

struct anthropic_plan anthropic_plan_reasoning(struct anthropic_writing *w)
{
    const struct ai_chat *c = w->chat;
    const struct claude_model *rules = w->rules;
    struct anthropic_plan p = {0};
    enum ai_effort effort = c->effort;
    if (!effort && c->reasoning_budget)
        effort = effort_of_budget(c->reasoning_budget);
    if (!effort)
        return p;
    if (effort == AI_EFFORT_NONE && rules->adaptive && rules->can_disable) {
        p.thinking = ANTHROPIC_OFF;
    } else if (effort == AI_EFFORT_NONE && rules->adaptive) {
        p.effort = "low";
        ai_outgoing_leave_out(w->o, "reasoning_effort");
    } else if (effort == AI_EFFORT_NONE) {
        return p;
    } else if (rules->adaptive) {
        p = (struct anthropic_plan){.thinking = ANTHROPIC_ADAPTIVE, .effort = effort_of(w, effort)};
    } else if (rules->budget && !anthropic_calls_unsigned(c)) {
        p = (struct anthropic_plan){.thinking = ANTHROPIC_BUDGET, .budget = budget_of(c)};
    } else {
        ai_outgoing_leave_out(w->o, "reasoning_effort");
    }
    return p;
}

void anthropic_write_thinking(struct anthropic_writing *w, const struct anthropic_plan *p)
{
    if (p->thinking == ANTHROPIC_UNSAID)
        return;
    json_out_begin(&w->j, "thinking", '{');
    json_out_text(&w->j, "type",
                  p->thinking == ANTHROPIC_OFF        ? SLICE("disabled")
                  : p->thinking == ANTHROPIC_ADAPTIVE ? SLICE("adaptive")
                                                      : SLICE("enabled"));
    if (p->thinking == ANTHROPIC_ADAPTIVE)
        json_out_text(&w->j, "display", SLICE("summarized"));
    if (p->thinking == ANTHROPIC_BUDGET)
        json_out_u64(&w->j, "budget_tokens", p->budget);
    json_out_end(&w->j, '}');
}

/* The budget counts within it: a client's limit is of the words it gets. One that holds the budget
 * it named itself is meant so. */
static uint64_t max_tokens_of(const struct anthropic_writing *w, const struct anthropic_plan *p)
{
    uint64_t n = w->chat->output_limit ? w->chat->output_limit : w->o->changes.output_limit;
    uint64_t most = w->rules->name.len ? w->rules->max_output : UINT64_MAX;
    n = n ? n : w->rules->max_output;
    bool within = w->chat->reasoning_budget && n > p->budget;
    if (p->thinking == ANTHROPIC_BUDGET && !within)
        n += p->budget;
    if (w->chat->output_limit > most)
        ai_outgoing_leave_out(w->o, "max_tokens above the model's");
    return n < most ? n : most;
}

/* ---- the other members ---- */

static void write_sampling(struct anthropic_writing *w, bool thinks)
{
    const struct ai_chat *c = w->chat;
    const struct {
        const char *name;
        const struct ai_number *number;
        bool beside; /* temperature and top_p together are a 400 */
    } rows[] = {{"temperature", &c->temperature, false},
                {"top_p", &c->top_p, c->temperature.set},
                {"top_k", &c->top_k, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double value = rows[i].number->value;
        if (!rows[i].number->set)
            continue;
        if (!w->rules->sampling || thinks || rows[i].beside) {
            ai_outgoing_leave_out(w->o, rows[i].name);
            continue;
        }
        if (i == 0 && value > 1.0)
            ai_outgoing_leave_out(w->o, "temperature above 1");
        json_out_real(&w->j, rows[i].name, i == 0 && value > 1.0 ? 1.0 : value);
    }
}

static void write_stops(struct anthropic_writing *w)
{
    bool any = false;
    for (const struct ai_word *s = w->chat->stops; s; s = s->next) {
        if (ai_text_is_blank(s->text)) {
            ai_outgoing_leave_out(w->o, "stop of white space");
            continue;
        }
        if (!any)
            json_out_begin(&w->j, "stop_sequences", '[');
        any = true;
        json_out_text(&w->j, NULL, s->text);
    }
    if (any)
        json_out_end(&w->j, ']');
}

/* The API refuses what could name a person. */
static bool names_a_person(struct slice user)
{
    size_t digits = 0;
    for (size_t i = 0; i < user.len; i++) {
        if (user.ptr[i] == '@')
            return true;
        digits += user.ptr[i] >= '0' && user.ptr[i] <= '9';
    }
    return digits >= 7 && digits + 6 >= user.len;
}

static void write_user(struct anthropic_writing *w)
{
    struct slice user = w->chat->user;
    if (user.len && names_a_person(user)) {
        ai_outgoing_leave_out(w->o, "user");
    } else if (user.len) {
        json_out_begin(&w->j, "metadata", '{');
        json_out_text(&w->j, "user_id", user);
        json_out_end(&w->j, '}');
    }
}

static void write_tier(struct anthropic_writing *w)
{
    enum ai_tier tier = w->chat->tier;
    if (tier == AI_TIER_AUTO)
        json_out_text(&w->j, "service_tier", SLICE("auto"));
    else if (tier == AI_TIER_STANDARD)
        json_out_text(&w->j, "service_tier", SLICE("standard_only"));
    else if (tier != AI_TIER_UNSAID)
        ai_outgoing_leave_out(w->o, "service_tier");
}

/* Every object must say that it has no other members than it names (dialects.md 2.3). */
static void close_objects(json_t *schema)
{
    const char *name;
    json_t *inner;
    size_t i;
    if (json_is_object(schema) && is_word(json_object_get(schema, "type"), "object"))
        json_object_set_new(schema, "additionalProperties", json_false());
    json_object_foreach(schema, name, inner) close_objects(inner);
    json_array_foreach(schema, i, inner) close_objects(inner);
}

static void write_format(struct anthropic_writing *w)
{
    if (!w->rules->structured || !json_is_object(w->chat->format_schema)) {
        anthropic_refuse(w, "response_format", SLICE("an output of a given schema"));
        return;
    }
    JSON_AUTO json_t *own = json_deep_copy(w->chat->format_schema);
    close_objects(own);
    json_object_del(own, "$schema");
    if (!own && !w->j.e)
        w->j.e = ERR_NOMEM;
    json_out_begin(&w->j, "format", '{');
    json_out_text(&w->j, "type", SLICE("json_schema"));
    json_out_tree(&w->j, "schema", own);
    json_out_end(&w->j, '}');
}

void anthropic_write_output_config(struct anthropic_writing *w, const struct anthropic_plan *p)
{
    bool schema = w->chat->format == AI_FORMAT_SCHEMA;
    if (!schema && !p->effort)
        return;
    json_out_begin(&w->j, "output_config", '{');
    if (p->effort)
        json_out_text(&w->j, "effort", slice_str(p->effort));
    if (schema)
        write_format(w);
    json_out_end(&w->j, '}');
}

/* ---- what has no counterpart ---- */

static void leave_out_the_rest(struct anthropic_writing *w)
{
    const struct ai_chat *c = w->chat;
    if (c->choices > 1)
        anthropic_refuse(w, "n", SLICE("more than one choice"));
    if (c->format == AI_FORMAT_JSON)
        ai_outgoing_leave_out(w->o, "response_format json_object");
    if (c->seed.set)
        ai_outgoing_leave_out(w->o, "seed");
    if (c->presence_penalty.set && c->presence_penalty.value != 0)
        ai_outgoing_leave_out(w->o, "presence_penalty");
    if (c->frequency_penalty.set && c->frequency_penalty.value != 0)
        ai_outgoing_leave_out(w->o, "frequency_penalty");
    if (c->verbosity.len)
        ai_outgoing_leave_out(w->o, "verbosity");
    if (ai_outgoing_take_others(w->o) == ERR_INVALID)
        w->refused = true;
}

static void write_members(struct anthropic_writing *w, const struct anthropic_wrapping *as)
{
    const struct anthropic_plan p = anthropic_plan_reasoning(w);
    bool thinks = p.thinking == ANTHROPIC_ADAPTIVE || p.thinking == ANTHROPIC_BUDGET;
    bool json = w->chat->format == AI_FORMAT_JSON;
    if (!as->no_model)
        json_out_text(&w->j, "model", w->o->changes.model);
    if (as->version.len)
        json_out_text(&w->j, "anthropic_version", as->version);
    json_out_u64(&w->j, "max_tokens", max_tokens_of(w, &p));
    if (w->chat->stream && !as->no_stream)
        json_out_bool(&w->j, "stream", true);
    anthropic_write_thinking(w, &p);
    anthropic_write_output_config(w, &p);
    write_sampling(w, thinks);
    write_stops(w);
    write_user(w);
    write_tier(w);
    write_tools(w, thinks);
    anthropic_write_system(w, json ? SLICE(JSON_INSTRUCTION) : SLICE_NONE);
    anthropic_write_messages(w);
}

enum err anthropic_write_body(struct ai_outgoing *o, const struct anthropic_wrapping *as)
{
    struct anthropic_writing w = {.o = o,
                                  .chat = o->chat,
                                  .rules = claude_model_of(o->changes.model),
                                  .j = {.to = o->translated}};
    buf_clear(o->translated);
    memset(o->pieces, 0, sizeof(o->pieces));
    json_out_begin(&w.j, NULL, '{');
    write_members(&w, as);
    leave_out_the_rest(&w);
    json_out_end(&w.j, '}');
    o->pieces[0] = buf_slice(o->translated);
    return w.refused ? ERR_INVALID : w.j.e;
}
