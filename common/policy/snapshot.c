/* snapshot — finders over the tries; see snapshot_build.c for how one is made. */
#include "common/policy/snapshot.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/policy/snapshot_private.h"

static struct slice key_of_id(const void *value)
{
    return ((const struct object *)value)->policy->id;
}

static struct slice key_of_name(const void *value)
{
    return ((const struct object *)value)->scoped;
}

static struct slice key_of_lookup(const void *value)
{
    return ((const struct object *)value)->lookup;
}

static struct slice key_of_group(const void *value)
{
    return ((const struct group *)value)->items[0]->subject;
}

static void group_hold(void *value)
{
    atomic_fetch_add_explicit(&((struct group *)value)->refs, 1, memory_order_relaxed);
}

static void group_drop(void *value)
{
    struct group *g = value;
    if (atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < g->count; i++)
        object_drop(g->items[i]);
    mem_free(g);
}

const struct trie_ops trie_by_id = {key_of_id, object_hold, object_drop};
const struct trie_ops trie_by_name = {key_of_name, object_hold, object_drop};
const struct trie_ops trie_by_lookup = {key_of_lookup, object_hold, object_drop};
const struct trie_ops trie_groups = {key_of_group, group_hold, group_drop};

struct snapshot *snapshot_hold(const struct snapshot *s)
{
    struct snapshot *mine = (struct snapshot *)(uintptr_t)s;
    atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
    return mine;
}

void snapshot_drop(const struct snapshot *s)
{
    struct snapshot *mine = (struct snapshot *)(uintptr_t)s;
    if (!mine || atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < SNAPSHOT_KINDS; i++) {
        trie_fini(&mine->by_id[i], &trie_by_id);
        trie_fini(&mine->by_name[i], &trie_by_name);
        trie_fini(&mine->by_lookup[i], &trie_by_lookup);
        trie_fini(&mine->by_subject[i], &trie_groups);
    }
    trie_fini(&mine->refused, &trie_by_name);
    secret_drop(mine->key_hmac);
    secret_drop(mine->key_ready);
    secret_drop(mine->session_seal);
    mem_free(mine);
}

uint64_t snapshot_serial(const struct snapshot *s)
{
    return s->serial;
}

struct slice snapshot_lineage(const struct snapshot *s)
{
    return slice_of(s->lineage, s->lineage_len);
}

struct slice snapshot_key_hmac(const struct snapshot *s)
{
    return s->key_hmac ? secret_reveal(s->key_hmac) : SLICE_NONE;
}

const struct digest_hmac_key *snapshot_key_ready(const struct snapshot *s)
{
    if (!s->key_ready || snapshot_key_hmac(s).len == 0)
        return NULL;
    return (const void *)secret_reveal(s->key_ready).ptr; /* a page's beginning: aligned */
}

struct slice snapshot_session_seal(const struct snapshot *s)
{
    return s->session_seal ? secret_reveal(s->session_seal) : SLICE_NONE;
}

static const void *by_id(const struct snapshot *s, Gatehouse__ObjectKind kind, struct slice id)
{
    const struct object *o = trie_find(&s->by_id[kind], &trie_by_id, id);
    return o ? o->policy : NULL;
}

const struct policy_key *snapshot_key_by_digest(const struct snapshot *s, const struct digest *d)
{
    const struct object *o = trie_find(&s->by_lookup[GATEHOUSE__OBJECT_KIND__KIND_KEY],
                                       &trie_by_lookup, slice_of(d->bytes, DIGEST_LEN));
    return o ? (const void *)o->policy : NULL;
}

const struct policy_key *snapshot_key(const struct snapshot *s, struct slice id)
{
    return by_id(s, GATEHOUSE__OBJECT_KIND__KIND_KEY, id);
}

const struct policy_team *snapshot_team(const struct snapshot *s, struct slice id)
{
    return by_id(s, GATEHOUSE__OBJECT_KIND__KIND_TEAM, id);
}

const struct policy_agent *snapshot_agent(const struct snapshot *s, struct slice id)
{
    return by_id(s, GATEHOUSE__OBJECT_KIND__KIND_AGENT, id);
}

