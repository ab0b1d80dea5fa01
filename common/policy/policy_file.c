/*
 * policy_file — the form of the file and of the mark. The file is 24 bytes of head (magic, 16
 * random) and then chunks: 4 bytes length (big-endian), then a sealed Push. Head and number of a
 * chunk are authenticated, so chunks can be neither moved nor mixed with another file's; a torn
 * last chunk is cut off.
 */
#include "common/policy/policy_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/policy/snapshot_build.h"
#include "common/policy/snapshot_private.h"
#include "common/wire/proto_secret.h"
#include "proto/channel.pb-c.h"

#define MAGIC "GHPOLICY"
#define HEAD_LEN 24
#define BASE_CHUNK (256 * 1024)
#define CHUNK_MAX LIMIT_BUS_MESSAGE
#define LOG_MIN (1024 * 1024) /* shorter logs are not worth a rewrite */

#define MARK_MAGIC "GHMARK01"
#define MARK_PLAIN (LINEAGE_MAX + 24) /* lineage, its length, version, confirmed at */
#define MARK_LEN (8 + MARK_PLAIN + SEAL_OVERHEAD)

struct policy_mark {
    char lineage[LINEAGE_MAX];
    uint64_t lineage_len, version;
    int64_t confirmed_at_us;
};

struct policy_file {
    const struct seal *seal;
    int mark_fd; /* -1: none is kept */
    bool has_mark;
    int64_t confirmed_at_us;
    char path[512];
    int fd;
    char head[HEAD_LEN];
    uint64_t chunks; /* written so far: the next chunk's number */
    size_t base_len, log_len;
};

static struct slice associated(const struct policy_file *f, uint64_t chunk, char out[HEAD_LEN + 8])
{
    memcpy(out, f->head, HEAD_LEN);
    memcpy(out + HEAD_LEN, &chunk, sizeof(chunk));
    return slice_of(out, HEAD_LEN + 8);
}

static enum err write_all(int fd, const void *from, size_t len)
{
    const char *p = from;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n <= 0)
            return ERR_IO;
        p += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

static enum err write_chunk(struct policy_file *f, int fd, struct slice plain)
{
    char aad[HEAD_LEN + 8];
    uint8_t *out = mem_alloc(4 + plain.len + SEAL_OVERHEAD);
    if (!out)
        return ERR_NOMEM;
    size_t len;
    enum err e = seal_close(f->seal, SLICE("policy"), SLICE_NONE, associated(f, f->chunks, aad),
                            plain, out + 4, &len);
    if (e == ERR_OK) {
        out[0] = (uint8_t)(len >> 24);
        out[1] = (uint8_t)(len >> 16);
        out[2] = (uint8_t)(len >> 8);
        out[3] = (uint8_t)len;
        e = write_all(fd, out, len + 4);
    }
    mem_free(out);
    if (e == ERR_OK)
        f->chunks++;
    return e;
}

/* ---- the mark ---- */

static void mark_pack(const struct policy_mark *m, char out[static MARK_PLAIN])
{
    memcpy(out, m->lineage, LINEAGE_MAX);
    memcpy(out + LINEAGE_MAX, &m->lineage_len, 8);
    memcpy(out + LINEAGE_MAX + 8, &m->version, 8);
    memcpy(out + LINEAGE_MAX + 16, &m->confirmed_at_us, 8);
}

static void mark_unpack(const char from[static MARK_PLAIN], struct policy_mark *ret)
{
    memcpy(ret->lineage, from, LINEAGE_MAX);
    memcpy(&ret->lineage_len, from + LINEAGE_MAX, 8);
    memcpy(&ret->version, from + LINEAGE_MAX + 8, 8);
    memcpy(&ret->confirmed_at_us, from + LINEAGE_MAX + 16, 8);
}

