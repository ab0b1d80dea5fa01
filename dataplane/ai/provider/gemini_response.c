/*
 * gemini_response — each event of a stream is a response with a piece of each candidate's parts; a
 * function call stands in one piece. Parts have no numbers, so blocks are counted here: a block
 * ends where a part of another kind begins.
 */
#include "common/base/digest.h"
#include "common/base/json.h"
#include "common/base/json_form.h"
#include "dataplane/ai/provider/gemini.h"

struct emitting {
    struct ai_decoder *d;
    ai_event_fn *fn;
    void *arg;
    unsigned choice;
};

static enum err emit(const struct emitting *m, struct ai_event e)
{
    e.choice = m->choice;
    e.block = m->d->parts[m->choice].block;
    return m->fn(m->arg, &e);
}

/* ---- errors ---- */

static enum ai_verdict verdict_of_status_word(struct slice word, enum ai_verdict other)
{
    static const struct {
        struct slice word;
        enum ai_verdict verdict;
    } rows[] = {{{"RESOURCE_EXHAUSTED", 18}, AI_LIMITED},
                {{"UNAUTHENTICATED", 15}, AI_CREDENTIAL_BAD},
                {{"PERMISSION_DENIED", 17}, AI_CREDENTIAL_BAD},
                {{"UNAVAILABLE", 11}, AI_RETRY},
                {{"INTERNAL", 8}, AI_RETRY},
                {{"DEADLINE_EXCEEDED", 17}, AI_RETRY},
                {{"ABORTED", 7}, AI_RETRY},
                {{"CANCELLED", 9}, AI_RETRY},
                {{"UNKNOWN", 7}, AI_RETRY},
                {{"NOT_FOUND", 9}, AI_FATAL},
                {{"INVALID_ARGUMENT", 16}, AI_FATAL},
                {{"OUT_OF_RANGE", 12}, AI_FATAL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(word, rows[i].word))
            return rows[i].verdict;
    return other;
}

/* A bad key is told as an invalid argument, and so is a prompt that is too long; an account without
 * billing is a precondition that failed. */
static enum ai_verdict verdict_of(const json_t *error, struct slice reason, enum ai_verdict other)
{
    struct slice word = json_text(error, "status"), text = json_text(error, "message");
    if (slice_starts(reason, SLICE("API_KEY_")) ||
        slice_search(text, SLICE("API key not valid")) >= 0 ||
        slice_search(text, SLICE("API key expired")) >= 0 ||
        slice_eq(word, SLICE("FAILED_PRECONDITION")))
        return AI_CREDENTIAL_BAD;
    if (slice_search(text, SLICE("exceeds the maximum number of tokens")) >= 0)
        return AI_TOO_LONG;
    return verdict_of_status_word(word, other);
}

/* "2s", "1.500s": in whole seconds, rounded up */
static unsigned seconds_of(struct slice delay)
{
    uint64_t whole;
    ptrdiff_t dot = slice_find(delay, '.');
    if (!slice_ends(delay, SLICE("s")))
        return 0;
    size_t end = dot < 0 ? delay.len - 1 : (size_t)dot;
    if (slice_u64(slice_first(delay, end), &whole) || whole > 86400)
        return 0;
    return (unsigned)whole + (dot >= 0 || whole == 0);
}

static void look_at_details(const json_t *error, struct slice *reason, unsigned *retry_after_s)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(error, "details"), i, one)
    {
        struct slice type = json_text(one, "@type");
        if (slice_ends(type, SLICE("google.rpc.ErrorInfo")))
            *reason = json_text(one, "reason");
        else if (slice_ends(type, SLICE("google.rpc.RetryInfo")))
            *retry_after_s = seconds_of(json_text(one, "retryDelay"));
    }
}

/* In an array where a stream was asked for without events. */
static const json_t *error_in(const json_t *tree)
{
    const json_t *error =
        json_object_get(json_is_array(tree) ? json_array_get(tree, 0) : tree, "error");
    return json_is_object(error) ? error : NULL;
}

static struct slice copied(struct arena *a, struct slice s)
{
    return s.len ? arena_copy(a, slice_first(s, 64)) : SLICE_NONE;
}

