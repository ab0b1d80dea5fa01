/*
 * fuzz_ai_request — a chat body that is read is one that can be spliced into another valid body,
 * and translated, or refused with a reason.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/provider/anthropic_request.h"

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

static void translate(struct slice body, struct arena *a)
{
    static const char *const models[] = {"claude-sonnet-4-5", "claude-opus-5-5", "other"};
    JSON_AUTO json_t *chat = NULL;
    struct json_problem problem;
    if (json_read(body, &chat, &problem))
        return;
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        const struct anthropic_order o = {.chat = chat, .model = slice_str(models[i]), .arena = a};
        struct anthropic_result r = {0};
        enum err e = anthropic_translate(&o, &r);
        must(e || json_is_integer(json_object_get(r.body, "max_tokens")), "max_tokens is there");
        must(e != ERR_INVALID || (r.why.len && r.param), "a refusal says why");
        if (!e)
            json_decref(r.body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_of(data, size), detail;
    struct arena *a = arena_new(4096, 1 << 22);
    struct ai_request r = {0};
    const struct ai_incoming in = {.body = body, .arena = a};
    if (!openai_read_chat(&in, &r, &detail)) {
        splice(&r, body, a);
        translate(body, a);
    }
    arena_free(a);
    return 0;
}