const struct policy_task *snapshot_task(const struct snapshot *s, struct slice id)
{
    return by_id(s, GATEHOUSE__OBJECT_KIND__KIND_TASK, id);
}

const struct policy_provider *snapshot_provider(const struct snapshot *s, struct slice id)
{
    return by_id(s, GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, id);
}

const struct policy_model *snapshot_model(const struct snapshot *s, struct slice id)
{
    return by_id(s, GATEHOUSE__OBJECT_KIND__KIND_MODEL, id);
}

/* Names come from requests: a pair too long for the buffer cannot be in the policy. */
static const void *by_name(const struct snapshot *s, Gatehouse__ObjectKind kind, struct slice org,
                           struct slice name)
{
    char scoped[512];
    if (org.len + name.len + 1 > sizeof(scoped))
        return NULL;
    memcpy(scoped, org.ptr, org.len);
    scoped[org.len] = '/';
    memcpy(scoped + org.len + 1, name.ptr, name.len);
    const struct object *o =
        trie_find(&s->by_name[kind], &trie_by_name, slice_of(scoped, org.len + 1 + name.len));
    return o ? o->policy : NULL;
}

const struct policy_task *snapshot_task_named(const struct snapshot *s, struct slice org,
                                              struct slice name)
{
    return by_name(s, GATEHOUSE__OBJECT_KIND__KIND_TASK, org, name);
}

const struct policy_model *snapshot_model_named(const struct snapshot *s, struct slice org,
                                                struct slice name)
{
    return by_name(s, GATEHOUSE__OBJECT_KIND__KIND_MODEL, org, name);
}

const struct policy_catalogue *snapshot_catalogue_named(const struct snapshot *s, struct slice org,
                                                        struct slice name)
{
    return by_name(s, GATEHOUSE__OBJECT_KIND__KIND_CATALOGUE, org, name);
}

const struct policy_catalogue *snapshot_catalogue(const struct snapshot *s, struct slice id)
{
    return by_id(s, GATEHOUSE__OBJECT_KIND__KIND_CATALOGUE, id);
}

#define WILD_NAME_MAX 256 /* of a model; longer ones are no vendor's */

/* What a wildcard may stand for: it goes upstream, and into spans. */
static bool is_wild_name(struct slice name)
{
    if (name.len == 0 || name.len > WILD_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] <= ' ' || (unsigned char)name.ptr[i] >= 0x7f ||
            name.ptr[i] == '*')
            return false;
    return true;
}

static const struct policy_model *model_of_prefix(const struct snapshot *s, struct slice org,
                                                  struct slice name, size_t prefix)
{
    char pattern[WILD_NAME_MAX + 1];
    *slice_put(pattern, slice_first(name, prefix)) = '*';
    return snapshot_model_named(s, org, slice_of(pattern, prefix + 1));
}

const struct policy_model *snapshot_model_for(const struct snapshot *s, struct slice org,
                                              struct slice name, struct slice *rest)
{
    const struct policy_model *m = snapshot_model_named(s, org, name);
    *rest = SLICE_NONE;
    if (m && !m->wildcard)
        return m;
    if (!is_wild_name(name))
        return NULL;
    size_t prefix = name.len - 1; /* something is left for the star */
    for (m = NULL; !m; prefix--) {
        if (prefix == 0 || name.ptr[prefix - 1] == '/')
            m = model_of_prefix(s, org, name, prefix);
        if (m)
            *rest = slice_from(name, prefix);
        if (prefix == 0)
            break;
    }
    return m;
}

const struct policy_server *snapshot_server_named(const struct snapshot *s, struct slice org,
                                                  struct slice name)
{
    return by_name(s, GATEHOUSE__OBJECT_KIND__KIND_MCP_SERVER, org, name);
}

const struct policy_provider *snapshot_provider_named(const struct snapshot *s, struct slice org,
                                                      struct slice name)
{
    return by_name(s, GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, org, name);
}

const struct policy_service *snapshot_service_named(const struct snapshot *s, struct slice org,
                                                    struct slice name)
{
    return by_name(s, GATEHOUSE__OBJECT_KIND__KIND_API_SERVICE, org, name);
}

/* ---- in order of name ---- */

struct gather {
    struct slice org;
    const struct policy_object **items;
    size_t count;
};

