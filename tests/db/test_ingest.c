/*
 * ingest — usage batches of a plane become rows exactly once, whatever order they come in and
 * whatever is in them.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "controlplane/ingest/ingest.h"
#include "tests/kit/db/base.h"

#define RECORDS_MAX 600

/* A batch under construction; texts live as long as it does. */
struct sample {
    Gatehouse__UsageBatch batch;
    Gatehouse__JournalRecord records[RECORDS_MAX], *list[RECORDS_MAX];
    Gatehouse__Span spans[RECORDS_MAX], attempts[RECORDS_MAX], *attempt_list[RECORDS_MAX];
    Gatehouse__Tokens tokens[RECORDS_MAX];
    Gatehouse__Charge charges[RECORDS_MAX], *charge_list[RECORDS_MAX];
    char ids[RECORDS_MAX][20];
};

static struct sample sample;

static struct ledger_asker asker(const char *plane, uint64_t epoch)
{
    return (struct ledger_asker){.dataplane = slice_str(plane),
                                 .org = slice_str(base.boot.org_id),
                                 .epoch = epoch,
                                 .number = 1};
}

static void set_span(size_t i, Gatehouse__Span *s, const char *kind, uint64_t sequence)
{
    gatehouse__span__init(s);
    snprintf(sample.ids[i], sizeof(sample.ids[i]), "%016llx", (unsigned long long)sequence);
    s->id = sample.ids[i];
    s->gate = (char *)"ai";
    s->kind = (char *)kind;
    s->status = (char *)"ok";
    s->session_id = (char *)"s_0000000000000000000001";
    s->external_id = (char *)"night run";
    s->agent_id = (char *)"agent_1";
    s->key_id = (char *)"k_1";
    s->model = (char *)"gpt-4o-mini";
    s->provider = (char *)"demo";
    s->has_started_at_us = s->has_duration_us = true;
    s->started_at_us = clock_wall_us();
    s->duration_us = 1000;
    s->has_cost_known = s->cost_known = s->has_cost_nano = true;
    s->cost_nano = 100;
    gatehouse__tokens__init(&sample.tokens[i]);
    sample.tokens[i].has_input = sample.tokens[i].has_output = true;
    sample.tokens[i].input = 10;
    sample.tokens[i].output = 5;
    s->tokens = &sample.tokens[i];
}

/* Records first..first+count-1, each one call with one attempt and one charge of 100 to team:t1. */
static Gatehouse__UsageBatch *batch_of(uint64_t epoch, uint32_t worker, uint64_t first,
                                       size_t count)
{
    assert_true(count <= RECORDS_MAX);
    gatehouse__usage_batch__init(&sample.batch);
    sample.batch.has_epoch = sample.batch.has_worker = sample.batch.has_first_sequence = true;
    sample.batch.epoch = epoch;
    sample.batch.worker = worker;
    sample.batch.first_sequence = first;
    sample.batch.n_records = count;
    sample.batch.records = sample.list;
    for (size_t i = 0; i < count; i++) {
        Gatehouse__JournalRecord *r = &sample.records[i];
        gatehouse__journal_record__init(r);
        set_span(i, &sample.spans[i], "call", first + i);
        gatehouse__span__init(&sample.attempts[i]);
        sample.attempts[i].id = (char *)"feedfeedfeedfeed";
        sample.attempts[i].status = (char *)"ok";
        sample.attempts[i].has_started_at_us = true;
        sample.attempts[i].started_at_us = sample.spans[i].started_at_us;
        sample.attempt_list[i] = &sample.attempts[i];
        r->has_call_id = true;
        r->call_id = (ProtobufCBinaryData){4, (uint8_t *)"\x0a\xbc\xde\xf0"};
        gatehouse__charge__init(&sample.charges[i]);
        sample.charges[i].account = (char *)"team:t1";
        sample.charges[i].has_amount_nano = true;
        sample.charges[i].amount_nano = 100;
        sample.charge_list[i] = &sample.charges[i];
        r->span = &sample.spans[i];
        r->n_attempts = 1;
        r->attempts = &sample.attempt_list[i];
        r->n_charges = 1;
        r->charges = &sample.charge_list[i];
        sample.list[i] = r;
    }
    return &sample.batch;
}

