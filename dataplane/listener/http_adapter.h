/*
 * answer — one exchange with a client, and the request that answers it. The two do not end
 * together: the client may hang up first, or the request may be over before its last byte is out.
 *
 * Threads  its worker's loop.
 */
#pragma once

#include "common/net/http_server.h"
#include "common/request/request.h"

struct answers { /* of one listener */
    struct list spare;
    size_t spare_count;
};

struct answer {
    struct list link;
    struct answers *home;
    struct http_exchange *x; /* NULL: the client is gone */
    struct request *rq;      /* NULL: none, or it is over */
    bool *gone;              /* set where the client goes inside a call of ours */
};

void answers_init(struct answers *a);
void answers_fini(struct answers *a);
struct answer *answer_new(struct answers *home, struct http_exchange *x); /* NULL: out of memory */
/* For what needs no request; a is not touched afterwards. */
void answer_directly(struct answer *a, unsigned status, const struct http_header *headers, size_t n,
                     struct slice body);

extern const struct response_ops response_ops;
