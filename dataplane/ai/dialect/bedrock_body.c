/*
 * bedrock_body — the model and whether it streams stand in the path.
 */
#include "dataplane/ai/dialect/bedrock_body.h"

#include "common/base/digest.h"
#include "common/base/json_scan.h"
#include "common/base/limits.h"
#include "dataplane/ai/dialect/body_member.h"

/* ---- by places ---- */

enum hit { MESSAGES, INFERENCE, LIMIT, SESSION, HITS };

static const char *const wants[HITS] = {
    [MESSAGES] = "messages",
    [INFERENCE] = "inferenceConfig",
    [LIMIT] = "inferenceConfig.maxTokens",
    [SESSION] = "requestMetadata.session_id",
};

static enum err read_session(const struct ai_incoming *in, struct ai_request *r)
{
    const struct json_hit *h = &r->hits[SESSION];
    if (h->type != JSON_SCAN_STRING)
        return ERR_OK;
    char *out = arena_alloc(in->arena, h->raw.len);
    if (!out)
        return ERR_NOMEM;
    r->session_named_by = "requestMetadata.session_id";
    return json_scan_text(h, out, h->raw.len, &r->session_id) == ERR_PROTOCOL ? ERR_INVALID
                                                                              : ERR_OK;
}

enum err bedrock_read(const struct ai_incoming *in, struct ai_request *ret, struct slice *detail)
{
    struct json_scan_problem problem;
    enum json_type root;
    ret->model = ai_incoming_name(in);
    ret->stream = slice_ends(in->endpoint->suffix, SLICE("-stream"));
    ret->wants_usage = true;
    ret->choices = 1;
    if (!ret->model.ptr)
        return ERR_NOMEM;
    if (json_scan(in->body, wants, HITS, ret->hits, &root, &problem)) {
        *detail = arena_copy(in->arena, slice_str(problem.text));
        return ERR_INVALID;
    }
    const struct json_hit *limit = &ret->hits[LIMIT];
    if (root != JSON_SCAN_OBJECT)
        return body_refuse(ret, NULL, "the body must be a JSON object", detail);
    if (ret->hits[MESSAGES].type != JSON_SCAN_ARRAY)
        return body_refuse(ret, "messages", "messages must be a list", detail);
    if (!body_is_absent(&ret->hits[INFERENCE]) && ret->hits[INFERENCE].type != JSON_SCAN_OBJECT)
        return body_refuse(ret, "inferenceConfig", "inferenceConfig must be an object", detail);
    if (!body_is_absent(limit) &&
        (json_scan_u64(limit, &ret->output_ceiling) || !ret->output_ceiling))
        return body_refuse(ret, "inferenceConfig.maxTokens",
                           "inferenceConfig.maxTokens must be a positive number", detail);
    return read_session(in, ret);
}

/* ---- the body for Bedrock: the limit is all that may be put in ---- */

static bool is_empty_object(struct slice raw)
{
    for (size_t i = 1; i + 1 < raw.len; i++)
        if (!strchr(" \t\r\n", raw.ptr[i]))
            return false;
    return true;
}

static enum err put_at(struct slice body, size_t at, size_t skipped, struct slice text,
                       struct slice ret[static AI_REQUEST_PIECES])
{
    ret[0] = slice_first(body, at);
    ret[1] = text;
    ret[2] = slice_from(body, at + skipped);
    return text.ptr ? ERR_OK : ERR_NOMEM;
}

static enum err put_limit(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                          struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    const struct json_hit *config = &r->hits[INFERENCE], *limit = &r->hits[LIMIT];
    unsigned long long n = c->output_limit;
    if (!n || r->output_ceiling)
        return ERR_OK;
    if (limit->type == JSON_SCAN_NULL)
        return put_at(body, (size_t)(limit->raw.ptr - body.ptr), limit->raw.len,
                      arena_printf(a, "%llu", n), ret);
    if (config->type == JSON_SCAN_OBJECT) /* behind its opening brace */
        return put_at(
            body, (size_t)(config->raw.ptr - body.ptr) + 1, 0,
            arena_printf(a, "\"maxTokens\":%llu%s", n, is_empty_object(config->raw) ? "" : ","),
            ret);
    if (config->type == JSON_SCAN_NULL)
        return put_at(body, (size_t)(config->raw.ptr - body.ptr), config->raw.len,
                      arena_printf(a, "{\"maxTokens\":%llu}", n), ret);
    /* a body is never an empty object: it has messages */
    return put_at(body, (size_t)slice_find(body, '{') + 1, 0,
                  arena_printf(a, "\"inferenceConfig\":{\"maxTokens\":%llu},", n), ret);
}