static bool gather_one(void *arg, void *value)
{
    struct gather *g = arg;
    const struct policy_object *o = ((const struct object *)value)->policy;
    if (slice_eq(o->org_id, g->org))
        g->items[g->count++] = o;
    return true;
}

static int by_name_order(const void *a, const void *b)
{
    return slice_cmp((*(const struct policy_object *const *)a)->name,
                     (*(const struct policy_object *const *)b)->name);
}

static void each_sorted(const struct snapshot *s, Gatehouse__ObjectKind kind, struct slice org,
                        bool (*fn)(void *arg, const struct policy_object *o), void *arg)
{
    const struct trie *t = &s->by_id[kind];
    struct gather g = {.org = org, .items = mem_array(t->count + 1, sizeof(*g.items))};
    if (!g.items)
        return;
    trie_each(t, gather_one, &g);
    qsort(g.items, g.count, sizeof(*g.items), by_name_order);
    for (size_t i = 0; i < g.count && fn(arg, g.items[i]); i++)
        ;
    mem_free(g.items);
}

struct visit_model {
    bool (*fn)(void *arg, const struct policy_model *m);
    void *arg;
};

static bool visit_model(void *arg, const struct policy_object *o)
{
    struct visit_model *v = arg;
    return v->fn(v->arg, (const void *)o);
}

void snapshot_each_model(const struct snapshot *s, struct slice org,
                         bool (*fn)(void *arg, const struct policy_model *m), void *arg)
{
    struct visit_model v = {fn, arg};
    each_sorted(s, GATEHOUSE__OBJECT_KIND__KIND_MODEL, org, visit_model, &v);
}

struct visit_server {
    bool (*fn)(void *arg, const struct policy_server *m);
    void *arg;
};

static bool visit_server(void *arg, const struct policy_object *o)
{
    struct visit_server *v = arg;
    return v->fn(v->arg, (const void *)o);
}

void snapshot_each_server(const struct snapshot *s, struct slice org,
                          bool (*fn)(void *arg, const struct policy_server *m), void *arg)
{
    struct visit_server v = {fn, arg};
    each_sorted(s, GATEHOUSE__OBJECT_KIND__KIND_MCP_SERVER, org, visit_server, &v);
}

/* Names come from requests: one too long for the buffer cannot be in the policy. */
static const struct policy_alias *find_alias(const struct trie *aliases, struct slice subject_id,
                                             struct slice name)
{
    char key[512];
    if (subject_id.len + name.len + 1 > sizeof(key))
        return NULL;
    char *to = slice_put(key, subject_id);
    *to++ = '\n';
    slice_put(to, name);
    const struct object *o =
        trie_find(aliases, &trie_by_lookup, slice_of(key, subject_id.len + 1 + name.len));
    return o ? (const void *)o->policy : NULL;
}

const struct policy_alias *snapshot_alias(const struct snapshot *s, struct slice subject_id,
                                          struct slice name)
{
    const struct trie *aliases = &s->by_lookup[GATEHOUSE__OBJECT_KIND__KIND_ALIAS];
    return aliases->count ? find_alias(aliases, subject_id, name) : NULL;
}

void snapshot_each_alias(const struct snapshot *s, struct slice subject_id,
                         bool (*fn)(void *arg, const struct policy_alias *a), void *arg)
{
    const struct group *g =
        trie_find(&s->by_subject[GATEHOUSE__OBJECT_KIND__KIND_ALIAS], &trie_groups, subject_id);
    for (size_t i = 0; g && i < g->count && fn(arg, (const void *)g->items[i]->policy); i++)
        ;
}

void snapshot_each_fault(const struct snapshot *s, struct slice subject_id,
                         bool (*fn)(void *arg, const struct policy_fault *f), void *arg)
{
    const struct group *g =
        trie_find(&s->by_subject[GATEHOUSE__OBJECT_KIND__KIND_FAULT], &trie_groups, subject_id);
    for (size_t i = 0; g && i < g->count && fn(arg, (const void *)g->items[i]->policy); i++)
        ;
}