static enum err emit_error(const struct emitting *m, const json_t *error)
{
    struct slice reason = SLICE_NONE;
    unsigned wait = 0;
    look_at_details(error, &reason, &wait);
    return emit(m,
                (struct ai_event){.kind = AI_ERROR,
                                  .text = ai_fault_clean(json_text(error, "message"), m->d->arena),
                                  .name = json_text(error, "status"),
                                  .verdict = verdict_of(error, reason, AI_RETRY)});
}

/* ---- usage: cumulative, and thoughts stand outside of the candidates ---- */

static void keep_last(uint64_t *last, uint64_t report)
{
    if (report != AI_UNSAID)
        *last = report;
}

/* [{"modality":"AUDIO","tokenCount":12}, …]; what is not listed was not there. */
static uint64_t of_modality(const json_t *details, const char *modality)
{
    const json_t *one;
    size_t i;
    json_array_foreach(details, i, one)
    {
        if (slice_eq(json_text(one, "modality"), slice_str(modality)))
            return ai_usage_member(one, "tokenCount");
    }
    return AI_UNSAID;
}

/* As reported; AI_UNSAID where a number is not. */
struct report {
    uint64_t prompt, tools, cached, spoken, thought, audio_input, audio_output, image_output;
};

static struct report report_of(const json_t *usage)
{
    const json_t *prompt = json_object_get(usage, "promptTokensDetails");
    const json_t *spoken = json_object_get(usage, "candidatesTokensDetails");
    return (struct report){.prompt = ai_usage_member(usage, "promptTokenCount"),
                           .tools = ai_usage_member(usage, "toolUsePromptTokenCount"),
                           .cached = ai_usage_member(usage, "cachedContentTokenCount"),
                           .spoken = ai_usage_member(usage, "candidatesTokenCount"),
                           .thought = ai_usage_member(usage, "thoughtsTokenCount"),
                           .audio_input = of_modality(prompt, "AUDIO"),
                           .audio_output = of_modality(spoken, "AUDIO"),
                           .image_output = of_modality(spoken, "IMAGE")};
}

static struct ai_usage usage_of(struct ai_decoder *d, const struct report *r)
{
    struct ai_usage u = AI_USAGE_NONE;
    keep_last(&d->spoken, r->spoken);
    keep_last(&d->thought, r->thought);
    keep_last(&d->tool_prompt, r->tools);
    if (r->prompt != AI_UNSAID)
        u.prompt = r->prompt + d->tool_prompt;
    if (r->spoken != AI_UNSAID || r->thought != AI_UNSAID)
        u.output = d->spoken + d->thought;
    u.reasoning = r->thought;
    u.cache_read = r->cached;
    u.audio_input = r->audio_input;
    u.audio_output = r->audio_output;
    u.image_output = r->image_output;
    return u;
}

static enum err emit_usage(const struct emitting *m, const struct report *r)
{
    return emit(m, (struct ai_event){.kind = AI_USAGE, .usage = usage_of(m->d, r)});
}

/* ---- parts ---- */

enum { PART_NONE, PART_TEXT, PART_THOUGHT };

static struct ai_decoder_parts *parts_of(const struct emitting *m)
{
    return &m->d->parts[m->choice];
}

static enum err leave_block(const struct emitting *m)
{
    struct ai_decoder_parts *p = parts_of(m);
    if (p->kind == PART_NONE)
        return ERR_OK;
    enum err e = emit(m, (struct ai_event){.kind = AI_BLOCK_END});
    p->kind = PART_NONE;
    p->block++;
    return e;
}

static enum err enter_block(const struct emitting *m, unsigned char kind)
{
    struct ai_decoder_parts *p = parts_of(m);
    enum err e = p->kind == kind ? ERR_OK : leave_block(m);
    p->kind = kind;
    p->said = true;
    return e;
}

static enum err emit_text(const struct emitting *m, bool thought, struct slice text,
                          struct slice signature)
{
    if (!text.len && !signature.len)
        return ERR_OK;
    enum err e = enter_block(m, thought ? PART_THOUGHT : PART_TEXT);
    return e ? e
             : emit(m, (struct ai_event){.kind = thought ? AI_REASONING : AI_TEXT,
                                         .text = text,
                                         .signature = signature});
}