/* ---- what an account made, for it alone ---- */

/* The text and mark in the bytes that redactedContent stands for; .ptr NULL: it is no such, or
 * there is no memory. */
static struct slice open_bytes(struct slice redacted, struct arena *a)
{
    size_t len;
    if (!slice_starts(redacted, SLICE(BEDROCK_SEAL_BASE64)))
        return SLICE_NONE;
    uint8_t *out = arena_alloc(a, redacted.len);
    if (!out || digest_unbase64(redacted, out, redacted.len, &len))
        return SLICE_NONE;
    return slice_from(slice_of((const char *)out, len), sizeof(BEDROCK_SEAL) - 1);
}

enum seal { SEAL_KEEP, SEAL_RESTORED, SEAL_FOREIGN };

static enum seal look_at_seal(json_t *of, const char *member, const struct ai_changes *c,
                              struct arena *a)
{
    struct slice value, text = json_text(of, member), opened = open_bytes(text, a);
    struct ai_account account;
    if (!ai_mark_split(opened.ptr ? opened : text, &value, &account))
        return SEAL_KEEP;
    if (!c->marker || !c->maker ||
        !ai_mark_read(c->marker, opened.ptr ? opened : text, &value, &account) ||
        !ai_account_eq(&account, c->maker))
        return SEAL_FOREIGN;
    return json_object_set_new(of, member, json_from(value)) ? SEAL_FOREIGN : SEAL_RESTORED;
}

static enum seal seal_of(const json_t *block, const struct ai_changes *c, struct arena *a)
{
    json_t *thought = json_object_get(block, "reasoningContent");
    json_t *text = json_object_get(thought, "reasoningText");
    return text ? look_at_seal(text, "signature", c, a)
                : look_at_seal(thought, "redactedContent", c, a);
}

/* false: nothing was changed. A turn that was nothing else goes too, as none may be empty. */
static bool settle_seals(json_t *messages, const struct ai_changes *c, struct arena *a)
{
    bool changed = false;
    for (size_t i = json_array_size(messages); i > 0; i--) {
        json_t *content = json_object_get(json_array_get(messages, i - 1), "content");
        size_t before = json_array_size(content);
        for (size_t j = before; j > 0; j--) {
            enum seal seal = seal_of(json_array_get(content, j - 1), c, a);
            changed = changed || seal != SEAL_KEEP;
            if (seal == SEAL_FOREIGN)
                json_array_remove(content, j - 1);
        }
        if (before && !json_array_size(content))
            json_array_remove(messages, i - 1);
    }
    return changed;
}

static bool may_hold_marked(struct slice body)
{
    return slice_search(body, SLICE("_gh")) >= 0 ||
           slice_search(body, SLICE("\"" BEDROCK_SEAL_BASE64)) >= 0;
}

static enum err set_limit(json_t *root, uint64_t limit)
{
    json_t *config = json_object_get(root, "inferenceConfig");
    if (!json_is_object(config)) {
        config = json_object();
        if (json_object_set_new(root, "inferenceConfig", config))
            return ERR_NOMEM;
    }
    return json_object_set_new(config, "maxTokens", json_integer((json_int_t)limit)) ? ERR_NOMEM
                                                                                     : ERR_OK;
}

static enum err write_tree(const struct ai_request *r, json_t *root, const struct ai_changes *c,
                           struct arena *a, struct slice *ret)
{
    struct buf out;
    enum err e = c->output_limit && !r->output_ceiling ? set_limit(root, c->output_limit) : ERR_OK;
    buf_init(&out, 2 * LIMIT_AI_BODY);
    if (!e)
        e = json_write(root, &out);
    if (!e) {
        *ret = arena_copy(a, buf_slice(&out));
        e = ret->ptr ? ERR_OK : ERR_NOMEM;
    }
    buf_fini(&out);
    return e;
}

/*
 * Reasoning that another account made is told a client of this dialect with its mark; Bedrock would
 * refuse what the client repeats of it. Only bodies that seem to hold a mark are parsed, and where
 * they do not, they pass as they are.
 */
enum err bedrock_splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                        struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    JSON_AUTO json_t *root = NULL;
    struct json_problem problem;
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    ret[0] = body;
    if (may_hold_marked(body) && !json_read(body, &root, &problem) &&
        settle_seals(json_object_get(root, "messages"), c, a))
        return write_tree(r, root, c, a, ret);
    return put_limit(r, body, c, a, ret);
}