static uint64_t take(const char *plane, const Gatehouse__UsageBatch *b)
{
    struct ledger_asker sender = asker(plane, 99);
    uint64_t committed = 0;
    assert_int_equal(ingest_batch(base.db, &sender, b, &committed), ERR_OK);
    return committed;
}

static int64_t number(const char *sql)
{
    return database_number(&base, sql);
}

static int clean(void **state)
{
    (void)state;
    database_say(&base,
                 "truncate spans, sessions, spend_hours, ingest_cursor, leases, budget_accounts,"
                 " kept_objects");
    return 0;
}

/* ---- */

static void a_batch_becomes_spans_a_session_and_spent_money(void **state)
{
    (void)state;
    assert_int_equal(take("dp_1", batch_of(1, 0, 1, 3)), 3);

    assert_int_equal(number("select count(*) from spans where kind = 'call'"), 3);
    assert_int_equal(number("select count(*) from spans where kind = 'attempt'"), 3);
    assert_int_equal(number("select count(*) from spans where kind = 'attempt' and "
                            "session_id = 's_0000000000000000000001' and agent_id = 'agent_1'"),
                     3);
    /* what an attempt does not say is as its call says it */
    assert_int_equal(number("select count(*) from spans a join spans c on c.id = a.parent"
                            " where a.kind = 'attempt' and c.kind = 'call' and a.gate = c.gate"
                            " and a.model = c.model and a.status = 'ok'"),
                     3);
    assert_int_equal(number("select count(*) from spans where request_id = '0abcdef0'"), 6);
    assert_int_equal(number("select calls_model from sessions"), 3);
    assert_int_equal(number("select tokens_input from sessions"), 30);
    assert_int_equal(number("select tokens_output from sessions"), 15);
    assert_int_equal(number("select cost_nano from sessions"), 300);
    assert_int_equal(number("select count(*) from sessions where external_id = 'night run'"), 1);
    assert_int_equal(number("select spent_nano from budget_accounts where account = 'team:t1'"),
                     300);
}

/* What calls made, saw and deleted at providers is their owners'; a form that no row has holds up
 * nothing, and what is gone stays so. */
