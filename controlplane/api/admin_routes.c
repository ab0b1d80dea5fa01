/*
 * admin_routes — the table, and the look-up of a row by method and path.
 */
#include "controlplane/api/admin_routes.h"

#include <stdio.h>

#include "common/trace/span_attributes.h"
#include "controlplane/api/api_audit.h"
#include "controlplane/api/api_budgets.h"
#include "controlplane/api/api_dataplanes.h"
#include "controlplane/api/api_enrol.h"
#include "controlplane/api/api_health.h"
#include "controlplane/api/api_keys.h"
#include "controlplane/api/api_object.h"
#include "controlplane/api/api_rollout.h"
#include "controlplane/api/api_routing.h"
#include "controlplane/api/api_servers.h"
#include "controlplane/api/api_sessions.h"
#include "controlplane/api/api_spans.h"
#include "controlplane/api/api_spend.h"
#include "controlplane/api/openapi.h"
#include "controlplane/api/percent.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/store/store_spend.h"

#define ROUTES_MAX 160
#define PATH_MAX_LEN 64

/* What GET /spans may be searched by, as a route's query: written from SPAN_ATTRIBUTES. */
static char spans_query[1024];

static void write_spans_query(void)
{
    size_t count, at = 0;
    const struct span_attribute *rows = span_attributes_all(&count);
    for (size_t i = 0; i < count && at < sizeof(spans_query); i++)
        if (span_attribute_is_searched(&rows[i]))
            at += (size_t)snprintf(spans_query + at, sizeof(spans_query) - at, "%s%s%s,",
                                   rows[i].shown, rows[i].words ? "=" : "",
                                   rows[i].words ? rows[i].words : "");
    if (at < sizeof(spans_query))
        at += (size_t)snprintf(spans_query + at, sizeof(spans_query) - at, "since,until");
    MUST(at < sizeof(spans_query));
}

static struct route table[ROUTES_MAX];
static size_t table_count;
static char paths[ROUTES_MAX][PATH_MAX_LEN];

static enum err get_document(struct call *c)
{
    json_t *document = openapi_document(table, table_count);
    return call_respond(c, 200, &document);
}

