/* compile — rows of every noun that data planes know, as objects with what they depend on. */
#include "controlplane/policy/compile.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/policy/build.h"
#include "controlplane/store/array.h"
#include "controlplane/store/store_policy.h"
#include "controlplane/store/store_secret.h"

#define KINDS_MAX 64
#define SECRET_MAX (16 * 1024)

static const struct log_ctx compile_log = {.component = "compile"};

/* The transaction that rows are read in, and the builder of their messages. */
struct compiler {
    struct tx *tx;
    const struct seal *seal;
    struct builder builder;
};

static enum err open_secret(void *arg, const char *owner, const char *slot, struct buf *plain)
{
    struct compiler *c = arg;
    return store_secret_open(c->tx, c->seal, slice_str(owner), slice_str(slot), plain);
}

static enum err compiler_init(struct compiler *c, struct tx *tx, const struct seal *seal)
{
    c->tx = tx;
    c->seal = seal;
    return builder_init(&c->builder, open_secret, c);
}

static void compiler_fini(struct compiler *c)
{
    builder_fini(&c->builder);
}

/* ---- kinds ---- */

struct kinds {
    const struct noun *rows[KINDS_MAX];
    size_t count;
};

static int by_kind(const void *a, const void *b)
{
    return (*(const struct noun *const *)a)->kind - (*(const struct noun *const *)b)->kind;
}

/* The nouns that planes know, those that others refer to first. */
static void list_kinds(struct kinds *ret)
{
    size_t count = 0;
    const struct noun *const *nouns = noun_all(&count);
    ret->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (nouns[i]->kind == 0)
            continue;
        MUST(ret->count < KINDS_MAX);
        ret->rows[ret->count++] = nouns[i];
    }
    qsort(ret->rows, ret->count, sizeof(ret->rows[0]), by_kind);
}

/* ---- what an object depends on ---- */

struct traits {
    struct image_traits t;
    size_t pool_cap, ref_cap;
    bool short_of_memory;
};

static void *one_more(struct traits *x, void *rows, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return rows;
    void *grown = mem_realloc(rows, (*cap + 8) * size);
    if (!grown) {
        x->short_of_memory = true;
        return NULL;
    }
    *cap += 8;
    return grown;
}

static enum image_effect effect_of(const struct field *row)
{
    if ((row->flags & FIELD_NARROWS) != 0)
        return IMAGE_NARROWS;
    if ((row->flags & FIELD_ONE_OF) != 0)
        return IMAGE_ONE_OF;
    return (row->flags & FIELD_RESTRICTS) != 0 ? IMAGE_RESTRICTS : IMAGE_NEEDS;
}

static enum err add_pool(struct traits *x, struct slice id)
{
    void *rows = one_more(x, x->t.pools, x->t.pool_count, &x->pool_cap, ID_MAX);
    if (!rows)
        return ERR_NOMEM;
    x->t.pools = rows;
    snprintf(x->t.pools[x->t.pool_count++], ID_MAX, "%.*s", SLICE_ARG(id));
    return ERR_OK;
}

static enum err add_ref(void *arg, const struct field *row, struct slice id)
{
    struct traits *x = arg;
    int kind = noun_find(row->ref)->kind;
    if ((row->flags & FIELD_POOLS) != 0)
        return add_pool(x, id);
    if (kind == 0) /* planes know nothing of it */
        return ERR_OK;
    void *rows = one_more(x, x->t.refs, x->t.ref_count, &x->ref_cap, sizeof(struct image_ref));
    if (!rows)
        return ERR_NOMEM;
    x->t.refs = rows;
    struct image_ref *r = &x->t.refs[x->t.ref_count++];
    *r = (struct image_ref){.kind = kind, .effect = effect_of(row)};
    snprintf(r->id, sizeof(r->id), "%.*s", SLICE_ARG(id));
    return ERR_OK;
}

static enum err read_traits(const struct noun *n, const char *org, const char *name,
                            const json_t *spec, struct traits *x)
{
    x->t.org = org;
    x->t.needs = noun_needs(n, slice_str(name), spec);
    for (const struct field *f = n->fields; f->name != NULL; f++) {
        const json_t *v = json_object_get(spec, f->name);
        if ((f->flags & FIELD_POOLS) != 0 && json_is_array(v))
            x->t.has_pools = true;
        if ((f->flags & FIELD_SWITCH) != 0 && json_is_false(v))
            x->t.off = true;
    }
    return noun_each_ref(n, spec, add_ref, x);
}

