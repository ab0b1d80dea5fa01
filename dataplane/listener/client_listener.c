/*
 * client_listener — a head becomes a request of the gate its path belongs to. Until a filter reads
 * the body nothing but the head has been read.
 *
 * Then the adapter: one exchange with a client as a request sees it: client_ops, the source of its
 * body, and the last sink of its response. The exchange and the request do not end together: the
 * client may hang up first, or the request may be over before its last byte is out. What the
 * connection does not take yet is held, up to LIMIT_RESPONSE_HELD, and leaves as the client reads;
 * a client that lets more pile up is cut off, as a response with a hole must not look whole.
 *
 * A response of status 101 makes it a WebSocket (common/net/websocket.h): what the client sends
 * goes through it to the request, message by message, and back. It outlives the request until the
 * client has heard the last message and the close.
 */
#include "dataplane/listener/client_listener.h"

#include "common/base/mem.h"
#include "common/net/origin_list.h"
#include "common/net/websocket.h"
#include "dataplane/ai/ai_gate.h"
#include "dataplane/ai/passthrough/passthrough_gate.h"
#include "dataplane/api/api_gate.h"
#include "mcp-gateway/tool_gate.h"

#define SPARE_MAX 1024
#define SPARE_HELD (16 * 1024) /* a larger buffer's memory goes back to the heap */

struct http_adapters { /* of one listener */
    struct list spare;
    size_t spare_count;
};

struct http_adapter {
    struct list link;
    struct client client;
    struct http_adapters *home;
    struct http_exchange *x;     /* NULL: the client is gone */
    struct request *rq;          /* NULL: none, or it is over */
    bool *gone;                  /* set where the client goes inside a call of ours */
    struct buf held;             /* what the connection does not take yet */
    bool ending;                 /* and then the response ends */
    struct websocket *websocket; /* NULL: it is none, or it is over */
    bool upgraded;               /* it is one, or was */
    struct http_header *headers; /* of the 101, until it is sent; in the request's arena */
    size_t header_count;
};

static void http_adapters_init(struct http_adapters *a);
static void http_adapters_fini(struct http_adapters *a);
/* NULL: out of memory */
static struct http_adapter *http_adapter_new(struct http_adapters *home, struct http_exchange *x);
/* A response that needs no request; a is not touched afterwards. */
static void http_adapter_send(struct http_adapter *a, unsigned status,
                              const struct http_header *headers, size_t n, struct slice body);

/* ---- the table of gates, and the gate of a path that none serves ---- */

static enum filter_result on_nowhere(struct request *rq)
{
    if (rq->path.len)
        request_refuse(rq, REFUSAL_PATH_UNKNOWN,
                       SLICE("models are at /v1/, MCP servers at /mcp and /mcp/{server}, services "
                             "at /api/{service}/"));
    else
        request_refuse(rq, REFUSAL_BAD_PATH, SLICE_NONE);
    return FILTER_REFUSE;
}

static const struct filter gate_nowhere = {.name = "nowhere", .on_request = on_nowhere};
static const struct filter *const nowhere_filters[] = {&gate_nowhere, NULL};

static void no_work(struct request *rq)
{
    request_finish_as(rq, OUTCOME_ERROR); /* its only filter refuses, so this is never reached */
}

static const struct gate nowhere = {
    .name = NULL,
    .filters = nowhere_filters,
    .work = no_work,
    .cancel = no_work,
    .refusal_body = problem_body, /* no dialect is known for a path that no gate has */
};

static const struct {
    struct slice prefix;
    const struct gate *gate;
} routes[] = {
    {{"/v1/", 4}, &ai_gate},                    /* OpenAI's, Anthropic's, Gemini's */
    {{"/v1beta/", 8}, &ai_gate},                /* Gemini's */
    {{"/v2/", 4}, &ai_gate},                    /* Cohere's */
    {{"/model/", 7}, &ai_gate},                 /* Bedrock's */
    {{"/openai/", 8}, &ai_gate},                /* Azure OpenAI's */
    {{"/passthrough/", 13}, &passthrough_gate}, /* of providers' own APIs */
    {{"/api/", 5}, &api_gate},
    {{"/mcp", 4}, &tool_gate}, /* with and without a server's name */
};

