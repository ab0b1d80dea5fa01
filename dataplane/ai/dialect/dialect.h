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
#include "common/net/http1.h"
#include "dataplane/ai/ai_chat.h"
#include "dataplane/ai/ai_event.h"
#include "dataplane/ai/ai_mark.h"
#include "dataplane/ai/ai_request.h"

enum ai_kind {
    AI_CHAT,
    AI_COUNT, /* how many tokens a prompt of AI_CHAT has: free, and estimated where no target says
               */
    AI_EMBEDDINGS,
    AI_STORED,   /* a thing that a provider keeps, by its id */
    AI_TASK,     /* of a model, and no conversation: an image, a sound, a judgement */
    AI_REALTIME, /* a session over a WebSocket */
    AI_SECRET,   /* a client secret for one: free */
    AI_LIST,     /* of what a provider keeps for the principal */
    AI_MODELS,
    AI_MODEL,
};

/* The status of an error that the upstream said inside its stream: REFUSAL_UPSTREAM's. */
#define AI_UPSTREAM_FAILED 502

/* An error as a client is told it. */
struct ai_error {
    unsigned status;   /* SDKs choose their class by it */
    struct slice type; /* empty: what the dialect says for this status */
    struct slice message, code;
    struct slice param;                /* empty: none */
    struct slice request_id;           /* for dialects that say it in the body; may be empty */
    const struct ai_writer *in_stream; /* that it breaks off; NULL: it is a whole response */
};

/* The client and the account that a response is written for. */
struct ai_context {
    const struct ai_request *request; /* NULL in tests alone */
    const struct ai_marker *marker;   /* NULL: nothing is marked */
    struct ai_account account;        /* that made it */
    bool stored;                      /* what it holds is kept by its provider */
};

#define AI_WRITER_TOOLS 64 /* calls in one stream; more are no conversation */

struct ai_assembly;
struct ai_held;

/* Where the words of an event stand in what was written for it. */
struct ai_words {
    size_t from; /* what repeats begins here: not what opened a block */
    size_t end;  /* behind the words; 0: nothing was said of them */
    size_t to;   /* it ends here */
};

/* The state of one stream that is written from events, or ended in its provider's place. Zeroed
 * before the first event. A dialect uses what it needs; nothing in it is freed. */
struct ai_writer {
    struct slice id, model;            /* as JSON strings with their quotes; lent */
    struct slice created;              /* as a JSON number; lent */
    uint64_t choices;                  /* requested */
    uint64_t ended[2];                 /* a bit for each choice that has its finish reason */
    unsigned tools;                    /* calls begun */
    unsigned images;                   /* written */
    uint32_t tool_at[AI_WRITER_TOOLS]; /* choice and block of each */
    bool wants_usage;
    struct token_count usage; /* for the end, where the client wants it */
    /* for dialects whose streams are made of blocks */
    struct {
        unsigned next_index;     /* of the next block */
        bool is_open;            /* a block was begun and not ended: */
        enum ai_event_kind open; /* its kind, */
        unsigned open_block;     /* and of which block of the provider's it is */
        uint64_t sequence;       /* events written */
        enum ai_finish finish;   /* said, and not written yet */
        bool has_part;           /* something of the open block was written */
        bool begun;              /* so was what a stream begins with */
    } blocks;
    enum ai_finish finish_of[16]; /* of each choice, where several are held back */
    /* for dialects in which blocks must not be interleaved */
    struct {
        unsigned depth;
        bool in_string, escaped;
        bool is_whole; /* the arguments of the open call are a whole JSON value */
    } call;
    struct ai_held *held; /* what waits for the open block's end */
    bool refused, has_calls;
    struct slice stop_sequence;
    struct arena *arena; /* the call's */
    struct ai_context to;
    struct ai_words words;           /* of the event that was written last */
    const struct ai_assembly *whole; /* all there is so far; NULL unless the dialect keeps_whole */
};

