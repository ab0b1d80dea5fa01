/*
 * flow_upstream — a server that reads one request, follows its script, and keeps what it received.
 */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/kit/flow/flow_private.h"

#define CALL_MAX (64u * 1024 * 1024)

struct conn {
    struct list link;
    struct upstream *up;
    struct stream *stream;
    struct timer timer;
    struct upstream_call *call; /* being read, or its script is followed */
    struct http_head head;      /* of a call that is swallowed; in the call's bytes, which stay */
    struct http1_body walk;
    bool walking;
    size_t step;
    bool playing;
};

static void follow_script(struct conn *c);

static void on_rest(struct timer *t)
{
    SPARED;
    follow_script(CONTAINER_OF(t, struct conn, timer));
}

static void forget(void *arg)
{
    mem_free(arg);
}

static void drop(struct conn *c)
{
    timer_cancel(&c->timer);
    if (c->stream)
        stream_close(&c->stream);
    list_remove(&c->link);
    loop_retire(c->up->flow->loop, forget, c);
}

static void begin_call(struct conn *c)
{
    struct upstream *u = c->up;
    if (u->forgets && u->call_count) {
        c->call = &u->calls[0];
        buf_clear(&c->call->bytes);
        c->call->cut = c->call->done = false;
        u->call_count = 0;
        return;
    }
    assert_true(u->call_count < FLOW_CALLS);
    c->call = &u->calls[u->call_count];
    buf_fini(&c->call->bytes); /* of one that was never whole */
    buf_fini(&c->call->unchunked);
    c->call->taken = 0;
    buf_init(&c->call->bytes, CALL_MAX);
    buf_init(&c->call->unchunked, CALL_MAX);
}

/* Walked anew with each piece: what tests send in chunks is short. */
static bool unchunk(struct upstream_call *call, const struct http_head *h, struct slice bytes)
{
    struct http1_body walk;
    struct http1_problem problem;
    struct slice piece;
    bool ended = false;
    buf_clear(&call->unchunked);
    http1_body_init(&walk, HTTP1_REQUEST, h, h->method);
    while (!ended && http1_body_next(&walk, &bytes, &piece, &ended, &problem) == ERR_OK)
        assert_int_equal(buf_append(&call->unchunked, piece), ERR_OK);
    call->body = buf_slice(&call->unchunked);
    return ended;
}

static bool read_whole(struct upstream_call *call, bool head_only)
{
    struct http_head head;
    struct http1_problem problem;
    size_t len = 0;
    struct slice all = buf_slice(&call->bytes);
    if (http1_head(HTTP1_REQUEST, all, &head, &len, &problem) != ERR_OK)
        return false;
    call->head = slice_first(all, len);
    if (head_only)
        return true;
    if (head.chunked)
        return unchunk(call, &head, slice_from(all, len));
    if (all.len - len < (head.has_length ? head.length : 0))
        return false;
    call->body = slice_from(all, len);
    return true;
}

/* false: the connection takes no more; its drain goes on */
static bool say(struct conn *c, const struct step *s)
{
    struct slice part = slice_of(s->text, s->len);
    enum err e = stream_write(c->stream, &part, 1);
    if (e == ERR_TOO_BIG)
        return false;
    c->call->cut = c->call->cut || e != ERR_OK;
    return true;
}

static void follow_script(struct conn *c)
{
    struct upstream *u = c->up;
    while (c->step < u->step_count) {
        const struct step *s = &u->steps[c->step];
        if (s->kind == STEP_HANG || (s->kind == STEP_WAIT_GO && !u->go))
            return;
        if (s->kind == STEP_SAY && !say(c, s))
            return;
        c->step++;
        if (s->kind == STEP_REST_MS) {
            timer_start(&c->timer, s->ms);
            return;
        }
        if (s->kind == STEP_CUT) {
            c->call->done = true;
            drop(c);
            return;
        }
    }
    c->call->done = true;
    c->call = NULL;
    c->playing = false;
    c->step = 0;
}

static void reply(struct conn *c)
{
    struct buf out;
    buf_init(&out, CALL_MAX);
    c->up->reply(c->up, c->call, &out);
    struct slice part = buf_slice(&out);
    c->call->cut = stream_write(c->stream, &part, 1) != ERR_OK;
    buf_fini(&out);
    c->call->done = true;
    c->call = NULL;
    c->playing = false;
}

