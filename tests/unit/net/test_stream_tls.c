/* Streams over TLS: who is believed, what is resumed, and what a cut-off end looks like. */
#include "tests/unit/base/unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/net/stream_private.h"
#include "tests/kit/net/certs.h"
#include "tests/kit/net/ends.h"

#define LARGE (4u * 1024 * 1024)

struct room {
    struct certs *certs;
    struct stage stage;
    struct end servers[8];
    struct tls_context *client; /* believes in certs */
};

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

static void room_serve(struct room *r, const struct certs_files *files, const char *client_ca)
{
    const struct tls_server_config config = {
        .cert_file = files->cert, .key_file = files->key, .client_ca_file = client_ca};
    stage_open(&r->stage, r->servers, ARRAY_LEN(r->servers));
    r->stage.on_accepted = echo_each;
    assert_int_equal(tls_server_new(&config, &r->stage.tls), ERR_OK);
}

static void room_open(struct room *r)
{
    *r = (struct room){.certs = certs_new()};
    struct certs_files files = certs_server(r->certs);
    room_serve(r, &files, NULL);
    r->client = ends_client_tls(certs_ca(r->certs));
}

static void room_close(struct room *r)
{
    tls_drop(r->client);
    stage_close(&r->stage);
    certs_free(r->certs);
}

static void dial(struct room *r, struct end *client, const char *host)
{
    end_init(client, &r->stage);
    assert_int_equal(end_dial(client, host, r->client), ERR_OK);
}

static void ping(struct room *r, struct end *client)
{
    size_t before = client->got.len;
    assert_int_equal(end_say(client, "ping"), ERR_OK);
    WAIT(&r->stage, client->got.len == before + 4);
}

static void meet(struct room *r, struct end *client, const char *host)
{
    dial(r, client, host);
    WAIT(&r->stage, client->count[ON_OPEN] + client->count[ON_CLOSE] > 0);
    assert_int_equal(client->count[ON_OPEN], 1);
    ping(r, client);
}

static bool is_resumed(const struct end *e)
{
    return tls_session_is_resumed(e->stream->tls);
}

static void expect_refusal(struct room *r, const char *host)
{
    struct end client;
    dial(r, &client, host);
    WAIT(&r->stage, client.count[ON_OPEN] + client.count[ON_CLOSE] > 0);
    assert_int_equal(client.count[ON_OPEN], 0);
    assert_int_equal(client.count[ON_CLOSE], 1);
    assert_int_equal(client.why, ERR_TLS);
    assert_int_equal(end_say(&client, "secret"), ERR_CLOSED);
    end_fini(&client);
}

UNIT(what_is_said_comes_back_under_a_name_and_under_an_address)
{
    struct room r;
    struct end by_name, by_address;
    room_open(&r);
    meet(&r, &by_name, "localhost");
    meet(&r, &by_address, "127.0.0.1");
    expect_text(end_text(&by_name), "ping");
    end_fini(&by_name);
    end_fini(&by_address);
    room_close(&r);
}

UNIT(a_large_piece_and_many_small_parts_arrive_as_they_were)
{
    struct room r;
    struct end client;
    struct slice *parts = calloc(3000, sizeof(*parts));
    char *large = malloc(LARGE);
    room_open(&r);
    meet(&r, &client, "localhost");
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
    room_close(&r);
}

UNIT(a_slow_reader_stops_the_writer_through_tls_too)
{
    struct room r;
    struct end client;
    size_t fed = 0, total = 12u * 1024 * 1024;
    static char block[20000];
    room_open(&r);
    meet(&r, &client, "localhost");
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
    room_close(&r);
}

static void pause_at_each(struct end *e, enum moment m)
{
    if (m == ON_DATA)
        stream_pause(e->stream);
}

UNIT(paused_inside_of_on_data_it_keeps_what_it_has_and_goes_on_by_resume)
{
    struct room r;
    struct end client;
    char *large = calloc(1, LARGE);
    room_open(&r);
    meet(&r, &client, "localhost");
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
    room_close(&r);
}

/* who is believed */

UNIT(another_host_name_is_refused)
{
    struct room r = {.certs = certs_new()};
    const struct certs_order order = {.name = "other", .san = "DNS:other.test,IP:127.0.0.2"};
    struct certs_files files = certs_issue(r.certs, &order);
    room_serve(&r, &files, NULL);
    r.client = ends_client_tls(certs_ca(r.certs));
    expect_refusal(&r, "localhost");
    expect_refusal(&r, "127.0.0.1");
    room_close(&r);
}

