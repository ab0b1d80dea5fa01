/*
 * fuzz_ai_events — what providers stream is decoded, or refused as broken; what was decoded is
 * written as chunks that are JSON; a glance sees an end where the decoder does, and in events that
 * are alike but for their words the same, as the decoder does; what is written around other words
 * (ai_frame) is what the dialect writes; an event that is read in place says what it says where it
 * is read as a tree, and so does a whole response; and what was gathered is written as one JSON
 * body.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/json.h"
#include "common/base/limits.h"
#include "common/net/aws_event.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/ai_frame.h"
#include "dataplane/ai/ai_likeness.h"
#include "dataplane/ai/provider/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct hearing {
    const struct ai_provider *provider;
    const struct ai_dialect *dialect;
    struct ai_decoder decoder;
    struct ai_writer writer;
    struct ai_assembly *assembly;
    struct ai_likeness likeness, decoded; /* glanced at, decoded */
    struct ai_frame frame;
    size_t said;           /* events that were decoded from one */
    struct ai_event first; /* of them */
    struct buf chunks, framed;
    bool ended;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* Where words are written around which something was kept, the dialect writes the same, and
 * remembers nothing new. */
static enum err write_twice(struct hearing *h, const struct ai_event *e)
{
    bool fits = ai_frame_fits(&h->frame, e);
    struct ai_writer before = h->writer;
    size_t from = h->chunks.len;
    buf_clear(&h->framed);
    must(!fits || !ai_frame_write(&h->frame, e, &h->framed), "memory");
    h->writer.words = before.words = (struct ai_words){0};
    enum err err = h->dialect->write_event(&h->writer, e, &h->chunks);
    if (err)
        return err;
    if (fits) {
        must(slice_eq(slice_from(buf_slice(&h->chunks), from), buf_slice(&h->framed)),
             "a dialect writes other words alike");
        before.words = h->writer.words;
        must(memcmp(&before, &h->writer, sizeof(before)) == 0, "and remembers nothing");
    } else {
        ai_frame_keep(&h->frame, e, &h->writer, &h->chunks);
    }
    return ERR_OK;
}

static enum err hear(void *arg, const struct ai_event *e)
{
    struct hearing *h = arg;
    if (h->said++ == 0)
        h->first = *e;
    h->ended = h->ended || e->kind == AI_END;
    enum err err = e->kind == AI_ERROR ? ERR_OK : ai_assembly_add(h->assembly, e);
    if (!err)
        err = write_twice(h, e);
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
        must(a.words.len == g->words, "as many words");
        must(slice_eq(a.unasked, g->unasked) && a.unasked.ptr == g->unasked.ptr, "nothing unasked");
        must(!g->ends && !g->fails && !g->finishes && !g->opens && !g->has_usage && !g->usage_alone,
             "words and nothing else");
    }
    ai_likeness_remember(&h->likeness, e, g, NULL);
}

/* An event that is like one that was decoded is decoded to the same, and the decoder remembers
 * nothing of it. */
static void compare_decoded(struct hearing *h, const struct sse_event *e,
                            const struct ai_decoder *before, enum err err)
{
    struct ai_alike a = ai_likeness_match(&h->decoded, e->raw);
    struct ai_glance g = {0};
    if (a.len && err != ERR_CANCELLED && err != ERR_TOO_BIG) {
        must(!err && h->said == 1 && h->first.kind == h->decoded.kind &&
                 h->first.choice == h->decoded.choice && h->first.block == h->decoded.block &&
                 ai_event_is_words(&h->first) && h->first.text.len == a.words.len,
             "words of the same block");
        must(memcmp(before, &h->decoder, sizeof(*before)) == 0, "and nothing to remember");
    }
    if (!err && h->said == 1 && ai_event_is_words(&h->first)) {
        g.text = h->first.text;
        g.words = g.text.len;
    }
    ai_likeness_remember(&h->decoded, e, &g, &h->first);
}

static bool decode(void *arg, const struct sse_event *e)
{
    struct hearing *h = arg;
    struct ai_glance g;
    struct ai_decoder before = h->decoder;
    h->ended = false;
    h->said = 0;
    enum err err = h->provider->decode(&h->decoder, e, hear, h);
    compare_decoded(h, e, &before, err);
    if (h->provider->glance && e->has_data) {
        h->provider->glance(e->data, true, &g);
        must(err || g.ends == h->ended, "both see the end");
        h->provider->glance(e->data, false, &g);
        compare_alike(h, e, &g);
    }
    return !err;
}

