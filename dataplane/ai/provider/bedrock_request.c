/*
 * bedrock_request — the members of a body for Converse, and its turns block by block.
 */
#include "dataplane/ai/provider/bedrock_request.h"

#include <stdio.h>

#include "common/base/json_scan.h"
#include "common/base/mem.h"
#include "dataplane/ai/provider/anthropic_request.h"
#include "dataplane/ai/provider/bedrock_models.h"

#define CACHE_POINTS_MAX 4
#define NAME_MAX_BYTES 64 /* of a document */
#define JSON_INSTRUCTION "Answer with one JSON object and nothing else."
/* Conversations begin with the user; what a client begins with the assistant has this before it. */
#define FIRST_TURN "Please continue."

struct writing {
    struct ai_outgoing *o;
    const struct ai_chat *chat;
    const struct bedrock_model *rules;
    const struct claude_model *claude; /* NULL: it is another's model */
    struct json_out j;
    unsigned cache_points;
    unsigned documents;
    bool refused;
};

static void refuse(struct writing *w, const char *param, struct slice why)
{
    w->refused = ai_outgoing_refuse(w->o, param, why) == ERR_INVALID;
}

static void write_cache_point(struct writing *w, enum ai_cache_mark mark, bool allowed)
{
    if (mark == AI_CACHE_NONE || !allowed || w->cache_points >= CACHE_POINTS_MAX)
        return;
    w->cache_points++;
    json_out_begin(&w->j, NULL, '{');
    json_out_begin(&w->j, "cachePoint", '{');
    json_out_text(&w->j, "type", SLICE("default"));
    if (mark == AI_CACHE_LONG && w->claude)
        json_out_text(&w->j, "ttl", SLICE("1h"));
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

/* ---- blocks ---- */

/* {"<name>": … with the value to follow */
static void begin_block(struct writing *w, const char *name)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_begin(&w->j, name, '{');
}

static void end_block(struct writing *w)
{
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

static void write_text(struct writing *w, struct slice text)
{
    if (ai_text_is_blank(text))
        return; /* a 400 there */
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "text", text);
    json_out_end(&w->j, '}');
}

static const struct media_format {
    struct slice type, format;
    bool image;
} formats[] = {
    {{"image/png", 9}, {"png", 3}, true},
    {{"image/jpeg", 10}, {"jpeg", 4}, true},
    {{"image/gif", 9}, {"gif", 3}, true},
    {{"image/webp", 10}, {"webp", 4}, true},
    {{"application/pdf", 15}, {"pdf", 3}, false},
    {{"text/csv", 8}, {"csv", 3}, false},
    {{"text/html", 9}, {"html", 4}, false},
    {{"text/plain", 10}, {"txt", 3}, false},
    {{"text/markdown", 13}, {"md", 2}, false},
    {{"application/msword", 18}, {"doc", 3}, false},
    {{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", 71},
     {"docx", 4},
     false},
    {{"application/vnd.ms-excel", 24}, {"xls", 3}, false},
    {{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 65}, {"xlsx", 4}, false},
};

static const struct media_format *format_of(struct slice type)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (slice_eq(type, formats[i].type))
            return &formats[i];
    return NULL;
}

/* Names may hold letters, digits, single spaces and a few signs, and no two may be equal. */
static void write_name(struct writing *w, struct slice name)
{
    char text[NAME_MAX_BYTES + 16];
    size_t n = 0;
    for (size_t i = 0; i < name.len && n < NAME_MAX_BYTES; i++) {
        char c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        text[n++] = plain ? c : '-';
    }
    n += (size_t)snprintf(text + n, 16, "%s%u", n ? "-" : "document-", ++w->documents);
    json_out_text(&w->j, "name", slice_of(text, n));
}

static void write_source(struct writing *w, const struct ai_part *p)
{
    json_out_begin(&w->j, "source", '{');
    if (p->data.ptr)
        json_out_text(&w->j, "bytes", p->data);
    else
        json_out_text(&w->j, "text", p->text);
    json_out_end(&w->j, '}');
}

