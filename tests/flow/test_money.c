/* money — nothing is sent that is not paid for, and what was used is billed, however it ends. */
#include "tests/kit/flow/flow.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/journal/journal_private.h"

#define CHAT "/v1/chat/completions"
#define HELLO                                                                                      \
    "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\","                    \
    "\"content\":\"hello\"}]}"
#define STREAM "{\"model\":\"small\",\"stream\":true,\"max_tokens\":100,\"messages\":[]}"
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}}"
#define ANSWER_COST 40000 /* nano-dollars: 20 at 1, 10 at 2 dollars a million */
#define CHUNK "data: {\"choices\":[{\"delta\":{\"content\":\"one two\"}}],\"usage\":null}\n\n"
/* 100 tokens of output at 2 dollars a million, and a token for each byte of the prompt at 1 */
#define WORST ((money)(100 * 2000 + flow_prompt_tokens(HELLO) * 1000))
#define EMPTY ((money)-1) /* the kit's value for an empty budget */
#define SMALL                                                                                      \
    {                                                                                              \
        .name = "small", .upstreams = {0}, .upstream_count = 1                                     \
    }

static struct flow_policy budgets(money of_key, money of_team)
{
    return (struct flow_policy){
        .keys = {{.name = "alice", .agent = "one", .models = {"small"}, .budget = of_key}},
        .teams = {{.name = "team", .budget = of_team}},
        .agents = {{.name = "one", .team = "team"}},
        .models = {SMALL},
    };
}

FLOW(an_empty_budget_is_refused_before_the_upstream_is_called)
{
    struct flow_policy p = budgets(EMPTY, 0);
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 429);
    expect_code(c, "budget_exceeded");
    expect_body_has(
        c, "The budget of the key \\\"alice\\\" does not hold this call: of 0.000000000 USD,");
    expect_body_has(c, "It does not reset.");
    assert_true(slice_eq(client_header(c, "x-should-retry"), SLICE("false")));
    assert_int_equal(k->upstreams[0].call_count, 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "refused");
    assert_string_equal(r->span->code, "budget_exceeded");
    assert_int_equal(r->n_charges, 0);
    flow_record_free(r);
}

FLOW(the_teams_empty_budget_refuses_as_well_and_the_keys_is_not_touched)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, EMPTY);
    policy_says(k, &p);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 429);
    expect_body_has(c, "The budget of the team \\\"team\\\" ");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_refusal_says_which_budget_how_much_of_it_and_when_it_resets)
{
    struct flow_policy p = budgets(WORST + 99, 0);
    char figures[128], spent[MONEY_TEXT_MAX], aside[MONEY_TEXT_MAX], limit[MONEY_TEXT_MAX];
    policy_says(k, &p);
    assert_int_equal(clock_parse(SLICE("2099-12-31T00:00:00Z"), &k->ledger.wall_us), ERR_OK);
    ledger_kit_budget(&k->ledger, "key:k_alice", WORST + 99, PERIOD_DAY);
    struct ledger_account *a = ledger_kit_account(&k->ledger, "key:k_alice");
    a->spent = 70;
    a->suspense = 30;

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 429);
    snprintf(figures, sizeof(figures), "of %.*s USD, %.*s are spent and %.*s set aside",
             SLICE_ARG(money_format(WORST + 99, limit)), SLICE_ARG(money_format(70, spent)),
             SLICE_ARG(money_format(100 - 70, aside))); /* and nothing for this one */
    expect_body_has(c, figures);
    expect_body_has(c, "It resets at 2100-01-01T00:00:00.000000Z.");
    assert_true(client_header(c, "retry-after").len);
}

FLOW(both_accounts_are_charged_the_true_cost_from_their_leases)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 2 * MONEY_DOLLAR);
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);

    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);

    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->n_charges, 2);
    assert_string_equal(r->charges[0]->account, "key:k_alice");
    assert_string_equal(r->charges[1]->account, "team:t_team");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(r->charges[i]->amount_nano, ANSWER_COST);
        assert_true(slice_starts(slice_str(r->charges[i]->lease_id), SLICE("l_")));
    }
    flow_record_free(r);
    assert_true(flow_taken(k, "key:k_alice") > 0);
}

