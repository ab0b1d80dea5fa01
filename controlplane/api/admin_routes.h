/*
 * routes — the one table of the admin API: dispatch, 405's Allow, roles and the OpenAPI
 * document all come from its rows.
 *
 * Rows for what this context keeps (teams, keys, …) are derived from the nouns' descriptors;
 * rows of their own stand in routes.c, beside the api_*.h whose handler they name.
 *
 * Owns     nothing; the table is constant after routes_init.
 * Threads  any.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum route_flags {
    ROUTE_PUBLIC = 1 << 0,   /* no token: health, enrolment */
    ROUTE_BODY = 1 << 1,     /* a JSON object is required */
    ROUTE_ANY_BODY = 1 << 2, /* a JSON object without members may come */
    ROUTE_WRITE = 1 << 3,    /* ?wait=applied, Idempotency-Key on POST */
    ROUTE_LIST = 1 << 4,     /* ?limit=&cursor= */
    ROUTE_TEXT = 1 << 5,     /* the answer is plain text */
    ROUTE_LATER = 1 << 6,    /* 202 where the work is not done yet */
};

struct route {
    const char *method;
    const char *path; /* "/admin/v1/sessions/{id}/spans" */
    unsigned roles;   /* set of enum role */
    enum err (*handle)(struct call *c);
    const char *help;   /* one line, into OpenAPI */
    const char *schema; /* of the answer, by name in OpenAPI's components; NULL: object */
    unsigned flags;
    const char *query; /* names beside limit, cursor and wait, comma-separated, each with the
                        * words it takes ("gate=ai|tool"), or with none: any; NULL: none */
    const struct noun *noun;
};

/* The next name of a route's query; *ret_words is empty where any value fits. */
bool route_query_next(struct slice *rest, struct slice *ret_name, struct slice *ret_words);

void routes_init(void); /* once, before threads */
const struct route *routes_all(size_t *ret_count);
/* NULL: no such path, or (where *allow was filled) not with this method. Fills c->params. */
const struct route *routes_find(struct call *c, struct buf *allow);
