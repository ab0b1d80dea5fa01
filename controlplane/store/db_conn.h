/*
 * db_conn — one connection and the last error of the server. Used by db*.c only.
 *
 * Threads  one at a time.
 */
#pragma once

#include <libpq-fe.h>

#include "controlplane/store/db.h"

struct db_conn {
    PGconn *pg;
    struct db_error error;
};

/* alive and in no transaction: may go back into a pool */
bool db_conn_is_idle(const struct db_conn *c);
/* Keeps what the server said about a failed statement and says which err it is. res may be NULL. */
enum err db_conn_note(struct db_conn *c, const PGresult *res);
