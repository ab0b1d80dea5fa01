/* Streams over plain TCP: in both directions, slow, broken off, and closed at every possible
 * moment. */
#include "tests/unit/base/unit.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/limits.h"
#include "tests/kit/net/ends.h"

#define MANY 1000

static void echo(struct end *e, enum moment m)
{
    if (m != ON_DATA)
        return;
    struct slice all = end_text(e);
    assert_int_equal(stream_write(e->stream, &all, 1), ERR_OK);
    buf_clear(&e->got);
}

static void echo_each(struct end *e)
{
    e->then = echo;
}

static void forget_each(struct end *e)
{
    e->forget = true;
}

static void dial_and_meet(struct stage *s, struct end *client)
{
    end_init(client, s);
    assert_int_equal(end_dial(client, "127.0.0.1", NULL), ERR_OK);
    assert_int_equal(client->count[ON_OPEN], 0); /* never before it returns */
    WAIT(s, client->count[ON_OPEN] == 1 && s->count == 1 && s->accepted[0].count[ON_OPEN] == 1);
    assert_true(stream_is_open(client->stream));
}

UNIT(what_is_said_comes_back)
{
    struct end server, client;
    struct stage s;
    stage_open(&s, &server, 1);
    s.on_accepted = echo_each;
    dial_and_meet(&s, &client);
    const struct slice parts[] = {SLICE("one "), SLICE(""), SLICE("two "), SLICE("three")};
    assert_int_equal(stream_write(client.stream, parts, 4), ERR_OK);
    assert_int_equal(stream_pending(client.stream), 0);
    WAIT(&s, client.got.len == 13);
    expect_text(end_text(&client), "one two three");
    assert_int_equal(stream_write(client.stream, parts, 0), ERR_OK);
    char expected[ADDRESS_TEXT_MAX];
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", listener_port(s.listener));
    expect_text(stream_peer(client.stream), expected);
    end_fini(&client);
    WAIT(&s, server.count[ON_EOF] == 1);
    stage_close(&s);
}

UNIT(more_parts_than_one_call_takes_arrive_in_order)
{
    struct end server, client;
    struct stage s;
    char text[100];
    struct slice parts[100];
    stage_open(&s, &server, 1);
    dial_and_meet(&s, &client);
    for (size_t i = 0; i < 100; i++) {
        text[i] = (char)('!' + i % 90);
        parts[i] = slice_of(&text[i], 1);
    }
    assert_int_equal(stream_write(client.stream, parts, 100), ERR_OK);
    WAIT(&s, server.got.len == 100);
    assert_memory_equal(end_text(&server).ptr, text, 100);
    end_fini(&client);
    stage_close(&s);
}

/* back-pressure */

static char pattern[64 * 1024];

static void fill_pattern(void)
{
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (char)(i * 31 + i / 251);
}

/* feeds while it may, as a relay does */
static size_t feed(struct end *e, size_t *fed, size_t total)
{
    size_t most = 0;
    while (*fed < total && stream_pending(e->stream) <= LIMIT_STREAM_HIGH) {
        size_t at = *fed % sizeof(pattern), left = total - *fed;
        struct slice piece = slice_of(pattern + at, sizeof(pattern) - at);
        piece = slice_first(piece, left < 20000 ? left : 20000);
        assert_int_equal(stream_write(e->stream, &piece, 1), ERR_OK);
        *fed += piece.len;
        if (stream_pending(e->stream) > most)
            most = stream_pending(e->stream);
    }
    return most;
}

