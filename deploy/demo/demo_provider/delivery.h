/*
 * delivery — a made-up response on its way: after its delay, whole or piece by piece, failing or
 * cut as its scenario says; and what of it the ledger keeps. A dialect says the words.
 *
 * Owns     its buffer; it is the first member of the visit's state, which is the dialect's.
 * Threads  one.
 */
#pragma once

#include "deploy/demo/demo_provider/ledger.h"
#include "deploy/demo/demo_provider/scenario.h"
#include "deploy/demo/serve.h"

/* What serves a visit. */
struct provider {
    struct ledger *ledger;
    uint64_t calls;
};

static inline struct provider *provider_of(const struct visit *v)
{
    return serve_arg(v->serve);
}

#define DELIVERY_PIECE 256

struct delivery_words {
    /* Into `out`: the whole response; or what comes next of a stream, with its end behind the last
     * piece, unless the scenario cuts it. Both move `sent`. */
    enum err (*whole)(struct visit *v);
    enum err (*next)(struct visit *v);
    uint64_t (*spoken)(const struct visit *v); /* tokens so far */
    void (*fail)(struct visit *v, unsigned status);
    struct http_header stream_headers[2];
    size_t stream_header_count;
};

struct delivery {
    const struct delivery_words *words;
    struct scenario scenario;
    uint64_t id, sent, pieces;
    uint32_t prompt_tokens;
    bool stream;
    size_t entry; /* in the ledger */
    struct buf out;
};

/* Of a visit that has its state: the call is counted. */
void delivery_init(struct visit *v, const struct delivery_words *words);
void delivery_fini(struct delivery *d);
/* Pieces, as many as the scenario has and no more than `most`. true: it has more. */
bool delivery_limit(struct delivery *d, uint64_t most);
void delivery_start(struct visit *v);

/* The word, or the so many bytes, of one piece. */
const char *delivery_word(uint64_t piece);
void delivery_piece(const struct delivery *d, uint64_t piece, char out[static DELIVERY_PIECE]);
/* bytes of a part of a request, written as JSON; 0: it is absent */
size_t delivery_bytes_of(const json_t *part);
