/* bad input — invalid requests, sent by mistake or on purpose, and their refusals. */
#include <stdio.h>
#include <stdlib.h>

#include "common/net/origin_list.h"
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"small\",\"messages\":[]}"
#define RESPONSE "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}"

static const struct flow_policy alice = {
    .keys = {{.name = "alice", .models = {"small"}}},
    .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
};

static void expect_refused(struct flow *k, const char *json, unsigned status, const char *code,
                           const char *says)
{
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, json);
    expect_status(c, status);
    expect_code(c, code);
    expect_body_has(c, says);
    assert_int_equal(k->upstreams[0].call_count, 0);
    k->client_count--; /* the next one may have its place */
    stream_close(&c->stream);
    buf_fini(&c->got);
    buf_fini(&c->body);
    buf_fini(&c->head_bytes);
}

/* HAProxy's default check, and the one its manual shows; a Host is missing in HTTP/1.0 only there.
 */
FLOW(health_checks_of_balancers_need_no_host)
{
    static const struct {
        const char *request;
        unsigned status;
    } rows[] = {
        {"OPTIONS / HTTP/1.0\r\n\r\n", 200},
        {"GET /healthz HTTP/1.0\r\n\r\n", 200},
        {"GET /readyz HTTP/1.0\r\nConnection: close\r\n\r\n", 200},
        {"GET /readyz HTTP/1.1\r\n\r\n", 400},
        {"OPTIONS / HTTP/1.1\r\n\r\n", 400},
        {"GET /v1/models HTTP/1.0\r\n\r\n", 400},
        {"POST /readyz HTTP/1.0\r\nContent-Length: 0\r\n\r\n", 400},
        {"GET /readyz HTTP/1.0\r\nContent-Length: 1x\r\n\r\n", 400},
    };
    policy_says(k, &alice);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct flow_client *c = client_says(k, rows[i].request);
        WAIT(k, c->has_head);
        if (c->head.status != rows[i].status)
            fail_msg("%s: %u", rows[i].request, c->head.status);
    }
}

FLOW(bodies_that_are_not_what_the_endpoint_reads_are_named)
{
    static const struct {
        const char *json, *says;
    } rows[] = {
        {"{", "byte"},
        {"[]", "object"},
        {"{\"model\":\"small\",\"model\":\"large\",\"messages\":[]}", "model"},
        {"{\"model\":\"small\",\"mod\\u0065l\":\"large\",\"messages\":[]}", "duplicate"},
        {"{\"model\":\"small\",\"MODEL\":\"large\",\"messages\":[]}", "model"},
        {"{\"model\":\"small\",\"stream_options\":{\"include_usage\":true,\"include_usage\":false},"
         "\"messages\":[]}",
         "include_usage"},
        {"{\"model\":\"small\",\"user\":1,\"USER\":2,\"messages\":[]}", "USER"},
        {"{\"model\":\"small\\u0000\",\"messages\":[]}", "model must be a string without a NUL"},
        {"{\"model\":\"small\",\"mod\\u0000\":1,\"messages\":[]}", "holds a NUL"},
        {"{\"messages\":[]}", "model must be"},
        {"{\"model\":7,\"messages\":[]}", "model must be"},
        {"{\"model\":\"\",\"messages\":[]}", "model must be"},
        {"{\"model\":\"small\"}", "messages must be"},
        {"{\"model\":\"small\",\"messages\":{}}", "messages must be"},
        {"{\"model\":\"small\",\"messages\":[],\"stream\":\"yes\"}", "stream must be"},
        {"{\"model\":\"small\",\"messages\":[],\"stream_options\":[]}", "stream_options must be"},
        {"{\"model\":\"small\",\"messages\":[],\"n\":1.5}", "n must be"},
        {"{\"model\":\"small\",\"messages\":[],\"n\":100000}", "n must be"},
        {"{\"model\":\"small\",\"messages\":[],\"max_tokens\":-1}", "max_tokens must be"},
        {"{\"model\":\"small\",\"messages\":[],\"max_tokens\":1e3}", "max_tokens must be"},
        {"{\"model\":\"small\",\"messages\":[],\"max_tokens\":99999999999999999999}",
         "max_tokens must be"},
        {"{\"model\":\"small\",\"messages\":[],\"metadata\":{\"session_id\":7}}",
         "metadata.session_id must be"},
        {"{\"model\":\"small\",\"messages\":[\"\xff\"]}", "byte"},
    };
    policy_says(k, &alice);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_refused(k, rows[i].json, 400, "invalid_json", rows[i].says);
}

