/*
 * http1_write — the pieces of a head that server and client put together themselves.
 *
 * Private to common/net; everyone else includes http1.h.
 *
 * Owns     nothing.
 * Threads  any.
 */
#pragma once

#include "common/net/http1.h"

#define HTTP1_LENGTH_LINE 40 /* "Content-Length: ", twenty digits, CRLF */
#define HTTP1_CHUNK_LINE 18  /* sixteen digits, CRLF */

/* Appends ready made text (start line, whole header lines), then the headers, checked, then the
 * empty line. ERR_INVALID: a name is no token, or a value is one that the reader would refuse (CR,
 * LF, NUL, controls); nothing was appended. */
MUST_USE enum err http1_write_head(struct buf *out, const struct slice *ready, size_t ready_count,
                                   const struct http_header *headers, size_t n);
/* method is a token, target visible ASCII */
MUST_USE enum err http1_check_request(struct slice method, struct slice target);

/* These write into out from its end or front and return the piece used. */
struct slice http1_status_digits(unsigned status, char out[static 4]); /* "200 " */
struct slice http1_length_line(uint64_t length, char out[static HTTP1_LENGTH_LINE]);

/* One piece of a body as it goes on the wire, chunked or as it stands: appended whole or not at
 * all, or as parts to write, whose framing lies in `line`. */
#define HTTP1_PIECE_PARTS 3
MUST_USE enum err http1_append_piece(struct buf *out, bool chunked, struct slice data);
size_t http1_piece_parts(bool chunked, struct slice data, char line[static HTTP1_CHUNK_LINE],
                         struct slice parts[static HTTP1_PIECE_PARTS]);
