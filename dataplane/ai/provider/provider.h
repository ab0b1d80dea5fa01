/*
 * provider — a service that runs models, and the protocol it speaks; and the table of them.
 *
 * A provider builds the request that goes upstream, reads what comes back into ai_event or, where
 * the client speaks the same dialect, only glances at it, and says what a status means. It knows
 * no client dialect but the one it speaks itself. One file per protocol; services that speak
 * another's protocol with small differences are rows of quirks in that file.
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/net/http1.h"
#include "common/net/http_client.h"
#include "common/net/sse.h"
#include "common/policy/snapshot.h"
#include "common/upstream/access_token.h"
#include "dataplane/ai/dialect/dialect.h"

/* the longest credential that a provider hands out is a JWT */
#define AI_CREDENTIAL_MAX 4096
#define AI_SEND_HEADERS 32

/* One request as a target gets it. */
struct ai_outgoing {
    /* what is given */
    const struct ai_endpoint *endpoint;
    const struct ai_request *request;
    const struct ai_chat *chat; /* the client's body in the normal form; NULL where the provider
                                 * speaks the client's dialect, or it is no conversation */
    struct slice body;          /* the client's */
    const struct http_head *client_head;
    const struct policy_provider *target;
    const struct policy_credential *account; /* NULL: the provider wants none */
    const struct url *url;                   /* of the target, in the account's region */
    const struct secret *credential;         /* the account's; NULL: the provider wants none */
    const struct access_token *given;        /* what it was exchanged for; NULL: it was not */
    struct ai_changes changes;
    const struct ai_marker *marker; /* of the principal; may be NULL */
    struct ai_account maker;        /* what the target makes, is known by it */
    struct slice traceparent;
    struct slice websocket_key; /* of AI_REALTIME */
    struct arena *arena;
    struct buf *translated; /* memory for a body that is written anew */
    /* what is built */
    struct slice path;   /* with the query */
    struct slice notice; /* members that the target does not get, "seed, user"; may be empty */
    const char *param;   /* ERR_INVALID: the member that cannot be told this provider, and why */
    struct slice why;
    struct slice method, content_type; /* for signatures; empty: POST, and JSON */
    struct slice pieces[AI_REQUEST_PIECES];
    struct http_header headers[AI_SEND_HEADERS];
    size_t header_count;
    char secret[AI_CREDENTIAL_MAX + 16]; /* wiped by the caller once the request was copied */
    size_t secret_len;
};
_Static_assert(AI_REQUEST_PIECES == HTTP_CALL_PIECES, "the request's pieces are the call's");

void ai_outgoing_add(struct ai_outgoing *o, struct slice name, struct slice value);
/* What every provider is told by the gateway itself: the response comes plain, who asks, the trace.
 */
void ai_outgoing_add_own(struct ai_outgoing *o);
/* Adds the credential behind a scheme ("Bearer ", or nothing). ERR_TOO_BIG: it is longer than any.
 */
MUST_USE enum err ai_outgoing_sign(struct ai_outgoing *o, struct slice name, struct slice scheme);
/* The provider's base URL with `rest` behind its path, and its query behind that. */
MUST_USE enum err ai_outgoing_path(struct ai_outgoing *o, struct slice rest);

/* The target does not get this member, which is given by OpenAI's name, or as the client spelt it:
 * it is named in the notice, once. */
void ai_outgoing_leave_out(struct ai_outgoing *o, const char *name);
/* The request cannot be told this provider: the first member that is so is named to the client.
 * ERR_INVALID, for the caller to return. */
enum err ai_outgoing_refuse(struct ai_outgoing *o, const char *param, struct slice why);
/* What of the body has no place in the normal form is left out, or refused where it binds. */
MUST_USE enum err ai_outgoing_take_others(struct ai_outgoing *o);
/* `tree` as the body. */
MUST_USE enum err ai_outgoing_write(struct ai_outgoing *o, const json_t *tree);