static enum err emit_arguments(const struct emitting *m, const json_t *args)
{
    struct buf text;
    if (!json_is_object(args) || json_object_size(args) == 0)
        return emit(m, (struct ai_event){.kind = AI_TOOL_ARGUMENTS, .text = SLICE("{}")});
    buf_init(&text, 64u * 1024 * 1024);
    enum err e = json_write(args, &text);
    if (!e)
        e = emit(m, (struct ai_event){.kind = AI_TOOL_ARGUMENTS, .text = buf_slice(&text)});
    buf_fini(&text);
    return e;
}

/* Clients need one for each call, and the service gives none to most. */
static struct slice own_id(struct ai_decoder *d)
{
    while (!d->seed)
        digest_random(&d->seed, sizeof(d->seed));
    return arena_printf(d->arena, "call_%016llx", (unsigned long long)d->seed++);
}

static enum err emit_call(const struct emitting *m, const json_t *part, const json_t *call)
{
    struct ai_decoder_parts *p = parts_of(m);
    struct slice id = json_text(call, "id");
    enum err e = leave_block(m);
    if (!id.len)
        id = own_id(m->d);
    if (!id.ptr)
        return ERR_NOMEM;
    p->said = p->called = true;
    if (!e)
        e = emit(m, (struct ai_event){.kind = AI_TOOL_START,
                                      .id = id,
                                      .name = json_text(call, "name"),
                                      .signature = json_text(part, "thoughtSignature")});
    if (!e)
        e = emit_arguments(m, json_object_get(call, "args"));
    if (!e)
        e = emit(m, (struct ai_event){.kind = AI_TOOL_END});
    p->block++;
    return e;
}

static enum err emit_media(const struct emitting *m, const json_t *media)
{
    enum err e = leave_block(m);
    parts_of(m)->said = true;
    if (!e)
        e = emit(m, (struct ai_event){.kind = AI_MEDIA,
                                      .name = json_text(media, "mimeType"),
                                      .text = json_text(media, "data")});
    parts_of(m)->block++;
    return e;
}

static enum err emit_part(const struct emitting *m, const json_t *part)
{
    const json_t *call = json_object_get(part, "functionCall");
    const json_t *media = json_object_get(part, "inlineData");
    if (json_is_object(call))
        return emit_call(m, part, call);
    if (json_is_object(media))
        return emit_media(m, media);
    bool thought = json_is_true(json_object_get(part, "thought"));
    /* parts of tools that the service runs are not the client's */
    return emit_text(m, thought, json_text(part, "text"),
                     thought ? json_text(part, "thoughtSignature") : SLICE_NONE);
}

/* ---- why it ended ---- */

static const struct finish_row {
    struct slice reason;
    enum ai_finish finish;
    bool fails; /* the model wrote nothing that a client could use */
} finish_rows[] = {
    {{"STOP", 4}, AI_FINISH_STOP, false},
    {{"MAX_TOKENS", 10}, AI_FINISH_LENGTH, false},
    {{"CONTINUATION", 12}, AI_FINISH_LENGTH, false},
    {{"SAFETY", 6}, AI_FINISH_FILTER, false},
    {{"RECITATION", 10}, AI_FINISH_FILTER, false},
    {{"LANGUAGE", 8}, AI_FINISH_FILTER, false},
    {{"BLOCKLIST", 9}, AI_FINISH_FILTER, false},
    {{"PROHIBITED_CONTENT", 18}, AI_FINISH_FILTER, false},
    {{"SPII", 4}, AI_FINISH_FILTER, false},
    {{"IMAGE_SAFETY", 12}, AI_FINISH_FILTER, false},
    {{"IMAGE_PROHIBITED_CONTENT", 24}, AI_FINISH_FILTER, false},
    {{"IMAGE_RECITATION", 16}, AI_FINISH_FILTER, false},
    {{"MODEL_ARMOR", 11}, AI_FINISH_FILTER, false},
    {{"MALFORMED_FUNCTION_CALL", 23}, AI_FINISH_STOP, true},
    {{"UNEXPECTED_TOOL_CALL", 20}, AI_FINISH_STOP, true},
    {{"TOO_MANY_TOOL_CALLS", 19}, AI_FINISH_STOP, true},
    {{"MALFORMED_RESPONSE", 18}, AI_FINISH_STOP, true},
};

static const struct finish_row *finish_row_of(struct slice reason)
{
    for (size_t i = 0; i < ARRAY_LEN(finish_rows); i++)
        if (slice_eq(reason, finish_rows[i].reason))
            return &finish_rows[i];
    return NULL;
}

