/* The server: its listener, its connections, and the header lines that all responses share.
 */
#include "common/net/http_server.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/http_server_private.h"

#define US_PER_SECOND 1000000u
#define DATE_MAX 40 /* "Date: Sun, 22 Nov 2026 17:41:38 GMT" and CRLF */

static void write_date(struct http_server *s)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = (time_t)(clock_wall_us() / US_PER_SECOND);
    struct tm t;
    gmtime_r(&now, &t);
    int n = snprintf(s->fixed + s->name_len, sizeof s->fixed - s->name_len,
                     "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[t.tm_wday], t.tm_mday,
                     months[t.tm_mon], 1900 + t.tm_year, t.tm_hour, t.tm_min, t.tm_sec);
    s->fixed_len = s->name_len + (size_t)n;
}

struct slice http_server_fixed(struct http_server *s)
{
    uint64_t second = loop_now_us(s->loop) / US_PER_SECOND;
    if (second != s->date_second || s->fixed_len == 0) {
        s->date_second = second;
        write_date(s);
    }
    return slice_of(s->fixed, s->fixed_len);
}

static enum err write_name(struct http_server *s, struct slice name)
{
    if (name.len == 0)
        return ERR_OK;
    if (name.len + sizeof "Server: \r\n" + DATE_MAX > sizeof s->fixed)
        return ERR_TOO_BIG;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < ' ' || name.ptr[i] > '~')
            return ERR_INVALID;
    s->name_len = (size_t)snprintf(s->fixed, sizeof s->fixed, "Server: %.*s\r\n", SLICE_ARG(name));
    return ERR_OK;
}

static void fill_defaults(struct http_server_config *c)
{
    if (!c->body_max)
        c->body_max = LIMIT_AI_BODY; /* the largest of all; gates ask for less */
    if (!c->head_ms)
        c->head_ms = LIMIT_HEAD_MS;
    if (!c->body_gap_ms)
        c->body_gap_ms = LIMIT_BODY_GAP_MS;
    if (!c->keepalive_ms)
        c->keepalive_ms = LIMIT_KEEPALIVE_MS;
    if (!c->connections_max)
        c->connections_max = LIMIT_CONNECTIONS;
}

enum err http_server_new(struct loop *l, const struct http_server_config *c,
                         const struct http_server_events *events, void *arg,
                         struct http_server **ret)
{
    struct http_server *s = mem_zalloc(sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->loop = l;
    s->config = *c;
    fill_defaults(&s->config);
    s->config.name = SLICE_NONE; /* its text is the caller's; ours is in `fixed` */
    s->events = *events;
    s->arg = arg;
    list_init(&s->conns);
    list_init(&s->spare);
    enum err e = write_name(s, c->name);
    if (e) {
        mem_free(s);
        return e;
    }
    if (s->config.tls)
        tls_hold(s->config.tls);
    *ret = s;
    return ERR_OK;
}

static void on_accept(void *arg, int fd)
{
    struct http_server *s = arg;
    if (s->conn_count + s->lent >= s->config.connections_max) {
        close(fd); /* a 503 would need the memory of a connection */
        return;
    }
    /* Without memory http_conn_new has closed the descriptor, and the client sees a closed
     * connection. */
    if (http_conn_new(s, fd) != ERR_OK)
        return;
}

enum err http_server_listen(struct http_server *s, const union sockaddr_any *at)
{
    return listener_open(s->loop, at, on_accept, s, &s->listener);
}

uint16_t http_server_port(const struct http_server *s)
{
    return listener_port(s->listener);
}

size_t http_server_connections(const struct http_server *s)
{
    return s->conn_count;
}

bool http_server_lend(struct http_server *s, size_t descriptors)
{
    size_t all = s->config.connections_max, lent = s->lent + descriptors;
    if (lent > all * LIMIT_LENT_DESCRIPTORS / 100 || s->conn_count + lent > all)
        return false;
    s->lent = lent;
    return true;
}

void http_server_take_back(struct http_server *s, size_t descriptors)
{
    MUST(s->lent >= descriptors);
    s->lent -= descriptors;
}

void http_server_drain(struct http_server *s)
{
    s->draining = true;
    if (s->listener)
        listener_close(&s->listener);
    LIST_EACH(&s->conns, it)
    {
        struct http_conn *c = LIST_ITEM(it, struct http_conn, link);
        if (c->state == CONN_HEAD && c->rest.len == 0)
            http_conn_finish(c);
    }
}

static void free_exchange(struct http_exchange *x)
{
    buf_fini(&x->out);
    buf_fini(&x->head_bytes);
    mem_free(x->head);
    mem_free(x);
}

static void free_server(struct http_server *s)
{
    struct list *link;
    while ((link = list_take_first(&s->spare)))
        free_exchange(LIST_ITEM(link, struct http_exchange, link));
    tls_drop(s->config.tls);
    mem_free(s);
}

void http_server_forget(struct http_server *s, struct http_conn *c)
{
    list_remove(&c->link);
    s->conn_count--;
    if (s->freed && s->conn_count == 0)
        free_server(s);
}

/* Connections free themselves at the end of the turn; their exchanges are ended now, while the
 * objects they belong to still exist. */
void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    if (s->listener)
        listener_close(&s->listener);
    LIST_EACH(&s->conns, it)
    {
        struct http_conn *c = LIST_ITEM(it, struct http_conn, link);
        http_conn_close(c, ERR_CANCELLED);
        if (c->x)
            http_exchange_gone(c, c->why);
    }
    s->freed = true;
    if (s->conn_count == 0)
        free_server(s);
}

/* Last in, first out: the one whose memory is still in the cache. */
struct http_exchange *http_server_take_spare(struct http_server *s)
{
    if (!list_empty(&s->spare)) {
        s->spare_count--;
        struct list *first = list_take_first(&s->spare);
        return LIST_ITEM(first, struct http_exchange, link);
    }
    struct http_exchange *x = mem_alloc(sizeof *x);
    if (!x)
        return NULL;
    list_init(&x->link);
    /* a whole response for which the stream had no space waits in `out` */
    buf_init(&x->out, LIMIT_AI_ANSWER + LIMIT_HTTP_HEAD);
    buf_init(&x->head_bytes, LIMIT_HTTP_HEAD);
    x->head = NULL;
    x->head_size = 0;
    return x;
}

/* A client sends a dozen headers, and there is space for a hundred: with thousands of streams that
 * are held, what is not used would be a sixth of their memory. */
enum err http_exchange_keep_head(struct http_exchange *x, const struct http_head *head)
{
    const size_t step = 8 * sizeof(head->headers[0]);
    size_t size = http_head_size(head);
    if (size > x->head_size) {
        size_t more = (size + step - 1) / step * step;
        void *space = mem_realloc(x->head, more);
        if (!space)
            return ERR_NOMEM;
        x->head = space;
        x->head_size = more;
    }
    memcpy(x->head, head, size);
    return ERR_OK;
}

static void empty(struct buf *b)
{
    if (b->cap > LIMIT_HTTP_COALESCE + 1024) /* kept for the next exchange, unless it is large */
        buf_fini(b);
    else
        buf_clear(b);
}

void http_server_give_spare(struct http_server *s, struct http_exchange *x)
{
    if (s->freed || s->spare_count >= LIMIT_HTTP_SPARE) {
        free_exchange(x);
        return;
    }
    empty(&x->out);
    empty(&x->head_bytes);
    s->spare_count++;
    list_push_first(&s->spare, &x->link);
}
