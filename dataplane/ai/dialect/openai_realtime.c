/*
 * openai_realtime — the upgrade, and what the gateway reads of events.
 */
#include "dataplane/ai/dialect/openai_realtime.h"

#include <stdio.h>

#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/dialect/openai_error.h"

#define KEY_LEN 24 /* 16 bytes in base64 */
#define KIND_MAX 80

/* ---- the upgrade ---- */

/* One of a header's words, whatever the case of its letters. */
static bool lists(const struct http_head *h, struct slice name, struct slice word)
{
    struct slice one, rest = http_head_find(h, name);
    while (slice_split(&rest, ',', &one))
        if (slice_ieq(slice_trim(one), word))
            return true;
    return false;
}

bool realtime_is_asked(const struct http_head *h)
{
    const struct slice key = SLICE("sec-websocket-key"), version = SLICE("sec-websocket-version");
    return slice_eq(h->method, SLICE("GET")) && h->version == HTTP_11 &&
           lists(h, SLICE("upgrade"), SLICE("websocket")) &&
           lists(h, SLICE("connection"), SLICE("upgrade")) && http_head_count(h, key) == 1 &&
           http_head_find(h, key).len == KEY_LEN && http_head_count(h, version) == 1 &&
           slice_eq(http_head_find(h, version), SLICE("13")) && !h->chunked && !h->length;
}

static struct slice protocol_with(const struct http_head *h, struct slice prefix)
{
    struct slice one, rest = http_head_find(h, SLICE("sec-websocket-protocol"));
    while (slice_split(&rest, ',', &one)) {
        one = slice_trim(one);
        if (one.len > prefix.len && slice_starts(one, prefix))
            return slice_from(one, prefix.len);
    }
    return SLICE_NONE;
}

struct slice realtime_credential(const struct http_head *h)
{
    return protocol_with(h, SLICE("openai-insecure-api-key."));
}

bool realtime_wants_beta(const struct http_head *h)
{
    return protocol_with(h, SLICE("openai-beta.realtime-v")).len > 0;
}

/* The model is named by the query, or by the client secret. */
static enum err read_query(const struct ai_incoming *in, struct ai_request *ret,
                           struct slice *detail)
{
    const struct slice name = SLICE("model=");
    struct slice one, rest = in->query;
    while (slice_split(&rest, '&', &one)) {
        if (!slice_starts(one, name))
            continue;
        if (ret->model.ptr) {
            *detail = SLICE("the query names model twice");
            return ERR_INVALID;
        }
        ret->model = ai_unescape(in->arena, slice_from(one, name.len));
        if (!ret->model.ptr)
            return ERR_NOMEM;
    }
    ret->choices = 1;
    return ERR_OK;
}

/* ---- what a client says ---- */

enum {
    SAID_TYPE,
    SAID_MODEL,
    SAID_TRANSCRIBER,
    SAID_TRANSCRIBER_BEFORE,
    SAID_TOOLS,
    SAID_PROMPT,
    SAID_RESPONSE_TOOLS,
    SAID_RESPONSE_PROMPT,
    SAID_RESPONSE_INSTRUCTIONS,
    SAID_INPUT,
    SAID_CONVERSATION,
    SAID_ITEM,
    SAID_COUNT
};

static const char *const said_wants[SAID_COUNT] = {
    [SAID_TYPE] = "type",
    [SAID_MODEL] = "session.model",
    [SAID_TRANSCRIBER] = "session.audio.input.transcription.model",
    [SAID_TRANSCRIBER_BEFORE] = "session.input_audio_transcription.model",
    [SAID_TOOLS] = "session.tools",
    [SAID_PROMPT] = "session.prompt",
    [SAID_RESPONSE_TOOLS] = "response.tools",
    [SAID_RESPONSE_PROMPT] = "response.prompt",
    [SAID_RESPONSE_INSTRUCTIONS] = "response.instructions",
    [SAID_INPUT] = "response.input",
    [SAID_CONVERSATION] = "response.conversation",
    [SAID_ITEM] = "item",
};

static bool is_absent(const struct json_hit *h)
{
    return h->type == JSON_SCAN_ABSENT || h->type == JSON_SCAN_NULL;
}

static enum err read_name(const struct json_hit *h, char out[static REALTIME_NAME_MAX], size_t *len)
{
    struct slice text;
    *len = 0;
    if (is_absent(h))
        return ERR_OK;
    if (h->raw.len > REALTIME_NAME_MAX || json_scan_text(h, out, REALTIME_NAME_MAX, &text))
        return ERR_INVALID;
    *len = text.len;
    return text.len ? ERR_OK : ERR_INVALID;
}

