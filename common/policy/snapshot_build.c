/*
 * snapshot_build — an object enters and leaves the tables for which it has a key; nothing here
 * knows a noun.
 */
#include "common/policy/snapshot_build.h"

#include <stdatomic.h>

#include "common/base/mem.h"
#include "common/policy/kind.h"
#include "common/policy/snapshot_private.h"

struct snapshot_build {
    struct snapshot *s;
    struct registry *registry;
    const struct snapshot *inherit_from; /* held; NULL: none */
};

static struct snapshot *snapshot_copy(const struct snapshot *from)
{
    struct snapshot *s = mem_zalloc(sizeof(*s));
    if (!s)
        return NULL;
    if (from) {
        /* all behind the count, which workers that hold `from` change meanwhile */
        const size_t behind = offsetof(struct snapshot, lineage);
        memcpy((char *)s + behind, (const char *)from + behind, sizeof(*s) - behind);
        for (size_t i = 0; i < SNAPSHOT_KINDS; i++) {
            s->by_id[i] = trie_share(&from->by_id[i]);
            s->by_name[i] = trie_share(&from->by_name[i]);
            s->by_lookup[i] = trie_share(&from->by_lookup[i]);
            s->by_subject[i] = trie_share(&from->by_subject[i]);
        }
        s->refused = trie_share(&from->refused);
        if (from->key_hmac)
            secret_hold(from->key_hmac);
        if (from->key_ready)
            secret_hold(from->key_ready);
        if (from->session_seal)
            secret_hold(from->session_seal);
    }
    atomic_init(&s->refs, 1);
    return s;
}

enum err snapshot_build_begin(const struct snapshot *from, struct registry *r,
                              struct snapshot_build **ret)
{
    struct snapshot_build *b = mem_zalloc(sizeof(*b));
    if (!b)
        return ERR_NOMEM;
    b->s = snapshot_copy(from);
    if (!b->s) {
        mem_free(b);
        return ERR_NOMEM;
    }
    b->registry = r;
    *ret = b;
    return ERR_OK;
}

void snapshot_build_inherit(struct snapshot_build *b, const struct snapshot *from)
{
    snapshot_drop(b->inherit_from);
    b->inherit_from = from ? snapshot_hold(from) : NULL;
}

/* ---- groups: the grants or blocks of one subject, copied when one is added or taken away ---- */

/* A copy of old without `without` and with `with` (either may be NULL). NULL: no memory. */
static struct group *group_copy(const struct group *old, const struct object *without,
                                struct object *with)
{
    size_t capacity = (old ? old->count : 0) + 1;
    struct group *g = mem_zalloc(sizeof(*g) + capacity * sizeof(g->items[0]));
    if (!g)
        return NULL;
    atomic_init(&g->refs, 1);
    for (size_t i = 0; old && i < old->count; i++) {
        if (old->items[i] != without)
            g->items[g->count++] = old->items[i];
    }
    if (with)
        g->items[g->count++] = with;
    for (size_t i = 0; i < g->count; i++)
        object_hold(g->items[i]);
    return g;
}

static enum err group_enter(struct trie *groups, struct object *o)
{
    struct group *g = group_copy(trie_find(groups, &trie_groups, o->subject), NULL, o);
    if (!g)
        return ERR_NOMEM;
    enum err e = trie_put(groups, &trie_groups, g);
    trie_groups.drop(g);
    return e;
}

static enum err group_leave(struct trie *groups, struct object *o)
{
    const struct group *old = trie_find(groups, &trie_groups, o->subject);
    MUST(old != NULL);
    if (old->count == 1)
        return trie_remove(groups, &trie_groups, o->subject);
    struct group *g = group_copy(old, o, NULL);
    if (!g)
        return ERR_NOMEM;
    enum err e = trie_put(groups, &trie_groups, g);
    trie_groups.drop(g);
    return e;
}

/* ---- an object's tables: those for which it has a key ---- */

static enum err enter_tables(struct snapshot *s, struct object *o)
{
    const int k = o->policy->kind;
    enum err e = trie_put(&s->by_id[k], &trie_by_id, o);
    if (e == ERR_OK && o->scoped.len > 0)
        e = trie_put(&s->by_name[k], &trie_by_name, o);
    if (e == ERR_OK && o->lookup.len > 0)
        e = trie_put(&s->by_lookup[k], &trie_by_lookup, o);
    if (e == ERR_OK && o->subject.len > 0)
        e = group_enter(&s->by_subject[k], o);
    return e == ERR_OK && o->kind->enter ? o->kind->enter(s, o) : e;
}

