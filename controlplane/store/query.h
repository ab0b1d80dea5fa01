/*
 * query — builds a statement with the conditions that the request names and no others, so that the
 * planner can choose an index for them.
 *
 * Only string constants go into the text; every value is a parameter.
 *
 * Owns     its text until query_fini. Values are lent until it is run.
 * Fails    the first failure stays in `error`, and query_run returns it.
 * Threads  one at a time.
 */
#pragma once

#include "controlplane/store/tx.h"

#define QUERY_TEXT_MAX (16 * 1024)

struct query {
    struct buf sql;
    struct db_param params[DB_PARAMS_MAX];
    size_t param_count;
    enum err error;
};

void query_init(struct query *q);
void query_fini(struct query *q);
void query_add(struct query *q, const char *text);
/* before, the number of a new parameter, after */
void query_value(struct query *q, const char *before, struct db_param value, const char *after);
MUST_USE enum err query_run(struct query *q, struct tx *tx, struct db_result **ret);

#define QUERY_AUTO __attribute__((cleanup(query_fini)))
