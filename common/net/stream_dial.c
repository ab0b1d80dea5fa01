/* stream_dial — resolves the name, checks each address, and connects: one address after the other,
 * each with its share of the time. */
#include <string.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/stream_private.h"

struct stream_dial {
    struct resolver_query *query;
    struct resolver_answer answer;
    size_t next;     /* address to try */
    bool tried;      /* some address was allowed */
    bool lacking;    /* the last try found no descriptor */
    bool resolved;   /* the owner was told that the name is resolved */
    uint64_t end_us; /* of name, TCP and TLS together */
    bool own_credential;
    struct egress_rule rule; /* its array lies behind the struct */
    struct cidr allowed[];
};

void stream_dial_cancel(struct stream *s)
{
    if (!s->dial)
        return;
    resolver_cancel(&s->dial->query);
    mem_free(s->dial);
    s->dial = NULL;
}

static uint64_t left_ms(const struct stream *s)
{
    uint64_t now = loop_now_us(s->loop), end = s->dial->end_us;
    return end > now ? (end - now) / 1000 + 1 : 1;
}

/* An address that never replies must not use up the time of the addresses after it. */
static void start_share(struct stream *s)
{
    size_t others = s->dial->answer.count - s->dial->next;
    timer_start(&s->deadline, left_ms(s) / (others + 1) + 1);
}

static void finish_dial(struct stream *s)
{
    timer_start(&s->deadline, left_ms(s));
    stream_dial_cancel(s);
    uv_tcp_nodelay(&s->tcp, 1);
    stream_connected(s);
}

/* The handle's memory is needed again: the next step is taken when it is closed. */
static void next_after_close(struct stream *s)
{
    timer_cancel(&s->deadline);
    uv_close((uv_handle_t *)&s->tcp, stream_on_handle_closed);
}

static void on_connect(uv_connect_t *req, int status)
{
    struct stream *s = req->handle->data;
    if (s->state != STREAM_DIALING || uv_is_closing((uv_handle_t *)&s->tcp))
        return;
    if (status < 0)
        next_after_close(s);
    else
        finish_dial(s);
}

static void try_address(struct stream *s, const union sockaddr_any *a)
{
    struct stream_dial *d = s->dial;
    d->tried = true;
    if (uv_tcp_init(&s->loop->uv, &s->tcp)) {
        stream_fail(s, ERR_IO);
        return;
    }
    s->has_handle = true;
    s->tcp.data = s;
    int e = uv_tcp_connect(&s->connect, &s->tcp, &a->sa, on_connect);
    d->lacking = e == UV_EMFILE || e == UV_ENFILE; /* that is ours, not the peer's fault */
    if (e)
        next_after_close(s);
    else
        start_share(s);
}

static bool may_dial(const struct stream_dial *d, const union sockaddr_any *a)
{
    enum err e = d->own_credential ? egress_check_own(&d->rule, a) : egress_check(&d->rule, a);
    return e == ERR_OK;
}

/* Each address is checked at the moment it is dialled, whatever the name said. */
void stream_dial_step(struct stream *s)
{
    struct stream_dial *d = s->dial;
    if (!d->resolved && s->events->on_resolved)
        s->events->on_resolved(s->arg);
    d->resolved = true;
    while (d->next < d->answer.count) {
        const union sockaddr_any *a = &d->answer.addresses[d->next++];
        if (may_dial(d, a)) {
            try_address(s, a);
            return;
        }
    }
    if (!d->tried)
        stream_fail(s, ERR_DENIED);
    else
        stream_fail(s, d->lacking ? ERR_EXHAUSTED : ERR_CONNECT);
}

void stream_dial_late(struct stream *s)
{
    struct stream_dial *d = s->dial;
    if (s->has_handle && d->next < d->answer.count)
        next_after_close(s);
    else
        stream_fail(s, ERR_TIMEOUT);
}

static void on_resolved(void *arg, enum err e, const struct resolver_answer *answer)
{
    struct stream *s = arg;
    s->dial->query = NULL;
    if (e) {
        stream_fail(s, e);
        return;
    }
    s->dial->answer = *answer;
    stream_dial_step(s);
}

static enum err new_dial(struct stream *s, const struct stream_target *t)
{
    size_t n = t->rule ? t->rule->allowed_count : 0;
    struct stream_dial *d = mem_zalloc(sizeof(*d) + n * sizeof(d->allowed[0]));
    if (!d)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        d->allowed[i] = t->rule->allowed[i];
    d->rule = (struct egress_rule){d->allowed, n};
    d->own_credential = t->own_credential;
    s->dial = d;
    return ERR_OK;
}

/* What the proxy resolves is its own to allow; an address that we name is checked here. */
static enum err check_behind_proxy(const struct stream_target *t)
{
    union sockaddr_any a;
    if (!address_literal(t->host, t->port, &a))
        return ERR_OK;
    return egress_check(t->rule, &a);
}

static enum err find_addresses(struct stream *s, const struct stream_target *t)
{
    struct stream_dial *d = s->dial;
    struct slice host = t->proxy ? t->proxy->host : t->host;
    uint16_t port = t->proxy ? t->proxy->port : t->port;
    if (address_literal(host, port, &d->answer.addresses[0])) {
        d->answer.count = 1;
        loop_soon(s->loop, &s->task);
        return ERR_OK;
    }
    if (!t->resolver)
        return ERR_INVALID;
    return resolver_start(t->resolver, host, port, on_resolved, s, &d->query);
}

enum err stream_connect(struct loop *l, const struct stream_target *t,
                        const struct stream_events *events, void *arg, struct stream **ret)
{
    struct stream *s;
    enum err e = stream_new(l, events, arg, &s);
    if (e)
        return e;
    uint64_t ms = t->connect_ms ? t->connect_ms : LIMIT_CONNECT_MS;
    e = t->proxy ? check_behind_proxy(t) : ERR_OK;
    if (!e)
        e = new_dial(s, t);
    if (!e && t->proxy)
        e = stream_tunnel_new(s, t);
    if (!e && t->tls)
        e = tls_session_new(t->tls, t->host, &s->tls);
    if (!e)
        e = find_addresses(s, t);
    if (e) {
        stream_close(&s);
        return e;
    }
    s->dial->end_us = loop_now_us(l) + ms * 1000;
    timer_start(&s->deadline, ms);
    *ret = s;
    return ERR_OK;
}
