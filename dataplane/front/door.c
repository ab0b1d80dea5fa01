/*
 * door — a head becomes a journey of the wing its path belongs to.
 *
 * Until a gate asks for the body nothing but the head has been read.
 */
#include "dataplane/front/door.h"

#include "common/base/mem.h"
#include "dataplane/front/answer.h"
#include "dataplane/front/routes.h"

struct door {
    struct journey_env *env;
    struct http_server *server;
    struct answers answers;
    struct buf path; /* of the request that is being taken in */
    bool removed;
};

static void answer_health(struct door *d, struct answer *a, struct slice path)
{
    const struct http_header type = {SLICE("content-type"), SLICE("text/plain")};
    bool alive = slice_eq(path, SLICE("/healthz"));
    bool good = alive || (d->env->policy && !d->env->draining);
    answer_directly(a, good ? 200 : 503, &type, 1, good ? SLICE("ok\n") : SLICE("not ready\n"));
}

/* Private detail is told on the private port only (security.md, Processes). */
static bool is_health(const struct http_head *h, struct slice path)
{
    return http_head_gets(h) &&
           (slice_eq(path, SLICE("/healthz")) || slice_eq(path, SLICE("/readyz")));
}

static void refuse_for_room(struct answer *a)
{
    const struct http_header after = {SLICE("retry-after"), SLICE("1")};
    answer_directly(a, 503, &after, 1, SLICE(""));
}

static void on_request(void *arg, struct http_exchange *x)
{
    static const struct http_exchange_events none;
    struct door *d = arg;
    struct answer *a = answer_new(&d->answers, x);
    if (!a) {
        http_exchange_bind(x, &none, NULL);
        http_answer_abort(x);
        return;
    }
    const struct http_head *head = http_exchange_head(x);
    struct slice path = SLICE_NONE, query = SLICE_NONE;
    buf_clear(&d->path);
    enum err e = http1_path(head->target, &d->path, &query);
    if (e == ERR_NOMEM) {
        refuse_for_room(a);
        return;
    }
    if (!e)
        path = buf_slice(&d->path);
    if (is_health(head, path)) {
        answer_health(d, a, path);
        return;
    }
    struct journey *j =
        journey_new(d->env, route_find(path, head->target), &answer_ops, a, head, http_exchange_peer(x));
    if (!j) {
        refuse_for_room(a);
        return;
    }
    a->j = j;
    j->path = path.len ? arena_copy(j->arena, path) : SLICE_NONE;
    j->query = query;
    if (path.len && !j->path.ptr)
        journey_refuse(j, REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (d->removed)
        journey_refuse(j, REFUSAL_REMOVED, SLICE_NONE);
    journey_start(j);
}

static const struct http_server_events server_events = {.on_request = on_request};

enum err door_open(const struct door_config *c, struct journey_env *env, struct door **ret)
{
    struct door *d = mem_zalloc(sizeof(*d));
    if (!d)
        return ERR_NOMEM;
    d->env = env;
    answers_init(&d->answers);
    buf_init(&d->path, 3 * LIMIT_HTTP_TARGET); /* a byte may become an escape of three */
    const struct http_server_config config = {
        .tls = c->tls,
        .body_max = LIMIT_AI_BODY,
        .head_ms = LIMIT_HEAD_MS,
        .body_gap_ms = LIMIT_BODY_GAP_MS,
        .keepalive_ms = LIMIT_KEEPALIVE_MS,
        .connections_max = c->connections_max,
    };
    enum err e = http_server_new(env->loop, &config, &server_events, d, &d->server);
    if (!e)
        e = http_server_listen(d->server, &c->listen);
    if (e) {
        http_server_free(d->server);
        mem_free(d);
        return e;
    }
    *ret = d;
    return ERR_OK;
}

uint16_t door_port(const struct door *d)
{
    return http_server_port(d->server);
}

size_t door_connections(const struct door *d)
{
    return http_server_connections(d->server);
}

void door_drain(struct door *d)
{
    http_server_drain(d->server);
}

void door_remove(struct door *d)
{
    d->removed = true;
}

static void destroy(void *arg)
{
    struct door *d = arg;
    answers_fini(&d->answers);
    buf_fini(&d->path);
    mem_free(d);
}

void door_close(struct door **d)
{
    if (!*d)
        return;
    http_server_free((*d)->server);
    loop_retire((*d)->env->loop, destroy, *d);
    *d = NULL;
}
