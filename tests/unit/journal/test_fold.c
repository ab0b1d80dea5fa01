/*
 * fold — a journal that is full keeps exact sums: every nano-dollar and token of every call, and it
 * refuses no call.
 */
#include "tests/unit/journal/fold_kit.h"

static void far_beyond_the_ring_sums_are_exact_and_no_call_is_refused(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums want = {0}, got = {0};
    for (unsigned n = 0; n < 20000; n++) {
        struct call c = {.key = n % KEYS,
                         .model = n % 3,
                         .minute = n / 5000,
                         .cost = 1 + n % 97,
                         .input = n % 13,
                         .output = n % 7,
                         .filler = n % 600};
        happen(rq, &c);
        want.calls++;
        want.cost += c.cost;
        want.input += c.input;
        want.output += c.output;
        want.key_charges[c.key] += c.cost;
        want.team_charges += c.cost;
        if (n == 9000) /* the control plane is back for a moment */
            ship(rq, &got, 40);
        if (n % 100 == 0)
            journal_tend(rq);
    }
    assert_true(atomic_load(&rq->page->folded) > 19000);
    assert_int_equal(atomic_load(&rq->page->dropped), 0);
    assert_int_equal(rq->seats, 0);
    assert_true(journal_waiting(rq) > fold_in_use(rq->fold));
    ship_all(rq, &got);
    assert_same(&got, &want);
    assert_true(got.records < 600);
    journal_remove(rq);
}

static void a_folded_record_says_who_what_and_when(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums s = {0};
    fill(rq, &s);
    for (unsigned i = 0; i < 3; i++)
        happen(rq, &(struct call){
                       .key = 5, .model = 9, .minute = 3, .cost = 10, .input = 4, .filler = i});
    happen(rq, &(struct call){.key = 5, .model = 9, .minute = 4, .cost = 10, .input = 4});
    happen(rq, &(struct call){.key = 5, .model = 9, .minute = 4, .cost = -1, .input = 4});
    uint64_t at = atomic_load(&rq->page->head), sequence;
    ship(rq, &s, SIZE_MAX);
    journal_tend(rq);
    struct slice packed;
    unsigned of_five = 0;
    while (journal_next(rq, &at, &sequence, &packed)) {
        Gatehouse__JournalRecord *r =
            gatehouse__journal_record__unpack(NULL, packed.len, (const uint8_t *)packed.ptr);
        assert_string_equal(r->span->kind, "call");
        assert_string_equal(r->span->code, "folded");
        assert_int_equal(strlen(r->span->id), 16);
        assert_int_equal(r->call_id.len, JOURNAL_CALL_ID);
        if (strcmp(r->span->key_id, "k_5") == 0) {
            of_five++;
            assert_string_equal(r->span->team_id, "t_1");
            assert_string_equal(r->span->model, "model-9");
            assert_string_equal(r->span->gate, "ai");
            assert_string_equal(r->span->status, "ok");
            assert_string_equal(r->span->usage_source, "provider");
            assert_null(r->span->session_id);
            assert_null(r->span->agent_id);
            if (r->span->calls == 3) {
                assert_int_equal(r->span->started_at_us, NOON + 3 * MINUTE_US);
                assert_int_equal(r->span->duration_us, 1002);
                assert_int_equal(r->span->cost_nano, 30);
            } else if (!r->span->cost_known) { /* not known is not zero */
                assert_false(r->span->has_cost_nano);
                assert_int_equal(r->n_charges, 0);
            }
        }
        gatehouse__journal_record__free_unpacked(r, NULL);
    }
    assert_int_equal(of_five, 3); /* two minutes, and one without a price */
    journal_remove(rq);
}

static void a_free_call_is_dropped_and_counted_and_an_unpriced_one_is_not(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums want = {0}, got = {0};
    fill(rq, &want);
    happen(rq, &(struct call){.cost = 0}); /* opened, and it cost nothing in the end */
    assert_int_equal(close_one(rq, &(struct call){.cost = -1}, &(struct journal_entry){0}), ERR_OK);
    assert_int_equal(atomic_load(&rq->page->dropped), 2);
    uint64_t folded = atomic_load(&rq->page->folded);
    assert_int_equal(
        close_one(rq, &(struct call){.cost = -1, .input = 3}, &(struct journal_entry){0}), ERR_OK);
    assert_int_equal(atomic_load(&rq->page->folded), folded + 1);
    want.calls++, want.input += 3;
    assert_int_equal(rq->free_count, rq->page->slot_count);
    ship_all(rq, &got);
    assert_same(&got, &want);
    journal_remove(rq);
}

static void where_entries_run_short_the_minute_is_given_up_first(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums want = {0}, got = {0};
    fill(rq, &want);
    for (unsigned n = 0; n < 5000; n++) {
        happen(rq, &(struct call){.key = n % KEYS, .minute = n, .cost = 3});
        want.calls++, want.cost += 3, want.team_charges += 3, want.key_charges[n % KEYS] += 3;
    }
    assert_in_range(fold_spare(rq->fold), rq->page->fold_count / 4 - 1, rq->page->fold_count / 4);
    ship_all(rq, &got);
    assert_same(&got, &want);
    journal_remove(rq);
}

/* Every call has a key of its own: entries end, then the promises of the last quarter; a call that
 * was opened before that still finds a place. */