static void traits_fini(struct traits *x)
{
    mem_free(x->t.pools);
    mem_free(x->t.refs);
}

/* ---- one object ---- */

static enum err add_deleted(struct image_delta *d, int kind, const char *id, uint64_t revision)
{
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    m.has_kind = m.has_revision = m.has_deleted = m.deleted = true;
    m.kind = (Gatehouse__ObjectKind)kind;
    m.id = (char *)(uintptr_t)id;
    m.revision = revision;
    return image_delta_add(d, &m, NULL);
}

/* The row as planes would receive it. The message points into the row, the tree and the builder.
 */
static enum err build_one(struct builder *b, const struct noun *n, const struct db_result *r,
                          size_t i, json_t **ret_spec, Gatehouse__PolicyObject *m)
{
    struct json_problem problem;
    m->id = (char *)(uintptr_t)db_cstr(r, i, 0);
    m->has_revision = true;
    m->revision = (uint64_t)db_int(r, i, 3);

    enum err e = json_read(db_text(r, i, 4), ret_spec, &problem);
    if (e != ERR_OK)
        return e;
    const struct build_row row = {.id = m->id,
                                  .org = db_cstr(r, i, 1),
                                  .name = db_cstr(r, i, 2),
                                  .created_at = db_int(r, i, 5),
                                  .spec = *ret_spec};
    return build_object(b, n, &row, m);
}

static enum err add_row(struct compiler *c, const struct noun *n, const struct db_result *r,
                        size_t i, struct image_delta *d)
{
    JSON_AUTO json_t *spec = NULL;
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    struct traits x = {0};
    char *needs[FEATURE_BITS];
    enum err e = build_one(&c->builder, n, r, i, &spec, &m);
    if (e == ERR_OK)
        e = read_traits(n, db_cstr(r, i, 1), db_cstr(r, i, 2), spec, &x);
    m.features = needs;
    m.n_features = feature_names(x.t.needs, needs);
    if (e == ERR_OK)
        e = image_delta_add(d, &m, &x.t);
    traits_fini(&x);
    builder_reset(&c->builder);
    if (e == ERR_INVALID || e == ERR_NOT_FOUND || e == ERR_TOO_BIG) {
        log_error(&compile_log, "object_withheld", "kind=%d id=%s why=%s", n->kind, m.id,
                  err_name(e));
        e = add_deleted(d, n->kind, m.id, m.revision);
    }
    return e;
}

static enum err add_rows(struct compiler *c, const struct noun *n, struct array *ids,
                         struct image_delta *d)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = store_policy_rows(c->tx, n->table, ids, &r);
    for (size_t i = 0; i < db_rows(r) && e == ERR_OK; i++)
        e = add_row(c, n, r, i, d);
    return e;
}

/* A value of the installation, opened. */
static enum err installation(struct compiler *c, const char *name, ProtobufCBinaryData *ret,
                             uint64_t *ret_revision)
{
    struct buf plain;
    buf_init(&plain, SECRET_MAX);
    enum err e = store_installation_get(c->tx, c->seal, name, &plain, ret_revision);
    if (e == ERR_OK)
        e = builder_keep(&c->builder, buf_slice(&plain), ret);
    if (plain.data)
        secret_wipe(plain.data, plain.cap);
    buf_fini(&plain);
    return e;
}

static enum err add_settings(struct compiler *c, struct image_delta *d)
{
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Settings settings = GATEHOUSE__SETTINGS__INIT;
    uint64_t key_revision = 0, seal_revision = 0;

    enum err e = installation(c, "key_hmac", &settings.key_hmac, &key_revision);
    if (e == ERR_OK)
        e = installation(c, "session_seal", &settings.session_seal, &seal_revision);
    if (e == ERR_OK) {
        settings.has_key_hmac = settings.has_session_seal = true;
        m.has_kind = m.has_revision = true;
        m.kind = GATEHOUSE__OBJECT_KIND__KIND_SETTINGS;
        m.id = (char *)"settings";
        m.revision = key_revision + seal_revision; /* either only grows */
        m.body_case = GATEHOUSE__POLICY_OBJECT__BODY_SETTINGS;
        m.settings = &settings;
        e = image_delta_add(d, &m, NULL);
    }
    builder_reset(&c->builder);
    return e;
}

/* ---- before a write is kept ---- */

