/* enrolment — the CA behind secrets' listener, tokens by their digest, files for the TLS context.
 */
#include "controlplane/channel/enrolment.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "controlplane/store/store_secret.h"

static const struct log_ctx enrol_log = {.component = "enrolment"};

struct enrolment {
    struct buf ca;
    struct secret *key;
};

static void wipe_buf(struct buf *b)
{
    if (b->data)
        secret_wipe(b->data, b->cap);
    buf_fini(b);
}

/* ---- the authority ---- */

static enum err load(struct tx *tx, const struct seal *seal, struct buf *ca, struct buf *key)
{
    enum err e = store_installation_get(tx, seal, "ca_certificate", ca, NULL);
    return e == ERR_OK ? store_installation_get(tx, seal, "ca_key", key, NULL) : e;
}

static enum err make(struct tx *tx, const struct seal *seal, struct buf *ca, struct buf *key)
{
    enum err e = enrol_make_ca(ca, key);
    if (e == ERR_OK)
        e = store_installation_put(tx, seal, "ca_certificate", buf_slice(ca), false);
    if (e == ERR_OK)
        e = store_installation_put(tx, seal, "ca_key", buf_slice(key), true);
    if (e == ERR_OK)
        log_info(&enrol_log, "ca_made", "days=%d", ENROL_CERT_DAYS);
    return e;
}

static enum err load_or_make(struct db *db, const struct seal *seal, struct buf *ca,
                             struct buf *key)
{
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = tx_lock(&tx, TX_LOCK_BOOT);
    if (e == ERR_OK)
        e = load(&tx, seal, ca, key);
    if (e == ERR_NOT_FOUND)
        e = make(&tx, seal, ca, key);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

enum err enrolment_open(struct db *db, const struct seal *seal, struct enrolment **ret)
{
    struct enrolment *e = mem_zalloc(sizeof(*e));
    struct buf key;
    if (!e)
        return ERR_NOMEM;
    buf_init(&e->ca, LIMIT_PEM);
    buf_init(&key, LIMIT_PEM);
    enum err failed = load_or_make(db, seal, &e->ca, &key);
    if (failed == ERR_OK) {
        e->key = secret_new(buf_slice(&key));
        failed = e->key ? ERR_OK : ERR_NOMEM;
    }
    wipe_buf(&key);
    if (failed != ERR_OK)
        enrolment_close(&e);
    else
        *ret = e;
    return failed;
}

void enrolment_close(struct enrolment **ref)
{
    struct enrolment *e = *ref;
    if (!e)
        return;
    *ref = NULL;
    buf_fini(&e->ca);
    secret_drop(e->key);
    mem_free(e);
}

struct slice enrolment_ca(const struct enrolment *e)
{
    return buf_slice(&e->ca);
}

/* Whole or not at all: a reader never sees half a file. */
static enum err write_file(const char *path, struct slice content)
{
    char fresh[512];
    int n = snprintf(fresh, sizeof(fresh), "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof(fresh))
        return ERR_TOO_BIG;
    unlink(fresh); /* an old file may have other permissions */
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_IO;
    bool ok = write(fd, content.ptr, content.len) == (ssize_t)content.len;
    ok = close(fd) == 0 && ok;
    return ok && rename(fresh, path) == 0 ? ERR_OK : ERR_IO;
}

enum err enrolment_write_server(const struct enrolment *e, const char *ca_file,
                                const char *cert_file, const char *key_file)
{
    struct buf cert, key;
    buf_init(&cert, LIMIT_PEM);
    buf_init(&key, LIMIT_PEM);
    enum err failed = enrol_issue_server(enrolment_ca(e), secret_reveal(e->key), &cert, &key);
    if (failed == ERR_OK)
        failed = write_file(ca_file, enrolment_ca(e));
    if (failed == ERR_OK)
        failed = write_file(cert_file, buf_slice(&cert));
    if (failed == ERR_OK)
        failed = write_file(key_file, buf_slice(&key));
    buf_fini(&cert);
    wipe_buf(&key);
    return failed;
}

/* ---- tokens ---- */

enum err enrolment_create(const struct enrolment *e, struct tx *tx, struct slice dataplane_id,
                          int64_t now, char token[static ENROL_TOKEN_MAX], int64_t *ret_expires)
{
    struct digest ca, stored;
    enum err failed = enrol_ca_digest(enrolment_ca(e), &ca);
    if (failed != ERR_OK)
        return failed;
    enrol_token_make(&ca, token, &stored);
    failed = store_plane_set_token(tx, dataplane_id, &stored, now + ENROLMENT_TOKEN_US);
    if (failed == ERR_OK && ret_expires)
        *ret_expires = now + ENROLMENT_TOKEN_US;
    return failed;
}

static enum err issue(const struct enrolment *e, struct tx *tx, struct slice csr_pem,
                      struct slice id, struct buf *certificate)
{
    int64_t not_after = 0;
    enum err failed =
        enrol_issue_plane(enrolment_ca(e), secret_reveal(e->key), csr_pem, id, certificate);
    if (failed == ERR_OK)
        failed = enrol_not_after(buf_slice(certificate), &not_after);
    if (failed == ERR_OK)
        failed = store_plane_set_certificate(tx, id, not_after);
    return failed;
}

void enrolled_fini(struct enrolled *e)
{
    buf_fini(&e->certificate);
}

enum err enrolment_use(const struct enrolment *e, struct db *db, struct slice token,
                       struct slice csr_pem, int64_t now, struct enrolled *ret)
{
    struct digest ca, stored;
    *ret = (struct enrolled){0};
    buf_init(&ret->certificate, LIMIT_PEM);
    if (enrol_token_read(token, &ca, &stored) != ERR_OK)
        return ERR_DENIED;
    TX_AUTO struct tx tx = {0};
    enum err failed = tx_begin(db, TX_EVERY_ORG, &tx);
    if (failed == ERR_OK)
        failed = store_plane_use_token(&tx, &stored, now, ret->id, ret->name);
    if (failed == ERR_NOT_FOUND)
        failed = ERR_DENIED;
    if (failed == ERR_OK) /* a CSR that is refused leaves the token unused: nothing commits */
        failed = issue(e, &tx, csr_pem, slice_str(ret->id), &ret->certificate);
    if (failed == ERR_OK)
        failed = tx_commit(&tx);
    if (failed == ERR_OK)
        log_info(&enrol_log, "plane_enrolled", "id=%s name=%s", ret->id, ret->name);
    return failed;
}

enum err enrolment_renew(const struct enrolment *e, struct db *db, struct slice dataplane_id,
                         struct slice csr_pem, struct buf *certificate)
{
    TX_AUTO struct tx tx = {0};
    enum err failed = tx_begin(db, TX_EVERY_ORG, &tx);
    if (failed == ERR_OK)
        failed = store_plane_lock(&tx, dataplane_id);
    if (failed == ERR_NOT_FOUND)
        failed = ERR_DENIED;
    if (failed == ERR_OK)
        failed = issue(e, &tx, csr_pem, dataplane_id, certificate);
    return failed == ERR_OK ? tx_commit(&tx) : failed;
}
