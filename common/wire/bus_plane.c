/*
 * bus_plane — the data plane's end. Everything happens on the loop's thread.
 *
 * NNG's threads do one thing: they note which operation has ended and post a letter. So
 * there is no state to lock but the list of those notes, and nothing can end twice.
 */
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/wire/bus.h"
#include "common/wire/bus_pipes.h"
#include "common/wire/bus_private.h"

/* Notes read in one turn, so that a flood of pushes leaves the loop to others. */
#define NOTES_PER_TURN 64

struct note {
    struct list link;
    void (*read)(struct bus_plane *b, struct note *n);
};

enum asking_state { ASKING_IDLE, ASKING_SENDING, ASKING_RECEIVING };

/* A request under way; kept and used again. */
struct asking {
    struct list link; /* bus.pending by number, or bus.idle */
    struct note note;
    struct bus_plane *bus;
    enum asking_state state;
    nng_ctx ctx;
    nng_aio *aio;
    nng_msg *msg; /* as it is sent each time */
    uint64_t number;
    struct timer timer;
    bool over; /* its owner was told; the operation has not ended yet */
    void (*done)(void *arg, enum err e, struct slice reply);
    void *arg;
};

struct bus_plane {
    struct loop *loop;
    struct bus_plane_events events;
    void *arg;
    struct tunnel *push_tunnel, *request_tunnel;
    nng_socket sub, req;
    struct bus_pipes sub_pipes, req_pipes;
    nng_aio *push;
    struct note push_note, state_note;
    uint64_t epoch, next;
    struct list pending, idle, leaving;
    size_t count;
    bool closed;
    bool told_up;
    unsigned told_came; /* a leg that went and came again has lost messages */

    pthread_mutex_t lock;
    struct list notes;
    bool posted;
    unsigned refs; /* the owner, and each letter in the mailbox */
};

static void plane_drop(struct bus_plane *b)
{
    pthread_mutex_lock(&b->lock);
    bool last = --b->refs == 0;
    pthread_mutex_unlock(&b->lock);
    if (!last)
        return;
    bus_pipes_fini(&b->sub_pipes);
    bus_pipes_fini(&b->req_pipes);
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

static void on_letter(void *arg);

/* Under the lock. A letter that could not be posted is replaced by the next note's. */
static void post(struct bus_plane *b)
{
    if (b->posted || list_empty(&b->notes))
        return;
    b->posted = loop_post(b->loop, on_letter, b) == ERR_OK;
    if (b->posted)
        b->refs++;
}

static void leave_note(struct bus_plane *b, struct note *n)
{
    pthread_mutex_lock(&b->lock);
    if (!b->closed && list_empty(&n->link)) /* one that lies there keeps its place */
        list_push(&b->notes, &n->link);
    if (!b->closed)
        post(b);
    pthread_mutex_unlock(&b->lock);
}

static struct note *take_note(struct bus_plane *b)
{
    pthread_mutex_lock(&b->lock);
    struct list *link = list_take_first(&b->notes);
    pthread_mutex_unlock(&b->lock);
    return link ? LIST_ITEM(link, struct note, link) : NULL;
}

static void on_letter(void *arg)
{
    struct bus_plane *b = arg;
    pthread_mutex_lock(&b->lock);
    b->posted = false;
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < NOTES_PER_TURN; i++) {
        struct note *n = take_note(b);
        if (!n)
            break;
        n->read(b, n);
    }
    pthread_mutex_lock(&b->lock);
    post(b);
    pthread_mutex_unlock(&b->lock);
    plane_drop(b);
}

/* ---- pushes ---- */

static void on_push_aio(void *arg)
{
    struct bus_plane *b = arg;
    leave_note(b, &b->push_note);
}

static void read_push(struct bus_plane *b, struct note *n)
{
    (void)n;
    if (nng_aio_result(b->push)) /* only closing ends it so */
        return;
    nng_msg *msg = nng_aio_get_msg(b->push);
    nng_aio_set_msg(b->push, NULL);
    b->events.on_push(b->arg, slice_of(nng_msg_body(msg), nng_msg_len(msg)));
    nng_msg_free(msg);
    if (!b->closed)
        nng_recv_aio(b->sub, b->push);
}