static enum err measure(struct compiler *c, const struct noun *n, const struct db_result *r,
                        size_t *ret)
{
    JSON_AUTO json_t *spec = NULL;
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    enum err e = build_one(&c->builder, n, r, 0, &spec, &m);
    if (e == ERR_OK)
        *ret = gatehouse__policy_object__get_packed_size(&m);
    return e;
}

enum err compile_measure(struct tx *tx, const struct seal *seal, const struct noun *n,
                         struct slice id, size_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    ARRAY_AUTO struct array ids = {0};
    struct compiler c;
    *ret = 0;
    if (n->kind == 0) /* it is not sent to planes */
        return ERR_OK;
    array_init(&ids);
    array_text(&ids, id);
    enum err e = store_policy_rows(tx, n->table, &ids, &r);
    if (e != ERR_OK || db_rows(r) == 0)
        return e;
    e = compiler_init(&c, tx, seal);
    if (e != ERR_OK)
        return e;
    e = measure(&c, n, r, ret);
    compiler_fini(&c);
    return e;
}

/* ---- versions ---- */

static enum err read_head(struct tx *tx, struct image_delta *ret)
{
    _Static_assert(sizeof(ret->lineage) >= POLICY_LINEAGE_MAX, "it is copied as a whole");
    enum err e = store_policy_head(tx, &ret->to, ret->lineage);
    return e == ERR_NOT_FOUND ? ERR_DATABASE : e;
}

enum err compile_whole(struct tx *tx, const struct seal *seal, struct image_delta *ret)
{
    struct compiler c;
    struct kinds kinds;
    enum err e = compiler_init(&c, tx, seal);
    if (e != ERR_OK)
        return e;
    list_kinds(&kinds);
    ret->whole = true;
    e = read_head(tx, ret);
    if (e == ERR_OK)
        e = add_settings(&c, ret);
    for (size_t i = 0; i < kinds.count && e == ERR_OK; i++)
        e = add_rows(&c, kinds.rows[i], NULL, ret);
    compiler_fini(&c);
    return e;
}

/* Rows of a kind that the log names: those that live are built, the others are gone. */
static enum err add_changed(struct compiler *c, const struct noun *n, const struct db_result *log,
                            struct image_delta *d)
{
    ARRAY_AUTO struct array ids = {0};
    enum err e = ERR_OK;

    array_init(&ids);
    for (size_t i = 0; i < db_rows(log); i++)
        if (db_int(log, i, 0) == n->kind)
            array_text(&ids, db_text(log, i, 1));
    if (ids.count == 0)
        return ERR_OK;
    for (size_t i = 0; i < db_rows(log) && e == ERR_OK; i++)
        if (db_int(log, i, 0) == n->kind && !db_bool(log, i, 2))
            e = add_deleted(d, n->kind, db_cstr(log, i, 1), (uint64_t)db_int(log, i, 3));
    return e == ERR_OK ? add_rows(c, n, &ids, d) : e;
}

static bool names_settings(const struct db_result *log)
{
    for (size_t i = 0; i < db_rows(log); i++)
        if (db_int(log, i, 0) == GATEHOUSE__OBJECT_KIND__KIND_SETTINGS)
            return true;
    return false;
}

/* Versions that planes need not know of leave no row; rows are trimmed from the oldest version on.
 */
static enum err check_reach(struct tx *tx, uint64_t from)
{
    uint64_t oldest = 0;
    enum err e = store_policy_oldest(tx, &oldest);
    if (e != ERR_OK)
        return e;
    return oldest <= from + 1 ? ERR_OK : ERR_CONFLICT;
}

enum err compile_since(struct tx *tx, const struct seal *seal, const char *lineage, uint64_t from,
                       struct image_delta *ret)
{
    DB_AUTO struct db_result *log = NULL;
    struct compiler c;
    struct kinds kinds;

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
        e = store_policy_changes(tx, from, ret->to, &log);
    if (e == ERR_OK)
        e = compiler_init(&c, tx, seal);
    if (e != ERR_OK)
        return e;
    list_kinds(&kinds);
    for (size_t i = 0; i < kinds.count && e == ERR_OK; i++)
        e = add_changed(&c, kinds.rows[i], log, ret);
    if (e == ERR_OK && names_settings(log))
        e = add_settings(&c, ret);
    /* A version that changed nothing for planes still has to be sent as a delta, and one
     * without objects means "too large, fetch": an object they have is sent along. */
    if (e == ERR_OK && ret->objects.count == 0)
        e = add_settings(&c, ret);
    compiler_fini(&c);
    return e;
}
