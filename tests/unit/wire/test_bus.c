/* Both ends of the bus in one process, over real TLS on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/wire/bus.h"
#include "tests/kit/wire/channel_kit.h"

#define MIB (1024u * 1024)
#define WAIT_MS 10000 /* sanitizers and a busy machine */

/* ---- the control plane ---- */

struct control {
    struct kit kit;
    struct tls_context *tls;
    struct bus_hub *hub;
    pthread_mutex_t lock;
    char refused[65];  /* this plane may not come in */
    char removed[65];  /* and this one never again */
    char moved_to[64]; /* every plane's pool; "": by its name */
    atomic_uint ran, turned_away;
    atomic_uint slow_ms;
    char last_plane[65];
};

/* "east-1" is of pool "east" */
static bool on_admit(void *arg, struct slice plane, char pool[static 64])
{
    struct control *c = arg;
    pthread_mutex_lock(&c->lock);
    bool ok = !slice_eq(plane, slice_str(c->refused)) && !slice_eq(plane, slice_str(c->removed));
    ptrdiff_t dash = slice_find(plane, '-');
    struct slice name = slice_first(plane, dash < 0 ? plane.len : (size_t)dash);
    if (c->moved_to[0])
        name = slice_str(c->moved_to);
    memcpy(pool, name.ptr, name.len);
    pool[name.len] = '\0';
    pthread_mutex_unlock(&c->lock);
    return ok;
}

static bool on_asked_removed(void *arg, struct slice plane)
{
    struct control *c = arg;
    pthread_mutex_lock(&c->lock);
    bool removed = slice_eq(plane, slice_str(c->removed));
    pthread_mutex_unlock(&c->lock);
    atomic_fetch_add(&c->turned_away, removed);
    return removed;
}

/* Answers with the request turned around; "big" with as many MiB as its next letter says. */
static void on_request(void *arg, struct slice plane, struct slice request, struct buf *reply)
{
    struct control *c = arg;
    pthread_mutex_lock(&c->lock);
    memcpy(c->last_plane, plane.ptr, plane.len);
    c->last_plane[plane.len] = '\0';
    pthread_mutex_unlock(&c->lock);
    unsigned n = atomic_fetch_add(&c->ran, 1) + 1;
    usleep(atomic_load(&c->slow_ms) * 1000);
    if (slice_eq(request, SLICE("count"))) {
        MUST(buf_printf(reply, "%u", n) == ERR_OK);
        return;
    }
    char *room;
    MUST(buf_room(reply, request.len, &room) == ERR_OK);
    for (size_t i = 0; i < request.len; i++)
        room[i] = request.ptr[request.len - 1 - i];
    buf_commit(reply, request.len);
}

static void control_start(struct control *c, uint16_t push, uint16_t request)
{
    const struct bus_hub_config config = {.push_at = kit_loopback(push),
                                          .request_at = kit_loopback(request),
                                          .tls = c->tls,
                                          .threads = 4,
                                          .admit = on_admit,
                                          .removed = on_asked_removed,
                                          .handle = on_request,
                                          .arg = c};
    assert_int_equal(bus_hub_open(&config, &c->hub), ERR_OK);
}