FLOW(spending_stops_at_the_limit_however_many_calls_come)
{
    struct flow_policy p = budgets(WORST + 2 * ANSWER_COST, 0);
    money spent = 0;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    for (int i = 0; i < 3; i++) /* each gives back what it did not use */
        expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    for (int i = 0; i < 4; i++)
        expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 429);
    for (Gatehouse__JournalRecord *r; (r = flow_record(k)); flow_record_free(r))
        if (r->n_charges)
            spent += r->charges[0]->amount_nano;
    assert_int_equal(k->upstreams[0].call_count, 3);
    assert_int_equal(spent, 3 * ANSWER_COST);
    assert_true(flow_taken(k, "key:k_alice") <= WORST + 2 * ANSWER_COST);
}

FLOW(with_the_control_plane_away_and_no_slice_the_client_may_come_again)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    policy_says(k, &p);
    lease_server_away(k, true);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 503);
    expect_code(c, "budget_unavailable");
    assert_true(client_header(c, "retry-after").len);
}

FLOW(a_client_that_goes_in_mid_stream_cancels_the_upstream_and_is_billed)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    policy_says(k, &p);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK);
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    WAIT(k, c->body.len);

    client_hangs_up(c);

    WAIT(k, k->upstreams[0].calls[0].cut);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_string_equal(r->span->status, "cancelled");
    assert_string_equal(r->span->usage_source, "estimate");
    assert_true(r->span->tokens->input > 0);
    assert_int_equal(r->span->tokens->output, 2); /* "one two" */
    assert_true(r->charges[0]->amount_nano > 0);
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
}

FLOW(a_client_that_goes_while_it_waits_for_a_slice_leaves_nothing_behind)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    policy_says(k, &p);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    client_hangs_up(c);
    for (int i = 0; i < 5; i++)
        flow_turn(k);
    WAIT(k, k->env.request_count == 0);
}

FLOW(the_worst_case_is_set_aside_to_the_last_nano_dollar)
{
    struct flow_policy p = budgets(WORST - 1, 0);
    p.keys[1] = (struct flow_key){.name = "bob", .models = {"small"}, .budget = WORST};
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 429);
    expect_status(client_posts(k, "bob", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(what_cannot_be_bounded_is_refused_where_a_budget_applies)
{
    static const struct {
        const char *more, *why;
    } rows[] = {
        {",\"web_search_options\":{}", "it uses tools the provider bills by itself"},
        {",\"tools\":[{\"type\":\"web_search\"}]", "it uses tools the provider bills by itself"},
        {",\"service_tier\":\"priority\"", "the price of its service tier is not known"},
        {",\"modalities\":[\"text\",\"audio\"]", "its output is not only text"},
        {",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"hologram\"}]}]",
         "a part of its messages is of a kind that is not known"},
        {",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"Type\":\"image_url\"}"
         "]"
         "}]",
         "a member of a message stands twice in it"},
    };
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    char body[512];
    policy_says(k, &p);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool has = strstr(rows[i].more, "messages") != NULL;
        snprintf(body, sizeof(body), "{\"model\":\"small\"%s%s}", rows[i].more,
                 has ? "" : ",\"messages\":[]");
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, body);
        print_message("row %zu\n", i);
        expect_status(c, 400);
        expect_code(c, "unbounded_cost");
        expect_body_has(c, rows[i].why);
    }
    struct flow_policy free_of_it = budgets(0, 0);
    policy_says(k, &free_of_it);
    upstream_answers(k, 0, 200, RESPONSE);
    snprintf(body, sizeof(body), "{\"model\":\"small\"%s,\"messages\":[]}", rows[0].more);
    expect_status(client_posts(k, "alice", CHAT, NULL, body), 200);
}

FLOW(an_image_is_counted_once_and_not_by_its_bytes)
{
    struct flow_policy p = budgets(MONEY_DOLLAR / 20, 0); /* 50,000 tokens */
    size_t len = 200 * 1024;
    char *body = mem_alloc(len + 512);
    int at =
        sprintf(body, "{\"model\":\"small\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\","
                      "\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
                      "\"data:image/png;base64,");
    memset(body + at, 'A', len);
    strcpy(body + at + len, "\"}},{\"type\":\"text\",\"text\":\"the image_url of image_url\"}]}]}");
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(client_posts(k, "alice", CHAT, NULL, body), 200);
    mem_free(body);
}

