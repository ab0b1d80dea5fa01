/*
 * compress — a block of bytes made shorter for the wire, and back: liblz4 behind two functions.
 *
 * LZ4's block format (lz4 repository, doc/lz4_Block_format.md): no header and no checksum, so the
 * length it came from travels beside it.
 *
 * Fails    ERR_NOMEM; ERR_TOO_BIG at out's ceiling, or beyond what one block holds (2 GB);
 *          ERR_INVALID: no block, or not one of that length. out is as it was.
 * Threads  any.
 */
#pragma once

#include "common/base/buf.h"

MUST_USE enum err compress_block(struct slice in, struct buf *out);
/* Appends exactly `len` bytes, or nothing. */
MUST_USE enum err decompress_block(struct slice in, size_t len, struct buf *out);
