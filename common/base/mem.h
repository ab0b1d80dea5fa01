/*
 * mem — the functions that every allocation uses.
 *
 * Tests make the n-th allocation fail (mem_fail_after) and ask how many are
 * alive. In production it is malloc, which refuses sizes beyond LIMIT_ALLOCATION.
 *
 * Fails    NULL; callers turn it into ERR_NOMEM.
 * Threads  any; the failing counter is per thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

MUST_USE void *mem_alloc(size_t size);
MUST_USE void *mem_zalloc(size_t size);
MUST_USE void *mem_array(size_t count, size_t size); /* zeroed; checks the product */
MUST_USE void *mem_realloc(void *ptr, size_t size);
MUST_USE char *mem_strdup(const char *text);
MUST_USE char *mem_strndup(const char *text, size_t len);
void mem_free(void *ptr); /* NULL is fine */

/* Once, before there are threads: what is freed stays with the process, up to a ceiling. */
void mem_keep_freed(void);
/* Gives what is freed and kept back to the kernel; takes milliseconds where that is much. */
void mem_trim(void);

/* Tests only: the n-th allocation of this thread from now fails (1 = the next); 0 switches off. */
void mem_fail_after(size_t n);
/* true once the planned failure has happened since mem_fail_after */
bool mem_failed(void);
/* Tests only: a fake in the middle of what is tested does not fail; resumes by what pause said. */
size_t mem_fail_pause(void);
void mem_fail_resume(size_t left);
/* Tests only: allocations minus frees of this thread; what one thread takes and another gives
 * back moves both counts. */
ptrdiff_t mem_alive(void);