FLOW(what_is_reserved_goes_upstream_as_the_limit_of_its_output)
{
    static const struct {
        const char *body, *sent;
        uint32_t model_max;
    } rows[] = {
        {"{\"model\":\"small\",\"messages\":[]}",
         "{\"max_tokens\":16384,\"model\":\"small\",\"messages\":[]}", 0},
        {"{\"model\":\"small\",\"messages\":[]}",
         "{\"max_tokens\":77,\"model\":\"small\",\"messages\":[]}", 77},
        {"{\"model\":\"small\",\"max_tokens\":null,\"messages\":[]}",
         "{\"model\":\"small\",\"max_tokens\":16384,\"messages\":[]}", 0},
        {"{\"model\":\"small\",\"max_completion_tokens\":5,\"messages\":[]}",
         "{\"model\":\"small\",\"max_completion_tokens\":5,\"messages\":[]}", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct flow_policy p = budgets(MONEY_DOLLAR, 0);
        p.models[0].max_output_tokens = rows[i].model_max;
        policy_says(k, &p);
        upstream_forget_script(k, 0);
        upstream_answers(k, 0, 200, RESPONSE);
        expect_status(client_posts(k, "alice", CHAT, NULL, rows[i].body), 200);
        struct slice sent = k->upstreams[0].calls[i].body;
        if (!slice_eq(sent, slice_str(rows[i].sent)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(sent));
    }
    struct flow_policy unlimited = budgets(0, 0);
    policy_says(k, &unlimited);
    expect_status(client_posts(k, "alice", CHAT, NULL, rows[0].body), 200);
    assert_true(slice_eq(k->upstreams[0].calls[ARRAY_LEN(rows)].body, slice_str(rows[0].body)));
}

FLOW(a_streams_limit_is_what_its_budget_can_pay)
{
    struct flow_policy p = budgets(MONEY_DOLLAR / 20, 0); /* 25,000 tokens of output */
    policy_says(k, &p);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK);
    upstream_sends(k, 0, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    upstream_ends_stream(k, 0);
    expect_status(client_posts(k, "alice", CHAT, NULL,
                               "{\"model\":\"small\",\"stream\":true,\"messages\":[]}"),
                  200);
    JSON_AUTO json_t *sent = NULL;
    struct json_problem problem;
    assert_int_equal(json_read(k->upstreams[0].calls[0].body, &sent, &problem), ERR_OK);
    json_int_t limit = json_integer_value(json_object_get(sent, "max_tokens"));
    assert_in_range(limit, 16384, 25000);
}

FLOW(whatever_a_provider_counts_spent_stays_within_the_budget)
{
    static const char *const usages[] = {
        "{\"prompt_tokens\":10,\"completion_tokens\":1000000}",
        "{\"prompt_tokens\":1000000,\"completion_tokens\":10}",
        "{\"prompt_tokens\":100000000,\"completion_tokens\":100000000}",
    };
    money limit = MONEY_DOLLAR / 20, spent = 0;
    struct flow_policy p = budgets(limit, 0);
    char response[256];
    policy_says(k, &p);
    for (size_t i = 0; i < ARRAY_LEN(usages); i++) {
        upstream_forget_script(k, 0);
        snprintf(response, sizeof(response),
                 "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],\"usage\":%s}", usages[i]);
        upstream_answers(k, 0, 200, response);
        struct flow_client *c =
            client_posts(k, "alice", CHAT, NULL, "{\"model\":\"small\",\"messages\":[]}");
        WAIT(k, c->whole);
    }
    for (Gatehouse__JournalRecord *r; (r = flow_record(k)); flow_record_free(r))
        if (r->n_charges) {
            assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
            spent += r->charges[0]->amount_nano;
        }
    assert_in_range(spent, 1, limit);
}

FLOW(an_unpriced_model_is_refused_under_a_budget_unless_it_is_allowed)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    p.models[0].no_price = true;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 400);
    expect_code(c, "unbounded_cost");
    expect_body_has(c, "the price of the model is not known");
    p.models[0].unpriced_allowed = true;
    policy_says(k, &p);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
}

