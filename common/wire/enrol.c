/*
 * enrol — the CA and the certificates, by OpenSSL.
 *
 * A plane's certificate can only be a client's and the control plane's only a server's
 * (extended key usage), so neither certificate can be used as the other.
 */
#include "common/wire/enrol.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "common/base/mem.h"

#define CA_DAYS 3650     /* as long as an installation may go without being rebuilt */
#define SKEW_SECONDS 300 /* a plane's clock may be five minutes late */
#define DAY_SECONDS (24L * 60 * 60)
#define SERIAL_LEN 16       /* 127 random bits; RFC 5280 4.1.2.2 allows 20 bytes */
#define PEM_MAX (64 * 1024) /* a certificate takes some 800 bytes, a chain never 64 KiB */
#define PLANE_ID_MAX 64     /* RFC 5280's bound of a common name */
#define SERVER_NAME "control-plane"
#define CA_NAME "gatehouse-ca"

/* What goes into a certificate besides key and issuer. */
struct plan {
    const char *name;
    size_t name_len;
    long days;
    const char *constraints;
    const char *usage;
    const char *extended; /* NULL: none */
    const char *names;    /* subjectAltName; NULL: none */
};

struct issuer {
    X509 *cert;
    EVP_PKEY *key;
};

/* No prompt on a terminal where a PEM is encrypted. */
static int no_password(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

static X509 *read_cert(struct slice pem)
{
    if (pem.len == 0 || pem.len > PEM_MAX)
        return NULL;
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    return cert;
}

static EVP_PKEY *read_key(struct slice pem)
{
    if (pem.len == 0 || pem.len > PEM_MAX)
        return NULL;
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    return key;
}

/* Moves what was written to `from` behind the content of `to`. */
static enum err take_text(BIO *from, struct buf *to)
{
    char *text = NULL;
    long len = BIO_get_mem_data(from, &text);
    return len > 0 ? buf_append(to, slice_of(text, (size_t)len)) : ERR_TLS;
}

static enum err write_cert(X509 *cert, struct buf *pem)
{
    BIO *out = BIO_new(BIO_s_mem());
    enum err e = out && PEM_write_bio_X509(out, cert) ? take_text(out, pem) : ERR_TLS;
    BIO_free(out);
    return e;
}

/* The secure memory BIO wipes what it held when it is freed. */
static enum err write_key(EVP_PKEY *key, struct buf *pem)
{
    BIO *out = BIO_new(BIO_s_secmem());
    enum err e = out && PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL)
                     ? take_text(out, pem)
                     : ERR_TLS;
    BIO_free(out);
    return e;
}

static bool is_p256(EVP_PKEY *key)
{
    char group[32];
    size_t len = 0;
    int spelled_out = 0; /* the curve's parameters in the key instead of its name */
    if (key)
        EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &spelled_out);
    return key && !spelled_out && EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1 &&
           (strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0);
}

static bool add_extension(X509 *cert, X509V3_CTX *ctx, int kind, const char *value)
{
    if (!value)
        return true;
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, kind, value);
    bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct plan *p)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    return add_extension(cert, &ctx, NID_basic_constraints, p->constraints) &&
           add_extension(cert, &ctx, NID_key_usage, p->usage) &&
           add_extension(cert, &ctx, NID_ext_key_usage, p->extended) &&
           add_extension(cert, &ctx, NID_subject_alt_name, p->names) &&
           add_extension(cert, &ctx, NID_subject_key_identifier, "hash") &&
           add_extension(cert, &ctx, NID_authority_key_identifier, "keyid");
}

static bool set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_LEN];
    digest_random(bytes, sizeof(bytes));
    bytes[0] = (uint8_t)((bytes[0] & 0x7F) | 0x40); /* positive, and never short */
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return ok;
}

static bool set_subject(X509 *cert, const struct plan *p)
{
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName, MBSTRING_ASC,
                                      (const unsigned char *)p->name, (int)p->name_len, -1, 0) == 1;
}

