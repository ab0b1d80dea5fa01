/*
 * api_sessions — a session is named by its id, or by what its clients called it as long as
 * that means one session.
 */
#include "controlplane/api/api_sessions.h"

#include "controlplane/api/trace_query.h"

enum err api_sessions_list(struct call *c)
{
    TX_AUTO struct tx tx = {0};
    struct trace_page page;
    struct trace_next next;
    char tag[ID_MAX];
    json_t *items = NULL;
    if (trace_query_page(c, &page, tag) != ERR_OK)
        return ERR_OK;
    const struct session_filter filter = {.agent = call_query(c, "agent"),
                                          .key = call_query(c, "key"),
                                          .team = call_query(c, "team"),
                                          .task = call_query(c, "task")};
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = store_sessions_page(&tx, &page, &filter, &items, &next);
    return e == ERR_OK ? trace_query_respond(c, &items, &next) : e;
}

/* What is needed to choose among them. */
static enum err respond_with_candidates(struct call *c, const json_t *found)
{
    static const char *const members[] = {"id", "agent", "key", "team", "started_at", "status"};
    json_t *list = json_array();
    size_t i;
    json_t *session;
    json_array_foreach(found, i, session)
    {
        json_t *one = json_object();
        for (size_t m = 0; m < ARRAY_LEN(members); m++)
            if (json_object_get(session, members[m]))
                json_object_set(one, members[m], json_object_get(session, members[m]));
        json_array_append_new(list, one);
    }
    json_t *extra = json_pack("{s:o}", "candidates", list);
    return call_problem_with(c, PROBLEM_AMBIGUOUS_SESSION, &extra,
                             "several sessions have this external id: name one by its id");
}

/* Finds the one session of the path. ERR_CANCELLED: the refusal stands. */
static enum err find_one(struct call *c, struct tx *tx, json_t **ret)
{
    JSON_AUTO json_t *found = NULL;
    enum err e = store_sessions_find(tx, c->params[0], &found);
    if (e != ERR_OK)
        return e;
    if (json_array_size(found) == 0) {
        e = call_problem(c, PROBLEM_NOT_FOUND, "no such session");
        return e == ERR_OK ? ERR_CANCELLED : e;
    }
    if (json_array_size(found) > 1) {
        e = respond_with_candidates(c, found);
        return e == ERR_OK ? ERR_CANCELLED : e;
    }
    *ret = json_incref(json_array_get(found, 0));
    return ERR_OK;
}

enum err api_sessions_get(struct call *c)
{
    TX_AUTO struct tx tx = {0};
    json_t *session = NULL;
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = find_one(c, &tx, &session);
    if (e == ERR_CANCELLED)
        return ERR_OK;
    return e == ERR_OK ? call_respond(c, 200, &session) : e;
}

enum err api_sessions_spans(struct call *c)
{
    TX_AUTO struct tx tx = {0};
    JSON_AUTO json_t *session = NULL;
    struct trace_page page;
    struct trace_next next;
    char tag[ID_MAX];
    json_t *items = NULL;
    if (trace_query_page(c, &page, tag) != ERR_OK)
        return ERR_OK;
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = find_one(c, &tx, &session);
    if (e == ERR_CANCELLED)
        return ERR_OK;
    if (e == ERR_OK) {
        const struct span_filter filter = {
            .matches = {{span_attribute_shown("session"), json_text(session, "id")}}, .count = 1};
        e = store_spans_page(&tx, &page, &filter, &items, &next);
    }
    return e == ERR_OK ? trace_query_respond(c, &items, &next) : e;
}
