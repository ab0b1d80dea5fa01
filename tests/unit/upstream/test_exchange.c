/* exchange — its states, its record, what it tells the endpoint, and what it lets through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/upstream/exchange.h"
#include "tests/kit/net/client_scenario.h"

#define SECRET "Bearer s3cr3t-t0ken/value"

static const struct log_ctx log_of_test = {.component = "test"};

/* One exchange, and the callbacks that came. */
struct probe {
    struct world *w;
    struct upstreams *u;
    struct exchange_spec spec;
    struct exchange *x;
    struct attempt attempt;
    uint64_t waited_us;
    enum err started;
    unsigned status, retry_after_s;
    struct exchange_failure failure;
    enum exchange_state state; /* when it was closed */
    bool has_sent, header_passes, close_at_head;
    struct buf body;
    atomic_bool done;
};

static struct upstreams of_world;
static unsigned echoes;

static void on_count(void *arg, enum upstream_count what)
{
    (void)arg;
    echoes += what == UPSTREAM_COUNT_ECHO;
}

static void close_it(struct probe *p, enum request_outcome end, struct slice code)
{
    enum exchange_state before = exchange_state(p->x);
    p->has_sent = exchange_has_sent(p->x);
    p->retry_after_s = exchange_retry_after_s(p->x);
    p->state = before;
    exchange_close(&p->x, end, code);
    assert_null(p->x);
    atomic_store(&p->done, true);
}

static void on_head(void *arg, const struct http_head *head)
{
    struct probe *p = arg;
    p->status = head->status;
    p->header_passes = exchange_may_pass(p->x, http_head_find(head, SLICE("x-you-sent")));
    if (p->close_at_head)
        close_it(p, OUTCOME_CANCELLED, SLICE("client_gone"));
}

static void on_body(void *arg, struct slice data)
{
    struct probe *p = arg;
    if (buf_append(&p->body, data))
        abort();
}

static void on_end(void *arg)
{
    close_it(arg, OUTCOME_OK, SLICE_NONE);
}

static void on_fail(void *arg, const struct exchange_failure *f)
{
    struct probe *p = arg;
    p->failure = *f;
    close_it(p, OUTCOME_ERROR, f->code);
}

static const struct exchange_events events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_fail = on_fail};

static void start_now(void *arg)
{
    struct probe *p = arg;
    p->u->client = p->w->client;
    p->started = exchange_start(p->u, &p->spec, &events, p, &p->x);
    if (p->started)
        atomic_store(&p->done, true);
}

static void probe_init(struct probe *p, struct world *w, struct secret *credential)
{
    *p = (struct probe){.w = w, .u = &of_world};
    p->spec = (struct exchange_spec){
        .upstream = SLICE("acme"),
        .target_id = SLICE("p_1"),
        .revision = 1,
        .credential = credential,
        .log = &log_of_test,
        .attempt = &p->attempt,
        .waited_us = &p->waited_us,
        .call = {.method = SLICE("POST"),
                 .url = {.host = SLICE("127.0.0.1"), .port = w->port},
                 .path = SLICE("/x"),
                 .body = {SLICE("{}")},
                 .rule = {&w->loopback, 1}},
    };
    buf_init(&p->body, 1 << 20);
}

static void probe_start(struct probe *p)
{
    atomic_store(&p->done, false);
    if (loop_post(p->w->loop, start_now, p) != ERR_OK)
        abort();
}

static bool probe_wait(struct probe *p)
{
    for (int i = 0; i < 5000 && !atomic_load(&p->done); i++)
        usleep(1000);
    return atomic_load(&p->done);
}

static void probe_fini(struct probe *p)
{
    buf_fini(&p->body);
}

/* One exchange whose response is `text`, on a new connection; *fd stays open. */
static bool responded(struct probe *p, const char *text, int *fd)
{
    struct buf in;
    buf_init(&in, 1 << 16);
    probe_start(p);
    *fd = peer_accept(p->w->listener);
    bool fine = hear_request(*fd, &in) && peer_say(*fd, text) && probe_wait(p);
    buf_fini(&in);
    return fine;
}