/* Is it time for what a stream begins with? Once. */
static inline bool ai_writer_begins(struct ai_writer *w)
{
    bool first = !w->blocks.begun;
    w->blocks.begun = true;
    return first;
}

/* For write_event, where the next event that adds words to the same block is to differ from this
 * one in its words alone, and changes nothing of the writer: out held `from` bytes before it, and
 * `end` up to the quote behind the words. */
static inline void ai_words_written(struct ai_writer *w, size_t from, size_t end,
                                    const struct buf *out)
{
    w->words = (struct ai_words){from, end, out->len};
}

/* What a client sent, to be read. */
struct ai_endpoint;
struct ai_incoming {
    struct slice body;
    struct slice path, query; /* canonical, without the '?' */
    const struct http_head *head;
    const struct ai_endpoint *endpoint;
    struct arena *arena;
    const struct ai_marker *marker; /* of the principal; may be NULL */
    bool is_front;                  /* of a form: the rest of the body is to come */
};
/* Without its percent escapes; .ptr NULL: no memory. */
struct slice ai_unescape(struct arena *a, struct slice s);
/* With percent escapes in place of all but unreserved characters (RFC 3986); .ptr NULL: no memory.
 */
struct slice ai_escape(struct arena *a, struct slice s);
/* What stands for the name in the path, unescaped; .ptr NULL: no memory, or the endpoint has none.
 */
struct slice ai_incoming_name(const struct ai_incoming *in);

/* A model as a list shows it. */
struct ai_model_card {
    struct slice name;
    int64_t created_at_us;
    uint64_t context, max_output; /* tokens; 0: not known */
};

struct header_names;
struct body_words;
struct form_part;

struct ai_dialect {
    const char *name;
    /* ERR_INVALID with *detail: which member, and what is wrong with it. ERR_AGAIN, of a front: not
     * all that must be known stands in it. */
    enum err (*read)(const struct ai_incoming *in, struct ai_request *ret, struct slice *detail);
    /* The whole body in the normal form; called once, after read, where the call needs it. `ret` is
     * zeroed but for its arena. ERR_INVALID through ai_chat_wrong. NULL: what is no conversation.
     */
    enum err (*parse)(const struct ai_incoming *in, struct ai_chat *ret);
    /* NULL: by ai_chat_measure, from what parse read. */
    void (*measure)(struct slice body, struct ai_prompt *ret);
    /* The client's own body with the changes in place: for a provider that speaks this dialect. */
    enum err (*splice)(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES]);
    enum err (*write_error)(struct buf *out, const struct ai_error *e);
    /* A header that says the same as write_error; NULL: there is none. Its texts are constant. */
    struct http_header (*error_header)(unsigned status);
    enum err (*write_stream_error)(struct buf *out, const struct ai_error *e);
    /* Ends every choice that has not ended as a model ends at its ceiling; where the client wants
     * usage, with the counts so far. NULL: this dialect has no streams. */
    enum err (*write_length_stop)(const struct ai_writer *w, const struct token_count *so_far,
                                  struct buf *out);
    /* One event of a stream as this dialect's bytes; may be none. END writes the end of the stream.
     */
    enum err (*write_event)(struct ai_writer *w, const struct ai_event *e, struct buf *out);
    /* The same event went out as it came: what write_length_stop must know of it. NULL: nothing. */
    void (*note_event)(struct ai_writer *w, const struct ai_event *e);
    enum err (*write_whole)(const struct ai_assembly *a, struct buf *out);
    enum err (*write_count)(uint64_t tokens, struct buf *out); /* of AI_COUNT */
    /* What came as it is, an event or a whole response, with marks behind what its provider keeps,
     * or in the form that the client asked for. NULL, and an error: it goes on as it came. */
    enum err (*mark_event)(const struct ai_context *to, struct slice raw, struct buf *out);
    enum err (*mark_whole)(const struct ai_context *to, struct slice body, struct buf *out);
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
    unsigned overloaded;     /* status where the targets have too much to do; 0: 503 */
    /* literals; empty: "application/json", "text/event-stream" */
    struct slice content_type, stream_type;
    /* How members of ai_chat are called here, where it is not by OpenAI's name: pairs of OpenAI's
     * and this one, ended by NULL. For notices and refusals of providers, who know OpenAI's. */
    const char *const (*names)[2];
    /* How parameters and a system prompt are said in its bodies; NULL: they are not. */
    const struct body_words *words;
    struct slice query_key; /* the member of the query that may hold the credential; empty: none */
    bool takes_forms;       /* bodies may be multipart/form-data */
    /* A part of a form whose front was read: as its head comes (unless that stood in the front),
     * and once it is whole. false: it must not stand there; ret->param says which. NULL: forms are
     * gathered. */
    bool (*read_late)(struct ai_request *ret, const struct form_part *p);
    bool tells_prompt; /* its stream's first event says how long the prompt is */
    bool marks;        /* what only an account can read carries its mark (ai_mark.h) */
    bool seals_calls;  /* a call's own signature goes before it (ai_event_seal) */
    bool keeps_whole;  /* needs all of a stream's text at its end: ai_writer.whole */
};