/* The gate that a path belongs to. Never NULL. An empty path has no canonical spelling: only the
 * target as it was sent then decides which gate serves it. */
static const struct gate *find_gate(struct slice path, struct slice target)
{
    if (path.len == 0 && slice_starts(target, SLICE("/api/")))
        return &api_gate; /* one of its routes may take the path as it stands */
    if (path.len == 0 && slice_starts(target, SLICE("/passthrough/")))
        return &passthrough_gate; /* refused, as no route takes it */
    while (path.len == 0 && slice_starts(target, SLICE("//")))
        target = slice_from(target, 1);
    if (path.len == 0 &&
        (slice_starts(target, SLICE("/v1/")) || slice_starts(target, SLICE("/v1beta/")) ||
         slice_starts(target, SLICE("/model/")) || slice_starts(target, SLICE("/openai/"))))
        return &ai_gate; /* refused, in its dialect */
    if (slice_eq(path, SLICE("/v1")) || slice_eq(path, SLICE("/v1beta")))
        return &ai_gate;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (slice_starts(path, routes[i].prefix))
            return routes[i].gate;
    return &nowhere;
}

/* ---- the listener ---- */

struct client_listener {
    struct request_env *env;
    struct http_server *server;
    struct http_adapters adapters;
    struct buf path;  /* of the request that is being taken in */
    struct buf loose; /* its target, where that is spelled as SDKs do */
    bool removed;
};

static void send_health(struct client_listener *d, struct http_adapter *a, struct slice path)
{
    const struct http_header type = {SLICE("content-type"), SLICE("text/plain")};
    bool alive = slice_eq(path, SLICE("/healthz"));
    bool good = alive || (d->env->policy && !d->env->draining);
    http_adapter_send(a, good ? 200 : 503, &type, 1, good ? SLICE("ok\n") : SLICE("not ready\n"));
}

/* Private detail is reported on the private port only (security.md, Processes). */
static bool is_health(const struct http_head *h, struct slice path)
{
    return http_head_gets(h) &&
           (slice_eq(path, SLICE("/healthz")) || slice_eq(path, SLICE("/readyz")));
}

/* HAProxy's default check is `OPTIONS / HTTP/1.0`, its common one `GET /readyz HTTP/1.0`: neither
 * has a Host. */
static bool is_check(const struct http_head *h)
{
    struct slice t = h->target;
    bool options = slice_eq(h->method, SLICE("OPTIONS"));
    bool health = slice_eq(t, SLICE("/healthz")) || slice_eq(t, SLICE("/readyz"));
    return (health && (options || http_head_gets(h))) || (options && slice_eq(t, SLICE("/")));
}

static bool has_host(const struct http_head *h)
{
    return http_head_find(h, SLICE("host")).ptr != NULL;
}

/* The request that a browser sends before a page's call, without any credential (Fetch Standard,
 * CORS preflight). false: it is none, or of an origin that is not allowed: the path's gate serves
 * it. */
static bool respond_to_preflight(struct client_listener *d, struct http_adapter *a,
                                 const struct http_head *h)
{
    struct slice method = http_head_find(h, SLICE("access-control-request-method"));
    struct slice origin = http_head_find(h, SLICE("origin"));
    if (!method.len || !slice_eq(h->method, SLICE("OPTIONS")) ||
        !origin_list_has(d->env->allowed_origins, origin))
        return false;
    struct slice wanted = http_head_find(h, SLICE("access-control-request-headers"));
    const struct http_header headers[] = {
        {SLICE("access-control-allow-origin"), origin},
        {SLICE("access-control-allow-methods"), SLICE("GET, HEAD, POST, PUT, PATCH, DELETE")},
        {SLICE("access-control-max-age"), SLICE("600")},
        {SLICE("vary"), SLICE("origin")},
        {SLICE("access-control-allow-headers"), wanted},
    };
    http_adapter_send(a, 204, headers, ARRAY_LEN(headers) - (wanted.len == 0), SLICE(""));
    return true;
}