static struct slice read_kind(const struct json_hit *h, char out[static KIND_MAX])
{
    struct slice text;
    if (h->type != JSON_SCAN_STRING || h->raw.len > KIND_MAX ||
        json_scan_text(h, out, KIND_MAX, &text))
        return SLICE_NONE;
    return text;
}

static bool calls_by_itself(const struct json_hit *tools)
{
    struct slice rest = tools->raw;
    struct json_hit one;
    while (tools->type == JSON_SCAN_ARRAY && json_scan_item(&rest, &one)) {
        static const char *const wants[] = {"type"};
        struct json_hit type;
        struct json_scan_problem problem;
        enum json_type root;
        char kind[KIND_MAX];
        if (json_scan(one.raw, wants, 1, &type, &root, &problem) ||
            !slice_eq(read_kind(&type, kind), SLICE("function")))
            return true;
    }
    return false;
}

static bool is_one_of(struct slice word, const struct slice *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(word, words[i]))
            return true;
    return false;
}

/* A piece of text or of sound has no more tokens than bytes. */
static bool shows_its_size(struct slice piece)
{
    static const struct slice kinds[] = {{"input_text", 10},  {"output_text", 11},  {"text", 4},
                                         {"input_audio", 11}, {"output_audio", 12}, {"audio", 5}};
    static const char *const wants[] = {"type"};
    struct json_hit type;
    struct json_scan_problem problem;
    enum json_type root;
    char kind[KIND_MAX];
    return !json_scan(piece, wants, 1, &type, &root, &problem) &&
           is_one_of(read_kind(&type, kind), kinds, ARRAY_LEN(kinds));
}

/* An item of a conversation, as it stands in the event or as a reference to one. */
static void read_item(const struct json_hit *item, struct realtime_said *ret)
{
    static const struct slice kinds[] = {
        {"message", 7}, {"function_call", 13}, {"function_call_output", 20}};
    static const char *const wants[] = {"type", "content"};
    struct json_hit hits[ARRAY_LEN(wants)], piece;
    struct json_scan_problem problem;
    enum json_type root;
    char kind[KIND_MAX];
    if (json_scan(item->raw, wants, ARRAY_LEN(wants), hits, &root, &problem) ||
        !is_one_of(read_kind(&hits[0], kind), kinds, ARRAY_LEN(kinds))) {
        ret->reads_more = true;
        return;
    }
    struct slice rest = hits[1].raw;
    while (hits[1].type == JSON_SCAN_ARRAY && json_scan_item(&rest, &piece))
        ret->images += !shows_its_size(piece.raw);
}

static void read_items(const struct json_hit hits[static SAID_COUNT], struct realtime_said *ret)
{
    struct slice rest = hits[SAID_INPUT].raw;
    struct json_hit item;
    if (!is_absent(&hits[SAID_ITEM]))
        read_item(&hits[SAID_ITEM], ret);
    while (hits[SAID_INPUT].type == JSON_SCAN_ARRAY && json_scan_item(&rest, &item))
        read_item(&item, ret);
}

static void read_create(const struct json_hit hits[static SAID_COUNT], struct realtime_said *ret)
{
    char text[KIND_MAX];
    ret->aside = !is_absent(&hits[SAID_CONVERSATION]) &&
                 !slice_eq(read_kind(&hits[SAID_CONVERSATION], text), SLICE("auto"));
    ret->own_prompt =
        !is_absent(&hits[SAID_INPUT]) || !is_absent(&hits[SAID_RESPONSE_INSTRUCTIONS]) ||
        !is_absent(&hits[SAID_RESPONSE_TOOLS]) || !is_absent(&hits[SAID_RESPONSE_PROMPT]);
}

static enum realtime_client_kind kind_of_said(struct slice type)
{
    if (slice_eq(type, SLICE("input_audio_buffer.append")))
        return REALTIME_SAYS_AUDIO;
    if (slice_eq(type, SLICE("input_audio_buffer.commit")))
        return REALTIME_SAYS_COMMIT;
    if (slice_eq(type, SLICE("response.create")))
        return REALTIME_SAYS_CREATE;
    return slice_ends(type, SLICE("session.update")) ? REALTIME_SAYS_SESSION : REALTIME_SAYS_OTHER;
}