static void write_media(struct writing *w, const struct ai_part *p)
{
    const struct media_format *f = format_of(p->media_type);
    if (p->text.ptr && !p->data.ptr)
        f = format_of(SLICE("text/plain"));
    if (p->detail.len && !slice_eq(p->detail, SLICE("auto")))
        ai_outgoing_leave_out(w->o, "detail");
    if (!p->data.ptr && !p->text.ptr) {
        refuse(w, "messages", SLICE("an image or a file must be inline, as a data: URL in base64"));
        return;
    }
    if (!f) {
        refuse(w, "messages",
               arena_printf(w->o->arena, "content of type %.*s",
                            SLICE_ARG(slice_first(p->media_type, 64))));
        return;
    }
    begin_block(w, f->image ? "image" : "document");
    json_out_text(&w->j, "format", f->format);
    if (!f->image)
        write_name(w, p->name.len ? p->name : p->title);
    write_source(w, p);
    end_block(w);
}

/* ---- tools in the history ---- */

static bool is_object(struct slice text)
{
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan(text, NULL, 0, NULL, &root, &problem) && root == JSON_SCAN_OBJECT;
}

static void write_tool_id(struct writing *w, struct slice id)
{
    char room[AI_TOOL_ID_MAX];
    json_out_text(&w->j, "toolUseId", ai_plain_tool_id(id, room));
}

static void write_call(struct writing *w, const struct ai_part *p)
{
    bool empty = ai_text_is_blank(p->text);
    if (!empty && !is_object(p->text)) {
        refuse(w, "messages",
               arena_printf(w->o->arena, "the arguments of the tool call %.*s are no JSON object",
                            SLICE_ARG(slice_first(p->id, 64))));
        return;
    }
    begin_block(w, "toolUse");
    write_tool_id(w, p->id);
    json_out_text(&w->j, "name", p->name);
    json_out_raw(&w->j, "input", empty ? SLICE("{}") : p->text);
    end_block(w);
}

static void write_part(struct writing *w, const struct ai_part *p);

static void write_result(struct writing *w, const struct ai_part *p)
{
    bool any = false;
    begin_block(w, "toolResult");
    write_tool_id(w, p->id);
    json_out_begin(&w->j, "content", '[');
    for (const struct ai_part *it = p->inner ? p->inner->first : NULL; it; it = it->next) {
        any = any || ai_part_is_told(it);
        write_part(w, it);
    }
    if (!any)
        write_text(w, SLICE("(empty)"));
    json_out_end(&w->j, ']');
    if (p->is_error)
        json_out_text(&w->j, "status", SLICE("error"));
    end_block(w);
}

/* Reasoning must go back unchanged, with its signature; what has none is left out. */
static void write_reasoning(struct writing *w, const struct ai_part *p)
{
    if (!p->redacted.len && !p->signature.len)
        return;
    begin_block(w, "reasoningContent");
    if (p->redacted.len) {
        json_out_text(&w->j, "redactedContent", p->redacted);
    } else {
        json_out_begin(&w->j, "reasoningText", '{');
        json_out_text(&w->j, "text", p->text);
        json_out_text(&w->j, "signature", p->signature);
        json_out_end(&w->j, '}');
    }
    end_block(w);
}

static void write_part(struct writing *w, const struct ai_part *p)
{
    switch (p->kind) {
    case AI_PART_TEXT:
    case AI_PART_REFUSAL:
        write_text(w, p->text);
        break;
    case AI_PART_IMAGE:
    case AI_PART_FILE:
        write_media(w, p);
        break;
    case AI_PART_TOOL_CALL:
        write_call(w, p);
        break;
    case AI_PART_TOOL_RESULT:
        write_result(w, p);
        break;
    case AI_PART_REASONING:
        write_reasoning(w, p);
        return; /* a cache point behind it is a 400 */
    case AI_PART_AUDIO:
        refuse(w, "messages", SLICE("content of type input_audio"));
        break;
    case AI_PART_VIDEO:
        refuse(w, "messages", SLICE("content of type video"));
        break;
    }
}

/* ---- turns ---- */