UNIT(a_common_name_alone_is_nobody)
{
    struct room r = {.certs = certs_new()};
    const struct certs_order order = {.name = "localhost", .san = "DNS:elsewhere.test"};
    struct certs_files files = certs_issue(r.certs, &order);
    room_serve(&r, &files, NULL);
    r.client = ends_client_tls(certs_ca(r.certs));
    expect_refusal(&r, "localhost");
    room_close(&r);
}

UNIT(an_expired_certificate_is_refused)
{
    struct room r = {.certs = certs_new()};
    const struct certs_order order = {.name = "old", .san = "DNS:localhost", .expired = true};
    struct certs_files files = certs_issue(r.certs, &order);
    room_serve(&r, &files, NULL);
    r.client = ends_client_tls(certs_ca(r.certs));
    expect_refusal(&r, "localhost");
    room_close(&r);
}

UNIT(another_authority_is_refused_and_so_is_a_client_certificate_that_serves)
{
    struct room r;
    struct certs *strangers = certs_new();
    room_open(&r);
    tls_drop(r.client);
    r.client = ends_client_tls(certs_ca(strangers));
    expect_refusal(&r, "localhost");
    tls_drop(r.client);
    r.client = ends_client_tls(NULL); /* the system's roots */
    expect_refusal(&r, "localhost");
    room_close(&r);
    certs_free(strangers);

    r = (struct room){.certs = certs_new()};
    const struct certs_order order = {.name = "client", .san = "DNS:localhost", .client = true};
    struct certs_files files = certs_issue(r.certs, &order);
    room_serve(&r, &files, NULL);
    r.client = ends_client_tls(certs_ca(r.certs));
    expect_refusal(&r, "localhost");
    room_close(&r);
}

static struct tls_context *client_with(const struct certs *c, const struct certs_files *files)
{
    const struct tls_client_config config = {
        .ca_file = certs_ca(c), .cert_file = files->cert, .key_file = files->key};
    struct tls_context *t;
    assert_int_equal(tls_client_new(&config, &t), ERR_OK);
    return t;
}

UNIT(where_client_certificates_are_asked_for_only_the_right_ones_come_in)
{
    struct room r = {.certs = certs_new()};
    struct certs *strangers = certs_new();
    const struct certs_order order = {.name = "plane-7", .client = true};
    struct certs_files server = certs_server(r.certs);
    struct certs_files good = certs_issue(r.certs, &order);
    struct certs_files bad = certs_issue(strangers, &order);
    struct end client;
    room_serve(&r, &server, certs_ca(r.certs));
    for (int i = 0; i < 2; i++) { /* TLS 1.3 clients are open before they are refused */
        r.client = i ? client_with(r.certs, &bad) : ends_client_tls(certs_ca(r.certs));
        dial(&r, &client, "localhost");
        WAIT(&r.stage, client.count[ON_CLOSE] == 1);
        assert_int_equal(r.servers[i].count[ON_OPEN], 0);
        assert_int_equal(r.servers[i].why, ERR_TLS);
        end_fini(&client);
        tls_drop(r.client);
    }
    r.client = client_with(r.certs, &good);
    meet(&r, &client, "localhost");
    end_fini(&client);
    /* and again by resumption, where no certificate is sent */
    meet(&r, &client, "localhost");
    assert_true(is_resumed(&client));
    end_fini(&client);
    room_close(&r);
    certs_free(strangers);
}

/* sessions and certificates */

UNIT(the_second_connection_resumes_the_first_but_another_host_does_not)
{
    struct room r;
    struct end first, second, elsewhere;
    room_open(&r);
    meet(&r, &first, "localhost");
    assert_false(is_resumed(&first));
    end_fini(&first);
    meet(&r, &elsewhere, "127.0.0.1");
    assert_false(is_resumed(&elsewhere));
    meet(&r, &second, "localhost");
    assert_true(is_resumed(&second));
    end_fini(&second);
    end_fini(&elsewhere);
    room_close(&r);
}

UNIT(a_new_certificate_serves_new_connections_and_the_old_ones_stay)
{
    struct room r;
    struct end before, after;
    room_open(&r);
    meet(&r, &before, "localhost");

    const struct certs_order order = {.name = "server", .san = "DNS:renewed.test"};
    certs_issue(r.certs, &order);
    assert_int_equal(tls_reload(r.stage.tls), ERR_OK);
    assert_int_equal(tls_reload(r.client), ERR_OK); /* forgets sessions: a full handshake */
    expect_refusal(&r, "localhost");
    ping(&r, &before);

    certs_server(r.certs);
    assert_int_equal(tls_reload(r.stage.tls), ERR_OK);
    meet(&r, &after, "localhost");
    ping(&r, &before);
    end_fini(&before);
    end_fini(&after);
    room_close(&r);
}

