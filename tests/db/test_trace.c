/*
 * trace — sessions, their spans and spend are shown by names; and the chores that end sessions
 * and leases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/ledger/ledger.h"
#include "controlplane/chores/jobs.h"
#include "controlplane/ingest/ingest.h"
#include "controlplane/store/store_spend.h"
#include "controlplane/store/store_trace.h"
#include "tests/kit/db/base.h"

#define SECOND INT64_C(1000000)

static int64_t start;
static uint64_t sequence;

/* ---- traffic ---- */

struct traffic {
    const char *session, *external, *agent, *team, *key, *gate, *model, *tool, *status, *code;
    const char *request_id, *org;
    unsigned http_status;
    int64_t at;
    money cost;            /* -1: not priced */
    uint64_t input, calls; /* calls: folded into this one; 0: it is one */
};

static void happen(const struct traffic *t)
{
    Gatehouse__UsageBatch b = GATEHOUSE__USAGE_BATCH__INIT;
    Gatehouse__JournalRecord r = GATEHOUSE__JOURNAL_RECORD__INIT, *records[] = {&r};
    Gatehouse__Span s = GATEHOUSE__SPAN__INIT;
    Gatehouse__Tokens tokens = GATEHOUSE__TOKENS__INIT;
    struct ledger_asker sender = {
        .dataplane = SLICE("dp_1"), .org = slice_str(base.boot.org_id), .epoch = 1};
    char id[20];
    uint64_t committed;
    snprintf(id, sizeof(id), "%016llx", (unsigned long long)++sequence);
    s.id = id;
    s.gate = (char *)(t->gate ? t->gate : "ai");
    s.kind = (char *)"call";
    s.status = (char *)(t->status ? t->status : "ok");
    s.code = (char *)t->code;
    s.org_id = (char *)t->org;
    s.request_id = (char *)t->request_id;
    s.has_http_status = t->http_status > 0;
    s.http_status = t->http_status;
    s.session_id = (char *)t->session;
    s.external_id = (char *)t->external;
    s.agent_id = (char *)t->agent;
    s.team_id = (char *)t->team;
    s.key_id = (char *)t->key;
    s.model = (char *)t->model;
    s.provider = (char *)(t->model ? "demo" : NULL);
    s.server = (char *)(t->tool ? "everything" : NULL);
    s.tool = (char *)t->tool;
    s.has_started_at_us = s.has_duration_us = true;
    s.started_at_us = t->at ? t->at : start;
    s.duration_us = 1000;
    s.has_calls = t->calls > 0;
    s.calls = t->calls;
    if (t->input) {
        tokens.has_input = true;
        tokens.input = t->input;
        s.tokens = &tokens;
        s.has_cost_known = s.cost_known = t->cost >= 0;
        s.has_cost_nano = true;
        s.cost_nano = t->cost;
    }
    r.span = &s;
    b.epoch = 1;
    b.first_sequence = sequence;
    b.n_records = 1;
    b.records = records;
    assert_int_equal(ingest_batch(base.db, &sender, &b, &committed), ERR_OK);
    assert_int_equal(committed, sequence);
}

static int fresh(void **state)
{
    (void)state;
    database_say(&base,
                 "truncate spans, sessions, spend_hours, ingest_cursor, leases, budget_accounts");
    sequence = 0;
    start = clock_wall_us() - 3600 * SECOND;
    return 0;
}

/* ---- reading ---- */

static const struct session_filter anyone;

static void begin(struct tx *tx)
{
    assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), tx), ERR_OK);
}

static json_t *at(const json_t *list, size_t i)
{
    return json_array_get(list, i);
}

static const char *text(const json_t *o, const char *name)
{
    const char *value = json_string_value(json_object_get(o, name));
    return value ? value : "(absent)";
}

static int64_t number_of(const json_t *o, const char *outer, const char *name)
{
    return json_integer_value(json_object_get(outer ? json_object_get(o, outer) : o, name));
}

