/*
 * tls_pair — a stage whose streams are over TLS: an authority, a server that sends everything back,
 * and a client's context that trusts the authority.
 *
 * Owns     all of it, from tls_pair_open (or tls_pair_serve) to tls_pair_close.
 * Fails    by cmocka's assertions.
 * Threads  the test's.
 */
#pragma once

#include "common/net/tls.h"
#include "tests/kit/net/certs.h"
#include "tests/kit/net/ends.h"

struct tls_pair {
    struct certs *certs;
    struct stage stage;
    struct end servers[8];
    struct tls_context *client; /* trusts certs */
};

void tls_pair_open(struct tls_pair *r);
/* The stage alone, over r->certs: with these files, and asking clients for certificates of that
 * authority. NULL: of none. */
void tls_pair_serve(struct tls_pair *r, const struct certs_files *files, const char *client_ca);
void tls_pair_close(struct tls_pair *r);
void tls_pair_echoes(struct end *e); /* what every end does that the server accepts */

void tls_pair_dial(struct tls_pair *r, struct end *client, const char *host);
void tls_pair_ping(struct tls_pair *r,
                   struct end *client); /* sends four bytes and gets them back */
void tls_pair_meet(struct tls_pair *r, struct end *client,
                   const char *host); /* dials, opens, pings */
void tls_pair_refuses(struct tls_pair *r,
                      const char *host); /* the server's certificate is not valid for it */
bool end_is_resumed(const struct end *e);
