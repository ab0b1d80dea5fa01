/*
 * spend — the sums that ingest keeps equal those of spans and ledger, for every group and filter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/money.h"
#include "controlplane/ingest/ingest.h"
#include "controlplane/store/store_spend.h"
#include "tests/kit/db/base.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define BATCH 60
#define HOURS 6

static int64_t origin; /* an hour's beginning; calls lie within HOURS behind it */
static uint64_t sequence;
static unsigned seed;

static unsigned roll(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

static char *one_of(const char *const *words, unsigned n)
{
    return (char *)(uintptr_t)words[roll(n)];
}

static const char *const teams[] = {"team_1", "team_2"};
static const char *const agents[] = {"agent_1", "agent_2", NULL};
static const char *const keys[] = {"k_1", "k_2", "k_3"};
static const char *const tasks[] = {NULL, NULL, "task_1"};
static const char *const sessions[] = {"s_1", "s_2", "s_3", "s_4", NULL};
static const char *const models[] = {"large", "small", "naïve \"model\"", NULL};
static const char *const gates[] = {"ai", "ai", "ai", "tool", "api"};
static const char *const tools[] = {"echo", "get-sum", NULL};
static const char *const statuses[] = {"ok", "ok", "ok", "refused", "error"};

struct calls {
    Gatehouse__UsageBatch batch;
    Gatehouse__JournalRecord records[BATCH], *list[BATCH];
    Gatehouse__Span spans[BATCH];
    Gatehouse__Tokens tokens[BATCH];
    Gatehouse__Charge charges[BATCH], *charge_list[BATCH];
    char ids[BATCH][20];
};

static struct calls calls;

static void random_span(size_t i)
{
    Gatehouse__Span *s = &calls.spans[i];
    gatehouse__span__init(s);
    snprintf(calls.ids[i], sizeof(calls.ids[i]), "%016llx", (unsigned long long)(sequence + i + 1));
    s->id = calls.ids[i];
    s->kind = (char *)"call";
    s->gate = one_of(gates, 5);
    s->team_id = one_of(teams, 2);
    s->agent_id = one_of(agents, 3);
    s->key_id = one_of(keys, 3);
    s->task_id = one_of(tasks, 3);
    s->session_id = one_of(sessions, 5);
    s->status = one_of(statuses, 5);
    s->has_started_at_us = s->has_duration_us = true;
    s->started_at_us = origin + (int64_t)roll(HOURS * 3600) * SECOND + roll(1000000);
    s->duration_us = roll(1000000);
    if (strcmp(s->gate, "tool") == 0) {
        s->server = (char *)"everything";
        s->tool = one_of(tools, 3);
        return;
    }
    if (strcmp(s->gate, "ai") != 0)
        return;
    s->model = one_of(models, 4);
    s->provider = (char *)(s->model ? "demo" : NULL);
    gatehouse__tokens__init(&calls.tokens[i]);
    calls.tokens[i].has_input = calls.tokens[i].has_output = true;
    calls.tokens[i].input = roll(1000);
    calls.tokens[i].output = roll(100);
    s->tokens = roll(4) ? &calls.tokens[i] : NULL;
    s->has_cost_known = s->cost_known = s->tokens && roll(5);
    s->has_cost_nano = s->cost_known;
    s->cost_nano = s->cost_known ? roll(1000000) : 0;
    if (!s->session_id && roll(3) == 0) { /* a plane's sum of calls: it has no session */
        s->has_calls = true;
        s->calls = 1 + roll(50);
    }
}

static void random_batch(size_t n)
{
    gatehouse__usage_batch__init(&calls.batch);
    calls.batch.epoch = 1;
    calls.batch.first_sequence = sequence + 1;
    calls.batch.n_records = n;
    calls.batch.records = calls.list;
    for (size_t i = 0; i < n; i++) {
        Gatehouse__JournalRecord *r = &calls.records[i];
        gatehouse__journal_record__init(r);
        random_span(i);
        gatehouse__charge__init(&calls.charges[i]);
        calls.charges[i].account = (char *)"team:t1";
        calls.charges[i].has_amount_nano = true;
        calls.charges[i].amount_nano = calls.spans[i].cost_nano;
        calls.charge_list[i] = &calls.charges[i];
        r->span = &calls.spans[i];
        r->n_charges = 1;
        r->charges = &calls.charge_list[i];
        calls.list[i] = r;
    }
}

static void take(void)
{
    struct ledger_asker sender = {
        .dataplane = SLICE("dp_1"), .org = slice_str(base.boot.org_id), .epoch = 1};
    uint64_t committed;
    assert_int_equal(ingest_batch(base.db, &sender, &calls.batch, &committed), ERR_OK);
    sequence = committed;
}

/* Batches of random calls; some come twice, as they do when a reply was lost. */
static void random_traffic(unsigned batches)
{
    for (unsigned b = 0; b < batches; b++) {
        random_batch(1 + roll(BATCH));
        take();
        if (roll(3) == 0)
            take();
    }
}

static int fresh(void **state)
{
    (void)state;
    database_say(&base, "truncate spans, sessions, spend_hours, ingest_cursor, leases,"
                        " budget_accounts");
    sequence = 0;
    seed = 20261130;
    origin = (clock_wall_us() - 30 * HOUR) / HOUR * HOUR;
    return 0;
}

/* ---- asking ---- */

static json_t *ask(const struct spend_question *q)
{
    TX_AUTO struct tx tx = {0};
    json_t *rows = NULL;
    assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), &tx), ERR_OK);
    assert_int_equal(store_spend(&tx, q, &rows), ERR_OK);
    return rows;
}

