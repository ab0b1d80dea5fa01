/*
 * process — the order in which a data plane comes up and goes down.
 *
 * Up: health, enrolment where there is no certificate, the channel, the workers. Down: unready,
 * a lame-duck pause, no new connections, requests end, journal shipped, leases given back.
 */
#include "dataplane/process.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/tls.h"
#include "common/policy/plane.h"
#include "dataplane/ai/tokens/tokens.h"
#include "dataplane/descriptors.h"
#include "dataplane/enrol.h"
#include "dataplane/explanations.h"
#include "dataplane/kept_asker.h"
#include "dataplane/listener/health.h"
#include "dataplane/listings.h"
#include "dataplane/pressure.h"
#include "dataplane/publication.h"
#include "dataplane/worker.h"
#include "mcp-gateway/session_directory.h"

#define DRAIN_LOOK_MS 20
#define SHIP_MIN_MS 1000 /* for the last records and leases, however late the drain is */

struct process {
    struct settings settings;
    struct loop *loop;
    struct health *health;
    struct enrolment *enrolment;
    struct plane *plane;
    struct tls_context *tls;
    struct pressure pressure;
    struct publication *publication;
    struct listings listings;
    struct explanations explanations;
    struct kept_asker kept_asker;
    struct worker **workers;
    size_t worker_count;
    struct timer drain;
    uint64_t drain_until_us;
    size_t calls_cut, connections_cut; /* as the drain ended */
    bool draining, closing_doors, shipping;
    int code;
};

static void stop(struct process *p, int code)
{
    p->code = code;
    loop_stop(p->loop);
}

/* ---- what the plane asks for ---- */

static void publish(void *arg, const struct snapshot *s)
{
    struct process *p = arg;
    publication_put(p->publication, s);
}

static void after_turns(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
    struct process *p = arg;
    publication_after_turns(p->publication, fn, fn_arg);
}

static enum err tell_worker(void *worker, const struct snapshot *s)
{
    return worker_publish(worker, s);
}

static enum err turn_worker(void *worker, void (*fn)(void *arg), void *arg)
{
    return worker_after_turn(worker, fn, arg);
}

static const struct publication_ops publication_ops = {tell_worker, turn_worker};

static void list(void *arg, const struct tool_order *order)
{
    struct process *p = arg;
    listings_order(&p->listings, p->worker_count ? p->workers[0] : NULL, order);
}

static void explain(void *arg, const Gatehouse__ExplainQuestion *question)
{
    struct process *p = arg;
    explanations_ask(&p->explanations, p->worker_count ? p->workers[0] : NULL, question);
}

/* The control plane has removed this plane: it may not serve even if the process goes on. */
static void removed(void *arg)
{
    struct process *p = arg;
    for (size_t i = 0; i < p->worker_count; i++)
        worker_remove(p->workers[i]);
}

/* ---- what health asks for ---- */

static void look(void *arg, struct health_look *ret)
{
    struct process *p = arg;
    if (p->plane)
        plane_status(p->plane, &ret->plane);
    ret->draining = p->draining || p->worker_count == 0;
    ret->untold = publication_untold(p->publication);
    ret->memory_used = p->pressure.used;
    ret->memory_limit = p->pressure.limit;
    ret->shedding = p->pressure.is_high;
    ret->mcp_sessions = session_directory_remembered();
}

static size_t sets(void *arg, struct metric_set **out, size_t max)
{
    struct process *p = arg;
    size_t n = 0;
    for (; n < p->worker_count && n < max; n++)
        out[n] = worker_metrics(p->workers[n]);
    return n;
}

/* ---- up ---- */

