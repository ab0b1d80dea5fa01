/*
 * fold_kill — every call that was opened is counted once, in a record or in sums, whatever moment
 * the process is killed at.
 */
#include "tests/unit/policy/fold_kit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Each store of a fold in turn is the last one that got out. */
static void killed_between_any_two_stores_a_call_counts_once(void **state)
{
    (void)state;
    for (unsigned step = 0; step <= 5; step++) {
        struct journal *j = fresh();
        struct sums want = {0}, got = {0};
        struct journal_entry entry;
        const struct call c = {.cost = 40, .input = 5};
        fill(j, &want);
        assert_int_equal(open_one(j, &c, &entry), ERR_OK);

        struct journal_slot *slot = &j->slots[entry.opened_at];
        struct made m;
        uint8_t packed[1024];
        struct fold_call call;
        struct fold_place place;
        size_t len = gatehouse__journal_record__pack(make(&m, &c), packed);
        assert_int_equal(fold_call_read(slice_of(packed, len), j->scratch, &call), ERR_OK);
        if (step > 0)
            assert_int_equal(fold_stage(j->fold, &call, 100, &place), ERR_OK);
        if (step > 1)
            slot->closing_at = place.version;
        if (step > 2)
            slot->folding_in = place.index;
        if (step > 3)
            atomic_store(&slot->state, SLOT_FOLDING);
        if (step > 4)
            fold_commit(j->fold, &place);

        bool counted = step > 4;
        want.calls++;
        want.cost += counted ? 40 : WORST, want.team_charges += counted ? 40 : WORST;
        want.key_charges[0] += counted ? 40 : WORST;
        want.input += counted ? 5 : 0;
        j = replayed(j);
        assert_int_equal(atomic_load(&j->page->lost), counted ? 0 : 1);
        j = replayed(j); /* and killed once more */
        assert_int_equal(atomic_load(&j->page->lost), counted ? 0 : 1);
        ship_all(j, &got);
        assert_same(&got, &want);
        journal_remove(j);
    }
}

/* The stores that make a record of sums, in their order, each as bytes of the file. */
struct store {
    void *at;
    size_t len;
};

static void killed_while_sums_become_a_record_they_count_once(void **state)
{
    (void)state;
    for (unsigned step = 0; step <= 5; step++) {
        struct journal *j = fresh();
        struct sums want = {0}, got = {0};
        fill(j, &want);
        ship(j, &got, SIZE_MAX);
        assert_int_equal(fold_in_use(j->fold), 1);
        uint64_t at = atomic_load(&j->page->head);
        struct fold_entry *e = (void *)(j->ring + j->page->ring_size);
        const struct store stores[] = {{j->ring + at % RING, RING - at % RING},
                                       {&e->out_at, sizeof(e->out_at) + sizeof(e->out_version)},
                                       {&j->page->head, sizeof(j->page->head)},
                                       {&j->page->sequence, sizeof(j->page->sequence)},
                                       {e, sizeof(*e)}};
        char *before = malloc(j->map_len), *after = malloc(j->map_len), *map = (char *)j->page;
        assert_true(before && after);
        memcpy(before, map, j->map_len);
        journal_tend(j);
        memcpy(after, map, j->map_len);
        memcpy(map, before, j->map_len);
        for (unsigned i = 0; i < step; i++)
            memcpy(stores[i].at, after + ((char *)stores[i].at - map), stores[i].len);
        free(before);
        free(after);

        j = replayed(j);
        assert_int_equal(fold_in_use(j->fold), step < 3);
        /* a place that was noted before the kill is not the place of what comes next */
        assert_int_equal(close_one(j, &(struct call){.filler = 2000}, &(struct journal_entry){0}),
                         ERR_OK);
        want.calls++;
        j = replayed(j);
        ship_all(j, &got);
        assert_same(&got, &want);
        journal_remove(j);
    }
}

#define SEQUENCES 60000

/* What each sequence told, so that one that is read twice counts once, as at the control plane. */
struct told {
    uint64_t calls[SEQUENCES], lost[SEQUENCES];
    int64_t cost[SEQUENCES];
};

/* What a child that is killed shares with us. */
struct shared {
    atomic_uint opened, closed;
    struct told told;
};

