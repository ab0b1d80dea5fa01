/*
 * body_shape — what is dropped, the parameters, the system prompt: a scan of the body for each, and
 * the pieces between written anew.
 */
#include "dataplane/ai/dialect/body_shape.h"

#include "dataplane/ai/dialect/body_member.h"

/* ---- the tables ---- */

#define WORDS(rows, system, in_too)                                                                \
    {                                                                                              \
        rows, ARRAY_LEN(rows), system, in_too                                                      \
    }

static const struct body_word chat[] = {
    {POLICY_TEMPERATURE, NULL, "temperature", NULL, false},
    {POLICY_TOP_P, NULL, "top_p", NULL, false},
    {POLICY_TOP_K, NULL, "top_k", NULL,
     false}, /* of compatible servers; OpenAI itself refuses it */
    {POLICY_MAX_TOKENS, NULL, "max_completion_tokens", "max_tokens", true},
    {POLICY_SEED, NULL, "seed", NULL, false},
    {POLICY_PRESENCE_PENALTY, NULL, "presence_penalty", NULL, false},
    {POLICY_FREQUENCY_PENALTY, NULL, "frequency_penalty", NULL, false},
    {POLICY_STOP, NULL, "stop", NULL, false},
    {POLICY_REASONING_EFFORT, NULL, "reasoning_effort", NULL, false},
    {POLICY_VERBOSITY, NULL, "verbosity", NULL, false},
    {POLICY_SERVICE_TIER, NULL, "service_tier", NULL, false},
};

static const struct body_word completions[] = {
    {POLICY_TEMPERATURE, NULL, "temperature", NULL, false},
    {POLICY_TOP_P, NULL, "top_p", NULL, false},
    {POLICY_MAX_TOKENS, NULL, "max_tokens", NULL, false},
    {POLICY_SEED, NULL, "seed", NULL, false},
    {POLICY_PRESENCE_PENALTY, NULL, "presence_penalty", NULL, false},
    {POLICY_FREQUENCY_PENALTY, NULL, "frequency_penalty", NULL, false},
    {POLICY_STOP, NULL, "stop", NULL, false},
};

static const struct body_word responses[] = {
    {POLICY_TEMPERATURE, NULL, "temperature", NULL, false},
    {POLICY_TOP_P, NULL, "top_p", NULL, false},
    {POLICY_MAX_TOKENS, NULL, "max_output_tokens", NULL, false},
    {POLICY_REASONING_EFFORT, "reasoning", "effort", NULL, false},
    {POLICY_VERBOSITY, "text", "verbosity", NULL, false},
    {POLICY_SERVICE_TIER, NULL, "service_tier", NULL, false},
};

static const struct body_word anthropic[] = {
    {POLICY_TEMPERATURE, NULL, "temperature", NULL, false},
    {POLICY_TOP_P, NULL, "top_p", NULL, false},
    {POLICY_TOP_K, NULL, "top_k", NULL, false},
    {POLICY_MAX_TOKENS, NULL, "max_tokens", NULL, false},
    {POLICY_STOP, NULL, "stop_sequences", NULL, false},
};

#define CONFIG "generationConfig"
static const struct body_word gemini[] = {
    {POLICY_TEMPERATURE, CONFIG, "temperature", NULL, false},
    {POLICY_TOP_P, CONFIG, "topP", "top_p", false},
    {POLICY_TOP_K, CONFIG, "topK", "top_k", false},
    {POLICY_MAX_TOKENS, CONFIG, "maxOutputTokens", "max_output_tokens", false},
    {POLICY_SEED, CONFIG, "seed", NULL, false},
    {POLICY_PRESENCE_PENALTY, CONFIG, "presencePenalty", "presence_penalty", false},
    {POLICY_FREQUENCY_PENALTY, CONFIG, "frequencyPenalty", "frequency_penalty", false},
    {POLICY_STOP, CONFIG, "stopSequences", "stop_sequences", false},
};

