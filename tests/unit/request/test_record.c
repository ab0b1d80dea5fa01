/* record — what is written by hand is what protobuf-c reads, field for field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/journal/journal_private.h"
#include "common/request/filter_scopes.h"
#include "common/request/request_private.h"
#include "common/scope/scope_private.h"
#include "proto/usage.pb-c.h"
#include "tests/kit/scratch.h"

static struct request_env env;
static char dir[SCRATCH_MAX];

/* Two scopes, and the leases that were reserved in. */
static struct lease leases[2] = {{.id = "l_1"}, {.id = "l_2"}};
static struct scope scopes[2] = {{.kind = "key"}, {.kind = "team"}};

static int set_up(void **state)
{
    (void)state;
    request_env_init(&env);
    if (!scratch_folder(dir))
        return -1;
    for (size_t i = 0; i < 2; i++) {
        scopes[i].account = account_new(i == 0 ? SLICE("key:k_1") : SLICE("team:t_1"), NULL);
        if (!scopes[i].account)
            return -1;
    }
    const struct journal_config c = {.dir = dir, .epoch = 1, .worker = 0, .bytes = 1024 * 1024};
    return journal_create(&c, &env.journal);
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        account_drop(scopes[i].account);
    journal_remove(env.journal);
    request_env_fini(&env);
    return rmdir(dir);
}

static const struct policy_key key = {
    .o = {.id = {"k_1", 3}, .org_id = {"org_1", 5}, .name = {"key", 3}}};
static const struct policy_agent agent = {.o = {.id = {"a_1", 3}}};
static const struct policy_team team = {.o = {.id = {"t_1", 3}}};
static const struct policy_task task = {.o = {.id = {"task_1", 6}}};
static const struct filter *const filters[] = {&filter_budget, NULL};
static const struct gate gate = {.name = "ai", .filters = filters};
static const struct http_head head = {.method = {"POST", 4}};

static struct attempt an_attempt(void)
{
    return (struct attempt){.provider = SLICE("p"),
                            .model = SLICE("target"),
                            .server = SLICE("as"),
                            .service = SLICE("av"),
                            .span_id = "00000000000000aa",
                            .started_at_us = -5,
                            .duration_us = 77,
                            .http_status = 500,
                            .end = OUTCOME_ERROR,
                            .code = SLICE("status_500"),
                            .tokens = {.input = 3},
                            .upstream_request_id = SLICE("up-1")};
}

static struct budget_state budget;

/* a call of which everything is known */
static struct request whole_call(void)
{
    budget = (struct budget_state){
        .worst_known = true,
        .worst = 123456789012,
        .ended = true,
        .charges = {.count = 2,
                    .of = {{&scopes[0], {&leases[0], 400}}, {&scopes[1], {&leases[1], 400}}}},
    };
    struct request j = {.env = &env,
                        .gate = &gate,
                        .head = &head,
                        .who = {&key, &agent, &team},
                        .task = &task,
                        .session = {.id = "s_0123456789012345678901",
                                    .external_id = SLICE("label"),
                                    .named_by = "baggage",
                                    .known = true},
                        .request_id = "0123456789abcdef0123456789abcdef",
                        .end = OUTCOME_ERROR,
                        .filter_states = {[FILTER_BUDGET] = &budget},
                        .started_at_us = 1700000000000000,
                        .record = {.trace_id = "0af7651916cd43dd8448eb211c80319c",
                                   .span_id = "b7ad6b7169203331",
                                   .parent_id = "00f067aa0ba902b7",
                                   .name = SLICE("chat"),
                                   .ai = {SLICE("m"), SLICE("pr"), "bypass"},
                                   .tool = {SLICE("se"), SLICE("to")},
                                   .api = {SLICE("sv"), SLICE("/path")},
                                   .tokens = {100, 40, 10, 50, 30},
                                   .has_tokens = true,
                                   .usage_source = "provider",
                                   .cost_known = true,
                                   .cost = 300}};
    memcpy(j.call_id, "0123456789abcdef", sizeof(j.call_id));
    j.record.attempts[0] = an_attempt();
    j.record.attempts[1] = an_attempt();
    j.record.attempt_count = 2;
    return j;
}

static Gatehouse__JournalRecord *unpack(struct slice s)
{
    assert_non_null(s.ptr);
    Gatehouse__JournalRecord *r =
        gatehouse__journal_record__unpack(NULL, s.len, (const uint8_t *)s.ptr);
    assert_non_null(r);
    assert_int_equal(r->base.n_unknown_fields, 0);
    assert_int_equal(r->call_id.len, JOURNAL_CALL_ID);
    assert_memory_equal(r->call_id.data, "0123456789abcdef", JOURNAL_CALL_ID);
    return r;
}

