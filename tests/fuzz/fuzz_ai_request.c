/*
 * fuzz_ai_request — a chat body that is read is one that can be spliced into another valid body,
 * and translated, or refused with a reason; and the scan of its bytes measures what the parse does.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/dialect/openai_parse.h"
#include "dataplane/ai/provider/anthropic_request.h"
#include "dataplane/ai/provider/openai_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void splice(const struct ai_request *r, struct slice body, struct arena *a)
{
    const struct ai_changes changes = {.model = SLICE("other \"name\"")};
    struct slice pieces[AI_REQUEST_PIECES];
    struct ai_request again = {0};
    struct slice detail;
    struct buf out;
    buf_init(&out, 1 << 20);
    must(!openai_splice(r, body, &changes, a, pieces), "spliced");
    for (size_t i = 0; i < AI_REQUEST_PIECES; i++)
        must(!buf_append(&out, pieces[i]), "room");
    const struct ai_incoming in = {.body = buf_slice(&out), .arena = a};
    must(!openai_read_chat(&in, &again, &detail), "what was spliced is read again");
    must(slice_eq(again.model, changes.model), "the model is the target's");
    must(!again.stream || again.wants_usage, "a stream is asked for its usage");
    must(again.output_ceiling == r->output_ceiling, "the ceiling stays");
    buf_fini(&out);
}

static const struct ai_endpoint endpoint = {.kind = AI_CHAT, .dialect = &dialect_openai_chat};

static void translate_for(const char *model, const struct ai_chat *chat, struct arena *a)
{
    struct buf out;
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    buf_init(&out, 1 << 24);
    struct ai_outgoing o = {.endpoint = &endpoint,
                            .chat = chat,
                            .changes = {.model = slice_str(model)},
                            .arena = a,
                            .translated = &out};
    enum err e = anthropic_write_body(&o, &(struct anthropic_wrapping){0});
    must(e != ERR_INVALID || (o.why.len && o.param), "a refusal says why");
    if (!e) {
        must(!json_read(buf_slice(&out), &tree, &problem), "what goes upstream is JSON");
        must(json_is_integer(json_object_get(tree, "max_tokens")), "max_tokens is there");
    }
    buf_fini(&out);
}

static void tell_service(const char *quirks, const struct ai_chat *chat, struct arena *a)
{
    const struct policy_provider p = {.quirks = slice_str(quirks)};
    struct buf out;
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    buf_init(&out, 1 << 24);
    struct ai_outgoing o = {.endpoint = &endpoint,
                            .chat = chat,
                            .changes = {.model = SLICE("gpt-5")},
                            .arena = a,
                            .translated = &out};
    enum err e = openai_write_body(&o, quirks[0] ? openai_service_of(&p) : &openai_service_mistral);
    must(e != ERR_INVALID || (o.why.len && o.param), "a refusal says why");
    must(e || !json_read(buf_slice(&out), &tree, &problem), "what goes upstream is JSON");
    buf_fini(&out);
}

static void measure(const struct ai_chat *chat, struct slice body)
{
    struct ai_prompt parsed, scanned;
    ai_chat_measure(chat, &parsed);
    openai_measure(body, &scanned);
    must(parsed.text == scanned.text && parsed.files == scanned.files &&
             parsed.images == scanned.images && parsed.images_low == scanned.images_low &&
             parsed.audio_bytes == scanned.audio_bytes,
         "the scan measures what the parse does");
}

static void translate(const struct ai_incoming *in)
{
    static const char *const models[] = {"claude-sonnet-4-5", "claude-opus-5-5", "other"};
    static const char *const services[] = {"", "litellm", "openrouter", "deepseek"};
    struct ai_chat chat = {.arena = in->arena};
    enum err e = openai_parse_chat(in, &chat);
    must(e != ERR_INVALID || chat.why.len, "a refusal says why");
    for (size_t i = 0; !e && i < ARRAY_LEN(models); i++)
        translate_for(models[i], &chat, in->arena);
    for (size_t i = 0; !e && i < ARRAY_LEN(services); i++)
        tell_service(services[i], &chat, in->arena);
    if (!e)
        measure(&chat, in->body);
    ai_chat_fini(&chat);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_of(data, size), detail;
    struct arena *a = arena_new(4096, 1 << 22);
    struct ai_request r = {0};
    const struct ai_incoming in = {.body = body, .arena = a};
    if (!openai_read_chat(&in, &r, &detail)) {
        splice(&r, body, a);
        translate(&in);
    }
    arena_free(a);
    return 0;
}
