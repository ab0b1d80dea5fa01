/*
 * The client's kept connections: when one is used again, when it is not, and what a warm pair of
 * client and server costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/http_server.h"
#include "tests/kit/net/certs.h"
#include "tests/kit/net/client_scenario.h"

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* The upstream closes a kept connection just as the next request is on its way. */
static bool stale(struct world *w, struct ask *a, struct buf *in, int *fresh)
{
    struct ask first;
    int fd = -1;
    *fresh = -1;
    ask_init(&first, w, SLICE("GET"));
    bool fine = served(&first, &fd, in, ok, false);
    ask_fini(&first);
    ask_start(a);
    fine = fine && hear_request(fd, in);
    close(fd);
    return fine;
}

static void stale_scenario(void *arg)
{
    struct world *w = arg;
    struct buf in;
    struct ask a;
    int fd;
    buf_init(&in, 1 << 20);

    ask_init(&a, w, SLICE("GET"));
    EXPECT(w, stale(w, &a, &in, &fd));
    fd = peer_accept(w->listener);
    EXPECT(w, hear_request(fd, &in) && slice_starts(buf_slice(&in), SLICE("GET /x ")));
    EXPECT(w, peer_say(fd, ok) && ask_wait(&a) && a.status == 200 && !a.why);
    ask_fini(&a);
    close(fd);
    EXPECT(w, idle_becomes(w, 0));

    /* with a body; and only once */
    ask_init(&a, w, SLICE("PUT"));
    a.spec.body[0] = SLICE("abc");
    EXPECT(w, stale(w, &a, &in, &fd));
    fd = peer_accept(w->listener);
    EXPECT(w, hear_request(fd, &in) && slice_ends(buf_slice(&in), SLICE("\r\n\r\nabc")));
    close(fd);
    EXPECT(w, ask_wait(&a) && a.why == ERR_CLOSED && a.phase == HTTP_PHASE_FIRST_BYTE);
    ask_fini(&a);

    /* whatever the method: nothing says that it was read */
    ask_init(&a, w, SLICE("POST"));
    a.spec.body[0] = SLICE("abc");
    EXPECT(w, stale(w, &a, &in, &fd));
    fd = peer_accept(w->listener);
    EXPECT(w, hear_request(fd, &in) && slice_ends(buf_slice(&in), SLICE("\r\n\r\nabc")));
    EXPECT(w, peer_say(fd, ok) && ask_wait(&a) && a.status == 200 && !a.why);
    ask_fini(&a);
    close(fd);
    EXPECT(w, idle_becomes(w, 0));

    /* what was streamed is gone, and cannot be sent again */
    ask_init(&a, w, SLICE("POST"));
    a.spec.streamed = true;
    a.spec.body_length = a.pour = 3;
    EXPECT(w, stale(w, &a, &in, &fd) && ask_wait(&a));
    EXPECT(w, a.why == ERR_CLOSED && a.phase == HTTP_PHASE_FIRST_BYTE);
    ask_fini(&a);

    /* a part of a response had come: the connection was not stale, the response is broken */
    struct ask first;
    fd = -1;
    ask_init(&first, w, SLICE("GET"));
    EXPECT(w, served(&first, &fd, &in, ok, false));
    ask_fini(&first);
    ask_init(&a, w, SLICE("GET"));
    EXPECT(w, served(&a, &fd, &in, "HTTP/1.1 2", true) && a.why == ERR_CLOSED);
    ask_fini(&a);
    struct pollfd listener = {.fd = w->listener, .events = POLLIN};
    EXPECT(w, poll(&listener, 1, 50) == 0);
    buf_fini(&in);
}

static void a_request_that_died_unread_on_a_kept_connection_is_sent_again_once(void **state)
{
    (void)state;
    scenario_upstream(stale_scenario);
}

static void idle_scenario(void *arg)
{
    struct world *w = arg;
    struct buf in;
    struct ask a;
    int fd = -1;
    buf_init(&in, 1 << 20);
    ask_init(&a, w, SLICE("GET"));
    EXPECT(w, served(&a, &fd, &in, ok, false) && idle_becomes(w, 1));
    ask_fini(&a);
    EXPECT(w, peer_say(fd, "HTTP/1.1 408 Late\r\n\r\n") && idle_becomes(w, 0));
    buf_clear(&in);
    EXPECT(w, peer_rest(fd, &in)); /* closed by the pool */
    close(fd);

    /* another host, the same address: not the same pool; last in, first out */
    int one = -1, two = -1;
    struct ask b;
    ask_init(&a, w, SLICE("GET"));
    ask_init(&b, w, SLICE("GET"));
    b.spec.url.host = SLICE("localhost");
    EXPECT(w, served(&a, &one, &in, ok, false) && served(&b, &two, &in, ok, false));
    EXPECT(w, idle_becomes(w, 2));
    EXPECT(w, slice_search(buf_slice(&in), SLICE("Host: localhost:")) > 0);
    ask_fini(&a);
    ask_fini(&b);
    ask_init(&b, w, SLICE("GET"));
    b.spec.url.host = SLICE("LOCALHOST");
    EXPECT(w, served(&b, &two, &in, ok, false) && b.status == 200);
    ask_fini(&b);

    /* the rule is withdrawn: the kept connection may not be used, nor a new one made */
    ask_init(&a, w, SLICE("GET"));
    a.spec.rule.allowed_count = 0;
    ask_start(&a);
    EXPECT(w, ask_wait(&a) && a.why == ERR_DENIED && a.phase == HTTP_PHASE_CONNECT);
    EXPECT(w, idle_becomes(w, 2));
    ask_fini(&a);
    close(one);
    close(two);
    buf_fini(&in);
}

