/* snapshot_build — see the card. Every table an object stands in is a row of `enter` and `leave`.
 */
#include "common/policy/snapshot_build.h"

#include "common/base/mem.h"
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
        }
        s->keys_by_digest = trie_share(&from->keys_by_digest);
        s->grants = trie_share(&from->grants);
        s->blocks = trie_share(&from->blocks);
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

static struct trie *groups_of(struct snapshot *s, const struct object *o)
{
    if (o->policy->kind == GATEHOUSE__OBJECT_KIND__KIND_GRANT)
        return &s->grants;
    return o->policy->kind == GATEHOUSE__OBJECT_KIND__KIND_BLOCK ? &s->blocks : NULL;
}

/* A copy of old without `without` and with `with` (either may be NULL). NULL: no memory. */
static struct group *group_copy(const struct group *old, const struct object *without,
                                struct object *with)
{
    size_t room = (old ? old->count : 0) + 1;
    struct group *g = mem_zalloc(sizeof(*g) + room * sizeof(g->items[0]));
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

/* ---- an object's tables ---- */

static bool is_key(const struct object *o)
{
    return o->policy->kind == GATEHOUSE__OBJECT_KIND__KIND_KEY;
}

static struct secret *make_ready(struct slice key)
{
    struct digest_hmac_key ready;
    digest_hmac_ready(key, &ready);
    struct secret *s = secret_new(slice_of(&ready, sizeof(ready)));
    secret_wipe(&ready, sizeof(ready));
    return s;
}

static enum err take_settings(struct snapshot *s, const struct object *o)
{
    Gatehouse__PolicyObject *m =
        gatehouse__policy_object__unpack(NULL, o->packed.len, (const uint8_t *)o->packed.ptr);
    if (!m || !m->settings) {
        gatehouse__policy_object__free_unpacked(m, NULL);
        return ERR_INVALID;
    }
    struct slice hmac = slice_of(m->settings->key_hmac.data, m->settings->key_hmac.len);
    struct slice seal = slice_of(m->settings->session_seal.data, m->settings->session_seal.len);
    secret_drop(s->key_hmac);
    secret_drop(s->key_ready);
    secret_drop(s->session_seal);
    s->key_hmac = secret_new(hmac);
    s->key_ready = make_ready(hmac);
    s->session_seal = secret_new(seal);
    if (hmac.len > 0)
        secret_wipe(m->settings->key_hmac.data, hmac.len);
    if (seal.len > 0)
        secret_wipe(m->settings->session_seal.data, seal.len);
    gatehouse__policy_object__free_unpacked(m, NULL);
    return s->key_hmac && s->key_ready && s->session_seal ? ERR_OK : ERR_NOMEM;
}

static enum err enter(struct snapshot *s, struct object *o)
{
    enum err e = trie_put(&s->by_id[o->policy->kind], &trie_by_id, o);
    if (e == ERR_OK && o->scoped.len > 0)
        e = trie_put(&s->by_name[o->policy->kind], &trie_by_name, o);
    if (e == ERR_OK && is_key(o))
        e = trie_put(&s->keys_by_digest, &trie_by_digest, o);
    struct trie *groups = groups_of(s, o);
    if (e == ERR_OK && groups)
        e = group_enter(groups, o);
    if (e == ERR_OK && o->policy->kind == GATEHOUSE__OBJECT_KIND__KIND_SETTINGS)
        e = take_settings(s, o);
    if (e == ERR_OK)
        digest_add(&s->digest, &o->row);
    return e;
}

/* A name or digest may already belong to another object of the same delta: only what is ours goes.
 */
static enum err leave_index(struct trie *t, const struct trie_ops *ops, struct object *o)
{
    struct slice key = ops->key(o);
    return trie_find(t, ops, key) == o ? trie_remove(t, ops, key) : ERR_OK;
}

static enum err leave(struct snapshot *s, struct object *o)
{
    enum err e = ERR_OK;
    struct trie *groups = groups_of(s, o);
    if (groups)
        e = group_leave(groups, o);
    if (e == ERR_OK && o->scoped.len > 0)
        e = leave_index(&s->by_name[o->policy->kind], &trie_by_name, o);
    if (e == ERR_OK && is_key(o))
        e = leave_index(&s->keys_by_digest, &trie_by_digest, o);
    if (e == ERR_OK) {
        digest_sub(&s->digest, &o->row);
        e = trie_remove(&s->by_id[o->policy->kind], &trie_by_id, o->policy->id);
    }
    return e;
}

enum err snapshot_build_apply(struct snapshot_build *b, const void *object)
{
    const Gatehouse__PolicyObject *m = object;
    if (m->kind <= 0 || m->kind >= SNAPSHOT_KINDS || !m->id)
        return ERR_INVALID;
    struct object *old = trie_find(&b->s->by_id[m->kind], &trie_by_id, slice_str(m->id));
    const struct object *before = old;
    if (!before && b->inherit_from)
        before = trie_find(&b->inherit_from->by_id[m->kind], &trie_by_id, slice_str(m->id));
    struct object *fresh = NULL;
    enum err e = m->deleted ? ERR_OK : object_new(m, before, b->registry, &fresh);
    if (e != ERR_OK)
        return e;
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

struct snapshot *snapshot_build_end(struct snapshot_build **b, struct slice lineage,
                                    uint64_t version)
{
    struct snapshot *s = (*b)->s;
    s->lineage_len = lineage.len < LINEAGE_MAX ? lineage.len : LINEAGE_MAX;
    memcpy(s->lineage, lineage.ptr, s->lineage_len);
    s->version = version;
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
