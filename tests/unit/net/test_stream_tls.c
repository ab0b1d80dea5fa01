/* Streams over TLS: what goes through them, and what a cut-off end looks like. */
#include "tests/unit/base/unit.h"

#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "tests/kit/net/tls_pair.h"

#define LARGE (4u * 1024 * 1024)

UNIT(what_is_said_comes_back_under_a_name_and_under_an_address)
{
    struct tls_pair r;
    struct end by_name, by_address;
    tls_pair_open(&r);
    tls_pair_meet(&r, &by_name, "localhost");
    tls_pair_meet(&r, &by_address, "127.0.0.1");
    expect_text(end_text(&by_name), "ping");
    end_fini(&by_name);
    end_fini(&by_address);
    tls_pair_close(&r);
}

UNIT(a_large_piece_and_many_small_parts_arrive_as_they_were)
{
    struct tls_pair r;
    struct end client;
    struct slice *parts = calloc(3000, sizeof(*parts));
    char *large = malloc(LARGE);
    tls_pair_open(&r);
    tls_pair_meet(&r, &client, "localhost");
    r.servers[0].then = NULL;
    buf_clear(&r.servers[0].got);
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 131 + i / 127);
    size_t at = 0, n = 0;
    for (; n < 2999; n++) {
        size_t len = n % 7 == 3 ? 0 : n % 613 == 0 ? 40000 : n % 97;
        parts[n] = slice_of(large + at, len);
        at += len;
    }
    parts[n++] = slice_of(large + at, LARGE - at);
    assert_int_equal(stream_write(client.stream, parts, n), ERR_OK);
    WAIT(&r.stage, r.servers[0].got.len == LARGE);
    assert_memory_equal(end_text(&r.servers[0]).ptr, large, LARGE);
    free(parts);
    free(large);
    end_fini(&client);
    tls_pair_close(&r);
}

UNIT(a_slow_reader_stops_the_writer_through_tls_too)
{
    struct tls_pair r;
    struct end client;
    size_t fed = 0, total = 12u * 1024 * 1024;
    static char block[20000];
    tls_pair_open(&r);
    tls_pair_meet(&r, &client, "localhost");
    struct end *server = &r.servers[0];
    server->then = NULL;
    server->forget = true;
    server->bytes = 0;
    stream_pause(server->stream);
    while (server->bytes < total) {
        struct slice piece = slice_of(block, sizeof(block));
        while (fed < total && stream_pending(client.stream) <= LIMIT_STREAM_HIGH) {
            piece = slice_first(piece, total - fed);
            assert_int_equal(stream_write(client.stream, &piece, 1), ERR_OK);
            fed += piece.len;
        }
        assert_true(stream_pending(client.stream) <= LIMIT_STREAM_HIGH + 21000);
        if (server->bytes == 0) {
            for (int i = 0; i < 10; i++)
                stage_turn(&r.stage);
            assert_int_equal(server->bytes, 0);
            assert_true(fed < total);
            stream_resume(server->stream);
        }
        stage_turn(&r.stage);
    }
    assert_int_equal(server->bytes, total);
    assert_true(client.count[ON_DRAIN] > 0);
    end_fini(&client);
    tls_pair_close(&r);
}

static void pause_at_each(struct end *e, enum moment m)
{
    if (m == ON_DATA)
        stream_pause(e->stream);
}

UNIT(paused_inside_of_on_data_it_keeps_what_it_has_and_goes_on_by_resume)
{
    struct tls_pair r;
    struct end client;
    char *large = calloc(1, LARGE);
    tls_pair_open(&r);
    tls_pair_meet(&r, &client, "localhost");
    struct end *server = &r.servers[0];
    server->then = pause_at_each;
    server->forget = true;
    server->bytes = 0;
    struct slice piece = slice_of(large, LARGE);
    assert_int_equal(stream_write(client.stream, &piece, 1), ERR_OK);
    while (server->bytes < LARGE) {
        size_t bytes = server->bytes;
        unsigned events = server->count[ON_DATA];
        WAIT(&r.stage, server->bytes > bytes);
        assert_int_equal(server->count[ON_DATA], events + 1);
        stage_turn(&r.stage);
        assert_int_equal(server->count[ON_DATA], events + 1);
        stream_resume(server->stream);
    }
    assert_int_equal(server->bytes, LARGE);
    free(large);
    end_fini(&client);
    tls_pair_close(&r);
}

UNIT(a_finished_stream_ends_in_order_on_both_sides)
{
    struct tls_pair r;
    struct end client;
    tls_pair_open(&r);
    tls_pair_meet(&r, &client, "localhost");
    assert_int_equal(end_say(&client, "last"), ERR_OK);
    stream_finish(client.stream);
    WAIT(&r.stage, r.servers[0].count[ON_EOF] == 1);
    assert_int_equal(end_say(&r.servers[0], "answer"), ERR_OK);
    stream_finish(r.servers[0].stream);
    WAIT(&r.stage, client.count[ON_CLOSE] == 1);
    assert_int_equal(client.why, ERR_OK);
    expect_text(end_text(&client), "pinglastanswer");
    end_fini(&client);
    tls_pair_close(&r);
}

