/*
 * main — opens the parts of the control plane in order, and closes them in reverse.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/base/limits.h"
#include "controlplane/api/admin_routes.h"
#include "controlplane/api/api_metrics.h"
#include "controlplane/api/first_token.h"
#include "controlplane/api/mhd_adapter.h"
#include "controlplane/channel/planes.h"
#include "controlplane/chores/timetable.h"
#include "controlplane/controlplane_settings.h"
#include "controlplane/ledger/lease_server.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/store_boot.h"
#include "controlplane/store/store_catalogue.h"

#define SYNC_THREADS 4 /* each may hold a connection; the API's eight workers have theirs */
#define DATABASE_TRIES                                                                             \
    30 /* a second apart: main waits for a database that starts at the same time */

static const struct log_ctx main_log = {.component = "main"};

struct controlplane {
    struct seal *seal;
    struct boot boot;
    struct planes *planes;
    struct timetable *timetable;
    struct mhd_adapter *listener;
    struct app app;
};

/* TERM, INT and HUP are taken by sigwait in main; every thread inherits the mask. */
static sigset_t wanted_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return set;
}

static enum err make_state_dir(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return ERR_OK;
    log_error(&main_log, "state_dir_failed", "path=%s", path);
    return ERR_IO;
}

static enum err migrate_when_there(const struct settings *s)
{
    enum err e = ERR_DATABASE;
    for (int i = 0; i < DATABASE_TRIES && e == ERR_DATABASE; i++) {
        struct timespec second = {.tv_sec = i == 0 ? 0 : 1};
        nanosleep(&second, NULL);
        e = migrate_run(s->owner_url, s->database_url, s->migrations_dir);
    }
    return e;
}

static enum err open_boot(const struct settings *s, struct controlplane *h)
{
    enum err e = store_boot(h->app.db, h->seal, &h->boot);
    if (e == ERR_INVALID)
        log_error(&main_log, "master_key_wrong", "file=%s why=%s", s->master_key_file,
                  "this database was sealed under another key");
    return e;
}

/* Without it only models with a price of their own are priced: a file that is not there stops no
 * start, one that is wrong does. */
static enum err load_catalogue(const struct settings *s, struct controlplane *h)
{
    if (s->catalogue_file[0] == '\0')
        return ERR_OK;
    enum err e = store_catalogue_load(h->app.db, h->boot.org_id, s->catalogue_file);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err open_store(const struct settings *s, struct controlplane *h)
{
    enum err e = migrate_when_there(s);
    if (e == ERR_OK)
        e = db_open(s->database_url, (unsigned)s->database_connections, &h->app.db);
    if (e == ERR_OK)
        e = open_boot(s, h);
    if (e == ERR_OK)
        e = load_catalogue(s, h);
    if (e == ERR_OK)
        e = first_token_make(h->app.db, slice_str(h->boot.org_id), h->boot.token_hmac,
                             s->token_file);
    return e;
}

static enum err open_planes(const struct settings *s, struct controlplane *h)
{
    const struct planes_config config = {
        .db = h->app.db,
        .direct_url = s->direct_url,
        .seal = h->seal,
        .state_dir = s->state_dir,
        .push_at = s->push_at,
        .request_at = s->request_at,
        .threads = SYNC_THREADS,
    };
    lease_server_reserve_for((uint32_t)s->reserve_s);
    return planes_open(&config, &h->planes);
}

static enum err open_chores(const struct settings *s, struct controlplane *h)
{
    const struct timetable_config config = {
        .db = h->app.db, .planes = h->planes, .retention = s->retention};
    return timetable_start(&config, &h->timetable);
}

static enum err open_adapter(const struct settings *s, struct controlplane *h)
{
    const struct mhd_adapter_config config = {
        .listen = s->admin_listen, .cert_file = s->tls_cert, .key_file = s->tls_key};
    struct app *a = &h->app;
    a->seal = h->seal;
    a->key_hmac = h->boot.key_hmac;
    a->token_hmac = h->boot.token_hmac;
    a->planes = h->planes;
    a->rollout = planes_rollout(h->planes);
    a->enrolment = planes_enrolment(h->planes);
    a->timetable = h->timetable;
    a->metrics = api_metrics_new();
    snprintf(a->org_id, sizeof(a->org_id), "%s", h->boot.org_id);
    if (a->metrics == NULL)
        return ERR_NOMEM;
    routes_init();
    return mhd_adapter_start(a, &config, &h->listener);
}

static enum err open_all(const struct settings *s, struct controlplane *h)
{
    enum err e = make_state_dir(s->state_dir);
    if (e == ERR_OK)
        e = seal_load(s->master_key_file, true, &h->seal);
    if (e == ERR_OK)
        e = open_store(s, h);
    if (e == ERR_OK)
        e = open_planes(s, h);
    if (e == ERR_OK)
        e = open_chores(s, h);
    if (e == ERR_OK)
        e = open_adapter(s, h);
    if (e != ERR_OK)
        log_error(&main_log, "start_failed", "why=%s", err_text(e));
    return e;
}

static void close_all(const struct settings *s, struct controlplane *h)
{
    h->app.draining = true;
    mhd_adapter_stop(&h->listener, (unsigned)s->drain_ms);
    timetable_stop(&h->timetable);
    planes_close(&h->planes);
    metric_set_free(h->app.metrics);
    secret_drop(h->boot.key_hmac);
    secret_drop(h->boot.token_hmac);
    db_close(h->app.db);
    seal_free(h->seal);
}

/* HUP reads the certificate again; the others end it. */
static int wait_for_end(const sigset_t *signals, struct controlplane *h)
{
    int number = SIGHUP;
    while (number == SIGHUP) {
        if (sigwait(signals, &number) != 0)
            return SIGTERM;
        if (number == SIGHUP && mhd_adapter_reload(h->listener) == ERR_OK)
            log_info(&main_log, "reloaded", "signal=%d", number);
    }
    return number;
}

/* One sentence on stderr for each database that cannot be reached. */
static int check_databases(const struct settings *s)
{
    const char *const urls[] = {s->database_url, s->direct_url, s->owner_url};
    int status = 0;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        char why[DB_ERROR_TEXT];
        if (i > 0 && strcmp(urls[i], urls[i - 1]) == 0)
            continue;
        if (db_check(urls[i], why) == ERR_OK)
            continue;
        fprintf(stderr, "gatehouse-controlplane: %s\n", why);
        status = 1;
    }
    return status;
}

int main(int argc, char **argv)
{
    struct settings s = {0};
    struct controlplane h = {0};
    bool want_help = false;
    if (settings_read(argc, argv, &s, &want_help) != ERR_OK)
        return 2;
    if (want_help || s.check)
        return 0;
    if (s.check_database)
        return check_databases(&s);
    log_setup("gatehouse-controlplane", s.log_level);
    secret_protect_process();
    sigset_t signals = wanted_signals();
    enum err e = open_all(&s, &h);
    if (e == ERR_OK) {
        log_info(&main_log, "started", "admin=%s", s.admin_listen);
        log_info(&main_log, "draining", "signal=%d", wait_for_end(&signals, &h));
    }
    close_all(&s, &h);
    log_info(&main_log, "stopped", "status=%d", e == ERR_OK ? 0 : 1);
    return e == ERR_OK ? 0 : 1;
}
