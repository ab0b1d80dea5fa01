/* trie — five bits of the key's hash choose the way at each branch. */
#include "common/policy/trie.h"

#include <stdatomic.h>

#include "common/base/map.h"
#include "common/base/mem.h"

#define BITS 5u
#define DEPTH_MAX                                                                                  \
    12u /* 60 of 64 bits; the hash is seeded, so no sender can steer keys this deep                \
         */

struct trie_node {
    atomic_uint refs;
    uint32_t bitmap;   /* which of 32 ways exist */
    uintptr_t slots[]; /* lowest bit set: a value, else a branch */
};

static bool is_value(uintptr_t slot)
{
    return (slot & 1u) != 0;
}

static void *value_of(uintptr_t slot)
{
    return (void *)(slot & ~(uintptr_t)1);
}

static struct trie_node *branch_of(uintptr_t slot)
{
    return (struct trie_node *)slot;
}

static unsigned way_of(uint64_t hash, unsigned depth)
{
    return (unsigned)(hash >> (depth * BITS)) & 31u;
}

static unsigned size_of(const struct trie_node *n)
{
    return (unsigned)__builtin_popcount(n->bitmap);
}

static unsigned place_of(const struct trie_node *n, unsigned way)
{
    return (unsigned)__builtin_popcount(n->bitmap & ((1u << way) - 1u));
}

static struct trie_node *node_new(unsigned slots)
{
    struct trie_node *n = mem_alloc(sizeof(*n) + slots * sizeof(n->slots[0]));
    if (n) {
        atomic_init(&n->refs, 1);
        n->bitmap = 0;
    }
    return n;
}

static void slot_hold(uintptr_t slot, const struct trie_ops *ops)
{
    if (is_value(slot))
        ops->hold(value_of(slot));
    else
        atomic_fetch_add_explicit(&branch_of(slot)->refs, 1, memory_order_relaxed);
}

static void node_drop(struct trie_node *n, const struct trie_ops *ops)
{
    if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < size_of(n); i++) {
        if (is_value(n->slots[i]))
            ops->drop(value_of(n->slots[i]));
        else
            node_drop(branch_of(n->slots[i]), ops);
    }
    mem_free(n);
}

struct trie trie_share(const struct trie *t)
{
    if (t->root)
        atomic_fetch_add_explicit(&t->root->refs, 1, memory_order_relaxed);
    return *t;
}

void trie_fini(struct trie *t, const struct trie_ops *ops)
{
    node_drop(t->root, ops);
    *t = (struct trie){0};
}

void *trie_find(const struct trie *t, const struct trie_ops *ops, struct slice key)
{
    const struct trie_node *n = t->root;
    uint64_t hash = n ? map_hash(key) : 0;
    for (unsigned depth = 0; n; depth++) {
        unsigned way = way_of(hash, depth);
        if (!(n->bitmap & (1u << way)))
            return NULL;
        uintptr_t slot = n->slots[place_of(n, way)];
        if (is_value(slot))
            return slice_eq(ops->key(value_of(slot)), key) ? value_of(slot) : NULL;
        n = branch_of(slot);
    }
    return NULL;
}

/* A copy of n with space for one slot more or less, holding all its children. */
static struct trie_node *node_copy(const struct trie_node *n, unsigned slots,
                                   const struct trie_ops *ops)
{
    struct trie_node *copy = node_new(slots);
    if (!copy)
        return NULL;
    copy->bitmap = n->bitmap;
    for (unsigned i = 0; i < size_of(n) && i < slots; i++) {
        copy->slots[i] = n->slots[i];
        slot_hold(copy->slots[i], ops);
    }
    return copy;
}

/* No other version sees this branch: it may be changed in place. The caller's whole path is its
 * own. */
static bool is_ours(const struct trie_node *n)
{
    return atomic_load_explicit(&n->refs, memory_order_acquire) == 1;
}

