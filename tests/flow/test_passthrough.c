/* passthrough — a provider's own paths: what a grant opens, what passes each way, what it costs. */
#include "tests/kit/flow/relay_kit.h"

#define SECRET0 "sk-upstream-secret-of-provider-0"
#define SECRET1 "sk-upstream-secret-of-provider-1"
#define SECRET2 "sk-upstream-secret-of-provider-2"
#define OPENAI "/passthrough/provider-0"
#define ANTHROPIC "/passthrough/provider-1"
#define GEMINI "/passthrough/provider-2"
#define JOBS OPENAI "/fine_tuning/jobs"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"
#define CHAT "{\"model\":\"gpt-x\",\"max_tokens\":100," HI "}"
#define ANSWER                                                                                     \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"gpt-x\",\"choices\":[{\"index\":0,"  \
    "\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}],"        \
    "\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":20,\"total_tokens\":1020}}"
/* at 1 dollar a million tokens in and 2 out */
#define COST 1040000

static const struct flow_policy own = {
    .providers = {{0},
                  {.dialect = "anthropic", .path = "", .header = "x-team", .value = "research"},
                  {.dialect = "gemini", .path = ""}},
    .keys = {{.name = "alice", .agent = "maker"},
             {.name = "bob", .agent = "other"},
             {.name = "carol", .agent = "maker", .budget = MONEY_DOLLAR},
             {.name = "dave", .agent = "free", .budget = MONEY_DOLLAR}},
    .agents = {{.name = "maker"}, {.name = "other"}, {.name = "free"}},
    .tasks = {"night"},
    .prices = {{"gpt-x", 1, 2}},
    .grants = {{.agent = "maker",
                .provider = "provider-0",
                .routes = {{{"GET", "POST"}, "/fine_tuning/**"},
                           {{"GET", "POST"}, "/v1/chat/completions"},
                           {{"GET", "POST"}, "/organization/**"},
                           {{"GET", "POST"}, "/files/**"}}},
               {.agent = "maker",
                .provider = "provider-1",
                .routes = {{{"GET", "POST"}, "/v1/**"}}},
               {.agent = "maker", .provider = "provider-2", .routes = {{{"POST"}, "/**"}}},
               {.agent = "free",
                .provider = "provider-0",
                .unpriced_allowed = true,
                .routes = {{{"POST"}, "/**"}}}},
};

FLOW(method_and_path_decide_and_one_spelling_is_taken)
{
    static const struct route_row rows[] = {
        {"GET", JOBS, 200, NULL, "GET /v1/fine_tuning/jobs HTTP/1.1\r\n"},
        /* a client may repeat the base URL's own path */
        {"GET", OPENAI "/v1/fine_tuning/jobs/1?after=a%2Fb&limit=2", 200, NULL,
         "GET /v1/fine_tuning/jobs/1?after=a%2Fb&limit=2 HTTP/1.1\r\n"},
        {"GET", OPENAI "/fine_tuning/%6Aobs", 200, NULL, "GET /v1/fine_tuning/jobs HTTP/1.1\r\n"},
        {"DELETE", JOBS, 403, "route_not_allowed", NULL},
        {"GET", OPENAI "/vector_stores", 403, "route_not_allowed", NULL},
        {"GET", OPENAI, 403, "route_not_allowed", NULL},
        {"OPTIONS", JOBS, 405, "method_not_allowed", NULL},
        {"GET", "/passthrough/none/fine_tuning/jobs", 404, "provider_not_found", NULL},
        {"GET", "/passthrough/", 404, "not_found", NULL},
        {"GET", OPENAI "/fine_tuning/../organization/users", 400, "invalid_path", NULL},
        {"GET", OPENAI "/fine_tuning/%2e%2e/x", 400, "invalid_path", NULL},
        {"GET", OPENAI "/fine_tuning/..%2Fx", 400, "invalid_path", NULL},
        {"GET", OPENAI "/fine_tuning%2Fjobs", 400, "invalid_path", NULL},
        {"GET", OPENAI "//fine_tuning/jobs", 400, "invalid_path", NULL},
        {"GET", OPENAI "/fine_tuning/jobs;a=b", 400, "invalid_path", NULL},
        /* granted, and refused all the same */
        {"GET", OPENAI "/organization/users", 403, "administration_refused", NULL},
        {"POST", OPENAI "/v1/organization/admin_api_keys", 403, "administration_refused", NULL},
        {"GET", OPENAI "/fine_tuning/checkpoints/c/permissions", 403, "administration_refused",
         NULL},
        {"GET", OPENAI "/files/file-1", 403, "owned_elsewhere", NULL},
        {"GET", OPENAI "/v1/files/", 403, "owned_elsewhere", NULL}, /* the list of all there are */
        {"GET", OPENAI "/v1/chat/completions", 403, "owned_elsewhere", NULL},
    };
    policy_says(k, &own);
    expect_routes(k, rows, ARRAY_LEN(rows));
}

