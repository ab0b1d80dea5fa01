/*
 * fuzz_ai_chat — a conversation in the normal form, written in a protocol and read back by the
 * dialect that speaks it, is the same and as large.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/ai/dialect/anthropic_body.h"
#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/dialect/openai_parse.h"
#include "dataplane/ai/provider/anthropic_request.h"
#include "dataplane/ai/provider/openai_request.h"
#include "tests/kit/chat_maker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct trial {
    struct arena *arena;
    struct ai_chat made, read;
    struct chat_maker maker;
    struct buf body, wanted, got;
};

static void must(bool holds, const struct trial *t, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n%.*s\nwritten%.*s\nread%.*s\n", what, SLICE_ARG(buf_slice(&t->body)),
            SLICE_ARG(buf_slice(&t->wanted)), SLICE_ARG(buf_slice(&t->got)));
    abort();
}

static void begin(struct trial *t, const uint8_t *data, size_t size, unsigned says)
{
    *t = (struct trial){.arena = arena_new(65536, 1 << 24)};
    t->made.arena = t->arena;
    t->maker = (struct chat_maker){.at = data, .end = data + size, .says = says, .chat = &t->made};
    maker_make(&t->maker);
    buf_init(&t->body, 1 << 24);
    buf_init(&t->wanted, 1 << 24);
    buf_init(&t->got, 1 << 24);
}

static void end(struct trial *t)
{
    ai_chat_fini(&t->read);
    json_decref(t->maker.trees);
    buf_fini(&t->body);
    buf_fini(&t->wanted);
    buf_fini(&t->got);
    arena_free(t->arena);
}

static enum err write_body(struct trial *t, const struct ai_dialect *d)
{
    static const struct policy_provider litellm = {.quirks = {"litellm", 7}};
    const struct ai_endpoint endpoint = {.kind = AI_CHAT, .dialect = d};
    bool openai = d == &dialect_openai_chat;
    struct ai_outgoing o = {.endpoint = &endpoint,
                            .chat = &t->made,
                            .changes = {.model = SLICE("claude-opus-4-6")},
                            .arena = t->arena,
                            .translated = &t->body};
    return openai ? openai_write_body(&o, openai_service_of(&litellm))
                  : anthropic_write_body(&o, &(struct anthropic_wrapping){0});
}

static void try_dialect(const struct ai_dialect *d, const uint8_t *data, size_t size, unsigned says)
{
    struct trial t;
    struct ai_prompt made, read;
    begin(&t, data, size, says);
    must(!write_body(&t, d), &t, "it is written");
    const struct ai_incoming in = {.body = buf_slice(&t.body), .arena = t.arena};
    t.read = (struct ai_chat){.arena = t.arena, .choices = 1};
    must(!d->parse(&in, &t.read), &t, "it is read");
    show_chat(&t.wanted, &t.made);
    show_chat(&t.got, &t.read);
    must(slice_eq(buf_slice(&t.wanted), buf_slice(&t.got)), &t, "it is the same");
    ai_chat_measure(&t.made, &made);
    ai_chat_measure(&t.read, &read);
    must(made.text == read.text && made.images == read.images, &t, "it is as large");
    end(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_dialect(&dialect_openai_chat, data, size,
                SAYS_NUMBERS | SAYS_TOP_K | SAYS_DETAIL | SAYS_CACHE);
    try_dialect(&dialect_anthropic_messages, data, size, SAYS_REASONING | SAYS_TOP_K | SAYS_ERRORS);
    return 0;
}
