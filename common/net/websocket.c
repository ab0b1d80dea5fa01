/*
 * websocket — libwebsockets at one end of a pair of sockets, this file at the other.
 *
 * A `struct lws` knows its `struct websocket` by its opaque user data, which is cleared where
 * either goes first. Bytes and the end of them come through the pair, so on_close follows the last
 * on_bytes.
 */
#include "common/net/websocket.h"

#include <errno.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define VHOST "gatehouse"
#define PROTOCOL "realtime" /* the one subprotocol there is */
#define RX_SIZE (16 * 1024) /* bytes of a frame that libwebsockets reads at once */
#define READ_SIZE (64 * 1024)
#define CLOSING_TURNS 4 /* of the loop, until libwebsockets has closed its handles */
#define REASON_MAX 123  /* RFC 6455, section 5.5: a control frame holds 125 bytes */

struct outgoing {
    struct list link;
    size_t len;
    unsigned char bytes[]; /* LWS_PRE of them are libwebsockets's */
};

struct websockets {
    struct loop *loop;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    struct websocket *opening; /* whose struct lws is being made */
    size_t count;
    uv_idle_t closing;
    unsigned turns;
    char read[READ_SIZE];
    struct http_head head;
};

struct websocket {
    struct websockets *home;
    struct lws *lws; /* NULL: it is gone */
    struct websocket_events events;
    void *arg;
    int fd; /* of the pair, ours; -1: closed */
    uv_poll_t poll;
    struct loop_task soon;
    bool freed; /* by the owner */
    bool server;
    bool has_head; /* on_head was called */
    bool finished; /* no more is fed */
    bool stalled, held, hold_changed;
    bool wants_drain;
    bool open;    /* both sides have shaken hands */
    bool closing; /* once nothing is left to be sent: */
    bool close_said;
    unsigned close_code;
    char close_reason[REASON_MAX + 1];
    unsigned peer_code; /* what the peer said; 0: nothing */
    char peer_reason[REASON_MAX];
    size_t peer_reason_len;
    bool broken; /* this side ends it, as the peer said what is not taken */
    size_t scanned;
    struct buf head;    /* until it is whole */
    struct buf fed;     /* what the pair does not take yet */
    struct buf message; /* not yet whole */
    struct list out;
    size_t pending;
};

/* ---- our end of the pair ---- */

static void on_poll(uv_poll_t *p, int status, int events);

static void watch(struct websocket *w)
{
    int events = (w->stalled ? 0 : UV_READABLE) | (w->fed.len ? UV_WRITABLE : 0);
    if (w->fd < 0)
        return;
    if (events)
        uv_poll_start(&w->poll, events, on_poll);
    else
        uv_poll_stop(&w->poll);
}

static void on_poll_closed(uv_handle_t *h)
{
    struct websocket *w = CONTAINER_OF((uv_poll_t *)h, struct websocket, poll);
    mem_free(w);
}

static void drop_messages(struct websocket *w)
{
    struct list *it;
    while ((it = list_take_first(&w->out)))
        mem_free(LIST_ITEM(it, struct outgoing, link));
    w->pending = 0;
}

/* The memory goes when libuv lets go of the handle. */
static void destroy(struct websocket *w)
{
    w->freed = true;
    if (w->lws)
        lws_set_opaque_user_data(w->lws, NULL);
    w->lws = NULL;
    loop_task_cancel(&w->soon);
    uv_poll_stop(&w->poll);
    close(w->fd);
    w->fd = -1;
    drop_messages(w);
    buf_fini(&w->head);
    buf_fini(&w->fed);
    buf_fini(&w->message);
    w->home->count--;
    uv_close((uv_handle_t *)&w->poll, on_poll_closed);
}

void websocket_free(struct websocket **at)
{
    struct websocket *w = *at;
    *at = NULL;
    if (w && !w->freed)
        destroy(w);
}

/* libwebsockets has closed its end. The owner still frees it. */
static void end(struct websocket *w)
{
    unsigned code = w->closing || w->broken ? 0 : w->peer_code ? w->peer_code : 1006;
    w->stalled = true;
    buf_clear(&w->fed);
    watch(w);
    w->events.on_close(w->arg, code, slice_of(w->peer_reason, w->peer_reason_len));
}