FLOW(a_provider_without_a_grant_is_unknown)
{
    policy_says(k, &own);
    struct flow_client *c = client_gets(k, "bob", JOBS);
    expect_status(c, 404);
    expect_code(c, "provider_not_found");
    c = client_gets(k, NULL, JOBS);
    expect_status(c, 401);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

static bool lacks(const struct upstream_call *c, const char *text)
{
    return slice_search(buf_slice(&c->bytes), slice_str(text)) < 0;
}

FLOW(the_providers_credential_goes_up_and_nothing_of_the_callers)
{
    policy_says(k, &own);
    upstream_says(k, 0, OK);
    struct flow_client *c =
        client_asks(k, "GET", "alice", JOBS "?api_key=theirs&access_token=a&q=1",
                    "Cookie: sid=1\r\nOpenAI-Organization: org-other\r\nOpenAI-Beta: x=v2\r\n"
                    "X-Unlisted: 1\r\nAccept: application/json\r\n");
    expect_status(c, 200);
    const struct upstream_call *up = &k->upstreams[0].calls[0];
    assert_true(slice_eq(upstream_heard(up, "authorization"), SLICE("Bearer " SECRET0)));
    assert_true(slice_eq(upstream_heard(up, "openai-beta"), SLICE("x=v2")));
    assert_true(slice_eq(upstream_heard(up, "accept-encoding"), SLICE("identity")));
    assert_true(slice_starts(up->head, SLICE("GET /v1/fine_tuning/jobs?q=1 HTTP/1.1\r\n")));
    assert_true(lacks(up, flow_secret(k, "alice")));
    assert_true(lacks(up, "org-other"));
    assert_true(lacks(up, "sid=1"));
    assert_true(lacks(up, "Unlisted"));
}

FLOW(each_provider_gets_it_in_its_own_way)
{
    char path[512];
    policy_says(k, &own);
    upstream_says(k, 1, OK);
    upstream_says(k, 2, OK);
    expect_status(client_asks(k, "GET", "alice", ANTHROPIC "/v1/skills", "anthropic-beta: s\r\n"),
                  200);
    const struct upstream_call *up = &k->upstreams[1].calls[0];
    assert_true(slice_eq(upstream_heard(up, "x-api-key"), SLICE(SECRET1)));
    assert_true(slice_eq(upstream_heard(up, "anthropic-version"), SLICE("2023-06-01")));
    assert_true(slice_eq(upstream_heard(up, "anthropic-beta"), SLICE("s")));
    assert_true(slice_eq(upstream_heard(up, "x-team"), SLICE("research"))); /* the policy's */
    assert_null(upstream_heard(up, "authorization").ptr);

    /* the client's key in the query names the principal, and goes no further */
    snprintf(path, sizeof(path), GEMINI "/v1beta/tunedModels?%%6bey=other&key=%s&alt=sse",
             flow_secret(k, "alice"));
    expect_status(client_asks(k, "POST", NULL, path, "Content-Length: 0\r\n"), 200);
    up = &k->upstreams[2].calls[0];
    assert_true(slice_eq(upstream_heard(up, "x-goog-api-key"), SLICE(SECRET2)));
    assert_true(slice_starts(up->head, SLICE("POST /v1beta/tunedModels?alt=sse HTTP/1.1\r\n")));
    assert_true(lacks(up, flow_secret(k, "alice")));
}

FLOW(azures_version_is_said_unless_the_client_says_one)
{
    struct flow_policy azure = own;
    azure.providers[0] =
        (struct flow_provider){.dialect = "azure", .path = "/openai", .api_version = "2026-01-01"};
    policy_says(k, &azure);
    upstream_says(k, 0, OK);
    expect_status(client_gets(k, "alice", JOBS "?limit=2"), 200);
    expect_status(client_gets(k, "alice", JOBS "?api-version=2"), 200);
    const struct upstream_call *up = k->upstreams[0].calls;
    assert_true(slice_starts(
        up[0].head, SLICE("GET /openai/fine_tuning/jobs?limit=2&api-version=2026-01-01 ")));
    assert_true(slice_starts(up[1].head, SLICE("GET /openai/fine_tuning/jobs?api-version=2 ")));
    assert_true(slice_eq(upstream_heard(&up[0], "api-key"), SLICE(SECRET0)));
    assert_null(upstream_heard(&up[0], "authorization").ptr);
}

/* What the provider did with the request is not known to the gateway, so nothing is repeated. */
FLOW(a_failure_is_told_as_it_is_and_no_other_account_is_tried)
{
    struct flow_policy two = own;
    two.providers[0].second_secret = "sk-the-second-account-of-provider-0";
    policy_says(k, &two);
    upstream_answers_with(k, 0, 429, "Retry-After: 7\r\nContent-Type: application/json\r\n",
                          "{\"error\":{\"message\":\"slow\"}}");
    struct flow_client *c = client_posts(k, "alice", JOBS, NULL, "{}");
    expect_status(c, 429);
    expect_body(c, "{\"error\":{\"message\":\"slow\"}}");
    assert_true(slice_eq(client_header(c, "retry-after"), SLICE("7")));
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(a_request_to_bedrock_is_signed_with_its_method_query_and_body)
{
    static const struct flow_policy signed_own = {
        .providers = {{.dialect = "bedrock",
                       .path = "",
                       .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                       .access_key_id = "AKIDEXAMPLE000000000",
                       .region = "eu-west-1"}},
        .keys = {{.name = "alice", .agent = "maker"}},
        .agents = {{.name = "maker"}},
        .grants = {{.agent = "maker",
                    .provider = "provider-0",
                    .routes = {{{"GET", "POST"}, "/guardrail/**"}}}},
    };
    policy_says(k, &signed_own);
    upstream_says(k, 0, OK);
    struct flow_client *c =
        client_posts(k, "alice", OPENAI "/guardrail/g/apply?b=2&a=x%20y", NULL, "{\"source\":1}");
    expect_status(c, 200);
    const struct upstream_call *up = &k->upstreams[0].calls[0];
    assert_true(slice_starts(up->head, SLICE("POST /guardrail/g/apply?a=x%20y&b=2 HTTP/1.1\r\n")));
    assert_true(slice_starts(upstream_heard(up, "authorization"),
                             SLICE("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE000000000/")));
    assert_true(upstream_heard(up, "x-amz-date").len == 16);
    assert_true(slice_eq(up->body, SLICE("{\"source\":1}")));
    assert_true(lacks(up, "wJalrXUtnFEMI"));
}

FLOW(only_listed_headers_pass_and_no_credential)
{
    policy_says(k, &own);
    upstream_says(k, 0,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/x-own\r\nOpenAI-Version: 2020\r\n"
                  "Set-Cookie: sid=1\r\nServer: s/1\r\nX-Internal: 1\r\nETag: " SECRET0 "\r\n"
                  "OpenAI-Organization: ours\r\nContent-Length: 41\r\n\r\nyou sent " SECRET0);
    struct flow_client *c = client_gets(k, "alice", JOBS);
    WAIT(k, c->has_head);
    assert_true(slice_eq(client_header(c, "content-type"), SLICE("text/x-own")));
    assert_true(slice_eq(client_header(c, "openai-version"), SLICE("2020")));
    static const char *const gone[] = {"set-cookie", "server", "x-internal", "etag",
                                       "openai-organization"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        if (client_header(c, gone[i]).ptr)
            fail_msg("%s reached the client", gone[i]);
    WAIT(k, c->body.len >= 41 || c->closed);
    assert_true(slice_search(buf_slice(&c->body), SLICE(SECRET0)) < 0);
    assert_true(slice_search(buf_slice(&c->body), SLICE("*****")) >= 0);
}

FLOW(a_refused_credential_is_the_gateways_and_a_redirect_is_not_followed)
{
    policy_says(k, &own);
    upstream_answers(k, 0, 401, "{\"error\":{\"message\":\"Incorrect API key: sk-up\"}}");
    struct flow_client *c = client_gets(k, "alice", JOBS);
    expect_status(c, 502);
    expect_code(c, "upstream_error");
    upstream_forget_script(k, 0);
    upstream_answers_with(k, 0, 302, "Location: http://127.0.0.1:1/x\r\n", "gone");
    expect_status(client_gets(k, "alice", JOBS), 302);
    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 422, "{\"error\":{\"message\":\"no\"}}");
    c = client_gets(k, "alice", JOBS);
    expect_status(c, 422);
    expect_body(c, "{\"error\":{\"message\":\"no\"}}");
}

FLOW(bodies_stream_both_ways)
{
    policy_says(k, &own);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: one\n\n");
    upstream_waits_for_go(k, 0);
    upstream_sends(k, 0, "data: two\n\n");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_gets(k, "alice", JOBS "/1/events");
    WAIT(k, c->body.len > 0); /* nothing is held back */
    expect_body(c, "data: one\n\n");
    upstream_goes(k, 0);
    expect_status(c, 200);
    expect_body(c, "data: one\n\ndata: two\n\n");

    upstream_forget_script(k, 0);
    expect_upload_waits(k, JOBS);
}

FLOW(a_chunked_upload_passes)
{
    policy_says(k, &own);
    expect_chunks_pass(k, JOBS);
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->bytes_in, 12);
    assert_int_equal(r->span->bytes_out, 2);
    flow_record_free(r);
}

static Gatehouse__JournalRecord *record(struct flow *k)
{
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_string_equal(r->span->gate, "ai");
    return r;
}

FLOW(a_response_leaves_one_record_that_names_route_and_provider)
{
    policy_says(k, &own);
    upstream_says(k, 0, OK);
    expect_status(client_gets(k, "alice", JOBS "?card=4711"), 200);
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->name, "GET /fine_tuning/jobs");
    assert_string_equal(r->span->method, "GET");
    assert_string_equal(r->span->path, "/fine_tuning/jobs"); /* and no query */
    assert_string_equal(r->span->provider, "provider-0");
    assert_string_equal(r->span->status, "ok");
    assert_int_equal(r->span->http_status, 200);
    assert_string_equal(r->span->route, "/fine_tuning/**");
    assert_string_equal(r->span->account, "main");
    assert_int_equal(r->span->bytes_in, 0);
    assert_int_equal(r->span->bytes_out, 2);
    assert_int_equal(r->n_attempts, 1);
    assert_null(r->span->tokens);
    flow_record_free(r);
    assert_null(flow_record(k));
}

