/*
 * The client behind a proxy that is told to CONNECT, and the ways in which that fails. The proxy is
 * a raw socket on a thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/kit/net/client_scenario.h"

#define TOKEN "Basic dXNlcjpwYXNz"

static void behind(struct ask *a, struct stream_proxy *proxy, struct world *w)
{
    *proxy = (struct stream_proxy){
        .host = SLICE("127.0.0.1"), .port = w->port, .authorization = SLICE(TOKEN), .id = 7};
    ask_init(a, w, SLICE("GET"));
    a->spec.url.host = SLICE("models.test"); /* only the proxy resolves it */
    a->spec.url.port = 8000;
    a->spec.proxy = proxy;
}

static const struct slice connect_head =
    SLICE("CONNECT models.test:8000 HTTP/1.1\r\nHost: models.test:8000\r\n"
          "User-Agent: gatehouse\r\nProxy-Authorization: " TOKEN "\r\n\r\n");
static const struct slice get_head = SLICE("GET /x HTTP/1.1\r\nHost: models.test:8000\r\n\r\n");

static void tunnel_scenario(void *arg)
{
    struct world *w = arg;
    struct stream_proxy proxy, other;
    struct ask a;
    struct buf in;
    buf_init(&in, 1 << 20);

    behind(&a, &proxy, w);
    ask_start(&a);
    int fd = peer_accept(w->listener);
    EXPECT(w, fd >= 0 && hear_request(fd, &in));
    EXPECT(w, slice_eq(buf_slice(&in), connect_head));
    EXPECT(w, peer_drip(fd, SLICE("HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\n")));
    EXPECT(w, hear_request(fd, &in));
    EXPECT(w, slice_eq(buf_slice(&in), get_head));
    EXPECT(w, peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    EXPECT(w, ask_wait(&a) && !a.why && ask_body_is(&a, "ok"));
    ask_fini(&a);

    /* the next one goes through the same tunnel */
    behind(&a, &proxy, w);
    EXPECT(w, served(&a, &fd, &in, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false));
    EXPECT(w, slice_starts(buf_slice(&in), SLICE("GET /x")));
    ask_fini(&a);

    /* another proxy's calls do not, nor do those without one */
    behind(&a, &other, w);
    other.id = 8;
    int second = -1;
    ask_start(&a);
    second = peer_accept(w->listener);
    EXPECT(w, second >= 0 && hear_request(second, &in));
    EXPECT(w, slice_starts(buf_slice(&in), SLICE("CONNECT ")));
    close(second);
    EXPECT(w, ask_wait(&a) && a.why == ERR_CONNECT && a.phase == HTTP_PHASE_CONNECT);
    ask_fini(&a);
    close(fd);
    EXPECT(w, idle_becomes(w, 0));
    buf_fini(&in);
}

static void a_call_goes_through_the_tunnel_that_its_proxy_opened(void **state)
{
    (void)state;
    scenario_upstream(tunnel_scenario);
}

static const struct {
    const char *name, *reply;
} refusals[] = {
    {"a credential that is wrong", "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"},
    {"no way", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad"},
    {"bytes behind the head", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"},
    {"no HTTP", "SSH-2.0-x\r\n\r\n"},
    {"nothing", ""},
    {"half a head", "HTTP/1.1 200"},
};

static void refusal_scenario(void *arg)
{
    struct world *w = arg;
    struct buf in;
    buf_init(&in, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct stream_proxy proxy;
        struct ask a;
        behind(&a, &proxy, w);
        ask_start(&a);
        int fd = peer_accept(w->listener);
        bool fine = fd >= 0 && hear_request(fd, &in) && peer_say(fd, refusals[i].reply);
        shutdown(fd, SHUT_WR);
        fine = fine && ask_wait(&a) && a.why == ERR_CONNECT && a.phase == HTTP_PHASE_CONNECT &&
               a.ends == 1;
        close(fd);
        ask_fini(&a);
        if (!fine)
            snprintf(w->note, sizeof(w->note), "\"%s\"", refusals[i].name);
        EXPECT(w, fine);
    }
    buf_fini(&in);
}

static void what_a_proxy_refuses_is_a_failure_to_connect(void **state)
{
    (void)state;
    scenario_upstream(refusal_scenario);
}

static void literal_scenario(void *arg)
{
    struct world *w = arg;
    struct stream_proxy proxy;
    struct ask a;
    behind(&a, &proxy, w);
    a.spec.url.host = SLICE("169.254.169.254");
    ask_start(&a);
    EXPECT(w, ask_wait(&a) && (a.why == ERR_DENIED || a.started == ERR_DENIED));
    ask_fini(&a);
}

/* The proxy might be allowed to reach what this process is not. */
static void an_address_that_is_denied_is_not_asked_of_a_proxy(void **state)
{
    (void)state;
    scenario_upstream(literal_scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_goes_through_the_tunnel_that_its_proxy_opened),
        cmocka_unit_test(what_a_proxy_refuses_is_a_failure_to_connect),
        cmocka_unit_test(an_address_that_is_denied_is_not_asked_of_a_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
