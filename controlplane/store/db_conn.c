/*
 * db_conn — opening and losing one connection; turning SQLSTATE into an err.
 */
#include "controlplane/store/db_conn.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

static const struct log_ctx db_log = {.component = "db"};

/* A server's notices ("relation exists, skipping") are not for our stderr. */
static void on_notice(UNUSED void *arg, UNUSED const PGresult *res)
{
}

/* TimeZone and DateStyle are start-up parameters that poolers track; rows are read as text,
 * so they must be known. The timeouts end a wait on a server that is lost without notice. */
static PGconn *connect_to(const char *url)
{
    static const char *const names[] = {"dbname",
                                        "connect_timeout",
                                        "tcp_user_timeout",
                                        "keepalives_idle",
                                        "keepalives_interval",
                                        "client_encoding",
                                        "fallback_application_name",
                                        NULL};
    const char *values[] = {url, "5", "15000", "10", "5", "UTF8", "gatehouse-controlplane", NULL};
    setenv("PGTZ", "UTC", 0);
    setenv("PGDATESTYLE", "ISO", 0);
    return PQconnectdbParams(names, values, 1);
}

static void copy_line(char *to, size_t cap, const char *from)
{
    size_t n = from == NULL ? 0 : strcspn(from, "\r\n");
    if (n >= cap)
        n = cap - 1;
    if (n > 0)
        memcpy(to, from, n);
    to[n] = '\0';
}

/* On failure `why` holds the first line of libpq's message, which never names the password. */
static enum err open_conn(const char *url, struct db_conn **ret, char why[static DB_ERROR_TEXT])
{
    struct db_conn *c = mem_zalloc(sizeof(*c));
    copy_line(why, DB_ERROR_TEXT, "out of memory");
    if (c == NULL)
        return ERR_NOMEM;
    c->pg = connect_to(url);
    if (c->pg == NULL || PQstatus(c->pg) != CONNECTION_OK) {
        copy_line(why, DB_ERROR_TEXT, PQerrorMessage(c->pg));
        db_conn_close(&c);
        return ERR_DATABASE;
    }
    *ret = c;
    return ERR_OK;
}

enum err db_check(const char *url, char why[static DB_ERROR_TEXT])
{
    struct db_conn *c = NULL;
    enum err e = open_conn(url, &c, why);
    db_conn_close(&c);
    return e;
}

enum err db_conn_open(const char *url, struct db_conn **ret)
{
    char why[DB_ERROR_TEXT];
    struct db_conn *c = NULL;
    enum err e = open_conn(url, &c, why);
    if (e == ERR_DATABASE)
        log_warn(&db_log, "database_connect_failed", "why=%s", why);
    if (e != ERR_OK)
        return e;
    PQsetNoticeReceiver(c->pg, on_notice, NULL);
    *ret = c;
    return ERR_OK;
}

void db_conn_close(struct db_conn **conn)
{
    struct db_conn *c = *conn;
    *conn = NULL;
    if (c == NULL)
        return;
    PQfinish(c->pg);
    mem_free(c);
}

void db_url_role(const char *url, char *out, size_t cap)
{
    *out = '\0';
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        if (strcmp(o->keyword, "user") == 0 && o->val != NULL)
            snprintf(out, cap, "%s", o->val);
    PQconninfoFree(options);
}

bool db_conn_alive(const struct db_conn *c)
{
    return PQstatus(c->pg) == CONNECTION_OK;
}

bool db_conn_is_idle(const struct db_conn *c)
{
    return db_conn_alive(c) && PQtransactionStatus(c->pg) == PQTRANS_IDLE;
}

const struct db_error *db_conn_error(const struct db_conn *c)
{
    return &c->error;
}

/* SQLSTATE (PostgreSQL appendix A): exact codes first, then classes */
static const struct {
    const char *prefix;
    enum err err;
} sqlstates[] = {
    {"23505", ERR_EXISTS},   /* unique_violation */
    {"23503", ERR_CONFLICT}, /* foreign_key_violation */
    {"23", ERR_INVALID},     /* other integrity constraints */
    {"22", ERR_INVALID},     /* data exceptions */
    {"40001", ERR_AGAIN},    /* serialization_failure */
    {"40P01", ERR_AGAIN},    /* deadlock_detected */
    {"55P03", ERR_AGAIN},    /* lock_not_available */
};

static enum err err_of_state(const char *state)
{
    for (size_t i = 0; i < ARRAY_LEN(sqlstates); i++)
        if (strncmp(state, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) == 0)
            return sqlstates[i].err;
    return ERR_DATABASE;
}

enum err db_conn_note(struct db_conn *c, const PGresult *res)
{
    struct db_error *x = &c->error;
    *x = (struct db_error){0};
    if (res == NULL) {
        copy_line(x->text, sizeof(x->text), PQerrorMessage(c->pg));
        return ERR_DATABASE;
    }
    copy_line(x->sqlstate, sizeof(x->sqlstate), PQresultErrorField(res, PG_DIAG_SQLSTATE));
    copy_line(x->constraint, sizeof(x->constraint),
              PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME));
    copy_line(x->table, sizeof(x->table), PQresultErrorField(res, PG_DIAG_TABLE_NAME));
    copy_line(x->column, sizeof(x->column), PQresultErrorField(res, PG_DIAG_COLUMN_NAME));
    copy_line(x->text, sizeof(x->text), PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
    enum err e = err_of_state(x->sqlstate);
    if (e == ERR_DATABASE)
        log_warn(&db_log, "statement_failed", "sqlstate=%s why=%s", x->sqlstate, x->text);
    return e;
}

enum err db_listen(struct db_conn *c, const char *channel)
{
    char *name = PQescapeIdentifier(c->pg, channel, strlen(channel));
    if (name == NULL)
        return ERR_NOMEM;
    char sql[128];
    int n = snprintf(sql, sizeof(sql), "LISTEN %s", name);
    PQfreemem(name);
    if (n < 0 || (size_t)n >= sizeof(sql))
        return ERR_INVALID;
    return db_query(c, sql, DB_NO_PARAMS, NULL);
}

static bool drain_notifications(struct db_conn *c)
{
    bool got = false;
    PGnotify *note;
    while ((note = PQnotifies(c->pg)) != NULL) {
        PQfreemem(note);
        got = true;
    }
    return got;
}

enum err db_wait_notify(struct db_conn *c, unsigned wait_ms, bool *ret)
{
    bool got = drain_notifications(c);
    if (!got) {
        struct pollfd p = {.fd = PQsocket(c->pg), .events = POLLIN};
        if (p.fd < 0)
            return ERR_DATABASE;
        if (poll(&p, 1, (int)wait_ms) > 0 && PQconsumeInput(c->pg) == 0)
            return ERR_DATABASE;
        got = drain_notifications(c);
    }
    if (!db_conn_alive(c))
        return ERR_DATABASE;
    *ret = got;
    return ERR_OK;
}