static void on_pipe(void *arg)
{
    struct bus_plane *b = arg;
    leave_note(b, &b->state_note);
}

static void tell_state(struct bus_plane *b, bool up)
{
    if (b->told_up == up || b->closed)
        return;
    b->told_up = up;
    if (b->events.on_state)
        b->events.on_state(b->arg, up);
}

static void read_state(struct bus_plane *b, struct note *n)
{
    (void)n;
    unsigned came;
    bool up = bus_pipes_any(&b->sub_pipes, &came);
    bool again = b->told_came != came;
    b->told_came = came;
    if (again || !up)
        tell_state(b, false);
    if (up)
        tell_state(b, true);
}

/* ---- requests ---- */

static void on_asking_aio(void *arg)
{
    struct asking *a = arg;
    leave_note(a->bus, &a->note);
}

static void asking_free(struct asking *a)
{
    nng_msg_free(a->msg);
    if (a->aio) {
        nng_aio_stop(a->aio);
        if (nng_aio_get_msg(a->aio))
            nng_msg_free(nng_aio_get_msg(a->aio));
        nng_aio_free(a->aio);
    }
    nng_ctx_close(a->ctx);
    mem_free(a);
}

/* The loop is told later: its owner may be in the middle of something. */
static void asking_rest(struct asking *a)
{
    nng_msg_free(a->msg);
    a->msg = NULL;
    a->state = ASKING_IDLE;
    list_remove(&a->link);
    list_push(&a->bus->idle, &a->link);
}

static void tell_done(struct asking *a, enum err e, struct slice reply)
{
    timer_cancel(&a->timer);
    a->over = true;
    a->bus->count--;
    list_remove(&a->link);
    list_push(&a->bus->leaving, &a->link);
    a->done(a->arg, e, reply);
}

/* Each time a copy goes out: NNG writes its own number into what it sends. */
static enum err asking_send(struct asking *a)
{
    nng_msg *copy = NULL;
    if (nng_msg_dup(&copy, a->msg))
        return ERR_NOMEM;
    a->state = ASKING_SENDING;
    nng_aio_set_msg(a->aio, copy);
    nng_ctx_send(a->ctx, a->aio);
    return ERR_OK;
}

/* What NNG handed back or received; NULL: nothing. */
static nng_msg *take_message(struct asking *a)
{
    nng_msg *msg = nng_aio_get_msg(a->aio);
    nng_aio_set_msg(a->aio, NULL);
    return msg;
}

static void finish(struct asking *a, nng_msg *msg)
{
    struct bus_reply_head head;
    struct slice content = SLICE_NONE;
    if (!bus_reply_read(msg, &head, &content) || head.number != a->number)
        tell_done(a, ERR_PROTOCOL, SLICE_NONE);
    else if (head.status == BUS_GONE)
        tell_done(a, ERR_CLOSED, SLICE_NONE);
    else
        tell_done(a, ERR_OK, content);
}

static void fail(struct asking *a, enum err e)
{
    if (!a->over)
        tell_done(a, e, SLICE_NONE);
}

/* One operation has ended. Afterwards the next one runs, or the asking is over and rests. */
static void read_asking(struct bus_plane *b, struct note *n)
{
    struct asking *a = CONTAINER_OF(n, struct asking, note);
    int rv = nng_aio_result(a->aio);
    nng_msg *msg = take_message(a);
    bool sent = a->state == ASKING_SENDING;
    a->state = ASKING_IDLE;
    if (!a->over && rv == 0 && sent) {
        a->state = ASKING_RECEIVING;
        nng_ctx_recv(a->ctx, a->aio);
        return;
    }
    if (!a->over && rv == NNG_ECONNRESET) { /* the connection went with it: the same number again */
        nng_msg_free(msg);
        if (asking_send(a) == ERR_OK)
            return;
        rv = NNG_ENOMEM;
        msg = NULL;
    }
    if (!a->over && rv == 0)
        finish(a, msg);
    else
        fail(a, bus_err(rv));
    nng_msg_free(msg);
    if (!b->closed)
        asking_rest(a);
}