/* What is set aside for the output of a call without a ceiling, and what it costs. */
#define UNASKED 16384
#define UNASKED_COST ((money)UNASKED * 2000)
#define ENDLESS "{\"model\":\"small\",\"stream\":true,\"messages\":[]}"
#define ENDLESS_WORST (UNASKED_COST + (money)flow_prompt_tokens(ENDLESS) * 1000)
#define BYTES_A_TOKEN 4

/* a chunk whose text is taken for so many tokens */
static void upstream_writes(struct flow *k, size_t tokens)
{
    const char *open =
        "data: "
        "{\"id\":\"x1\",\"created\":5,\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"";
    size_t len = tokens * BYTES_A_TOKEN;
    char *chunk = mem_alloc(strlen(open) + len + sizeof("\"}}]}\n\n"));
    assert_non_null(chunk);
    size_t at = (size_t)sprintf(chunk, "%s", open);
    memset(chunk + at, 'w', len);
    memcpy(chunk + at + len, "\"}}]}\n\n", sizeof("\"}}]}\n\n"));
    upstream_sends(k, 0, chunk);
    mem_free(chunk);
}

FLOW(a_stream_that_reaches_what_was_set_aside_ends_with_length_when_there_is_no_more)
{
    struct flow_policy p = budgets(ENDLESS_WORST + UNASKED_COST - 1, 0);
    policy_says(k, &p);
    upstream_opens_stream(k, 0);
    upstream_writes(k, UNASKED - 100);
    upstream_waits_for_go(k, 0);
    upstream_writes(k, 100);
    upstream_hangs(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ENDLESS);
    WAIT(k, k->ledger.refusals > 0); /* it was asked for */
    upstream_goes(k, 0);

    expect_status(c, 200);
    expect_body_has(c, "\"id\":\"x1\",\"object\":\"chat.completion.chunk\",\"created\":5");
    expect_body_has(c, "\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n");
    WAIT(k, k->upstreams[0].calls[0].cut);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "ok");
    assert_int_equal(r->span->tokens->output, UNASKED);
    flow_record_free(r);
}

FLOW(a_stream_that_nears_what_was_set_aside_goes_on_while_there_is_money)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, MONEY_DOLLAR);
    policy_says(k, &p);
    upstream_opens_stream(k, 0);
    upstream_writes(k, UNASKED - 100);
    upstream_waits_for_go(k, 0);
    upstream_writes(k, 200);
    upstream_sends(k, 0, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ENDLESS);
    WAIT(k, flow_taken(k, "key:k_alice") >= ENDLESS_WORST + UNASKED_COST);
    WAIT(k, flow_taken(k, "team:t_team") >= ENDLESS_WORST + UNASKED_COST);
    for (int i = 0; i < 5; i++) /* the reply reaches the worker */
        flow_turn(k);
    upstream_goes(k, 0);

    expect_status(c, 200);
    expect_body_has(c, "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    assert_true(slice_search(buf_slice(&c->body), SLICE("\"length\"")) < 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "ok");
    assert_true(r->span->tokens->output > UNASKED);
    assert_int_equal(r->n_charges, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(r->charges[i]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
}

/* ---- several choices ---- */

#define THREE                                                                                      \
    "{\"model\":\"small\",\"max_tokens\":100,\"n\":3,\"messages\":[{\"role\":\"user\","            \
    "\"content\":\"hello\"}]}"
#define THREE_WORST ((money)(3 * 100 * 2000 + flow_prompt_tokens(THREE) * 1000))
#define ENDLESS_THREE "{\"model\":\"small\",\"stream\":true,\"n\":3,\"messages\":[]}"
#define ENDLESS_THREE_WORST (3 * UNASKED_COST + (money)flow_prompt_tokens(ENDLESS_THREE) * 1000)

FLOW(a_call_for_several_choices_sets_aside_and_pays_the_output_of_each)
{
    struct flow_policy p = budgets(THREE_WORST - 1, 0);
    p.keys[1] = (struct flow_key){.name = "bob", .models = {"small"}, .budget = THREE_WORST};
    policy_says(k, &p);
    upstream_answers(k, 0, 200,
                     "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"}},"
                     "{\"index\":1,\"message\":{\"content\":\"b\"}},"
                     "{\"index\":2,\"message\":{\"content\":\"c\"}}],"
                     "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":270}}");
    expect_status(client_posts(k, "alice", CHAT, NULL, THREE), 429);
    expect_status(client_posts(k, "bob", CHAT, NULL, THREE), 200);
    assert_int_equal(k->upstreams[0].call_count, 1);
    flow_record_free(flow_record(k));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->output, 270);
    assert_int_equal(r->span->cost_nano, 20 * 1000 + 270 * 2000);
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
}