static const struct body_word bedrock[] = {
    {POLICY_TEMPERATURE, "inferenceConfig", "temperature", NULL, false},
    {POLICY_TOP_P, "inferenceConfig", "topP", NULL, false},
    {POLICY_MAX_TOKENS, "inferenceConfig", "maxTokens", NULL, false},
    {POLICY_STOP, "inferenceConfig", "stopSequences", NULL, false},
};

static const struct body_word cohere[] = {
    {POLICY_TEMPERATURE, NULL, "temperature", NULL, false},
    {POLICY_TOP_P, NULL, "p", NULL, false},
    {POLICY_TOP_K, NULL, "k", NULL, false},
    {POLICY_MAX_TOKENS, NULL, "max_tokens", NULL, false},
    {POLICY_SEED, NULL, "seed", NULL, false},
    {POLICY_PRESENCE_PENALTY, NULL, "presence_penalty", NULL, false},
    {POLICY_FREQUENCY_PENALTY, NULL, "frequency_penalty", NULL, false},
    {POLICY_STOP, NULL, "stop_sequences", NULL, false},
};

const struct body_words words_openai_chat = WORDS(chat, BODY_SYSTEM_MESSAGE, NULL);
const struct body_words words_openai_completions = WORDS(completions, BODY_SYSTEM_PROMPT, NULL);
const struct body_words words_openai_responses = WORDS(responses, BODY_SYSTEM_TEXT, NULL);
const struct body_words words_openai_responses_count = {NULL, 0, BODY_SYSTEM_TEXT, NULL};
const struct body_words words_anthropic = WORDS(anthropic, BODY_SYSTEM_BLOCKS, NULL);
const struct body_words words_anthropic_count = {NULL, 0, BODY_SYSTEM_BLOCKS, NULL};
const struct body_words words_gemini = WORDS(gemini, BODY_SYSTEM_CONTENT, "generation_config");
const struct body_words words_bedrock = WORDS(bedrock, BODY_SYSTEM_UNTYPED, NULL);
const struct body_words words_cohere = WORDS(cohere, BODY_SYSTEM_MESSAGE, NULL);

static const char *const parameter_names[POLICY_PARAMETERS] = {
#define PARAMETER_NAME(id, name) [POLICY_##id] = name,
    POLICY_PARAMETER_TABLE(PARAMETER_NAME)
#undef PARAMETER_NAME
};

const char *policy_parameter_name(enum policy_parameter_id id)
{
    return parameter_names[id];
}

bool body_has_word(const struct body_words *w, enum policy_parameter_id id)
{
    for (size_t i = 0; w && i < w->count; i++)
        if (w->words[i].parameter == id)
            return true;
    return false;
}

/* ---- scans and edits ---- */

#define EDITS_MAX (2 * POLICY_PARAMETERS + 1)

static enum err scan(struct body_shaping *s, struct slice object, const char *const *names,
                     size_t n, struct json_hit *hits)
{
    struct json_scan_problem problem;
    enum json_type root;
    enum err e = json_scan(object, names, n, hits, &root, &problem);
    if (e)
        s->why = arena_copy(s->arena, slice_str(problem.text));
    else if (root != JSON_SCAN_OBJECT)
        s->why = SLICE("it must be an object");
    return !e && root != JSON_SCAN_OBJECT ? ERR_INVALID : e;
}

static enum err take_spare(struct body_shaping *s)
{
    buf_clear(s->body);
    enum err e = buf_append(s->body, buf_slice(s->spare));
    buf_clear(s->spare);
    return e;
}

static enum err edit(struct body_shaping *s, struct body_edit *edits, size_t n)
{
    struct slice pieces[2 * EDITS_MAX + 1];
    enum err e = ERR_OK;
    if (!n)
        return ERR_OK;
    for (size_t i = 0; i < n; i++)
        if (!edits[i].text.ptr)
            return ERR_NOMEM;
    body_apply(edits, n, buf_slice(s->body), pieces);
    buf_clear(s->spare);
    for (size_t i = 0; !e && i < 2 * n + 1; i++)
        e = buf_append(s->spare, pieces[i]);
    return e ? e : take_spare(s);
}

static enum err edit_one(struct body_shaping *s, struct body_edit one)
{
    return edit(s, &one, 1);
}

