/*
 * tls_peer — the client's end of a TLS connection, said and read by a test as it goes along.
 *
 * Owns     its descriptor and its OpenSSL object.
 * Fails    by NULL and false: what a refusal looks like is the test's to judge.
 * Threads  one; it blocks, at most PEER_WAIT_S at a time.
 */
#pragma once

#include "common/base/buf.h"

struct tls_peer;

/* Dials 127.0.0.1 and shakes hands, trusting that authority alone. NULL: no handshake. */
struct tls_peer *tls_peer_dial(uint16_t port, const char *ca_file);
bool tls_peer_say(struct tls_peer *p, const char *text);
/* Reads until `mark` has come (true) or the connection ends (false); keeps it all in out. */
bool tls_peer_until(struct tls_peer *p, struct buf *out, const char *mark);
/* What comes until the other side says that it was all; false where it only goes away. */
bool tls_peer_rest(struct tls_peer *p, struct buf *out);
long tls_peer_serial(struct tls_peer *p); /* of the certificate it was shown */
void tls_peer_close(struct tls_peer **p); /* NULL inside is fine */
