/*
 * trie — a hash trie whose versions share what they have in common (Bagwell's HAMT).
 *
 * Putting or removing copies the branches on the way, unless the trie alone holds them: building
 * a whole policy costs no copies, a delta costs its own size. Values bring their key and
 * their counting by `trie_ops`.
 *
 * Owns     one count on every value.
 * Fails    ERR_NOMEM, and the trie is as it was.
 * Threads  reading: any. Writing: the owner of this root; shared branches are never written.
 */
#pragma once

#include "common/base/slice.h"

struct trie_node;

struct trie_ops {
    struct slice (*key)(const void *value);
    void (*hold)(void *value);
    void (*drop)(void *value);
};

struct trie {
    struct trie_node *root; /* NULL: empty */
    size_t count;
};

struct trie trie_share(const struct trie *t); /* another version; both are fini'd */
void trie_fini(struct trie *t, const struct trie_ops *ops);
void *trie_find(const struct trie *t, const struct trie_ops *ops, struct slice key);
/* Puts or replaces by the value's key; takes a count of its own. */
MUST_USE enum err trie_put(struct trie *t, const struct trie_ops *ops, void *value);
MUST_USE enum err trie_remove(struct trie *t, const struct trie_ops *ops, struct slice key);
/* In no order. fn false: stops. */
bool trie_each(const struct trie *t, bool (*fn)(void *arg, void *value), void *arg);
/* Visits what stands in one of two versions and not, as the same object, in the other: an object
 * that was replaced is visited twice. Costs what was changed, where one grew from the other. */
bool trie_diff(const struct trie *a, const struct trie *b, bool (*fn)(void *arg, void *value),
               void *arg);