FLOW(null_means_absent)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(client_posts(k, "alice", CHAT, NULL,
                               "{\"model\":\"small\",\"messages\":[],\"stream\":null,\"n\":null,"
                               "\"max_tokens\":null,\"stream_options\":null,\"tools\":null}"),
                  200);
}

FLOW(a_body_too_deep_is_refused)
{
    char json[400] = "{\"model\":\"small\",\"messages\":";
    policy_says(k, &alice);
    for (int i = 0; i < 80; i++)
        strcat(json, "[");
    for (int i = 0; i < 80; i++)
        strcat(json, "]");
    strcat(json, "}");
    expect_refused(k, json, 400, "invalid_json", "byte");
}

FLOW(a_body_over_the_ceiling_is_413_by_its_head_alone)
{
    policy_says(k, &alice);
    char head[300];
    snprintf(head, sizeof(head),
             "POST " CHAT " HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer %s\r\n"
             "Content-Length: 99999999\r\n\r\n",
             flow_secret(k, "alice"));
    struct flow_client *c = client_says(k, head);
    expect_status(c, 413);
    expect_code(c, "request_too_large");
    expect_body_has(c, "larger than the 33554432 bytes allowed");
}

FLOW(the_ceiling_of_a_model_call_is_a_setting_that_the_refusal_names)
{
    policy_says(k, &alice);
    k->env.body_max[GATE_AI] = 40;
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    struct flow_client *c =
        client_posts(k, "alice", CHAT, NULL, "{\"model\":\"small\",\"messages\":[1,2,3,4,5,6]}");
    expect_status(c, 413);
    expect_body_has(c, "40 bytes (GATEHOUSE_AI_BODY_BYTES)");
}

FLOW(a_chunked_body_over_the_ceiling_is_413_too)
{
    policy_says(k, &alice);
    char head[300];
    size_t piece = 1024 * 1024;
    char *chunk = malloc(piece + 16);
    assert_non_null(chunk);
    memset(chunk, ' ', piece + 16);
    memcpy(chunk, "100000\r\n", 8);
    memcpy(chunk + 8 + piece, "\r\n", 3);
    snprintf(head, sizeof(head),
             "POST " CHAT " HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer %s\r\n"
             "Transfer-Encoding: chunked\r\n\r\n",
             flow_secret(k, "alice"));
    struct flow_client *c = client_says(k, head);
    struct slice part = slice_of(chunk, piece + 10);
    for (int i = 0; i < 33 && !c->closed && !c->has_head; i++) {
        if (stream_write(c->stream, &part, 1) != ERR_OK)
            break;
        WAIT(k, c->has_head || c->closed || stream_pending(c->stream) == 0);
    }
    expect_status(c, 413);
    expect_code(c, "request_too_large");
    free(chunk);
}

FLOW(a_body_in_another_coding_is_415_and_so_is_another_type)
{
    policy_says(k, &alice);
    struct flow_client *c = client_posts(k, "alice", CHAT, "Content-Encoding: zstd\r\n", HELLO);
    expect_status(c, 415);
    expect_code(c, "unsupported_media_type");
    char text[300];
    snprintf(text, sizeof(text),
             "POST " CHAT " HTTP/1.1\r\nHost: g\r\nx-api-key: %s\r\nContent-Type: text/xml\r\n"
             "Content-Length: 2\r\n\r\n{}",
             flow_secret(k, "alice"));
    expect_status(client_says(k, text), 415);
}

