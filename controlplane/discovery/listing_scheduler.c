/* listing_scheduler — the planes that are connected, and what each has to list. */
#include "controlplane/discovery/listing_scheduler.h"

#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/store/clean.h"
#include "controlplane/store/store_listing.h"
#include "controlplane/store/store_plane.h"

/* Twice the time until a plane's last heartbeat is in the database, and a margin. */
#define HEARD_US (12 * INT64_C(1000000))
/* Time for a listing, its report and repeats. A plane that lost the order says so earlier. */
#define HOLD_US (3 * (int64_t)LIMIT_LIST_MS * 1000)

static const struct log_ctx listing_log = {.component = "discovery"};

struct listing_orders {
    struct listing_due due[LIMIT_LIST_ORDERS];
    Gatehouse__ListingOrder order[LIMIT_LIST_ORDERS];
    Gatehouse__ListingOrder *list[LIMIT_LIST_ORDERS];
    size_t count;
};

/* ---- the planes that are connected ---- */

struct present_planes {
    struct listing_plane *planes;
    size_t count;
};

static void copy_text(char *to, size_t cap, struct slice s)
{
    snprintf(to, cap, "%.*s", SLICE_ARG(s));
}

/* Connected here; or known to have been heard by another control plane after us. */
static bool is_present(struct rollout *r, struct slice id, int64_t heard_us, int64_t now_us)
{
    struct rollout_plane known;
    if (r && rollout_is_here(r, id))
        return true;
    if (heard_us <= now_us - HEARD_US)
        return false;
    return !r || !rollout_find(r, id, &known) || heard_us > known.heard_at;
}

/* asker: the plane that sends this request; SLICE_NONE: none */
static enum err gather(struct tx *tx, struct rollout *r, struct slice asker, int64_t now_us,
                       struct present_planes *ret)
{
    DB_AUTO struct db_result *rows = NULL;
    enum err e = store_planes_living(tx, &rows);
    if (e != ERR_OK)
        return e;
    size_t n = db_rows(rows);
    ret->planes = mem_array(n > 0 ? n : 1, sizeof(*ret->planes));
    if (!ret->planes)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        struct slice id = db_text(rows, i, 0);
        if (!slice_eq(id, asker) && !is_present(r, id, db_time(rows, i, 3), now_us))
            continue;
        struct listing_plane *p = &ret->planes[ret->count++];
        copy_text(p->id, sizeof(p->id), id);
        db_copy(rows, i, 1, p->name, sizeof(p->name));
        db_copy(rows, i, 2, p->pool, sizeof(p->pool));
        db_copy(rows, i, 4, p->pool_id, sizeof(p->pool_id));
    }
    return ERR_OK;
}

static bool is_among(const struct present_planes *c, const char *id)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->planes[i].id, id) == 0)
            return true;
    return false;
}

static struct slice pools_of(const struct listing_due *due)
{
    return due->every_pool ? SLICE_NONE : slice_str(due->pools);
}

enum err listing_scheduler_name(struct tx *tx, struct rollout *r, struct slice server,
                                int64_t now_us, struct listing_plane *ret)
{
    struct present_planes present = {0};
    struct listing_due given = {0};
    enum err e = gather(tx, r, SLICE_NONE, now_us, &present);
    if (e == ERR_OK)
        e = store_listing_pools(tx, server, &given);
    const struct listing_plane *p =
        e == ERR_OK ? listing_name(server, pools_of(&given), present.planes, present.count) : NULL;
    if (p)
        *ret = *p;
    else if (e == ERR_OK)
        e = ERR_NOT_FOUND;
    mem_free(present.planes);
    return e;
}

/* ---- orders ---- */

static bool says_it_holds(const Gatehouse__ListingAsk *ask, const char *server)
{
    for (size_t i = 0; i < ask->n_holding; i++)
        if (ask->holding[i] && strcmp(ask->holding[i], server) == 0)
            return true;
    return false;
}

struct choosing {
    const struct rollout_plane *plane;
    const Gatehouse__ListingAsk *ask;
    struct present_planes present;
};