static void tell(struct journal *j, struct shared *with, size_t most)
{
    uint64_t at = atomic_load(&j->page->tail), sequence;
    struct slice packed;
    for (size_t n = 0; n < most && journal_next(j, &at, &sequence, &packed); n++) {
        Gatehouse__JournalRecord *r =
            gatehouse__journal_record__unpack(NULL, packed.len, (const uint8_t *)packed.ptr);
        MUST(r && sequence < SEQUENCES);
        uint64_t calls = r->span->has_calls ? r->span->calls : 1;
        bool lost = strcmp(r->span->usage_source, "lost") == 0;
        with->told.calls[sequence] = calls;
        with->told.lost[sequence] = lost ? calls : 0;
        with->told.cost[sequence] = r->charges[0]->amount_nano;
        MUST(r->charges[0]->amount_nano == r->span->cost_nano);
        gatehouse__journal_record__free_unpacked(r, NULL);
        journal_commit(j, at, sequence);
    }
}

/* Opens, closes, ships a little and tends, always about a full ring; two calls overlap. */
static void work_until_killed(struct journal *j, struct shared *with)
{
    struct journal_entry held = {0};
    struct call c = {0}, of_held = {0};
    for (unsigned n = 0; n < 40000; n++) {
        struct journal_entry entry;
        c = (struct call){.key = n % KEYS, .minute = n / 64, .cost = 40, .filler = n % 300};
        MUST(open_one(j, &c, &entry) == ERR_OK);
        atomic_fetch_add(&with->opened, 1);
        if (held.taken) {
            MUST(close_one(j, &of_held, &held) == ERR_OK);
            atomic_fetch_add(&with->closed, 1);
        }
        held = entry;
        of_held = c;
        if (n % 50 == 49) /* much, now and then: then sums come out */
            tell(j, with, n % 400 == 399 ? 100 : 5);
        if (n % 5 == 0)
            journal_tend(j);
    }
    pause();
}

static void run_and_kill(void (*work)(struct journal *j, struct shared *with), struct journal *j,
                         struct shared *with, useconds_t after_us)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work(j, with);
        _exit(0);
    }
    usleep(after_us);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void replay_until_killed(struct journal *j, struct shared *with)
{
    (void)with;
    struct journal *own;
    MUST(journal_replay(j->path, &own) == ERR_OK);
    for (unsigned n = 0; n < 50; n++)
        journal_tend(own);
    _exit(0);
}

static void killed_at_random_moments_every_call_counts_once(void **state)
{
    (void)state;
    uint64_t folded = 0, lost_calls = 0;
    for (unsigned round = 0; round < 60; round++) {
        struct shared *with =
            mmap(NULL, sizeof(*with), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(with != MAP_FAILED);
        struct journal *j = fresh();
        run_and_kill(work_until_killed, j, with, 2000 + round * 1237);
        run_and_kill(replay_until_killed, j, with, 300 + round * 97);
        j = replayed(j);
        for (unsigned turns = 0; !journal_is_empty(j); turns++) {
            assert_true(turns < 100);
            tell(j, with, SIZE_MAX);
            journal_tend(j);
        }
        uint64_t calls = 0, lost = 0;
        int64_t cost = 0;
        for (unsigned i = 0; i < SEQUENCES; i++) {
            calls += with->told.calls[i];
            lost += with->told.lost[i];
            cost += with->told.cost[i];
        }
        /* one more may have been opened, or closed, than it came to say */
        assert_in_range(calls, atomic_load(&with->opened), atomic_load(&with->opened) + 1);
        assert_in_range(lost, calls > 0, 2);
        assert_in_range(calls - lost, atomic_load(&with->closed), atomic_load(&with->closed) + 1);
        assert_int_equal(cost, (int64_t)(calls - lost) * 40 + (int64_t)lost * WORST);
        folded += atomic_load(&j->page->folded);
        lost_calls += lost;
        journal_remove(j);
        munmap(with, sizeof(*with));
    }
    print_message("%lu calls were folded, %lu lost\n", (unsigned long)folded,
                  (unsigned long)lost_calls);
    assert_true(folded > 1000); /* else it showed nothing */
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(killed_between_any_two_stores_a_call_counts_once),
        IN_DIR(killed_while_sums_become_a_record_they_count_once),
        IN_DIR(killed_at_random_moments_every_call_counts_once),
    };
    return cmocka_run_group_tests_name("fold_kill", tests, NULL, NULL);
}
