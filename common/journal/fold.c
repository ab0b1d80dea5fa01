/* fold — the entries, and an index over them that is made anew at each start. */
#include "common/journal/fold.h"

#include "common/base/crc32c.h"
#include "common/base/mem.h"

#define NONE UINT32_MAX
#define CLAIMED (UINT32_MAX - 1) /* an entry that is the second one of another */
/* Less than this part of the entries left to take: minutes are given up. */
#define SHORT_PART 4

struct fold {
    struct fold_entry *entries;
    uint32_t count;
    uint32_t free_count;
    uint32_t *free;  /* a stack */
    uint32_t *heads; /* chains by the key's hash; as many as a power of two */
    uint32_t *next;
    uint32_t mask;
};

static const struct fold_stored *live(const struct fold_entry *e)
{
    return &e->sums[atomic_load_explicit(&e->version, memory_order_relaxed) & 1];
}

static unsigned live_copy(const struct fold_entry *e)
{
    return (unsigned)atomic_load_explicit(&e->version, memory_order_relaxed) & 1;
}

/* ---- one entry or two ---- */

uint32_t fold_entries_for(size_t record_len, size_t charges)
{
    /* a key holds a byte for each text that a record leaves out */
    return charges > FOLD_OWN_CHARGES || record_len + 16 > FOLD_KEY ? 2 : 1;
}

static bool is_wide(const struct fold_call *c)
{
    return c->charges > FOLD_OWN_CHARGES || c->key_len > FOLD_KEY;
}

static uint32_t own_len(uint32_t key_len)
{
    return key_len < FOLD_KEY ? key_len : FOLD_KEY;
}

/* The key field of a second entry: amounts of both copies, and the rest of the key. */
static char *more_of(const struct fold *f, const struct fold_entry *e)
{
    return e->more ? f->entries[e->more - 1].key : NULL;
}

static char *more_amounts(char *more, unsigned copy)
{
    return more + copy * FOLD_MORE_CHARGES * sizeof(int64_t);
}

static char *more_key(char *more)
{
    return more + 2 * FOLD_MORE_CHARGES * sizeof(int64_t);
}

static void read_sums(const struct fold *f, const struct fold_entry *e, unsigned copy,
                      struct fold_sums *ret)
{
    const struct fold_stored *from = &e->sums[copy];
    char *more = more_of(f, e);
    *ret = (struct fold_sums){.calls = from->calls,
                              .cost = from->cost,
                              .first_us = from->first_us,
                              .last_us = from->last_us};
    memcpy(ret->tokens, from->tokens, sizeof(ret->tokens));
    memcpy(ret->amounts, from->amounts, sizeof(from->amounts));
    if (more)
        memcpy(ret->amounts + FOLD_OWN_CHARGES, more_amounts(more, copy),
               FOLD_MORE_CHARGES * sizeof(int64_t));
}

/* Into the copy that does not count: it is not read before the version is stored. */
static void write_sums(struct fold *f, struct fold_entry *e, const struct fold_sums *from)
{
    unsigned copy = !live_copy(e);
    struct fold_stored *to = &e->sums[copy];
    char *more = more_of(f, e);
    *to = (struct fold_stored){.calls = from->calls,
                               .cost = from->cost,
                               .first_us = from->first_us,
                               .last_us = from->last_us};
    memcpy(to->tokens, from->tokens, sizeof(to->tokens));
    memcpy(to->amounts, from->amounts, sizeof(to->amounts));
    if (more)
        memcpy(more_amounts(more, copy), from->amounts + FOLD_OWN_CHARGES,
               FOLD_MORE_CHARGES * sizeof(int64_t));
}

static void write_key(struct fold *f, struct fold_entry *e, const struct fold_call *c)
{
    uint32_t own = own_len(c->key_len);
    e->key_len = c->key_len;
    memcpy(e->key, c->key, own);
    if (c->key_len > own)
        memcpy(more_key(more_of(f, e)), c->key + own, c->key_len - own);
}

static bool has_key(const struct fold *f, const struct fold_entry *e, const struct fold_call *c)
{
    uint32_t own = own_len(c->key_len);
    char *more = more_of(f, e);
    return e->key_len == c->key_len && memcmp(e->key, c->key, own) == 0 &&
           (c->key_len == own ||
            (more && memcmp(more_key(more), c->key + own, c->key_len - own) == 0));
}

