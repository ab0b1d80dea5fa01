/*
 * health — three paths and a server of their own.
 */
#include "dataplane/listener/health.h"

#include <inttypes.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/http_server.h"
#include "common/request/request_metrics.h"

#define US_PER_S 1000000u
#define SETS_MAX METRIC_SETS_MAX /* workers, and the process's own */
#define BODY_MAX (1024 * 1024)   /* 300 KiB at most; usually some 20 */
#define CONNECTIONS_MAX 64       /* probes and scrapers */

struct health {
    struct health_config config;
    struct http_server *server;
    struct metric_set *own;
    struct buf body;
};

static void on_gone(void *user, enum err why)
{
    (void)user;
    (void)why;
}

static const struct http_exchange_events exchange_events = {.on_gone = on_gone};

static void put_status(struct health *h, const struct health_look *look, bool ready)
{
    const struct plane_status *s = &look->plane;
    metric_put(h->own, COUNT_READY, 0, ready);
    metric_put(h->own, COUNT_CONNECTED, 0, s->connected);
    metric_put(h->own, COUNT_STALE, 0, s->stale);
    metric_put(h->own, COUNT_VERSION, 0, (int64_t)s->version);
    metric_put(h->own, COUNT_NEWEST, 0, (int64_t)s->newest);
    metric_put(h->own, COUNT_POLICY_AGE, 0, (int64_t)(s->policy_age_us / US_PER_S));
    metric_put(h->own, COUNT_REFUSED_OBJECTS, 0, (int64_t)s->refused_objects);
    metric_put(h->own, COUNT_DATABASE_AWAY, 0, s->database_away);
    metric_put(h->own, COUNT_UNTOLD, 0, (int64_t)look->untold);
    metric_put(h->own, COUNT_JOURNAL_WAITING, 0, (int64_t)s->journal_waiting);
    metric_put(h->own, COUNT_JOURNAL_DROPPED, 0, (int64_t)s->journal_dropped);
    metric_put(h->own, COUNT_JOURNAL_FOLDED, 0, (int64_t)s->journal_folded);
    metric_put(h->own, COUNT_LOST, 0, (int64_t)s->lost_calls);
    metric_put(h->own, COUNT_LEASES, 0, (int64_t)s->leases.leases);
    metric_put(h->own, COUNT_LEASES_LEFT, 0, s->leases.left);
    metric_put(h->own, COUNT_LEASES_AWAY, 0, (int64_t)(s->leases.away_ms / 1000));
    metric_put(h->own, COUNT_BUDGETS_STANDING, 0, (int64_t)s->leases.standing);
    metric_put(h->own, COUNT_MEMORY, 0, (int64_t)look->memory_used);
    metric_put(h->own, COUNT_MEMORY_LIMIT, 0, (int64_t)look->memory_limit);
    metric_put(h->own, COUNT_SHEDDING, 0, look->shedding);
    metric_put(h->own, COUNT_MCP_SESSIONS, 0, (int64_t)look->mcp_sessions);
}

static enum err write_metrics(struct health *h)
{
    struct metric_set *sets[SETS_MAX] = {h->own};
    size_t n = 1 + h->config.sets(h->config.arg, sets + 1, SETS_MAX - 1);
    return metric_render(sets, n, &h->body);
}

static const char *yes(bool b)
{
    return b ? "true" : "false";
}

