/*
 * question_id — the id under which a client is asked what a tool server asks it, sealed so that
 * only a data plane of this installation can read or make one.
 *
 * It holds the server's own id of the request, as JSON, and the upstream session that asked, so
 * that any data plane can lead the client's response there. The client session's id is the seal's
 * associated data: presented in another session, an id is as unknown as one that was never given.
 *
 * Text     base64url of the sealed bytes, without quotes.
 * Fails    ERR_TOO_BIG: the ids are longer than QUESTION_ID_PLAIN together, or hold what parts
 *          them; ERR_INVALID for anything that was not sealed here, for whatever reason.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/seal.h"

#define QUESTION_ID_PLAIN 4096
#define QUESTION_ID_SEALED (QUESTION_ID_PLAIN + SEAL_OVERHEAD)
#define QUESTION_ID_TEXT ((QUESTION_ID_SEALED + 2) / 3 * 4 + 1)

/* whose question it is */
struct question_place {
    struct slice org_id, sid;
};

/* out holds QUESTION_ID_TEXT bytes. original: a JSON value. upstream_id has no space. */
MUST_USE enum err question_id_seal(const struct seal *s, const struct question_place *at,
                                   struct slice original, struct slice upstream_id, char *out,
                                   struct slice *ret);
/* plain holds QUESTION_ID_PLAIN bytes; what is returned points into it. */
MUST_USE enum err question_id_open(const struct seal *s, const struct question_place *at,
                                   struct slice text, char *plain, struct slice *original,
                                   struct slice *upstream_id);
