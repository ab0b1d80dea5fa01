/*
 * tls — the only use of OpenSSL's TLS in common/net: contexts for serving and for dialling.
 *
 * TLS 1.2 and 1.3. A server context can be reloaded from its files without a restart:
 * connections that stand keep the old certificate. A client context verifies chain and host
 * name against the system's roots, or against one CA file; sessions are resumed.
 *
 * Owns     SSL_CTX, counted by its connections.
 * Fails    ERR_TLS with one log line that says which file or why; never secret material.
 * Threads  a context may be shared by threads; reload from any; not one that was made from texts.
 */
#pragma once

#include "common/base/slice.h"

struct tls_context;
struct tls_session; /* one connection's state machine over memory BIOs, used by stream only */

struct tls_server_config {
    const char *cert_file; /* PEM chain */
    const char *key_file;
    const char *client_ca_file; /* non-NULL: client certificates are required */
    bool only_13;
    bool offer_h2; /* ALPN; http/1.1 is always offered */
};

struct tls_client_config {
    const char *ca_file;   /* NULL: the system's roots */
    const char *cert_file; /* NULL: no client certificate */
    const char *key_file;
    bool only_13;
};

/* The same from texts in PEM, which are not kept. Empty: as absent. */
struct tls_client_pem {
    struct slice ca; /* one certificate or several; these are trusted instead of the system's */
    struct slice cert, key;
};

MUST_USE enum err tls_server_new(const struct tls_server_config *c, struct tls_context **ret);
MUST_USE enum err tls_client_new(const struct tls_client_config *c, struct tls_context **ret);
/* ERR_INVALID: what is wrong with the texts is in *why, a stable sentence. */
MUST_USE enum err tls_client_from_pem(const struct tls_client_pem *p, struct tls_context **ret,
                                      const char **why);
MUST_USE enum err
tls_reload(struct tls_context *t); /* reads the files again; old stays on failure */
struct tls_context *tls_hold(struct tls_context *t);
void tls_drop(struct tls_context *t);

/* One connection's OpenSSL object, for a caller that moves bytes over sockets of its own
 * (common/wire/tunnel). NULL: out of memory. The caller frees it with SSL_free. */
struct ssl_st;
struct ssl_st *tls_open(struct tls_context *t);
