/* compile — one table of kinds: where an object's rows lie, and who builds its message. */
#include "controlplane/policy/compile.h"

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "controlplane/policy/build.h"
#include "controlplane/store/array.h"
#include "controlplane/store/store_secret.h"

static const struct log_ctx compile_log = {.component = "compile"};

struct kind {
    Gatehouse__ObjectKind kind;
    const char *all;  /* every living row */
    const char *some; /* those with an id in $1 */
    build_fn *build;
};

#define ROW                                                                                        \
    "select id, org_id, name, revision, spec, (extract(epoch from created_at) * 1000000)::bigint"
#define KIND(word, table, fn)                                                                      \
    {                                                                                              \
        GATEHOUSE__OBJECT_KIND__KIND_##word, ROW " from " table " where deleted_at is null",       \
            ROW " from " table " where deleted_at is null and id = any($1::text[])", fn            \
    }

static const struct kind kinds[] = {
    KIND(TEAM, "teams", build_team),
    KIND(AGENT, "agents", build_agent),
    KIND(TASK, "tasks", build_task),
    KIND(KEY, "keys", build_key),
    KIND(PROVIDER, "providers", build_provider),
    KIND(MODEL, "models", build_model),
    KIND(MCP_SERVER, "mcp_servers", build_mcp_server),
    KIND(API_SERVICE, "api_services", build_api_service),
    KIND(GRANT, "grants", build_grant),
    KIND(BLOCK, "blocks", build_block),
};

/* ---- one object ---- */

static enum err add_deleted(struct image_delta *d, Gatehouse__ObjectKind kind, const char *id,
                            uint64_t revision)
{
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    m.has_kind = m.has_revision = m.has_deleted = m.deleted = true;
    m.kind = kind;
    m.id = (char *)id;
    m.revision = revision;
    return image_delta_add(d, &m);
}

/* The row as the planes would have it. The message points into the row, the tree and b. */
static enum err build_one(struct builder *b, const struct kind *k, const struct db_result *r,
                          size_t i, json_t **ret_spec, Gatehouse__PolicyObject *m)
{
    struct json_problem problem;
    m->has_kind = m->has_revision = true;
    m->kind = k->kind;
    m->id = (char *)db_cstr(r, i, 0);
    m->revision = (uint64_t)db_int(r, i, 3);

    enum err e = json_read(db_text(r, i, 4), ret_spec, &problem);
    if (e != ERR_OK)
        return e;
    const struct build_row row = {.id = m->id,
                                  .org = db_cstr(r, i, 1),
                                  .name = db_cstr(r, i, 2),
                                  .created_at = db_int(r, i, 5),
                                  .spec = *ret_spec};
    return k->build(b, &row, m);
}

static enum err add_row(struct builder *b, const struct kind *k, const struct db_result *r,
                        size_t i, struct image_delta *d)
{
    JSON_AUTO json_t *spec = NULL;
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    enum err e = build_one(b, k, r, i, &spec, &m);
    if (e == ERR_OK)
        e = image_delta_add(d, &m);
    builder_reset(b);
    if (e == ERR_INVALID || e == ERR_NOT_FOUND || e == ERR_TOO_BIG) {
        log_error(&compile_log, "object_withheld", "kind=%d id=%s why=%s", (int)k->kind, m.id,
                  err_name(e));
        e = add_deleted(d, k->kind, m.id, m.revision);
    }
    return e;
}

static enum err add_rows(struct builder *b, const struct kind *k, struct array *ids,
                         struct image_delta *d)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = ids ? tx_query(b->tx, k->some, DB_PARAMS(array_param(ids)), &r)
                     : tx_query(b->tx, k->all, DB_NO_PARAMS, &r);
    for (size_t i = 0; i < db_rows(r) && e == ERR_OK; i++)
        e = add_row(b, k, r, i, d);
    return e;
}

static enum err add_settings(struct builder *b, struct image_delta *d)
{
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Settings settings = GATEHOUSE__SETTINGS__INIT;
    uint64_t key_revision = 0, seal_revision = 0;

    enum err e = builder_installation(b, "key_hmac", &settings.key_hmac, &key_revision);
    if (e == ERR_OK)
        e = builder_installation(b, "session_seal", &settings.session_seal, &seal_revision);
    if (e == ERR_OK) {
        settings.has_key_hmac = settings.has_session_seal = true;
        m.has_kind = m.has_revision = true;
        m.kind = GATEHOUSE__OBJECT_KIND__KIND_SETTINGS;
        m.id = (char *)"settings";
        m.revision = key_revision + seal_revision; /* either only grows */
        m.body_case = GATEHOUSE__POLICY_OBJECT__BODY_SETTINGS;
        m.settings = &settings;
        e = image_delta_add(d, &m);
    }
    builder_reset(b);
    return e;
}

/* ---- before a write is kept ---- */

static enum err measure(struct builder *b, const struct kind *k, const struct db_result *r,
                        size_t *ret)
{
    JSON_AUTO json_t *spec = NULL;
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    enum err e = build_one(b, k, r, 0, &spec, &m);
    if (e == ERR_OK)
        *ret = gatehouse__policy_object__get_packed_size(&m);
    return e;
}