static enum err write_ready(struct health *h, const struct health_look *look, bool ready)
{
    const struct plane_status *s = &look->plane;
    char left[MONEY_TEXT_MAX];
    return buf_printf(
        &h->body,
        "{\"ready\":%s,\"draining\":%s,\"removed\":%s,\"policy\":%s,\"connected\":%s,"
        "\"stale\":%s,"
        "\"version\":%" PRIu64 ",\"newest\":%" PRIu64 ",\"acknowledged\":%" PRIu64
        ",\"policy_age_s\":%" PRIu64 ",\"policy_marked\":%s"
        ",\"refused_objects\":%" PRIu64 ",\"workers_not_told\":%zu"
        ",\"database_away\":%s,\"journal_waiting\":%" PRIu64 ",\"journal_dropped\":%" PRIu64
        ",\"journal_folded\":%" PRIu64 ",\"lost_calls\":%" PRIu64 ",\"memory_used\":%" PRIu64
        ",\"memory_limit\":%" PRIu64 ",\"shedding\":%s"
        ",\"leases\":{\"count\":%zu,\"left_usd\":\"%.*s\",\"unanswered_ms\":%" PRIu64
        ",\"budgets_standing_still\":%zu}}\n",
        yes(ready), yes(look->draining), yes(s->removed), yes(s->has_policy), yes(s->connected),
        yes(s->stale), s->version, s->newest, s->acknowledged, s->policy_age_us / US_PER_S,
        yes(s->policy_marked), s->refused_objects, look->untold, yes(s->database_away),
        s->journal_waiting, s->journal_dropped, s->journal_folded, s->lost_calls, look->memory_used,
        look->memory_limit, yes(look->shedding), s->leases.leases,
        SLICE_ARG(money_format(s->leases.left, left)), s->leases.away_ms, s->leases.standing);
}

static void say(struct health *h, struct http_exchange *x, unsigned status, const char *type)
{
    struct http_header header = {SLICE("content-type"), slice_str(type)};
    if (http_response(x, status, &header, 1, buf_slice(&h->body)))
        http_response_abort(x);
}

static void on_request(void *arg, struct http_exchange *x)
{
    struct health *h = arg;
    struct health_look look = {.draining = false};
    struct slice path = http_exchange_head(x)->target;
    http_exchange_bind(x, &exchange_events, NULL);
    h->config.look(h->config.arg, &look);
    bool ready = look.plane.has_policy && !look.plane.removed && !look.draining;
    put_status(h, &look, ready);
    buf_clear(&h->body);
    if (!http_head_gets(http_exchange_head(x)))
        say(h, x, 405, "text/plain");
    else if (slice_eq(path, SLICE("/healthz")) && !buf_append(&h->body, SLICE("ok\n")))
        say(h, x, 200, "text/plain");
    else if (slice_eq(path, SLICE("/readyz")) && !write_ready(h, &look, ready))
        say(h, x, ready ? 200 : 503, "application/json");
    else if (slice_eq(path, SLICE("/metrics")) && !write_metrics(h))
        say(h, x, 200, "text/plain; version=0.0.4");
    else
        say(h, x, 404, "text/plain");
}

static const struct http_server_events server_events = {.on_request = on_request};

static void destroy(struct health *h)
{
    http_server_free(h->server);
    metric_set_free(h->own);
    buf_fini(&h->body);
    mem_free(h);
}

/* A balancer's check in HTTP/1.0 has no Host. */
static bool is_check(const struct http_head *head)
{
    return http_head_gets(head) &&
           (slice_eq(head->target, SLICE("/healthz")) || slice_eq(head->target, SLICE("/readyz")));
}

enum err health_open(const struct health_config *c, struct loop *l, struct health **ret)
{
    const struct http_server_config config = {.body_max = 0,
                                              .head_ms = LIMIT_HEAD_MS,
                                              .body_gap_ms = LIMIT_BODY_GAP_MS,
                                              .keepalive_ms = LIMIT_KEEPALIVE_MS,
                                              .connections_max = CONNECTIONS_MAX,
                                              .serves_without_host = is_check};
    struct health *h = mem_zalloc(sizeof(*h));
    if (!h)
        return ERR_NOMEM;
    h->config = *c;
    buf_init(&h->body, BODY_MAX);
    h->own = metric_set_new(request_metrics, COUNT_COUNT);
    enum err e = h->own ? http_server_new(l, &config, &server_events, h, &h->server) : ERR_NOMEM;
    if (!e)
        e = http_server_listen(h->server, &c->listen);
    if (e) {
        destroy(h);
        return e;
    }
    *ret = h;
    return ERR_OK;
}

void health_close(struct health **h)
{
    if (*h)
        destroy(*h);
    *h = NULL;
}
