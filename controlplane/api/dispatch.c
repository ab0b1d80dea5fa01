/*
 * dispatch — the checks every request passes, in order.
 */
#include "controlplane/api/dispatch.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/utf8.h"
#include "controlplane/api/percent.h"
#include "controlplane/domain/field_value.h"
#include "controlplane/domain/noun.h"
#include "controlplane/policy/rollout.h"
#include "controlplane/store/store_idempotency.h"

static const struct log_ctx api_log = {.component = "api"};

/* Turns what a handler or a check returned into a response. */
static void respond_with_failure(struct call *c, enum err e)
{
    enum err said;
    switch (e) {
    case ERR_OK:
    case ERR_DENIED: /* the response is set */
        return;
    case ERR_TIMEOUT: /* no connection of the pool came free in time */
        call_header(c, "retry-after", "1");
        said = call_problem(c, PROBLEM_BUSY, "other requests keep the database busy: try again");
        break;
    case ERR_DATABASE:
    case ERR_EXHAUSTED:
        call_header(c, "retry-after", "1");
        said = call_problem(c, PROBLEM_DATABASE_AWAY, "the database is away: try again");
        break;
    case ERR_AGAIN:
        said = call_problem(c, PROBLEM_CHANGING, "another request is changing this: try again");
        break;
    case ERR_NOT_FOUND:
        said = call_problem(c, PROBLEM_NOT_FOUND, "no such thing");
        break;
    default:
        log_error(&api_log, "request_failed", "route=%s why=%s",
                  c->route != NULL ? c->route->path : "", err_name(e));
        said = call_problem(c, PROBLEM_INTERNAL, "this failed on our side; the log says why");
    }
    if (said != ERR_OK)
        c->status = 500; /* no memory even for the sentence */
}

/* ---- head ---- */

/* *ret_words: what it may say, where that is limited */
static bool is_known(const struct route *r, struct slice name, struct slice *ret_words)
{
    bool list = (r->flags & ROUTE_LIST) != 0, write = (r->flags & ROUTE_WRITE) != 0;
    struct slice rest = slice_str(r->query), one;
    *ret_words = SLICE("");
    if (list && (slice_eq(name, SLICE("limit")) || slice_eq(name, SLICE("cursor"))))
        return true;
    if (write && slice_eq(name, SLICE("wait")))
        return true;
    while (r->query != NULL && route_query_next(&rest, &one, ret_words))
        if (slice_eq(name, one))
            return true;
    *ret_words = SLICE("");
    if (!list || r->noun == NULL)
        return false;
    if (slice_eq(name, SLICE("name")))
        return true;
    for (const struct field *f = r->noun->fields; f->name != NULL; f++)
        if (field_filters(f) && slice_eq(name, slice_str(f->name)))
            return true;
    return false;
}

static bool is_one_of(struct slice words, struct slice value)
{
    struct slice one;
    while (slice_split(&words, '|', &one))
        if (slice_eq(one, value))
            return true;
    return false;
}

static enum err bad_query(struct call *c, const char *why)
{
    enum err e = call_problem(c, PROBLEM_BAD_PARAMETER, "%s", why);
    return e == ERR_OK ? ERR_DENIED : e;
}

static enum err named_query(struct call *c, struct slice name, const char *what)
{
    char why[160];
    snprintf(why, sizeof(why), "?%.*s= %s",
             (int)utf8_whole(name.ptr, name.len < 60 ? name.len : 60), name.ptr, what);
    return bad_query(c, why);
}

static enum err bad_word(struct call *c, struct slice name, struct slice words)
{
    char why[200];
    struct slice one;
    int n = snprintf(why, sizeof(why), "?%.*s= must be one of", SLICE_ARG(name));
    for (const char *gap = ": "; (size_t)n < sizeof(why) && slice_split(&words, '|', &one);
         gap = ", ")
        n += snprintf(why + n, sizeof(why) - (size_t)n, "%s%.*s", gap, SLICE_ARG(one));
    return bad_query(c, why);
}

