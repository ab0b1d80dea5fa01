/* Streams over TLS: which peers are trusted, what is resumed, and certificates that change
 * meanwhile. */
#include "tests/unit/base/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/kit/net/tls_pair.h"

/* Threads share sessions, whose references OpenSSL counts by atomics inside its own libraries. The
 * sanitizer does not see those, and takes a session that the last holder frees for a race. */
#define TSAN_MORE "called_from_lib:libcrypto.so\ncalled_from_lib:libssl.so\n"
#include "tests/kit/tsan.h"

UNIT(another_host_name_is_refused)
{
    struct tls_pair r = {.certs = certs_new()};
    const struct certs_order order = {.name = "other", .san = "DNS:other.test,IP:127.0.0.2"};
    struct certs_files files = certs_issue(r.certs, &order);
    tls_pair_serve(&r, &files, NULL);
    r.client = ends_client_tls(certs_ca(r.certs));
    tls_pair_refuses(&r, "localhost");
    tls_pair_refuses(&r, "127.0.0.1");
    tls_pair_close(&r);
}

UNIT(a_common_name_alone_identifies_no_server)
{
    struct tls_pair r = {.certs = certs_new()};
    const struct certs_order order = {.name = "localhost", .san = "DNS:elsewhere.test"};
    struct certs_files files = certs_issue(r.certs, &order);
    tls_pair_serve(&r, &files, NULL);
    r.client = ends_client_tls(certs_ca(r.certs));
    tls_pair_refuses(&r, "localhost");
    tls_pair_close(&r);
}

UNIT(an_expired_certificate_is_refused)
{
    struct tls_pair r = {.certs = certs_new()};
    const struct certs_order order = {.name = "old", .san = "DNS:localhost", .expired = true};
    struct certs_files files = certs_issue(r.certs, &order);
    tls_pair_serve(&r, &files, NULL);
    r.client = ends_client_tls(certs_ca(r.certs));
    tls_pair_refuses(&r, "localhost");
    tls_pair_close(&r);
}

UNIT(another_authority_is_refused_and_so_is_a_client_certificate_that_serves)
{
    struct tls_pair r;
    struct certs *strangers = certs_new();
    tls_pair_open(&r);
    tls_drop(r.client);
    r.client = ends_client_tls(certs_ca(strangers));
    tls_pair_refuses(&r, "localhost");
    tls_drop(r.client);
    r.client = ends_client_tls(NULL); /* the system's roots */
    tls_pair_refuses(&r, "localhost");
    tls_pair_close(&r);
    certs_free(strangers);

    r = (struct tls_pair){.certs = certs_new()};
    const struct certs_order order = {.name = "client", .san = "DNS:localhost", .client = true};
    struct certs_files files = certs_issue(r.certs, &order);
    tls_pair_serve(&r, &files, NULL);
    r.client = ends_client_tls(certs_ca(r.certs));
    tls_pair_refuses(&r, "localhost");
    tls_pair_close(&r);
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
    struct tls_pair r = {.certs = certs_new()};
    struct certs *strangers = certs_new();
    const struct certs_order order = {.name = "plane-7", .client = true};
    struct certs_files server = certs_server(r.certs);
    struct certs_files good = certs_issue(r.certs, &order);
    struct certs_files bad = certs_issue(strangers, &order);
    struct end client;
    tls_pair_serve(&r, &server, certs_ca(r.certs));
    for (int i = 0; i < 2; i++) { /* TLS 1.3 clients are open before they are refused */
        r.client = i ? client_with(r.certs, &bad) : ends_client_tls(certs_ca(r.certs));
        tls_pair_dial(&r, &client, "localhost");
        WAIT(&r.stage, client.count[ON_CLOSE] == 1);
        assert_int_equal(r.servers[i].count[ON_OPEN], 0);
        assert_int_equal(r.servers[i].why, ERR_TLS);
        end_fini(&client);
        tls_drop(r.client);
    }
    r.client = client_with(r.certs, &good);
    tls_pair_meet(&r, &client, "localhost");
    end_fini(&client);
    /* and again by resumption, where no certificate is sent */
    tls_pair_meet(&r, &client, "localhost");
    assert_true(end_is_resumed(&client));
    end_fini(&client);
    tls_pair_close(&r);
    certs_free(strangers);
}

/* sessions and certificates */

UNIT(the_second_connection_resumes_the_first_but_another_host_does_not)
{
    struct tls_pair r;
    struct end first, second, elsewhere;
    tls_pair_open(&r);
    tls_pair_meet(&r, &first, "localhost");
    assert_false(end_is_resumed(&first));
    end_fini(&first);
    tls_pair_meet(&r, &elsewhere, "127.0.0.1");
    assert_false(end_is_resumed(&elsewhere));
    tls_pair_meet(&r, &second, "localhost");
    assert_true(end_is_resumed(&second));
    end_fini(&second);
    end_fini(&elsewhere);
    tls_pair_close(&r);
}

