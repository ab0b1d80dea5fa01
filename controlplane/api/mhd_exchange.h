/*
 * mhd_exchange — one request inside the library: its state, and what was read of it.
 *
 * States: HEAD → (job) → CHECKED → BODY → (job) → DONE; a refused head gets its response at
 * once, and the listener does not read its body.
 *
 * Threads  the library's thread, or the one job it was handed to; never both.
 */
#pragma once

#include <microhttpd.h>

#include "controlplane/api/dispatch.h"
#include "controlplane/api/thread_pool.h"

enum exchange_state {
    EXCHANGE_HEAD,
    EXCHANGE_CHECKED,
    EXCHANGE_BODY,
    EXCHANGE_DONE,
    EXCHANGE_SENT,
};

struct exchange_context {
    const struct app *app;
    struct admin_auth *auth;
    struct thread_pool *work;
    struct thread_pool *wait;
    struct thread_pool *health; /* of /healthz, /readyz and /metrics */
    _Atomic size_t open;        /* exchanges that have not ended */
};

struct exchange;

/* The library's callbacks; cls is a struct exchange_context. */
void *exchange_on_target(void *cls, const char *target, struct MHD_Connection *m);
enum MHD_Result exchange_on_request(void *cls, struct MHD_Connection *m, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *size, void **state);
void exchange_on_end(void *cls, struct MHD_Connection *m, void **state,
                     enum MHD_RequestTerminationCode why);