static void a_session_is_shown_by_names(void **state)
{
    (void)state;
    TX_AUTO struct tx tx = {0};
    JSON_AUTO json_t *found = NULL;
    happen(&(struct traffic){.session = "s_1",
                             .external = "night",
                             .agent = "agent_1",
                             .team = "team_1",
                             .model = "m",
                             .cost = 123000,
                             .input = 7});
    happen(&(struct traffic){
        .session = "s_1", .external = "night", .agent = "agent_1", .gate = "tool"});
    begin(&tx);
    assert_int_equal(store_sessions_find(&tx, SLICE("night"), &found), ERR_OK);
    assert_int_equal(json_array_size(found), 1);
    const json_t *s = at(found, 0);
    assert_string_equal(text(s, "id"), "s_1");
    assert_string_equal(text(s, "external_id"), "night");
    assert_string_equal(text(s, "agent"), "triage-bot");
    assert_string_equal(text(s, "team"), "research");
    assert_string_equal(text(s, "cost_usd"), "0.000123000");
    assert_string_equal(text(s, "status"), "active");
    assert_true(json_is_null(json_object_get(s, "ended_at")));
    assert_null(json_object_get(s, "task"));
    assert_int_equal(number_of(s, "calls", "model"), 1);
    assert_int_equal(number_of(s, "calls", "tool"), 1);
    assert_int_equal(number_of(s, "calls", "api"), 0);
    assert_int_equal(number_of(s, "tokens", "input"), 7);
    assert_int_equal(number_of(s, NULL, "refusals"), 0);
}

static void sessions_are_found_by_their_owner(void **state)
{
    (void)state;
    const struct {
        struct session_filter filter;
        size_t found;
    } rows[] = {
        {{.agent = SLICE("triage-bot")}, 1},
        {{.key = SLICE("abcdefghijkl")}, 2},
        {{.key = SLICE("imported")}, 1},
        {{.team = SLICE("research")}, 1},
        {{.key = SLICE("k_1"), .team = SLICE("team_1")}, 1},
        {{.task = SLICE("nothing")}, 0},
    };
    const struct trace_page page = {.org = slice_str(base.boot.org_id), .limit = 10};
    happen(&(struct traffic){.session = "s_1", .agent = "agent_1", .key = "k_1", .team = "team_1"});
    happen(&(struct traffic){.session = "s_2", .key = "k_1"});
    happen(&(struct traffic){.session = "s_3", .key = "k_2"});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        TX_AUTO struct tx tx = {0};
        JSON_AUTO json_t *found = NULL;
        struct trace_next next;
        begin(&tx);
        assert_int_equal(store_sessions_page(&tx, &page, &rows[i].filter, &found, &next), ERR_OK);
        if (json_array_size(found) != rows[i].found)
            fail_msg("row %zu finds %zu sessions", i, json_array_size(found));
    }
}

static void an_external_id_may_mean_several_sessions_and_an_id_only_one(void **state)
{
    (void)state;
    TX_AUTO struct tx tx = {0};
    JSON_AUTO json_t *several = NULL, *one = NULL, *none = NULL;
    happen(&(struct traffic){.session = "s_1", .external = "demo", .agent = "agent_1"});
    happen(&(struct traffic){.session = "s_2", .external = "demo", .agent = "agent_2"});
    happen(&(struct traffic){.session = "s_3", .external = "s_1", .agent = "agent_2"});
    begin(&tx);
    assert_int_equal(store_sessions_find(&tx, SLICE("demo"), &several), ERR_OK);
    assert_int_equal(json_array_size(several), 2);
    assert_int_equal(store_sessions_find(&tx, SLICE("s_1"), &one), ERR_OK);
    assert_int_equal(json_array_size(one), 1);
    assert_string_equal(text(at(one, 0), "external_id"), "demo");
    assert_int_equal(store_sessions_find(&tx, SLICE("no-such"), &none), ERR_OK);
    assert_int_equal(json_array_size(none), 0);
}

