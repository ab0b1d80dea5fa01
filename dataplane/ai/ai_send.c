/*
 * ai_send — the provider builds the request, the HTTP client sends it.
 */
#include "dataplane/ai/ai_send.h"

#include "common/base/secret.h"
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"

#define STAINLESS_MAX 86400     /* seconds a client may say it waits */
#define STAINLESS_GRACE_MS 1000 /* the client hangs up first */

/* OpenAI's SDKs say how long they will wait (dialects.md 1.8). */
static unsigned deadline_ms(const struct http_head *h)
{
    uint64_t seconds;
    struct slice said = http_head_find(h, SLICE("x-stainless-timeout"));
    if (!said.len || slice_u64(said, &seconds) || seconds == 0 || seconds > STAINLESS_MAX)
        return 0;
    return (unsigned)seconds * 1000 + STAINLESS_GRACE_MS;
}

static enum err start(struct ai_call *c, const struct ai_outgoing *o,
                      const struct http_call_events *events)
{
    const struct policy_provider *p = o->target;
    struct http_call_spec spec = {
        .method = SLICE("POST"),
        .url = p->url,
        .path = o->path,
        .headers = o->headers,
        .header_count = o->header_count,
        .rule = {p->allowed, p->allowed_count},
        .total_ms = deadline_ms(c->rq->head),
    };
    memcpy(spec.body, o->pieces, sizeof(spec.body));
    return http_call_start(c->rq->env->upstreams.client, &spec, events, c, &c->upstream);
}

enum err ai_send(struct ai_call *c, const struct candidate *target,
                 const struct http_call_events *events)
{
    char trace[TRACE_HEADER_LEN + 1];
    struct ai_outgoing o UNINITIALIZED;
    o.endpoint = c->endpoint;
    o.request = &c->request;
    o.body = buf_slice(&c->rq->body);
    o.client_head = c->rq->head;
    o.target = target->provider;
    o.credential = c->credential;
    o.changes = (struct ai_changes){.model = target->model};
    o.traceparent = trace_header(c->rq->record.trace_id, c->attempt->span_id, trace);
    o.arena = c->rq->arena;
    o.header_count = o.secret_len = 0;
    enum err e = c->provider->build(&o);
    ai_outgoing_add(&o, SLICE("via"), forward_via(c->rq->head));
    if (!e)
        e = start(c, &o, events);
    secret_wipe(o.secret, o.secret_len);
    return e;
}