FLOW(without_a_ceiling_each_of_several_choices_is_told_its_share_of_what_is_set_aside)
{
    static const char body[] = "{\"model\":\"small\",\"n\":3,\"messages\":[]}";
    struct flow_policy p = budgets(3 * UNASKED_COST + (money)flow_prompt_tokens(body) * 1000, 0);
    p.keys[1] = p.keys[0];
    p.keys[1].name = "bob";
    p.keys[1].budget--;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(client_posts(k, "bob", CHAT, NULL, body), 429);
    expect_status(client_posts(k, "alice", CHAT, NULL, body), 200);
    assert_true(
        slice_eq(k->upstreams[0].calls[0].body,
                 SLICE("{\"max_tokens\":16384,\"model\":\"small\",\"n\":3,\"messages\":[]}")));
}

/* Three times what one choice would be set aside, so it comes to its end where three would. */
FLOW(a_stream_of_several_choices_ends_each_that_is_still_open_with_length)
{
    struct flow_policy p = budgets(ENDLESS_THREE_WORST + 3 * UNASKED_COST - 1, 0);
    policy_says(k, &p);
    upstream_opens_stream(k, 0);
    upstream_writes(k, 3 * UNASKED - 100);
    upstream_sends(
        k, 0, "data: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    upstream_waits_for_go(k, 0);
    upstream_writes(k, 100);
    upstream_hangs(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ENDLESS_THREE);
    WAIT(k, k->ledger.refusals > 0); /* it was asked for */
    upstream_goes(k, 0);

    expect_status(c, 200);
    expect_body_has(c, "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"},"
                       "{\"index\":2,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"
                       "data: [DONE]\n\n");
    WAIT(k, k->upstreams[0].calls[0].cut);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "ok");
    assert_int_equal(r->span->tokens->output, 3 * UNASKED);
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
}

/* A model quicker than the lease server: its tokens come before the money does. */
static struct flow_client *stream_short_of_money(struct flow *k)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    policy_says(k, &p);
    upstream_opens_stream(k, 0);
    upstream_writes(k, 10);
    upstream_waits_for_go(k, 0);
    upstream_writes(k, UNASKED);
    upstream_sends(k, 0, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ENDLESS);
    WAIT(k, c->body.len);
    lease_server_away(k, true);
    size_t before = c->body.len;
    upstream_goes(k, 0);
    WAIT(k, c->body.len > before + BYTES_A_TOKEN * UNASKED);
    return c;
}

FLOW(a_stream_that_is_quicker_than_the_lease_server_waits_for_it)
{
    struct flow_client *c = stream_short_of_money(k);
    for (int i = 0; i < 20; i++)
        flow_turn(k);
    assert_true(slice_search(buf_slice(&c->body), SLICE("finish_reason")) < 0);

    lease_server_away(k, false);

    expect_status(c, 200);
    expect_body_has(c, "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "ok");
    assert_true(r->span->tokens->output > UNASKED);
    flow_record_free(r);
}

FLOW(a_stream_that_waits_for_a_lease_server_that_stays_away_ends_with_length)
{
    struct flow_client *c = stream_short_of_money(k);

    expect_status(c, 200);
    expect_body_has(c, "\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n");
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_true(r->span->tokens->output >= UNASKED); /* all that was set aside */
    flow_record_free(r);
    lease_server_away(k, false);
}

FLOW(a_stream_that_grew_is_lost_at_no_less_than_it_may_have_cost)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    policy_says(k, &p);
    upstream_opens_stream(k, 0);
    upstream_writes(k, UNASKED - 100);
    upstream_hangs(k, 0);
    client_posts(k, "alice", CHAT, NULL, ENDLESS);
    WAIT(k, flow_lost_at(k) == ENDLESS_WORST + UNASKED_COST);
    assert_true(flow_taken(k, "key:k_alice") >= ENDLESS_WORST + UNASKED_COST);
}

