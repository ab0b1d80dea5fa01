/*
 * admin_auth — authenticates a request by its bearer token, found by its keyed digest.
 *
 * Ten failed sign-ins a minute from one source, then each further one must wait, twice as long
 * every time, up to five minutes. While a source waits, its unknown tokens are refused without
 * a look into the database; a token that was seen to be good in the last minutes still passes,
 * so that failed sign-ins of one client do not lock out others on the same host. A request
 * without a token is refused and not counted, because it guesses no token.
 *
 * Owns     its tables of sources and of recently good tokens, both bounded.
 * Threads  any.
 */
#pragma once

#include "common/base/digest.h"
#include "controlplane/api/admin_call.h"

struct admin_auth;

MUST_USE struct admin_auth *admin_auth_new(const struct secret *token_hmac);
void admin_auth_free(struct admin_auth *a);

/* Fills c->actor (its source is set already). ERR_OK; ERR_DENIED: the response is a 401 or 429;
 * others: the database. */
MUST_USE enum err admin_auth_check(struct admin_auth *a, struct call *c, struct slice header,
                                   uint64_t now_us);

/* Counts a wrong secret of another kind (an enrolment token) as a failed sign-in.
 * waiting: how long the caller's source must wait for its next attempt; 0: not at all. */
uint64_t admin_auth_waiting(struct admin_auth *a, const struct call *c, uint64_t now_us);
void admin_auth_failed(struct admin_auth *a, const struct call *c, uint64_t now_us);

/* The digest under which a token is stored. */
void admin_auth_digest(const struct secret *token_hmac, struct slice token, struct digest *ret);
