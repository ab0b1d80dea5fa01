/*
 * worker — one thread: its loop, its listener, its upstream pool, its requests.
 *
 * Threads  made, told and stopped by the main thread; everything else happens on its own.
 */
#pragma once

#include "common/net/address.h"
#include "common/policy/tool_list.h"
#include "common/request/request.h"

struct worker;

struct worker_config {
    unsigned index;
    union sockaddr_any listen; /* SO_REUSEPORT: every worker has its own */
    struct tls_context *tls;   /* NULL: plain */
    struct journal *journal;
    const struct snapshot *policy; /* to begin with: no client meets a worker without it. Lent;
                                    * NULL: there is none yet */
    size_t connections_max;        /* of clients */
    const atomic_bool *shedding;   /* new work is refused */
    const struct host_list *allowed_hosts;
    const struct origin_list *allowed_origins;
    uint64_t ai_body_max;   /* bytes; 0: the gate's own */
    uint64_t ai_upload_max; /* the same of a form that streams */
    /* On its thread: an MCP server said that its tools changed. NULL: it is not told. */
    void (*tools_changed)(void *arg, struct slice server_id);
    void *arg;
    /* On its thread; as request_env has them. */
    void (*ask_kept)(void *arg, struct kept_list *list);
    void *ask_kept_arg;
};

/* Opens the listener, so that a taken port is known here, and starts the thread. */
MUST_USE enum err worker_start(const struct worker_config *c, struct worker **ret);
/* The new policy; holds it. Taken at the worker's next turn. */
MUST_USE enum err worker_publish(struct worker *w, const struct snapshot *s);
/* fn(arg) on the worker's thread, when a turn that begins after this call has ended. */
MUST_USE enum err worker_after_turn(struct worker *w, void (*fn)(void *arg), void *arg);
/* fn once on the worker's thread, with what its requests have. */
MUST_USE enum err worker_run(struct worker *w, void (*fn)(void *arg, struct request_env *env),
                             void *arg);
/* Lists the tools of the server that *list names; done comes once, on the worker's thread, also
 * where that fails. Consumes *list. */
MUST_USE enum err worker_list_tools(struct worker *w, struct tool_list **list,
                                    void (*done)(void *arg, struct tool_list **list), void *arg);
void worker_lame(struct worker *w);   /* unready, but still taking what comes */
void worker_remove(struct worker *w); /* all connections are cut and new ones refused */
void worker_drain(struct worker *w);  /* no new connections */
size_t worker_connections(const struct worker *w); /* as of a moment ago */
struct metric_set *worker_metrics(struct worker *w);
/* Ends the thread, cutting what is left; records are written. Returns how many calls were cut. */
size_t worker_stop(struct worker **w);
