/*
 * openai_request — the members that say how, tools, then messages (openai_messages).
 */
#include "dataplane/ai/provider/openai_request.h"
#include "dataplane/ai/provider/openai_schema.h"
#include "dataplane/ai/provider/openai_writing.h"

#define STOPS_MAX 4 /* stop sequences in one request */

/* ---- tools ---- */

static void write_function(struct writing *w, const struct ai_function *f)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", SLICE("function"));
    json_out_begin(&w->j, "function", '{');
    write_name(w, "name", f->name);
    if (f->description.len)
        json_out_text(&w->j, "description", f->description);
    if (json_is_object(f->schema))
        json_out_tree(&w->j, "parameters", f->schema);
    else
        json_out_raw(&w->j, "parameters", SLICE("{\"type\":\"object\",\"properties\":{}}"));
    if (f->strict && takes(w, TAKES_STRICT) && openai_schema_is_strict(f->schema))
        json_out_bool(&w->j, "strict", true);
    else if (f->strict)
        leave_out(w, "strict");
    json_out_end(&w->j, '}');
    if (takes(w, TAKES_CACHE))
        openai_write_mark(w, f->cache);
    else if (f->cache)
        leave_out(w, "cache_control");
    json_out_end(&w->j, '}');
}

static void write_named(struct writing *w, const char *member, struct slice name)
{
    json_out_begin(&w->j, member, '{');
    json_out_text(&w->j, "type", SLICE("function"));
    json_out_begin(&w->j, "function", '{');
    write_name(w, "name", name);
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

static void write_allowed(struct writing *w)
{
    json_out_begin(&w->j, "tool_choice", '{');
    json_out_text(&w->j, "type", SLICE("allowed_tools"));
    json_out_begin(&w->j, "allowed_tools", '{');
    json_out_text(&w->j, "mode",
                  w->chat->choosing == AI_CHOOSE_ANY ? SLICE("required") : SLICE("auto"));
    json_out_begin(&w->j, "tools", '[');
    for (const struct ai_function *f = w->chat->functions; f; f = f->next)
        if (ai_chat_allows(w->chat, f->name))
            write_named(w, NULL, f->name);
    json_out_end(&w->j, ']');
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

static void write_choice(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    if (c->allowed && takes(w, TAKES_ALLOWED) &&
        (c->choosing == AI_CHOOSE_AUTO || c->choosing == AI_CHOOSE_ANY)) {
        write_allowed(w);
        return;
    }
    switch (c->choosing) {
    case AI_CHOOSE_UNSAID:
        break;
    case AI_CHOOSE_AUTO:
        json_out_text(&w->j, "tool_choice", SLICE("auto"));
        break;
    case AI_CHOOSE_NONE:
        json_out_text(&w->j, "tool_choice", SLICE("none"));
        break;
    case AI_CHOOSE_ANY:
        json_out_text(&w->j, "tool_choice", slice_str(w->service->forced));
        break;
    case AI_CHOOSE_ONE:
        write_named(w, "tool_choice", c->chosen);
        break;
    }
}

static void write_tools(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    bool any = false, only_allowed = c->allowed && !takes(w, TAKES_ALLOWED);
    for (const struct ai_function *f = c->functions; f; f = f->next) {
        if (only_allowed && !ai_chat_allows(c, f->name))
            continue;
        if (!any)
            json_out_begin(&w->j, "tools", '[');
        any = true;
        write_function(w, f);
    }
    if (!any) {
        if (c->choosing == AI_CHOOSE_ANY || c->choosing == AI_CHOOSE_ONE)
            refuse(w, "tool_choice", SLICE("a choice among no tools"));
        return;
    }
    json_out_end(&w->j, ']');
    write_choice(w);
    if (!c->one_call_at_a_time)
        return;
    if (takes(w, TAKES_PARALLEL))
        json_out_bool(&w->j, "parallel_tool_calls", false);
    else
        leave_out(w, "parallel_tool_calls");
}

/* ---- how ---- */

static void write_limit(struct writing *w)
{
    uint64_t n = w->chat->output_limit ? w->chat->output_limit : w->o->changes.output_limit;
    if (n)
        json_out_u64(&w->j, w->service->limit_name, n);
}

static enum ai_effort effort_of(const struct ai_chat *c)
{
    if (c->effort || !c->reasoning_budget)
        return c->effort;
    return c->reasoning_budget <= 2048    ? AI_EFFORT_LOW
           : c->reasoning_budget <= 16384 ? AI_EFFORT_MEDIUM
                                          : AI_EFFORT_HIGH;
}

/* The nearest word that the model knows. */
static enum ai_effort known_effort(const struct writing *w, enum ai_effort e)
{
    const struct openai_model *m = w->rules;
    if (e == AI_EFFORT_NONE && m && !m->none)
        return m->minimal ? AI_EFFORT_MINIMAL : AI_EFFORT_LOW;
    if (e == AI_EFFORT_MINIMAL && (!m || !m->minimal))
        return AI_EFFORT_LOW;
    if (e >= AI_EFFORT_XHIGH && (!m || !m->xhigh))
        return AI_EFFORT_HIGH;
    return e == AI_EFFORT_MAX ? AI_EFFORT_XHIGH : e;
}

static void write_effort_object(struct writing *w, enum ai_effort e, struct slice word)
{
    json_out_begin(&w->j, "reasoning", '{');
    if (e == AI_EFFORT_NONE)
        json_out_bool(&w->j, "enabled", false);
    else if (w->chat->reasoning_budget)
        json_out_u64(&w->j, "max_tokens", w->chat->reasoning_budget);
    else
        json_out_text(&w->j, "effort", word);
    json_out_end(&w->j, '}');
}

static void write_effort(struct writing *w)
{
    static const char *const words[] = {
        [AI_EFFORT_NONE] = "none",     [AI_EFFORT_MINIMAL] = "minimal", [AI_EFFORT_LOW] = "low",
        [AI_EFFORT_MEDIUM] = "medium", [AI_EFFORT_HIGH] = "high",       [AI_EFFORT_XHIGH] = "xhigh",
        [AI_EFFORT_MAX] = "max"};
    enum ai_effort asked = effort_of(w->chat), e = known_effort(w, asked);
    bool off = e == AI_EFFORT_NONE;
    if (!asked)
        return;
    struct slice word = slice_str(words[e]);
    switch (w->rules && !w->rules->reasons ? EFFORT_NONE : w->service->effort) {
    case EFFORT_NONE:
        if (asked != AI_EFFORT_NONE)
            leave_out(w, "reasoning_effort");
        break;
    case EFFORT_WORD:
        json_out_text(&w->j, "reasoning_effort", word);
        break;
    case EFFORT_OBJECT:
        write_effort_object(w, e, word);
        break;
    case EFFORT_SWITCH:
        json_out_begin(&w->j, "thinking", '{');
        json_out_text(&w->j, "type", off ? SLICE("disabled") : SLICE("enabled"));
        json_out_end(&w->j, '}');
        break;
    case EFFORT_TEMPLATE:
        json_out_begin(&w->j, "chat_template_kwargs", '{');
        json_out_bool(&w->j, "enable_thinking", !off);
        json_out_end(&w->j, '}');
        if (!off)
            json_out_text(&w->j, "reasoning_effort", word);
        break;
    }
}

/* A model of OpenAI's that reasons refuses all of it, unless it shall not reason. */
static bool takes_sampling(const struct writing *w)
{
    return !w->rules || w->rules->sampling ||
           (w->rules->none && effort_of(w->chat) == AI_EFFORT_NONE);
}

static void write_numbers(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    const bool sampling = takes_sampling(w), penalties = sampling && takes(w, TAKES_PENALTIES);
    const struct {
        const char *name; /* as OpenAI has it */
        const char *told; /* NULL: it is not */
        const struct ai_number *number;
        double usual; /* says nothing */
    } rows[] = {
        {"temperature", sampling ? "temperature" : NULL, &c->temperature, 1},
        {"top_p", sampling ? "top_p" : NULL, &c->top_p, 1},
        {"top_k", takes(w, TAKES_TOP_K) ? "top_k" : NULL, &c->top_k, 0},
        {"seed", w->service->seed_name, &c->seed, -1},
        {"presence_penalty", penalties ? "presence_penalty" : NULL, &c->presence_penalty, 0},
        {"frequency_penalty", penalties ? "frequency_penalty" : NULL, &c->frequency_penalty, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!rows[i].number->set)
            continue;
        if (rows[i].told)
            json_out_real(&w->j, rows[i].told, rows[i].number->value);
        else if (rows[i].number->value != rows[i].usual)
            leave_out(w, rows[i].name);
    }
}

static void write_stops(struct writing *w)
{
    size_t n = 0;
    for (const struct ai_word *s = w->chat->stops; s; s = s->next)
        n++;
    if (n > STOPS_MAX && openai_has_rules(w->service))
        refuse(w, "stop", SLICE("more than four stop sequences"));
    if (n && w->rules && !w->rules->stops)
        leave_out(w, "stop");
    if (!n || (w->rules && !w->rules->stops))
        return;
    json_out_begin(&w->j, "stop", '[');
    for (const struct ai_word *s = w->chat->stops; s; s = s->next)
        json_out_text(&w->j, NULL, s->text);
    json_out_end(&w->j, ']');
}

static void write_schema_format(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    bool strict = c->format_strict && !openai_schema_is_open(c->format_schema);
    JSON_AUTO json_t *own = NULL;
    if (c->format_strict && !strict)
        leave_out(w, "strict");
    if (strict && !openai_schema_is_strict(c->format_schema)) {
        own = json_deep_copy(c->format_schema);
        openai_schema_make_strict(own);
        if (!own && !w->j.e)
            w->j.e = ERR_NOMEM;
    }
    json_out_begin(&w->j, "response_format", '{');
    json_out_text(&w->j, "type", SLICE("json_schema"));
    json_out_begin(&w->j, "json_schema", '{');
    json_out_text(&w->j, "name", c->format_name.len ? c->format_name : SLICE("structured_output"));
    if (c->format_description.len)
        json_out_text(&w->j, "description", c->format_description);
    json_out_tree(&w->j, "schema", own ? own : c->format_schema);
    if (strict)
        json_out_bool(&w->j, "strict", true);
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

static void write_format(struct writing *w)
{
    if (w->chat->format == AI_FORMAT_SCHEMA && takes(w, TAKES_SCHEMA)) {
        write_schema_format(w);
    } else if (w->chat->format == AI_FORMAT_JSON && takes(w, TAKES_OBJECT)) {
        json_out_begin(&w->j, "response_format", '{');
        json_out_text(&w->j, "type", SLICE("json_object"));
        json_out_end(&w->j, '}');
    } else if (w->chat->format != AI_FORMAT_TEXT) {
        refuse(w, "response_format",
               w->chat->format == AI_FORMAT_SCHEMA ? SLICE("an output of a given schema")
                                                   : SLICE("an output of any JSON object"));
    }
}

static void write_tier(struct writing *w)
{
    static const char *const words[] = {[AI_TIER_AUTO] = "auto",
                                        [AI_TIER_STANDARD] = "default",
                                        [AI_TIER_FLEX] = "flex",
                                        [AI_TIER_PRIORITY] = "priority"};
    enum ai_tier tier = w->chat->tier;
    if (tier && takes(w, TAKES_TIER))
        json_out_text(&w->j, "service_tier", slice_str(words[tier]));
    else if (tier > AI_TIER_AUTO)
        leave_out(w, "service_tier");
}

static void write_labels(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    bool verbosity = takes(w, TAKES_VERBOSITY) && (!w->rules || w->rules->verbosity);
    if (c->user.len && takes(w, TAKES_USER))
        json_out_text(&w->j, "user", c->user);
    else if (c->user.len)
        leave_out(w, "user");
    if (c->verbosity.len && verbosity)
        json_out_text(&w->j, "verbosity", c->verbosity);
    else if (c->verbosity.len)
        leave_out(w, "verbosity");
}

static void write_stream(struct writing *w)
{
    if (!w->chat->stream)
        return;
    json_out_bool(&w->j, "stream", true);
    if (!takes(w, TAKES_USAGE))
        return;
    json_out_begin(&w->j, "stream_options", '{');
    json_out_bool(&w->j, "include_usage", true);
    json_out_end(&w->j, '}');
}

static void write_choices(struct writing *w)
{
    if (w->chat->choices > 1 && takes(w, TAKES_CHOICES))
        json_out_u64(&w->j, "n", w->chat->choices);
    else if (w->chat->choices > 1)
        refuse(w, "n", SLICE("more than one choice"));
}

enum err openai_write_body(struct ai_outgoing *o, const struct openai_service *s)
{
    struct writing w = {.o = o,
                        .chat = o->chat,
                        .service = s,
                        .rules = openai_has_rules(s) ? openai_model_of(o->changes.model) : NULL,
                        .j = {.to = o->translated}};
    buf_clear(o->translated);
    memset(o->pieces, 0, sizeof(o->pieces));
    json_out_begin(&w.j, NULL, '{');
    json_out_text(&w.j, "model", o->changes.model);
    write_stream(&w);
    write_limit(&w);
    write_choices(&w);
    write_numbers(&w);
    write_stops(&w);
    write_effort(&w);
    write_format(&w);
    write_tier(&w);
    write_labels(&w);
    write_tools(&w);
    openai_write_messages(&w);
    json_out_end(&w.j, '}');
    o->pieces[0] = buf_slice(o->translated);
    if (ai_outgoing_take_others(o) == ERR_INVALID)
        w.refused = true;
    return w.refused ? ERR_INVALID : w.j.e;
}