static enum err start_workers(struct process *p)
{
    p->workers = mem_array(p->settings.workers, sizeof(*p->workers));
    if (!p->workers)
        return ERR_NOMEM;
    size_t clients = descriptors_for_clients(descriptors_raise(), p->settings.workers);
    for (unsigned i = 0; i < p->settings.workers; i++) {
        const struct worker_config c = {.index = i,
                                        .listen = p->settings.listen_at,
                                        .tls = p->tls,
                                        .journal = plane_journal(p->plane, i),
                                        .policy = publication_newest(p->publication),
                                        .connections_max = clients,
                                        .shedding = &p->pressure.is_high,
                                        .allowed_hosts = &p->settings.allowed_hosts,
                                        .allowed_origins = &p->settings.allowed_origins,
                                        .ai_body_max = p->settings.ai_body_bytes,
                                        .ai_upload_max = p->settings.ai_upload_bytes,
                                        .tools_changed = listings_changed,
                                        .arg = &p->listings,
                                        .ask_kept = kept_asker_ask,
                                        .ask_kept_arg = &p->kept_asker};
        enum err e = worker_start(&c, &p->workers[i]);
        if (e)
            return e;
        p->worker_count++;
        publication_add(p->publication, p->workers[i]);
    }
    return ERR_OK;
}

static enum err open_plane(struct process *p)
{
    const struct settings *s = &p->settings;
    const struct plane_config c = {
        .channel_host = s->channel_host,
        .push_port = s->push_port,
        .request_port = s->request_port,
        .state_dir = s->state_dir,
        .state_key_file = s->state_key_file,
        .workers = (unsigned)s->workers,
        .journal_bytes = s->journal_bytes,
    };
    const struct plane_events events = {.publish = publish,
                                        .after_turns = after_turns,
                                        .list = list,
                                        .removed = removed,
                                        .explain = explain,
                                        .arg = p};
    return plane_open(&c, &events, p->loop, &p->plane);
}

static void begin_serving(struct process *p)
{
    enum err e = open_plane(p);
    if (!e)
        e = start_workers(p);
    if (e) {
        log_error(NULL, "start_failed", "why=%s listen=%s", err_name(e), p->settings.listen);
        stop(p, 1);
        return;
    }
    log_info(NULL, "serving", "listen=%s workers=%zu tls=%s memory_limit=%llu", p->settings.listen,
             p->worker_count, p->tls ? "yes" : "no", (unsigned long long)p->pressure.limit);
}

static void on_enrolled(void *arg, enum err e)
{
    struct process *p = arg;
    enrolment_cancel(&p->enrolment);
    if (!e) {
        begin_serving(p);
        return;
    }
    log_error(NULL, "enrolment_failed", "why=%s", err_name(e));
    stop(p, 1);
}

static enum err open_tls(struct process *p)
{
    const struct tls_server_config c = {.cert_file = p->settings.tls_cert,
                                        .key_file = p->settings.tls_key};
    return p->settings.tls_cert ? tls_server_new(&c, &p->tls) : ERR_OK;
}

static enum err open_health(struct process *p)
{
    const struct health_config c = {
        .listen = p->settings.metrics_at, .look = look, .sets = sets, .arg = p};
    return health_open(&c, p->loop, &p->health);
}

static enum err enrol_or_serve(struct process *p)
{
    const struct settings *s = &p->settings;
    if (!enrolment_is_needed(s->state_dir)) {
        begin_serving(p);
        return ERR_OK;
    }
    if (enrolment_was_removed(s->state_dir))
        log_error(NULL, "removed", "state_dir=%s why=%s", s->state_dir,
                  "the control plane removed this data plane; it must be enrolled again");
    if (!s->enrolment_token_file) {
        log_error(NULL, "not_enrolled", "state_dir=%s why=%s", s->state_dir,
                  "it has no certificate, and no token was given");
        return ERR_DENIED;
    }
    const struct enrolment_config c = {.admin_url = s->admin_url,
                                       .token_file = s->enrolment_token_file,
                                       .state_dir = s->state_dir};
    return enrolment_start(&c, p->loop, on_enrolled, p, &p->enrolment);
}

/* ---- down ---- */

static void on_shipped(void *arg)
{
    struct process *p = arg;
    log_info(NULL, "drained", "calls_cut=%zu connections_cut=%zu", p->calls_cut,
             p->connections_cut);
    stop(p, 0);
}

