/*
 * echo — an upstream that sends our credential back must not hand it to the client (security.md,
 * What goes out): cut from headers and from the first 16 KiB of a body, across pieces.
 *
 * What is searched for is the credential without its scheme ("Bearer "). Masking keeps lengths.
 *
 * Owns     nothing; `held` is inside the struct.
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
    bool found;
};

/* What is searched for: the credential's last word, lent; empty where it is too short. */
struct slice echo_needle(struct slice credential);
/* Masks every place in one whole piece; false: there was none. */
bool echo_mask(struct slice needle, char *text, size_t len);

/* credential: SLICE_NONE where none was injected; must outlive the echo. */
void echo_init(struct echo *e, struct slice credential);
void echo_fini(struct echo *e);
bool echo_is_in(const struct echo *e, struct slice text);
/* One more piece of the body: appends to out what may go on, masked. */
MUST_USE enum err echo_pass(struct echo *e, struct slice piece, struct buf *out);
/* The body is over: what was held goes on. */
MUST_USE enum err echo_end(struct echo *e, struct buf *out);
/* true once enough was seen that pieces may pass as they are */
bool echo_is_over(const struct echo *e);
