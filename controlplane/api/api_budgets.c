/*
 * api_budgets — reading the ledger's accounts, and writing off in one transaction with its record.
 */
#include "controlplane/api/api_budgets.h"

#include <stdio.h>

#include "controlplane/api/trace_query.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/ledger/lease_server.h"
#include "controlplane/store/store_budget.h"
#include "controlplane/store/store_object.h"
#include "controlplane/store/store_write.h"

enum err api_budgets_list(struct call *c)
{
    struct trace_page page;
    struct trace_next next;
    char tag[ID_MAX];
    json_t *items = NULL;
    struct budget_filter filter = {.key = call_query(c, "key"),
                                   .team = call_query(c, "team"),
                                   .agent = call_query(c, "agent")};
    if (trace_query_page(c, &page, tag) != ERR_OK)
        return ERR_OK;
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = store_budgets(&tx, &page, &filter, &items, &next);
    return e == ERR_OK ? trace_query_respond(c, &items, &next) : e;
}

/* A deleted plane is found by its id only: its name may belong to another one by now. */
static enum err find_deleted(struct tx *tx, struct slice id, struct object *ret)
{
    JSON_AUTO json_t *ids = json_pack("[o]", json_from(id)), *names = NULL;
    if (!slice_starts(id, SLICE("dp_")) || id.len >= ID_MAX)
        return ERR_NOT_FOUND;
    enum err e = store_object_names(tx, ids, &names);
    if (e != ERR_OK)
        return e;
    snprintf(ret->id, sizeof(ret->id), "%.*s", SLICE_ARG(id));
    const char *name = json_string_value(json_object_get(names, ret->id));
    snprintf(ret->name, sizeof(ret->name), "%s", name != NULL ? name : "");
    return name != NULL ? ERR_OK : ERR_NOT_FOUND;
}

static enum err find_plane(struct tx *tx, struct slice id_or_name, struct object *ret)
{
    enum err e = store_object_get(tx, &noun_dataplane, id_or_name, true, ret);
    return e == ERR_NOT_FOUND ? find_deleted(tx, id_or_name, ret) : e;
}

static enum err write_record(struct call *c, struct write *w, const struct object *plane,
                             const json_t *after)
{
    struct audit_entry entry = {
        .actor = c->actor.name,
        .actor_role = role_name(c->actor.role),
        .source = c->actor.source,
        .action = "write-off",
        .noun = noun_dataplane.name,
        .object_id = plane->id,
        .object_name = plane->name,
        .after = after,
    };
    return write_audit(w, &entry);
}

enum err api_budgets_write_off(struct call *c)
{
    OBJECT_AUTO struct object plane = {0};
    WRITE_AUTO struct write w = {0};
    char text[MONEY_TEXT_MAX];
    money sum = 0;
    enum err e = write_begin(c->app->db, slice_str(c->actor.org_id), &w);
    if (e == ERR_OK)
        e = find_plane(&w.tx, c->params[0], &plane);
    if (e == ERR_NOT_FOUND)
        return call_problem(c, PROBLEM_NOT_FOUND, "no such dataplane; a deleted one has its id");
    if (e == ERR_OK)
        e = lease_server_write_off(&w.tx, slice_str(plane.id), &sum);
    if (e != ERR_OK)
        return e;
    JSON_AUTO json_t *t = json_object();
    json_object_set_new(t, "id", json_string(plane.id));
    json_object_set_new(t, "name", json_string(plane.name));
    json_set_text(t, "written_off_usd", money_format(sum, text));
    e = write_record(c, &w, &plane, t);
    if (e == ERR_OK)
        e = write_commit(&w);
    if (e != ERR_OK)
        return e;
    json_t *response = json_incref(t);
    return call_respond(c, 200, &response);
}
