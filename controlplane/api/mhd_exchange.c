/*
 * mhd_exchange — the library calls at the head, for each piece of the body, and at its end.
 */
#include "controlplane/api/mhd_exchange.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "controlplane/api/api_metrics.h"
#include "controlplane/api/mhd_adapter.h"

static const struct log_ctx api_log = {.component = "api"};

struct exchange {
    struct exchange_context *context;
    struct MHD_Connection *m;
    enum exchange_state state;
    char *target;
    struct dispatch_head head;
    bool wanted;        /* the head was let in */
    uint64_t announced; /* Content-Length */
    uint64_t began_us;
    uint64_t hold_until_us;
    struct buf body;
    struct call call;
};

void *exchange_on_target(void *cls, const char *target, struct MHD_Connection *m)
{
    struct exchange *x = mem_zalloc(sizeof(*x));
    if (x == NULL)
        return NULL;
    x->context = cls;
    x->context->open++;
    x->m = m;
    x->target = mem_strdup(target);
    x->began_us = clock_mono_us();
    buf_init(&x->body, LIMIT_ADMIN_BODY);
    call_init(&x->call, x->context->app);
    x->call.auth = x->context->auth;
    return x;
}

void exchange_on_end(UNUSED void *cls, UNUSED struct MHD_Connection *m, void **state,
                     UNUSED enum MHD_RequestTerminationCode why)
{
    struct exchange *x = *state;
    *state = NULL;
    if (x == NULL)
        return;
    x->context->open--;
    if (x->body.data != NULL)
        secret_wipe(x->body.data, x->body.cap);
    buf_fini(&x->body);
    call_fini(&x->call);
    mem_free(x->target);
    mem_free(x);
}

/* ---- reading the head ---- */

struct wanted_header {
    const char *name;
    struct slice *at;
    bool may_repeat;
};

struct header_walk {
    struct exchange *x;
    struct wanted_header wanted[8];
};

static enum MHD_Result on_header(void *cls, UNUSED enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct header_walk *w = cls;
    for (size_t i = 0; w->wanted[i].name != NULL; i++) {
        if (!slice_ieq(slice_str(name), slice_str(w->wanted[i].name)))
            continue;
        if (w->wanted[i].at->ptr != NULL)
            w->x->head.doubled = w->wanted[i].name;
        *w->wanted[i].at = slice_str(value != NULL ? value : "");
    }
    return MHD_YES;
}

static void read_source(struct exchange *x)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->m, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *sa = info != NULL ? info->client_addr : NULL;
    char *out = x->call.actor.source;
    socklen_t cap = sizeof(x->call.actor.source);
    if (sa != NULL && sa->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, out, cap);
    else if (sa != NULL && sa->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, out, cap);
}

static void read_head(struct exchange *x, const char *method)
{
    struct dispatch_head *h = &x->head;
    struct slice length = SLICE_NONE, coding = SLICE_NONE;
    struct header_walk walk = {.x = x,
                               .wanted = {{"authorization", &h->authorization, false},
                                          {"content-type", &h->content_type, false},
                                          {"content-encoding", &h->content_encoding, false},
                                          {"if-match", &h->if_match, false},
                                          {"idempotency-key", &h->idempotency_key, false},
                                          {"content-length", &length, false},
                                          {"transfer-encoding", &coding, false},
                                          {NULL, NULL, false}}};
    h->method = slice_str(method);
    h->target = slice_str(x->target);
    MHD_get_connection_values(x->m, MHD_HEADER_KIND, on_header, &walk);
    if (length.ptr != NULL && slice_u64(length, &x->announced) != ERR_OK)
        x->announced = UINT64_MAX;
    h->has_body = x->announced > 0 || coding.ptr != NULL;
    read_source(x);
}

/* ---- the response ---- */