static enum err add_known(struct buf *list, struct slice name)
{
    return buf_printf(list, "%s?%.*s=", list->len > 0 ? ", " : "", SLICE_ARG(name));
}

/* Every name that the route takes, as is_known checks them. */
static enum err list_known(const struct route *r, struct buf *list)
{
    struct slice rest = slice_str(r->query), one, words;
    bool is_list = (r->flags & ROUTE_LIST) != 0;
    enum err e = ERR_OK;
    while (e == ERR_OK && r->query != NULL && route_query_next(&rest, &one, &words))
        e = add_known(list, one);
    if (e == ERR_OK && is_list)
        e = buf_printf(list, "%s?limit=, ?cursor=", list->len > 0 ? ", " : "");
    if (e == ERR_OK && (r->flags & ROUTE_WRITE) != 0)
        e = add_known(list, SLICE("wait"));
    if (e == ERR_OK && is_list && r->noun != NULL)
        e = add_known(list, SLICE("name"));
    for (const struct field *f = is_list && r->noun != NULL ? r->noun->fields : NULL;
         e == ERR_OK && f != NULL && f->name != NULL; f++)
        if (field_filters(f))
            e = add_known(list, slice_str(f->name));
    return e;
}

static enum err unknown_parameter(struct call *c, struct slice name)
{
    char why[320];
    struct buf known;
    buf_init(&known, sizeof(why));
    if (list_known(c->route, &known) != ERR_OK || known.len == 0)
        snprintf(why, sizeof(why), "this path has no parameter \"%.*s\"%s",
                 (int)utf8_whole(name.ptr, name.len < 60 ? name.len : 60), name.ptr,
                 known.len == 0 ? "; it takes none" : "");
    else
        snprintf(why, sizeof(why), "this path has no parameter \"%.*s\"; it takes %.*s",
                 (int)utf8_whole(name.ptr, name.len < 60 ? name.len : 60), name.ptr,
                 SLICE_ARG(buf_slice(&known)));
    buf_fini(&known);
    return bad_query(c, why);
}

static enum err read_pair(struct call *c, struct slice part)
{
    struct call_pair pair = {0};
    struct slice words;
    ptrdiff_t at = slice_find(part, '=');
    struct slice name = at < 0 ? part : slice_first(part, (size_t)at);
    struct slice value = at < 0 ? SLICE("") : slice_from(part, (size_t)at + 1);
    if (percent_decode(name, true, &c->text, &pair.name) != ERR_OK ||
        percent_decode(value, true, &c->text, &pair.value) != ERR_OK)
        return bad_query(c, "the query is not properly encoded");
    if (!is_known(c->route, pair.name, &words))
        return unknown_parameter(c, pair.name);
    if (words.len > 0 && !is_one_of(words, pair.value))
        return bad_word(c, pair.name, words);
    if (pair.value.len == 0)
        return named_query(c, pair.name, "must not be empty");
    for (size_t i = 0; i < c->query_count; i++)
        if (slice_eq(c->query[i].name, pair.name))
            return named_query(c, pair.name, "came twice");
    if (c->query_count == CALL_QUERY_MAX)
        return bad_query(c, "the query has too many parameters");
    c->query[c->query_count++] = pair;
    return ERR_OK;
}

static enum err read_query(struct call *c, struct slice query)
{
    struct slice part;
    while (slice_split(&query, '&', &part)) {
        enum err e = part.len > 0 ? read_pair(c, part) : ERR_OK;
        if (e != ERR_OK)
            return e;
    }
    if ((c->route->flags & ROUTE_WRITE) == 0)
        return ERR_OK; /* other values of ?wait= are read by the handler */
    struct slice wait = call_query(c, "wait");
    if (wait.ptr != NULL && !slice_eq(wait, SLICE("applied")))
        return bad_query(c, "?wait= can only be \"applied\"");
    c->waits = wait.ptr != NULL;
    return ERR_OK;
}