FLOW(without_a_budget_a_stream_that_grew_is_lost_at_no_less_either)
{
    struct flow_policy p = budgets(0, 0);
    policy_says(k, &p);
    upstream_opens_stream(k, 0);
    upstream_writes(k, 2 * UNASKED);
    upstream_hangs(k, 0);
    client_posts(k, "alice", CHAT, NULL, ENDLESS);
    WAIT(k, flow_lost_at(k) >= ENDLESS_WORST + 2 * UNASKED_COST);
}

FLOW(a_client_that_goes_while_its_stream_waits_for_more_leaves_nothing_behind)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    policy_says(k, &p);
    upstream_opens_stream(k, 0);
    upstream_writes(k, 10);
    upstream_waits_for_go(k, 0);
    upstream_writes(k, UNASKED - 100);
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ENDLESS);
    WAIT(k, c->body.len);
    lease_server_away(k, true); /* the question stays open */
    size_t before = c->body.len;
    upstream_goes(k, 0);
    WAIT(k, c->body.len > before + BYTES_A_TOKEN * (UNASKED - 100));

    client_hangs_up(c);

    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "cancelled");
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
}

FLOW(a_response_without_a_count_is_billed_the_words_in_it)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    policy_says(k, &p);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"choices\":[{"
                     "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
                     "\"twenty bytes of text\"},\"finish_reason\":\"stop\"}]}");
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->output, 5);
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
}

FLOW(without_a_price_the_cost_is_unknown_and_never_zero)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    p.models[0].no_price = p.models[0].unpriced_allowed = true;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);
    assert_null(client_header(c, "x-gatehouse-cost-usd").ptr);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_true(r->span->has_cost_known && !r->span->cost_known);
    assert_false(r->span->has_cost_nano);
    flow_record_free(r);
}

FLOW(the_minute_is_counted_and_the_429_says_when)
{
    struct flow_policy p = budgets(0, 0);
    p.keys[0].rpm = 2;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "x-ratelimit-limit-requests"), SLICE("2")));
    assert_true(slice_eq(client_header(c, "x-ratelimit-remaining-requests"), SLICE("1")));
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 429);
    expect_code(c, "rate_limit_exceeded");
    uint64_t after = 0;
    assert_int_equal(slice_u64(client_header(c, "retry-after"), &after), ERR_OK);
    assert_in_range(after, 1, 31);
    assert_int_equal(k->upstreams[0].call_count, 2);
}

FLOW(a_lowered_budget_binds_the_next_call_whatever_was_leased_before)
{
    struct flow_policy p = budgets(MONEY_DOLLAR, 0);
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_true(flow_taken(k, "key:k_alice") >= WORST); /* a lease that holds another such call */

    struct flow_policy lower = budgets(ANSWER_COST, 0); /* what was spent, and no more */
    policy_says(k, &lower);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 429);
    expect_code(c, "budget_exceeded");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(what_is_only_reserved_for_another_call_is_refused_for_a_second)
{
    struct flow_policy p = budgets(WORST + 1, 0);
    policy_says(k, &p);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *first = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[0].call_count == 1);

    struct flow_client *second = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(second, 429);
    expect_code(second, "budget_exceeded");
    assert_true(slice_eq(client_header(second, "retry-after"), SLICE("1")));
    assert_false(slice_eq(client_header(second, "x-should-retry"), SLICE("false")));
    upstream_goes(k, 0);
    expect_status(first, 200);
}

