/*
 * db — access to PostgreSQL: a bounded pool of connections, statements with parameters, rows.
 *
 * Only PQexecParams: no named statements and no session state, so that a pooler in
 * transaction mode may be used. Values never enter the text of a statement. Rows come
 * back as text and are read by column number.
 *
 * Owns     its connections and results. A result's slices live until db_result_free.
 * Fails    ERR_DATABASE when the server is away or refuses for no fault of the statement's
 *          data; ERR_EXISTS (unique), ERR_CONFLICT (foreign key), ERR_INVALID (check, type,
 *          range), ERR_AGAIN (serialization, deadlock, lock timeout). What the server said is
 *          in db_conn_error until the next statement. After a loss the pool returns
 *          ERR_DATABASE at once until its backoff (100 ms to 1 s) has passed.
 * Threads  the pool: any. A connection: one at a time.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/slice.h"

struct db;        /* a pool */
struct db_conn;   /* one connection */
struct db_result; /* rows of one statement */

#define DB_ERROR_TEXT 200

/* What the server said; texts are cut, never user data beyond names of the schema. */
struct db_error {
    char sqlstate[6]; /* "" when the connection was lost */
    char constraint[64];
    char table[64];
    char column[64];
    char text[DB_ERROR_TEXT]; /* the server's primary message, for the log */
};

/* Opens nothing yet: connections are made when taken. url is a libpq URL and is copied. */
MUST_USE enum err db_open(const char *url, unsigned max_connections, struct db **ret);
void db_close(struct db *d); /* every connection must have been given back */
/* Waits at most wait_ms for a free one: ERR_TIMEOUT; ERR_DATABASE when none can be made. */
MUST_USE enum err db_take(struct db *d, unsigned wait_ms, struct db_conn **ret);
void db_give(struct db *d, struct db_conn **conn); /* consumes; a broken one is closed */

struct db_counts {
    unsigned idle, taken, max;
    uint64_t busy; /* times that no connection became free in time */
    bool away;     /* the last attempt to connect failed */
};
void db_counts(struct db *d, struct db_counts *ret);

/* A connection outside any pool: LISTEN, migrations, long advisory locks (the direct URL). */
MUST_USE enum err db_conn_open(const char *url, struct db_conn **ret);
/* Connects once, and says in `why` what the server or libpq said where that failed: host, port and
 * role, never the password. */
MUST_USE enum err db_check(const char *url, char why[static DB_ERROR_TEXT]);
void db_conn_close(struct db_conn **conn); /* NULL inside is fine */
bool db_conn_alive(const struct db_conn *c);

/* the role that a URL signs in as; "" where the URL names none (libpq then uses the environment) */
void db_url_role(const char *url, char *out, size_t cap);

enum db_type { DB_NULL_TYPE, DB_TEXT_TYPE, DB_INT_TYPE, DB_BOOL_TYPE, DB_BYTES_TYPE, DB_TIME_TYPE };

struct db_param {
    enum db_type type;
    struct slice bytes;
    int64_t number;
};

#define DB_NULL ((struct db_param){.type = DB_NULL_TYPE})
/* text, and whatever the server reads from text: jsonb, arrays, enums. A NULL ptr is NULL. */
#define DB_TEXT(s) ((struct db_param){.type = DB_TEXT_TYPE, .bytes = (s)})
#define DB_INT(n) ((struct db_param){.type = DB_INT_TYPE, .number = (n)}) /* int8 */
#define DB_BOOL(b) ((struct db_param){.type = DB_BOOL_TYPE, .number = (b) ? 1 : 0})
/* bytea, sent binary. A NULL ptr is NULL. */
#define DB_BYTES(s) ((struct db_param){.type = DB_BYTES_TYPE, .bytes = (s)})
#define DB_TIME(us) ((struct db_param){.type = DB_TIME_TYPE, .number = (us)}) /* timestamptz */

#define DB_PARAMS_MAX 48
/* db_query(c, "… $1 … $2", DB_PARAMS(DB_TEXT(a), DB_INT(b)), &result) */
#define DB_PARAMS(...)                                                                             \
    (const struct db_param[]){__VA_ARGS__},                                                        \
        sizeof((const struct db_param[]){__VA_ARGS__}) / sizeof(struct db_param)
#define DB_NO_PARAMS NULL, 0

/* ret may be NULL where rows do not matter. */
MUST_USE enum err db_query(struct db_conn *c, const char *sql, const struct db_param *params,
                           size_t n, struct db_result **ret);
/* Several statements without parameters in one text: migrations only. */
MUST_USE enum err db_script(struct db_conn *c, const char *sql);
const struct db_error *db_conn_error(const struct db_conn *c);

size_t db_rows(const struct db_result *r);
size_t db_affected(const struct db_result *r); /* rows of INSERT, UPDATE, DELETE */
bool db_is_null(const struct db_result *r, size_t row, int col);
struct slice db_text(const struct db_result *r, size_t row, int col); /* SLICE_NONE for NULL */
const char *db_cstr(const struct db_result *r, size_t row, int col);  /* "" for NULL */
/* the text, cut to cap - 1 bytes; "" for NULL */
void db_copy(const struct db_result *r, size_t row, int col, char *out, size_t cap);
int64_t db_int(const struct db_result *r, size_t row, int col); /* 0 for NULL */
bool db_bool(const struct db_result *r, size_t row, int col);
int64_t db_time(const struct db_result *r, size_t row, int col); /* wall us; 0 for NULL */
/* appends the bytes of a bytea column */
MUST_USE enum err db_bytes(const struct db_result *r, size_t row, int col, struct buf *out);
void db_result_free(struct db_result *r); /* NULL is fine */

static inline void db_result_cleanup(struct db_result **r)
{
    db_result_free(*r);
}
/* straight-line code: DB_AUTO struct db_result *r = NULL; */
#define DB_AUTO __attribute__((cleanup(db_result_cleanup)))

/* LISTEN on a direct connection; then wait. *ret: a notification came. ERR_DATABASE: lost. */
MUST_USE enum err db_listen(struct db_conn *c, const char *channel);
MUST_USE enum err db_wait_notify(struct db_conn *c, unsigned wait_ms, bool *ret);