static bool is_its_turn(const struct choosing *c, const struct listing_due *due)
{
    bool own = strcmp(due->held_by, c->plane->id) == 0;
    if (says_it_holds(c->ask, due->server))
        return false;
    if (due->held_by[0] && !own && is_among(&c->present, due->held_by))
        return false;
    const struct listing_plane *named =
        listing_name(slice_str(due->server), pools_of(due), c->present.planes, c->present.count);
    return named && strcmp(named->id, c->plane->id) == 0;
}

static void add_order(struct listing_orders *o, const struct listing_due *due)
{
    size_t i = o->count++;
    Gatehouse__ListingOrder *m = &o->order[i];
    o->due[i] = *due;
    gatehouse__listing_order__init(m);
    m->server_id = o->due[i].server;
    m->org_id = o->due[i].org;
    m->name = o->due[i].name;
    m->has_revision = m->has_ask = true;
    m->revision = due->revision;
    m->ask = due->ask;
    o->list[i] = m;
}

static enum err choose(struct tx *tx, const struct choosing *c, const struct listing_due *due,
                       size_t count, int64_t now_us, struct listing_orders *o)
{
    size_t room = c->ask->room < LIMIT_LIST_ORDERS ? c->ask->room : LIMIT_LIST_ORDERS;
    enum err e = ERR_OK;
    for (size_t i = 0; i < count && o->count < room && e == ERR_OK; i++) {
        if (!is_its_turn(c, &due[i]))
            continue;
        e = store_listing_hold(tx, slice_str(due[i].server), slice_str(c->plane->id),
                               now_us + HOLD_US);
        add_order(o, &due[i]);
        log_debug(&listing_log, "listing_ordered", "server=%s plane=%s", due[i].server,
                  c->plane->id);
    }
    return e;
}

static enum err note_changed(struct tx *tx, const Gatehouse__ListingAsk *ask)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < ask->n_changed && i < LIMIT_LIST_CHANGED && e == ERR_OK; i++) {
        uint64_t number;
        struct slice id = slice_str(ask->changed[i]);
        if (!clean_is_plain(id)) /* not an id of a Gatehouse object */
            continue;
        e = store_listing_ask(tx, id, false, &number);
        if (e == ERR_NOT_FOUND)
            e = ERR_OK; /* it was deleted since */
    }
    return e;
}

static enum err give_orders(struct tx *tx, struct rollout *r, struct choosing *c, int64_t now_us,
                            struct listing_orders *o)
{
    size_t count = 0;
    struct listing_due *due = mem_array(LIMIT_LIST_DUE, sizeof(*due));
    enum err e = due ? store_listings_due(tx, now_us, LIMIT_LIST_DUE, due, &count) : ERR_NOMEM;
    if (e == ERR_OK && count > 0)
        e = gather(tx, r, slice_str(c->plane->id), now_us, &c->present);
    if (e == ERR_OK && count > 0)
        e = choose(tx, c, due, count, now_us, o);
    mem_free(c->present.planes);
    mem_free(due);
    return e;
}

enum err listing_scheduler_ask(struct db *db, struct rollout *r, const struct rollout_plane *plane,
                               const Gatehouse__ListingAsk *ask, int64_t now_us,
                               struct listing_reply *ret)
{
    TX_AUTO struct tx tx = {0};
    struct choosing c = {.plane = plane, .ask = ask};
    struct listing_orders *o = mem_zalloc(sizeof(*o));
    enum err e = o ? tx_begin(db, slice_str(plane->org), &tx) : ERR_NOMEM;
    if (e == ERR_OK)
        e = note_changed(&tx, ask);
    if (e == ERR_OK && ask->room > 0)
        e = give_orders(&tx, r, &c, now_us, o);
    if (e == ERR_OK)
        e = tx_commit(&tx);
    if (e != ERR_OK) {
        mem_free(o);
        return e;
    }
    gatehouse__listing_reply__init(&ret->reply);
    ret->orders = o;
    ret->reply.n_orders = o->count;
    ret->reply.orders = o->list;
    return ERR_OK;
}

void listing_reply_free(struct listing_reply *reply)
{
    mem_free(reply->orders);
    *reply = (struct listing_reply){0};
}