static void write_parts(struct writing *w, const struct ai_run *r, bool results)
{
    for (const struct ai_turn *t = r->first; t != r->end; t = t->next)
        for (const struct ai_part *p = t->parts.first; p && t->role == r->role; p = p->next) {
            if ((p->kind == AI_PART_TOOL_RESULT) != results)
                continue;
            write_part(w, p);
            if (ai_part_is_told(p) && p->kind != AI_PART_REASONING)
                write_cache_point(w, p->cache, w->rules->cache);
        }
}

static void begin_turn(struct writing *w, enum ai_role role)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "role", role == AI_USER ? SLICE("user") : SLICE("assistant"));
    json_out_begin(&w->j, "content", '[');
}

static void end_turn(struct writing *w)
{
    json_out_end(&w->j, ']');
    json_out_end(&w->j, '}');
}

static void write_messages(struct writing *w)
{
    struct ai_run r = {.is_told = ai_part_is_told};
    enum ai_role last = AI_SYSTEM;
    for (const struct ai_turn *t = w->chat->first; t; t = t->next)
        if (t->name.len)
            ai_outgoing_leave_out(w->o, "name");
    json_out_begin(&w->j, "messages", '[');
    while (ai_chat_next_run(w->chat, &r)) {
        if (last == AI_SYSTEM && r.role == AI_ASSISTANT) {
            begin_turn(w, AI_USER);
            write_text(w, SLICE(FIRST_TURN));
            end_turn(w);
        }
        begin_turn(w, r.role);
        write_parts(w, &r, true);
        write_parts(w, &r, false);
        end_turn(w);
        last = r.role;
    }
    json_out_end(&w->j, ']');
    if (last == AI_SYSTEM)
        refuse(w, "messages", SLICE("no message of the user with any content"));
    else if (last == AI_ASSISTANT && w->claude && !w->claude->prefill)
        refuse(w, "messages",
               SLICE("a last message of the assistant, which this model does not go on with"));
}

static void write_system(struct writing *w)
{
    bool json = w->chat->format == AI_FORMAT_JSON, any = json;
    for (const struct ai_turn *t = w->chat->first; t; t = t->next)
        for (const struct ai_part *p = t->parts.first; p && t->role == AI_SYSTEM; p = p->next)
            any = any || ai_part_is_told(p);
    if (!any)
        return;
    json_out_begin(&w->j, "system", '[');
    for (const struct ai_turn *t = w->chat->first; t; t = t->next)
        for (const struct ai_part *p = t->parts.first; p && t->role == AI_SYSTEM; p = p->next) {
            if (p->kind != AI_PART_TEXT)
                refuse(w, "messages", SLICE("a system prompt of more than text"));
            else if (ai_part_is_told(p)) {
                write_text(w, p->text);
                write_cache_point(w, p->cache, w->rules->cache);
            }
        }
    if (json)
        write_text(w, SLICE(JSON_INSTRUCTION));
    json_out_end(&w->j, ']');
}

/* ---- tools ---- */

