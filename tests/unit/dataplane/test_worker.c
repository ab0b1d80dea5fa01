/* worker — the first client that it takes meets the policy that its plane has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/journal/journal_private.h"
#include "common/policy/snapshot_build.h"
#include "common/scope/registry.h"
#include "dataplane/worker.h"
#include "tests/kit/raw_peer.h"
#include "tests/kit/scratch.h"

static uint16_t free_port(void)
{
    struct sockaddr_in at = peer_loopback(0);
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static unsigned status_of(uint16_t port, const char *text)
{
    struct buf in;
    struct peer_answer a = {0};
    int fd = peer_dial(port);
    buf_init(&in, 65536);
    buf_init(&a.head, 65536);
    buf_init(&a.body, 65536);
    bool came = fd >= 0 && peer_say(fd, text) && peer_answer(fd, &in, SLICE("GET"), &a);
    if (fd >= 0)
        close(fd);
    buf_fini(&in);
    buf_fini(&a.head);
    buf_fini(&a.body);
    return came ? a.status : 0;
}

/* A plane that starts again with what it kept on disk: nothing is published in this test. */
static void its_first_client_finds_the_policy_that_it_was_started_with(void **state)
{
    (void)state;
    static const char READY[] = "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n";
    char dir[SCRATCH_MAX];
    struct snapshot_build *b;
    struct worker *w;
    struct journal *j;
    assert_true(scratch_folder(dir));
    const struct journal_config journal = {.dir = dir, .epoch = 1, .worker = 0, .bytes = 1};
    assert_int_equal(journal_create(&journal, &j), ERR_OK);
    struct registry *r = registry_new();
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    struct snapshot *policy = snapshot_build_end(&b, SLICE("line-1"), 7);
    assert_non_null(policy);
    for (int with = 0; with < 2; with++) {
        uint16_t port = free_port();
        struct worker_config c = {.listen = {.in = peer_loopback(port)},
                                  .journal = j,
                                  .policy = with ? policy : NULL,
                                  .connections_max = 8};
        assert_int_equal(worker_start(&c, &w), ERR_OK);
        assert_int_equal(status_of(port, READY), with ? 200 : 503);
        worker_stop(&w);
    }
    snapshot_drop(policy);
    registry_free(r);
    journal_unmap(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_first_client_finds_the_policy_that_it_was_started_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
