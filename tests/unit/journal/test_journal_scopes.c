/*
 * journal, sixteen charges: a call of many scopes takes two slots while it is under way and two
 * entries where it is folded, and is counted once, in every account, whatever moment the process is
 * killed at. A file of the layout before is taken over.
 */
#include "tests/unit/journal/fold_kit.h"

#define CHARGES 16

struct wide {
    Gatehouse__JournalRecord record;
    Gatehouse__Span span;
    Gatehouse__Tokens tokens;
    Gatehouse__Charge charges[CHARGES], *list[CHARGES];
    char accounts[CHARGES][64], leases[CHARGES][64], path[300], name[128];
};

/* Account i is charged `cost + i`, so that a mix-up shows. */
static const Gatehouse__JournalRecord *wide_call(struct wide *m, size_t charges, int64_t cost)
{
    gatehouse__journal_record__init(&m->record);
    gatehouse__span__init(&m->span);
    gatehouse__tokens__init(&m->tokens);
    memset(m->path, 'p', sizeof(m->path) - 1);
    m->path[sizeof(m->path) - 1] = '\0';
    memset(m->name, 'n', sizeof(m->name) - 1);
    m->name[sizeof(m->name) - 1] = '\0';
    m->span.path = m->path;
    m->span.name = m->span.server = m->span.tool = m->name;
    m->span.key_id = (char *)(uintptr_t) "k_0123456789012345678901";
    m->span.team_id = (char *)(uintptr_t) "team_0123456789012345678901";
    m->span.model = (char *)(uintptr_t) "a model with quite a long name";
    m->span.gate = (char *)(uintptr_t) "ai";
    m->span.status = (char *)(uintptr_t) "ok";
    m->span.usage_source = (char *)(uintptr_t) "provider";
    m->span.has_started_at_us = true;
    m->span.started_at_us = NOON;
    m->span.has_cost_known = m->span.has_cost_nano = m->span.cost_known = true;
    m->span.cost_nano = cost;
    m->tokens.has_input = true;
    m->tokens.input = 3;
    m->span.tokens = &m->tokens;
    m->record.span = &m->span;
    for (size_t i = 0; i < charges; i++) {
        gatehouse__charge__init(&m->charges[i]);
        snprintf(m->accounts[i], sizeof(m->accounts[i]), "kind%02zu:0123456789012345678901", i);
        snprintf(m->leases[i], sizeof(m->leases[i]), "l_%02zu34567890123456789012", i);
        m->charges[i].account = m->accounts[i];
        m->charges[i].lease_id = m->leases[i];
        m->charges[i].has_amount_nano = true;
        m->charges[i].amount_nano = cost + (int64_t)i;
        m->list[i] = &m->charges[i];
    }
    m->record.charges = m->list;
    m->record.n_charges = charges;
    return &m->record;
}

/* What all records charge together, by account; also as sums in the table become records. */
struct charged {
    uint64_t calls, records, charges;
    int64_t amounts[CHARGES];
};

static void take_all(struct journal *rq, struct charged *ret)
{
    *ret = (struct charged){0};
    while (!journal_is_empty(rq)) {
        uint64_t at = atomic_load(&rq->page->tail), sequence;
        struct slice packed;
        while (journal_next(rq, &at, &sequence, &packed)) {
            Gatehouse__JournalRecord *r =
                gatehouse__journal_record__unpack(NULL, packed.len, (const uint8_t *)packed.ptr);
            assert_non_null(r);
            ret->records++;
            ret->calls += r->span->has_calls ? r->span->calls : 1;
            for (size_t i = 0; i < r->n_charges; i++) {
                unsigned kind;
                assert_int_equal(sscanf(r->charges[i]->account, "kind%02u:", &kind), 1);
                assert_memory_equal(r->charges[i]->lease_id + 2, r->charges[i]->account + 4, 2);
                ret->amounts[kind] += r->charges[i]->amount_nano;
                ret->charges++;
            }
            gatehouse__journal_record__free_unpacked(r, NULL);
            journal_commit(rq, at, sequence);
        }
        journal_tend(rq);
    }
}

