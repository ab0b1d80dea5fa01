/* fold — the entries, and an index over them that is made anew at each start. */
#include "common/journal/fold.h"

#include "common/base/crc32c.h"
#include "common/base/mem.h"

#define NONE UINT32_MAX
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

static const struct fold_sums *live(const struct fold_entry *e)
{
    return &e->sums[atomic_load_explicit(&e->version, memory_order_relaxed) & 1];
}

/* Not seen by anybody before the version is stored. */
static struct fold_sums *other(struct fold_entry *e)
{
    return &e->sums[~atomic_load_explicit(&e->version, memory_order_relaxed) & 1];
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
    uint32_t *head = head_of(f, f->entries[i].key, f->entries[i].key_len);
    f->next[i] = *head;
    *head = i;
}

static void link_out(struct fold *f, uint32_t i)
{
    uint32_t *at = head_of(f, f->entries[i].key, f->entries[i].key_len);
    while (*at != i)
        at = &f->next[*at];
    *at = f->next[i];
}

/* ---- birth ---- */

/* An entry that is in use must be one that we could have written: its texts go into a record. */
static enum err take_in(struct fold *f, uint32_t i)
{
    const struct fold_entry *e = &f->entries[i];
    struct fold_call c;
    if (live(e)->calls == 0) {
        f->free[f->free_count++] = i;
        return ERR_OK;
    }
    if (e->key_len > FOLD_KEY)
        return ERR_INVALID;
    fold_get(f, i, &c);
    if (!fold_call_is_sound(&c))
        return ERR_INVALID;
    link_in(f, i);
    return ERR_OK;
}

static enum err index_all(struct fold *f, bool fresh)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; i <= f->mask; i++)
        f->heads[i] = NONE;
    for (uint32_t i = f->count; i-- > 0 && e == ERR_OK;) { /* the first entries are used first */
        if (fresh)
            f->free[f->free_count++] = i;
        else
            e = take_in(f, i);
    }
    return e;
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
    *another = NONE;
    for (uint32_t i = *head_of(f, c->key, c->key_len); i != NONE; i = f->next[i]) {
        const struct fold_entry *e = &f->entries[i];
        if (e->key_len != c->key_len || memcmp(e->key, c->key, c->key_len) != 0 ||
            !fold_sums_have_room(live(e), &c->sums))
            continue;
        if (e->minute == c->minute)
            return i;
        *another = i;
    }
    return NONE;
}

/* The key is written while the entry is free: until it counts a call, nobody reads it. */
static void stage_new(struct fold_entry *e, const struct fold_call *c)
{
    e->minute = c->minute;
    e->key_len = c->key_len;
    memcpy(e->key, c->key, c->key_len);
    *other(e) = c->sums;
}

static void stage_more(struct fold_entry *e, const struct fold_call *c)
{
    struct fold_sums *sums = other(e);
    *sums = *live(e);
    fold_sums_add(sums, &c->sums);
}

enum err fold_stage(struct fold *f, const struct fold_call *c, uint32_t may_take,
                    struct fold_place *ret)
{
    uint32_t another, i = find(f, c, &another);
    if (i == NONE && (may_take == 0 || may_take < f->count / SHORT_PART))
        i = another;
    if (i != NONE)
        stage_more(&f->entries[i], c);
    else if (may_take > 0 && f->free_count > 0)
        stage_new(&f->entries[i = f->free[f->free_count - 1]], c);
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
    MUST(f->free_count > 0 && f->free[f->free_count - 1] == p->index);
    f->free_count--;
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
    ret->minute = e->minute;
    ret->sums = *live(e);
    ret->key_len = e->key_len;
    memcpy(ret->key, e->key, e->key_len);
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
    memset(other(e), 0, sizeof(struct fold_sums));
    turn(e);
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
