/*
 * serve — what the demo upstreams share: one loop, one server, whole requests in, responses
 * out, by hand or by a timer. They are demo and test programs: plain HTTP on one address.
 *
 * Owns     the loop, the server, and every visit until its on_gone.
 * Threads  one.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/base/option.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"

struct serve;

/* One request with its whole body. */
struct visit {
    struct serve *serve;
    struct http_exchange *x;
    const struct http_head *head;
    struct slice path, query;
    struct buf body;
    struct timer timer;                /* the handler's; cancelled when the client is gone */
    void *state;                       /* the handler's */
    void (*on_gone)(struct visit *v);  /* frees state; may be NULL */
    void (*on_drain)(struct visit *v); /* may be NULL */
};

struct serve_config {
    const char *listen;
    uint64_t body_max;
    void (*handle)(struct visit *v); /* the body is whole */
    void *arg;
};

/* Serves until SIGTERM or SIGINT. Returns the process's exit code. */
int serve_run(const char *name, const struct serve_config *c);
void *serve_arg(const struct serve *s);
struct loop *serve_loop(const struct serve *s);

void visit_answer(struct visit *v, unsigned status, const char *type, struct slice body);
void visit_json(struct visit *v, unsigned status, json_t *tree); /* consumes the tree */
bool visit_is(const struct visit *v, const char *method, const char *path);
/* a number among the query parameters; otherwise where there is none */
uint64_t query_u64(struct slice query, struct slice name, uint64_t otherwise);
