/*
 * admin_call — one admin request while its handler runs, and the response that it builds.
 *
 * The listener has checked the head, the route table the path, admin_auth the caller; the body
 * is a strict JSON tree. A handler reads `call`, fills the response and returns:
 *   ERR_OK     the response is complete (a refusal is a response too)
 *   anything   the listener turns it into a problem: ERR_DATABASE and ERR_TIMEOUT 503,
 *              ERR_NOT_FOUND 404, ERR_AGAIN 409, others 500
 *
 * Owns     the body tree and the response. Slices are lent for the call.
 * Threads  one job thread.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/json.h"
#include "controlplane/api/admin_problem.h"
#include "controlplane/api/app.h"
#include "controlplane/domain/role.h"

/* the authenticated caller, for audit */
struct actor {
    char id[ID_MAX]; /* of the admin token */
    char name[80];
    enum role role;
    const char *role_name;
    char org_id[ID_MAX];
    char source[64]; /* address without port */
};

#define CALL_PARAMS_MAX 3
#define CALL_QUERY_MAX 40 /* above every route's names: each may come once */
#define CALL_HEADERS_MAX 12
#define CALL_RESPONSE_MAX (16u * 1024 * 1024) /* a page of large documents is made shorter */

struct call_pair {
    struct slice name;
    struct slice value;
};

struct call_header {
    const char *name;
    char value[256];
};

struct noun;

struct admin_auth;

struct call {
    const struct app *app;
    struct admin_auth *auth; /* counts wrong secrets by source; NULL: they are not counted */
    const struct route *route;
    const struct noun *noun; /* of the route; NULL where it has none */
    struct actor actor;
    struct slice method;
    struct slice path;                      /* canonical, without query */
    struct slice params[CALL_PARAMS_MAX];   /* the route's {…}, decoded */
    struct call_pair query[CALL_QUERY_MAX]; /* decoded; the route's known names only */
    size_t query_count;
    struct slice if_match; /* as sent, or none */
    struct slice idempotency_key;
    struct slice body_bytes; /* as sent */
    json_t *body;            /* NULL where the method has none */
    char request_id[40];

    struct buf text; /* what the slices above were decoded into */
    bool waits;      /* ?wait=applied */

    /* the response */
    unsigned status;
    const char *content_type;
    struct buf response;
    struct call_header headers[CALL_HEADERS_MAX];
    size_t header_count;
    uint64_t version; /* of the policy, for x-gatehouse-version; 0: no write */
};

/* value of ?name=; SLICE_NONE where absent */
struct slice call_query(const struct call *c, const char *name);
/* ?name= as a number within least..most; `otherwise` where absent. ERR_INVALID: the response is a
 * 400. */
MUST_USE enum err call_query_number(struct call *c, const char *name, uint64_t least, uint64_t most,
                                    uint64_t otherwise, uint64_t *ret);

/* Makes the tree the response body; consumes it (also on failure). */
MUST_USE enum err call_respond(struct call *c, unsigned status, json_t **tree);
/* text is copied and cut; only header names from constants */
void call_header(struct call *c, const char *name, const char *fmt, ...) PRINTF(3, 4);

/* RFC 9457. fmt: a sentence without secrets. Returns ERR_OK, so
 * that a handler ends with `return call_problem(…)`. Replaces a response set before. */
enum err call_problem(struct call *c, enum problem_id id, const char *fmt, ...) PRINTF(3, 4);
/* The same with members beside the sentence ("errors", "candidates"); consumes extra. */
enum err call_problem_with(struct call *c, enum problem_id id, json_t **extra, const char *fmt, ...)
    PRINTF(4, 5);

void call_init(struct call *c, const struct app *app);
void call_fini(struct call *c);