/* What one event of a stream says, found without decoding it. */
struct ai_glance {
    bool ends;        /* the last event */
    bool fails;       /* the provider says an error */
    bool finishes;    /* a choice has ended */
    bool usage_alone; /* nothing but the usage that was requested */
    bool opens;       /* nothing of the model's yet: a role, an empty list of choices */
    bool has_usage;
    struct ai_usage usage;
    uint64_t words;       /* bytes of the model's text, escapes and all */
    struct slice text;    /* where all of them stand; .ptr NULL: in several places, or not known */
    struct slice unasked; /* a member that only the gateway requested; .ptr NULL: none */
};

/* A whole response of status 200, found without decoding it. */
struct ai_whole {
    enum ai_counted counted;
    struct token_count tokens;
    bool fails;    /* it is an error (dialects.md 2.10, 26) */
    bool is_whole; /* it holds what a response of its kind must hold */
};

/* What a provider says went wrong. Texts are the arena's. */
struct ai_fault {
    enum ai_verdict verdict;
    struct slice text, code;
    struct ai_usage usage;  /* an error that cost something says so */
    unsigned retry_after_s; /* named in the body; 0: none was */
};

#define AI_DECODER_CHOICES 16

/* One choice of a protocol whose parts have no numbers. */
struct ai_decoder_parts {
    unsigned block;
    unsigned char kind; /* of the part that is open; 0: none */
    bool said, called, ended;
};

/* What a provider remembers of the response it decodes. Zeroed before the first event. */
/* A tool call of OpenAI's protocol, as its pieces name it. */
#define AI_DECODER_CALLS 64
#define AI_DECODER_OPENAI_CHOICES                                                                  \
    4 /* that have blocks in order; more are told as one text each                                 \
       */
struct ai_decoder_call {
    uint16_t choice, index, place;
    uint32_t id; /* hash; 0: none */
};

struct ai_decoder {
    struct arena *arena;
    const struct ai_chat
        *chat;          /* what it responds to; NULL: unknown, or the client's own dialect */
    struct slice model; /* as it was asked for, where the response does not name it */
    bool finished;      /* it was said why the model stopped */
    unsigned block;
    bool in_tool, has_arguments; /* a tool call is open, and was given some */
    uint64_t tools_open;         /* a bit for each tool call of the first choice */
    /* Gemini */
    struct ai_decoder_parts parts[AI_DECODER_CHOICES];
    bool begun;
    uint64_t seed;                         /* of the ids that a provider does not give */
    uint64_t spoken, thought, tool_prompt; /* tokens, as reported last */
    /* OpenAI */
    struct {
        struct ai_decoder_texts {
            uint16_t kind, block; /* of the last text */
            uint16_t detail;      /* which of the reasoning's it was; 0: none */
        } texts[AI_DECODER_OPENAI_CHOICES];
        struct ai_decoder_calls {
            unsigned count;
            uint64_t argued, ended; /* a bit for each: it was given arguments; nothing follows */
            struct ai_decoder_call at[AI_DECODER_CALLS];
        } calls;
    } openai;
};

/* What a stream is cut into events by. Whichever it is, decode gets an sse_event with the payload
 * as `data` and the event's type as `event`. */
enum ai_framing {
    AI_FRAMES_SSE,   /* text/event-stream */
    AI_FRAMES_AWS,   /* application/vnd.amazon.eventstream */
    AI_FRAMES_LINES, /* JSON values, one a line */
};

struct ai_provider {
    struct slice name; /* "dialect" of a provider in the policy */
    /* Its credential is an account's JSON, to be exchanged for a token of this scope; empty: it is
     * sent as it is. */
    struct slice token_scope;
    /* Tokens of a prompt that no byte of the request shows, where it defines tools. */
    unsigned hidden_prompt;
    /* Is it known to bill a request that we took back, at least its prompt? */
    bool bills_cancelled;
    /* Does it serve this path in the client's own dialect, or in its own? */
    bool (*speaks)(const struct ai_endpoint *e);
    bool (*serves)(const struct ai_endpoint *e);
    /* ERR_INVALID: the request cannot be told this provider; see ai_outgoing.why. */
    MUST_USE enum err (*build)(struct ai_outgoing *o);
    /* Adds the credential in the provider's own way to a request whose path and body stand. NULL: a
     * bearer's. */
    MUST_USE enum err (*authorize)(struct ai_outgoing *o);
    /* Its path may be missing at a server that speaks as its maker does: 404, 405, 501, before any
     * response. Then the same target is told in another way (ai_provider_for), where this says so.
     * NULL: it never is. */
    bool (*note_missing)(const struct policy_provider *p, struct slice body);
    /* By its status alone, and by the body as far as it came. */
    void (*read_error)(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret);