static struct journal *copy_of(const struct journal *rq)
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

static void open_wide(struct journal *rq, size_t charges, struct journal_entry *ret)
{
    struct wide m;
    assert_int_equal(kit_open_call(rq, wide_call(&m, charges, 1000), ret), ERR_OK);
}

static void close_wide(struct journal *rq, size_t charges, int64_t cost,
                       struct journal_entry *entry)
{
    struct wide m;
    assert_int_equal(kit_close_call(rq, wide_call(&m, charges, cost), entry), ERR_OK);
}

static void two_charges_take_one_slot_and_sixteen_take_two(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct journal_entry narrow, wide;
    uint32_t free_slots = rq->free_count;
    struct wide m;
    wide_call(&m, 2, 5);
    m.span.path = m.span.name = m.span.server = m.span.tool = NULL;
    assert_int_equal(kit_open_call(rq, &m.record, &narrow), ERR_OK);
    assert_int_equal(rq->free_count, free_slots - 1);
    assert_int_equal(rq->seats, 1);
    open_wide(rq, CHARGES, &wide);
    assert_int_equal(rq->free_count, free_slots - 3);
    assert_int_equal(rq->seats, 3);
    close_wide(rq, CHARGES, 7, &wide);
    close_wide(rq, 2, 7, &narrow);
    assert_int_equal(rq->free_count, free_slots);
    assert_int_equal(rq->seats, 0);
    journal_remove(rq);
}

static void a_killed_call_of_sixteen_scopes_is_lost_at_its_worst_case_in_each(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct journal_entry entry[3];
    struct charged got;
    for (size_t i = 0; i < 3; i++)
        open_wide(rq, CHARGES, &entry[i]);
    close_wide(rq, CHARGES, 7, &entry[1]);
    rq = replayed(rq);
    assert_int_equal(atomic_load(&rq->page->lost), 2);
    take_all(rq, &got);
    assert_int_equal(got.records, 3);
    for (size_t i = 0; i < CHARGES; i++) /* the worst of its charges in each account */
        assert_int_equal(got.amounts[i], 2 * (1000 + CHARGES - 1) + 7 + (int64_t)i);
    journal_remove(rq);
}

static void sums_of_sixteen_charges_are_exact(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums ignored = {0};
    struct journal_entry entry[6];
    struct charged got;
    for (size_t i = 0; i < 6; i++)
        open_wide(rq, i % 2 ? CHARGES : 5, &entry[i]);
    fill_but_sums(rq, &ignored);
    for (size_t i = 0; i < 6; i++) {
        close_wide(rq, i % 2 ? CHARGES : 5, 10, &entry[i]);
        struct journal *copy = copy_of(rq); /* killed here: the others are lost, these are summed */
        assert_int_equal(atomic_load(&copy->page->lost), 5 - i);
        journal_remove(copy);
    }
    assert_int_equal(fold_in_use(rq->fold), 4); /* two keys, two entries each */
    assert_int_equal(atomic_load(&rq->page->folded), 6);
    rq = replayed(rq);
    assert_int_equal(fold_in_use(rq->fold), 4);
    uint64_t free_calls = ignored.calls;
    take_all(rq, &got);
    assert_int_equal(got.calls, free_calls + 6);
    for (size_t i = 0; i < CHARGES; i++)
        assert_int_equal(got.amounts[i], (i < 5 ? 6 : 3) * (10 + (int64_t)i));
    assert_int_equal(fold_in_use(rq->fold), 0);
    journal_remove(rq);
}

