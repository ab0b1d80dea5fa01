/* Listening: shared ports, the flags of an accepted descriptor, and a process without free
 * descriptors. */
#include "tests/unit/base/unit.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/kit/net/ends.h"

#define CALLERS 40

struct client_listener {
    struct listener *listener;
    unsigned came;
    int last;
    bool shut_after_first;
};

static void on_came(void *arg, int fd)
{
    struct client_listener *d = arg;
    d->came++;
    if (d->last >= 0)
        close(d->last);
    d->last = fd;
    if (d->shut_after_first)
        listener_close(&d->listener);
}

static enum err door_open(struct client_listener *d, struct stage *s, uint16_t port)
{
    union sockaddr_any at;
    *d = (struct client_listener){.last = -1};
    assert_true(address_literal(SLICE("127.0.0.1"), port, &at));
    return listener_open(s->loop, &at, on_came, d, &d->listener);
}

static void door_shut(struct client_listener *d)
{
    if (d->last >= 0)
        close(d->last);
    listener_close(&d->listener);
}

static int call(uint16_t port)
{
    union sockaddr_any to;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_true(address_literal(SLICE("127.0.0.1"), port, &to));
    assert_int_equal(connect(fd, &to.sa, sizeof(to.in)), 0);
    return fd;
}

UNIT(an_accepted_descriptor_does_not_block_is_not_inherited_and_sends_at_once)
{
    struct stage s;
    struct client_listener d;
    int on = 0;
    socklen_t len = sizeof(on);
    stage_open(&s, NULL, 0);
    assert_int_equal(door_open(&d, &s, 0), ERR_OK);
    assert_true(listener_port(d.listener) > 0);
    int fd = call(listener_port(d.listener));
    WAIT(&s, d.came == 1);
    assert_true(fcntl(d.last, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(d.last, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(d.last, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_true(on);
    close(fd);
    door_shut(&d);
    stage_close(&s);
}

UNIT(two_listeners_share_a_port_and_its_callers)
{
    struct stage s;
    struct client_listener a, b;
    int fds[CALLERS];
    stage_open(&s, NULL, 0);
    assert_int_equal(door_open(&a, &s, 0), ERR_OK);
    assert_int_equal(door_open(&b, &s, listener_port(a.listener)), ERR_OK);
    for (int i = 0; i < CALLERS; i++)
        fds[i] = call(listener_port(a.listener));
    WAIT(&s, a.came + b.came == CALLERS);
    assert_true(a.came > 0 && b.came > 0); /* by the kernel's hash: 2 to the -39 to fail */
    for (int i = 0; i < CALLERS; i++)
        close(fds[i]);
    door_shut(&a);
    door_shut(&b);
    stage_close(&s);
}

UNIT(a_listener_may_be_closed_while_it_accepts)
{
    struct stage s;
    struct client_listener d;
    int fds[3];
    stage_open(&s, NULL, 0);
    assert_int_equal(door_open(&d, &s, 0), ERR_OK);
    d.shut_after_first = true;
    uint16_t port = listener_port(d.listener);
    for (int i = 0; i < 3; i++)
        fds[i] = call(port);
    WAIT(&s, !d.listener);
    for (int i = 0; i < 3; i++)
        stage_turn(&s);
    assert_int_equal(d.came, 1);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    door_shut(&d);
    stage_close(&s);
}

UNIT(without_descriptors_callers_wait_and_come_in_when_there_are_some_again)
{
    struct stage s;
    struct client_listener d;
    struct rlimit was, low;
    stage_open(&s, NULL, 0);
    assert_int_equal(door_open(&d, &s, 0), ERR_OK);
    int fd = call(listener_port(d.listener));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    low = was;
    low.rlim_cur = (rlim_t)fd + 1;
    while (dup(0) < fd) /* all below are taken, until the program ends */
        continue;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int i = 0; i < 30; i++)
        stage_turn(&s);
    assert_int_equal(d.came, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    WAIT(&s, d.came == 1);
    close(fd);
    door_shut(&d);
    stage_close(&s);
}

UNIT(a_port_of_another_kind_of_socket_is_taken)
{
    union sockaddr_any at = {
        .in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    struct stage s;
    struct client_listener d;
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* without REUSEPORT */
    assert_int_equal(bind(fd, &at.sa, sizeof(at.in)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, &at.sa, &len), 0);
    stage_open(&s, NULL, 0);
    assert_int_equal(door_open(&d, &s, address_port(&at)), ERR_EXISTS);
    close(fd);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_accepted_descriptor_does_not_block_is_not_inherited_and_sends_at_once),
        cmocka_unit_test(two_listeners_share_a_port_and_its_callers),
        cmocka_unit_test(a_listener_may_be_closed_while_it_accepts),
        cmocka_unit_test(a_port_of_another_kind_of_socket_is_taken),
        cmocka_unit_test(without_descriptors_callers_wait_and_come_in_when_there_are_some_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
