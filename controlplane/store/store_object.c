/*
 * store_object — the statements of every noun. Table names come from descriptors, values only
 * as parameters.
 */
#include "controlplane/store/store_object.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "controlplane/domain/nouns.h"

#define SQL_MAX 640
#define THROUGH_SQL_MAX 320
#define COLUMNS "id, org_id, name, revision, created_at, updated_at, spec"

void object_fini(struct object *o)
{
    json_decref(o->spec);
    o->spec = NULL;
}

static void sql_for(char sql[static SQL_MAX], const char *fmt, const struct noun *n)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int len = snprintf(sql, SQL_MAX, fmt, n->table);
#pragma GCC diagnostic pop
    MUST(len > 0 && len < SQL_MAX);
}

static enum err object_of_row(const struct db_result *r, size_t row, struct object *o)
{
    *o = (struct object){0};
    db_copy(r, row, 0, o->id, sizeof(o->id));
    db_copy(r, row, 1, o->org_id, sizeof(o->org_id));
    db_copy(r, row, 2, o->name, sizeof(o->name));
    o->revision = (uint64_t)db_int(r, row, 3);
    o->created_us = db_time(r, row, 4);
    o->updated_us = db_time(r, row, 5);
    struct json_problem problem;
    return json_read(db_text(r, row, 6), &o->spec, &problem);
}

#define BY_ID "SELECT " COLUMNS " FROM %s WHERE deleted_at IS NULL AND id = $1"
#define BY_NAME                                                                                    \
    "SELECT " COLUMNS " FROM %s WHERE deleted_at IS NULL AND (id = $1 OR name = $1)"               \
    " ORDER BY id = $1 DESC LIMIT 2"

static const char *lookup_sql(const struct noun *n, bool lock)
{
    if ((n->flags & NOUN_UNNAMED) != 0)
        return lock ? BY_ID " FOR UPDATE" : BY_ID;
    return lock ? BY_NAME " FOR UPDATE" : BY_NAME;
}

enum err store_object_get(struct tx *tx, const struct noun *n, struct slice id_or_name, bool lock,
                          struct object *ret)
{
    char sql[SQL_MAX];
    sql_for(sql, lookup_sql(n, lock), n);
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, sql, DB_PARAMS(DB_TEXT(id_or_name)), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return ERR_NOT_FOUND;
    if (db_rows(r) > 1 && !slice_eq(db_text(r, 0, 0), id_or_name))
        return ERR_EXHAUSTED;
    return object_of_row(r, 0, ret);
}

static enum err json_text_of(const json_t *tree, struct buf *out)
{
    buf_init(out, 4u * 1024 * 1024);
    return json_write(tree, out);
}

static enum err rows_to_objects(const struct db_result *r, struct object **ret, size_t *found)
{
    size_t n = db_rows(r);
    struct object *rows = mem_array(n > 0 ? n : 1, sizeof(*rows));
    if (rows == NULL)
        return ERR_NOMEM;
    enum err e = ERR_OK;
    for (size_t i = 0; i < n && e == ERR_OK; i++)
        e = object_of_row(r, i, &rows[i]);
    if (e != ERR_OK) {
        store_object_page_free(rows, n);
        return e;
    }
    *ret = rows;
    *found = n;
    return ERR_OK;
}

/* The condition of a filter that also looks through another reference; names come from field rows.
 */
static void through_sql(const struct object_page *page, char out[static THROUGH_SQL_MAX])
{
    int n = 0;
    out[0] = '\0';
    if (page->through.field != NULL)
        n = snprintf(out, THROUGH_SQL_MAX,
                     " AND (spec ->> '%s' = $6 OR (spec ->> '%s' IS NULL AND spec ->> '%s' IN"
                     " (SELECT id FROM %s WHERE spec ->> '%s' = $6)))",
                     page->through.field, page->through.field, page->through.via,
                     page->through.table, page->through.field);
    else
        n = snprintf(out, THROUGH_SQL_MAX, " AND $6::text IS NULL");
    MUST(n > 0 && n < THROUGH_SQL_MAX);
}