static void refuse_without_memory(struct http_adapter *a)
{
    const struct http_header after = {SLICE("retry-after"), SLICE("1")};
    http_adapter_send(a, refusal_row(REFUSAL_NO_CAPACITY)->status, &after, 1, SLICE(""));
}

static void on_request(void *arg, struct http_exchange *x)
{
    static const struct http_exchange_events none;
    struct client_listener *d = arg;
    struct http_adapter *a = http_adapter_new(&d->adapters, x);
    if (!a) {
        http_exchange_bind(x, &none, NULL);
        http_response_abort(x);
        return;
    }
    const struct http_head *head = http_exchange_head(x);
    struct slice path = SLICE_NONE, query = SLICE_NONE;
    buf_clear(&d->path);
    enum err e = http1_path(head->target, &d->path, &query);
    if (e && e != ERR_NOMEM)
        e = http1_path_loose(head->target, SLICE("/v1/"), &d->loose, &d->path, &query);
    if (e && e != ERR_NOMEM)
        e = http1_path_loose(head->target, SLICE("/v1beta/"), &d->loose, &d->path, &query);
    if (e && e != ERR_NOMEM)
        e = http1_path_loose(head->target, SLICE("/model/"), &d->loose, &d->path, &query);
    if (e && e != ERR_NOMEM)
        e = http1_path_loose(head->target, SLICE("/openai/"), &d->loose, &d->path, &query);
    if (e == ERR_NOMEM) {
        refuse_without_memory(a);
        return;
    }
    if (!e)
        path = buf_slice(&d->path);
    if (!has_host(head)) { /* a request without Host is a health check here */
        send_health(d, a,
                    slice_eq(head->target, SLICE("/healthz")) ? head->target : SLICE("/readyz"));
        return;
    }
    if (is_health(head, path)) {
        send_health(d, a, path);
        return;
    }
    if (respond_to_preflight(d, a, head))
        return;
    struct request *rq =
        request_new(d->env, find_gate(path, head->target), &a->client, head, http_exchange_peer(x));
    if (!rq) {
        refuse_without_memory(a);
        return;
    }
    a->rq = rq;
    rq->path = path.len ? arena_copy(rq->arena, path) : SLICE_NONE;
    rq->query = query;
    if (path.len && !rq->path.ptr)
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (d->removed)
        request_refuse(rq, REFUSAL_REMOVED, SLICE_NONE);
    request_start(rq);
}

static const struct http_server_events server_events = {.on_request = on_request};

enum err client_listener_open(const struct client_listener_config *c, struct request_env *env,
                              struct client_listener **ret)
{
    struct client_listener *d = mem_zalloc(sizeof(*d));
    if (!d)
        return ERR_NOMEM;
    d->env = env;
    http_adapters_init(&d->adapters);
    buf_init(&d->path, 3 * LIMIT_HTTP_TARGET); /* a byte may become an escape of three */
    buf_init(&d->loose, LIMIT_HTTP_TARGET);
    const struct http_server_config config = {
        .tls = c->tls,
        .body_max = LIMIT_AI_BODY,
        .head_ms = LIMIT_HEAD_MS,
        .body_gap_ms = LIMIT_BODY_GAP_MS,
        .keepalive_ms = LIMIT_KEEPALIVE_MS,
        .connections_max = c->connections_max,
        .serves_without_host = is_check,
    };
    enum err e = http_server_new(env->loop, &config, &server_events, d, &d->server);
    if (!e)
        e = http_server_listen(d->server, &c->listen);
    if (e) {
        http_server_free(d->server);
        mem_free(d);
        return e;
    }
    env->clients = d->server;
    *ret = d;
    return ERR_OK;
}

uint16_t client_listener_port(const struct client_listener *d)
{
    return http_server_port(d->server);
}

size_t client_listener_connections(const struct client_listener *d)
{
    return http_server_connections(d->server);
}

void client_listener_drain(struct client_listener *d)
{
    http_server_drain(d->server);
}

void client_listener_remove(struct client_listener *d)
{
    d->removed = true;
}

static void destroy(void *arg)
{
    struct client_listener *d = arg;
    http_adapters_fini(&d->adapters);
    buf_fini(&d->path);
    buf_fini(&d->loose);
    mem_free(d);
}