/* ERR_NOT_FOUND: nothing was ever marked. */
static enum err mark_read(const struct policy_file *f, struct policy_mark *ret)
{
    char bytes[MARK_LEN], plain[MARK_PLAIN];
    size_t len;
    ssize_t n = f->mark_fd >= 0 ? pread(f->mark_fd, bytes, sizeof(bytes), 0) : 0;
    if (n == 0)
        return ERR_NOT_FOUND;
    if (n != MARK_LEN || memcmp(bytes, MARK_MAGIC, 8) != 0)
        return ERR_INVALID;
    enum err e = seal_open(f->seal, SLICE("policy-mark"), SLICE_NONE, slice_str(f->path),
                           slice_of(bytes + 8, MARK_LEN - 8), (uint8_t *)plain, &len);
    if (e == ERR_OK)
        mark_unpack(plain, ret);
    return e == ERR_OK && ret->lineage_len <= LINEAGE_MAX ? ERR_OK : ERR_INVALID;
}

/* In place, in one write: a kill leaves the old one or the new one. */
void policy_file_mark(struct policy_file *f, const struct snapshot *s, int64_t confirmed_at_us)
{
    struct policy_mark m = {
        .lineage_len = s->lineage_len, .version = s->version, .confirmed_at_us = confirmed_at_us};
    char plain[MARK_PLAIN];
    uint8_t bytes[MARK_LEN] = MARK_MAGIC;
    size_t len;
    if (f->mark_fd < 0)
        return;
    memcpy(m.lineage, s->lineage, s->lineage_len);
    mark_pack(&m, plain);
    enum err e = seal_close(f->seal, SLICE("policy-mark"), SLICE_NONE, slice_str(f->path),
                            slice_of(plain, MARK_PLAIN), bytes + 8, &len);
    f->has_mark = e == ERR_OK && pwrite(f->mark_fd, bytes, MARK_LEN, 0) == MARK_LEN;
    if (!f->has_mark)
        log_error(NULL, "policy_not_marked", "version=%lu", (unsigned long)s->version);
}

bool policy_file_has_mark(const struct policy_file *f)
{
    return f->has_mark;
}

int64_t policy_file_confirmed_at_us(const struct policy_file *f)
{
    return f->confirmed_at_us;
}

/* Is this policy no older than the newest that was applied? */
static bool mark_allows(struct policy_file *f, const struct snapshot *s)
{
    struct policy_mark m;
    enum err e = mark_read(f, &m);
    f->has_mark = e == ERR_OK;
    if (e == ERR_NOT_FOUND)
        return true;
    if (e == ERR_OK && slice_eq(slice_of(m.lineage, m.lineage_len), snapshot_lineage(s)) &&
        s->version >= m.version) {
        f->confirmed_at_us = m.confirmed_at_us;
        return true;
    }
    log_error(NULL, "policy_older_than_applied", "path=%s has=%lu applied=%lu mark=%s", f->path,
              (unsigned long)s->version, e == ERR_OK ? (unsigned long)m.version : 0ul, err_name(e));
    return false;
}

/* ---- writing a base ---- */

struct base_writer {
    struct policy_file *file;
    int fd;
    const struct snapshot *s;
    struct buf chunk;
    enum err e;
    size_t written;
};

/* One more `changes` member (field 5, length-delimited) of the Push in the chunk. */
static enum err append_change(struct buf *out, struct slice packed)
{
    char tag[12];
    size_t n = 0, len = packed.len;
    tag[n++] = (5 << 3) | 2;
    do {
        tag[n++] = (char)((len & 0x7f) | (len > 0x7f ? 0x80 : 0));
        len >>= 7;
    } while (len > 0);
    enum err e = buf_append(out, slice_of(tag, n));
    return e == ERR_OK ? buf_append(out, packed) : e;
}

static enum err flush_base(struct base_writer *w, bool last)
{
    Gatehouse__Push push = GATEHOUSE__PUSH__INIT;
    char lineage[LINEAGE_MAX + 1] = {0};
    memcpy(lineage, w->s->lineage, w->s->lineage_len);
    push.lineage = lineage;
    push.has_from = push.has_to = true;
    push.to = w->s->version;
    push.has_digest = last;
    push.digest = (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)(uintptr_t)w->s->digest.bytes};
    uint8_t envelope[256];
    size_t len = gatehouse__push__pack(&push, envelope);
    enum err e = buf_append(&w->chunk, slice_of(envelope, len));
    if (e == ERR_OK)
        e = write_chunk(w->file, w->fd, buf_slice(&w->chunk));
    w->written += w->chunk.len;
    if (w->chunk.len > 0)
        secret_wipe(w->chunk.data + w->chunk.off, w->chunk.len);
    buf_clear(&w->chunk);
    return e;
}