UNIT(a_slow_reader_stops_the_writer_and_loses_nothing)
{
    struct end server, client;
    struct stage s;
    size_t fed = 0, most = 0, total = 24u * 1024 * 1024;
    fill_pattern();
    stage_open(&s, &server, 1);
    dial_and_meet(&s, &client);
    stream_pause(server.stream);
    most = feed(&client, &fed, total);
    for (int i = 0; i < 20; i++)
        stage_turn(&s);
    assert_true(fed < total); /* the kernel took some; the rest is held back, and bounded */
    assert_int_equal(server.bytes, 0);
    assert_in_range(stream_pending(client.stream), 1, LIMIT_STREAM_HIGH + 20000);
    stream_resume(server.stream);
    while (server.bytes < total) {
        unsigned drains = client.count[ON_DRAIN];
        size_t bytes = server.bytes;
        WAIT(&s, server.bytes > bytes || client.count[ON_DRAIN] > drains);
        size_t now = feed(&client, &fed, total);
        most = now > most ? now : most;
    }
    assert_true(client.count[ON_DRAIN] > 0);
    assert_true(most <= LIMIT_STREAM_HIGH + 20000);
    struct slice got = end_text(&server);
    for (size_t at = 0; at < total; at += sizeof(pattern))
        assert_memory_equal(got.ptr + at, pattern, sizeof(pattern));
    end_fini(&client);
    stage_close(&s);
}

UNIT(above_its_ceiling_a_write_is_refused_whole_and_the_writer_is_told_when_to_go_on)
{
    struct end server, client;
    struct stage s;
    stage_open(&s, &server, 1);
    s.on_accepted = forget_each;
    dial_and_meet(&s, &client);
    stream_pause(server.stream);
    struct slice piece = slice_of(pattern, sizeof(pattern));
    size_t sent = 0;
    enum err e = ERR_OK;
    for (int i = 0; i < 10000 && e == ERR_OK; i++) {
        e = stream_write(client.stream, &piece, 1);
        sent += e ? 0 : piece.len;
    }
    assert_int_equal(e, ERR_TOO_BIG);
    assert_true(stream_pending(client.stream) <= LIMIT_STREAM_OUT);
    stream_resume(server.stream);
    WAIT(&s, client.count[ON_DRAIN] == 1);
    WAIT(&s, server.bytes == sent);
    assert_int_equal(stream_pending(client.stream), 0);
    end_fini(&client);
    stage_close(&s);
}

UNIT(one_large_piece_is_taken_on_an_empty_stream)
{
    struct end server, client;
    struct stage s;
    size_t size = 32u * 1024 * 1024;
    char *large = calloc(1, size);
    stage_open(&s, &server, 1);
    s.on_accepted = forget_each;
    dial_and_meet(&s, &client);
    struct slice piece = slice_of(large, size);
    assert_int_equal(stream_write(client.stream, &piece, 1), ERR_OK);
    memset(large, 'x', size); /* it was copied where it was not sent */
    free(large);
    stream_finish(client.stream);
    assert_int_equal(end_say(&client, "late"), ERR_CLOSED);
    WAIT(&s, server.count[ON_EOF] == 1);
    assert_int_equal(server.bytes, size);
    struct slice huge = slice_of(pattern, (size_t)LIMIT_STREAM_PIECE + 1);
    assert_int_equal(stream_write(server.stream, &huge, 1), ERR_TOO_BIG);
    end_fini(&client);
    stage_close(&s);
}

UNIT(a_paused_stream_takes_nothing_and_goes_on_where_it_was)
{
    struct end server, client;
    struct stage s;
    stage_open(&s, &server, 1);
    dial_and_meet(&s, &client);
    stream_pause(server.stream);
    assert_int_equal(end_say(&client, "later"), ERR_OK);
    for (int i = 0; i < 5; i++)
        stage_turn(&s);
    assert_int_equal(server.count[ON_DATA], 0);
    stream_resume(server.stream);
    WAIT(&s, server.got.len == 5);
    end_fini(&client);
    stage_close(&s);
}

UNIT(a_paused_stream_still_reports_that_its_peer_left)
{
    struct end server, client;
    struct stage s;
    stage_open(&s, &server, 1);
    dial_and_meet(&s, &client);
    stream_pause(server.stream);
    end_fini(&client);
    WAIT(&s, server.count[ON_EOF] == 1);
    stage_close(&s);
}