void client_listener_close(struct client_listener **d)
{
    if (!*d)
        return;
    http_server_free((*d)->server);
    (*d)->env->clients = NULL;
    request_env_end_websockets((*d)->env);
    loop_retire((*d)->env->loop, destroy, *d);
    *d = NULL;
}

/* ---- the adapter ---- */

static void free_adapter(struct http_adapter *a)
{
    buf_fini(&a->held);
    mem_free(a);
}

static void http_adapters_init(struct http_adapters *a)
{
    list_init(&a->spare);
    a->spare_count = 0;
}

static void http_adapters_fini(struct http_adapters *a)
{
    struct list *it;
    while ((it = list_take_first(&a->spare)))
        free_adapter(LIST_ITEM(it, struct http_adapter, link));
    a->spare_count = 0;
}

static void release(struct http_adapter *a)
{
    struct http_adapters *home = a->home;
    if (home->spare_count >= SPARE_MAX) {
        free_adapter(a);
        return;
    }
    if (a->held.cap > SPARE_HELD)
        buf_fini(&a->held);
    buf_clear(&a->held);
    list_push_first(&home->spare, &a->link);
    home->spare_count++;
}

/* ---- the adapter: from the exchange ---- */

static void take_bytes(struct http_adapter *a, struct slice bytes)
{
    if (!a->websocket)
        return;
    if (websocket_feed(a->websocket, bytes))
        http_response_abort(a->x);
    else if (!websocket_is_fed(a->websocket))
        http_exchange_pause(a->x);
}

static void on_body(void *user, struct slice piece)
{
    struct http_adapter *a = user;
    if (a->upgraded)
        take_bytes(a, piece);
    else if (a->rq)
        request_on_body(a->rq, piece);
}

static void on_body_end(void *user)
{
    struct http_adapter *a = user;
    if (a->rq)
        request_on_body_end(a->rq);
}

/* false: the connection takes no more now, or is gone; `a` may be gone with it */
static bool send_held(struct http_adapter *a)
{
    bool gone = false;
    a->gone = &gone;
    while (a->held.len) {
        struct slice piece = slice_first(buf_slice(&a->held), LIMIT_STREAM_HIGH);
        enum err e = http_response_write(a->x, piece);
        if (gone)
            return false;
        if (e)
            break;
        buf_eat(&a->held, piece.len);
        if (http_response_is_full(a->x))
            break;
    }
    a->gone = NULL;
    return a->held.len == 0;
}

static void on_drain(void *user)
{
    struct http_adapter *a = user;
    if (!send_held(a))
        return;
    if (a->websocket)
        websocket_flow(a->websocket);
    else if (a->ending)
        http_response_end(a->x);
    else if (a->rq && !http_response_is_full(a->x))
        request_on_drain(a->rq);
}

static void on_gone(void *user, enum err why)
{
    struct http_adapter *a = user;
    (void)why;
    a->x = NULL;
    websocket_free(&a->websocket);
    if (a->gone)
        *a->gone = true;
    if (a->rq)
        request_on_gone(a->rq); /* its end releases the adapter */
    else
        release(a);
}

static const struct http_exchange_events exchange_events = {
    .on_body = on_body, .on_body_end = on_body_end, .on_drain = on_drain, .on_gone = on_gone};

/* ---- the adapter: a WebSocket ---- */

#define UPGRADE_HEADERS 64

static void on_upgraded(void *arg, const struct http_head *head)
{
    struct http_adapter *a = arg;
    struct http_header all[UPGRADE_HEADERS];
    size_t n = 0;
    for (; a->rq && n < a->header_count; n++)
        all[n] = a->headers[n];
    struct slice accept = http_head_find(head, SLICE("sec-websocket-accept"));
    struct slice protocol = http_head_find(head, SLICE("sec-websocket-protocol"));
    all[n++] = (struct http_header){SLICE("Sec-WebSocket-Accept"), accept};
    if (protocol.len)
        all[n++] = (struct http_header){SLICE("Sec-WebSocket-Protocol"), protocol};
    if (head->status != 101 || !accept.len || http_response_begin(a->x, 101, all, n, UINT64_MAX))
        http_response_abort(a->x);
}

