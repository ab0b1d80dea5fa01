#include "tests/kit/net/tls_peer.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/base/mem.h"
#include "common/net/tls.h"
#include "tests/kit/raw_peer.h"

struct tls_peer {
    int fd;
    struct tls_context *context;
    SSL *ssl;
};

static bool shake_hands(struct tls_peer *p, const char *ca_file)
{
    const struct tls_client_config config = {.ca_file = ca_file};
    if (p->fd < 0 || tls_client_new(&config, &p->context) != ERR_OK)
        return false;
    p->ssl = tls_open(p->context);
    return p->ssl && SSL_set_fd(p->ssl, p->fd) == 1 &&
           X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(p->ssl), "127.0.0.1") == 1 &&
           SSL_connect(p->ssl) == 1;
}

struct tls_peer *tls_peer_dial(uint16_t port, const char *ca_file)
{
    struct tls_peer *p = mem_zalloc(sizeof(*p));
    MUST(p);
    p->fd = peer_dial(port);
    if (!shake_hands(p, ca_file))
        tls_peer_close(&p);
    return p;
}

bool tls_peer_say(struct tls_peer *p, const char *text)
{
    size_t len = strlen(text), n = 0;
    return SSL_write_ex(p->ssl, text, len, &n) == 1 && n == len;
}

/* SSL_ERROR_NONE: something came */
static int take(struct tls_peer *p, struct buf *out)
{
    char *room;
    size_t n = 0;
    if (buf_room(out, 16384, &room))
        return SSL_ERROR_SYSCALL;
    int got = SSL_read_ex(p->ssl, room, 16384, &n);
    if (got == 1)
        buf_commit(out, n);
    return SSL_get_error(p->ssl, got);
}

bool tls_peer_until(struct tls_peer *p, struct buf *out, const char *mark)
{
    while (slice_search(buf_slice(out), slice_str(mark)) < 0)
        if (take(p, out) != SSL_ERROR_NONE)
            return false;
    return true;
}

bool tls_peer_rest(struct tls_peer *p, struct buf *out)
{
    int e;
    while ((e = take(p, out)) == SSL_ERROR_NONE)
        ;
    return e == SSL_ERROR_ZERO_RETURN;
}

long tls_peer_serial(struct tls_peer *p)
{
    X509 *cert = SSL_get0_peer_certificate(p->ssl);
    return cert ? ASN1_INTEGER_get(X509_get0_serialNumber(cert)) : -1;
}

void tls_peer_close(struct tls_peer **ret)
{
    struct tls_peer *p = *ret;
    *ret = NULL;
    if (!p)
        return;
    SSL_free(p->ssl);
    tls_drop(p->context);
    if (p->fd >= 0)
        close(p->fd);
    mem_free(p);
}
