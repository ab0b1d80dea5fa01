/*
 * mhd_adapter — starts and stops libmicrohttpd and the listener (admin_listener) before it.
 *
 * Shutdown cuts no request: the listener accepts no new connections, requests and their jobs
 * end, the library closes its ends of the socket pairs, the listener passes the last bytes on.
 */
#include "controlplane/api/mhd_adapter.h"

#include <microhttpd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/address.h"
#include "controlplane/api/admin_listener.h"
#include "controlplane/api/api_metrics.h"
#include "controlplane/api/mhd_exchange.h"

#define WORKERS 8  /* each may hold a database connection */
#define WAITERS 4  /* threads of ?wait=applied, which wait at most ADMIN_WAIT_MS */
#define WATCHERS 1 /* health and metrics: what watches is not to wait for what is slow */
#define QUEUE 512  /* one for each connection */
#define CONNECTIONS 512
#define PAUSE_US 10000
#define GOODBYE_US 500000
/* head and a margin for the library's own copies of names and values */
#define CONNECTION_MEMORY (LIMIT_HTTP_HEAD * 2 + 32 * 1024)

static const struct log_ctx adapter_log = {.component = "listener"};

struct mhd_adapter {
    struct exchange_context context;
    struct MHD_Daemon *daemon;
    struct admin_listener *listener;
};

/* The route table decodes segments itself: "%2F" must not split a path, "%00" not end it. */
static size_t keep_encoded(UNUSED void *cls, UNUSED struct MHD_Connection *m, char *text)
{
    return strlen(text);
}

static enum err start_daemon(struct mhd_adapter *d)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ITC |
                     MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME;
    d->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_on_request, &d->context, MHD_OPTION_URI_LOG_CALLBACK,
        exchange_on_target, &d->context, MHD_OPTION_NOTIFY_COMPLETED, exchange_on_end, &d->context,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_encoded, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS * 2 /* lingering ones still count there */,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(LIMIT_KEEPALIVE_MS / 1000),
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    return d->daemon != NULL ? ERR_OK : ERR_IO;
}

static void on_connection(void *arg, int fd, const union sockaddr_any *peer)
{
    struct mhd_adapter *d = arg;
    socklen_t len = peer->sa.sa_family == AF_INET6 ? sizeof(peer->in6) : sizeof(peer->in);
    /* where it refuses it closes fd, and the listener sees the end */
    if (MHD_add_connection(d->daemon, fd, &peer->sa, len) != MHD_YES)
        log_warn(&adapter_log, "connection_refused", "limit=%d", CONNECTIONS * 2);
}

static void on_count(void *arg, size_t connections)
{
    struct mhd_adapter *d = arg;
    metric_put(d->context.app->metrics, API_METRIC_CONNECTIONS, 0, (int64_t)connections);
}

static enum err start_listener(struct mhd_adapter *d, const struct mhd_adapter_config *config)
{
    struct admin_listener_config c = {
        .cert_file = config->cert_file,
        .key_file = config->key_file,
        .connections_max = CONNECTIONS,
        .serve = on_connection,
        .on_count = on_count,
        .arg = d,
    };
    enum err e = address_parse(slice_str(config->listen), &c.at);
    return e == ERR_OK ? admin_listener_start(&c, &d->listener) : e;
}

enum err mhd_adapter_start(const struct app *app, const struct mhd_adapter_config *config,
                           struct mhd_adapter **ret)
{
    struct mhd_adapter *d = mem_zalloc(sizeof(*d));
    if (d == NULL)
        return ERR_NOMEM;
    d->context.app = app;
    d->context.auth = admin_auth_new(app->token_hmac);
    enum err e = d->context.auth != NULL ? ERR_OK : ERR_NOMEM;
    if (e == ERR_OK)
        e = thread_pool_start("admin", WORKERS, QUEUE, &d->context.work);
    if (e == ERR_OK)
        e = thread_pool_start("admin-wait", WAITERS, QUEUE, &d->context.wait);
    if (e == ERR_OK)
        e = thread_pool_start("admin-health", WATCHERS, QUEUE, &d->context.health);
    if (e == ERR_OK)
        e = start_daemon(d);
    if (e == ERR_OK)
        e = start_listener(d, config);
    if (e != ERR_OK) {
        mhd_adapter_stop(&d, 0);
        return e;
    }
    log_info(&adapter_log, "admin_listening", "address=%s", config->listen);
    *ret = d;
    return ERR_OK;
}

enum err mhd_adapter_reload(struct mhd_adapter *d)
{
    return admin_listener_reload(d->listener);
}

/* No new connections; requests in progress may end. */
static void drain(struct mhd_adapter *d, unsigned drain_ms)
{
    uint64_t until = clock_mono_us() + (uint64_t)drain_ms * 1000;
    admin_listener_quiesce(d->listener);
    while (d->context.open > 0 && clock_mono_us() < until)
        usleep(PAUSE_US);
}

/* The library has closed its ends: the last bytes are on their way to the clients. */
static void let_go(struct mhd_adapter *d)
{
    uint64_t until = clock_mono_us() + GOODBYE_US;
    while (admin_listener_connections(d->listener) > 0 && clock_mono_us() < until)
        usleep(PAUSE_US);
}

void mhd_adapter_stop(struct mhd_adapter **listener, unsigned drain_ms)
{
    struct mhd_adapter *d = *listener;
    *listener = NULL;
    if (d == NULL)
        return;
    if (d->listener != NULL)
        drain(d, drain_ms);
    thread_pool_stop(&d->context.work); /* what was suspended is resumed by the end of its job */
    thread_pool_stop(&d->context.wait);
    thread_pool_stop(&d->context.health);
    if (d->daemon != NULL)
        MHD_stop_daemon(d->daemon);
    if (d->listener != NULL)
        let_go(d);
    admin_listener_stop(&d->listener);
    admin_auth_free(d->context.auth);
    mem_free(d);
}