/* ends */

UNIT(each_side_may_finish_before_the_other)
{
    struct end server, client;
    struct stage s;
    stage_open(&s, &server, 1);
    dial_and_meet(&s, &client);
    assert_int_equal(end_say(&client, "question"), ERR_OK);
    stream_finish(client.stream);
    WAIT(&s, server.count[ON_EOF] == 1);
    assert_int_equal(end_say(&server, "answer"), ERR_OK);
    stream_finish(server.stream);
    WAIT(&s, client.count[ON_EOF] == 1 || client.count[ON_CLOSE] == 1);
    expect_text(end_text(&client), "answer");
    WAIT(&s, client.count[ON_CLOSE] == 1 && server.count[ON_CLOSE] == 1);
    assert_int_equal(client.why, ERR_OK);
    assert_int_equal(server.why, ERR_OK);
    assert_int_equal(server.count[ON_EOF], 1);
    end_fini(&client);
    stage_close(&s);
}

UNIT(a_reset_is_reported_once)
{
    struct end server, client;
    struct stage s;
    stage_open(&s, &server, 1);
    dial_and_meet(&s, &client);
    /* closing with unread bytes resets */
    stream_pause(server.stream);
    assert_int_equal(end_say(&client, "unread"), ERR_OK);
    stage_turn(&s);
    stream_close(&server.stream);
    WAIT(&s, client.count[ON_CLOSE] == 1);
    assert_int_equal(client.why, ERR_CLOSED);
    assert_false(stream_is_open(client.stream));
    assert_int_equal(end_say(&client, "x"), ERR_CLOSED);
    for (int i = 0; i < 5; i++)
        stage_turn(&s);
    assert_int_equal(client.count[ON_CLOSE], 1);
    end_fini(&client);
    stage_close(&s);
}

UNIT(bytes_that_came_before_the_reset_are_still_read)
{
    struct end server, client;
    struct stage s;
    stage_open(&s, &server, 1);
    dial_and_meet(&s, &client);
    assert_int_equal(end_say(&server, "413"), ERR_OK);
    stream_close(&server.stream);
    /* no turn in between: the writes meet the dead socket before anything is read */
    enum err e = ERR_OK;
    for (int i = 0; i < 1000 && e == ERR_OK; i++) {
        e = end_say(&client, "body");
        usleep(1000);
    }
    assert_int_equal(e, ERR_CLOSED);
    WAIT(&s, client.count[ON_CLOSE] == 1);
    expect_text(end_text(&client), "413");
    assert_int_equal(client.count[ON_EOF], 0);
    assert_int_equal(client.why, ERR_CLOSED);
    end_fini(&client);
    stage_close(&s);
}

/* closing inside of callbacks: `mind` is the moment */

static void close_inside(struct end *e, enum moment m)
{
    if (m == *(enum moment *)e->mind)
        stream_close(&e->stream);
}

static enum moment close_at;

static void close_each(struct end *e)
{
    e->then = close_inside;
    e->mind = &close_at;
}

static void close_at_moment(enum moment m)
{
    struct end server, client;
    struct stage s;
    close_at = m;
    stage_open(&s, &server, 1);
    s.on_accepted = close_each;
    end_init(&client, &s);
    assert_int_equal(end_dial(&client, "127.0.0.1", NULL), ERR_OK);
    WAIT(&s, client.count[ON_OPEN] == 1 && s.count == 1);
    if (m != ON_OPEN) {
        struct slice piece = slice_of(pattern, sizeof(pattern));
        WAIT(&s, server.count[ON_OPEN] == 1);
        for (int i = 0; m == ON_DRAIN && i < 1000; i++)
            if (stream_write(server.stream, &piece, 1))
                break;
        client.forget = true;
        assert_int_equal(stream_write(client.stream, &piece, 1), ERR_OK);
        if (m == ON_CLOSE) {
            stream_pause(client.stream);
            assert_int_equal(end_say(&server, "unread"), ERR_OK);
            stage_turn(&s);
            stream_close(&client.stream);
        } else {
            stream_finish(client.stream);
        }
    }
    WAIT(&s, !server.stream);
    unsigned before[MOMENTS];
    memcpy(before, server.count, sizeof(before));
    for (int i = 0; i < 5; i++)
        stage_turn(&s);
    assert_memory_equal(before, server.count, sizeof(before)); /* silence */
    assert_int_equal(server.count[ON_CLOSE], m == ON_CLOSE);
    end_fini(&client);
    stage_close(&s);
}

