/*
 * mistral — Mistral's API: nearly OpenAI's, and strict about what it does not know
 * (dialects.md 1.7).
 *
 * A client's body in OpenAI's dialect is written anew, since members that Mistral has other names
 * for are refused there, and ids of tool calls have a form of their own. So are requests for
 * embeddings, whose responses are alike.
 */
#include "common/base/json_out.h"
#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/provider/openai.h"
#include "dataplane/ai/provider/openai_send.h"

static bool speaks(const struct ai_endpoint *e)
{
    return e->dialect == &dialect_openai_embeddings;
}

/* Dimensions have another name, and vectors come as numbers: the dialect encodes them. */
static enum err write_inputs(struct ai_outgoing *o)
{
    const struct json_hit *hits = o->request->hits;
    const struct json_hit *dimensions = &hits[OPENAI_DIMENSIONS];
    struct json_out j = {.to = o->translated};
    buf_clear(o->translated);
    memset(o->pieces, 0, sizeof(o->pieces));
    json_out_begin(&j, NULL, '{');
    json_out_text(&j, "model", o->changes.model);
    json_out_raw(&j, "input", hits[OPENAI_INPUT].raw);
    if (dimensions->type == JSON_SCAN_NUMBER)
        json_out_raw(&j, "output_dimension", dimensions->raw);
    json_out_end(&j, '}');
    if (hits[OPENAI_USER].type == JSON_SCAN_STRING)
        ai_outgoing_leave_out(o, "user");
    o->pieces[0] = buf_slice(o->translated);
    return j.e;
}

static enum err build(struct ai_outgoing *o)
{
    enum err e = openai_path(o, o->endpoint->kind == AI_CHAT ? SLICE("/chat/completions")
                                                             : SLICE("/embeddings"));
    if (!e)
        e = o->chat ? openai_build_body(o, &openai_service_mistral) : write_inputs(o);
    return e ? e : openai_sign(o);
}

/* What it says of a body that it cannot read: {"message":{"detail":[{"loc":[…],"msg":"…"}]}}. */
static struct slice validation_text(struct slice body, struct arena *a)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    if (json_read(body, &tree, &problem))
        return SLICE_NONE;
    const json_t *message = json_object_get(tree, "message");
    const json_t *list = json_object_get(json_is_object(message) ? message : tree, "detail");
    const json_t *first = json_array_get(list, 0), *loc = json_object_get(first, "loc");
    struct slice said = json_text(first, "msg");
    const char *where = json_string_value(json_array_get(loc, json_array_size(loc) - 1));
    if (!said.len)
        return SLICE_NONE;
    return ai_fault_clean(where ? arena_printf(a, "%s: %.*s", where, SLICE_ARG(said)) : said, a);
}

static void read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    openai_read_error(status, body, a, ret);
    if (!ret->text.len)
        ret->text = validation_text(body, a);
    if (slice_search(ret->text, SLICE("too large for model")) >= 0)
        ret->verdict = AI_TOO_LONG;
}

const struct ai_provider provider_mistral = {
    .name = {"mistral", 7},
    .bills_cancelled = true,
    .speaks = speaks,
    .serves = openai_serves,
    .build = build,
    .read_error = read_error,
    .read_whole = openai_read_whole,
    .words = openai_words_in_response,
    .decode = openai_decode,
    .decode_whole = openai_decode_whole,
};