FLOW(a_client_gone_ends_the_call_at_the_provider)
{
    policy_says(k, &own);
    expect_leaving_is_passed_on(k, JOBS);
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->status, "cancelled");
    flow_record_free(r);
}

FLOW(a_grant_taken_away_cuts_the_response)
{
    struct flow_policy taken = own;
    taken.grants[0].routes[0].path = "/other/**";
    policy_says(k, &own);
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it");
    upstream_hangs(k, 0);
    struct flow_client *c = client_gets(k, "alice", JOBS);
    WAIT(k, c->has_head);
    policy_says(k, &taken);
    WAIT(k, c->closed);
    WAIT(k, k->upstreams[0].calls[0].cut);
}

/* The request goes on under the newest policy, and so does what was found in the one before. */
FLOW(a_policy_that_comes_while_a_body_is_awaited_counts)
{
    struct flow_policy moved = own, taken = own;
    struct flow_client *c;
    moved.providers[0].secret = "sk-another-secret-of-provider-0";
    taken.grants[0].provider = "provider-1";
    policy_says(k, &own);
    upstream_answers(k, 0, 200, "{}");
    c = client_asks(k, "POST", "alice", OPENAI "/chat/completions", "Content-Length: 81\r\n");
    client_adds(c, "{\"model\":\"gpt-x\",");
    WAIT(k, k->env.request_count == 1);
    policy_says(k, &moved);
    for (int i = 0; i < 10; i++)
        flow_turn(k);
    client_adds(c, "\"max_tokens\":100000,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    expect_status(c, 200);
    assert_true(slice_eq(upstream_heard(&k->upstreams[0].calls[0], "authorization"),
                         SLICE("Bearer sk-another-secret-of-provider-0")));

    c = client_asks(k, "POST", "alice", OPENAI "/chat/completions", "Content-Length: 81\r\n");
    client_adds(c, "{\"model\":\"gpt-x\",");
    WAIT(k, k->env.request_count == 1);
    policy_says(k, &taken);
    client_adds(c, "\"max_tokens\":100000,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    expect_status(c, 404);
    expect_code(c, "provider_not_found");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(a_provider_that_is_not_granted_and_one_that_is_not_there_are_told_alike)
{
    policy_says(k, &own);
    struct flow_client *there = client_gets(k, "bob", ANTHROPIC "/v1/skills");
    expect_status(there, 404);
    struct flow_client *none = client_gets(k, "bob", "/passthrough/provider-9/v1/skills");
    expect_status(none, 404);
    char text[2048];
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(buf_slice(&none->body)));
    char *name = strstr(text, "provider-9");
    assert_non_null(name);
    name[9] = '1';
    expect_body(there, text);
}

/* ---- money ---- */

static void expect_cost(struct flow *k, uint64_t input, uint64_t output, money cost,
                        const char *source)
{
    Gatehouse__JournalRecord *r = record(k);
    assert_non_null(r->span->tokens);
    assert_int_equal(r->span->tokens->input, input);
    assert_int_equal(r->span->tokens->output, output);
    assert_string_equal(r->span->usage_source, source);
    assert_int_equal(r->span->cost_nano, cost);
    flow_record_free(r);
}

FLOW(a_modelled_path_is_billed_by_its_usage)
{
    policy_says(k, &own);
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c = client_posts(k, "carol", OPENAI "/v1/chat/completions", NULL, CHAT);
    expect_status(c, 200);
    expect_body(c, ANSWER);
    assert_true(slice_eq(k->upstreams[0].calls[0].body, SLICE(CHAT))); /* as it was */
    expect_cost(k, 1000, 20, COST, "provider");
    assert_int_equal(flow_taken(k, "key:k_carol") >= COST, true);
}

FLOW(a_stream_is_billed_by_its_usage_or_by_what_it_said)
{
    policy_says(k, &own);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n");
    upstream_sends(k, 0,
                   "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                   "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,"
                   "\"completion_tokens\":20,\"total_tokens\":1020}}\n\n"
                   "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "carol", OPENAI "/chat/completions", NULL,
                                         "{\"model\":\"gpt-x\",\"stream\":true," HI "}");
    expect_status(c, 200);
    expect_cost(k, 1000, 20, COST, "provider");

    upstream_forget_script(k, 0);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0,
                   "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"12345678\"}}]}\n\n");
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);
    c = client_posts(k, "carol", OPENAI "/chat/completions", NULL,
                     "{\"model\":\"gpt-x\",\"stream\":true," HI "}");
    expect_status(c, 200);
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->output, 2);
    assert_true(r->span->cost_nano > 0);
    flow_record_free(r);
}

