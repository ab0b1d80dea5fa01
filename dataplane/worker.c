/*
 * worker — one thread's loop and what lives on it.
 *
 * The main thread sends messages to its mailbox only, and reads its atomics.
 */
#include "dataplane/worker.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/mem.h"
#include "common/net/http_client.h"
#include "common/net/resolver.h"
#include "common/request/request_metrics.h"
#include "dataplane/ai/ai_gate.h"
#include "dataplane/listener/client_listener.h"
#include "mcp-gateway/changes.h"
#include "mcp-gateway/lister.h"
#include "mcp-gateway/tool_gate.h"

#define LOOK_MS 50       /* interval of publishing the connection counts and of journal upkeep */
#define IDLE_LOOK_MS 500 /* the same where nothing has happened for IDLE_LOOKS */
#define IDLE_LOOKS 20

struct worker {
    struct request_env env;
    struct resolver *resolver;
    struct tls_context *upstream_tls;
    struct client_listener *listener;
    struct metric_set *metrics;
    struct timer look;
    size_t looked_connections; /* at the last look */
    unsigned idle_looks;
    pthread_t thread;
    bool started;
    atomic_size_t connections;
    size_t cut; /* requests that were under way at its end; read once the thread has gone */
};

struct message {
    struct worker *worker;
    const struct snapshot *policy;
    void (*fn)(void *arg);
    void (*run)(void *arg, struct request_env *env);
    struct tool_list *list;
    void (*listed)(void *arg, struct tool_list **list);
    void *arg;
};

/* Nothing came, nothing runs, nothing waits: since many looks. A drain is watched closely. */
static bool is_idle(struct worker *w, size_t connections)
{
    bool still = connections == w->looked_connections && w->env.request_count == 0 &&
                 !w->env.draining && journal_waiting(w->env.journal) == 0;
    w->looked_connections = connections;
    w->idle_looks = still ? w->idle_looks + 1 : 0;
    return w->idle_looks > IDLE_LOOKS;
}

static void look_again(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, look);
    size_t n = client_listener_connections(w->listener);
    size_t calls = w->env.request_count; /* a drain also waits for requests whose client has gone */
    atomic_store_explicit(&w->connections, n > calls ? n : calls, memory_order_relaxed);
    metric_put(w->metrics, COUNT_CONNECTIONS, 0, (int64_t)n);
    metric_put(w->metrics, COUNT_UPSTREAM_IDLE, 0,
               (int64_t)http_client_idle(w->env.upstreams.client));
    journal_tend(w->env.journal);
    mcp_sweep(&w->env, loop_now_us(w->env.loop));
    timer_start(t, is_idle(w, n) ? IDLE_LOOK_MS : LOOK_MS);
}

/* ---- its things ---- */

static enum err open_upstream(struct worker *w)
{
    const struct tls_client_config tls = {0};
    enum err e = resolver_new(w->env.loop, &w->resolver);
    if (!e)
        e = tls_client_new(&tls, &w->upstream_tls);
    if (!e)
        e = http_client_new(w->env.loop, w->resolver, w->upstream_tls, &w->env.upstreams.client);
    return e;
}

/* What was under way ends here: the listener cuts its connections, each request writes its record
 * and is retired, which the loop's own end runs. */
static void close_things(struct worker *w)
{
    timer_cancel(&w->look);
    mcp_changes_stop(&w->env);
    w->cut = w->env.request_count;
    request_cut_drained(&w->env);
    client_listener_close(&w->listener);
    if (w->env.upstreams.client)
        http_client_free(w->env.upstreams.client);
    if (w->resolver)
        resolver_free(w->resolver);
    if (w->env.loop)
        loop_free(w->env.loop);
    ai_fini(&w->env);
    mcp_fini(&w->env);
    request_env_fini(&w->env);
    tls_drop(w->upstream_tls);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    loop_run(w->env.loop);
    close_things(w);
    return NULL;
}

static void destroy(struct worker *w)
{
    metric_set_free(w->metrics);
    mem_free(w);
}

static enum err open_things(struct worker *w, const struct worker_config *c)
{
    const struct client_listener_config listener = {
        .listen = c->listen, .tls = c->tls, .connections_max = c->connections_max};
    w->metrics = metric_set_new(request_metrics, COUNT_COUNT);
    if (!w->metrics)
        return ERR_NOMEM;
    w->env.metrics = w->metrics;
    w->env.journal = c->journal;
    w->env.worker = c->index;
    w->env.shedding = c->shedding;
    w->env.allowed_hosts = c->allowed_hosts;
    w->env.allowed_origins = c->allowed_origins;
    w->env.body_max[GATE_AI] = c->ai_body_max;
    w->env.upload_max = c->ai_upload_max;
    w->env.ask_kept = c->ask_kept;
    w->env.ask_kept_arg = c->ask_kept_arg;
    enum err e = loop_new(&w->env.loop);
    if (e)
        return e;
    timer_init(&w->look, w->env.loop, look_again);
    if (c->policy)
        request_env_take_policy(&w->env, c->policy); /* its thread does not run yet */
    e = open_upstream(w);
    if (!e && c->tools_changed)
        e = mcp_changes_tell(&w->env, c->tools_changed, c->arg);
    if (!e)
        e = client_listener_open(&listener, &w->env, &w->listener);
    if (!e)
        timer_start(&w->look, LOOK_MS);
    return e;
}