enum err store_object_page(struct tx *tx, const struct noun *n, const struct object_page *page,
                           struct object **ret, size_t *found)
{
    char sql[SQL_MAX + THROUGH_SQL_MAX], through[THROUGH_SQL_MAX];
    through_sql(page, through);
    int len = snprintf(sql, sizeof(sql),
                       "SELECT " COLUMNS " FROM %s WHERE deleted_at IS NULL"
                       " AND ($1::text IS NULL OR (created_at, id) > ($2, $1))"
                       " AND ($3::text IS NULL OR name = $3)"
                       " AND ($4::jsonb IS NULL OR spec @> $4)%s"
                       " ORDER BY created_at, id LIMIT $5",
                       n->table, through);
    MUST(len > 0 && (size_t)len < sizeof(sql));
    struct buf match;
    buf_init(&match, 64 * 1024);
    enum err e = page->match != NULL ? json_text_of(page->match, &match) : ERR_OK;
    struct slice text = page->match != NULL ? buf_slice(&match) : SLICE_NONE;
    struct slice id = page->through.field != NULL ? slice_str(page->through.id) : SLICE_NONE;
    DB_AUTO struct db_result *r = NULL;
    if (e == ERR_OK)
        e = tx_query(tx, sql,
                     DB_PARAMS(DB_TEXT(page->after_id), DB_TIME(page->after_us),
                               DB_TEXT(page->name), DB_TEXT(text), DB_INT((int64_t)page->limit + 1),
                               DB_TEXT(id)),
                     &r);
    buf_fini(&match);
    return e == ERR_OK ? rows_to_objects(r, ret, found) : e;
}

void store_object_page_free(struct object *rows, size_t found)
{
    for (size_t i = 0; rows != NULL && i < found; i++)
        object_fini(&rows[i]);
    mem_free(rows);
}

static void take_stamp(const struct db_result *r, struct object *o)
{
    o->revision = (uint64_t)db_int(r, 0, 0);
    o->created_us = db_time(r, 0, 1);
    o->updated_us = db_time(r, 0, 2);
}

enum err store_object_insert(struct tx *tx, const struct noun *n, struct object *o)
{
    char sql[SQL_MAX];
    sql_for(sql,
            "INSERT INTO %s (id, org_id, name, spec, created_at, updated_at)"
            " SELECT $1, $2, $3, $4::jsonb, t, t FROM clock_timestamp() AS t"
            " RETURNING revision, created_at, updated_at",
            n);
    struct buf spec;
    enum err e = json_text_of(o->spec, &spec);
    DB_AUTO struct db_result *r = NULL;
    if (e == ERR_OK)
        e = tx_query(tx, sql,
                     DB_PARAMS(DB_TEXT(slice_str(o->id)), DB_TEXT(slice_str(o->org_id)),
                               DB_TEXT(slice_str(o->name)), DB_TEXT(buf_slice(&spec))),
                     &r);
    buf_fini(&spec);
    if (e == ERR_OK)
        take_stamp(r, o);
    return e;
}

enum err store_object_update(struct tx *tx, const struct noun *n, struct object *o)
{
    char sql[SQL_MAX];
    sql_for(sql,
            "UPDATE %s SET name = $2, spec = $3, revision = revision + 1,"
            " updated_at = clock_timestamp() WHERE id = $1 AND deleted_at IS NULL"
            " RETURNING revision, created_at, updated_at",
            n);
    struct buf spec;
    enum err e = json_text_of(o->spec, &spec);
    DB_AUTO struct db_result *r = NULL;
    if (e == ERR_OK)
        e = tx_query(tx, sql,
                     DB_PARAMS(DB_TEXT(slice_str(o->id)), DB_TEXT(slice_str(o->name)),
                               DB_TEXT(buf_slice(&spec))),
                     &r);
    buf_fini(&spec);
    if (e == ERR_OK && db_rows(r) == 0)
        e = ERR_NOT_FOUND;
    if (e == ERR_OK)
        take_stamp(r, o);
    return e;
}