static enum err find_route(struct call *c)
{
    struct buf allow;
    buf_init(&allow, 256);
    c->route = routes_find(c, &allow);
    enum err e = ERR_OK;
    if (c->route == NULL && allow.len > 0) {
        call_header(c, "allow", "%.*s", SLICE_ARG(buf_slice(&allow)));
        e = call_problem(c, PROBLEM_METHOD_NOT_ALLOWED, "this path has other methods: see Allow");
    } else if (c->route == NULL) {
        e = call_problem(
            c, PROBLEM_NO_SUCH_PATH,
            "no resource has this path; GET /admin/v1/openapi.json lists all that there are");
    }
    buf_fini(&allow);
    if (c->route == NULL)
        return e == ERR_OK ? ERR_DENIED : e;
    c->noun = c->route->noun;
    return ERR_OK;
}

static enum err read_target(struct call *c, struct slice target)
{
    ptrdiff_t at = slice_find(target, '?');
    struct slice query = at < 0 ? SLICE("") : slice_from(target, (size_t)at + 1);
    char *room = NULL;
    c->path = at < 0 ? target : slice_first(target, (size_t)at);
    /* reserved at once: slices into it must not move. Decoding never makes text longer. */
    buf_init(&c->text, target.len + 1);
    enum err e = buf_room(&c->text, target.len + 1, &room);
    if (e == ERR_OK)
        e = find_route(c);
    for (size_t i = 0; i < CALL_PARAMS_MAX && e == ERR_OK; i++)
        if (c->params[i].len > 0 &&
            percent_decode(c->params[i], false, &c->text, &c->params[i]) != ERR_OK)
            e = call_problem(c, PROBLEM_NOT_FOUND, "no such %s",
                             c->noun != NULL ? c->noun->name : "thing") == ERR_OK
                    ? ERR_DENIED
                    : ERR_NOMEM;
    return e == ERR_OK ? read_query(c, query) : e;
}

static enum err check_role(struct call *c)
{
    if ((c->route->roles & c->actor.role) != 0)
        return ERR_OK;
    enum err e = call_problem(c, PROBLEM_ROLE_NOT_ALLOWED, "the role %s may not do this",
                              c->actor.role_name);
    return e == ERR_OK ? ERR_DENIED : e;
}

static bool is_json(struct slice type)
{
    ptrdiff_t semicolon = slice_find(type, ';');
    type = slice_trim(semicolon < 0 ? type : slice_first(type, (size_t)semicolon));
    return slice_ieq(type, SLICE("application/json")) ||
           slice_ieq(type, SLICE("application/merge-patch+json"));
}

static enum err check_media(struct call *c, const struct dispatch_head *h)
{
    enum err e = ERR_OK;
    if (h->has_body && (c->route->flags & (ROUTE_PUBLIC | ROUTE_BODY)) == ROUTE_PUBLIC)
        e = call_problem(c, PROBLEM_TOO_LARGE, "no body is read here");
    else if (h->doubled != NULL)
        e = call_problem(c, PROBLEM_DOUBLED_HEADER, "the header %s came twice", h->doubled);
    else if (h->if_match.ptr != NULL && slice_trim(h->if_match).len == 0)
        e = call_problem(c, PROBLEM_BAD_IF_MATCH, "If-Match is empty: it is an entity tag, or *");
    else if (h->content_encoding.ptr != NULL && !slice_ieq(h->content_encoding, SLICE("identity")))
        e = call_problem(c, PROBLEM_ENCODED_BODY, "encoded bodies are not read");
    else if (h->has_body && h->content_type.ptr != NULL && !is_json(h->content_type))
        e = call_problem(c, PROBLEM_NOT_JSON, "the body must be application/json");
    else if (h->idempotency_key.len > IDEMPOTENCY_KEY_MAX ||
             (h->idempotency_key.ptr != NULL && h->idempotency_key.len == 0))
        e = call_problem(c, PROBLEM_BAD_IDEMPOTENCY_KEY, "Idempotency-Key has 1 to %d bytes",
                         IDEMPOTENCY_KEY_MAX);
    else
        return ERR_OK;
    return e == ERR_OK ? ERR_DENIED : e;
}