static void an_idle_connection_that_sends_is_dropped_and_rules_hold_at_reuse(void **state)
{
    (void)state;
    scenario_upstream(idle_scenario);
}

/* ---- our own server on the same loop ---- */

struct pair {
    struct world w;
    struct http_server *server;
    unsigned left, ok;
    unsigned warm; /* when so many are left, allocations start to fail */
    size_t descriptors;
    struct http_call *call;
    struct tls_context *tls; /* NULL: plain */
};

static void on_served_body_end(void *user)
{
    struct http_exchange *x = user;
    const struct http_header type = {SLICE("Content-Type"), SLICE("application/json")};
    static const char body[1024];
    (void)!http_response(x, 200, &type, 1, slice_of(body, sizeof body));
}

static void on_served(void *arg, struct http_exchange *x)
{
    static const struct http_exchange_events served_events = {.on_body_end = on_served_body_end};
    (void)arg;
    http_exchange_bind(x, &served_events, x);
    http_exchange_read(x, 0);
}

static void next_call(struct pair *p);

static void on_pair_head(void *arg, const struct http_head *head)
{
    struct pair *p = arg;
    p->ok += head->status == 200;
}

static void on_pair_body(void *arg, struct slice data)
{
    (void)arg;
    (void)data;
}

static void on_pair_end(void *arg)
{
    struct pair *p = arg;
    http_call_close(&p->call);
    next_call(p);
}

static void on_pair_error(void *arg, enum err why, enum http_call_phase phase)
{
    struct pair *p = arg;
    print_error("%s in phase %d with %u left\n", err_name(why), (int)phase, p->left);
    http_call_close(&p->call);
    loop_stop(p->w.loop);
}

static void next_call(struct pair *p)
{
    static const struct http_call_events pair_events = {.on_head = on_pair_head,
                                                        .on_body = on_pair_body,
                                                        .on_end = on_pair_end,
                                                        .on_error = on_pair_error};
    static const char body[1000];
    const struct http_header type = {SLICE("Content-Type"), SLICE("application/json")};
    struct http_call_spec spec = {.method = SLICE("POST"),
                                  .url = {.host = SLICE("127.0.0.1"),
                                          .port = http_server_port(p->server),
                                          .tls = p->tls != NULL},
                                  .tls = p->tls,
                                  .path = SLICE("/v1/chat/completions"),
                                  .headers = &type,
                                  .header_count = 1,
                                  .body = {slice_of(body, sizeof body)},
                                  .rule = {&p->w.loopback, 1}};
    if (p->left == p->warm) {
        p->descriptors = peer_open_descriptors();
        mem_fail_after(1); /* from here on an allocation is a failure */
    }
    if (p->left-- == 0 || http_call_start(p->w.client, &spec, &pair_events, p, &p->call) != ERR_OK)
        loop_stop(p->w.loop);
}

static void start_pair(void *arg)
{
    next_call(arg);
}

/* Runs 10,000 calls one after the other; false: something was allocated once it was warm. */
static bool run_pair(struct pair *p, struct tls_context *server_tls, struct tls_context *client_tls)
{
    static const struct http_server_events served_by = {.on_request = on_served};
    const struct http_server_config config = {.tls = server_tls,
                                              .body_max = 1 << 20,
                                              .head_ms = 20000,
                                              .body_gap_ms = 20000,
                                              .keepalive_ms = 20000,
                                              .connections_max = 64};
    union sockaddr_any at = {.in = peer_loopback(0)};
    *p = (struct pair){.left = 10000, .warm = 9900, .tls = client_tls};
    world_open(&p->w);
    assert_int_equal(http_server_new(p->w.loop, &config, &served_by, p, &p->server), ERR_OK);
    assert_int_equal(http_server_listen(p->server, &at), ERR_OK);
    assert_int_equal(loop_post(p->w.loop, start_pair, p), ERR_OK);
    loop_run(p->w.loop);
    bool allocated = mem_failed();
    mem_fail_after(0);
    assert_int_equal(p->ok, 10000);
    assert_int_equal(peer_open_descriptors(), p->descriptors);
    assert_int_equal(http_client_idle(p->w.client), 1);
    assert_int_equal(http_server_connections(p->server), 1);
    http_server_free(p->server);
    world_close(&p->w);
    return !allocated;
}

static void a_warm_pair_of_server_and_client_allocates_nothing(void **state)
{
    static struct pair p;
    (void)state;
    assert_true(run_pair(&p, NULL, NULL));
}

static void the_same_pair_over_tls_keeps_its_connection_too(void **state)
{
    static struct pair p;
    struct tls_context *server = NULL, *client = NULL;
    struct certs *certs = certs_new();
    struct certs_files files = certs_server(certs);
    const struct tls_server_config s = {.cert_file = files.cert, .key_file = files.key};
    const struct tls_client_config c = {.ca_file = certs_ca(certs)};
    (void)state;
    assert_int_equal(tls_server_new(&s, &server), ERR_OK);
    assert_int_equal(tls_client_new(&c, &client), ERR_OK);
    assert_true(run_pair(&p, server, client));
    tls_drop(server);
    tls_drop(client);
    certs_free(certs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_died_unread_on_a_kept_connection_is_sent_again_once),
        cmocka_unit_test(an_idle_connection_that_sends_is_dropped_and_rules_hold_at_reuse),
        cmocka_unit_test(a_warm_pair_of_server_and_client_allocates_nothing),
        cmocka_unit_test(the_same_pair_over_tls_keeps_its_connection_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
