/* stream_tunnel — a proxy is told to connect to the target (RFC 9110, section 9.3.6). */
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/net/http1.h"
#include "common/net/stream_private.h"

struct stream_tunnel {
    struct buf request; /* the head that is sent; it may hold a credential */
    struct buf reply;   /* the proxy's head, as far as it came */
    size_t scanned;
};

void stream_tunnel_free(struct stream *s)
{
    struct stream_tunnel *t = s->tunnel;
    s->tunnel = NULL;
    if (!t)
        return;
    if (t->request.data)
        secret_wipe(t->request.data, t->request.cap);
    buf_fini(&t->request);
    buf_fini(&t->reply);
    mem_free(t);
}

static enum err write_request(struct buf *out, const struct stream_target *t)
{
    bool literal6 = slice_find(t->host, ':') >= 0;
    const char *open = literal6 ? "[" : "", *close = literal6 ? "]" : "";
    enum err e = buf_printf(out,
                            "CONNECT %s%.*s%s:%u HTTP/1.1\r\nHost: %s%.*s%s:%u\r\n"
                            "User-Agent: gatehouse\r\n",
                            open, SLICE_ARG(t->host), close, t->port, open, SLICE_ARG(t->host),
                            close, t->port);
    if (!e && t->proxy->authorization.len)
        e = buf_printf(out, "Proxy-Authorization: %.*s\r\n", SLICE_ARG(t->proxy->authorization));
    return e ? e : buf_append(out, SLICE("\r\n"));
}

enum err stream_tunnel_new(struct stream *s, const struct stream_target *target)
{
    struct stream_tunnel *t = mem_zalloc(sizeof(*t));
    if (!t)
        return ERR_NOMEM;
    s->tunnel = t;
    buf_init(&t->request, LIMIT_HTTP_HEAD);
    buf_init(&t->reply, LIMIT_HTTP_HEAD);
    /* in one piece from the start: growing would leave copies of the credential */
    size_t most = 512 + 2 * target->host.len + target->proxy->authorization.len;
    char *room;
    enum err e = buf_room(&t->request, most, &room);
    return e ? e : write_request(&t->request, target);
}

void stream_tunnel_ask(struct stream *s)
{
    struct slice head = buf_slice(&s->tunnel->request);
    enum err e = stream_send(s, &head, 1);
    secret_wipe(s->tunnel->request.data, s->tunnel->request.cap);
    if (e)
        stream_fail(s, ERR_CONNECT);
}

/* Nothing may stand behind the head: neither TLS nor HTTP servers speak first. */
void stream_tunnel_input(struct stream *s, struct slice data)
{
    struct stream_tunnel *t = s->tunnel;
    struct http1_problem problem;
    struct http_head head;
    size_t len = 0;
    enum err e = buf_append(&t->reply, data);
    if (!e)
        e = http1_head_end(HTTP1_ANSWER, buf_slice(&t->reply), &t->scanned, &len, &problem);
    if (e == ERR_AGAIN)
        return;
    if (!e)
        e = http1_head_parse(HTTP1_ANSWER, slice_first(buf_slice(&t->reply), len), &head, &problem);
    if (e || head.status / 100 != 2 || t->reply.len != len) {
        log_warn(&(struct log_ctx){.component = "net"}, "proxy_refused", "proxy=%s status=%u",
                 s->peer, e ? 0 : head.status);
        stream_fail(s, ERR_CONNECT);
        return;
    }
    stream_tunnel_free(s);
    stream_reached(s);
}