/* ---- parsed ---- */

static const json_t *get(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return json_is_null(v) ? NULL : v;
}

/* A text that the tree owns from now on, beside the member that it was made of. */
static struct slice keep_json(json_t *owner, const json_t *value)
{
    struct buf text;
    struct slice kept = SLICE_NONE;
    buf_init(&text, LIMIT_AI_BODY * 2);
    json_t *own = json_write(value, &text) ? NULL : json_from(buf_slice(&text));
    if (own && !json_object_set_new(owner, "=json", own))
        kept = slice_of(json_string_value(own), json_string_length(own));
    buf_fini(&text);
    return kept;
}

static enum err nomem_unless(const void *made)
{
    return made ? ERR_OK : ERR_NOMEM;
}

static enum err wrong_part(struct ai_chat *c, const char *what)
{
    return ai_chat_wrong(c, "messages", slice_str(what));
}

static const struct {
    struct slice format, type;
} media_types[] = {
    {{"png", 3}, {"image/png", 9}},
    {{"jpeg", 4}, {"image/jpeg", 10}},
    {{"gif", 3}, {"image/gif", 9}},
    {{"webp", 4}, {"image/webp", 10}},
    {{"pdf", 3}, {"application/pdf", 15}},
    {{"csv", 3}, {"text/csv", 8}},
    {{"html", 4}, {"text/html", 9}},
    {{"txt", 3}, {"text/plain", 10}},
    {{"md", 2}, {"text/markdown", 13}},
    {{"doc", 3}, {"application/msword", 18}},
    {{"docx", 4}, {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", 71}},
    {{"xls", 3}, {"application/vnd.ms-excel", 24}},
    {{"xlsx", 4}, {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 65}},
    {{"mp3", 3}, {"audio/mp3", 9}},
    {{"wav", 3}, {"audio/wav", 9}},
    {{"mp4", 3}, {"video/mp4", 9}},
};

static struct slice type_of(struct slice format)
{
    for (size_t i = 0; i < ARRAY_LEN(media_types); i++)
        if (slice_eq(format, media_types[i].format))
            return media_types[i].type;
    return SLICE_NONE;
}

static enum err add_media(struct ai_chat *c, struct ai_part_list *to, enum ai_part_kind kind,
                          const json_t *media)
{
    const json_t *source = get(media, "source");
    struct slice bytes = json_text(source, "bytes"), text = json_text(source, "text");
    if (!bytes.ptr && !text.ptr)
        return wrong_part(c, "content of S3 or of another source than bytes and text");
    struct ai_part *p = ai_chat_add_part(c, to, kind);
    if (!p)
        return ERR_NOMEM;
    p->media_type = type_of(json_text(media, "format"));
    p->data = bytes;
    p->text = text.ptr ? text : SLICE_NONE;
    p->name = kind == AI_PART_FILE ? json_text(media, "name") : SLICE_NONE;
    if (bytes.ptr && !p->media_type.ptr)
        return wrong_part(c, "media of a format that is not known");
    return ERR_OK;
}

static enum err add_text(struct ai_chat *c, struct ai_part_list *to, const json_t *text)
{
    struct ai_part *p = ai_chat_add_part(c, to, AI_PART_TEXT);
    if (p)
        p->text = slice_of(json_string_value(text), json_string_length(text));
    return nomem_unless(p);
}

static enum err add_call(struct ai_chat *c, struct ai_part_list *to, json_t *call)
{
    const json_t *input = get(call, "input");
    struct ai_part *p = ai_chat_add_part(c, to, AI_PART_TOOL_CALL);
    if (!p)
        return ERR_NOMEM;
    p->id = json_text(call, "toolUseId");
    p->name = json_text(call, "name");
    if (!p->id.len || !p->name.len)
        return wrong_part(c, "a toolUse wants toolUseId and name");
    p->text = json_is_object(input) ? keep_json(call, input) : SLICE("{}");
    return nomem_unless(p->text.ptr);
}

static enum err add_block(struct ai_chat *c, struct ai_part_list *to, json_t *block);

static enum err add_result(struct ai_chat *c, struct ai_part_list *to, json_t *result)
{
    json_t *content = json_object_get(result, "content");
    struct ai_part *p = ai_chat_add_part(c, to, AI_PART_TOOL_RESULT);
    if (!p || !(p->inner = arena_zalloc(c->arena, sizeof(*p->inner))))
        return ERR_NOMEM;
    p->id = json_text(result, "toolUseId");
    p->is_error = slice_eq(json_text(result, "status"), SLICE("error"));
    if (!p->id.len)
        return wrong_part(c, "a toolResult wants toolUseId");
    enum err e = ERR_OK;
    for (size_t i = 0; i < json_array_size(content) && !e; i++)
        e = add_block(c, p->inner, json_array_get(content, i));
    return e;
}

/* A result of a tool as JSON is told as its text. */
static enum err add_json(struct ai_chat *c, struct ai_part_list *to, json_t *block)
{
    struct ai_part *p = ai_chat_add_part(c, to, AI_PART_TEXT);
    if (!p)
        return ERR_NOMEM;
    p->text = keep_json(block, json_object_get(block, "json"));
    return nomem_unless(p->text.ptr);
}

static enum err add_reasoning(struct ai_chat *c, struct ai_part_list *to, const json_t *thought)
{
    const json_t *text = get(thought, "reasoningText");
    struct ai_part *p = ai_chat_add_part(c, to, AI_PART_REASONING);
    if (!p)
        return ERR_NOMEM;
    p->text = json_text(text, "text");
    p->signature = json_text(text, "signature");
    p->redacted = json_text(thought, "redactedContent");
    return ERR_OK;
}

/* A cache point marks what stands before it. */
static enum err mark(struct ai_part_list *to, const json_t *point)
{
    if (to->last)
        to->last->cache =
            slice_eq(json_text(point, "ttl"), SLICE("1h")) ? AI_CACHE_LONG : AI_CACHE_SHORT;
    return ERR_OK;
}

static enum err add_block(struct ai_chat *c, struct ai_part_list *to, json_t *block)
{
    json_t *v;
    if (json_is_string(v = json_object_get(block, "text")))
        return add_text(c, to, v);
    if ((v = json_object_get(block, "image")))
        return add_media(c, to, AI_PART_IMAGE, v);
    if ((v = json_object_get(block, "document")))
        return add_media(c, to, AI_PART_FILE, v);
    if ((v = json_object_get(block, "video")))
        return add_media(c, to, AI_PART_VIDEO, v);
    if ((v = json_object_get(block, "audio")))
        return add_media(c, to, AI_PART_AUDIO, v);
    if ((v = json_object_get(block, "toolUse")))
        return add_call(c, to, v);
    if ((v = json_object_get(block, "toolResult")))
        return add_result(c, to, v);
    if ((v = json_object_get(block, "reasoningContent")))
        return add_reasoning(c, to, v);
    if ((v = json_object_get(block, "cachePoint")))
        return mark(to, v);
    if (json_object_get(block, "json"))
        return add_json(c, to, block);
    return wrong_part(c, "a content block of a kind that only Bedrock knows");
}

static enum err read_blocks(struct ai_chat *c, enum ai_role role, json_t *content)
{
    struct ai_turn *t = ai_chat_add_turn(c, role);
    enum err e = nomem_unless(t);
    for (size_t i = 0; i < json_array_size(content) && !e; i++)
        e = add_block(c, &t->parts, json_array_get(content, i));
    return e;
}

static enum err read_messages(struct ai_chat *c, const json_t *messages)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < json_array_size(messages) && !e; i++) {
        const json_t *m = json_array_get(messages, i);
        struct slice role = json_text(m, "role");
        bool user = slice_eq(role, SLICE("user"));
        if (!user && !slice_eq(role, SLICE("assistant")) && !slice_eq(role, SLICE("system")))
            return wrong_part(c, "role must be \"user\" or \"assistant\"");
        if (!json_is_array(json_object_get(m, "content")))
            return wrong_part(c, "content must be a list");
        e = read_blocks(c,
                        user                              ? AI_USER
                        : slice_eq(role, SLICE("system")) ? AI_SYSTEM
                                                          : AI_ASSISTANT,
                        json_object_get(m, "content"));
    }
    return e;
}