static void lists_are_paged_without_losing_or_repeating_anything(void **state)
{
    (void)state;
    TX_AUTO struct tx tx = {0};
    char id[16];
    bool seen[25] = {false};
    struct trace_page page = {.org = slice_str(base.boot.org_id), .limit = 7};
    const struct session_filter mine = {.agent = SLICE("triage-bot")};
    struct trace_next next = {.more = true};
    char after[ID_MAX];
    for (int i = 0; i < 25; i++) {
        snprintf(id, sizeof(id), "s_%02d", i);
        happen(&(struct traffic){
            .session = id, .agent = i % 2 ? "agent_1" : "agent_2", .at = start + (i / 3) * SECOND});
    }
    begin(&tx);
    size_t pages = 0, items = 0;
    while (next.more) {
        JSON_AUTO json_t *list = NULL;
        assert_int_equal(store_sessions_page(&tx, &page, &anyone, &list, &next), ERR_OK);
        for (size_t i = 0; i < json_array_size(list); i++, items++) {
            int n = atoi(text(at(list, i), "id") + 2);
            assert_false(seen[n]);
            seen[n] = true;
        }
        memcpy(after, next.id, sizeof(after));
        page.after_us = next.at_us;
        page.after_id = slice_str(after);
        pages++;
    }
    assert_int_equal(items, 25);
    assert_int_equal(pages, 4);

    JSON_AUTO json_t *by_name = NULL, *since = NULL;
    page = (struct trace_page){.org = slice_str(base.boot.org_id), .limit = 100};
    assert_int_equal(store_sessions_page(&tx, &page, &mine, &by_name, &next), ERR_OK);
    assert_int_equal(json_array_size(by_name), 12);
    page.since = start + 8 * SECOND;
    assert_int_equal(store_sessions_page(&tx, &page, &anyone, &since, &next), ERR_OK);
    assert_int_equal(json_array_size(since), 1);
}

static void spans_leave_out_what_does_not_apply(void **state)
{
    (void)state;
    TX_AUTO struct tx tx = {0};
    JSON_AUTO json_t *spans = NULL;
    struct trace_next next;
    const struct trace_page page = {.org = slice_str(base.boot.org_id), .limit = 10};
    happen(&(struct traffic){.session = "s_1", .key = "k_1", .model = "m", .cost = 5, .input = 1});
    happen(&(struct traffic){
        .session = "s_1", .key = "k_2", .gate = "tool", .tool = "echo", .at = start + SECOND});
    happen(&(struct traffic){.session = "s_2", .gate = "api"});
    begin(&tx);
    const struct span_filter filter = {.matches = {{span_attribute_shown("session"), SLICE("s_1")}},
                                       .count = 1};
    assert_int_equal(store_spans_page(&tx, &page, &filter, &spans, &next), ERR_OK);
    assert_int_equal(json_array_size(spans), 2);
    assert_string_equal(text(at(spans, 0), "gate"), "ai");
    assert_string_equal(text(at(spans, 0), "key"), "abcdefghijkl"); /* the public part */
    assert_string_equal(text(at(spans, 0), "cost_usd"), "0.000000005");
    assert_null(json_object_get(at(spans, 0), "tool"));
    assert_string_equal(text(at(spans, 1), "tool"), "echo");
    assert_null(json_object_get(at(spans, 1), "cost_usd"));
    assert_null(json_object_get(at(spans, 1), "tokens"));
    assert_null(json_object_get(at(spans, 1), "events"));
}