/* false: it was freed, or is over */
static bool take_head(struct websocket *w, struct slice bytes, struct slice *rest)
{
    struct http1_problem problem;
    enum http1_kind kind = w->server ? HTTP1_ANSWER : HTTP1_REQUEST;
    size_t len = 0;
    enum err e = buf_append(&w->head, bytes);
    if (!e)
        e = http1_head_end(kind, buf_slice(&w->head), &w->scanned, &len, &problem);
    if (e == ERR_AGAIN)
        return false;
    struct http_head *head = &w->home->head;
    if (!e)
        e = http1_head_parse(kind, slice_first(buf_slice(&w->head), len), head, &problem);
    if (e) {
        end(w);
        return false;
    }
    w->has_head = true;
    *rest = slice_from(bytes, bytes.len - (w->head.len - len));
    w->events.on_head(w->arg, head);
    if (w->freed)
        return false;
    buf_fini(&w->head);
    return true;
}

static void on_readable(struct websocket *w)
{
    while (!w->stalled && !w->freed) {
        ssize_t n = read(w->fd, w->home->read, READ_SIZE);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            end(w);
            return;
        }
        struct slice bytes = slice_of(w->home->read, (size_t)n);
        if (!w->has_head && !take_head(w, bytes, &bytes))
            continue;
        if (bytes.len)
            w->events.on_bytes(w->arg, bytes);
    }
}