static int control_open(void **state)
{
    struct control *c = mem_zalloc(sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    kit_open(&c->kit);
    kit_issue_server(&c->kit);
    kit_issue_plane(&c->kit, "east-1");
    kit_issue_plane(&c->kit, "east-2");
    kit_issue_plane(&c->kit, "west-1");
    c->tls = kit_server_tls(&c->kit, "server");
    control_start(c, kit_port(), kit_port());
    *state = c;
    return 0;
}

static int control_close(void **state)
{
    struct control *c = *state;
    bus_hub_close(&c->hub);
    tls_drop(c->tls);
    kit_close(&c->kit);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
    return 0;
}

/* ---- a data plane: a loop on a thread of its own ---- */

struct plane {
    struct loop *loop;
    struct tls_context *tls;
    struct bus_plane *bus;
    struct control *control;
    const char *name;
    pthread_t thread;
    pthread_mutex_t lock;
    atomic_bool up;
    atomic_uint ups, removals;
    atomic_uint pushes, answers, failures;
    atomic_size_t push_bytes;
    atomic_bool disorder;
    atomic_int last_error;
    uint32_t next_push;
    struct buf last_push, last_answer;
};

static void on_push(void *arg, struct slice m)
{
    struct plane *p = arg;
    pthread_mutex_lock(&p->lock);
    buf_clear(&p->last_push);
    MUST(buf_append(&p->last_push, slice_first(m, 64)) == ERR_OK);
    pthread_mutex_unlock(&p->lock);
    uint32_t number;
    if (m.len >= sizeof(number)) {
        memcpy(&number, m.ptr, sizeof(number));
        if (number != p->next_push)
            atomic_store(&p->disorder, true);
        p->next_push = number + 1;
    }
    atomic_fetch_add(&p->push_bytes, m.len);
    atomic_fetch_add(&p->pushes, 1);
}

static void on_state(void *arg, bool up)
{
    struct plane *p = arg;
    MUST(atomic_load(&p->up) != up); /* only changes are told */
    atomic_store(&p->up, up);
    if (up)
        atomic_fetch_add(&p->ups, 1);
}

static void on_removed(void *arg)
{
    struct plane *p = arg;
    atomic_fetch_add(&p->removals, 1);
}

static void *plane_run(void *arg)
{
    loop_run(((struct plane *)arg)->loop);
    return NULL;
}

static bool is_up(void *arg)
{
    return atomic_load(&((struct plane *)arg)->up);
}

static struct plane *plane_start(struct control *c, const char *name)
{
    struct plane *p = mem_zalloc(sizeof(*p));
    p->control = c;
    p->name = name;
    pthread_mutex_init(&p->lock, NULL);
    buf_init(&p->last_push, MIB);
    buf_init(&p->last_answer, 8 * MIB);
    p->tls = kit_client_tls(&c->kit, name, &c->kit);
    assert_int_equal(loop_new(&p->loop), ERR_OK);
    const struct bus_plane_config config = {.host = SLICE("127.0.0.1"),
                                            .push_port = bus_hub_push_port(c->hub),
                                            .request_port = bus_hub_request_port(c->hub),
                                            .tls = p->tls,
                                            .instance = slice_str(name)};
    static const struct bus_plane_events events = {on_push, on_state, on_removed};
    assert_int_equal(bus_plane_open(&config, p->loop, &events, p, &p->bus), ERR_OK);
    assert_int_equal(pthread_create(&p->thread, NULL, plane_run, p), 0);
    return p;
}

static struct plane *plane_open(struct control *c, const char *name)
{
    struct plane *p = plane_start(c, name);
    assert_true(kit_until(is_up, p, WAIT_MS));
    return p;
}

static void on_close_turn(void *arg)
{
    struct plane *p = arg;
    bus_plane_close(&p->bus);
    loop_stop(p->loop);
}

static void plane_close(struct plane *p)
{
    assert_int_equal(loop_post(p->loop, on_close_turn, p), ERR_OK);
    pthread_join(p->thread, NULL);
    loop_free(p->loop);
    tls_drop(p->tls);
    buf_fini(&p->last_push);
    buf_fini(&p->last_answer);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

/* One request, made on the plane's own thread. */
struct ask {
    struct plane *plane;
    struct slice message;
    unsigned timeout_ms;
    enum err refused;
    atomic_bool over;
};

static void on_done(void *arg, enum err e, struct slice reply)
{
    struct ask *a = arg;
    struct plane *p = a->plane;
    pthread_mutex_lock(&p->lock);
    buf_clear(&p->last_answer);
    if (!e)
        MUST(buf_append(&p->last_answer, reply) == ERR_OK);
    pthread_mutex_unlock(&p->lock);
    atomic_store(&p->last_error, e);
    atomic_fetch_add(e ? &p->failures : &p->answers, 1);
    atomic_store(&a->over, true);
}

static void on_ask_turn(void *arg)
{
    struct ask *a = arg;
    enum err e = bus_plane_request(a->plane->bus, a->message, a->timeout_ms, on_done, a);
    if (!e)
        return;
    a->refused = e;
    atomic_store(&a->plane->last_error, e);
    atomic_store(&a->over, true);
}

static void ask_start(struct ask *a, struct plane *p, struct slice message, unsigned timeout_ms)
{
    *a = (struct ask){.plane = p, .message = message, .timeout_ms = timeout_ms};
    assert_int_equal(loop_post(p->loop, on_ask_turn, a), ERR_OK);
}

static bool is_over(void *arg)
{
    return atomic_load(&((struct ask *)arg)->over);
}

/* The answer lies in last_answer. */
static enum err ask(struct plane *p, struct slice message, unsigned timeout_ms)
{
    struct ask a;
    ask_start(&a, p, message, timeout_ms);
    assert_true(kit_until(is_over, &a, timeout_ms + WAIT_MS));
    return (enum err)atomic_load(&p->last_error);
}

struct wanted {
    atomic_uint *count;
    unsigned at_least;
};

static bool has_reached(void *arg)
{
    const struct wanted *w = arg;
    return atomic_load(w->count) >= w->at_least;
}

static bool reaches(atomic_uint *count, unsigned at_least)
{
    struct wanted w = {count, at_least};
    return kit_until(has_reached, &w, WAIT_MS);
}

/* ---- what it promises ---- */

static void a_request_is_answered_and_the_sender_is_known(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    assert_int_equal(ask(p, SLICE("abc"), 5000), ERR_OK);
    assert_true(slice_eq(buf_slice(&p->last_answer), SLICE("cba")));
    assert_string_equal(c->last_plane, "east-1");
    assert_int_equal(ask(p, SLICE(""), 5000), ERR_OK);
    assert_int_equal(p->last_answer.len, 0);
    plane_close(p);
}

static void messages_of_one_to_four_mib_go_both_ways(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    char *big = mem_alloc(4 * MIB);
    for (size_t i = 0; i < 4 * MIB; i++)
        big[i] = (char)(i * 2654435761u >> 24);
    for (size_t mib = 1; mib <= 4; mib++) {
        size_t len = mib * MIB;
        assert_int_equal(ask(p, slice_of(big, len), 20000), ERR_OK);
        assert_int_equal(p->last_answer.len, len);
        const char *back = buf_slice(&p->last_answer).ptr;
        for (size_t i = 0; i < len; i++)
            if (back[i] != big[len - 1 - i])
                fail_msg("byte %zu differs", i);
    }
    mem_free(big);
    plane_close(p);
}

static void what_is_too_big_is_refused_at_the_door(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    char *big = mem_zalloc(LIMIT_BUS_MESSAGE + 1);
    assert_int_equal(ask(p, slice_of(big, LIMIT_BUS_MESSAGE + 1), 5000), ERR_TOO_BIG);
    assert_int_equal(bus_hub_publish(c->hub, SLICE("east"), slice_of(big, LIMIT_BUS_MESSAGE + 1)),
                     ERR_TOO_BIG);
    assert_int_equal(ask(p, SLICE("still alive"), 5000), ERR_OK);
    mem_free(big);
    plane_close(p);
}

static void a_burst_of_twenty_mib_loses_nothing(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    assert_int_equal(ask(p, SLICE("hello"), 5000), ERR_OK);
    usleep(100 * 1000); /* the publisher has taken its side of the new pipe */
    char *big = mem_zalloc(MIB);
    for (uint32_t n = 0; n < 20; n++) {
        memcpy(big, &n, sizeof(n));
        assert_int_equal(bus_hub_publish(c->hub, SLICE("east"), slice_of(big, MIB)), ERR_OK);
    }
    assert_true(reaches(&p->pushes, 20));
    assert_int_equal(atomic_load(&p->push_bytes), 20 * MIB);
    assert_false(atomic_load(&p->disorder));
    mem_free(big);
    plane_close(p);
}

static void five_thousand_small_pushes_arrive_in_order(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    usleep(100 * 1000);
    for (uint32_t n = 0; n < 5000; n++)
        assert_int_equal(bus_hub_publish(c->hub, SLICE("east"), slice_of(&n, sizeof(n))), ERR_OK);
    assert_true(reaches(&p->pushes, 5000));
    assert_false(atomic_load(&p->disorder));
    plane_close(p);
}

static void fifty_requests_at_once_are_each_answered_once(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    struct ask asks[50];
    atomic_store(&c->slow_ms, 5);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        ask_start(&asks[i], p, SLICE("x"), 10000);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        assert_true(kit_until(is_over, &asks[i], WAIT_MS));
    assert_int_equal(atomic_load(&p->answers), 50);
    assert_int_equal(atomic_load(&p->failures), 0);
    assert_int_equal(atomic_load(&c->ran), 50);
    plane_close(p);
}

static void more_requests_than_the_ceiling_are_refused(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    struct ask *asks = mem_array(LIMIT_BUS_PENDING + 10, sizeof(*asks));
    atomic_store(&c->slow_ms, 3);
    unsigned refused = 0;
    usleep(50 * 1000);
    for (size_t i = 0; i < LIMIT_BUS_PENDING + 10; i++)
        ask_start(&asks[i], p, SLICE("x"), 20000);
    for (size_t i = 0; i < LIMIT_BUS_PENDING + 10; i++) {
        assert_true(kit_until(is_over, &asks[i], WAIT_MS));
        refused += asks[i].refused == ERR_EXHAUSTED;
    }
    assert_int_equal(atomic_load(&p->answers) + refused, LIMIT_BUS_PENDING + 10);
    assert_int_equal(atomic_load(&c->ran), atomic_load(&p->answers));
    mem_free(asks);
    plane_close(p);
}

static void a_request_that_nobody_answers_in_time_ends_once(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    atomic_store(&c->slow_ms, 300);
    assert_int_equal(ask(p, SLICE("x"), 50), ERR_TIMEOUT);
    atomic_store(&c->slow_ms, 0);
    assert_int_equal(ask(p, SLICE("yz"), 5000), ERR_OK);
    assert_true(slice_eq(buf_slice(&p->last_answer), SLICE("zy")));
    usleep(400 * 1000); /* the late answer comes and nobody is told */
    assert_int_equal(atomic_load(&p->failures), 1);
    assert_int_equal(atomic_load(&p->answers), 1);
    plane_close(p);
}

static void planes_of_two_pools_hear_only_their_own(void **state)
{
    struct control *c = *state;
    struct plane *e1 = plane_open(c, "east-1");
    struct plane *e2 = plane_open(c, "east-2");
    struct plane *w1 = plane_open(c, "west-1");
    usleep(100 * 1000);
    for (uint32_t n = 0; n < 10; n++)
        assert_int_equal(bus_hub_publish(c->hub, SLICE("east"), slice_of(&n, sizeof(n))), ERR_OK);
    assert_int_equal(bus_hub_publish(c->hub, SLICE("west"), SLICE("w")), ERR_OK);
    assert_int_equal(bus_hub_publish(c->hub, SLICE("nowhere"), SLICE("?")), ERR_OK);
    assert_true(reaches(&e1->pushes, 10));
    assert_true(reaches(&e2->pushes, 10));
    assert_true(reaches(&w1->pushes, 1));
    usleep(50 * 1000);
    assert_int_equal(atomic_load(&e1->pushes), 10);
    assert_int_equal(atomic_load(&e2->pushes), 10);
    assert_int_equal(atomic_load(&w1->pushes), 1);
    assert_true(slice_eq(buf_slice(&w1->last_push), SLICE("w")));
    plane_close(e1);
    plane_close(e2);
    plane_close(w1);
}

/* ---- lost connections ---- */

static bool is_down(void *arg)
{
    return !atomic_load(&((struct plane *)arg)->up);
}

static void a_lost_connection_comes_back_and_says_so(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    for (unsigned round = 1; round <= 5; round++) {
        bus_hub_cut(c->hub, SLICE("east-1")); /* and it is still admitted */
        assert_true(reaches(&p->ups, 1 + round));
        assert_int_equal(ask(p, SLICE("ab"), 10000), ERR_OK);
    }
    plane_close(p);
}

/* Breaks every connection at that port, as a network does: neither end is told before. */
static unsigned break_connections(uint16_t port)
{
    unsigned broken = 0;
    for (int fd = 3; fd < 1024; fd++) {
        union sockaddr_any near, far;
        socklen_t near_len = sizeof(near), far_len = sizeof(far);
        if (getsockname(fd, &near.sa, &near_len) || getpeername(fd, &far.sa, &far_len) ||
            near.sa.sa_family != AF_INET || ntohs(near.in.sin_port) != port)
            continue;
        broken += shutdown(fd, SHUT_RDWR) == 0;
    }
    return broken;
}

static void a_request_over_a_lost_connection_is_run_once_and_answered(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    uint16_t port = bus_hub_request_port(c->hub);
    for (unsigned round = 1; round <= 10; round++) {
        struct ask a;
        char wanted[16];
        atomic_store(&c->slow_ms, 10 * round); /* lost while it runs, and while the answer goes */
        ask_start(&a, p, SLICE("count"), 20000);
        assert_true(reaches(&c->ran, round));
        usleep(40 * 1000);
        assert_true(break_connections(port) > 0);
        assert_true(kit_until(is_over, &a, WAIT_MS));
        assert_int_equal(atomic_load(&p->last_error), ERR_OK);
        snprintf(wanted, sizeof(wanted), "%u", round); /* a second run would say more */
        assert_true(slice_eq(buf_slice(&p->last_answer), slice_str(wanted)));
        assert_int_equal(atomic_load(&c->ran), round);
    }
    assert_int_equal(atomic_load(&p->failures), 0);
    plane_close(p);
}

static void a_hub_that_starts_again_is_found_again(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    uint16_t push = bus_hub_push_port(c->hub), request = bus_hub_request_port(c->hub);
    for (unsigned round = 0; round < 3; round++) {
        bus_hub_close(&c->hub);
        assert_true(kit_until(is_down, p, WAIT_MS));
        struct ask a;
        ask_start(&a, p, SLICE("12"), 20000); /* while nobody is there */
        usleep(100 * 1000);
        control_start(c, push, request);
        assert_true(kit_until(is_over, &a, 20000));
        assert_int_equal(atomic_load(&p->last_error), ERR_OK);
        assert_true(kit_until(is_up, p, WAIT_MS));
    }
    plane_close(p);
}

static void a_plane_that_is_removed_is_cut_and_stays_out(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    struct plane *q = plane_open(c, "east-2");
    pthread_mutex_lock(&c->lock);
    strcpy(c->refused, "east-1");
    pthread_mutex_unlock(&c->lock);
    bus_hub_cut(c->hub, SLICE("east-1"));
    assert_true(kit_until(is_down, p, WAIT_MS));
    unsigned before = atomic_load(&c->ran);
    assert_int_equal(ask(p, SLICE("let me in"), 1000), ERR_TIMEOUT);
    assert_int_equal(atomic_load(&c->ran), before);
    uint32_t n = 0;
    assert_int_equal(bus_hub_publish(c->hub, SLICE("east"), slice_of(&n, sizeof(n))), ERR_OK);
    assert_true(reaches(&q->pushes, 1));
    assert_int_equal(atomic_load(&p->pushes), 0);
    assert_int_equal(ask(q, SLICE("ab"), 5000), ERR_OK);
    plane_close(p);
    plane_close(q);
}

static void a_plane_that_is_removed_is_told_once_and_one_that_is_not_let_in_is_not(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    struct plane *q = plane_open(c, "east-2");
    pthread_mutex_lock(&c->lock);
    strcpy(c->removed, "east-1");
    strcpy(c->refused, "east-2");
    pthread_mutex_unlock(&c->lock);
    bus_hub_cut(c->hub, SLICE("east-2"));
    bus_hub_cut(c->hub, SLICE("east-1"));
    uint64_t cut = clock_mono_us();
    assert_true(reaches(&p->removals, 1));
    assert_true(clock_mono_us() - cut < 1000000);
    assert_true(kit_until(is_down, p, WAIT_MS));
    assert_true(kit_until(is_down, q, WAIT_MS));

    pthread_mutex_lock(&c->lock);
    c->refused[0] = '\0';
    pthread_mutex_unlock(&c->lock);
    assert_true(kit_until(is_up, q, WAIT_MS));
    assert_int_equal(atomic_load(&q->removals), 0);
    assert_int_equal(atomic_load(&p->removals), 1);
    assert_true(reaches(&c->turned_away, 2)); /* each leg */
    assert_false(atomic_load(&p->up));

    uint16_t push = bus_hub_push_port(c->hub), request = bus_hub_request_port(c->hub);
    bus_hub_close(&c->hub); /* an outage is no removal */
    assert_true(kit_until(is_down, q, WAIT_MS));
    control_start(c, push, request);
    assert_true(kit_until(is_up, q, WAIT_MS));
    assert_int_equal(atomic_load(&q->removals), 0);
    assert_int_equal(atomic_load(&p->removals), 1);
    assert_int_equal(atomic_load(&c->turned_away), 2); /* and none tries again */
    assert_false(atomic_load(&p->up));
    plane_close(p);
    plane_close(q);
}

static void a_plane_that_was_removed_while_it_was_away_is_told_when_it_comes(void **state)
{
    struct control *c = *state;
    pthread_mutex_lock(&c->lock);
    strcpy(c->removed, "east-1");
    pthread_mutex_unlock(&c->lock);
    struct plane *p = plane_start(c, "east-1");
    assert_true(reaches(&p->removals, 1));
    assert_int_equal(atomic_load(&p->ups), 0);
    plane_close(p);
}

static void a_plane_that_moves_to_another_pool_hears_that_one(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    pthread_mutex_lock(&c->lock);
    strcpy(c->moved_to, "north");
    pthread_mutex_unlock(&c->lock);
    bus_hub_cut(c->hub, SLICE("east-1"));
    assert_true(reaches(&p->ups, 2));
    usleep(100 * 1000);
    assert_int_equal(bus_hub_publish(c->hub, SLICE("east"), SLICE("old")), ERR_OK);
    assert_int_equal(bus_hub_publish(c->hub, SLICE("north"), SLICE("new")), ERR_OK);
    assert_true(reaches(&p->pushes, 1));
    assert_true(slice_eq(buf_slice(&p->last_push), SLICE("new")));
    plane_close(p);
}

static void closing_ends_what_is_under_way(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    struct ask asks[20];
    atomic_store(&c->slow_ms, 50);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        ask_start(&asks[i], p, SLICE("x"), 10000);
    while (atomic_load(&c->ran) == 0)
        usleep(1000);
    plane_close(p); /* frees p: the asks must not be told afterwards */
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        assert_true(atomic_load(&asks[i].over));
}

static void descriptors_are_given_back(void **state)
{
    struct control *c = *state;
    struct plane *p = plane_open(c, "east-1");
    assert_int_equal(ask(p, SLICE("x"), 5000), ERR_OK);
    plane_close(p);
    usleep(200 * 1000);
    size_t before = kit_descriptors(getpid());
    for (int i = 0; i < 20; i++) {
        p = plane_open(c, "east-1");
        assert_int_equal(ask(p, SLICE("x"), 5000), ERR_OK);
        plane_close(p);
    }
    usleep(200 * 1000);
    assert_in_range(kit_descriptors(getpid()), 0, before);
}

#define BUS_TEST(f) cmocka_unit_test_setup_teardown(f, control_open, control_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(a_request_is_answered_and_the_sender_is_known),
        BUS_TEST(messages_of_one_to_four_mib_go_both_ways),
        BUS_TEST(what_is_too_big_is_refused_at_the_door),
        BUS_TEST(a_burst_of_twenty_mib_loses_nothing),
        BUS_TEST(five_thousand_small_pushes_arrive_in_order),
        BUS_TEST(fifty_requests_at_once_are_each_answered_once),
        BUS_TEST(more_requests_than_the_ceiling_are_refused),
        BUS_TEST(a_request_that_nobody_answers_in_time_ends_once),
        BUS_TEST(planes_of_two_pools_hear_only_their_own),
        BUS_TEST(a_lost_connection_comes_back_and_says_so),
        BUS_TEST(a_request_over_a_lost_connection_is_run_once_and_answered),
        BUS_TEST(a_hub_that_starts_again_is_found_again),
        BUS_TEST(a_plane_that_is_removed_is_cut_and_stays_out),
        BUS_TEST(a_plane_that_is_removed_is_told_once_and_one_that_is_not_let_in_is_not),
        BUS_TEST(a_plane_that_was_removed_while_it_was_away_is_told_when_it_comes),
        BUS_TEST(a_plane_that_moves_to_another_pool_hears_that_one),
        BUS_TEST(closing_ends_what_is_under_way),
        BUS_TEST(descriptors_are_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
