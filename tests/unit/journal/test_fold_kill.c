/*
 * fold_kill — every call that was opened is counted once, in a record or in sums, whatever moment
 * the process is killed at.
 */
#include "tests/unit/journal/fold_kit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

/* ---- a kill after every single instruction that changed what matters of the file ---- */

#define STEPS_MAX                                                                                  \
    10000000        /* a close takes some ten thousand, twenty times that under sanitizers         \
                     */
#define WATCHED 128 /* of the page: the positions */

/* What tells half done from done: the page's positions, the call's slot, the first entry. */
struct watch {
    char page[WATCHED], slot[sizeof(struct journal_slot)], entry[sizeof(struct fold_entry)];
};

static bool has_changed(struct watch *w, const struct journal *rq, const struct journal_slot *slot)
{
    const char *entry = rq->ring + rq->page->ring_size;
    if (memcmp(w->page, rq->page, sizeof(w->page)) == 0 &&
        memcmp(w->slot, slot, sizeof(w->slot)) == 0 &&
        memcmp(w->entry, entry, sizeof(w->entry)) == 0)
        return false;
    memcpy(w->page, rq->page, sizeof(w->page));
    memcpy(w->slot, slot, sizeof(w->slot));
    memcpy(w->entry, entry, sizeof(w->entry));
    return true;
}