UNIT(an_end_without_close_notify_is_a_broken_one)
{
    struct tls_pair r;
    struct end client;
    tls_pair_open(&r);
    tls_pair_meet(&r, &client, "localhost");
    stream_close(&r.servers[0].stream); /* FIN alone: anybody on the way could send it */
    WAIT(&r.stage, client.count[ON_CLOSE] == 1);
    assert_int_equal(client.why, ERR_CLOSED);
    assert_int_equal(client.count[ON_EOF], 0);
    end_fini(&client);
    tls_pair_close(&r);
}

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

UNIT(a_tls_stream_may_be_closed_inside_each_of_its_events)
{
    static char block[60000];
    for (int m = 0; m < MOMENTS; m++) {
        struct tls_pair r;
        struct end client;
        struct slice piece = slice_of(block, sizeof(block));
        tls_pair_open(&r);
        close_at = (enum moment)m;
        r.stage.on_accepted = close_each;
        tls_pair_dial(&r, &client, "localhost");
        client.forget = true;
        WAIT(&r.stage, r.stage.count == 1 && r.servers[0].count[ON_OPEN] == 1);
        if (m != ON_OPEN) {
            WAIT(&r.stage, client.count[ON_OPEN] == 1);
            for (int i = 0; m == ON_DRAIN && i < 1000; i++)
                if (stream_write(r.servers[0].stream, &piece, 1))
                    break;
            assert_int_equal(stream_write(client.stream, &piece, 1), ERR_OK);
            if (m == ON_CLOSE)
                end_fini(&client);
            else
                stream_finish(client.stream);
        }
        WAIT(&r.stage, !r.servers[0].stream);
        unsigned before[MOMENTS];
        memcpy(before, r.servers[0].count, sizeof(before));
        for (int i = 0; i < 5; i++)
            stage_turn(&r.stage);
        assert_memory_equal(before, r.servers[0].count, sizeof(before));
        end_fini(&client);
        tls_pair_close(&r);
    }
}

UNIT(other_bytes_instead_of_a_handshake_are_refused)
{
    struct tls_pair r;
    struct end client;
    tls_pair_open(&r);
    end_init(&client, &r.stage);
    assert_int_equal(end_dial(&client, "127.0.0.1", NULL), ERR_OK);
    WAIT(&r.stage, client.count[ON_OPEN] == 1);
    assert_int_equal(end_say(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ERR_OK);
    WAIT(&r.stage, r.stage.count == 1 && r.servers[0].count[ON_CLOSE] == 1);
    assert_int_equal(r.servers[0].why, ERR_TLS);
    assert_int_equal(r.servers[0].count[ON_OPEN], 0);
    end_fini(&client);
    tls_pair_close(&r);
}

/* The n-th allocation of ours fails between accept and the first response: each run ends with a
 * response or with a reported failure, and leaks nothing. */
UNIT(whichever_allocation_fails_a_connection_ends_in_order)
{
    struct tls_pair r;
    struct end first;
    tls_pair_open(&r);
    tls_pair_meet(&r, &first,
                  "localhost"); /* what a loop keeps for all its streams is there from now on */
    end_fini(&first);
    end_fini(&r.servers[0]);
    stage_turn(&r.stage); /* and what it closed is gone */
    assert_int_equal(tls_reload(r.client), ERR_OK);
    r.stage.on_accepted = NULL;
    bool hit = true;
    for (size_t n = 1; hit && n < 200; n++) {
        struct end client;
        ptrdiff_t alive = mem_alive();
        r.stage.count = 0;
        end_init(&client, &r.stage);
        mem_fail_after(n);
        enum err e = end_dial(&client, "localhost", r.client);
        bool ended = e != ERR_OK;
        uint64_t late = ends_now_ms() + WAIT_MS;
        while (!ended && ends_now_ms() < late) {
            stage_turn(&r.stage);
            struct end *server = &r.servers[0];
            bool up = r.stage.count > 0 && server->count[ON_OPEN] && client.count[ON_OPEN];
            ended = client.count[ON_CLOSE] || up;
        }
        hit = mem_failed();
        mem_fail_after(0);
        assert_true(ended);
        if (e)
            assert_int_equal(e, ERR_NOMEM);
        end_fini(&client);
        for (size_t i = 0; i < r.stage.count; i++)
            end_fini(&r.servers[i]);
        for (int i = 0; i < 3; i++)
            stage_turn(&r.stage);
        assert_int_equal(tls_reload(r.client), ERR_OK); /* forgets the session it kept */
        assert_int_equal(mem_alive(), alive);
    }
    r.stage.count = 0;
    assert_false(hit);
    tls_pair_close(&r);
}

int main(void)
{
    log_setup("test", LOG_ERROR + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_comes_back_under_a_name_and_under_an_address),
        cmocka_unit_test(a_large_piece_and_many_small_parts_arrive_as_they_were),
        cmocka_unit_test(a_slow_reader_stops_the_writer_through_tls_too),
        cmocka_unit_test(paused_inside_of_on_data_it_keeps_what_it_has_and_goes_on_by_resume),
        cmocka_unit_test(a_finished_stream_ends_in_order_on_both_sides),
        cmocka_unit_test(an_end_without_close_notify_is_a_broken_one),
        cmocka_unit_test(a_tls_stream_may_be_closed_inside_each_of_its_events),
        cmocka_unit_test(other_bytes_instead_of_a_handshake_are_refused),
        cmocka_unit_test(whichever_allocation_fails_a_connection_ends_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