static struct slice text_of_failure(const json_t *candidate, struct slice reason, struct arena *a)
{
    struct slice text = json_text(candidate, "finishMessage");
    if (!text.len)
        text = arena_printf(a, "the model ended with %.*s", SLICE_ARG(slice_first(reason, 64)));
    return ai_fault_clean(text, a);
}

static enum err emit_failed_finish(const struct emitting *m, const json_t *candidate,
                                   struct slice reason)
{
    return emit(m, (struct ai_event){.kind = AI_ERROR,
                                     .text = text_of_failure(candidate, reason, m->d->arena),
                                     .name = reason,
                                     .verdict = AI_RETRY});
}

/* STOP is said of function calls too. */
static enum err emit_finish(const struct emitting *m, const json_t *candidate)
{
    struct slice reason = json_text(candidate, "finishReason");
    struct ai_decoder_parts *p = parts_of(m);
    if (!reason.len || slice_eq(reason, SLICE("FINISH_REASON_UNSPECIFIED")) || p->ended)
        return ERR_OK;
    enum err e = leave_block(m);
    const struct finish_row *row = finish_row_of(reason);
    if (!e && (row ? row->fails : !p->said)) /* OTHER, or a new word, and nothing before it */
        return emit_failed_finish(m, candidate, reason);
    p->ended = true;
    enum ai_finish finish = row ? row->finish : AI_FINISH_STOP;
    if (finish == AI_FINISH_STOP && p->called)
        finish = AI_FINISH_TOOLS;
    return e ? e : emit(m, (struct ai_event){.kind = AI_FINISH, .finish = finish});
}

/* ---- responses ---- */

static enum err emit_candidate(struct emitting *m, const json_t *candidate, size_t place)
{
    const json_t *part, *index = json_object_get(candidate, "index");
    enum err e = ERR_OK;
    size_t i;
    json_int_t choice = json_is_integer(index) ? json_integer_value(index) : (json_int_t)place;
    if (choice < 0 || choice >= AI_DECODER_CHOICES)
        return ERR_PROTOCOL;
    m->choice = (unsigned)choice;
    json_array_foreach(json_object_get(json_object_get(candidate, "content"), "parts"), i, part)
    {
        if (!e)
            e = emit_part(m, part);
    }
    return e ? e : emit_finish(m, candidate);
}

static enum err emit_start(const struct emitting *m, struct slice id, struct slice model)
{
    if (m->d->begun)
        return ERR_OK;
    m->d->begun = true;
    return emit(m, (struct ai_event){.kind = AI_START, .id = id, .name = model});
}

/* A prompt that was refused has no candidates, and status 200. */
static enum err emit_blocked(const struct emitting *m, const json_t *tree)
{
    struct ai_decoder_parts *p = parts_of(m);
    struct slice why = json_text(json_object_get(tree, "promptFeedback"), "blockReason");
    if (!why.len || p->ended)
        return ERR_OK;
    p->ended = true;
    return emit(m, (struct ai_event){.kind = AI_FINISH, .finish = AI_FINISH_FILTER});
}

static enum err emit_response(struct emitting *m, const json_t *tree)
{
    const json_t *one, *candidates = json_object_get(tree, "candidates");
    const json_t *error = error_in(tree);
    size_t i;
    if (error)
        return emit_error(m, error);
    const json_t *usage = json_object_get(tree, "usageMetadata");
    enum err e = emit_start(m, json_text(tree, "responseId"), json_text(tree, "modelVersion"));
    if (!e && json_is_object(usage)) {
        const struct report r = report_of(usage);
        e = emit_usage(m, &r);
    }
    json_array_foreach(candidates, i, one)
    {
        if (!e)
            e = emit_candidate(m, one, i);
    }
    m->choice = 0;
    return e || json_array_size(candidates) ? e : emit_blocked(m, tree);
}

/* ---- one text of one candidate, of which a stream is made, without a tree ---- */

enum {
    ID,
    MODEL,
    CREATED,
    CANDIDATES,
    CONTENT,
    PARTS,
    TEXT,
    THOUGHT,
    SIGNATURE,
    ROLE,
    FINISH,
    INDEX,
    USAGE,
    PROMPT_COUNT,
    SPOKEN_COUNT,
    THOUGHT_COUNT,
    TOTAL_COUNT,
    CACHED_COUNT,
    TOOL_COUNT,
    PROMPT_DETAILS,
    PROMPT_MODALITY,
    PROMPT_MODALITY_COUNT,
    SPOKEN_DETAILS,
    SPOKEN_MODALITY,
    SPOKEN_MODALITY_COUNT,
    TRAFFIC,
    HITS
};

