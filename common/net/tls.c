/* tls — contexts: the versions and ciphers offered, the trusted roots, and the reload of
 * certificates. */
#include "common/net/tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/tls_private.h"

/* TLS 1.2 only with forward secrecy and AEAD (RFC 9325, 4.2); 1.3 has nothing else. */
#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20"

static const unsigned char alpn_h1[] = "\x08http/1.1";
static const unsigned char alpn_h2_h1[] = "\x02h2\x08http/1.1";
static const struct log_ctx log_tls = {.component = "tls"};

#define REASONS_BEGIN 100 /* OpenSSL's numbers below are its libraries: "PEM lib", "system lib" */

static bool names_library(unsigned long code)
{
    return (ERR_GET_REASON(code) & ((1 << ERR_RFLAGS_OFFSET) - 1)) < REASONS_BEGIN;
}

/* OpenSSL's newest reason as words; they name no secret, and no file content. Where the system
 * refused, its own word; and the libraries that only pass a failure on where there is nothing else.
 */
static const char *reason(void)
{
    const char *newest = NULL, *system = NULL;
    for (unsigned long code = ERR_get_error(); code; code = ERR_get_error()) {
        if (ERR_SYSTEM_ERROR(code))
            system = strerrordesc_np(ERR_GET_REASON(code));
        else if (!newest || !names_library(code))
            newest = ERR_reason_error_string(code);
    }
    return system ? system : newest ? newest : "unknown reason";
}

static enum err complain(const char *what, const char *file)
{
    log_error(&log_tls, "tls_context_failed", "what=%s file=%s why=%s", what, file ? file : "-",
              reason());
    return ERR_TLS;
}

/* An encrypted key would ask on the terminal, and a server would wait there for ever. */
static int refuse_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

static int on_select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                          const unsigned char *in, unsigned in_len, void *arg)
{
    const struct tls_context *t = arg;
    const unsigned char *ours = t->offer_h2 ? alpn_h2_h1 : alpn_h1;
    unsigned len = t->offer_h2 ? sizeof(alpn_h2_h1) - 1 : sizeof(alpn_h1) - 1;
    unsigned char *chosen;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, ours, len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum err load_identity(const struct tls_context *t, SSL_CTX *ctx)
{
    if (!t->cert_file)
        return ERR_OK;
    if (SSL_CTX_use_certificate_chain_file(ctx, t->cert_file) != 1)
        return complain("certificate", t->cert_file);
    if (SSL_CTX_use_PrivateKey_file(ctx, t->key_file, SSL_FILETYPE_PEM) != 1)
        return complain("key", t->key_file);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return complain("pair", t->key_file);
    return ERR_OK;
}

static enum err set_up_server(struct tls_context *t, SSL_CTX *ctx)
{
    static const unsigned char id[] = "gatehouse";
    SSL_CTX_set_alpn_select_cb(ctx, on_select_alpn, t);
    SSL_CTX_set_num_tickets(ctx, 1); /* each is a write and a kilobyte of memory; one is used */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only: no shared state */
    SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
    if (!t->ca_file)
        return ERR_OK;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(t->ca_file);
    if (!names || SSL_CTX_load_verify_file(ctx, t->ca_file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return complain("client CA", t->ca_file);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return ERR_OK;
}

static void set_up_dialling(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(ctx, alpn_h1, sizeof(alpn_h1) - 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, tls_on_new_session);
}

static enum err set_up_client(struct tls_context *t, SSL_CTX *ctx)
{
    set_up_dialling(ctx);
    int ok = t->ca_file ? SSL_CTX_load_verify_file(ctx, t->ca_file)
                        : SSL_CTX_set_default_verify_paths(ctx);
    return ok == 1 ? ERR_OK : complain("CA", t->ca_file);
}

/* What every context has. NULL: out of memory. */
static SSL_CTX *begin(const struct tls_context *t)
{
    ERR_clear_error(); /* an older one would be reported as the reason of a failure here */
    SSL_CTX *ctx = SSL_CTX_new(t->server ? TLS_server_method() : TLS_client_method());
    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, t->only_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, CIPHERS_12);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    /* idle connections give their record buffers back: 30 KB each */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
    return ctx;
}

static enum err build(struct tls_context *t, SSL_CTX **ret)
{
    SSL_CTX *ctx = begin(t);
    if (!ctx)
        return ERR_NOMEM;
    enum err e = load_identity(t, ctx);
    if (!e)
        e = t->server ? set_up_server(t, ctx) : set_up_client(t, ctx);
    if (e) {
        SSL_CTX_free(ctx);
        return e;
    }
    *ret = ctx;
    return ERR_OK;
}

static bool copy_name(const char *from, char **to)
{
    *to = from ? mem_strdup(from) : NULL;
    return !from || *to;
}

static void free_context(struct tls_context *t)
{
    tls_cache_clear(&t->cache);
    SSL_CTX_free(t->ctx);
    pthread_mutex_destroy(&t->lock);
    mem_free(t->cert_file);
    mem_free(t->key_file);
    mem_free(t->ca_file);
    mem_free(t);
}

static struct tls_context *bare_context(const struct tls_context *from)
{
    struct tls_context *t = mem_zalloc(sizeof(*t));
    if (!t)
        return NULL;
    t->server = from->server;
    t->only_13 = from->only_13;
    t->offer_h2 = from->offer_h2;
    atomic_init(&t->refs, 1);
    tls_cache_init(&t->cache);
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

static enum err new_context(const struct tls_context *from, struct tls_context **ret)
{
    struct tls_context *t = bare_context(from);
    enum err e = ERR_NOMEM;
    if (!t)
        return e;
    if (copy_name(from->cert_file, &t->cert_file) && copy_name(from->key_file, &t->key_file) &&
        copy_name(from->ca_file, &t->ca_file))
        e = build(t, &t->ctx);
    if (e) {
        free_context(t);
        return e;
    }
    *ret = t;
    return ERR_OK;
}

enum err tls_server_new(const struct tls_server_config *c, struct tls_context **ret)
{
    if (!c->cert_file || !c->key_file)
        return ERR_INVALID;
    const struct tls_context from = {.server = true,
                                     .only_13 = c->only_13,
                                     .offer_h2 = c->offer_h2,
                                     .cert_file = (char *)c->cert_file,
                                     .key_file = (char *)c->key_file,
                                     .ca_file = (char *)c->client_ca_file};
    return new_context(&from, ret);
}

enum err tls_client_new(const struct tls_client_config *c, struct tls_context **ret)
{
    if (!c->cert_file != !c->key_file)
        return ERR_INVALID;
    const struct tls_context from = {.only_13 = c->only_13,
                                     .cert_file = (char *)c->cert_file,
                                     .key_file = (char *)c->key_file,
                                     .ca_file = (char *)c->ca_file};
    return new_context(&from, ret);
}

/* ---- from texts ---- */

static BIO *open_text(struct slice pem)
{
    return BIO_new_mem_buf(pem.ptr, pem.len > INT_MAX ? INT_MAX : (int)pem.len);
}

/* Each certificate of the text is given to fn, which keeps a count of its own. */
static const char *each_certificate(SSL_CTX *ctx, struct slice pem,
                                    bool (*fn)(SSL_CTX *ctx, X509 *one, size_t i))
{
    BIO *in = open_text(pem);
    size_t n = 0;
    bool ok = in != NULL;
    X509 *one;
    while (ok && (one = PEM_read_bio_X509(in, NULL, refuse_passphrase, NULL))) {
        ok = fn(ctx, one, n++);
        X509_free(one);
    }
    /* the end of the text is told as "no start line" */
    unsigned long last = ERR_peek_last_error();
    ok = ok && n > 0 && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    BIO_free(in);
    return ok ? NULL : "must be certificates in PEM";
}

static bool trust(SSL_CTX *ctx, X509 *one, size_t i)
{
    (void)i;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), one) == 1;
}

static bool present(SSL_CTX *ctx, X509 *one, size_t i)
{
    return i == 0 ? SSL_CTX_use_certificate(ctx, one) == 1 : SSL_CTX_add1_chain_cert(ctx, one) == 1;
}

static const char *use_key(SSL_CTX *ctx, struct slice pem)
{
    BIO *in = open_text(pem);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, refuse_passphrase, NULL) : NULL;
    BIO_free(in);
    bool read = key != NULL;
    bool fits =
        read && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return fits   ? NULL
           : read ? "is not the key of the certificate"
                  : "must be a private key in PEM";
}