enum err realtime_read_said(struct slice text, struct realtime_said *ret, struct slice *why)
{
    static _Thread_local struct json_scan_problem problem;
    struct json_hit hits[SAID_COUNT];
    enum json_type root;
    char kind[KIND_MAX];
    *ret = (struct realtime_said){0};
    if (json_scan(text, said_wants, SAID_COUNT, hits, &root, &problem)) {
        *why = slice_str(problem.text);
        return ERR_INVALID;
    }
    struct slice type = read_kind(&hits[SAID_TYPE], kind);
    *why = SLICE("type must say what the event is");
    if (root != JSON_SCAN_OBJECT || !type.len)
        return ERR_INVALID;
    ret->kind = kind_of_said(type);
    ret->model = hits[SAID_MODEL];
    *why = SLICE("session.model must be the name of a model");
    if (read_name(&hits[SAID_MODEL], ret->model_name, &ret->model_len))
        return ERR_INVALID;
    const struct json_hit *transcriber = &hits[SAID_TRANSCRIBER];
    *why = SLICE("the model of a transcription is named in two places");
    if (!is_absent(transcriber) && !is_absent(&hits[SAID_TRANSCRIBER_BEFORE]))
        return ERR_INVALID;
    if (is_absent(transcriber))
        transcriber = &hits[SAID_TRANSCRIBER_BEFORE];
    *why = SLICE("the model of a transcription must be the name of one");
    if (read_name(transcriber, ret->transcriber, &ret->transcriber_len))
        return ERR_INVALID;
    ret->reads_more = !is_absent(&hits[SAID_PROMPT]) || !is_absent(&hits[SAID_RESPONSE_PROMPT]) ||
                      calls_by_itself(&hits[SAID_TOOLS]) ||
                      calls_by_itself(&hits[SAID_RESPONSE_TOOLS]);
    read_items(hits, ret);
    if (ret->kind == REALTIME_SAYS_CREATE)
        read_create(hits, ret);
    return ERR_OK;
}

/* ---- a client secret ---- */

enum { SECRET_MODEL, SECRET_TRANSCRIBER, SECRET_WANTS };

static const char *const secret_wants[SECRET_WANTS] = {"session.model",
                                                       "session.audio.input.transcription.model"};
static const char *const secret_wants_before[SECRET_WANTS] = {"model",
                                                              "input_audio_transcription.model"};

static enum err read_secret(const struct ai_incoming *in, struct ai_request *ret,
                            struct slice *detail)
{
    bool before = slice_ends(in->endpoint->path, SLICE("/sessions"));
    struct body_reading d = {
        .r = ret, .names = before ? secret_wants_before : secret_wants, .arena = in->arena};
    ret->choices = 1;
    enum err e = body_scan(&d, in->body, SECRET_WANTS);
    if (!e)
        e = body_read_model(&d, SECRET_MODEL);
    if (!e)
        e = body_read_text(&d, SECRET_TRANSCRIBER, &ret->transcriber);
    if (ret->transcriber.len)
        ret->prompt.unbounded = "what a transcription costs is not known before it was made";
    *detail = d.detail;
    return e;
}

static enum err splice_secret(const struct ai_request *r, struct slice body,
                              const struct ai_changes *c, struct arena *a,
                              struct slice ret[static AI_REQUEST_PIECES])
{
    const struct json_hit *model = &r->hits[SECRET_MODEL];
    struct body_edit edit = {model->raw.ptr, model->raw.len, body_quoted(a, c->model)};
    if (!edit.text.ptr)
        return ERR_NOMEM;
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    body_apply(&edit, 1, body, ret);
    return ERR_OK;
}

const struct ai_dialect dialect_openai_realtime_secret = {
    .name = "openai_realtime_secret",
    .read = read_secret,
    .splice = splice_secret,
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .is_error = openai_is_error,
};

/* ---- what an upstream says ---- */

enum {
    HEARD_TYPE,
    HEARD_DELTA,
    HEARD_DETECTION,
    HEARD_DETECTION_BEFORE,
    HEARD_CREATES,
    HEARD_CREATES_BEFORE,
    HEARD_USAGE,
    HEARD_INPUT,
    HEARD_OUTPUT,
    HEARD_CACHED,
    HEARD_AUDIO_INPUT,
    HEARD_AUDIO_CACHED,
    HEARD_AUDIO_OUTPUT,
    HEARD_TRANSCRIPTION,
    HEARD_ERROR_CODE,
    HEARD_ERROR_PARAM,
    HEARD_CONVERSATION,
    HEARD_TRANSCRIBER,
    HEARD_TRANSCRIBER_BEFORE,
    HEARD_TOOLS,
    HEARD_PROMPT,
    HEARD_COUNT
};