static const struct json_form part_form[] = {
    {"text", TEXT, NULL, false},
    {"thought", THOUGHT, NULL, false},
    {"thoughtSignature", SIGNATURE, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct json_form content_form[] = {
    {"parts", PARTS, part_form, true}, {"role", ROLE, NULL, false}, {NULL, 0, NULL, false}};

static const struct json_form candidate_form[] = {
    {"content", CONTENT, content_form, false},
    {"finishReason", FINISH, NULL, false},
    {"index", INDEX, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct json_form prompt_form[] = {
    {"modality", PROMPT_MODALITY, NULL, false},
    {"tokenCount", PROMPT_MODALITY_COUNT, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct json_form spoken_form[] = {
    {"modality", SPOKEN_MODALITY, NULL, false},
    {"tokenCount", SPOKEN_MODALITY_COUNT, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct json_form usage_form[] = {
    {"promptTokenCount", PROMPT_COUNT, NULL, false},
    {"candidatesTokenCount", SPOKEN_COUNT, NULL, false},
    {"totalTokenCount", TOTAL_COUNT, NULL, false},
    {"thoughtsTokenCount", THOUGHT_COUNT, NULL, false},
    {"cachedContentTokenCount", CACHED_COUNT, NULL, false},
    {"toolUsePromptTokenCount", TOOL_COUNT, NULL, false},
    {"promptTokensDetails", PROMPT_DETAILS, prompt_form, true},
    {"candidatesTokensDetails", SPOKEN_DETAILS, spoken_form, true},
    {"trafficType", TRAFFIC, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct json_form response_form[] = {
    {"candidates", CANDIDATES, candidate_form, true},
    {"usageMetadata", USAGE, usage_form, false},
    {"modelVersion", MODEL, NULL, false},
    {"responseId", ID, NULL, false},
    {"createTime", CREATED, NULL, false},
    {NULL, 0, NULL, false},
};

struct words {
    struct slice id, model, text, signature;
    bool thought, counts;
    uint64_t choice;
    struct report report;
};

static uint64_t of_hits(const struct json_hit *modality, struct slice name,
                        const struct json_hit *count)
{
    bool same = modality->type == JSON_SCAN_STRING && modality->raw.len == name.len + 2 &&
                memcmp(modality->raw.ptr + 1, name.ptr, name.len) == 0;
    return same ? ai_usage_hit(count) : AI_UNSAID;
}

static struct report report_of_hits(const struct json_hit *h)
{
    const struct json_hit *spoken = &h[SPOKEN_MODALITY], *n = &h[SPOKEN_MODALITY_COUNT];
    return (struct report){
        .prompt = ai_usage_hit(&h[PROMPT_COUNT]),
        .tools = ai_usage_hit(&h[TOOL_COUNT]),
        .cached = ai_usage_hit(&h[CACHED_COUNT]),
        .spoken = ai_usage_hit(&h[SPOKEN_COUNT]),
        .thought = ai_usage_hit(&h[THOUGHT_COUNT]),
        .audio_input = of_hits(&h[PROMPT_MODALITY], SLICE("AUDIO"), &h[PROMPT_MODALITY_COUNT]),
        .audio_output = of_hits(spoken, SLICE("AUDIO"), n),
        .image_output = of_hits(spoken, SLICE("IMAGE"), n)};
}

static bool is_none(const struct json_hit *h)
{
    return h->type == JSON_SCAN_ABSENT || h->type == JSON_SCAN_NULL;
}

/* No word with an escape is a modality; where one stands, the tree says what it is. */
static bool is_clear(const struct json_hit *modality)
{
    return modality->type != JSON_SCAN_STRING ||
           !memchr(modality->raw.ptr, '\\', modality->raw.len);
}

static bool match_words(struct slice data, struct json_form_room *room, struct words *ret)
{
    struct json_hit hits[HITS] JSON_FORM_SCRATCH;
    room->used = 0;
    ret->choice = 0;
    if (!json_form_match(data, response_form, hits, HITS) || hits[TEXT].type != JSON_SCAN_STRING ||
        !is_none(&hits[FINISH]) || !is_clear(&hits[PROMPT_MODALITY]) ||
        !is_clear(&hits[SPOKEN_MODALITY]) ||
        (hits[INDEX].type != JSON_SCAN_ABSENT && json_scan_u64(&hits[INDEX], &ret->choice)))
        return false;
    ret->thought = hits[THOUGHT].type == JSON_SCAN_TRUE;
    ret->signature = SLICE_NONE;
    ret->counts = hits[USAGE].type == JSON_SCAN_OBJECT;
    ret->report = report_of_hits(hits);
    return ret->choice < AI_DECODER_CHOICES && json_form_text(&hits[ID], room, &ret->id) &&
           json_form_text(&hits[MODEL], room, &ret->model) &&
           json_form_text(&hits[TEXT], room, &ret->text) &&
           (!ret->thought || json_form_text(&hits[SIGNATURE], room, &ret->signature));
}

/* False: it is another response, or is written in another way. */
static bool decode_words(struct emitting *m, struct slice data, enum err *ret)
{
    struct json_form_room room JSON_FORM_SCRATCH;
    struct words w;
    if (!match_words(data, &room, &w))
        return false;
    *ret = emit_start(m, w.id, w.model);
    if (!*ret && w.counts)
        *ret = emit_usage(m, &w.report);
    m->choice = (unsigned)w.choice;
    if (!*ret)
        *ret = emit_text(m, w.thought, w.text, w.signature);
    return true;
}

enum err gemini_decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    struct emitting m = {.d = d, .fn = fn, .arg = arg};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    if (!e->has_data)
        return emit(&m, (struct ai_event){.kind = AI_OTHER});
    enum err err;
    if (decode_words(&m, e->data, &err))
        return err;
    err = json_read(e->data, &tree, &problem);
    if (err || !json_is_object(tree))
        return err == ERR_NOMEM ? err : ERR_PROTOCOL;
    return emit_response(&m, tree);
}

static bool is_response(const json_t *tree)
{
    return json_is_array(json_object_get(tree, "candidates")) ||
           json_is_object(json_object_get(tree, "promptFeedback")) || error_in(tree);
}

enum err gemini_decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    struct emitting m = {.d = d, .fn = fn, .arg = arg};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    enum err e = json_read(body, &tree, &problem);
    if (!e && gemini_is_embedding(tree))
        return gemini_emit_embeddings(tree, fn, arg);
    if (e || !is_response(tree))
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    e = emit_response(&m, tree);
    return e ? e : emit(&m, (struct ai_event){.kind = AI_END});
}

/* ---- a response that is an error, whatever its status ---- */

static void read_failed_candidate(const json_t *tree, struct slice body, struct arena *a,
                                  struct ai_fault *ret)
{
    const json_t *candidate = json_array_get(json_object_get(tree, "candidates"), 0);
    struct slice reason = json_text(candidate, "finishReason");
    if (!reason.len) {
        ret->text = ai_fault_text(body, a);
        return;
    }
    ret->text = text_of_failure(candidate, reason, a);
    ret->code = copied(a, reason);
}

void gemini_read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    struct slice reason = SLICE_NONE;
    struct ai_decoder d = {.arena = a};
    *ret = (struct ai_fault){.verdict = ai_verdict_of_status(status), .usage = AI_USAGE_NONE};
    if (json_read(body, &tree, &problem)) {
        ret->text = ai_fault_text(body, a);
        return;
    }
    const json_t *error = error_in(tree);
    const struct report r = report_of(json_object_get(tree, "usageMetadata"));
    ret->usage = usage_of(&d, &r);
    if (!error) {
        read_failed_candidate(tree, body, a, ret);
        return;
    }
    look_at_details(error, &reason, &ret->retry_after_s);
    ret->text = ai_fault_clean(json_text(error, "message"), a);
    ret->code = copied(a, json_text(error, "status"));
    ret->verdict = verdict_of(error, reason, ret->verdict);
}

/* ---- countTokens ---- */

enum err gemini_read_count_response(struct slice body, uint64_t *ret)
{
    static const char *const wants[] = {"totalTokens"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    if (json_scan_response(body, wants, 1, &hit, &root, &problem) || json_scan_u64(&hit, ret))
        return ERR_PROTOCOL;
    return ERR_OK;
}
