/* journal_file — the mapping: made in full, found again, let go. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/journal/journal_private.h"

/* How many bytes each part has. */
struct layout {
    size_t slots, ring, folds;
};

static struct layout layout_of(const struct journal_page *p)
{
    return (struct layout){.slots = p->slot_count * sizeof(struct journal_slot),
                           .ring = p->ring_size,
                           .folds = p->fold_count * sizeof(struct fold_entry)};
}

static size_t layout_len(const struct layout *l)
{
    return JOURNAL_PAGE + l->slots + l->ring + l->folds;
}

static size_t within(size_t n, size_t min, size_t max)
{
    if (n < min)
        return min;
    return n > max ? max : n;
}

/* A slot for each page of the ring, and a quarter of its bytes for sums. */
static struct journal_page page_for(const struct journal_config *c)
{
    size_t ring = (c->bytes + JOURNAL_PAGE - 1) / JOURNAL_PAGE * JOURNAL_PAGE;
    if (ring < JOURNAL_RING_MIN)
        ring = JOURNAL_RING_MIN;
    return (struct journal_page){
        .magic = JOURNAL_MAGIC,
        .epoch = c->epoch,
        .worker = c->worker,
        .slot_count = (uint32_t)within(ring / JOURNAL_PAGE, JOURNAL_SLOTS_MIN, JOURNAL_SLOTS_MAX),
        .ring_size = ring,
        .fold_count = (uint32_t)within(ring / 4 / FOLD_ENTRY, JOURNAL_FOLDS_MIN, JOURNAL_FOLDS_MAX),
    };
}

static enum err map_file(struct journal *j, int fd, const struct layout *l, bool fresh)
{
    void *map = mmap(NULL, layout_len(l), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return ERR_IO;
    j->map_len = layout_len(l);
    j->page = map;
    j->slots = (void *)((char *)map + JOURNAL_PAGE);
    j->ring = (char *)j->slots + l->slots;
    return fold_new((void *)(j->ring + l->ring), (uint32_t)(l->folds / sizeof(struct fold_entry)),
                    fresh, &j->fold);
}

static enum err fill_free_slots(struct journal *j, uint32_t count)
{
    j->free_slots = mem_array(count, sizeof(*j->free_slots));
    if (!j->free_slots)
        return ERR_NOMEM;
    for (uint32_t i = count; i-- > 0;) /* the first slots are used first */
        j->free_slots[j->free_count++] = i;
    return ERR_OK;
}

static struct journal *journal_new(void)
{
    struct journal *j = mem_alloc(sizeof(*j));
    if (j)
        memset(j, 0, offsetof(struct journal, scratch));
    return j;
}

/* A full disk is found now, not in mid-call. */
static enum err allocate(int fd, size_t len)
{
    int refused = posix_fallocate(fd, 0, (off_t)len);
    errno = refused;
    return refused == 0 ? ERR_OK : ERR_IO;
}

enum err journal_create(const struct journal_config *c, struct journal **ret)
{
    struct journal *j = journal_new();
    if (!j)
        return ERR_NOMEM;
    const struct journal_page page = page_for(c);
    const struct layout l = layout_of(&page);
    snprintf(j->path, sizeof(j->path), "%s/journal-%016lx-%u", c->dir, (unsigned long)c->epoch,
             c->worker);
    int fd = open(j->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    enum err e = fd >= 0 ? allocate(fd, layout_len(&l)) : ERR_IO;
    if (e == ERR_OK)
        e = map_file(j, fd, &l, true);
    if (e == ERR_OK)
        e = fill_free_slots(j, page.slot_count);
    if (e != ERR_OK)
        goto undo;
    memcpy((char *)j->page + sizeof(page.magic), (const char *)&page + sizeof(page.magic),
           sizeof(page) - sizeof(page.magic));
    j->page->magic = page.magic; /* last: a file without it is ignored */
    close(fd);
    *ret = j;
    return ERR_OK;
undo:
    log_error(NULL, "journal_create_failed", "path=%s errno=%s", j->path, strerror(errno));
    if (fd >= 0) {
        close(fd);
        unlink(j->path);
    }
    journal_unmap(j);
    return e;
}

#define HEAD_MAX (UINT64_C(1) << 62) /* bytes that no plane writes in its life */

static bool is_sane(const struct journal_page *p, size_t file_len)
{
    bool known = p->magic == JOURNAL_MAGIC || p->magic == JOURNAL_MAGIC_2;
    if (!known || p->slot_count > JOURNAL_SLOTS_MAX || p->ring_size < JOURNAL_RING_MIN ||
        p->ring_size > file_len || p->ring_size % JOURNAL_PAGE != 0 ||
        p->fold_count > JOURNAL_FOLDS_MAX)
        return false;
    const struct layout l = layout_of(p);
    return layout_len(&l) == file_len && p->head >= p->tail && p->head <= HEAD_MAX &&
           p->head - p->tail <= p->ring_size;
}

enum err journal_map(const char *path, struct journal **ret)
{
    struct journal *j = journal_new();
    if (!j)
        return ERR_NOMEM;
    snprintf(j->path, sizeof(j->path), "%s", path);
    struct journal_page page;
    enum err e = ERR_IO;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ssize_t got = fd >= 0 ? pread(fd, &page, sizeof(page), 0) : -1;
    if (got >= 0) { /* a shorter one was being made when its plane was killed */
        off_t len = lseek(fd, 0, SEEK_END);
        bool sane = got == (ssize_t)sizeof(page) && len > 0 && is_sane(&page, (size_t)len);
        e = sane ? ERR_OK : ERR_INVALID;
    }
    if (e == ERR_OK) {
        const struct layout l = layout_of(&page);
        e = map_file(j, fd, &l, false);
    }
    if (fd >= 0)
        close(fd);
    if (e != ERR_OK) {
        journal_unmap(j);
        return e;
    }
    *ret = j;
    return ERR_OK;
}

void journal_unmap(struct journal *j)
{
    if (!j)
        return;
    fold_free(j->fold);
    if (j->page)
        munmap(j->page, j->map_len);
    mem_free(j->free_slots);
    mem_free(j);
}

void journal_remove(struct journal *j)
{
    unlink(j->path);
    journal_unmap(j);
}
