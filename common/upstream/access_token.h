/*
 * access_token — short-lived tokens of an account that is given as a private key: a service
 * account of Google, whose JSON is exchanged at its token endpoint (RFC 7523, section 2.1: a JWT
 * signed with RS256, for a bearer token).
 *
 * A worker keeps the tokens of its accounts. One fetch is under way for each; a call that needs a
 * token meanwhile waits for it. A token is fetched anew ahead of its end, while the old one is
 * still used, so that no request waits for it.
 *
 *   EMPTY → FETCHING → READY ⇄ RENEWING
 *     ▲         └──▶ FAILED (for a moment)
 *
 * Owns     its entries, at most ACCESS_TOKENS_MAX; the fetches; secrets of the tokens.
 * Fails    ERR_INVALID: the JSON is no service account; ERR_EXHAUSTED; what the fetch failed with.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/base/list.h"
#include "common/base/secret.h"
#include "common/net/http_client.h"

#define ACCESS_TOKENS_MAX 256 /* accounts per worker */

struct access_tokens;

/* Where a token is fetched for, and by which rules. The account's own token_uri is where it is
 * fetched. */
struct access_token_spec {
    const struct secret *account; /* the JSON */
    struct slice scope;
    struct egress_rule rule;
    struct tls_context *tls;
    const struct stream_proxy *proxy;
    /* What the rule, tls and proxy belong to: held while a fetch is under way. */
    void *owner;
    void (*hold)(void *owner);
    void (*drop)(void *owner);
};

/* Lives in the caller until it is called or cancelled. */
struct access_token_wait {
    struct list link;
    void (*fn)(struct access_token_wait *w, enum err e);
};

MUST_USE struct access_tokens *access_tokens_new(struct http_client *client);
void access_tokens_free(struct access_tokens *t); /* NULL is fine; before its client is freed */

/* ERR_OK: *ret is the token, held for the caller. ERR_AGAIN: w is called once it is there, or
 * cannot be had; never before this returns. */
MUST_USE enum err access_token_get(struct access_tokens *t, const struct access_token_spec *spec,
                                   struct access_token_wait *w, struct secret **ret);
void access_token_cancel(struct access_token_wait *w); /* harmless when not waiting */
