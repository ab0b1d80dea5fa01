/*
 * bus_hub_private — the inside of the control plane's end.
 *
 * bus_hub.c admits planes and publishes, bus_hub_context.c runs requests and sends the replies.
 *
 * Threads  all of it lies behind hub.lock, which is never held while NNG is told to close or to
 *          wait, nor while the handler runs.
 */
#pragma once

#include <pthread.h>

#include "common/base/list.h"
#include "common/wire/bus.h"
#include "common/wire/bus_pipes.h"
#include "common/wire/bus_replies.h"

#define BUS_POOL_MAX 64

enum bus_context_state {
    CONTEXT_LISTENING, /* a receive is under way */
    CONTEXT_WORKING,   /* its request is queued or being run */
    CONTEXT_PARKED,    /* its request is being run at another context */
    CONTEXT_SENDING,
    CONTEXT_CLOSED,
};

/* One NNG context of a plane: takes one request at a time. */
struct bus_context {
    struct list job; /* hub.jobs while it waits for a thread */
    struct hub_plane *plane;
    enum bus_context_state state;
    nng_ctx ctx;
    nng_aio *aio;
    nng_msg *msg; /* the request */
    struct bus_request_head head;
    struct slice content;
};

struct hub_plane {
    struct list link; /* hub.planes, or hub.closing once it is cut */
    struct bus_hub *hub;
    char id[TUNNEL_PLANE_MAX + 1];
    struct pool *pool;
    bool closed;
    size_t running; /* contexts in a thread's hands */
    nng_socket rep;
    struct bus_pipes rep_pipes;
    nng_listener push; /* on the pool's socket */
    char push_name[TUNNEL_NAME_MAX];
    char request_name[TUNNEL_NAME_MAX];
    struct bus_context contexts[LIMIT_BUS_CONTEXTS];
    struct bus_replies replies;
};

struct pool {
    struct list link;
    char name[BUS_POOL_MAX];
    nng_socket pub;
    struct bus_pipes pipes;
};

struct bus_hub {
    struct bus_hub_config config;
    struct tunnel *push_tunnel, *request_tunnel;
    pthread_t *threads;
    size_t started;

    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list planes, closing, leaving, pools, jobs;
    bool stop;
};

/* bus_hub_context.c */
MUST_USE enum err bus_context_open(struct bus_context *d, struct hub_plane *p);
void bus_context_close(struct bus_context *d); /* its socket is closed */
void bus_context_listen(struct bus_context *d);
void *bus_context_run(void *hub); /* a thread's life */

/* bus_hub.c */
void hub_shut(struct bus_hub *h, struct hub_plane *p); /* a retired plane, in no list; not locked */
void hub_close_plane(
    struct bus_hub *h); /* frees cut planes for which no thread works any more; not locked */