static const char *use_texts(SSL_CTX *ctx, const struct tls_client_pem *p)
{
    const char *wrong = NULL;
    if (p->ca.len)
        wrong = each_certificate(ctx, p->ca, trust);
    else if (SSL_CTX_set_default_verify_paths(ctx) != 1)
        wrong = "the system's roots cannot be read";
    if (!wrong && p->cert.len)
        wrong = each_certificate(ctx, p->cert, present);
    if (!wrong && p->key.len)
        wrong = p->cert.len ? use_key(ctx, p->key) : "a key without a certificate";
    return wrong;
}

enum err tls_client_from_pem(const struct tls_client_pem *p, struct tls_context **ret,
                             const char **why)
{
    const struct tls_context from = {.server = false};
    struct tls_context *t = bare_context(&from);
    *why = NULL;
    if (!t)
        return ERR_NOMEM;
    t->ctx = begin(t);
    if (t->ctx) {
        set_up_dialling(t->ctx);
        *why = use_texts(t->ctx, p);
    }
    if (!t->ctx || *why) {
        enum err e = t->ctx ? ERR_INVALID : ERR_NOMEM;
        free_context(t);
        return e;
    }
    *ret = t;
    return ERR_OK;
}

enum err tls_reload(struct tls_context *t)
{
    SSL_CTX *fresh;
    enum err e = build(t, &fresh);
    if (e)
        return e;
    pthread_mutex_lock(&t->lock);
    SSL_CTX *old = t->ctx;
    t->ctx = fresh;
    tls_cache_clear(&t->cache); /* a peer that the old roots verified may fail under the new ones */
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(old);
    return ERR_OK;
}

struct tls_context *tls_hold(struct tls_context *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_drop(struct tls_context *t)
{
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        free_context(t);
}