/* issuer.cert NULL: signs itself */
static X509 *make_cert(EVP_PKEY *key, const struct issuer *issuer, const struct plan *p)
{
    X509 *cert = X509_new();
    if (!cert)
        return NULL;
    X509 *parent = issuer->cert ? issuer->cert : cert;
    if (X509_set_version(cert, X509_VERSION_3) && set_serial(cert) && set_subject(cert, p) &&
        X509_set_issuer_name(cert, X509_get_subject_name(parent)) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -SKEW_SECONDS) &&
        X509_gmtime_adj(X509_getm_notAfter(cert), p->days * DAY_SECONDS) &&
        X509_set_pubkey(cert, key) && add_extensions(cert, parent, p) &&
        X509_sign(cert, issuer->key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

static enum err make_and_write(EVP_PKEY *key, const struct issuer *issuer, const struct plan *p,
                               struct buf *cert_pem)
{
    X509 *cert = make_cert(key, issuer, p);
    enum err e = cert ? write_cert(cert, cert_pem) : ERR_TLS;
    X509_free(cert);
    return e;
}

static enum err open_issuer(struct slice cert_pem, struct slice key_pem, struct issuer *ret)
{
    struct issuer ca = {read_cert(cert_pem), read_key(key_pem)};
    if (ca.cert && ca.key && X509_check_private_key(ca.cert, ca.key) == 1) {
        *ret = ca;
        return ERR_OK;
    }
    X509_free(ca.cert);
    EVP_PKEY_free(ca.key);
    return ERR_INVALID;
}

static void close_issuer(struct issuer *ca)
{
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
}

enum err enrol_make_ca(struct buf *cert_pem, struct buf *key_pem)
{
    static const struct plan plan = {
        .name = CA_NAME,
        .name_len = sizeof(CA_NAME) - 1,
        .days = CA_DAYS,
        .constraints = "critical,CA:TRUE,pathlen:0",
        .usage = "critical,keyCertSign,cRLSign",
    };
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (!key)
        return ERR_TLS;
    const struct issuer self = {NULL, key};
    enum err e = make_and_write(key, &self, &plan, cert_pem);
    if (!e)
        e = write_key(key, key_pem);
    EVP_PKEY_free(key);
    return e;
}

enum err enrol_issue_server(struct slice ca_cert_pem, struct slice ca_key_pem, struct buf *cert_pem,
                            struct buf *key_pem)
{
    static const struct plan plan = {
        .name = SERVER_NAME,
        .name_len = sizeof(SERVER_NAME) - 1,
        .days = ENROL_CERT_DAYS,
        .constraints = "critical,CA:FALSE",
        .usage = "critical,digitalSignature",
        .extended = "serverAuth",
        .names = "DNS:" SERVER_NAME,
    };
    struct issuer ca;
    enum err e = open_issuer(ca_cert_pem, ca_key_pem, &ca);
    if (e)
        return e;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    e = key ? make_and_write(key, &ca, &plan, cert_pem) : ERR_TLS;
    if (!e)
        e = write_key(key, key_pem);
    EVP_PKEY_free(key);
    close_issuer(&ca);
    return e;
}

/* The subject stays empty: the control plane decides a plane's id. */
static bool fill_request(X509_REQ *request, EVP_PKEY *key)
{
    return X509_REQ_set_version(request, X509_REQ_VERSION_1) && X509_REQ_set_pubkey(request, key) &&
           X509_REQ_sign(request, key, EVP_sha256()) > 0;
}

enum err enrol_make_request(struct buf *key_pem, struct buf *csr_pem)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_REQ *request = X509_REQ_new();
    BIO *out = BIO_new(BIO_s_mem());
    enum err e = ERR_TLS;
    if (key && request && out && fill_request(request, key) && PEM_write_bio_X509_REQ(out, request))
        e = take_text(out, csr_pem);
    if (!e)
        e = write_key(key, key_pem);
    BIO_free(out);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    return e;
}

/* One PEM block and nothing but white space around it: a second block could mean something
 * else to another reader of the same text. */
static bool is_one_block(struct slice pem)
{
    struct slice mark = SLICE("-----BEGIN ");
    struct slice end = SLICE("-----END CERTIFICATE REQUEST-----");
    if (!slice_starts(pem, SLICE("-----BEGIN CERTIFICATE REQUEST-----")) ||
        slice_search(slice_from(pem, mark.len), mark) >= 0)
        return false;
    ptrdiff_t at = slice_search(pem, end);
    if (at < 0)
        return false;
    struct slice rest = slice_from(pem, (size_t)at + end.len);
    for (size_t i = 0; i < rest.len; i++)
        if (!strchr(" \t\r\n", rest.ptr[i]) || rest.ptr[i] == '\0')
            return false;
    return true;
}

static X509_REQ *read_request(struct slice pem)
{
    if (pem.len == 0 || pem.len > PEM_MAX || !is_one_block(pem))
        return NULL;
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509_REQ *request = in ? PEM_read_bio_X509_REQ(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;
    if (is_p256(key) && X509_REQ_verify(request, key) == 1) /* it holds the private key */
        return request;
    X509_REQ_free(request);
    return NULL;
}

static bool is_plane_id(struct slice id)
{
    if (id.len == 0 || id.len > PLANE_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

enum err enrol_issue_plane(struct slice ca_cert_pem, struct slice ca_key_pem, struct slice csr_pem,
                           struct slice plane_id, struct buf *cert_pem)
{
    const struct plan plan = {
        .name = plane_id.ptr,
        .name_len = plane_id.len,
        .days = ENROL_CERT_DAYS,
        .constraints = "critical,CA:FALSE",
        .usage = "critical,digitalSignature",
        .extended = "clientAuth",
    };
    if (!is_plane_id(plane_id))
        return ERR_INVALID;
    X509_REQ *request = read_request(csr_pem);
    if (!request)
        return ERR_INVALID;
    struct issuer ca;
    enum err e = open_issuer(ca_cert_pem, ca_key_pem, &ca);
    if (!e) {
        e = make_and_write(X509_REQ_get0_pubkey(request), &ca, &plan, cert_pem);
        close_issuer(&ca);
    }
    X509_REQ_free(request);
    return e;
}

enum err enrol_ca_digest(struct slice ca_cert_pem, struct digest *ret)
{
    X509 *cert = read_cert(ca_cert_pem);
    if (!cert)
        return ERR_INVALID;
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    X509_free(cert);
    if (len <= 0)
        return ERR_TLS;
    digest_sha256(slice_of(der, (size_t)len), ret);
    OPENSSL_free(der);
    return ERR_OK;
}

enum err enrol_not_after(struct slice cert_pem, int64_t *ret_us)
{
    X509 *cert = read_cert(cert_pem);
    if (!cert)
        return ERR_INVALID;
    struct tm end;
    bool ok = ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1;
    X509_free(cert);
    if (!ok)
        return ERR_INVALID;
    *ret_us = (int64_t)timegm(&end) * 1000000;
    return ERR_OK;
}