/* ---- tools ---- */

static enum err read_tool(struct ai_chat *c, const json_t *tool)
{
    const json_t *spec = get(tool, "toolSpec"), *point = get(tool, "cachePoint");
    if (point && c->last_function) {
        c->last_function->cache =
            slice_eq(json_text(point, "ttl"), SLICE("1h")) ? AI_CACHE_LONG : AI_CACHE_SHORT;
        return ERR_OK;
    }
    if (!spec || !json_text(spec, "name").len)
        return ai_chat_wrong(c, "toolConfig", SLICE("a tool that is no toolSpec with a name"));
    struct ai_function *f = ai_chat_add_function(c, json_text(spec, "name"));
    if (!f)
        return ERR_NOMEM;
    f->description = json_text(spec, "description");
    f->schema = get(get(spec, "inputSchema"), "json");
    f->strict = json_is_true(get(spec, "strict"));
    return ERR_OK;
}

static enum err read_tools(struct ai_chat *c, const json_t *config)
{
    const json_t *tools = get(config, "tools"), *choice = get(config, "toolChoice");
    enum err e = ERR_OK;
    for (size_t i = 0; i < json_array_size(tools) && !e; i++)
        e = read_tool(c, json_array_get(tools, i));
    if (get(choice, "auto"))
        c->choosing = AI_CHOOSE_AUTO;
    else if (get(choice, "any"))
        c->choosing = AI_CHOOSE_ANY;
    else if (get(choice, "tool")) {
        c->choosing = AI_CHOOSE_ONE;
        c->chosen = json_text(get(choice, "tool"), "name");
    }
    return e;
}