    /* The header that says which error it is, and what its value means for what read_error found.
     * Empty: there is none. */
    struct slice error_header;
    void (*read_error_word)(struct slice word, struct ai_fault *ret);

    enum ai_framing framing;

    /* A response in the client's own dialect, looked at without being decoded. NULL: it is decoded
     * to be accounted for, and its bytes go on as they came. */
    void (*read_whole)(struct slice body, enum ai_kind kind, struct ai_whole *ret);
    /* The response to AI_COUNT, where it serves that. ERR_PROTOCOL: it is none. */
    enum err (*read_count)(struct slice body, uint64_t *ret);
    void (*glance)(struct slice data, bool wants_usage, struct ai_glance *ret);
    /* What the writer needs to go on with a stream that the provider began. */
    void (*identify)(struct slice data, struct arena *a, struct ai_writer *w);
    uint64_t (*words)(struct slice body); /* bytes of the model's text in a response, or a part */

    /* The same as events. ERR_PROTOCOL: it cannot be read. What fn returns ends it. */
    MUST_USE enum err (*decode)(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn,
                                void *arg);
    MUST_USE enum err (*decode_whole)(struct ai_decoder *d, struct slice body, ai_event_fn *fn,
                                      void *arg);
};

/* Adds the credential as this provider wants it: ai_provider.authorize. */
MUST_USE enum err ai_outgoing_authorize(struct ai_outgoing *o, const struct ai_provider *p);

/* A sentence out of an error's body, whatever form it has; bounded, and cleaned of what could steer
 * a terminal or look like a credential. Empty: there is none. */
struct slice ai_fault_text(struct slice body, struct arena *a);
struct slice ai_fault_clean(struct slice text, struct arena *a);
/* What a status means where the body says nothing else. */
enum ai_verdict ai_verdict_of_status(unsigned status);

/* Embeddings, whose inputs are the turns of o->chat: the text of each, as a list of that name. */
struct json_out;
struct slice ai_input_text(const struct ai_turn *t, struct arena *a);
void ai_put_inputs(struct json_out *j, const char *name, struct ai_outgoing *o);
/* One vector, a list of numbers. ERR_PROTOCOL: it is none. */
MUST_USE enum err ai_emit_vector(const json_t *vector, unsigned block, ai_event_fn *fn, void *arg);
/* A whole response of embeddings as events: each vector of the list (NULL: none can be told), the
 * prompt's tokens where they are known (AI_UNSAID: they are not), and the end. */
MUST_USE enum err ai_emit_vectors(const json_t *list, uint64_t prompt, ai_event_fn *fn, void *arg);

/* The id of a tool call as providers take it that are particular about its letters. Ids of others
 * may hold what these refuse: the same id becomes the same again. Lent: the id or the room. */
#define AI_TOOL_ID_MAX 32
struct slice ai_plain_tool_id(struct slice id, char room[static AI_TOOL_ID_MAX]);

extern const struct ai_provider provider_openai, provider_azure, provider_mistral,
    provider_openai_responses, provider_openai_completions, provider_anthropic, provider_gemini,
    provider_openai_task, provider_openai_objects, provider_openai_realtime,
    provider_openai_realtime_secret;
extern const struct ai_provider provider_vertex, provider_vertex_claude;
extern const struct ai_provider provider_bedrock, provider_cohere, provider_ollama;

/* The protocol in which a provider of the policy is told calls of this path to this model of its.
 * NULL: this data plane does not know its dialect. */
const struct ai_provider *ai_provider_for(const struct policy_provider *p,
                                          const struct ai_endpoint *e, struct slice model);
/* Vertex runs models of Google and of Anthropic. */
const struct ai_provider *vertex_protocol_of(struct slice model);
/* Is /responses served there, as far as is known? */
bool openai_has_responses(const struct policy_provider *p);
/* NULL: this data plane does not know it */
const struct ai_provider *ai_provider_named(struct slice name);
