/*
 * door — where requests come in: a server, the table path → wing, and the only hand on the
 * client's socket.
 *
 * Owns     its server and the answers under way; kept warm between requests.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/journey/journey.h"
#include "common/net/http_server.h"

struct door;

struct door_config {
    union sockaddr_any  listen;
    struct tls_context *tls; /* NULL: plain */
    size_t              connections_max; /* 0: LIMIT_CONNECTIONS */
};

MUST_USE enum err door_open(const struct door_config *c, struct journey_env *env,
                            struct door **ret);
uint16_t          door_port(const struct door *d);
size_t            door_connections(const struct door *d);
/* No new connections; those that stand end with the answer they wait for. */
void door_drain(struct door *d);
/* The plane was removed from its control plane: whatever comes is refused. */
void door_remove(struct door *d);
/* Cuts what is left; the memory goes at the end of the turn. */
void door_close(struct door **d);
