/*
 * first_token — the owner's token of a fresh installation, written to a file of its own.
 *
 * Made only where no token exists. The file is 0600; the database keeps the keyed digest.
 *
 * Fails    as tx.h; ERR_IO when the file cannot be written: then no token exists either.
 * Threads  main, at start.
 */
#pragma once

#include "common/base/secret.h"
#include "controlplane/store/tx.h"

MUST_USE enum err first_token_make(struct db *db, struct slice org_id,
                                   const struct secret *token_hmac, const char *path);
