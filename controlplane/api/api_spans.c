/*
 * api_spans — one page of spans.
 */
#include "controlplane/api/api_spans.h"

#include "controlplane/api/trace_query.h"

enum err api_spans_list(struct call *c)
{
    TX_AUTO struct tx tx = {0};
    struct trace_page page;
    struct trace_next next;
    char tag[ID_MAX];
    json_t *items = NULL;
    if (trace_query_page(c, &page, tag) != ERR_OK)
        return ERR_OK;
    struct span_filter filter;
    if (trace_query_spans(c, &filter) != ERR_OK)
        return ERR_OK;
    filter.newest_first = true;
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = store_spans_page(&tx, &page, &filter, &items, &next);
    return e == ERR_OK ? trace_query_respond(c, &items, &next) : e;
}