static struct journal *replayed_copy(const struct journal *rq)
{
    char path[sizeof(rq->path) + 8];
    struct journal *copy;
    snprintf(path, sizeof(path), "%s.copy", rq->path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(rq->page, 1, rq->map_len, f), rq->map_len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(journal_replay(path, &copy), ERR_OK);
    return copy;
}

/* One scenario: what the child does instruction by instruction, and what then must hold. */
struct stepped {
    struct journal *rq;
    struct call call;
    struct journal_entry entry; /* opened before */
    bool tends;                 /* instead of closing */
    struct sums before;         /* without the call */
    bool counted;               /* as it was closed; from then on it stays so */
    unsigned looks;
};

static void look(struct stepped *s)
{
    struct sums got = {0}, want = s->before;
    struct journal *copy = replayed_copy(s->rq);
    bool is_lost = atomic_load(&copy->page->lost) > 0;
    int64_t cost = is_lost ? WORST : s->call.cost;
    if (!s->tends) {
        want.calls++;
        want.cost += cost, want.team_charges += cost, want.key_charges[s->call.key] += cost;
        want.input += is_lost ? 0 : s->call.input;
        assert_false(s->counted && is_lost);
        s->counted = !is_lost;
    }
    ship_all(copy, &got);
    assert_same(&got, &want);
    journal_remove(copy);
    s->looks++;
}

static _Noreturn void be_stepped(const struct stepped *s)
{
    struct journal_entry entry = s->entry;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(77);
    raise(SIGSTOP);
    if (s->tends)
        journal_tend(s->rq);
    else
        MUST(close_one(s->rq, &s->call, &entry) == ERR_OK);
    _exit(0);
}

static void step_through(struct stepped *s)
{
    const struct journal_slot *slot = &s->rq->slots[s->entry.opened_at];
    struct watch w = {0};
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        be_stepped(s);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* tracing is not permitted here */
    for (unsigned n = 0; WIFSTOPPED(status); n++) {
        assert_true(n < STEPS_MAX);
        if (has_changed(&w, s->rq, slot))
            look(s);
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    print_message("%u moments\n", s->looks);
    journal_remove(s->rq);
}

static void killed_after_any_instruction_of_a_close_into_the_ring_it_counts_once(void **state)
{
    (void)state;
    struct stepped s = {.rq = fresh(), .call = {.cost = 40, .input = 5}};
    assert_int_equal(open_one(s.rq, &s.call, &s.entry), ERR_OK);
    step_through(&s);
    assert_true(s.counted && s.looks > 4);
}

static void killed_after_any_instruction_of_a_close_into_sums_it_counts_once(void **state)
{
    (void)state;
    for (unsigned key = 0; key < 2; key++) { /* to sums that stand already, then new ones */
        struct stepped s = {.rq = fresh(), .call = {.key = key, .cost = 40, .input = 5}};
        if (key == 0)
            fill(s.rq, &s.before);
        else
            fill_but_sums(s.rq, &s.before);
        assert_int_equal(open_one(s.rq, &s.call, &s.entry), ERR_OK);
        step_through(&s);
        assert_true(s.counted && s.looks > 6);
    }
}

static void killed_after_any_instruction_while_sums_become_a_record_they_count_once(void **state)
{
    (void)state;
    struct stepped s = {.rq = fresh(), .tends = true};
    struct sums shipped = {0};
    fill(s.rq, &s.before);
    ship(s.rq, &shipped, SIZE_MAX);
    s.before.calls -= shipped.calls;
    s.before.cost -= shipped.cost, s.before.team_charges -= shipped.team_charges;
    s.before.key_charges[0] -= shipped.key_charges[0];
    s.before.input -= shipped.input, s.before.output -= shipped.output;
    assert_true(s.before.calls > 0);
    step_through(&s);
    assert_true(s.looks > 4);
}

/* ---- a kill while replaying what a kill left ---- */

/* The stores that make a record of sums, in their order, each as bytes of the file. */
struct store {
    void *at;
    size_t len;
};

static void killed_while_sums_become_a_record_they_count_once(void **state)
{
    (void)state;
    for (unsigned step = 0; step <= 5; step++) {
        struct journal *rq = fresh();
        struct sums want = {0}, got = {0};
        fill(rq, &want);
        ship(rq, &got, SIZE_MAX);
        assert_int_equal(fold_in_use(rq->fold), 1);
        uint64_t at = atomic_load(&rq->page->head);
        struct fold_entry *e = (void *)(rq->ring + rq->page->ring_size);
        const struct store stores[] = {{rq->ring + at % RING, RING - at % RING},
                                       {&e->out_at, sizeof(e->out_at) + sizeof(e->out_version)},
                                       {&rq->page->head, sizeof(rq->page->head)},
                                       {&rq->page->sequence, sizeof(rq->page->sequence)},
                                       {e, sizeof(*e)}};
        char *before = malloc(rq->map_len), *after = malloc(rq->map_len), *map = (char *)rq->page;
        assert_true(before && after);
        memcpy(before, map, rq->map_len);
        journal_tend(rq);
        memcpy(after, map, rq->map_len);
        memcpy(map, before, rq->map_len);
        for (unsigned i = 0; i < step; i++)
            memcpy(stores[i].at, after + ((char *)stores[i].at - map), stores[i].len);
        free(before);
        free(after);

        rq = replayed(rq);
        assert_int_equal(fold_in_use(rq->fold), step < 3);
        /* a place that was noted before the kill is not the place of what comes next */
        assert_int_equal(close_one(rq, &(struct call){.filler = 2000}, &(struct journal_entry){0}),
                         ERR_OK);
        want.calls++;
        rq = replayed(rq);
        ship_all(rq, &got);
        assert_same(&got, &want);
        journal_remove(rq);
    }
}

#define SEQUENCES 60000

/* The record of each sequence number, so that one that is read twice counts once, as at the control
 * plane. */
struct told {
    uint64_t calls[SEQUENCES], lost[SEQUENCES];
    int64_t cost[SEQUENCES];
};

/* What a child that is killed shares with us. */
struct shared {
    atomic_uint opened, closed;
    struct told told;
};

static void tell(struct journal *rq, struct shared *with, size_t most)
{
    uint64_t at = atomic_load(&rq->page->tail), sequence;
    struct slice packed;
    for (size_t n = 0; n < most && journal_next(rq, &at, &sequence, &packed); n++) {
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
        journal_commit(rq, at, sequence);
    }
}

/* Opens, closes, ships a little and tends, always about a full ring; two calls overlap. */
static void work_until_killed(struct journal *rq, struct shared *with)
{
    struct journal_entry held = {0};
    struct call c = {0}, of_held = {0};
    for (unsigned n = 0; n < 40000; n++) {
        struct journal_entry entry;
        c = (struct call){.key = n % KEYS, .minute = n / 64, .cost = 40, .filler = n % 300};
        MUST(open_one(rq, &c, &entry) == ERR_OK);
        atomic_fetch_add(&with->opened, 1);
        if (held.taken) {
            MUST(close_one(rq, &of_held, &held) == ERR_OK);
            atomic_fetch_add(&with->closed, 1);
        }
        held = entry;
        of_held = c;
        if (n % 50 == 49) /* much, now and then: then sums come out */
            tell(rq, with, n % 400 == 399 ? 100 : 5);
        if (n % 5 == 0)
            journal_tend(rq);
    }
    pause();
}

static void run_and_kill(void (*work)(struct journal *rq, struct shared *with), struct journal *rq,
                         struct shared *with, useconds_t after_us)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work(rq, with);
        _exit(0);
    }
    usleep(after_us);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void replay_until_killed(struct journal *rq, struct shared *with)
{
    (void)with;
    struct journal *own;
    MUST(journal_replay(rq->path, &own) == ERR_OK);
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
        struct journal *rq = fresh();
        run_and_kill(work_until_killed, rq, with, 2000 + round * 1237);
        run_and_kill(replay_until_killed, rq, with, 300 + round * 97);
        rq = replayed(rq);
        for (unsigned turns = 0; !journal_is_empty(rq); turns++) {
            assert_true(turns < 100);
            tell(rq, with, SIZE_MAX);
            journal_tend(rq);
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
        folded += atomic_load(&rq->page->folded);
        lost_calls += lost;
        journal_remove(rq);
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
        IN_DIR(killed_after_any_instruction_of_a_close_into_the_ring_it_counts_once),
        IN_DIR(killed_after_any_instruction_of_a_close_into_sums_it_counts_once),
        IN_DIR(killed_after_any_instruction_while_sums_become_a_record_they_count_once),
        IN_DIR(killed_while_sums_become_a_record_they_count_once),
        IN_DIR(killed_at_random_moments_every_call_counts_once),
    };
    return cmocka_run_group_tests_name("fold_kill", tests, NULL, NULL);
}