static json_t *ask_by(const char *group, int64_t from, int64_t to)
{
    return ask(&(struct spend_question){
        .org = slice_str(base.boot.org_id), .group = slice_str(group), .from = from, .to = to});
}

struct totals {
    int64_t calls, refusals, input, output, cost;
};

static int64_t member(const json_t *row, const char *name)
{
    return json_integer_value(json_object_get(row, name));
}

static struct totals add_up(const json_t *rows)
{
    struct totals t = {0};
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        money cost = 0;
        const char *text = json_string_value(json_object_get(row, "cost_usd"));
        if (text)
            assert_int_equal(money_parse(slice_str(text), &cost), ERR_OK);
        t.calls += member(row, "calls");
        t.refusals += member(row, "refusals");
        t.input += member(json_object_get(row, "tokens"), "input");
        t.output += member(json_object_get(row, "tokens"), "output");
        t.cost += cost;
    }
    return t;
}

static int64_t of_spans(const char *sum, const char *where, int64_t from, int64_t to)
{
    char sql[600];
    char from_text[CLOCK_TEXT_MAX], to_text[CLOCK_TEXT_MAX];
    snprintf(sql, sizeof(sql),
             "select coalesce(sum(%s), 0)::bigint from spans where kind = 'call' and %s"
             " and started_at >= '%.*s' and started_at < '%.*s'",
             sum, where, SLICE_ARG(clock_format(from, from_text)),
             SLICE_ARG(clock_format(to, to_text)));
    return database_number(&base, sql);
}

static void expect_spans(const char *what, const json_t *rows, const char *where, int64_t from,
                         int64_t to)
{
    struct totals t = add_up(rows);
    if (t.calls != of_spans("calls", where, from, to))
        fail_msg("%s: %lld calls, spans say %lld", what, (long long)t.calls,
                 (long long)of_spans("calls", where, from, to));
    assert_int_equal(t.refusals, of_spans("case when status = 'refused' then calls else 0 end",
                                          where, from, to));
    assert_int_equal(t.input, of_spans("tokens_input", where, from, to));
    assert_int_equal(t.output, of_spans("tokens_output", where, from, to));
    assert_int_equal(t.cost, of_spans("cost_nano", where, from, to));
}

/* ---- */

