/*
 * fuzz_policy_file — the policy on a data plane's disk as it is read at start: a file to which any
 * bytes were sealed as a delta, or that was changed outside of its seals, holds the base's version
 * or a newer one, or none.
 *
 * The first byte chooses: even, the rest is appended as a delta; odd, three bytes name a place of
 * the file and the rest is written there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/policy/policy_file.h"
#include "common/policy/snapshot_build.h"
#include "common/policy/snapshot_private.h"
#include "tests/kit/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[SCRATCH_MAX], path[SCRATCH_MAX + 32];
static struct seal *seal;
static struct registry *registry;
static char base[4096];
static ssize_t base_len;

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static struct policy_file *open_file(void)
{
    struct policy_file *f;
    must(!policy_file_open(dir, seal, NULL, &f), "opened");
    return f;
}

/* The base is written once: each time it would wait for the disk. */
static void make_base(void)
{
    struct snapshot_build *b;
    struct policy_file *f = open_file();
    must(!snapshot_build_begin(NULL, registry, &b), "a build");
    struct snapshot *s = snapshot_build_end(&b, SLICE("line-1"), 10);
    must(s && !policy_file_rewrite(f, s), "a base");
    snapshot_drop(s);
    policy_file_close(f);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0, "its file");
    base_len = read(fd, base, sizeof(base));
    must(base_len > 0 && base_len < (ssize_t)sizeof(base), "its bytes");
    close(fd);
}

static void set_up(void)
{
    char master[SEAL_MASTER_LEN] = "0123456789abcdef0123456789abcde";
    seal = seal_new(slice_of(master, sizeof(master)));
    registry = registry_new();
    must(seal && registry && scratch_folder(dir), "set up");
    snprintf(path, sizeof(path), "%s/policy.sealed", dir);
    log_setup("fuzz", (enum log_level)(LOG_ERROR + 1));
    make_base();
}

static void write_base(void)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, base, (size_t)base_len) == base_len, "the base");
    close(fd);
}

/* A file that can be appended to is one that was loaded. */
static void append(struct slice delta)
{
    struct snapshot *s;
    struct policy_file *f = open_file();
    must(!policy_file_load(f, registry, &s), "the base is loaded");
    snapshot_drop(s);
    must(!policy_file_append(f, delta), "appended");
    policy_file_close(f);
}

static void tamper(const uint8_t *data, size_t size)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0, "the file");
    off_t end = lseek(fd, 0, SEEK_END);
    off_t at =
        (off_t)(((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]) % (size_t)(end + 1));
    must(pwrite(fd, data + 3, size - 3, at) == (ssize_t)(size - 3), "written");
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snapshot *s = NULL;
    if (size < 5)
        return -1;
    if (!seal)
        set_up();
    write_base();
    if (data[0] % 2)
        tamper(data + 1, size - 1);
    else
        append(slice_of(data + 1, size - 1));
    struct policy_file *f = open_file();
    enum err e = policy_file_load(f, registry, &s);
    must(!e || e == ERR_NOT_FOUND, "loaded, or not there");
    if (!e) {
        must(data[0] % 2 ? s->version == 10 : s->version >= 10, "older than the base");
        snapshot_drop(s);
    }
    policy_file_close(f);
    return 0;
}