static enum err measure_row(struct tx *tx, const struct seal *seal, const struct kind *k,
                            struct slice id, size_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    ARRAY_AUTO struct array ids;
    struct builder b;
    array_init(&ids);
    array_text(&ids, id);
    enum err e = tx_query(tx, k->some, DB_PARAMS(array_param(&ids)), &r);
    if (e != ERR_OK || db_rows(r) == 0)
        return e;
    e = builder_init(&b, tx, seal);
    if (e != ERR_OK)
        return e;
    e = measure(&b, k, r, ret);
    builder_fini(&b);
    return e;
}

enum err compile_measure(struct tx *tx, const struct seal *seal, Gatehouse__ObjectKind kind,
                         struct slice id, size_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].kind == kind)
            return measure_row(tx, seal, &kinds[i], id, ret);
    return ERR_OK; /* planes are told nothing of it */
}

/* ---- versions ---- */

static enum err read_head(struct tx *tx, struct image_delta *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, "select lineage, version from policy_head", DB_NO_PARAMS, &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) != 1)
        return ERR_DATABASE;
    db_copy(r, 0, 0, ret->lineage, sizeof(ret->lineage));
    ret->to = (uint64_t)db_int(r, 0, 1);
    return ERR_OK;
}

enum err compile_whole(struct tx *tx, const struct seal *seal, struct image_delta *ret)
{
    struct builder b;
    enum err e = builder_init(&b, tx, seal);
    if (e != ERR_OK)
        return e;
    ret->whole = true;
    e = read_head(tx, ret);
    if (e == ERR_OK)
        e = add_settings(&b, ret);
    for (size_t i = 0; i < ARRAY_LEN(kinds) && e == ERR_OK; i++)
        e = add_rows(&b, &kinds[i], NULL, ret);
    builder_fini(&b);
    return e;
}

/* Rows of a kind that the log names: those that live are built, the others are gone. */
static enum err add_changed(struct builder *b, const struct kind *k, const struct db_result *log,
                            struct image_delta *d)
{
    ARRAY_AUTO struct array ids;
    enum err e = ERR_OK;

    array_init(&ids);
    for (size_t i = 0; i < db_rows(log); i++)
        if (db_int(log, i, 0) == (int64_t)k->kind)
            array_text(&ids, db_text(log, i, 1));
    if (ids.count == 0)
        return ERR_OK;
    for (size_t i = 0; i < db_rows(log) && e == ERR_OK; i++)
        if (db_int(log, i, 0) == (int64_t)k->kind && !db_bool(log, i, 2))
            e = add_deleted(d, k->kind, db_cstr(log, i, 1), (uint64_t)db_int(log, i, 3));
    return e == ERR_OK ? add_rows(b, k, &ids, d) : e;
}

static bool names_settings(const struct db_result *log)
{
    for (size_t i = 0; i < db_rows(log); i++)
        if (db_int(log, i, 0) == GATEHOUSE__OBJECT_KIND__KIND_SETTINGS)
            return true;
    return false;
}

/* $1 .. head: each object once, with what the log last said of it */
static const char changed[] =
    "select distinct on (kind, id) kind, id, op = 'put', version from change_log"
    " where version > $1 and version <= $2 order by kind, id, version desc";

/* Versions that planes need not know of leave no row; rows are only ever trimmed from the front. */
static enum err check_reach(struct tx *tx, uint64_t from)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, "select min(version) from change_log", DB_NO_PARAMS, &r);
    if (e != ERR_OK)
        return e;
    return (uint64_t)db_int(r, 0, 0) <= from + 1 ? ERR_OK : ERR_CONFLICT;
}

enum err compile_since(struct tx *tx, const struct seal *seal, const char *lineage, uint64_t from,
                       struct image_delta *ret)
{
    DB_AUTO struct db_result *log = NULL;
    struct builder b;

    enum err e = read_head(tx, ret);
    ret->from = from;
    if (e != ERR_OK)
        return e;
    if (strcmp(ret->lineage, lineage) != 0 || ret->to < from)
        return ERR_CONFLICT;
    if (ret->to == from)
        return ERR_OK;
    e = check_reach(tx, from);
    if (e == ERR_OK)
        e = tx_query(tx, changed, DB_PARAMS(DB_INT((int64_t)from), DB_INT((int64_t)ret->to)), &log);
    if (e == ERR_OK)
        e = builder_init(&b, tx, seal);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(kinds) && e == ERR_OK; i++)
        e = add_changed(&b, &kinds[i], log, ret);
    if (e == ERR_OK && names_settings(log))
        e = add_settings(&b, ret);
    /* A version that changed nothing for planes still has to be told as a delta, and one
     * without objects means "too large, fetch": an object they have is sent along. */
    if (e == ERR_OK && ret->count == 0)
        e = add_settings(&b, ret);
    builder_fini(&b);
    return e;
}
