/*
 * map — open addressing with linear probing; removed slots stay as tombstones until the next
 * growth, which is what lets a walk remove what it stands on.
 */
#include "common/base/map.h"

#include <pthread.h>

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/sip.h"

#define FIRST_SLOTS 16

/* hash values with a meaning of their own; real ones are moved above them */
enum { SLOT_FREE, SLOT_TOMBSTONE, SLOT_FIRST_HASH };

struct slot {
    uint64_t hash;
    struct slice key;
    void *value;
};

struct map {
    struct slot *slots;
    size_t count; /* of slots; a power of two, or 0 */
    size_t size;
    size_t tombstones;
};

static uint64_t seed[2];
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void sow(void)
{
    digest_random(seed, sizeof(seed));
}

/* SipHash-1-3: one round a word, three at the end */
uint64_t map_hash(struct slice key)
{
    pthread_once(&seeded, sow);
    struct sip v = sip_take(sip_begin(seed), key, 1);
    v.c ^= 0xFF;
    v = sip_round(sip_round(sip_round(v)));
    return v.a ^ v.b ^ v.c ^ v.d;
}

static uint64_t slot_hash(struct slice key)
{
    uint64_t hash = map_hash(key);
    return hash < SLOT_FIRST_HASH ? hash + SLOT_FIRST_HASH : hash;
}

struct map *map_new(void)
{
    return mem_zalloc(sizeof(struct map));
}

void map_free(struct map *m)
{
    if (!m)
        return;
    mem_free(m->slots);
    mem_free(m);
}

/* the key's slot, or NULL; *free_at (may be NULL) is where it would go */
static struct slot *find(const struct map *m, struct slice key, uint64_t hash,
                         struct slot **free_at)
{
    struct slot *tombstone = NULL;
    if (m->count == 0)
        return NULL;
    for (size_t i = hash & (m->count - 1);; i = (i + 1) & (m->count - 1)) {
        struct slot *s = &m->slots[i];
        if (s->hash == hash && slice_eq(s->key, key))
            return s;
        if (s->hash == SLOT_TOMBSTONE && !tombstone)
            tombstone = s;
        if (s->hash == SLOT_FREE) {
            if (free_at)
                *free_at = tombstone ? tombstone : s;
            return NULL;
        }
    }
}

static enum err rebuild(struct map *m)
{
    size_t count = FIRST_SLOTS;
    while (count / 2 <= m->size) /* at most half full afterwards */
        count *= 2;
    struct slot *slots = mem_array(count, sizeof(*slots));
    if (!slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < m->count; i++) {
        if (m->slots[i].hash < SLOT_FIRST_HASH)
            continue;
        size_t at = m->slots[i].hash & (count - 1);
        while (slots[at].hash != SLOT_FREE)
            at = (at + 1) & (count - 1);
        slots[at] = m->slots[i];
    }
    mem_free(m->slots);
    m->slots = slots;
    m->count = count;
    m->tombstones = 0;
    return ERR_OK;
}

enum err map_put(struct map *m, struct slice key, void *value, void **old)
{
    uint64_t hash = slot_hash(key);
    struct slot *s = find(m, key, hash, NULL);
    if (old)
        *old = s ? s->value : NULL;
    if (s) {
        /* The new key goes in too: the old one usually lives in the value that leaves. */
        s->key = key;
        s->value = value;
        return ERR_OK;
    }
    /* three quarters, tombstones included: a probe must always meet a free slot */
    if (4 * (m->size + m->tombstones + 1) > 3 * m->count) {
        enum err e = rebuild(m);
        if (e)
            return e;
    }
    find(m, key, hash, &s);
    m->tombstones -= s->hash == SLOT_TOMBSTONE;
    *s = (struct slot){.hash = hash, .key = key, .value = value};
    m->size++;
    return ERR_OK;
}

void *map_find(const struct map *m, struct slice key)
{
    struct slot *s = find(m, key, slot_hash(key), NULL);
    return s ? s->value : NULL;
}

void *map_remove(struct map *m, struct slice key)
{
    struct slot *s = find(m, key, slot_hash(key), NULL);
    if (!s)
        return NULL;
    void *value = s->value;
    *s = (struct slot){.hash = SLOT_TOMBSTONE};
    m->tombstones++;
    m->size--;
    return value;
}

size_t map_size(const struct map *m)
{
    return m->size;
}

bool map_each(const struct map *m, size_t *at, struct slice *key, void **value)
{
    while (*at < m->count) {
        const struct slot *s = &m->slots[(*at)++];
        if (s->hash < SLOT_FIRST_HASH)
            continue;
        *key = s->key;
        *value = s->value;
        return true;
    }
    return false;
}