/* What a model reasons in hiding shows in its provider's count alone, which OpenAI's streams say
 * when they are asked: the gateway asks, and the client sees nothing of it. */
FLOW(a_streams_usage_is_asked_for_and_not_shown_where_its_client_did_not_ask)
{
#define WORD(more) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]" more "}\n\n"
#define LAST(more)                                                                                 \
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]" more "}\n\n"
#define NULLS ",\"usage\":null"
#define COUNT                                                                                      \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":20,"            \
    "\"completion_tokens_details\":{\"reasoning_tokens\":19},\"total_tokens\":1020}}\n\n"
#define END "data: [DONE]\n\n"
#define ASK(more) "{\"model\":\"gpt-x\",\"stream\":true,\"max_tokens\":100" more "," HI "}"
#define OPTION ",\"stream_options\":{\"include_usage\":true}"
    static const struct {
        const char *said, *sent, *shown;
    } rows[] = {
        {ASK(""),
         "{\"stream_options\":{\"include_usage\":true},\"model\":\"gpt-x\",\"stream\":true,"
         "\"max_tokens\":100," HI "}",
         WORD("") LAST("") END},
        {ASK(OPTION), ASK(OPTION), WORD(NULLS) LAST(NULLS) COUNT END},
        {ASK(",\"stream_options\":{\"include_usage\":false}"), ASK(OPTION), WORD("") LAST("") END},
    };
    policy_says(k, &own);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        upstream_forget_script(k, 0);
        upstream_opens_stream(k, 0);
        upstream_sends(k, 0, WORD(NULLS) "data: {\"choices\":[{\"index\":0,");
        upstream_sends(k, 0, "\"delta\":{},\"finish_reason\":\"stop\"}]" NULLS "}\n\n" COUNT END);
        upstream_ends_stream(k, 0);
        struct flow_client *c =
            client_posts(k, "carol", OPENAI "/v1/chat/completions", NULL, rows[i].said);
        expect_status(c, 200);
        if (!slice_eq(k->upstreams[0].calls[i].body, slice_str(rows[i].sent)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(k->upstreams[0].calls[i].body));
        expect_body(c, rows[i].shown);
        expect_cost(k, 1000, 20, COST, "provider");
    }
    /* what ends inside an event is shown to its last byte */
    upstream_forget_script(k, 0);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, WORD(NULLS) "data: {\"cho");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "carol", OPENAI "/v1/chat/completions", NULL, ASK(""));
    expect_status(c, 200);
    expect_body(c, WORD("") "data: {\"cho");
}

