/*
 * db_query — statements with parameters, and the rows they give.
 *
 * A result is libpq's own, under our name: no copy, no second allocation.
 */
#include <endian.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "controlplane/store/db_conn.h"

/* type numbers of pg_type.dat; they never change */
#define OID_BOOL 16
#define OID_BYTEA 17
#define OID_INT8 20
#define OID_TIMESTAMPTZ 1184
/* PostgreSQL counts from 2000-01-01; we from 1970-01-01 */
#define EPOCH_2000_US INT64_C(946684800000000)

/* Parameters as PQexecParams wants them. Texts must end in NUL, so they are copied once. */
struct wire {
    Oid types[DB_PARAMS_MAX];
    const char *values[DB_PARAMS_MAX];
    int lengths[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];
    uint64_t numbers[DB_PARAMS_MAX];
    char *texts;
};

static const PGresult *pg_of(const struct db_result *r)
{
    return (const PGresult *)(const void *)r;
}

static enum err text_room(const struct db_param *params, size_t n, size_t *ret)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        if (params[i].type != DB_TEXT_TYPE || params[i].bytes.ptr == NULL)
            continue;
        if (memchr(params[i].bytes.ptr, '\0', params[i].bytes.len) != NULL)
            return ERR_INVALID;
        total += params[i].bytes.len + 1;
    }
    *ret = total;
    return ERR_OK;
}

static void put_binary(struct wire *w, size_t i, Oid type, const void *value, size_t len)
{
    w->types[i] = type;
    w->values[i] = value;
    w->lengths[i] = (int)len;
    w->formats[i] = 1;
}

static void put_number(struct wire *w, size_t i, const struct db_param *p)
{
    if (p->type == DB_BOOL_TYPE) {
        memcpy(&w->numbers[i], (char[1]){p->number != 0}, 1);
        put_binary(w, i, OID_BOOL, &w->numbers[i], 1);
        return;
    }
    bool is_time = p->type == DB_TIME_TYPE;
    int64_t n = is_time ? p->number - EPOCH_2000_US : p->number;
    w->numbers[i] = htobe64((uint64_t)n);
    put_binary(w, i, is_time ? OID_TIMESTAMPTZ : OID_INT8, &w->numbers[i], 8);
}

static void put_param(struct wire *w, size_t i, const struct db_param *p, char **text)
{
    switch (p->type) {
    case DB_TEXT_TYPE:
        if (p->bytes.ptr == NULL)
            return;
        /* NOLINTBEGIN(clang-analyzer-core.*): texts is not NULL where a text is copied */
        if (p->bytes.len > 0)
            memcpy(*text, p->bytes.ptr, p->bytes.len);
        (*text)[p->bytes.len] = '\0';
        /* NOLINTEND(clang-analyzer-core.*) */
        w->values[i] = *text;
        *text += p->bytes.len + 1;
        return;
    case DB_BYTES_TYPE:
        w->types[i] = OID_BYTEA;
        if (p->bytes.ptr != NULL)
            put_binary(w, i, OID_BYTEA, p->bytes.ptr, p->bytes.len);
        return;
    case DB_INT_TYPE:
    case DB_BOOL_TYPE:
    case DB_TIME_TYPE:
        put_number(w, i, p);
        return;
    case DB_NULL_TYPE:
        return;
    }
}

static enum err wire_init(struct wire *w, const struct db_param *params, size_t n)
{
    MUST(n <= DB_PARAMS_MAX);
    size_t room = 0;
    enum err e = text_room(params, n, &room);
    if (e != ERR_OK)
        return e;
    *w = (struct wire){0};
    w->texts = room > 0 ? mem_alloc(room) : NULL;
    if (room > 0 && w->texts == NULL)
        return ERR_NOMEM;
    char *text = w->texts;
    for (size_t i = 0; i < n; i++)
        put_param(w, i, &params[i], &text);
    return ERR_OK;
}