static void expect_call(const Gatehouse__Span *s)
{
    assert_int_equal(s->base.n_unknown_fields, 0);
    assert_string_equal(s->id, "b7ad6b7169203331");
    assert_string_equal(s->parent, "00f067aa0ba902b7");
    assert_string_equal(s->trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(s->gate, "ai");
    assert_string_equal(s->kind, "call");
    assert_string_equal(s->name, "chat");
    assert_string_equal(s->org_id, "org_1");
    assert_string_equal(s->team_id, "t_1");
    assert_string_equal(s->agent_id, "a_1");
    assert_string_equal(s->key_id, "k_1");
    assert_string_equal(s->task_id, "task_1");
    assert_string_equal(s->session_id, "s_0123456789012345678901");
    assert_string_equal(s->external_id, "label");
    assert_string_equal(s->named_by, "baggage");
    assert_int_equal(s->started_at_us, 1700000000000000);
    assert_string_equal(s->model, "m");
    assert_string_equal(s->provider, "pr");
    assert_string_equal(s->server, "se");
    assert_string_equal(s->tool, "to");
    assert_string_equal(s->service, "sv");
    assert_string_equal(s->method, "POST");
    assert_string_equal(s->path, "/path");
    assert_null(s->request_id); /* it spells the call id */
}

static void expect_charges(const Gatehouse__JournalRecord *r)
{
    assert_int_equal(r->n_charges, 2);
    assert_string_equal(r->charges[0]->account, "key:k_1");
    assert_string_equal(r->charges[0]->lease_id, "l_1");
    assert_int_equal(r->charges[0]->amount_nano, 300);
    assert_string_equal(r->charges[1]->account, "team:t_1");
}

static void a_closed_record_reads_back(void **state)
{
    (void)state;
    struct request j = whole_call();
    Gatehouse__JournalRecord *r = unpack(record_pack_closed(&j, 502, false));
    const Gatehouse__Span *s = r->span;
    expect_call(s);
    expect_charges(r);
    assert_false(r->opened);
    assert_true(s->has_duration_us && s->has_overhead_us);
    assert_string_equal(s->status, "error");
    assert_string_equal(s->code, "status_500");
    assert_int_equal(s->http_status, 502);
    assert_int_equal(s->tokens->input, 100);
    assert_int_equal(s->tokens->cache_read, 40);
    assert_int_equal(s->tokens->cache_write, 10);
    assert_int_equal(s->tokens->output, 50);
    assert_int_equal(s->tokens->reasoning, 30);
    assert_true(s->cost_known);
    assert_int_equal(s->cost_nano, 300);
    assert_string_equal(s->usage_source, "provider");
    assert_int_equal(s->attempts, 2);
    assert_string_equal(s->cache, "bypass");
    assert_int_equal(r->n_attempts, 2);
    const Gatehouse__Span *a = r->attempts[1];
    assert_string_equal(a->id, "00000000000000aa");
    assert_true(!a->parent && !a->gate && !a->kind && !a->name); /* they are the call's */
    assert_string_equal(a->provider, "p");
    assert_string_equal(a->model, "target");
    assert_string_equal(a->server, "as");
    assert_string_equal(a->service, "av");
    assert_int_equal(a->started_at_us, -5);
    assert_int_equal(a->duration_us, 77);
    assert_string_equal(a->status, "error");
    assert_string_equal(a->code, "status_500");
    assert_int_equal(a->http_status, 500);
    assert_int_equal(a->tokens->input, 3);
    assert_string_equal(a->upstream_request_id, "up-1");
    gatehouse__journal_record__free_unpacked(r, NULL);
}

static void an_attempt_says_what_its_call_does_not(void **state)
{
    (void)state;
    struct request j = whole_call();
    j.record.attempts[1].provider = j.record.ai.provider;
    j.record.attempts[1].model = j.record.ai.model;
    j.record.attempts[1].server = j.record.tool.server;
    j.record.attempts[1].service = j.record.api.service;
    Gatehouse__JournalRecord *r = unpack(record_pack_closed(&j, 502, false));
    const Gatehouse__Span *a = r->attempts[1];
    assert_string_equal(r->attempts[0]->model, "target");
    assert_true(!a->provider && !a->model && !a->server && !a->service);
    assert_string_equal(a->code, "status_500");
    gatehouse__journal_record__free_unpacked(r, NULL);
}

static void an_opened_record_holds_the_worst_case(void **state)
{
    (void)state;
    struct request j = whole_call();
    Gatehouse__JournalRecord *r = unpack(record_pack_opened(&j));
    expect_call(r->span);
    expect_charges(r);
    assert_true(r->opened);
    assert_true(r->span->cost_known);
    assert_int_equal(r->span->cost_nano, 123456789012);
    assert_int_equal(r->n_attempts, 0);
    assert_null(r->span->status);
    gatehouse__journal_record__free_unpacked(r, NULL);
}

static void a_brief_record_still_holds_the_money(void **state)
{
    (void)state;
    struct request j = whole_call();
    Gatehouse__JournalRecord *r = unpack(record_pack_closed(&j, 200, true));
    expect_charges(r);
    assert_int_equal(r->n_attempts, 0);
    assert_null(r->span->path);
    assert_int_equal(r->span->cost_nano, 300);
    gatehouse__journal_record__free_unpacked(r, NULL);
}

static void what_is_absent_is_absent(void **state)
{
    (void)state;
    struct request j = {.env = &env, .gate = &gate, .head = &head, .end = OUTCOME_REFUSED};
    memcpy(j.call_id, "0123456789abcdef", sizeof(j.call_id));
    j.refusal.id = REFUSAL_NO_CREDENTIAL;
    Gatehouse__JournalRecord *r = unpack(record_pack_closed(&j, 401, false));
    const Gatehouse__Span *s = r->span;
    assert_null(s->key_id);
    assert_null(s->session_id);
    assert_null(s->parent);
    assert_null(s->tokens);
    assert_false(s->has_cost_known || s->has_cost_nano || s->has_attempts);
    assert_string_equal(s->code, "missing_credential");
    assert_string_equal(s->status, "refused");
    assert_int_equal(r->n_charges, 0);
    gatehouse__journal_record__free_unpacked(r, NULL);
}

static void long_texts_are_clipped_at_a_character(void **state)
{
    (void)state;
    struct request j = whole_call();
    char path[5000];
    for (size_t i = 0; i + 2 <= sizeof(path); i += 2)
        memcpy(path + i, "\xC3\xA9", 2);
    j.record.api.path = slice_of(path, sizeof(path));
    Gatehouse__JournalRecord *r = unpack(record_pack_opened(&j));
    assert_int_equal(strlen(r->span->path), 256);
    gatehouse__journal_record__free_unpacked(r, NULL);
    j.record.api.path = slice_of(path + 1, sizeof(path) - 1); /* begins inside a character */
    r = unpack(record_pack_opened(&j));
    assert_int_equal(strlen(r->span->path), 255);
    gatehouse__journal_record__free_unpacked(r, NULL);
}

static void the_longest_record_fits_its_room_and_the_opened_one_its_slot(void **state)
{
    (void)state;
    struct request j = whole_call();
    char text[5000];
    memset(text, 'x', sizeof(text));
    struct slice s = slice_of(text, sizeof(text));
    j.record.name = j.record.ai.model = j.record.ai.provider = j.record.api.path = s;
    j.record.tool.server = j.record.tool.name = j.record.api.service =
        SLICE_NONE; /* of other gates */
    for (size_t i = 0; i < LIMIT_ATTEMPTS; i++) {
        j.record.attempts[i] = an_attempt();
        j.record.attempts[i].provider = j.record.attempts[i].model = j.record.attempts[i].code = s;
        j.record.attempts[i].upstream_request_id = s;
    }
    j.record.attempt_count = LIMIT_ATTEMPTS;
    gatehouse__journal_record__free_unpacked(unpack(record_pack_closed(&j, 200, false)), NULL);
    assert_int_equal(record_open(&j), ERR_OK);
    record_close(&j, 200);
    uint64_t at = 0, sequence;
    struct slice packed;
    assert_true(journal_next(env.journal, &at, &sequence, &packed));
    gatehouse__journal_record__free_unpacked(unpack(packed), NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_closed_record_reads_back),
        CASE(an_attempt_says_what_its_call_does_not),
        CASE(an_opened_record_holds_the_worst_case),
        CASE(a_brief_record_still_holds_the_money),
        CASE(what_is_absent_is_absent),
        CASE(long_texts_are_clipped_at_a_character),
        CASE(the_longest_record_fits_its_room_and_the_opened_one_its_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
