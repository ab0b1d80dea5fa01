/* api — the company's services: what a grant opens, what passes each way, and how calls end. */
#include "tests/kit/flow/relay_kit.h"

#define SECRET "Bearer company-secret-0123456789"
#define KEY "/api/crm/customers/1"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const struct flow_policy crm = {
    .keys = {{.name = "alice", .agent = "triage"}, {.name = "bob", .agent = "other"}},
    .agents = {{.name = "triage"}, {.name = "other"}},
    .tasks = {"night"},
    .services = {{.name = "crm",
                  .upstream = 0,
                  .base = "/v2",
                  .header = "authorization",
                  .secret = SECRET,
                  .routes = {{.path = "/customers/**"}, {{"GET"}, "/reports/**", .opaque = true}}},
                 {.name = "jar",
                  .upstream = 1,
                  .header = "x-correlation-id",
                  .secret = "our-own-correlation",
                  .set_cookie = true}},
    .grants = {{.agent = "triage",
                .service = "crm",
                .routes = {{{"GET", "POST"}, "/customers/*"},
                           {{"GET"}, "/customers/*/orders/**"},
                           {{"GET"}, "/beyond"},
                           {{"GET"}, "/reports/*", .opaque = true}}},
               {.agent = "triage", .service = "jar"},
               {.agent = "other", .task = "night", .service = "crm"}},
};

FLOW(method_and_path_decide_and_the_granted_path_is_forwarded)
{
    static const struct route_row rows[] = {
        {"GET", "/api/crm/customers/1", 200, NULL, "GET /v2/customers/1 HTTP/1.1\r\n"},
        {"POST", "/api/crm/customers/1", 200, NULL, "POST /v2/customers/1 HTTP/1.1\r\n"},
        {"GET", "/api/crm/customers/%41?q=%2F", 200, NULL,
         "GET /v2/customers/A?q=%2F HTTP/1.1\r\n"},
        {"GET", "/api/crm/customers/1/orders/2/3", 200, NULL,
         "GET /v2/customers/1/orders/2/3 HTTP/1.1\r\n"},
        {"GET", "/api/crm/customers/1/orders", 200, NULL,
         "GET /v2/customers/1/orders HTTP/1.1\r\n"},
        {"HEAD", "/api/crm/customers/1", 200, NULL, "HEAD /v2/customers/1 HTTP/1.1\r\n"},
        {"PUT", "/api/crm/customers/1", 403, "route_not_allowed", NULL},
        {"POST", "/api/crm/customers/1/orders/2", 403, "route_not_allowed", NULL},
        {"GET", "/api/crm/customers", 403, "route_not_allowed", NULL},
        {"GET", "/api/crm/customers/", 403, "route_not_allowed", NULL},
        {"GET", "/api/crm/customers/1/notes", 403, "route_not_allowed", NULL},
        {"GET", "/api/crm", 403, "route_not_allowed", NULL},
        {"GET", "/api/crm/beyond", 403, "route_not_allowed", NULL}, /* not offered */
        {"GET", "/api/none/customers/1", 404, "service_not_found", NULL},
    };
    policy_says(k, &crm);
    expect_routes(k, rows, ARRAY_LEN(rows));
}

