/* Dialling: refused, denied, too late, the next address, and given up by its owner. */
#include "tests/unit/base/unit.h"

#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "tests/kit/net/ends.h"

static void expect_end(struct stage *s, struct end *e, enum err why)
{
    WAIT(s, e->count[ON_CLOSE] + e->count[ON_OPEN] > 0);
    assert_int_equal(e->count[ON_OPEN], 0);
    assert_int_equal(e->why, why);
    for (int i = 0; i < 3; i++)
        stage_turn(s);
    assert_int_equal(e->count[ON_CLOSE], 1);
    assert_false(stream_is_open(e->stream));
    end_fini(e);
}

/* a port without a listener: bound, so that no other program takes it */
static uint16_t closed_port(int *fd)
{
    union sockaddr_any a = {
        .in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(a);
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*fd, &a.sa, sizeof(a.in)), 0);
    assert_int_equal(getsockname(*fd, &a.sa, &len), 0);
    return address_port(&a);
}

UNIT(a_port_without_a_listener_is_refused)
{
    struct stage s;
    struct end e;
    int fd;
    stage_open(&s, NULL, 0);
    uint16_t port = closed_port(&fd);
    end_init(&e, &s);
    assert_int_equal(end_dial_port(&e, "127.0.0.1", port, 1000), ERR_OK);
    assert_int_equal(e.count[ON_CLOSE], 0);
    expect_end(&s, &e, ERR_CONNECT);
    end_init(&e, &s);
    assert_int_equal(end_dial_port(&e, "localhost", port, 1000), ERR_OK);
    expect_end(&s, &e, ERR_CONNECT);
    close(fd);
    stage_close(&s);
}

static enum err dial_with(struct end *e, const char *host, const struct egress_rule *rule)
{
    const struct stream_target t = {.resolver = e->stage->resolver,
                                    .host = slice_str(host),
                                    .port = listener_port(e->stage->listener),
                                    .rule = rule};
    return stream_connect(e->stage->loop, &t, &end_events, e, &e->stream);
}

UNIT(an_inner_address_is_denied_by_number_and_by_name)
{
    static const char *const hosts[] = {"127.0.0.1",        "localhost",       "::1",
                                        "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1",
                                        "0.0.0.0"};
    struct stage s;
    stage_open(&s, NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct end e;
        end_init(&e, &s);
        assert_int_equal(dial_with(&e, hosts[i], NULL), ERR_OK);
        expect_end(&s, &e, ERR_DENIED);
    }
    stage_close(&s);
}

UNIT(metadata_is_denied_whatever_the_rule_allows)
{
    struct stage s;
    struct end e;
    struct cidr all;
    const struct egress_rule rule = {&all, 1};
    stage_open(&s, NULL, 0);
    assert_int_equal(cidr_parse(SLICE("0.0.0.0/0"), &all), ERR_OK);
    end_init(&e, &s);
    assert_int_equal(dial_with(&e, "169.254.169.254", &rule), ERR_OK);
    expect_end(&s, &e, ERR_DENIED);
    stage_close(&s);
}

/* "localhost" is 127.0.0.1 and ::1; with the first denied, the second is dialled */
UNIT(a_denied_address_is_passed_over_for_the_next)
{
    struct stage s;
    struct end e;
    struct cidr v6;
    struct listener *l;
    union sockaddr_any at;
    const struct egress_rule rule = {&v6, 1};
    stage_open(&s, NULL, 0);
    assert_int_equal(cidr_parse(SLICE("::1/128"), &v6), ERR_OK);
    assert_true(address_literal(SLICE("::1"), listener_port(s.listener), &at));
    if (listener_open(s.loop, &at, NULL, NULL, &l)) {
        stage_close(&s);
        skip(); /* no IPv6 here */
    }
    end_init(&e, &s);
    assert_int_equal(dial_with(&e, "localhost", &rule), ERR_OK);
    listener_close(&l); /* the listener is closed, but it is ::1 that refuses */
    expect_end(&s, &e, ERR_CONNECT);
    stage_close(&s);
}