/* Nothing but white space between the brackets. */
static bool is_hollow(struct slice raw)
{
    size_t i = 1;
    while (i + 1 < raw.len && strchr(" \t\r\n", raw.ptr[i]))
        i++;
    return i < raw.len && (raw.ptr[i] == '}' || raw.ptr[i] == ']');
}

/* Text, as the first of an array's or an object's. */
static struct body_edit as_first(struct body_shaping *s, struct slice raw, struct slice text)
{
    return (struct body_edit){
        raw.ptr + 1, 0,
        arena_printf(s->arena, "%.*s%s", SLICE_ARG(text), is_hollow(raw) ? "" : ",")};
}

/* ---- what is dropped ---- */

struct dropping {
    struct body_shaping *s;
    const char *names[JSON_SCAN_WANTS];
    size_t count;
};

/* A member and the comma that stands behind it, or else before it. */
static struct body_edit removal(struct slice body, struct slice member)
{
    static const char white[] = " \t\r\n";
    const char *from = member.ptr, *to = member.ptr + member.len, *p = to;
    while (p < body.ptr + body.len && strchr(white, *p))
        p++;
    if (p < body.ptr + body.len && *p == ',')
        return (struct body_edit){from, (size_t)(p + 1 - from), SLICE("")};
    for (p = from - 1; p > body.ptr && strchr(white, *p);)
        p--;
    from = *p == ',' ? p : from;
    return (struct body_edit){from, (size_t)(to - from), SLICE("")};
}

static void note_dropped(struct body_shaping *s, const char *name)
{
    for (size_t i = 0; i < s->dropped_count; i++)
        if (strcmp(s->dropped[i], name) == 0)
            return;
    if (s->dropped_count < ARRAY_LEN(s->dropped))
        s->dropped[s->dropped_count++] = name;
}

/* One after the other, since the places of those behind it move. */
static enum err drop_found(struct dropping *d)
{
    struct json_hit hits[JSON_SCAN_WANTS];
    struct body_shaping *s = d->s;
    size_t found = 0;
    enum err e = ERR_OK;
    while (!e && found < d->count) {
        struct slice body = buf_slice(s->body);
        e = scan(s, body, d->names, d->count, hits);
        for (found = 0; !e && found < d->count && hits[found].type == JSON_SCAN_ABSENT;)
            found++;
        if (e || found == d->count)
            break;
        note_dropped(s, d->names[found]);
        e = edit_one(s, removal(body, hits[found].member));
    }
    d->count = 0;
    return e;
}

static enum err want(struct dropping *d, const char *in, const char *name)
{
    struct slice path = in ? arena_printf(d->s->arena, "%s.%s", in, name) : slice_str(name);
    if (!path.ptr)
        return ERR_NOMEM;
    for (size_t i = 0; i < d->count; i++)
        if (slice_eq(path, slice_str(d->names[i])))
            return ERR_OK;
    if (d->count == ARRAY_LEN(d->names))
        return ERR_TOO_BIG;
    d->names[d->count++] = path.ptr;
    return ERR_OK;
}

#define SPELLINGS 4 /* of a member of an object, both with two */

static enum err want_word(struct dropping *d, const struct body_word *w)
{
    const char *in_too = w->in ? d->s->words->in_too : NULL;
    enum err e = want(d, w->in, w->name);
    if (!e && w->too)
        e = want(d, w->in, w->too);
    if (!e && in_too)
        e = want(d, in_too, w->name);
    return e || !in_too || !w->too ? e : want(d, in_too, w->too);
}

/* By OpenAI's name, whatever the dialect calls it; else as it is spelt. */
static enum err want_named(struct dropping *d, struct slice name)
{
    const struct body_words *w = d->s->words;
    bool is_word = false;
    enum err e = ERR_OK;
    for (size_t i = 0; !e && w && i < w->count; i++) {
        const struct body_word *one = &w->words[i];
        if (!slice_eq(name, slice_str(parameter_names[one->parameter])))
            continue;
        is_word = true;
        e = want_word(d, one);
    }
    return e || is_word ? e : want(d, NULL, name.ptr);
}

