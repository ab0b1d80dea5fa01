/*
 * access_token — credentials that an account is given for a while: by a token endpoint, in exchange
 * for its private key (a service account of Google, RFC 7523 section 2.1), or by one of the
 * sources of token_source.h.
 *
 * A worker keeps what its accounts were given. One fetch is under way for each; a call that needs a
 * token meanwhile waits for it. A token is fetched anew ahead of its end, while the old one is
 * still used, so that no request waits for it; where that fails, the old one serves until it ends.
 * After a failure nothing is fetched for a while, which doubles with each, up to a minute.
 *
 *   EMPTY → FETCHING → READY ⇄ RENEWING
 *     ▲         └──▶ FAILED (for a while)
 *
 * Owns     its entries, at most ACCESS_TOKENS_MAX; the fetches; secrets of the tokens.
 * Fails    ERR_INVALID: the account cannot be read; ERR_EXHAUSTED; what the fetch failed with.
 *          access_token_why says it in words. Each failed fetch is logged.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/base/list.h"
#include "common/net/http_client.h"
#include "common/upstream/token_source.h"

#define ACCESS_TOKENS_MAX 256 /* accounts per worker */

struct access_tokens;

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
                                   struct access_token_wait *w, struct access_token **ret);
void access_token_cancel(struct access_token_wait *w); /* harmless when not waiting */
/* Why the last fetch failed: words for the client, without secrets. Lent until the next call. */
struct slice access_token_why(const struct access_tokens *t, const struct digest *key);
/* The upstream refused the token: it is fetched anew, unless it is fresh. */
void access_token_doubt(struct access_tokens *t, const struct digest *key);
/* Accounts that `has` does not know any more are forgotten; what waits for them is told
 * ERR_CANCELLED. */
void access_tokens_keep(struct access_tokens *t,
                        bool (*has)(const void *arg, struct slice provider_id,
                                    const struct digest *key),
                        const void *arg);
