/*
 * enrol — POST {admin}/enrol with the token and a request for a certificate.
 */
#include "dataplane/enrol.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/net/http_client.h"
#include "common/net/resolver.h"
#include "common/policy/plane.h"
#include "common/wire/enrol.h"

#define PEM_MAX (64 * 1024) /* a key, a request, a certificate and its CA */
#define RESPONSE_MAX (64 * 1024)
#define TRY_MS 10000     /* one exchange */
#define PAUSE_MIN_MS 250 /* between tries, doubled each time */
#define PAUSE_MAX_MS 5000
#define PATH_LEN 512

struct enrolment {
    struct enrolment_config config;
    struct loop *loop;
    void (*done)(void *arg, enum err e);
    void *arg;
    struct resolver *resolver;
    struct tls_context *tls;
    struct http_client *client;
    struct http_call *call;
    struct timer again;
    unsigned pause_ms;
    unsigned status;
    struct cidr everywhere[2]; /* any address: the operator names the control plane */
    struct digest ca;          /* as the token says */
    struct buf key, csr, request, response;
};

static void file_in(const char *dir, const char *name, char out[static PATH_LEN])
{
    snprintf(out, PATH_LEN, "%s/%s", dir, name);
}

bool enrolment_is_needed(const char *state_dir)
{
    char path[PATH_LEN];
    file_in(state_dir, "plane.crt", path);
    return access(path, R_OK) != 0;
}

bool enrolment_was_removed(const char *state_dir)
{
    char path[PATH_LEN];
    file_in(state_dir, PLANE_CERT_REMOVED, path);
    return enrolment_is_needed(state_dir) && access(path, F_OK) == 0;
}

/* ---- files ---- */

static enum err read_token(const char *path, struct buf *out)
{
    char *space;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    enum err e = buf_room(out, ENROL_TOKEN_MAX + 2, &space);
    ssize_t n = e ? -1 : read(fd, space, ENROL_TOKEN_MAX + 2);
    close(fd);
    if (n < 0)
        return e ? e : ERR_IO;
    buf_commit(out, (size_t)n);
    while (out->len && (out->data[out->off + out->len - 1] == '\n' ||
                        out->data[out->off + out->len - 1] == '\r'))
        out->len--;
    return ERR_OK;
}

static enum err write_all(int fd, struct slice text)
{
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_IO;
        text = slice_from(text, (size_t)n);
    }
    return fsync(fd) ? ERR_IO : ERR_OK;
}

