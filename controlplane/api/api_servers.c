/*
 * api_servers — a data plane lists the tools; this file requests a listing and shows its outcome.
 */
#include "controlplane/api/api_servers.h"

#include <time.h>

#include "common/base/clock.h"
#include "controlplane/discovery/listing_scheduler.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/store/store_listing.h"
#include "controlplane/store/store_tool.h"

#define WAIT_MS 5000 /* as ?wait=applied */
#define LOOK_MS 100
#define ERROR_MAX 400

struct refresh {
    struct object server;
    struct listing_plane plane;
    uint64_t ask;
    bool done;
    char error[ERROR_MAX];
};

/* ERR_CANCELLED: the response is a problem. */
static enum err ask(struct call *c, struct refresh *r)
{
    TX_AUTO struct tx tx = {0};
    enum err said = ERR_OK;
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = store_object_get(&tx, &noun_mcp_server, c->params[0], false, &r->server);
    if (e == ERR_NOT_FOUND) {
        said = call_problem(c, PROBLEM_NOT_FOUND, "no such mcp-server");
        return said == ERR_OK ? ERR_CANCELLED : said;
    }
    if (e == ERR_OK)
        e = listing_scheduler_name(&tx, c->app->rollout, slice_str(r->server.id), clock_wall_us(),
                                   &r->plane);
    if (e == ERR_NOT_FOUND) {
        said = call_problem(c, PROBLEM_NO_DATAPLANE,
                            "no data plane is connected that could ask this server");
        return said == ERR_OK ? ERR_CANCELLED : said;
    }
    if (e == ERR_OK)
        e = store_listing_ask(&tx, slice_str(r->server.id), true, &r->ask);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

static enum err look(struct call *c, struct refresh *r)
{
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = store_listing_outcome(&tx, slice_str(r->server.id), r->ask, &r->done, r->error,
                                  sizeof(r->error));
    return e;
}

static enum err wait_for_listing(struct call *c, struct refresh *r)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    uint64_t until_us = clock_mono_us() + WAIT_MS * 1000u;
    enum err e = look(c, r);
    while (e == ERR_OK && !r->done && clock_mono_us() < until_us && !c->app->draining) {
        nanosleep(&pause, NULL);
        e = look(c, r);
    }
    return e;
}

/* 202: the listing is requested and has not ended; 200: it ended, and this is its outcome */
static enum err respond(struct call *c, const struct refresh *r)
{
    const char *state = !r->done ? "asked" : r->error[0] ? "failed" : "listed";
    json_t *t = json_pack("{s:s,s:s,s:s,s:s}", "server", r->server.name, "server_id", r->server.id,
                          "dataplane", r->plane.name, "state", state);
    if (r->error[0])
        json_set_text(t, "error", slice_str(r->error));
    return call_respond(c, r->done ? 200 : 202, &t);
}

enum err api_servers_refresh(struct call *c)
{
    struct refresh r = {0};
    struct slice wait = call_query(c, "wait");
    enum err e = ask(c, &r);
    if (e == ERR_OK && wait.ptr)
        e = wait_for_listing(c, &r);
    if (e == ERR_OK)
        e = respond(c, &r);
    object_fini(&r.server);
    return e == ERR_CANCELLED ? ERR_OK : e;
}

enum err api_servers_show(struct tx *tx, json_t *views)
{
    JSON_AUTO json_t *ids = json_array(), *listings = NULL;
    json_t *view;
    size_t i;
    json_array_foreach(views, i, view) json_array_append(ids, json_object_get(view, "id"));
    enum err e = store_listing_views(tx, ids, &listings);
    if (e != ERR_OK)
        return e;
    json_array_foreach(views, i, view)
    {
        json_t *one = json_object_get(listings, json_string_value(json_object_get(view, "id")));
        if (one)
            json_object_set(view, "discovery", one);
    }
    return ERR_OK;
}

enum err api_servers_forget(struct change *x)
{
    return store_tools_drop(&x->w.tx, slice_str(x->old.id));
}