static void what_was_staged_and_not_committed_counts_nowhere(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct wide m;
    struct fold_call c;
    struct fold_place place;
    uint8_t packed[8192];
    size_t len = gatehouse__journal_record__pack(wide_call(&m, CHARGES, 10), packed);
    assert_int_equal(fold_call_read(slice_of(packed, len), rq->scratch, &c), ERR_OK);
    assert_int_equal(c.charges, CHARGES);
    for (int n = 0; n < 3; n++) {
        assert_int_equal(fold_stage(rq->fold, &c, 10, &place), ERR_OK);
        struct journal *copy = copy_of(rq);
        assert_int_equal(fold_in_use(copy->fold), n == 0 ? 0 : 2);
        struct charged got;
        take_all(copy, &got);
        assert_int_equal(got.calls, n);
        journal_remove(copy);
        fold_commit(rq->fold, &place);
    }
    assert_int_equal(fold_stage(rq->fold, &c, 0, &place), ERR_OK); /* it has its entries */
    journal_remove(rq);
}

static void one_free_entry_is_not_enough_for_a_wide_call(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct wide m;
    struct fold_call c;
    struct fold_place place;
    uint8_t packed[8192];
    size_t len = gatehouse__journal_record__pack(wide_call(&m, CHARGES, 10), packed);
    assert_int_equal(fold_call_read(slice_of(packed, len), rq->scratch, &c), ERR_OK);
    assert_int_equal(fold_stage(rq->fold, &c, 1, &place), ERR_EXHAUSTED);
    journal_remove(rq);
}

static void a_second_entry_that_two_claim_makes_the_file_unreadable(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct wide m;
    struct journal_entry none = {0};
    struct sums ignored = {0};
    char path[512];
    fill_but_sums(rq, &ignored);
    assert_int_equal(kit_close_call(rq, wide_call(&m, CHARGES, 10), &none), ERR_OK);
    assert_int_equal(kit_close_call(rq, wide_call(&m, CHARGES - 1, 10), &none), ERR_OK);
    struct fold_entry *entries = (void *)(rq->ring + rq->page->ring_size);
    size_t heads[2], n = 0;
    for (size_t i = 0; i < 8 && n < 2; i++)
        if (entries[i].more)
            heads[n++] = i;
    assert_int_equal(n, 2);
    entries[heads[1]].more = entries[heads[0]].more;
    snprintf(path, sizeof(path), "%s", rq->path);
    journal_unmap(rq);
    assert_int_equal(journal_replay(path, &rq), ERR_INVALID);
    assert_int_equal(unlink(path), 0);
}

static void a_file_of_the_layout_before_is_taken_over(void **state)
{
    (void)state;
    struct journal *rq = fresh();
    struct sums got = {0}, want = {0};
    const struct call c = {.cost = 7, .input = 2, .output = 1};
    struct journal_entry open;
    fill(rq, &want);
    assert_int_equal(open_one(rq, &c, &open), ERR_OK);
    rq->page->magic = JOURNAL_MAGIC_2; /* what it wrote has no second slots or entries */
    rq = replayed(rq);
    assert_int_equal(atomic_load(&rq->page->lost), 1);
    want.calls++, want.cost += WORST, want.key_charges[0] += WORST, want.team_charges += WORST;
    ship_all(rq, &got);
    assert_same(&got, &want);
    journal_remove(rq);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_charges_take_one_slot_and_sixteen_take_two),
        cmocka_unit_test(a_killed_call_of_sixteen_scopes_is_lost_at_its_worst_case_in_each),
        cmocka_unit_test(sums_of_sixteen_charges_are_exact),
        cmocka_unit_test(what_was_staged_and_not_committed_counts_nowhere),
        cmocka_unit_test(one_free_entry_is_not_enough_for_a_wide_call),
        cmocka_unit_test(a_second_entry_that_two_claim_makes_the_file_unreadable),
        cmocka_unit_test(a_file_of_the_layout_before_is_taken_over),
    };
    return cmocka_run_group_tests_name("journal_scopes", tests, make_dir, remove_dir);
}