UNIT(the_next_address_is_tried_when_the_first_refuses)
{
    struct stage s;
    struct end e, server;
    struct listener *six;
    union sockaddr_any at;
    stage_open(&s, &server, 1);
    /* localhost's first address is 127.0.0.1; the stage moves to ::1 on the same port */
    uint16_t port = listener_port(s.listener);
    assert_true(address_literal(SLICE("::1"), port, &at));
    listener_close(&s.listener);
    stage_turn(&s);
    if (stage_listen(&s, &at)) {
        stage_close(&s);
        skip();
    }
    six = s.listener;
    assert_int_equal(listener_port(six), port);
    end_init(&e, &s);
    assert_int_equal(end_dial_port(&e, "localhost", port, 2000), ERR_OK);
    WAIT(&s, e.count[ON_OPEN] == 1);
    assert_true(slice_starts(stream_peer(e.stream), SLICE("[::1]:")));
    end_fini(&e);
    stage_close(&s);
}

/* A listener whose queue is full lets further SYNs wait: a black hole without a network. */
static uint16_t black_hole(int *fd, int *clog, size_t n)
{
    union sockaddr_any a = {
        .in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(a);
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*fd, &a.sa, sizeof(a.in)), 0);
    assert_int_equal(listen(*fd, 0), 0);
    assert_int_equal(getsockname(*fd, &a.sa, &len), 0);
    for (size_t i = 0; i < n; i++) {
        clog[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(clog[i], &a.sa, sizeof(a.in));
    }
    return address_port(&a);
}

UNIT(a_server_that_does_not_reply_in_time_is_given_up)
{
    struct stage s;
    struct end e;
    int fd, clog[4];
    stage_open(&s, NULL, 0);
    uint16_t port = black_hole(&fd, clog, ARRAY_LEN(clog));
    end_init(&e, &s);
    uint64_t began = ends_now_ms();
    assert_int_equal(end_dial_port(&e, "127.0.0.1", port, 80), ERR_OK);
    expect_end(&s, &e, ERR_TIMEOUT);
    assert_in_range(ends_now_ms() - began, 79, 3000);
    for (size_t i = 0; i < ARRAY_LEN(clog); i++)
        close(clog[i]);
    close(fd);
    stage_close(&s);
}

UNIT(a_server_that_takes_the_connection_but_never_shakes_hands_is_given_up_too)
{
    struct stage s;
    struct end e, server;
    const struct tls_client_config config = {0};
    struct tls_context *tls;
    assert_int_equal(tls_client_new(&config, &tls), ERR_OK);
    stage_open(&s, &server, 1);
    end_init(&e, &s);
    struct cidr loopback;
    const struct egress_rule rule = {&loopback, 1};
    const struct stream_target t = {.host = SLICE("127.0.0.1"),
                                    .port = listener_port(s.listener),
                                    .tls = tls,
                                    .rule = &rule,
                                    .connect_ms = 100};
    assert_int_equal(cidr_parse(SLICE("127.0.0.0/8"), &loopback), ERR_OK);
    assert_int_equal(stream_connect(s.loop, &t, &end_events, &e, &e.stream), ERR_OK);
    expect_end(&s, &e, ERR_TIMEOUT);
    assert_true(server.bytes > 0); /* the client's hello */
    stage_close(&s);
    tls_drop(tls);
}

static void turn_and_close(struct stage *s, struct end *e, int turns)
{
    for (int i = 0; i < turns; i++)
        stage_turn(s);
    unsigned opened = e->count[ON_OPEN];
    stream_close(&e->stream);
    assert_null(e->stream);
    for (int i = 0; i < 3; i++)
        stage_turn(s);
    assert_int_equal(e->count[ON_CLOSE], 0);
    assert_int_equal(e->count[ON_OPEN], opened);
    end_fini(e);
}