static void every_group_over_every_stretch_equals_the_spans(void **state)
{
    (void)state;
    static const struct {
        const char *group, *where;
    } groups[] = {
        {"team", "true"},
        {"agent", "true"},
        {"key", "true"},
        {"task", "true"},
        {"gate", "true"},
        {"session", "true"},
        {"model", "gate = 'ai'"},
        {"provider", "gate = 'ai'"},
        {"tool", "gate = 'tool'"},
        {"server", "gate = 'tool'"},
        {"service", "gate = 'api'"},
    };
    const struct {
        int64_t from, to;
    } stretches[] = {
        {origin, origin + HOURS * HOUR},                         /* all of it */
        {origin + HOUR, origin + 3 * HOUR},                      /* whole hours */
        {origin + HOUR / 3, origin + 3 * HOUR + HOUR / 2},       /* parts at both ends */
        {origin + 2 * HOUR, origin + 2 * HOUR + 1},              /* next to nothing */
        {origin + HOUR + 60 * SECOND, origin + HOUR + HOUR / 2}, /* inside one hour */
        {origin + HOUR + HOUR / 2, origin + 2 * HOUR + HOUR / 4} /* around a whole hour's bound */
    };
    random_traffic(12);
    for (size_t g = 0; g < ARRAY_LEN(groups); g++)
        for (size_t i = 0; i < ARRAY_LEN(stretches); i++) {
            JSON_AUTO json_t *rows = ask_by(groups[g].group, stretches[i].from, stretches[i].to);
            expect_spans(groups[g].group, rows, groups[g].where, stretches[i].from,
                         stretches[i].to);
        }
    JSON_AUTO json_t *open = ask_by("team", origin, 0);
    expect_spans("until now", open, "true", origin, clock_wall_us());
}

static void each_row_is_its_own_sum(void **state)
{
    (void)state;
    random_traffic(8);
    JSON_AUTO json_t *rows = ask_by("model", origin, origin + HOURS * HOUR);
    size_t i;
    const json_t *row;
    assert_int_equal(json_array_size(rows), 4);
    json_array_foreach(rows, i, row)
    {
        char where[100];
        const char *model = json_string_value(json_object_get(row, "model"));
        snprintf(where, sizeof(where), "gate = 'ai' and model %s%s%s", model ? "= '" : "is null",
                 model ? model : "", model ? "'" : "");
        assert_int_equal(member(row, "calls"),
                         of_spans("calls", where, origin, origin + HOURS * HOUR));
    }
}

static void whole_hours_are_read_without_spans(void **state)
{
    (void)state;
    random_traffic(6);
    JSON_AUTO json_t *before = ask_by("key", origin, 0);
    JSON_AUTO json_t *hours = ask_by("tool", origin + HOUR, origin + 4 * HOUR);
    database_say(&base, "truncate spans");
    JSON_AUTO json_t *after = ask_by("key", origin, 0);
    JSON_AUTO json_t *hours_after = ask_by("tool", origin + HOUR, origin + 4 * HOUR);
    assert_true(json_array_size(before) > 1);
    assert_true(json_equal(before, after));
    assert_true(json_equal(hours, hours_after));
}

static void spend_equals_the_ledger(void **state)
{
    (void)state;
    random_traffic(10);
    JSON_AUTO json_t *rows = ask_by("team", origin, 0);
    assert_int_equal(add_up(rows).cost,
                     database_number(&base, "select sum(spent_nano)::bigint from budget_accounts"));
}

static void buckets_divide_the_stretch(void **state)
{
    (void)state;
    static const char *const buckets[] = {"hour", "day", "month"};
    random_traffic(6);
    JSON_AUTO json_t *whole = ask_by("agent", origin, 0);
    for (size_t i = 0; i < ARRAY_LEN(buckets); i++) {
        JSON_AUTO json_t *rows = ask(&(struct spend_question){.org = slice_str(base.boot.org_id),
                                                              .group = SLICE("agent"),
                                                              .bucket = slice_str(buckets[i]),
                                                              .from = origin});
        assert_memory_equal(&(struct totals[]){add_up(rows)}, &(struct totals[]){add_up(whole)},
                            sizeof(struct totals));
        if (i == 0)
            assert_int_equal(json_array_size(rows), HOURS * 3); /* three agents, one of them none */
        const json_t *first = json_array_get(rows, 0);
        const char *bucket = json_string_value(json_object_get(first, "bucket"));
        const char *last = json_string_value(
            json_object_get(json_array_get(rows, json_array_size(rows) - 1), "bucket"));
        assert_true(strcmp(bucket, last) >= 0); /* newest first */
    }
}

static void set_filter(struct spend_question *q, const char *name, const char *value)
{
    for (size_t i = 0; i < SPEND_FILTERS; i++)
        if (strcmp(spend_filter_name(i), name) == 0)
            q->filters[i] = slice_str(value);
}