static enum err drop_all(struct body_shaping *s)
{
    struct dropping d = {.s = s};
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < s->model->drop_count; i++) {
        if (d.count + SPELLINGS > ARRAY_LEN(d.names))
            e = drop_found(&d);
        if (!e)
            e = want_named(&d, s->model->drop[i]);
    }
    return e || !d.count ? e : drop_found(&d);
}

/* ---- parameters ---- */

struct putting {
    struct body_shaping *s;
    const struct body_word *words[POLICY_PARAMETERS]; /* those of one object that have a value */
    struct slice values[POLICY_PARAMETERS];
    bool forced[POLICY_PARAMETERS];
    size_t count;
    struct body_edit edits[EDITS_MAX];
    size_t edit_count;
    struct slice members; /* to be put in: "\"seed\":1,\"top_p\":0.5" */
};

static const struct policy_parameter *said(const struct policy_parameters *p,
                                           enum policy_parameter_id id)
{
    return p && p->of[id].json.ptr ? &p->of[id] : NULL;
}

static const struct policy_parameter *value_of(const struct policy_model *m,
                                               enum policy_parameter_id id)
{
    const struct policy_parameter *p = said(m->overrides, id);
    return p ? p : said(m->defaults, id);
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void gather(struct putting *p, const char *in)
{
    const struct policy_model *m = p->s->model;
    const struct body_words *w = p->s->words;
    for (size_t i = 0; i < w->count; i++) {
        const struct policy_parameter *v = value_of(m, w->words[i].parameter);
        if (!v || !is_same(w->words[i].in, in))
            continue;
        p->words[p->count] = &w->words[i];
        p->forced[p->count] = said(m->overrides, w->words[i].parameter) != NULL;
        p->values[p->count++] = v->json;
    }
}

static enum err put_member(struct putting *p, size_t i)
{
    const struct body_word *w = p->words[i];
    if (w->by_target) {
        MUST(w->parameter == POLICY_MAX_TOKENS);
        p->s->output_default = (uint64_t)value_of(p->s->model, POLICY_MAX_TOKENS)->number;
        return ERR_OK;
    }
    p->members = arena_printf(p->s->arena, "%.*s%s\"%s\":%.*s", SLICE_ARG(p->members),
                              p->members.len ? "," : "", w->name, SLICE_ARG(p->values[i]));
    return p->members.ptr ? ERR_OK : ERR_NOMEM;
}

/* Null says nothing. */
static enum err put_one(struct putting *p, size_t i, const struct json_hit hits[2])
{
    bool is_there = false, is_null = false;
    for (size_t j = 0; j < 2; j++) {
        bool null = hits[j].type == JSON_SCAN_NULL;
        is_there = is_there || (hits[j].type != JSON_SCAN_ABSENT && !null);
        is_null = is_null || null;
    }
    if ((is_there && !p->forced[i]))
        return ERR_OK;
    for (size_t j = 0; j < 2; j++)
        if (hits[j].type != JSON_SCAN_ABSENT && (!is_there || hits[j].type != JSON_SCAN_NULL))
            p->edits[p->edit_count++] =
                (struct body_edit){hits[j].raw.ptr, hits[j].raw.len, p->values[i]};
    return is_there || is_null ? ERR_OK : put_member(p, i);
}

static enum err put_in(struct putting *p, struct slice object)
{
    const char *names[2 * POLICY_PARAMETERS];
    struct json_hit hits[2 * POLICY_PARAMETERS];
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        names[n++] = p->words[i]->name;
        if (p->words[i]->too)
            names[n++] = p->words[i]->too;
    }
    enum err e = scan(p->s, object, names, n, hits);
    n = 0;
    for (size_t i = 0; !e && i < p->count; i++) {
        struct json_hit own[2] = {hits[n++]};
        if (p->words[i]->too)
            own[1] = hits[n++];
        e = put_one(p, i, own);
    }
    if (!e && p->members.len)
        p->edits[p->edit_count++] = as_first(p->s, object, p->members);
    return e ? e : edit(p->s, p->edits, p->edit_count);
}

