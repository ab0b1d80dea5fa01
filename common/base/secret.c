/*
 * secret — each lives on pages of its own, because locking and leaving out of dumps work on
 * whole pages, and other data on the page would be unlocked with it.
 */
#include "common/base/secret.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/mem.h"

struct secret {
    _Atomic unsigned holders;
    size_t len;
    size_t mapped;
    char *pages;
};

struct secret *secret_new(struct slice text)
{
    struct secret *s = mem_zalloc(sizeof(*s));
    if (!s)
        return NULL;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    s->mapped = (text.len / page + 1) * page;
    s->pages = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->pages == MAP_FAILED) {
        mem_free(s);
        return NULL;
    }
    /* Both may be refused by a limit; the secret is then no worse off than on the heap. */
    (void)mlock2(s->pages, s->mapped, 0); /* sanitizers make plain mlock do nothing */
    (void)madvise(s->pages, s->mapped, MADV_DONTDUMP);
    if (text.len)
        memcpy(s->pages, text.ptr, text.len);
    s->len = text.len;
    atomic_init(&s->holders, 1);
    mprotect(s->pages, s->mapped, PROT_READ);
    return s;
}

struct secret *secret_hold(struct secret *s)
{
    MUST(atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed) > 0);
    return s;
}

void secret_drop(struct secret *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->holders, 1, memory_order_acq_rel) > 1)
        return;
    MUST(mprotect(s->pages, s->mapped, PROT_READ | PROT_WRITE) == 0);
    secret_wipe(s->pages, s->len);
    munmap(s->pages, s->mapped);
    mem_free(s);
}

struct slice secret_reveal(const struct secret *s)
{
    return slice_of(s->pages, s->len);
}

void secret_wipe(void *ptr, size_t len)
{
    if (len)
        explicit_bzero(ptr, len);
}

#if defined(__SANITIZE_ADDRESS__)
#define LEAK_CHECKER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAK_CHECKER 1
#endif
#endif

void secret_protect_process(void)
{
    struct rlimit none = {0, 0};
    MUST(setrlimit(RLIMIT_CORE, &none) == 0);
#ifndef LEAK_CHECKER
    /* The leak checker reads the process by ptrace when it ends; such a build holds no secrets. */
    MUST(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
#endif
}
