/* tool_report — the state of each tool by what is known of it. */
#include "controlplane/sync/tool_report.h"

#include "common/base/digest.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "controlplane/store/clean.h"

#define TOOLS_MAX 5000        /* of one report */
#define DESCRIPTION_MAX 65536 /* as the noun's field */

static const struct log_ctx tool_log = {.component = "tools"};

struct server {
    struct slice id;
    char org[ID_MAX];
    bool first; /* nothing is known of its tools yet */
    bool each;
};

/* Locks the server's row, so that two first reports are not both first. */
static enum err find_server(struct tx *tx, struct slice id, struct server *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx,
                          "select s.org_id, coalesce(s.spec ->> 'approve' = 'each', false),"
                          " not exists (select 1 from tools where server_id = s.id)"
                          " from mcp_servers s where s.id = $1 and s.deleted_at is null for update",
                          DB_PARAMS(DB_TEXT(id)), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) != 1 || db_text(r, 0, 0).len >= ID_MAX)
        return ERR_INVALID;
    *ret = (struct server){.id = id, .each = db_bool(r, 0, 1), .first = db_bool(r, 0, 2)};
    memcpy(ret->org, db_text(r, 0, 0).ptr, db_text(r, 0, 0).len);
    return ERR_OK;
}

/* A definition's description, where there is one. */
static json_t *description_of(const char *definition)
{
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    if (!definition || json_read(slice_str(definition), &tree, &problem) != ERR_OK)
        return NULL;
    json_t *text = json_object_get(tree, "description");
    return json_string_length(text) <= DESCRIPTION_MAX ? json_incref(text) : NULL;
}

static enum err spec_of(const struct server *s, const Gatehouse__DirectTool *tool,
                        const char *state, const char *digest, struct buf *out)
{
    JSON_AUTO json_t *spec = json_object();
    JSON_AUTO json_t *description = description_of(tool->definition);
    json_set_text(spec, "server", s->id);
    json_set_text(spec, "state", slice_str(state));
    json_set_text(spec, "digest", slice_str(digest));
    if (json_is_string(description))
        json_object_set(spec, "description", description);
    buf_clear(out);
    return json_write(spec, out);
}

static enum err add_tool(struct tx *tx, const struct server *s, const Gatehouse__DirectTool *tool,
                         const char *digest, struct buf *spec)
{
    char id[ID_MAX];
    enum err e = spec_of(s, tool, s->first && !s->each ? "approved" : "pending", digest, spec);
    if (e != ERR_OK)
        return e;
    return tx_query(tx, "insert into tools (id, org_id, name, spec) values ($1, $2, $3, $4)",
                    DB_PARAMS(DB_TEXT(id_new("tool", id)), DB_TEXT(slice_str(s->org)),
                              DB_TEXT(slice_str(tool->name)), DB_TEXT(buf_slice(spec))),
                    NULL);
}

/* What people set (tags) stays; a changed definition is no longer what was approved. */
static enum err change_tool(struct tx *tx, const struct server *s,
                            const Gatehouse__DirectTool *tool, const char *digest, struct slice id,
                            struct buf *spec)
{
    enum err e = spec_of(s, tool, "quarantined", digest, spec);
    if (e != ERR_OK)
        return e;
    return tx_query(tx,
                    "update tools set spec = spec || $2::jsonb, revision = revision + 1,"
                    " updated_at = now() where id = $1",
                    DB_PARAMS(DB_TEXT(id), DB_TEXT(buf_slice(spec))), NULL);
}

static enum err take_tool(struct tx *tx, const struct server *s, const Gatehouse__DirectTool *tool,
                          struct buf *spec)
{
    DB_AUTO struct db_result *r = NULL;
    char digest[DIGEST_HEX_MAX];
    if (!tool->name || tool->name[0] == '\0' || tool->digest.len != DIGEST_LEN ||
        !clean_is_plain(slice_str(tool->name)) || strlen(tool->name) > LIMIT_SPAN_TEXT)
        return ERR_OK; /* nothing that could be granted by name */
    digest_hex(slice_of(tool->digest.data, tool->digest.len), digest);
    enum err e = tx_query(tx,
                          "select id, spec ->> 'digest' from tools where server_id = $1"
                          " and name = $2 and deleted_at is null",
                          DB_PARAMS(DB_TEXT(s->id), DB_TEXT(slice_str(tool->name))), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return add_tool(tx, s, tool, digest, spec);
    if (slice_eq(db_text(r, 0, 1), slice_str(digest)))
        return ERR_OK;
    return change_tool(tx, s, tool, digest, db_text(r, 0, 0), spec);
}

enum err tool_report_store(struct db *db, struct slice org, const Gatehouse__ToolReport *report)
{
    struct server server;
    struct buf spec;
    if (!report->server_id || report->n_tools > TOOLS_MAX)
        return ERR_INVALID;
    if (report->error) {
        log_info(&tool_log, "list_failed", "server=%s org=%.*s", report->server_id, SLICE_ARG(org));
        return ERR_OK;
    }
    TX_AUTO struct tx tx = {0};
    buf_init(&spec, 2 * DESCRIPTION_MAX + 1024);
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = find_server(&tx, slice_str(report->server_id), &server);
    for (size_t i = 0; i < report->n_tools && e == ERR_OK; i++)
        e = take_tool(&tx, &server, report->tools[i], &spec);
    buf_fini(&spec);
    return e == ERR_OK ? tx_commit(&tx) : e;
}