static bool write_object(void *arg, const struct object *o)
{
    struct base_writer *w = arg;
    w->e = append_change(&w->chunk, o->packed);
    if (w->e == ERR_OK && w->chunk.len >= BASE_CHUNK)
        w->e = flush_base(w, false);
    return w->e == ERR_OK;
}

static enum err write_base(struct policy_file *f, int fd, const struct snapshot *s)
{
    struct base_writer w = {.file = f, .fd = fd, .s = s, .e = ERR_OK};
    char *space;
    buf_init(&w.chunk, CHUNK_MAX);
    /* A buffer that moves leaves a copy behind: so it has its size from the start. */
    if (buf_room(&w.chunk, 2 * BASE_CHUNK, &space) != ERR_OK)
        return ERR_NOMEM;
    memcpy(f->head, MAGIC, 8);
    digest_random(f->head + 8, HEAD_LEN - 8);
    f->chunks = 0;
    w.e = write_all(fd, f->head, HEAD_LEN);
    if (w.e == ERR_OK)
        snapshot_each_object(s, write_object, &w);
    if (w.e == ERR_OK)
        w.e = flush_base(&w, true);
    buf_fini(&w.chunk);
    f->base_len = w.written;
    f->log_len = 0;
    return w.e;
}

/* What is on the disk is older than what is about to be applied, and cannot be made newer: no start
 * may go back to it. The next rewrite that succeeds makes a new file. */
static void give_up(struct policy_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    unlink(f->path);
}

enum err policy_file_rewrite(struct policy_file *f, const struct snapshot *s)
{
    char temp[520];
    snprintf(temp, sizeof(temp), "%s.new", f->path);
    int fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        give_up(f);
        return ERR_IO;
    }
    enum err e = write_base(f, fd, s);
    if (e == ERR_OK && (fdatasync(fd) != 0 || rename(temp, f->path) != 0))
        e = ERR_IO;
    if (e != ERR_OK) {
        close(fd);
        unlink(temp);
        give_up(f);
        return e;
    }
    if (f->fd >= 0)
        close(f->fd);
    f->fd = fd;
    return ERR_OK;
}

enum err policy_file_append(struct policy_file *f, struct slice push)
{
    if (f->fd < 0)
        return ERR_NOT_FOUND;
    enum err e = write_chunk(f, f->fd, push);
    if (e == ERR_OK)
        f->log_len += push.len;
    else
        give_up(f);
    return e;
}

bool policy_file_is_long(const struct policy_file *f)
{
    return f->fd < 0 || (f->log_len > LOG_MIN && f->log_len > f->base_len);
}

/* ---- reading ---- */

struct loading {
    struct policy_file *file;
    struct registry *registry;
    struct snapshot_build *build;
    struct digest digest; /* of the base; checked at the end of the base */
    char lineage[LINEAGE_MAX];
    size_t lineage_len;
    uint64_t version;
    bool base_whole;
};

static enum err apply_push(struct loading *l, struct slice plain)
{
    Gatehouse__Push *p =
        gatehouse__push__unpack(&proto_secret, plain.len, (const uint8_t *)plain.ptr);
    if (!p)
        return ERR_INVALID;
    enum err e = ERR_OK;
    struct slice lineage = slice_str(p->lineage ? p->lineage : "");
    if (lineage.len > LINEAGE_MAX || (l->base_whole && p->from != l->version))
        e = ERR_INVALID;
    for (size_t i = 0; e == ERR_OK && i < p->n_changes; i++)
        e = snapshot_build_apply(l->build, p->changes[i]);
    if (e == ERR_OK) {
        memcpy(l->lineage, lineage.ptr, lineage.len);
        l->lineage_len = lineage.len;
        l->version = p->to;
        l->base_whole |= p->has_digest;
    }
    gatehouse__push__free_unpacked(p, &proto_secret);
    return e;
}