static enum err finish(struct db_conn *c, PGresult *res, struct db_result **ret)
{
    ExecStatusType s = PQresultStatus(res);
    if (s != PGRES_TUPLES_OK && s != PGRES_COMMAND_OK) {
        enum err e = db_conn_note(c, res);
        PQclear(res);
        return e;
    }
    if (ret != NULL)
        *ret = (struct db_result *)(void *)res;
    else
        PQclear(res);
    return ERR_OK;
}

enum err db_query(struct db_conn *c, const char *sql, const struct db_param *params, size_t n,
                  struct db_result **ret)
{
    struct wire w;
    enum err e = wire_init(&w, params, n);
    if (e != ERR_OK)
        return e;
    PGresult *res = PQexecParams(c->pg, sql, (int)n, w.types, w.values, w.lengths, w.formats, 0);
    mem_free(w.texts);
    return finish(c, res, ret);
}

enum err db_script(struct db_conn *c, const char *sql)
{
    return finish(c, PQexec(c->pg, sql), NULL);
}

size_t db_rows(const struct db_result *r)
{
    return (size_t)PQntuples(pg_of(r));
}

size_t db_affected(const struct db_result *r)
{
    uint64_t n = 0;
    /* PQcmdTuples only reads, but its declaration lacks the const */
    if (slice_u64(slice_str(PQcmdTuples((PGresult *)(uintptr_t)pg_of(r))), &n) != ERR_OK)
        return 0;
    return n;
}

bool db_is_null(const struct db_result *r, size_t row, int col)
{
    return PQgetisnull(pg_of(r), (int)row, col) != 0;
}

struct slice db_text(const struct db_result *r, size_t row, int col)
{
    if (db_is_null(r, row, col))
        return SLICE_NONE;
    return slice_of(PQgetvalue(pg_of(r), (int)row, col),
                    (size_t)PQgetlength(pg_of(r), (int)row, col));
}

const char *db_cstr(const struct db_result *r, size_t row, int col)
{
    return PQgetvalue(pg_of(r), (int)row, col);
}

void db_copy(const struct db_result *r, size_t row, int col, char *out, size_t cap)
{
    snprintf(out, cap, "%s", db_cstr(r, row, col));
}

int64_t db_int(const struct db_result *r, size_t row, int col)
{
    int64_t n = 0;
    if (slice_i64(db_text(r, row, col), &n) != ERR_OK)
        return 0;
    return n;
}

bool db_bool(const struct db_result *r, size_t row, int col)
{
    return *db_cstr(r, row, col) == 't';
}

/* "2026-11-22 17:29:15.5+00" is RFC 3339 but for the space and the offset's missing minutes */
int64_t db_time(const struct db_result *r, size_t row, int col)
{
    struct slice s = db_text(r, row, col);
    char text[CLOCK_TEXT_MAX + 8];
    if (s.len < 3 || s.len >= CLOCK_TEXT_MAX || s.ptr[s.len - 3] != '+')
        return 0;
    memcpy(text, s.ptr, s.len);
    text[10] = 'T';
    text[s.len - 3] = 'Z';
    int64_t us = 0;
    if (clock_parse(slice_of(text, s.len - 2), &us) != ERR_OK)
        return 0;
    return us;
}

/* bytea_output=hex has been the default since 9.0: "\x" and two digits a byte */
enum err db_bytes(const struct db_result *r, size_t row, int col, struct buf *out)
{
    struct slice s = db_text(r, row, col);
    if (s.ptr == NULL)
        return ERR_OK;
    if (!slice_starts(s, SLICE("\\x")))
        return ERR_INVALID;
    s = slice_from(s, 2);
    if (s.len == 0)
        return ERR_OK;
    char *room = NULL;
    size_t len = 0;
    enum err e = buf_room(out, s.len / 2, &room);
    if (e == ERR_OK)
        e = digest_unhex(s, (uint8_t *)room, s.len / 2, &len);
    if (e == ERR_OK)
        buf_commit(out, len);
    return e;
}

void db_result_free(struct db_result *r)
{
    PQclear((PGresult *)(void *)r);
}
