/*
 * tls_room — a stage whose streams are over TLS: an authority, a server that says everything back,
 * and a client's context that believes in the authority.
 *
 * Owns     all of it, from room_open (or room_serve) to room_close.
 * Fails    by cmocka's assertions.
 * Threads  the test's.
 */
#pragma once

#include "common/net/tls.h"
#include "tests/kit/net/certs.h"
#include "tests/kit/net/ends.h"

struct room {
    struct certs *certs;
    struct stage stage;
    struct end servers[8];
    struct tls_context *client; /* believes in certs */
};

void room_open(struct room *r);
/* The stage alone, over r->certs: with these files, and asking clients for certificates of that
 * authority. NULL: of none. */
void room_serve(struct room *r, const struct certs_files *files, const char *client_ca);
void room_close(struct room *r);
void room_echoes(struct end *e); /* what every end does that the server accepts */

void room_dial(struct room *r, struct end *client, const char *host);
void room_ping(struct room *r, struct end *client); /* says four bytes and hears them again */
void room_meet(struct room *r, struct end *client, const char *host); /* dials, opens, pings */
void room_refuses(struct room *r, const char *host); /* the server is not believed under it */
bool end_is_resumed(const struct end *e);