static void on_late(struct timer *t)
{
    struct asking *a = CONTAINER_OF(t, struct asking, timer);
    nng_aio_cancel(a->aio); /* its end comes as a note, or is one already */
    tell_done(a, ERR_TIMEOUT, SLICE_NONE);
}

static struct asking *asking_new(struct bus_plane *b)
{
    struct asking *a = mem_zalloc(sizeof(*a));
    if (!a)
        return NULL;
    a->bus = b;
    a->note.read = read_asking;
    list_init(&a->note.link);
    list_init(&a->link);
    timer_init(&a->timer, b->loop, on_late);
    if (nng_ctx_open(&a->ctx, b->req) == 0) {
        if (nng_aio_alloc(&a->aio, on_asking_aio, a) == 0)
            return a;
        nng_ctx_close(a->ctx);
    }
    mem_free(a);
    return NULL;
}

static uint64_t oldest(const struct bus_plane *b)
{
    if (list_empty(&b->pending))
        return b->next;
    return LIST_ITEM(b->pending.next, struct asking, link)->number;
}

static enum err asking_start(struct asking *a, struct slice message, unsigned timeout_ms)
{
    struct bus_plane *b = a->bus;
    const struct bus_request_head head = {b->epoch, b->next, oldest(b)};
    a->msg = bus_request_write(&head, message);
    if (!a->msg)
        return ERR_NOMEM;
    a->number = head.number;
    a->over = false;
    enum err e = asking_send(a);
    if (e)
        return e;
    b->next++;
    b->count++;
    list_push(&b->pending, &a->link);
    timer_start(&a->timer, timeout_ms);
    return ERR_OK;
}

enum err bus_plane_request(struct bus_plane *b, struct slice message, unsigned timeout_ms,
                           void (*done)(void *arg, enum err e, struct slice reply), void *arg)
{
    if (b->closed)
        return ERR_CLOSED;
    if (message.len > LIMIT_BUS_MESSAGE)
        return ERR_TOO_BIG;
    if (b->count >= LIMIT_BUS_PENDING || b->next - oldest(b) >= BUS_SPAN)
        return ERR_EXHAUSTED;
    struct list *link = list_take_first(&b->idle);
    struct asking *a = link ? LIST_ITEM(link, struct asking, link) : asking_new(b);
    if (!a)
        return ERR_NOMEM;
    a->done = done;
    a->arg = arg;
    enum err e = asking_start(a, message, timeout_ms);
    if (e)
        asking_rest(a);
    return e;
}

/* ---- open and close ---- */

static enum err open_socket(struct bus_plane *b, int rv, nng_socket s, const char *url)
{
    (void)b;
    if (!rv)
        rv = nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, BUS_RECV_MAX);
    if (!rv)
        rv = nng_socket_set_ms(s, NNG_OPT_RECONNMINT, BUS_REDIAL_FIRST_MS);
    if (!rv)
        rv = nng_socket_set_ms(s, NNG_OPT_RECONNMAXT, BUS_REDIAL_LAST_MS);
    if (!rv)
        rv = nng_dial(s, url, NULL, NNG_FLAG_NONBLOCK);
    return bus_err(rv);
}

static enum err open_push(struct bus_plane *b, const char *url)
{
    int rv = nng_sub0_open(&b->sub);
    if (!rv)
        rv = nng_socket_set_int(b->sub, NNG_OPT_RECVBUF, LIMIT_BUS_QUEUE);
    if (!rv)
        rv = nng_socket_set(b->sub, NNG_OPT_SUB_SUBSCRIBE, "", 0);
    if (!rv)
        rv = bus_pipes_watch(&b->sub_pipes, b->sub);
    if (!rv)
        rv = nng_aio_alloc(&b->push, on_push_aio, b);
    if (rv)
        return bus_err(rv);
    nng_recv_aio(b->sub, b->push);
    return open_socket(b, 0, b->sub, url);
}