static enum err node_insert(struct trie_node **at, unsigned way, uintptr_t slot)
{
    struct trie_node *n = *at;
    unsigned count = size_of(n), place = place_of(n, way);
    struct trie_node *grown = mem_realloc(n, sizeof(*n) + (count + 1) * sizeof(n->slots[0]));
    if (!grown)
        return ERR_NOMEM;
    memmove(&grown->slots[place + 1], &grown->slots[place],
            (count - place) * sizeof(grown->slots[0]));
    grown->slots[place] = slot;
    grown->bitmap |= 1u << way;
    *at = grown;
    return ERR_OK;
}

/* Two values that share a way so far: branches until their hashes part. Holds neither. */
static enum err part(uintptr_t a, uint64_t hash_a, uintptr_t b, uint64_t hash_b, unsigned depth,
                     struct trie_node **ret)
{
    MUST(depth < DEPTH_MAX);
    unsigned way_a = way_of(hash_a, depth), way_b = way_of(hash_b, depth);
    struct trie_node *n = node_new(way_a == way_b ? 1 : 2);
    if (!n)
        return ERR_NOMEM;
    if (way_a != way_b) {
        n->bitmap = (1u << way_a) | (1u << way_b);
        n->slots[way_a < way_b ? 0 : 1] = a;
        n->slots[way_a < way_b ? 1 : 0] = b;
        *ret = n;
        return ERR_OK;
    }
    struct trie_node *below;
    enum err e = part(a, hash_a, b, hash_b, depth + 1, &below);
    if (e != ERR_OK) {
        mem_free(n);
        return e;
    }
    n->bitmap = 1u << way_a;
    n->slots[0] = (uintptr_t)below;
    *ret = n;
    return ERR_OK;
}

struct put {
    const struct trie_ops *ops;
    uint64_t hash;
    struct slice key;
    uintptr_t slot;
    bool replaced;
};

static enum err put_at(struct trie_node **at, struct put *p, unsigned depth);

static enum err put_on_slot(struct trie_node *n, unsigned place, struct put *p, unsigned depth)
{
    uintptr_t old = n->slots[place];
    if (!is_value(old)) {
        struct trie_node *branch = branch_of(old);
        enum err e = put_at(&branch, p, depth + 1);
        n->slots[place] = (uintptr_t)branch;
        return e;
    }
    struct slice old_key = p->ops->key(value_of(old));
    if (slice_eq(old_key, p->key)) {
        n->slots[place] = p->slot;
        p->ops->drop(value_of(old));
        p->replaced = true;
        return ERR_OK;
    }
    struct trie_node *below;
    enum err e = part(old, map_hash(old_key), p->slot, p->hash, depth + 1, &below);
    if (e == ERR_OK)
        n->slots[place] = (uintptr_t)below;
    return e;
}

/* A node that other versions look at is replaced by a copy. */
static enum err make_ours(struct trie_node **at, const struct trie_ops *ops)
{
    if (is_ours(*at))
        return ERR_OK;
    struct trie_node *copy = node_copy(*at, size_of(*at), ops);
    if (!copy)
        return ERR_NOMEM;
    node_drop(*at, ops);
    *at = copy;
    return ERR_OK;
}

/* Makes *at a node of this trie alone, then puts. A failure leaves the same content, perhaps
 * copied. */
static enum err put_at(struct trie_node **at, struct put *p, unsigned depth)
{
    if (make_ours(at, p->ops) != ERR_OK)
        return ERR_NOMEM;
    unsigned way = way_of(p->hash, depth);
    if (!((*at)->bitmap & (1u << way)))
        return node_insert(at, way, p->slot);
    return put_on_slot(*at, place_of(*at, way), p, depth);
}

enum err trie_put(struct trie *t, const struct trie_ops *ops, void *value)
{
    if (!t->root && !(t->root = node_new(0)))
        return ERR_NOMEM;
    struct put p = {.ops = ops, .key = ops->key(value), .slot = (uintptr_t)value | 1u};
    p.hash = map_hash(p.key);
    ops->hold(value);
    enum err e = put_at(&t->root, &p, 0);
    if (e != ERR_OK)
        ops->drop(value);
    else if (!p.replaced)
        t->count++;
    return e;
}