/* ERR_OK also where the rest waits in `fed`. */
static enum err push(struct websocket *w, struct slice bytes, size_t *taken)
{
    *taken = 0;
    while (*taken < bytes.len) {
        ssize_t n = send(w->fd, bytes.ptr + *taken, bytes.len - *taken, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? ERR_OK : ERR_CLOSED;
        *taken += (size_t)n;
    }
    return ERR_OK;
}

static void shut(struct websocket *w)
{
    if (w->finished && !w->fed.len && w->fd >= 0)
        shutdown(w->fd, SHUT_WR);
}

static void on_writable(struct websocket *w)
{
    size_t taken;
    if (push(w, buf_slice(&w->fed), &taken)) /* it has ended, which reading tells */
        buf_clear(&w->fed);
    else
        buf_eat(&w->fed, taken);
    watch(w);
    shut(w);
    if (!w->fed.len && w->events.on_fed)
        w->events.on_fed(w->arg);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct websocket *w = CONTAINER_OF(p, struct websocket, poll);
    if (status < 0 || events & UV_READABLE)
        on_readable(w);
    if (!w->freed && w->fed.len && events & UV_WRITABLE)
        on_writable(w);
}

enum err websocket_feed(struct websocket *w, struct slice bytes)
{
    size_t taken = 0;
    if (!w->fed.len && push(w, bytes, &taken))
        return ERR_OK; /* it has ended, which reading tells */
    enum err e = buf_append(&w->fed, slice_from(bytes, taken));
    watch(w);
    return e;
}

void websocket_finish(struct websocket *w)
{
    w->finished = true;
    shut(w);
}

bool websocket_is_fed(const struct websocket *w)
{
    return w->fed.len == 0;
}

void websocket_stall(struct websocket *w)
{
    w->stalled = true;
    watch(w);
}

void websocket_flow(struct websocket *w)
{
    w->stalled = false;
    watch(w);
}

/* ---- libwebsockets' end ---- */

/* A callback that returns -1 closes too, but in Debian 12's libwebsockets on libuv never with a
 * close frame: it is built with _DEBUG, and then closes twice in a row "to confirm close has no
 * problem being called again", and the second time gives the frame up that the first has prepared.
 */
static void say_close(struct websocket *w)
{
    bool ready = w->closing && w->open && !w->close_said && (w->broken || list_empty(&w->out)) &&
                 !lws_partial_buffered(w->lws);
    if (!ready)
        return;
    w->close_said = true;
    lws_close_reason(w->lws, (enum lws_close_status)w->close_code, (unsigned char *)w->close_reason,
                     strlen(w->close_reason));
    lws_set_timeout(w->lws, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

/* Flow control is not changed inside of a callback of libwebsockets (it would read on for ever). */
static void on_soon(struct loop_task *t)
{
    struct websocket *w = CONTAINER_OF(t, struct websocket, soon);
    if (w->lws)
        say_close(w);
    if (w->lws && w->hold_changed)
        lws_rx_flow_control(w->lws, !w->held);
    w->hold_changed = false;
    if (w->lws && w->open && !w->close_said && (w->closing || !list_empty(&w->out)))
        lws_callback_on_writable(w->lws);
}

static void set_hold(struct websocket *w, bool held)
{
    if (w->held == held)
        return;
    w->held = held;
    w->hold_changed = true;
    loop_soon(w->home->loop, &w->soon);
}

void websocket_hold(struct websocket *w)
{
    set_hold(w, true);
}

void websocket_release(struct websocket *w)
{
    set_hold(w, false);
}

/* Short messages take more memory than they have bytes. */
static size_t size_of(const struct outgoing *m)
{
    return sizeof(*m) + LWS_PRE + m->len;
}

enum err websocket_send(struct websocket *w, struct slice text)
{
    if (!w->lws || w->closing)
        return ERR_CLOSED;
    struct outgoing *m = mem_alloc(sizeof(*m) + LWS_PRE + text.len);
    if (!m)
        return ERR_NOMEM;
    m->len = text.len;
    memcpy(m->bytes + LWS_PRE, text.ptr, text.len);
    list_init(&m->link);
    list_push(&w->out, &m->link);
    w->pending += size_of(m);
    w->wants_drain = w->wants_drain || websocket_is_full(w);
    loop_soon(w->home->loop, &w->soon);
    return ERR_OK;
}

bool websocket_is_full(const struct websocket *w)
{
    return w->pending > LIMIT_STREAM_HIGH;
}

size_t websocket_pending(const struct websocket *w)
{
    return w->pending;
}

void websocket_close(struct websocket *w, unsigned code, const char *reason)
{
    if (w->closing)
        return;
    w->closing = true;
    w->close_code = code;
    snprintf(w->close_reason, sizeof(w->close_reason), "%s", reason);
    set_hold(w, false); /* the peer's own close frame comes behind what it has sent */
    loop_soon(w->home->loop, &w->soon);
}

/* The peer said what is not taken here. */
static int refuse(struct websocket *w, unsigned code, const char *why)
{
    w->broken = true;
    websocket_close(w, code, why);
    return 0;
}

/* Not 0: libwebsockets closes it. */
static int on_receive(struct websocket *w, struct slice piece)
{
    if (w->closing)
        return 0;
    if (lws_frame_is_binary(w->lws))
        return refuse(w, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "only text is taken here");
    enum err e = buf_append(&w->message, piece);
    if (e == ERR_TOO_BIG)
        return refuse(w, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "the message is too large");
    if (e)
        return refuse(w, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
    if (!lws_is_final_fragment(w->lws) || lws_remaining_packet_payload(w->lws))
        return 0;
    w->events.on_message(w->arg, buf_slice(&w->message));
    if (w->freed)
        return -1;
    if (w->message.cap > READ_SIZE)
        buf_fini(&w->message);
    buf_clear(&w->message);
    return 0;
}

static void tell_drain(struct websocket *w)
{
    if (!w->wants_drain || w->pending > LIMIT_STREAM_LOW)
        return;
    w->wants_drain = false;
    if (w->events.on_drain)
        w->events.on_drain(w->arg);
}

/* One message at a time: libwebsockets keeps what the socket does not take of it. */
static int on_writeable(struct websocket *w)
{
    bool ready = !lws_partial_buffered(w->lws) && !w->close_said;
    struct list *it = ready ? list_take_first(&w->out) : NULL;
    if (it) {
        struct outgoing *m = LIST_ITEM(it, struct outgoing, link);
        int n = lws_write(w->lws, m->bytes + LWS_PRE, m->len, LWS_WRITE_TEXT);
        w->pending -= size_of(m);
        mem_free(m);
        if (n < 0)
            return -1;
        tell_drain(w);
        if (w->freed)
            return -1;
    }
    if (w->closing && !w->close_said)
        loop_soon(w->home->loop, &w->soon);
    else if (!list_empty(&w->out))
        lws_callback_on_writable(w->lws);
    return 0;
}

/* `in` begins with the code, if the peer named one. */
static void note_close(struct websocket *w, const unsigned char *in, size_t len)
{
    w->peer_code = len >= 2 ? (unsigned)in[0] << 8 | in[1] : 1005;
    w->peer_reason_len = len > 2 ? len - 2 : 0;
    if (w->peer_reason_len > sizeof(w->peer_reason))
        w->peer_reason_len = sizeof(w->peer_reason);
    if (w->peer_reason_len)
        memcpy(w->peer_reason, in + 2, w->peer_reason_len);
}

static struct websocket *websocket_of(struct lws *lws)
{
    struct websockets *s = lws_context_user(lws_get_context(lws));
    struct websocket *w = lws_get_opaque_user_data(lws);
    if (!w && s && s->opening) {
        w = s->opening;
        w->lws = lws;
        lws_set_opaque_user_data(lws, w);
    }
    return w;
}

static int on_lws(struct lws *lws, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    (void)user;
    switch (reason) { /* NOLINT: the rest is none of ours */
    case LWS_CALLBACK_PROTOCOL_INIT:
    case LWS_CALLBACK_PROTOCOL_DESTROY:
        return 0;
    default:
        break;
    }
    struct websocket *w = websocket_of(lws);
    if (!w) /* freed by its owner, whose end of the pair is closed */
        return reason == LWS_CALLBACK_RECEIVE || reason == LWS_CALLBACK_CLIENT_RECEIVE ||
                       reason == LWS_CALLBACK_SERVER_WRITEABLE ||
                       reason == LWS_CALLBACK_CLIENT_WRITEABLE
                   ? -1
                   : 0;
    switch (reason) { /* NOLINT */
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        w->open = true;
        if (w->closing || !list_empty(&w->out))
            lws_callback_on_writable(lws);
        return 0;
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return on_receive(w, slice_of(in, len));
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writeable(w);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        note_close(w, in, len);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        w->lws = NULL;
        lws_set_opaque_user_data(lws, NULL);
        return 0;
    default:
        return 0;
    }
}

/* ---- opening ---- */

static enum err make(struct websockets *s, bool server, int fd,
                     const struct websocket_events *events, void *arg, struct websocket **ret)
{
    struct websocket *w = mem_zalloc(sizeof(*w));
    if (!w)
        return ERR_NOMEM;
    if (uv_poll_init(loop_uv(s->loop), &w->poll, fd)) {
        mem_free(w);
        return ERR_IO;
    }
    w->home = s;
    w->server = server;
    w->fd = fd;
    w->events = *events;
    w->arg = arg;
    buf_init(&w->head, LIMIT_HTTP_HEAD);
    buf_init(&w->fed, LIMIT_HTTP_REST);
    buf_init(&w->message, LIMIT_WEBSOCKET_MESSAGE);
    list_init(&w->out);
    loop_task_init(&w->soon, on_soon);
    s->count++;
    *ret = w;
    return ERR_OK;
}

enum err websocket_accept(struct websockets *s, struct slice key, bool realtime,
                          const struct websocket_events *events, void *arg, struct websocket **ret)
{
    char head[512];
    int pair[2];
    struct websocket *w;
    int n = snprintf(head, sizeof(head),
                     "GET / HTTP/1.1\r\nHost: gatehouse\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: %.*s\r\n%s\r\n",
                     SLICE_ARG(key), realtime ? "Sec-WebSocket-Protocol: " PROTOCOL "\r\n" : "");
    if (n < 0 || (size_t)n >= sizeof(head))
        return ERR_INVALID;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
        return ERR_IO;
    enum err e = make(s, true, pair[0], events, arg, &w);
    if (e) {
        close(pair[0]);
        close(pair[1]);
        return e;
    }
    s->opening = w;
    struct lws *lws = lws_adopt_socket_vhost_readbuf(s->vhost, pair[1], head, (size_t)n);
    s->opening = NULL;
    if (!lws || !w->lws) {
        destroy(w);
        return ERR_IO;
    }
    watch(w);
    *ret = w;
    return ERR_OK;
}

/* libwebsockets as a client only connects, so it is given a listener of one moment: an abstract
 * name that is drawn for it, and what connects is this process. */
static int listen_once(char name[static 40])
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    uint64_t drawn[2];
    digest_random(drawn, sizeof(drawn));
    int len = snprintf(name, 40, "%016llx%016llx", (unsigned long long)drawn[0],
                       (unsigned long long)drawn[1]);
    memcpy(at.sun_path + 1, name, (size_t)len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&at, size) || listen(fd, 1))) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool is_own(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.pid == getpid();
}

static struct lws *connect_to(struct websockets *s, const char *name)
{
    char address[48];
    snprintf(address, sizeof(address), "+@%s", name);
    const struct lws_client_connect_info info = {
        .context = s->lws,
        .vhost = s->vhost,
        .address = address,
        .port = 80,
        .path = "/",
        .host = "gatehouse",
        .local_protocol_name = PROTOCOL,
        .ietf_version_or_minus_one = -1,
    };
    return lws_client_connect_via_info(&info);
}

enum err websocket_dial(struct websockets *s, const struct websocket_events *events, void *arg,
                        struct websocket **ret)
{
    char name[40];
    struct websocket *w = NULL;
    int listener = listen_once(name);
    if (listener < 0)
        return ERR_IO;
    /* The pair's other end is known only once libwebsockets has connected, and its first callbacks
     * come before: `opening` is set on a struct that has no socket yet. */
    struct websocket early = {.home = s};
    s->opening = &early;
    struct lws *lws = connect_to(s, name);
    s->opening = NULL;
    int fd = lws ? accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    close(listener);
    enum err e = fd >= 0 && is_own(fd) ? make(s, false, fd, events, arg, &w) : ERR_IO;
    if (e) {
        if (early.lws)
            lws_set_opaque_user_data(early.lws, NULL);
        if (fd >= 0)
            close(fd);
        return e;
    }
    w->lws = lws;
    lws_set_opaque_user_data(lws, w);
    watch(w);
    *ret = w;
    return ERR_OK;
}

enum err websocket_opened(struct websocket *w, struct slice accept)
{
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n\r\n",
                     SLICE_ARG(accept));
    if (n < 0 || (size_t)n >= sizeof(head))
        return ERR_INVALID;
    return websocket_feed(w, slice_of(head, (size_t)n));
}

/* ---- what they share ---- */

static void emit(int level, const char *line)
{
    (void)level;
    log_debug(NULL, "libwebsockets", "line=%s", line);
}

/* One for all loops, whose threads may be here at once. */
static pthread_once_t log_once = PTHREAD_ONCE_INIT;

static void take_log(void)
{
    lws_set_log_level(LLL_ERR | LLL_WARN, emit);
}

enum err websockets_new(struct loop *l, struct websockets **ret)
{
    static const struct lws_protocols protocols[] = {
        {.name = PROTOCOL, .callback = on_lws, .rx_buffer_size = RX_SIZE},
        {.name = NULL},
    };
    /* A peer that is silent is asked by a ping, and is gone where it does not respond. */
    static const lws_retry_bo_t idle = {
        .secs_since_valid_ping = LIMIT_WEBSOCKET_PING_S,
        .secs_since_valid_hangup = LIMIT_WEBSOCKET_GONE_S,
    };
    struct websockets *s = mem_zalloc(sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    s->loop = l;
    pthread_once(&log_once, take_log);
    void *loops[] = {loop_uv(l)};
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .vhost_name = VHOST,
        .foreign_loops = loops,
        .options =
            LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_UNIX_SOCK,
        .retry_and_idle_policy = &idle,
        /* unsaid, it takes http_proxy and socks_proxy from the environment, and connects there */
        .http_proxy_address = "",
#ifdef LWS_WITH_SOCKS5
        .socks_proxy_address = "",
#endif
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .user = s,
    };
    s->lws = lws_create_context(&info);
    if (!s->lws) {
        mem_free(s);
        return ERR_IO;
    }
    s->vhost = lws_get_vhost_by_name(s->lws, VHOST);
    *ret = s;
    return ERR_OK;
}

static void on_closed(uv_handle_t *h)
{
    struct websockets *s = CONTAINER_OF((uv_idle_t *)h, struct websockets, closing);
    mem_free(s);
}

static void on_closing(uv_idle_t *h)
{
    struct websockets *s = CONTAINER_OF(h, struct websockets, closing);
    if (++s->turns < CLOSING_TURNS)
        return;
    lws_context_destroy(s->lws);
    uv_idle_stop(h);
    uv_close((uv_handle_t *)h, on_closed);
}

/* On a loop of ours, libwebsockets destroys in two steps, with turns of the loop between them. */
void websockets_free(struct websockets *s)
{
    if (!s)
        return;
    MUST(s->count == 0);
    lws_context_destroy(s->lws);
    MUST(uv_idle_init(loop_uv(s->loop), &s->closing) == 0);
    MUST(uv_idle_start(&s->closing, on_closing) == 0);
}
