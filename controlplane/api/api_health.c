/*
 * api_health — alive: the thread of these requests responds. Ready: not draining, and the database
 * responds. What watches learns within a second whether the database is away or its connections are
 * all in use.
 */
#include "controlplane/api/api_health.h"

#include "controlplane/api/api_metrics.h"
#include "controlplane/store/store_policy.h"

#define TAKE_MS 500 /* for a connection */

enum err api_health_live(struct call *c)
{
    json_t *t = json_pack("{s:s}", "status", "ok");
    return call_respond(c, 200, &t);
}

enum err api_health_ready(struct call *c)
{
    const char *status = "ready";
    uint64_t version = 0;
    if (c->app->draining) {
        status = "draining";
    } else {
        TX_AUTO struct tx tx = {0};
        enum err e = tx_begin_within(c->app->db, slice_str(c->app->org_id), TAKE_MS, &tx);
        if (e == ERR_OK)
            e = store_policy_head(&tx, &version, NULL);
        if (e != ERR_OK)
            status = e == ERR_TIMEOUT ? "database busy" : "database away";
    }
    json_t *t = json_pack("{s:s}", "status", status);
    return call_respond(c, strcmp(status, "ready") == 0 ? 200 : 503, &t);
}

enum err api_health_metrics(struct call *c)
{
    struct metric_set *sets[] = {c->app->metrics};
    buf_clear(&c->response);
    api_metrics_gather(c->app);
    c->status = 200;
    c->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return metric_render(sets, 1, &c->response);
}
