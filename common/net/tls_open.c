/* tls_open — a connection's OpenSSL object for a caller with sockets of its own. */
#include "common/net/tls_private.h"

struct ssl_st *tls_open(struct tls_context *t)
{
    pthread_mutex_lock(&t->lock); /* a reload may be replacing it */
    SSL *ssl = SSL_new(t->ctx);
    pthread_mutex_unlock(&t->lock);
    return ssl;
}
