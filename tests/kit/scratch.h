/*
 * scratch — folders of a test program that are gone when it ends, however its tests went.
 *
 * They lie in one folder below $TMPDIR, or /tmp, which goes with all that is in it at exit and
 * when a sanitizer ends the program. A child that was forked leaves them to its parent.
 */
#pragma once

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRATCH_MAX 80 /* a folder's path; a socket in it must stay below 108 (unix(7)) */

static struct {
    char root[SCRATCH_MAX];
    pid_t owner;
    unsigned count;
} scratch_state;

/* a weak one: only sanitizers' runtimes have it */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*fn)(void));

static inline int scratch_remove_one(const char *path, const struct stat *st, int kind,
                                     struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static inline void scratch_sweep(void)
{
    if (scratch_state.owner == getpid())
        nftw(scratch_state.root, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline bool scratch_begin(void)
{
    const char *below = getenv("TMPDIR");
    int len = snprintf(scratch_state.root, SCRATCH_MAX, "%s/gatehouse-XXXXXX",
                       below && below[0] ? below : "/tmp");
    if (len >= SCRATCH_MAX || !mkdtemp(scratch_state.root))
        return false;
    scratch_state.owner = getpid();
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(scratch_sweep);
    return atexit(scratch_sweep) == 0;
}

/* A fresh, empty folder; false: there is none. */
static inline bool scratch_folder(char ret[static SCRATCH_MAX])
{
    if (scratch_state.owner == 0 && !scratch_begin())
        return false;
    int len = snprintf(ret, SCRATCH_MAX, "%s/%u", scratch_state.root, scratch_state.count++);
    return len < SCRATCH_MAX && mkdir(ret, 0700) == 0;
}
