/* pressure — control groups, /proc/self/statm, and two thresholds. */
#include "dataplane/pressure.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define PATH_SIZE 4096
#define FILE_SIZE 8192 /* a control group's name is at most a path long */
#define V2_MOUNT "/sys/fs/cgroup"
#define V1_MOUNT "/sys/fs/cgroup/memory"

static bool read_file(const char *path, char *space, size_t size, struct slice *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, space, size);
    close(fd);
    if (n <= 0)
        return false;
    *ret = slice_of(space, (size_t)n);
    return true;
}

/* ---- the limit ---- */

/* "max" is no number, and v1's "no limit" is a huge one */
static uint64_t read_limit(const char *path)
{
    char space[64];
    struct slice text;
    uint64_t n;
    struct slice line;
    if (!read_file(path, space, sizeof(space), &text) || !slice_split(&text, '\n', &line) ||
        slice_u64(line, &n) || n == 0)
        return UINT64_MAX;
    return n;
}

/* The group's own limit and those of all above it. A container sees the name its host gave the
 * group, but only its own part of the tree: names that do not exist are skipped. */
static uint64_t least_upwards(const char *root, const char *mount, const char *file,
                              struct slice group)
{
    char path[PATH_SIZE];
    uint64_t least = UINT64_MAX;
    for (;;) {
        while (group.len && group.ptr[group.len - 1] == '/')
            group.len--;
        int n = snprintf(path, sizeof(path), "%s%s%.*s/%s", root, mount, SLICE_ARG(group), file);
        uint64_t limit = n > 0 && (size_t)n < sizeof(path) ? read_limit(path) : UINT64_MAX;
        if (limit < least)
            least = limit;
        if (!group.len)
            return least;
        while (group.len && group.ptr[group.len - 1] != '/')
            group.len--;
    }
}

static bool holds_memory(struct slice controllers)
{
    struct slice one;
    while (slice_split(&controllers, ',', &one))
        if (slice_eq(one, SLICE("memory")))
            return true;
    return false;
}

/* cgroups(7): "hierarchy:controllers:path" a line; hierarchy 0 is v2. */
static uint64_t group_limit(const char *root, struct slice line)
{
    struct slice hierarchy, controllers;
    if (!slice_split(&line, ':', &hierarchy) || !slice_split(&line, ':', &controllers))
        return UINT64_MAX;
    if (slice_eq(hierarchy, SLICE("0")) && !controllers.len)
        return least_upwards(root, V2_MOUNT, "memory.max", line);
    if (holds_memory(controllers))
        return least_upwards(root, V1_MOUNT, "memory.limit_in_bytes", line);
    return UINT64_MAX;
}

uint64_t pressure_limit(const char *root, uint64_t machine, uint64_t asked)
{
    char path[PATH_SIZE], space[FILE_SIZE];
    struct slice groups, line;
    uint64_t least = machine;
    if (asked && asked < least)
        least = asked;
    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    if (!read_file(path, space, sizeof(space), &groups))
        return least;
    while (slice_split(&groups, '\n', &line)) {
        uint64_t limit = group_limit(root, line);
        if (limit < least)
            least = limit;
    }
    return least;
}

static uint64_t machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
}

/* ---- what is used ---- */

/* proc(5), statm: size, resident, shared …, in pages; "shared" are those of files */
enum err pressure_measure(int statm, uint64_t *ret)
{
    char space[256];
    struct slice text, size, resident, shared;
    uint64_t all, of_files;
    ssize_t n = pread(statm, space, sizeof(space), 0);
    if (n <= 0)
        return ERR_IO;
    text = slice_of(space, (size_t)n);
    if (!slice_split(&text, ' ', &size) || !slice_split(&text, ' ', &resident) ||
        !slice_split(&text, ' ', &shared) || slice_u64(resident, &all) ||
        slice_u64(shared, &of_files))
        return ERR_INVALID;
    *ret = (all > of_files ? all - of_files : 0) * (uint64_t)sysconf(_SC_PAGESIZE);
    return ERR_OK;
}

static bool is_above(const struct pressure *p, unsigned percent)
{
    return p->used / 100 >= p->limit / 10000 * percent;
}

bool pressure_take(struct pressure *p, uint64_t used)
{
    bool was = atomic_load_explicit(&p->is_high, memory_order_relaxed);
    p->used = used;
    bool is = is_above(p, was ? LIMIT_MEMORY_CALM : LIMIT_MEMORY_SHED);
    atomic_store_explicit(&p->is_high, is, memory_order_relaxed);
    return is != was;
}

/* ---- on its loop ---- */

static void tell(const struct pressure *p)
{
    bool high = atomic_load_explicit(&p->is_high, memory_order_relaxed);
    if (high)
        log_warn(NULL, "memory_high", "used=%" PRIu64 " limit=%" PRIu64 " new_calls=refused",
                 p->used, p->limit);
    else
        log_info(NULL, "memory_calm", "used=%" PRIu64 " limit=%" PRIu64, p->used, p->limit);
}

/* Freed memory may still count as resident memory of this process: without the trim the pressure
 * would never end. */
static void give_back(struct pressure *p)
{
    uint64_t now = loop_now_us(p->look.loop);
    if (!atomic_load_explicit(&p->is_high, memory_order_relaxed) ||
        now - p->trimmed_us < LIMIT_MEMORY_TRIM_MS * 1000ull)
        return;
    p->trimmed_us = now;
    mem_trim();
}

static void on_look(struct timer *t)
{
    struct pressure *p = CONTAINER_OF(t, struct pressure, look);
    uint64_t used;
    enum err e = pressure_measure(p->statm, &used);
    if (e && !p->is_blind)
        log_warn(NULL, "memory_unmeasured", "why=%s", err_name(e));
    p->is_blind = e;
    if (!e && pressure_take(p, used))
        tell(p);
    give_back(p);
    /* Far below the limit memory needs longer to fill the rest. */
    timer_start(t, p->used < p->limit / 2 ? LIMIT_MEMORY_CALM_LOOK_MS : LIMIT_MEMORY_LOOK_MS);
}

void pressure_open(struct pressure *p, struct loop *l, uint64_t asked)
{
    *p = (struct pressure){.limit = pressure_limit("", machine_memory(), asked),
                           .statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
    atomic_init(&p->is_high, false);
    timer_init(&p->look, l, on_look);
    timer_start(&p->look, 0);
}

void pressure_close(struct pressure *p)
{
    if (!p->look.loop)
        return;
    timer_cancel(&p->look);
    if (p->statm >= 0)
        close(p->statm);
    p->look.loop = NULL;
}
