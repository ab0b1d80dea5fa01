/*
 * route — one row of the admin API: dispatch, 405's Allow, roles and the OpenAPI document all come
 * from it.
 *
 * Owns     nothing; constant.
 * Threads  any; pure.
 */
#pragma once

#include "controlplane/api/admin_call.h"

struct noun; /* controlplane/domain/noun.h */

enum route_flags {
    ROUTE_PUBLIC = 1 << 0,       /* no token: health, enrolment */
    ROUTE_BODY = 1 << 1,         /* a JSON object is required */
    ROUTE_ANY_BODY = 1 << 2,     /* a JSON object without members may come */
    ROUTE_WRITE = 1 << 3,        /* ?wait=applied, Idempotency-Key on POST */
    ROUTE_LIST = 1 << 4,         /* ?limit=&cursor= */
    ROUTE_TEXT = 1 << 5,         /* the response is plain text */
    ROUTE_LATER = 1 << 6,        /* 202 where the work is not done yet */
    ROUTE_FOREIGN_BODY = 1 << 7, /* with BODY: its members are none of this API's */
};

struct route {
    const char *method;
    const char *path; /* "/admin/v1/sessions/{id}/spans" */
    unsigned roles;   /* set of enum role */
    enum err (*handle)(struct call *c);
    const char *help;   /* one line, into OpenAPI */
    const char *schema; /* of the response, by name in OpenAPI's components; NULL: object */
    unsigned flags;
    const char *query; /* names beside limit, cursor and wait, comma-separated, each with the
                        * words it takes ("gate=ai|tool"), or with none: any; NULL: none */
    const struct noun *noun;
    const char *id; /* OpenAPI's operationId; NULL: from verb and noun */
};

/* The next name of a route's query; *ret_words is empty where any value fits. */
bool route_query_next(struct slice *rest, struct slice *ret_name, struct slice *ret_words);