static enum err enter(struct snapshot *s, struct object *o)
{
    enum err e = o->kind ? enter_tables(s, o) : trie_put(&s->refused, &trie_by_name, o);
    if (e == ERR_OK)
        digest_add(&s->digest, &o->row);
    return e;
}

/* A name or digest may already belong to another object of the same delta: only an entry that is
 * this object's goes. */
static enum err leave_index(struct trie *t, const struct trie_ops *ops, struct object *o)
{
    struct slice key = ops->key(o);
    return key.len > 0 && trie_find(t, ops, key) == o ? trie_remove(t, ops, key) : ERR_OK;
}

static enum err leave_tables(struct snapshot *s, struct object *o)
{
    const int k = o->policy->kind;
    enum err e = o->subject.len > 0 ? group_leave(&s->by_subject[k], o) : ERR_OK;
    if (e == ERR_OK)
        e = leave_index(&s->by_name[k], &trie_by_name, o);
    if (e == ERR_OK)
        e = leave_index(&s->by_lookup[k], &trie_by_lookup, o);
    if (e == ERR_OK && o->kind->leave)
        o->kind->leave(s);
    return e == ERR_OK ? trie_remove(&s->by_id[k], &trie_by_id, o->policy->id) : e;
}

static enum err leave(struct snapshot *s, struct object *o)
{
    enum err e = o->kind ? leave_tables(s, o) : trie_remove(&s->refused, &trie_by_name, o->scoped);
    if (e == ERR_OK)
        digest_sub(&s->digest, &o->row);
    return e;
}

/* The object of that kind and id as this policy has it, applied or refused; NULL: none. */
static struct object *find_object(const struct snapshot *s, int kind, struct slice id)
{
    char key[OBJECT_REFUSED_KEY_MAX];
    struct object *o = policy_kind_find(kind) ? trie_find(&s->by_id[kind], &trie_by_id, id) : NULL;
    if (o || s->refused.count == 0)
        return o;
    return trie_find(&s->refused, &trie_by_name, object_refused_key(kind, id, key));
}

/* The revision whose meter the new one takes over: a refused one has none. */
static const struct object *revision_before(const struct snapshot_build *b, int kind,
                                            struct slice id)
{
    const struct object *o = find_object(b->s, kind, id);
    if (!o && b->inherit_from)
        o = find_object(b->inherit_from, kind, id);
    return o && o->kind ? o : NULL;
}

enum err snapshot_build_apply(struct snapshot_build *b, const void *object)
{
    const Gatehouse__PolicyObject *m = object;
    struct object *fresh = NULL;
    if (!m->id)
        return ERR_INVALID;
    struct slice id = slice_str(m->id);
    const struct object *before = revision_before(b, (int)m->kind, id);
    enum err e = m->deleted ? ERR_OK : object_new(m, before, b->registry, &fresh);
    if (e != ERR_OK)
        return e;
    struct object *old = find_object(b->s, (int)m->kind, id);
    if (old) {
        object_hold(old);
        e = leave(b->s, old);
        object_drop(old);
    }
    if (e == ERR_OK && fresh)
        e = enter(b->s, fresh);
    object_drop(fresh);
    return e;
}

static _Atomic uint64_t serials;

struct snapshot *snapshot_build_end(struct snapshot_build **b, struct slice lineage,
                                    uint64_t version)
{
    struct snapshot *s = (*b)->s;
    s->lineage_len = lineage.len < LINEAGE_MAX ? lineage.len : LINEAGE_MAX;
    memcpy(s->lineage, lineage.ptr, s->lineage_len);
    s->version = version;
    s->serial = atomic_fetch_add(&serials, 1) + 1;
    snapshot_drop((*b)->inherit_from);
    mem_free(*b);
    *b = NULL;
    return s;
}

void snapshot_build_cancel(struct snapshot_build **b)
{
    if (!*b)
        return;
    snapshot_drop((*b)->s);
    snapshot_drop((*b)->inherit_from);
    mem_free(*b);
    *b = NULL;
}
