/* The resolver against a name server of the test's own: TTL, one query at a time, stale if error.
 */
#include "tests/unit/base/unit.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "common/net/resolver_private.h"
#include "tests/kit/net/ends.h"

#define WAITERS 5

/* A name server on the test's own loop: answers A queries for every name with one address. */
struct server {
    int fd;
    uv_poll_t poll;
    uint16_t port;
    unsigned asked; /* A queries */
    bool broken;    /* answers SERVFAIL */
    bool deaf;
    uint32_t ttl;
    uint8_t last; /* byte of 192.0.2.x */
};

static size_t question_end(const uint8_t *q, size_t len)
{
    size_t at = 12;
    while (at < len && q[at])
        at += q[at] + 1u;
    return at + 5;
}

static size_t put_answer(const struct server *s, uint8_t *to)
{
    const uint8_t record[] = {0xc0,
                              12,
                              0,
                              1,
                              0,
                              1,
                              (uint8_t)(s->ttl >> 24),
                              (uint8_t)(s->ttl >> 16),
                              (uint8_t)(s->ttl >> 8),
                              (uint8_t)s->ttl,
                              0,
                              4,
                              192,
                              0,
                              2,
                              s->last};
    memcpy(to, record, sizeof(record));
    return sizeof(record);
}

static void on_query(uv_poll_t *h, int status UNUSED, int events UNUSED)
{
    struct server *s = h->data;
    uint8_t m[1024];
    union sockaddr_any from;
    socklen_t len = sizeof(from);
    ssize_t n = recvfrom(s->fd, m, 512, MSG_DONTWAIT, &from.sa, &len);
    if (n < 12)
        return;
    size_t at = question_end(m, (size_t)n);
    bool is_a = m[at - 4] == 0 && m[at - 3] == 1;
    s->asked += is_a;
    if (s->deaf)
        return;
    m[2] |= 0x80;
    m[3] = s->broken ? 2 : 0x80;
    m[7] = is_a && !s->broken; /* answers */
    memset(m + 8, 0, 4);       /* no authority, no additional */
    if (m[7])
        at += put_answer(s, m + at);
    sendto(s->fd, m, at, 0, &from.sa, len);
}

static void server_open(struct server *s, struct stage *stage)
{
    union sockaddr_any a = {
        .in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(a);
    char text[ADDRESS_TEXT_MAX];
    *s = (struct server){.fd = socket(AF_INET, SOCK_DGRAM, 0), .ttl = 60, .last = 1};
    assert_int_equal(bind(s->fd, &a.sa, sizeof(a.in)), 0);
    assert_int_equal(getsockname(s->fd, &a.sa, &len), 0);
    s->port = address_port(&a);
    uv_poll_init(loop_uv(stage->loop), &s->poll, s->fd);
    s->poll.data = s;
    uv_poll_start(&s->poll, UV_READABLE, on_query);
    address_format(&a, text);
    assert_int_equal(resolver_use_servers(stage->resolver, text), ERR_OK);
}

static void server_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->poll, NULL);
    close(s->fd);
}

struct ask {
    struct resolver_query *query;
    struct resolver_answer answer;
    enum err e;
    unsigned told;
    struct ask *cancels;
};

static void on_told(void *arg, enum err e, const struct resolver_answer *answer)
{
    struct ask *a = arg;
    a->query = NULL;
    a->told++;
    a->e = e;
    if (!e)
        a->answer = *answer;
    if (a->cancels)
        resolver_cancel(&a->cancels->query);
}

static void ask(struct stage *s, struct ask *a, const char *name)
{
    *a = (struct ask){0};
    assert_int_equal(resolver_start(s->resolver, slice_str(name), 443, on_told, a, &a->query),
                     ERR_OK);
    assert_int_equal(a->told, 0); /* never before it returns */
}

