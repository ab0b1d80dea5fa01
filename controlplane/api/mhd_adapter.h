/*
 * mhd_adapter — runs the admin API on libmicrohttpd: each request passes the dispatcher, and its
 * response is written by the library.
 *
 * The library's thread never blocks: a request is suspended while a job thread has it, and a
 * write with ?wait=applied waits on threads of its own, so that waiting writes do not delay other
 * requests.
 *
 * Owns     its listener, threads and connections.
 * Fails    ERR_INVALID for an address that does not parse; ERR_EXISTS when the port is taken;
 *          ERR_TLS for files that cannot be read.
 * Threads  own.
 */
#pragma once

#include "controlplane/api/admin_call.h"

#define ADMIN_WAIT_MS 5000 /* after that ?wait=applied names the planes that are behind */

struct mhd_adapter;

struct mhd_adapter_config {
    const char *listen;    /* "127.0.0.1:8081" */
    const char *cert_file; /* NULL: plain */
    const char *key_file;
};

MUST_USE enum err mhd_adapter_start(const struct app *app, const struct mhd_adapter_config *config,
                                    struct mhd_adapter **ret);
MUST_USE enum err mhd_adapter_reload(struct mhd_adapter *d); /* certificate and key, read again */
/* No new connections; those in work end within `drain_ms`; then closes. NULL inside is fine. */
void mhd_adapter_stop(struct mhd_adapter **d, unsigned drain_ms);
