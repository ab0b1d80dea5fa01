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
#include "dataplane/ai/dialect/dialect.h"

/* the longest credential that a provider hands out is a JWT */
#define AI_CREDENTIAL_MAX 4096
#define AI_SEND_HEADERS 24

/* One request as a target gets it. */
struct ai_outgoing {
    /* what is given */
    const struct ai_endpoint *endpoint;
    const struct ai_request *request;
    struct slice body; /* the client's */
    const struct http_head *client_head;
    const struct policy_provider *target;
    const struct secret *credential; /* NULL: the provider wants none */
    struct ai_changes changes;
    struct slice traceparent;
    struct arena *arena;
    /* what is built */
    struct slice path; /* with the query */
    struct slice pieces[AI_REQUEST_PIECES];
    struct http_header headers[AI_SEND_HEADERS];
    size_t header_count;
    char secret[AI_CREDENTIAL_MAX + 16]; /* wiped by the caller once the request was copied */
    size_t secret_len;
};
_Static_assert(AI_REQUEST_PIECES == HTTP_CALL_PIECES, "the request's pieces are the call's");

void ai_outgoing_add(struct ai_outgoing *o, struct slice name, struct slice value);
/* Adds the credential behind a scheme ("Bearer ", or nothing). ERR_TOO_BIG: it is longer than any.
 */
MUST_USE enum err ai_outgoing_sign(struct ai_outgoing *o, struct slice name, struct slice scheme);
/* The provider's base URL with `rest` behind its path. */
MUST_USE enum err ai_outgoing_path(struct ai_outgoing *o, struct slice rest);

/* What one event of a stream says, found without decoding it. */
struct ai_glance {
    bool ends;        /* the last event */
    bool fails;       /* the provider says an error */
    bool finishes;    /* a choice has ended */
    bool usage_alone; /* nothing but the usage that was asked for */
    bool has_usage;
    struct ai_usage usage;
    uint64_t words;       /* bytes of the model's text, escapes and all */
    struct slice unasked; /* a member that stands there because we asked; .ptr NULL: none */
};

/* A whole response of status 200. */
struct ai_whole {
    enum ai_counted counted;
    struct token_count tokens;
    bool fails; /* it is an error (dialects.md 2.10, 26) */
};

struct ai_provider {
    struct slice name; /* "dialect" of a provider in the policy */
    /* Does it serve this path in the client's own dialect? */
    bool (*speaks)(const struct ai_endpoint *e);
    MUST_USE enum err (*build)(struct ai_outgoing *o);
    enum ai_verdict (*classify)(unsigned status);
    /* For a response in the client's own dialect. */
    void (*read_whole)(struct slice body, enum ai_kind kind, struct ai_whole *ret);
    void (*glance)(struct slice data, bool wants_usage, struct ai_glance *ret);
    /* What the writer needs to go on with a stream that the provider began. */
    void (*identify)(struct slice data, struct arena *a, struct ai_writer *w);
    uint64_t (*words)(struct slice body); /* bytes of the model's text in a response, or a part */
};

extern const struct ai_provider provider_openai;

/* NULL: this data plane does not know it */
const struct ai_provider *ai_provider_named(struct slice name);