/* Routes other than the six verbs of a noun. */
static const struct route own[] = {
    {"GET", "/healthz", 0, api_health_live, "the process is alive", "health", ROUTE_PUBLIC, NULL,
     NULL, "get_health"},
    {"GET", "/readyz", 0, api_health_ready, "it may be sent work", "health", ROUTE_PUBLIC, NULL,
     NULL, "get_readiness"},
    {"GET", "/metrics", 0, api_health_metrics, "numbers in Prometheus' text format", NULL,
     ROUTE_PUBLIC | ROUTE_TEXT, NULL, NULL, "get_metrics"},
    {"GET", "/admin/v1/openapi.json", 0, get_document, "this document", NULL, ROUTE_PUBLIC, NULL,
     NULL, "get_openapi"},
    {"POST", "/admin/v1/keys/{id}/revoke", ROLES_GUARD, api_keys_revoke, "closes a key for ever",
     "key", ROUTE_ANY_BODY | ROUTE_WRITE, NULL, &noun_key, "revoke_key"},
    {"POST", "/admin/v1/keys/{id}/block", ROLES_GUARD, api_keys_block,
     "closes a key until it is unblocked", "key", ROUTE_ANY_BODY | ROUTE_WRITE, NULL, &noun_key,
     "block_key"},
    {"POST", "/admin/v1/keys/{id}/unblock", ROLES_GUARD, api_keys_unblock,
     "opens a blocked key again", "key", ROUTE_ANY_BODY | ROUTE_WRITE, NULL, &noun_key,
     "unblock_key"},
    {"POST", "/admin/v1/keys/{id}/rotate", ROLES_WRITE, api_keys_rotate,
     "gives a key a new text, shown once", "key", ROUTE_ANY_BODY | ROUTE_WRITE, NULL, &noun_key,
     "rotate_key"},
    {"POST", "/admin/v1/dataplanes/{id}/enrolment-token", ROLES_WRITE, api_dataplanes_renew,
     "another one-time token for a plane", "dataplane", ROUTE_ANY_BODY | ROUTE_WRITE, NULL,
     &noun_dataplane, "renew_enrolment_token"},
    {"POST", "/admin/v1/dataplanes/{id}/write-off", ROLE_OWNER | ROLE_BILLING,
     api_budgets_write_off,
     "what a plane that will not come back may have spent becomes spent; a deleted one by its id",
     "write-off", ROUTE_ANY_BODY, NULL, NULL, "write_off_dataplane"},
    {"POST", "/admin/v1/mcp-servers/{id}/refresh", ROLES_GUARD, api_servers_refresh,
     "asks a data plane to list the server's tools now: 202, or with ?wait=listed 200 once it did",
     "refresh", ROUTE_ANY_BODY | ROUTE_LATER, "wait=listed", NULL, "refresh_mcp_server"},
    {"POST", "/enrol", 0, api_enrol_use, "a data plane's certificate for its one-time token",
     "enrolment", ROUTE_PUBLIC | ROUTE_BODY, NULL, NULL, "enrol_dataplane"},
    {"GET", "/admin/v1/sessions", ROLES_READ, api_sessions_list, "sessions, newest first",
     "session", ROUTE_LIST, "agent,key,team,task,since,until", NULL, "list_sessions"},
    {"GET", "/admin/v1/sessions/{id}", ROLES_READ, api_sessions_get,
     "one session, by its id or by an external id that only one has", "session", 0, NULL, NULL,
     "get_session"},
    {"GET", "/admin/v1/sessions/{id}/spans", ROLES_READ, api_sessions_spans,
     "what happened in it, oldest first", "span", ROUTE_LIST, "since,until", NULL,
     "list_session_spans"},
    {"GET", "/admin/v1/spans", ROLES_READ, api_spans_list, "spans of all sessions, newest first",
     "span", ROUTE_LIST, spans_query, NULL, "list_spans"},
    {"GET", "/admin/v1/spend", ROLES_READ, api_spend_get,
     "what calls cost, by team, key, agent, model, provider, tool, session or others, as a whole or"
     " in buckets of time",
     "spend", 0,
     "group_by=" SPEND_GROUPS ",bucket=" SPEND_BUCKETS
     ",from,to,team,key,agent,task,model,provider,server,tool,service,gate",
     NULL, "get_spend"},
    {"GET", "/admin/v1/budgets", ROLES_READ, api_budgets_list,
     "budgets that were used, by period, newest first: spent, leased to data planes, in suspense",
     "budget", ROUTE_LIST, "agent,key,team", NULL, "list_budgets"},
    {"GET", "/admin/v1/rollout", ROLES_READ, api_rollout_get,
     "the newest policy version, and which each data plane applies", "rollout", 0, NULL, NULL,
     "get_rollout"},
    {"GET", "/admin/v1/providers/{id}/health", ROLES_READ, api_routing_health,
     "how its endpoints are, as the data planes that are connected here reported last",
     "provider-health", 0, NULL, NULL, "get_provider_health"},
    {"POST", "/admin/v1/models/{name}/explain", ROLES_READ, api_routing_explain,
     "which targets the call in the body would be sent to, in which order, and why; none is called",
     "explanation", ROUTE_BODY | ROUTE_FOREIGN_BODY, "team,agent,key,session,path,dataplane", NULL,
     "explain_model"},
    {"GET", "/admin/v1/audit", ROLE_OWNER | ROLE_ADMIN | ROLE_SECURITY, api_audit_list,
     "who did what, oldest first", "audit-record", ROUTE_LIST, "object", NULL, "list_audit"},
    {"GET", "/admin/v1/audit/verify", ROLE_OWNER | ROLE_ADMIN | ROLE_SECURITY, api_audit_verify,
     "does the chain of records hold", "audit-verdict", 0, NULL, NULL, "verify_audit"},
};