static void filters_narrow_it_by_id_or_name(void **state)
{
    (void)state;
    static const struct {
        const char *group, *filter, *value, *where;
    } rows[] = {
        {"model", "team", "research", "team_id = 'team_1' and gate = 'ai'"},
        {"team", "team", "team_2", "team_id = 'team_2'"},
        {"agent", "key", "abcdefghijkl", "key_id = 'k_1'"},
        {"agent", "key", "first", "key_id = 'k_1'"},
        {"key", "agent", "triage-bot", "agent_id = 'agent_1'"},
        {"key", "model", "naïve \"model\"", "model = 'naïve \"model\"'"},
        {"key", "tool", "echo", "tool = 'echo'"},
        {"team", "gate", "api", "gate = 'api'"},
        {"team", "model", "nothing", "false"},
    };
    random_traffic(8);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct spend_question q = {.org = slice_str(base.boot.org_id),
                                   .group = slice_str(rows[i].group),
                                   .from = origin + HOUR / 2,
                                   .to = origin + 5 * HOUR + HOUR / 2};
        set_filter(&q, rows[i].filter, rows[i].value);
        JSON_AUTO json_t *found = ask(&q);
        expect_spans(rows[i].value, found, rows[i].where, q.from, q.to);
    }
}

static void names_stand_beside_ids(void **state)
{
    (void)state;
    random_traffic(2);
    JSON_AUTO json_t *rows = ask_by("key", origin, 0);
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *id = json_string_value(json_object_get(row, "id"));
        if (strcmp(id, "k_1") == 0) {
            assert_string_equal(json_string_value(json_object_get(row, "key")), "abcdefghijkl");
            assert_string_equal(json_string_value(json_object_get(row, "name")), "first");
        }
    }
}

static void spend_by_session_refuses_buckets_and_what_sessions_do_not_store(void **state)
{
    (void)state;
    static const char *const filters[] = {"model", "gate", "tool"};
    for (size_t i = 0; i <= ARRAY_LEN(filters); i++) {
        TX_AUTO struct tx tx = {0};
        json_t *rows = NULL;
        struct spend_question q = {.org = slice_str(base.boot.org_id), .group = SLICE("session")};
        if (i < ARRAY_LEN(filters))
            set_filter(&q, filters[i], "x");
        else
            q.bucket = SLICE("day");
        assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), &tx), ERR_OK);
        assert_int_equal(store_spend(&tx, &q, &rows), ERR_INVALID);
    }
}

static void long_and_broken_names_are_kept_as_far_as_they_fit(void **state)
{
    (void)state;
    static char name[5000];
    memset(name, 'x', sizeof(name) - 1);
    random_batch(3);
    for (size_t i = 0; i < 3; i++) {
        Gatehouse__Span *s = &calls.spans[i];
        s->gate = (char *)"ai";
        s->model = s->provider = s->server = s->tool = s->service = name;
        s->team_id = s->agent_id = s->key_id = s->task_id = name;
    }
    calls.spans[1].model = (char *)"broken \xff\xfe";
    calls.spans[2].gate = NULL;
    take();
    JSON_AUTO json_t *rows = ask_by("gate", origin, 0);
    assert_int_equal(add_up(rows).calls, of_spans("calls", "true", origin, clock_wall_us()));
}

static int open_base(void **state)
{
    char sql[1200];
    base_open(state);
    const char *org = base.boot.org_id;
    snprintf(sql, sizeof(sql),
             "insert into teams (id, org_id, name, spec) values ('team_1', '%s', 'research', '{}'),"
             " ('team_2', '%s', 'sales', '{}');"
             "insert into agents (id, org_id, name, spec) values"
             " ('agent_1', '%s', 'triage-bot', '{\"team\":\"team_1\"}');"
             "insert into keys (id, org_id, name, spec) values"
             " ('k_1', '%s', 'first', '{\"digest\":\"aa\",\"digest_kind\":\"hmac\","
             "\"public_part\":\"abcdefghijkl\"}')",
             org, org, org, org);
    database_say(&base, sql);
    return 0;
}

#define SPEND(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEND(every_group_over_every_stretch_equals_the_spans),
        SPEND(each_row_is_its_own_sum),
        SPEND(whole_hours_are_read_without_spans),
        SPEND(spend_equals_the_ledger),
        SPEND(buckets_divide_the_stretch),
        SPEND(filters_narrow_it_by_id_or_name),
        SPEND(names_stand_beside_ids),
        SPEND(spend_by_session_refuses_buckets_and_what_sessions_do_not_store),
        SPEND(long_and_broken_names_are_kept_as_far_as_they_fit),
    };
    return cmocka_run_group_tests_name("spend", tests, open_base, base_close);
}