static void keep_front_and_end(struct upstream_call *call, struct slice piece)
{
    size_t room = FLOW_FRONT - call->unchunked.len, n = sizeof(call->end);
    assert_int_equal(buf_append(&call->unchunked, slice_first(piece, room)), ERR_OK);
    call->body = buf_slice(&call->unchunked);
    call->taken += piece.len;
    if (piece.len < n) {
        memmove(call->end, call->end + piece.len, n - piece.len);
        memcpy(call->end + n - piece.len, piece.ptr, piece.len);
    } else {
        memcpy(call->end, piece.ptr + piece.len - n, n);
    }
}

/* true: the request is whole */
static bool swallow(struct conn *c, struct slice data)
{
    struct http1_problem problem;
    struct slice piece;
    size_t len = 0;
    bool ended = false;
    if (!c->walking) {
        struct buf *bytes = &c->call->bytes;
        size_t had = bytes->len;
        assert_int_equal(buf_append(bytes, data), ERR_OK);
        if (http1_head(HTTP1_REQUEST, buf_slice(bytes), &c->head, &len, &problem))
            return false;
        c->call->head = slice_first(buf_slice(bytes), len);
        http1_body_init(&c->walk, HTTP1_REQUEST, &c->head, c->head.method);
        c->walking = true;
        data = slice_from(data, len - had);
    }
    while (!ended && http1_body_next(&c->walk, &data, &piece, &ended, &problem) == ERR_OK)
        keep_front_and_end(c->call, piece);
    c->walking = !ended;
    return ended;
}

static bool take(struct conn *c, struct slice data)
{
    if (c->up->swallows)
        return swallow(c, data);
    assert_int_equal(buf_append(&c->call->bytes, data), ERR_OK);
    return read_whole(c->call, c->up->hasty);
}

static void on_data(void *arg, struct slice data)
{
    SPARED;
    struct conn *c = arg;
    if (c->playing)
        return;
    if (!c->call)
        begin_call(c);
    if (c->up->deaf)
        stream_pause(c->stream);
    if (!take(c, data))
        return;
    c->up->call_count++;
    c->playing = true;
    if (c->up->reply)
        reply(c);
    else
        follow_script(c);
}

static void on_close(void *arg, enum err why UNUSED)
{
    SPARED;
    struct conn *c = arg;
    if (c->playing && c->call)
        c->call->cut = true;
    drop(c);
}

static void on_eof(void *arg)
{
    on_close(arg, ERR_OK);
}

static void on_open(void *arg UNUSED)
{
}

static void on_drain(void *arg)
{
    SPARED;
    struct conn *c = arg;
    if (c->playing && !timer_is_running(&c->timer))
        follow_script(c);
}

static const struct stream_events events = {.on_open = on_open,
                                            .on_data = on_data,
                                            .on_eof = on_eof,
                                            .on_drain = on_drain,
                                            .on_close = on_close};

static void on_accept(void *arg, int fd)
{
    SPARED;
    struct upstream *u = arg;
    struct conn *c = mem_zalloc(sizeof(*c));
    assert_non_null(c);
    c->up = u;
    timer_init(&c->timer, u->flow->loop, on_rest);
    list_push(&u->conns, &c->link);
    if (stream_accept(u->flow->loop, fd, NULL, &events, c, &c->stream))
        drop(c);
}

void flow_upstream_open(struct flow *k, size_t i)
{
    struct upstream *u = &k->upstreams[i];
    union sockaddr_any at;
    u->flow = k;
    list_init(&u->conns);
    assert_int_equal(address_parse(SLICE("127.0.0.1:0"), &at), ERR_OK);
    assert_int_equal(listener_open(k->loop, &at, on_accept, u, &u->listener), ERR_OK);
    u->port = listener_port(u->listener);
}

void upstream_forgets_calls(struct flow *k, size_t i)
{
    struct upstream *u = &k->upstreams[i];
    for (size_t n = 0; n < FLOW_CALLS; n++) {
        buf_fini(&u->calls[n].bytes);
        buf_fini(&u->calls[n].unchunked);
        u->calls[n] = (struct upstream_call){0};
    }
    u->call_count = 0;
}

void flow_upstream_close(struct flow *k, size_t i)
{
    struct upstream *u = &k->upstreams[i];
    LIST_EACH(&u->conns, it)
    {
        drop(LIST_ITEM(it, struct conn, link));
    }
    if (u->listener)
        listener_close(&u->listener);
    upstream_forgets_calls(k, i);
    upstream_forget_script(k, i);
}

