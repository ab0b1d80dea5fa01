/* epoch — a number in a file, raised and synced before it is used. */
#include "common/policy/epoch.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/slice.h"

#define BORN_S INT64_C(1577836800) /* 2020: no plane is older */
#define CHANCE_BITS 31             /* with 32 bits of seconds: within a bigint, until 2156 */
#define SECONDS_MAX UINT32_MAX

/* 0: there is no valid one */
static uint64_t last_epoch(const char *path)
{
    char text[32];
    uint64_t last = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    if (n <= 0 || slice_u64(slice_of(text, (size_t)n), &last) != ERR_OK || last >= INT64_MAX)
        return 0;
    return last;
}

/* An epoch that no earlier start had, even if the state directory was lost: the clock, and random
 * bits for a clock that was set back. */
static uint64_t fresh_epoch(void)
{
    uint64_t chance;
    int64_t s = clock_wall_us() / 1000000 - BORN_S;
    digest_random(&chance, sizeof(chance));
    uint64_t seconds = s < 0 ? 0 : s > SECONDS_MAX ? SECONDS_MAX : (uint64_t)s;
    return seconds << CHANCE_BITS | chance >> (64 - CHANCE_BITS);
}

enum err epoch_next(const char *state_dir, uint64_t *ret)
{
    char path[512], temp[520], text[32];
    snprintf(path, sizeof(path), "%s/epoch", state_dir);
    snprintf(temp, sizeof(temp), "%s.new", path);
    uint64_t next = last_epoch(path) + 1, fresh = fresh_epoch();
    if (next < fresh)
        next = fresh;
    int len = snprintf(text, sizeof(text), "%lu", (unsigned long)next);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, text, (size_t)len) == len && fdatasync(fd) == 0;
    if (fd >= 0)
        close(fd);
    if (!written || rename(temp, path) != 0) {
        log_error(NULL, "state_dir_not_writable", "path=%s", path);
        return ERR_IO;
    }
    *ret = next;
    return ERR_OK;
}
