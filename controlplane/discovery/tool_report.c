/* tool_report — the state of each tool by what is known of it. */
#include "controlplane/discovery/tool_report.h"

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/json.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "controlplane/store/clean.h"
#include "controlplane/store/store_listing.h"
#include "controlplane/store/store_tool.h"

#define DESCRIPTION_MAX 65536                                             /* as the noun's field */
#define ERROR_MAX 300                                                     /* a sentence */
#define SPEC_MAX (2 * LIMIT_LIST_DEFINITION + 2 * DESCRIPTION_MAX + 1024) /* twice: escapes */

static const struct log_ctx tool_log = {.component = "discovery"};

/* One report on its way into the tables. */
struct report_intake {
    struct tx tx;
    const struct tool_reporter *reporter;
    const Gatehouse__ToolReport *report;
    struct slice server;
    struct listing_state listing;
    struct buf spec;
};

/* ---- one tool ---- */

/* NULL: none was sent, or it is not one that can be stored. */
static json_t *definition_of(const Gatehouse__DirectTool *tool)
{
    struct json_problem problem;
    json_t *tree = NULL;
    if (!tool->definition || json_read(slice_str(tool->definition), &tree, &problem) != ERR_OK)
        return NULL;
    return tree;
}

static enum err spec_of(struct report_intake *t, const Gatehouse__DirectTool *tool,
                        const char *state, const char *digest)
{
    JSON_AUTO json_t *spec = json_object();
    JSON_AUTO json_t *definition = definition_of(tool);
    json_t *description = json_object_get(definition, "description");
    json_set_text(spec, "server", t->server);
    json_set_text(spec, "state", slice_str(state));
    json_set_text(spec, "digest", slice_str(digest));
    if (json_is_string(description) && json_string_length(description) <= DESCRIPTION_MAX)
        json_object_set(spec, "description", description);
    if (definition)
        json_object_set(spec, "definition", definition);
    buf_clear(&t->spec);
    return json_write(spec, &t->spec);
}

static enum err add_tool(struct report_intake *t, const Gatehouse__DirectTool *tool,
                         const char *digest)
{
    bool approved = !t->listing.listed && !t->listing.each;
    enum err e = spec_of(t, tool, approved ? "approved" : "pending", digest);
    if (e != ERR_OK)
        return e;
    return store_tool_add(&t->tx, slice_str(t->listing.org), slice_str(tool->name),
                          buf_slice(&t->spec));
}

/* A changed definition loses its approval. */
static enum err change_tool(struct report_intake *t, const Gatehouse__DirectTool *tool,
                            struct slice id, const char *digest)
{
    enum err e = spec_of(t, tool, "quarantined", digest);
    if (e != ERR_OK)
        return e;
    log_warn(&tool_log, "tool_quarantined", "server=%s tool=%s", t->listing.name, tool->name);
    return store_tool_change(&t->tx, id, buf_slice(&t->spec));
}

static enum err take_tool(struct report_intake *t, const Gatehouse__DirectTool *tool)
{
    struct stored_tool known;
    char digest[DIGEST_HEX_MAX];
    if (!tool->name || tool->name[0] == '\0' || tool->digest.len != DIGEST_LEN ||
        !clean_is_plain(slice_str(tool->name)) || strlen(tool->name) > LIMIT_LIST_NAME)
        return ERR_OK; /* left out: no grant could name it */
    digest_hex(slice_of(tool->digest.data, tool->digest.len), digest);
    enum err e = store_tool_lock(&t->tx, t->server, slice_str(tool->name), &known);
    if (e == ERR_NOT_FOUND)
        return add_tool(t, tool, digest);
    if (e != ERR_OK)
        return e;
    if (strcmp(known.digest, digest) != 0)
        return change_tool(t, tool, slice_str(known.id), digest);
    return known.absent ? store_tool_found_again(&t->tx, slice_str(known.id)) : ERR_OK;
}

/* ---- the list as a whole ---- */