UNIT(a_new_certificate_serves_new_connections_and_the_old_ones_stay)
{
    struct tls_pair r;
    struct end before, after;
    tls_pair_open(&r);
    tls_pair_meet(&r, &before, "localhost");

    const struct certs_order order = {.name = "server", .san = "DNS:renewed.test"};
    certs_issue(r.certs, &order);
    assert_int_equal(tls_reload(r.stage.tls), ERR_OK);
    assert_int_equal(tls_reload(r.client), ERR_OK); /* forgets sessions: a full handshake */
    tls_pair_refuses(&r, "localhost");
    tls_pair_ping(&r, &before);

    certs_server(r.certs);
    assert_int_equal(tls_reload(r.stage.tls), ERR_OK);
    tls_pair_meet(&r, &after, "localhost");
    tls_pair_ping(&r, &before);
    end_fini(&before);
    end_fini(&after);
    tls_pair_close(&r);
}

UNIT(a_reload_that_fails_leaves_the_old_certificate_in_place)
{
    struct tls_pair r;
    struct end client;
    struct certs_files files;
    tls_pair_open(&r);
    files = certs_server(r.certs);
    FILE *f = fopen(files.cert, "w");
    assert_non_null(f);
    fputs("no certificate", f);
    fclose(f);
    assert_int_equal(tls_reload(r.stage.tls), ERR_TLS);
    tls_pair_meet(&r, &client, "localhost");
    end_fini(&client);
    tls_pair_close(&r);
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

/* workers share contexts, which the main thread reloads while they are in use */

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
        stage.on_accepted = tls_pair_echoes;
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
    struct tls_pair r;
    struct worker workers[WORKERS];
    tls_pair_open(&r);
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
    tls_pair_close(&r);
}

/* ---- contexts from texts ---- */

static struct slice file_text(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, cap, f);
    fclose(f);
    return slice_of(out, n);
}

UNIT(a_context_from_texts_trusts_its_authority_and_shows_its_certificate)
{
    struct tls_pair r = {.certs = certs_new()};
    const struct certs_order order = {.name = "plane", .client = true};
    struct certs_files server = certs_server(r.certs), own = certs_issue(r.certs, &order);
    char ca[8192], cert[8192], key[8192];
    struct tls_client_pem pem = {.ca = file_text(certs_ca(r.certs), ca, sizeof(ca)),
                                 .cert = file_text(own.cert, cert, sizeof(cert)),
                                 .key = file_text(own.key, key, sizeof(key))};
    const char *why;
    tls_pair_serve(&r, &server, certs_ca(r.certs)); /* it wants a certificate of its clients */
    assert_int_equal(tls_client_from_pem(&pem, &r.client, &why), ERR_OK);
    struct end client;
    tls_pair_meet(&r, &client, "localhost");
    end_fini(&client);
    tls_pair_close(&r);

    r = (struct tls_pair){.certs = certs_new()}; /* of another authority */
    server = certs_server(r.certs);
    tls_pair_serve(&r, &server, NULL);
    assert_int_equal(tls_client_from_pem(&pem, &r.client, &why), ERR_OK);
    tls_pair_refuses(&r, "localhost");
    tls_pair_close(&r);
}

UNIT(texts_that_are_no_certificates_or_do_not_fit_are_refused)
{
    struct certs *c = certs_new();
    const struct certs_order orders[] = {{.name = "one", .client = true},
                                         {.name = "two", .client = true}};
    struct certs_files one = certs_issue(c, &orders[0]), two = certs_issue(c, &orders[1]);
    char ca[8192], cert[8192], key[8192], cut[64];
    struct slice authority = file_text(certs_ca(c), ca, sizeof(ca));
    struct slice own = file_text(one.cert, cert, sizeof(cert));
    struct slice others = file_text(two.key, key, sizeof(key));
    const struct tls_client_pem rows[] = {
        {.ca = SLICE("no certificate")},
        {.ca = slice_first(authority, authority.len / 2)},
        {.ca = others},
        {.ca = authority, .cert = own, .key = others},
        {.ca = authority, .cert = own, .key = SLICE("no key")},
        {.ca = authority, .key = others},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_context *t = NULL;
        const char *why = NULL;
        enum err e = tls_client_from_pem(&rows[i], &t, &why);
        snprintf(cut, sizeof(cut), "row %zu", i);
        if (e != ERR_INVALID || !why || t)
            fail_msg("%s was taken", cut);
    }
    certs_free(c);
}

int main(void)
{
    log_setup("test", LOG_ERROR + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_host_name_is_refused),
        cmocka_unit_test(a_common_name_alone_identifies_no_server),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(another_authority_is_refused_and_so_is_a_client_certificate_that_serves),
        cmocka_unit_test(where_client_certificates_are_asked_for_only_the_right_ones_come_in),
        cmocka_unit_test(the_second_connection_resumes_the_first_but_another_host_does_not),
        cmocka_unit_test(a_new_certificate_serves_new_connections_and_the_old_ones_stay),
        cmocka_unit_test(a_reload_that_fails_leaves_the_old_certificate_in_place),
        cmocka_unit_test(a_key_that_does_not_fit_or_a_file_that_is_not_there_makes_no_context),
        cmocka_unit_test(
            a_file_that_is_not_there_is_called_that_and_one_that_is_something_else_is_not),
        cmocka_unit_test(threads_share_contexts_while_another_reloads_them),
        cmocka_unit_test(a_context_from_texts_trusts_its_authority_and_shows_its_certificate),
        cmocka_unit_test(texts_that_are_no_certificates_or_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