/* Writes a second file and renames it: a crash leaves the old file or the new one. */
static enum err store(const char *dir, const char *name, struct slice text)
{
    char path[PATH_LEN], beside[PATH_LEN + 8];
    file_in(dir, name, path);
    snprintf(beside, sizeof(beside), "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ERR_IO;
    enum err e = write_all(fd, text);
    close(fd);
    if (!e && rename(beside, path))
        e = ERR_IO;
    if (e)
        unlink(beside);
    return e;
}

/* Stores the certificate last: where it exists, enrolment is complete. */
static enum err store_all(const char *dir, struct slice key, struct slice ca, struct slice cert)
{
    if (mkdir(dir, 0700) && errno != EEXIST)
        return ERR_IO;
    enum err e = store(dir, "plane.key", key);
    if (!e)
        e = store(dir, "ca.crt", ca);
    return e ? e : store(dir, "plane.crt", cert);
}

/* ---- the exchange ---- */

static void end(struct enrolment *e, enum err why)
{
    if (e->call)
        http_call_close(&e->call);
    timer_cancel(&e->again);
    e->done(e->arg, why);
}

static void try_later(struct enrolment *e, const char *why)
{
    log_warn(NULL, "enrolment_waits", "why=%s again_ms=%u", why, e->pause_ms);
    if (e->call)
        http_call_close(&e->call);
    timer_start(&e->again, e->pause_ms);
    e->pause_ms = e->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : e->pause_ms * 2;
}

static enum err accept_response(struct enrolment *e)
{
    struct json_problem problem;
    struct digest ca;
    JSON_AUTO json_t *tree = NULL;
    enum err err = json_read(buf_slice(&e->response), &tree, &problem);
    if (err)
        return err;
    struct slice cert = json_text(tree, "certificate"), ca_pem = json_text(tree, "ca");
    if (!cert.len || !ca_pem.len || enrol_ca_digest(ca_pem, &ca))
        return ERR_INVALID;
    if (!digest_equal(slice_of(ca.bytes, sizeof(ca.bytes)),
                      slice_of(e->ca.bytes, sizeof(e->ca.bytes)))) {
        log_error(NULL, "enrolment_ca_differs", "the response's CA is not the one of the token");
        return ERR_INVALID;
    }
    err = store_all(e->config.state_dir, buf_slice(&e->key), ca_pem, cert);
    if (!err)
        log_info(NULL, "enrolled", "name=%.*s id=%.*s", SLICE_ARG(json_text(tree, "name")),
                 SLICE_ARG(json_text(tree, "id")));
    return err;
}

static void on_head(void *arg, const struct http_head *head)
{
    struct enrolment *e = arg;
    e->status = head->status;
    buf_clear(&e->response);
}

static void on_body(void *arg, struct slice data)
{
    struct enrolment *e = arg;
    if (buf_append(&e->response, data))
        end(e, ERR_INVALID);
}

static void on_end(void *arg)
{
    struct enrolment *e = arg;
    if (e->status >= 200 && e->status < 300) {
        end(e, accept_response(e));
    } else if (e->status == 429 || e->status >= 500) {
        try_later(e, "the control plane is not ready");
    } else {
        log_error(NULL, "enrolment_refused", "status=%u", e->status);
        end(e, ERR_DENIED);
    }
}

static void on_error(void *arg, enum err why, enum http_call_phase phase)
{
    (void)phase;
    try_later(arg, err_name(why));
}

static const struct http_call_events call_events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

static void try_now(struct timer *t)
{
    struct enrolment *e = CONTAINER_OF(t, struct enrolment, again);
    struct url url;
    char path[PATH_LEN];
    const struct http_header type = {SLICE("content-type"), SLICE("application/json")};
    if (url_parse(slice_str(e->config.admin_url), &url)) {
        end(e, ERR_INVALID);
        return;
    }
    snprintf(path, sizeof(path), "%.*s/enrol", SLICE_ARG(url.path));
    const struct http_call_spec spec = {
        .method = SLICE("POST"),
        .url = url,
        .path = slice_str(path),
        .headers = &type,
        .header_count = 1,
        .body = {buf_slice(&e->request)},
        .rule = {e->everywhere, ARRAY_LEN(e->everywhere)},
        .total_ms = TRY_MS,
    };
    if (http_call_start(e->client, &spec, &call_events, e, &e->call))
        try_later(e, "out of memory");
}

/* ---- the beginning ---- */

static enum err write_request(struct enrolment *e)
{
    struct buf token;
    struct digest unused;
    buf_init(&token, PEM_MAX);
    enum err err = read_token(e->config.token_file, &token);
    if (!err)
        err = enrol_token_read(buf_slice(&token), &e->ca, &unused);
    if (!err)
        err = enrol_make_request(&e->key, &e->csr);
    if (!err)
        err = buf_append(&e->request, SLICE("{\"token\":"));
    if (!err)
        err = buf_json_string(&e->request, buf_slice(&token));
    if (!err)
        err = buf_append(&e->request, SLICE(",\"csr\":"));
    if (!err)
        err = buf_json_string(&e->request, buf_slice(&e->csr));
    if (!err)
        err = buf_append(&e->request, SLICE("}"));
    if (token.data)
        secret_wipe(token.data, token.cap);
    buf_fini(&token);
    return err;
}

static enum err open_client(struct enrolment *e)
{
    const struct tls_client_config tls = {0};
    if (cidr_parse(SLICE("0.0.0.0/0"), &e->everywhere[0]) ||
        cidr_parse(SLICE("::/0"), &e->everywhere[1]))
        return ERR_INVALID;
    enum err err = resolver_new(e->loop, &e->resolver);
    if (!err)
        err = tls_client_new(&tls, &e->tls);
    return err ? err : http_client_new(e->loop, e->resolver, e->tls, &e->client);
}

static void wipe(struct buf *b)
{
    if (b->data)
        secret_wipe(b->data, b->cap);
    buf_fini(b);
}

static void destroy(void *arg)
{
    struct enrolment *e = arg;
    wipe(&e->key);
    wipe(&e->request);
    buf_fini(&e->csr);
    buf_fini(&e->response);
    mem_free(e);
}

void enrolment_cancel(struct enrolment **ret)
{
    struct enrolment *e = *ret;
    *ret = NULL;
    if (!e)
        return;
    timer_cancel(&e->again);
    if (e->call)
        http_call_close(&e->call);
    if (e->client)
        http_client_free(e->client);
    if (e->resolver)
        resolver_free(e->resolver);
    tls_drop(e->tls);
    loop_retire(e->loop, destroy, e);
}

enum err enrolment_start(const struct enrolment_config *c, struct loop *l,
                         void (*done)(void *arg, enum err e), void *arg, struct enrolment **ret)
{
    struct enrolment *e = mem_zalloc(sizeof(*e));
    if (!e)
        return ERR_NOMEM;
    e->config = *c;
    e->loop = l;
    e->done = done;
    e->arg = arg;
    e->pause_ms = PAUSE_MIN_MS;
    timer_init(&e->again, l, try_now);
    buf_init(&e->key, PEM_MAX);
    buf_init(&e->csr, PEM_MAX);
    buf_init(&e->request, 2 * PEM_MAX);
    buf_init(&e->response, RESPONSE_MAX);
    enum err err = write_request(e);
    if (!err)
        err = open_client(e);
    if (err) {
        enrolment_cancel(&e);
        return err;
    }
    timer_start(&e->again, 0);
    *ret = e;
    return ERR_OK;
}
