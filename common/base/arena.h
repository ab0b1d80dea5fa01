/*
 * arena — the memory of everything that belongs to one request.
 *
 * Memory is handed out and never given back singly; all of it goes at once.
 * Guests (a JSON tree, a counted snapshot) are adopted with their destructor and
 * leave in reverse order. A reset keeps the first chunk, so a warm worker serves
 * a request without touching the heap.
 *
 * Owns     its chunks and its guests.
 * Fails    NULL or ERR_NOMEM when the heap or the arena's ceiling is reached.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/slice.h"

struct arena;

/* chunk: size of the first and of each further chunk; max: ceiling of all chunks, in bytes */
MUST_USE struct arena *arena_new(size_t chunk, size_t max);
void arena_reset(struct arena *a); /* guests leave, memory stays for reuse */
void arena_free(struct arena *a);  /* NULL is fine */

MUST_USE void *arena_alloc(struct arena *a, size_t size);  /* 16-byte aligned, not zeroed */
MUST_USE void *arena_zalloc(struct arena *a, size_t size); /* zeroed */
/* a copy; .ptr is NULL on failure. The copy is followed by a NUL. */
struct slice arena_copy(struct arena *a, struct slice s);
struct slice arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
/* The guest is destroyed at once when adoption fails, so the caller never has to. */
MUST_USE enum err arena_adopt(struct arena *a, void *guest, void (*leave)(void *guest));