/* ERR_AGAIN: no whole chunk is left. */
static enum err read_chunk(struct policy_file *f, FILE *in, struct buf *sealed, struct buf *plain)
{
    uint8_t head[4];
    char aad[HEAD_LEN + 8], *to, *open;
    if (fread(head, 1, 4, in) != 4)
        return ERR_AGAIN;
    size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (len <= SEAL_OVERHEAD || len > CHUNK_MAX)
        return ERR_INVALID;
    buf_clear(sealed);
    buf_clear(plain);
    if (buf_room(sealed, len, &to) != ERR_OK || buf_room(plain, len, &open) != ERR_OK)
        return ERR_NOMEM;
    if (fread(to, 1, len, in) != len)
        return ERR_AGAIN;
    buf_commit(sealed, len);
    size_t plain_len;
    enum err e = seal_open(f->seal, SLICE("policy"), SLICE_NONE, associated(f, f->chunks, aad),
                           buf_slice(sealed), (uint8_t *)open, &plain_len);
    if (e == ERR_OK) {
        buf_commit(plain, plain_len);
        f->chunks++;
    }
    return e;
}

static enum err read_all(struct loading *l, FILE *in, long *good)
{
    struct buf sealed, plain;
    enum err e;
    buf_init(&sealed, CHUNK_MAX + SEAL_OVERHEAD);
    buf_init(&plain, CHUNK_MAX + SEAL_OVERHEAD);
    for (;;) {
        *good = ftell(in);
        e = read_chunk(l->file, in, &sealed, &plain);
        if (e == ERR_OK) {
            bool in_log = l->base_whole;
            e = apply_push(l, buf_slice(&plain));
            secret_wipe(plain.data + plain.off, plain.len);
            *(in_log ? &l->file->log_len : &l->file->base_len) += plain.len;
        }
        if (e != ERR_OK)
            break;
    }
    buf_fini(&sealed);
    buf_fini(&plain);
    return e;
}

enum err policy_file_load(struct policy_file *f, struct registry *r, struct snapshot **ret)
{
    struct loading l = {.file = f, .registry = r};
    long good = 0;
    enum err e = ERR_NOT_FOUND;
    FILE *in = fopen(f->path, "rbe");
    if (!in)
        return ERR_NOT_FOUND;
    if (fread(f->head, 1, HEAD_LEN, in) == HEAD_LEN && memcmp(f->head, MAGIC, 8) == 0)
        e = snapshot_build_begin(NULL, r, &l.build);
    if (e == ERR_OK)
        e = read_all(&l, in, &good);
    fclose(in);
    if (e != ERR_AGAIN && e != ERR_NOT_FOUND)
        log_warn(NULL, "policy_file_unreadable", "path=%s at=%ld error=%s", f->path, good,
                 err_name(e));
    /* Whatever ended the reading: a whole base with the deltas before that point is the newest we
     * can vouch for only when the file simply ended there. */
    if (e != ERR_AGAIN || !l.base_whole) {
        snapshot_build_cancel(&l.build);
        f->chunks = 0;
        return ERR_NOT_FOUND;
    }
    struct snapshot *s =
        snapshot_build_end(&l.build, slice_of(l.lineage, l.lineage_len), l.version);
    if (!mark_allows(f, s)) {
        snapshot_drop(s);
        f->chunks = 0;
        return ERR_NOT_FOUND;
    }
    *ret = s;
    f->fd = open(f->path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (f->fd >= 0 && ftruncate(f->fd, good) != 0) {
        close(f->fd);
        f->fd = -1; /* the next delta brings a rewrite */
    }
    return ERR_OK;
}

enum err policy_file_open(const char *state_dir, const struct seal *seal, const char *mark_path,
                          struct policy_file **ret)
{
    struct policy_file *f = mem_zalloc(sizeof(*f));
    if (!f)
        return ERR_NOMEM;
    f->seal = seal;
    f->fd = -1;
    f->mark_fd = mark_path ? open(mark_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (mark_path && f->mark_fd < 0)
        log_warn(NULL, "policy_mark_not_kept", "path=%s", mark_path);
    snprintf(f->path, sizeof(f->path), "%s/policy.sealed", state_dir);
    *ret = f;
    return ERR_OK;
}

void policy_file_close(struct policy_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    if (f->mark_fd >= 0)
        close(f->mark_fd);
    mem_free(f);
}
