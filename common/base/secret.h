/*
 * secret — text that must not be printed: kept out of swap and core dumps, wiped on free.
 *
 * Reading it is a visible act (`secret_reveal`), so a search for that word finds
 * every place that reads a secret.
 *
 * Owns     a locked copy of the bytes. Where the lock limit is reached it is still wiped.
 * Fails    NULL.
 * Threads  immutable once made; counted with atomics.
 */
#pragma once

#include "common/base/slice.h"

struct secret;

MUST_USE struct secret *secret_new(struct slice text);
struct secret *secret_hold(struct secret *s);
void secret_drop(struct secret *s); /* NULL is fine */
struct slice secret_reveal(const struct secret *s);
void secret_wipe(void *ptr, size_t len);
/* Core dumps off, ptrace off, for this process. */
void secret_protect_process(void);
