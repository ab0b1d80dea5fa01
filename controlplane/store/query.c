/* query — text and parameters grow together. */
#include "controlplane/store/query.h"

void query_init(struct query *q)
{
    *q = (struct query){.error = ERR_OK};
    buf_init(&q->sql, QUERY_TEXT_MAX);
}

void query_fini(struct query *q)
{
    buf_fini(&q->sql);
}

void query_add(struct query *q, const char *text)
{
    if (q->error == ERR_OK)
        q->error = buf_append(&q->sql, slice_str(text));
}

void query_value(struct query *q, const char *before, struct db_param value, const char *after)
{
    if (q->error == ERR_OK && q->param_count == DB_PARAMS_MAX)
        q->error = ERR_TOO_BIG;
    if (q->error == ERR_OK)
        q->error = buf_printf(&q->sql, "%s$%zu%s", before, q->param_count + 1, after);
    if (q->error == ERR_OK)
        q->params[q->param_count++] = value;
}

enum err query_run(struct query *q, struct tx *tx, struct db_result **ret)
{
    if (q->error == ERR_OK)
        q->error = buf_append(&q->sql, slice_of("", 1)); /* a NUL for libpq */
    return q->error == ERR_OK ? tx_query(tx, buf_slice(&q->sql).ptr, q->params, q->param_count, ret)
                              : q->error;
}
