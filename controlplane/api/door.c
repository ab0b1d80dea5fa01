/*
 * door — starts and stops the library.
 */
#include "controlplane/api/door.h"

#include <errno.h>
#include <microhttpd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/address.h"
#include "controlplane/api/api_metrics.h"
#include "controlplane/api/exchange.h"

#define WORKERS 8 /* as many as may usefully talk to the database at once */
#define WAITERS 4 /* all wait for much the same; the queue behind them is short-lived */
#define QUEUE 512 /* one for each connection */
#define CONNECTIONS 512
/* head and a margin for the library's own copies of names and values */
#define CONNECTION_MEMORY (LIMIT_HTTP_HEAD * 2 + 32 * 1024)

static const struct log_ctx door_log = {.component = "door"};

struct door {
    struct exchange_house house;
    struct MHD_Daemon *daemon;
};

/* The route table decodes segments itself: "%2F" must not split a path, "%00" not end it. */
static size_t keep_encoded(UNUSED void *cls, UNUSED struct MHD_Connection *m, char *text)
{
    return strlen(text);
}

static enum err start_daemon(struct door *d, const char *listen)
{
    union sockaddr_any at;
    enum err e = address_parse(slice_str(listen), &at);
    if (e != ERR_OK)
        return e;
    unsigned flags =
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME;
    if (at.sa.sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    d->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_on_request, &d->house, MHD_OPTION_SOCK_ADDR, &at.sa,
        MHD_OPTION_URI_LOG_CALLBACK, exchange_on_target, &d->house, MHD_OPTION_NOTIFY_COMPLETED,
        exchange_on_end, &d->house, MHD_OPTION_UNESCAPE_CALLBACK, keep_encoded, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(LIMIT_BODY_GAP_MS / 1000), MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (d->daemon != NULL)
        return ERR_OK;
    return errno == EADDRINUSE ? ERR_EXISTS : ERR_IO;
}

enum err door_start(const struct app *app, const struct door_config *config, struct door **ret)
{
    struct door *d = mem_zalloc(sizeof(*d));
    if (d == NULL)
        return ERR_NOMEM;
    d->house.app = app;
    d->house.auth = admin_auth_new(app->token_hmac);
    enum err e = d->house.auth != NULL ? ERR_OK : ERR_NOMEM;
    if (e == ERR_OK)
        e = jobs_start("admin", WORKERS, QUEUE, &d->house.work);
    if (e == ERR_OK)
        e = jobs_start("admin-wait", WAITERS, QUEUE, &d->house.wait);
    if (e == ERR_OK)
        e = start_daemon(d, config->listen);
    if (e != ERR_OK) {
        door_stop(&d, 0);
        return e;
    }
    log_info(&door_log, "admin_listening", "address=%s", config->listen);
    *ret = d;
    return ERR_OK;
}

static unsigned connections_of(struct MHD_Daemon *m)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(m, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info != NULL ? info->num_connections : 0;
}

void door_stop(struct door **door, unsigned drain_ms)
{
    struct door *d = *door;
    *door = NULL;
    if (d == NULL)
        return;
    if (d->daemon != NULL) {
        int listener = MHD_quiesce_daemon(d->daemon);
        uint64_t until = clock_mono_us() + (uint64_t)drain_ms * 1000;
        if (listener >= 0)
            close(listener);
        while (connections_of(d->daemon) > 0 && clock_mono_us() < until)
            usleep(10000);
    }
    jobs_stop(&d->house.work); /* what was suspended is resumed by the end of its job */
    jobs_stop(&d->house.wait);
    if (d->daemon != NULL)
        MHD_stop_daemon(d->daemon);
    admin_auth_free(d->house.auth);
    mem_free(d);
}