/* ---- the other members ---- */

static void read_number(const json_t *v, struct ai_number *ret)
{
    if (json_is_number(v))
        *ret = (struct ai_number){.set = true, .value = json_number_value(v)};
}

static enum err read_inference(struct ai_chat *c, const json_t *config)
{
    const json_t *limit = get(config, "maxTokens"), *stops = get(config, "stopSequences");
    enum err e = ERR_OK;
    if (json_is_integer(limit) && json_integer_value(limit) > 0)
        c->output_limit = (uint64_t)json_integer_value(limit);
    read_number(get(config, "temperature"), &c->temperature);
    read_number(get(config, "topP"), &c->top_p);
    for (size_t i = 0; i < json_array_size(stops) && !e; i++) {
        const json_t *s = json_array_get(stops, i);
        e = json_is_string(s)
                ? ai_chat_add_stop(c, slice_of(json_string_value(s), json_string_length(s)))
                : ERR_OK;
    }
    return e;
}

static enum ai_effort effort_of(struct slice word)
{
    static const struct {
        struct slice word;
        enum ai_effort effort;
    } rows[] = {{{"none", 4}, AI_EFFORT_NONE}, {{"minimal", 7}, AI_EFFORT_MINIMAL},
                {{"low", 3}, AI_EFFORT_LOW},   {{"medium", 6}, AI_EFFORT_MEDIUM},
                {{"high", 4}, AI_EFFORT_HIGH}, {{"xhigh", 5}, AI_EFFORT_XHIGH},
                {{"max", 3}, AI_EFFORT_MAX},   {{"disabled", 8}, AI_EFFORT_NONE}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(word, rows[i].word))
            return rows[i].effort;
    return AI_EFFORT_UNSAID;
}

static void read_thinking(struct ai_chat *c, const json_t *thinking)
{
    const json_t *budget = get(thinking, "budget_tokens");
    struct slice type = json_text(thinking, "type");
    if (slice_eq(type, SLICE("disabled")))
        c->effort = AI_EFFORT_NONE;
    else if (slice_eq(type, SLICE("adaptive")) && !c->effort)
        c->effort = AI_EFFORT_MEDIUM;
    if (json_is_integer(budget) && json_integer_value(budget) > 0)
        c->reasoning_budget = (uint64_t)json_integer_value(budget);
}

/* Members of models themselves. Those that the normal form has a place for are what AWS and the
 * Vercel AI SDK send. */
static enum err read_additional(struct ai_chat *c, const json_t *fields)
{
    const char *name;
    const json_t *v;
    enum err e = ERR_OK;
    json_object_foreach((json_t *)(uintptr_t)fields, name, v)
    {
        if (e || json_is_null(v))
            continue;
        if (strcmp(name, "thinking") == 0)
            read_thinking(c, v);
        else if (strcmp(name, "output_config") == 0) {
            enum ai_effort effort = effort_of(json_text(v, "effort"));
            const json_t *format = get(v, "format");
            c->effort = effort ? effort : c->effort;
            c->format = format ? AI_FORMAT_SCHEMA : c->format;
            c->format_schema = format ? get(format, "schema") : c->format_schema;
        } else if (strcmp(name, "reasoningConfig") == 0)
            c->effort = effort_of(
                json_text(v, get(v, "maxReasoningEffort") ? "maxReasoningEffort" : "type"));
        else if (strcmp(name, "reasoning_effort") == 0)
            c->effort = effort_of(json_text(fields, name));
        else if (strcmp(name, "reasoning") == 0)
            c->effort = effort_of(json_text(v, "effort"));
        else if (strcmp(name, "top_k") == 0)
            read_number(v, &c->top_k);
        else if (strcmp(name, "tool_choice") == 0)
            c->one_call_at_a_time = json_is_true(get(v, "disable_parallel_tool_use"));
        else
            e = ai_chat_add_other(c, name, false, SLICE_NONE, v);
    }
    return e;
}

