/*
 * trace_query — the query members that sessions, spans and spend share, read into a page.
 *
 * Fails    any error: the response is already a 400; the handler returns ERR_OK.
 */
#pragma once

#include "controlplane/api/admin_call.h"
#include "controlplane/store/store_trace.h"

/* tag keeps the cursor's id for as long as the page is used */
MUST_USE enum err trace_query_page(struct call *c, struct trace_page *ret, char tag[static ID_MAX]);
/* ?from=&to= under their names; 0 where absent, else the first is not after the second */
MUST_USE enum err trace_query_stretch(struct call *c, const char *from, const char *to,
                                      int64_t *ret_from, int64_t *ret_to);
/* What of ?model=&code=…, the searched attributes of common/trace, is there. */
MUST_USE enum err trace_query_spans(struct call *c, struct span_filter *ret);
/* {"items":…,"next":…}; consumes items */
MUST_USE enum err trace_query_respond(struct call *c, json_t **items,
                                      const struct trace_next *next);
