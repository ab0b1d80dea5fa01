/*
 * mem — malloc behind a counter by which tests make an allocation fail.
 *
 * The counters are per thread, so production pays two increments and no shared cache line.
 */
#include "common/base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"

static _Thread_local size_t fail_in; /* 0: never */
static _Thread_local bool failed;
static _Thread_local ptrdiff_t alive;

static bool refused(size_t size)
{
    if (size > LIMIT_ALLOCATION)
        return true;
    if (fail_in == 0 || --fail_in > 0)
        return false;
    failed = true;
    return true;
}

void *mem_alloc(size_t size)
{
    void *ptr = refused(size) ? NULL : malloc(size ? size : 1);
    alive += ptr != NULL;
    return ptr;
}

void *mem_zalloc(size_t size)
{
    void *ptr = refused(size) ? NULL : calloc(1, size ? size : 1);
    alive += ptr != NULL;
    return ptr;
}

void *mem_array(size_t count, size_t size)
{
    size_t total;
    return __builtin_mul_overflow(count, size, &total) ? NULL : mem_zalloc(total);
}

void *mem_realloc(void *ptr, size_t size)
{
    void *moved = refused(size) ? NULL : realloc(ptr, size ? size : 1);
    alive += moved && !ptr;
    return moved;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? mem_alloc(len + 1) : NULL;
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void mem_free(void *ptr)
{
    alive -= ptr != NULL;
    free(ptr);
}

/* Batches of records come and go many times a second. By default glibc gives their pages back to
 * the kernel each time, and taking them again costs a fault and the zeroing of each: 0.4 faults a
 * request were measured, 0.02 with this. A message of the channel is below the first number; the
 * second is what one heap may hold unused. */
#define KEEP_PIECES (8 * 1024 * 1024)
#define KEEP_UNUSED (16 * 1024 * 1024)
#define GROW_BY (1024 * 1024)

void mem_keep_freed(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, KEEP_PIECES);
    mallopt(M_TRIM_THRESHOLD, KEEP_UNUSED);
    mallopt(M_TOP_PAD, GROW_BY);
#endif
}

void mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void mem_fail_after(size_t n)
{
    fail_in = n;
    failed = false;
}

bool mem_failed(void)
{
    return failed;
}

size_t mem_fail_pause(void)
{
    size_t left = fail_in;
    fail_in = 0;
    return left;
}

void mem_fail_resume(size_t left)
{
    fail_in = left;
}

ptrdiff_t mem_alive(void)
{
    return alive;
}
