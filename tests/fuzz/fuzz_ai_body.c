/*
 * fuzz_ai_body — a body that a dialect of the AI gate accepts is JSON, and so is what goes upstream
 * of it; a refusal says why.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/json_scan.h"
#include "dataplane/ai/dialect/dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static bool is_json(struct slice s)
{
    struct json_scan_problem problem;
    enum json_type root;
    return json_scan(s, NULL, 0, NULL, &root, &problem) == ERR_OK && root == JSON_SCAN_OBJECT;
}

static void splice(const struct ai_dialect *d, const struct ai_request *r, struct slice body,
                   struct arena *a)
{
    const struct ai_changes changes = {
        .model = SLICE("another-model"), .output_limit = 7, .limit_name = "max_tokens"};
    struct slice pieces[AI_REQUEST_PIECES] = {{0}};
    struct buf all;
    buf_init(&all, 1 << 20);
    must(d->splice(r, body, &changes, a, pieces) == ERR_OK, "splice");
    for (size_t i = 0; i < AI_REQUEST_PIECES; i++)
        must(!pieces[i].len || buf_append(&all, pieces[i]) == ERR_OK, "room");
    must(is_json(buf_slice(&all)), "what goes upstream is no JSON");
    buf_fini(&all);
}

/* for the dialects that have the model's name in their path */
static const struct ai_endpoint endpoint = {
    .path = {"/v1beta/models/", 15}, .prefix = true, .suffix = {":generateContent", 16}};

/* What is read can be told in the normal form, or is refused with a reason; it is measured either
 * way the body was spelt. */
static void parse(const struct ai_dialect *d, const struct ai_incoming *in)
{
    struct ai_chat chat = {.arena = in->arena, .choices = 1};
    struct ai_prompt prompt = {0};
    enum err e = d->parse(in, &chat);
    must(e != ERR_INVALID || chat.why.len > 0, "not in the normal form, without a reason");
    if (!e)
        ai_chat_measure(&chat, &prompt);
    must(e || prompt.text >= AI_MEASURE_CHAT, "a prompt is measured");
    ai_chat_fini(&chat);
}

static void try_dialect(const struct ai_dialect *d, struct slice body)
{
    struct arena *a = arena_new(8192, 4u << 20);
    struct ai_request r = {0};
    struct slice detail = SLICE_NONE;
    must(a != NULL, "arena");
    const struct ai_incoming in = {.body = body,
                                   .path = SLICE("/v1beta/models/g:generateContent"),
                                   .endpoint = &endpoint,
                                   .arena = a};
    enum err e = d->read(&in, &r, &detail);
    if (e == ERR_OK) {
        must(is_json(body), "an accepted body is no JSON");
        if (d->splice)
            splice(d, &r, body, a);
        if (d->parse)
            parse(d, &in);
    }
    must(e != ERR_INVALID || detail.len > 0, "a refusal without its reason");
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ai_dialect *const all[] = {&dialect_openai_chat,
                                                   &dialect_openai_embeddings,
                                                   &dialect_anthropic_messages,
                                                   &dialect_anthropic_count,
                                                   &dialect_gemini,
                                                   &dialect_gemini_count,
                                                   &dialect_gemini_embed,
                                                   &dialect_gemini_embed_batch,
                                                   &dialect_bedrock_converse,
                                                   &dialect_cohere_chat,
                                                   &dialect_cohere_embed};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        try_dialect(all[i], slice_of(data, size));
    return 0;
}