enum err worker_start(const struct worker_config *c, struct worker **ret)
{
    struct worker *w = mem_zalloc(sizeof(*w));
    if (!w)
        return ERR_NOMEM;
    request_env_init(&w->env);
    enum err e = open_things(w, c);
    if (!e && pthread_create(&w->thread, NULL, run, w))
        e = ERR_IO;
    if (e) {
        close_things(w);
        destroy(w);
        return e;
    }
    w->started = true;
    *ret = w;
    return ERR_OK;
}

size_t worker_stop(struct worker **w)
{
    if (!*w)
        return 0;
    loop_stop((*w)->env.loop);
    pthread_join((*w)->thread, NULL);
    size_t cut = (*w)->cut;
    destroy(*w);
    *w = NULL;
    return cut;
}

/* ---- its mailbox ---- */

static enum err post(struct worker *w, struct message what, void (*fn)(void *arg))
{
    struct message *m = mem_alloc(sizeof(*m));
    if (!m)
        return ERR_NOMEM;
    *m = what;
    m->worker = w;
    enum err e = loop_post(w->env.loop, fn, m);
    if (e)
        mem_free(m);
    return e;
}

static void take_policy(void *arg)
{
    struct message *m = arg;
    request_env_take_policy(&m->worker->env, m->policy);
    snapshot_drop(m->policy);
    mem_free(m);
}

enum err worker_publish(struct worker *w, const struct snapshot *s)
{
    struct message m = {.policy = snapshot_hold(s)};
    enum err e = post(w, m, take_policy);
    if (e)
        snapshot_drop(s);
    return e;
}

static void turn_ended(void *arg)
{
    struct message *m = arg;
    m->fn(m->arg);
    mem_free(m);
}

static void in_turn(void *arg)
{
    struct message *m = arg;
    loop_retire(m->worker->env.loop, turn_ended, m);
}

enum err worker_after_turn(struct worker *w, void (*fn)(void *arg), void *arg)
{
    return post(w, (struct message){.fn = fn, .arg = arg}, in_turn);
}

static void run_it(void *arg)
{
    struct message *m = arg;
    m->run(m->arg, &m->worker->env);
    mem_free(m);
}

enum err worker_run(struct worker *w, void (*fn)(void *arg, struct request_env *env), void *arg)
{
    return post(w, (struct message){.run = fn, .arg = arg}, run_it);
}

static void list_tools(void *arg)
{
    struct message *m = arg;
    struct request_env *env = &m->worker->env;
    enum err e = mcp_lister_start(env, &m->list, m->listed, m->arg);
    if (e) {
        tool_list_fail(m->list, "the data plane cannot begin: %s", err_text(e));
        m->listed(m->arg, &m->list);
    }
    mem_free(m);
}

enum err worker_list_tools(struct worker *w, struct tool_list **list,
                           void (*done)(void *arg, struct tool_list **list), void *arg)
{
    enum err e = post(w, (struct message){.list = *list, .listed = done, .arg = arg}, list_tools);
    if (!e)
        *list = NULL;
    return e;
}

static void go_lame(void *arg)
{
    struct message *m = arg;
    m->worker->env.draining = true;
    timer_start(&m->worker->look, 0);
    mem_free(m);
}

static void go_removed(void *arg)
{
    struct message *m = arg;
    m->worker->env.draining = true;
    client_listener_remove(m->worker->listener);
    request_cut_removed(&m->worker->env);
    mem_free(m);
}

static void drain(void *arg)
{
    struct message *m = arg;
    m->worker->env.draining = true;
    client_listener_drain(m->worker->listener);
    timer_start(&m->worker->look, LOOK_MS);
    mem_free(m);
}

void worker_lame(struct worker *w)
{
    if (post(w, (struct message){0}, go_lame))
        log_error(NULL, "worker_deaf", "worker=%u", w->env.worker);
}

void worker_remove(struct worker *w)
{
    if (post(w, (struct message){0}, go_removed))
        log_error(NULL, "worker_deaf", "worker=%u", w->env.worker);
}

void worker_drain(struct worker *w)
{
    if (post(w, (struct message){0}, drain))
        log_error(NULL, "worker_deaf", "worker=%u", w->env.worker);
}

size_t worker_connections(const struct worker *w)
{
    return atomic_load_explicit(&w->connections, memory_order_relaxed);
}

struct metric_set *worker_metrics(struct worker *w)
{
    return w->metrics;
}