FLOW(a_service_granted_for_another_task_is_unknown)
{
    policy_says(k, &crm);
    struct flow_client *c = client_gets(k, "bob", KEY);
    expect_status(c, 404);
    expect_code(c, "service_not_found");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_path_with_two_readings_is_400_unless_service_and_grant_take_it_as_it_stands)
{
    static const struct route_row rows[] = {
        {"GET", "/api/crm/customers/a%2Fb", 400, "invalid_path", NULL},
        {"GET", "/api/crm/customers/..", 400, "invalid_path", NULL},
        {"GET", "/api/crm/customers/%2e%2e/x", 400, "invalid_path", NULL},
        {"GET", "/api/crm/customers/a;b", 400, "invalid_path", NULL},
        {"GET", "/api/crm//customers/1", 400, "invalid_path", NULL},
        {"GET", "/api/crm/customers/%00", 400, "invalid_path", NULL},
        {"GET", "/api/none/a%2Fb", 400, "invalid_path", NULL},
        {"GET", "/api/crm%2Freports/a", 400, "invalid_path", NULL},
        {"GET", "/api/jar/a%2Fb", 400, "invalid_path", NULL}, /* all of it, but not this */
        {"GET", "/api/crm/reports/a%2fb;v=1?c=d", 200, NULL,
         "GET /v2/reports/a%2fb;v=1?c=d HTTP/1.1\r\n"},
        {"GET", "/api/crm/reports/plain", 200, NULL, "GET /v2/reports/plain HTTP/1.1\r\n"},
        {"GET", "/api/crm/reports/a%2fb/c", 400, "invalid_path", NULL}, /* beyond its star */
        {"POST", "/api/crm/reports/a%2fb", 400, "invalid_path", NULL},
        {"GET", "/api/crm/reports/..%2fcustomers", 400, "invalid_path", NULL},
        {"GET", "/api/crm/reports/..;a", 400, "invalid_path", NULL},
        {"GET", "/api/crm/reports/a%00", 400, "invalid_path", NULL},
    };
    policy_says(k, &crm);
    expect_routes(k, rows, ARRAY_LEN(rows));
}

static bool heard(const struct upstream_call *c, const char *name)
{
    return upstream_heard(c, name).ptr != NULL;
}

FLOW(the_companys_credential_goes_up_and_nothing_of_the_callers)
{
    policy_says(k, &crm);
    upstream_says(k, 0, OK);
    struct buf say;
    buf_init(&say, 4096);
    assert_int_equal(buf_printf(&say,
                                "GET " KEY " HTTP/1.1\r\nHost: gate\r\nX-Api-Key: %s\r\n"
                                "Authorization: Bearer sneaked-in\r\nCookie: sid=1\r\n"
                                "Connection: keep-alive, If-Match\r\nIf-Match: \"1\"\r\n"
                                "TE: trailers\r\nProxy-Authorization: Basic eDp5\r\n"
                                "X-Http-Method-Override: DELETE\r\nX-Original-URL: /admin\r\n"
                                "Forwarded: for=6.6.6.6\r\nX-Unlisted: 1\r\n"
                                "If-None-Match: \"2\"\r\nAccept: text/plain\r\n\r\n",
                                flow_secret(k, "alice")),
                     ERR_OK);
    struct flow_client *c = client_sends(k, say.data + say.off, say.len);
    buf_fini(&say);
    expect_status(c, 200);

    static const char *const gone[] = {"x-api-key",
                                       "cookie",
                                       "if-match",
                                       "te",
                                       "proxy-authorization",
                                       "x-http-method-override",
                                       "x-original-url",
                                       "x-unlisted"};
    const struct upstream_call *up = &k->upstreams[0].calls[0];
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        if (heard(up, gone[i]))
            fail_msg("%s reached the service", gone[i]);
    assert_true(slice_eq(upstream_heard(up, "authorization"), SLICE(SECRET)));
    assert_true(slice_eq(upstream_heard(up, "if-none-match"), SLICE("\"2\"")));
    assert_true(slice_eq(upstream_heard(up, "accept"), SLICE("text/plain")));
    assert_true(slice_search(up->head, SLICE("6.6.6.6")) < 0);
    assert_true(slice_search(up->head, SLICE("sneaked-in")) < 0);
    assert_true(slice_search(up->head, slice_str(flow_secret(k, "alice"))) < 0);
}

FLOW(a_header_named_like_the_injected_one_is_dropped)
{
    policy_says(k, &crm);
    upstream_says(k, 1, OK);
    expect_status(client_asks(k, "GET", "alice", "/api/jar/x", "X-Correlation-Id: mine\r\n"), 200);
    const struct upstream_call *up = &k->upstreams[1].calls[0];
    assert_true(slice_eq(upstream_heard(up, "x-correlation-id"), SLICE("our-own-correlation")));
    assert_true(slice_search(up->head, SLICE("mine")) < 0);

    upstream_forget_script(k, 0);
    upstream_says(k, 0, OK);
    expect_status(client_asks(k, "GET", "alice", KEY, "X-Correlation-Id: mine\r\n"), 200);
    assert_true(
        slice_eq(upstream_heard(&k->upstreams[0].calls[0], "x-correlation-id"), SLICE("mine")));
}