static enum err mark_absent(struct report_intake *t)
{
    char at[CLOCK_TEXT_MAX];
    ARRAY_AUTO struct array names = {0};
    array_init(&names);
    for (size_t i = 0; i < t->report->n_names; i++)
        array_text(&names, slice_str(t->report->names[i]));
    return store_tools_absent(&t->tx, t->server, &names, clock_format(t->reporter->now_us, at));
}

/* A failure counts once: where its plane no longer holds the listing, the report came before, and
 * its reply was lost. */
static unsigned failures_with(const struct report_intake *t)
{
    bool again =
        t->listing.failures && !slice_eq(slice_str(t->listing.held_by), t->reporter->plane);
    return t->report->error ? t->listing.failures + !again : 0;
}

/* Spread by a tenth, so that servers listed together do not stay together. */
static int64_t next_at(const struct report_intake *t)
{
    int64_t wait = TOOL_REPORT_AGAIN_US;
    uint32_t random;
    digest_random(&random, sizeof(random));
    if (t->report->error) {
        wait = TOOL_REPORT_RETRY_US;
        for (unsigned i = 0; i + 1 < failures_with(t) && wait < TOOL_REPORT_AGAIN_US; i++)
            wait *= 2;
        wait = wait < TOOL_REPORT_AGAIN_US ? wait : TOOL_REPORT_AGAIN_US;
    }
    return t->reporter->now_us + wait - wait / 20 + (int64_t)(random % (uint32_t)(wait / 10));
}

static enum err end_listing(struct report_intake *t)
{
    struct buf error;
    buf_init(&error, 4 * ERROR_MAX);
    enum err e = ERR_OK;
    if (t->report->error)
        e = clean_utf8(&error, slice_str(t->report->error), ERROR_MAX);
    const struct listing_end end = {.server = t->server,
                                    .plane = t->reporter->plane,
                                    .error = t->report->error ? buf_slice(&error) : SLICE_NONE,
                                    .revision = t->report->revision,
                                    .ask = t->report->ask,
                                    .tools = (uint32_t)t->report->n_names,
                                    .left_out = t->report->left_out & INT32_MAX,
                                    .failures = failures_with(t),
                                    .at_us = t->reporter->now_us,
                                    .due_us = next_at(t),
                                    .pause_us = t->reporter->now_us + TOOL_REPORT_PAUSE_US};
    if (e == ERR_OK)
        e = store_listing_end(&t->tx, &end);
    if (e == ERR_OK && t->report->error)
        log_warn(&tool_log, "list_failed", "server=%s plane=%.*s why=%.*s", t->listing.name,
                 SLICE_ARG(t->reporter->plane), SLICE_ARG(buf_slice(&error)));
    buf_fini(&error);
    return e;
}

static enum err take_parts(struct report_intake *t)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < t->report->n_tools && e == ERR_OK; i++)
        e = take_tool(t, t->report->tools[i]);
    if (e == ERR_OK && t->report->complete && !t->report->error)
        e = mark_absent(t);
    if (e == ERR_OK && (t->report->complete || t->report->error))
        e = end_listing(t);
    return e;
}

enum err tool_report_store(struct db *db, const struct tool_reporter *reporter,
                           const Gatehouse__ToolReport *report)
{
    struct report_intake t = {
        .reporter = reporter, .report = report, .server = slice_str(report->server_id)};
    if (!report->server_id || !clean_is_plain(t.server) || report->n_tools > LIMIT_LIST_TOOLS ||
        report->n_names > LIMIT_LIST_TOOLS)
        return ERR_INVALID;
    buf_init(&t.spec, SPEC_MAX);
    enum err e = tx_begin(db, reporter->org, &t.tx);
    if (e == ERR_OK)
        e = store_listing_lock(&t.tx, t.server, &t.listing);
    if (e == ERR_OK && report->revision >= t.listing.revision)
        e = take_parts(&t);
    if (e == ERR_OK)
        e = tx_commit(&t.tx);
    tx_rollback(&t.tx);
    buf_fini(&t.spec);
    return e == ERR_NOT_FOUND ? ERR_OK : e; /* the server was deleted meanwhile */
}
