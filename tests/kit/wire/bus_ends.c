/* bus_ends — see the card. */
#include "tests/kit/wire/bus_ends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/mem.h"

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

void control_start(struct control *c, uint16_t push, uint16_t request)
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

int control_open(void **state)
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

int control_close(void **state)
{
    struct control *c = *state;
    bus_hub_close(&c->hub);
    tls_drop(c->tls);
    kit_close(&c->kit);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
    return 0;
}

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

bool plane_is_up(void *arg)
{
    return atomic_load(&((struct plane *)arg)->up);
}

struct plane *plane_start(struct control *c, const char *name)
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

struct plane *plane_open(struct control *c, const char *name)
{
    struct plane *p = plane_start(c, name);
    assert_true(kit_until(plane_is_up, p, WAIT_MS));
    return p;
}

static void on_close_turn(void *arg)
{
    struct plane *p = arg;
    bus_plane_close(&p->bus);
    loop_stop(p->loop);
}

void plane_close(struct plane *p)
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
    atomic_fetch_add(e ? &p->failures : &p->replies, 1);
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

void ask_start(struct ask *a, struct plane *p, struct slice message, unsigned timeout_ms)
{
    *a = (struct ask){.plane = p, .message = message, .timeout_ms = timeout_ms};
    assert_int_equal(loop_post(p->loop, on_ask_turn, a), ERR_OK);
}

bool ask_is_over(void *arg)
{
    return atomic_load(&((struct ask *)arg)->over);
}

enum err ask(struct plane *p, struct slice message, unsigned timeout_ms)
{
    struct ask a;
    ask_start(&a, p, message, timeout_ms);
    assert_true(kit_until(ask_is_over, &a, timeout_ms + WAIT_MS));
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

bool reaches(atomic_uint *count, unsigned at_least)
{
    struct wanted w = {count, at_least};
    return kit_until(has_reached, &w, WAIT_MS);
}
