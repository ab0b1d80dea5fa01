/*
 * door — libmicrohttpd's only door: connections in, calls through the dispatcher, answers out.
 *
 * The library's thread never works: a request is suspended while a job thread has it, and a
 * write with ?wait=applied waits on threads of its own, so that those who wait starve nobody.
 *
 * Owns     its listener, threads and connections.
 * Fails    ERR_INVALID for an address that does not parse; ERR_EXISTS when the port is taken;
 *          ERR_TLS for files that cannot be read.
 * Threads  own.
 */
#pragma once

#include "controlplane/api/call.h"

#define DOOR_WAIT_MS 5000 /* ?wait=applied says who is behind after that (product.md) */

struct door;

struct door_config {
    const char *listen;    /* "127.0.0.1:8081" */
    const char *cert_file; /* NULL: plain */
    const char *key_file;
};

MUST_USE enum err door_start(const struct app *app, const struct door_config *config,
                             struct door **ret);
MUST_USE enum err door_reload(struct door *d); /* certificate and key, read again */
/* No new connections; those in work end within `drain_ms`; then closes. NULL inside is fine. */
void door_stop(struct door **d, unsigned drain_ms);
