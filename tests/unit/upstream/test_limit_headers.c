/* limit_headers — the forms of the providers, as their responses have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/upstream/limit_headers.h"

#define S UINT64_C(1000000)
#define NOW INT64_C(1790000000000000) /* 2026-09-21T14:13:20Z */

static struct limit_headers read(const char *lines, bool *any)
{
    static struct http_head h;
    struct http1_problem problem;
    char bytes[2048];
    size_t len;
    int n = snprintf(bytes, sizeof(bytes), "HTTP/1.1 200 OK\r\n%s\r\n", lines);
    struct limit_headers ret;
    assert_int_equal(http1_head(HTTP1_ANSWER, slice_of(bytes, (size_t)n), &h, &len, &problem),
                     ERR_OK);
    bool said = limit_headers_read(&h, NOW, &ret);
    assert_true(limit_headers_are_there(&h) || !said ||
                ret.retry_us); /* of a 200, waits are no news */
    if (any)
        *any = said;
    return ret;
}

static void openai(void **state)
{
    (void)state;
    struct limit_headers l = read("X-RateLimit-Limit-Requests: 60\r\n"
                                  "x-ratelimit-limit-tokens: 150000\r\n"
                                  "x-ratelimit-remaining-requests: 59\r\n"
                                  "x-ratelimit-remaining-tokens: 149984\r\n"
                                  "x-ratelimit-reset-requests: 1s\r\n"
                                  "x-ratelimit-reset-tokens: 6m0s\r\n",
                                  NULL);
    assert_true(l.requests.is_said && l.requests.is_gradual);
    assert_int_equal(l.requests.limit, 60);
    assert_int_equal(l.requests.remaining, 59);
    assert_int_equal(l.requests.reset_us, S);
    assert_true(l.tokens.is_said && l.tokens.is_gradual);
    assert_int_equal(l.tokens.limit, 150000);
    assert_int_equal(l.tokens.remaining, 149984);
    assert_int_equal(l.tokens.reset_us, 360 * S);
    assert_int_equal(l.retry_us, 0);
}

static void azure(void **state)
{
    (void)state;
    struct limit_headers l = read("x-ratelimit-remaining-requests: 0\r\n"
                                  "x-ratelimit-remaining-tokens: 119\r\n"
                                  "retry-after-ms: 1250\r\nretry-after: 2\r\n",
                                  NULL);
    assert_true(l.requests.is_said);
    assert_int_equal(l.requests.remaining, 0);
    assert_int_equal(l.requests.limit, 0);
    assert_int_equal(l.requests.reset_us, 0);
    assert_int_equal(l.tokens.remaining, 119);
    assert_int_equal(l.retry_us, 1250000);
    l = read("x-ms-retry-after-ms: 17.5\r\n", NULL);
    assert_int_equal(l.retry_us, 17500);
}

static void anthropic(void **state)
{
    (void)state;
    struct limit_headers l =
        read("anthropic-ratelimit-requests-limit: 4000\r\n"
             "anthropic-ratelimit-requests-remaining: 3999\r\n"
             "anthropic-ratelimit-requests-reset: 2026-09-21T14:13:21Z\r\n"
             "anthropic-ratelimit-tokens-limit: 480000\r\n"
             "anthropic-ratelimit-tokens-remaining: 480000\r\n"
             "anthropic-ratelimit-tokens-reset: 2026-09-21T14:13:20Z\r\n"
             "anthropic-ratelimit-input-tokens-limit: 400000\r\n"
             "anthropic-ratelimit-input-tokens-remaining: 390000\r\n"
             "anthropic-ratelimit-input-tokens-reset: 2026-09-21T14:13:22Z\r\n"
             "anthropic-ratelimit-output-tokens-limit: 80000\r\n"
             "anthropic-ratelimit-output-tokens-remaining: 79000\r\n"
             "anthropic-ratelimit-output-tokens-reset: 2026-09-21T14:13:26Z\r\n",
             NULL);
    assert_int_equal(l.requests.limit, 4000);
    assert_int_equal(l.requests.remaining, 3999);
    assert_int_equal(l.requests.reset_us, S);
    assert_true(l.tokens.is_gradual);
    assert_int_equal(l.tokens.remaining, 79000); /* the least */
    assert_int_equal(l.tokens.limit, 80000);
    assert_int_equal(l.tokens.reset_us, 6 * S);
}

