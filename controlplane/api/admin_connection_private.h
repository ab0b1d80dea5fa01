/*
 * admin_connection_private — functions shared by the two directions of a connection: client to
 * library in admin_connection.c, library to client in admin_connection_response.c.
 *
 * Threads  the listener's loop.
 */
#pragma once

#include "controlplane/api/admin_connection.h"

extern const struct stream_events admin_connection_inner_events;

/* Closes the library's side and tells the client; `why` is a constant. */
void admin_connection_refuse(struct admin_connection *l, unsigned status, const char *why);
void admin_connection_inner_ended(struct admin_connection *l); /* the library's end is closed */
void admin_connection_process(
    struct admin_connection *l); /* passes on received bytes as far as the phase allows */
void admin_connection_throttle(struct admin_connection *l);
bool admin_connection_reads(struct admin_connection *l); /* false: too slowly, or not at all */
