/* forward_headers — which headers pass in each direction; all others are dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/request/forward_headers.h"

static size_t through(const char *head_text, const char *injected, struct http_header *out)
{
    static struct http_head head;
    struct http1_problem problem;
    size_t len;
    assert_int_equal(http1_head(HTTP1_REQUEST, slice_str(head_text), &head, &len, &problem),
                     ERR_OK);
    struct forward_in in = {.head = &head, .injected = slice_str(injected)};
    return forward_request_headers(&in, out, LIMIT_HTTP_HEADERS);
}

static void listed_headers_go_and_nothing_else(void **state)
{
    (void)state;
    struct http_header out[LIMIT_HTTP_HEADERS];
    size_t n = through("GET /a HTTP/1.1\r\nHost: h\r\nAccept: a/b\r\nAuthorization: Bearer x\r\n"
                       "Cookie: c=1\r\nX-Api-Key: k\r\nX-Gatehouse-Session: s\r\n"
                       "Forwarded: for=1\r\nVia: 1.1 x\r\nX-Original-URL: /admin\r\n"
                       "X-HTTP-Method-Override: DELETE\r\nProxy-Authorization: p\r\n"
                       "IF-None-Match: \"e\"\r\nTraceparent: t\r\n\r\n",
                       "x-key", out);
    assert_int_equal(n, 2);
    assert_true(slice_ieq(out[0].name, SLICE("accept")));
    assert_true(slice_ieq(out[1].name, SLICE("if-none-match")));
}

static void what_connection_names_is_for_this_hop(void **state)
{
    (void)state;
    struct http_header out[LIMIT_HTTP_HEADERS];
    assert_int_equal(through("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close, Accept ,prefer\r\n"
                             "Accept: a/b\r\nPrefer: x\r\nRange: bytes=0-1\r\n\r\n",
                             "", out),
                     1);
    assert_true(slice_ieq(out[0].name, SLICE("range")));
}

static void a_header_that_is_injected_is_never_the_clients(void **state)
{
    (void)state;
    struct http_header out[LIMIT_HTTP_HEADERS];
    assert_int_equal(through("GET /a HTTP/1.1\r\nHost: h\r\nPREFER: mine\r\n\r\n", "Prefer", out),
                     0);
}

static void cookies_come_back_only_where_the_service_says_so(void **state)
{
    (void)state;
    assert_false(forward_response_header(SLICE("Set-Cookie"), false));
    assert_true(forward_response_header(SLICE("Set-Cookie"), true));
    assert_true(forward_response_header(SLICE("Content-Type"), false));
    assert_false(forward_response_header(SLICE("Connection"), true));
    assert_false(forward_response_header(SLICE("Transfer-Encoding"), true));
    assert_false(forward_response_header(SLICE("Server"), true));
    assert_false(forward_response_header(SLICE("x-gatehouse-cost-usd"), true));
}

static void a_wait_passes_within_a_day_or_as_a_date(void **state)
{
    static const struct {
        const char *value;
        bool after, after_ms;
    } rows[] = {
        {"0", true, true},
        {"86400", true, true},
        {"86401", false, true},
        {"86400000", false, true},
        {"86400001", false, false},
        {"99999999999999999999", false, false},
        {"-1", false, false},
        {"1.5", false, false},
        {"soon", false, false},
        {"", false, false},
        {"Sun, 06 Nov 1994 08:49:37 GMT", true, false},
        {"Sun, 06 Nov 1994 08:49:37 UTC", false, false},
        {"Sun, 6 Nov 1994 08:49:37 GMT", false, false},
        {"Sun; 06 Nov 1994 08:49:37 GMT", false, false},
        {"Sunday, 06-Nov-94 08:49:37 GMT", false, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice value = slice_str(rows[i].value);
        assert_int_equal(response_value_is_valid(SLICE("Retry-After"), value), rows[i].after);
        assert_int_equal(response_value_is_valid(SLICE("retry-after-ms"), value), rows[i].after_ms);
        assert_true(response_value_is_valid(SLICE("content-type"), value));
    }
}

static void each_passing_of_a_gateway_of_ours_is_counted_and_sent_on(void **state)
{
    static const struct {
        const char *via[2];
        unsigned hops;
        const char *sent;
    } rows[] = {
        {{NULL}, 0, "1.1 gatehouse"},
        {{"1.1 proxy"}, 0, "1.1 gatehouse"},
        {{"1.1 gatehouse"}, 1, "1.1 gatehouse, 1.1 gatehouse"},
        {{"1.1 proxy, HTTP/1.1  Gatehouse (x)", "2 gatehouse"},
         2,
         "1.1 gatehouse, 1.1 gatehouse, 1.1 gatehouse"},
        {{"1.1 gatehouse,1.0 gatehouse , 1.1 a", "1.1 gatehouse"},
         3,
         "1.1 gatehouse, 1.1 gatehouse, 1.1 gatehouse, 1.1 gatehouse"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_head head = {.header_count = 0};
        for (size_t j = 0; j < 2 && rows[i].via[j]; j++)
            head.headers[head.header_count++] =
                (struct http_header){SLICE("Via"), slice_str(rows[i].via[j])};
        unsigned hops = forward_hops(&head);
        struct slice sent = forward_via(&head);
        if (hops != rows[i].hops || !slice_eq(sent, slice_str(rows[i].sent)))
            fail_msg("row %zu: %u hops, sent %.*s", i, hops, SLICE_ARG(sent));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_headers_go_and_nothing_else),
        cmocka_unit_test(what_connection_names_is_for_this_hop),
        cmocka_unit_test(a_header_that_is_injected_is_never_the_clients),
        cmocka_unit_test(each_passing_of_a_gateway_of_ours_is_counted_and_sent_on),
        cmocka_unit_test(a_wait_passes_within_a_day_or_as_a_date),
        cmocka_unit_test(cookies_come_back_only_where_the_service_says_so),
    };
    return cmocka_run_group_tests_name("forward_headers", tests, NULL, NULL);
}