UNIT(a_stream_may_be_closed_inside_each_of_its_events)
{
    ptrdiff_t alive = mem_alive();
    for (int m = 0; m < MOMENTS; m++)
        close_at_moment((enum moment)m);
    assert_int_equal(mem_alive(), alive);
}

static void close_the_other(struct end *e, enum moment m)
{
    struct end *other = e->mind;
    if (m == ON_DATA)
        stream_close(&other->stream);
}

UNIT(a_stream_may_close_another_that_has_events_waiting_in_the_same_turn)
{
    struct end servers[2], clients[2];
    struct stage s;
    stage_open(&s, servers, 2);
    for (int i = 0; i < 2; i++) {
        end_init(&clients[i], &s);
        assert_int_equal(end_dial(&clients[i], "127.0.0.1", NULL), ERR_OK);
    }
    WAIT(&s, s.count == 2 && clients[0].count[ON_OPEN] && clients[1].count[ON_OPEN]);
    for (int i = 0; i < 2; i++) {
        servers[i].then = close_the_other;
        servers[i].mind = &servers[1 - i];
        assert_int_equal(end_say(&clients[i], "x"), ERR_OK);
    }
    WAIT(&s, !servers[0].stream || !servers[1].stream);
    for (int i = 0; i < 3; i++)
        stage_turn(&s);
    assert_int_equal(servers[0].count[ON_DATA] + servers[1].count[ON_DATA], 1);
    end_fini(&clients[0]);
    end_fini(&clients[1]);
    stage_close(&s);
}

UNIT(another_owner_gets_the_later_events)
{
    struct end server, client, next;
    struct stage s;
    stage_open(&s, &server, 1);
    dial_and_meet(&s, &client);
    end_init(&next, &s);
    stream_adopt(client.stream, &end_events, &next);
    next.stream = client.stream;
    client.stream = NULL;
    assert_int_equal(end_say(&server, "to the next"), ERR_OK);
    WAIT(&s, next.got.len == 11);
    assert_int_equal(client.count[ON_DATA], 0);
    end_fini(&next);
    end_fini(&client);
    stage_close(&s);
}

static const struct stream_events no_eof_events;

static void on_gone(void *arg, enum err why)
{
    *(enum err *)arg = why;
}

UNIT(an_owner_without_on_end_is_closed_by_the_end)
{
    struct end server, client;
    struct stage s;
    struct stream_events events = end_events;
    enum err why = ERR_OK;
    stage_open(&s, &server, 1);
    dial_and_meet(&s, &client);
    events = no_eof_events;
    events.on_close = on_gone;
    stream_adopt(client.stream, &events, &why);
    stream_finish(server.stream);
    WAIT(&s, why == ERR_CLOSED);
    stream_close(&client.stream);
    end_fini(&client);
    stage_close(&s);
}

/* descriptors and memory */