UNIT(a_reload_that_fails_leaves_the_old_certificate_in_place)
{
    struct room r;
    struct end client;
    struct certs_files files;
    room_open(&r);
    files = certs_server(r.certs);
    FILE *f = fopen(files.cert, "w");
    assert_non_null(f);
    fputs("no certificate", f);
    fclose(f);
    assert_int_equal(tls_reload(r.stage.tls), ERR_TLS);
    meet(&r, &client, "localhost");
    end_fini(&client);
    room_close(&r);
}

UNIT(a_key_that_does_not_fit_or_a_file_that_is_not_there_makes_no_context)
{
    struct certs *c = certs_new();
    struct tls_context *t;
    const struct certs_order order = {.name = "second", .san = "DNS:x"};
    struct certs_files a = certs_server(c), b = certs_issue(c, &order);
    const struct tls_server_config mixed = {.cert_file = a.cert, .key_file = b.key};
    const struct tls_server_config nowhere = {.cert_file = "/nowhere", .key_file = b.key};
    const struct tls_server_config no_ca = {
        .cert_file = a.cert, .key_file = a.key, .client_ca_file = "/nowhere"};
    const struct tls_client_config half = {.cert_file = a.cert};
    const struct tls_client_config lost = {.ca_file = "/nowhere"};
    assert_int_equal(tls_server_new(&mixed, &t), ERR_TLS);
    assert_int_equal(tls_server_new(&nowhere, &t), ERR_TLS);
    assert_int_equal(tls_server_new(&no_ca, &t), ERR_TLS);
    assert_int_equal(tls_client_new(&half, &t), ERR_INVALID);
    assert_int_equal(tls_client_new(&lost, &t), ERR_TLS);
    certs_free(c);
}

/* What is logged while a context is made that cannot be. */
static void expect_complaint(const struct tls_server_config *config, const char *wanted)
{
    char said[1024];
    struct tls_context *t;
    FILE *file = tmpfile();
    int real = dup(STDERR_FILENO);
    assert_true(file && dup2(fileno(file), STDERR_FILENO) >= 0);
    log_setup("test", LOG_ERROR);
    enum err e = tls_server_new(config, &t);
    log_setup("test", LOG_ERROR + 1);
    assert_true(dup2(real, STDERR_FILENO) >= 0);
    close(real);
    rewind(file);
    said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
    fclose(file);
    assert_int_equal(e, ERR_TLS);
    if (!strstr(said, wanted))
        fail_msg("no \"%s\" in: %s", wanted, said);
}

UNIT(a_file_that_is_not_there_is_called_that_and_one_that_is_something_else_is_not)
{
    struct certs *c = certs_new();
    struct certs_files files = certs_server(c);
    const struct tls_server_config no_key = {.cert_file = files.cert, .key_file = "/nowhere/key"};
    const struct tls_server_config no_cert = {.cert_file = "/nowhere/cert", .key_file = files.key};
    const struct tls_server_config wrong = {.cert_file = files.key, .key_file = files.key};
    expect_complaint(&no_key, "\"file\":\"/nowhere/key\",\"why\":\"No such file or directory\"");
    expect_complaint(&no_cert, "\"file\":\"/nowhere/cert\",\"why\":\"No such file or directory\"");
    expect_complaint(&wrong, "\"why\":\"no start line\"");
    certs_free(c);
}

/* ends */

UNIT(a_finished_stream_ends_in_order_on_both_sides)
{
    struct room r;
    struct end client;
    room_open(&r);
    meet(&r, &client, "localhost");
    assert_int_equal(end_say(&client, "last"), ERR_OK);
    stream_finish(client.stream);
    WAIT(&r.stage, r.servers[0].count[ON_EOF] == 1);
    assert_int_equal(end_say(&r.servers[0], "answer"), ERR_OK);
    stream_finish(r.servers[0].stream);
    WAIT(&r.stage, client.count[ON_CLOSE] == 1);
    assert_int_equal(client.why, ERR_OK);
    expect_text(end_text(&client), "pinglastanswer");
    end_fini(&client);
    room_close(&r);
}

UNIT(an_end_without_close_notify_is_a_broken_one)
{
    struct room r;
    struct end client;
    room_open(&r);
    meet(&r, &client, "localhost");
    stream_close(&r.servers[0].stream); /* FIN alone: anybody on the way could send it */
    WAIT(&r.stage, client.count[ON_CLOSE] == 1);
    assert_int_equal(client.why, ERR_CLOSED);
    assert_int_equal(client.count[ON_EOF], 0);
    end_fini(&client);
    room_close(&r);
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
        struct room r;
        struct end client;
        struct slice piece = slice_of(block, sizeof(block));
        room_open(&r);
        close_at = (enum moment)m;
        r.stage.on_accepted = close_each;
        dial(&r, &client, "localhost");
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
        room_close(&r);
    }
}