static void what_calls_keep_at_providers_is_noted_with_its_owner(void **state)
{
    static Gatehouse__KeptObject rows[5],
        *list[] = {&rows[0], &rows[1], &rows[2], &rows[3], &rows[4]};
    static const struct {
        const char *owner, *kind, *account, *id;
        bool gone;
    } said[] = {
        {"k_1", "file", "abcdefgh", "file-1", false},
        {"k_1", "batch", "abcdefgh", "batch_1", false},
        {"k_1", "file", "abcdefgh", "file-1", true},
        {"k_1", "file", "abcdefgh", "file-1", false},
        {"k_1", "thing", "abcdefgh", "x\x01", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        gatehouse__kept_object__init(&rows[i]);
        rows[i].owner = (char *)said[i].owner;
        rows[i].kind = (char *)said[i].kind;
        rows[i].account = (char *)said[i].account;
        rows[i].id = (char *)said[i].id;
        rows[i].has_gone = rows[i].gone = said[i].gone;
    }
    Gatehouse__UsageBatch *b = batch_of(1, 0, 1, 3);
    b->records[0]->kept = list;
    b->records[0]->n_kept = 2;
    b->records[1]->kept = list + 2;
    b->records[1]->n_kept = 3;
    assert_int_equal(take("dp_1", b), 3);
    assert_int_equal(number("select count(*) from kept_objects"), 2);
    assert_int_equal(number("select count(*) from kept_objects where id = 'file-1'"
                            " and kind = 'file' and owner_id = 'k_1' and gone_at is not null"),
                     1);
    assert_int_equal(number("select count(*) from kept_objects where id = 'batch_1'"
                            " and kind = 'batch' and gone_at is null"),
                     1);
}

static void the_same_batch_twice_counts_once(void **state)
{
    (void)state;
    assert_int_equal(take("dp_1", batch_of(1, 0, 1, 5)), 5);
    assert_int_equal(take("dp_1", batch_of(1, 0, 1, 5)), 5);
    assert_int_equal(number("select count(*) from spans where kind = 'call'"), 5);
    assert_int_equal(number("select cost_nano from sessions"), 500);
    assert_int_equal(number("select spent_nano from budget_accounts"), 500);
}

static void an_overlapping_batch_adds_only_what_is_new(void **state)
{
    (void)state;
    assert_int_equal(take("dp_1", batch_of(1, 0, 1, 5)), 5);
    assert_int_equal(take("dp_1", batch_of(1, 0, 3, 6)), 8);
    assert_int_equal(take("dp_1", batch_of(1, 0, 2, 4)), 8);
    assert_int_equal(number("select count(distinct id) from spans where kind = 'call'"), 8);
    assert_int_equal(number("select count(*) from spans where kind = 'call'"), 8);
    assert_int_equal(number("select spent_nano from budget_accounts"), 800);
}

static void a_batch_behind_a_gap_is_refused_with_what_is_committed(void **state)
{
    (void)state;
    assert_int_equal(take("dp_1", batch_of(1, 0, 1, 2)), 2);
    assert_int_equal(take("dp_1", batch_of(1, 0, 4, 2)), 2);
    assert_int_equal(number("select count(*) from spans where kind = 'call'"), 2);
    assert_int_equal(take("dp_1", batch_of(1, 0, 3, 3)), 5);
    assert_int_equal(number("select count(*) from spans where kind = 'call'"), 5);
}

static void planes_epochs_and_workers_have_journals_of_their_own(void **state)
{
    (void)state;
    take("dp_1", batch_of(1, 0, 1, 2));
    take("dp_1", batch_of(1, 1, 1, 2));
    take("dp_1", batch_of(2, 0, 1, 2));
    take("dp_2", batch_of(1, 0, 1, 2));
    assert_int_equal(number("select count(*) from ingest_cursor"), 4);
    assert_int_equal(number("select count(*) from spans where kind = 'call'"), 8);
}

static void an_empty_batch_gets_the_committed_sequence(void **state)
{
    (void)state;
    take("dp_1", batch_of(1, 0, 1, 4));
    assert_int_equal(take("dp_1", batch_of(1, 0, 5, 0)), 4);
}

static void hostile_values_are_cleaned_and_never_hold_up_the_journal(void **state)
{
    (void)state;
    Gatehouse__UsageBatch *b = batch_of(1, 0, 1, 4);
    Gatehouse__SpanEvent event = GATEHOUSE__SPAN_EVENT__INIT;
    Gatehouse__SpanEvent *events[] = {&event};
    event.name = (char *)"bad \xff\xfe \x01 \"quoted\"";
    event.at_us = INT64_MAX;
    sample.spans[0].path = (char *)"/caf\xc3\xa9/\xe2\x28\xa1\\\"{},NULL\t\n";
    sample.spans[0].model = (char *)"NULL";
    sample.spans[0].external_id = (char *)"\xed\xa0\x80\xf5";
    sample.spans[0].n_events = 1;
    sample.spans[0].events = events;
    sample.spans[1].started_at_us = INT64_MAX;
    sample.spans[1].duration_us = UINT64_MAX;
    sample.spans[1].cost_nano = INT64_MAX;
    sample.spans[1].has_http_status = true;
    sample.spans[1].http_status = UINT32_MAX;
    sample.tokens[1].input = UINT64_MAX;
    sample.spans[2].started_at_us = INT64_MIN;
    sample.spans[2].session_id = (char *)"s\xff";
    sample.charges[2].amount_nano = INT64_MIN;
    sample.charges[3].account = (char *)"team:\xff";
    assert_int_equal(take("dp_1", b), 4);
    assert_int_equal(number("select count(*) from spans where kind = 'call'"), 4);
    assert_int_equal(number("select count(*) from spans where model = 'NULL' and kind = 'call'"),
                     1);
    assert_int_equal(number("select count(*) from spans where path like '/café/%NULL%'"), 1);
    assert_int_equal(number("select count(*) from spans where events -> 0 ->> 'name' like"
                            " 'bad %\"quoted\"'"),
                     1);
    assert_int_equal(number("select spent_nano from budget_accounts where account = 'team:t1'"),
                     200);
}

static void a_span_of_an_unforeseen_day_lies_in_the_default_partition(void **state)
{
    (void)state;
    batch_of(1, 0, 1, 1);
    sample.spans[0].started_at_us = INT64_C(86400000000) * 3;
    sample.attempts[0].started_at_us = sample.spans[0].started_at_us;
    take("dp_1", &sample.batch);
    assert_int_equal(number("select count(*) from spans_other"), 2);
}

static void refusals_and_gates_are_counted_apart(void **state)
{
    (void)state;
    batch_of(1, 0, 1, 4);
    sample.spans[1].gate = (char *)"tool";
    sample.spans[2].gate = (char *)"api";
    sample.spans[3].status = (char *)"refused";
    sample.spans[3].cost_known = false;
    take("dp_1", &sample.batch);
    assert_int_equal(number("select calls_model from sessions"), 2);
    assert_int_equal(number("select calls_tool from sessions"), 1);
    assert_int_equal(number("select calls_api from sessions"), 1);
    assert_int_equal(number("select refusals from sessions"), 1);
    assert_int_equal(number("select unpriced from sessions"), 1);
}

/* ---- batches that are taken in together ---- */

#define TOGETHER 6

struct sender {
    struct ingest *ingest;
    Gatehouse__UsageBatch batch;
    const char *plane;
    pthread_barrier_t *start;
    uint64_t committed;
    enum err error;
};

static void *send_one(void *arg)
{
    struct sender *s = arg;
    struct ledger_asker sender = asker(s->plane, 99);
    pthread_barrier_wait(s->start);
    s->error = ingest_take(s->ingest, &sender, &s->batch, &s->committed);
    return NULL;
}

/* Each sends its batch at once; returns how many transactions it took. */
static uint64_t send_together(struct sender *senders, size_t n)
{
    struct ingest *ingest;
    struct ingest_counts counts;
    pthread_t threads[TOGETHER];
    pthread_barrier_t start;
    assert_int_equal(ingest_new(base.db, &ingest), ERR_OK);
    pthread_barrier_init(&start, NULL, (unsigned)n);
    for (size_t i = 0; i < n; i++) {
        senders[i].ingest = ingest;
        senders[i].start = &start;
        assert_int_equal(pthread_create(&threads[i], NULL, send_one, &senders[i]), 0);
    }
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    ingest_counts(ingest, &counts);
    assert_int_equal(counts.batches, n);
    ingest_free(ingest);
    return counts.transactions;
}

static void batches_of_a_plane_s_workers_are_taken_in_together(void **state)
{
    (void)state;
    struct sender senders[TOGETHER] = {0};
    uint64_t fewest = TOGETHER;
    for (unsigned round = 0; round < 10 && fewest == TOGETHER; round++) {
        for (uint32_t w = 0; w < TOGETHER; w++)
            senders[w] = (struct sender){.batch = *batch_of(round + 1, w, 1, 5), .plane = "dp_1"};
        uint64_t transactions = send_together(senders, TOGETHER);
        fewest = transactions < fewest ? transactions : fewest;
        for (uint32_t w = 0; w < TOGETHER; w++) {
            assert_int_equal(senders[w].error, ERR_OK);
            assert_int_equal(senders[w].committed, 5);
        }
        assert_int_equal(number("select count(*) from spans where kind = 'call'"),
                         (round + 1) * TOGETHER * 5);
        assert_int_equal(number("select spent_nano from budget_accounts"),
                         (round + 1) * TOGETHER * 500);
    }
    assert_true(fewest < TOGETHER); /* however busy the machine is, once they met */
}

static void a_batch_behind_a_gap_and_a_repeat_leave_the_others_alone(void **state)
{
    (void)state;
    take("dp_1", batch_of(1, 1, 1, 5));
    struct sender senders[] = {
        {.batch = *batch_of(1, 0, 1, 5), .plane = "dp_1"}, /* new */
        {.batch = *batch_of(1, 1, 1, 5), .plane = "dp_1"}, /* known */
        {.batch = *batch_of(1, 2, 3, 5), .plane = "dp_1"}, /* behind a gap */
        {.batch = *batch_of(1, 0, 1, 5), .plane = "dp_2"}, /* another plane's */
    };
    send_together(senders, ARRAY_LEN(senders));
    const uint64_t committed[] = {5, 5, 0, 5};
    for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
        assert_int_equal(senders[i].error, ERR_OK);
        assert_int_equal(senders[i].committed, committed[i]);
    }
    assert_int_equal(number("select count(*) from spans where kind = 'call'"), 15);
}