FLOW(only_listed_headers_of_a_response_pass)
{
    policy_says(k, &crm);
    upstream_says(k, 0,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/x-own\r\nETag: \"7\"\r\n"
                  "Set-Cookie: sid=1\r\nServer: secret/1\r\nX-Internal: 1\r\n"
                  "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\n"
                  "Content-Length: 2\r\n\r\nok");
    struct flow_client *c = client_gets(k, "alice", KEY);
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "content-type"), SLICE("text/x-own")));
    assert_true(slice_eq(client_header(c, "etag"), SLICE("\"7\"")));
    static const char *const gone[] = {"set-cookie", "server", "x-internal", "keep-alive",
                                       "proxy-authenticate"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        if (client_header(c, gone[i]).ptr)
            fail_msg("%s reached the client", gone[i]);

    upstream_says(k, 1, "HTTP/1.1 200 OK\r\nSet-Cookie: sid=1\r\nContent-Length: 2\r\n\r\nok");
    c = client_gets(k, "alice", "/api/jar/x");
    expect_status(c, 200);
    assert_true(
        slice_eq(client_header(c, "set-cookie"), SLICE("sid=1"))); /* the service lists it */
}

FLOW(a_redirect_is_returned_and_never_followed)
{
    policy_says(k, &crm);
    upstream_answers_with(k, 0, 302, "Location: http://127.0.0.1:1/elsewhere\r\n", "gone");
    struct flow_client *c = client_gets(k, "alice", KEY);
    expect_status(c, 302);
    assert_true(slice_eq(client_header(c, "location"), SLICE("http://127.0.0.1:1/elsewhere")));
    expect_body(c, "gone");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(a_credential_that_comes_back_is_cut_also_across_pieces)
{
    policy_says(k, &crm);
    upstream_says(k, 0,
                  "HTTP/1.1 200 OK\r\nLink: <company-secret-0123456789>\r\nETag: \"1\"\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n");
    upstream_sends(k, 0, "you sent company-sec");
    upstream_rests(k, 0, 20);
    upstream_sends(k, 0, "ret-0123456789, thank you");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_gets(k, "alice", KEY);
    expect_status(c, 200);
    expect_body(c, "you sent *************************, thank you");
    assert_null(client_header(c, "link").ptr);
    assert_true(slice_eq(client_header(c, "etag"), SLICE("\"1\"")));
}

FLOW(a_credential_that_comes_back_escaped_is_cut_too)
{
    policy_says(k, &crm);
    upstream_answers_with(k, 0, 200, "Link: <company%2Dsecret-012345678%39>\r\n",
                          "{\"a\\n\":\"company\\u002dsecret-0123456789\",\"b\":\"company%2Dsecret-"
                          "0123456789\"}");
    struct flow_client *c = client_gets(k, "alice", KEY);
    expect_status(c, 200);
    expect_body(
        c, "{\"a\\n\":\"******************************\",\"b\":\"***************************\"}");
    assert_null(client_header(c, "link").ptr);
}

FLOW(an_encoded_response_to_our_credential_is_a_502)
{
    policy_says(k, &crm);
    upstream_answers_with(k, 0, 200, "Content-Encoding: gzip\r\n", "xyz");
    struct flow_client *c = client_gets(k, "alice", KEY);
    expect_status(c, 502);
    expect_body_has(c, "encoded, although plain text was requested");
    assert_true(
        slice_eq(upstream_heard(&k->upstreams[0].calls[0], "accept-encoding"), SLICE("identity")));
}

FLOW(a_chunked_body_passes_and_so_does_one_of_known_length)
{
    policy_says(k, &crm);
    expect_chunks_pass(k, KEY);
    struct flow_client *c = client_posts(k, "alice", KEY, NULL, "{\"a\":1}");
    expect_status(c, 200);
    assert_true(slice_eq(k->upstreams[0].calls[1].body, SLICE("{\"a\":1}")));
}

FLOW(a_service_that_does_not_read_holds_the_client_and_loses_nothing)
{
    policy_says(k, &crm);
    expect_upload_waits(k, KEY);
}

FLOW(a_client_that_does_not_read_holds_the_service_and_loses_nothing)
{
    enum { PIECE = 1024 * 1024, PIECES = 48 };
    static char piece[PIECE + 1];
    memset(piece, 'x', PIECE);
    policy_says(k, &crm);
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nContent-Length: 50331648\r\n\r\n");
    for (int i = 0; i < PIECES; i++)
        upstream_says(k, 0, piece);
    struct flow_client *c = client_gets(k, "alice", KEY);
    client_stops_reading(c);
    WAIT(k, k->upstreams[0].call_count == 1);
    for (int i = 0; i < 100; i++)
        flow_turn(k);
    assert_false(k->upstreams[0].calls[0].done);
    client_reads_on(c);
    expect_status(c, 200);
    assert_int_equal(c->body.len, (size_t)PIECE * PIECES);
    assert_true(k->upstreams[0].calls[0].done);
}

static void expect_record(struct flow *k, const char *status, const char *code)
{
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_string_equal(r->span->gate, "api");
    assert_string_equal(r->span->service, "crm");
    assert_string_equal(r->span->status, status);
    if (code)
        assert_string_equal(r->span->code, code);
    assert_int_equal(r->n_attempts, 1);
    assert_string_equal(r->attempts[0]->status, status);
    flow_record_free(r);
}

FLOW(a_response_leaves_one_record_that_names_the_route)
{
    policy_says(k, &crm);
    upstream_says(k, 0, OK);
    expect_status(client_gets(k, "alice", KEY "?card=4711"), 200);
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_string_equal(r->span->name, "GET /customers/1");
    assert_string_equal(r->span->path, "/customers/1"); /* and no query */
    assert_string_equal(r->span->status, "ok");
    assert_int_equal(r->span->http_status, 200);
    flow_record_free(r);
    assert_null(flow_record(k));
}

FLOW(a_service_gone_before_its_response_is_a_502_and_an_error_in_the_trace)
{
    policy_says(k, &crm);
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nContent-");
    upstream_cuts(k, 0);
    struct flow_client *c = client_asks(k, "POST", "alice", KEY, "Content-Length: 1\r\n");
    client_adds(c, "x");
    expect_status(c, 502);
    assert_true(slice_eq(client_header(c, "content-type"), SLICE("application/problem+json")));
    expect_record(k, "error", NULL);
}

FLOW(a_service_gone_in_mid_body_cuts_the_response_short)
{
    policy_says(k, &crm);
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it");
    upstream_rests(k, 0, 20);
    upstream_cuts(k, 0);
    struct flow_client *c = client_gets(k, "alice", KEY);
    WAIT(k, c->closed);
    assert_int_equal(c->head.status, 200);
    assert_false(c->whole); /* the client sees that it is incomplete */
    expect_record(k, "error", NULL);
}

FLOW(a_client_gone_in_mid_response_ends_the_call_at_the_service)
{
    policy_says(k, &crm);
    expect_leaving_is_passed_on(k, KEY);
    expect_record(k, "cancelled", NULL);
}

FLOW(a_client_gone_in_mid_upload_ends_the_call_at_the_service)
{
    policy_says(k, &crm);
    struct flow_client *c = client_asks(k, "POST", "alice", KEY, "Content-Length: 1000\r\n");
    client_adds(c, "not nearly all of it");
    WAIT(k, k->env.request_count == 1);
    for (int i = 0; i < 10; i++)
        flow_turn(k);
    client_hangs_up(c);
    expect_record(k, "cancelled", NULL);
    assert_int_equal(k->upstreams[0].call_count, 0); /* never whole */
}

FLOW(a_response_that_comes_before_the_body_is_whole_is_passed_on)
{
    policy_says(k, &crm);
    upstream_says(k, 0, "HTTP/1.1 413 No\r\nContent-Length: 4\r\n\r\nbig!");
    k->upstreams[0].hasty = true;
    struct flow_client *c = client_asks(k, "POST", "alice", KEY, "Content-Length: 1000\r\n");
    client_adds(c, "the first bytes");
    expect_status(c, 413);
    expect_body(c, "big!");
}

FLOW(a_blocked_agent_is_cut_in_mid_response)
{
    struct flow_policy blocked = crm;
    blocked.blocks[0] = (struct flow_block){"agent", "a_triage"};
    policy_says(k, &crm);
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it");
    upstream_hangs(k, 0);
    struct flow_client *c = client_gets(k, "alice", KEY);
    WAIT(k, c->has_head);
    policy_says(k, &blocked);
    WAIT(k, c->closed);
    assert_false(c->whole);
    WAIT(k, k->upstreams[0].calls[0].cut);
    WAIT(k, k->env.request_count == 0);
}

FLOW(a_service_that_asks_for_a_proxys_credential_is_a_502)
{
    policy_says(k, &crm);
    upstream_says(k, 0,
                  "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nwho");
    struct flow_client *c = client_gets(k, "alice", KEY);
    expect_status(c, 502);
    expect_body_has(c, "it asks for a proxy's credential");
}

FLOW(a_wait_beyond_reason_is_not_passed_on)
{
    policy_says(k, &crm);
    upstream_says(k, 0,
                  "HTTP/1.1 429 Slow\r\nRetry-After: 9\r\nETag: \"1\"\r\n"
                  "Content-Length: 0\r\n\r\n");
    struct flow_client *c = client_gets(k, "alice", KEY);
    expect_status(c, 429);
    assert_true(slice_eq(client_header(c, "retry-after"), SLICE("9")));
    upstream_forget_script(k, 0);
    upstream_says(k, 0,
                  "HTTP/1.1 429 Slow\r\nRetry-After: 99999999\r\nETag: \"1\"\r\n"
                  "Content-Length: 0\r\n\r\n");
    c = client_gets(k, "alice", KEY);
    expect_status(c, 429);
    assert_null(client_header(c, "retry-after").ptr);
    assert_true(client_header(c, "etag").len);
}

FLOW(an_encoded_body_is_415_before_the_service_is_called)
{
    policy_says(k, &crm);
    struct flow_client *c =
        client_asks(k, "POST", "alice", KEY, "Content-Encoding: gzip\r\nContent-Length: 0\r\n");
    expect_status(c, 415);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(method_and_path_decide_and_the_granted_path_is_forwarded),
        SCENARIO(a_service_granted_for_another_task_is_unknown),
        SCENARIO(a_path_with_two_readings_is_400_unless_service_and_grant_take_it_as_it_stands),
        SCENARIO(the_companys_credential_goes_up_and_nothing_of_the_callers),
        SCENARIO(a_header_named_like_the_injected_one_is_dropped),
        SCENARIO(only_listed_headers_of_a_response_pass),
        SCENARIO(a_redirect_is_returned_and_never_followed),
        SCENARIO(a_credential_that_comes_back_is_cut_also_across_pieces),
        SCENARIO(a_credential_that_comes_back_escaped_is_cut_too),
        SCENARIO(an_encoded_response_to_our_credential_is_a_502),
        SCENARIO(a_chunked_body_passes_and_so_does_one_of_known_length),
        SCENARIO(a_service_that_does_not_read_holds_the_client_and_loses_nothing),
        SCENARIO(a_client_that_does_not_read_holds_the_service_and_loses_nothing),
        SCENARIO(a_response_leaves_one_record_that_names_the_route),
        SCENARIO(a_service_gone_before_its_response_is_a_502_and_an_error_in_the_trace),
        SCENARIO(a_service_gone_in_mid_body_cuts_the_response_short),
        SCENARIO(a_client_gone_in_mid_response_ends_the_call_at_the_service),
        SCENARIO(a_client_gone_in_mid_upload_ends_the_call_at_the_service),
        SCENARIO(a_response_that_comes_before_the_body_is_whole_is_passed_on),
        SCENARIO(a_blocked_agent_is_cut_in_mid_response),
        SCENARIO(a_service_that_asks_for_a_proxys_credential_is_a_502),
        SCENARIO(a_wait_beyond_reason_is_not_passed_on),
        SCENARIO(an_encoded_body_is_415_before_the_service_is_called),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
