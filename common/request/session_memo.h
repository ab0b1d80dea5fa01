/*
 * session_memo — session ids a worker derived lately, so that a conversation's next request
 * costs no digests.
 *
 * A place for each hash; a newer one takes it. What is compared is all that an id is derived
 * from, so a hit is never another's.
 *
 * Owns     its table.
 * Fails    NULL: everything then works without it.
 * Threads  its worker's.
 */
#pragma once

#include "common/base/slice.h"

struct session_memo;

struct session_key {
    struct slice secret; /* the installation key */
    struct slice owner;
    char kind;
    struct slice name;
};

struct session_memo *session_memo_new(void);
void session_memo_free(struct session_memo *m);
/* The id with its NUL; NULL: not known. Lent until the next keep. */
const char *session_memo_find(const struct session_memo *m, const struct session_key *k);
void session_memo_keep(struct session_memo *m, const struct session_key *k, const char *id);