UNIT(a_thousand_connections_leave_no_descriptor_and_no_memory)
{
    size_t fds = ends_open_fds();
    ptrdiff_t alive = mem_alive();
    struct end *servers = calloc(MANY, sizeof(*servers));
    struct end *clients = calloc(MANY, sizeof(*clients));
    struct stage s;
    stage_open(&s, servers, MANY);
    s.on_accepted = echo_each;
    for (int round = 0; round < MANY / 100; round++) {
        for (int i = round * 100; i < round * 100 + 100; i++) {
            end_init(&clients[i], &s);
            assert_int_equal(end_dial(&clients[i], "127.0.0.1", NULL), ERR_OK);
        }
        WAIT(&s, s.count == (size_t)round * 100 + 100);
        for (int i = round * 100; i < round * 100 + 100; i++) {
            WAIT(&s, clients[i].count[ON_OPEN] == 1);
            assert_int_equal(end_say(&clients[i], "ping"), ERR_OK);
        }
        for (int i = round * 100; i < round * 100 + 100; i++)
            WAIT(&s, clients[i].got.len == 4);
        for (int i = round * 100; i < round * 100 + 100; i++)
            end_fini(&clients[i]);
        for (int i = round * 100; i < round * 100 + 100; i++) {
            WAIT(&s, servers[i].count[ON_EOF] == 1);
            stream_close(&servers[i].stream);
        }
    }
    stage_close(&s);
    free(servers);
    free(clients);
    assert_int_equal(ends_open_fds(), fds);
    assert_int_equal(mem_alive(), alive);
}

static enum err accept_one(void)
{
    struct end server = {0};
    struct loop *l;
    int pair[2];
    enum err e = loop_new(&l);
    if (e)
        return e;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    e = stream_accept(l, pair[0], NULL, &end_events, &server, &server.stream);
    stream_close(&server.stream);
    close(pair[1]);
    loop_free(l);
    return e;
}

UNIT(an_accept_that_finds_no_memory_closes_its_descriptor)
{
    size_t fds = ends_open_fds();
    EACH_ALLOCATION_FAILS(accept_one());
    assert_int_equal(ends_open_fds(), fds);
}

UNIT(without_memory_for_the_rest_a_stream_is_lost_and_says_so)
{
    struct end server, client;
    struct stage s;
    stage_open(&s, &server, 1);
    s.on_accepted = forget_each;
    dial_and_meet(&s, &client);
    stream_pause(server.stream);
    struct slice piece = slice_of(pattern, sizeof(pattern));
    enum err e = ERR_OK;
    for (int i = 0; i < 10000 && e == ERR_OK; i++) {
        mem_fail_after(1);
        e = stream_write(client.stream, &piece, 1);
        mem_fail_after(0);
    }
    assert_int_equal(e, ERR_NOMEM);
    assert_int_equal(client.count[ON_CLOSE], 0); /* not from inside of the call */
    WAIT(&s, client.count[ON_CLOSE] == 1);
    assert_int_equal(client.why, ERR_NOMEM);
    end_fini(&client);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_comes_back),
        cmocka_unit_test(more_parts_than_one_call_takes_arrive_in_order),
        cmocka_unit_test(a_slow_reader_stops_the_writer_and_loses_nothing),
        cmocka_unit_test(
            above_its_ceiling_a_write_is_refused_whole_and_the_writer_is_told_when_to_go_on),
        cmocka_unit_test(one_large_piece_is_taken_on_an_empty_stream),
        cmocka_unit_test(a_paused_stream_takes_nothing_and_goes_on_where_it_was),
        cmocka_unit_test(a_paused_stream_still_reports_that_its_peer_left),
        cmocka_unit_test(each_side_may_finish_before_the_other),
        cmocka_unit_test(a_reset_is_reported_once),
        cmocka_unit_test(bytes_that_came_before_the_reset_are_still_read),
        cmocka_unit_test(a_stream_may_be_closed_inside_each_of_its_events),
        cmocka_unit_test(a_stream_may_close_another_that_has_events_waiting_in_the_same_turn),
        cmocka_unit_test(another_owner_gets_the_later_events),
        cmocka_unit_test(an_owner_without_on_end_is_closed_by_the_end),
        cmocka_unit_test(a_thousand_connections_leave_no_descriptor_and_no_memory),
        cmocka_unit_test(an_accept_that_finds_no_memory_closes_its_descriptor),
        cmocka_unit_test(without_memory_for_the_rest_a_stream_is_lost_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
