/*
 * fuzz_journal — a journal's file that was tampered with: it is replayed or refused, and what is
 * replayed can be read, tended and committed to its end.
 *
 * Each input is a list of patches to one sound file with records, open slots and sums: where (three
 * bytes; the first chooses the part), how long (one byte), and what is written there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/kit/journal_calls.h"
#include "tests/kit/scratch.h"

#define TURNS 20000 /* each commits at least one record, and a file has fewer */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[SCRATCH_MAX], path[512];
static char *sound;
static size_t sound_len, ring_at, folds_at;

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void call(struct journal *rq, unsigned n, bool close)
{
    char key[32], account[40], filler[256];
    Gatehouse__JournalRecord m = GATEHOUSE__JOURNAL_RECORD__INIT;
    Gatehouse__Span span = GATEHOUSE__SPAN__INIT;
    Gatehouse__Charge charge = GATEHOUSE__CHARGE__INIT, *charges[] = {&charge};
    struct journal_entry entry;
    snprintf(key, sizeof(key), "k_%u", n % 5);
    snprintf(account, sizeof(account), "key:k_%u", n % 5);
    memset(filler, 'p', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    span.key_id = key;
    span.path = filler;
    span.has_cost_known = span.cost_known = span.has_cost_nano = true;
    span.cost_nano = 10;
    charge.account = account;
    charge.lease_id = (char *)(uintptr_t) "l_1";
    charge.has_amount_nano = true;
    charge.amount_nano = 10;
    m.span = &span;
    m.n_charges = 1;
    m.charges = charges;
    must(kit_open_call(rq, &m, &entry) == ERR_OK, "a call is opened");
    must(!close || kit_close_call(rq, &m, &entry) == ERR_OK, "and closed");
}

static void make_sound(void)
{
    struct journal *rq;
    must(scratch_folder(dir), "a folder");
    const struct journal_config c = {.dir = dir, .epoch = 1, .worker = 0, .bytes = 1};
    must(journal_create(&c, &rq) == ERR_OK, "a journal");
    for (unsigned n = 0; n < 250; n++)
        call(rq, n, n % 50 != 7);
    snprintf(path, sizeof(path), "%s", rq->path);
    sound_len = rq->map_len;
    ring_at = (size_t)(rq->ring - (char *)rq->page);
    folds_at = ring_at + rq->page->ring_size;
    sound = malloc(sound_len);
    must(sound != NULL, "memory");
    memcpy(sound, rq->page, sound_len);
    journal_unmap(rq);
    log_setup("fuzz", (enum log_level)(
                          LOG_ERROR + 1)); /* refused files would be logged, and most are refused */
}

/* The part, and the place in it, which is mostly near its begin. */
static size_t place(const uint8_t *p)
{
    const size_t parts[] = {0, JOURNAL_PAGE, ring_at, folds_at};
    size_t offset = (size_t)(p[0] >> 2 & 3) << 16 | (size_t)p[1] << 8 | p[2];
    return (parts[p[0] & 3] + offset) % sound_len;
}

static void tamper(char *map, const uint8_t *data, size_t size)
{
    while (size > 4) {
        size_t at = place(data), len = data[3];
        data += 4, size -= 4;
        if (len > size)
            len = size;
        if (len > sound_len - at)
            len = sound_len - at;
        memcpy(map + at, data, len);
        data += len, size -= len;
    }
}

static void write_file(const uint8_t *data, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    must(fd >= 0 && ftruncate(fd, (off_t)sound_len) == 0, "the file");
    char *map = mmap(NULL, sound_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(map != MAP_FAILED, "its mapping");
    memcpy(map, sound, sound_len);
    tamper(map, data, size);
    munmap(map, sound_len);
    close(fd);
}

static void use_up(struct journal *rq)
{
    for (unsigned turn = 0; turn < TURNS && !journal_is_empty(rq); turn++) {
        uint64_t at = atomic_load(&rq->page->tail), sequence;
        struct slice record;
        if (journal_next(rq, &at, &sequence, &record)) {
            must(record.len <= JOURNAL_RECORD_MAX, "a record has a record's size");
            journal_commit(rq, at, sequence);
        } else {
            journal_commit(rq, at, atomic_load(&rq->page->committed)); /* nothing but a pad */
        }
        journal_tend(rq);
    }
    must(journal_is_empty(rq), "what was replayed can be shipped");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal *rq;
    if (!sound)
        make_sound();
    write_file(data, size);
    if (journal_replay(path, &rq) != ERR_OK)
        return 0;
    use_up(rq);
    journal_unmap(rq);
    return 0;
}
