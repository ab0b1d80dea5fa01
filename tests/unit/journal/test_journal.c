/* journal — nothing lost, nothing twice, whatever moment the process is killed at. */
#include "tests/unit/policy/policy_kit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kit/journal_calls.h"

static char dir[SCRATCH_MAX];

static int make_dir(void **state)
{
    (void)state;
    return scratch_folder(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[SCRATCH_MAX + 16];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static struct journal *fresh(size_t bytes)
{
    struct journal_config c = {.dir = dir, .epoch = 7, .worker = 3, .bytes = bytes};
    struct journal *rq;
    assert_int_equal(journal_create(&c, &rq), ERR_OK);
    return rq;
}

/* A record of call `n` with `filler` bytes of path, charged `nano`. */
struct made {
    Gatehouse__JournalRecord record;
    Gatehouse__Span span;
    Gatehouse__Charge charge, *charges[1];
    uint8_t id[JOURNAL_CALL_ID];
    char path[8192];
};

static const Gatehouse__JournalRecord *make(struct made *m, unsigned n, size_t filler, int64_t nano)
{
    gatehouse__journal_record__init(&m->record);
    gatehouse__span__init(&m->span);
    gatehouse__charge__init(&m->charge);
    memset(m->id, 0, sizeof(m->id));
    memcpy(m->id, &n, sizeof(n));
    memset(m->path, 'p', filler);
    m->path[filler] = '\0';
    m->span.path = m->path;
    m->record.has_call_id = true;
    m->record.call_id = (ProtobufCBinaryData){sizeof(m->id), m->id};
    m->record.span = &m->span;
    m->charge.account = "key:k_1";
    m->charge.lease_id = "l_1";
    m->charge.has_amount_nano = true;
    m->charge.amount_nano = nano;
    m->charges[0] = &m->charge;
    m->record.charges = m->charges;
    m->record.n_charges = nano > 0 ? 1 : 0;
    return &m->record;
}

static unsigned call_of(struct slice packed, Gatehouse__JournalRecord **keep)
{
    Gatehouse__JournalRecord *m =
        gatehouse__journal_record__unpack(NULL, packed.len, (const uint8_t *)packed.ptr);
    assert_non_null(m);
    unsigned n;
    memcpy(&n, m->call_id.data, sizeof(n));
    if (keep)
        *keep = m;
    else
        gatehouse__journal_record__free_unpacked(m, NULL);
    return n;
}

static void records_come_back_in_order_with_gapless_numbers(void **state)
{
    (void)state;
    struct journal *rq = fresh(64 * 1024);
    uint64_t at = 0, sequence, want = 1;
    struct slice record;
    /* many times round the ring */
    for (unsigned n = 0; n < 5000; n++) {
        struct made m;
        struct journal_entry e;
        assert_int_equal(kit_open_call(rq, make(&m, n, n % 700, 5), &e), ERR_OK);
        assert_int_equal(kit_close_call(rq, make(&m, n, n % 1500, 5), &e), ERR_OK);
        assert_true(journal_next(rq, &at, &sequence, &record));
        assert_int_equal(sequence, want++);
        assert_int_equal(call_of(record, NULL), n);
        journal_commit(rq, at, sequence);
    }
    assert_true(journal_is_empty(rq));
    assert_int_equal(rq->seats, 0);
    journal_remove(rq);
}

static void an_opened_call_always_finds_room_to_close(void **state)
{
    (void)state;
    struct journal *rq = fresh(64 * 1024);
    struct journal_entry open[65] = {0};
    struct made m;
    unsigned opened = 0;
    while (opened < 65 && kit_open_call(rq, make(&m, opened, 10, 1), &open[opened]) == ERR_OK)
        opened++;
    assert_int_equal(opened, 64); /* the slots are what ends it */
    while (atomic_load(&rq->page->dropped) == 0)
        assert_int_equal(kit_close_call(rq, make(&m, 999, 3000, 0), &(struct journal_entry){0}),
                         ERR_OK);
    for (unsigned i = 0; i < opened; i++) /* the detail goes, the money stays */
        assert_int_equal(kit_close_call(rq, make(&m, i, 8000, 1), &open[i]), ERR_OK);
    assert_int_equal(atomic_load(&rq->page->folded), 64);
    assert_int_equal(atomic_load(&rq->page->dropped), 1);
    assert_int_equal(rq->seats, 0);
    journal_remove(rq);
}

static void a_record_over_the_ceiling_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    struct journal *rq = fresh(64 * 1024);
    struct made m;
    struct journal_entry e;
    assert_int_equal(kit_open_call(rq, make(&m, 1, 4000, 1), &e), ERR_TOO_BIG);
    assert_true(journal_is_empty(rq));
    assert_int_equal(rq->seats, 0);
    journal_remove(rq);
}

static void what_was_only_opened_is_lost_at_its_worst_case(void **state)
{
    (void)state;
    struct journal *rq = fresh(64 * 1024);
    struct made m;
    struct journal_entry a, b;
    char path[512];
    assert_int_equal(kit_open_call(rq, make(&m, 1, 10, 100), &a), ERR_OK);
    assert_int_equal(kit_open_call(rq, make(&m, 2, 10, 200), &b), ERR_OK);
    assert_int_equal(kit_close_call(rq, make(&m, 1, 10, 40), &a), ERR_OK);
    snprintf(path, sizeof(path), "%s", rq->path);
    journal_unmap(rq); /* the process is gone */

    assert_int_equal(journal_replay(path, &rq), ERR_OK);
    uint64_t at = 0, sequence;
    struct slice record;
    Gatehouse__JournalRecord *r;
    assert_true(journal_next(rq, &at, &sequence, &record));
    assert_int_equal(call_of(record, &r), 1);
    assert_int_equal(r->charges[0]->amount_nano, 40);
    gatehouse__journal_record__free_unpacked(r, NULL);
    assert_true(journal_next(rq, &at, &sequence, &record));
    assert_int_equal(sequence, 2);
    assert_int_equal(call_of(record, &r), 2);
    assert_int_equal(r->charges[0]->amount_nano, 200);
    assert_string_equal(r->span->usage_source, "lost");
    assert_int_equal(r->span->cost_nano, 200);
    gatehouse__journal_record__free_unpacked(r, NULL);
    assert_false(journal_next(rq, &at, &sequence, &record));
    assert_int_equal(atomic_load(&rq->page->lost), 1);
    journal_unmap(rq);

    assert_int_equal(journal_replay(path, &rq), ERR_OK); /* killed again while replaying */
    at = 0;
    for (int n = 0; n < 2; n++)
        assert_true(journal_next(rq, &at, &sequence, &record));
    assert_false(journal_next(rq, &at, &sequence, &record));
    journal_remove(rq);
}

/* Replays it as the next start would, after a kill; the one record that comes out of it. */
static Gatehouse__JournalRecord *lost_record(struct journal *rq)
{
    char path[512];
    uint64_t at = 0, sequence;
    struct slice record;
    Gatehouse__JournalRecord *r;
    snprintf(path, sizeof(path), "%s", rq->path);
    journal_unmap(rq);
    assert_int_equal(journal_replay(path, &rq), ERR_OK);
    assert_true(journal_next(rq, &at, &sequence, &record));
    call_of(record, &r);
    journal_remove(rq);
    return r;
}

static void a_call_that_was_raised_is_lost_at_no_less(void **state)
{
    (void)state;
    struct made m;
    struct journal_entry a;
    struct journal *rq = fresh(64 * 1024);
    assert_int_equal(kit_open_call(rq, make(&m, 1, 10, 100), &a), ERR_OK);
    journal_raise(rq, &a, 250);
    Gatehouse__JournalRecord *r = lost_record(rq);
    assert_int_equal(r->charges[0]->amount_nano, 250);
    assert_int_equal(r->span->cost_nano, 250);
    gatehouse__journal_record__free_unpacked(r, NULL);
}

static void a_free_call_that_was_raised_costs_what_it_may_have_cost(void **state)
{
    (void)state;
    struct made m;
    struct journal_entry a;
    struct journal *rq = fresh(64 * 1024);
    make(&m, 1, 10, 0); /* of no budget, but with a price */
    m.span.has_cost_known = m.span.cost_known = m.span.has_cost_nano = true;
    m.span.cost_nano = 100;
    assert_int_equal(kit_open_call(rq, &m.record, &a), ERR_OK);
    journal_raise(rq, &a, 300);
    Gatehouse__JournalRecord *r = lost_record(rq);
    assert_int_equal(r->n_charges, 0);
    assert_int_equal(r->span->cost_nano, 300);
    gatehouse__journal_record__free_unpacked(r, NULL);
}

static void a_slot_forgets_what_its_last_call_was_raised_to(void **state)
{
    (void)state;
    struct made m;
    struct journal_entry a;
    struct journal *rq = fresh(64 * 1024);
    assert_int_equal(kit_open_call(rq, make(&m, 1, 10, 100), &a), ERR_OK);
    uint64_t slot = a.opened_at;
    journal_raise(rq, &a, 250);
    assert_int_equal(kit_close_call(rq, make(&m, 1, 10, 90), &a), ERR_OK);
    uint64_t at = 0, sequence;
    struct slice record;
    assert_true(journal_next(rq, &at, &sequence, &record));
    journal_commit(rq, at, sequence);
    assert_int_equal(kit_open_call(rq, make(&m, 2, 10, 100), &a), ERR_OK);
    assert_int_equal(a.opened_at, slot);
    char path[512];
    snprintf(path, sizeof(path), "%s", rq->path);
    journal_unmap(rq);
    assert_int_equal(journal_replay(path, &rq), ERR_OK);
    assert_true(journal_next(rq, &at, &sequence, &record));
    Gatehouse__JournalRecord *r;
    assert_int_equal(call_of(record, &r), 2);
    assert_int_equal(r->charges[0]->amount_nano, 100);
    gatehouse__journal_record__free_unpacked(r, NULL);
    journal_remove(rq);
}

static void numbers_go_on_after_everything_was_committed(void **state)
{
    (void)state;
    struct journal *rq = fresh(64 * 1024);
    struct made m;
    struct journal_entry a, b;
    char path[512];
    uint64_t at = 0, sequence;
    struct slice record;
    assert_int_equal(kit_open_call(rq, make(&m, 1, 10, 100), &a), ERR_OK);
    assert_int_equal(kit_open_call(rq, make(&m, 2, 10, 100), &b), ERR_OK);
    assert_int_equal(kit_close_call(rq, make(&m, 1, 10, 40), &a), ERR_OK);
    assert_true(journal_next(rq, &at, &sequence, &record));
    journal_commit(rq, at, sequence);
    snprintf(path, sizeof(path), "%s", rq->path);
    journal_unmap(rq);
    assert_int_equal(journal_replay(path, &rq), ERR_OK);
    at = atomic_load(&rq->page->tail);
    assert_true(journal_next(rq, &at, &sequence, &record));
    assert_int_equal(sequence, 2);
    journal_remove(rq);
}

/* A child writes as fast as it can and is killed at a random moment; every call that it reported by
 * a pipe, after closing it, is there once, and every other one is there once, lost or closed. */
static void an_empty_ring_is_used_from_its_front_again(void **state)
{
    (void)state;
    struct journal *rq = fresh(1024 * 1024);
    const char *front = rq->ring + sizeof(struct journal_head);
    uint64_t at = 0, stale = 0, sequence;
    struct slice record;
    for (unsigned n = 1; n <= 2000; n++) {
        struct made m;
        struct journal_entry entry = {0};
        assert_int_equal(kit_close_call(rq, make(&m, n, 1000, 0), &entry), ERR_OK);
        if (n % 100) /* the next one finds the ring empty, well behind its front */
            continue;
        stale = at;
        while (journal_next(rq, &at, &sequence, &record))
            journal_commit(rq, at, sequence);
        assert_int_equal(sequence, n);
        assert_true(journal_is_shipped(rq));
        assert_true(record.ptr < front + 150 * 1024); /* of a megabyte no more was touched */
    }
    struct made m;
    struct journal_entry entry = {0};
    assert_int_equal(kit_close_call(rq, make(&m, 2001, 1000, 0), &entry), ERR_OK);
    assert_true(journal_next(rq, &stale, &sequence, &record)); /* a reader that looked before */
    assert_int_equal(sequence, 2001);
    assert_int_equal(call_of(record, NULL), 2001);
    assert_ptr_equal(record.ptr, front);
    assert_int_equal(atomic_load(&rq->page->dropped), 0);
    journal_remove(rq);
}

static void killed_on_its_way_to_the_front_it_is_empty_all_the_same(void **state)
{
    (void)state;
    struct journal *rq = fresh(1024 * 1024);
    struct made m;
    struct journal_entry entry = {0};
    uint64_t at = 0, sequence = 0;
    struct slice record;
    char path[sizeof(rq->path)];
    for (unsigned n = 1; n <= 100; n++)
        assert_int_equal(kit_close_call(rq, make(&m, n, 1000, 0), &entry), ERR_OK);
    while (journal_next(rq, &at, &sequence, &record))
        journal_commit(rq, at, sequence);
    memset(rq->ring + at, 0, sizeof(struct journal_head)); /* the pad, and the head behind it */
    atomic_store(&rq->page->head, rq->page->ring_size);
    snprintf(path, sizeof(path), "%s", rq->path);
    journal_unmap(rq);
    assert_int_equal(journal_replay(path, &rq), ERR_OK);
    assert_true(journal_is_empty(rq));
    assert_int_equal(atomic_load(&rq->page->sequence), 100);
    journal_remove(rq);
}

static void killed_at_any_moment_each_call_is_there_once(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct journal *rq = fresh(1024 * 1024);
        char path[512];
        int told[2];
        snprintf(path, sizeof(path), "%s", rq->path);
        assert_int_equal(pipe(told), 0);
        pid_t child = fork();
        if (child == 0) {
            for (unsigned n = 0; n < 2000; n++) {
                struct made m;
                struct journal_entry e;
                if (kit_open_call(rq, make(&m, n, 20, 9), &e) != ERR_OK ||
                    kit_close_call(rq, make(&m, n, 20, 4), &e) != ERR_OK)
                    break;
                if (write(told[1], &n, sizeof(n)) != sizeof(n))
                    break;
            }
            pause();
        }
        close(told[1]);
        usleep(200 + round * 311);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        unsigned n, last = 0, closed = 0;
        while (read(told[0], &n, sizeof(n)) == sizeof(n)) {
            last = n;
            closed++;
        }
        close(told[0]);
        journal_unmap(rq);
        assert_int_equal(journal_replay(path, &rq), ERR_OK);
        uint64_t at = 0, sequence, want = 1;
        struct slice record;
        unsigned seen = 0;
        while (journal_next(rq, &at, &sequence, &record)) {
            assert_int_equal(sequence, want++);
            assert_int_equal(call_of(record, NULL), seen++);
        }
        assert_in_range(seen, closed, closed + 1);
        assert_true(closed == 0 || last == closed - 1);
        journal_remove(rq);
    }
}