UNIT(an_owner_may_give_up_at_any_step_and_gets_no_callback_after_it)
{
    size_t fds = ends_open_fds();
    ptrdiff_t alive = mem_alive();
    for (int turns = 0; turns < 4; turns++) {
        struct stage s;
        struct end e, servers[4];
        stage_open(&s, servers, 4);
        end_init(&e, &s);
        assert_int_equal(end_dial(&e, "localhost", NULL), ERR_OK);
        turn_and_close(&s, &e, turns);
        end_init(&e, &s);
        assert_int_equal(end_dial(&e, "127.0.0.1", NULL), ERR_OK);
        turn_and_close(&s, &e, turns);
        stage_close(&s);
    }
    assert_int_equal(ends_open_fds(), fds);
    assert_int_equal(mem_alive(), alive);
}

static void close_inside(struct end *e, enum moment m UNUSED)
{
    stream_close(&e->stream);
}

UNIT(an_owner_may_close_inside_of_a_failed_dials_end)
{
    struct stage s;
    struct end e;
    stage_open(&s, NULL, 0);
    end_init(&e, &s);
    e.then = close_inside;
    assert_int_equal(dial_with(&e, "10.0.0.1", NULL), ERR_OK);
    WAIT(&s, e.count[ON_CLOSE] == 1);
    assert_null(e.stream);
    end_fini(&e);
    stage_close(&s);
}

static enum err dial_and_wait(struct stage *s)
{
    struct end e;
    end_init(&e, s);
    enum err first = end_dial(&e, "localhost", NULL);
    if (!first) {
        WAIT(s, e.count[ON_OPEN] + e.count[ON_CLOSE] > 0);
        first = e.why;
        WAIT(s, first || s->count + (size_t)s->refused > 0);
    }
    if (s->refused) /* the one that failed was the other side's */
        first = ERR_NOMEM;
    s->refused = 0;
    end_fini(&e);
    for (size_t i = 0; i < s->count; i++)
        end_fini(&s->accepted[i]);
    s->count = 0;
    for (int i = 0; i < 3; i++)
        stage_turn(s);
    return first;
}

UNIT(a_dial_that_finds_no_memory_says_so_and_leaves_nothing)
{
    struct stage s;
    struct end servers[4];
    size_t fds = ends_open_fds();
    stage_open(&s, servers, 4);
    EACH_ALLOCATION_FAILS(dial_and_wait(&s));
    stage_close(&s);
    assert_int_equal(ends_open_fds(), fds);
}

UNIT(a_name_without_a_resolver_is_no_target)
{
    struct stage s;
    struct end e;
    const struct stream_target t = {.host = SLICE("name.test"), .port = 1};
    stage_open(&s, NULL, 0);
    end_init(&e, &s);
    assert_int_equal(stream_connect(s.loop, &t, &end_events, &e, &e.stream), ERR_INVALID);
    end_fini(&e);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_without_a_listener_is_refused),
        cmocka_unit_test(an_inner_address_is_denied_by_number_and_by_name),
        cmocka_unit_test(metadata_is_denied_whatever_the_rule_allows),
        cmocka_unit_test(a_denied_address_is_passed_over_for_the_next),
        cmocka_unit_test(the_next_address_is_tried_when_the_first_refuses),
        cmocka_unit_test(a_server_that_does_not_reply_in_time_is_given_up),
        cmocka_unit_test(a_server_that_takes_the_connection_but_never_shakes_hands_is_given_up_too),
        cmocka_unit_test(an_owner_may_give_up_at_any_step_and_gets_no_callback_after_it),
        cmocka_unit_test(an_owner_may_close_inside_of_a_failed_dials_end),
        cmocka_unit_test(a_dial_that_finds_no_memory_says_so_and_leaves_nothing),
        cmocka_unit_test(a_name_without_a_resolver_is_no_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