FLOW(hop_by_hop_and_injected_names_have_no_effect_upstream)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *c = client_posts(
        k, "alice", CHAT,
        "Connection: keep-alive, x-private\r\nX-Private: 1\r\nUpgrade: websocket\r\nTE: "
        "trailers\r\n"
        "Proxy-Authorization: Basic eA==\r\nX-HTTP-Method-Override: DELETE\r\n"
        "X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-Forwarded-For: 1.2.3.4\r\n"
        "User-Agent: curl\r\nAccept-Encoding: gzip\r\nOpenAI-Beta: x=1\r\n",
        HELLO);
    expect_status(c, 200);
    const struct upstream_call *u = &k->upstreams[0].calls[0];
    static const char *const gone[] = {"x-private",
                                       "upgrade",
                                       "te",
                                       "proxy-authorization",
                                       "x-http-method-override",
                                       "x-original-url",
                                       "x-rewrite-url",
                                       "x-forwarded-for"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        assert_null(upstream_heard(u, gone[i]).ptr);
    assert_true(slice_eq(upstream_heard(u, "user-agent"), SLICE("gatehouse")));
    assert_true(slice_eq(upstream_heard(u, "accept-encoding"), SLICE("identity")));
    assert_true(slice_eq(upstream_heard(u, "openai-beta"), SLICE("x=1")));
    assert_true(slice_starts(u->head, SLICE("POST /v1/chat/completions HTTP/1.1\r\n")));
}

FLOW(unknown_paths_and_methods_are_refused_in_the_dialect_of_the_path)
{
    policy_says(k, &alice);
    struct flow_client *c = client_gets(k, "alice", "/v1/nonsense");
    expect_status(c, 404);
    expect_body_has(c, "{\"error\":{");
    c = client_gets(k, "alice", CHAT);
    expect_status(c, 405);
    assert_true(slice_eq(client_header(c, "allow"), SLICE("POST")));
    c = client_gets(k, "alice", "/nonsense");
    expect_status(c, 404);
    assert_true(slice_eq(client_header(c, "content-type"), SLICE("application/problem+json")));
    expect_body_has(c, "\"title\":\"Not Found\"");
    expect_body_has(c, "\"instance\":\"");
}

FLOW(paths_that_are_not_canonical_are_400)
{
    static const char *const paths[] = {"/v1/../v1/models", "/v1/models;x", "/v1/%00",
                                        "/v1/./models",     "/v1/a%2F..",   "//v1//%2e%2e/models"};
    policy_says(k, &alice);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct flow_client *c = client_gets(k, "alice", paths[i]);
        expect_status(c, 400);
        expect_code(c, "invalid_path");
        expect_body_has(c, "{\"error\":{"); /* the dialect's envelope */
    }
}

FLOW(a_page_of_an_allowed_origin_may_call_and_no_other)
{
    struct origin_list list;
    assert_int_equal(origin_list_read(SLICE("https://app.example"), &list), ERR_OK);
    k->env.allowed_origins = &list;
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *c = client_asks(k, "OPTIONS", NULL, CHAT,
                                        "Origin: https://app.example\r\n"
                                        "Access-Control-Request-Method: POST\r\n"
                                        "Access-Control-Request-Headers: authorization\r\n");
    expect_status(c, 204);
    assert_true(
        slice_eq(client_header(c, "access-control-allow-origin"), SLICE("https://app.example")));
    assert_true(slice_eq(client_header(c, "access-control-allow-headers"), SLICE("authorization")));
    c = client_posts(k, "alice", CHAT, "Origin: https://app.example\r\n", HELLO);
    expect_status(c, 200);
    assert_true(
        slice_eq(client_header(c, "access-control-allow-origin"), SLICE("https://app.example")));
    c = client_posts(k, NULL, CHAT, "Origin: https://app.example\r\n", HELLO);
    expect_status(c, 401); /* and the page can read it */
    assert_non_null(client_header(c, "access-control-allow-origin").ptr);

    c = client_asks(k, "OPTIONS", NULL, CHAT,
                    "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n");
    expect_status(c, 405);
    assert_null(client_header(c, "access-control-allow-origin").ptr);
    c = client_posts(k, "alice", CHAT, "Origin: https://evil.example\r\n", HELLO);
    expect_status(c, 200); /* origins are no credential; a browser keeps it from the page */
    assert_null(client_header(c, "access-control-allow-origin").ptr);
}