static void the_same_batch_twice_at_once_counts_once(void **state)
{
    (void)state;
    struct sender senders[] = {
        {.batch = *batch_of(1, 0, 1, 5), .plane = "dp_1"},
        {.batch = *batch_of(1, 0, 1, 5), .plane = "dp_1"},
    };
    send_together(senders, ARRAY_LEN(senders));
    assert_int_equal(senders[0].committed, 5);
    assert_int_equal(senders[1].committed, 5);
    assert_int_equal(number("select count(*) from spans where kind = 'call'"), 5);
    assert_int_equal(number("select sum(calls)::bigint from spend_hours"), 5);
}

static void a_large_batch_goes_in_fast_enough(void **state)
{
    (void)state;
    uint64_t first = 1, began = clock_mono_us();
    for (int i = 0; i < 10; i++, first += 500)
        take("dp_1", batch_of(1, 0, first, 500));
    uint64_t us = clock_mono_us() - began;
    print_message("10000 spans in %llu ms\n", (unsigned long long)us / 1000);
    assert_int_equal(number("select count(*) from spans"), 10000);
    assert_true(us <
                20 * 1000000u); /* sanitizers and a shared machine; it guards the order of it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_batch_becomes_spans_a_session_and_spent_money, clean),
        cmocka_unit_test_setup(what_calls_keep_at_providers_is_noted_with_its_owner, clean),
        cmocka_unit_test_setup(the_same_batch_twice_counts_once, clean),
        cmocka_unit_test_setup(an_overlapping_batch_adds_only_what_is_new, clean),
        cmocka_unit_test_setup(a_batch_behind_a_gap_is_refused_with_what_is_committed, clean),
        cmocka_unit_test_setup(planes_epochs_and_workers_have_journals_of_their_own, clean),
        cmocka_unit_test_setup(an_empty_batch_gets_the_committed_sequence, clean),
        cmocka_unit_test_setup(hostile_values_are_cleaned_and_never_hold_up_the_journal, clean),
        cmocka_unit_test_setup(a_span_of_an_unforeseen_day_lies_in_the_default_partition, clean),
        cmocka_unit_test_setup(refusals_and_gates_are_counted_apart, clean),
        cmocka_unit_test_setup(batches_of_a_plane_s_workers_are_taken_in_together, clean),
        cmocka_unit_test_setup(a_batch_behind_a_gap_and_a_repeat_leave_the_others_alone, clean),
        cmocka_unit_test_setup(the_same_batch_twice_at_once_counts_once, clean),
        cmocka_unit_test_setup(a_large_batch_goes_in_fast_enough, clean),
    };
    return cmocka_run_group_tests(tests, base_open, base_close);
}