/* ---- in place, and as a tree ---- */

struct reading {
    const struct ai_provider *provider;
    struct ai_decoder in_place, by_tree;
    struct buf spelt[2];
};

static enum err spell(void *arg, const struct ai_event *e)
{
    const struct ai_usage *u = &e->usage;
    bool made = e->id.len == 21 && slice_starts(e->id, SLICE("call_")); /* at random */
    struct slice id = made ? SLICE("made") : e->id;
    struct slice text = e->kind == AI_ERROR ? SLICE("") : e->text; /* may be all of the event */
    must(!buf_printf(arg,
                     "%d %u %u %d %d %zu:%.*s %zu:%.*s %zu:%.*s %zu:%.*s"
                     " %llu %llu %llu %llu %llu %llu %llu\n",
                     e->kind, e->choice, e->block, e->finish, e->verdict, text.len, SLICE_ARG(text),
                     id.len, SLICE_ARG(id), e->name.len, SLICE_ARG(e->name), e->signature.len,
                     SLICE_ARG(e->signature), (unsigned long long)u->prompt,
                     (unsigned long long)u->fresh, (unsigned long long)u->cache_read,
                     (unsigned long long)u->cache_write, (unsigned long long)u->cache_write_long,
                     (unsigned long long)u->output, (unsigned long long)u->reasoning),
         "memory");
    return ERR_OK;
}

/* Not where it would be the second member of this name, or one more than are read. */
static bool takes_more(struct slice object)
{
    const char *p = object.ptr + 1, *end = object.ptr + object.len;
    size_t commas = 0;
    for (size_t i = 0; i < object.len; i++)
        commas += object.ptr[i] == ',';
    while (p < end && strchr(" \t\r\n", *p))
        p++;
    return object.ptr[0] == '{' && p < end && *p == '"' && commas < LIMIT_JSON_MEMBERS / 2 &&
           slice_search(object, SLICE("\"~\"")) < 0 && slice_search(object, SLICE("\\u007")) < 0;
}

static enum err read_one(const struct ai_provider *p, struct ai_decoder *d,
                         const struct sse_event *e, bool whole, struct buf *out)
{
    buf_clear(out);
    return whole ? p->decode_whole(d, e->data, spell, out) : p->decode(d, e, spell, out);
}

/* A member that no form knows makes it one that is read as a tree. */
static bool read_twice(struct reading *r, const struct sse_event *e, bool whole)
{
    struct buf with_more;
    struct slice inside = slice_trim(e->data);
    if (!is_object(e->data) || !takes_more(inside))
        return true;
    buf_init(&with_more, 1 << 24);
    must(!buf_append(&with_more, SLICE("{\"~\":0,")) &&
             !buf_append(&with_more, slice_from(inside, 1)),
         "memory");
    struct sse_event other = *e;
    other.data = buf_slice(&with_more);
    enum err a = read_one(r->provider, &r->in_place, e, whole, &r->spelt[0]);
    enum err b = read_one(r->provider, &r->by_tree, &other, whole, &r->spelt[1]);
    must(a == b, "both are taken, or refused");
    must(slice_eq(buf_slice(&r->spelt[0]), buf_slice(&r->spelt[1])), "and say the same");
    buf_fini(&with_more);
    return !a;
}

static bool read_both(void *arg, const struct sse_event *e)
{
    return read_twice(arg, e, false);
}

static void feed(struct slice bytes, bool (*fn)(void *, const struct sse_event *), void *arg);

static void try_reading(const struct ai_provider *p, struct slice bytes)
{
    struct arena *a = arena_new(4096, 1 << 22);
    struct reading r = {.provider = p, .in_place = {.arena = a}, .by_tree = {.arena = a}};
    buf_init(&r.spelt[0], 1 << 24);
    buf_init(&r.spelt[1], 1 << 24);
    feed(bytes, read_both, &r);
    r.in_place = r.by_tree = (struct ai_decoder){.arena = a};
    read_twice(&r, &(struct sse_event){.data = bytes, .has_data = true}, true);
    buf_fini(&r.spelt[0]);
    buf_fini(&r.spelt[1]);
    arena_free(a);
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
    buf_init(&h.framed, 1 << 24);
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
    buf_fini(&h.framed);
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
    for (size_t i = 0; i < 3; i++) /* OpenAI, Anthropic, Gemini */
        try_reading(providers[i], slice_of(data, size));
    return 0;
}
