/*
 * fuzz_ai_events — what providers stream is decoded, or refused as broken; what was decoded is
 * written as chunks that are JSON; a glance sees an end where the decoder does, and in events that
 * are alike but for their words the same; and what was gathered is written as one JSON body.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/json.h"
#include "common/net/aws_event.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/ai_likeness.h"
#include "dataplane/ai/provider/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct hearing {
    const struct ai_provider *provider;
    const struct ai_dialect *dialect;
    struct ai_decoder decoder;
    struct ai_writer writer;
    struct ai_assembly *assembly;
    struct ai_likeness likeness;
    struct buf chunks;
    bool ended;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static enum err hear(void *arg, const struct ai_event *e)
{
    struct hearing *h = arg;
    h->ended = h->ended || e->kind == AI_END;
    enum err err = e->kind == AI_ERROR ? ERR_OK : ai_assembly_add(h->assembly, e);
    if (!err)
        err = h->dialect->write_event(&h->writer, e, &h->chunks);
    if (!err && e->kind == AI_ERROR)
        err = ai_assembly_add(h->assembly, e);
    return err == ERR_PROTOCOL ? ERR_CANCELLED : err;
}

static bool is_object(struct slice data)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    return !json_read(data, &tree, &problem) && json_is_object(tree);
}

/* An event that is like one before it says what the provider would see in it. */
static void compare_alike(struct hearing *h, const struct sse_event *e, const struct ai_glance *g)
{
    struct ai_alike a = ai_likeness_match(&h->likeness, e->raw);
    must(!a.len || a.len == e->raw.len, "an event ends where it ends");
    if (a.len && is_object(e->data)) {
        must(a.words == g->words, "as many words");
        must(slice_eq(a.unasked, g->unasked) && a.unasked.ptr == g->unasked.ptr, "nothing unasked");
        must(!g->ends && !g->fails && !g->finishes && !g->opens && !g->has_usage && !g->usage_alone,
             "words and nothing else");
    }
    ai_likeness_remember(&h->likeness, e, g);
}

static bool decode(void *arg, const struct sse_event *e)
{
    struct hearing *h = arg;
    struct ai_glance g;
    h->ended = false;
    enum err err = h->provider->decode(&h->decoder, e, hear, h);
    if (h->provider->glance && e->has_data) {
        h->provider->glance(e->data, true, &g);
        must(err || g.ends == h->ended, "both see the end");
        h->provider->glance(e->data, false, &g);
        compare_alike(h, e, &g);
    }
    return !err;
}

static bool is_json(void *arg, const struct sse_event *e)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    (void)arg;
    if (e->has_data && !slice_eq(e->data, SLICE("[DONE]")))
        must(!json_read(e->data, &tree, &problem), "a chunk is JSON");
    return true;
}

static void feed(struct slice bytes, bool (*fn)(void *, const struct sse_event *), void *arg)
{
    struct sse_reader r;
    sse_reader_init(&r);
    sse_reader_limit(&r, 1 << 24);
    enum err e = sse_reader_feed(&r, bytes, fn, arg);
    (void)e;
    sse_reader_fini(&r);
}

/* What is written in binary messages is not cut by lines. */
static void feed_written(const struct ai_dialect *d, struct slice bytes)
{
    struct buf rest;
    struct sse_event e;
    if (d != &dialect_bedrock_converse) {
        feed(bytes, is_json, NULL);
        return;
    }
    buf_init(&rest, 1 << 24);
    while (bytes.len) {
        must(!aws_event_next(&rest, 1 << 24, &bytes, &e), "a message is whole");
        is_json(NULL, &e);
    }
    buf_fini(&rest);
}

static void try_both(const struct ai_provider *p, const struct ai_dialect *d, struct slice bytes)
{
    struct arena *a = arena_new(4096, 1 << 22);
    struct hearing h = {
        .provider = p, .dialect = d, .decoder = {.arena = a}, .writer = {.choices = 2, .arena = a}};
    struct ai_fault fault;
    struct buf whole;
    h.assembly = ai_assembly_new();
    must(h.assembly, "memory");
    h.writer.whole = h.assembly;
    buf_init(&h.chunks, 1 << 24);
    buf_init(&whole, 1 << 24);
    feed(bytes, decode, &h);
    feed_written(d, buf_slice(&h.chunks));
    if (ai_assembly_is_whole(h.assembly) && !d->write_whole(h.assembly, &whole)) {
        JSON_AUTO json_t *tree = NULL;
        struct json_problem problem;
        must(!json_read(buf_slice(&whole), &tree, &problem), "what was gathered is JSON");
    }
    h.decoder = (struct ai_decoder){.arena = a};
    enum err e = p->decode_whole(&h.decoder, bytes, ai_assembly_add, h.assembly);
    (void)e;
    p->read_error(500, bytes, a, &fault);
    must(fault.text.len <= 512, "an error's text is bounded");
    ai_assembly_free(h.assembly);
    buf_fini(&h.chunks);
    buf_fini(&whole);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ai_provider *const providers[] = {&provider_openai,
                                                          &provider_anthropic,
                                                          &provider_gemini,
                                                          &provider_openai_responses,
                                                          &provider_openai_completions,
                                                          &provider_bedrock,
                                                          &provider_cohere,
                                                          &provider_ollama};
    static const struct ai_dialect *const dialects[] = {
        &dialect_openai_chat, &dialect_anthropic_messages, &dialect_gemini,
        &dialect_bedrock_converse, &dialect_cohere_chat};
    for (size_t i = 0; i < ARRAY_LEN(providers); i++)
        for (size_t j = 0; j < ARRAY_LEN(dialects); j++)
            try_both(providers[i], dialects[j], slice_of(data, size));
    return 0;
}