static void spans_are_found_by_what_they_tell(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        size_t found;
    } searches[] = {
        {"request_id", "req-2", 1}, {"key", "abcdefghijkl", 2},  {"key", "first", 2},
        {"key", "k_1", 2},          {"key", "imported", 1},      {"model", "large", 1},
        {"code", "status_500", 1},  {"status", "error", 1},      {"http_status", "502", 1},
        {"agent", "triage-bot", 2}, {"team", "research", 1},     {"tool", "echo", 1},
        {"model", "nothing", 0},    {"status", "ok' or 1=1", 0},
    };
    const struct trace_page page = {.org = slice_str(base.boot.org_id), .limit = 10};
    happen(&(struct traffic){.key = "k_1", .agent = "agent_1", .model = "large", .team = "team_1"});
    happen(&(struct traffic){.key = "k_1",
                             .agent = "agent_1",
                             .model = "small",
                             .status = "error",
                             .code = "status_500",
                             .http_status = 502,
                             .request_id = "req-2"});
    happen(&(struct traffic){.key = "k_2", .gate = "tool", .tool = "echo"});
    for (size_t i = 0; i < ARRAY_LEN(searches); i++) {
        TX_AUTO struct tx tx = {0};
        JSON_AUTO json_t *spans = NULL;
        struct trace_next next;
        const struct span_attribute *a = span_attribute_shown(searches[i].name);
        assert_non_null(a);
        assert_true(span_attribute_is_searched(a));
        const struct span_filter filter = {.matches = {{a, slice_str(searches[i].value)}},
                                           .count = 1};
        begin(&tx);
        assert_int_equal(store_spans_page(&tx, &page, &filter, &spans, &next), ERR_OK);
        if (json_array_size(spans) != searches[i].found)
            fail_msg("%s=%s finds %zu spans", searches[i].name, searches[i].value,
                     json_array_size(spans));
    }
    TX_AUTO struct tx tx = {0};
    JSON_AUTO json_t *both = NULL;
    struct trace_next next;
    const struct span_filter filter = {.matches = {{span_attribute_shown("key"), SLICE("k_1")},
                                                   {span_attribute_shown("model"), SLICE("small")}},
                                       .count = 2};
    begin(&tx);
    assert_int_equal(store_spans_page(&tx, &page, &filter, &both, &next), ERR_OK);
    assert_int_equal(json_array_size(both), 1);
    assert_string_equal(text(at(both, 0), "request_id"), "req-2");
    assert_string_equal(text(at(both, 0), "code"), "status_500");
}

static void pages_of_spans_hold_each_once_in_either_order(void **state)
{
    (void)state;
    for (int i = 0; i < 25; i++)
        happen(&(struct traffic){.session = "s_1", .at = start + (i / 3) * SECOND});
    for (int newest = 0; newest < 2; newest++) {
        TX_AUTO struct tx tx = {0};
        struct trace_page page = {.org = slice_str(base.boot.org_id), .limit = 4};
        struct trace_next next = {.more = true};
        const struct span_filter filter = {.newest_first = newest};
        bool seen[26] = {false};
        size_t items = 0;
        char after[ID_MAX];
        begin(&tx);
        while (next.more) {
            JSON_AUTO json_t *list = NULL;
            assert_int_equal(store_spans_page(&tx, &page, &filter, &list, &next), ERR_OK);
            for (size_t i = 0; i < json_array_size(list); i++, items++) {
                unsigned long n = strtoul(text(at(list, i), "id"), NULL, 16);
                assert_false(seen[n]);
                seen[n] = true;
            }
            memcpy(after, next.id, sizeof(after));
            page.after_us = next.at_us;
            page.after_id = slice_str(after);
        }
        assert_int_equal(items, 25);
    }
}

static void a_span_s_org_is_its_planes(void **state)
{
    (void)state;
    happen(&(struct traffic){.session = "s_1", .org = "org_other"});
    assert_int_equal(database_number(&base, "select count(*) from spans where org_id = 'org_other'"
                                            " or session_id is null"),
                     0);
    assert_int_equal(
        database_number(&base, "select count(*) from sessions where org_id = 'org_other'"), 0);
    assert_int_equal(database_number(&base, "select count(*) from spans"), 1);
}

static enum err spent_by(struct tx *tx, struct slice group, int64_t from, int64_t to, json_t **ret)
{
    const struct spend_question q = {
        .org = slice_str(base.boot.org_id), .group = group, .from = from, .to = to};
    return store_spend(tx, &q, ret);
}