/* The object is not there, or null: it comes with its members. */
static enum err put_object(struct putting *p, const struct json_hit *h, const char *in)
{
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < p->count; i++)
        e = put_member(p, i);
    struct slice text = arena_printf(p->s->arena, "{%.*s}", SLICE_ARG(p->members));
    return e ? e : edit_one(p->s, body_set_member(h, in, buf_slice(p->s->body), text, p->s->arena));
}

/* Of a member's two spellings the one that says something, else one that is there. */
static const struct json_hit *spoken(const struct json_hit hits[2])
{
    bool is_second = body_is_absent(&hits[0]) && hits[1].type != JSON_SCAN_ABSENT;
    return is_second || !body_is_absent(&hits[1]) ? &hits[1] : &hits[0];
}

static struct slice whole_object(struct slice body)
{
    return slice_from(body, (size_t)slice_find(body, '{'));
}

static enum err put_group(struct body_shaping *s, const char *in)
{
    struct putting p = {.s = s, .members = SLICE("")};
    struct json_hit hits[2] = {0};
    gather(&p, in);
    if (!p.count)
        return ERR_OK;
    if (!in)
        return put_in(&p, slice_trim(whole_object(buf_slice(s->body))));
    const char *const names[] = {in, s->words->in_too};
    enum err e = scan(s, buf_slice(s->body), names, s->words->in_too ? 2 : 1, hits);
    if (e)
        return e;
    const struct json_hit *h = spoken(hits);
    if (h->type == JSON_SCAN_OBJECT)
        return put_in(&p, h->raw);
    /* else its reader says what is wrong with it */
    return body_is_absent(h) ? put_object(&p, h, in) : ERR_OK;
}

static enum err put_parameters(struct body_shaping *s)
{
    const struct body_words *w = s->words;
    enum err e = put_group(s, NULL);
    for (size_t i = 0; !e && i < w->count; i++) {
        bool is_first = w->words[i].in != NULL;
        for (size_t j = 0; j < i; j++)
            is_first = is_first && !is_same(w->words[j].in, w->words[i].in);
        if (is_first)
            e = put_group(s, w->words[i].in);
    }
    return e;
}

/* ---- the system prompt ---- */

static enum err cannot(struct body_shaping *s, const char *name, const char *why)
{
    s->why = arena_printf(s->arena, "%s %s", name, why);
    return ERR_INVALID;
}

/* Before a text, with an empty line between them. */
static struct slice lead_of(struct body_shaping *s, struct slice quoted)
{
    return arena_printf(s->arena, "%.*s\\n\\n", (int)(quoted.len - 2), quoted.ptr + 1);
}

/* "prompt": each of several texts has it. */
static enum err lead_each(struct body_shaping *s, const struct json_hit *h, struct slice lead)
{
    struct slice body = buf_slice(s->body), rest = h->raw;
    const char *from = body.ptr;
    struct json_hit item;
    enum err e = ERR_OK;
    buf_clear(s->spare);
    while (!e && json_scan_item(&rest, &item)) {
        if (item.type != JSON_SCAN_STRING)
            return cannot(s, "prompt", "must be text: its model has a system prompt");
        e = buf_append(s->spare, slice_of(from, (size_t)(item.raw.ptr + 1 - from)));
        if (!e)
            e = buf_append(s->spare, lead);
        from = item.raw.ptr + 1;
    }
    if (!e)
        e = buf_append(s->spare, slice_of(from, (size_t)(body.ptr + body.len - from)));
    return e ? e : take_spare(s);
}

/* A member that is absent, a text, or an array of pieces. Of another form the system prompt could
 * not stand in it, and some reader might take it all the same. */