static void only_more_kinds_of_calls_than_entries_are_refused(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums want = {0}, got = {0};
    struct journal_entry held[8];
    fill(rq, &want);
    for (unsigned i = 0; i < ARRAY_LEN(held); i++)
        assert_int_equal(open_one(rq, &(struct call){.key = 10000 + i * KEYS, .cost = 5}, &held[i]),
                         ERR_OK);
    unsigned n = 0, promised = 0;
    struct call c;
    struct journal_entry entry;
    for (;; n++) {
        c = (struct call){.key = n * KEYS + 1, .cost = 2};
        assert_true(n < 1000);
        if (open_one(rq, &c, &entry) != ERR_OK)
            break;
        promised += entry.room > 0;
        assert_int_equal(close_one(rq, &c, &entry), ERR_OK);
        want.calls++, want.cost += 2, want.team_charges += 2, want.key_charges[1] += 2;
    }
    assert_true(n > rq->page->fold_count - 1 - ARRAY_LEN(held));
    assert_true(promised > 0);
    assert_int_equal(close_one(rq, &c, &(struct journal_entry){0}), ERR_EXHAUSTED);
    for (unsigned i = 0; i < ARRAY_LEN(held); i++) {
        c = (struct call){.key = 10000 + i * KEYS, .cost = 5};
        assert_int_equal(close_one(rq, &c, &held[i]), ERR_OK);
        want.calls++, want.cost += 5, want.team_charges += 5, want.key_charges[0] += 5;
    }
    assert_int_equal(rq->seats, 0);
    assert_int_equal(rq->taken, 0);
    ship_all(rq, &got);
    assert_same(&got, &want);
    journal_remove(rq);
}

static void a_sum_that_no_record_could_hold_is_begun_anew(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums want = {0}, got = {0};
    fill(rq, &want);
    int64_t dollars = 300000 * INT64_C(1000000000);
    for (unsigned n = 0; n < 6; n++) {
        happen(rq, &(struct call){.key = 2, .cost = dollars});
        want.calls++, want.cost += dollars, want.team_charges += dollars;
        want.key_charges[2] += dollars;
    }
    uint32_t i = 0;
    for (; fold_next(rq->fold, &i); i++) {
        struct fold_call c;
        fold_get(rq->fold, i, &c);
        assert_true(c.sums.cost < 1000000 * INT64_C(1000000000));
    }
    ship_all(rq, &got);
    assert_same(&got, &want);
    journal_remove(rq);
}

static void lost_calls_are_folded_where_the_ring_is_full(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums want = {0}, got = {0};
    struct journal_entry entry;
    fill(rq, &want);
    for (unsigned n = 0; n < 60; n++) {
        struct made m;
        const struct call c = {.key = n % KEYS, .cost = WORST, .filler = 1000};
        assert_int_equal(kit_open_call(rq, make(&m, &c), &entry), ERR_OK);
        want.calls++, want.cost += WORST, want.team_charges += WORST;
        want.key_charges[n % KEYS] += WORST;
    }
    uint64_t folded = atomic_load(&rq->page->folded);
    rq = replayed(rq);
    assert_int_equal(atomic_load(&rq->page->lost), 60);
    assert_true(atomic_load(&rq->page->folded) > folded);
    ship_all(rq, &got);
    assert_same(&got, &want);
    journal_remove(rq);
}

static void an_entry_that_we_never_wrote_makes_the_file_unreadable(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums s = {0};
    char path[512];
    fill(rq, &s);
    struct fold_entry *e = (void *)(rq->ring + rq->page->ring_size);
    e->key[2] = (char)0xff; /* the length of a text */
    snprintf(path, sizeof(path), "%s", rq->path);
    journal_unmap(rq);
    assert_int_equal(journal_replay(path, &rq), ERR_INVALID);
}

/* A file as it was before there were sums: it ends behind its ring. */
static void a_file_without_sums_is_read_as_ever(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums want = {0}, got = {0};
    struct journal_entry entry;
    char path[512];
    happen(rq, &(struct call){.cost = 3});
    assert_int_equal(open_one(rq, &(struct call){.cost = 3}, &entry), ERR_OK);
    want = (struct sums){
        .calls = 2, .cost = 3 + WORST, .team_charges = 3 + WORST, .key_charges = {3 + WORST}};
    size_t len = rq->map_len - rq->page->fold_count * sizeof(struct fold_entry);
    rq->page->fold_count = 0;
    snprintf(path, sizeof(path), "%s", rq->path);
    journal_unmap(rq);
    assert_int_equal(truncate(path, (off_t)len), 0);
    assert_int_equal(journal_replay(path, &rq), ERR_OK);
    ship_all(rq, &got);
    assert_same(&got, &want);
    journal_remove(rq);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(far_beyond_the_ring_sums_are_exact_and_no_call_is_refused),
        IN_DIR(a_folded_record_says_who_what_and_when),
        IN_DIR(a_free_call_is_dropped_and_counted_and_an_unpriced_one_is_not),
        IN_DIR(where_entries_run_short_the_minute_is_given_up_first),
        IN_DIR(only_more_kinds_of_calls_than_entries_are_refused),
        IN_DIR(a_sum_that_no_record_could_hold_is_begun_anew),
        IN_DIR(lost_calls_are_folded_where_the_ring_is_full),
        IN_DIR(an_entry_that_we_never_wrote_makes_the_file_unreadable),
        IN_DIR(a_file_without_sums_is_read_as_ever),
    };
    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