static void stop_workers(struct process *p)
{
    for (size_t i = 0; i < p->worker_count; i++)
        p->calls_cut += worker_stop(&p->workers[i]);
    p->worker_count = 0;
    if (p->publication)
        publication_clear(p->publication);
}

static size_t connections(const struct process *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->worker_count; i++)
        n += worker_connections(p->workers[i]);
    return n;
}

static void ship_the_rest(struct process *p)
{
    uint64_t now = clock_mono_us();
    uint64_t left_ms = p->drain_until_us > now ? (p->drain_until_us - now) / 1000 : 0;
    p->shipping = true;
    p->connections_cut = connections(p);
    stop_workers(p);
    if (!p->plane) {
        stop(p, 0);
        return;
    }
    plane_drain(p->plane, (unsigned)(left_ms > SHIP_MIN_MS ? left_ms : SHIP_MIN_MS), on_shipped, p);
}

static void drain_on(struct timer *t)
{
    struct process *p = CONTAINER_OF(t, struct process, drain);
    if (!p->closing_doors) {
        p->closing_doors = true;
        p->drain_until_us = clock_mono_us() + p->settings.drain_ms * 1000;
        for (size_t i = 0; i < p->worker_count; i++)
            worker_drain(p->workers[i]);
        /* the workers tell their counts every 50 ms: not before they have seen the drain */
        timer_start(t, 5 * DRAIN_LOOK_MS);
        return;
    }
    if (connections(p) && clock_mono_us() < p->drain_until_us)
        timer_start(t, DRAIN_LOOK_MS);
    else
        ship_the_rest(p);
}

void process_end(struct process *p)
{
    if (p->draining) {
        log_warn(NULL, "drain_cut_short", "asked=%s", "again");
        stop(p, 1);
        return;
    }
    p->draining = true;
    log_info(NULL, "draining", "lame_duck_ms=%llu drain_ms=%llu",
             (unsigned long long)p->settings.lame_duck_ms,
             (unsigned long long)p->settings.drain_ms);
    for (size_t i = 0; i < p->worker_count; i++)
        worker_lame(p->workers[i]);
    timer_start(&p->drain, p->settings.lame_duck_ms);
}

void process_reload(struct process *p)
{
    if (p->tls && tls_reload(p->tls))
        log_error(NULL, "reload_failed", "cert=%s", p->settings.tls_cert);
}

int process_free(struct process **ret)
{
    struct process *p = *ret;
    *ret = NULL;
    if (!p)
        return 1;
    int code = p->code;
    timer_cancel(&p->drain);
    pressure_close(&p->pressure);
    enrolment_cancel(&p->enrolment);
    stop_workers(p);
    if (p->plane)
        plane_close(&p->plane);
    health_close(&p->health);
    publication_free(p->publication);
    tls_drop(p->tls);
    tokens_close();
    mem_free(p->workers);
    mem_free(p);
    return code;
}

enum err process_start(const struct settings *s, struct loop *l, struct process **ret)
{
    struct process *p = mem_zalloc(sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    p->settings = *s;
    p->loop = l;
    p->listings = (struct listings){.loop = l, .plane = &p->plane};
    p->explanations = (struct explanations){.loop = l, .plane = &p->plane};
    p->kept_asker = (struct kept_asker){
        .loop = l, .plane = &p->plane, .workers = &p->workers, .worker_count = &p->worker_count};
    timer_init(&p->drain, l, drain_on);
    pressure_open(&p->pressure, l, s->memory_limit);
    enum err e = tokens_open();
    if (!e)
        e = publication_new(l, &publication_ops, s->workers, &p->publication);
    if (!e)
        e = open_tls(p);
    if (!e)
        e = open_health(p);
    if (!e)
        e = enrol_or_serve(p);
    if (e) {
        log_error(NULL, "start_failed", "why=%s", err_name(e));
        process_free(&p);
        return e;
    }
    *ret = p;
    return ERR_OK;
}