static const char *const heard_wants[HEARD_COUNT] = {
    [HEARD_TYPE] = "type",
    [HEARD_DELTA] = "delta",
    [HEARD_DETECTION] = "session.audio.input.turn_detection",
    [HEARD_DETECTION_BEFORE] = "session.turn_detection",
    [HEARD_CREATES] = "session.audio.input.turn_detection.create_response",
    [HEARD_CREATES_BEFORE] = "session.turn_detection.create_response",
    [HEARD_USAGE] = "response.usage",
    [HEARD_INPUT] = "response.usage.input_tokens",
    [HEARD_OUTPUT] = "response.usage.output_tokens",
    [HEARD_CACHED] = "response.usage.input_token_details.cached_tokens",
    [HEARD_AUDIO_INPUT] = "response.usage.input_token_details.audio_tokens",
    [HEARD_AUDIO_CACHED] = "response.usage.input_token_details.cached_tokens_details.audio_tokens",
    [HEARD_AUDIO_OUTPUT] = "response.usage.output_token_details.audio_tokens",
    [HEARD_TRANSCRIPTION] = "usage",
    [HEARD_ERROR_CODE] = "error.code",
    [HEARD_ERROR_PARAM] = "error.param",
    [HEARD_CONVERSATION] = "response.conversation_id",
    [HEARD_TRANSCRIBER] = "session.audio.input.transcription.model",
    [HEARD_TRANSCRIBER_BEFORE] = "session.input_audio_transcription.model",
    [HEARD_TOOLS] = "session.tools",
    [HEARD_PROMPT] = "session.prompt",
};

static uint64_t count_of(const struct json_hit *h)
{
    uint64_t n;
    return json_scan_u64(h, &n) || n > LIMIT_AI_TOKENS ? AI_UNSAID : n;
}

/* Cached sound is priced as what is cached. */
static struct ai_usage usage_of(const struct json_hit hits[static HEARD_COUNT])
{
    struct ai_usage u = AI_USAGE_NONE;
    if (hits[HEARD_USAGE].type != JSON_SCAN_OBJECT)
        return u;
    uint64_t cached = count_of(&hits[HEARD_AUDIO_CACHED]);
    u.prompt = count_of(&hits[HEARD_INPUT]);
    u.output = count_of(&hits[HEARD_OUTPUT]);
    u.cache_read = count_of(&hits[HEARD_CACHED]);
    u.audio_input = count_of(&hits[HEARD_AUDIO_INPUT]);
    u.audio_output = count_of(&hits[HEARD_AUDIO_OUTPUT]);
    if (u.audio_input != AI_UNSAID && cached != AI_UNSAID)
        u.audio_input -= cached < u.audio_input ? cached : u.audio_input;
    return u;
}

