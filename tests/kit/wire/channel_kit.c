#include "tests/kit/wire/channel_kit.h"

#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/wire/enrol.h"

/* Debian's NNG and OpenSSL are not built for TSan, so it sees neither the counter that decides
 * which thread frees a message, nor the flag after which a certificate's parsed extensions
 * are only read. Both show by these frames; races in what NNG calls back stay visible. */
#define TSAN_MORE "race:^__interceptor_free$\nrace:ASN1_STRING_cmp\n"
#include "tests/kit/tsan.h"

#define TEXT_MAX (64 * 1024)
#define DAY 86400L

void kit_open(struct kit *k)
{
    MUST(scratch_folder(k->dir));
    buf_init(&k->ca_cert, TEXT_MAX);
    buf_init(&k->ca_key, TEXT_MAX);
    MUST(enrol_make_ca(&k->ca_cert, &k->ca_key) == ERR_OK);
    kit_write(k, "ca.crt", buf_slice(&k->ca_cert));
}

void kit_close(struct kit *k)
{
    DIR *dir = opendir(k->dir);
    MUST(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(k->dir);
    buf_fini(&k->ca_cert);
    buf_fini(&k->ca_key);
}

const char *kit_path(const struct kit *k, const char *name, char out[static KIT_PATH_MAX])
{
    MUST(snprintf(out, KIT_PATH_MAX, "%s/%s", k->dir, name) < KIT_PATH_MAX);
    return out;
}

void kit_write(const struct kit *k, const char *name, struct slice text)
{
    char path[KIT_PATH_MAX];
    FILE *f = fopen(kit_path(k, name, path), "w");
    MUST(f && fwrite(text.ptr, 1, text.len, f) == text.len);
    MUST(fclose(f) == 0);
}

struct slice kit_read(const struct kit *k, const char *name, struct buf *to)
{
    char path[KIT_PATH_MAX], *room;
    FILE *f = fopen(kit_path(k, name, path), "r");
    MUST(f && buf_room(to, TEXT_MAX / 2, &room) == ERR_OK);
    buf_commit(to, fread(room, 1, TEXT_MAX / 2, f));
    fclose(f);
    return buf_slice(to);
}

static void write_pair(const struct kit *k, const char *name, struct buf *cert, struct buf *key)
{
    char file[KIT_PATH_MAX];
    snprintf(file, sizeof(file), "%s.crt", name);
    kit_write(k, file, buf_slice(cert));
    snprintf(file, sizeof(file), "%s.key", name);
    kit_write(k, file, buf_slice(key));
    buf_fini(cert);
    buf_fini(key);
}

void kit_issue_server(const struct kit *k)
{
    struct buf cert, key;
    buf_init(&cert, TEXT_MAX);
    buf_init(&key, TEXT_MAX);
    MUST(enrol_issue_server(buf_slice(&k->ca_cert), buf_slice(&k->ca_key), &cert, &key) == ERR_OK);
    write_pair(k, "server", &cert, &key);
}

void kit_issue_plane(const struct kit *k, const char *plane)
{
    struct buf cert, key, csr;
    buf_init(&cert, TEXT_MAX);
    buf_init(&key, TEXT_MAX);
    buf_init(&csr, TEXT_MAX);
    MUST(enrol_make_request(&key, &csr) == ERR_OK);
    MUST(enrol_issue_plane(buf_slice(&k->ca_cert), buf_slice(&k->ca_key), buf_slice(&csr),
                           slice_str(plane), &cert) == ERR_OK);
    write_pair(k, plane, &cert, &key);
    buf_fini(&csr);
}

static void add_extension(X509 *cert, int kind, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, kind, value);
    MUST(ext && X509_add_ext(cert, ext, -1) == 1);
    X509_EXTENSION_free(ext);
}

static void take_pem(BIO *from, struct buf *to)
{
    char *text;
    long len = BIO_get_mem_data(from, &text);
    MUST(buf_append(to, slice_of(text, (size_t)len)) == ERR_OK);
    BIO_free(from);
}