static void turn(struct fold_entry *e)
{
    uint64_t version = atomic_load_explicit(&e->version, memory_order_relaxed);
    atomic_store_explicit(&e->version, version + 1, memory_order_release);
}

/* ---- the index ---- */

static uint32_t *head_of(const struct fold *f, const char *key, uint32_t len)
{
    return &f->heads[crc32c(slice_of(key, len)) & f->mask];
}

static void link_in(struct fold *f, uint32_t i)
{
    uint32_t *head = head_of(f, f->entries[i].key, own_len(f->entries[i].key_len));
    f->next[i] = *head;
    *head = i;
}

static void link_out(struct fold *f, uint32_t i)
{
    uint32_t *at = head_of(f, f->entries[i].key, own_len(f->entries[i].key_len));
    while (*at != i)
        at = &f->next[*at];
    *at = f->next[i];
}

/* ---- opening the table ---- */

/* An entry that is in use must be one that we could have written: its texts go into a record. */
static enum err take_in(struct fold *f, uint32_t i)
{
    const struct fold_entry *e = &f->entries[i];
    struct fold_call c;
    if (e->key_len > FOLD_KEY_MAX || (e->key_len > FOLD_KEY && !e->more))
        return ERR_INVALID;
    fold_get(f, i, &c);
    if (!fold_call_is_sound(&c))
        return ERR_INVALID;
    link_in(f, i);
    return ERR_OK;
}

/* Marks the second entry of one that is in use. It is free by its own sums, and no other's. */
static enum err claim(struct fold *f, uint32_t i)
{
    uint32_t more = f->entries[i].more;
    if (more == 0)
        return ERR_OK;
    if (more > f->count || live(&f->entries[more - 1])->calls != 0 || f->next[more - 1] == CLAIMED)
        return ERR_INVALID;
    f->next[more - 1] = CLAIMED;
    return ERR_OK;
}

static enum err take_all(struct fold *f)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; i < f->count; i++)
        f->next[i] = NONE;
    for (uint32_t i = 0; i < f->count && e == ERR_OK; i++)
        if (live(&f->entries[i])->calls != 0)
            e = claim(f, i);
    for (uint32_t i = f->count; i-- > 0 && e == ERR_OK;) {
        if (live(&f->entries[i])->calls != 0)
            e = take_in(f, i);
        else if (f->next[i] != CLAIMED)
            f->free[f->free_count++] = i;
    }
    return e;
}

static enum err index_all(struct fold *f, bool fresh)
{
    for (uint32_t i = 0; i <= f->mask; i++)
        f->heads[i] = NONE;
    if (!fresh)
        return take_all(f);
    for (uint32_t i = f->count; i-- > 0;) /* the first entries are used first */
        f->free[f->free_count++] = i;
    return ERR_OK;
}

enum err fold_new(struct fold_entry *entries, uint32_t count, bool fresh, struct fold **ret)
{
    struct fold *f = mem_zalloc(sizeof(*f));
    if (!f)
        return ERR_NOMEM;
    uint32_t heads = 1;
    while (heads < count)
        heads *= 2;
    f->entries = entries;
    f->count = count;
    f->mask = heads - 1;
    f->free = mem_array(count + 1, sizeof(*f->free)); /* an older file has no entries at all */
    f->next = mem_array(count + 1, sizeof(*f->next));
    f->heads = mem_array(heads, sizeof(*f->heads));
    enum err e = f->free && f->next && f->heads ? index_all(f, fresh) : ERR_NOMEM;
    if (e != ERR_OK) {
        fold_free(f);
        return e;
    }
    *ret = f;
    return ERR_OK;
}

void fold_free(struct fold *f)
{
    if (!f)
        return;
    mem_free(f->free);
    mem_free(f->next);
    mem_free(f->heads);
    mem_free(f);
}

uint32_t fold_spare(const struct fold *f)
{
    return f->free_count;
}

uint32_t fold_in_use(const struct fold *f)
{
    return f->count - f->free_count;
}

/* ---- adding ---- */

/* The entry of the same key and minute, or, in *another, one of the same key. */
static uint32_t find(const struct fold *f, const struct fold_call *c, uint32_t *another)
{
    struct fold_sums sums;
    *another = NONE;
    for (uint32_t i = *head_of(f, c->key, own_len(c->key_len)); i != NONE; i = f->next[i]) {
        const struct fold_entry *e = &f->entries[i];
        if (!has_key(f, e, c))
            continue;
        read_sums(f, e, live_copy(e), &sums);
        if (!fold_sums_have_room(&sums, &c->sums))
            continue;
        if (e->minute == c->minute)
            return i;
        *another = i;
    }
    return NONE;
}