/* gzip of {"model":"small","messages":[]} */
#define PACKED_HELLO                                                                               \
    "\037\213\010\000\000\000\000\000\002\003\253\126\312\315\117\111\315\121\262\122\052\316\115" \
    "\314\311\121\322\121\312\115\055\056\116\114\117\055\126\262\212\216\255\005\000\256\206\016" \
    "\151\037\000\000\000"

static void post_packed(struct flow *k, const char *coding, const char *body, size_t len,
                        unsigned status, const char *code)
{
    char text[1024];
    int n = snprintf(text, sizeof(text),
                     "POST " CHAT " HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer %s\r\n"
                     "Content-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
                     flow_secret(k, "alice"), coding, len);
    memcpy(text + n, body, len);
    struct flow_client *c = client_sends(k, text, (size_t)n + len);
    expect_status(c, status);
    if (code)
        expect_code(c, code);
}

FLOW(a_gzip_body_is_read_and_goes_upstream_plain)
{
    static const char packed[] = PACKED_HELLO;
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, RESPONSE);
    post_packed(k, "gzip", packed, sizeof(packed) - 1, 200, NULL);
    const struct upstream_call *u = &k->upstreams[0].calls[0];
    assert_null(upstream_heard(u, "content-encoding").ptr);
    assert_true(slice_search(u->body, SLICE("\"messages\":[]")) > 0);
    post_packed(k, "gzip", packed, sizeof(packed) - 2, 400, "invalid_request");
    post_packed(k, "gzip", HELLO, sizeof(HELLO) - 1, 400, "invalid_request");
    post_packed(k, "br", packed, sizeof(packed) - 1, 415, "unsupported_media_type");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(a_gzip_body_that_unpacks_to_more_than_the_ceiling_is_413)
{
    static const char zeros[] =
        "\037\213\010\000\000\000\000\000\002\003\355\301\001\015\000\000\000\302\240\367\117\155"
        "\017\007\024\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        "\000\000\000\000\000\000\000\374\030\373\342\262\366\340\223\004\000"; /* 300,000 of them
                                                                                 */
    policy_says(k, &alice);
    k->env.body_max[GATE_AI] = 100000;
    post_packed(k, "gzip", zeros, sizeof(zeros) - 1, 413, "request_too_large");
}

FLOW(paths_below_v1_are_read_as_sdks_spell_them)
{
    static const struct {
        const char *method, *path;
        unsigned status;
        const char *body; /* a part of it; "": it is empty */
    } rows[] = {
        {"GET", "//v1/models", 200, "\"object\":\"list\""},
        {"GET", "/v1//models", 200, "\"object\":\"list\""},
        {"GET", "/v1//models?x=1", 200, "\"object\":\"list\""},
        {"GET", "/v1/models/small", 200, "\"id\":\"small\""},
        {"GET", "/v1/models/vendor%2Flarge:latest", 200, "\"id\":\"vendor/large:latest\""},
        {"GET", "/v1/models/vendor%2flarge%3Alatest", 200, "\"id\":\"vendor/large:latest\""},
        {"GET", "/v1/models/vendor/large:latest", 200, "\"id\":\"vendor/large:latest\""},
        {"HEAD", "/v1/models", 200, ""},
        {"HEAD", "/v1/chat/completions", 405, ""},
        {"GET", "/v1", 404, "POST /v1/chat/completions"},
        {"GET", "/v1/", 404, "POST /v1/chat/completions"},
        {"PATCH", "/v1/chat/completions", 405, "this path takes POST"},
        {"GET", "//api/x", 400, "\"code\":\"invalid_path\""},
        {"GET", "/api%2Fx", 400, "\"code\":\"invalid_path\""},
    };
    struct flow_policy p = alice;
    p.models[1] =
        (struct flow_model){.name = "vendor/large:latest", .upstreams = {0}, .upstream_count = 1};
    p.keys[0].models[1] = "vendor/large:latest";
    policy_says(k, &p);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct flow_client *c = client_asks(k, rows[i].method, "alice", rows[i].path, NULL);
        WAIT(k, c->whole || c->closed);
        struct slice body = buf_slice(&c->body);
        bool fits = rows[i].body[0] ? slice_search(body, slice_str(rows[i].body)) >= 0 : !body.len;
        if (c->head.status != rows[i].status || !fits)
            fail_msg("%s %s: %u %.*s", rows[i].method, rows[i].path, c->head.status,
                     SLICE_ARG(body));
        k->client_count--;
        if (c->stream)
            stream_close(&c->stream);
        buf_fini(&c->got);
        buf_fini(&c->body);
        buf_fini(&c->head_bytes);
    }
}