static void on_websocket_bytes(void *arg, struct slice bytes)
{
    struct http_adapter *a = arg;
    enum err e = a->held.len ? ERR_TOO_BIG : http_response_write(a->x, bytes);
    if (e == ERR_TOO_BIG)
        e = buf_append(&a->held, bytes);
    if (e)
        http_response_abort(a->x);
    else if (a->held.len || http_response_is_full(a->x))
        websocket_stall(a->websocket);
}

static void on_websocket_message(void *arg, struct slice text)
{
    struct http_adapter *a = arg;
    if (a->rq)
        request_on_body(a->rq, text);
}

static void on_websocket_drain(void *arg)
{
    struct http_adapter *a = arg;
    if (a->rq)
        request_on_drain(a->rq);
}

static void on_websocket_fed(void *arg)
{
    struct http_adapter *a = arg;
    http_exchange_resume(a->x);
}

/* The client has closed, or was told to: the connection ends with what is held. */
static void on_websocket_close(void *arg, unsigned code, struct slice reason)
{
    struct http_adapter *a = arg;
    (void)code;
    (void)reason;
    websocket_free(&a->websocket);
    a->ending = true;
    if (!a->held.len)
        http_response_end(a->x);
    if (a->rq)
        request_on_body_end(a->rq);
}

static const struct websocket_events websocket_events = {.on_head = on_upgraded,
                                                         .on_bytes = on_websocket_bytes,
                                                         .on_message = on_websocket_message,
                                                         .on_drain = on_websocket_drain,
                                                         .on_fed = on_websocket_fed,
                                                         .on_close = on_websocket_close};

static bool offers_realtime(const struct http_head *h)
{
    struct slice one, rest = http_head_find(h, SLICE("sec-websocket-protocol"));
    while (slice_split(&rest, ',', &one))
        if (slice_eq(slice_trim(one), SLICE("realtime")))
            return true;
    return false;
}

static bool keep_headers(struct http_adapter *a, const struct response_head *h)
{
    a->header_count = 0;
    a->headers = arena_alloc(a->rq->arena, UPGRADE_HEADERS * sizeof(*a->headers));
    for (size_t i = 0; a->headers && i < h->header_count && i < UPGRADE_HEADERS - 2; i++) {
        struct slice value = arena_copy(a->rq->arena, h->headers[i].value);
        struct slice name = arena_copy(a->rq->arena, h->headers[i].name);
        if (!name.ptr || !value.ptr)
            return false;
        a->headers[a->header_count++] = (struct http_header){name, value};
    }
    return a->headers;
}

static enum sink_result upgrade(struct http_adapter *a, const struct response_head *h)
{
    const struct http_head *head = http_exchange_head(a->x);
    struct websockets *all = a->rq ? request_env_websockets(a->rq->env) : NULL;
    if (!all || !keep_headers(a, h) ||
        websocket_accept(all, http_head_find(head, SLICE("sec-websocket-key")),
                         offers_realtime(head), &websocket_events, a, &a->websocket))
        return SINK_CLOSED;
    a->upgraded = true;
    return SINK_OK;
}

static enum sink_result say(struct http_adapter *a, struct slice text)
{
    if (!a->websocket || websocket_send(a->websocket, text) ||
        websocket_pending(a->websocket) > LIMIT_RESPONSE_HELD)
        return SINK_CLOSED;
    return websocket_is_full(a->websocket) ? SINK_FULL : SINK_OK;
}

static void say_goodbye(struct http_adapter *a)
{
    const char *reason = a->client.close_reason;
    if (a->websocket)
        websocket_close(a->websocket, a->client.close_code ? a->client.close_code : 1000,
                        reason ? reason : "");
}

/* ---- the adapter: from the request ---- */

static struct http_adapter *of_sink(struct response_sink *s)
{
    return CONTAINER_OF(s, struct http_adapter, client.sink);
}

static struct http_adapter *of_client(struct client *c)
{
    return CONTAINER_OF(c, struct http_adapter, client);
}

