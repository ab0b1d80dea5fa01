/*
 * token_fetch — one fetch of a credential: the requests of its kind, one behind the other, and what
 * is read from their responses. Private to common/upstream.
 *
 * For each step access_token calls `ask`, sends what it wrote, and gives the response to `take`.
 *
 * Owns     its texts, in memory that is wiped when it ends.
 * Fails    with a reason in `why`, which holds nothing that is secret: of a response only its
 * status and a word like "invalid_grant". Threads  its worker's loop.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/net/http_client.h"
#include "common/upstream/token_source.h"

#define TOKEN_FETCH_HEADERS 8
#define TOKEN_FETCH_TEXT (96 * 1024)     /* of all steps: a token file, a form with it, headers */
#define TOKEN_FETCH_RESPONSE (64 * 1024) /* of one step */
#define TOKEN_WHY_MAX 160

struct token_fetch {
    const struct access_token_spec *spec;
    const struct token_source *source; /* NULL: a service account's JSON */
    unsigned step;
    /* the request of this step */
    struct slice method, url, body;
    struct slice path; /* behind the URL's own; empty: none */
    struct http_header headers[TOKEN_FETCH_HEADERS];
    size_t header_count;
    /* what is kept from one step to the next */
    struct slice held, role;
    struct buf text;
    /* the response of this step */
    unsigned status;
    bool flavored; /* it has Google's header of its metadata server */
    struct buf response;
    /* the end */
    struct access_token *made;
    uint64_t life_s;
    char why[TOKEN_WHY_MAX];
};

struct token_kind {
    struct slice name;
    const char *asks; /* the service asked, as reasons name it: "the token endpoint" */
    /* A service of the machine itself: it is reached without a proxy, and may lie at a metadata
     * address, where allow_cidrs names just that. */
    bool local;
    bool signs; /* it gives keys to sign with */
    enum err (*ask)(struct token_fetch *f);
    /* ERR_AGAIN: there is another step. ERR_OK: `made` and `life_s` are set. The status is 200. */
    enum err (*take)(struct token_fetch *f);
    bool (*is_whole)(const struct token_source *s, struct slice region, bool has_secret);
};

extern const struct token_kind token_kind_account; /* a service account's JSON in the secret */
extern const struct token_kind token_kind_aws_container, token_kind_aws_imds,
    token_kind_aws_web_identity;
extern const struct token_kind token_kind_gcp_metadata, token_kind_gcp_external_account;
extern const struct token_kind token_kind_azure_client;

/* ---- what kinds use ---- */

/* The pieces one behind the other, in the fetch's memory. ERR_TOO_BIG. */
MUST_USE enum err token_fetch_text(struct token_fetch *f, const struct slice *pieces, size_t n,
                                   struct slice *ret);
/* "&name=value", the value percent-encoded, at the end of `body`. */
MUST_USE enum err token_fetch_field(struct token_fetch *f, const char *name, struct slice value);
void token_fetch_header(struct token_fetch *f, struct slice name, struct slice value);
void token_fetch_form(struct token_fetch *f); /* begins a POST of fields */
/* The token that proves the account: of its file, or its secret. SLICE_NONE: there is neither. */
MUST_USE enum err token_fetch_proof(struct token_fetch *f, struct slice *ret);
/* The member of a JSON text that is the token; an empty field: the text itself. */
MUST_USE enum err token_fetch_member(struct token_fetch *f, struct slice text, struct slice field,
                                     struct slice *ret);
/* A bearer token and its life out of RFC 6749's response, section 5.1. */
MUST_USE enum err token_fetch_bearer(struct token_fetch *f);
/* The same for a moment at which it ends. ERR_PROTOCOL: it is over, or too far away. */
MUST_USE enum err token_fetch_ends(struct token_fetch *f, struct slice time);
MUST_USE enum err token_fetch_made(struct token_fetch *f, struct slice key_id, struct slice secret,
                                   struct slice session_token);
/* Sets `why`; returns e. */
enum err token_fetch_fail(struct token_fetch *f, enum err e, const char *fmt, ...) PRINTF(3, 4);
/* What a refusal's body calls itself, out of JSON or XML: letters, digits, "_-." alone. */
struct slice token_fetch_error_word(struct slice body, char room[static 64]);
