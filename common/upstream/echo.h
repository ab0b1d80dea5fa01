/*
 * echo — an upstream that sends our credential back must not hand it to the client (security.md,
 * What goes out): masked in headers and in the first 16 KiB of a body, across pieces.
 *
 * What is searched for is the credential without its scheme ("Bearer "). Each of its bytes may be
 * written as it is, as a JSON escape (`\/`, `\u002f`, RFC 8259 section 7; in text that was put into
 * JSON twice with more backslashes), or percent-encoded (`%2F`, and `%252F` where it was encoded
 * twice; RFC 3986 section 2.1). Masking keeps lengths.
 *
 * Owns     `held` inside the struct.
 * Fails    ERR_NOMEM, ERR_TOO_BIG.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/slice.h"

#define ECHO_LOOKED_AT (16 * 1024)
#define ECHO_SHORTEST 8 /* a shorter credential would be found in innocent text */

struct echo {
    struct slice needle; /* lent; empty: nothing is looked for */
    size_t seen;         /* bytes of the body that were let through */
    struct buf held;     /* the end of the last piece that may begin the credential */
    struct buf piece;    /* what echo_pass returned last, where it is not the caller's own bytes */
    bool found;
};

/* What is searched for: the credential's last word, lent; empty where it is too short. */
struct slice echo_needle(struct slice credential);
/* Masks every place in one whole text; false: there was none. */
bool echo_mask(struct slice needle, char *text, size_t len);
bool echo_find(struct slice needle, struct slice text);

void echo_init(struct echo *e); /* looks for nothing yet; allocates nothing */
/* A body begins. credential: SLICE_NONE where none was injected; must outlive the body. */
void echo_begin(struct echo *e, struct slice credential);
void echo_fini(struct echo *e);
bool echo_is_in(const struct echo *e, struct slice text);
/* One more piece of the body; *ret is what may go on, masked: lent until the next call, and
 * without a copy where the piece holds nothing suspicious. May be empty. */
MUST_USE enum err echo_pass(struct echo *e, struct slice piece, struct slice *ret);
/* The body is over: what was held goes on. */
struct slice echo_end(struct echo *e);
/* true once enough was seen that pieces may pass as they are */
bool echo_is_over(const struct echo *e);