static enum err put_system(struct body_shaping *s, const char *name, struct slice quoted,
                           struct slice whole, struct slice piece)
{
    struct json_hit h;
    enum err e = scan(s, buf_slice(s->body), &name, 1, &h);
    if (e)
        return e;
    if (body_is_absent(&h) && whole.ptr)
        return edit_one(s, body_set_member(&h, name, buf_slice(s->body), whole, s->arena));
    if (h.type == JSON_SCAN_ARRAY && piece.ptr)
        return edit_one(s, as_first(s, h.raw, piece));
    if (h.type == JSON_SCAN_STRING)
        return edit_one(s, (struct body_edit){h.raw.ptr + 1, 0, lead_of(s, quoted)});
    return cannot(s, name, "has another form than its model's system prompt can stand in");
}

static enum err put_content(struct body_shaping *s, struct slice quoted)
{
    static const char *const names[] = {"systemInstruction", "system_instruction"};
    static const char *const inner[] = {"parts"};
    struct json_hit hits[2], parts;
    struct slice part = arena_printf(s->arena, "{\"text\":%.*s}", SLICE_ARG(quoted));
    enum err e = scan(s, buf_slice(s->body), names, 2, hits);
    if (e)
        return e;
    if (!body_is_absent(&hits[0]) && !body_is_absent(&hits[1]))
        return cannot(s, names[0], "is spelt in two ways");
    const struct json_hit *h = spoken(hits);
    struct slice list = arena_printf(s->arena, "\"parts\":[%.*s]", SLICE_ARG(part));
    if (body_is_absent(h))
        return edit_one(s, body_set_member(h, names[0], buf_slice(s->body),
                                           arena_printf(s->arena, "{%.*s}", SLICE_ARG(list)),
                                           s->arena));
    if (h->type != JSON_SCAN_OBJECT)
        return cannot(s, names[0], "must be an object");
    e = scan(s, h->raw, inner, 1, &parts);
    if (!e && parts.type == JSON_SCAN_ARRAY)
        return edit_one(s, as_first(s, parts.raw, part));
    if (!e && parts.type == JSON_SCAN_OBJECT) /* one part, as the API takes it too */
        return edit_one(s, (struct body_edit){parts.raw.ptr, parts.raw.len,
                                              arena_printf(s->arena, "[%.*s,%.*s]", SLICE_ARG(part),
                                                           SLICE_ARG(parts.raw))});
    if (!e && parts.type == JSON_SCAN_NULL)
        return edit_one(s, (struct body_edit){parts.raw.ptr, parts.raw.len,
                                              arena_printf(s->arena, "[%.*s]", SLICE_ARG(part))});
    if (!e && parts.type != JSON_SCAN_ABSENT)
        return cannot(s, "systemInstruction.parts", "must be a list");
    return e ? e : edit_one(s, as_first(s, h->raw, list));
}

static enum err put_prompt(struct body_shaping *s, struct slice quoted)
{
    static const char *const names[] = {"prompt"};
    struct json_hit h;
    enum err e = scan(s, buf_slice(s->body), names, 1, &h);
    if (!e && h.type == JSON_SCAN_ARRAY)
        return lead_each(s, &h, lead_of(s, quoted));
    if (e || h.type != JSON_SCAN_STRING)
        return e;
    return edit_one(s, (struct body_edit){h.raw.ptr + 1, 0, lead_of(s, quoted)});
}

static enum err put_system_prompt(struct body_shaping *s)
{
    struct arena *a = s->arena;
    struct slice q = body_quoted(a, s->model->system_prompt);
    if (!q.ptr)
        return ERR_NOMEM;
    switch (s->words ? s->words->system : BODY_SYSTEM_NONE) {
    case BODY_SYSTEM_MESSAGE:
        return put_system(s, "messages", q, SLICE_NONE,
                          arena_printf(a, "{\"role\":\"system\",\"content\":%.*s}", SLICE_ARG(q)));
    case BODY_SYSTEM_BLOCKS:
        return put_system(s, "system", q, q,
                          arena_printf(a, "{\"type\":\"text\",\"text\":%.*s}", SLICE_ARG(q)));
    case BODY_SYSTEM_TEXT:
        return put_system(s, "instructions", q, q, SLICE_NONE);
    case BODY_SYSTEM_UNTYPED:
        return put_system(s, "system", q, arena_printf(a, "[{\"text\":%.*s}]", SLICE_ARG(q)),
                          arena_printf(a, "{\"text\":%.*s}", SLICE_ARG(q)));
    case BODY_SYSTEM_CONTENT:
        return put_content(s, q);
    case BODY_SYSTEM_PROMPT:
        return put_prompt(s, q);
    case BODY_SYSTEM_NONE:
        break;
    }
    return ERR_OK;
}