bool dispatch_head(struct call *c, struct admin_auth *auth, const struct dispatch_head *h)
{
    char random[8];
    enum err e;
    digest_random(random, sizeof(random));
    memcpy(c->request_id, "req_", 4);
    digest_hex(slice_of(random, sizeof(random)), c->request_id + 4);
    c->method = h->method;
    c->if_match = h->if_match;
    c->idempotency_key = h->idempotency_key;
    e = read_target(c, h->target);
    if (e == ERR_OK && (c->route->flags & ROUTE_PUBLIC) == 0)
        e = admin_auth_check(auth, c, h->authorization, clock_mono_us());
    if (e == ERR_OK && (c->route->flags & ROUTE_PUBLIC) == 0)
        e = check_role(c);
    if (e == ERR_OK)
        e = check_media(c, h);
    respond_with_failure(c, e);
    return e == ERR_OK;
}

/* ---- body ---- */

static bool has_members(const json_t *object)
{
    return json_object_size(object) > 0;
}

/* An action takes no members: each member is refused by name, and none is ignored. */
static enum err refuse_members(struct call *c)
{
    struct reading r = {0};
    const char *name;
    json_t *value;
    json_object_foreach(c->body, name, value)
    {
        char at[FIELD_POINTER_MAX];
        field_pointer("", name, at);
        reading_problem(&r, at, "unknown field: this action takes none");
    }
    json_t *extra = json_object();
    json_object_set(extra, "errors", r.problems);
    reading_fini(&r);
    return call_problem_with(c, PROBLEM_INVALID_DOCUMENT, &extra,
                             "the document does not fit: see errors");
}

static enum err read_body(struct call *c, struct slice body)
{
    unsigned flags = c->route->flags;
    struct json_problem problem = {{0}};
    c->body_bytes = body;
    if ((flags & (ROUTE_BODY | ROUTE_ANY_BODY)) == 0)
        return ERR_OK;
    if (body.len == 0 && (flags & ROUTE_ANY_BODY) != 0)
        return ERR_OK;
    enum err e = json_read(body, &c->body, &problem);
    if (e == ERR_INVALID || e == ERR_TOO_BIG)
        e = call_problem(c, PROBLEM_BAD_JSON, "%s",
                         body.len == 0 ? "a JSON object is needed" : problem.text);
    else if (e != ERR_OK)
        return e;
    else if (json_is_object(c->body) && ((flags & ROUTE_ANY_BODY) == 0 || !has_members(c->body)))
        return ERR_OK;
    else if (json_is_object(c->body))
        e = refuse_members(c);
    else {
        json_t *extra =
            json_pack("{s:[{s:s,s:s}]}", "errors", "pointer", "", "detail", "must be an object");
        e = call_problem_with(c, PROBLEM_INVALID_DOCUMENT, &extra, "the body must be an object");
    }
    return e == ERR_OK ? ERR_DENIED : e;
}

static void note_write(struct call *c)
{
    const struct log_ctx log = {.component = "api", .request_id = slice_str(c->request_id)};
    call_header(c, "x-gatehouse-version", "%llu", (unsigned long long)c->version);
    log_info(&log, "policy_written", "method=%.*s path=%.*s version=%llu by=%s",
             SLICE_ARG(c->method), SLICE_ARG(c->path), (unsigned long long)c->version, c->actor.id);
}

void dispatch_body(struct call *c, struct slice body)
{
    enum err e = read_body(c, body);
    if (e == ERR_OK)
        e = c->route->handle(c);
    respond_with_failure(c, e);
    if (c->version > 0)
        note_write(c);
}

bool dispatch_holds(const struct call *c)
{
    return c->waits && c->version > 0 && c->app->rollout != NULL;
}

void dispatch_hold(struct call *c, unsigned ms)
{
    struct buf behind;
    buf_init(&behind, 4096);
    enum err e = rollout_wait(c->app->rollout, c->version, ms, &behind);
    if (e == ERR_OK)
        call_header(c, "x-gatehouse-applied", "all");
    else
        call_header(c, "x-gatehouse-applied", "behind=%.*s", SLICE_ARG(buf_slice(&behind)));
    buf_fini(&behind);
}