struct ai_endpoint {
    enum ai_kind kind;
    struct slice method;
    struct slice path; /* "/v1/…" as clients ask */
    bool prefix;       /* what follows the path is a name */
    struct slice name; /* of the span */
    const struct ai_dialect *dialect;
    struct slice suffix; /* with prefix: what follows the name, ":generateContent"; may be empty */
    /* Of several rows with one path the first that fits is it. NULL: any request fits. */
    bool (*fits)(const struct http_head *h);
};

extern const struct ai_dialect dialect_bedrock_converse, dialect_cohere_chat, dialect_cohere_embed;
extern const struct ai_dialect dialect_anthropic_count, dialect_anthropic_messages,
    dialect_anthropic_models;
extern const struct ai_dialect dialect_openai_chat, dialect_openai_embeddings,
    dialect_openai_models;
extern const struct ai_dialect dialect_openai_responses, dialect_openai_completions,
    dialect_openai_task, dialect_openai_objects, dialect_openai_responses_count,
    dialect_openai_realtime, dialect_openai_realtime_secret;
extern const struct ai_dialect dialect_gemini, dialect_gemini_array, dialect_gemini_count,
    dialect_gemini_embed, dialect_gemini_embed_batch, dialect_gemini_models;

static inline struct slice ai_content_type(const struct ai_dialect *d)
{
    return d->content_type.len ? d->content_type : SLICE("application/json");
}

/* The dialect's own name of a member that a provider knows by OpenAI's. */
static inline const char *ai_own_name(const struct ai_dialect *d, const char *name)
{
    for (size_t i = 0; name && d->names && d->names[i][0]; i++)
        if (strcmp(d->names[i][0], name) == 0)
            return d->names[i][1];
    return name;
}

static inline struct slice ai_stream_type(const struct ai_dialect *d)
{
    return d->stream_type.len ? d->stream_type : SLICE("text/event-stream");
}

/* "POST /v1/chat/completions, …", for a refusal */
struct slice ai_endpoint_list(struct arena *a);
/* NULL: no such path. *allowed: does it serve this method? HEAD is served where GET is. */
const struct ai_endpoint *ai_endpoint_find(const struct http_head *h, struct slice path,
                                           bool *allowed);

/* By which one of a list's things is read: "GET /v1/files/{id}" of "/v1/files". */
const struct ai_endpoint *ai_endpoint_item(const struct ai_endpoint *list);
/* Those that the path is served by, "GET, DELETE"; .ptr NULL: no memory. */
struct slice ai_endpoint_methods(const struct http_head *h, struct slice path, struct arena *a);

static inline bool ai_calls_upstream(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->kind == AI_COUNT || e->kind == AI_EMBEDDINGS ||
           e->kind == AI_TASK || e->kind == AI_STORED || e->kind == AI_REALTIME ||
           e->kind == AI_SECRET;
}
