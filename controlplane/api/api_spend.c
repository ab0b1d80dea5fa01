/* api_spend — sums of the calls of a stretch of time, from the sums kept by ingest. */
#include "controlplane/api/api_spend.h"

#include "common/base/clock.h"
#include "common/base/period.h"
#include "controlplane/api/trace_query.h"
#include "controlplane/store/store_spend.h"

static enum err respond(struct call *c, int64_t from, int64_t to, json_t *items)
{
    char text[CLOCK_TEXT_MAX];
    json_t *t = json_object();
    json_set_text(t, "from", clock_format(from, text));
    json_set_text(t, "to", clock_format(to, text));
    json_object_set_new(t, "items", items);
    json_object_set_new(t, "next", json_null());
    return call_respond(c, 200, &t);
}

static enum err refuse_of_sessions(struct call *c)
{
    return call_problem(c, PROBLEM_BAD_PARAMETER,
                        "?group_by=session goes with team, key, agent and task, and with no bucket:"
                        " a session keeps no sums by what it used");
}

enum err api_spend_get(struct call *c)
{
    TX_AUTO struct tx tx = {0};
    struct spend_question q = {.org = slice_str(c->actor.org_id)};
    json_t *items = NULL;
    int64_t now = clock_wall_us();
    if (trace_query_stretch(c, "from", "to", &q.from, &q.to) != ERR_OK)
        return ERR_OK;
    q.group = call_query(c, "group_by");
    if (!q.group.ptr)
        q.group = SLICE("team");
    q.bucket = call_query(c, "bucket");
    for (size_t i = 0; i < SPEND_FILTERS; i++)
        q.filters[i] = call_query(c, spend_filter_name(i));
    if (q.from == 0)
        q.from = period_start(PERIOD_MONTH, q.to ? q.to : now);
    enum err e = tx_begin(c->app->db, q.org, &tx);
    if (e == ERR_OK)
        e = store_spend(&tx, &q, &items);
    if (e == ERR_INVALID)
        return refuse_of_sessions(c);
    return e == ERR_OK ? respond(c, q.from, q.to ? q.to : now, items) : e;
}