FLOW(a_call_that_comes_back_through_the_gateway_ends)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, RESPONSE);
    const char *four = "Via: 1.1 gatehouse, 1.1 gatehouse\r\nVia: 1.0 x, 1.1 gatehouse, 1.1 "
                       "gatehouse\r\n";
    expect_status(client_posts(k, "alice", CHAT, four, HELLO), 200);
    assert_true(slice_eq(upstream_heard(&k->upstreams[0].calls[0], "via"),
                         SLICE("1.1 gatehouse, 1.1 gatehouse, 1.1 gatehouse, 1.1 gatehouse, 1.1 "
                               "gatehouse")));
    char five[200];
    snprintf(five, sizeof(five), "%sVia: 1.1 gatehouse\r\n", four);
    struct flow_client *c = client_posts(k, "alice", CHAT, five, HELLO);
    expect_status(c, 508);
    expect_code(c, "loop_detected");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(an_escaped_letter_is_the_letter)
{
    policy_says(k, &alice);
    expect_status(client_gets(k, "alice", "/v1/mod%65ls"), 200);
}

FLOW(health_is_reported_without_detail)
{
    struct flow_client *c = client_gets(k, NULL, "/readyz");
    expect_status(c, 503);
    expect_status(client_gets(k, NULL, "/healthz"), 200);
    policy_says(k, &alice);
    expect_status(client_asks(k, "HEAD", NULL, "/readyz", NULL), 200);
    expect_status(client_gets(k, NULL, "/readyz"), 200);
}

FLOW(a_connection_serves_one_request_after_the_other)
{
    char text[600];
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, RESPONSE);
    snprintf(text, sizeof(text),
             "POST " CHAT " HTTP/1.1\r\nHost: g\r\nx-api-key: %s\r\nContent-Length: %zu\r\n\r\n%s",
             flow_secret(k, "alice"), sizeof(HELLO) - 1, HELLO);
    struct flow_client *c = client_says(k, text);
    expect_status(c, 200);
    client_adds(c, text);
    client_adds(c, text);
    WAIT(k, k->upstreams[0].call_count == 3);
    WAIT(k, k->env.request_count == 0);
    assert_false(c->closed);
}

FLOW(a_slow_client_gets_the_whole_stream_and_the_upstream_waits_for_it)
{
    enum { EVENT = 512 * 1024, EVENTS = 60 }; /* more than the kernel's buffers take */
    char *event = malloc(EVENT + 1);
    assert_non_null(event);
    int at = snprintf(event, EVENT, "data: {\"choices\":[{\"delta\":{\"content\":\"");
    memset(event + at, 'x', (size_t)(EVENT - at));
    memcpy(event + EVENT - 8, "\"}}]}\n\n", 8);
    policy_says(k, &alice);
    upstream_opens_stream(k, 0);
    for (int i = 0; i < EVENTS; i++)
        upstream_sends(k, 0, event);
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);

    struct flow_client *c =
        client_posts(k, "alice", CHAT, NULL,
                     "{\"model\":\"small\",\"stream\":true,\"messages\":[],\"max_tokens\":9}");
    client_stops_reading(c);
    WAIT(k, k->upstreams[0].call_count == 1);
    for (int i = 0; i < 50; i++)
        flow_turn(k);
    assert_int_equal(k->env.request_count, 1); /* the upstream waits; nothing is buffered */
    client_reads_on(c);

    expect_status(c, 200);
    assert_int_equal(c->body.len, strlen(event) * EVENTS + 14);
    free(event);
}