enum err body_shape(struct body_shaping *s)
{
    enum err e = s->model->drop_count ? drop_all(s) : ERR_OK;
    if (!e && s->words && (s->model->defaults || s->model->overrides))
        e = put_parameters(s);
    return e || !s->model->system_prompt.len ? e : put_system_prompt(s);
}

/* ---- the normal form ---- */

static void put_number(const struct policy_parameters *p, bool forces, enum policy_parameter_id id,
                       struct ai_number *to)
{
    const struct policy_parameter *v = said(p, id);
    if (v && (forces || !to->set))
        *to = (struct ai_number){true, v->number};
}

static unsigned index_of(struct slice word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (words[i] && slice_eq(word, slice_str(words[i])))
            return (unsigned)i;
    return 0;
}

static void put_words(const struct policy_parameters *p, bool forces, struct ai_chat *c)
{
    static const char *const efforts[] = {
        [AI_EFFORT_NONE] = "none",     [AI_EFFORT_MINIMAL] = "minimal", [AI_EFFORT_LOW] = "low",
        [AI_EFFORT_MEDIUM] = "medium", [AI_EFFORT_HIGH] = "high",       [AI_EFFORT_XHIGH] = "xhigh",
        [AI_EFFORT_MAX] = "max"};
    static const char *const tiers[] = {[AI_TIER_AUTO] = "auto",
                                        [AI_TIER_STANDARD] = "default",
                                        [AI_TIER_FLEX] = "flex",
                                        [AI_TIER_PRIORITY] = "priority"};
    const struct policy_parameter *effort = said(p, POLICY_REASONING_EFFORT),
                                  *verbosity = said(p, POLICY_VERBOSITY),
                                  *tier = said(p, POLICY_SERVICE_TIER);
    if (effort && (forces || (!c->effort && !c->reasoning_budget)))
        c->effort = (enum ai_effort)index_of(effort->word, efforts, ARRAY_LEN(efforts));
    if (verbosity && (forces || !c->verbosity.len))
        c->verbosity = verbosity->word;
    if (tier && (forces || !c->tier))
        c->tier = (enum ai_tier)index_of(tier->word, tiers, ARRAY_LEN(tiers));
}

static enum err put_stops(const struct policy_parameters *p, bool forces, struct ai_chat *c)
{
    enum err e = ERR_OK;
    if (!said(p, POLICY_STOP) || (c->stops && !forces))
        return ERR_OK;
    c->stops = c->last_stop = NULL;
    for (size_t i = 0; !e && i < p->stop_count; i++)
        e = ai_chat_add_stop(c, p->stops[i]);
    return e;
}

static enum err put_all(const struct policy_parameters *p, bool forces, struct ai_chat *c)
{
    const struct policy_parameter *most = said(p, POLICY_MAX_TOKENS);
    put_number(p, forces, POLICY_TEMPERATURE, &c->temperature);
    put_number(p, forces, POLICY_TOP_P, &c->top_p);
    put_number(p, forces, POLICY_TOP_K, &c->top_k);
    put_number(p, forces, POLICY_SEED, &c->seed);
    put_number(p, forces, POLICY_PRESENCE_PENALTY, &c->presence_penalty);
    put_number(p, forces, POLICY_FREQUENCY_PENALTY, &c->frequency_penalty);
    if (most && (forces || !c->output_limit))
        c->output_limit = (uint64_t)most->number;
    put_words(p, forces, c);
    return put_stops(p, forces, c);
}

enum err body_shape_chat(const struct policy_model *m, struct ai_chat *c)
{
    enum err e = m->overrides ? put_all(m->overrides, true, c) : ERR_OK;
    return e || !m->defaults ? e : put_all(m->defaults, false, c);
}