static void expect_address(const struct ask *a, size_t i, const char *text)
{
    char out[ADDRESS_TEXT_MAX];
    assert_int_equal(a->told, 1);
    assert_int_equal(a->e, ERR_OK);
    assert_true(i < a->answer.count);
    expect_text(address_format(&a->answer.addresses[i], out), text);
}

static void rest_ms(struct stage *s, uint64_t ms)
{
    uint64_t end = ends_now_ms() + ms;
    while (ends_now_ms() < end)
        stage_turn(s);
}

UNIT(literals_and_localhost_need_no_server)
{
    struct stage s;
    struct server dns;
    struct ask v4, v6, local, sub;
    stage_open(&s, NULL, 0);
    server_open(&dns, &s);
    ask(&s, &v4, "192.0.2.7");
    ask(&s, &v6, "2001:db8::7");
    ask(&s, &local, "LocalHost");
    ask(&s, &sub, "app.localhost");
    WAIT(&s, v4.told && v6.told && local.told && sub.told);
    expect_address(&v4, 0, "192.0.2.7:443");
    expect_address(&v6, 0, "[2001:db8::7]:443");
    expect_address(&local, 0, "127.0.0.1:443");
    expect_address(&local, 1, "[::1]:443");
    expect_address(&sub, 0, "127.0.0.1:443");
    assert_int_equal(dns.asked, 0);
    server_close(&dns);
    stage_close(&s);
}

UNIT(look_ups_of_one_name_share_a_query_and_later_ones_its_answer)
{
    struct stage s;
    struct server dns;
    struct ask all[WAITERS], later;
    stage_open(&s, NULL, 0);
    server_open(&dns, &s);
    for (int i = 0; i < WAITERS; i++)
        ask(&s, &all[i], i % 2 ? "API.example.test" : "api.example.test");
    WAIT(&s, all[WAITERS - 1].told);
    for (int i = 0; i < WAITERS; i++)
        expect_address(&all[i], 0, "192.0.2.1:443");
    ask(&s, &later, "api.example.test");
    WAIT(&s, later.told);
    expect_address(&later, 0, "192.0.2.1:443");
    assert_int_equal(dns.asked, 1);
    server_close(&dns);
    stage_close(&s);
}

UNIT(a_name_is_queried_again_after_its_ttl)
{
    struct stage s;
    struct server dns;
    struct ask first, second;
    stage_open(&s, NULL, 0);
    server_open(&dns, &s);
    dns.ttl = 0; /* counts as one second */
    ask(&s, &first, "a.example.test");
    WAIT(&s, first.told);
    dns.last = 2;
    ask(&s, &second, "a.example.test");
    WAIT(&s, second.told);
    expect_address(&second, 0, "192.0.2.1:443");
    rest_ms(&s, 1050);
    ask(&s, &second, "a.example.test");
    WAIT(&s, second.told);
    expect_address(&second, 0, "192.0.2.2:443");
    assert_int_equal(dns.asked, 2);
    server_close(&dns);
    stage_close(&s);
}

UNIT(an_old_answer_serves_when_the_server_fails)
{
    struct stage s;
    struct server dns;
    struct ask a;
    stage_open(&s, NULL, 0);
    server_open(&dns, &s);
    dns.ttl = 1;
    ask(&s, &a, "b.example.test");
    WAIT(&s, a.told);
    rest_ms(&s, 1050);
    dns.broken = true;
    ask(&s, &a, "b.example.test");
    WAIT(&s, a.told);
    expect_address(&a, 0, "192.0.2.1:443");
    unsigned asked = dns.asked;
    ask(&s, &a, "b.example.test"); /* and is not queried again with every call */
    WAIT(&s, a.told);
    expect_address(&a, 0, "192.0.2.1:443");
    assert_int_equal(dns.asked, asked);
    server_close(&dns);
    stage_close(&s);
}

