/*
 * arena — chunks in a chain, a mark that moves forward, guests in a stack.
 *
 * Under AddressSanitizer what was not handed out is poisoned, so a read behind a
 * piece, or after a reset, is caught although the heap never saw a free.
 */
#include "common/base/arena.h"

#include <sanitizer/asan_interface.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"

#define ALIGNMENT 16

struct chunk {
    struct chunk *older;
    size_t size;
    _Alignas(ALIGNMENT) char data[];
};

struct guest {
    struct guest *older;
    void *object;
    void (*leave)(void *guest);
};

struct arena {
    struct chunk *newest;
    struct guest *guests;
    size_t at;    /* in the newest chunk */
    size_t used;  /* handed out, padding included */
    size_t total; /* of all chunks */
    size_t chunk;
    size_t max;
};

static size_t round_up(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static enum err grow(struct arena *a, size_t size)
{
    size_t capacity = size > a->chunk ? size : a->chunk;
    if (capacity > a->max - a->total) {
        /* The last chunk may be a short one: the ceiling is exact, not a multiple. */
        if (size > a->max - a->total)
            return ERR_NOMEM;
        capacity = a->max - a->total;
    }
    struct chunk *c = mem_alloc(sizeof(*c) + capacity);
    if (!c)
        return ERR_NOMEM;
    c->size = capacity;
    c->older = a->newest;
    a->newest = c;
    a->at = 0;
    a->total += capacity;
    ASAN_POISON_MEMORY_REGION(c->data, capacity);
    return ERR_OK;
}

struct arena *arena_new(size_t chunk, size_t max)
{
    MUST(chunk >= ALIGNMENT && chunk <= max);
    struct arena *a = mem_zalloc(sizeof(*a));
    if (!a)
        return NULL;
    a->chunk = chunk & ~(size_t)(ALIGNMENT - 1);
    a->max = max;
    if (grow(a, a->chunk)) {
        mem_free(a);
        return NULL;
    }
    return a;
}

static void guests_leave(struct arena *a)
{
    /* A guest that leaves may still look at older ones, so the stack is popped one by one. */
    while (a->guests) {
        struct guest *g = a->guests;
        a->guests = g->older;
        g->leave(g->object);
    }
}

static void drop_newest(struct arena *a)
{
    struct chunk *c = a->newest;
    a->newest = c->older;
    a->total -= c->size;
    ASAN_UNPOISON_MEMORY_REGION(c->data, c->size);
    mem_free(c);
}

void arena_reset(struct arena *a)
{
    guests_leave(a);
    while (a->newest->older)
        drop_newest(a);
    a->at = 0;
    a->used = 0;
    ASAN_POISON_MEMORY_REGION(a->newest->data, a->newest->size);
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    guests_leave(a);
    while (a->newest)
        drop_newest(a);
    mem_free(a);
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > a->max)
        return NULL;
    size_t step = round_up(size ? size : 1);
    if (step > a->newest->size - a->at && grow(a, step))
        return NULL;
    char *piece = a->newest->data + a->at;
    a->at += step;
    a->used += step;
    ASAN_UNPOISON_MEMORY_REGION(piece, size);
    return piece;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *piece = arena_alloc(a, size);
    return piece ? memset(piece, 0, size) : NULL;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *copy = s.len < a->max ? arena_alloc(a, s.len + 1) : NULL;
    if (!copy)
        return SLICE_NONE;
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return slice_of(copy, s.len);
}

struct slice arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    MUST(len >= 0);

    char *text = arena_alloc(a, (size_t)len + 1);
    if (!text)
        return SLICE_NONE;
    va_start(args, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, args);
    va_end(args);
    return slice_of(text, (size_t)len);
}

enum err arena_adopt(struct arena *a, void *guest, void (*leave)(void *guest))
{
    struct guest *g = arena_alloc(a, sizeof(*g));
    if (!g) {
        leave(guest);
        return ERR_NOMEM;
    }
    *g = (struct guest){.older = a->guests, .object = guest, .leave = leave};
    a->guests = g;
    return ERR_OK;
}
