/*
 * sample — a provider that takes the last text of a conversation and responds with one text.
 */
#include "common/base/json.h"
#include "dataplane/ai/provider/provider.h"

static bool speaks(const struct ai_endpoint *e)
{
    (void)e;
    return false;
}

static bool serves(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT;
}

static enum err build(struct ai_outgoing *o)
{
    JSON_AUTO json_t *chat = NULL;
    struct json_problem problem;
    enum err e = json_read(o->body, &chat, &problem);
    const json_t *messages = json_object_get(chat, "messages");
    struct slice text =
        json_text(json_array_get(messages, json_array_size(messages) - 1), "content");
    if (!e && (!text.ptr || o->request->stream)) {
        o->param = "messages";
        o->why = SLICE("a conversation that does not end with a text, or a stream");
        return ERR_INVALID;
    }
    JSON_AUTO json_t *body = json_pack("{s:o}", "prompt", json_from(text));
    buf_clear(o->translated);
    memset(o->pieces, 0, sizeof(o->pieces));
    if (!e)
        e = json_write(body, o->translated);
    o->pieces[0] = buf_slice(o->translated);
    if (!e)
        e = ai_outgoing_path(o, SLICE("/complete"));
    ai_outgoing_add(o, SLICE("content-type"), SLICE("application/json"));
    return e ? e : ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

static void read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    *ret = (struct ai_fault){.verdict = ai_verdict_of_status(status),
                             .text = ai_fault_text(body, a),
                             .usage = AI_USAGE_NONE};
}

static enum err decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    (void)d, (void)e, (void)fn, (void)arg;
    return ERR_PROTOCOL; /* it has no streams */
}

static enum err decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    (void)d;
    if (json_read(body, &tree, &problem) || !json_text(tree, "text").ptr)
        return ERR_PROTOCOL;
    const struct ai_event events[] = {{.kind = AI_START},
                                      {.kind = AI_TEXT, .text = json_text(tree, "text")},
                                      {.kind = AI_FINISH, .finish = AI_FINISH_STOP},
                                      {.kind = AI_END}};
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < ARRAY_LEN(events); i++)
        e = fn(arg, &events[i]);
    return e;
}

const struct ai_provider provider_sample = {.name = {"sample", 6},
                                            .speaks = speaks,
                                            .serves = serves,
                                            .build = build,
                                            .read_error = read_error,
                                            .decode = decode,
                                            .decode_whole = decode_whole};
