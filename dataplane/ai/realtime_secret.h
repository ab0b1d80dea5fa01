/*
 * realtime_secret — client secrets: a credential for one realtime session, which a server hands to
 * the browser that opens it.
 *
 * The provider makes one ("ek_…") for the session that the server describes; the client gets one of
 * ours in its place, which is sealed and holds the key it was made with, the model, the account
 * that made it, its end, and the provider's own. It is good for `/v1/realtime` alone, for as long
 * as its key is, and has the text that it had; what the session costs is its key's. Nothing is
 * kept.
 *
 * Fails    ERR_INVALID for all that was not sealed here, or has ended; ERR_TOO_BIG, ERR_NOMEM.
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/ai_mark.h"

#define REALTIME_SECRET_MAX 1024 /* bytes of a client secret */

struct realtime_secret {
    struct slice key_id, model; /* whose it is; by the client's name for it */
    struct digest key_digest;   /* of the key's text: one that was rotated opens nothing */
    struct slice upstream;      /* the provider's own */
    struct ai_account account;
    int64_t expires_at_s;
    char storage[REALTIME_SECRET_MAX]; /* what the texts lie in once it was opened */
};

bool realtime_secret_is_ours(struct slice text); /* by its look */
MUST_USE enum err realtime_secret_seal(const struct snapshot *policy,
                                       const struct realtime_secret *s,
                                       char out[static REALTIME_SECRET_MAX], struct slice *ret);
MUST_USE enum err realtime_secret_open(const struct snapshot *policy, struct slice text,
                                       int64_t now_s, struct realtime_secret *ret);

/* A provider's response with the client secret that it made; s names the rest. out gets the same
 * response with ours in its place. ERR_PROTOCOL: it holds none, or holds it where it is not
 * expected. */
MUST_USE enum err realtime_secret_replace(const struct snapshot *policy, struct realtime_secret *s,
                                          struct slice body, struct buf *out);