static void mistral(void **state)
{
    (void)state;
    struct limit_headers l = read("x-ratelimit-limit-req-minute: 60\r\n"
                                  "x-ratelimit-remaining-req-minute: 58\r\n"
                                  "ratelimitbysize-limit: 500000\r\n"
                                  "ratelimitbysize-remaining: 499000\r\n"
                                  "ratelimitbysize-reset: 52\r\n"
                                  "x-ratelimitbysize-remaining-month: 4\r\n",
                                  NULL);
    assert_int_equal(l.requests.limit, 60);
    assert_int_equal(l.requests.remaining, 58);
    assert_false(l.requests.is_gradual);
    assert_int_equal(l.tokens.remaining, 499000);
    assert_int_equal(l.tokens.reset_us, 52 * S);
}

static void drafts_and_others(void **state)
{
    (void)state;
    struct limit_headers l = read("RateLimit: limit=100, remaining=50, reset=5\r\n", NULL);
    assert_int_equal(l.requests.limit, 100);
    assert_int_equal(l.requests.remaining, 50);
    assert_int_equal(l.requests.reset_us, 5 * S);
    l = read("RateLimit: \"default\";r=7;t=30\r\n", NULL);
    assert_int_equal(l.requests.remaining, 7);
    assert_int_equal(l.requests.reset_us, 30 * S);
    l = read("RateLimit-Limit: 10, 10;w=1\r\nRateLimit-Remaining: 9\r\nRateLimit-Reset: 1\r\n",
             NULL);
    assert_int_equal(l.requests.limit, 10);
    assert_int_equal(l.requests.remaining, 9);
    assert_false(l.requests.is_gradual);
    /* seconds since 1970 */
    l = read("x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1790000012\r\n", NULL);
    assert_int_equal(l.requests.reset_us, 12 * S);
    l = read("retry-after: Mon, 21 Sep 2026 14:14:00 GMT\r\n", NULL);
    assert_int_equal(l.retry_us, 40 * S);
    l = read("retry-after: 3\r\n", NULL);
    assert_int_equal(l.retry_us, 3 * S);
}

static void what_cannot_be_read_is_not_said(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "x-ratelimit-remaining-requests: -1\r\n",
        "x-ratelimit-remaining-requests: many\r\n",
        "x-ratelimit-remaining-requests: 99999999999999999999\r\n",
        "x-ratelimit-remaining-requests-day: 5\r\n",
        "x-ratelimit-left-requests: 5\r\n",
        "anthropic-ratelimit-unified-remaining: 5\r\n",
        "anthropic-ratelimit-tokens-remaining-x: 5\r\n",
        "x-ratelimit-reset-requests: 5s\r\n", /* nothing is said of what is left */
        "retry-after: 86401\r\n",
        "retry-after: soon\r\n",
        "retry-after-ms: -5\r\n",
        "retry-after: Mon, 31 Sep 2026 14:14:00 GMT\r\n",
        "x-request-id: ratelimit\r\n",
        "RateLimit: remaining\r\n",
        "RateLimit: =\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bool any;
        read(bad[i], &any);
        if (any)
            fail_msg("%s", bad[i]);
    }
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {
        {"6ms", 6000},        {"1s", S},         {"1m30s", 90 * S},  {"2m59.56s", 179560000},
        {"1h2m3s", 3723 * S}, {"0s", 0},         {"12", 12 * S},     {"0.25", 250000},
        {"500us", 500},       {"1d", 86400 * S}, {"7.66s", 7660000}, {"100ns", 0},
        {"20\xc2\xb5s", 20},  {"1789999999", 0},
    };
    static const char *const bad[] = {"",    "s",   "1x",  "1.2.3s", ".5s",        "1d1s",
                                      "25h", "-1s", "1s ", "1 s",    "2000000000", "9999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint64_t us = 77;
        enum err e = limit_wait_read(slice_str(good[i].text), NOW, &us);
        if (e || us != good[i].us)
            fail_msg("%s: %llu", good[i].text, (unsigned long long)us);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t us;
        if (!limit_wait_read(slice_str(bad[i]), NOW, &us))
            fail_msg("%s: %llu", bad[i], (unsigned long long)us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openai),
        cmocka_unit_test(azure),
        cmocka_unit_test(anthropic),
        cmocka_unit_test(mistral),
        cmocka_unit_test(drafts_and_others),
        cmocka_unit_test(what_cannot_be_read_is_not_said),
        cmocka_unit_test(durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