/* NNG's own repeating is off: a lost connection is told to us, and we decide. */
static enum err open_request(struct bus_plane *b, const char *url)
{
    int rv = nng_req0_open(&b->req);
    if (!rv)
        rv = nng_socket_set_ms(b->req, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (!rv)
        rv = bus_pipes_watch(&b->req_pipes, b->req);
    return open_socket(b, rv, b->req, url);
}

/* The tunnel comes first: it holds the name before NNG dials it. */
static enum err open_legs(struct bus_plane *b, const struct bus_plane_config *c)
{
    char name[TUNNEL_NAME_MAX], url[BUS_URL_MAX];
    struct tunnel_dial_config dial = {.host = c->host, .port = c->push_port, .tls = c->tls};
    bus_name("push", c->instance, name);
    bus_url(name, url);
    dial.local = slice_str(name);
    enum err e = tunnel_dial(&dial, &b->push_tunnel);
    if (!e)
        e = open_push(b, url);
    if (e)
        return e;
    bus_name("request", c->instance, name);
    bus_url(name, url);
    dial.local = slice_str(name);
    dial.port = c->request_port;
    e = tunnel_dial(&dial, &b->request_tunnel);
    return e ? e : open_request(b, url);
}

enum err bus_plane_open(const struct bus_plane_config *c, struct loop *l,
                        const struct bus_plane_events *events, void *arg, struct bus_plane **ret)
{
    struct bus_plane *b = mem_zalloc(sizeof(*b));
    if (!b)
        return ERR_NOMEM;
    b->loop = l;
    b->events = *events;
    b->arg = arg;
    b->refs = 1;
    b->next = 1;
    b->push_note.read = read_push;
    b->state_note.read = read_state;
    list_init(&b->push_note.link);
    list_init(&b->state_note.link);
    list_init(&b->pending);
    list_init(&b->idle);
    list_init(&b->leaving);
    list_init(&b->notes);
    pthread_mutex_init(&b->lock, NULL);
    bus_pipes_init(&b->sub_pipes, on_pipe, b);
    bus_pipes_init(&b->req_pipes, NULL, NULL);
    while (b->epoch == 0)
        digest_random(&b->epoch, sizeof(b->epoch));
    enum err e = open_legs(b, c);
    if (e)
        bus_plane_close(&b);
    else
        *ret = b;
    return e;
}

static void free_askings(struct list *from)
{
    struct list *link;
    while ((link = list_take_first(from)))
        asking_free(LIST_ITEM(link, struct asking, link));
}

/* Nothing of NNG's runs after this, and no note is left to read. */
static void close_legs(struct bus_plane *b)
{
    tunnel_stop(&b->push_tunnel);
    tunnel_stop(&b->request_tunnel);
    bus_pipes_shut(&b->sub_pipes, BUS_PIPES_ALL);
    bus_pipes_shut(&b->req_pipes, BUS_PIPES_ALL);
    if (b->push) {
        nng_aio_stop(b->push);
        if (nng_aio_get_msg(b->push))
            nng_msg_free(nng_aio_get_msg(b->push));
        nng_aio_free(b->push);
    }
    free_askings(&b->idle);
    free_askings(&b->leaving);
    nng_close(b->sub);
    nng_close(b->req);
}

void bus_plane_close(struct bus_plane **ref)
{
    struct bus_plane *b = *ref;
    if (!b)
        return;
    *ref = NULL;
    pthread_mutex_lock(&b->lock);
    b->closed = true;
    while (list_take_first(&b->notes))
        ;
    pthread_mutex_unlock(&b->lock);
    while (!list_empty(&b->pending)) {
        struct asking *a = LIST_ITEM(b->pending.next, struct asking, link);
        tell_done(a, ERR_CLOSED, SLICE_NONE);
    }
    close_legs(b);
    plane_drop(b);
}
