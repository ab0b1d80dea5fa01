/*
 * bus_plane — the data plane's end. Everything happens on the loop's thread.
 *
 * NNG's threads do one thing: they note which operation has ended and post a message to the loop.
 * So there is no state to lock but the list of those notes, and nothing can end twice.
 */
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/req.h>

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/wire/bus_plane_private.h"
#include "common/wire/bus_private.h"

/* ---- pushes ---- */

static void on_push_aio(void *arg)
{
    struct bus_plane *b = arg;
    bus_note_leave(b, &b->push_note);
}

static void read_push(struct bus_plane *b, struct bus_note *n)
{
    (void)n;
    if (nng_aio_result(b->push)) /* only closing ends it so */
        return;
    nng_msg *msg = nng_aio_get_msg(b->push);
    nng_aio_set_msg(b->push, NULL);
    b->events.on_push(b->arg, slice_of(nng_msg_body(msg), nng_msg_len(msg)));
    bus_msg_wipe(msg);
    if (!b->closed)
        nng_recv_aio(b->sub, b->push);
}

static void on_pipe(void *arg)
{
    struct bus_plane *b = arg;
    bus_note_leave(b, &b->state_note);
}

static void tell_state(struct bus_plane *b, bool up)
{
    if (b->told_up == up || b->closed)
        return;
    b->told_up = up;
    if (b->events.on_state)
        b->events.on_state(b->arg, up);
}

static void read_state(struct bus_plane *b, struct bus_note *n)
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

/* Each of the two connections may report it; the callback runs once. */
static void on_removed(void *arg)
{
    struct bus_plane *b = arg;
    bus_note_leave(b, &b->removed_note);
}

static void read_removed(struct bus_plane *b, struct bus_note *n)
{
    (void)n;
    if (b->told_removed || b->closed)
        return;
    b->told_removed = true;
    if (b->events.on_removed)
        b->events.on_removed(b->arg);
}

/* ---- open and close ---- */

static enum err open_socket(int rv, nng_socket s, const char *url)
{
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
    return open_socket(0, b->sub, url);
}

/* NNG's own repeating is off: this file repeats a request after a lost connection. */
static enum err open_request(struct bus_plane *b, const char *url)
{
    int rv = nng_req0_open(&b->req);
    if (!rv)
        rv = nng_socket_set_ms(b->req, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (!rv)
        rv = bus_pipes_watch(&b->req_pipes, b->req);
    return open_socket(rv, b->req, url);
}

/* The tunnel comes first: it holds the name before NNG dials it. */
static enum err open_legs(struct bus_plane *b, const struct bus_plane_config *c)
{
    char name[TUNNEL_NAME_MAX], url[BUS_URL_MAX];
    struct tunnel_dial_config dial = {
        .host = c->host, .port = c->push_port, .tls = c->tls, .on_removed = on_removed, .arg = b};
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
    bus_note_init(&b->push_note, read_push);
    bus_note_init(&b->state_note, read_state);
    bus_note_init(&b->removed_note, read_removed);
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
    bus_requests_free(b);
    nng_close(b->sub);
    nng_close(b->req);
}

void bus_plane_close(struct bus_plane **ref)
{
    struct bus_plane *b = *ref;
    if (!b)
        return;
    *ref = NULL;
    bus_notes_close(b);
    bus_requests_end(b);
    close_legs(b);
    bus_plane_drop(b);
}
