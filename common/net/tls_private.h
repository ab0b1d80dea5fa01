/*
 * tls_private — a context's inside, and one connection's TLS as a machine without a socket.
 *
 * Bytes that came are lent to a session, which takes what it can use; bytes that must be sent
 * are appended to the caller's buffer. It never waits and never calls back.
 *
 * Owns     a session: its SSL and the undigested bytes it was told to keep.
 * Fails    ERR_AGAIN: give more bytes; ERR_CLOSED: the peer said it will send no more (only its
 *          close_notify counts, since an attacker can send a bare FIN to cut a response short);
 * ERR_TLS. Threads  a session its loop's; a context any.
 */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/net/tls.h"

/* What a client context remembers of the hosts it spoke to; under the context's lock. */
struct tls_cache {
    struct list hosts; /* newest first */
    size_t count;
};

void tls_cache_init(struct tls_cache *c);
void tls_cache_clear(struct tls_cache *c);
SSL_SESSION *tls_cache_take(struct tls_cache *c, struct slice host);        /* NULL: none */
void tls_cache_put(struct tls_cache *c, struct slice host, SSL_SESSION *s); /* consumes */

struct tls_context {
    atomic_uint refs;
    bool server;
    bool only_13;
    bool offer_h2;
    char *cert_file;
    char *key_file;
    char *ca_file;
    pthread_mutex_t lock;
    SSL_CTX *ctx; /* replaced whole by a reload */
    struct tls_cache cache;
};

/* OpenSSL's callback of client contexts */
int tls_on_new_session(SSL *ssl, SSL_SESSION *session);

/* host: the name that a client dials; ignored by servers */
MUST_USE enum err tls_session_new(struct tls_context *t, struct slice host,
                                  struct tls_session **ret);
void tls_session_free(struct tls_session *s);
void tls_session_lend(struct tls_session *s, struct slice cipher);
bool tls_session_has_input(const struct tls_session *s);
/* The lent bytes go away: what was not used yet is copied. ERR_NOMEM. */
MUST_USE enum err tls_session_keep(struct tls_session *s);
MUST_USE enum err tls_session_handshake(struct tls_session *s, struct buf *out);
/* room: at least a record, so that no decrypted byte stays inside */
MUST_USE enum err tls_session_read(struct tls_session *s, char *to, size_t room, size_t *ret,
                                   struct buf *out);
MUST_USE enum err tls_session_write(struct tls_session *s, struct slice plain, struct buf *out);
void tls_session_finish(struct tls_session *s, struct buf *out);
/* why the last call failed: a stable sentence without user data */
const char *tls_session_why(const struct tls_session *s);
const char *tls_session_host(const struct tls_session *s); /* "" on servers */
bool tls_session_is_server(const struct tls_session *s);
bool tls_session_is_resumed(const struct tls_session *s); /* for tests */
