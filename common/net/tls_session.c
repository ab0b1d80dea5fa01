/* tls_session — OpenSSL fed from lent bytes, writing into the caller's buffer.
 *
 * BIOs of our own instead of memory BIOs: those copy what comes in and keep the memory of the
 * largest read for as long as the connection lives. */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/address.h"
#include "common/net/tls_private.h"

#define HOST_MAX 254
/* Undigested bytes of a paused connection: at most two reads. */
#define KEPT_MAX (128u * 1024)

struct tls_session {
    SSL *ssl;
    struct tls_context *context; /* held */
    struct slice lent;
    struct buf kept;
    struct buf *out; /* lent for one call */
    const char *why;
    bool shaken; /* the handshake is done */
    bool failed;
    char host[HOST_MAX];
};

/* the BIO: reads kept bytes, then lent ones */

static int bio_read(BIO *b, char *to, int room)
{
    struct tls_session *s = BIO_get_data(b);
    struct slice from = s->kept.len > 0 ? buf_slice(&s->kept) : s->lent;
    struct slice piece = slice_first(from, (size_t)room);
    BIO_clear_retry_flags(b);
    if (piece.len == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(to, piece.ptr, piece.len);
    if (s->kept.len > 0)
        buf_eat(&s->kept, piece.len);
    else
        s->lent = slice_from(s->lent, piece.len);
    return (int)piece.len;
}

static int bio_write(BIO *b, const char *from, int len)
{
    struct tls_session *s = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (!s->out || buf_append(s->out, slice_of(from, (size_t)len)))
        return -1;
    return len;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b, (void)num, (void)ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gatehouse lent bytes");
    MUST(bio_method);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

/* a client's expectations */

/* OpenSSL hands over one reference when this callback returns 1. */
int tls_on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *s = SSL_get_app_data(ssl);
    if (!s) /* of tls_open: resumes nothing */
        return 0;
    struct tls_context *t = s->context;
    pthread_mutex_lock(&t->lock);
    /* a session that was verified against the roots before a reload must not be resumed after it */
    bool current = SSL_get_SSL_CTX(ssl) == t->ctx;
    if (current)
        tls_cache_put(&t->cache, slice_str(s->host), session);
    pthread_mutex_unlock(&t->lock);
    return current ? 1 : 0;
}

static enum err expect_host(struct tls_session *s, struct slice host)
{
    union sockaddr_any literal;
    if (host.len == 0 || host.len >= sizeof(s->host))
        return ERR_INVALID;
    memcpy(s->host, host.ptr, host.len);
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (address_literal(host, 0, &literal)) /* RFC 6066, 3: no SNI for addresses */
        return X509_VERIFY_PARAM_set1_ip_asc(param, s->host) == 1 ? ERR_OK : ERR_NOMEM;
    if (X509_VERIFY_PARAM_set1_host(param, s->host, host.len) != 1 ||
        SSL_set_tlsext_host_name(s->ssl, s->host) != 1)
        return ERR_NOMEM;
    return ERR_OK;
}

static void resume(struct tls_session *s)
{
    struct tls_context *t = s->context;
    SSL_SESSION *old = NULL;
    pthread_mutex_lock(&t->lock);
    if (SSL_get_SSL_CTX(s->ssl) == t->ctx)
        old = tls_cache_take(&t->cache, slice_str(s->host));
    pthread_mutex_unlock(&t->lock);
    if (!old)
        return;
    SSL_set_session(s->ssl, old);
    SSL_SESSION_free(old);
}

static SSL *new_ssl(struct tls_context *t)
{
    pthread_mutex_lock(&t->lock);
    SSL *ssl = SSL_new(t->ctx);
    pthread_mutex_unlock(&t->lock);
    return ssl;
}

static enum err set_up(struct tls_session *s, struct slice host)
{
    pthread_once(&bio_once, make_bio_method);
    s->ssl = new_ssl(s->context);
    BIO *bio = s->ssl ? BIO_new(bio_method) : NULL;
    if (!bio)
        return ERR_NOMEM;
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_app_data(s->ssl, s);
    if (s->context->server) {
        SSL_set_accept_state(s->ssl);
        return ERR_OK;
    }
    SSL_set_connect_state(s->ssl);
    enum err e = expect_host(s, host);
    if (!e)
        resume(s);
    return e;
}

enum err tls_session_new(struct tls_context *t, struct slice host, struct tls_session **ret)
{
    struct tls_session *s = mem_zalloc(sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    s->context = tls_hold(t);
    s->why = "no failure";
    buf_init(&s->kept, KEPT_MAX);
    enum err e = set_up(s, host);
    if (e) {
        ERR_clear_error();
        tls_session_free(s);
        return e;
    }
    *ret = s;
    return ERR_OK;
}

void tls_session_free(struct tls_session *s)
{
    if (!s)
        return;
    /* OpenSSL forbids resuming what ends without close_notify; ours end when HTTP is done */
    if (s->shaken && !s->failed)
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    buf_fini(&s->kept);
    tls_drop(s->context);
    mem_free(s);
}

/* bytes */

void tls_session_lend(struct tls_session *s, struct slice cipher)
{
    s->lent = cipher;
}

bool tls_session_has_input(const struct tls_session *s)
{
    return s->kept.len > 0 || s->lent.len > 0;
}

enum err tls_session_keep(struct tls_session *s)
{
    enum err e = s->lent.len > 0 ? buf_append(&s->kept, s->lent) : ERR_OK;
    s->lent = SLICE_NONE;
    if (s->kept.len == 0)
        buf_fini(&s->kept);
    return e;
}

static const char *describe(struct tls_session *s)
{
    long verdict = SSL_get_verify_result(s->ssl);
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    if (verdict != X509_V_OK)
        return X509_verify_cert_error_string(verdict);
    return text ? text : "connection broken";
}

/* Turns OpenSSL's result into an enum err; a failure is final. */
static enum err outcome(struct tls_session *s, int result)
{
    s->out = NULL;
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return ERR_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return ERR_CLOSED;
    default:
        s->failed = true;
        s->why = describe(s);
        ERR_clear_error();
        return ERR_TLS;
    }
}

enum err tls_session_handshake(struct tls_session *s, struct buf *out)
{
    if (s->failed)
        return ERR_TLS;
    ERR_clear_error();
    s->out = out;
    int r = SSL_do_handshake(s->ssl);
    if (r != 1)
        return outcome(s, r);
    s->out = NULL;
    s->shaken = true;
    return ERR_OK;
}

enum err tls_session_read(struct tls_session *s, char *to, size_t room, size_t *ret,
                          struct buf *out)
{
    if (s->failed)
        return ERR_TLS;
    if (!tls_session_has_input(s) && SSL_pending(s->ssl) == 0)
        return SSL_get_shutdown(s->ssl) & SSL_RECEIVED_SHUTDOWN ? ERR_CLOSED : ERR_AGAIN;
    ERR_clear_error();
    s->out = out;
    int r = SSL_read_ex(s->ssl, to, room, ret);
    if (r != 1)
        return outcome(s, r);
    s->out = NULL;
    return ERR_OK;
}

enum err tls_session_write(struct tls_session *s, struct slice plain, struct buf *out)
{
    size_t written;
    if (s->failed)
        return ERR_TLS;
    if (plain.len == 0)
        return ERR_OK;
    ERR_clear_error();
    s->out = out;
    int r = SSL_write_ex(s->ssl, plain.ptr, plain.len, &written);
    if (r != 1) {
        enum err e = outcome(s, r);
        s->failed = true; /* our sink never asks to wait: anything else is out of memory */
        return e == ERR_AGAIN ? ERR_TLS : e;
    }
    s->out = NULL;
    return ERR_OK;
}

void tls_session_finish(struct tls_session *s, struct buf *out)
{
    if (!s->shaken || s->failed)
        return;
    ERR_clear_error();
    s->out = out;
    if (SSL_shutdown(s->ssl) < 0)
        ERR_clear_error();
    s->out = NULL;
}

const char *tls_session_why(const struct tls_session *s)
{
    return s->why;
}

const char *tls_session_host(const struct tls_session *s)
{
    return s->host;
}

bool tls_session_is_server(const struct tls_session *s)
{
    return s->context->server;
}

bool tls_session_is_resumed(const struct tls_session *s)
{
    return SSL_session_reused(s->ssl) == 1;
}
