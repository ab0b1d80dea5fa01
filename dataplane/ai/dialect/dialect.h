/*
 * dialect — a form in which clients speak to the AI gate; and the table of the gate's paths.
 *
 * A dialect reads bodies into ai_request, and writes what a model says (ai_event) and what went
 * wrong (ai_error) as its clients expect it. It knows no provider. One file per dialect.
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/base/buf.h"
#include "dataplane/ai/ai_event.h"
#include "dataplane/ai/ai_request.h"

enum ai_kind { AI_CHAT, AI_EMBEDDINGS, AI_MODELS, AI_MODEL };

/* An error as a client is told it. */
struct ai_error {
    unsigned status;   /* SDKs choose their class by it */
    struct slice type; /* empty: what the dialect says for this status */
    struct slice message, code;
    struct slice param; /* empty: none */
};

#define AI_WRITER_TOOLS 64 /* calls in one stream; more are no conversation */

/* The state of one stream that is written from events, or ended in its provider's place. Zeroed
 * before the first event. */
struct ai_writer {
    struct slice id, model;            /* as JSON strings with their quotes; lent */
    struct slice created;              /* as a JSON number; lent */
    uint64_t choices;                  /* requested */
    uint64_t ended[2];                 /* a bit for each choice that has its finish reason */
    unsigned tools;                    /* calls begun */
    uint32_t tool_at[AI_WRITER_TOOLS]; /* choice and block of each */
    bool wants_usage;
    struct token_count usage; /* for the end, where the client wants it */
};

/* A whole response, gathered from events. */
struct ai_assembly;

/* A model as a list shows it. */
struct ai_model_card {
    struct slice name;
    int64_t created_at_us;
    uint64_t context, max_output; /* tokens; 0: not known */
};

struct header_names;

struct ai_dialect {
    const char *name;
    /* ERR_INVALID with *detail: which member, and what is wrong with it. */
    enum err (*read)(struct slice body, struct arena *a, struct ai_request *ret,
                     struct slice *detail);
    void (*measure)(struct slice body, struct ai_prompt *ret);
    /* The client's own body with the changes in place: for a provider that speaks this dialect. */
    enum err (*splice)(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES]);
    enum err (*write_error)(struct buf *out, const struct ai_error *e);
    enum err (*write_stream_error)(struct buf *out, const struct ai_error *e);
    /* Ends every choice that has not ended as a model ends at its ceiling; where the client wants
     * usage, with the counts so far. NULL: this dialect has no streams. */
    enum err (*write_length_stop)(const struct ai_writer *w, const struct token_count *so_far,
                                  struct buf *out);
    /* One event of a stream as this dialect's bytes; may be none. END writes the end of the stream.
     */
    enum err (*write_event)(struct ai_writer *w, const struct ai_event *e, struct buf *out);
    enum err (*write_whole)(const struct ai_assembly *a, struct buf *out);
    /* Is the body this dialect's error envelope? */
    bool (*is_error)(struct slice body);
    const struct header_names *header_names; /* of its responses; NULL: OpenAI's */
    /* of lists of models: what stands before the first, one of them (commas are the caller's), and
     * what stands behind the last; first and last are empty where there is none */
    struct slice models_begin;
    enum err (*write_model)(struct buf *out, const struct ai_model_card *m);
    enum err (*write_models_end)(struct buf *out, struct slice first, struct slice last);
    struct slice keep_alive; /* says nothing */
    struct slice stream_end; /* what follows the last event; empty: nothing */
};

struct ai_endpoint {
    enum ai_kind kind;
    struct slice method;
    struct slice path; /* "/v1/…" as clients ask */
    bool prefix;       /* what follows the path is a name */
    struct slice name; /* of the span */
    const struct ai_dialect *dialect;
};

extern const struct ai_dialect dialect_openai_chat, dialect_openai_embeddings,
    dialect_openai_models;

/* "POST /v1/chat/completions, …", for a refusal */
struct slice ai_endpoint_list(struct arena *a);
/* NULL: no such path. *allowed: does it serve this method? HEAD is served where GET is. */
const struct ai_endpoint *ai_endpoint_find(struct slice method, struct slice path, bool *allowed);

static inline bool ai_calls_upstream(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->kind == AI_EMBEDDINGS;
}
