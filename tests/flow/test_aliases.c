/* aliases — names by which clients ask for models: whose come first, what they may lead to, and
 * what lists and records say of them. */
#include "tests/kit/flow/flow.h"

#include <stdio.h>

#define CHAT "/v1/chat/completions"
#define RESPONSE                                                                                   \
    "{\"id\":\"c1\",\"object\":\"chat.completion\",\"model\":\"x\",\"choices\":[{\"index\":0,"     \
    "\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}],"        \
    "\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500,\"total_tokens\":1500}}"

/* Four keys to which one name is four models. */
static const struct flow_policy names = {
    .teams = {{.name = "team"}},
    .agents = {{.name = "agent", .team = "team"}},
    .keys = {{.name = "own", .agent = "agent", .models = {"*"}},
             {.name = "agents", .agent = "agent", .models = {"*"}},
             {.name = "teams", .team = "team", .models = {"*"}},
             {.name = "orgs", .models = {"one", "vendor/*", "two"}}},
    .models = {{.name = "one", .upstreams = {0}, .upstream_count = 1},
               {.name = "two", .upstreams = {0}, .upstream_count = 1},
               {.name = "vendor/*", .target_model = "*", .upstreams = {0}, .upstream_count = 1},
               {.name = "three", .upstreams = {0}, .upstream_count = 1}},
    .aliases = {{"fast", "one", NULL},
                {"fast", "two", "t_team"},
                {"fast", "vendor/new", "a_agent"},
                {"fast", "three", "k_own"},
                {"hidden", "three", NULL},
                {"round", "fast", NULL},
                {"two", "one", "k_orgs"}},
};

static struct flow_client *asks(struct flow *k, const char *key, const char *model)
{
    char body[256];
    snprintf(body, sizeof(body),
             "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", model);
    return client_posts(k, key, CHAT, NULL, body);
}

FLOW(the_narrowest_scope_that_has_the_name_says_what_it_is)
{
    static const struct {
        const char *key, *asked, *reached, *sent;
    } rows[] = {
        {"own", "fast", "three", "\"model\":\"three\""},
        {"agents", "fast", "vendor/new", "\"model\":\"new\""},
        {"teams", "fast", "two", "\"model\":\"two\""},
        {"orgs", "fast", "one", "\"model\":\"one\""},
        {"orgs", "two", "one", "\"model\":\"one\""}, /* a model's own name too */
        {"teams", "two", "two", "\"model\":\"two\""},
    };
    policy_says(k, &names);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        upstream_answers(k, 0, 200, RESPONSE);
        size_t before = k->upstreams[0].call_count;
        struct flow_client *c = asks(k, rows[i].key, rows[i].asked);
        expect_status(c, 200);
        if (slice_search(k->upstreams[0].calls[before].body, slice_str(rows[i].sent)) < 0)
            fail_msg("row %zu", i);
        assert_true(slice_eq(client_header(c, "x-gatehouse-model"), slice_str(rows[i].reached)));
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_string_equal(r->span->model, rows[i].reached);
        if (strcmp(rows[i].asked, rows[i].reached) == 0)
            assert_null(r->span->requested_model);
        else
            assert_string_equal(r->span->requested_model, rows[i].asked);
        flow_record_free(r);
        client_is_forgotten(c);
    }
}

FLOW(a_name_gives_no_right_to_what_it_leads_to)
{
    policy_says(k, &names);
    struct flow_client *c = asks(k, "orgs", "hidden"); /* three is not on the key's list */
    expect_status(c, 404);
    expect_body_has(c, "hidden");
    assert_true(slice_search(buf_slice(&c->body), SLICE("three")) < 0);
    assert_int_equal(k->upstreams[0].call_count, 0);
    struct flow_policy listed = names; /* nor does the alias's own name help */
    listed.keys[3].models[0] = "hidden";
    policy_says(k, &listed);
    expect_status(asks(k, "orgs", "hidden"), 404);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_name_leads_to_a_model_and_never_to_another_name)
{
    policy_says(k, &names);
    expect_status(asks(k, "orgs", "round"), 404);
    expect_status(asks(k, "own", "round"), 404);
}

FLOW(lists_have_the_names_that_the_principal_may_use)
{
    policy_says(k, &names);
    struct flow_client *c = client_gets(k, "orgs", "/v1/models");
    expect_status(c, 200);
    struct slice body = buf_slice(&c->body);
    ptrdiff_t at = slice_search(body, SLICE("\"id\":\"fast\""));
    assert_true(at > 0);
    assert_true(slice_search(slice_from(body, (size_t)at + 1), SLICE("\"id\":\"fast\"")) < 0);
    at = slice_search(body, SLICE("\"id\":\"two\""));
    assert_true(at > 0);
    assert_true(slice_search(slice_from(body, (size_t)at + 1), SLICE("\"id\":\"two\"")) < 0);
    assert_true(slice_search(body, SLICE("\"id\":\"one\"")) > 0);
    assert_true(slice_search(body, SLICE("hidden")) < 0);
    assert_true(slice_search(body, SLICE("round")) < 0);
    c = client_gets(k, "orgs", "/v1/models/fast");
    expect_status(c, 200);
    assert_true(slice_search(buf_slice(&c->body), SLICE("\"id\":\"fast\"")) > 0);
    expect_status(client_gets(k, "orgs", "/v1/models/hidden"), 404);
}

FLOW(a_call_ends_when_what_its_name_led_to_is_taken_away)
{
    policy_says(k, &names);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
    upstream_hangs(k, 0);
    struct flow_client *c =
        client_posts(k, "orgs", CHAT, NULL, "{\"model\":\"fast\",\"stream\":true,\"messages\":[]}");
    WAIT(k, c->has_head && c->body.len);
    struct flow_policy less = names;
    less.keys[3].models[0] = "fast";
    policy_says(k, &less);
    WAIT(k, c->whole);
    assert_true(slice_search(buf_slice(&c->body), SLICE("\"error\"")) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(the_narrowest_scope_that_has_the_name_says_what_it_is),
        SCENARIO(a_name_gives_no_right_to_what_it_leads_to),
        SCENARIO(a_name_leads_to_a_model_and_never_to_another_name),
        SCENARIO(lists_have_the_names_that_the_principal_may_use),
        SCENARIO(a_call_ends_when_what_its_name_led_to_is_taken_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