static void spend_adds_up_by_each_group(void **state)
{
    (void)state;
    static const struct {
        const char *group, *first, *cost;
        size_t rows;
    } wanted[] = {
        {"team", "research", "0.000000300", 1},        {"agent", "triage-bot", "0.000000200", 2},
        {"key", "abcdefghijkl", "0.000000300", 1},     {"model", "large", "0.000000200", 2},
        {"provider", "demo", "0.000000300", 1},        {"session", "s_1", "0.000000200", 2},
        {"tool", "everything/echo", "0.000000000", 1},
    };
    happen(&(struct traffic){.session = "s_1",
                             .agent = "agent_1",
                             .team = "team_1",
                             .key = "k_1",
                             .model = "large",
                             .cost = 200,
                             .input = 9});
    happen(&(struct traffic){.session = "s_2",
                             .agent = "agent_2",
                             .team = "team_1",
                             .key = "k_1",
                             .model = "small",
                             .cost = 100,
                             .input = 9});
    happen(&(struct traffic){.session = "s_2",
                             .agent = "agent_2",
                             .team = "team_1",
                             .key = "k_1",
                             .model = "small",
                             .cost = -1,
                             .input = 1});
    happen(&(struct traffic){.session = "s_2",
                             .agent = "agent_2",
                             .team = "team_1",
                             .key = "k_1",
                             .gate = "tool",
                             .tool = "echo",
                             .status = "refused"});
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        TX_AUTO struct tx tx = {0};
        JSON_AUTO json_t *rows = NULL;
        begin(&tx);
        assert_int_equal(spent_by(&tx, slice_str(wanted[i].group), start, start + SECOND, &rows),
                         ERR_OK);
        assert_int_equal(json_array_size(rows), wanted[i].rows);
        assert_string_equal(text(at(rows, 0), wanted[i].group), wanted[i].first);
        assert_string_equal(text(at(rows, 0), "cost_usd"), wanted[i].cost);
    }
    happen(&(struct traffic){.session = "s_3", .model = "unpriced", .cost = -1, .input = 1});
    TX_AUTO struct tx tx = {0};
    JSON_AUTO json_t *rows = NULL, *none = NULL, *session = NULL;
    begin(&tx);
    assert_int_equal(spent_by(&tx, SLICE("model"), start, start + SECOND, &rows), ERR_OK);
    assert_int_equal(number_of(at(rows, 1), NULL, "unpriced_calls"), 1);
    assert_int_equal(json_array_size(rows), 3);
    assert_null(json_object_get(at(rows, 2), "cost_usd")); /* not known is not zero */
    assert_int_equal(store_sessions_find(&tx, SLICE("s_3"), &session), ERR_OK);
    assert_null(json_object_get(at(session, 0), "cost_usd"));
    assert_int_equal(spent_by(&tx, SLICE("model"), start + SECOND, start + 2 * SECOND, &none),
                     ERR_OK);
    assert_int_equal(json_array_size(none), 0);
    assert_int_equal(spent_by(&tx, SLICE("spans; drop table"), start, start, &none), ERR_INVALID);
}

static void what_a_plane_folded_counts_as_the_calls_it_was(void **state)
{
    (void)state;
    TX_AUTO struct tx tx = {0};
    JSON_AUTO json_t *rows = NULL, *spans = NULL, *sessions = NULL;
    struct trace_next next;
    const struct trace_page page = {.org = slice_str(base.boot.org_id), .limit = 10};
    happen(&(struct traffic){.key = "k_1", .model = "large", .cost = 200, .input = 9});
    happen(&(struct traffic){
        .key = "k_1", .model = "large", .cost = 600, .input = 30, .calls = 1000000});
    happen(&(struct traffic){
        .key = "k_1", .model = "large", .cost = -1, .input = 1, .calls = 5, .status = "refused"});
    begin(&tx);
    assert_int_equal(spent_by(&tx, SLICE("key"), start, start + SECOND, &rows), ERR_OK);
    assert_int_equal(json_array_size(rows), 1);
    assert_int_equal(number_of(at(rows, 0), NULL, "calls"), 1000006);
    assert_int_equal(number_of(at(rows, 0), NULL, "refusals"), 5);
    assert_int_equal(number_of(at(rows, 0), NULL, "unpriced_calls"), 5);
    assert_int_equal(number_of(at(rows, 0), "tokens", "input"), 40);
    assert_string_equal(text(at(rows, 0), "cost_usd"), "0.000000800");
    assert_int_equal(store_spans_page(&tx, &page, &(struct span_filter){0}, &spans, &next), ERR_OK);
    assert_int_equal(json_array_size(spans), 3);
    assert_null(json_object_get(at(spans, 0), "calls")); /* the default, 1, is left out */
    assert_int_equal(number_of(at(spans, 1), NULL, "calls"), 1000000);
    assert_int_equal(store_sessions_page(&tx, &page, &anyone, &sessions, &next), ERR_OK);
    assert_int_equal(json_array_size(sessions), 0); /* folding gives up the session */
}