/* A model whose calls are shaped is not had unshaped by its provider's name for it. */
FLOW(what_the_policy_says_of_a_models_calls_holds_here_too)
{
    static const char *const shaped[] = {"gpt-x"}, *const both[] = {"gpt-x"};
    struct flow_policy p = own;
    struct flow_client *c;
    p.models[0] = (struct flow_model){.name = "ours",
                                      .target_models = shaped,
                                      .upstreams = {0},
                                      .upstream_count = 1,
                                      .drop = {"user"},
                                      .system_prompt = "Be brief."};
    policy_says(k, &p);
    upstream_answers(k, 0, 200, ANSWER);
    c = client_posts(k, "alice", OPENAI "/v1/chat/completions", NULL,
                     "{\"model\":\"gpt-x\",\"user\":\"u\"," HI "}");
    expect_status(c, 200);
    struct slice sent = k->upstreams[0].calls[0].body;
    assert_true(slice_search(sent, SLICE("Be brief.")) >= 0);
    assert_true(slice_search(sent, SLICE("\"user\":\"u\"")) < 0);
    assert_true(slice_search(sent, SLICE("\"content\":\"hello\"")) >= 0);

    /* where another model leads there that says nothing of its calls, as the client says */
    p.models[1] = (struct flow_model){
        .name = "plain", .target_models = both, .upstreams = {0}, .upstream_count = 1};
    p.keys[0] = (struct flow_key){.name = "alice", .agent = "maker", .models = {"plain"}};
    policy_says(k, &p);
    c = client_posts(k, "alice", OPENAI "/v1/chat/completions", NULL, CHAT);
    expect_status(c, 200);
    assert_true(slice_eq(k->upstreams[0].calls[1].body, SLICE(CHAT)));

    /* of two that lead there only what may be used counts */
    p.keys[0] = (struct flow_key){.name = "alice", .agent = "maker", .models = {"ours"}};
    policy_says(k, &p);
    c = client_posts(k, "alice", OPENAI "/v1/chat/completions", NULL, CHAT);
    expect_status(c, 200);
    assert_true(slice_search(k->upstreams[0].calls[2].body, SLICE("Be brief.")) >= 0);
}

