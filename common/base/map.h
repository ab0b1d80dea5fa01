/*
 * map — names to pointers, hashed with a per-process random seed.
 *
 * The seed keeps a sender of names from choosing collisions (SipHash-1-3).
 *
 * Owns     its table; keys and values are the caller's and must outlive the entry.
 * Fails    ERR_NOMEM, and the map is as it was.
 * Threads  one writer, or many readers.
 */
#pragma once

#include "common/base/slice.h"

struct map;

MUST_USE struct map *map_new(void);
void map_free(struct map *m); /* NULL is fine; values are not touched */
/* Puts or replaces; *old (may be NULL) receives the value that stood there, or NULL. */
MUST_USE enum err map_put(struct map *m, struct slice key, void *value, void **old);
void *map_find(const struct map *m, struct slice key); /* NULL when absent */
void *map_remove(struct map *m, struct slice key);     /* the value, or NULL */
size_t map_size(const struct map *m);
/* *at starts at 0; false at the end. Removing the entry just visited is allowed. */
bool map_each(const struct map *m, size_t *at, struct slice *key, void **value);

/* The seeded hash itself, for tables of other shapes. */
uint64_t map_hash(struct slice key);