static void another_org_sees_nothing_of_it(void **state)
{
    (void)state;
    TX_AUTO struct tx tx = {0};
    JSON_AUTO json_t *sessions = NULL, *spans = NULL, *spend = NULL;
    struct trace_next next;
    const struct trace_page page = {.org = slice_str(base.boot.org_id), .limit = 10};
    const struct span_filter all = {.newest_first = true};
    happen(&(struct traffic){.session = "s_1", .agent = "agent_1", .cost = 5, .input = 1});
    assert_int_equal(tx_begin(base.db, SLICE("org_other"), &tx), ERR_OK);
    assert_int_equal(store_sessions_page(&tx, &page, &anyone, &sessions, &next), ERR_OK);
    assert_int_equal(store_spans_page(&tx, &page, &all, &spans, &next), ERR_OK);
    assert_int_equal(spent_by(&tx, SLICE("team"), 0, clock_wall_us(), &spend), ERR_OK);
    assert_int_equal(json_array_size(sessions) + json_array_size(spans) + json_array_size(spend),
                     0);
}

/* ---- chores ---- */

static void chores(int64_t now)
{
    static job_fn *const jobs[] = {job_expire_leases, job_forget_leases, job_end_sessions,
                                   job_make_days};
    const struct timetable_config config = {.db = base.db};
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        assert_int_equal(jobs[i](&config, now), ERR_OK);
}

static void a_session_ends_half_an_hour_after_its_last_span_and_begins_again(void **state)
{
    (void)state;
    happen(&(struct traffic){.session = "s_1"});
    chores(start + 1790 * SECOND);
    assert_int_equal(database_number(&base, "select count(*) from sessions where ended_at is null"),
                     1);
    chores(start + 1810 * SECOND);
    assert_int_equal(database_number(&base, "select count(*) from sessions where ended_at ="
                                            " last_at"),
                     1);
    happen(&(struct traffic){.session = "s_1", .at = start + 1900 * SECOND});
    assert_int_equal(database_number(&base, "select count(*) from sessions where ended_at is null"),
                     1);
}

static void lease_50(int64_t at)
{
    Gatehouse__LeaseRequest q = GATEHOUSE__LEASE_REQUEST__INIT;
    Gatehouse__LeaseAsk ask = GATEHOUSE__LEASE_ASK__INIT, *asks[] = {&ask};
    struct ledger_asker sender = {
        .dataplane = SLICE("dp_1"), .org = slice_str(base.boot.org_id), .epoch = 1, .number = 1};
    struct lease_reply reply;
    ask.account = (char *)"team:team_1";
    ask.has_want_nano = true;
    ask.want_nano = 50;
    q.n_asks = 1;
    q.asks = asks;
    assert_int_equal(lease_server_ask(base.db, &sender, &q, at, &reply), ERR_OK);
    assert_int_equal(reply.reply.grants[0]->granted_nano, 50);
    lease_server_reply_free(&reply);
}

static int64_t in_suspense(void)
{
    return database_number(&base, "select suspense_nano from budget_accounts");
}

static void leases_expire_without_a_request(void **state)
{
    (void)state;
    lease_50(start);
    chores(start + LEDGER_VALID_US + 1);
    assert_int_equal(in_suspense(), 50);
    assert_int_equal(database_number(&base, "select leased_nano from budget_accounts"), 0);
}

static int64_t ended_sessions(void)
{
    return database_number(&base, "select count(*) from sessions where ended_at is not null");
}

