/* renewal — looks every ten minutes whether half of the certificate's time is over. */
#include "common/policy/renewal.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/wire/enrol.h"
#include "proto/channel.pb-c.h"

#define LOOK_MS (10u * 60 * 1000) /* ten minutes: nothing against fifteen days */
#define HALF_US ((int64_t)ENROL_CERT_DAYS / 2 * 24 * 3600 * 1000000)
#define PEM_MAX (16 * 1024)

struct renewal {
    char state_dir[512];
    struct tls_context *tls; /* held */
    struct control_link links;
    struct timer look;
    struct buf key; /* of the request under way */
    bool asking;
};

static enum err read_pem(const char *dir, const char *name, struct buf *ret)
{
    char path[600], piece[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *in = fopen(path, "rbe");
    if (!in)
        return ERR_NOT_FOUND;
    enum err e = ERR_OK;
    size_t n;
    while (e == ERR_OK && (n = fread(piece, 1, sizeof(piece), in)) > 0)
        e = buf_append(ret, slice_of(piece, n));
    fclose(in);
    return e;
}

static enum err write_new(const char *dir, const char *name, struct slice pem)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s.new", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_IO;
    bool done = write(fd, pem.ptr, pem.len) == (ssize_t)pem.len && fdatasync(fd) == 0;
    close(fd);
    return done ? ERR_OK : ERR_IO;
}

static enum err move_new(const char *dir, const char *name)
{
    char from[600], to[600];
    snprintf(from, sizeof(from), "%s/%s.new", dir, name);
    snprintf(to, sizeof(to), "%s/%s", dir, name);
    return rename(from, to) == 0 ? ERR_OK : ERR_IO;
}

static enum err install(struct renewal *r, const Gatehouse__RenewReply *m)
{
    enum err e = write_new(r->state_dir, "plane.key", buf_slice(&r->key));
    if (e == ERR_OK)
        e = write_new(r->state_dir, "plane.crt", slice_str(m->certificate_pem));
    if (e == ERR_OK)
        e = move_new(r->state_dir, "plane.key");
    if (e == ERR_OK)
        e = move_new(r->state_dir, "plane.crt");
    return e == ERR_OK ? tls_reload(r->tls) : e;
}

static void forget_key(struct renewal *r)
{
    if (r->key.len > 0)
        secret_wipe(r->key.data + r->key.off, r->key.len);
    buf_fini(&r->key);
}

static void on_answer(void *arg, enum err e, const void *reply)
{
    struct renewal *r = arg;
    const Gatehouse__Reply *m = reply;
    r->asking = false;
    if (e == ERR_OK && m && !m->error && m->renew && m->renew->certificate_pem)
        e = install(r, m->renew);
    else if (e == ERR_OK)
        e = ERR_PROTOCOL;
    forget_key(r);
    if (e == ERR_OK)
        log_info(NULL, "certificate_renewed", "days=%d", ENROL_CERT_DAYS);
    else
        log_warn(NULL, "certificate_not_renewed", "error=%s", err_name(e));
}

static enum err ask(struct renewal *r)
{
    struct buf csr;
    buf_init(&csr, PEM_MAX);
    enum err e = enrol_make_request(&r->key, &csr);
    if (e == ERR_OK)
        e = buf_append(&csr, slice_of("", 1)); /* a C string for the message */
    if (e == ERR_OK) {
        Gatehouse__RenewRequest body = GATEHOUSE__RENEW_REQUEST__INIT;
        Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
        body.csr_pem = csr.data + csr.off;
        m.body_case = GATEHOUSE__REQUEST__BODY_RENEW;
        m.renew = &body;
        e = r->links.request(r->links.arg, &m, on_answer, r);
    }
    buf_fini(&csr);
    if (e != ERR_OK)
        forget_key(r);
    return e;
}

static void on_look(struct timer *t)
{
    struct renewal *r = CONTAINER_OF(t, struct renewal, look);
    struct buf cert;
    int64_t until;
    buf_init(&cert, PEM_MAX);
    if (!r->asking && r->links.is_connected(r->links.arg) &&
        read_pem(r->state_dir, "plane.crt", &cert) == ERR_OK &&
        enrol_not_after(buf_slice(&cert), &until) == ERR_OK && until - clock_wall_us() < HALF_US)
        r->asking = ask(r) == ERR_OK;
    buf_fini(&cert);
    timer_start(&r->look, LOOK_MS);
}

enum err renewal_new(struct loop *l, const char *state_dir, struct tls_context *tls,
                     const struct control_link *links, struct renewal **ret)
{
    struct renewal *r = mem_zalloc(sizeof(*r));
    if (!r)
        return ERR_NOMEM;
    snprintf(r->state_dir, sizeof(r->state_dir), "%s", state_dir);
    r->tls = tls_hold(tls);
    r->links = *links;
    buf_init(&r->key, PEM_MAX);
    timer_init(&r->look, l, on_look);
    timer_start(&r->look, LOOK_MS);
    *ret = r;
    return ERR_OK;
}

void renewal_free(struct renewal *r)
{
    if (!r)
        return;
    timer_cancel(&r->look);
    forget_key(r);
    tls_drop(r->tls);
    mem_free(r);
}
