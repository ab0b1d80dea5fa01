/* client_scenario — the calls of the client, and the thread of the upstream. */
#include "tests/kit/net/client_scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/limits.h"

static void over(struct ask *a)
{
    a->ends++;
    if (a->close_at != CLOSE_NEVER)
        http_call_close(&a->call);
    atomic_store(&a->done, true);
}

static void on_head(void *arg, const struct http_head *head)
{
    struct ask *a = arg;
    a->status = head->status;
    if (a->pause_at_head)
        http_call_pause(a->call);
    if (a->close_at == CLOSE_AT_HEAD)
        over(a);
}

static void on_body(void *arg, struct slice data)
{
    struct ask *a = arg;
    atomic_fetch_add(&a->got, data.len);
    if (a->got < (4u << 20))
        (void)!buf_append(&a->body, data);
    if (a->close_at == CLOSE_AT_BODY)
        over(a);
}

static void on_end(void *arg)
{
    over(arg);
}

static void on_error(void *arg, enum err why, enum http_call_phase phase)
{
    struct ask *a = arg;
    a->why = why;
    a->phase = phase;
    over(a);
}

static void pour(struct ask *a)
{
    static char block[8192];
    while (a->pour && !http_call_is_full(a->call)) {
        size_t n = a->pour < sizeof block ? a->pour : sizeof block;
        if (http_call_write(a->call, slice_of(block, n)) != ERR_OK)
            return;
        a->pour -= n;
        if (http_call_pending(a->call) > a->most_pending)
            a->most_pending = http_call_pending(a->call);
    }
    if (a->pour == 0)
        http_call_write_end(a->call);
}

static void on_drain(void *arg)
{
    pour(arg);
}

static const struct http_call_events events = {.on_head = on_head,
                                               .on_body = on_body,
                                               .on_end = on_end,
                                               .on_error = on_error,
                                               .on_drain = on_drain};

void ask_start_now(void *arg)
{
    struct ask *a = arg;
    a->started = http_call_start(a->w->client, &a->spec, &events, a, &a->call);
    if (a->started)
        atomic_store(&a->done, true);
    else if (a->pour)
        pour(a);
}

void ask_init(struct ask *a, struct world *w, struct slice method)
{
    *a = (struct ask){.w = w};
    a->spec = (struct http_call_spec){
        .method = method,
        .url = {.host = SLICE("127.0.0.1"), .port = w->port},
        .path = SLICE("/x"),
        .rule = {&w->loopback, 1},
    };
    buf_init(&a->body, 8u << 20);
    char *room; /* now: where allocations are made to fail, this one is not meant */
    if (buf_room(&a->body, 4096, &room))
        abort();
}

void ask_start(struct ask *a)
{
    if (loop_post(a->w->loop, ask_start_now, a) != ERR_OK)
        abort();
}

bool ask_wait(struct ask *a)
{
    for (int i = 0; i < 5000 && !atomic_load(&a->done); i++)
        usleep(1000);
    return atomic_load(&a->done);
}

void ask_fini(struct ask *a)
{
    buf_fini(&a->body);
}

bool ask_body_is(const struct ask *a, const char *text)
{
    return slice_eq(buf_slice(&a->body), slice_str(text));
}

void world_open(struct world *w)
{
    *w = (struct world){0};
    assert_int_equal(loop_new(&w->loop), ERR_OK);
    assert_int_equal(resolver_new(w->loop, &w->resolver), ERR_OK);
    assert_int_equal(http_client_new(w->loop, w->resolver, NULL, &w->client), ERR_OK);
    assert_int_equal(cidr_parse(SLICE("127.0.0.0/8"), &w->loopback), ERR_OK);
    w->listener = peer_listen(&w->port);
    assert_true(w->listener >= 0);
}

void world_close(struct world *w)
{
    close(w->listener);
    http_client_free(w->client);
    resolver_free(w->resolver);
    loop_free(w->loop);
    if (w->failed)
        fail_msg("%s", w->note);
}

void scenario_upstream(void (*script)(void *arg))
{
    struct world w;
    world_open(&w);
    peer_run(w.loop, script, &w);
    world_close(&w);
}

bool hear_request(int fd, struct buf *in)
{
    buf_clear(in);
    return peer_until(fd, in, "\r\n\r\n");
}

struct idle_count {
    struct world *w;
    atomic_int count;
};

static void count_idle(void *arg)
{
    struct idle_count *i = arg;
    atomic_store(&i->count, (int)http_client_idle(i->w->client));
}

bool idle_becomes(struct world *w, int want)
{
    struct idle_count i = {w, -1};
    for (int round = 0; round < 500; round++) {
        atomic_store(&i.count, -1);
        if (loop_post(w->loop, count_idle, &i) != ERR_OK)
            return false;
        while (atomic_load(&i.count) < 0)
            usleep(100);
        if (i.count == want)
            return true;
        usleep(1000);
    }
    return false;
}

bool served(struct ask *a, int *fd, struct buf *in, const char *text, bool then_close)
{
    ask_start(a);
    if (*fd < 0)
        *fd = peer_accept(a->w->listener);
    bool fine = hear_request(*fd, in) && peer_say(*fd, text);
    if (then_close) {
        close(*fd);
        *fd = -1;
    }
    return fine && ask_wait(a);
}
