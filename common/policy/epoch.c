/* epoch — see the card. */
#include "common/policy/epoch.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/slice.h"

static uint64_t last_epoch(const char *path)
{
    char text[32];
    uint64_t last = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    if (n <= 0 || slice_u64(slice_of(text, (size_t)n), &last) != ERR_OK)
        return 0;
    return last;
}

enum err epoch_next(const char *state_dir, uint64_t *ret)
{
    char path[512], temp[520], text[32];
    snprintf(path, sizeof(path), "%s/epoch", state_dir);
    snprintf(temp, sizeof(temp), "%s.new", path);
    uint64_t next = last_epoch(path) + 1;
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