/* Branches that become empty stay: they are few and the next put fills them. */
static enum err remove_at(struct trie_node **at, struct put *p, unsigned depth)
{
    if (make_ours(at, p->ops) != ERR_OK)
        return ERR_NOMEM;
    struct trie_node *n = *at;
    unsigned way = way_of(p->hash, depth), place = place_of(n, way);
    uintptr_t slot = n->slots[place];
    if (!is_value(slot)) {
        struct trie_node *branch = branch_of(slot);
        enum err e = remove_at(&branch, p, depth + 1);
        n->slots[place] = (uintptr_t)branch;
        return e;
    }
    p->ops->drop(value_of(slot));
    memmove(&n->slots[place], &n->slots[place + 1], (size_of(n) - place - 1) * sizeof(n->slots[0]));
    n->bitmap &= ~(1u << way);
    return ERR_OK;
}

enum err trie_remove(struct trie *t, const struct trie_ops *ops, struct slice key)
{
    if (!trie_find(t, ops, key))
        return ERR_NOT_FOUND;
    struct put p = {.ops = ops, .key = key, .hash = map_hash(key)};
    enum err e = remove_at(&t->root, &p, 0);
    if (e == ERR_OK)
        t->count--;
    return e;
}

static bool each_below(const struct trie_node *n, bool (*fn)(void *arg, void *value), void *arg)
{
    for (unsigned i = 0; n && i < size_of(n); i++) {
        uintptr_t slot = n->slots[i];
        if (is_value(slot) ? !fn(arg, value_of(slot)) : !each_below(branch_of(slot), fn, arg))
            return false;
    }
    return true;
}

bool trie_each(const struct trie *t, bool (*fn)(void *arg, void *value), void *arg)
{
    return each_below(t->root, fn, arg);
}

/* ---- what two versions do not share ---- */

struct diff {
    bool (*fn)(void *arg, void *value);
    void *arg;
    uintptr_t except; /* a value that both have */
    bool seen;        /* it was met */
};

static bool visit_but(void *arg, void *value)
{
    struct diff *d = arg;
    if (value == value_of(d->except)) {
        d->seen = true;
        return true;
    }
    return d->fn(d->arg, value);
}

static bool visit_slot(uintptr_t slot, struct diff *d)
{
    if (!slot)
        return true;
    return is_value(slot) ? d->fn(d->arg, value_of(slot))
                          : each_below(branch_of(slot), d->fn, d->arg);
}

/* One version has a value where the other has a branch, which may hold the same value. */
static bool diff_value_and_branch(uintptr_t value, uintptr_t branch, struct diff *d)
{
    struct diff but = {d->fn, d->arg, value, false};
    return each_below(branch_of(branch), visit_but, &but) && (but.seen || visit_slot(value, d));
}

static uintptr_t slot_at(const struct trie_node *n, unsigned way)
{
    return n && (n->bitmap & (1u << way)) ? n->slots[place_of(n, way)] : 0;
}

static bool diff_below(const struct trie_node *a, const struct trie_node *b, struct diff *d)
{
    if (a == b)
        return true;
    for (unsigned way = 0; way < 32; way++) {
        uintptr_t in_a = slot_at(a, way), in_b = slot_at(b, way);
        bool go_on;
        if (in_a == in_b)
            continue;
        if (!in_a || !in_b || (is_value(in_a) && is_value(in_b)))
            go_on = visit_slot(in_a, d) && visit_slot(in_b, d);
        else if (is_value(in_a))
            go_on = diff_value_and_branch(in_a, in_b, d);
        else if (is_value(in_b))
            go_on = diff_value_and_branch(in_b, in_a, d);
        else
            go_on = diff_below(branch_of(in_a), branch_of(in_b), d);
        if (!go_on)
            return false;
    }
    return true;
}

bool trie_diff(const struct trie *a, const struct trie *b, bool (*fn)(void *arg, void *value),
               void *arg)
{
    struct diff d = {.fn = fn, .arg = arg};
    return diff_below(a->root, b->root, &d);
}