static struct endpoint_health health_of(const struct probe *p)
{
    const struct endpoint_key key = {
        .target = p->spec.target_id, .url = &p->spec.call.url, .revision = p->spec.revision};
    const struct endpoint *e = endpoint_find(&of_world.endpoints, &key);
    return e ? endpoint_health(e, 0) : (struct endpoint_health){.in_flight = 99};
}

static void run(void (*script)(void *arg))
{
    struct world w;
    upstreams_init(&of_world);
    of_world.log.count = on_count;
    echoes = 0;
    world_open(&w);
    peer_run(w.loop, script, &w);
    world_close(&w);
    upstreams_fini(&of_world);
}

/* ---- */

static void whole_script(void *arg)
{
    struct world *w = arg;
    struct probe p;
    int fd;
    probe_init(&p, w, NULL);
    EXPECT(w,
           responded(&p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nok", &fd));
    EXPECT(w, p.state == EXCHANGE_DONE && p.has_sent && p.status == 200 && p.retry_after_s == 7);
    EXPECT(w, slice_eq(buf_slice(&p.body), SLICE("ok")));
    EXPECT(w, p.attempt.http_status == 200 && p.attempt.end == OUTCOME_OK);
    EXPECT(w, p.attempt.started_at_us > 0 && p.attempt.duration_us > 0);
    EXPECT(w, p.waited_us == p.attempt.duration_us);
    EXPECT(w, health_of(&p).in_flight == 0 && health_of(&p).latency_us > 0);
    EXPECT(w, health_of(&p).errors_permille == 0);
    probe_fini(&p);
    close(fd);
}

static void a_whole_exchange_fills_its_record_and_reports_to_its_endpoint(void **state)
{
    (void)state;
    run(whole_script);
}

static void stale_script(void *arg)
{
    struct world *w = arg;
    struct probe p;
    struct buf in;
    int fd;
    buf_init(&in, 1 << 16);
    probe_init(&p, w, NULL);
    EXPECT(w, responded(&p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &fd));
    probe_start(&p);
    EXPECT(w, hear_request(fd, &in));
    close(fd);
    fd = peer_accept(w->listener);
    EXPECT(w, hear_request(fd, &in));
    EXPECT(w, peer_say(fd, "HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n") && probe_wait(&p));
    EXPECT(w, p.status == 201 && p.state == EXCHANGE_DONE);
    EXPECT(w, health_of(&p).failures == 0);
    /* dead twice: what the second connection may have read is another matter */
    probe_start(&p);
    EXPECT(w, hear_request(fd, &in));
    close(fd);
    fd = peer_accept(w->listener);
    EXPECT(w, hear_request(fd, &in));
    close(fd);
    EXPECT(w, probe_wait(&p) && p.state == EXCHANGE_FAILED && p.has_sent);
    EXPECT(w, p.failure.why == ERR_CLOSED && p.failure.phase == HTTP_PHASE_FIRST_BYTE);
    EXPECT(w, health_of(&p).failures == 1 && health_of(&p).in_flight == 0);
    probe_fini(&p);
    buf_fini(&in);
}

static void a_post_that_died_unread_on_a_kept_connection_is_sent_again_and_succeeds(void **state)
{
    (void)state;
    run(stale_script);
}

static void unsent_script(void *arg)
{
    struct world *w = arg;
    struct probe p;
    uint16_t dead_port;
    close(peer_listen(&dead_port));
    probe_init(&p, w, NULL);
    p.spec.call.url.port = dead_port;
    probe_start(&p);
    EXPECT(w, probe_wait(&p) && p.state == EXCHANGE_FAILED && !p.has_sent);
    EXPECT(w, p.failure.phase == HTTP_PHASE_CONNECT && p.failure.why == ERR_CONNECT);
    EXPECT(w, p.attempt.end == OUTCOME_ERROR && slice_eq(p.attempt.code, SLICE("connect")));
    EXPECT(w, health_of(&p).failures == 1 && of_world.log.told_us > 0);
    /* the breaker of this endpoint opens at the next one, and the third is not even tried */
    p.spec.limits = (struct endpoint_limits){.failures = 2, .open_ms = 60000};
    probe_start(&p);
    EXPECT(w, probe_wait(&p) && p.started == ERR_OK);
    p.attempt.code = SLICE_NONE;
    probe_start(&p);
    EXPECT(w, probe_wait(&p) && p.started == ERR_AGAIN && !p.x);
    EXPECT(w, p.attempt.end == OUTCOME_ERROR && slice_eq(p.attempt.code, SLICE("again")));
    probe_fini(&p);
}

static void one_that_never_connected_has_sent_nothing_and_counts_for_the_breaker(void **state)
{
    (void)state;
    run(unsent_script);
}

static void echo_script(void *arg)
{
    struct world *w = arg;
    struct probe p;
    struct secret *credential = secret_new(SLICE(SECRET));
    int fd;
    probe_init(&p, w, credential);
    EXPECT(w, responded(&p,
                        "HTTP/1.1 200 OK\r\nContent-Length: 29\r\nX-You-Sent: s3cr3t-t0ken%2Fvalue"
                        "\r\n\r\n{\"you\":\"s3cr3t-t0ken\\/value\"}",
                        &fd));
    EXPECT(w, !p.header_passes &&
                  slice_eq(buf_slice(&p.body), SLICE("{\"you\":\"*******************\"}")));
    EXPECT(w, echoes == 2);
    close(fd);
    /* what cannot be looked through does not pass */
    static const char encoded[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n\r\nxyz";
    EXPECT(w, responded(&p, encoded, &fd));
    EXPECT(w, p.state == EXCHANGE_FAILED && slice_eq(p.failure.code, SLICE("content_encoding")));
    EXPECT(w, p.attempt.http_status == 200);
    close(fd);
    /* without a credential there is nothing to look for */
    p.spec.credential = NULL;
    buf_clear(&p.body);
    EXPECT(w, responded(&p, encoded, &fd) && slice_eq(buf_slice(&p.body), SLICE("xyz")));
    close(fd);
    probe_fini(&p);
    secret_drop(credential);
}

static void our_credential_is_masked_and_encoded_responses_are_refused(void **state)
{
    (void)state;
    run(echo_script);
}

static void cancel_script(void *arg)
{
    struct world *w = arg;
    struct probe p;
    int fd;
    struct buf in;
    buf_init(&in, 1 << 16);
    probe_init(&p, w, NULL);
    p.close_at_head = true;
    EXPECT(w, responded(&p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", &fd));
    EXPECT(w, p.state == EXCHANGE_BODY && p.attempt.end == OUTCOME_CANCELLED);
    EXPECT(w, slice_eq(p.attempt.code, SLICE("client_gone")) && p.attempt.http_status == 200);
    EXPECT(w, peer_rest(fd, &in)); /* its connection is closed */
    EXPECT(w, health_of(&p).in_flight == 0);
    close(fd);
    buf_fini(&in);
    probe_fini(&p);
}

static void one_that_its_gate_closes_is_cancelled_at_once(void **state)
{
    (void)state;
    run(cancel_script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_exchange_fills_its_record_and_reports_to_its_endpoint),
        cmocka_unit_test(a_post_that_died_unread_on_a_kept_connection_is_sent_again_and_succeeds),
        cmocka_unit_test(one_that_never_connected_has_sent_nothing_and_counts_for_the_breaker),
        cmocka_unit_test(our_credential_is_masked_and_encoded_responses_are_refused),
        cmocka_unit_test(one_that_its_gate_closes_is_cancelled_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