static enum err read_format(struct ai_chat *c, json_t *config)
{
    const json_t *text = get(config, "textFormat");
    const json_t *schema = get(get(text, "structure"), "jsonSchema");
    struct json_problem problem;
    json_t *tree = NULL;
    if (!schema)
        return ERR_OK;
    struct slice source = json_text(schema, "schema");
    enum err e = json_read(source, &tree, &problem);
    if (e == ERR_NOMEM)
        return e;
    if (e || !json_is_object(tree)) {
        json_decref(tree);
        return ai_chat_wrong(c, "outputConfig",
                             SLICE("textFormat.structure.jsonSchema.schema must be a JSON object "
                                   "as text"));
    }
    c->format = AI_FORMAT_SCHEMA;
    c->format_name = json_text(schema, "name");
    c->format_description = json_text(schema, "description");
    c->format_schema = tree;
    return json_object_set_new(config, "=schema", tree) ? ERR_NOMEM : ERR_OK;
}

static void read_tier(struct ai_chat *c, const json_t *tier)
{
    struct slice type = json_text(tier, "type");
    if (slice_eq(type, SLICE("default")))
        c->tier = AI_TIER_STANDARD;
    else if (slice_eq(type, SLICE("flex")))
        c->tier = AI_TIER_FLEX;
    else if (slice_eq(type, SLICE("priority")))
        c->tier = AI_TIER_PRIORITY;
}

static enum err read_member(struct ai_chat *c, const char *name, json_t *v)
{
    if (strcmp(name, "messages") == 0)
        return read_messages(c, v);
    if (strcmp(name, "toolConfig") == 0)
        return read_tools(c, v);
    if (strcmp(name, "inferenceConfig") == 0)
        return read_inference(c, v);
    if (strcmp(name, "additionalModelRequestFields") == 0)
        return read_additional(c, v);
    if (strcmp(name, "outputConfig") == 0)
        return read_format(c, v);
    if (strcmp(name, "guardrailConfig") == 0)
        return ai_chat_add_other(c, name, true, SLICE("a guardrail of Bedrock"), v);
    if (strcmp(name, "promptVariables") == 0)
        return ai_chat_add_other(c, name, true, SLICE("a prompt that Bedrock keeps"), v);
    if (strcmp(name, "serviceTier") == 0)
        read_tier(c, v);
    else if (strcmp(name, "requestMetadata") == 0)
        c->user = json_text(v, "user");
    else if (strcmp(name, "system") != 0 && strcmp(name, "additionalModelResponseFieldPaths") != 0)
        return ai_chat_add_other(c, name, false, SLICE_NONE, v);
    return ERR_OK;
}

/* Before the parts are measured or told anyone. */
static enum err take_marks(struct ai_chat *c, const struct ai_marker *m)
{
    enum err e = ERR_OK;
    for (struct ai_turn *t = c->first; t && !e; t = t->next)
        for (struct ai_part *p = t->parts.first; p && !e; p = p->next) {
            if (p->kind != AI_PART_REASONING)
                continue;
            struct slice value, opened = open_bytes(p->redacted, c->arena);
            struct ai_account account;
            if (ai_mark_split(opened, &value, &account))
                p->redacted = opened;
            e = ai_chat_take_mark(c, m, p);
        }
    return e;
}

enum err bedrock_parse(const struct ai_incoming *in, struct ai_chat *ret)
{
    struct json_problem problem;
    enum err e = json_read(in->body, &ret->root, &problem);
    if (e)
        return e == ERR_NOMEM ? e : ai_chat_wrong(ret, NULL, SLICE("the body is no JSON"));
    ret->choices = 1;
    ret->stream = slice_ends(in->endpoint->suffix, SLICE("-stream"));
    if (json_array_size(get(ret->root, "system")))
        e = read_blocks(ret, AI_SYSTEM, json_object_get(ret->root, "system"));
    const char *name;
    json_t *v;
    json_object_foreach(ret->root, name, v)
    {
        if (!e && !json_is_null(v))
            e = read_member(ret, name, v);
    }
    return e ? e : take_marks(ret, in->marker);
}
