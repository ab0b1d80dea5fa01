/*
 * api_spend — sums over the spans of a stretch of time.
 */
#include "controlplane/api/api_spend.h"

#include "common/base/clock.h"
#include "common/base/period.h"
#include "controlplane/api/trace_query.h"

static enum err answer(struct call *c, int64_t from, int64_t to, json_t *items)
{
    char text[CLOCK_TEXT_MAX];
    json_t *t = json_object();
    json_set_text(t, "from", clock_format(from, text));
    json_set_text(t, "to", clock_format(to, text));
    json_object_set_new(t, "items", items);
    json_object_set_new(t, "next", json_null());
    return call_answer(c, 200, &t);
}

enum err api_spend_get(struct call *c)
{
    TX_AUTO struct tx tx = {0};
    int64_t now = clock_wall_us(), from = 0, to = 0;
    struct slice group = call_query(c, "group_by");
    json_t *items = NULL;
    if (trace_query_stretch(c, "from", "to", &from, &to) != ERR_OK)
        return ERR_OK;
    if (to == 0)
        to = now;
    if (from == 0)
        from = period_start(PERIOD_MONTH, to);
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = store_spend(&tx, group.ptr ? group : SLICE("team"), from, to, &items);
    return e == ERR_OK ? answer(c, from, to, items) : e;
}
