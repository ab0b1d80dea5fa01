/*
 * gunzip — a gzip body (RFC 1952) made plain, piece by piece: zlib's inflate behind three
 * functions.
 *
 * What comes out is bounded by the buffer's ceiling, so a body that unpacks to more ends there,
 * whatever it claims. One member only: what follows it is an error, as is a checksum that does not
 * fit.
 *
 * Owns     a window of 32 KiB and zlib's state, some 40 KiB together.
 * Fails    ERR_NOMEM; ERR_TOO_BIG at out's ceiling; ERR_INVALID: not gzip, broken, or more behind
 * it. Threads  one at a time.
 */
#pragma once

#include "common/base/buf.h"

struct gunzip;

MUST_USE enum err gunzip_new(struct gunzip **ret);
void gunzip_free(struct gunzip *g); /* NULL is fine */
/* Appends what the piece unpacks to. After a failure only gunzip_free. */
MUST_USE enum err gunzip_feed(struct gunzip *g, struct slice piece, struct buf *out);
/* Its end has come, and fits. */
bool gunzip_is_whole(const struct gunzip *g);