UNIT(a_name_that_never_had_an_answer_fails)
{
    struct stage s;
    struct server dns;
    struct ask a;
    stage_open(&s, NULL, 0);
    server_open(&dns, &s);
    dns.broken = true;
    ask(&s, &a, "c.example.test");
    WAIT(&s, a.told);
    assert_int_equal(a.e, ERR_DNS);
    dns.broken = false;
    ask(&s, &a, "c.example.test");
    WAIT(&s, a.told);
    expect_address(&a, 0, "192.0.2.1:443");
    server_close(&dns);
    stage_close(&s);
}

UNIT(a_cancelled_look_up_has_no_callback_and_the_others_have_theirs)
{
    struct stage s;
    struct server dns;
    struct ask gone, stays, killer, victim;
    stage_open(&s, NULL, 0);
    server_open(&dns, &s);
    ask(&s, &gone, "d.example.test");
    ask(&s, &stays, "d.example.test");
    resolver_cancel(&gone.query);
    WAIT(&s, stays.told);
    expect_address(&stays, 0, "192.0.2.1:443");
    assert_int_equal(gone.told, 0);
    ask(&s, &killer, "d.example.test");
    ask(&s, &victim, "d.example.test");
    killer.cancels = &victim;
    WAIT(&s, killer.told);
    rest_ms(&s, 20);
    assert_int_equal(victim.told, 0);
    server_close(&dns);
    stage_close(&s);
}

UNIT(a_freed_resolver_ends_its_look_ups)
{
    struct stage s;
    struct server dns;
    struct ask flying, known;
    stage_open(&s, NULL, 0);
    server_open(&dns, &s);
    dns.deaf = true;
    ask(&s, &flying, "e.example.test");
    rest_ms(&s, 20);
    ask(&s, &known, "127.0.0.1");
    resolver_free(s.resolver);
    s.resolver = NULL;
    assert_int_equal(flying.told, 1);
    assert_int_equal(flying.e, ERR_CANCELLED);
    assert_int_equal(known.told, 1);
    assert_int_equal(known.e, ERR_CANCELLED);
    server_close(&dns);
    stage_close(&s);
}

UNIT(a_server_without_a_reply_is_given_up_without_holding_the_loop)
{
    struct stage s;
    struct server dns;
    struct ask a;
    stage_open(&s, NULL, 0);
    server_open(&dns, &s);
    dns.deaf = true;
    uint64_t began = ends_now_ms();
    ask(&s, &a, "f.example.test");
    WAIT(&s, a.told);
    assert_int_equal(a.e, ERR_DNS);
    assert_true(dns.asked >= 2);
    assert_in_range(ends_now_ms() - began, 1500, 9500);
    server_close(&dns);
    stage_close(&s);
}

UNIT(what_is_no_name_is_refused)
{
    struct stage s;
    struct ask a = {0};
    char text[300];
    memset(text, 'a', sizeof(text));
    stage_open(&s, NULL, 0);
    assert_int_equal(resolver_start(s.resolver, SLICE(""), 1, on_told, &a, &a.query), ERR_INVALID);
    assert_int_equal(resolver_start(s.resolver, slice_of(text, 254), 1, on_told, &a, &a.query),
                     ERR_INVALID);
    assert_int_equal(resolver_start(s.resolver, slice_of("a\0b", 3), 1, on_told, &a, &a.query),
                     ERR_INVALID);
    assert_null(a.query);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_and_localhost_need_no_server),
        cmocka_unit_test(look_ups_of_one_name_share_a_query_and_later_ones_its_answer),
        cmocka_unit_test(a_name_is_queried_again_after_its_ttl),
        cmocka_unit_test(an_old_answer_serves_when_the_server_fails),
        cmocka_unit_test(a_name_that_never_had_an_answer_fails),
        cmocka_unit_test(a_cancelled_look_up_has_no_callback_and_the_others_have_theirs),
        cmocka_unit_test(a_freed_resolver_ends_its_look_ups),
        cmocka_unit_test(a_server_without_a_reply_is_given_up_without_holding_the_loop),
        cmocka_unit_test(what_is_no_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