enum err store_object_delete(struct tx *tx, const struct noun *n, const char *id)
{
    char sql[SQL_MAX];
    sql_for(sql,
            "UPDATE %s SET deleted_at = clock_timestamp(), updated_at = clock_timestamp(),"
            " revision = revision + 1 WHERE id = $1 AND deleted_at IS NULL",
            n);
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, sql, DB_PARAMS(DB_TEXT(slice_str(id))), &r);
    if (e == ERR_OK && db_affected(r) == 0)
        e = ERR_NOT_FOUND;
    return e;
}

enum err store_object_name_live(struct tx *tx, const struct noun *n, struct slice name,
                                const char *except, bool *ret)
{
    char sql[SQL_MAX];
    sql_for(sql,
            "SELECT 1 FROM %s WHERE name = $1 AND id <> $2 AND deleted_at IS NULL"
            " AND spec -> 'revoked' IS DISTINCT FROM 'true'::jsonb"
            " AND org_id = current_setting('gatehouse.org_id') LIMIT 1",
            n);
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, sql, DB_PARAMS(DB_TEXT(name), DB_TEXT(slice_str(except))), &r);
    *ret = e == ERR_OK && db_rows(r) > 0;
    return e;
}

enum err store_object_name_taken(struct tx *tx, const struct noun *n, struct slice name,
                                 const char *except, bool *ret_living, bool *ret_taken)
{
    char sql[SQL_MAX];
    sql_for(sql,
            "SELECT coalesce(bool_or(deleted_at IS NULL), false), count(*) > 0 FROM %s"
            " WHERE name = $1 AND id <> $2 AND org_id = current_setting('gatehouse.org_id')"
            " AND (deleted_at IS NULL OR deleted_at > now() - make_interval(days => $3::int))",
            n);
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(
        tx, sql, DB_PARAMS(DB_TEXT(name), DB_TEXT(slice_str(except)), DB_INT(OBJECT_RESERVED_DAYS)),
        &r);
    if (e != ERR_OK)
        return e;
    *ret_living = db_bool(r, 0, 0);
    *ret_taken = db_bool(r, 0, 1);
    return ERR_OK;
}

#define NAMES_SQL_MAX (8 * 1024)

/* Reads every noun that has names; row-level security of each table holds here too. */
static enum err names_sql(struct buf *sql)
{
    size_t count = 0;
    const struct noun *const *nouns = noun_all(&count);
    enum err e =
        buf_append(sql, SLICE("WITH wanted AS (SELECT DISTINCT jsonb_array_elements_text($1::jsonb)"
                              " AS id)"));
    const char *before = "";
    for (size_t i = 0; i < count && e == ERR_OK; i++) {
        if ((nouns[i]->flags & NOUN_UNNAMED) != 0)
            continue;
        e = buf_printf(sql, "%s SELECT n.id, n.name FROM %s n JOIN wanted USING (id)", before,
                       nouns[i]->table);
        before = " UNION ALL";
    }
    return e == ERR_OK ? buf_append(sql, slice_of("", 1)) : e;
}

enum err store_object_names(struct tx *tx, const json_t *ids, json_t **ret)
{
    json_t *names = json_object();
    if (names == NULL)
        return ERR_NOMEM;
    struct buf text, sql;
    enum err e = json_text_of(ids, &text);
    buf_init(&sql, NAMES_SQL_MAX);
    DB_AUTO struct db_result *r = NULL;
    if (e == ERR_OK)
        e = names_sql(&sql);
    if (e == ERR_OK && json_array_size(ids) > 0)
        e = tx_query(tx, buf_slice(&sql).ptr, DB_PARAMS(DB_TEXT(buf_slice(&text))), &r);
    buf_fini(&sql);
    buf_fini(&text);
    if (e != ERR_OK) {
        json_decref(names);
        return e;
    }
    for (size_t i = 0; r != NULL && i < db_rows(r); i++)
        json_object_set_new(names, db_cstr(r, i, 0), json_from(db_text(r, i, 1)));
    *ret = names;
    return ERR_OK;
}
