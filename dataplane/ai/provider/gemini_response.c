/*
 * gemini_response — each event of a stream is a response with a piece of each candidate's parts; a
 * function call stands in one piece. Parts have no numbers, so blocks are counted here: a block
 * ends where a part of another kind begins.
 */
#include "common/base/digest.h"
#include "common/base/json.h"
#include "common/base/json_scan.h"
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

static struct ai_usage usage_of(struct ai_decoder *d, const json_t *usage)
{
    struct ai_usage u = AI_USAGE_NONE;
    uint64_t spoken = ai_usage_member(usage, "candidatesTokenCount");
    uint64_t thought = ai_usage_member(usage, "thoughtsTokenCount");
    uint64_t prompt = ai_usage_member(usage, "promptTokenCount");
    uint64_t tools = ai_usage_member(usage, "toolUsePromptTokenCount");
    keep_last(&d->spoken, spoken);
    keep_last(&d->thought, thought);
    keep_last(&d->tool_prompt, tools);
    if (prompt != AI_UNSAID)
        u.prompt = prompt + d->tool_prompt;
    if (spoken != AI_UNSAID || thought != AI_UNSAID)
        u.output = d->spoken + d->thought;
    u.reasoning = thought;
    u.cache_read = ai_usage_member(usage, "cachedContentTokenCount");
    u.audio_input = of_modality(json_object_get(usage, "promptTokensDetails"), "AUDIO");
    u.audio_output = of_modality(json_object_get(usage, "candidatesTokensDetails"), "AUDIO");
    u.image_output = of_modality(json_object_get(usage, "candidatesTokensDetails"), "IMAGE");
    return u;
}

static enum err emit_usage(const struct emitting *m, const json_t *usage)
{
    if (!json_is_object(usage))
        return ERR_OK;
    return emit(m, (struct ai_event){.kind = AI_USAGE, .usage = usage_of(m->d, usage)});
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

static enum err emit_text(const struct emitting *m, const json_t *part)
{
    bool thought = json_is_true(json_object_get(part, "thought"));
    struct slice text = json_text(part, "text");
    struct slice signature = thought ? json_text(part, "thoughtSignature") : SLICE_NONE;
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
    return emit_text(m, part); /* parts of tools that the service runs are not the client's */
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

static enum err emit_start(const struct emitting *m, const json_t *tree)
{
    if (m->d->begun)
        return ERR_OK;
    m->d->begun = true;
    return emit(m, (struct ai_event){.kind = AI_START,
                                     .id = json_text(tree, "responseId"),
                                     .name = json_text(tree, "modelVersion")});
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
    enum err e = emit_start(m, tree);
    if (!e)
        e = emit_usage(m, json_object_get(tree, "usageMetadata"));
    json_array_foreach(candidates, i, one)
    {
        if (!e)
            e = emit_candidate(m, one, i);
    }
    m->choice = 0;
    return e || json_array_size(candidates) ? e : emit_blocked(m, tree);
}

enum err gemini_decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    struct emitting m = {.d = d, .fn = fn, .arg = arg};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    if (!e->has_data)
        return emit(&m, (struct ai_event){.kind = AI_OTHER});
    enum err err = json_read(e->data, &tree, &problem);
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
    ret->usage = usage_of(&d, json_object_get(tree, "usageMetadata"));
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
