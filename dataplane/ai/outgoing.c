/*
 * outgoing — a call as one target gets it: a head of our own, and the client's body with the
 * target's model name in it.
 */
#include "common/base/secret.h"
#include "common/upstream/trace_context.h"
#include "dataplane/ai/ai_private.h"

#define STAINLESS_MAX 86400     /* seconds a client may say it waits */
#define STAINLESS_GRACE_MS 1000 /* it hangs up first, and the call goes on for what it costs */

/* what a client may tell a provider; everything else stays here */
static const struct slice telling[] = {{"openai-beta", 11}};

struct outgoing {
    struct http_header headers[16];
    size_t n;
    char bearer[AI_CREDENTIAL_MAX];
    size_t bearer_len;
    char trace[TRACE_HEADER_LEN + 1];
};

static enum err put_credential(struct ai_work *w, struct outgoing *o)
{
    if (!w->credential)
        return ERR_OK;
    struct slice scheme = SLICE("Bearer "), s = secret_reveal(w->credential);
    if (scheme.len + s.len > sizeof(o->bearer))
        return ERR_TOO_BIG;
    memcpy(o->bearer, scheme.ptr, scheme.len);
    memcpy(o->bearer + scheme.len, s.ptr, s.len);
    o->bearer_len = scheme.len + s.len;
    o->headers[o->n++] =
        (struct http_header){SLICE("authorization"), slice_of(o->bearer, o->bearer_len)};
    return ERR_OK;
}

/* Built from nothing: no header of the client passes but those listed. */
static enum err build_head(struct ai_work *w, struct outgoing *o)
{
    const struct http_header fixed[] = {
        {SLICE("content-type"), SLICE("application/json")},
        {SLICE("accept"),
         w->request.stream ? SLICE("text/event-stream") : SLICE("application/json")},
        {SLICE("accept-encoding"), SLICE("identity")},
        {SLICE("user-agent"), SLICE("gatehouse")},
        {SLICE("traceparent"), trace_header(w->rq->record.trace_id, w->attempt->span_id, o->trace)},
    };
    o->n = o->bearer_len = 0;
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        o->headers[o->n++] = fixed[i];
    for (size_t i = 0; i < ARRAY_LEN(telling); i++) {
        struct slice value = http_head_find(w->rq->head, telling[i]);
        if (value.len)
            o->headers[o->n++] = (struct http_header){telling[i], value};
    }
    return put_credential(w, o);
}

/* OpenAI's SDKs say how long they will wait (dialects.md 1.8) */
static unsigned deadline_ms(const struct http_head *h)
{
    uint64_t seconds;
    struct slice said = http_head_find(h, SLICE("x-stainless-timeout"));
    if (!said.len || slice_u64(said, &seconds) || seconds == 0 || seconds > STAINLESS_MAX)
        return 0;
    return (unsigned)seconds * 1000 + STAINLESS_GRACE_MS;
}

static struct slice joined(struct arena *a, struct slice left, struct slice right)
{
    char *out = arena_alloc(a, left.len + right.len);
    if (!out)
        return SLICE_NONE;
    memcpy(out, left.ptr, left.len);
    memcpy(out + left.len, right.ptr, right.len);
    return slice_of(out, left.len + right.len);
}

_Static_assert(AI_REQUEST_PIECES == HTTP_CALL_PIECES, "the request's pieces are the call's");

enum err outgoing_send(struct ai_work *w, const struct candidate *c,
                       const struct http_call_events *events)
{
    struct outgoing o UNINITIALIZED;
    struct http_call_spec spec = {
        .method = SLICE("POST"),
        .url = c->provider->url,
        .path = joined(w->rq->arena, c->provider->url.path, w->endpoint->upstream),
        .headers = o.headers,
        .rule = {c->provider->allowed, c->provider->allowed_count},
        .total_ms = deadline_ms(w->rq->head),
    };
    struct slice body = buf_slice(&w->rq->body);
    if (!spec.path.ptr || ai_request_splice(&w->request, body, c->model, w->rq->arena, spec.body))
        return ERR_NOMEM;
    enum err e = build_head(w, &o);
    spec.header_count = o.n;
    if (!e)
        e = http_call_start(w->rq->env->upstreams.client, &spec, events, w, &w->call);
    secret_wipe(o.bearer, o.bearer_len);
    return e;
}