FLOW(one_large_event_behind_a_full_buffer_loses_nothing)
{
    enum { LARGE = 900 * 1024 };
    char *event = malloc(LARGE + 1);
    assert_non_null(event);
    int at = snprintf(event, LARGE, "data: {\"choices\":[{\"delta\":{\"content\":\"");
    memset(event + at, 'y', (size_t)(LARGE - at));
    memcpy(event + LARGE - 8, "\"}}]}\n\n", 8);
    policy_says(k, &alice);
    upstream_opens_stream(k, 0);
    for (int i = 0; i < 6; i++)
        upstream_sends(k, 0, event);
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);
    struct flow_client *c =
        client_posts(k, "alice", CHAT, NULL,
                     "{\"model\":\"small\",\"stream\":true,\"messages\":[],\"max_tokens\":9}");
    client_stops_reading(c);
    for (int i = 0; i < 50; i++)
        flow_turn(k);
    client_reads_on(c);
    expect_status(c, 200);
    assert_int_equal(c->body.len, strlen(event) * 6 + 14);
    free(event);
}

FLOW(embeddings_pass_and_are_billed_by_their_prompt)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200,
                     "{\"object\":\"list\",\"data\":[],\"usage\":{\"prompt_tokens\":8,"
                     "\"total_tokens\":8}}");
    struct flow_client *c = client_posts(k, "alice", "/v1/embeddings", NULL,
                                         "{\"model\":\"small\",\"input\":[\"a\",\"b\"]}");
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "x-gatehouse-cost-usd"), SLICE("0.000008000")));
    assert_true(slice_starts(k->upstreams[0].calls[0].head, SLICE("POST /v1/embeddings ")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(health_checks_of_balancers_need_no_host),
        SCENARIO(bodies_that_are_not_what_the_endpoint_reads_are_named),
        SCENARIO(null_means_absent),
        SCENARIO(a_body_too_deep_is_refused),
        SCENARIO(a_body_over_the_ceiling_is_413_by_its_head_alone),
        SCENARIO(the_ceiling_of_a_model_call_is_a_setting_that_the_refusal_names),
        SCENARIO(a_chunked_body_over_the_ceiling_is_413_too),
        SCENARIO(a_body_in_another_coding_is_415_and_so_is_another_type),
        SCENARIO(hop_by_hop_and_injected_names_have_no_effect_upstream),
        SCENARIO(unknown_paths_and_methods_are_refused_in_the_dialect_of_the_path),
        SCENARIO(paths_that_are_not_canonical_are_400),
        SCENARIO(a_page_of_an_allowed_origin_may_call_and_no_other),
        SCENARIO(a_gzip_body_is_read_and_goes_upstream_plain),
        SCENARIO(a_gzip_body_that_unpacks_to_more_than_the_ceiling_is_413),
        SCENARIO(paths_below_v1_are_read_as_sdks_spell_them),
        SCENARIO(a_call_that_comes_back_through_the_gateway_ends),
        SCENARIO(an_escaped_letter_is_the_letter),
        SCENARIO(health_is_reported_without_detail),
        SCENARIO(a_connection_serves_one_request_after_the_other),
        SCENARIO(a_slow_client_gets_the_whole_stream_and_the_upstream_waits_for_it),
        SCENARIO(one_large_event_behind_a_full_buffer_loses_nothing),
        SCENARIO(embeddings_pass_and_are_billed_by_their_prompt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
