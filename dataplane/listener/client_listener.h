/*
 * client_listener — where clients connect: an HTTP server, and the table that leads from a path to
 * its gate.
 *
 * Owns     its server, and the adapters between exchanges and requests, which are kept warm.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/net/http_server.h"
#include "common/request/request.h"

struct client_listener;

struct client_listener_config {
    union sockaddr_any listen;
    struct tls_context *tls; /* NULL: plain */
    size_t connections_max;  /* 0: LIMIT_CONNECTIONS */
};

MUST_USE enum err client_listener_open(const struct client_listener_config *c,
                                       struct request_env *env, struct client_listener **ret);
uint16_t client_listener_port(const struct client_listener *d);
size_t client_listener_connections(const struct client_listener *d);
/* No new connections; those that stand end with the response they wait for. */
void client_listener_drain(struct client_listener *d);
/* The plane was removed from its control plane: every request is refused from now on. */
void client_listener_remove(struct client_listener *d);
/* Cuts what is left; the memory goes at the end of the turn. */
void client_listener_close(struct client_listener **d);
