/* estimates — a prompt that its provider does not count has the tokens that its text has. */
#include "tests/kit/flow/flow.h"

#include "dataplane/ai/tokens/tokens.h"

#define CHAT "/v1/chat/completions"
#define FOX "The quick brown fox jumps over the lazy dog." /* ten tokens by o200k */
#define BODY                                                                                       \
    "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"" FOX                        \
    "\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"hello\"}}]}"
#define FRAME (3 + 4 + 8 + 1) /* around the response, the message, the tool; the tool's name */
#define UNCOUNTED "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"

static const struct flow_policy two_families = {
    .keys = {{.name = "alice", .models = {"*"}}},
    .models = {{.name = "gpt-4o", .upstreams = {0}, .upstream_count = 1},
               {.name = "claude-opus-5-5", .upstreams = {1}, .upstream_count = 1}},
};

static void expect_prompt(struct flow *k, const char *model, size_t upstream, uint64_t tokens)
{
    char body[512];
    policy_says(k, &two_families);
    upstream_answers(k, upstream, 200, UNCOUNTED);
    snprintf(body, sizeof(body), BODY, model);
    expect_status(client_posts(k, "alice", CHAT, NULL, body), 200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->input, tokens);
    flow_record_free(r);
}

FLOW(an_uncounted_prompt_is_counted_by_its_text_and_tools)
{
    expect_prompt(k, "gpt-4o", 0, 10 + FRAME);
}

FLOW(and_by_the_family_of_the_target_that_served_it)
{
    expect_prompt(k, "claude-opus-5-5", 1, ((10 + FRAME) * 145 + 99) / 100);
}

/* Neither target speaks Anthropic's dialect, so none is asked. */
FLOW(tokens_are_counted_where_no_target_counts_them)
{
    policy_says(k, &two_families);
    struct flow_client *c = client_posts(
        k, "alice", "/v1/messages/count_tokens", NULL,
        "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"" FOX "\"}],"
        "\"tools\":[{\"name\":\"hello\"}]}");
    expect_status(c, 200);
    expect_body(c, "{\"input_tokens\":26}");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

/* What a provider counts corrects what is estimated of its family, and of no other. */
FLOW(what_a_provider_counts_corrects_the_estimates_of_its_family)
{
#define FOXES FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX
#define REPORTED                                                                                   \
    "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"                      \
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":1,"        \
    "\"total_tokens\":%u}}"
    char body[1024], answer[512];
    struct slice family = SLICE("claude-opus-5-5"), other = SLICE("gpt-4o");
    policy_says(k, &two_families);
    tokens_forget();
    assert_int_equal(tokens_of_model(family, 1000), 1450);
    snprintf(
        body, sizeof(body),
        "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
        FOXES);
    /* a tenth more than the text and the factor say */
    uint64_t count = 3 + 4 + tokens_count(SLICE(FOXES));
    unsigned more = (unsigned)(count * 145 * 110 / 10000);
    snprintf(answer, sizeof(answer), REPORTED, more, more + 1);
    upstream_answers(k, 1, 200, answer);
    expect_status(client_posts(k, "alice", CHAT, NULL, body), 200);
    uint64_t once = tokens_of_model(family, 1000);
    assert_in_range(once, 1455, 1463);
    assert_int_equal(tokens_of_model(other, 1000), 1000);

    /* not each call pays for an exact count */
    expect_status(client_posts(k, "alice", CHAT, NULL, body), 200);
    assert_int_equal(tokens_of_model(family, 1000), once);
    tokens_forget();
}

static int open_tables(void **state)
{
    (void)state;
    return tokens_open();
}

static int close_tables(void **state)
{
    (void)state;
    tokens_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(an_uncounted_prompt_is_counted_by_its_text_and_tools),
        SCENARIO(tokens_are_counted_where_no_target_counts_them),
        SCENARIO(and_by_the_family_of_the_target_that_served_it),
        SCENARIO(what_a_provider_counts_corrects_the_estimates_of_its_family),
    };
    return cmocka_run_group_tests(tests, open_tables, close_tables);
}
