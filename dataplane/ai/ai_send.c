/*
 * ai_send — the provider builds the request, the exchange sends it.
 */
#include "dataplane/ai/ai_send.h"

#include "common/base/secret.h"
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"
#include "dataplane/ai/ai_cost.h"

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

static enum err start(struct ai_call *c, const struct candidate *target,
                      const struct ai_outgoing *o, const struct exchange_events *events)
{
    const struct policy_provider *p = target->provider;
    const struct policy_credential *credential = target->credential;
    struct exchange_spec spec = {
        .upstream = p->o.name,
        .target_id = p->o.id,
        .credential_id = credential ? credential->id : SLICE_NONE,
        .region = credential ? credential->region : SLICE_NONE,
        .revision = p->o.revision,
        .credential = credential ? credential->secret : NULL,
        .log = &c->rq->log,
        .attempt = c->attempt,
        .waited_us = &c->rq->record.upstream_us,
        .call = {.method = SLICE("POST"),
                 .url = p->url,
                 .path = o->path,
                 .headers = o->headers,
                 .header_count = o->header_count,
                 .rule = {p->allowed, p->allowed_count},
                 .total_ms = deadline_ms(c->rq->head)},
    };
    memcpy(spec.call.body, o->pieces, sizeof(spec.call.body));
    return exchange_start(&c->rq->env->upstreams, &spec, events, c, &c->exchange);
}

enum err ai_send(struct ai_call *c, const struct candidate *target,
                 const struct exchange_events *events, struct ai_untold *untold)
{
    char trace[TRACE_HEADER_LEN + 1];
    struct ai_outgoing o UNINITIALIZED;
    o.endpoint = c->endpoint;
    o.request = &c->request;
    o.body = buf_slice(&c->rq->body);
    o.client_head = c->rq->head;
    o.target = target->provider;
    o.credential = target->credential ? target->credential->secret : NULL;
    o.changes = (struct ai_changes){.model = target->model};
    o.traceparent = trace_header(c->rq->record.trace_id, c->attempt->span_id, trace);
    o.arena = c->rq->arena;
    o.translated = &c->translated;
    o.header_count = o.secret_len = 0;
    o.notice = o.why = SLICE_NONE;
    o.param = NULL;
    enum err e = c->provider->build(&o);
    ai_outgoing_add(&o, SLICE("via"), forward_via(c->rq->head));
    if (!e)
        e = start(c, target, &o, events);
    secret_wipe(o.secret, o.secret_len);
    c->notice = o.notice;
    *untold = (struct ai_untold){o.param, o.why};
    return e;
}
