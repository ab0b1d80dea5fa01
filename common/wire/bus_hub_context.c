/* bus_hub_context — runs each request once and sends its reply. */
#include "common/base/log.h"
#include "common/wire/bus_hub_private.h"

static struct bus_hub *hub_of(const struct bus_context *d)
{
    return d->plane->hub;
}

static void drop_request(struct bus_context *d)
{
    nng_msg_free(d->msg);
    d->msg = NULL;
}

void bus_context_listen(struct bus_context *d)
{
    drop_request(d);
    d->state = CONTEXT_LISTENING;
    nng_aio_set_timeout(d->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(d->ctx, d->aio);
}

/* Without memory no reply is sent: the plane sends the request again. */
static void bus_context_send(struct bus_context *d, nng_msg *reply)
{
    if (!reply) {
        bus_context_listen(d);
        return;
    }
    drop_request(d);
    d->state = CONTEXT_SENDING;
    nng_aio_set_msg(d->aio, reply);
    nng_aio_set_timeout(d->aio, LIMIT_BUS_SEND_MS);
    nng_ctx_send(d->ctx, d->aio);
}

static nng_msg *write_reply(const struct bus_context *d, enum bus_status status,
                            struct slice content)
{
    const struct bus_reply_head head = {d->head.number, status};
    return bus_reply_write(&head, content);
}

/* What there is to do with a request, decided under the lock and done outside of it. */
struct decision {
    enum bus_verdict verdict;
    nng_msg *reply;
    struct bus_context *displaced; /* waited for the same reply over a lost connection */
};

static void decide(struct bus_context *d, struct decision *ret)
{
    struct bus_hub *h = hub_of(d);
    struct slice content = SLICE_NONE;
    void *displaced = NULL;
    pthread_mutex_lock(&h->lock);
    if (bus_replies_ask(&d->plane->replies, &d->head, d, &ret->verdict, &content, &displaced))
        ret->verdict = BUS_STALE;
    if (ret->verdict == BUS_REPEAT)
        ret->reply = write_reply(d, BUS_DONE, content);
    else if (ret->verdict == BUS_LOST)
        ret->reply = write_reply(d, BUS_GONE, SLICE_NONE);
    ret->displaced = displaced;
    if (ret->displaced == d) /* it asks again what it waits for: impossible while it is parked */
        ret->displaced = NULL;
    if (ret->verdict == BUS_WAIT) {
        d->state = CONTEXT_PARKED;
    } else if (ret->verdict == BUS_RUN && !d->plane->closed) {
        d->state = CONTEXT_WORKING;
        list_push(&h->jobs, &d->job);
        pthread_cond_signal(&h->work);
    }
    pthread_mutex_unlock(&h->lock);
}

static void on_request(struct bus_context *d)
{
    d->msg = nng_aio_get_msg(d->aio);
    nng_aio_set_msg(d->aio, NULL);
    if (!bus_request_read(d->msg, &d->head, &d->content)) {
        log_warn(NULL, "bus_malformed", "plane=%s bytes=%zu", d->plane->id, nng_msg_len(d->msg));
        bus_context_listen(d);
        return;
    }
    struct decision what = {.verdict = BUS_STALE};
    decide(d, &what);
    if (what.verdict == BUS_REPEAT || what.verdict == BUS_LOST)
        bus_context_send(d, what.reply);
    else if (what.verdict == BUS_STALE)
        bus_context_listen(d);
    if (what.displaced)
        bus_context_listen(what.displaced);
}

static void on_aio(void *arg)
{
    struct bus_context *d = arg;
    int rv = nng_aio_result(d->aio);
    if (rv == 0 && d->state == CONTEXT_LISTENING) {
        on_request(d);
        return;
    }
    nng_msg *unsent = nng_aio_get_msg(d->aio);
    nng_aio_set_msg(d->aio, NULL);
    nng_msg_free(unsent);
    if (d->state == CONTEXT_SENDING && (rv == 0 || rv == NNG_ETIMEDOUT || rv == NNG_ENOMEM))
        bus_context_listen(d);
    else /* receiving ends without a message only where the socket was closed */
        d->state = CONTEXT_CLOSED;
}

enum err bus_context_open(struct bus_context *d, struct hub_plane *p)
{
    d->plane = p;
    list_init(&d->job);
    int rv = nng_ctx_open(&d->ctx, p->rep);
    if (!rv)
        rv = nng_aio_alloc(&d->aio, on_aio, d);
    return bus_err(rv);
}

void bus_context_close(struct bus_context *d)
{
    if (!d->aio)
        return;
    nng_aio_stop(d->aio);
    nng_msg_free(nng_aio_get_msg(d->aio));
    nng_aio_free(d->aio);
    drop_request(d);
}

/* ---- the threads ---- */

/* What a thread does next: close a plane that leaves, or run a request. false: stop. */
static bool next_job(struct bus_hub *h, struct bus_context **context, struct hub_plane **leaving)
{
    *context = NULL;
    *leaving = NULL;
    pthread_mutex_lock(&h->lock);
    while (!h->stop && list_empty(&h->jobs) && list_empty(&h->leaving))
        pthread_cond_wait(&h->work, &h->lock);
    struct list *link = h->stop ? NULL : list_take_first(&h->leaving);
    if (link) {
        *leaving = LIST_ITEM(link, struct hub_plane, link);
    } else if (!h->stop) {
        *context = LIST_ITEM(list_take_first(&h->jobs), struct bus_context, job);
        (*context)->plane->running++;
    }
    pthread_mutex_unlock(&h->lock);
    return *context || *leaving;
}

/* The reply goes to the context that received the request last: its connection is the one that
 * stands. */
static void send_reply(struct bus_context *d, struct buf *reply)
{
    struct bus_hub *h = hub_of(d);
    struct slice content = SLICE_NONE;
    pthread_mutex_lock(&h->lock);
    struct bus_context *parked =
        bus_replies_give(&d->plane->replies, d->head.epoch, d->head.number, reply, &content);
    nng_msg *msg = write_reply(d, BUS_DONE, content);
    pthread_mutex_unlock(&h->lock);
    bus_context_send(parked ? parked : d, msg);
    if (parked)
        bus_context_listen(d);
}

static void run_job(struct bus_hub *h, struct bus_context *d)
{
    struct buf reply;
    buf_init(&reply, LIMIT_BUS_MESSAGE);
    h->config.handle(h->config.arg, slice_str(d->plane->id), d->content, &reply);
    send_reply(d, &reply);
    buf_fini(&reply);
}

static void end_job(struct bus_hub *h, struct hub_plane *p)
{
    pthread_mutex_lock(&h->lock);
    p->running--;
    bool reap = p->closed && p->running == 0;
    pthread_mutex_unlock(&h->lock);
    if (reap)
        hub_close_plane(h);
}

void *bus_context_run(void *hub)
{
    struct bus_hub *h = hub;
    struct bus_context *d;
    struct hub_plane *leaving;
    pthread_setname_np(pthread_self(), "gh-bus");
    while (next_job(h, &d, &leaving)) {
        if (leaving) {
            hub_shut(h, leaving);
            continue;
        }
        struct hub_plane *p = d->plane; /* the context may go on to another request at once */
        run_job(h, d);
        end_job(h, p);
    }
    return NULL;
}
