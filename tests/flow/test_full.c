/* full — a journal that is not emptied: calls go on, and what they cost is kept to the last token.
 */
#include "tests/kit/flow/flow.h"

#include <stdio.h>

#include "common/journal/journal_private.h"

#define CALLS 3500 /* the kit's journal keeps half of them one by one */
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}}"
#define ANSWER_COST 40000 /* nano-dollars: 20 at 1, 10 at 2 dollars a million */

static const struct flow_policy policy = {
    .keys = {{.name = "alice", .agent = "one", .models = {"small"}, .budget = 1000 * MONEY_DOLLAR}},
    .teams = {{.name = "team", .budget = 1000 * MONEY_DOLLAR}},
    .agents = {{.name = "one", .team = "team"}},
    .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
};

static void ask(struct flow *k, struct flow_client **c, const char *json, unsigned status)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             flow_secret(k, "alice"), strlen(json), json);
    if (*c) {
        client_begins_anew(*c);
        client_adds(*c, text);
    } else {
        *c = client_says(k, text);
    }
    expect_status(*c, status);
}

struct sums {
    uint64_t calls, folded, input, output, refused;
    money cost, of_key, of_team;
};

static void add(struct sums *s, const Gatehouse__JournalRecord *r)
{
    uint64_t calls = r->span->has_calls ? r->span->calls : 1;
    if (strcmp(r->span->status, "refused") == 0) {
        s->refused += calls;
        return;
    }
    s->calls += calls;
    s->folded += r->span->has_calls ? calls : 0;
    s->cost += r->span->cost_nano;
    s->input += r->span->tokens->input;
    s->output += r->span->tokens->output;
    assert_int_equal(r->n_charges, 2);
    s->of_key += r->charges[0]->amount_nano;
    s->of_team += r->charges[1]->amount_nano;
    assert_string_equal(r->span->model, "small");
    assert_string_equal(r->span->usage_source, "provider");
}

/* Reads all there is and commits it, as the main thread does; the worker tends meanwhile. */
static void ship_all(struct flow *k, struct sums *s)
{
    uint64_t at = 0, sequence;
    struct slice packed;
    for (unsigned turns = 0; !journal_is_empty(k->journal); turns++) {
        assert_true(turns < 10);
        while (journal_next(k->journal, &at, &sequence, &packed)) {
            Gatehouse__JournalRecord *r =
                gatehouse__journal_record__unpack(NULL, packed.len, (const uint8_t *)packed.ptr);
            assert_non_null(r);
            add(s, r);
            flow_record_free(r);
            journal_commit(k->journal, at, sequence);
        }
        journal_tend(k->journal);
    }
}

FLOW(a_full_journal_refuses_no_call_and_its_sums_are_exact)
{
    struct flow_client *c = NULL;
    struct sums s = {0};
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, RESPONSE);
    k->upstreams[0].forgets = true;
    for (unsigned n = 0; n < CALLS; n++)
        ask(k, &c, "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[]}", 200);
    for (unsigned n = 0; n < 20; n++) /* refusals cost nothing: their spans are dropped */
        ask(k, &c, "{\"model\":\"unknown\",\"messages\":[]}", 404);
    WAIT(k, k->env.request_count == 0);

    assert_true(atomic_load(&k->journal->page->dropped) > 0);
    assert_int_equal(k->env.unrecorded, 0);
    ship_all(k, &s);
    assert_int_equal(s.calls, CALLS);
    assert_true(s.folded > CALLS / 4 && s.folded < CALLS);
    assert_int_equal(s.refused + atomic_load(&k->journal->page->dropped), 20);
    assert_int_equal(s.input, CALLS * 20);
    assert_int_equal(s.output, CALLS * 10);
    assert_int_equal(s.cost, (money)CALLS * ANSWER_COST);
    assert_int_equal(s.of_key, s.cost);
    assert_int_equal(s.of_team, s.cost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_full_journal_refuses_no_call_and_its_sums_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