static enum MHD_Result send_response(struct exchange *x)
{
    struct call *c = &x->call;
    struct slice body = c->status == 204 ? SLICE("") : buf_slice(&c->response);
    struct MHD_Response *r = MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr,
                                                             MHD_RESPMEM_PERSISTENT);
    if (r == NULL)
        return MHD_NO;
    if (body.len > 0)
        MHD_add_response_header(r, "content-type", c->content_type);
    MHD_add_response_header(r, "cache-control", "no-store");
    MHD_add_response_header(r, "x-content-type-options", "nosniff");
    if (c->request_id[0] != '\0')
        MHD_add_response_header(r, "x-gatehouse-request-id", c->request_id);
    for (size_t i = 0; i < c->header_count; i++)
        MHD_add_response_header(r, c->headers[i].name, c->headers[i].value);
    metric_add(c->app->metrics, API_METRIC_REQUESTS, api_metrics_class(c->status), 1);
    metric_observe_us(c->app->metrics, API_METRIC_DURATION, clock_mono_us() - x->began_us);
    x->state = EXCHANGE_SENT;
    enum MHD_Result queued = MHD_queue_response(x->m, c->status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result refuse_busy(struct exchange *x)
{
    call_header(&x->call, "retry-after", "1");
    if (call_problem(&x->call, PROBLEM_BUSY, "too many requests at once: try again") != ERR_OK)
        return MHD_NO;
    x->state = EXCHANGE_DONE;
    x->wanted = false;
    return MHD_YES;
}

static struct thread_pool *pool_of(const struct exchange *x)
{
    static const struct slice watched[] = {{"/healthz", 8}, {"/readyz", 7}, {"/metrics", 8}};
    for (size_t i = 0; i < ARRAY_LEN(watched); i++)
        if (slice_eq(slice_str(x->target), watched[i]))
            return x->context->health;
    return x->context->work;
}

static enum MHD_Result hand_to_job(struct exchange *x, void (*run)(void *arg))
{
    MHD_suspend_connection(x->m);
    if (thread_pool_push(pool_of(x), run, x) == ERR_OK)
        return MHD_YES;
    /* resumed, the library calls again in the same state */
    enum MHD_Result r = refuse_busy(x);
    MHD_resume_connection(x->m);
    return r;
}

/* ---- jobs ---- */

static void run_head(void *arg)
{
    struct exchange *x = arg;
    x->wanted = dispatch_head(&x->call, x->context->auth, &x->head);
    x->state = EXCHANGE_CHECKED;
    MHD_resume_connection(x->m);
}

static void run_wait(void *arg)
{
    struct exchange *x = arg;
    metric_add(x->call.app->metrics, API_METRIC_WAITING, 0, 1);
    uint64_t now = clock_mono_us();
    dispatch_hold(&x->call,
                  now < x->hold_until_us ? (unsigned)((x->hold_until_us - now) / 1000) : 0);
    metric_add(x->call.app->metrics, API_METRIC_WAITING, 0, -1);
    x->state = EXCHANGE_DONE;
    MHD_resume_connection(x->m);
}

static void run_body(void *arg)
{
    struct exchange *x = arg;
    dispatch_body(&x->call, buf_slice(&x->body));
    if (dispatch_holds(&x->call)) {
        /* counted from here: the time in the queue is a part of the wait */
        x->hold_until_us = clock_mono_us() + ADMIN_WAIT_MS * 1000u;
        if (thread_pool_push(x->context->wait, run_wait, x) == ERR_OK)
            return;
        /* the queue is full: respond now, and name the planes that are behind */
        dispatch_hold(&x->call, 0);
    }
    x->state = EXCHANGE_DONE;
    MHD_resume_connection(x->m);
}

/* ---- the library's calls ---- */

static enum MHD_Result too_large(struct exchange *x)
{
    log_debug(&api_log, "body_too_large", "announced=%llu", (unsigned long long)x->announced);
    x->wanted = false;
    enum err e =
        call_problem(&x->call, PROBLEM_TOO_LARGE, "a body has at most %u bytes", LIMIT_ADMIN_BODY);
    return e == ERR_OK ? MHD_YES : MHD_NO;
}

/* The head was checked: from here on the listener reads the body, or the response is a refusal. */
static enum MHD_Result on_checked(struct exchange *x)
{
    if (x->wanted && x->announced > LIMIT_ADMIN_BODY && too_large(x) != MHD_YES)
        return MHD_NO;
    if (!x->wanted)
        return send_response(x);
    x->state = EXCHANGE_BODY;
    return MHD_YES;
}

/* The listener ends a body above the ceiling before it gets here. */
static enum MHD_Result on_piece(struct exchange *x, const char *data, size_t *size)
{
    size_t n = *size;
    *size = 0;
    return x->state == EXCHANGE_BODY && buf_append(&x->body, slice_of(data, n)) == ERR_OK ? MHD_YES
                                                                                          : MHD_NO;
}

enum MHD_Result exchange_on_request(UNUSED void *cls, UNUSED struct MHD_Connection *m,
                                    UNUSED const char *url, const char *method,
                                    UNUSED const char *version, const char *data, size_t *size,
                                    void **state)
{
    struct exchange *x = *state;
    if (x == NULL || x->target == NULL)
        return MHD_NO;
    if (*size > 0)
        return on_piece(x, data, size);
    switch (x->state) {
    case EXCHANGE_HEAD:
        read_head(x, method);
        return hand_to_job(x, run_head);
    case EXCHANGE_CHECKED:
        return on_checked(x);
    case EXCHANGE_BODY:
        return hand_to_job(x, run_body);
    case EXCHANGE_DONE:
        return send_response(x);
    case EXCHANGE_SENT:
        return MHD_YES;
    }
    return MHD_NO;
}