static void a_torn_file_is_refused(void **state)
{
    (void)state;
    struct journal *rq = fresh(64 * 1024);
    struct made m;
    struct journal_entry e;
    char path[512];
    assert_int_equal(kit_open_call(rq, make(&m, 1, 10, 1), &e), ERR_OK);
    assert_int_equal(kit_close_call(rq, make(&m, 1, 10, 1), &e), ERR_OK);
    rq->ring[40] ^= 1;
    snprintf(path, sizeof(path), "%s", rq->path);
    journal_unmap(rq);
    assert_int_equal(journal_replay(path, &rq), ERR_INVALID);
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(journal_replay(path, &rq), ERR_INVALID);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_not_equal(journal_replay(path, &rq), ERR_OK);
}

static void a_promise_holds_a_brief_record_and_the_widest_pad_before_it(void **state)
{
    (void)state;
    size_t need = journal_footprint(JOURNAL_CLOSE_ROOM);
    size_t pad =
        need - 8; /* what is left before the ring's end, in steps of eight, and too short */
    assert_int_equal(JOURNAL_PROMISE, need + pad);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(records_come_back_in_order_with_gapless_numbers),
        IN_DIR(a_promise_holds_a_brief_record_and_the_widest_pad_before_it),
        IN_DIR(an_opened_call_always_finds_room_to_close),
        IN_DIR(a_record_over_the_ceiling_is_refused_and_nothing_changes),
        IN_DIR(what_was_only_opened_is_lost_at_its_worst_case),
        IN_DIR(a_call_that_was_raised_is_lost_at_no_less),
        IN_DIR(a_free_call_that_was_raised_costs_what_it_may_have_cost),
        IN_DIR(a_slot_forgets_what_its_last_call_was_raised_to),
        IN_DIR(numbers_go_on_after_everything_was_committed),
        IN_DIR(an_empty_ring_is_used_from_its_front_again),
        IN_DIR(killed_on_its_way_to_the_front_it_is_empty_all_the_same),
        IN_DIR(killed_at_any_moment_each_call_is_there_once),
        IN_DIR(a_torn_file_is_refused),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
