/*
 * seal_load — the master key's file. Made whole or not at all: two programs that start
 * together must end with the same key, and a crash must not leave half of one.
 */
#include "common/base/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/secret.h"

#define HEX_LEN (2 * SEAL_MASTER_LEN)
#define PATH_LEN 4096 /* PATH_MAX; a longer path is refused by the kernel too */

static enum err from_errno(void)
{
    switch (errno) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case EEXIST:
        return ERR_EXISTS;
    default:
        return ERR_IO;
    }
}

static ssize_t read_all(int fd, char *out, size_t cap)
{
    size_t len = 0;
    while (len < cap) {
        ssize_t n = read(fd, out + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static enum err decode(struct slice text, struct seal **ret)
{
    uint8_t raw[SEAL_MASTER_LEN];
    size_t len = 0;
    if (text.len == HEX_LEN + 1 && text.ptr[HEX_LEN] == '\n')
        text.len--;
    if (text.len == SEAL_MASTER_LEN)
        memcpy(raw, text.ptr, SEAL_MASTER_LEN);
    else if (text.len != HEX_LEN || digest_unhex(text, raw, sizeof(raw), &len))
        return ERR_INVALID;
    struct seal *s = seal_new(slice_of(raw, sizeof(raw)));
    secret_wipe(raw, sizeof(raw));
    if (!s)
        return ERR_NOMEM;
    *ret = s;
    return ERR_OK;
}

static enum err read_file(const char *path, struct seal **ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return from_errno();
    char text[HEX_LEN + 2]; /* one more than the longest good file, to see that it is longer */
    ssize_t len = read_all(fd, text, sizeof(text));
    close(fd);
    enum err e = len < 0 ? ERR_IO : decode(slice_of(text, (size_t)len), ret);
    secret_wipe(text, sizeof(text));
    return e;
}

static bool write_key(int fd)
{
    uint8_t raw[SEAL_MASTER_LEN];
    char text[HEX_LEN + 1];
    digest_random(raw, sizeof(raw));
    digest_hex(slice_of(raw, sizeof(raw)), text);
    text[HEX_LEN] = '\n';
    bool ok = write(fd, text, sizeof(text)) == (ssize_t)sizeof(text) && fsync(fd) == 0;
    secret_wipe(raw, sizeof(raw));
    secret_wipe(text, sizeof(text));
    return ok;
}

/* The name survives a crash only once its folder is on the disk. */
static bool sync_folder(const char *path)
{
    char folder[PATH_LEN];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    snprintf(folder, sizeof(folder), "%.*s", (int)len, path);
    int fd = open(slash ? (len ? folder : "/") : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    close(fd);
    return ok;
}

static enum err make_file(const char *path)
{
    char temporary[PATH_LEN];
    int len = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    if (len < 0 || (size_t)len >= sizeof(temporary))
        return ERR_TOO_BIG;
    int fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return from_errno();
    enum err e = write_key(fd) ? ERR_OK : ERR_IO;
    /* link, not rename: it never replaces a key that another process has just made */
    if (!e && link(temporary, path) != 0)
        e = from_errno();
    if (!e && !sync_folder(path))
        e = ERR_IO;
    close(fd);
    unlink(temporary);
    return e;
}

enum err seal_load(const char *path, bool create, struct seal **ret)
{
    enum err e = read_file(path, ret);
    if (e != ERR_NOT_FOUND || !create)
        return e;
    e = make_file(path);
    if (e && e != ERR_EXISTS)
        return e;
    return read_file(path, ret);
}
