#include "tests/kit/net/ends.h"

#include <dirent.h>
#include <string.h>
#include <uv.h>

#include "common/base/clock.h"
#include "tests/kit/tsan.h"

static void tell(struct end *e, enum moment m)
{
    e->count[m]++;
    if (e->then)
        e->then(e, m);
}

static void on_open(void *arg)
{
    tell(arg, ON_OPEN);
}

static void on_data(void *arg, struct slice data)
{
    struct end *e = arg;
    e->bytes += data.len;
    if (!e->forget)
        assert_int_equal(buf_append(&e->got, data), ERR_OK);
    tell(e, ON_DATA);
}

static void on_eof(void *arg)
{
    tell(arg, ON_EOF);
}

static void on_drain(void *arg)
{
    tell(arg, ON_DRAIN);
}

static void on_close(void *arg, enum err why)
{
    struct end *e = arg;
    e->why = why;
    tell(e, ON_CLOSE);
}

const struct stream_events end_events = {.on_open = on_open,
                                         .on_data = on_data,
                                         .on_eof = on_eof,
                                         .on_drain = on_drain,
                                         .on_close = on_close};

static void on_accept(void *arg, int fd)
{
    struct stage *s = arg;
    assert_true(s->count < s->most);
    struct end *e = &s->accepted[s->count];
    end_init(e, s);
    if (s->on_accepted)
        s->on_accepted(e);
    if (stream_accept(s->loop, fd, s->tls, &end_events, e, &e->stream))
        s->refused++;
    else
        s->count++;
}

enum err stage_listen(struct stage *s, const union sockaddr_any *at)
{
    return listener_open(s->loop, at, on_accept, s, &s->listener);
}

void stage_open(struct stage *s, struct end *accepted, size_t most)
{
    union sockaddr_any at;
    *s = (struct stage){.accepted = accepted, .most = most};
    assert_int_equal(loop_new(&s->loop), ERR_OK);
    assert_int_equal(resolver_new(s->loop, &s->resolver), ERR_OK);
    assert_int_equal(address_parse(SLICE("127.0.0.1:0"), &at), ERR_OK);
    assert_int_equal(stage_listen(s, &at), ERR_OK);
}

void stage_close(struct stage *s)
{
    for (size_t i = 0; i < s->count; i++)
        end_fini(&s->accepted[i]);
    listener_close(&s->listener);
    resolver_free(s->resolver);
    tls_drop(s->tls);
    loop_free(s->loop);
}

static void on_wake(struct timer *t UNUSED)
{
}

void stage_turn(struct stage *s)
{
    struct timer wake;
    timer_init(&wake, s->loop, on_wake);
    timer_start(&wake, 10);
    uv_run(loop_uv(s->loop), UV_RUN_ONCE);
    timer_cancel(&wake);
}

void end_init(struct end *e, struct stage *s)
{
    *e = (struct end){.stage = s};
    buf_init(&e->got, ENDS_GOT_MAX);
}

void end_fini(struct end *e)
{
    stream_close(&e->stream);
    buf_fini(&e->got);
}

static enum err dial(struct end *e, const char *host, uint16_t port, unsigned ms,
                     struct tls_context *tls)
{
    struct cidr loopback[2];
    assert_int_equal(cidr_parse(SLICE("127.0.0.0/8"), &loopback[0]), ERR_OK);
    assert_int_equal(cidr_parse(SLICE("::1/128"), &loopback[1]), ERR_OK);
    const struct egress_rule rule = {loopback, 2};
    const struct stream_target target = {.resolver = e->stage->resolver,
                                         .host = slice_str(host),
                                         .port = port,
                                         .tls = tls,
                                         .rule = &rule,
                                         .connect_ms = ms};
    return stream_connect(e->stage->loop, &target, &end_events, e, &e->stream);
}

enum err end_dial(struct end *e, const char *host, struct tls_context *tls)
{
    return dial(e, host, listener_port(e->stage->listener), WAIT_MS, tls);
}

enum err end_dial_port(struct end *e, const char *host, uint16_t port, unsigned ms)
{
    return dial(e, host, port, ms, NULL);
}

enum err end_say(struct end *e, const char *text)
{
    struct slice part = slice_str(text);
    return stream_write(e->stream, &part, 1);
}

struct slice end_text(const struct end *e)
{
    return buf_slice(&e->got);
}

uint64_t ends_now_ms(void)
{
    return clock_mono_us() / 1000;
}

size_t ends_open_fds(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

struct tls_context *ends_client_tls(const char *ca)
{
    const struct tls_client_config config = {.ca_file = ca};
    struct tls_context *t;
    assert_int_equal(tls_client_new(&config, &t), ERR_OK);
    return t;
}