/* One round of the timetable, until `of` says `want`: a stop lets a round end. */
static void timetable_round(int64_t (*of)(void), int64_t want)
{
    const struct timetable_config config = {.db = base.db};
    struct timetable *timetable;
    assert_int_equal(timetable_start(&config, &timetable), ERR_OK);
    for (int i = 0; i < 500 && of() != want; i++)
        usleep(10000);
    timetable_stop(&timetable);
    assert_null(timetable);
    assert_int_equal(of(), want);
}

static void the_timetable_runs_a_job_unless_another_control_plane_runs_it(void **state)
{
    (void)state;
    struct tx turn = {0};
    happen(&(struct traffic){.session = "s_1", .at = clock_wall_us() - 3600 * SECOND});
    lease_50(clock_wall_us() - LEDGER_VALID_US - SECOND);
    assert_int_equal(tx_begin(base.db, TX_EVERY_ORG, &turn), ERR_OK);
    assert_int_equal(tx_try_lock(&turn, TX_LOCK_TIMETABLE), ERR_OK);
    timetable_round(in_suspense, 50); /* which every control plane does */
    assert_int_equal(ended_sessions(), 0);
    tx_rollback(&turn);
    timetable_round(ended_sessions, 1);
}

static void tomorrows_partition_is_made_today(void **state)
{
    (void)state;
    int64_t later = start + INT64_C(40) * 86400 * SECOND;
    int64_t before =
        database_number(&base, "select count(*) from pg_class where relname like 'spans_2%'");
    chores(later);
    chores(later);
    int64_t after =
        database_number(&base, "select count(*) from pg_class where relname like 'spans_2%'");
    assert_true(after >= before + 8);
    happen(&(struct traffic){.session = "s_1", .at = later});
    assert_int_equal(database_number(&base, "select count(*) from spans_other"), 0);
    assert_int_equal(database_number(&base, "select count(*) from spans"), 1);
}

static int open_base(void **state)
{
    char sql[1200];
    const char *org;
    base_open(state);
    org = base.boot.org_id;
    snprintf(sql, sizeof(sql),
             "insert into teams (id, org_id, name, spec) values ('team_1', '%s', 'research',"
             " '{\"budget\":{\"limit_usd\":\"1.000000000\",\"period\":\"total\"}}');"
             "insert into agents (id, org_id, name, spec) values"
             " ('agent_1', '%s', 'triage-bot', '{\"team\":\"team_1\"}'),"
             " ('agent_2', '%s', 'other-bot', '{\"team\":\"team_1\"}');"
             "insert into keys (id, org_id, name, spec) values"
             " ('k_1', '%s', 'first', '{\"digest\":\"aa\",\"digest_kind\":\"hmac\","
             "\"public_part\":\"abcdefghijkl\"}'),"
             " ('k_2', '%s', 'imported', '{\"digest\":\"bb\",\"digest_kind\":\"sha256\"}')",
             org, org, org, org, org);
    database_say(&base, sql);
    return 0;
}

#define TRACE(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRACE(a_session_is_shown_by_names),
        TRACE(sessions_are_found_by_their_owner),
        TRACE(an_external_id_may_mean_several_sessions_and_an_id_only_one),
        TRACE(lists_are_paged_without_losing_or_repeating_anything),
        TRACE(spans_leave_out_what_does_not_apply),
        TRACE(spans_are_found_by_what_they_tell),
        TRACE(pages_of_spans_hold_each_once_in_either_order),
        TRACE(a_span_s_org_is_its_planes),
        TRACE(spend_adds_up_by_each_group),
        TRACE(what_a_plane_folded_counts_as_the_calls_it_was),
        TRACE(another_org_sees_nothing_of_it),
        TRACE(a_session_ends_half_an_hour_after_its_last_span_and_begins_again),
        TRACE(leases_expire_without_a_request),
        TRACE(the_timetable_runs_a_job_unless_another_control_plane_runs_it),
        TRACE(tomorrows_partition_is_made_today),
    };
    return cmocka_run_group_tests(tests, open_base, base_close);
}