/* The verbs of a noun. */
static const struct {
    const char *method;
    bool of_one;
    enum err (*handle)(struct call *c);
    const char *help;
    unsigned flags;
    unsigned not_with; /* noun flags */
} verbs[] = {
    {"GET", false, api_object_list, "lists", ROUTE_LIST, 0},
    {"POST", false, api_object_create, "creates", ROUTE_BODY | ROUTE_WRITE, NOUN_NO_CREATE},
    {"GET", true, api_object_get, "reads", 0, 0},
    {"PUT", true, api_object_replace, "replaces", ROUTE_BODY | ROUTE_WRITE, 0},
    {"PATCH", true, api_object_patch, "changes members of (RFC 7396)", ROUTE_BODY | ROUTE_WRITE, 0},
    {"DELETE", true, api_object_delete, "deletes", ROUTE_WRITE, NOUN_NO_DELETE},
};

static void add_verbs(const struct noun *n)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if ((n->flags & verbs[i].not_with) != 0)
            continue;
        MUST(table_count < ROUTES_MAX);
        char *path = paths[table_count];
        snprintf(path, PATH_MAX_LEN, "/admin/v1/%s%s", n->plural, verbs[i].of_one ? "/{id}" : "");
        table[table_count++] = (struct route){
            .method = verbs[i].method,
            .path = path,
            .roles = (verbs[i].flags & ROUTE_WRITE) != 0 ? n->write_roles : ROLES_READ,
            .handle = verbs[i].handle,
            .help = verbs[i].help,
            .schema = n->name,
            .flags = verbs[i].flags,
            .noun = n,
        };
    }
}

void routes_init(void)
{
    size_t count = 0;
    table_count = 0;
    write_spans_query();
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        table[table_count++] = own[i];
    const struct noun *const *nouns = noun_all(&count);
    for (size_t i = 0; i < count; i++)
        add_verbs(nouns[i]);
}

const struct route *routes_all(size_t *ret_count)
{
    *ret_count = table_count;
    return table;
}

/* Whether the path matches the row's. If so, params (CALL_PARAMS_MAX entries) holds the segments
 * that match "{…}", still encoded. */
static bool path_fits(const char *pattern, struct slice path, struct slice *params)
{
    struct slice want = slice_str(pattern), w, p;
    size_t n = 0;
    for (;;) {
        bool more_want = slice_split(&want, '/', &w), more_path = slice_split(&path, '/', &p);
        if (more_want != more_path)
            return false;
        if (!more_want)
            return true;
        if (w.len > 0 && w.ptr[0] == '{') {
            if (p.len == 0 || n == CALL_PARAMS_MAX)
                return false;
            params[n++] = p;
        } else if (!slice_eq(w, p)) {
            return false;
        }
    }
}

/* HEAD is GET without its body; the server leaves the body out. */
static bool method_fits(const char *want, struct slice method)
{
    return slice_eq(slice_str(want), method) ||
           (strcmp(want, "GET") == 0 && slice_eq(method, SLICE("HEAD")));
}

static void add_allow(struct buf *allow, const char *method)
{
    /* a fixed table of short words: the buffer is large enough */
    enum err e = buf_printf(allow, "%s%s%s", allow->len > 0 ? ", " : "", method,
                            strcmp(method, "GET") == 0 ? ", HEAD" : "");
    MUST(e == ERR_OK);
}

const struct route *routes_find(struct call *c, struct buf *allow)
{
    const struct route *found = NULL;
    for (size_t i = 0; i < table_count; i++) {
        struct slice params[CALL_PARAMS_MAX] = {{0}};
        if (!path_fits(table[i].path, c->path, params))
            continue;
        add_allow(allow, table[i].method);
        if (found != NULL || !method_fits(table[i].method, c->method))
            continue;
        found = &table[i];
        memcpy(c->params, params, sizeof(params));
    }
    return found;
}