void snapshot_each_grant(const struct snapshot *s, struct slice subject_id,
                         bool (*fn)(void *arg, const struct policy_grant *g), void *arg)
{
    const struct group *g =
        trie_find(&s->by_subject[GATEHOUSE__OBJECT_KIND__KIND_GRANT], &trie_groups, subject_id);
    for (size_t i = 0; g && i < g->count; i++) {
        if (!fn(arg, (const void *)g->items[i]->policy))
            return;
    }
}

bool snapshot_is_blocked(const struct snapshot *s, struct slice kind, struct slice id)
{
    const struct trie *blocks = &s->by_subject[GATEHOUSE__OBJECT_KIND__KIND_BLOCK];
    char subject[256];
    if (blocks->count == 0 || kind.len + id.len + 1 > sizeof(subject))
        return false;
    memcpy(subject, kind.ptr, kind.len);
    subject[kind.len] = ':';
    memcpy(subject + kind.len + 1, id.ptr, id.len);
    return trie_find(blocks, &trie_groups, slice_of(subject, kind.len + 1 + id.len)) != NULL;
}

struct visit_object {
    bool (*fn)(void *arg, const struct object *o);
    void *arg;
};

static bool visit_object(void *arg, void *value)
{
    struct visit_object *v = arg;
    return v->fn(v->arg, value);
}

bool snapshot_each_object(const struct snapshot *s, bool (*fn)(void *arg, const struct object *o),
                          void *arg)
{
    struct visit_object v = {fn, arg};
    for (size_t i = 0; i < SNAPSHOT_KINDS; i++) {
        if (!trie_each(&s->by_id[i], visit_object, &v))
            return false;
    }
    return trie_each(&s->refused, visit_object, &v);
}

struct visit_provider {
    bool (*fn)(void *arg, const struct policy_provider *p);
    void *arg;
};

static bool visit_provider(void *arg, void *value)
{
    const struct visit_provider *v = arg;
    const struct object *o = value;
    return v->fn(v->arg, (const struct policy_provider *)(const void *)o->policy);
}

void snapshot_each_provider(const struct snapshot *s,
                            bool (*fn)(void *arg, const struct policy_provider *p), void *arg)
{
    struct visit_provider v = {fn, arg};
    trie_each(&s->by_id[GATEHOUSE__OBJECT_KIND__KIND_PROVIDER], visit_provider, &v);
}

/* ---- what two versions do not share ---- */

struct visit_change {
    bool (*fn)(void *arg, const struct policy_object *o, struct slice subject);
    void *arg;
};

/* A block's subject is "kind:id". */
static bool visit_change(void *arg, void *value)
{
    const struct visit_change *v = arg;
    const struct object *o = value;
    struct slice subject = o->subject;
    ptrdiff_t colon = slice_find(subject, ':');
    return v->fn(v->arg, o->policy, colon < 0 ? subject : slice_from(subject, (size_t)colon + 1));
}

void snapshot_diff(const struct snapshot *a, const struct snapshot *b,
                   bool (*fn)(void *arg, const struct policy_object *o, struct slice subject),
                   void *arg)
{
    struct visit_change v = {fn, arg};
    for (size_t i = 0; i < SNAPSHOT_KINDS; i++)
        if (!trie_diff(&a->by_id[i], &b->by_id[i], visit_change, &v))
            return;
}

/* ---- what was refused ---- */

size_t snapshot_refused(const struct snapshot *s)
{
    return s->refused.count;
}

struct visit_refused {
    bool (*fn)(void *arg, const struct policy_object *o, enum policy_refusal why);
    void *arg;
};

static bool visit_refused(void *arg, void *value)
{
    struct visit_refused *v = arg;
    const struct object *o = value;
    return v->fn(v->arg, o->policy, o->refusal);
}

void snapshot_each_refused(const struct snapshot *s,
                           bool (*fn)(void *arg, const struct policy_object *o,
                                      enum policy_refusal why),
                           void *arg)
{
    struct visit_refused v = {fn, arg};
    trie_each(&s->refused, visit_refused, &v);
}

const char *policy_refusal_name(enum policy_refusal why)
{
    static const char *const names[] = {
        [POLICY_TAKEN] = "taken",
        [POLICY_UNKNOWN_KIND] = "unknown_kind",
        [POLICY_UNKNOWN_FEATURE] = "unknown_feature",
        [POLICY_UNREADABLE] = "unreadable",
    };
    return names[why];
}