FLOW(a_call_that_a_budget_refuses_does_not_count_for_the_minute)
{
    struct flow_policy p = budgets(EMPTY, 0);
    p.keys[0].rpm = 2;
    policy_says(k, &p);
    for (int i = 0; i < 5; i++)
        expect_code(client_posts(k, "alice", CHAT, NULL, HELLO), "budget_exceeded");
}

FLOW(a_raised_limit_of_requests_holds_for_the_next_call)
{
    struct flow_policy p = budgets(0, 0);
    p.keys[0].rpm = 2;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    for (int i = 0; i < 2; i++)
        expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 429);
    p.keys[0].rpm = 100;
    policy_says(k, &p);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
}

FLOW(a_slot_is_given_back_however_the_call_ends)
{
    struct flow_policy p = budgets(0, 0);
    p.keys[0].parallel = 1;
    policy_says(k, &p);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *first = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[0].call_count == 1);
    struct flow_client *second = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(second, 429);
    expect_code(second, "parallel_limit_exceeded");

    client_hangs_up(first);
    WAIT(k, k->upstreams[0].calls[0].cut);
    assert_int_equal(k->env.request_count, 0);
    upstream_goes(k, 0);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(an_empty_budget_is_refused_before_the_upstream_is_called),
        SCENARIO(the_teams_empty_budget_refuses_as_well_and_the_keys_is_not_touched),
        SCENARIO(a_refusal_says_which_budget_how_much_of_it_and_when_it_resets),
        SCENARIO(both_accounts_are_charged_the_true_cost_from_their_leases),
        SCENARIO(spending_stops_at_the_limit_however_many_calls_come),
        SCENARIO(with_the_control_plane_away_and_no_slice_the_client_may_come_again),
        SCENARIO(a_client_that_goes_in_mid_stream_cancels_the_upstream_and_is_billed),
        SCENARIO(a_client_that_goes_while_it_waits_for_a_slice_leaves_nothing_behind),
        SCENARIO(the_worst_case_is_set_aside_to_the_last_nano_dollar),
        SCENARIO(what_cannot_be_bounded_is_refused_where_a_budget_applies),
        SCENARIO(an_image_is_counted_once_and_not_by_its_bytes),
        SCENARIO(what_is_reserved_goes_upstream_as_the_limit_of_its_output),
        SCENARIO(a_streams_limit_is_what_its_budget_can_pay),
        SCENARIO(whatever_a_provider_counts_spent_stays_within_the_budget),
        SCENARIO(an_unpriced_model_is_refused_under_a_budget_unless_it_is_allowed),
        SCENARIO(a_stream_that_grew_is_lost_at_no_less_than_it_may_have_cost),
        SCENARIO(without_a_budget_a_stream_that_grew_is_lost_at_no_less_either),
        SCENARIO(a_stream_that_is_quicker_than_the_lease_server_waits_for_it),
        SCENARIO(a_stream_that_waits_for_a_lease_server_that_stays_away_ends_with_length),
        SCENARIO(a_call_for_several_choices_sets_aside_and_pays_the_output_of_each),
        SCENARIO(without_a_ceiling_each_of_several_choices_is_told_its_share_of_what_is_set_aside),
        SCENARIO(a_stream_of_several_choices_ends_each_that_is_still_open_with_length),
        SCENARIO(a_stream_that_reaches_what_was_set_aside_ends_with_length_when_there_is_no_more),
        SCENARIO(a_stream_that_nears_what_was_set_aside_goes_on_while_there_is_money),
        SCENARIO(a_client_that_goes_while_its_stream_waits_for_more_leaves_nothing_behind),
        SCENARIO(a_response_without_a_count_is_billed_the_words_in_it),
        SCENARIO(without_a_price_the_cost_is_unknown_and_never_zero),
        SCENARIO(the_minute_is_counted_and_the_429_says_when),
        SCENARIO(a_lowered_budget_binds_the_next_call_whatever_was_leased_before),
        SCENARIO(what_is_only_reserved_for_another_call_is_refused_for_a_second),
        SCENARIO(a_call_that_a_budget_refuses_does_not_count_for_the_minute),
        SCENARIO(a_raised_limit_of_requests_holds_for_the_next_call),
        SCENARIO(a_slot_is_given_back_however_the_call_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