static void write_function(struct writing *w, const struct ai_function *f)
{
    begin_block(w, "toolSpec");
    json_out_text(&w->j, "name", f->name);
    if (!ai_text_is_blank(f->description))
        json_out_text(&w->j, "description", f->description);
    json_out_begin(&w->j, "inputSchema", '{');
    if (json_is_object(f->schema) && json_object_get(f->schema, "type"))
        json_out_tree(&w->j, "json", f->schema);
    else
        json_out_raw(&w->j, "json", SLICE("{\"type\":\"object\",\"properties\":{}}"));
    json_out_end(&w->j, '}');
    end_block(w);
    if (f->strict)
        ai_outgoing_leave_out(w->o, "strict");
    write_cache_point(w, f->cache, w->rules->tool_cache);
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

static bool has_tool_parts(const struct ai_chat *c)
{
    for (const struct ai_turn *t = c->first; t; t = t->next)
        for (const struct ai_part *p = t->parts.first; p; p = p->next)
            if (p->kind == AI_PART_TOOL_CALL || p->kind == AI_PART_TOOL_RESULT)
                return true;
    return false;
}

static void write_tools_of_history(struct writing *w)
{
    for (const struct ai_turn *t = w->chat->first; t; t = t->next)
        for (const struct ai_part *p = t->parts.first; p; p = p->next)
            if (p->kind == AI_PART_TOOL_CALL && !was_called_before(w->chat, p))
                write_function(w, &(struct ai_function){.name = p->name});
}

static void write_choice(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    bool forces = c->choosing == AI_CHOOSE_ANY || c->choosing == AI_CHOOSE_ONE;
    if (c->choosing == AI_CHOOSE_UNSAID || c->choosing == AI_CHOOSE_NONE)
        return;
    if (forces && (!w->rules->forced_tool || (w->claude && !w->claude->forced_tool)))
        refuse(w, "tool_choice", SLICE("a forced tool call, which this model does not make"));
    json_out_begin(&w->j, "toolChoice", '{');
    json_out_begin(&w->j,
                   c->choosing == AI_CHOOSE_ANY   ? "any"
                   : c->choosing == AI_CHOOSE_ONE ? "tool"
                                                  : "auto",
                   '{');
    if (c->choosing == AI_CHOOSE_ONE)
        json_out_text(&w->j, "name", c->chosen);
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

static size_t count_functions(const struct ai_chat *c)
{
    size_t n = 0;
    for (const struct ai_function *f = c->functions; f; f = f->next)
        n += ai_chat_allows(c, f->name);
    return n;
}

/* The API has no "none": the tools are left out, which it refuses where the history has any. */
static void write_tools(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    bool history = has_tool_parts(c), none = c->choosing == AI_CHOOSE_NONE;
    size_t n = none ? 0 : count_functions(c);
    if (none && history && c->functions)
        refuse(w, "tool_choice", SLICE("no tool calls in a conversation that had some"));
    if (!n && (c->choosing == AI_CHOOSE_ANY || c->choosing == AI_CHOOSE_ONE))
        refuse(w, "tool_choice", SLICE("a choice among no tools"));
    if (!n && !history)
        return;
    json_out_begin(&w->j, "toolConfig", '{');
    json_out_begin(&w->j, "tools", '[');
    for (const struct ai_function *f = n ? c->functions : NULL; f; f = f->next)
        if (ai_chat_allows(c, f->name))
            write_function(w, f);
    if (!n)
        write_tools_of_history(w);
    json_out_end(&w->j, ']');
    if (n)
        write_choice(w);
    json_out_end(&w->j, '}');
    if (c->one_call_at_a_time && !w->claude)
        ai_outgoing_leave_out(w->o, "parallel_tool_calls");
}

/* ---- inference ---- */

static void write_stops(struct writing *w)
{
    bool any = false;
    for (const struct ai_word *s = w->chat->stops; s; s = s->next) {
        if (!w->rules->stops) {
            refuse(w, "stop", SLICE("stop sequences, which this model does not take"));
            return;
        }
        if (ai_text_is_blank(s->text)) {
            ai_outgoing_leave_out(w->o, "stop of white space");
            continue;
        }
        if (!any)
            json_out_begin(&w->j, "stopSequences", '[');
        any = true;
        json_out_text(&w->j, NULL, s->text);
    }
    if (any)
        json_out_end(&w->j, ']');
}

static bool takes_sampling(const struct writing *w, bool thinks)
{
    return w->rules->sampling && (!w->claude || (w->claude->sampling && !thinks));
}

static void write_sampling(struct writing *w, bool thinks)
{
    const struct ai_chat *c = w->chat;
    bool takes = takes_sampling(w, thinks);
    double temperature = c->temperature.value;
    if (c->temperature.set && takes) {
        if (temperature > 1)
            ai_outgoing_leave_out(w->o, "temperature above 1");
        json_out_real(&w->j, "temperature", temperature > 1 ? 1.0 : temperature);
    } else if (c->temperature.set) {
        ai_outgoing_leave_out(w->o, "temperature");
    }
    /* Claude refuses both together. */
    if (c->top_p.set && takes && !(w->claude && c->temperature.set))
        json_out_real(&w->j, "topP", c->top_p.value);
    else if (c->top_p.set)
        ai_outgoing_leave_out(w->o, "top_p");
}

static void write_inference(struct writing *w, const struct anthropic_plan *p)
{
    bool thinks = p->thinking == ANTHROPIC_ADAPTIVE || p->thinking == ANTHROPIC_BUDGET;
    uint64_t most = w->chat->output_limit ? w->chat->output_limit : w->o->changes.output_limit;
    bool within = w->chat->reasoning_budget && most > p->budget;
    if (p->thinking == ANTHROPIC_BUDGET && !within)
        most = (most ? most : w->claude->max_output - p->budget) + p->budget;
    json_out_begin(&w->j, "inferenceConfig", '{');
    if (most)
        json_out_u64(&w->j, "maxTokens", most);
    write_sampling(w, thinks);
    write_stops(w);
    json_out_end(&w->j, '}');
}

/* ---- what only some models know ---- */

static const char *word_of(enum ai_effort effort)
{
    static const char *const words[] = {
        [AI_EFFORT_NONE] = "low",      [AI_EFFORT_MINIMAL] = "low", [AI_EFFORT_LOW] = "low",
        [AI_EFFORT_MEDIUM] = "medium", [AI_EFFORT_HIGH] = "high",   [AI_EFFORT_XHIGH] = "high",
        [AI_EFFORT_MAX] = "high"};
    return words[effort];
}

static void write_effort(struct writing *w)
{
    enum ai_effort effort = w->chat->effort;
    const char *word = effort ? word_of(effort) : "medium";
    if (!effort && !w->chat->reasoning_budget)
        return;
    switch (w->rules->reasoning) {
    case BEDROCK_REASONING_NOVA:
        json_out_begin(&w->j, "reasoningConfig", '{');
        json_out_text(&w->j, "type",
                      effort == AI_EFFORT_NONE ? SLICE("disabled") : SLICE("enabled"));
        if (effort != AI_EFFORT_NONE)
            json_out_text(&w->j, "maxReasoningEffort", slice_str(word));
        json_out_end(&w->j, '}');
        break;
    case BEDROCK_REASONING_OSS:
        json_out_text(&w->j, "reasoning_effort", slice_str(word));
        break;
    case BEDROCK_REASONING_EFFORT:
        json_out_begin(&w->j, "reasoning", '{');
        json_out_text(&w->j, "effort", slice_str(word));
        json_out_end(&w->j, '}');
        break;
    case BEDROCK_REASONING_NONE:
        ai_outgoing_leave_out(w->o, "reasoning_effort");
        break;
    case BEDROCK_REASONING_CLAUDE:
        break;
    }
}

/* The same members as in Anthropic's own API. */
static void write_claude_fields(struct writing *w, const struct anthropic_plan *p)
{
    struct anthropic_writing a = {.o = w->o, .chat = w->chat, .rules = w->claude, .j = w->j};
    anthropic_write_thinking(&a, p);
    anthropic_write_output_config(&a, p);
    w->j = a.j;
    w->refused = w->refused || a.refused;
    if (!w->chat->one_call_at_a_time || !w->chat->functions || w->chat->choosing == AI_CHOOSE_NONE)
        return;
    json_out_begin(&w->j, "tool_choice", '{');
    json_out_text(&w->j, "type",
                  w->chat->choosing == AI_CHOOSE_ANY   ? SLICE("any")
                  : w->chat->choosing == AI_CHOOSE_ONE ? SLICE("tool")
                                                       : SLICE("auto"));
    if (w->chat->choosing == AI_CHOOSE_ONE)
        json_out_text(&w->j, "name", w->chat->chosen);
    json_out_bool(&w->j, "disable_parallel_tool_use", true);
    json_out_end(&w->j, '}');
}

static void write_additional(struct writing *w, const struct anthropic_plan *p)
{
    bool thinks = p->thinking == ANTHROPIC_ADAPTIVE || p->thinking == ANTHROPIC_BUDGET;
    json_out_begin(&w->j, "additionalModelRequestFields", '{');
    if (w->claude)
        write_claude_fields(w, p);
    else
        write_effort(w);
    if (w->chat->top_k.set && w->rules->top_k && takes_sampling(w, thinks))
        json_out_real(&w->j, "top_k", w->chat->top_k.value);
    else if (w->chat->top_k.set)
        ai_outgoing_leave_out(w->o, "top_k");
    json_out_end(&w->j, '}');
    if (w->claude && w->chat->stops) /* nothing else says which one it was */
        json_out_raw(&w->j, "additionalModelResponseFieldPaths",
                     SLICE("[\"/delta/stop_sequence\"]"));
}

/* Of other models than Claude, the schema is a text. */
static void write_format(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    if (c->format == AI_FORMAT_JSON)
        ai_outgoing_leave_out(w->o, "response_format json_object");
    if (c->format != AI_FORMAT_SCHEMA || w->claude)
        return;
    if (!w->rules->schema || !json_is_object(c->format_schema)) {
        refuse(w, "response_format", SLICE("an output of a given schema"));
        return;
    }
    char *text = json_dumps(c->format_schema, JSON_COMPACT | JSON_ENCODE_ANY);
    json_out_begin(&w->j, "outputConfig", '{');
    json_out_begin(&w->j, "textFormat", '{');
    json_out_text(&w->j, "type", SLICE("json_schema"));
    json_out_begin(&w->j, "structure", '{');
    json_out_begin(&w->j, "jsonSchema", '{');
    json_out_text(&w->j, "schema", slice_str(text ? text : "{}"));
    json_out_text(&w->j, "name", c->format_name.len ? c->format_name : SLICE("output"));
    for (int i = 0; i < 4; i++)
        json_out_end(&w->j, '}');
    if (!text && !w->j.e)
        w->j.e = ERR_NOMEM;
    mem_free(text);
}

/* https://docs.aws.amazon.com/bedrock/latest/APIReference: requestMetadata */
static bool is_metadata_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && !strchr(" :_@$#=/+,-.", c))
            return false;
    }
    return s.len <= 256;
}