FLOW(anthropics_path_is_read_in_its_own_dialect)
{
    policy_says(k, &own);
    upstream_answers(
        k, 1, 200,
        "{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\","
        "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],\"stop_reason\":"
        "\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,"
        "\"output_tokens\":5}}");
    expect_status(client_posts(k, "alice", ANTHROPIC "/v1/messages", NULL,
                               "{\"model\":\"claude\",\"max_tokens\":9," HI "}"),
                  200);
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->model, "claude");
    assert_int_equal(r->span->tokens->input, 10);
    assert_int_equal(r->span->tokens->output, 5);
    flow_record_free(r);
}

FLOW(geminis_path_names_the_model_and_is_read_in_its_own_dialect)
{
    policy_says(k, &own);
    upstream_opens_stream(k, 2);
    upstream_sends(
        k, 2,
        "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":"
        "\"hi\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":7,"
        "\"candidatesTokenCount\":3,\"totalTokenCount\":10}}\r\n\r\n");
    upstream_ends_stream(k, 2);
    struct flow_client *c =
        client_posts(k, "alice", GEMINI "/v1beta/models/gem:streamGenerateContent?alt=sse", NULL,
                     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}]}");
    expect_status(c, 200);
    assert_true(slice_starts(k->upstreams[2].calls[0].head,
                             SLICE("POST /v1beta/models/gem:streamGenerateContent?alt=sse ")));
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->model, "gem");
    assert_int_equal(r->span->tokens->input, 7);
    assert_int_equal(r->span->tokens->output, 3);
    flow_record_free(r);
}

/* The AI gate alone knows whose they are. */
FLOW(a_kept_response_is_not_continued_by_its_bare_id)
{
    policy_says(k, &own);
    struct flow_client *c =
        client_posts(k, "dave", OPENAI "/responses", NULL,
                     "{\"model\":\"gpt-x\",\"input\":\"a\",\"previous_response_id\":\"resp_1\"}");
    expect_status(c, 404);
    expect_code(c, "object_not_found");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

/* However much stands before its name. */
FLOW(a_file_of_anothers_is_not_named_behind_a_long_text)
{
    static char body[200 * 1024];
    static const char begin[] = "{\"model\":\"gpt-x\",\"max_tokens\":9,\"metadata\":{\"a\":\"";
    static const char end[] =
        "\"},\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{"
        "\"file_id\":\"file-1\"}}]}]}";
    memset(body, 'a', sizeof(body) - 1);
    memcpy(body, begin, sizeof(begin) - 1);
    memcpy(body + sizeof(body) - sizeof(end), end, sizeof(end));
    policy_says(k, &own);
    struct flow_client *c = client_posts(k, "alice", OPENAI "/v1/chat/completions", NULL, body);
    expect_status(c, 404);
    expect_code(c, "object_not_found");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

/* What a client sends along names nothing that is kept. */
FLOW(a_document_inside_a_body_goes_on)
{
    policy_says(k, &own);
    for (size_t i = 0; i < 3; i++)
        upstream_says(k, i, OK);
    expect_status(
        client_posts(k, "alice", ANTHROPIC "/v1/messages", NULL,
                     "{\"model\":\"claude\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
                     "\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"base64\","
                     "\"media_type\":\"application/pdf\",\"data\":\"JVBERi0=\"}}]}]}"),
        200);
    expect_status(client_posts(k, "alice", GEMINI "/v1beta/models/gem:generateContent", NULL,
                               "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"inlineData\":{"
                               "\"mimeType\":\"application/pdf\",\"data\":\"JVBERi0=\"}}]}]}"),
                  200);
    expect_status(
        client_posts(k, "alice", OPENAI "/v1/chat/completions", NULL,
                     "{\"model\":\"gpt-x\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                     "\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":"
                     "\"data:application/pdf;base64,JVBERi0=\"}}]}]}"),
        200);
}

FLOW(a_response_that_breaks_off_may_have_been_written_to_its_end)
{
    policy_says(k, &own);
    upstream_says(k, 0,
                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
                  "{\"id\":");
    upstream_rests(k, 0, 20);
    upstream_cuts(k, 0);
    struct flow_client *c = client_posts(k, "carol", OPENAI "/chat/completions", NULL, CHAT);
    WAIT(k, c->closed);
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->status, "error");
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->output, 100); /* all that it was allowed to write */
    flow_record_free(r);
}

/* Its provider has written it to the end: a client that leaves before the last byte pays. */
FLOW(a_client_that_leaves_inside_a_whole_response_pays_for_it)
{
    policy_says(k, &own);
    upstream_says(k, 0,
                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
                  "{\"choices\":");
    upstream_rests(k, 0, 5000);
    struct flow_client *c = client_posts(k, "carol", OPENAI "/chat/completions", NULL, CHAT);
    WAIT(k, c->head.status == 200);
    client_hangs_up(c);
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->output, 100);
    assert_true(r->span->cost_nano >= 200000);
    flow_record_free(r);
}