/* The key is written while the entry is free: until it counts a call, it is not read. */
static uint32_t stage_new(struct fold *f, const struct fold_call *c)
{
    uint32_t i = f->free[f->free_count - 1];
    struct fold_entry *e = &f->entries[i];
    e->more = is_wide(c) ? f->free[f->free_count - 2] + 1 : 0;
    e->minute = c->minute;
    write_key(f, e, c);
    write_sums(f, e, &c->sums);
    return i;
}

static void stage_more(struct fold *f, struct fold_entry *e, const struct fold_call *c)
{
    struct fold_sums sums;
    read_sums(f, e, live_copy(e), &sums);
    fold_sums_add(&sums, &c->sums);
    write_sums(f, e, &sums);
}

enum err fold_stage(struct fold *f, const struct fold_call *c, uint32_t may_take,
                    struct fold_place *ret)
{
    uint32_t another, i = find(f, c, &another), takes = is_wide(c) ? 2 : 1;
    if (i == NONE && (may_take < takes || may_take < f->count / SHORT_PART))
        i = another;
    if (i != NONE)
        stage_more(f, &f->entries[i], c);
    else if (may_take >= takes && f->free_count >= takes)
        i = stage_new(f, c);
    else
        return ERR_EXHAUSTED;
    *ret = (struct fold_place){
        .index = i,
        .version = atomic_load_explicit(&f->entries[i].version, memory_order_relaxed) + 1};
    return ERR_OK;
}

void fold_commit(struct fold *f, const struct fold_place *p)
{
    struct fold_entry *e = &f->entries[p->index];
    bool is_new = live(e)->calls == 0;
    MUST(p->version == atomic_load_explicit(&e->version, memory_order_relaxed) + 1);
    turn(e);
    if (!is_new)
        return;
    uint32_t takes = e->more ? 2 : 1;
    MUST(f->free_count >= takes && f->free[f->free_count - 1] == p->index);
    f->free_count -= takes;
    link_in(f, p->index);
}

bool fold_is_committed(const struct fold *f, const struct fold_place *p)
{
    return p->index < f->count &&
           atomic_load_explicit(&f->entries[p->index].version, memory_order_relaxed) >= p->version;
}

/* ---- taking out ---- */

bool fold_next(const struct fold *f, uint32_t *i)
{
    while (*i < f->count && live(&f->entries[*i])->calls == 0)
        ++*i;
    return *i < f->count;
}

void fold_get(const struct fold *f, uint32_t i, struct fold_call *ret)
{
    const struct fold_entry *e = &f->entries[i];
    uint32_t own = own_len(e->key_len);
    ret->minute = e->minute;
    read_sums(f, e, live_copy(e), &ret->sums);
    ret->key_len = e->key_len;
    memcpy(ret->key, e->key, own);
    if (e->key_len > own)
        memcpy(ret->key + own, more_key(more_of(f, e)), e->key_len - own);
    ret->charges = fold_call_charges(ret);
}

void fold_note_out(struct fold *f, uint32_t i, uint64_t at)
{
    struct fold_entry *e = &f->entries[i];
    e->out_at = at;
    atomic_store_explicit(&e->out_version, atomic_load_explicit(&e->version, memory_order_relaxed),
                          memory_order_release);
}

void fold_clear(struct fold *f, uint32_t i)
{
    struct fold_entry *e = &f->entries[i];
    link_out(f, i);
    memset(&e->sums[!live_copy(e)], 0, sizeof(e->sums[0]));
    turn(e);
    if (e->more)
        f->free[f->free_count++] = e->more - 1;
    f->free[f->free_count++] = i;
}

void fold_settle(struct fold *f, uint64_t head)
{
    for (uint32_t i = 0; fold_next(f, &i); i++) {
        struct fold_entry *e = &f->entries[i];
        uint64_t version = atomic_load_explicit(&e->version, memory_order_relaxed);
        bool noted = atomic_load_explicit(&e->out_version, memory_order_relaxed) == version;
        if (noted && e->out_at < head)
            fold_clear(f, i);
        else
            atomic_store_explicit(&e->out_version, 0, memory_order_relaxed);
    }
}
