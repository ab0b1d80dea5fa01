/*
 * fuzz_ai_responses — a body of /v1/responses that is read is one that can be spliced into another
 * valid body, parsed, and stripped of its marks twice with the same result; a body of
 * /v1/completions the same but for marks; and an event that is marked is otherwise as it came.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/json.h"
#include "dataplane/ai/dialect/openai_responses_body.h"
#include "dataplane/ai/dialect/openai_stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM (1 << 24)

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static struct ai_marker marker(void)
{
    struct ai_marker m = {.ready = true, .owner = SLICE("owner")};
    digest_hmac_ready(SLICE("0123456789abcdef0123456789abcdef"), &m.key);
    return m;
}

static void try_splice(const struct ai_dialect *d, const struct ai_request *r, struct slice body,
                       struct arena *a)
{
    const struct ai_changes changes = {.model = SLICE("other \"name\""), .output_limit = 7};
    struct slice pieces[AI_REQUEST_PIECES], detail;
    struct ai_request again = {0};
    struct buf out;
    buf_init(&out, ROOM);
    must(!d->splice(r, body, &changes, a, pieces), "spliced");
    for (size_t i = 0; i < AI_REQUEST_PIECES; i++)
        must(!buf_append(&out, pieces[i]), "room");
    const struct ai_incoming in = {.body = buf_slice(&out), .arena = a};
    must(!d->read(&in, &again, &detail), "what was spliced is read again");
    must(slice_eq(again.model, changes.model), "the model is the target's");
    must(again.stream == r->stream, "a stream stays one");
    must(again.output_ceiling == (r->output_ceiling ? r->output_ceiling : 7), "the ceiling stays");
    buf_fini(&out);
}

static void try_body(const struct ai_dialect *d, const struct ai_marker *m, struct slice body,
                     struct arena *a)
{
    const struct ai_incoming in = {.body = body, .arena = a, .marker = m};
    struct ai_request r = {0};
    struct ai_chat chat = {.arena = a, .choices = 1};
    struct ai_prompt prompt;
    struct slice detail = SLICE_NONE;
    enum err e = d->read(&in, &r, &detail);
    must(e != ERR_INVALID || detail.len, "a refusal says why");
    if (e)
        return;
    try_splice(d, &r, body, a);
    e = d->parse(&in, &chat);
    must(e != ERR_INVALID || chat.why.len, "a refusal says why");
    if (!e)
        ai_chat_measure(&chat, &prompt);
    ai_chat_fini(&chat);
}

static void unmark(const struct ai_marker *m, struct slice items, struct arena *a, struct buf *out)
{
    struct ai_account account = {"account1"};
    struct openai_unmarking u = {.marker = m, .account = &account, .arena = a, .out = out};
    enum err e = openai_unmark_items(&u, items);
    must(!e || (e == ERR_NOT_FOUND && u.unknown), "items lose their marks, or one is unknown");
    if (e)
        buf_clear(out);
}

static void try_items(const struct ai_marker *m, struct slice body, struct arena *a)
{
    static const char *const wants[] = {"input"};
    struct json_hit input;
    struct json_scan_problem problem;
    enum json_type root;
    struct buf once, twice;
    if (json_scan(body, wants, 1, &input, &root, &problem) || input.type != JSON_SCAN_ARRAY)
        return;
    buf_init(&once, ROOM);
    buf_init(&twice, ROOM);
    unmark(m, input.raw, a, &once);
    JSON_AUTO json_t *before = NULL, *after = NULL;
    struct json_problem wrong;
    bool strict = !json_read(input.raw, &before, &wrong);
    must(!strict || !once.len || !json_read(buf_slice(&once), &after, &wrong), "it stays JSON");
    if (once.len)
        unmark(m, buf_slice(&once), a, &twice);
    buf_fini(&once);
    buf_fini(&twice);
}

static void try_marks(const struct ai_marker *m, struct slice bytes)
{
    struct ai_context to = {.marker = m, .account = {"account1"}, .stored = true};
    struct buf out;
    buf_init(&out, ROOM);
    must(!openai_stored_mark_event(&to, bytes, &out), "marked");
    must(out.len >= bytes.len && (out.len - bytes.len) % AI_MARK_LEN == 0, "marks alone are new");
    buf_clear(&out);
    must(!openai_stored_mark_body(&to, bytes, &out), "marked");
    must(out.len >= bytes.len && (out.len - bytes.len) % AI_MARK_LEN == 0, "marks alone are new");
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    const struct ai_marker m = marker();
    struct arena *a = arena_new(1 << 16, ROOM);
    try_body(&dialect_openai_responses, &m, bytes, a);
    try_body(&dialect_openai_completions, &m, bytes, a);
    try_items(&m, bytes, a);
    try_marks(&m, bytes);
    arena_free(a);
    return 0;
}