UNIT(gibberish_instead_of_a_handshake_is_refused)
{
    struct room r;
    struct end client;
    room_open(&r);
    end_init(&client, &r.stage);
    assert_int_equal(end_dial(&client, "127.0.0.1", NULL), ERR_OK);
    WAIT(&r.stage, client.count[ON_OPEN] == 1);
    assert_int_equal(end_say(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ERR_OK);
    WAIT(&r.stage, r.stage.count == 1 && r.servers[0].count[ON_CLOSE] == 1);
    assert_int_equal(r.servers[0].why, ERR_TLS);
    assert_int_equal(r.servers[0].count[ON_OPEN], 0);
    end_fini(&client);
    room_close(&r);
}

/* The n-th allocation of ours fails somewhere between accept and the first answer: each run ends
 * with an answer or with a failure told, and leaves nothing behind. */
UNIT(whichever_allocation_fails_a_connection_ends_in_order)
{
    struct room r;
    struct end first;
    room_open(&r);
    meet(&r, &first, "localhost"); /* what a loop keeps for all its streams is there from now on */
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
    room_close(&r);
}

/* workers share contexts, and the main thread reloads them under their feet */

#define WORKERS 3
#define ROUNDS 40

struct worker {
    struct tls_context *server, *client;
    pthread_t thread;
    int rounds;
};

static void *shake_hands(void *arg)
{
    struct worker *w = arg;
    for (; w->rounds < ROUNDS; w->rounds++) {
        struct stage stage;
        struct end server, client;
        stage_open(&stage, &server, 1);
        stage.tls = tls_hold(w->server);
        stage.on_accepted = echo_each;
        end_init(&client, &stage);
        assert_int_equal(end_dial(&client, "127.0.0.1", w->client), ERR_OK);
        WAIT(&stage, client.count[ON_OPEN] == 1);
        assert_int_equal(end_say(&client, "hello"), ERR_OK);
        WAIT(&stage, client.got.len == 5);
        end_fini(&client);
        stage_close(&stage);
    }
    return NULL;
}

UNIT(threads_share_contexts_while_another_reloads_them)
{
    struct room r;
    struct worker workers[WORKERS];
    room_open(&r);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.server = r.stage.tls, .client = r.client};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, shake_hands, &workers[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        assert_int_equal(tls_reload(r.stage.tls), ERR_OK);
        assert_int_equal(tls_reload(r.client), ERR_OK);
        usleep(3000);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].rounds, ROUNDS);
    }
    room_close(&r);
}

int main(void)
{
    log_setup("test", LOG_ERROR + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_comes_back_under_a_name_and_under_an_address),
        cmocka_unit_test(a_large_piece_and_many_small_parts_arrive_as_they_were),
        cmocka_unit_test(a_slow_reader_stops_the_writer_through_tls_too),
        cmocka_unit_test(paused_inside_of_on_data_it_keeps_what_it_has_and_goes_on_by_resume),
        cmocka_unit_test(another_host_name_is_refused),
        cmocka_unit_test(a_common_name_alone_is_nobody),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(another_authority_is_refused_and_so_is_a_client_certificate_that_serves),
        cmocka_unit_test(where_client_certificates_are_asked_for_only_the_right_ones_come_in),
        cmocka_unit_test(the_second_connection_resumes_the_first_but_another_host_does_not),
        cmocka_unit_test(a_new_certificate_serves_new_connections_and_the_old_ones_stay),
        cmocka_unit_test(a_reload_that_fails_leaves_the_old_certificate_in_place),
        cmocka_unit_test(a_key_that_does_not_fit_or_a_file_that_is_not_there_makes_no_context),
        cmocka_unit_test(
            a_file_that_is_not_there_is_called_that_and_one_that_is_something_else_is_not),
        cmocka_unit_test(a_finished_stream_ends_in_order_on_both_sides),
        cmocka_unit_test(an_end_without_close_notify_is_a_broken_one),
        cmocka_unit_test(a_tls_stream_may_be_closed_inside_each_of_its_events),
        cmocka_unit_test(gibberish_instead_of_a_handshake_is_refused),
        cmocka_unit_test(threads_share_contexts_while_another_reloads_them),
        cmocka_unit_test(whichever_allocation_fails_a_connection_ends_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