static void write_user_and_tier(struct writing *w)
{
    static const char *const tiers[] = {
        [AI_TIER_STANDARD] = "default", [AI_TIER_FLEX] = "flex", [AI_TIER_PRIORITY] = "priority"};
    struct slice user = w->chat->user;
    if (user.len && is_metadata_value(user)) {
        json_out_begin(&w->j, "requestMetadata", '{');
        json_out_text(&w->j, "user", user);
        json_out_end(&w->j, '}');
    } else if (user.len) {
        ai_outgoing_leave_out(w->o, "user");
    }
    if (w->chat->tier > AI_TIER_AUTO) {
        json_out_begin(&w->j, "serviceTier", '{');
        json_out_text(&w->j, "type", slice_str(tiers[w->chat->tier]));
        json_out_end(&w->j, '}');
    }
}

static void leave_out_the_rest(struct writing *w)
{
    const struct ai_chat *c = w->chat;
    if (c->choices > 1)
        refuse(w, "n", SLICE("more than one choice"));
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

static struct anthropic_plan plan_reasoning(struct writing *w)
{
    struct anthropic_writing a = {.o = w->o, .chat = w->chat, .rules = w->claude};
    return w->claude ? anthropic_plan_reasoning(&a) : (struct anthropic_plan){0};
}

enum err bedrock_write_body(struct ai_outgoing *o)
{
    struct writing w = {.o = o,
                        .chat = o->chat,
                        .rules = bedrock_model_of(o->changes.model),
                        .j = {.to = o->translated}};
    if (w.rules->reasoning == BEDROCK_REASONING_CLAUDE)
        w.claude = claude_model_of(o->changes.model);
    const struct anthropic_plan plan = plan_reasoning(&w);
    buf_clear(o->translated);
    memset(o->pieces, 0, sizeof(o->pieces));
    json_out_begin(&w.j, NULL, '{');
    write_inference(&w, &plan);
    write_system(&w);
    write_tools(&w);
    write_messages(&w);
    write_additional(&w, &plan);
    write_format(&w);
    write_user_and_tier(&w);
    leave_out_the_rest(&w);
    json_out_end(&w.j, '}');
    o->pieces[0] = buf_slice(o->translated);
    return w.refused ? ERR_INVALID : w.j.e;
}
