/*
 * listener — where requests come in: a server, the table path → gate, and the only hand on the
 * client's socket.
 *
 * Owns     its server and the answers under way; kept warm between requests.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/net/http_server.h"
#include "common/request/request.h"

struct client_listener;

struct mhd_adapter_config {
    union sockaddr_any listen;
    struct tls_context *tls; /* NULL: plain */
    size_t connections_max;  /* 0: LIMIT_CONNECTIONS */
};

MUST_USE enum err client_listener_open(const struct mhd_adapter_config *c, struct request_env *env,
                                       struct client_listener **ret);
uint16_t client_listener_port(const struct client_listener *d);
size_t client_listener_connections(const struct client_listener *d);
/* No new connections; those that stand end with the answer they wait for. */
void client_listener_drain(struct client_listener *d);
/* The plane was removed from its control plane: whatever comes is refused. */
void client_listener_remove(struct client_listener *d);
/* Cuts what is left; the memory goes at the end of the turn. */
void client_listener_close(struct client_listener **d);