/* ---- the script ---- */

void upstream_forget_script(struct flow *k, size_t i)
{
    struct upstream *u = &k->upstreams[i];
    for (size_t n = 0; n < u->step_count; n++)
        mem_free((char *)(uintptr_t)u->steps[n].text);
    u->step_count = 0;
}

static void add(struct flow *k, size_t i, struct step s)
{
    struct upstream *u = &k->upstreams[i];
    assert_true(u->step_count < FLOW_STEPS);
    u->steps[u->step_count++] = s;
}

void upstream_says(struct flow *k, size_t i, const char *bytes)
{
    char *copy = mem_strdup(bytes);
    assert_non_null(copy);
    add(k, i, (struct step){.kind = STEP_SAY, .text = copy, .len = strlen(bytes)});
}

void upstream_says_bytes(struct flow *k, size_t i, struct slice bytes)
{
    char *copy = mem_alloc(bytes.len + 1);
    assert_non_null(copy);
    slice_put(copy, bytes);
    add(k, i, (struct step){.kind = STEP_SAY, .text = copy, .len = bytes.len});
}

void upstream_rests(struct flow *k, size_t i, unsigned ms)
{
    add(k, i, (struct step){.kind = STEP_REST_MS, .ms = ms});
}

void upstream_cuts(struct flow *k, size_t i)
{
    add(k, i, (struct step){.kind = STEP_CUT});
}

void upstream_hangs(struct flow *k, size_t i)
{
    add(k, i, (struct step){.kind = STEP_HANG});
}

void upstream_waits_for_go(struct flow *k, size_t i)
{
    add(k, i, (struct step){.kind = STEP_WAIT_GO});
}

void upstream_goes(struct flow *k, size_t i)
{
    struct upstream *u = &k->upstreams[i];
    u->go = true;
    LIST_EACH(&u->conns, it)
    {
        struct conn *c = LIST_ITEM(it, struct conn, link);
        if (c->playing)
            follow_script(c);
    }
}

void upstream_reads_on(struct flow *k, size_t i)
{
    struct upstream *u = &k->upstreams[i];
    u->deaf = false;
    LIST_EACH(&u->conns, it)
    {
        stream_resume(LIST_ITEM(it, struct conn, link)->stream);
    }
}

void upstream_reply(struct buf *out, unsigned status, const char *headers, const char *body)
{
    assert_int_equal(buf_printf(out, "HTTP/1.1 %u X\r\n%sContent-Length: %zu\r\n\r\n", status,
                                headers, strlen(body)),
                     ERR_OK);
    assert_int_equal(buf_append(out, slice_str(body)), ERR_OK);
}

void upstream_answers_with(struct flow *k, size_t i, unsigned status, const char *headers,
                           const char *body)
{
    struct buf out;
    buf_init(&out, CALL_MAX);
    upstream_reply(&out, status, headers, body);
    assert_int_equal(buf_append(&out, slice_of("", 1)), ERR_OK);
    upstream_says(k, i, out.data + out.off);
    buf_fini(&out);
}

void upstream_answers(struct flow *k, size_t i, unsigned status, const char *json)
{
    upstream_answers_with(k, i, status, "Content-Type: application/json\r\n", json);
}

void upstream_opens_stream(struct flow *k, size_t i)
{
    upstream_says(k, i,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n");
}

void upstream_sends(struct flow *k, size_t i, const char *event)
{
    struct buf out;
    buf_init(&out, CALL_MAX);
    assert_int_equal(buf_printf(&out, "%zx\r\n", strlen(event)), ERR_OK);
    assert_int_equal(buf_append(&out, slice_str(event)), ERR_OK);
    assert_int_equal(buf_append(&out, slice_of("\r\n", 3)), ERR_OK); /* with its NUL */
    upstream_says(k, i, out.data + out.off);
    buf_fini(&out);
}

void upstream_ends_stream(struct flow *k, size_t i)
{
    upstream_says(k, i, "0\r\n\r\n");
}

struct slice upstream_heard(const struct upstream_call *c, const char *name)
{
    static struct http_head head;
    struct http1_problem problem;
    assert_int_equal(http1_head_parse(HTTP1_REQUEST, c->head, &head, &problem), ERR_OK);
    return http_head_find(&head, slice_str(name));
}
