/*
 * http_adapter — one exchange with a client as a request sees it: the last sink of its response,
 * and the source of its body.
 *
 * The exchange and the request do not end together: the client may hang up first, or the request
 * may be over before its last byte is out. What the connection does not take yet is held here, up
 * to LIMIT_RESPONSE_HELD, and leaves as the client reads; a client that lets more pile up is cut
 * off, as a response with a hole must not look whole.
 *
 * Threads  its worker's loop.
 */
#pragma once

#include "common/net/http_server.h"
#include "common/request/request.h"

struct http_adapters { /* of one listener */
    struct list spare;
    size_t spare_count;
};

struct http_adapter {
    struct list link;
    struct client client;
    struct http_adapters *home;
    struct http_exchange *x; /* NULL: the client is gone */
    struct request *rq;      /* NULL: none, or it is over */
    bool *gone;              /* set where the client goes inside a call of ours */
    struct buf held;         /* what the connection does not take yet */
    bool ending;             /* and then the response ends */
};

void http_adapters_init(struct http_adapters *a);
void http_adapters_fini(struct http_adapters *a);
/* NULL: out of memory */
struct http_adapter *http_adapter_new(struct http_adapters *home, struct http_exchange *x);
/* A response that needs no request; a is not touched afterwards. */
void http_adapter_send(struct http_adapter *a, unsigned status, const struct http_header *headers,
                       size_t n, struct slice body);