static enum sink_result adapter_head(struct response_sink *s, const struct response_head *h)
{
    struct http_adapter *a = of_sink(s);
    if (a->x && h->status == 101)
        return upgrade(a, h);
    if (!a->x || http_response_begin(a->x, h->status, h->headers, h->header_count, h->length))
        return SINK_CLOSED;
    return SINK_OK;
}

static enum sink_result hold(struct http_adapter *a, struct slice data)
{
    return buf_append(&a->held, data) ? SINK_CLOSED : SINK_FULL;
}

/* A failed write may have ended the exchange, the request and with them `a`. */
static enum sink_result adapter_data(struct response_sink *s, struct slice piece)
{
    struct http_adapter *a = of_sink(s);
    if (!a->x)
        return SINK_CLOSED;
    if (a->upgraded)
        return say(a, piece);
    if (a->held.len)
        return hold(a, piece);
    enum err e = http_response_write(a->x, piece);
    if (e == ERR_TOO_BIG)
        return hold(a, piece);
    if (e)
        return SINK_CLOSED;
    return http_response_is_full(a->x) ? SINK_FULL : SINK_OK;
}

static enum sink_result adapter_end(struct response_sink *s)
{
    struct http_adapter *a = of_sink(s);
    a->rq = NULL;
    if (!a->x)
        release(a);
    else if (a->upgraded)
        say_goodbye(a);
    else if (a->held.len)
        a->ending = true;
    else
        http_response_end(a->x);
    return SINK_OK;
}

static void adapter_abort(struct response_sink *s)
{
    struct http_adapter *a = of_sink(s);
    a->rq = NULL;
    if (a->x)
        http_response_abort(a->x);
    else
        release(a);
}

static const struct response_ops sink_ops = {
    .head = adapter_head, .data = adapter_data, .end = adapter_end, .abort = adapter_abort};

static void http_adapter_send(struct http_adapter *a, unsigned status,
                              const struct http_header *headers, size_t n, struct slice body)
{
    bool gone = false;
    a->rq = NULL;
    if (!a->x) {
        release(a);
        return;
    }
    a->gone = &gone;
    enum err e = http_response(a->x, status, headers, n, body);
    if (gone)
        return;
    a->gone = NULL;
    if (e)
        http_response_abort(a->x);
}

static void adapter_whole(struct client *c, const struct response_head *h, struct slice body)
{
    http_adapter_send(of_client(c), h->status, h->headers, h->header_count, body);
}

static void read_body(struct client *c, uint64_t max)
{
    struct http_adapter *a = of_client(c);
    if (a->x)
        http_exchange_read(a->x, max);
}

static void pause_body(struct client *c)
{
    struct http_adapter *a = of_client(c);
    if (a->upgraded && a->websocket)
        websocket_hold(a->websocket);
    else if (a->x && !a->upgraded)
        http_exchange_pause(a->x);
}

static void resume_body(struct client *c)
{
    struct http_adapter *a = of_client(c);
    if (a->upgraded && a->websocket)
        websocket_release(a->websocket);
    else if (a->x && !a->upgraded)
        http_exchange_resume(a->x);
}

static const struct client_ops client_ops = {.whole = adapter_whole,
                                             .read_body = read_body,
                                             .pause_body = pause_body,
                                             .resume_body = resume_body};

static struct http_adapter *http_adapter_new(struct http_adapters *home, struct http_exchange *x)
{
    struct list *it = list_take_first(&home->spare);
    struct http_adapter *a = it ? LIST_ITEM(it, struct http_adapter, link) : mem_zalloc(sizeof(*a));
    if (!a)
        return NULL;
    if (it)
        home->spare_count--;
    else
        buf_init(&a->held, LIMIT_RESPONSE_HELD);
    a->home = home;
    a->x = x;
    a->rq = NULL;
    a->gone = NULL;
    a->ending = a->upgraded = false;
    a->websocket = NULL;
    a->client = (struct client){.sink = {.ops = &sink_ops}, .ops = &client_ops};
    list_init(&a->link);
    http_exchange_bind(x, &exchange_events, a);
    return a;
}
