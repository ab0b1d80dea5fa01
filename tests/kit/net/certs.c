#include "tests/kit/net/certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/kit/scratch.h"

#define DAY_S (24L * 3600)
#define ISSUED_MAX 32

struct certs {
    char dir[SCRATCH_MAX];
    char ca_file[128];
    EVP_PKEY *key;
    X509 *cert;
    long serial;
    char files[2 * ISSUED_MAX][128];
    size_t file_count;
};

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    MUST(e && X509_add_ext(cert, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static X509 *new_cert(struct certs *c, const char *name, EVP_PKEY *key, bool expired)
{
    X509 *cert = X509_new();
    MUST(cert && X509_set_version(cert, X509_VERSION_3) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), ++c->serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), expired ? -2 * DAY_S : -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), expired ? -DAY_S : DAY_S);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    return cert;
}

static void sign(struct certs *c, X509 *cert)
{
    MUST(X509_set_issuer_name(cert, X509_get_subject_name(c->cert)) == 1);
    MUST(X509_sign(cert, c->key, EVP_sha256()) > 0);
}

static void write_pem(struct certs *c, const char *path, X509 *cert, EVP_PKEY *key)
{
    FILE *f = fopen(path, "w");
    MUST(f);
    if (cert)
        MUST(PEM_write_X509(f, cert) == 1);
    if (key)
        MUST(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    MUST(fclose(f) == 0);
    MUST(c->file_count < ARRAY_LEN(c->files));
    snprintf(c->files[c->file_count++], sizeof(c->files[0]), "%s", path);
}

struct certs *certs_new(void)
{
    struct certs *c = mem_zalloc(sizeof(*c));
    MUST(c);
    MUST(scratch_folder(c->dir));
    snprintf(c->ca_file, sizeof(c->ca_file), "%s/ca.pem", c->dir);
    c->key = EVP_EC_gen("P-256");
    MUST(c->key);
    c->cert = new_cert(c, "test authority", c->key, false);
    extend(c->cert, c->cert, NID_basic_constraints, "critical,CA:TRUE");
    extend(c->cert, c->cert, NID_key_usage, "critical,keyCertSign");
    sign(c, c->cert);
    write_pem(c, c->ca_file, c->cert, NULL);
    return c;
}

void certs_free(struct certs *c)
{
    for (size_t i = 0; i < c->file_count; i++)
        unlink(c->files[i]);
    rmdir(c->dir);
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
    mem_free(c);
}

const char *certs_ca(const struct certs *c)
{
    return c->ca_file;
}

struct certs_files certs_issue(struct certs *c, const struct certs_order *order)
{
    struct certs_files f;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    MUST(key);
    X509 *cert = new_cert(c, order->name, key, order->expired);
    extend(cert, c->cert, NID_ext_key_usage, order->client ? "clientAuth" : "serverAuth");
    if (order->san)
        extend(cert, c->cert, NID_subject_alt_name, order->san);
    sign(c, cert);
    snprintf(f.cert, sizeof(f.cert), "%s/%.32s.pem", c->dir, order->name);
    snprintf(f.key, sizeof(f.key), "%s/%.32s.key", c->dir, order->name);
    write_pem(c, f.cert, cert, NULL);
    write_pem(c, f.key, NULL, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return f;
}

struct certs_files certs_server(struct certs *c)
{
    const struct certs_order order = {.name = "server", .san = "DNS:localhost,IP:127.0.0.1,IP:::1"};
    return certs_issue(c, &order);
}