static X509 *odd_cert(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const struct kit_odd *odd)
{
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 4711);
    X509_set_issuer_name(cert, X509_get_subject_name(ca));
    if (odd->common_name)
        X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                   (const unsigned char *)odd->common_name, -1, -1, 0);
    X509_gmtime_adj(X509_getm_notBefore(cert), odd->days < 0 ? 2 * odd->days * DAY : -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), odd->days * DAY);
    X509_set_pubkey(cert, key);
    add_extension(cert, NID_basic_constraints, "critical,CA:FALSE");
    if (odd->dns) {
        char names[128];
        snprintf(names, sizeof(names), "DNS:%s", odd->dns);
        add_extension(cert, NID_subject_alt_name, names);
    }
    if (odd->purpose)
        add_extension(cert, NID_ext_key_usage, odd->purpose);
    MUST(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    return cert;
}

void kit_issue_odd(const struct kit *k, const char *name, const struct kit_odd *odd)
{
    BIO *in = BIO_new_mem_buf(k->ca_cert.data, (int)k->ca_cert.len);
    X509 *ca = PEM_read_bio_X509(in, NULL, NULL, NULL);
    BIO *key_in = BIO_new_mem_buf(k->ca_key.data, (int)k->ca_key.len);
    EVP_PKEY *ca_key = PEM_read_bio_PrivateKey(key_in, NULL, NULL, NULL);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = odd_cert(key, ca, ca_key, odd);
    BIO *cert_out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());
    MUST(PEM_write_bio_X509(cert_out, cert) == 1);
    MUST(PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) == 1);
    struct buf cert_pem, key_pem;
    buf_init(&cert_pem, TEXT_MAX);
    buf_init(&key_pem, TEXT_MAX);
    take_pem(cert_out, &cert_pem);
    take_pem(key_out, &key_pem);
    write_pair(k, name, &cert_pem, &key_pem);
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    BIO_free(in);
    BIO_free(key_in);
}

static const char *pair_path(const struct kit *k, const char *name, const char *kind,
                             char out[static KIT_PATH_MAX])
{
    char file[KIT_PATH_MAX];
    snprintf(file, sizeof(file), "%s.%s", name, kind);
    return kit_path(k, file, out);
}

struct tls_context *kit_server_tls(const struct kit *k, const char *cert)
{
    char crt[KIT_PATH_MAX], key[KIT_PATH_MAX], ca[KIT_PATH_MAX];
    const struct tls_server_config c = {.cert_file = pair_path(k, cert, "crt", crt),
                                        .key_file = pair_path(k, cert, "key", key),
                                        .client_ca_file = kit_path(k, "ca.crt", ca),
                                        .only_13 = true};
    struct tls_context *t = NULL;
    MUST(tls_server_new(&c, &t) == ERR_OK);
    return t;
}

struct tls_context *kit_client_tls(const struct kit *k, const char *cert,
                                   const struct kit *believes)
{
    char crt[KIT_PATH_MAX], key[KIT_PATH_MAX], ca[KIT_PATH_MAX];
    struct tls_client_config c = {.ca_file = kit_path(believes, "ca.crt", ca), .only_13 = true};
    if (cert) {
        c.cert_file = pair_path(k, cert, "crt", crt);
        c.key_file = pair_path(k, cert, "key", key);
    }
    struct tls_context *t = NULL;
    MUST(tls_client_new(&c, &t) == ERR_OK);
    return t;
}

union sockaddr_any kit_loopback(uint16_t port)
{
    union sockaddr_any at;
    memset(&at, 0, sizeof(at));
    at.in.sin_family = AF_INET;
    at.in.sin_port = htons(port);
    at.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

static bool is_free(uint16_t port)
{
    union sockaddr_any at = kit_loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, &at.sa, sizeof(at.in)) == 0;
    close(fd);
    return ok;
}

uint16_t kit_port(void)
{
    for (int tries = 0; tries < 1000; tries++) {
        uint16_t port;
        digest_random(&port, sizeof(port));
        port = (uint16_t)(20000 + port % 12000);
        if (is_free(port))
            return port;
    }
    MUST(false && "no free port");
    return 0;
}

size_t kit_descriptors(int pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    MUST(dir);
    size_t count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2 - (pid == getpid()); /* "." and "..", and the one that reads them */
}

bool kit_until(bool (*is)(void *arg), void *arg, unsigned ms)
{
    uint64_t end = clock_mono_us() + ms * 1000ull;
    do {
        if (is(arg))
            return true;
        usleep(1000);
    } while (clock_mono_us() < end);
    return is(arg);
}
