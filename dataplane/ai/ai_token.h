/*
 * ai_token — what the account of a provider is exchanged for before it is used, where it is: a
 * service account's JSON, or a credential that is had from a source.
 *
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/request.h"
#include "common/upstream/access_token.h"
#include "dataplane/ai/provider/provider.h"

/* Its requests are signed with keys, so their bodies must be known before they are sent. */
bool ai_account_signs(const struct policy_credential *account);

/* ERR_OK: *ret is what was given, held for the caller, or is NULL where the account is used as it
 * is. ERR_AGAIN: w->fn follows. */
MUST_USE enum err ai_token_take(struct request *rq, const struct ai_provider *protocol,
                                const struct policy_provider *provider,
                                const struct policy_credential *account,
                                struct access_token_wait *w, struct access_token **ret);
/* Why it could not be had: a sentence for the client, in the request's arena. */
struct slice ai_token_why(struct request *rq, const struct policy_credential *account, enum err e);