static void read_transcription(const struct json_hit *usage, struct realtime_heard *ret)
{
    static const char *const wants[] = {"input_tokens", "output_tokens",
                                        "input_token_details.audio_tokens"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    ret->usage = AI_USAGE_NONE;
    ret->by_duration = true;
    if (usage->type != JSON_SCAN_OBJECT ||
        json_scan(usage->raw, wants, ARRAY_LEN(wants), hits, &root, &problem))
        return;
    ret->usage.prompt = count_of(&hits[0]);
    ret->usage.output = count_of(&hits[1]);
    ret->usage.audio_input = count_of(&hits[2]);
    ret->by_duration = ret->usage.prompt == AI_UNSAID;
}

/* Where it is said that turns are not detected, or only listened to, nothing begins by itself. */
static bool begins_by_itself(const struct json_hit hits[static HEARD_COUNT])
{
    const struct json_hit *d = &hits[HEARD_DETECTION], *creates = &hits[HEARD_CREATES];
    if (d->type == JSON_SCAN_ABSENT) {
        d = &hits[HEARD_DETECTION_BEFORE];
        creates = &hits[HEARD_CREATES_BEFORE];
    }
    return d->type != JSON_SCAN_NULL && creates->type != JSON_SCAN_FALSE;
}

static void read_session(const struct json_hit hits[static HEARD_COUNT], struct realtime_heard *ret)
{
    const struct json_hit *transcriber = &hits[HEARD_TRANSCRIBER];
    if (is_absent(transcriber))
        transcriber = &hits[HEARD_TRANSCRIBER_BEFORE];
    ret->automatic = begins_by_itself(hits);
    ret->reads_more = !is_absent(&hits[HEARD_PROMPT]) || calls_by_itself(&hits[HEARD_TOOLS]);
    ret->transcribes = !is_absent(transcriber);
    if (read_name(transcriber, ret->transcriber, &ret->transcriber_len))
        ret->transcriber_len = 0;
}

/* One is being written already, or something in the event is not taken. */
static bool refuses_create(struct slice type, const struct json_hit hits[static HEARD_COUNT])
{
    char code[KIND_MAX], text[KIND_MAX];
    struct slice param = read_kind(&hits[HEARD_ERROR_PARAM], text);
    return slice_eq(type, SLICE("error")) &&
           (slice_eq(read_kind(&hits[HEARD_ERROR_CODE], code),
                     SLICE("conversation_already_has_active_response")) ||
            slice_eq(param, SLICE("response")) || slice_starts(param, SLICE("response.")));
}

static bool is_empty_commit(struct slice type, const struct json_hit *code)
{
    char text[KIND_MAX];
    return slice_eq(type, SLICE("error")) &&
           slice_eq(read_kind(code, text), SLICE("input_audio_buffer_commit_empty"));
}

static bool is_sound(struct slice type)
{
    return slice_eq(type, SLICE("response.output_audio.delta")) ||
           slice_eq(type, SLICE("response.audio.delta"));
}

void realtime_read_heard(struct slice text, struct realtime_heard *ret)
{
    struct json_hit hits[HEARD_COUNT];
    struct json_scan_problem problem;
    enum json_type root;
    char kind[KIND_MAX];
    *ret = (struct realtime_heard){.usage = AI_USAGE_NONE};
    if (json_scan_response(text, heard_wants, HEARD_COUNT, hits, &root, &problem))
        return;
    struct slice type = read_kind(&hits[HEARD_TYPE], kind);
    ret->bytes = hits[HEARD_DELTA].raw.len;
    ret->aside = hits[HEARD_CONVERSATION].type == JSON_SCAN_NULL;
    ret->unsaid_of_aside = hits[HEARD_CONVERSATION].type == JSON_SCAN_ABSENT;
    if (slice_eq(type, SLICE("response.done"))) {
        ret->kind = REALTIME_HEARD_DONE;
        ret->usage = usage_of(hits);
    } else if (slice_eq(type, SLICE("response.created"))) {
        ret->kind = REALTIME_HEARD_CREATED;
    } else if (slice_eq(type, SLICE("session.created")) ||
               slice_eq(type, SLICE("session.updated"))) {
        ret->kind = REALTIME_HEARD_SESSION;
        read_session(hits, ret);
    } else if (slice_eq(type, SLICE("conversation.item.input_audio_transcription.completed"))) {
        ret->kind = REALTIME_HEARD_TRANSCRIBED;
        read_transcription(&hits[HEARD_TRANSCRIPTION], ret);
    } else if (refuses_create(type, hits)) {
        ret->kind = REALTIME_HEARD_REFUSED;
    } else if (slice_eq(type, SLICE("input_audio_buffer.committed"))) {
        ret->kind = REALTIME_HEARD_COMMITTED;
    } else if (is_empty_commit(type, &hits[HEARD_ERROR_CODE])) {
        ret->kind = REALTIME_HEARD_EMPTY;
    } else if (is_sound(type)) {
        ret->kind = REALTIME_HEARD_SOUND;
    } else if (slice_starts(type, SLICE("response.")) && slice_ends(type, SLICE(".delta"))) {
        ret->kind = REALTIME_HEARD_TEXT;
    }
}

/* ---- errors ---- */

enum err realtime_write_error(struct buf *out, const struct ai_error *e)
{
    enum err err = buf_append(out, SLICE("{\"type\":\"error\",\"event_id\":"));
    if (!err)
        err = buf_json_string(out, e->request_id);
    if (!err)
        err = buf_append(out, SLICE(",\"error\":"));
    if (!err)
        err = openai_write_error_object(out, e);
    return err ? err : buf_append(out, SLICE("}"));
}

const struct ai_dialect dialect_openai_realtime = {
    .name = "openai_realtime",
    .read = read_query,
    .write_error = openai_write_error,
    .write_stream_error = realtime_write_error,
    .is_error = openai_is_error,
};