FLOW(a_response_in_a_form_that_is_not_read_costs_what_it_may_have)
{
    policy_says(k, &own);
    upstream_says(k, 0,
                  "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
                  "Content-Length: 2\r\n\r\nok");
    expect_status(client_posts(k, "carol", OPENAI "/chat/completions", NULL, CHAT), 200);
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->output, 100);
    flow_record_free(r);

    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200, "{\"choices\":[]}"); /* and no usage */
    expect_status(client_posts(k, "carol", OPENAI "/chat/completions", NULL, CHAT), 200);
    r = record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->output, 100);
    flow_record_free(r);
}

FLOW(another_spelling_of_a_modelled_path_is_metered_too)
{
    policy_says(k, &own);
    upstream_answers(k, 0, 200, ANSWER);
    expect_status(client_posts(k, "dave", OPENAI "/v1/chat/completions/", NULL, CHAT), 200);
    assert_true(slice_starts(k->upstreams[0].calls[0].head,
                             SLICE("POST /v1/chat/completions/ "))); /* as it was */
    expect_cost(k, 1000, 20, COST, "provider");
}

FLOW(a_providers_own_credential_is_not_given_out)
{
    policy_says(k, &own);
    struct flow_client *c =
        client_posts(k, "dave", OPENAI "/v1/realtime/client_secrets", NULL, "{}");
    expect_status(c, 403);
    expect_code(c, "administration_refused");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(an_error_inside_a_response_costs_nothing)
{
    policy_says(k, &own);
    upstream_answers(k, 0, 200, "{\"error\":{\"message\":\"overloaded\"}}");
    expect_status(client_posts(k, "carol", OPENAI "/chat/completions", NULL, CHAT), 200);
    Gatehouse__JournalRecord *r = record(k);
    assert_null(r->span->tokens);
    flow_record_free(r);
    assert_int_equal(flow_taken(k, "key:k_carol") < MONEY_DOLLAR, true);
}

FLOW(under_a_budget_what_has_no_price_is_refused_unless_the_grant_says_so)
{
    policy_says(k, &own);
    upstream_says(k, 0, OK);
    struct flow_client *c = client_posts(k, "carol", JOBS, NULL, "{}");
    expect_status(c, 400);
    expect_code(c, "unbounded_cost");
    c = client_posts(k, "carol", OPENAI "/chat/completions", NULL,
                     "{\"model\":\"unknown\"," HI "}");
    expect_status(c, 400);
    expect_code(c, "unbounded_cost");
    assert_int_equal(k->upstreams[0].call_count, 0);

    expect_status(client_gets(k, "carol", JOBS), 200);              /* nothing is done */
    expect_status(client_posts(k, "alice", JOBS, NULL, "{}"), 200); /* no budget */
    expect_status(client_posts(k, "dave", JOBS, NULL, "{}"), 200);  /* granted so */
    assert_int_equal(flow_taken(k, "key:k_dave"), 0);
}

FLOW(a_call_dearer_than_the_budget_is_refused_before_it_is_sent)
{
    policy_says(k, &own);
    struct flow_client *c = client_posts(k, "carol", OPENAI "/chat/completions", NULL,
                                         "{\"model\":\"gpt-x\",\"max_tokens\":600000," HI "}");
    expect_status(c, 429);
    expect_code(c, "budget_exceeded");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

/* litellm PR #36592: reservations of passthrough calls that failed were never given back. */
FLOW(what_was_reserved_is_given_back_on_every_way_out)
{
    enum { ROUNDS = 10 }; /* each reserves 0.3 dollars of the one */
    static const char dear[] = "{\"model\":\"gpt-x\",\"max_tokens\":150000," HI "}";
    policy_says(k, &own);
    for (int i = 0; i < ROUNDS; i++) { /* an error */
        upstream_forget_script(k, 0);
        upstream_answers(k, 0, 500, "{\"error\":{\"message\":\"no\"}}");
        expect_status(client_posts(k, "carol", OPENAI "/chat/completions", NULL, dear), 500);
    }
    for (int i = 0; i < ROUNDS; i++) { /* nothing at all */
        upstream_forget_script(k, 0);
        upstream_cuts(k, 0);
        expect_status(client_posts(k, "carol", OPENAI "/chat/completions", NULL, dear), 502);
    }
    for (int i = 0; i < ROUNDS - 4; i++) { /* a client that leaves */
        size_t calls = k->upstreams[0].call_count;
        upstream_forget_script(k, 0);
        upstream_hangs(k, 0);
        struct flow_client *c = client_posts(k, "carol", OPENAI "/chat/completions", NULL, dear);
        WAIT(k, k->upstreams[0].call_count > calls);
        client_hangs_up(c);
        WAIT(k, k->env.request_count == 0);
    }
    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200, ANSWER);
    expect_status(client_posts(k, "carol", OPENAI "/chat/completions", NULL, dear), 200);
}

FLOW(a_list_of_models_bounds_a_modelled_path)
{
    static const struct flow_policy bounded = {
        .keys = {{.name = "alice", .agent = "maker", .models = {"small"}}},
        .agents = {{.name = "maker"}},
        .models =
            {{.name = "small", .target_model = "gpt-x", .upstreams = {0}, .upstream_count = 1},
             {.name = "large", .target_model = "gpt-y", .upstreams = {0}, .upstream_count = 1}},
        .grants = {{.agent = "maker",
                    .provider = "provider-0",
                    .routes = {{{"POST"}, "/chat/completions"}}}},
    };
    policy_says(k, &bounded);
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c = client_posts(k, "alice", OPENAI "/chat/completions", NULL, CHAT);
    expect_status(c, 200);
    expect_cost(k, 1000, 20, COST, "provider"); /* the policy's price of that model */
    c = client_posts(k, "alice", OPENAI "/chat/completions", NULL, "{\"model\":\"gpt-y\"," HI "}");
    expect_status(c, 404);
    expect_code(c, "model_not_found");
    c = client_posts(k, "alice", OPENAI "/chat/completions", NULL,
                     "{\"model\":\"gpt-x\",\"model\":\"gpt-y\"," HI "}");
    expect_status(c, 400);
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(refusals_are_the_providers_dialect)
{
    policy_says(k, &own);
    struct flow_client *c = client_asks(k, "DELETE", "alice", ANTHROPIC "/v1/skills/1", NULL);
    expect_status(c, 403);
    expect_body_has(c, "\"type\":\"error\"");
    c = client_asks(k, "GET", "alice", GEMINI "/v1beta/x", NULL);
    expect_status(c, 403);
    expect_body_has(c, "\"status\":\"PERMISSION_DENIED\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(method_and_path_decide_and_one_spelling_is_taken),
        SCENARIO(a_provider_without_a_grant_is_unknown),
        SCENARIO(the_providers_credential_goes_up_and_nothing_of_the_callers),
        SCENARIO(each_provider_gets_it_in_its_own_way),
        SCENARIO(azures_version_is_said_unless_the_client_says_one),
        SCENARIO(a_failure_is_told_as_it_is_and_no_other_account_is_tried),
        SCENARIO(a_request_to_bedrock_is_signed_with_its_method_query_and_body),
        SCENARIO(only_listed_headers_pass_and_no_credential),
        SCENARIO(a_refused_credential_is_the_gateways_and_a_redirect_is_not_followed),
        SCENARIO(bodies_stream_both_ways),
        SCENARIO(a_chunked_upload_passes),
        SCENARIO(a_response_leaves_one_record_that_names_route_and_provider),
        SCENARIO(a_client_gone_ends_the_call_at_the_provider),
        SCENARIO(a_grant_taken_away_cuts_the_response),
        SCENARIO(a_policy_that_comes_while_a_body_is_awaited_counts),
        SCENARIO(a_provider_that_is_not_granted_and_one_that_is_not_there_are_told_alike),
        SCENARIO(a_modelled_path_is_billed_by_its_usage),
        SCENARIO(a_stream_is_billed_by_its_usage_or_by_what_it_said),
        SCENARIO(a_streams_usage_is_asked_for_and_not_shown_where_its_client_did_not_ask),
        SCENARIO(what_the_policy_says_of_a_models_calls_holds_here_too),
        SCENARIO(anthropics_path_is_read_in_its_own_dialect),
        SCENARIO(geminis_path_names_the_model_and_is_read_in_its_own_dialect),
        SCENARIO(a_kept_response_is_not_continued_by_its_bare_id),
        SCENARIO(a_file_of_anothers_is_not_named_behind_a_long_text),
        SCENARIO(a_document_inside_a_body_goes_on),
        SCENARIO(a_response_that_breaks_off_may_have_been_written_to_its_end),
        SCENARIO(a_client_that_leaves_inside_a_whole_response_pays_for_it),
        SCENARIO(a_response_in_a_form_that_is_not_read_costs_what_it_may_have),
        SCENARIO(another_spelling_of_a_modelled_path_is_metered_too),
        SCENARIO(a_providers_own_credential_is_not_given_out),
        SCENARIO(an_error_inside_a_response_costs_nothing),
        SCENARIO(under_a_budget_what_has_no_price_is_refused_unless_the_grant_says_so),
        SCENARIO(a_call_dearer_than_the_budget_is_refused_before_it_is_sent),
        SCENARIO(what_was_reserved_is_given_back_on_every_way_out),
        SCENARIO(a_list_of_models_bounds_a_modelled_path),
        SCENARIO(refusals_are_the_providers_dialect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
