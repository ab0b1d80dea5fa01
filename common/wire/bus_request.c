/*
 * bus_request — one request under way: sent until its reply comes, ended once.
 */
#include "common/base/mem.h"
#include "common/wire/bus_plane_private.h"
#include "common/wire/bus_private.h"

enum request_state { REQUEST_IDLE, REQUEST_SENDING, REQUEST_RECEIVING };

/* A request under way; kept and used again. */
struct bus_request {
    struct list link; /* bus.pending by number, or bus.idle */
    struct bus_note note;
    struct bus_plane *bus;
    enum request_state state;
    nng_ctx ctx;
    nng_aio *aio;
    nng_msg *msg; /* as it is sent each time */
    uint64_t number;
    struct timer timer;
    bool over; /* done was called; the operation has not ended yet */
    void (*done)(void *arg, enum err e, struct slice reply);
    void *arg;
};

static void on_request_aio(void *arg)
{
    struct bus_request *a = arg;
    bus_note_leave(a->bus, &a->note);
}

static void request_free(struct bus_request *a)
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
static void request_rest(struct bus_request *a)
{
    nng_msg_free(a->msg);
    a->msg = NULL;
    a->state = REQUEST_IDLE;
    list_remove(&a->link);
    list_push(&a->bus->idle, &a->link);
}

static void tell_done(struct bus_request *a, enum err e, struct slice reply)
{
    timer_cancel(&a->timer);
    a->over = true;
    a->bus->count--;
    list_remove(&a->link);
    list_push(&a->bus->leaving, &a->link);
    a->done(a->arg, e, reply);
}

/* Each time a copy goes out: NNG writes its own number into what it sends. */
static enum err request_send(struct bus_request *a)
{
    nng_msg *copy = NULL;
    if (nng_msg_dup(&copy, a->msg))
        return ERR_NOMEM;
    a->state = REQUEST_SENDING;
    nng_aio_set_msg(a->aio, copy);
    nng_ctx_send(a->ctx, a->aio);
    return ERR_OK;
}

/* What NNG handed back or received; NULL: nothing. */
static nng_msg *take_message(struct bus_request *a)
{
    nng_msg *msg = nng_aio_get_msg(a->aio);
    nng_aio_set_msg(a->aio, NULL);
    return msg;
}

static void finish(struct bus_request *a, nng_msg *msg)
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

static void fail(struct bus_request *a, enum err e)
{
    if (!a->over)
        tell_done(a, e, SLICE_NONE);
}

/* One operation has ended. Afterwards the next one runs, or the request is over and is kept for the
 * next one. */
static void read_request(struct bus_plane *b, struct bus_note *n)
{
    struct bus_request *a = CONTAINER_OF(n, struct bus_request, note);
    int rv = nng_aio_result(a->aio);
    nng_msg *msg = take_message(a);
    bool sent = a->state == REQUEST_SENDING;
    a->state = REQUEST_IDLE;
    if (!a->over && rv == 0 && sent) {
        a->state = REQUEST_RECEIVING;
        nng_ctx_recv(a->ctx, a->aio);
        return;
    }
    if (!a->over && rv == NNG_ECONNRESET) { /* the connection went with it: the same number again */
        nng_msg_free(msg);
        if (request_send(a) == ERR_OK)
            return;
        rv = NNG_ENOMEM;
        msg = NULL;
    }
    if (!a->over && rv == 0)
        finish(a, msg);
    else
        fail(a, bus_err(rv));
    bus_msg_wipe(msg);
    if (!b->closed)
        request_rest(a);
}

static void on_late(struct timer *t)
{
    struct bus_request *a = CONTAINER_OF(t, struct bus_request, timer);
    nng_aio_cancel(a->aio); /* its end comes as a note, or is one already */
    tell_done(a, ERR_TIMEOUT, SLICE_NONE);
}

static struct bus_request *request_new(struct bus_plane *b)
{
    struct bus_request *a = mem_zalloc(sizeof(*a));
    if (!a)
        return NULL;
    a->bus = b;
    bus_note_init(&a->note, read_request);
    list_init(&a->link);
    timer_init(&a->timer, b->loop, on_late);
    if (nng_ctx_open(&a->ctx, b->req) == 0) {
        if (nng_aio_alloc(&a->aio, on_request_aio, a) == 0)
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
    return LIST_ITEM(b->pending.next, struct bus_request, link)->number;
}

static enum err request_start(struct bus_request *a, struct slice message, unsigned timeout_ms)
{
    struct bus_plane *b = a->bus;
    const struct bus_request_head head = {b->epoch, b->next, oldest(b)};
    a->msg = bus_request_write(&head, message);
    if (!a->msg)
        return ERR_NOMEM;
    a->number = head.number;
    a->over = false;
    enum err e = request_send(a);
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
    struct bus_request *a = link ? LIST_ITEM(link, struct bus_request, link) : request_new(b);
    if (!a)
        return ERR_NOMEM;
    a->done = done;
    a->arg = arg;
    enum err e = request_start(a, message, timeout_ms);
    if (e)
        request_rest(a);
    return e;
}

void bus_requests_end(struct bus_plane *b)
{
    while (!list_empty(&b->pending)) {
        struct bus_request *a = LIST_ITEM(b->pending.next, struct bus_request, link);
        tell_done(a, ERR_CLOSED, SLICE_NONE);
    }
}

static void free_requests(struct list *from)
{
    struct list *link;
    while ((link = list_take_first(from)))
        request_free(LIST_ITEM(link, struct bus_request, link));
}

void bus_requests_free(struct bus_plane *b)
{
    free_requests(&b->idle);
    free_requests(&b->leaving);
}
